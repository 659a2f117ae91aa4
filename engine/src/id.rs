//! Identifiers: distinct types, each with its prefix, readable at the border only.
//!
//! A show's and a performance's id is a random 64-bit number. A hold, a booking and a block live inside one
//! performance, and their ids say so: performance, dense number, nonce. Any process can route such an id without a
//! look-up, the inventory finds the object by its number without hashing, and nobody can guess the nonce.
//!
//! The text form is the prefix and Crockford's base32 in lower case (<https://www.crockford.com/base32.html>).

use std::fmt;
use std::str::FromStr;

use rkyv::rancor::{Fallible, Source};
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseIdError {
    /// The text starts with something else than the type's prefix.
    #[error("expected an identifier that starts with '{0}'")]
    Prefix(&'static str),
    /// What follows the prefix has the wrong length or an alien character.
    #[error("what follows '{0}' is not a valid identifier")]
    Digits(&'static str),
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Maps an ASCII byte to its digit; 255 where there is none. A table, because ids are parsed on the hot path.
const DIGITS: [u8; 256] = {
    let mut digits = [255u8; 256];
    let mut value = 0;
    while value < 32 {
        digits[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// 64 bits are 13 digits; the top digit holds 4 bits.
const WORD_DIGITS: usize = 13;
/// 64 + 32 + 64 bits are exactly 32 digits.
const PLACE_DIGITS: usize = 32;

fn encode<const N: usize>(mut value: u128) -> [u8; N] {
    let mut digits = [0u8; N];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    digits
}

fn decode(digits: &[u8]) -> Option<u128> {
    let mut value = 0u128;
    for &digit in digits {
        let bits = DIGITS[digit as usize];
        if bits == 255 {
            return None;
        }
        value = (value << 5) | u128::from(bits);
    }
    Some(value)
}

fn write_digits(f: &mut fmt::Formatter<'_>, prefix: &str, digits: &[u8]) -> fmt::Result {
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(digits).expect("the alphabet is ASCII"))
}

macro_rules! word_id {
    ($name:ident, $prefix:literal, $what:literal) => {
        #[doc = concat!("Identifies ", $what, "; `", $prefix, "` and 13 digits.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_digits(f, $prefix, &encode::<WORD_DIGITS>(u128::from(self.0)))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix($prefix).ok_or(ParseIdError::Prefix($prefix))?.as_bytes();
                let value = (digits.len() == WORD_DIGITS).then(|| decode(digits)).flatten();
                value.and_then(|value| u64::try_from(value).ok()).map(Self).ok_or(ParseIdError::Digits($prefix))
            }
        }
    };
}

word_id!(ShowId, "show_", "a show");
word_id!(PerformanceId, "perf_", "a performance");
word_id!(EngineId, "eng_", "an engine, by its journal");

macro_rules! place_id {
    ($name:ident, $prefix:literal, $what:literal) => {
        #[doc = concat!("Identifies ", $what, " of one performance; `", $prefix, "` and 32 digits.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
        pub struct $name {
            /// The performance it lives in: where a request about it has to go.
            pub performance: PerformanceId,
            /// Its dense number in that performance, never used again.
            pub number: u32,
            /// Drawn by whoever sent the command, so that ids cannot be guessed.
            pub nonce: u64,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let high = (u128::from(self.performance.0) << 16) | u128::from(self.number >> 16);
                let low = (u128::from(self.number & 0xffff) << 64) | u128::from(self.nonce);
                let mut digits = [0u8; PLACE_DIGITS];
                digits[..16].copy_from_slice(&encode::<16>(high));
                digits[16..].copy_from_slice(&encode::<16>(low));
                write_digits(f, $prefix, &digits)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix($prefix).ok_or(ParseIdError::Prefix($prefix))?.as_bytes();
                if digits.len() != PLACE_DIGITS {
                    return Err(ParseIdError::Digits($prefix));
                }
                let high = decode(&digits[..16]).ok_or(ParseIdError::Digits($prefix))?;
                let low = decode(&digits[16..]).ok_or(ParseIdError::Digits($prefix))?;
                Ok(Self {
                    performance: PerformanceId((high >> 16) as u64),
                    number: ((high as u32 & 0xffff) << 16) | (low >> 64) as u32,
                    nonce: low as u64,
                })
            }
        }
    };
}

place_id!(HoldId, "hold_", "a hold");
place_id!(BookingId, "bkg_", "a booking");
place_id!(BlockId, "blk_", "a block of house seats");
place_id!(TicketId, "tkt_", "the ticket of one seat of a booking; `number` is the booking's,");

impl TicketId {
    /// The id of a booking's ticket for a seat.
    pub fn of(booking: BookingId, seat: u32) -> Self {
        let BookingId { performance, number, nonce } = booking;
        // Whoever knows the booking knows its tickets; nobody else guesses one.
        let tag = nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Self { performance, number, nonce: u64::from(seat) << 32 | tag }
    }

    /// The seat's index.
    pub fn seat(&self) -> u32 {
        (self.nonce >> 32) as u32
    }
}

/// Identifies an account: `acc_` and 1 to 36 letters, digits, `_` or `-`.
///
/// Kept inline, so that a command that carries one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize)]
#[rkyv(derive(PartialEq, Eq, PartialOrd, Ord))]
pub struct AccountId {
    /// Invariant: ASCII in `..len`, zero behind it, so that derived equality and order are those of the text.
    bytes: [u8; AccountId::LEN_MAX],
    len: u8,
}

impl AccountId {
    const PREFIX: &'static str = "acc_";
    /// Longest text in bytes, prefix included: a UUID fits.
    pub const LEN_MAX: usize = 40;

    /// The text, prefix included.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("checked ASCII in from_str")
    }
}

impl FromStr for AccountId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let name = text.strip_prefix(Self::PREFIX).ok_or(ParseIdError::Prefix(Self::PREFIX))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || text.len() > Self::LEN_MAX || !name.bytes().all(plain) {
            return Err(ParseIdError::Digits(Self::PREFIX));
        }
        let mut bytes = [0; Self::LEN_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len: text.len() as u8 })
    }
}

