//! A show, and what its seller lets others do for it.

use std::collections::BTreeMap;

use rkyv::{Archive, Deserialize, Serialize};

use crate::command::Caller;
use crate::id::{AccountId, PerformanceId, ShowId};
use crate::time::Timestamp;

/// The field a show belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Field {
    Concert,
    Musical,
    Theatre,
    Exhibition,
    Sports,
    Space,
}

/// What a seller says of a show.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ShowDetails {
    /// Its title.
    pub title: Box<str>,
    /// Concert, musical, …
    pub field: Field,
    /// Who is on stage.
    pub cast: Vec<Box<str>>,
    /// Where it is shown.
    pub venue: Box<str>,
    /// What it is about.
    pub description: Box<str>,
    /// Its poster.
    pub poster_url: Option<Box<str>>,
}

/// A show.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Show {
    /// Its id.
    pub id: ShowId,
    /// Who sells it.
    pub seller: AccountId,
    /// What its seller says of it.
    pub details: ShowDetails,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its performances, in the order in which they were added.
    pub performances: Vec<PerformanceId>,
    /// Whom its seller lets do what.
    pub members: BTreeMap<AccountId, Duty>,
}

impl Show {
    /// Whether the show is the caller's own: who may see and say who its members are.
    pub fn belongs_to(&self, caller: Caller) -> bool {
        caller.admin || self.seller == caller.account
    }
}

/// What a seller lets somebody else do for a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Duty {
    /// All that the seller may, but to say who may do what.
    Manage,
    /// Let people in.
    Door,
    /// See who booked, and how it sells.
    View,
}

impl Duty {
    /// Whether whoever has this one may do what `needed` asks for.
    pub fn covers(self, needed: Self) -> bool {
        self == Self::Manage || self == needed
    }
}
