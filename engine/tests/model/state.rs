//! A state of the sale: what happened, and how much of it the disk has. The inventory is replayed from that whenever it is
//! looked at, as a start does.

use std::fmt;
use std::hash::{Hash, Hasher};

use onrush_engine::event::{Entry, Event};
use onrush_engine::inventory::Inventory;
use onrush_engine::journal::codec::{encode_entries, encode_image};
use onrush_engine::time::Timestamp;

use crate::sale::{Sale, TICK_MILLIS};

/// See the module. Two states are one where the same can come of them: what is durable counts by the state it has led to.
#[derive(Clone)]
pub(crate) struct State {
    /// All that happened, behind the opening.
    pub(crate) entries: Vec<Entry>,
    /// How many of them the disk has.
    pub(crate) durable: usize,
    pub(crate) ticks: u8,
    pub(crate) crashes: u8,
    identity: blake3::Hash,
}

impl State {
    pub(crate) fn new(sale: &Sale, entries: Vec<Entry>, durable: usize, ticks: u8, crashes: u8) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&encode_image(&replay(sale, &entries[..durable]).image()));
        for body in encode_entries(&entries[durable..]) {
            hasher.update(&body);
        }
        hasher.update(&[entries.len() as u8, ticks, crashes]);
        Self { entries, durable, ticks, crashes, identity: hasher.finalize() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        after(self.ticks)
    }

    pub(crate) fn inventory(&self, sale: &Sale) -> Inventory {
        replay(sale, &self.entries)
    }
}

/// The time after so many ticks.
pub(crate) fn after(ticks: u8) -> Timestamp {
    Timestamp::from_millis(TICK_MILLIS * i64::from(ticks))
}

/// The inventory before anything happened.
pub(crate) fn open(sale: &Sale) -> Inventory {
    Inventory::open(&sale.opening(), after(0)).unwrap()
}

/// What these events lead to.
pub(crate) fn replay(sale: &Sale, entries: &[Entry]) -> Inventory {
    let mut inventory = open(sale);
    entries.iter().for_each(|entry| inventory.apply(entry.at, &entry.event));
    inventory
}

/// Makes an event part of an inventory.
pub(crate) fn happen(inventory: &mut Inventory, at: Timestamp, event: Event) -> Entry {
    inventory.apply(at, &event);
    Entry { at: inventory.now(), event }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity.as_bytes().hash(hasher);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, durable, ticks, crashes, .. } = self;
        let events: Vec<&Event> = entries.iter().map(|entry| &entry.event).collect();
        write!(f, "{ticks} ticks, {crashes} crashes, {durable} durable of {events:#?}")
    }
}
