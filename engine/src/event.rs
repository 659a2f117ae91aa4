//! What happened to an inventory: the journal's content. Replay applies these and nothing else.

use crate::command::RequestKey;
use crate::id::{AccountId, EngineId};
use crate::money::Money;
use crate::performance::{Opening, Terms};
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

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
        /// What becomes of the cancellation rules of what is held or sold.
        sold: SoldRules,
    },
    /// The engine was away and is back: whoever held seats gets the lost time back, within a bound.
    HoldsExtended {
        /// Every active hold ends so much later.
        by_millis: u32,
    },
    /// The seller said yes to a booking, or no.
    BookingDecided(BookingDecided),
    /// The time of these bookings was up: for their payment, or for the seller's word.
    BookingsLapsed {
        /// Their numbers.
        bookings: Vec<u32>,
    },
    /// A booking's payment got further.
    PaymentAdvanced(PaymentAdvanced),
    /// A ticket was given to somebody else.
    TicketTransferred(TicketTransferred),
    /// Somebody came in with a ticket.
    TicketCheckedIn(TicketCheckedIn),
    /// The performance was given to another engine. Nothing happens to it here any more, unless it comes back.
    HandedOver {
        /// To this one, and to no other.
        to: EngineId,
    },
    /// The engine that it was given to has it.
    TakenOver,
    /// The seller called the performance off: every hold ends, every booking is cancelled, all that was paid goes back.
    PerformanceCancelled(PerformanceCancelled),
}

/// Which cancellation rules count for what was held before they changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoldRules {
    /// Those of its time, or the new ones where they are better.
    Kept,
    /// The new ones: so it was in journals of formats 1 and 2.
    Replaced,
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
    /// Until when it may wait there; nothing where it waits for nothing.
    pub until: Option<Timestamp>,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}

/// Where a booking stands, its cancelled seats aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
pub enum Standing {
    /// Waits for its payment.
    PendingPayment,
    /// Waits for the seller.
    PendingApproval,
    /// The seats are the buyer's.
    Confirmed,
    /// Nobody paid in time, and the seats went back on sale.
    Expired,
    /// The payment failed, and the seats went back on sale.
    PaymentFailed,
    /// The seller said no, or nothing in time, and the seats went back on sale.
    Rejected,
}

impl Standing {
    /// Whether the booking's seats are its own: they are taken for it.
    pub fn has_seats(self) -> bool {
        matches!(self, Self::PendingPayment | Self::PendingApproval | Self::Confirmed)
    }
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
    /// What goes back to the buyer, in minor units; nothing where nothing was paid.
    pub refund: Option<i64>,
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

/// See [`Event::BookingDecided`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingDecided {
    /// The booking's number.
    pub booking: u32,
    /// Whether the booking may have its seats.
    pub approved: bool,
    /// Who decided.
    pub by: AccountId,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Until when it has to be paid for; nothing where there is nothing to pay.
    pub until: Option<Timestamp>,
}

/// See [`Event::PaymentAdvanced`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentAdvanced {
    /// The booking's number.
    pub booking: u32,
    /// The provider's name for the payment, where it is news.
    pub reference: Option<Box<str>>,
    /// How it got further.
    pub advance: Advance,
}

/// How a payment gets further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The provider knows of it.
    Opened,
    /// The buyer's money is being asked for: the seats wait until then, where they get more time.
    Charging {
        /// From then on the booking waits no longer.
        until: Option<Timestamp>,
    },
    /// The money is reserved.
    Authorised(Fate),
    /// The money has come.
    Captured {
        /// What becomes of the seats.
        fate: Fate,
        /// What goes back at once, in minor units: all of it where the seats are lost.
        refund: i64,
    },
    /// No money will come.
    Failed,
    /// The reserved money was let go.
    Voided,
    /// A refund has gone out.
    Refunded {
        /// Its place among the payment's refunds.
        refund: u32,
    },
}

/// What becomes of a booking's seats when its money comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are the booking's and stay so.
    Kept,
    /// They went back on sale, are all free still, and are the booking's again.
    Retaken,
    /// Somebody else has one of them, or they cannot be sold any more: the money goes back.
    Lost,
}

/// See [`Event::PerformanceCancelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerformanceCancelled {
    /// Who called it off.
    pub by: AccountId,
    /// Why.
    pub reason: Option<Box<str>>,
}

/// See [`Event::TicketTransferred`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketTransferred {
    /// The booking's number.
    pub booking: u32,
    /// The ticket's seat.
    pub seat: SeatIndex,
    /// Who has it now.
    pub to: AccountId,
    /// Who gave it.
    pub by: AccountId,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}

/// See [`Event::TicketCheckedIn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCheckedIn {
    /// The booking's number.
    pub booking: u32,
    /// The ticket's seat.
    pub seat: SeatIndex,
    /// Who looked at it.
    pub by: AccountId,
    /// What the request was known by.
    pub key: Option<RequestKey>,
}
