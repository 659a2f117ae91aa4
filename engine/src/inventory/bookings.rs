//! Bookings, by number. They are kept for good.

use crate::event::Standing;
use crate::performance::PriceList;
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
    /// Those of `seats` that were given up, in the order in which they were.
    pub cancelled: Vec<SeatIndex>,
    /// What it cost when it was held.
    pub prices: PriceList,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Booking {
    /// The seats that are still its own.
    pub fn remaining(&self) -> SeatList {
        self.seats.iter().copied().filter(|seat| !self.cancelled.contains(seat)).collect()
    }

    /// Whether it has no seats left.
    pub fn is_over(&self) -> bool {
        self.cancelled.len() == self.seats.len()
    }
}
