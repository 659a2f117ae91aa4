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

    /// A text that is cut, stretched and written over in places, as long as there are choices.
    pub(crate) fn changes(mut self, text: &str) -> String {
        let mut changed = text.as_bytes().to_vec();
        while !self.is_empty() {
            let place = (usize::from(self.byte()) << 8 | usize::from(self.byte())) % (changed.len() + 1);
            match self.byte() % 5 {
                0 if place < changed.len() => changed[place] = self.byte() & 0x7f,
                1 => changed.insert(place, self.byte() & 0x7f),
                2 if place < changed.len() => drop(changed.remove(place)),
                3 => changed.truncate(place),
                _ => changed.rotate_left(place),
            }
        }
        String::from_utf8(changed).expect("ASCII")
    }

    /// One of several things.
    pub(crate) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::from(self.byte()) % things.len()]
    }
}
