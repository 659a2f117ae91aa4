//! What cannot have happened to a state: the border between a journal's bytes and the seats.
//!
//! [`Inventory::apply`] trusts an event, because `decide` made it. One that comes from a journal was decided once, but
//! its numbers have been bytes since: each is looked at before it leads anywhere. No rule of the sale is asked, so that
//! tomorrow's rules do not rewrite yesterday's sale.

use std::fmt;

use smallvec::SmallVec;
use thiserror::Error;

use super::holds::Found;
use super::offers::OfferIndex;
use super::seats::SeatState;
use super::tickets::ISSUES_MAX;
use super::{Booking, Inventory, Stage};
use crate::command::RequestKey;
use crate::event::{
    Advance, BookingDecided, Entry, Event, Fate, HoldBooked, PaymentAdvanced, SeatsBlocked, SeatsCancelled, SeatsHeld,
    Standing,
};
use crate::id::AccountId;
use crate::money::Money;
use crate::performance::{OpeningError, PricesError, Terms, TermsError};
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

/// A part of an event or an image that does not fit, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{part}: {fault}")]
pub struct Misfit {
    /// Where it is.
    pub part: Part,
    /// What is wrong.
    pub fault: Fault,
}

/// Where a misfit is; things by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Part {
    Opening,
    Terms,
    Offer(u32),
    Buyer(u32),
    Hold(u32),
    Booking(u32),
    Block(u32),
    /// By its place, the oldest first.
    RequestKey(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("opening"),
            Self::Terms => f.write_str("terms"),
            Self::Offer(place) => write!(f, "offer {place}"),
            Self::Buyer(number) => write!(f, "buyer {number}"),
            Self::Hold(number) => write!(f, "hold {number}"),
            Self::Booking(number) => write!(f, "booking {number}"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::RequestKey(place) => write!(f, "request key {place}"),
        }
    }
}

