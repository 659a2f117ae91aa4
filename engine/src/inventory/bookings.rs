//! Bookings, by number. They are kept for good.

use super::price_lists::PriceListIndex;
use crate::event::Standing;
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;

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
    /// What it cost when it was held.
    pub prices: PriceListIndex,
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
}

impl Details {
    /// Nothing, where there is nothing to keep: two bookings that are the same look the same.
    pub(crate) fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl Booking {
    /// Those of its seats that were given up, in the order in which they were.
    pub fn cancelled(&self) -> &[SeatIndex] {
        self.details.as_ref().map_or(&[], |details| &details.cancelled)
    }

    /// What it is for.
    pub fn purpose(&self) -> Option<&str> {
        self.details.as_ref().and_then(|details| details.purpose.as_deref())
    }

    /// Gives seats of its own up.
    pub(crate) fn cancel(&mut self, seats: &[SeatIndex]) {
        if seats.is_empty() {
            return;
        }
        self.details.get_or_insert_default().cancelled.extend_from_slice(seats);
    }

    /// The seats that are still its own.
    pub fn remaining(&self) -> SeatList {
        self.seats.iter().copied().filter(|seat| !self.cancelled().contains(seat)).collect()
    }

    /// Whether it has no seats left.
    pub fn is_over(&self) -> bool {
        self.cancelled().len() == self.seats.len()
    }
}
