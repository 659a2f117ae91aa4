//! Bytes as a row of choices: each takes a few from the front, and there is always one more.

/// See the module.
pub(crate) struct Input<'a>(&'a [u8]);

/// Numbers at which something ends.
const EDGES: [u64; 12] = [
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 40,
    u32::MAX as u64 + 1,
    u32::MAX as u64,
    u32::MAX as u64 - 1,
    1 << 31,
    200_000,
    1 << 16,
    (1 << 16) - 1,
];

impl<'a> Input<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What no choice was made from.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The next byte; 0 behind the last.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number that is small, or at an edge.
    pub(crate) fn word(&mut self) -> u64 {
        let byte = self.byte();
        usize::from(byte).checked_sub(256 - EDGES.len()).map_or(u64::from(byte), |edge| EDGES[edge])
    }

    /// The low half of such a number.
    pub(crate) fn number(&mut self) -> u32 {
        self.word() as u32
    }

    /// The bits of such a number, with a sign.
    pub(crate) fn signed(&mut self) -> i64 {
        self.word() as i64
    }

    /// At most `most` numbers.
    pub(crate) fn numbers(&mut self, most: u8) -> Vec<u32> {
        (0..self.byte() % (most + 1)).map(|_| self.number()).collect()
    }

    /// Yes or no.
    pub(crate) fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of several things.
    pub(crate) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::from(self.byte()) % things.len()]
    }
}
