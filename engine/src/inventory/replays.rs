//! What was made under a request key, so that the same request is answered again and not done again.
//!
//! The key's entry comes from the event that made the thing, so both survive a crash or neither does (D2). Entries go
//! by journal time (D6).

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::offers::OfferIndex;
use super::{Standpoint, Ticket};
use crate::command::RequestKey;
use crate::seat_map::{SeatIndex, SeatList};
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
        /// What it was held for.
        offer: OfferIndex,
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
        /// Where it stood then; nothing for one that never waited.
        then: Option<Standpoint>,
    },
    /// A ticket was given away, or let somebody in.
    Ticket {
        /// The booking's number.
        booking: u32,
        /// Which of its seats.
        seat: SeatIndex,
        /// As it was left then.
        then: Ticket,
    },
    /// A block.
    Block {
        /// Its number.
        number: u32,
        /// Random bits of its id.
        nonce: u64,
        /// Which seats.
        seats: Vec<SeatIndex>,
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
    /// When: that is also when a hold was made.
    pub at: Timestamp,
}

/// All keys of one performance, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    /// The number of the first of `entries`.
    base: u64,
    entries: VecDeque<Replay>,
    /// The number of each entry, found by its caller and key. Looked into, never walked through; see
    /// [`super::limits::Buyers`] for its seed.
    numbers: HashTable<u64>,
    seed: RandomState,
}

/// How long a key is remembered: the contract's 24 hours and an hour for clocks that differ.
const RETENTION: Duration = Duration::from_hours(25);

impl Replays {
    pub(crate) fn find(&self, caller: u32, key: [u64; 2]) -> Option<&Replay> {
        let hash = self.seed.hash_one((caller, key));
        let is_it = |number: &u64| self.entry(*number).identity() == (caller, key);
        self.numbers.find(hash, is_it).map(|number| self.entry(*number))
    }

    fn entry(&self, number: u64) -> &Replay {
        &self.entries[(number - self.base) as usize]
    }

    /// Remembers a key, and forgets those whose time is over.
    pub(crate) fn push(&mut self, replay: Replay) {
        self.evict(replay.at);
        let number = self.base + self.entries.len() as u64;
        let hash = self.seed.hash_one(replay.identity());
        self.entries.push_back(replay);
        let Self { base, entries, numbers, seed } = self;
        numbers.insert_unique(hash, number, |number| seed.hash_one(entries[(number - *base) as usize].identity()));
    }

    fn evict(&mut self, now: Timestamp) {
        while self.entries.front().is_some_and(|oldest| oldest.at + RETENTION <= now) {
            let oldest = self.entries.pop_front().expect("just seen");
            let hash = self.seed.hash_one(oldest.identity());
            if let Ok(entry) = self.numbers.find_entry(hash, |number| *number == self.base) {
                entry.remove();
            }
            self.base += 1;
        }
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All that are remembered, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replay> {
        self.entries.iter()
    }
}

impl Replay {
    /// What no two of a performance share.
    fn identity(&self) -> (u32, [u64; 2]) {
        (self.caller, self.request.key)
    }
}
