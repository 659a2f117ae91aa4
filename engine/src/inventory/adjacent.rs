//! Finding seats side by side: free seats as bits, rows in order of quality, and an index of the runs they have.
//!
//! Rows are ranked by tier, then by distance from the stage, then by section. For each run length that people buy
//! there is a bitset over the ranks that says which rows have such a run, so that the best row is the first set bit:
//! the cost does not grow with the hall. Within a row the run nearest its middle is the best one.

use smallvec::SmallVec;

use crate::command::BestAvailable;
use crate::seat_map::{SeatIndex, SeatList, SeatMap, TierIndex};

/// Run lengths that have an index of their own; longer wishes look at the rows one by one.
const INDEXED_LEN_MAX: usize = 16;

/// Rows that a search has taken seats from, with the bits that are left.
type Taken = SmallVec<[(usize, SmallVec<[u64; 2]>); 4]>;

/// Free seats by row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runs {
    rows: Vec<RowBits>,
    /// One bit a seat, set where it is free; each row starts a new word.
    words: Vec<u64>,
    /// The longest run of each row, in seats. A standing area has none.
    longest: Vec<u32>,
    /// Rows from best to worst.
    ranked: Vec<u32>,
    /// A row's place in `ranked`.
    rank: Vec<u32>,
    /// The ranks of each tier up to the last that a section is sold in: `ranked` is ordered by tier first.
    tiers: Vec<std::ops::Range<usize>>,
    /// `fits[n - 1]`: over ranks, set where the row's longest run is `n` or more.
    fits: Vec<Bits>,
}

#[derive(Debug, PartialEq, Eq)]
struct RowBits {
    first: SeatIndex,
    len: u32,
    word: usize,
    standing: bool,
}

impl RowBits {
    fn word_count(&self) -> usize {
        (self.len as usize).div_ceil(64)
    }
}

/// A plain bitset.
#[derive(Debug, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, at: usize, on: bool) {
        let mask = 1 << (at % 64);
        let word = &mut self.0[at / 64];
        *word = if on { *word | mask } else { *word & !mask };
    }

    /// The set bits in `range`, in order.
    fn iter(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let words = range.start / 64..range.end.div_ceil(64);
        words.flat_map(move |at| ones(self.0[at]).map(move |bit| at * 64 + bit)).filter(move |at| range.contains(at))
    }
}

fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (bit < 64).then(|| {
            word &= word - 1;
            bit
        })
    })
}

impl Runs {
    pub(super) fn new(map: &SeatMap) -> Self {
        let mut runs = Self {
            rows: Vec::with_capacity(map.rows().len()),
            words: Vec::new(),
            longest: vec![0; map.rows().len()],
            ranked: ranking(map),
            rank: vec![0; map.rows().len()],
            tiers: Vec::new(),
            fits: (0..INDEXED_LEN_MAX).map(|_| Bits(vec![0; map.rows().len().div_ceil(64)])).collect(),
        };
        for row in map.rows() {
            runs.add_row(row.first, row.len, map.is_standing(row.section));
        }
        for (rank, &row) in runs.ranked.iter().enumerate() {
            runs.rank[row as usize] = rank as u32;
        }
        runs.tiers = tier_ranges(map, &runs.ranked);
        (0..runs.rows.len()).for_each(|row| runs.measure(row));
        runs
    }

    fn add_row(&mut self, first: SeatIndex, len: u32, standing: bool) {
        let row = RowBits { first, len, word: self.words.len(), standing };
        let full = row.word_count();
        self.words.extend(std::iter::repeat_n(u64::MAX, full));
        if !len.is_multiple_of(64) {
            self.words[row.word + full - 1] = (1 << (len % 64)) - 1;
        }
        self.rows.push(row);
    }

    /// Marks one seat of a row; [`Self::measure`] that row before the next search.
    pub(super) fn mark(&mut self, row: usize, seat: SeatIndex, free: bool) {
        let row = &self.rows[row];
        let place = (seat.0 - row.first.0) as usize;
        let (word, mask) = (&mut self.words[row.word + place / 64], 1 << (place % 64));
        *word = if free { *word | mask } else { *word & !mask };
    }

    /// Brings the index of a row up to date with its bits.
    pub(super) fn measure(&mut self, row: usize) {
        let bits = &self.rows[row];
        if bits.standing {
            return;
        }
        let now = longest_run(&self.words[bits.word..bits.word + bits.word_count()]);
        let before = std::mem::replace(&mut self.longest[row], now);
        let rank = self.rank[row] as usize;
        let (low, high) = (before.min(now) as usize, before.max(now) as usize);
        for length in low.min(INDEXED_LEN_MAX)..high.min(INDEXED_LEN_MAX) {
            self.fits[length].set(rank, now > before);
        }
    }