/// What is wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Fault {
    #[error("a performance opens once")]
    OpenedTwice,
    #[error(transparent)]
    Opening(#[from] OpeningError),
    #[error(transparent)]
    Prices(#[from] PricesError),
    #[error(transparent)]
    Terms(#[from] TermsError),
    #[error("what is in force is not among the offers")]
    NotInForce,
    #[error("the next number is {next}")]
    NotNext { next: u32 },
    #[error("no number is left after it")]
    LastNumber,
    #[error("it is not active")]
    NotActive,
    #[error("it is over and would have been forgotten")]
    Forgotten,
    #[error("there is none")]
    Unknown,
    #[error("it is named twice")]
    Twice,
    #[error("it ends before it begins")]
    EndsEarly,
    #[error("seat {} does not exist", .0.0)]
    NoSeat(SeatIndex),
    #[error("seat {} is named twice", .0.0)]
    SeatTwice(SeatIndex),
    #[error("seat {} is not free", .0.0)]
    SeatTaken(SeatIndex),
    #[error("seat {} is not one of its own", .0.0)]
    SeatForeign(SeatIndex),
    #[error("more seats were cancelled than it has cancelled")]
    TooManyCancelled,
    #[error("it does not stand where it waits, or waits where it does not stand")]
    Standing,
    #[error("it does not wait for that")]
    NotWaiting,
    #[error("it has no payment")]
    NoPayment,
    #[error("its payment is not what it costs")]
    Amount,
    #[error("its payment is further already, or not so far")]
    Stage,
    #[error("more goes back than was paid")]
    TooMuchBack,
    #[error("refund {0} is not due")]
    NoRefund(u32),
    #[error("the ticket of seat {} was never issued so often", .0.0)]
    NeverIssued(SeatIndex),
    #[error("the ticket of seat {} was used", .0.0)]
    TicketUsed(SeatIndex),
    #[error("the performance is called off once")]
    CalledOffTwice,
    #[error("the performance is another engine's")]
    HandedOver,
    #[error("the performance was not handed over")]
    NotHandedOver,
    #[error("buyer {0} does not exist")]
    NoBuyer(u32),
    #[error("offer {0} does not exist")]
    NoOffer(u32),
    #[error("hold {0} does not exist")]
    NoHold(u32),
    #[error("hold {0} is not active")]
    HoldNotActive(u32),
    #[error("booking {0} does not exist")]
    NoBooking(u32),
    #[error("block {0} does not exist")]
    NoBlock(u32),
    #[error("the caller has used its request key before")]
    KeyUsed,
}

impl Part {
    /// The fault, at this part.
    pub(super) fn is(self, fault: impl Into<Fault>) -> Misfit {
        Misfit { part: self, fault: fault.into() }
    }
}

/// The fault where a condition does not hold.
pub(super) fn demand(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

impl Inventory {
    /// Makes an event of a journal part of the state.
    ///
    /// # Errors
    /// [`Misfit`], where it cannot have happened to this state, which is left as it was.
    pub fn replay(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.check(entry)?;
        self.apply(entry.at, &entry.event);
        Ok(())
    }

    /// Whether an event can have happened to this state.
    ///
    /// # Errors
    /// [`Misfit`], where it cannot.
    pub fn check(&self, Entry { at, event }: &Entry) -> Result<(), Misfit> {
        let fits = |part: Part, outcome: Result<(), Fault>| outcome.map_err(|fault| part.is(fault));
        let taken_over = *event == Event::TakenOver;
        fits(Part::Opening, demand(taken_over || self.handed_over.is_none(), Fault::HandedOver))?;
        match event {
            Event::PerformanceOpened(_) => Err(Part::Opening.is(Fault::OpenedTwice)),
            Event::SeatsHeld(held) => fits(Part::Hold(held.hold), self.check_held(*at, held)),
            Event::HoldReleased { hold } => fits(Part::Hold(*hold), self.check_active(*hold)),
            Event::HoldsExpired { holds } => self.check_expired(holds),
            Event::HoldBooked(booked) => fits(Part::Booking(booked.booking), self.check_booked(booked)),
            Event::SeatsCancelled(cancelled) => fits(Part::Booking(cancelled.booking), self.check_cancelled(cancelled)),
            Event::SeatsBlocked(blocked) => fits(Part::Block(blocked.block), self.check_blocked(blocked)),
            Event::BlockLifted { block } => {
                fits(Part::Block(*block), demand(self.blocks.contains_key(block), Fault::Unknown))
            }
            Event::TermsChanged { terms, prices, .. } => fits(Part::Terms, self.check_terms(terms, prices.as_deref())),
            Event::HoldsExtended { .. } | Event::HandedOver { .. } => Ok(()),
            Event::TakenOver => fits(Part::Opening, demand(self.handed_over.is_some(), Fault::NotHandedOver)),
            Event::BookingDecided(decided) => fits(Part::Booking(decided.booking), self.check_decided(decided)),
            Event::BookingsLapsed { bookings } => self.check_lapsed(bookings),
            Event::PaymentAdvanced(advanced) => fits(Part::Booking(advanced.booking), self.check_advanced(advanced)),
            Event::TicketTransferred(given) => {
                let fine = self.check_ticket(given.booking, given.seat).and(self.check_key(given.by, given.key));
                fits(Part::Booking(given.booking), fine)
            }
            Event::TicketCheckedIn(used) => {
                let fine = self.check_ticket(used.booking, used.seat).and(self.check_key(used.by, used.key));
                fits(Part::Booking(used.booking), fine)
            }
            Event::PerformanceCancelled(_) => {
                fits(Part::Opening, demand(self.called_off.is_none(), Fault::CalledOffTwice))
            }
        }
    }

    fn check_held(&self, at: Timestamp, event: &SeatsHeld) -> Result<(), Fault> {
        next_number(event.hold, self.holds.next_number())?;
        self.check_free(&event.seats)?;
        demand(event.expires_at >= at.max(self.now), Fault::EndsEarly)?;
        self.check_key(event.buyer, event.key)
    }

    fn check_active(&self, hold: u32) -> Result<(), Fault> {
        demand(matches!(self.holds.find(hold), Found::Active(_)), Fault::NotActive)
    }

    fn check_expired(&self, holds: &[u32]) -> Result<(), Misfit> {
        holds.iter().try_for_each(|&hold| self.check_active(hold).map_err(|fault| Part::Hold(hold).is(fault)))?;
        twice(holds).map_or(Ok(()), |hold| Err(Part::Hold(hold).is(Fault::Twice)))
    }

    fn check_booked(&self, event: &HoldBooked) -> Result<(), Fault> {
        next_number(event.booking, self.bookings.len() as u32)?;
        // Format 1 knew bookings that wait without an end.
        demand(event.standing.has_seats(), Fault::Standing)?;
        demand(event.until.is_none() || event.standing != Standing::Confirmed, Fault::Standing)?;
        match self.holds.find(event.hold) {
            Found::Active(hold) => {
                demand(event.until.is_none() || !hold.seats.is_empty(), Fault::NotWaiting)?;
                self.check_key(self.buyers.get(hold.buyer).account, event.key)
            }
            _ => Err(Fault::HoldNotActive(event.hold)),
        }
    }

    fn check_cancelled(&self, event: &SeatsCancelled) -> Result<(), Fault> {
        let booking: &Booking = self.bookings.get(event.booking as usize).ok_or(Fault::Unknown)?;
        check_own(&event.seats, &booking.remaining())?;
        if let Some(refund) = event.refund {
            let payment = booking.payment().ok_or(Fault::NoPayment)?;
            demand(matches!(payment.stage, Stage::Authorised | Stage::Captured), Fault::Stage)?;
            let back = payment.refunded().saturating_add(payment.refund_due()).saturating_add(refund);
            let seats_cost = self.cost(booking, &event.seats);
            demand((0..=seats_cost).contains(&refund) && back <= payment.amount, Fault::TooMuchBack)?;
        }
        self.check_key(event.by, event.key)
    }

    fn check_decided(&self, event: &BookingDecided) -> Result<(), Fault> {
        let booking: &Booking = self.bookings.get(event.booking as usize).ok_or(Fault::Unknown)?;
        let waits = booking.standing == Standing::PendingApproval && !booking.is_over() && booking.verdict().is_none();
        demand(waits && (event.approved || event.until.is_none()), Fault::NotWaiting)
    }

    fn check_lapsed(&self, bookings: &[u32]) -> Result<(), Misfit> {
        for &number in bookings {
            let booking: Option<&Booking> = self.bookings.get(number as usize);
            let until = booking.ok_or_else(|| Part::Booking(number).is(Fault::Unknown))?.until();
            demand(until.is_some(), Fault::NotWaiting).map_err(|fault| Part::Booking(number).is(fault))?;
        }
        twice(bookings).map_or(Ok(()), |number| Err(Part::Booking(number).is(Fault::Twice)))
    }

    fn check_advanced(&self, event: &PaymentAdvanced) -> Result<(), Fault> {
        let booking: &Booking = self.bookings.get(event.booking as usize).ok_or(Fault::Unknown)?;
        let payment = booking.payment().ok_or(Fault::NoPayment)?;
        match event.advance {
            Advance::Opened => Ok(()),
            Advance::Charging { until } => {
                demand(payment.stage == Stage::Open, Fault::Stage)?;
                demand(until.is_none() || booking.until().is_some(), Fault::NotWaiting)
            }
            Advance::Authorised(fate) => {
                demand(!matches!(payment.stage, Stage::Authorised | Stage::Captured), Fault::Stage)?;
                self.check_fate(booking, fate)
            }
            Advance::Captured { fate, refund } => {
                demand(payment.stage != Stage::Captured, Fault::Stage)?;
                let back = payment.refunded().saturating_add(payment.refund_due()).saturating_add(refund);
                let tickets = if fate == Fate::Lost { 0 } else { self.cost(booking, &booking.wanted()) };
                let most = payment.amount.saturating_sub(tickets);
                demand((0..=most).contains(&refund) && back <= payment.amount, Fault::TooMuchBack)?;
                self.check_fate(booking, fate)
            }
            Advance::Refunded { refund } => {
                let due = payment.refunds.get(refund as usize).is_some_and(|refund| !refund.paid);
                demand(due, Fault::NoRefund(refund))
            }
            Advance::Failed | Advance::Voided => {
                demand(matches!(payment.stage, Stage::Open | Stage::Charging | Stage::Authorised), Fault::Stage)
            }
        }
    }

    /// Whether a booking has a ticket for a seat that nobody has come in with.
    fn check_ticket(&self, number: u32, seat: SeatIndex) -> Result<(), Fault> {
        let booking: &Booking = self.bookings.get(number as usize).ok_or(Fault::Unknown)?;
        demand(booking.standing == Standing::Confirmed, Fault::Standing)?;
        demand(booking.remaining().contains(&seat), Fault::SeatForeign(seat))?;
        let ticket = self.tickets.get(&(number, seat)).copied().unwrap_or_default();
        demand(ticket.used_at.is_none() && ticket.issue <= ISSUES_MAX, Fault::TicketUsed(seat))
    }

    /// What is kept was the booking's, and what is taken again was free.
    fn check_fate(&self, booking: &Booking, fate: Fate) -> Result<(), Fault> {
        match fate {
            Fate::Kept => demand(booking.standing.has_seats(), Fault::Standing),
            Fate::Retaken => {
                demand(!booking.standing.has_seats(), Fault::Standing)?;
                self.check_free(&booking.wanted())
            }
            Fate::Lost => demand(!booking.standing.has_seats() || booking.is_over(), Fault::Standing),
        }
    }

    fn check_blocked(&self, event: &SeatsBlocked) -> Result<(), Fault> {
        next_number(event.block, self.next_block)?;
        self.check_free(&event.seats)?;
        self.check_key(event.by, event.key)
    }

    fn check_terms(&self, terms: &Terms, prices: Option<&[Money]>) -> Result<(), Fault> {
        prices.map_or(Ok(()), |prices| PricesError::check(prices, self.tiers.len()))?;
        Ok(terms.check()?)
    }

    /// Whether seats exist and each is named once.
    pub(super) fn check_seats(&self, seats: &[SeatIndex]) -> Result<(), Fault> {
        let unknown = seats.iter().find(|seat| seat.0 >= self.map.capacity());
        unknown.map_or(Ok(()), |seat| Err(Fault::NoSeat(*seat)))?;
        twice(seats).map_or(Ok(()), |seat| Err(Fault::SeatTwice(seat)))
    }

    /// Whether seats exist, are free, and each is named once.
    pub(super) fn check_free(&self, seats: &[SeatIndex]) -> Result<(), Fault> {
        self.check_seats(seats)?;
        let taken = seats.iter().find(|seat| self.seats.state(**seat) != SeatState::Free);
        taken.map_or(Ok(()), |seat| Err(Fault::SeatTaken(*seat)))
    }

    pub(super) fn check_buyer(&self, number: u32) -> Result<(), Fault> {
        demand((number as usize) < self.buyers.all().len(), Fault::NoBuyer(number))
    }

    pub(super) fn check_offer(&self, place: OfferIndex) -> Result<(), Fault> {
        demand((place.0 as usize) < self.offers.all().len(), Fault::NoOffer(place.0))
    }

    pub(super) fn check_booking(&self, number: u32) -> Result<&Booking, Fault> {
        self.bookings.get(number as usize).ok_or(Fault::NoBooking(number))
    }

    fn check_key(&self, caller: AccountId, key: Option<RequestKey>) -> Result<(), Fault> {
        let known = key.and_then(|request| self.remembered(&caller, request));
        demand(known.is_none(), Fault::KeyUsed)
    }
}

/// Whether seats are among a booking's own, each named once.
pub(super) fn check_own(seats: &[SeatIndex], own: &[SeatIndex]) -> Result<(), Fault> {
    twice(seats).map_or(Ok(()), |seat| Err(Fault::SeatTwice(seat)))?;
    let foreign = seats.iter().find(|seat| !own.contains(seat));
    foreign.map_or(Ok(()), |seat| Err(Fault::SeatForeign(*seat)))
}

/// Whether a thing has the number that the next one gets; the last number of all is never given, so that there is
/// always a next one.
fn next_number(number: u32, next: u32) -> Result<(), Fault> {
    demand(number == next, Fault::NotNext { next })?;
    demand(number < u32::MAX, Fault::LastNumber)
}

/// What is named more than once, if anything is.
pub(super) fn twice<T: Ord + Copy>(things: &[T]) -> Option<T> {
    if things.is_sorted_by(|one, other| one < other) {
        return None;
    }
    let mut sorted: SmallVec<[T; 16]> = SmallVec::from_slice(things);
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
