//! The state of every seat, and what is counted from it.

use smallvec::SmallVec;

use super::adjacent::Runs;
use super::misfit::twice;
use crate::seat_map::{SeatIndex, SeatMap, SectionIndex};
use crate::seeded::Bug;
use rkyv::{Archive, Deserialize, Serialize};

/// Where a seat is. Invariant (A1): a seat is in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// On sale.
    Free,
    /// Part of the hold with this number.
    Held(u32),
    /// Part of the booking with this number.
    Booked(u32),
    /// Part of the block with this number.
    Blocked(u32),
}

/// How many seats of a section are in each state. Invariant (A2): their sum is the section's size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Tally {
    /// On sale.
    pub free: u32,
    /// Held.
    pub held: u32,
    /// Booked.
    pub booked: u32,
    /// Out of sale.
    pub blocked: u32,
}

impl Tally {
    fn of(&mut self, state: SeatState) -> &mut u32 {
        match state {
            SeatState::Free => &mut self.free,
            SeatState::Held(_) => &mut self.held,
            SeatState::Booked(_) => &mut self.booked,
            SeatState::Blocked(_) => &mut self.blocked,
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            free: self.free + other.free,
            held: self.held + other.held,
            booked: self.booked + other.booked,
            blocked: self.blocked + other.blocked,
        }
    }
}

/// All seats of a performance: 8 bytes each, and the bitsets of [`Runs`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    states: Vec<SeatState>,
    tallies: Vec<Tally>,
    /// Invariant (A7): a bit is set where the state is free.
    pub(super) runs: Runs,
    /// Seats that changed since somebody last asked; may name one more than once.
    touched: Touched,
}

/// Not part of what a state is: two inventories are the same whoever has looked at them.
#[derive(Debug, Default)]
struct Touched(Vec<SeatIndex>);

impl PartialEq for Touched {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Touched {}

impl Seats {
    pub(crate) fn new(map: &SeatMap) -> Self {
        let tally = |len| Tally { free: len, ..Tally::default() };
        Self {
            states: vec![SeatState::Free; map.capacity() as usize],
            tallies: map.sections().iter().map(|section| tally(section.len)).collect(),
            runs: Runs::new(map),
            touched: Touched::default(),
        }
    }

    pub(crate) fn state(&self, seat: SeatIndex) -> SeatState {
        self.states[seat.0 as usize]
    }

    pub(crate) fn tally(&self, section: SectionIndex) -> Tally {
        self.tallies[usize::from(section.0)]
    }

    pub(crate) fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Those of `seats` that are not free; else one that is named again, as the first time takes it.
    pub(crate) fn taken(&self, seats: &[SeatIndex]) -> Vec<SeatIndex> {
        let is_free = |seat| match self.state(seat) {
            SeatState::Free => true,
            SeatState::Held(_) => Bug::HeldSeatSold.is_on(),
            SeatState::Booked(_) | SeatState::Blocked(_) => false,
        };
        let mut taken: Vec<SeatIndex> = seats.iter().copied().filter(|&seat| !is_free(seat)).collect();
        if taken.is_empty() {
            taken.extend(twice(seats));
        }
        taken
    }

    /// The seats that changed since the last call.
    pub(crate) fn drain_touched(&mut self) -> std::vec::Drain<'_, SeatIndex> {
        self.touched.0.drain(..)
    }

    /// Moves seats to another state.
    pub(crate) fn set(&mut self, map: &SeatMap, seats: &[SeatIndex], state: SeatState) {
        let mut rows: SmallVec<[usize; 8]> = SmallVec::new();
        self.touched.0.extend_from_slice(seats);
        for &seat in seats {
            let row = map.row_of(seat);
            self.move_one(map, row, seat, state);
            if rows.last() != Some(&row) {
                rows.push(row);
            }
        }
        for row in rows {
            self.runs.measure(row);
        }
    }

    fn move_one(&mut self, map: &SeatMap, row: usize, seat: SeatIndex, state: SeatState) {
        let before = std::mem::replace(&mut self.states[seat.0 as usize], state);
        let tally = &mut self.tallies[usize::from(map.rows()[row].section.0)];
        *tally.of(before) -= 1;
        if !(Bug::TallyDrifts.is_on() && matches!(state, SeatState::Blocked(_))) {
            *tally.of(state) += 1;
        }
        self.runs.mark(row, seat, state == SeatState::Free);
    }
}
