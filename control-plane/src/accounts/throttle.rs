//! How often somebody may try: a few wrong passwords in a row are human, a hundred are not.
//!
//! Nobody is ever locked out: a bucket fills again, one try after the other, and `Retry-After` says when. From a place at
//! which its owner has signed in before, an account has a bucket of its own, so that strangers who guess at it do not
//! stand in its owner's way (ASVS 5.0, 6.1.1).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_engine::time::Timestamp;
use quick_cache::unsync::Cache;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Tries at one account from places that it does not know; the address that was given, digested.
    Strangers(u64),
    /// Tries at one account from a place that it knows; both digested.
    Known(u64, u64),
    /// Wrong tries from one place, whatever the account.
    Place(u64),
    /// Accounts made from one place.
    SignUps(u64),
    /// Guests' tokens that one place has got.
    Guests(u64),
    /// Tries at one guest's password; the guest's id, or that of the booking where there is no guest, digested.
    Guest(u64),
    /// New addresses of one account; each tells whether somebody else has it.
    Moves(u64),
}

impl Subject {
    /// How many tries a full bucket has, and how long it takes for one to come back. In less time than that there are never
    /// more than the bucket has: five at one account in a quarter of an hour, wherever that begins.
    fn limit(self) -> (u32, Duration) {
        match self {
            Self::Strangers(_) | Self::Known(..) | Self::Guest(_) => (5, Duration::from_mins(15)),
            Self::Place(_) => (50, Duration::from_secs(18)),
            Self::SignUps(_) | Self::Guests(_) => (20, Duration::from_mins(3)),
            Self::Moves(_) => (5, Duration::from_hours(1)),
        }
    }
}

/// How full a bucket was.
#[derive(Debug, Clone, Copy)]
struct Level {
    left: f64,
    at: Timestamp,
}

type Buckets = Cache<Subject, Level>;

/// See the module.
pub struct Throttle {
    /// Of tries at passwords. Each takes a hash, which takes some hundredths of a second, two at a time: those of the hour and a
    /// quarter in which a bucket fills again have room here, so nobody has one forgotten by trying something else meanwhile.
    guesses: Mutex<Buckets>,
    /// Of what costs nobody much to ask for.
    others: Mutex<Buckets>,
}

/// Buckets that are remembered; beyond that one that was used little is taken for full again. A try has two of them.
const GUESSES_MAX: usize = 1_000_000;
/// The same of what costs nobody much.
const OTHERS_MAX: usize = 200_000;

impl Default for Throttle {
    fn default() -> Self {
        Self::with_room(GUESSES_MAX, OTHERS_MAX)
    }
}

impl Throttle {
    fn with_room(guesses_max: usize, others_max: usize) -> Self {
        Self { guesses: Mutex::new(Cache::new(guesses_max)), others: Mutex::new(Cache::new(others_max)) }
    }

    /// Takes one try of each subject, or none at all if one of them has none left.
    ///
    /// # Errors
    /// After how long there is one again.
    pub fn take(&self, subjects: &[Subject], now: Timestamp) -> Result<(), Duration> {
        let mut levels = self.buckets(subjects);
        let left: Vec<f64> = subjects.iter().map(|subject| left(&levels, *subject, now)).collect();
        let waits = subjects.iter().zip(&left).filter(|(_, left)| **left < 1.0);
        if let Some(wait) = waits.map(|(subject, left)| subject.limit().1.mul_f64(1.0 - left)).max() {
            return Err(wait);
        }
        for (subject, left) in subjects.iter().zip(left) {
            levels.insert(*subject, Level { left: left - 1.0, at: now });
        }
        Ok(())
    }

    /// Gives the try of each subject back: it was a right one, or none.
    pub fn give_back(&self, subjects: &[Subject], now: Timestamp) {
        let mut levels = self.buckets(subjects);
        for subject in subjects {
            let left = left(&levels, *subject, now) + 1.0;
            if left < f64::from(subject.limit().0) {
                levels.insert(*subject, Level { left, at: now });
            } else {
                // A full bucket says nothing, and takes no room.
                levels.remove(subject);
            }
        }
    }