impl<D: Fallible<Error: Source> + ?Sized> Deserialize<AccountId, D> for ArchivedAccountId {
    fn deserialize(&self, _: &mut D) -> Result<AccountId, D::Error> {
        let text = &self.bytes[..usize::from(self.len).min(AccountId::LEN_MAX)];
        String::from_utf8_lossy(text).parse().map_err(|error: ParseIdError| D::Error::new(error))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back(performance: u64, number: u32, nonce: u64) {
            let performance = PerformanceId(performance);
            prop_assert_eq!(performance.to_string().parse(), Ok(performance));
            let hold = HoldId { performance, number, nonce };
            prop_assert_eq!(hold.to_string().parse(), Ok(hold));
            prop_assert!(hold.to_string().parse::<BookingId>().is_err());
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,64}") {
            let _ = text.parse::<PerformanceId>();
            let _ = text.parse::<HoldId>();
            let _ = text.parse::<AccountId>();
        }
    }

    #[test]
    fn account_ids_have_a_prefix_a_length_and_an_alphabet() {
        assert_eq!("acc_kim".parse::<AccountId>().unwrap().as_str(), "acc_kim");
        assert!("kim".parse::<AccountId>().is_err());
        assert!("acc_".parse::<AccountId>().is_err());
        assert!("acc_a b".parse::<AccountId>().is_err());
        assert!(format!("acc_{}", "x".repeat(36)).parse::<AccountId>().is_ok());
        assert!(format!("acc_{}", "x".repeat(37)).parse::<AccountId>().is_err());
    }

    #[test]
    fn a_number_of_too_many_bits_is_refused() {
        assert!("perf_zzzzzzzzzzzzz".parse::<PerformanceId>().is_err());
    }
}
