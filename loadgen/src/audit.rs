//! The audit: the server's own lists against what the bots were told. Pure: lists in, violations out.
//!
//! What it proves: no seat stands in two bookings, no booking that was acknowledged is missing or has other seats, the
//! availability adds up to the hall, and nobody has a booking that nobody asked for. What it cannot prove: anything
//! about a request whose outcome is unknown; such a booking may be there or not.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use onrush_api::availability::Availability;
use onrush_api::bookings::{Booking, BookingStatus};
use serde::Serialize;

use crate::seats::{Hall, SeatState, states};

/// A booking that the server acknowledged to a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// The booking's id.
    pub(crate) booking: String,
    /// The bot's account.
    pub(crate) buyer: String,
    /// What the bot was told.
    pub(crate) status: BookingStatus,
    /// The seats of its hold.
    pub(crate) held: Vec<String>,
    /// The seats of the booking.
    pub(crate) seats: Vec<String>,
    /// Microseconds from the opening to the acknowledgement.
    pub(crate) at_micros: u64,
}

/// A booking of which a bot cannot tell whether it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsettled {
    /// The bot's account.
    pub(crate) buyer: String,
    /// The seats it held.
    pub(crate) seats: Vec<String>,
}

/// What the bots know about their bookings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Acknowledgements {
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) unsettled: Vec<Unsettled>,
}

impl Acknowledgements {
    /// Adds what other bots know.
    pub(crate) fn merge(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unsettled.extend(other.unsettled);
    }
}

/// Whose bookings the performance may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buyers {
    /// The bots' only: the rush made the performance.
    BotsOnly,
    /// Others' too.
    Anybody,
}

/// All that the audit looks at.
pub(crate) struct Evidence<'a> {
    pub(crate) hall: &'a Hall,
    /// All pages of the seller's list.
    pub(crate) bookings: &'a [Booking],
    pub(crate) availability: &'a Availability,
    pub(crate) bots: &'a Acknowledgements,
    pub(crate) buyers: Buyers,
}

/// The verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Bookings in the server's list that were looked at.
    pub bookings_listed: u64,
    /// Bookings that the server acknowledged to bots.
    pub bookings_acknowledged: u64,
    /// Bookings of which no bot can tell whether they came about.
    pub bookings_unsettled: u64,
    /// All that is wrong; empty where nothing is.
    pub violations: Vec<Violation>,
}

