//! One buyer's way through a sale: what was answered, and what was sent and never answered.

use onrush_api::bookings::Booking;
use onrush_api::holds::Hold;
use serde_json::{Value, json};

use crate::http::{Call, Response};
use crate::random::Random;

/// How far a buyer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Keep,
    Release,
    Book,
    Cancel,
    CancelOneSeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Hold,
    Release,
    Book,
    Cancel,
}

/// See the module. Invariant: every field but `open` holds what the server has acknowledged.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) buyer: usize,
    performance: String,
    plan: Plan,
    wish: Value,
    /// Tells this visit's keys from all others.
    name: String,
    pub(crate) hold: Option<Hold>,
    pub(crate) released: bool,
    /// As the last answer about it had it.
    pub(crate) booking: Option<Booking>,
    refused: bool,
    /// Sent and not answered.
    pub(crate) open: Option<Call>,
}

impl Visit {
    pub(crate) fn new(buyer: usize, performance: &str, name: String, random: &mut Random) -> Self {
        let plan = match random.below(20) {
            0..2 => Plan::Keep,
            2..7 => Plan::Release,
            7..14 => Plan::Book,
            14..18 => Plan::Cancel,
            _ => Plan::CancelOneSeat,
        };
        Self { plan, ..Self::keeping(buyer, performance, name, crate::hall::wish(random)) }
    }

    /// A visit that only holds.
    pub(crate) fn keeping(buyer: usize, performance: &str, name: String, wish: Value) -> Self {
        let performance = performance.to_owned();
        let (hold, booking, open) = (None, None, None);
        Self { buyer, performance, plan: Plan::Keep, wish, name, hold, released: false, booking, refused: false, open }
    }

    /// The buyer decides to book after all.
    pub(crate) fn decides_to_book(&mut self) {
        self.plan = Plan::Book;
    }

    /// Whether the seats are held, neither released nor booked.
    pub(crate) fn holds(&self) -> Option<&Hold> {
        self.hold.as_ref().filter(|_| !self.released && self.booking.is_none())
    }

    fn step(&self) -> Option<Step> {
        let cancelled = self.booking.as_ref().is_some_and(|booking| !booking.cancelled_seats.is_empty());
        match self.plan {
            _ if self.refused => None,
            _ if self.hold.is_none() => Some(Step::Hold),
            Plan::Keep => None,
            Plan::Release => (!self.released).then_some(Step::Release),
            _ if self.booking.is_none() => Some(Step::Book),
            Plan::Book => None,
            Plan::Cancel | Plan::CancelOneSeat => (!cancelled).then_some(Step::Cancel),
        }
    }

    /// What to send next; open from now on.
    pub(crate) fn advance(&mut self) -> Option<Call> {
        self.open = self.step().map(|step| self.call(step));
        self.open.clone()
    }

    fn call(&self, step: Step) -> Call {
        let name = &self.name;
        let hold = || self.hold.as_ref().expect("held before").id.0;
        match step {
            Step::Hold => Call::post(format!("/v1/performances/{}/holds", self.performance), name, &self.wish),
            Step::Release => Call::delete(format!("/v1/holds/{}", hold())),
            Step::Book => Call::post("/v1/bookings", format!("{name}b"), &json!({"hold": hold().to_string()})),
            Step::Cancel => {
                let booking = self.booking.as_ref().expect("booked before");
                let seats = match self.plan {
                    Plan::CancelOneSeat => json!({"seats": [booking.seats[0].label]}),
                    _ => json!({}),
                };
                Call::post(format!("/v1/bookings/{}/cancel", booking.id.0), format!("{name}c"), &seats)
            }
        }
    }

    /// Writes down an answer that was read whole. A 503 leaves the outcome open; what no honest server says here is an
    /// error.
    pub(crate) fn learn(&mut self, response: &Response) -> Result<(), String> {
        let step = self.step().expect("an answer belongs to a step");
        match (step, response.status) {
            (_, 503) => return Ok(()),
            (Step::Hold, 201) => self.hold = Some(response.json()),
            (Step::Hold, 409 | 507) => self.refused = true,
            (Step::Release, 204) => self.released = true,
            (Step::Book, 201) | (Step::Cancel, 200) => self.booking = Some(response.json()),
            _ => return Err(format!("{:?} was answered {}", self.open, response.text())),
        }
        self.open = None;
        Ok(())
    }
}