    /// The best run of `wish.quantity` seats side by side, if there is one.
    pub(super) fn best(&self, map: &SeatMap, wish: &BestAvailable) -> Option<SeatList> {
        let row = self.rows_with(map, wish, wish.quantity).next()?;
        let place = best_place(self.words_of(row), self.rows[row].len, wish.quantity)?;
        Some(self.seats_at(row, place, wish.quantity))
    }

    /// As many seats as `wanted` has, side by side and in their tier, in their section where that has such a run, else as
    /// few rows away as can be, and in the row as few places. Nothing where there are none, or `wanted` has two tiers.
    pub(super) fn nearest(&self, map: &SeatMap, wanted: &[SeatIndex]) -> Option<SeatList> {
        let first = *wanted.iter().min()?;
        let tier = map.tier_of(first);
        if wanted.iter().any(|seat| map.tier_of(*seat) != tier) {
            return None;
        }
        let (home, length) = (map.row_of(first), wanted.len() as u32);
        let place = first.0 - self.rows[home].first.0;
        if self.rows[home].standing {
            let places = self.places(home, length);
            return (places.len() == wanted.len()).then_some(places);
        }
        let any = BestAvailable { quantity: length, tier: Some(tier), section: None, adjacent: true };
        let section = map.rows()[home].section;
        let distance = |row: &usize| (map.rows()[*row].section != section, row.abs_diff(home), *row);
        let row = self.rows_with(map, &any, length).min_by_key(distance)?;
        let near = |(start, run): (u32, u32)| place.clamp(start, start + run - length);
        let places = runs(self.words_of(row)).filter(|&(_, run)| run >= length).map(near);
        let nearest = places.min_by_key(|found| found.abs_diff(place))?;
        Some(self.seats_at(row, nearest, length))
    }

    /// The largest groups that together are `wish.quantity` seats; fewer where so many are not free.
    pub(super) fn split(&self, map: &SeatMap, wish: &BestAvailable) -> Vec<SeatList> {
        let mut rest = wish.quantity;
        let mut length = rest;
        let mut taken = Taken::new();
        let mut groups = Vec::new();
        while rest > 0 && length > 0 {
            match self.group_of(map, wish, length, &mut taken) {
                Some(group) => {
                    rest -= group.len() as u32;
                    length = length.min(rest);
                    groups.push(group);
                }
                None => length -= 1,
            }
        }
        groups
    }

    /// The best run of `length` seats that is not in `taken`; adds it there.
    fn group_of(&self, map: &SeatMap, wish: &BestAvailable, length: u32, taken: &mut Taken) -> Option<SeatList> {
        for row in self.rows_with(map, wish, length) {
            let known = taken.iter().position(|(known, _)| *known == row);
            let words = known.map_or_else(|| self.words_of(row), |at| &taken[at].1);
            let Some(place) = best_place(words, self.rows[row].len, length) else { continue };
            let at = known.unwrap_or_else(|| {
                taken.push((row, SmallVec::from_slice(self.words_of(row))));
                taken.len() - 1
            });
            for seat in place..place + length {
                taken[at].1[seat as usize / 64] &= !(1 << (seat % 64));
            }
            return Some(self.seats_at(row, place, length));
        }
        None
    }

    /// The first free places of a standing area.
    pub(super) fn places(&self, row: usize, quantity: u32) -> SeatList {
        let first = self.rows[row].first.0;
        let words = self.words_of(row).iter().enumerate();
        let free = words.flat_map(|(at, &word)| ones(word).map(move |bit| (at * 64 + bit) as u32));
        free.take(quantity as usize).map(|place| SeatIndex(first + place)).collect()
    }

    /// Rows with a run of `length`, from best to worst.
    fn rows_with<'a>(
        &'a self,
        map: &'a SeatMap,
        wish: &BestAvailable,
        length: u32,
    ) -> Box<dyn Iterator<Item = usize> + 'a> {
        let fits = move |&row: &usize| self.longest[row] >= length;
        if let Some(section) = wish.section {
            let section = &map.sections()[usize::from(section.0)];
            let wanted = wish.tier.is_none_or(|tier| tier == section.tier);
            let rows = if wanted { section.rows.start as usize..section.rows.end as usize } else { 0..0 };
            return Box::new(rows.filter(fits));
        }
        // A performance may have tiers that no section is sold in.
        let of_tier = |TierIndex(tier)| self.tiers.get(usize::from(tier)).cloned().unwrap_or_default();
        let ranks = wish.tier.map_or(0..self.ranked.len(), of_tier);
        match self.fits.get(length as usize - 1) {
            Some(index) => Box::new(index.iter(ranks).map(|rank| self.ranked[rank] as usize)),
            None => Box::new(ranks.map(|rank| self.ranked[rank] as usize).filter(fits)),
        }
    }

    fn words_of(&self, row: usize) -> &[u64] {
        let row = &self.rows[row];
        &self.words[row.word..row.word + row.word_count()]
    }

    fn seats_at(&self, row: usize, place: u32, length: u32) -> SeatList {
        let first = self.rows[row].first.0 + place;
        (first..first + length).map(SeatIndex).collect()
    }
}

