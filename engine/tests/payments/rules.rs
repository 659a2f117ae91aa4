//! What a seller may change while things are sold, told once more, as simply as can be: what the core has to agree with.

use onrush_engine::performance::RefundStep;
use onrush_engine::time::Timestamp;

use crate::random::Random;

/// What seats are sold for, and by which rules they can be given back.
#[derive(Clone)]
pub(crate) struct Rules {
    /// By tier.
    pub(crate) prices: [i64; 2],
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
        match random.below(4) {
            0 => rules.prices = [800 + random.below(400) as i64, 200 + random.below(300) as i64],
            1 => rules.cancel_until = later(random),
            2 => rules.refund = Vec::new(),
            _ => rules.refund = steps.to_vec(),
        }
        rules
    }

    fn percent(&self, now: Timestamp) -> i64 {
        if now >= self.cancel_until {
            return 0;
        }
        if self.refund.is_empty() {
            return 100;
        }
        self.refund.iter().find(|step| now < step.until).map_or(0, |step| i64::from(step.percent))
    }
}

/// What a buyer gets back who cancels seats of these prices: the better of what was promised when the seats were held, and
/// what is promised now.
pub(crate) fn due(held: &Rules, in_force: &Rules, prices: &[i64], now: Timestamp) -> i64 {
    let percent = held.percent(now).max(in_force.percent(now));
    prices.iter().map(|price| price * percent / 100).sum()
}
