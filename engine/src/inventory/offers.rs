//! What the seats were ever on offer for: what was held keeps the prices and the cancellation rules of its day.

use crate::performance::{CancellationRules, Offer};

/// Offers of one performance: who changes prices or rules more often has to begin another one.
pub(crate) const OFFERS_MAX: usize = 1_000;
/// So many more where the start changes: that has to be said, however often prices were changed.
pub(crate) const OFFERS_RESERVED: usize = 100;

/// Names an offer of one performance, in four bytes: every hold and booking has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferIndex(pub u32);

/// See the module. Each offer is kept once, but for those that a change of rules of formats 1 and 2 has made the same.
#[derive(Debug)]
pub(crate) struct Offers {
    all: Vec<Offer>,
    in_force: OfferIndex,
}

impl Offers {
    /// With one offer, which is in force.
    pub(crate) fn new(first: Offer) -> Self {
        Self { all: vec![first], in_force: OfferIndex(0) }
    }

    /// With what a snapshot kept; `in_force` is among them.
    pub(crate) fn restore(all: Vec<Offer>, in_force: Offer) -> Self {
        let mut offers = Self { all, in_force: OfferIndex(0) };
        offers.put_in_force(in_force);
        offers
    }

    /// Whether one more may come into force: each is kept for good, and a snapshot has them all.
    pub(crate) fn has_room_for(&self, offer: &Offer, max: usize) -> bool {
        self.all.len() < max || self.all.contains(offer)
    }

    /// What is held from now on is held for this.
    pub(crate) fn put_in_force(&mut self, offer: Offer) {
        let known = self.all.iter().position(|known| *known == offer);
        let place = known.unwrap_or_else(|| {
            self.all.push(offer);
            self.all.len() - 1
        });
        self.in_force = OfferIndex(place as u32);
    }

    /// Whatever was ever held, these rules count for it: what a change of rules said in journals of formats 1 and 2.
    pub(crate) fn cancel_by(&mut self, rules: &CancellationRules) {
        self.all.iter_mut().for_each(|offer| offer.cancellation = rules.clone());
    }

    /// The place of the offer in force.
    pub(crate) fn index_in_force(&self) -> OfferIndex {
        self.in_force
    }

    /// The offer in force.
    pub(crate) fn in_force(&self) -> &Offer {
        self.get(self.in_force)
    }

    pub(crate) fn get(&self, place: OfferIndex) -> &Offer {
        &self.all[place.0 as usize]
    }

    pub(crate) fn all(&self) -> &[Offer] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, Money};
    use crate::performance::PriceList;
    use crate::time::Timestamp;

    fn offer(amount: i64) -> Offer {
        let prices = PriceList([Money { amount, currency: Currency::KRW }].into());
        Offer {
            prices,
            cancellation: CancellationRules { starts_at: Timestamp::MAX, until: Timestamp::MAX, refund: [].into() },
        }
    }

    #[test]
    fn an_offer_that_comes_back_is_the_one_that_was() {
        let mut offers = Offers::new(offer(1));
        let first = offers.index_in_force();
        offers.put_in_force(offer(2));
        assert_ne!(offers.index_in_force(), first);
        assert_eq!(offers.get(first), &offer(1), "what was held keeps its price");
        offers.put_in_force(offer(1));
        assert_eq!((offers.index_in_force(), offers.all().len()), (first, 2));
        let restored = Offers::restore(offers.all().to_vec(), offer(2));
        assert_eq!((restored.in_force(), restored.all()), (&offer(2), offers.all()));
    }

    #[test]
    fn other_rules_are_another_offer() {
        let mut offers = Offers::new(offer(1));
        let mut strict = offer(1);
        strict.cancellation.until = Timestamp::MIN;
        offers.put_in_force(strict.clone());
        assert_eq!((offers.in_force(), offers.all().len()), (&strict, 2));
    }
}
