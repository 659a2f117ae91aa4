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
