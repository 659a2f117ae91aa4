//! Time as the engine knows it: a number that comes in from outside.
//!
//! Nothing in the inventory reads a clock. This file has the one place in the engine that does, for the owner thread.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rkyv::rancor::{Fallible, Source};
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize)]
pub struct Timestamp(i64);

/// Not a time that the engine accepts.
#[derive(Debug, Error)]
#[error("{0} ms since 1970 is no time of the engine's")]
struct NoTime(i64);

impl<D: Fallible<Error: Source> + ?Sized> Deserialize<Timestamp, D> for ArchivedTimestamp {
    fn deserialize(&self, _: &mut D) -> Result<Timestamp, D::Error> {
        let millis = self.0.to_native();
        Timestamp::at_millis(millis).ok_or_else(|| D::Error::new(NoTime(millis)))
    }
}

impl Timestamp {
    /// The earliest point that the engine accepts: 1970.
    pub const MIN: Self = Self(0);
    /// The latest point that the engine accepts: the end of the year 9999, as far as time libraries go.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since 1970, kept between [`Self::MIN`] and [`Self::MAX`].
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// From milliseconds since 1970, if they lie between [`Self::MIN`] and [`Self::MAX`].
    pub fn at_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> i64 {
        self.0
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    /// The span since `earlier`; nothing where `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

/// Where the owner thread gets its time from: the machine, or a simulation.
pub trait Clock {
    /// The time now. Never goes back between two calls.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock as it stood at the start, carried on by its monotonic clock.
///
/// A step of the wall clock while a sale runs, back or far ahead, therefore neither frees nor extends a hold
/// (threat 7: clock step or skew). A drift of some seconds a month is corrected by the next start.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    wall_at_start: Timestamp,
    start: Instant,
}

impl SystemClock {
    /// Reads the wall clock, once.
    #[expect(clippy::disallowed_methods, reason = "the one place of the engine that reads a clock")]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_at_start = Timestamp::MIN + wall;
        Self { wall_at_start, start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.wall_at_start + self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stay_within_what_can_be_written() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(-5), Timestamp::MIN);
        assert_eq!((Timestamp::at_millis(-1), Timestamp::at_millis(0)), (None, Some(Timestamp::MIN)));
        assert_eq!(Timestamp::MIN - Timestamp::MAX, Duration::ZERO);
    }
}
