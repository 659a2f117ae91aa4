//! What events make of bookings: made, decided about, run out, cancelled; and of all of them, when a performance is
//! called off.

use super::payments::Payment;
use super::{Booking, Details, Inventory, Made, SeatState, Verdict};
use crate::event::{BookingDecided, HoldBooked, PerformanceCancelled, SeatsCancelled, Standing};
use crate::id::AccountId;
use crate::seeded::Bug;
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// That a performance was called off.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CalledOff {
    /// When.
    pub at: Timestamp,
    /// Who did.
    pub by: AccountId,
    /// Why.
    pub reason: Option<Box<str>>,
}

impl Inventory {
    pub(super) fn apply_booked(&mut self, event: &HoldBooked) {
        let Some(hold) = self.holds.end(event.hold, Some(event.booking)) else { return };
        self.holds.drop_stale_ends();
        self.buyers.get_mut(hold.buyer).holds -= 1;
        self.seats.set(&self.map, &hold.seats, SeatState::Booked(event.booking));
        if let Some(request) = event.key
            && !Bug::KeyForgotten.is_on()
        {
            self.remember(request, hold.buyer, Made::Booking { number: event.booking });
        }
        let mut booking = Booking {
            nonce: event.nonce,
            buyer: hold.buyer,
            standing: event.standing,
            seats: hold.seats,
            offer: if Bug::PriceOfToday.is_on() { self.offers.index_in_force() } else { hold.offer },
            created_at: self.now,
            details: None,
        };
        if event.purpose.is_some() || event.until.is_some() {
            let details = Details { purpose: event.purpose.clone(), first_until: event.until, ..Details::default() };
            booking.change(|kept| *kept = details);
        }
        self.bookings.push(booking);
        if event.until.is_some() {
            self.begin_waiting(event.booking, event.until);
        }
    }

    /// A booking waits, and is paid for meanwhile where that is what it waits for.
    fn begin_waiting(&mut self, number: u32, until: Option<Timestamp>) {
        self.wait_until(number, until);
        let Some(booking) = self.bookings.get(number as usize) else { return };
        if booking.standing == Standing::PendingPayment {
            let amount = self.cost(booking, &booking.wanted());
            let booking = &mut self.bookings[number as usize];
            booking.change(|details| details.payment = Some(Payment::of(amount)));
        }
    }

    pub(super) fn apply_decided(&mut self, event: &BookingDecided) {
        let verdict = Verdict { approved: event.approved, by: event.by, at: self.now, reason: event.reason.clone() };
        let Some(booking) = self.bookings.get_mut(event.booking as usize) else { return };
        booking.change(|details| details.verdict = Some(verdict));
        match (event.approved, event.until) {
            (false, _) => self.lose_seats(event.booking, Standing::Rejected),
            (true, None) => {
                booking.standing = Standing::Confirmed;
                self.wait_until(event.booking, None);
            }
            (true, until) => {
                booking.standing = Standing::PendingPayment;
                self.begin_waiting(event.booking, until);
            }
        }
    }

    pub(super) fn apply_lapsed(&mut self, number: u32) {
        let Some(booking) = self.bookings.get(number as usize) else { return };
        let standing = match booking.standing {
            Standing::PendingApproval => Standing::Rejected,
            _ => Standing::Expired,
        };
        self.lose_seats(number, standing);
    }

    pub(super) fn apply_cancelled(&mut self, event: &SeatsCancelled) {
        let Some(booking) = self.bookings.get_mut(event.booking as usize) else { return };
        booking.cancel(&event.seats);
        let (cancelled, over) = (booking.cancelled().len() as u32, booking.is_over());
        self.buyers.get_mut(booking.buyer).seats -= event.seats.len() as u32;
        self.seats.set(&self.map, &event.seats, SeatState::Free);
        let refund = if Bug::RefundForgotten.is_on() { None } else { event.refund };
        self.owe(event.booking, refund.unwrap_or(0));
        if over {
            self.wait_until(event.booking, None);
        }
        if let Some(request) = event.key {
            let then = self.bookings[event.booking as usize].standpoint();
            let caller = self.buyers.enter(event.by);
            self.remember(request, caller, Made::Cancellation { booking: event.booking, cancelled, then });
        }
    }

    /// Everybody gets everything back.
    pub(super) fn apply_called_off(&mut self, event: &PerformanceCancelled) {
        self.called_off = Some(CalledOff { at: self.now, by: event.by, reason: event.reason.clone() });
        let holds: Vec<u32> = self.holds.iter().map(|(number, _)| number).collect();
        holds.into_iter().for_each(|hold| self.end_hold(hold));
        for number in 0..self.bookings.len() as u32 {
            let booking = &self.bookings[number as usize];
            let seats = booking.remaining();
            if seats.is_empty() {
                continue;
            }
            let refund = self.refund(booking, &seats, 100);
            self.apply_cancelled(&SeatsCancelled { booking: number, seats, by: event.by, refund, key: None });
        }
    }
}