impl Audit {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Something that a booking engine must never do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// A seat stands in more than one booking.
    SoldTwice {
        /// The seat's label.
        seat: String,
        /// The bookings.
        bookings: Vec<String>,
    },
    /// A booking was acknowledged and is not in the list.
    Lost {
        /// The booking.
        booking: String,
        /// Whose it was.
        buyer: String,
        /// Its seats as acknowledged.
        seats: Vec<String>,
    },
    /// A booking stands in the list with other seats, or another buyer, than was acknowledged.
    Altered {
        /// The booking.
        booking: String,
        /// Buyer and seats as acknowledged.
        acknowledged: Vec<String>,
        /// Buyer and seats as listed.
        listed: Vec<String>,
    },
    /// A booking was acknowledged as confirmed and is not.
    Unconfirmed {
        /// The booking.
        booking: String,
        /// What it is instead.
        status: BookingStatus,
    },
    /// A hold became a booking of other seats.
    NotWhatWasHeld {
        /// The booking.
        booking: String,
        /// The seats of the hold.
        held: Vec<String>,
        /// The seats of the booking.
        booked: Vec<String>,
    },
    /// A booking that no bot was told of, or may have made.
    Unasked {
        /// The booking.
        booking: String,
        /// Whose it is.
        buyer: String,
        /// Its seats.
        seats: Vec<String>,
    },
    /// A booking stands in the list more than once.
    ListedTwice {
        /// The booking.
        booking: String,
    },
    /// A booked seat is not in the seat map.
    NoSuchSeat {
        /// The booking.
        booking: String,
        /// The label.
        seat: String,
    },
    /// The availability does not have one state for each seat of the hall.
    Uncounted {
        /// What is wrong with it.
        detail: String,
    },
    /// The availability says that other seats are booked than the bookings have.
    BookedMiscounted {
        /// Booked seats in the availability.
        availability: u64,
        /// Seats of all bookings.
        bookings: u64,
    },
    /// A seat of a booking is not booked in the availability.
    NotMarkedBooked {
        /// The booking.
        booking: String,
        /// The seat's label.
        seat: String,
    },
    /// The availability's count of what remains is not the number of its free seats.
    RemainingMiscounted {
        /// What it says remains.
        remaining: u64,
        /// Its free seats.
        free: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |labels: &[String]| labels.join(", ");
        match self {
            Self::SoldTwice { seat, bookings } => write!(f, "seat {seat} was sold twice: {}", list(bookings)),
            Self::Lost { booking, buyer, seats } => {
                write!(f, "{booking} of {buyer} ({}) was acknowledged and is lost", list(seats))
            }
            Self::Altered { booking, acknowledged, listed } => {
                write!(f, "{booking} was acknowledged as {} and is listed as {}", list(acknowledged), list(listed))
            }
            Self::Unconfirmed { booking, status } => {
                write!(f, "{booking} was acknowledged as confirmed and is {status:?}")
            }
            Self::NotWhatWasHeld { booking, held, booked } => {
                write!(f, "{booking} has {} where {} was held", list(booked), list(held))
            }
            Self::Unasked { booking, buyer, seats } => {
                write!(f, "{booking} of {buyer} ({}) was never acknowledged to a bot", list(seats))
            }
            Self::ListedTwice { booking } => write!(f, "{booking} stands in the list more than once"),
            Self::NoSuchSeat { booking, seat } => write!(f, "{booking} has {seat}, which is not in the seat map"),
            Self::Uncounted { detail } => f.write_str(detail),
            Self::BookedMiscounted { availability, bookings } => {
                write!(f, "{availability} seats are booked in the availability and {bookings} in the bookings")
            }
            Self::NotMarkedBooked { booking, seat } => {
                write!(f, "{booking} has {seat}, which the availability does not show as booked")
            }
            Self::RemainingMiscounted { remaining, free } => {
                write!(f, "{remaining} seats are said to remain and {free} are free")
            }
        }
    }
}

/// Compares the server's lists with the bots' acknowledgements.
pub(crate) fn audit(evidence: &Evidence<'_>) -> Audit {
    let mut violations = Vec::new();
    no_seat_twice(evidence, &mut violations);
    nothing_lost(evidence, &mut violations);
    nothing_unasked(evidence, &mut violations);
    everything_counted(evidence, &mut violations);
    Audit {
        bookings_listed: evidence.bookings.len() as u64,
        bookings_acknowledged: evidence.bots.acknowledged.len() as u64,
        bookings_unsettled: evidence.bots.unsettled.len() as u64,
        violations,
    }
}

/// Pending bookings have their seats as firmly as confirmed ones; cancelled ones have given theirs back.
fn no_seat_twice(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut owners: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for booking in evidence.bookings.iter().filter(|booking| booking.status != BookingStatus::Cancelled) {
        for seat in &booking.seats {
            owners.entry(&seat.label).or_default().push(booking.id.0.to_string());
        }
    }
    let shared = owners.into_iter().filter(|(_, bookings)| bookings.len() > 1);
    violations.extend(shared.map(|(seat, bookings)| Violation::SoldTwice { seat: seat.to_owned(), bookings }));
}

fn nothing_lost(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut listed: HashMap<String, &Booking> = HashMap::new();
    for booking in evidence.bookings {
        if listed.insert(booking.id.0.to_string(), booking).is_some() {
            violations.push(Violation::ListedTwice { booking: booking.id.0.to_string() });
        }
    }
    for told in &evidence.bots.acknowledged {
        violations.extend(compare(told, listed.get(&told.booking).copied()));
        if sorted(&told.held) != sorted(&told.seats) {
            let (booking, held, booked) = (told.booking.clone(), told.held.clone(), told.seats.clone());
            violations.push(Violation::NotWhatWasHeld { booking, held, booked });
        }
    }
}

