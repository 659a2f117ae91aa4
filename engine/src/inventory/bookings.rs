//! Bookings, by number. They are kept for good.

use super::offers::OfferIndex;
use super::payments::{Moment, Payment};
use crate::event::Standing;
use crate::id::AccountId;
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// A hold that became an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// Random bits of its id.
    pub nonce: u64,
    /// Who booked, as a number of the buyers' register.
    pub buyer: u32,
    /// Where it stands, its cancelled seats aside.
    pub standing: Standing,
    /// What was booked.
    pub seats: SeatList,
    /// What it was held for.
    pub offer: OfferIndex,
    /// When it was made.
    pub created_at: Timestamp,
    /// What few bookings have; apart, so that the many take less room.
    pub details: Option<Box<Details>>,
}

/// What few bookings have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Those of the booking's seats that were given up, in the order in which they were.
    pub cancelled: Vec<SeatIndex>,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// Until when it waits: for its payment, or for the seller's word.
    pub until: Option<Timestamp>,
    /// Until when it was to wait when it was made: what the first answer said.
    pub first_until: Option<Timestamp>,
    /// What the seller said.
    pub verdict: Option<Verdict>,
    /// Its payment, once there is something to pay.
    pub payment: Option<Payment>,
}

/// What a seller said to a booking. Never changed (F3, F5).
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Verdict {
    /// Yes or no.
    pub approved: bool,
    /// Who said so.
    pub by: AccountId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<Box<str>>,
}

/// Where a booking stood at one moment: what it takes to answer a request again as it was answered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standpoint {
    /// Where it stood.
    pub standing: Standing,
    /// Until when it waited.
    pub until: Option<Timestamp>,
    /// How far its payment was.
    pub payment: Option<Moment>,
}

impl Booking {
    fn of_details<'a, T>(&'a self, part: impl FnOnce(&'a Details) -> Option<T>) -> Option<T> {
        self.details.as_deref().and_then(part)
    }

    /// Those of its seats that were given up, in the order in which they were.
    pub fn cancelled(&self) -> &[SeatIndex] {
        self.details.as_ref().map_or(&[], |details| &details.cancelled)
    }

    /// What it is for.
    pub fn purpose(&self) -> Option<&str> {
        self.of_details(|details| details.purpose.as_deref())
    }

    /// Until when it waits: for its payment, or for the seller's word.
    pub fn until(&self) -> Option<Timestamp> {
        self.of_details(|details| details.until)
    }

    /// What the seller said.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.of_details(|details| details.verdict.as_ref())
    }

    /// Its payment.
    pub fn payment(&self) -> Option<&Payment> {
        self.of_details(|details| details.payment.as_ref())
    }

    /// Changes what few bookings have. What comes to nothing takes no room: two bookings that are the same look the same.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Details)) {
        let mut details = self.details.take().unwrap_or_default();
        change(&mut details);
        self.details = (*details != Details::default()).then_some(details);
    }

    /// With what few bookings have.
    pub(crate) fn with_details(mut self, details: Details) -> Self {
        self.change(|kept| *kept = details);
        self
    }

    /// Gives seats of its own up.
    pub(super) fn cancel(&mut self, seats: &[SeatIndex]) {
        self.change(|details| details.cancelled.extend_from_slice(seats));
    }

    /// The seats that were not given up, whether they are its own or went back on sale.
    pub fn wanted(&self) -> SeatList {
        self.seats.iter().copied().filter(|seat| !self.cancelled().contains(seat)).collect()
    }

    /// The seats that are its own: taken for it.
    pub fn remaining(&self) -> SeatList {
        if self.standing.has_seats() { self.wanted() } else { SeatList::new() }
    }

    /// Whether all of its seats were given up.
    pub fn is_over(&self) -> bool {
        self.cancelled().len() == self.seats.len()
    }

    /// Where it stands now; nothing for one that never waited, and so stands there for good.
    pub(super) fn standpoint(&self) -> Option<Standpoint> {
        self.of_details(|details| details.first_until)?;
        Some(Standpoint { standing: self.standing, until: self.until(), payment: self.payment().map(Moment::of) })
    }

    /// Where it stood when it was made.
    pub(super) fn first_standing(&self) -> Standing {
        match (self.standing, self.verdict(), self.payment()) {
            (Standing::PendingApproval | Standing::Rejected, _, _) | (_, Some(_), _) => Standing::PendingApproval,
            (Standing::PendingPayment, _, _) | (_, _, Some(_)) => Standing::PendingPayment,
            _ => Standing::Confirmed,
        }
    }
}
