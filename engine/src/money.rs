//! Money: integer minor units and a currency, added with checks.

use std::fmt;
use std::str::FromStr;

use rkyv::rancor::{Fallible, Source};
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize)]
pub struct Currency([u8; 3]);

impl<D: Fallible<Error: Source> + ?Sized> Deserialize<Currency, D> for ArchivedCurrency {
    fn deserialize(&self, _: &mut D) -> Result<Currency, D::Error> {
        String::from_utf8_lossy(&self.0).parse().map_err(|error: ParseCurrencyError| D::Error::new(error))
    }
}

/// The text is not three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected an ISO 4217 code of three capital letters, such as KRW")]
pub struct ParseCurrencyError;

impl Currency {
    /// The South Korean won, which has no minor unit.
    pub const KRW: Self = Self(*b"KRW");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked capitals in from_str")
    }
}

impl FromStr for Currency {
    type Err = ParseCurrencyError;
    fn from_str(text: &str) -> Result<Self, ParseCurrencyError> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| ParseCurrencyError)?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code)).ok_or(ParseCurrencyError)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in minor units of one currency: 1 USD is 100, 1 KRW is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; a price is never negative.
    pub amount: i64,
    /// What the amount is counted in.
    pub currency: Currency,
}

impl Money {
    /// Largest price of one seat, in minor units: a hold of every seat of the largest hall still fits an `i64`.
    pub const PRICE_MAX: i64 = 1_000_000_000_000;

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The sum, or nothing where currencies differ or the sum cannot be written.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let amount = self.amount.checked_add(other.amount)?;
        (self.currency == other.currency).then_some(Self { amount, currency: self.currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_checked() {
        let won = |amount| Money { amount, currency: Currency::KRW };
        assert_eq!(won(2).checked_add(won(3)), Some(won(5)));
        assert_eq!(won(i64::MAX).checked_add(won(1)), None);
        assert_eq!(won(1).checked_add(Money::zero("USD".parse().unwrap())), None);
        assert!("krw".parse::<Currency>().is_err());
    }
}
