//! What became of a booking's money, and what has to be done about it next.
//!
//! The inventory asks nobody for money and believes nobody: it says what step is due ([`Step`]), somebody outside takes
//! it, and what a provider said comes back as a [`PaymentNotice`](crate::command::PaymentNotice). The due step is read
//! off the state, so that a crash between a step and its answer only makes it be taken again, under the same name; a
//! provider takes a named step once. Whatever order the notices come in, and however often, the end is the same.

use super::Inventory;
use super::bookings::Booking;
use crate::event::{Advance, Event, Fate, PaymentAdvanced, Standing};
use crate::id::BookingId;
use crate::money::Money;
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// A booking's payment; it has one at most.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Payment {
    /// What is asked for, in minor units: the prices of the day on which the seats were held (E3).
    pub amount: i64,
    /// How far it is.
    pub stage: Stage,
    /// The provider's name for it, once it is known there.
    pub reference: Option<Box<str>>,
    /// What goes back, in the order in which it fell due. Invariant (E1): no more in all than `amount`.
    pub refunds: Vec<Refund>,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
pub enum Stage {
    /// Nobody has paid.
    Open,
    /// The buyer's money is being asked for.
    Charging,
    /// The money is reserved.
    Authorised,
    /// The money has come.
    Captured,
    /// No money will come.
    Failed,
    /// The reserved money was let go, or nobody can pay any more.
    Voided,
}

/// Money that goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Refund {
    /// In minor units.
    pub amount: i64,
    /// Whether it has gone out.
    pub paid: bool,
}

/// What has to be done next about a payment. Its name at the provider is the booking's id and the step's: a function of
/// nothing else, so that a step is never taken under two names (E8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Step {
    /// Make it known to the provider, so that the buyer can pay.
    Open,
    /// Ask the provider from time to time: its notice may have been lost.
    Await,
    /// Collect the reserved money.
    Capture,
    /// Let the reserved money go, and let nobody pay any more.
    Void,
    /// Send money back.
    Refund {
        /// Its place among the payment's refunds.
        number: u32,
        /// In minor units.
        amount: i64,
    },
}

impl Payment {
    /// A payment that nobody has heard of yet.
    pub(super) fn of(amount: i64) -> Self {
        Self { amount, stage: Stage::Open, reference: None, refunds: Vec::new() }
    }

    /// What has gone back, in minor units.
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().filter(|refund| refund.paid).map(|refund| refund.amount).sum()
    }

    /// What is on its way back, in minor units.
    pub fn refund_due(&self) -> i64 {
        self.refunds.iter().filter(|refund| !refund.paid).map(|refund| refund.amount).sum()
    }

    /// As it was at a moment.
    pub(super) fn as_of(&self, moment: Moment) -> Self {
        let refund = |amount, paid| (amount > 0).then_some(Refund { amount, paid });
        let refunds = refund(moment.refunded, true).into_iter().chain(refund(moment.due, false)).collect();
        Self { stage: moment.stage, refunds, ..self.clone() }
    }
}

/// How far a payment was at one moment: what it takes to answer a request again as it was answered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How far.
    pub stage: Stage,
    /// So much had gone back, in minor units.
    pub refunded: i64,
    /// So much was on its way back, in minor units.
    pub due: i64,
}

impl Moment {
    pub(super) fn of(payment: &Payment) -> Self {
        Self { stage: payment.stage, refunded: payment.refunded(), due: payment.refund_due() }
    }
}

impl Booking {
    /// What has to be done next about its payment, if anything.
    pub fn step(&self) -> Option<Step> {
        let payment = self.payment()?;
        let waits = self.standing == Standing::PendingPayment && !self.is_over();
        match payment.stage {
            Stage::Open | Stage::Charging if waits && payment.reference.is_none() => Some(Step::Open),
            Stage::Open | Stage::Charging if waits => Some(Step::Await),
            // Where all of it would go back at once, it is not collected first.
            Stage::Authorised if self.is_over() && payment.refund_due() == payment.amount => Some(Step::Void),
            Stage::Authorised if self.standing == Standing::Confirmed => Some(Step::Capture),
            Stage::Open | Stage::Charging | Stage::Authorised => Some(Step::Void),
            Stage::Captured => {
                let number = payment.refunds.iter().position(|refund| !refund.paid)?;
                Some(Step::Refund { number: number as u32, amount: payment.refunds[number].amount })
            }
            Stage::Failed | Stage::Voided => None,
        }
    }
}

impl Inventory {
    /// What a booking's seats cost when they were held.
    pub(super) fn cost(&self, booking: &Booking, seats: &[SeatIndex]) -> i64 {
        let prices = &self.offers.get(booking.offer).prices;
        seats.iter().map(|seat| prices.of(self.map.tier_of(*seat)).amount).sum()
    }

    /// An amount of a booking's currency.
    pub(super) fn money_of(&self, booking: &Booking, amount: i64) -> Money {
        Money { amount, currency: self.offers.get(booking.offer).prices.0[0].currency }
    }

    /// The bookings whose payment somebody has to see to.
    pub fn due(&self) -> impl Iterator<Item = BookingId> {
        (0..self.bookings.len() as u32).filter_map(|number| self.due_at(number))
    }

    fn due_at(&self, number: u32) -> Option<BookingId> {
        self.bookings[number as usize].step().map(|_| self.booking_id(number))
    }

