//! Active holds, by number, and the order in which their time runs out.

use std::collections::{BTreeSet, VecDeque};

use super::offers::OfferIndex;
use crate::seat_map::SeatList;
use crate::seeded::Bug;
use crate::time::Timestamp;

/// Seats taken for one buyer for a short time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Random bits of its id.
    pub nonce: u64,
    /// Who holds, as a number of the buyers' register.
    pub buyer: u32,
    /// What is held.
    pub seats: SeatList,
    /// What it was made for (E3: the client never says a price).
    pub offer: OfferIndex,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is not held any more: an equal time counts as past (B2).
    pub expires_at: Timestamp,
}

/// What became of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Active(Hold),
    /// Became the booking with this number.
    Booked(u32),
    Ended,
}

/// A look at a number that was once given to a hold.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Active(&'a Hold),
    Booked(u32),
    /// Released or expired, or so long ago that nothing is known of it.
    Ended,
    /// Never given to a hold.
    Never,
}

/// All active holds. Numbers are dense, so they are kept in a ring: no hashing, and what is long over is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The number of the ring's first place.
    base: u32,
    ring: VecDeque<Place>,
    active: u32,
    /// Numbers in order of expiry, as far as they came in that order: nearly always all.
    queue: VecDeque<(Timestamp, u32)>,
    /// The others: made after the seller shortened the time of a hold.
    early: BTreeSet<(Timestamp, u32)>,
}

impl Holds {
    /// The number of the next hold.
    pub(crate) fn next_number(&self) -> u32 {
        self.base + self.ring.len() as u32
    }

    /// How many are active.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// An empty ring that goes on from a number.
    pub(crate) fn starting_at(base: u32) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds the hold with the next number.
    pub(crate) fn push(&mut self, hold: Hold) {
        self.expect_end(hold.expires_at, self.next_number());
        self.ring.push_back(Place::Active(hold));
        self.active += 1;
    }

    /// Adds a number whose hold is over: what a snapshot says of the gaps between active holds.
    pub(crate) fn push_ended(&mut self, booked: Option<u32>) {
        self.ring.push_back(booked.map_or(Place::Ended, Place::Booked));
        self.forget_front();
    }

    fn expect_end(&mut self, at: Timestamp, number: u32) {
        if self.queue.back().is_none_or(|&(last, _)| last <= at) {
            self.queue.push_back((at, number));
        } else {
            self.early.insert((at, number));
        }
    }

