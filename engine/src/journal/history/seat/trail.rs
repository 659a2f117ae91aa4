//! Where one seat was, from event to event.

use std::time::Duration;

use super::SeatAnswer;
use crate::event::{Advance, Event, Fate, HoldBooked, SeatsBlocked, SeatsHeld};
use crate::id::{AccountId, BlockId, BookingId, HoldId, PerformanceId};
use crate::inventory::{Inventory, SeatState};
use crate::journal::history::Step;
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

/// Where a seat was between two events that moved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// From when on; nothing where a snapshot stands for that and does not say.
    pub since: Option<Timestamp>,
    /// The record that brought it there; nothing where a snapshot stands for that.
    pub sequence: Option<u64>,
    /// Where.
    pub place: Place,
}

/// Where a seat was, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On sale, as far as the seat goes.
    Free(Freed),
    /// Part of a hold.
    Held {
        /// Its id.
        hold: HoldId,
        /// Whose.
        buyer: AccountId,
        /// When it was to end.
        expires_at: Timestamp,
    },
    /// Part of a booking.
    Booked {
        /// Its id.
        booking: BookingId,
        /// Whose.
        buyer: AccountId,
    },
    /// Out of sale.
    Blocked {
        /// The block's id.
        block: BlockId,
        /// Who blocked it; nothing where a snapshot stands for that.
        by: Option<AccountId>,
        /// Why.
        reason: Option<Box<str>>,
    },
}

/// How a seat came to be free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freed {
    /// It had always been.
    Opened,
    /// A snapshot stands for that.
    Unknown,
    /// The buyer gave the hold back.
    Released {
        /// The hold.
        hold: HoldId,
        /// Whose it was.
        buyer: AccountId,
    },
    /// The hold's time was up.
    RanOut {
        /// The hold.
        hold: HoldId,
        /// Whose it was.
        buyer: AccountId,
    },
    /// It was given up.
    Cancelled {
        /// The booking.
        booking: BookingId,
        /// Who cancelled.
        by: AccountId,
    },
    /// The booking was not paid in time, its payment failed, or the seller said no.
    Lost {
        /// The booking.
        booking: BookingId,
    },
    /// The performance was called off.
    CalledOff {
        /// Who did.
        by: AccountId,
    },
    /// Its block was lifted.
    Lifted {
        /// The block.
        block: BlockId,
    },
}

/// See the module.
pub(super) struct Trail {
    performance: PerformanceId,
    seat: SeatIndex,
    stays: Vec<Stay>,
}

impl Trail {
    /// Begins with the state that a snapshot stands for, or with nothing.
    pub(super) fn begin(performance: PerformanceId, seat: SeatIndex, state: Option<&Inventory>) -> Self {
        let stays = state.map(|state| found(state, seat)).into_iter().collect();
        Self { performance, seat, stays }
    }

    /// Where the seat is by now; nothing before the performance has opened.
    pub(super) fn current(&self) -> Option<&Stay> {
        self.stays.last()
    }

    /// Goes on by an event.
    pub(super) fn see(&mut self, step: &Step<'_>) {
        if let Event::HoldsExtended { by_millis } = step.entry.event {
            return self.extend(Duration::from_millis(u64::from(by_millis)));
        }
        if let Some(place) = self.moved(&step.entry.event, step.before) {
            self.stays.push(Stay { since: Some(step.entry.at), sequence: Some(step.sequence), place });
        }
    }

    fn extend(&mut self, by: Duration) {
        if let Some(Place::Held { expires_at, .. }) = self.stays.last_mut().map(|stay| &mut stay.place) {
            *expires_at = *expires_at + by;
        }
    }

    /// Where an event brings the seat; nothing where it does not concern it.
    fn moved(&self, event: &Event, before: &Inventory) -> Option<Place> {
        match event {
            Event::PerformanceOpened(_) => Some(Place::Free(Freed::Opened)),
            Event::SeatsHeld(held) => held.seats.contains(&self.seat).then(|| self.held(held)),
            Event::HoldReleased { hold } => {
                self.hold(*hold).map(|(hold, buyer)| Place::Free(Freed::Released { hold, buyer }))
            }
            Event::HoldsExpired { holds } => {
                let own = holds.iter().find_map(|hold| self.hold(*hold));
                own.map(|(hold, buyer)| Place::Free(Freed::RanOut { hold, buyer }))
            }
            Event::HoldBooked(booked) => self.booked(booked),
            Event::SeatsCancelled(cancelled) => {
                cancelled.seats.contains(&self.seat).then(|| self.cancelled(cancelled.by)).flatten()
            }
            Event::SeatsBlocked(blocked) => blocked.seats.contains(&self.seat).then(|| self.blocked(blocked)),
            Event::BlockLifted { block } => match self.current()?.place {
                Place::Blocked { block: own, .. } if own.number == *block => {
                    Some(Place::Free(Freed::Lifted { block: own }))
                }
                _ => None,
            },
            Event::BookingDecided(decided) if !decided.approved => self.lost(&[decided.booking]),
            Event::BookingsLapsed { bookings } => self.lost(bookings),
            Event::PaymentAdvanced(advanced) => match advanced.advance {
                Advance::Failed | Advance::Voided => self.lost(&[advanced.booking]),
                Advance::Authorised(Fate::Retaken) | Advance::Captured { fate: Fate::Retaken, .. } => {
                    self.retaken(advanced.booking, before)
                }
                _ => None,
            },
            Event::PerformanceCancelled(cancelled) => match self.current()?.place {
                Place::Held { .. } | Place::Booked { .. } => Some(Place::Free(Freed::CalledOff { by: cancelled.by })),
                _ => None,
            },
            Event::BookingDecided(_)
            | Event::TermsChanged { .. }
            | Event::HoldsExtended { .. }
            | Event::HandedOver { .. }
            | Event::TakenOver
            | Event::TicketTransferred(_)
            | Event::TicketCheckedIn(_) => None,
        }
    }

