//! What became of bookings that wait, in the API's words: decided about, run out, paid, called off.

use std::fmt;

use onrush_api::text::{Text, Time};
use onrush_engine::event::{Advance, Event, Fate};
use onrush_engine::id::{AccountId, BookingId};
use onrush_engine::inventory::Inventory;
use serde::Serialize;

use super::happening::quoted;

/// See the module.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum OrderLine {
    BookingDecided {
        booking: Option<Text<BookingId>>,
        approved: bool,
        by: Text<AccountId>,
        reason: Option<Box<str>>,
        pay_until: Option<Time>,
    },
    BookingsLapsed {
        bookings: Vec<Text<BookingId>>,
    },
    PaymentAdvanced {
        booking: Option<Text<BookingId>>,
        payment: &'static str,
        seats: Option<&'static str>,
        refund: Option<i64>,
        reference: Option<Box<str>>,
    },
    PerformanceCancelled {
        by: Text<AccountId>,
        reason: Option<Box<str>>,
    },
    TicketTransferred {
        booking: Option<Text<BookingId>>,
        seat: String,
        by: Text<AccountId>,
        to: Text<AccountId>,
    },
    TicketCheckedIn {
        booking: Option<Text<BookingId>>,
        seat: String,
        by: Text<AccountId>,
    },
    /// No event of this kind.
    Unknown,
}

impl OrderLine {
    /// An event, described by the state that it met.
    pub(super) fn of(event: &Event, before: &Inventory) -> Self {
        let id = |number: u32| before.booking(number).map(|booking| Text(booking.id));
        match event {
            Event::BookingDecided(decided) => Self::BookingDecided {
                booking: id(decided.booking),
                approved: decided.approved,
                by: Text(decided.by),
                reason: decided.reason.clone(),
                pay_until: decided.until.map(Time),
            },
            Event::BookingsLapsed { bookings } => {
                Self::BookingsLapsed { bookings: bookings.iter().filter_map(|number| id(*number)).collect() }
            }
            Event::PaymentAdvanced(advanced) => {
                let (payment, seats, refund) = words(advanced.advance);
                let (booking, reference) = (id(advanced.booking), advanced.reference.clone());
                Self::PaymentAdvanced { booking, payment, seats, refund, reference }
            }
            Event::PerformanceCancelled(cancelled) => {
                Self::PerformanceCancelled { by: Text(cancelled.by), reason: cancelled.reason.clone() }
            }
            Event::TicketTransferred(given) => Self::TicketTransferred {
                booking: id(given.booking),
                seat: before.map().label(given.seat).to_string(),
                by: Text(given.by),
                to: Text(given.to),
            },
            Event::TicketCheckedIn(used) => Self::TicketCheckedIn {
                booking: id(used.booking),
                seat: before.map().label(used.seat).to_string(),
                by: Text(used.by),
            },
            _ => Self::Unknown,
        }
    }
}

/// How a payment got further, what that meant for the seats, and what goes back.
fn words(advance: Advance) -> (&'static str, Option<&'static str>, Option<i64>) {
    let seats = |fate| match fate {
        Fate::Kept => "kept",
        Fate::Retaken => "taken again",
        Fate::Lost => "lost",
    };
    match advance {
        Advance::Opened => ("opened", None, None),
        Advance::Charging { .. } => ("charging", None, None),
        Advance::Authorised(fate) => ("authorised", Some(seats(fate)), None),
        Advance::Captured { fate, refund } => {
            ("captured", Some(seats(fate)), Some(refund).filter(|refund| *refund > 0))
        }
        Advance::Failed => ("failed", None, None),
        Advance::Voided => ("voided", None, None),
        Advance::Refunded { .. } => ("refunded", None, None),
    }
}

fn known(booking: Option<&Text<BookingId>>) -> String {
    booking.map_or_else(|| "what is not known".to_owned(), |id| id.0.to_string())
}

impl fmt::Display for OrderLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BookingDecided { booking, approved, by, reason, .. } => {
                let word = if *approved { "approved" } else { "rejected" };
                write!(f, "{word}: {} by {}{}", known(booking.as_ref()), by.0, quoted(reason))
            }
            Self::BookingsLapsed { bookings } => {
                let bookings: Vec<String> = bookings.iter().map(|id| id.0.to_string()).collect();
                write!(f, "ran out unpaid or undecided: {}", bookings.join(", "))
            }
            Self::PaymentAdvanced { booking, payment, seats, refund, .. } => {
                write!(f, "payment of {}: {payment}", known(booking.as_ref()))?;
                seats.map_or(Ok(()), |seats| write!(f, ", the seats are {seats}"))?;
                refund.map_or(Ok(()), |refund| write!(f, ", {refund} goes back"))
            }
            Self::PerformanceCancelled { by, reason } => write!(f, "called off by {}{}", by.0, quoted(reason)),
            Self::TicketTransferred { booking, seat, by, to } => {
                write!(f, "ticket of {seat} of {} given by {} to {}", known(booking.as_ref()), by.0, to.0)
            }
            Self::TicketCheckedIn { booking, seat, by } => {
                write!(f, "{} let somebody in with the ticket of {seat} of {}", by.0, known(booking.as_ref()))
            }
            Self::Unknown => f.write_str("an event without a name"),
        }
    }
}
