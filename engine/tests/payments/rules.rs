//! What a seller may change while things are sold, told once more, as simply as can be: what the core has to agree with.

use onrush_engine::performance::RefundStep;
use onrush_engine::time::Timestamp;

use crate::random::Random;

/// What seats are sold for, and by which rules they can be given back.
#[derive(Clone)]
pub(crate) struct Rules {
    /// By tier.
    pub(crate) prices: [i64; 2],
    pub(crate) starts_at: Timestamp,
    pub(crate) cancel_until: Timestamp,
    /// Sorted by their ends.
    pub(crate) refund: Vec<RefundStep>,
}

impl Rules {
    /// What a seller might make of them at `now`; as often worse for a buyer as better.
    pub(crate) fn changed(&self, random: &mut Random, now: Timestamp) -> Self {
        let later = |random: &mut Random| Timestamp::from_millis(now.as_millis() + random.below(4_000_000) as i64);
        let (one, two) = (later(random), later(random));
        let steps = [(one.min(two), 100), (one.max(two), 30)].map(|(until, percent)| RefundStep { until, percent });
        let mut rules = self.clone();
        match random.below(5) {
            0 => rules.prices = [800 + random.below(400) as i64, 200 + random.below(300) as i64],
            1 => rules.cancel_until = later(random),
            2 => rules.refund = Vec::new(),
            3 => rules.starts_at = Timestamp::from_millis(now.as_millis() + random.below(20_000_000) as i64),
            _ => rules.refund = steps.to_vec(),
        }
        rules
    }

    fn percent(&self, now: i64) -> i64 {
        if now >= self.cancel_until.as_millis() {
            return 0;
        }
        if self.refund.is_empty() {
            return 100;
        }
        let step = self.refund.iter().find(|step| now < step.until.as_millis());
        step.map_or(0, |step| i64::from(step.percent))
    }
}

/// What counts for a booking: the rules of the day on which its seats were held, those in force, and when the performance
/// was moved.
pub(crate) struct Promise<'a> {
    pub(crate) held: &'a Rules,
    pub(crate) in_force: &'a Rules,
    pub(crate) moved_at: Option<Timestamp>,
}

impl Promise<'_> {
    /// What part goes back at `now`; nothing where nobody may cancel any more.
    fn percent(&self, now: Timestamp) -> Option<i64> {
        const WEEK: i64 = 7 * 24 * 3_600_000;
        let now = now.as_millis();
        let moved = self.in_force.starts_at.as_millis() - self.held.starts_at.as_millis();
        if moved.abs() >= 3_600_000 && self.moved_at.is_some_and(|at| now < at.as_millis() + WEEK) {
            return Some(100);
        }
        // As if the clock had been moved, and not the start.
        let then = now - moved;
        let open = now < self.in_force.cancel_until.as_millis() || then < self.held.cancel_until.as_millis();
        open.then(|| self.held.percent(then).max(self.in_force.percent(now)))
    }

    /// What a buyer gets back for seats of these prices.
    pub(crate) fn due(&self, prices: &[i64], now: Timestamp) -> Option<i64> {
        let percent = self.percent(now)?;
        Some(prices.iter().map(|price| price * percent / 100).sum())
    }
}
