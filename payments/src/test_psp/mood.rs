//! What goes wrong on demand: said by the payment's amount, or by a header of whoever pays.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// What a payment goes through. By default, nothing out of the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mood {
    /// The bank says no.
    pub(super) declined: bool,
    /// The bank takes so long.
    pub(super) delay: Duration,
    /// Every notice comes so many times more.
    pub(super) again: u32,
    /// No notice ever comes.
    pub(super) silent: bool,
    /// Notices come in the wrong order.
    pub(super) reordered: bool,
    /// The money that was reserved cannot be collected.
    pub(super) capture_fails: bool,
    /// Every step is taken, and its first answer lost.
    pub(super) loses_answers: bool,
}

/// The last two digits of an amount, and what they mean.
pub(super) const BY_AMOUNT: &[(i64, &str)] = &[
    (1, "declined"),
    (2, "again=2"),
    (3, "silent"),
    (4, "delay=10000"),
    (5, "capture-fails"),
    (6, "loses-answers"),
    (7, "reordered"),
];

/// A word that is no mood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no mood: declined, delay=<ms>, again=<times>, silent, reordered, capture-fails, loses-answers")]
pub(super) struct ParseMoodError(String);

impl FromStr for Mood {
    type Err = ParseMoodError;
    fn from_str(text: &str) -> Result<Self, ParseMoodError> {
        let mut mood = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let wrong = || ParseMoodError(word.to_owned());
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "declined" => mood.declined = true,
                "delay" => mood.delay = value.parse().map(Duration::from_millis).map_err(|_| wrong())?,
                "again" => mood.again = value.parse().ok().filter(|times| *times <= 10).ok_or_else(wrong)?,
                "silent" => mood.silent = true,
                "reordered" => mood.reordered = true,
                "capture-fails" => mood.capture_fails = true,
                "loses-answers" => mood.loses_answers = true,
                _ => return Err(wrong()),
            }
        }
        Ok(mood)
    }
}

impl Mood {
    /// What an amount says.
    pub(super) fn of_amount(amount: i64) -> Self {
        let word = BY_AMOUNT.iter().find(|(digits, _)| amount % 100 == *digits).map(|(_, word)| *word);
        word.unwrap_or("").parse().expect("the table has moods only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_or_a_header_says_what_goes_wrong() {
        assert_eq!(Mood::of_amount(165_000), Mood::default());
        assert!(Mood::of_amount(50_001).declined);
        for (digits, word) in BY_AMOUNT {
            assert_eq!(Mood::of_amount(1_000 + digits), word.parse().unwrap());
        }
        let mood: Mood = "delay=50, again=2,silent".parse().unwrap();
        assert_eq!((mood.delay, mood.again, mood.silent), (Duration::from_millis(50), 2, true));
        assert!("loud".parse::<Mood>().is_err());
        assert!("again=11".parse::<Mood>().is_err());
    }
}
