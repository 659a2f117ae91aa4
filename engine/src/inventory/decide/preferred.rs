//! What a buyer said before the rush: one wish that can come true in several ways, tried one after the other in one step.

use crate::command::{BestAvailable, Fallback, Preferred};
use crate::inventory::Inventory;
use crate::refusal::Refusal;
use crate::seat_map::{SeatList, SectionIndex, TierIndex};

impl Inventory {
    /// The seats of the first way that has them side by side, else apart where that will do; else the refusal of the way that
    /// comes nearest.
    pub(super) fn preferred(&self, wish: &Preferred) -> Result<SeatList, Refusal> {
        let (mut nearest, mut apart) = (Refusal::TooFewSeats { remaining: 0 }, None);
        for way in self.ways(wish) {
            match self.along(&way) {
                Ok(seats) => return Ok(seats),
                Err(Refusal::NotAdjacent { split }) if wish.fallback != Fallback::Nothing => {
                    apart = apart.or_else(|| Some(split.into_iter().flatten().collect()));
                }
                Err(refusal) => nearest = nearer(nearest, refusal),
            }
        }
        apart.ok_or(nearest)
    }

    /// The ways in the order in which they are tried, within the price.
    fn ways(&self, wish: &Preferred) -> Vec<BestAvailable> {
        let way = |tier, section| BestAvailable { quantity: wish.quantity, tier, section, adjacent: true };
        let of_section = |at: &SectionIndex| self.is_within(wish, *at).then(|| way(None, Some(*at)));
        let mut ways: Vec<BestAvailable> = wish.sections.iter().filter_map(of_section).collect();
        if wish.sections.is_empty() || wish.fallback == Fallback::Elsewhere {
            ways.extend(self.tiers_within(wish).into_iter().map(|tier| way(Some(tier), None)));
            let sections = (0..self.map.sections().len()).map(|at| SectionIndex(at as u16));
            ways.extend(sections.filter(|at| self.map.is_standing(*at)).filter_map(|at| of_section(&at)));
        }
        ways
    }

    /// The tiers that cost no more than is wished, the dearest first: what costs more is where one sees more.
    fn tiers_within(&self, wish: &Preferred) -> Vec<TierIndex> {
        let prices = &self.offers.in_force().prices;
        let price = |tier: &TierIndex| prices.of(*tier).amount;
        let tiers = (0..self.tiers.len()).map(|tier| TierIndex(tier as u16));
        let mut within: Vec<TierIndex> = tiers.filter(|tier| wish.is_within(price(tier))).collect();
        within.sort_by_key(|tier| std::cmp::Reverse(price(tier)));
        within
    }

    fn is_within(&self, wish: &Preferred, section: SectionIndex) -> bool {
        let tier = self.map.sections()[usize::from(section.0)].tier;
        wish.is_within(self.offers.in_force().prices.of(tier).amount)
    }

    fn along(&self, way: &BestAvailable) -> Result<SeatList, Refusal> {
        match way.section.filter(|section| self.map.is_standing(*section)) {
            Some(section) => self.places(section, way.quantity),
            None => self.best_available(way),
        }
    }
}

impl Preferred {
    fn is_within(&self, price: i64) -> bool {
        self.price_max.is_none_or(|max| price <= max)
    }
}

/// Seats that are only not side by side are nearer than too few, and many than few.
fn nearer(one: Refusal, other: Refusal) -> Refusal {
    match (&one, &other) {
        (Refusal::NotAdjacent { .. }, _) => one,
        (Refusal::TooFewSeats { remaining }, Refusal::TooFewSeats { remaining: more }) if remaining >= more => one,
        _ => other,
    }
}
