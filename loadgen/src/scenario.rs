//! Who comes to the sale, as data: the mix of buyers, and each bot's kind and wish from the seed.
//!
//! A rush sells out in seconds, so most buyers are the ones who lose. The mix has what makes an engine work hard:
//! people who point at seats on a plan that is already old, people who leave the choice to the machine, people who
//! reach for exactly what another has just taken, and people who take seats and walk away.

use std::fmt;
use std::str::FromStr;

use crate::random::Random;

/// How a buyer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuyerKind {
    /// Points at seats on the seat map; where they are gone, looks at the availability and points again.
    Picker,
    /// Takes what the engine says is best.
    BestAvailable,
    /// Reaches for what somebody else has just taken, is refused, and tries the next.
    Contender,
    /// Holds seats and walks away: only the clock brings them back.
    Abandoner,
}

/// The weights of the kinds of buyers, and how many of all release their hold instead of booking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Weight of those who pick seats.
    pub pickers: u32,
    /// Weight of those who take best available.
    pub best_available: u32,
    /// Weight of those who pick what somebody else just took.
    pub contenders: u32,
    /// Weight of those who abandon their hold without a word.
    pub abandoners: u32,
    /// Percent of the others who change their mind and release their hold.
    pub release_percent: u32,
}

impl Mix {
    /// What a rush has unless it is told otherwise.
    pub const DEFAULT: Self =
        Self { pickers: 50, best_available: 40, contenders: 7, abandoners: 3, release_percent: 3 };
    /// Weights stay small, so that no sum of them overflows.
    const WEIGHT_MAX: u32 = 1_000_000;

    fn kind(self, random: &mut Random) -> BuyerKind {
        let drawn = random.below(self.pickers + self.best_available + self.contenders + self.abandoners);
        let contenders_from = self.pickers + self.best_available;
        match drawn {
            place if place < self.pickers => BuyerKind::Picker,
            place if place < contenders_from => BuyerKind::BestAvailable,
            place if place < contenders_from + self.contenders => BuyerKind::Contender,
            _ => BuyerKind::Abandoner,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pickers, best_available, contenders, abandoners, release_percent } = self;
        write!(f, "pickers={pickers},best-available={best_available},contenders={contenders},")?;
        write!(f, "abandoners={abandoners},release={release_percent}")
    }
}

/// Why a text is no mix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMixError {
    /// A part is not `name=number`.
    #[error("'{0}' is not of the form name=number")]
    Form(String),
    /// No such kind of buyer.
    #[error("'{0}' is none of pickers, best-available, contenders, abandoners, release")]
    Name(String),
    /// A number outside its range, or nobody at all.
    #[error("weights go from 0 to 1000000, not all of them 0, and release from 0 to 100 percent")]
    Range,
}

impl FromStr for Mix {
    type Err = ParseMixError;
    /// `pickers=50,best-available=40`; a kind that is not named does not come.
    fn from_str(text: &str) -> Result<Self, ParseMixError> {
        let mut mix = Self { pickers: 0, best_available: 0, contenders: 0, abandoners: 0, release_percent: 0 };
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or_else(|| ParseMixError::Form(part.to_owned()))?;
            let number: u32 = number.trim().parse().map_err(|_| ParseMixError::Form(part.to_owned()))?;
            if number > Self::WEIGHT_MAX {
                return Err(ParseMixError::Range);
            }
            *mix.weight(name.trim())? = number;
        }
        let nobody = mix.pickers + mix.best_available + mix.contenders + mix.abandoners == 0;
        if nobody || mix.release_percent > 100 { Err(ParseMixError::Range) } else { Ok(mix) }
    }
}

impl Mix {
    fn weight(&mut self, name: &str) -> Result<&mut u32, ParseMixError> {
        match name {
            "pickers" => Ok(&mut self.pickers),
            "best-available" => Ok(&mut self.best_available),
            "contenders" => Ok(&mut self.contenders),
            "abandoners" => Ok(&mut self.abandoners),
            "release" => Ok(&mut self.release_percent),
            _ => Err(ParseMixError::Name(name.to_owned())),
        }
    }
}

/// Whether a bot comes for the first time, or back after it found nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    /// As the mix says.
    First,
    /// Takes best available and keeps it: those who come back for returned seats have stopped choosing.
    Second,
}

/// One bot: what it is and what it wants. The same seed and number give the same bot.
#[derive(Debug, Clone)]
pub(crate) struct Bot {
    /// How it behaves.
    pub(crate) kind: BuyerKind,
    /// How many seats it wants: 1 to 4.
    pub(crate) party: u32,
    /// Whether it releases its hold instead of booking it.
    pub(crate) releases: bool,
    /// Its further choices.
    pub(crate) random: Random,
}

impl Bot {
    const PARTY_MAX: u32 = 4;

    /// The bot with this number.
    pub(crate) fn new(seed: u64, number: u64, mix: Mix, chance: Chance) -> Self {
        let mut random = Random::new(seed, number);
        let party = 1 + random.below(Self::PARTY_MAX);
        let kind = mix.kind(&mut random);
        let changes_mind = random.below(100) < mix.release_percent;
        match chance {
            Chance::First => Self { kind, party, releases: changes_mind && kind != BuyerKind::Abandoner, random },
            Chance::Second => Self { kind: BuyerKind::BestAvailable, party, releases: false, random },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bots(seed: u64, count: u64) -> Vec<(BuyerKind, u32, bool)> {
        let bot = |number| Bot::new(seed, number, Mix::DEFAULT, Chance::First);
        (0..count).map(bot).map(|bot| (bot.kind, bot.party, bot.releases)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bots() {
        assert_eq!(bots(42, 500), bots(42, 500));
        assert_ne!(bots(42, 500), bots(43, 500));
    }

    #[test]
    fn the_crowd_has_the_mix_that_was_asked_for() {
        let bots = bots(1, 100_000);
        let share = |kind| bots.iter().filter(|bot| bot.0 == kind).count();
        assert!((49_000..51_000).contains(&share(BuyerKind::Picker)));
        assert!((39_000..41_000).contains(&share(BuyerKind::BestAvailable)));
        assert!((6_500..7_500).contains(&share(BuyerKind::Contender)));
        assert!((2_700..3_300).contains(&share(BuyerKind::Abandoner)));
        assert!((2_600..3_200).contains(&bots.iter().filter(|bot| bot.2).count()));
        assert!(bots.iter().all(|bot| (1..=4).contains(&bot.1)));
    }

    #[test]
    fn a_mix_reads_back_and_nonsense_is_named() {
        assert_eq!(Mix::DEFAULT.to_string().parse(), Ok(Mix::DEFAULT));
        assert_eq!("pickers=1".parse::<Mix>().unwrap().release_percent, 0);
        assert_eq!("dancers=1".parse::<Mix>(), Err(ParseMixError::Name("dancers".to_owned())));
        assert_eq!("pickers".parse::<Mix>(), Err(ParseMixError::Form("pickers".to_owned())));
        assert_eq!("pickers=0".parse::<Mix>(), Err(ParseMixError::Range));
        assert_eq!("pickers=1,release=101".parse::<Mix>(), Err(ParseMixError::Range));
    }

    #[test]
    fn who_comes_back_wants_whatever_is_best_and_keeps_it() {
        let second = |number| Bot::new(1, number, Mix::DEFAULT, Chance::Second);
        assert!((0..100).map(second).all(|bot| bot.kind == BuyerKind::BestAvailable && !bot.releases));
    }
}
