//! The JSON that the test provider's API speaks.

use serde::{Deserialize, Serialize};

/// Asks for a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPayment {
    /// What the merchant calls it: one payment a reference.
    pub(super) reference: String,
    pub(super) amount: i64,
    pub(super) currency: String,
}

/// A payment as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payment {
    pub(super) id: String,
    /// What the merchant calls it.
    pub(super) reference: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: Status,
    /// Where the buyer pays: wherever the provider is served now, so that the book does not have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) url: String,
    pub(super) refunds: Vec<Refund>,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Open,
    Processing,
    Authorised,
    Captured,
    Declined,
    Voided,
}

/// Asks for money to be sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRefund {
    /// What the merchant calls it: one refund a name.
    pub(super) name: String,
    pub(super) amount: i64,
}

/// Money that was sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) name: String,
    pub(super) amount: i64,
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    /// `payment.<status>`
    pub(super) r#type: String,
    /// The payment as it was then.
    pub(super) data: Payment,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
}
