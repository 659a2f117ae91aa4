//! What was made under a request key, so that the same request is answered again and not done again.
//!
//! The key's entry comes from the event that made the thing, so both survive a crash or neither does (D2). Entries go
//! by journal time (D6).

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use crate::command::RequestKey;
use crate::performance::PriceList;
use crate::seat_map::SeatList;
use crate::time::Timestamp;

/// What an answer is made from, as it was when it was given first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A hold.
    Hold {
        /// Its number.
        number: u32,
        /// Random bits of its id.
        nonce: u64,
        /// What was held.
        seats: SeatList,
        /// What it cost.
        prices: PriceList,
        /// When it was made.
        created_at: Timestamp,
        /// When it was to end.
        expires_at: Timestamp,
    },
    /// The booking with this number.
    Booking {
        /// Its number.
        number: u32,
    },
    /// Seats of a booking were cancelled.
    Cancellation {
        /// The booking's number.
        booking: u32,
        /// How many of its seats were cancelled then, this time included.
        cancelled: u32,
    },
    /// A block.
    Block {
        /// Its number.
        number: u32,
        /// Random bits of its id.
        nonce: u64,
        /// Which seats.
        seats: Vec<crate::seat_map::SeatIndex>,
        /// Why.
        reason: Option<Box<str>>,
    },
}

/// One key and what was made under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The client's key and body, digested.
    pub request: RequestKey,
    /// The caller's number in the buyers' register.
    pub caller: u32,
    /// What was made.
    pub made: Made,
    /// When.
    pub at: Timestamp,
}

/// All keys of one performance, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    /// The number of the first of `entries`.
    base: u64,
    entries: VecDeque<Replay>,
    /// Looked into, never walked through; see [`super::limits::Buyers`] for its seed.
    places: HashMap<(u32, u128), u64, foldhash::quality::RandomState>,
}

/// How long a key is remembered: the contract's 24 hours and an hour for clocks that differ.
const RETENTION: Duration = Duration::from_hours(25);

impl Replays {
    pub(crate) fn find(&self, caller: u32, key: u128) -> Option<&Replay> {
        let place = self.places.get(&(caller, key))?;
        self.entries.get((place - self.base) as usize)
    }

    /// Remembers a key, and forgets those whose time is over.
    pub(crate) fn push(&mut self, replay: Replay) {
        self.evict(replay.at);
        self.places.insert((replay.caller, replay.request.key), self.base + self.entries.len() as u64);
        self.entries.push_back(replay);
    }

    fn evict(&mut self, now: Timestamp) {
        while self.entries.front().is_some_and(|oldest| oldest.at + RETENTION <= now) {
            let oldest = self.entries.pop_front().expect("just seen");
            self.places.remove(&(oldest.caller, oldest.request.key));
            self.base += 1;
        }
    }

    /// All that are remembered, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replay> {
        self.entries.iter()
    }
}
