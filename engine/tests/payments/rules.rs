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

    /// The same with another start, which takes its times along only if it is later.
    fn for_start(&self, today: i64) -> Self {
        let then = self.starts_at.as_millis();
        let time = |at: Timestamp| match (at.as_millis(), today > then) {
            (at, true) => Timestamp::from_millis(at + today - then),
            (at, false) if at <= today => Timestamp::from_millis(at),
            (at, false) if at <= then => Timestamp::from_millis(today),
            (at, false) => Timestamp::from_millis(at + today - then),
        };
        let refund = self.refund.iter().map(|step| RefundStep { until: time(step.until), ..*step });
        Self { cancel_until: time(self.cancel_until), refund: refund.collect(), ..self.clone() }
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

/// What counts for a booking: the rules of the day on which its seats were held, those in force, and when whoever had
/// booked was told that it starts at another time.
pub(crate) struct Promise<'a> {
    pub(crate) held: &'a Rules,
    pub(crate) in_force: &'a Rules,
    pub(crate) told_at: Option<Timestamp>,
}

impl Promise<'_> {
    /// What part goes back at `now`; nothing where nobody may cancel any more.
    fn percent(&self, now: Timestamp) -> Option<i64> {
        const WEEK: i64 = 7 * 24 * 3_600_000;
        let now = now.as_millis();
        let (then, today) = (self.held.starts_at.as_millis(), self.in_force.starts_at.as_millis());
        let in_time = |told: Timestamp| now < told.as_millis() + WEEK && (now < then || now < today);
        if (today - then).abs() >= 3_600_000 && self.told_at.is_some_and(in_time) {
            return Some(100);
        }
        let held = self.held.for_start(today);
        let open = now < self.in_force.cancel_until.as_millis() || now < held.cancel_until.as_millis();
        open.then(|| held.percent(now).max(self.in_force.percent(now)))
    }

    /// What a buyer gets back for seats of these prices.
    pub(crate) fn due(&self, prices: &[i64], now: Timestamp) -> Option<i64> {
        let percent = self.percent(now)?;
        Some(prices.iter().map(|price| price * percent / 100).sum())
    }
}