    fn held(&self, event: &SeatsHeld) -> Place {
        let hold = HoldId { performance: self.performance, number: event.hold, nonce: event.nonce };
        Place::Held { hold, buyer: event.buyer, expires_at: event.expires_at }
    }

    /// The hold with this number, where the seat is part of it.
    fn hold(&self, number: u32) -> Option<(HoldId, AccountId)> {
        match self.current()?.place {
            Place::Held { hold, buyer, .. } if hold.number == number => Some((hold, buyer)),
            _ => None,
        }
    }

    fn booked(&self, event: &HoldBooked) -> Option<Place> {
        let (_, buyer) = self.hold(event.hold)?;
        let booking = BookingId { performance: self.performance, number: event.booking, nonce: event.nonce };
        Some(Place::Booked { booking, buyer })
    }

    /// The seat, where it is one of a booking's that lost theirs.
    fn lost(&self, bookings: &[u32]) -> Option<Place> {
        match self.current()?.place {
            Place::Booked { booking, .. } if bookings.contains(&booking.number) => {
                Some(Place::Free(Freed::Lost { booking }))
            }
            _ => None,
        }
    }

    /// The seat, where it is one of those that a booking whose money came late takes again.
    fn retaken(&self, number: u32, before: &Inventory) -> Option<Place> {
        let wanted = before.bookings().get(number as usize)?.wanted();
        let view = before.booking(number).filter(|_| wanted.contains(&self.seat))?;
        Some(Place::Booked { booking: view.id, buyer: view.buyer })
    }

    fn cancelled(&self, by: AccountId) -> Option<Place> {
        match self.current()?.place {
            Place::Booked { booking, .. } => Some(Place::Free(Freed::Cancelled { booking, by })),
            _ => None,
        }
    }

    fn blocked(&self, event: &SeatsBlocked) -> Place {
        let block = BlockId { performance: self.performance, number: event.block, nonce: event.nonce };
        Place::Blocked { block, by: Some(event.by), reason: event.reason.clone() }
    }

    /// How many stays there were.
    pub(super) fn len(&self) -> usize {
        self.stays.len()
    }

    /// The answer for a moment on the way, when there were `len` stays, now that the end is known.
    pub(super) fn answer(mut self, len: usize, seen: SeatAnswer) -> SeatAnswer {
        let later = self.stays.split_off(len);
        // A record says that a hold has run out once somebody looks; by then it has been over for a while.
        let runs_out = later.first().is_none_or(|next| matches!(next.place, Place::Free(Freed::RanOut { .. })));
        match (self.stays.last().map(|stay| &stay.place), &seen.stay.place) {
            (Some(Place::Held { expires_at: end, .. }), _) if runs_out && *end <= seen.at => ran_out(seen, *end, later),
            (Some(Place::Held { expires_at: end, .. }), Place::Held { expires_at: known, .. }) => {
                SeatAnswer { extended_until: (end != known).then_some(*end), later, ..seen }
            }
            _ => SeatAnswer { later, ..seen },
        }
    }
}

/// The answer where the hold's time was up, though no record said so yet: the first of `later` does.
fn ran_out(seen: SeatAnswer, end: Timestamp, mut later: Vec<Stay>) -> SeatAnswer {
    let Place::Held { hold, buyer, .. } = seen.stay.place else { return seen };
    let sequence = later.first().and_then(|next| next.sequence);
    later.drain(..later.len().min(1));
    let stay = Stay { since: Some(end), sequence, place: Place::Free(Freed::RanOut { hold, buyer }) };
    SeatAnswer { stay, later, ..seen }
}

/// Where a state has the seat.
fn found(state: &Inventory, seat: SeatIndex) -> Stay {
    let unknown = Stay { since: None, sequence: None, place: Place::Free(Freed::Unknown) };
    let known = match state.seat(seat) {
        SeatState::Free => None,
        SeatState::Held(number) => state.hold(number).map(|(buyer, hold)| {
            let place = Place::Held { hold: hold.id, buyer, expires_at: hold.expires_at };
            Stay { since: Some(hold.created_at), sequence: None, place }
        }),
        SeatState::Booked(number) => state.booking(number).map(|booking| {
            let place = Place::Booked { booking: booking.id, buyer: booking.buyer };
            Stay { since: Some(booking.created_at), sequence: None, place }
        }),
        SeatState::Blocked(number) => state.block(number).map(|block| {
            let place = Place::Blocked { block: block.id, by: None, reason: block.reason };
            Stay { since: None, sequence: None, place }
        }),
    };
    known.unwrap_or(unknown)
}
