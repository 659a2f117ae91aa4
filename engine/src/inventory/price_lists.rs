//! The price lists that were ever in force: what was held keeps the prices of its day.

use crate::performance::PriceList;

/// Names a price list of one performance, in four bytes: every hold and booking has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceListIndex(pub u32);

/// See the module. Each list is kept once.
#[derive(Debug)]
pub(crate) struct PriceLists {
    all: Vec<PriceList>,
    in_force: PriceListIndex,
}

impl PriceLists {
    /// With one list, which is in force.
    pub(crate) fn new(first: PriceList) -> Self {
        Self { all: vec![first], in_force: PriceListIndex(0) }
    }

    /// With what a snapshot kept; `in_force` is among them.
    pub(crate) fn restore(all: Vec<PriceList>, in_force: PriceList) -> Self {
        let mut lists = Self { all, in_force: PriceListIndex(0) };
        lists.put_in_force(in_force);
        lists
    }

    /// What is held from now on costs this.
    pub(crate) fn put_in_force(&mut self, list: PriceList) {
        let known = self.all.iter().position(|known| *known == list);
        let place = known.unwrap_or_else(|| {
            self.all.push(list);
            self.all.len() - 1
        });
        self.in_force = PriceListIndex(place as u32);
    }

    /// The place of the list in force.
    pub(crate) fn index_in_force(&self) -> PriceListIndex {
        self.in_force
    }

    /// The list in force.
    pub(crate) fn in_force(&self) -> &PriceList {
        self.get(self.in_force)
    }

    pub(crate) fn get(&self, place: PriceListIndex) -> &PriceList {
        &self.all[place.0 as usize]
    }

    pub(crate) fn all(&self) -> &[PriceList] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, Money};

    fn list(amount: i64) -> PriceList {
        PriceList([Money { amount, currency: Currency::KRW }].into())
    }

    #[test]
    fn a_list_that_comes_back_is_the_one_that_was() {
        let mut lists = PriceLists::new(list(1));
        let first = lists.index_in_force();
        lists.put_in_force(list(2));
        assert_ne!(lists.index_in_force(), first);
        assert_eq!(lists.get(first), &list(1), "what was held keeps its price");
        lists.put_in_force(list(1));
        assert_eq!((lists.index_in_force(), lists.all().len()), (first, 2));
        let restored = PriceLists::restore(lists.all().to_vec(), list(2));
        assert_eq!((restored.in_force(), restored.all()), (&list(2), lists.all()));
    }
}
