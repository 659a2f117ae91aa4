//! Accounts, sessions, and keys for machines.

use std::fmt;

use onrush_engine::id::AccountId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::session::Scope;
use crate::text::{Text, Time};
use crate::token::Role;

/// A secret that a client sends or is sent. It is never written to a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What somebody signs up as. An admin comes from the configuration only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUpRole {
    /// Holds and books.
    Buyer,
    /// Sets shows up and sees who booked.
    Seller,
}

/// What is sent to sign up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountDraft {
    /// At most 254 characters; upper and lower case are the same.
    #[schema(example = "kim@example.org")]
    pub email: String,
    /// 8 to 256 characters, and not one that many people use.
    #[schema(value_type = String)]
    pub password: Secret,
    /// 1 to 100 characters.
    pub name: String,
    /// Buyer or seller.
    pub role: SignUpRole,
}

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// `acc_…`
    #[schema(value_type = String)]
    pub id: Text<AccountId>,
    /// In lower case.
    pub email: String,
    /// What to call its owner.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}

/// What an edge is told of somebody else's account before it gives that account something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRole {
    /// What it may do.
    pub role: Role,
}

/// A change of an account: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountPatch {
    /// A new name.
    pub name: Option<String>,
    /// A new address; needs `current_password`.
    pub email: Option<String>,
    /// A new password; needs `current_password`, and signs all other sessions out.
    #[schema(value_type = Option<String>)]
    pub password: Option<Secret>,
    /// The password as it was until now.
    #[schema(value_type = Option<String>)]
    pub current_password: Option<Secret>,
}

/// What is sent to close an account for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountClosing {
    /// Its password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// Cancel what is booked and has not taken place yet, by each performance's policy.
    #[serde(default)]
    pub force: bool,
}

/// What is sent to sign in: an address and its password, a machine's key, or that somebody is a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Secret>,
    /// A machine's key instead of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Secret>,
    /// `true` instead of all that: to book without an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<bool>,
}

/// What is sent to go on without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token of the session. It can be used once.
    #[schema(value_type = String)]
    pub refresh_token: Secret,
}

/// A session's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// To be sent as `Authorization: Bearer <access token>`.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// Gets the next pair; a machine has none and signs in with its key again, and a guest comes back with the password of
    /// the booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub refresh_token: Option<Secret>,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token is void.
    pub expires_in: u64,
}

/// What is sent to make a key for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyDraft {
    /// What it is for; 1 to 100 characters.
    pub name: String,
    /// What whoever has it may do; at least one.
    pub scopes: Vec<Scope>,
}

/// A key for a machine, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// `key_…`
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What whoever has it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}

/// A key for a machine when it is made: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewApiKey {
    /// What can be listed later.
    #[serde(flatten)]
    pub listed: ApiKey,
    /// The key itself, to sign in with.
    #[schema(value_type = String)]
    pub key: Secret,
}