    /// Those that these subjects, which are tried together, are among.
    fn buckets(&self, subjects: &[Subject]) -> MutexGuard<'_, Buckets> {
        let cheap = |subject: &Subject| matches!(subject, Subject::SignUps(_) | Subject::Guests(_) | Subject::Moves(_));
        let buckets = if subjects.first().is_some_and(cheap) { &self.others } else { &self.guesses };
        buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(levels: &Buckets, subject: Subject, now: Timestamp) -> f64 {
    let (full, each) = subject.limit();
    let full = f64::from(full);
    let gained = |level: &Level| level.left + (now - level.at).as_secs_f64() / each.as_secs_f64();
    levels.get(&subject).map_or(full, gained).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::MIN;

    fn tries(throttle: &Throttle, subjects: &[Subject], now: Timestamp) -> usize {
        (0..100).take_while(|_| throttle.take(subjects, now).is_ok()).count()
    }

    #[test]
    fn five_tries_and_then_one_every_quarter_of_an_hour() {
        let throttle = Throttle::default();
        let subject = [Subject::Strangers(1)];
        assert_eq!(tries(&throttle, &subject, NOW), 5);
        assert_eq!(throttle.take(&subject, NOW), Err(Duration::from_mins(15)));
        assert_eq!(tries(&throttle, &subject, NOW + Duration::from_secs(899)), 0);
        assert_eq!(tries(&throttle, &subject, NOW + Duration::from_secs(901)), 1);
        assert_eq!(tries(&throttle, &subject, NOW + Duration::from_hours(9)), 5);
    }

    #[test]
    fn no_quarter_of_an_hour_has_more_than_five() {
        let throttle = Throttle::default();
        let minutes = (0..600).map(|minute| NOW + Duration::from_mins(minute));
        let tried = |at: &Timestamp| throttle.take(&[Subject::Strangers(1)], *at).is_ok();
        let when: Vec<Timestamp> = minutes.filter(tried).collect();
        assert!(when.len() >= 5 + 38, "one comes back each time: {}", when.len());
        assert!(when.windows(6).all(|six| six[5] - six[0] >= Duration::from_mins(15)), "{when:?}");
    }

    #[test]
    fn strangers_do_not_stand_in_the_way_of_whom_the_account_knows() {
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, &[Subject::Strangers(1)], NOW), 5);
        assert_eq!(tries(&throttle, &[Subject::Known(1, 7)], NOW), 5);
        assert_eq!(tries(&throttle, &[Subject::Strangers(2)], NOW), 5);
    }

    #[test]
    fn a_right_try_costs_nothing() {
        let throttle = Throttle::default();
        let subject = [Subject::Strangers(1)];
        for _ in 0..100 {
            throttle.take(&subject, NOW).unwrap();
            throttle.give_back(&subject, NOW);
        }
        assert_eq!(tries(&throttle, &subject, NOW), 5);
    }

    #[test]
    fn nothing_that_costs_no_hash_makes_a_try_forgotten() {
        let throttle = Throttle::with_room(1_000, 1_000);
        // Each was tried once only: what is used often stays in memory anyhow.
        let victims = (0..500).map(|number| [Subject::Strangers(1_000_000 + number)]);
        victims.clone().for_each(|victim| throttle.take(&victim, NOW).unwrap());
        for number in (0..10_000).flat_map(|number| [number; 3]) {
            throttle.take(&[Subject::Guests(number)], NOW).unwrap();
            // Refused, as too many wait: it was no try.
            let refused = [Subject::Strangers(number), Subject::Place(number)];
            throttle.take(&refused, NOW).unwrap();
            throttle.give_back(&refused, NOW);
        }
        assert!(victims.into_iter().all(|victim| tries(&throttle, &victim, NOW) == 4));
    }

    #[test]
    fn who_has_no_try_left_in_one_bucket_takes_none_of_another() {
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, &[Subject::Strangers(1)], NOW), 5);
        assert_eq!(tries(&throttle, &[Subject::Strangers(1), Subject::Place(1)], NOW), 0);
        assert_eq!(tries(&throttle, &[Subject::Place(1)], NOW), 50);
    }
}
