//! The journal: durable records in order, one stream for each performance and one for the registry.
//!
//! It knows bytes, not seats. A record is one group's change of one stream; a commit writes the records of a group and
//! returns when the disk has them. The first error of a commit is final: the journal takes no more.

pub mod codec;
pub mod directory;
pub mod disk;
pub mod frame;
pub mod history;
pub mod original;
pub mod recovery;
pub mod snapshot;
pub mod store;
pub(crate) mod writer;

use std::collections::BTreeMap;

use thiserror::Error;

use self::frame::{Body, Chain, Frame};
use self::store::{Key, Store, StoreError};
use crate::seeded::Bug;
use crate::time::Timestamp;

/// Names a stream: a performance's number, or [`Stream::REGISTRY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(pub u64);

impl Stream {
    /// The shows and the list of performances. No performance has this number.
    pub const REGISTRY: Self = Self(0);
}

/// The bytes of one record's body that fit a store's value with its header.
///
/// sled writes values of more than a quarter of a segment's seventeenth into files that it never syncs; 128 KiB stays
/// well below that with segments of 16 MiB.
pub const BODY_LEN_MAX: usize = 128 * 1024 - frame::HEADER_LEN;

/// The bytes written between two syncs stay well below one segment of the store (16 MiB).
const COMMIT_LEN_MAX: usize = 4 * 1024 * 1024;

/// When a commit may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it.
    Fsync,
    /// At once; the disk has it within a second.
    Relaxed,
}

/// Why a commit failed. What of it reached the disk is unknown until the next start.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The store failed.
    #[error("the journal's store failed: {0}")]
    Store(#[from] StoreError),
    /// An earlier commit failed.
    #[error("the journal takes nothing after its first error")]
    Failed,
    /// Another engine has taken over.
    #[error("another engine has taken over")]
    Replaced,
}

/// See the module. Invariant: it is the only writer of its store.
pub struct Journal {
    store: Box<dyn Store>,
    /// Written into every record: who wrote it.
    epoch: u64,
    chains: BTreeMap<Stream, Chain>,
    /// Records of all streams, ever.
    records: u64,
    durability: Durability,
    /// Bytes written since the last sync.
    unsynced: usize,
    /// Whether records were dropped since the last sync.
    trimmed: bool,
    failed: bool,
}

impl Journal {
    /// A journal that goes on behind what `chains` say was recovered.
    pub(crate) fn new(
        store: Box<dyn Store>,
        epoch: u64,
        chains: BTreeMap<Stream, Chain>,
        durability: Durability,
    ) -> Self {
        let records = chains.values().map(|chain| chain.next_sequence).sum();
        Self { store, epoch, chains, records, durability, unsynced: 0, trimmed: false, failed: false }
    }

    /// The epoch of this owner.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The end of a stream.
    pub fn chain(&self, stream: Stream) -> Chain {
        self.chains.get(&stream).copied().unwrap_or_default()
    }

    /// Writes the bodies, in order, and returns when they are as durable as was asked for: where each body's stream
    /// ended behind it.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing of the group may be acknowledged, and the journal is at its end.
    pub fn commit<'a>(
        &mut self,
        bodies: impl IntoIterator<Item = (Stream, &'a Body)>,
    ) -> Result<Vec<Chain>, JournalError> {
        self.guarded(|journal| {
            let (mut batch, mut chains) = (Vec::new(), Vec::new());
            let mut written = 0;
            for (stream, body) in bodies {
                assert!(body.len() <= BODY_LEN_MAX, "a body of {} bytes was not split", body.len());
                if written + body.len() > COMMIT_LEN_MAX {
                    journal.write(&mut batch)?;
                    written = 0;
                }
                written += body.len();
                batch.push(journal.frame(stream, body));
                chains.push(journal.chain(stream));
            }
            journal.write(&mut batch)?;
            Ok(chains)
        })
    }

    /// Goes on behind the end of a stream that another engine's journal has, and whose state is durable here. Records are
    /// of `epoch` from now on, at least.
    pub(crate) fn adopt(&mut self, stream: Stream, chain: Chain, epoch: u64) {
        let before = self.chain(stream).next_sequence;
        self.records += chain.next_sequence.saturating_sub(before);
        self.chains.insert(stream, chain);
        self.epoch = self.epoch.max(epoch);
    }

