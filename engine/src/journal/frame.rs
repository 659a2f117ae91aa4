//! A record's header: who wrote it, where it belongs, and the chain of digests.
//!
//! ```text
//! "ONRJ" | format u16 | zero u16 | epoch u64 | stream u64 | sequence u64 | length u32 | previous 16 | digest 16 | body
//! ```
//! Numbers are little-endian. The digest is the first half of the BLAKE3 hash of everything before it and of the body
//! (<https://github.com/BLAKE3-team/BLAKE3-specs>); `previous` is that of the record before. So a record proves itself,
//! and the last one proves all.

use std::fmt;
use std::ops::Deref;

use thiserror::Error;

use super::Stream;
use crate::seeded::Bug;

const MAGIC: [u8; 4] = *b"ONRJ";
/// The latest format of body and header; grows when either changes. A record has the earliest that can say what it says.
pub const FORMAT: u16 = 4;
/// Bytes before the body.
pub const HEADER_LEN: usize = 68;
const DIGEST_AT: usize = HEADER_LEN - 16;
/// No stream has so many records, and no engine so many starts: a thousand a second for thirty years. So neither number
/// grows out of its 64 bits, and neither does the sum over all streams.
const COUNT_MAX: u64 = 1 << 40;

/// What a record is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// What the first record of a stream has before it.
    pub const GENESIS: Self = Self([0; 16]);

    /// The digest of some bytes.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(digest)
    }
}

impl fmt::Display for Digest {
    /// 32 digits, as `b3sum` writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// What the next record gets.
    pub next_sequence: u64,
    /// The digest of the last one.
    pub tip: Digest,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next_sequence: 0, tip: Digest::GENESIS }
    }
}

/// What a record says, and in which format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// From 1 to [`FORMAT`].
    pub format: u16,
    /// The archive.
    pub bytes: Vec<u8>,
}

impl Deref for Body {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A record as it goes into the store.
pub struct Frame {
    /// Header and body.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
}

/// A record as it came from the store.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who wrote it.
    pub epoch: u64,
    /// Where it belongs.
    pub stream: Stream,
    /// Its place there.
    pub sequence: u64,
    /// The digest of the one before.
    pub previous: Digest,
    /// Its own.
    pub digest: Digest,
    /// The format of what it says.
    pub format: u16,
    /// What it says.
    pub body: &'a [u8],
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Not what it was when it was written.
    #[error("the record is damaged")]
    Damaged,
    /// It is what it was, but nothing that is written: a reserved field, a length or a number is wrong.
    #[error("the record's {0} is not what its format says")]
    Header(&'static str),
    /// Written by a later version.
    #[error("the record has format {found}; this version reads up to {FORMAT}")]
    UnknownFormat {
        /// Its format.
        found: u16,
    },
}

impl Frame {
    /// A record with its header.
    pub fn encode(epoch: u64, stream: Stream, sequence: u64, previous: Digest, body: &Body) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&body.format.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&epoch.to_le_bytes());
        bytes.extend_from_slice(&stream.0.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&previous.0);
        let digest = Digest::of(&[&bytes, body]);
        bytes.extend_from_slice(&digest.0);
        bytes.extend_from_slice(body);
        Self { bytes, digest }
    }
}

impl<'a> Record<'a> {
    /// Reads a record and checks its digest.
    ///
    /// # Errors
    /// [`FrameError`], where it is damaged or of a later format.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (header, body) = bytes.split_at_checked(HEADER_LEN).ok_or(FrameError::Damaged)?;
        let digest = Digest(header[DIGEST_AT..].try_into().expect("16 bytes"));
        if header[..4] != MAGIC
            || (Digest::of(&[&header[..DIGEST_AT], body]) != digest && !Bug::DigestUnchecked.is_on())
        {
            return Err(FrameError::Damaged);
        }
        let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let found = u16::from_le_bytes([header[4], header[5]]);
        if found > FORMAT {
            return Err(FrameError::UnknownFormat { found });
        }
        let fields = [
            ("format", found > 0),
            ("reserved field", header[6..8] == [0; 2]),
            ("epoch", word(8) <= COUNT_MAX),
            ("sequence", word(24) <= COUNT_MAX),
            ("length", half(32) as usize == body.len()),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, holds)| !holds) {
            return Err(FrameError::Header(field));
        }
        Ok(Self {
            epoch: word(8),
            stream: Stream(word(16)),
            sequence: word(24),
            previous: Digest(header[36..52].try_into().expect("16 bytes")),
            digest,
            format: found,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let frame = Frame::encode(3, Stream(7), 9, Digest::GENESIS, &body(b"two seats")).bytes;
        assert_eq!(Record::decode(&frame).unwrap().body, b"two seats");
        for at in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(Record::decode(&damaged), Err(FrameError::Damaged), "bit {at}");
        }
        for cut in 0..frame.len() {
            assert_eq!(Record::decode(&frame[..cut]), Err(FrameError::Damaged), "cut at {cut}");
        }
    }

    fn body(bytes: &[u8]) -> Body {
        Body { format: 1, bytes: bytes.to_vec() }
    }

    /// A record without a body that has another byte somewhere, and the digest for it.
    fn with(at: usize, byte: u8) -> Vec<u8> {
        let mut frame = Frame::encode(3, Stream(7), 9, Digest::GENESIS, &body(b"")).bytes;
        frame[at] = byte;
        let digest = Digest::of(&[&frame[..DIGEST_AT]]);
        frame[DIGEST_AT..].copy_from_slice(&digest.0);
        frame
    }

    #[test]
    fn a_later_format_is_refused_by_name() {
        let later = FORMAT + 1;
        assert_eq!(Record::decode(&with(4, later as u8)), Err(FrameError::UnknownFormat { found: later }));
    }

    #[test]
    fn a_header_that_nobody_writes_is_refused_by_its_field() {
        for (at, field) in [(7, "reserved field"), (15, "epoch"), (31, "sequence"), (32, "length")] {
            assert_eq!(Record::decode(&with(at, 1)), Err(FrameError::Header(field)));
        }
    }
}