fn compare(told: &Acknowledged, listed: Option<&Booking>) -> Option<Violation> {
    let Acknowledged { booking, buyer, seats, .. } = told.clone();
    let Some(listed) = listed else { return Some(Violation::Lost { booking, buyer, seats }) };
    let acknowledged = buyer_and_seats(buyer, seats);
    let found = buyer_and_seats(listed.buyer.0.to_string(), labels(listed));
    if acknowledged != found {
        return Some(Violation::Altered { booking, acknowledged, listed: found });
    }
    let unconfirmed = told.status == BookingStatus::Confirmed && listed.status != BookingStatus::Confirmed;
    unconfirmed.then_some(Violation::Unconfirmed { booking, status: listed.status })
}

fn nothing_unasked(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    if evidence.buyers == Buyers::Anybody {
        return;
    }
    let told: HashMap<&str, ()> = evidence.bots.acknowledged.iter().map(|told| (told.booking.as_str(), ())).collect();
    let mut unsettled: HashMap<Vec<String>, u32> = HashMap::new();
    for open in &evidence.bots.unsettled {
        *unsettled.entry(buyer_and_seats(open.buyer.clone(), open.seats.clone())).or_default() += 1;
    }
    for booking in evidence.bookings {
        let (id, buyer) = (booking.id.0.to_string(), booking.buyer.0.to_string());
        if told.contains_key(id.as_str()) {
            continue;
        }
        // Each request of unknown outcome explains one booking, not two.
        match unsettled.get_mut(&buyer_and_seats(buyer.clone(), labels(booking))) {
            Some(open) if *open > 0 => *open -= 1,
            _ => violations.push(Violation::Unasked { booking: id, buyer, seats: labels(booking) }),
        }
    }
}

fn everything_counted(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let states = match states(evidence.availability, evidence.hall.capacity()) {
        Ok(states) => states,
        Err(error) => return violations.push(Violation::Uncounted { detail: error.to_string() }),
    };
    let count = |wanted: SeatState| states.iter().filter(|&&state| state == wanted).count() as u64;
    let (free, remaining) = (count(SeatState::Free), u64::from(evidence.availability.remaining.total));
    if free != remaining {
        violations.push(Violation::RemainingMiscounted { remaining, free });
    }
    let alive = || evidence.bookings.iter().filter(|booking| booking.status != BookingStatus::Cancelled);
    let (availability, bookings) = (count(SeatState::Booked), alive().map(|booking| booking.seats.len() as u64).sum());
    if availability != bookings {
        violations.push(Violation::BookedMiscounted { availability, bookings });
    }
    for booking in alive() {
        violations.extend(booking.seats.iter().filter_map(|seat| marked(evidence.hall, &states, booking, &seat.label)));
    }
}

fn marked(hall: &Hall, states: &[SeatState], booking: &Booking, label: &str) -> Option<Violation> {
    let (booking, seat) = (booking.id.0.to_string(), label.to_owned());
    match hall.seat(label).map(|seat| states[seat as usize]) {
        None => Some(Violation::NoSuchSeat { booking, seat }),
        Some(SeatState::Booked) => None,
        Some(_) => Some(Violation::NotMarkedBooked { booking, seat }),
    }
}

fn labels(booking: &Booking) -> Vec<String> {
    booking.seats.iter().map(|seat| seat.label.clone()).collect()
}

/// For comparison: the order of seats does not matter.
fn buyer_and_seats(buyer: String, seats: Vec<String>) -> Vec<String> {
    let mut all = sorted(&seats);
    all.insert(0, buyer);
    all
}

fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels
}

#[cfg(test)]
mod tests;