    fn frame(&mut self, stream: Stream, body: &Body) -> (Key, Vec<u8>) {
        let chain = self.chains.entry(stream).or_default();
        let sequence = chain.next_sequence;
        let frame = Frame::encode(self.epoch, stream, sequence, chain.tip, body);
        *chain = Chain { next_sequence: sequence + 1, tip: frame.digest };
        self.records += 1;
        (Key { stream, sequence }, frame.bytes)
    }

    fn write(&mut self, batch: &mut Vec<(Key, Vec<u8>)>) -> Result<(), JournalError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.store.append(batch)?;
        self.unsynced += batch.iter().map(|(_, record)| record.len()).sum::<usize>();
        batch.clear();
        if self.durability == Durability::Fsync || self.unsynced > COMMIT_LEN_MAX {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.unsynced = 0;
        self.trimmed = false;
        match self.store.flush(self.records) {
            Err(_) if Bug::FlushErrorSwallowed.is_on() => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    /// Makes durable what a relaxed journal has written.
    ///
    /// # Errors
    /// [`JournalError`]; then the journal is at its end.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.guarded(Self::sync)
    }

    /// Drops the records of a stream up to and with `sequence`: a durable snapshot stands for them. A few a call; says
    /// whether it is done. The next commit's sync covers it, or else the next trim begins with one, so that never more
    /// than one trim is between two syncs. A start that sees the records again knows what they are.
    ///
    /// # Errors
    /// [`JournalError`]; then the journal is at its end.
    pub fn trim(&mut self, stream: Stream, sequence: u64) -> Result<bool, JournalError> {
        self.guarded(|journal| {
            if std::mem::replace(&mut journal.trimmed, true) {
                journal.sync()?;
                journal.trimmed = true;
            }
            Ok(journal.store.trim(stream, sequence)?)
        })
    }

    /// Notes that the engine is alive, so that the next start knows how long it was not.
    ///
    /// # Errors
    /// [`JournalError`]; then the journal is at its end.
    pub fn heartbeat(&mut self, at: Timestamp) -> Result<(), JournalError> {
        self.guarded(|journal| Ok(journal.store.heartbeat(at)?))
    }

    /// Bytes that are free where the store lives; nothing for a store without a disk.
    pub fn disk_free_bytes(&self) -> Option<u64> {
        self.store.disk_free_bytes()
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, JournalError>) -> Result<T, JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        // Until it is known that all went well: a panic on the way is a failure too.
        self.failed = true;
        let outcome = work(self);
        self.failed = outcome.is_err() && !Bug::GoesOnAfterError.is_on();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::store::Mark;
    use super::*;

    /// Notes what it is asked for.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<&'static str>>>);

    impl Notes {
        fn add(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Store for Notes {
        fn append(&mut self, _: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
            self.add("append");
            Ok(())
        }

        fn flush(&mut self, _: u64) -> Result<(), StoreError> {
            self.add("flush");
            Ok(())
        }

        fn trim(&mut self, _: Stream, _: u64) -> Result<bool, StoreError> {
            self.add("trim");
            Ok(true)
        }

        fn scan(&self, _: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
            Ok(())
        }

        fn mark(&self) -> Mark {
            Mark::default()
        }

        fn heartbeat(&mut self, _: Timestamp) -> Result<(), StoreError> {
            Ok(())
        }

        fn disk_free_bytes(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn never_more_than_one_trim_is_between_two_syncs() {
        let notes = Notes::default();
        let mut journal = Journal::new(Box::new(notes.clone()), 1, BTreeMap::new(), Durability::Fsync);
        journal.trim(Stream(1), 5).unwrap();
        journal.commit([(Stream(1), &Body { format: 1, bytes: b"body".to_vec() })]).unwrap();
        journal.trim(Stream(1), 6).unwrap();
        journal.trim(Stream(1), 7).unwrap();
        journal.trim(Stream(1), 8).unwrap();
        let wanted = ["trim", "append", "flush", "trim", "flush", "trim", "flush", "trim"];
        assert_eq!(*notes.0.lock().unwrap(), wanted);
    }
}