    /// Those of them that an event, once applied, has to do with.
    pub(crate) fn due_after(&self, event: &Event) -> Vec<BookingId> {
        let number = match event {
            Event::PerformanceCancelled(_) => return self.due().collect(),
            Event::BookingsLapsed { bookings } => {
                return bookings.iter().filter_map(|number| self.due_at(*number)).collect();
            }
            Event::HoldBooked(booked) => booked.booking,
            Event::SeatsCancelled(cancelled) => cancelled.booking,
            Event::BookingDecided(decided) => decided.booking,
            Event::PaymentAdvanced(advanced) => advanced.booking,
            _ => return Vec::new(),
        };
        self.due_at(number).into_iter().collect()
    }

    /// What becomes of a booking's seats if its money comes now.
    pub(super) fn fate(&self, booking: &Booking, now: Timestamp) -> Fate {
        match booking.standing {
            Standing::Confirmed => Fate::Kept,
            Standing::PendingPayment if !booking.is_over() => Fate::Kept,
            Standing::Expired | Standing::PaymentFailed if self.can_retake(booking, now) => Fate::Retaken,
            _ => Fate::Lost,
        }
    }

    /// All of them or none, and within the buyer's limit (E6).
    fn can_retake(&self, booking: &Booking, now: Timestamp) -> bool {
        let wanted = booking.wanted();
        let in_use = self.buyers.get(booking.buyer).seats;
        let on_offer = self.called_off.is_none() && now < self.terms.ends_at && !wanted.is_empty();
        on_offer
            && in_use.saturating_add(wanted.len() as u32) <= self.terms.seats_per_buyer_max
            && self.seats.taken(&wanted).is_empty()
    }

    pub(super) fn apply_payment(&mut self, event: &PaymentAdvanced) {
        if let Some(reference) = &event.reference {
            self.change_payment(event.booking, |payment| payment.reference = Some(reference.clone()));
        }
        match event.advance {
            Advance::Opened => {}
            Advance::Charging { until } => {
                self.change_payment(event.booking, |payment| payment.stage = Stage::Charging);
                if until.is_some() {
                    self.wait_until(event.booking, until);
                }
            }
            Advance::Authorised(fate) => {
                self.change_payment(event.booking, |payment| payment.stage = Stage::Authorised);
                self.meet(event.booking, fate);
            }
            Advance::Captured { fate, refund } => {
                self.change_payment(event.booking, |payment| payment.stage = Stage::Captured);
                self.meet(event.booking, fate);
                self.owe(event.booking, refund);
            }
            Advance::Failed => self.end_unpaid(event.booking, Stage::Failed),
            Advance::Voided => self.end_unpaid(event.booking, Stage::Voided),
            Advance::Refunded { refund } => self.change_payment(event.booking, |payment| {
                if let Some(refund) = payment.refunds.get_mut(refund as usize) {
                    refund.paid = true;
                }
            }),
        }
    }

    fn change_payment(&mut self, number: u32, change: impl FnOnce(&mut Payment)) {
        let Some(booking) = self.bookings.get_mut(number as usize) else { return };
        booking.change(|details| {
            details.payment.as_mut().map(change);
        });
    }

    /// Money has come: the seats have their fate.
    fn meet(&mut self, number: u32, fate: Fate) {
        let Some(booking) = self.bookings.get_mut(number as usize) else { return };
        if fate == Fate::Lost {
            if booking.standing == Standing::Confirmed {
                // It has no seats, and had given the money up: what comes now is nobody's.
                booking.standing = Standing::PaymentFailed;
            }
            return;
        }
        booking.standing = Standing::Confirmed;
        let (buyer, wanted) = (booking.buyer, booking.wanted());
        if fate == Fate::Retaken {
            self.take_again(number, buyer, &wanted);
        }
        self.wait_until(number, None);
    }

    fn take_again(&mut self, number: u32, buyer: u32, seats: &SeatList) {
        self.buyers.get_mut(buyer).seats += seats.len() as u32;
        self.seats.set(&self.map, seats, super::SeatState::Booked(number));
    }

    /// Money has to go back.
    pub(super) fn owe(&mut self, number: u32, amount: i64) {
        if amount > 0 {
            self.change_payment(number, |payment| payment.refunds.push(Refund { amount, paid: false }));
        }
    }

    /// No money comes any more: what was promised on it is taken back.
    fn end_unpaid(&mut self, number: u32, stage: Stage) {
        self.change_payment(number, |payment| {
            payment.stage = stage;
            payment.refunds.clear();
        });
        if self.bookings.get(number as usize).is_some_and(|booking| !booking.is_over()) {
            self.lose_seats(number, Standing::PaymentFailed);
        }
    }

    /// A booking's seats go back on sale, with its share of the limits, in one step (B5).
    pub(super) fn lose_seats(&mut self, number: u32, standing: Standing) {
        let Some(booking) = self.bookings.get_mut(number as usize) else { return };
        if !booking.standing.has_seats() {
            return;
        }
        let (seats, confirmed) = (booking.remaining(), booking.standing == Standing::Confirmed);
        booking.standing = standing;
        self.buyers.get_mut(booking.buyer).seats -= seats.len() as u32;
        self.seats.set(&self.map, &seats, super::SeatState::Free);
        if confirmed {
            self.void_tickets(number, &seats);
        }
        self.wait_until(number, None);
    }

    /// Sets until when a booking waits.
    pub(super) fn wait_until(&mut self, number: u32, until: Option<Timestamp>) {
        let Some(booking) = self.bookings.get_mut(number as usize) else { return };
        if let Some(former) = booking.until() {
            self.waiting.remove(&(former, number));
        }
        booking.change(|details| details.until = until);
        self.waiting.extend(until.map(|until| (until, number)));
    }
}
