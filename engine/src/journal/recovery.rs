//! What a start makes of snapshots and records: the state, or a clear word why not. Never guess, never skip.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::Stream;
use super::codec::{self, DecodeError};
use super::frame::{Chain, FrameError, Record};
use super::snapshot::{Snapshot, SnapshotError};
use super::store::{Key, Store, StoreError};
use crate::event::{Entry, Event};
use crate::id::PerformanceId;
use crate::inventory::{Inventory, Misfit};
use crate::performance::OpeningError;
use crate::registry::{Registry, RegistryMisfit};
use crate::seeded::Bug;

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The shows.
    pub registry: Registry,
    /// The performances that are here.
    pub inventories: BTreeMap<PerformanceId, Inventory>,
    /// Those that are another engine's by now, as they left, and what has come of one that did not arrive.
    pub gone: BTreeMap<PerformanceId, Inventory>,
    /// Where each stream ends.
    pub chains: BTreeMap<Stream, Chain>,
    /// The highest epoch that was found.
    pub epoch: u64,
    /// Events that were replayed, by stream: what a snapshot would save the next start.
    pub events: BTreeMap<Stream, u64>,
    /// Damaged records at the end of a stream that were never acknowledged: they are cut off.
    pub cut: Vec<Key>,
}

/// Why a journal cannot be used. Each names the place; none is mended by guessing.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A snapshot holds a state that no performance can be in.
    #[error("the snapshot of stream {stream:016x}: {source}")]
    State {
        /// Its stream.
        stream: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// A record is damaged, and later ones depend on it.
    #[error("record {sequence} of stream {stream:016x}: {source}")]
    Record {
        /// Its stream.
        stream: u64,
        /// Its place.
        sequence: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// Acknowledged records are missing.
    #[error(
        "{found} records of the journal can be read, but {acknowledged} were acknowledged: its end is lost, or what stands \
         behind those is damaged"
    )]
    EndLost {
        /// Records that are there.
        found: u64,
        /// Records that were.
        acknowledged: u64,
    },
    /// A performance has more than its opening, and the list of performances does not name it: the list is lost.
    #[error("performance {0} has records, but is not listed: the list of performances is lost")]
    ListingLost(PerformanceId),
    /// The list of performances names one twice.
    #[error("performance {0} is listed twice")]
    ListedTwice(PerformanceId),
    /// A performance is listed under another show than its own.
    #[error("performance {0} is listed under another show than its own")]
    Misplaced(PerformanceId),
    /// A performance was handed over, and the list of performances says that it is another engine's, but it goes on here.
    #[error("performance {0} is another engine's, but was not handed over")]
    NotHandedOver(PerformanceId),
    /// The list of performances names one that has no records.
    #[error("performance {0} is listed, but has no records")]
    PerformanceLost(PerformanceId),
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Its bytes.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its body.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// It does not follow the one before.
    #[error("it does not follow the record before it")]
    Chain,
    /// It was written by an owner that had been replaced.
    #[error("its epoch {found} is older than {before} before it")]
    Epoch {
        /// Its epoch.
        found: u64,
        /// The epoch of the record before.
        before: u64,
    },
    /// The first record of a performance does not open it.
    #[error("the performance does not begin with its opening")]
    NotOpened,
    /// The performance opens, but not as one of this stream.
    #[error("performance {0} belongs into another stream")]
    Stranger(PerformanceId),
    /// The performance's opening opens none.
    #[error("the performance's opening: {0}")]
    Opening(#[from] OpeningError),
    /// It cannot have happened.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// It cannot have happened to the shows.
    #[error(transparent)]
    RegistryMisfit(#[from] RegistryMisfit),
}

/// Replays everything.
///
/// # Errors
/// [`RecoveryError`], where the journal is not what was acknowledged.
pub fn recover(store: &dyn Store, snapshots: Vec<Snapshot>) -> Result<Recovered, RecoveryError> {
    let mut replay = Replay::default();
    for snapshot in snapshots {
        replay.restore(snapshot)?;
    }
    let mut outcome = Ok(());
    store.scan(&mut |key, bytes| {
        if outcome.is_ok() {
            outcome = replay.record(key, bytes);
        }
    })?;
    outcome?;
    replay.finish(store.mark().records)
}

#[derive(Default)]
struct Replay {
    found: Recovered,
    /// The epoch of each stream's last record.
    epochs: BTreeMap<Stream, u64>,
    /// A damaged record: fatal unless it is the last of its stream and was never acknowledged.
    damaged: BTreeMap<Stream, (Key, RecordError)>,
}

impl Replay {
    fn restore(&mut self, snapshot: Snapshot) -> Result<(), RecoveryError> {
        let Snapshot { epoch, stream, sequence, tip, image } = snapshot;
        let state_error = |source| RecoveryError::State { stream: stream.0, source };
        let inventory = belonging(stream, image.opening.performance)
            .and_then(|()| Ok(Inventory::from_image(image)?))
            .map_err(state_error)?;
        self.found.chains.insert(stream, Chain { next_sequence: sequence + 1, tip });
        self.found.inventories.insert(PerformanceId(stream.0), inventory);
        self.found.epoch = self.found.epoch.max(epoch);
        self.epochs.insert(stream, epoch);
        Ok(())
    }

    fn record(&mut self, key: Key, bytes: &[u8]) -> Result<(), RecoveryError> {
        if let Some((first, error)) = self.damaged.get(&key.stream) {
            return Err(record_error(*first, error.clone()));
        }
        let chain = self.found.chains.get(&key.stream).copied().unwrap_or_default();
        if key.sequence < chain.next_sequence {
            // A snapshot stands for it; the trim that was to drop it was cut short.
            return Ok(());
        }
        match self.check(key, chain, bytes) {
            Ok(record) => self.replay(key, &record).map_err(|error| record_error(key, error)),
            Err(error @ RecordError::Frame(FrameError::Damaged)) => {
                self.damaged.insert(key.stream, (key, error));
                Ok(())
            }
            Err(error) => Err(record_error(key, error)),
        }
    }

    fn check<'a>(&mut self, key: Key, chain: Chain, bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let record = Record::decode(bytes)?;
        let follows = record.stream == key.stream
            && record.sequence == key.sequence
            && key.sequence == chain.next_sequence
            && (record.previous == chain.tip || Bug::ChainUnchecked.is_on());
        if !follows {
            return Err(RecordError::Chain);
        }
        let before = self.epochs.get(&key.stream).copied().unwrap_or(0);
        if record.epoch < before && !Bug::FenceSkipped.is_on() {
            return Err(RecordError::Epoch { found: record.epoch, before });
        }
        Ok(record)
    }

    fn replay(&mut self, key: Key, record: &Record<'_>) -> Result<(), RecordError> {
        if key.stream == Stream::REGISTRY {
            let (at, event) = codec::decode_registry(record.body)?;
            self.found.registry.replay(at, &event)?;
            self.count(key.stream, 1);
        } else {
            let entries = codec::decode_entries(record.body)?;
            self.replay_entries(key.stream, &entries)?;
            self.count(key.stream, entries.len());
        }
        self.found.chains.insert(key.stream, Chain { next_sequence: key.sequence + 1, tip: record.digest });
        self.epochs.insert(key.stream, record.epoch);
        self.found.epoch = self.found.epoch.max(record.epoch);
        Ok(())
    }

    fn count(&mut self, stream: Stream, events: usize) {
        *self.found.events.entry(stream).or_default() += events as u64;
    }

    fn replay_entries(&mut self, stream: Stream, entries: &[Entry]) -> Result<(), RecordError> {
        let performance = PerformanceId(stream.0);
        let opens = matches!(entries.first(), Some(Entry { event: Event::PerformanceOpened(_), .. }));
        if opens && self.has_only_its_opening(stream) {
            // Only its opening was durable and its listing was not, so nobody was told, and it was opened once more.
            self.found.inventories.remove(&performance);
        }
        let (inventory, entries) = match self.found.inventories.entry(performance) {
            Slot::Occupied(known) => (known.into_mut(), entries),
            Slot::Vacant(vacant) => {
                let (inventory, entries) = open(stream, entries)?;
                (vacant.insert(inventory), entries)
            }
        };
        entries.iter().try_for_each(|entry| inventory.replay(entry))?;
        // What replay touches, nobody has to be told of.
        drop(inventory.touched());
        Ok(())
    }

    /// Whether one event in one record is all that there is so far; where a snapshot stands for more, it is not.
    fn has_only_its_opening(&self, stream: Stream) -> bool {
        let records = self.found.chains.get(&stream).map(|chain| chain.next_sequence);
        (records, self.found.events.get(&stream)) == (Some(1), Some(&1))
    }

    fn finish(mut self, acknowledged: u64) -> Result<Recovered, RecoveryError> {
        let found = self.found.chains.values().map(|chain| chain.next_sequence).sum::<u64>();
        if found < acknowledged && !Bug::EndLostUnnoticed.is_on() {
            if let Some((key, error)) = self.damaged.into_values().next() {
                return Err(record_error(key, error));
            }
            return Err(RecoveryError::EndLost { found, acknowledged });
        }
        self.found.cut = self.damaged.values().map(|(key, _)| *key).collect();
        self.check_listing()?;
        let (registry, all) = (&self.found.registry, std::mem::take(&mut self.found.inventories));
        let (elsewhere, here): (BTreeMap<_, _>, _) = all.into_iter().partition(|(id, _)| registry.is_elsewhere(*id));
        if let Some((id, _)) = elsewhere.iter().find(|(_, inventory)| inventory.handed_over().is_none()) {
            return Err(RecoveryError::NotHandedOver(*id));
        }
        // A performance whose opening is durable and its listing not was never acknowledged.
        let here = here.into_iter().filter(|(id, _)| registry.has(*id)).collect();
        (self.found.inventories, self.found.gone) = (here, elsewhere);
        Ok(self.found)
    }

    /// Whether the list of performances names all that there are, each once and in its place.
    fn check_listing(&self) -> Result<(), RecoveryError> {
        let (registry, inventories) = (&self.found.registry, &self.found.inventories);
        let mut listed = BTreeSet::new();
        for show in registry.shows() {
            for &id in &show.performances {
                if inventories.get(&id).is_some_and(|inventory| inventory.show() != show.id) {
                    return Err(RecoveryError::Misplaced(id));
                }
                if !listed.insert(id) {
                    return Err(RecoveryError::ListedTwice(id));
                }
            }
        }
        if let Some(lost) = registry.performances().find(|id| !inventories.contains_key(id)) {
            return Err(RecoveryError::PerformanceLost(lost));
        }
        let records = |id: &PerformanceId| self.found.chains.get(&Stream(id.0)).map_or(0, |chain| chain.next_sequence);
        let is_known = |id: PerformanceId| registry.has(id) || registry.is_elsewhere(id);
        let unlisted = inventories.keys().find(|id| !is_known(**id) && records(id) > 1);
        unlisted.map_or(Ok(()), |unlisted| Err(RecoveryError::ListingLost(*unlisted)))
    }
}

/// Whether a performance is that of a stream. The registry has none.
fn belonging(stream: Stream, performance: PerformanceId) -> Result<(), RecordError> {
    let belongs = stream != Stream::REGISTRY && stream.0 == performance.0;
    if belongs { Ok(()) } else { Err(RecordError::Stranger(performance)) }
}

/// The performance that the first record of a stream opens, and what happens to it next.
pub(super) fn open(stream: Stream, entries: &[Entry]) -> Result<(Inventory, &[Entry]), RecordError> {
    let Some((Entry { at, event: Event::PerformanceOpened(opening) }, rest)) = entries.split_first() else {
        return Err(RecordError::NotOpened);
    };
    belonging(stream, opening.performance)?;
    Ok((Inventory::open(opening, *at)?, rest))
}

pub(super) fn record_error(key: Key, source: impl Into<RecordError>) -> RecoveryError {
    RecoveryError::Record { stream: key.stream.0, sequence: key.sequence, source: source.into() }
}
