//! An event in the API's words: with the ids, accounts and labels for which the journal has only numbers.

use std::fmt;

use onrush_api::text::{Text, Time};
use onrush_engine::event::{Event, HoldBooked, SeatsCancelled, Standing};
use onrush_engine::id::{AccountId, BlockId, BookingId, EngineId, HoldId};
use onrush_engine::inventory::Inventory;
use onrush_engine::journal::history::Step;
use onrush_engine::seat_map::SeatIndex;
use serde::Serialize;

use super::orders::OrderLine;
use super::rules::{self, Change};

/// An event at its place.
#[derive(Debug, Serialize)]
pub(super) struct EventLine {
    sequence: u64,
    at: Time,
    #[serde(flatten)]
    happening: Happening,
}

/// A hold that an event ended.
#[derive(Debug, Serialize)]
struct Ended {
    hold: Text<HoldId>,
    buyer: Text<AccountId>,
    seats: Vec<String>,
}

/// What happened. A hold, booking or block that the state does not know is left out: a journal that was recovered has
/// none such.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Happening {
    PerformanceOpened {
        seller: Text<AccountId>,
        capacity: u32,
        opens_at: Time,
        closes_at: Time,
    },
    SeatsHeld {
        hold: Text<HoldId>,
        buyer: Text<AccountId>,
        seats: Vec<String>,
        expires_at: Time,
    },
    HoldReleased {
        #[serde(flatten)]
        ended: Option<Ended>,
    },
    HoldsExpired {
        holds: Vec<Ended>,
    },
    HoldBooked {
        #[serde(flatten)]
        ended: Option<Ended>,
        booking: Text<BookingId>,
        status: &'static str,
        purpose: Option<Box<str>>,
    },
    SeatsCancelled {
        booking: Option<Text<BookingId>>,
        buyer: Option<Text<AccountId>>,
        by: Text<AccountId>,
        seats: Vec<String>,
    },
    SeatsBlocked {
        block: Text<BlockId>,
        by: Text<AccountId>,
        reason: Option<Box<str>>,
        seats: Vec<String>,
    },
    BlockLifted {
        block: Option<Text<BlockId>>,
        seats: Vec<String>,
    },
    TermsChanged {
        changes: Vec<Change>,
    },
    HoldsExtended {
        by_millis: u32,
        holds: u32,
    },
    HandedOver {
        to: Text<EngineId>,
    },
    TakenOver,
    /// What format 2 knows.
    #[serde(untagged)]
    Order(OrderLine),
}

impl EventLine {
    /// An event, described by the state that it met.
    pub(super) fn of(step: &Step<'_>) -> Self {
        let happening = happening(&step.entry.event, step.before);
        Self { sequence: step.sequence, at: Time(step.entry.at), happening }
    }
}

fn labels(inventory: &Inventory, seats: &[SeatIndex]) -> Vec<String> {
    seats.iter().map(|seat| inventory.map().label(*seat).to_string()).collect()
}

fn ended(before: &Inventory, hold: u32) -> Option<Ended> {
    let (buyer, view) = before.hold(hold)?;
    Some(Ended { hold: Text(view.id), buyer: Text(buyer), seats: labels(before, &view.seats) })
}

fn happening(event: &Event, before: &Inventory) -> Happening {
    let performance = before.performance();
    match event {
        Event::PerformanceOpened(opening) => Happening::PerformanceOpened {
            seller: Text(opening.seller),
            capacity: before.map().capacity(),
            opens_at: Time(opening.terms.opens_at),
            closes_at: Time(opening.terms.closes_at),
        },
        Event::SeatsHeld(held) => Happening::SeatsHeld {
            hold: Text(HoldId { performance, number: held.hold, nonce: held.nonce }),
            buyer: Text(held.buyer),
            seats: labels(before, &held.seats),
            expires_at: Time(held.expires_at),
        },
        Event::HoldReleased { hold } => Happening::HoldReleased { ended: ended(before, *hold) },
        Event::HoldsExpired { holds } => {
            Happening::HoldsExpired { holds: holds.iter().filter_map(|hold| ended(before, *hold)).collect() }
        }
        Event::HoldBooked(booked) => hold_booked(booked, before),
        Event::SeatsCancelled(cancelled) => seats_cancelled(cancelled, before),
        Event::SeatsBlocked(blocked) => Happening::SeatsBlocked {
            block: Text(BlockId { performance, number: blocked.block, nonce: blocked.nonce }),
            by: Text(blocked.by),
            reason: blocked.reason.clone(),
            seats: labels(before, &blocked.seats),
        },
        Event::BlockLifted { block } => {
            let block = before.block(*block);
            let seats = block.as_ref().map(|block| labels(before, &block.seats)).unwrap_or_default();
            Happening::BlockLifted { block: block.map(|block| Text(block.id)), seats }
        }
        Event::TermsChanged { terms, prices, .. } => {
            Happening::TermsChanged { changes: rules::changes(before, terms, prices.as_deref()) }
        }
        Event::HoldsExtended { by_millis } => {
            Happening::HoldsExtended { by_millis: *by_millis, holds: before.active_holds() }
        }
        Event::HandedOver { to } => Happening::HandedOver { to: Text(*to) },
        Event::TakenOver => Happening::TakenOver,
        event => Happening::Order(OrderLine::of(event, before)),
    }
}

