//! What is measured while the bots run: each worker writes its own samples, merged at the end; a few counters are
//! shared, for those who watch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use onrush_api::problem::Kind;

use crate::answer::Step;
use crate::audit::Acknowledgements;
use crate::buyer::Ending;

/// How a step ended, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for.
    Success,
    /// A problem of the contract.
    Refusal,
    /// No answer, or one that leaves it open, after all tries.
    Unsettled,
}

impl Outcome {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 3] = [Self::Success, Self::Refusal, Self::Unsettled];

    /// As it stands in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refusal => "refusal",
            Self::Unsettled => "unsettled",
        }
    }
}

/// The latencies of one step with one outcome, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(pub(crate) Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Three digits up to ten minutes: what takes longer is counted as ten minutes.
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are sound"))
    }
}

/// What happened in one second of the rush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) arrivals: u64,
    pub(crate) requests: u64,
    pub(crate) refusals: u64,
    pub(crate) seats_sold: u64,
}

/// Everything that one worker saw.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    latencies: [[Latencies; Outcome::ALL.len()]; Step::ALL.len()],
    endings: [u64; Ending::ALL.len()],
    /// Problems by type, also those that a retry got over.
    pub(crate) refusals: BTreeMap<Kind, u64>,
    /// Answers outside the contract, and failures of connections, in words.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Requests sent again with the same key.
    pub(crate) retries: u64,
    pub(crate) acknowledgements: Acknowledgements,
    /// By second since the opening.
    pub(crate) timeline: Vec<Tally>,
}

impl Samples {
    /// Different failures that are told apart; a server that invents one for each request must not fill the memory.
    const FAILURES_MAX: usize = 50;

    /// Records how long a step took, from its intended start.
    pub(crate) fn step(&mut self, step: Step, outcome: Outcome, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies[step as usize][outcome as usize].0.saturating_record(micros);
    }

    /// The latencies of a step with an outcome.
    pub(crate) fn latencies(&self, step: Step, outcome: Outcome) -> &Histogram<u64> {
        &self.latencies[step as usize][outcome as usize].0
    }

    /// Records how a visit ended.
    pub(crate) fn ending(&mut self, ending: Ending) {
        self.endings[ending as usize] += 1;
    }

    /// How many visits ended so.
    pub(crate) fn endings(&self, ending: Ending) -> u64 {
        self.endings[ending as usize]
    }

    /// Records a failure in words.
    pub(crate) fn failure(&mut self, words: String) {
        let known = self.failures.len() < Self::FAILURES_MAX || self.failures.contains_key(&words);
        let words = if known { words } else { "other failures".to_owned() };
        *self.failures.entry(words).or_default() += 1;
    }

    /// The tally of the second that began so long after the opening.
    pub(crate) fn second(&mut self, since_opening: Duration) -> &mut Tally {
        let second = since_opening.as_secs() as usize;
        if self.timeline.len() <= second {
            self.timeline.resize(second + 1, Tally::default());
        }
        &mut self.timeline[second]
    }

    /// Requests of all seconds.
    pub(crate) fn requests(&self) -> u64 {
        self.timeline.iter().map(|second| second.requests).sum()
    }

    /// Adds what another worker saw.
    pub(crate) fn merge(&mut self, other: Self) {
        for (ours, theirs) in self.latencies.iter_mut().flatten().zip(other.latencies.iter().flatten()) {
            ours.0.add(&theirs.0).expect("all histograms have the same bounds");
        }
        for (ours, theirs) in self.endings.iter_mut().zip(other.endings) {
            *ours += theirs;
        }
        for (kind, count) in other.refusals {
            *self.refusals.entry(kind).or_default() += count;
        }
        for (words, count) in other.failures {
            *self.failures.entry(words).or_default() += count;
        }
        self.retries += other.retries;
        self.acknowledgements.merge(other.acknowledgements);
        for (second, tally) in other.timeline.into_iter().enumerate() {
            self.second(Duration::from_secs(second as u64)).add(tally);
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.arrivals += other.arrivals;
        self.requests += other.requests;
        self.refusals += other.refusals;
        self.seats_sold += other.seats_sold;
    }
}

/// Counters that all workers add to while the rush runs, for the progress line.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) bots_done: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) seats_sold: AtomicU64,
}

impl Live {
    /// Adds to one of the counters. They order nothing, so they need no ordering.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Reads one of the counters.
    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_workers_saw_adds_up() {
        let worker = |micros, second| {
            let mut samples = Samples::default();
            samples.step(Step::Hold, Outcome::Success, Duration::from_micros(micros));
            samples.ending(Ending::Booked);
            samples.failure("it broke".to_owned());
            *samples.refusals.entry(Kind::SeatsUnavailable).or_default() += 2;
            samples.second(Duration::from_secs(second)).requests += 3;
            samples
        };
        let mut both = worker(100, 0);
        both.merge(worker(900, 2));
        let holds = both.latencies(Step::Hold, Outcome::Success);
        assert_eq!((holds.len(), holds.min(), holds.max()), (2, 100, 900));
        assert_eq!(both.latencies(Step::Hold, Outcome::Refusal).len(), 0);
        assert_eq!((both.endings(Ending::Booked), both.requests()), (2, 6));
        assert_eq!((both.refusals[&Kind::SeatsUnavailable], both.failures["it broke"]), (4, 2));
        assert_eq!(both.timeline.iter().map(|second| second.requests).collect::<Vec<_>>(), [3, 0, 3]);
    }

    #[test]
    fn endless_kinds_of_failure_fill_no_memory() {
        let mut samples = Samples::default();
        (0..1_000).for_each(|number| samples.failure(format!("failure {number}")));
        assert_eq!(samples.failures.len(), Samples::FAILURES_MAX + 1);
    }
}
