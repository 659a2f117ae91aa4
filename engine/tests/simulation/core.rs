//! The pure core alone, without an actor, a journal or a disk; and what of interest happens to money in it.

use onrush_engine::command::{Command, DecideBooking, PaymentNotice};
use onrush_engine::event::{Advance, Event, Fate, PaymentAdvanced, Standing};
use onrush_engine::id::{BookingId, PerformanceId};
use onrush_engine::inventory::{Answer, Booking, Decision, Inventory, Payment, Stage};
use onrush_engine::mailbox::{Answered, Ask, Outcome};
use onrush_engine::refusal::Refusal;
use onrush_engine::time::Timestamp;

use crate::hall::opening;

/// See the module.
#[derive(Debug)]
pub(crate) struct Core(Inventory);

impl Clone for Core {
    fn clone(&self) -> Self {
        Self(Inventory::from_image(self.0.image()).expect("a state is a state"))
    }
}

impl Core {
    pub(crate) fn open(performance: PerformanceId, now: Timestamp) -> Self {
        Self(Inventory::open(&opening(performance), now).expect("a sound hall"))
    }

    pub(crate) fn inventory(&self) -> &Inventory {
        &self.0
    }

    pub(crate) fn pulse(&mut self, now: Timestamp) -> usize {
        let mut events = 0;
        while let Some(event) = self.0.pulse(now) {
            self.0.apply(now, &event);
            events += 1;
        }
        events
    }

    pub(crate) fn extend(&mut self, by_millis: i64, now: Timestamp) {
        let by_millis = u32::try_from(by_millis).expect("some seconds");
        self.0.apply(now, &Event::HoldsExtended { by_millis });
    }

    /// What comes of a request, and what of interest there is about it.
    pub(crate) fn ask(&mut self, ask: &Ask, now: Timestamp) -> (Outcome, Vec<&'static str>) {
        let Ask::Command(command) = ask else { return (answer(&mut self.0, ask, now), Vec::new()) };
        let decision = self.0.decide(command, now);
        let met = match command {
            Command::NotePayment(notice) => self.met_by_notice(notice, &decision),
            _ => met(command, &decision).into_iter().collect(),
        };
        (outcome_of(&mut self.0, decision, now), met)
    }

    fn booking(&self, id: BookingId) -> Option<&Booking> {
        self.0.bookings().get(id.number as usize).filter(|booking| booking.nonce == id.nonce)
    }

    fn met_by_notice(&self, notice: &PaymentNotice, decision: &Result<Decision, Refusal>) -> Vec<&'static str> {
        let Some((booking, payment)) =
            self.booking(notice.booking).and_then(|booking| Some((booking, booking.payment()?)))
        else {
            return Vec::new();
        };
        let mut met = Vec::new();
        if payment.refunds.iter().any(|refund| refund.paid) {
            met.push("a payment provider's notice comes after a refund");
        }
        match decision {
            Ok(Decision::Nothing) => met.push("a payment provider says what is known"),
            Ok(Decision::Event(Event::PaymentAdvanced(PaymentAdvanced { advance, .. }))) => {
                met.extend(met_by_advance(booking, payment, *advance));
            }
            _ => {}
        }
        met
    }
}

fn met_by_advance(booking: &Booking, payment: &Payment, advance: Advance) -> Vec<&'static str> {
    let (Advance::Authorised(fate) | Advance::Captured { fate, .. }) = advance else { return Vec::new() };
    let collected = matches!(advance, Advance::Captured { .. });
    let sights = [
        (payment.reference.is_none() && payment.stage == Stage::Open, "money comes before the provider was heard of"),
        (fate == Fate::Retaken, "late money takes its seats again"),
        (fate == Fate::Lost && !booking.is_over(), "late money finds its seats gone"),
        (collected && booking.is_over(), "a capture comes after the cancellation"),
    ];
    sights.into_iter().filter(|(is_so, _)| *is_so).map(|(_, sight)| sight).collect()
}

fn met(command: &Command, decision: &Result<Decision, Refusal>) -> Option<&'static str> {
    match (command, decision) {
        (Command::DecideBooking(DecideBooking { approve: true, .. }), Err(Refusal::NotWaiting)) => {
            Some("an approval comes too late")
        }
        (_, Ok(Decision::Event(event))) => match event {
            Event::HoldBooked(booked) if booked.standing == Standing::PendingApproval => {
                Some("a booking waits for the seller")
            }
            Event::TicketTransferred(_) => Some("a ticket is given to somebody else"),
            Event::TicketCheckedIn(_) => Some("somebody comes in with a ticket"),
            Event::PerformanceCancelled(_) => Some("a performance is called off"),
            _ => None,
        },
        (Command::CheckIn { .. }, Err(Refusal::TicketUsed { .. })) => Some("a ticket is shown twice"),
        (Command::CheckIn { .. }, Err(Refusal::TicketReissued)) => Some("an old code is shown"),
        _ => None,
    }
}

/// What an actor makes of a request once what has run out has ended.
pub(crate) fn answer(inventory: &mut Inventory, ask: &Ask, at: Timestamp) -> Outcome {
    let command = match ask {
        Ask::Command(command) => command,
        Ask::Hold(caller, hold) => return said(inventory.read_hold(caller, *hold).map(Answer::Hold)),
        Ask::Booking(caller, booking) => return said(inventory.read_booking(caller, *booking).map(Answer::Booking)),
        Ask::Bookings(caller, numbers) => return said(inventory.list_bookings(caller, numbers.clone())),
        Ask::Ticket(caller, ticket) => return said(inventory.read_ticket(caller, *ticket).map(Answer::Ticket)),
        Ask::Tickets(caller, booking) => return said(inventory.list_tickets(caller, *booking).map(Answer::Tickets)),
        Ask::Payment(booking) => return said(inventory.read_payment(*booking).map(Answer::Payment)),
    };
    let decision = inventory.decide(command, at);
    outcome_of(inventory, decision, at)
}

/// What becomes of a decision.
fn outcome_of(inventory: &mut Inventory, decision: Result<Decision, Refusal>, at: Timestamp) -> Outcome {
    match decision? {
        Decision::Event(event) => {
            inventory.apply(at, &event);
            said(Ok(inventory.answer(&event)))
        }
        Decision::Replayed(answer) => said(Ok(*answer)),
        Decision::Nothing => said(Ok(Answer::Done)),
    }
}

fn said(answer: Result<Answer, Refusal>) -> Outcome {
    Ok(Answered { answer: answer?, sequence: None, replayed: false })
}
