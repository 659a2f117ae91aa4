//! When each bot is meant to start: a value, computed before anything is sent.
//!
//! A closed loop, an open loop and a recorded profile differ in nothing but this value. Latency is measured from the
//! intended start, so a server that stalls cannot make its own figures better by keeping the bots from starting.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

use crate::random::Random;

/// The stream of the seed that arrival times are drawn from; bots use their numbers, far below.
const STREAM: u64 = u64::MAX;

/// The intended starts of all bots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Closed loop: each starts as soon as a connection is free for it.
    WhenFree {
        /// How many.
        count: u64,
    },
    /// Open loop: each starts at its time after the opening, whether a connection is free or not. In order of time.
    At(Vec<Duration>),
}

impl Schedule {
    /// Arrivals that know nothing of each other, `rate` of them a second on average: exponential gaps.
    pub(crate) fn poisson(seed: u64, rate: f64, count: u64) -> Self {
        let mut random = Random::new(seed, STREAM);
        let mut seconds = 0.0;
        let arrival = |_| {
            // unit() is below 1, so the logarithm is of a positive number.
            seconds -= (1.0 - random.unit()).ln() / rate;
            Duration::from_secs_f64(seconds)
        };
        Self::At((0..count).map(arrival).collect())
    }

    /// The arrivals of a recorded profile, at pseudo-random moments within each second.
    pub(crate) fn profile(seed: u64, profile: &Profile) -> Self {
        let mut random = Random::new(seed, STREAM);
        let mut times = Vec::new();
        for (second, &arrivals) in profile.0.iter().enumerate() {
            times.extend((0..arrivals).map(|_| Duration::from_secs_f64(second as f64 + random.unit())));
        }
        times.sort_unstable();
        Self::At(times)
    }

    /// How many bots there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::WhenFree { count } => *count,
            Self::At(times) => times.len() as u64,
        }
    }

    /// When the bot with this number is meant to start, counted from the opening; `None` where a connection decides.
    pub(crate) fn intended(&self, number: u64) -> Option<Duration> {
        match self {
            Self::WhenFree { .. } => None,
            Self::At(times) => times.get(usize::try_from(number).ok()?).copied(),
        }
    }
}

/// A recorded arrival profile: how many came in each second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(Vec<u32>);

impl Profile {
    /// Most arrivals of one profile; more would not fit a machine's memory comfortably.
    const ARRIVALS_MAX: u64 = 10_000_000;
    const EMF_CAMP: &str = include_str!("../profiles/emf-camp.txt");
    const FLASH_CROWD: &str = include_str!("../profiles/flash-crowd.txt");

    /// The profile with this name, `emf-camp` or `flash-crowd`, or the one in the file of this name.
    ///
    /// # Errors
    /// Where it is no such name, and no file with one number a line.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        match name {
            "emf-camp" => Ok(Self::EMF_CAMP.parse().expect("the profile that we ship is well-formed")),
            "flash-crowd" => Ok(Self::FLASH_CROWD.parse().expect("the profile that we ship is well-formed")),
            file => {
                let hint = || format!("no profile '{file}': name emf-camp, flash-crowd, or a readable file");
                let text = std::fs::read_to_string(Path::new(file)).with_context(hint)?;
                text.parse().with_context(|| format!("the profile {file} is not well-formed"))
            }
        }
    }
}

/// What is wrong with a profile's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseProfileError {
    /// This line (counted from 1) is neither a number nor a comment.
    Line(usize),
    /// It has no arrivals, or more than ten million.
    Arrivals,
}

impl fmt::Display for ParseProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line} is neither a number of arrivals nor a comment (#)"),
            Self::Arrivals => write!(f, "a profile has 1 to {} arrivals", Profile::ARRIVALS_MAX),
        }
    }
}

impl std::error::Error for ParseProfileError {}

impl FromStr for Profile {
    type Err = ParseProfileError;
    fn from_str(text: &str) -> Result<Self, ParseProfileError> {
        let mut seconds = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                seconds.push(line.parse().map_err(|_| ParseProfileError::Line(number + 1))?);
            }
        }
        let total: u64 = seconds.iter().copied().map(u64::from).sum();
        let sane = (1..=Self::ARRIVALS_MAX).contains(&total);
        sane.then_some(Self(seconds)).ok_or(ParseProfileError::Arrivals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_arrivals_repeat_by_seed_and_keep_their_rate() {
        let schedule = Schedule::poisson(3, 1_000.0, 20_000);
        assert_eq!(schedule, Schedule::poisson(3, 1_000.0, 20_000));
        assert_ne!(schedule, Schedule::poisson(4, 1_000.0, 20_000));
        let last = schedule.intended(19_999).unwrap().as_secs_f64();
        assert!((19.0..21.0).contains(&last), "20,000 arrivals at 1,000 a second took {last} s");
        assert!((1..20_000).all(|n| schedule.intended(n - 1) <= schedule.intended(n)));
    }

    #[test]
    fn the_emf_camp_sale_has_its_totals() {
        let profile = Profile::load("emf-camp").unwrap();
        assert_eq!(profile.0.len(), 17);
        assert_eq!(profile.0.iter().sum::<u32>(), 967);
        assert_eq!(profile.0.iter().max(), Some(&134));
        assert_eq!(Schedule::profile(1, &profile).count(), 967);
    }

    #[test]
    fn half_of_a_flash_crowd_comes_in_the_first_second() {
        let profile = Profile::load("flash-crowd").unwrap();
        assert_eq!(profile.0.iter().sum::<u32>(), 2 * profile.0[0]);
    }

    #[test]
    fn a_profile_keeps_its_seconds() {
        let schedule = Schedule::profile(9, &"2\n0 # nobody\n\n3".parse().unwrap());
        let seconds: Vec<u64> = (0..5).map(|n| schedule.intended(n).unwrap().as_secs()).collect();
        assert_eq!(seconds, [0, 0, 2, 2, 2]);
        assert_eq!(schedule.intended(5), None);
    }

    #[test]
    fn what_is_no_profile_says_where() {
        assert_eq!("1\nx".parse::<Profile>(), Err(ParseProfileError::Line(2)));
        assert_eq!("# nothing".parse::<Profile>(), Err(ParseProfileError::Arrivals));
        assert!(Profile::load("/no/such/file").unwrap_err().to_string().contains("emf-camp"));
    }
}
