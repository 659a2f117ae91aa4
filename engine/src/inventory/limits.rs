//! Who buys, and how much of the limits each has used.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::id::AccountId;
use crate::performance::Terms;
use crate::refusal::Refusal;
use crate::seeded::Bug;

/// What one buyer has in this performance. Invariant (C4): counts what is held and booked now, never below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buyer {
    pub(crate) account: AccountId,
    /// Held and booked, without what was given back.
    pub(crate) seats: u32,
    /// Active holds.
    pub(crate) holds: u32,
}

/// Every buyer by number, in the order in which they first came.
#[derive(Debug, Default)]
pub(crate) struct Buyers {
    all: Vec<Buyer>,
    /// Looked into, never walked through: its seed differs from process to process, so that nobody can choose accounts
    /// that collide, and nothing may depend on its order.
    numbers: HashTable<u32>,
    seed: RandomState,
}

impl PartialEq for Buyers {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Buyers {}

impl Buyers {
    /// The number of an account that has bought before.
    pub(crate) fn number(&self, account: &AccountId) -> Option<u32> {
        let is_it = |number: &u32| self.all[*number as usize].account == *account;
        self.numbers.find(self.seed.hash_one(account), is_it).copied()
    }

    /// The number of an account, which may be new.
    pub(crate) fn enter(&mut self, account: AccountId) -> u32 {
        let Self { all, numbers, seed } = self;
        let is_it = |number: &u32| all[*number as usize].account == account;
        let hash_of = |number: &u32| seed.hash_one(all[*number as usize].account);
        match numbers.entry(seed.hash_one(account), is_it, hash_of) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let number = *place.insert(all.len() as u32).get();
                all.push(Buyer { account, seats: 0, holds: 0 });
                number
            }
        }
    }

    pub(crate) fn get(&self, number: u32) -> &Buyer {
        &self.all[number as usize]
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Buyer {
        &mut self.all[number as usize]
    }

    pub(crate) fn all(&self) -> &[Buyer] {
        &self.all
    }

    /// Whether `account` may hold `quantity` seats more (C1, C2).
    pub(crate) fn check(&self, account: &AccountId, quantity: u32, terms: &Terms) -> Result<(), Refusal> {
        let (seats, holds) = self.number(account).map_or((0, 0), |number| {
            let buyer = self.get(number);
            (buyer.seats, buyer.holds)
        });
        if seats.saturating_add(quantity) > terms.seats_per_buyer_max && !Bug::LimitUnchecked.is_on() {
            return Err(Refusal::SeatLimit { limit: terms.seats_per_buyer_max, in_use: seats });
        }
        if holds >= terms.holds_per_buyer_max {
            return Err(Refusal::HoldLimit { limit: terms.holds_per_buyer_max, in_use: holds });
        }
        Ok(())
    }
}
