//! Values that JSON carries as text: identifiers and times; and money, which it carries as an object.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use onrush_engine::money;
use onrush_engine::time::Timestamp;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A value that is written with [`Display`] and read with [`FromStr`]: an identifier, a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
        text.parse().map(Text).map_err(E::custom)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A point in time, as RFC 3339 in UTC with milliseconds: `2026-11-21T09:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0.as_millis()).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

/// The text is no RFC 3339 time between the years 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time from 1970 on, such as 2026-12-01T19:30:00Z")]
pub struct ParseTimeError;

impl FromStr for Time {
    type Err = ParseTimeError;
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| ParseTimeError)?;
        Timestamp::at_millis(time.as_millisecond()).map(Self).ok_or(ParseTimeError)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|Text(time)| time)
    }
}

/// An amount in integer minor units (KRW has none) and an ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units.
    #[schema(example = 165000)]
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "KRW")]
    pub currency: Text<CurrencyCode>,
}

/// An ISO 4217 code as JSON carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyCode(pub money::Currency);

impl Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for CurrencyCode {
    type Err = money::ParseCurrencyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Self { amount: money.amount, currency: Text(CurrencyCode(money.currency)) }
    }
}

impl From<Money> for money::Money {
    fn from(money: Money) -> Self {
        Self { amount: money.amount, currency: money.currency.0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time: Time = "2026-12-01T19:30:00+09:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-12-01T10:30:00.000Z");
        assert!("2026-12-01".parse::<Time>().is_err());
        assert!("1969-12-01T19:30:00Z".parse::<Time>().is_err());
        assert_eq!(Time(Timestamp::MAX).to_string().parse(), Ok(Time(Timestamp::MAX)));
    }
}