    /// What is known of a number.
    pub(crate) fn find(&self, number: u32) -> Found<'_> {
        let Some(place) = number.checked_sub(self.base) else { return Found::Ended };
        match self.ring.get(place as usize) {
            Some(Place::Active(hold)) => Found::Active(hold),
            Some(Place::Booked(booking)) => Found::Booked(*booking),
            Some(Place::Ended) => Found::Ended,
            None => Found::Never,
        }
    }

    /// Every active hold, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Hold)> {
        self.ring.iter().enumerate().filter_map(|(place, known)| match known {
            Place::Active(hold) => Some((self.base + place as u32, hold)),
            Place::Booked(_) | Place::Ended => None,
        })
    }

    /// Every number that is still known, with the booking it became: the shape of the ring.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, Option<&Hold>, Option<u32>)> {
        self.ring.iter().enumerate().map(|(place, known)| match known {
            Place::Active(hold) => (self.base + place as u32, Some(hold), None),
            Place::Booked(booking) => (self.base + place as u32, None, Some(*booking)),
            Place::Ended => (self.base + place as u32, None, None),
        })
    }

    /// The first number that is still known.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// Ends an active hold: `booked` says what it became.
    pub(crate) fn end(&mut self, number: u32, booked: Option<u32>) -> Option<Hold> {
        let place = self.ring.get_mut(number.checked_sub(self.base)? as usize)?;
        let over = booked.map_or(Place::Ended, Place::Booked);
        match std::mem::replace(place, over) {
            Place::Active(hold) => {
                self.active -= 1;
                self.forget_front();
                Some(hold)
            }
            other => {
                *place = other;
                None
            }
        }
    }

    /// Ended holds are forgotten once nothing older is active, but for the last thousand: whoever comes late learns
    /// that the hold became a booking.
    fn forget_front(&mut self) {
        const REMEMBERED: usize = 1024;
        while self.ring.len() > REMEMBERED && !matches!(self.ring.front(), Some(Place::Active(_))) {
            self.ring.pop_front();
            self.base += 1;
        }
    }

    /// When the next active hold ends, as far as known: perhaps of one that is over already.
    pub(crate) fn next_end(&self) -> Option<(Timestamp, u32)> {
        match (self.queue.front().copied(), self.early.first().copied()) {
            (Some(queued), Some(early)) => Some(queued.min(early)),
            (queued, early) => queued.or(early),
        }
    }

    /// Whether [`Self::expired`] would find something to look at.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_end().is_some_and(|(at, _)| is_past(at, now))
    }

    /// At most `most` active holds whose time is up at `now`.
    pub(crate) fn expired(&self, now: Timestamp, most: usize) -> Vec<u32> {
        let due = |&&(at, _): &&(Timestamp, u32)| is_past(at, now);
        let queued = self.queue.iter().take_while(due).chain(self.early.iter().take_while(due));
        queued.filter(|(at, number)| self.is_current(*at, *number)).map(|(_, number)| *number).take(most).collect()
    }

    fn is_current(&self, at: Timestamp, number: u32) -> bool {
        matches!(self.find(number), Found::Active(hold) if hold.expires_at == at)
    }

    /// Drops what [`Self::next_end`] knows of holds that are over. State only in appearance: what is dropped answers
    /// nothing any more.
    pub(crate) fn drop_stale_ends(&mut self) {
        while let Some(&(at, number)) = self.queue.front() {
            if self.is_current(at, number) {
                break;
            }
            self.queue.pop_front();
        }
        while let Some(&(at, number)) = self.early.first() {
            if self.is_current(at, number) {
                break;
            }
            self.early.pop_first();
        }
    }

    /// Gives every active hold more time (B7).
    pub(crate) fn extend(&mut self, by: std::time::Duration) {
        let mut ends: Vec<(Timestamp, u32)> = Vec::with_capacity(self.active as usize);
        for (place, known) in self.ring.iter_mut().enumerate() {
            if let Place::Active(hold) = known {
                hold.expires_at = hold.expires_at + by;
                ends.push((hold.expires_at, self.base + place as u32));
            }
        }
        ends.sort_unstable();
        self.queue = ends.into();
        self.early.clear();
    }
}

/// An equal time counts as past (B2).
fn is_past(end: Timestamp, now: Timestamp) -> bool {
    end < now || (end == now && !Bug::ExpiryOffByOne.is_on())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(expires_at: i64) -> Hold {
        Hold {
            nonce: 0,
            buyer: 0,
            seats: SeatList::new(),
            offer: OfferIndex(0),
            created_at: Timestamp::MIN,
            expires_at: Timestamp::from_millis(expires_at),
        }
    }

    #[test]
    fn an_equal_time_is_past_and_a_shorter_hold_comes_first() {
        let mut holds = Holds::default();
        [100, 50, 200].into_iter().for_each(|at| holds.push(hold(at)));
        let expired = |holds: &Holds, at| holds.expired(Timestamp::from_millis(at), 10);
        assert!(expired(&holds, 49).is_empty());
        assert_eq!(expired(&holds, 50), vec![1]);
        assert_eq!(expired(&holds, 100), vec![0, 1]);
        holds.end(0, None);
        assert_eq!(expired(&holds, 500), vec![2, 1]);
    }

    #[test]
    fn a_hold_ends_once() {
        let mut holds = Holds::default();
        holds.push(hold(100));
        assert!(holds.end(0, Some(7)).is_some());
        assert!(holds.end(0, None).is_none());
        assert!(matches!(holds.find(0), Found::Booked(7)));
        assert!(matches!(holds.find(1), Found::Never));
        assert_eq!(holds.active(), 0);
    }

    #[test]
    fn more_time_for_all_keeps_their_order() {
        let mut holds = Holds::default();
        [100, 50].into_iter().for_each(|at| holds.push(hold(at)));
        holds.extend(std::time::Duration::from_millis(10));
        assert_eq!(holds.expired(Timestamp::from_millis(60), 10), vec![1]);
        assert_eq!(holds.expired(Timestamp::from_millis(110), 10), vec![1, 0]);
    }
}
