//! Random numbers that a seed repeats: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A generator of its own for a part of the run.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }
}

/// The seed of `ONRUSH_SEED`, or a new one.
pub(crate) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    crate::number("ONRUSH_SEED", u64::from(now.subsec_nanos()))
}
