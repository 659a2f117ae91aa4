//! A journal in memory: records under sound headers, whatever their bodies are.

use std::collections::BTreeMap;

use onrush_engine::event::{Entry, Event};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{decode_entries, encode_registry};
use onrush_engine::journal::frame::{Body, Chain, Frame};
use onrush_engine::journal::recovery::{Recovered, RecoveryError, recover};
use onrush_engine::journal::snapshot::Snapshot;
use onrush_engine::journal::store::{Key, Mark, Store, StoreError};
use onrush_engine::registry::RegistryEvent;
use onrush_engine::time::Timestamp;

use crate::hall::{PERFORMANCE, SEATS_MAX, SHOW, after, seller, show_details, size};

/// The stream of the performance that is sold.
pub(crate) const STREAM: Stream = Stream(PERFORMANCE.0);

/// See the module.
#[derive(Default)]
pub(crate) struct Records {
    records: BTreeMap<Key, Vec<u8>>,
    chains: BTreeMap<Stream, Chain>,
}

impl Records {
    /// With the show, and the performance on its list.
    pub(crate) fn listed() -> Self {
        let caller = seller().account;
        let made = RegistryEvent::ShowCreated { show: SHOW, seller: caller, details: show_details(), key: None };
        let added = RegistryEvent::PerformanceAdded { show: SHOW, performance: PERFORMANCE, by: caller, key: None };
        let mut records = Self::default();
        for event in [RegistryEvent::EngineStarted, made, added] {
            records.push(Stream::REGISTRY, &encode_registry(after(0), &event));
        }
        records
    }

    /// Writes a record, and gives its place.
    pub(crate) fn push(&mut self, stream: Stream, body: &[u8]) -> Key {
        let chain = self.chains.entry(stream).or_default();
        let key = Key { stream, sequence: chain.next_sequence };
        // What either format may say is read the same way.
        let body = Body { format: 1, bytes: body.to_vec() };
        let frame = Frame::encode(1, stream, key.sequence, chain.tip, &body);
        *chain = Chain { next_sequence: key.sequence + 1, tip: frame.digest };
        self.records.insert(key, frame.bytes);
        key
    }

    /// What a start makes of them.
    pub(crate) fn recovered(&self, snapshots: Vec<Snapshot>) -> Result<Recovered, RecoveryError> {
        recover(self, snapshots)
    }
}

impl Store for Records {
    fn append(&mut self, _: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        Err(StoreError::Gone)
    }

    fn flush(&mut self, _: u64) -> Result<(), StoreError> {
        Err(StoreError::Gone)
    }

    fn trim(&mut self, _: Stream, _: u64) -> Result<bool, StoreError> {
        Err(StoreError::Gone)
    }

    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        self.records.iter().for_each(|(key, bytes)| visit(*key, bytes));
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { records: self.records.len() as u64, alive_at: None }
    }

    fn heartbeat(&mut self, _: Timestamp) -> Result<(), StoreError> {
        Err(StoreError::Gone)
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }
}

/// Whether a body opens a hall that takes long to lay out.
pub(crate) fn opens_large(body: &[u8]) -> bool {
    let large = |entry: &Entry| matches!(&entry.event, Event::PerformanceOpened(o) if size(&o.plan) > SEATS_MAX);
    decode_entries(body).is_ok_and(|entries| entries.iter().any(large))
}
