//! What becomes of a hold that is booked, of a booking that is decided about or cancelled, and of a performance that is
//! called off.

use std::time::Duration;

use super::Decision;
use crate::command::{BookHold, CancelPerformance, CancelSeats, DecideBooking};
use crate::event::{BookingDecided, Event, HoldBooked, PerformanceCancelled, SeatsCancelled, Standing};
use crate::inventory::misfit::twice;
use crate::inventory::payments::Stage;
use crate::inventory::views::Answer;
use crate::inventory::{Booking, Inventory};
use crate::performance::Approval;
use crate::refusal::Refusal;
use crate::seat_map::{SeatIndex, SeatList};
use crate::seeded::Bug;
use crate::time::Timestamp;

/// A seller has so long to say yes or no; the end of the performance is the end of it, too.
const DECIDED_WITHIN: Duration = Duration::from_hours(72);
/// A buyer has so long to pay for what was approved: nobody sits in front of it.
const PAID_WITHIN: Duration = Duration::from_hours(24);
/// And so long at least, however near the end is.
const AT_LEAST: Duration = Duration::from_mins(10);

impl Inventory {
    pub(super) fn decide_book(&self, command: &BookHold, now: Timestamp) -> Result<Decision, Refusal> {
        if let Some(replay) = self.replayed(&command.caller, command.key)? {
            return Ok(replay);
        }
        let hold = self.own_hold(&command.caller, command.hold, now)?;
        let prices = &self.offers.get(hold.offer).prices;
        let owed = hold.seats.iter().any(|&seat| prices.of(self.map.tier_of(seat)).amount > 0);
        let (standing, until) = match (self.terms.approval, owed) {
            (Approval::Manual, _) => (Standing::PendingApproval, Some(self.within(DECIDED_WITHIN, now))),
            (Approval::Automatic, true) => (Standing::PendingPayment, Some(hold.expires_at)),
            (Approval::Automatic, false) => (Standing::Confirmed, None),
        };
        Ok(Decision::Event(Event::HoldBooked(HoldBooked {
            hold: command.hold.number,
            booking: self.bookings.len() as u32,
            nonce: command.nonce,
            standing,
            until,
            purpose: command.purpose.clone(),
            key: command.key,
        })))
    }

    /// So much time, but not past the end of the performance.
    fn within(&self, span: Duration, now: Timestamp) -> Timestamp {
        (now + span).min(self.terms.ends_at).max(now + AT_LEAST)
    }

    /// The first word holds: the same again changes nothing, another is refused (F3).
    pub(super) fn decide_booking(&self, command: &DecideBooking, now: Timestamp) -> Result<Decision, Refusal> {
        let number = self.visible_booking(&command.caller, command.booking)?;
        let booking = &self.bookings[number as usize];
        // Nobody decides about a booking of their own (F1).
        if !self.is_seller(&command.caller) || self.buyers.get(booking.buyer).account == command.caller.account {
            return Err(Refusal::NotSeller);
        }
        if booking.verdict().is_some_and(|verdict| verdict.approved == command.approve) {
            return Ok(Decision::Replayed(Box::new(Answer::Booking(self.booking_view(number)))));
        }
        if booking.standing != Standing::PendingApproval || booking.is_over() {
            return Err(Refusal::NotWaiting);
        }
        let owed = command.approve && self.cost(booking, &booking.wanted()) > 0;
        Ok(Decision::Event(Event::BookingDecided(BookingDecided {
            booking: number,
            approved: command.approve,
            by: command.caller.account,
            reason: command.reason.clone(),
            until: owed.then(|| self.within(PAID_WITHIN, now)),
        })))
    }

    pub(super) fn decide_cancel(&self, command: &CancelSeats, now: Timestamp) -> Result<Decision, Refusal> {
        // Whoever may not see the booking any more does not see it under an old key either.
        let number = self.visible_booking(&command.caller, command.booking)?;
        if let Some(replay) = self.replayed(&command.caller, command.key)? {
            return Ok(replay);
        }
        let (booking, by_seller) = (&self.bookings[number as usize], self.is_seller(&command.caller));
        if booking.is_over() || !booking.standing.has_seats() {
            return Err(Refusal::BookingClosed);
        }
        let until = self.cancellable_until(booking);
        if now >= until && booking.standing == Standing::Confirmed && !by_seller {
            return Err(Refusal::CancellationClosed { until });
        }
        let seats = own_seats(booking, command.seats.as_ref())?;
        let payable = booking.standing == Standing::PendingPayment && booking.payment().is_some();
        if payable && seats.len() < booking.remaining().len() {
            return Err(Refusal::PaymentPending);
        }
        let gone = if by_seller { Vec::new() } else { self.gone(number, &seats) };
        if !gone.is_empty() {
            return Err(Refusal::TicketsGone { seats: gone });
        }
        let refund = self.refund(booking, &seats, if by_seller { 100 } else { self.percent_back(booking, now) });
        let (by, key) = (command.caller.account, command.key);
        Ok(Decision::Event(Event::SeatsCancelled(SeatsCancelled { booking: number, seats, by, refund, key })))
    }

    /// Until when a buyer may cancel: by the rules that were booked under or by those in force, whichever go further, and so
    /// long at least after the performance was moved.
    fn cancellable_until(&self, booking: &Booking) -> Timestamp {
        let until = self.terms.cancel_until.max(self.booked_under(booking).until);
        self.free_until(booking).map_or(until, |free_until| until.max(free_until))
    }

    /// What part of a price goes back, likewise.
    fn percent_back(&self, booking: &Booking, now: Timestamp) -> u8 {
        if self.free_until(booking).is_some_and(|free_until| now < free_until) {
            return 100;
        }
        let booked = if Bug::RefundOfToday.is_on() { 0 } else { self.booked_under(booking).percent_at(now) };
        booked.max(self.offers.in_force().cancellation.percent_at(now))
    }

    /// What goes back for seats, seat by seat and rounded down to whole minor units; nothing where nothing was paid.
    pub(in crate::inventory) fn refund(&self, booking: &Booking, seats: &[SeatIndex], percent: u8) -> Option<i64> {
        let payment = booking.payment()?;
        let back = |seat: &SeatIndex| self.cost(booking, &[*seat]) * i64::from(percent) / 100;
        matches!(payment.stage, Stage::Authorised | Stage::Captured).then(|| seats.iter().map(back).sum())
    }

    pub(super) fn decide_call_off(&self, command: &CancelPerformance) -> Result<Decision, Refusal> {
        if !self.is_seller(&command.caller) {
            return Err(Refusal::NotSeller);
        }
        if self.called_off.is_some() {
            return Ok(Decision::Nothing);
        }
        let (by, reason) = (command.caller.account, command.reason.clone());
        Ok(Decision::Event(Event::PerformanceCancelled(PerformanceCancelled { by, reason })))
    }
}

/// Those of a booking's seats that are meant: all that are left, where nothing is said.
fn own_seats(booking: &Booking, named: Option<&SeatList>) -> Result<SeatList, Refusal> {
    let remaining = booking.remaining();
    let Some(seats) = named else { return Ok(remaining) };
    let mut foreign: Vec<SeatIndex> = seats.iter().copied().filter(|seat| !remaining.contains(seat)).collect();
    if foreign.is_empty() {
        // What is named again is no longer the booking's.
        foreign.extend(twice(seats));
    }
    if foreign.is_empty() { Ok(seats.clone()) } else { Err(Refusal::NotInBooking { seats: foreign }) }
}
