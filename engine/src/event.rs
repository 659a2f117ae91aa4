//! What happened to an inventory: the journal's content. Replay applies these and nothing else.

use crate::command::RequestKey;
use crate::id::AccountId;
use crate::money::Money;
use crate::performance::{Opening, Terms};
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;

/// An event and when it happened. Invariant: along a journal, `at` never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Journal time: the only clock that `apply` sees.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened. Numbers are dense within the performance and never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The performance came into being: always its first event, and only that.
    PerformanceOpened(Box<Opening>),
    /// A buyer took seats.
    SeatsHeld(SeatsHeld),
    /// A buyer gave a hold's seats back.
    HoldReleased {
        /// The hold's number.
        hold: u32,
    },
    /// The time of these holds was up.
    HoldsExpired {
        /// Their numbers.
        holds: Vec<u32>,
    },
    /// A hold became a booking.
    HoldBooked(HoldBooked),
    /// Seats of a booking were given up.
    SeatsCancelled(SeatsCancelled),
    /// House seats were taken out of sale.
    SeatsBlocked(SeatsBlocked),
    /// House seats were given back.
    BlockLifted {
        /// The block's number.
        block: u32,
    },
    /// The rules or the prices changed.
    TermsChanged {
        /// The rules from now on.
        terms: Box<Terms>,
        /// The prices from now on, where they changed.
        prices: Option<Vec<Money>>,
    },
    /// The engine was away and is back: whoever held seats gets the lost time back, within a bound.
    HoldsExtended {
        /// Every active hold ends so much later.
        by_millis: u32,
    },
}

/// See [`Event::SeatsHeld`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsHeld {
    /// The hold's number.
    pub hold: u32,
    /// Random bits of its id.
    pub nonce: u64,
    /// Who holds.
    pub buyer: AccountId,
    /// What is held.
    pub seats: SeatList,
    /// From then on it is not held any more.
    pub expires_at: Timestamp,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}

/// See [`Event::HoldBooked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldBooked {
    /// The hold's number.
    pub hold: u32,
    /// The booking's number.
    pub booking: u32,
    /// Random bits of its id.
    pub nonce: u64,
    /// Where the booking stands at first.
    pub standing: Standing,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}

/// Where a booking stands, its cancelled seats aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waits for its payment.
    PendingPayment,
    /// Waits for the seller.
    PendingApproval,
    /// The seats are the buyer's.
    Confirmed,
}

/// See [`Event::SeatsCancelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsCancelled {
    /// The booking's number.
    pub booking: u32,
    /// Which of its seats.
    pub seats: SeatList,
    /// Who cancelled: the buyer, the seller, an admin.
    pub by: AccountId,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}

/// See [`Event::SeatsBlocked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsBlocked {
    /// The block's number.
    pub block: u32,
    /// Random bits of its id.
    pub nonce: u64,
    /// Which seats.
    pub seats: Vec<SeatIndex>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Who blocked.
    pub by: AccountId,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}
