//! Guests: who books without an account, and comes back to that with a reservation password.
//!
//! A guest is an account id that nobody has signed up for. What the guest says of themselves is the control plane's, like
//! everything else that identifies a person; the second half of this file is how an edge asks it.

use onrush_engine::id::{AccountId, BookingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::Secret;
use crate::text::Text;

/// What the id of a guest begins with. No account that somebody signs up for has one like it.
pub const GUEST_PREFIX: &str = "acc_guest_";

/// Whether an account is a guest's.
pub fn is_guest(account: &AccountId) -> bool {
    account.as_str().starts_with(GUEST_PREFIX)
}

/// Who a guest is, for the seller and on the confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// 1 to 100 characters.
    pub name: String,
    /// Where the seller can call: 5 to 15 digits, with `+`, `-`, `(`, `)` and spaces among them.
    #[schema(example = "+82 10-1234-5678")]
    pub phone: String,
}

/// What a guest says to book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestDraft {
    /// 1 to 100 characters.
    pub name: String,
    /// Where the seller can call: 5 to 15 digits, with `+`, `-`, `(`, `)` and spaces among them.
    #[schema(example = "+82 10-1234-5678")]
    pub phone: String,
    /// The reservation password: with it the booking can be seen, printed and cancelled later. 8 to 256 characters, and not
    /// one that many people use.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// What a guest sends to come back to a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestSignIn {
    /// The reservation password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// An edge asks for a token for a guest who has come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestReturn {
    /// Which booking the guest has named: tries are counted by it, whether it is there or not.
    pub booking: Text<BookingId>,
    /// Whose it is; nobody's where there is none, or where it is no guest's.
    pub account: Option<Text<AccountId>>,
    /// The reservation password that was tried.
    pub password: Secret,
}

/// An edge asks who some guests are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestQuestion {
    /// Whom.
    pub accounts: Vec<Text<AccountId>>,
}

/// Who they are, in the order of the question; nothing where nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAnswer {
    /// One for each.
    pub guests: Vec<Option<Guest>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_by_the_id() {
        let is = |id: &str| is_guest(&id.parse().expect("an id"));
        assert!(is("acc_guest_0") && !is("acc_guest") && !is("acc_0123456789abcdef0123456789abcdef"));
    }
}
