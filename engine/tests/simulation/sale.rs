//! A seeded little sale as the bytes of its journal, and the states it went through while it was on: what recoveries
//! are measured by. The states come from the live inventories, never from a replay.

use std::collections::BTreeMap;

use onrush_engine::event::{Entry, Event};
use onrush_engine::id::PerformanceId;
use onrush_engine::inventory::{Decision, Inventory};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{encode_entries, encode_image, encode_registry};
use onrush_engine::journal::frame::{Body, Chain, Frame};
use onrush_engine::journal::recovery::Recovered;
use onrush_engine::journal::store::Key;
use onrush_engine::mailbox::Ask;
use onrush_engine::registry::{Registry, RegistryEvent};
use onrush_engine::time::Timestamp;

use crate::crowd::{Crowd, Request};
use crate::hall::{PERFORMANCES, START, opening, seller, show_details};
use crate::random::Random;

/// A record and its place in the store.
pub(crate) struct Written {
    pub(crate) key: Key,
    pub(crate) bytes: Vec<u8>,
}

/// A state that a stream was in: its end, and what the live state was there.
type State = (Chain, blake3::Hash);

/// See the module.
#[derive(Default)]
pub(crate) struct Sale {
    /// In the order in which they were written.
    pub(crate) records: Vec<Written>,
    /// Of each stream, the states behind its first record, its second, …
    states: BTreeMap<Stream, Vec<State>>,
}

impl Sale {
    /// A sale whose records have so many bytes, or a few more.
    pub(crate) fn run(seed: u64, len: usize) -> Self {
        let mut live = Live::open(seed);
        while live.sale.len() < len {
            match live.sale.records.len() {
                records if live.inventories.len() < PERFORMANCES.len() && records > 60 * live.inventories.len() => {
                    live.add(PERFORMANCES[live.inventories.len()]);
                }
                records if records % 40 == 0 => live.take_over(),
                _ => live.group(),
            }
        }
        live.sale
    }

    /// The bytes of all records.
    pub(crate) fn len(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).sum()
    }

    fn write(&mut self, epoch: u64, stream: Stream, body: &Body, state: blake3::Hash) {
        let states = self.states.entry(stream).or_default();
        let Chain { next_sequence: sequence, tip } = states.last().map(|(end, _)| *end).unwrap_or_default();
        let frame = Frame::encode(epoch, stream, sequence, tip, body);
        states.push((Chain { next_sequence: sequence + 1, tip: frame.digest }, state));
        self.records.push(Written { key: Key { stream, sequence }, bytes: frame.bytes });
    }

    /// Whether what was found is what was there behind some record of each stream; how many records that makes.
    ///
    /// # Errors
    /// The stream whose state was never so.
    pub(crate) fn records_in(&self, found: &Recovered) -> Result<u64, String> {
        for (stream, chain) in &found.chains {
            let states = &self.states[stream];
            let (end, state) = states[chain.next_sequence as usize - 1];
            let now = match found.inventories.get(&PerformanceId(stream.0)) {
                _ if *stream == Stream::REGISTRY => registry_hash(&found.registry),
                Some(inventory) => inventory_hash(inventory),
                // Its opening is there and its listing not: nobody was told of it.
                None if chain.next_sequence == 1 => state,
                None => return Err(format!("{stream:?} has records and no inventory")),
            };
            if (end, state) != (*chain, now) {
                return Err(format!("{stream:?} is as it never was behind record {}", chain.next_sequence - 1));
            }
        }
        Ok(found.chains.values().map(|chain| chain.next_sequence).sum())
    }
}

fn inventory_hash(inventory: &Inventory) -> blake3::Hash {
    blake3::hash(&encode_image(&inventory.image()))
}

fn registry_hash(registry: &Registry) -> blake3::Hash {
    blake3::hash(format!("{registry:?}").as_bytes())
}

/// The sale while it is on.
struct Live {
    sale: Sale,
    registry: Registry,
    inventories: BTreeMap<PerformanceId, Inventory>,
    crowd: Crowd,
    random: Random,
    now: i64,
    epoch: u64,
}

impl Live {
    fn open(seed: u64) -> Self {
        let mut live = Self {
            sale: Sale::default(),
            registry: Registry::default(),
            inventories: BTreeMap::new(),
            crowd: Crowd::default(),
            random: Random::new(seed),
            now: START,
            epoch: 0,
        };
        live.take_over();
        let (show, seller) = (opening(PERFORMANCES[0]).show, seller().account);
        live.register(&RegistryEvent::ShowCreated { show, seller, details: show_details(), key: None });
        live.add(PERFORMANCES[0]);
        live
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn register(&mut self, event: &RegistryEvent) {
        let at = self.at();
        self.registry.apply(at, event);
        let state = registry_hash(&self.registry);
        self.sale.write(self.epoch, Stream::REGISTRY, &encode_registry(at, event), state);
    }

    /// Another engine comes.
    fn take_over(&mut self) {
        self.epoch += 1;
        self.register(&RegistryEvent::EngineStarted);
    }

    /// The performance's own record comes first, as in a commit.
    fn add(&mut self, performance: PerformanceId) {
        let opening = opening(performance);
        let (show, by, at) = (opening.show, opening.seller, self.at());
        self.inventories.insert(performance, Inventory::open(&opening, at).unwrap());
        self.write(performance, &[Entry { at, event: Event::PerformanceOpened(Box::new(opening)) }]);
        self.register(&RegistryEvent::PerformanceAdded { show, performance, by, key: None });
    }

    fn write(&mut self, performance: PerformanceId, entries: &[Entry]) {
        let bodies = encode_entries(entries);
        let [body] = bodies.as_slice() else { panic!("a group of a little sale is one record") };
        let state = inventory_hash(&self.inventories[&performance]);
        self.sale.write(self.epoch, Stream(performance.0), body, state);
    }

    /// Some requests, decided and written together.
    fn group(&mut self) {
        self.now += self.random.below(3000) as i64;
        let mut entries: BTreeMap<PerformanceId, Vec<Entry>> = BTreeMap::new();
        for _ in 0..=self.random.below(6) {
            let request = self.crowd.command(&mut self.random);
            let performance = PERFORMANCES[request.place];
            if self.inventories.contains_key(&performance) {
                entries.entry(performance).or_default().extend(self.decide(performance, &request));
            }
        }
        entries.retain(|_, entries| !entries.is_empty());
        entries.iter().for_each(|(performance, entries)| self.write(*performance, entries));
    }

    fn decide(&mut self, performance: PerformanceId, request: &Request) -> Vec<Entry> {
        let at = self.at();
        let inventory = self.inventories.get_mut(&performance).expect("it is open");
        let mut events = Vec::new();
        while let Some(expired) = inventory.pulse(at) {
            inventory.apply(at, &expired);
            events.push(expired);
        }
        let Ask::Command(command) = &request.ask else { panic!("only commands make a journal") };
        if let Ok(Decision::Event(event)) = inventory.decide(command, at) {
            inventory.apply(at, &event);
            self.crowd.learn(request, &inventory.answer(&event), self.epoch);
            events.push(event);
        }
        events.into_iter().map(|event| Entry { at, event }).collect()
    }
}