fn status(standing: Standing) -> &'static str {
    match standing {
        Standing::PendingPayment => "pending_payment",
        Standing::PendingApproval => "pending_approval",
        Standing::Confirmed => "confirmed",
        Standing::Expired => "expired",
        Standing::PaymentFailed => "payment_failed",
        Standing::Rejected => "rejected",
    }
}

fn hold_booked(booked: &HoldBooked, before: &Inventory) -> Happening {
    let performance = before.performance();
    Happening::HoldBooked {
        ended: ended(before, booked.hold),
        booking: Text(BookingId { performance, number: booked.booking, nonce: booked.nonce }),
        status: status(booked.standing),
        purpose: booked.purpose.clone(),
    }
}

fn seats_cancelled(cancelled: &SeatsCancelled, before: &Inventory) -> Happening {
    let booking = before.booking(cancelled.booking);
    Happening::SeatsCancelled {
        booking: booking.as_ref().map(|booking| Text(booking.id)),
        buyer: booking.map(|booking| Text(booking.buyer)),
        by: Text(cancelled.by),
        seats: labels(before, &cancelled.seats),
    }
}

impl fmt::Display for EventLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, at, happening } = self;
        write!(f, "{sequence:>8}  {at}  {happening}")
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hold, buyer, seats } = self;
        write!(f, "{} of {} ({})", hold.0, buyer.0, seats.join(", "))
    }
}

/// A reason or purpose in quotation marks; what a terminal would take for an order is escaped.
pub(super) fn quoted(text: &Option<Box<str>>) -> String {
    text.as_ref().map(|text| format!(", {text:?}")).unwrap_or_default()
}

/// What there is, or that it is not known.
fn known<T: fmt::Display>(thing: Option<T>) -> String {
    thing.map_or_else(|| "what is not known".to_owned(), |thing| thing.to_string())
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerformanceOpened { seller, capacity, opens_at, closes_at } => {
                write!(f, "opened by {}: {capacity} seats, on sale from {opens_at} until {closes_at}", seller.0)
            }
            Self::SeatsHeld { hold, buyer, seats, expires_at } => {
                write!(f, "{} took {} for {}, until {expires_at}", hold.0, seats.join(", "), buyer.0)
            }
            Self::HoldReleased { ended } => write!(f, "released: {}", known(ended.as_ref())),
            Self::HoldsExpired { holds } => {
                let holds: Vec<String> = holds.iter().map(Ended::to_string).collect();
                write!(f, "ran out: {}", holds.join(", "))
            }
            Self::HoldBooked { ended, booking, status, purpose } => {
                let ended = known(ended.as_ref());
                write!(f, "booked: {ended} is {}, {status}{}", booking.0, quoted(purpose))
            }
            Self::SeatsCancelled { booking, buyer, by, seats } => {
                let (booking, buyer) = (known(booking.map(|id| id.0)), known(buyer.map(|id| id.0)));
                write!(f, "cancelled: {} gave up {} of {booking} of {buyer}", by.0, seats.join(", "))
            }
            Self::SeatsBlocked { block, by, reason, seats } => {
                write!(f, "blocked: {} took {} out of sale ({}{})", by.0, seats.join(", "), block.0, quoted(reason))
            }
            Self::BlockLifted { block, seats } => {
                write!(f, "lifted: {} gave {} back", known(block.map(|id| id.0)), seats.join(", "))
            }
            Self::TermsChanged { changes } => {
                let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
                write!(f, "changed: {}", changes.join("; "))
            }
            Self::HoldsExtended { by_millis, holds } => {
                write!(f, "extended: the server was away; active holds ({holds}) end {by_millis} ms later")
            }
            Self::HandedOver { to } => write!(f, "handed over: to engine {}", to.0),
            Self::TakenOver => f.write_str("taken over: by the engine that it was handed over to"),
            Self::Order(order) => order.fmt(f),
        }
    }
}