/// Rows by tier, then by distance from the stage, then by section.
fn ranking(map: &SeatMap) -> Vec<u32> {
    let key = |row: u32| {
        let section = map.rows()[row as usize].section;
        let home = &map.sections()[usize::from(section.0)];
        (home.tier, row - home.rows.start, section)
    };
    let mut rows: Vec<u32> = (0..map.rows().len() as u32).collect();
    rows.sort_by_key(|&row| key(row));
    rows
}

fn tier_ranges(map: &SeatMap, ranked: &[u32]) -> Vec<std::ops::Range<usize>> {
    let tier_of = |row: u32| map.sections()[usize::from(map.rows()[row as usize].section.0)].tier.0;
    let tiers = map.sections().iter().map(|section| section.tier.0 + 1).max().unwrap_or(0);
    let start = |tier: u16| ranked.partition_point(|&row| tier_of(row) < tier);
    (0..tiers).map(|tier| start(tier)..start(tier + 1)).collect()
}

/// The runs of set bits: start and length.
fn runs(words: &[u64]) -> impl Iterator<Item = (u32, u32)> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let start = next(words, at, false)?;
        at = next(words, start, true).unwrap_or(words.len() * 64);
        Some((start as u32, (at - start) as u32))
    })
}

/// The first bit from `at` on that is set, or clear where `inverted`.
fn next(words: &[u64], at: usize, inverted: bool) -> Option<usize> {
    let flip = if inverted { u64::MAX } else { 0 };
    let mut word = at / 64;
    let mut bits = (words.get(word)? ^ flip) & (u64::MAX << (at % 64));
    while bits == 0 {
        word += 1;
        bits = words.get(word)? ^ flip;
    }
    Some(word * 64 + bits.trailing_zeros() as usize)
}

fn longest_run(words: &[u64]) -> u32 {
    match words {
        [word] => longest_in_word(*word),
        words => runs(words).map(|(_, length)| length).max().unwrap_or(0),
    }
}

/// Each round shortens every run by one.
fn longest_in_word(mut word: u64) -> u32 {
    let mut length = 0;
    while word != 0 {
        word &= word << 1;
        length += 1;
    }
    length
}

/// Where in a row of `len` seats `length` of them are free side by side, as near to its middle as can be.
fn best_place(words: &[u64], len: u32, length: u32) -> Option<u32> {
    let ideal = (len - length.min(len)) / 2;
    let within = |(start, run): (u32, u32)| ideal.clamp(start, start + run - length);
    let places = runs(words).filter(|&(_, run)| run >= length).map(within);
    places.min_by_key(|place| place.abs_diff(ideal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive_longest(bits: &[bool]) -> u32 {
        bits.split(|free| !free).map(<[bool]>::len).max().unwrap_or(0) as u32
    }

    fn words(bits: &[bool]) -> Vec<u64> {
        let mut words = vec![0u64; bits.len().div_ceil(64)];
        bits.iter().enumerate().filter(|(_, free)| **free).for_each(|(at, _)| words[at / 64] |= 1 << (at % 64));
        words
    }

    proptest! {
        #[test]
        fn the_longest_run_is_what_counting_says(bits in prop::collection::vec(any::<bool>(), 1..200)) {
            prop_assert_eq!(longest_run(&words(&bits)), naive_longest(&bits));
        }

        #[test]
        fn a_place_is_free_and_none_is_nearer_the_middle(
            bits in prop::collection::vec(prop::bool::weighted(0.7), 1..150),
            length in 1u32..9,
        ) {
            let len = bits.len() as u32;
            let free = |place: u32| bits[place as usize..(place + length) as usize].iter().all(|free| *free);
            let places = (0..(len + 1).saturating_sub(length)).filter(|&place| free(place));
            let ideal = (len - length.min(len)) / 2;
            let nearest = places.map(|place| place.abs_diff(ideal)).min();
            let found = best_place(&words(&bits), len, length);
            prop_assert_eq!(found.map(|place| place.abs_diff(ideal)), nearest);
            prop_assert!(found.is_none_or(free));
        }
    }
}
