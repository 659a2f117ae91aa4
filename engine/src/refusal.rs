//! Why an inventory did not do what it was asked. A refusal changes nothing.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use thiserror::Error;

use crate::id::BookingId;
use crate::performance::{PricesError, TermsError};
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// A closed list; each carries what the asker needs to do better.
#[derive(Debug, Clone, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum Refusal {
    /// The sale is not open now.
    #[error("the sale is not open")]
    NotOnSale {
        /// It opens then.
        opens_at: Timestamp,
        /// It closes then.
        closes_at: Timestamp,
    },
    /// These seats are not free.
    #[error("{} of the seats are not free", .seats.len())]
    SeatsTaken {
        /// Those that are not.
        seats: Vec<SeatIndex>,
    },
    /// There are not so many free seats of the kind.
    #[error("only {remaining} seats of this kind are free")]
    TooFewSeats {
        /// How many there are.
        remaining: u32,
    },
    /// There are enough free seats, but not side by side.
    #[error("no such run of seats side by side")]
    NotAdjacent {
        /// The best groups there are, together as many as asked for.
        split: Vec<SeatList>,
    },
    /// The buyer would have more seats than one buyer may.
    #[error("one buyer may have {limit} seats and has {in_use}")]
    SeatLimit {
        /// Seats of one buyer.
        limit: u32,
        /// Held or booked by this one.
        in_use: u32,
    },
    /// The buyer would have more holds than one buyer may.
    #[error("one buyer may have {limit} holds at a time and has {in_use}")]
    HoldLimit {
        /// Holds of one buyer.
        limit: u32,
        /// Active ones of this buyer.
        in_use: u32,
    },
    /// There is no such hold, or it is somebody else's.
    #[error("there is no such hold")]
    UnknownHold,
    /// The hold was released, or its time was up.
    #[error("the hold has ended")]
    HoldEnded,
    /// The hold has become a booking.
    #[error("the hold is a booking already")]
    HoldBooked {
        /// That booking.
        booking: BookingId,
    },
    /// There is no such booking, or it is somebody else's.
    #[error("there is no such booking")]
    UnknownBooking,
    /// The deadline for cancelling has passed.
    #[error("cancelling was possible until {}", .until.as_millis())]
    CancellationClosed {
        /// It was that time.
        until: Timestamp,
    },
    /// Nothing of the booking is left to cancel.
    #[error("the booking is cancelled already")]
    BookingClosed,
    /// These seats are not, or not any more, the booking's.
    #[error("{} of the seats are not the booking's", .seats.len())]
    NotInBooking {
        /// Those that are not.
        seats: Vec<SeatIndex>,
    },
    /// There is no such block, or it is somebody else's performance.
    #[error("there is no such block")]
    UnknownBlock,
    /// The performance is somebody else's.
    #[error("the performance is another seller's")]
    NotSeller,
    /// What the new rules and prices were made from is not in force any more.
    #[error("the rules or the prices were changed meanwhile")]
    Outdated,
    /// The prices are no price list of this performance.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// The terms can be no sale's.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Prices and cancellation rules were changed so often: what was ever sold for is kept.
    #[error("prices and cancellation rules were changed {limit} times, and that is all")]
    TooManyOffers {
        /// So often.
        limit: u32,
    },
    /// The request key stands for another request.
    #[error("the request key was used for another request")]
    KeyReused,
    /// A booking that waits for its payment is cancelled whole or not at all.
    #[error("the booking waits for its payment and is cancelled whole or not at all")]
    PaymentPending,
    /// The booking does not wait for the seller: nobody has to decide, or somebody has.
    #[error("the booking does not wait for the seller's word")]
    NotWaiting,
    /// There is no such payment, or it is another sum than the booking's.
    #[error("the booking has no such payment")]
    UnknownPayment,
    /// The performance was called off.
    #[error("the performance was called off")]
    PerformanceCancelled,
    /// There is no such ticket, or not any more, or it is somebody else's.
    #[error("there is no such ticket")]
    UnknownTicket,
    /// The code is an earlier one: the ticket was given to somebody else since.
    #[error("the ticket was given to somebody else, and this code is no longer good")]
    TicketReissued,
    /// Somebody has come in with the ticket.
    #[error("somebody came in with the ticket at {}", .at.as_millis())]
    TicketUsed {
        /// It was then.
        at: Timestamp,
    },
    /// The tickets of these seats were given away or used, so that only the seller can cancel them.
    #[error("{} of the tickets were given away or used", .seats.len())]
    TicketsGone {
        /// Those that were.
        seats: Vec<SeatIndex>,
    },
    /// The performance is another engine's by now, or becomes it.
    #[error("the performance was handed over to another engine")]
    HandedOver,
    /// Every number that a hold or a block can have was given.
    #[error("the performance has no number left")]
    NoNumberLeft,
}
