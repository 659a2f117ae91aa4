//! Where records are kept: sled in production, a disk that forgets in the simulation.

pub mod durable;
mod io_threads;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::durable::DurableSled;
use super::{Stream, disk};
use crate::time::Timestamp;

/// A record's place in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its stream.
    pub stream: Stream,
    /// Its place there.
    pub sequence: u64,
}

impl Key {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.stream.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (stream, sequence) = bytes.split_at_checked(8)?;
        Some(Self {
            stream: Stream(u64::from_be_bytes(stream.try_into().ok()?)),
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }
}

/// Why a store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// sled refused.
    #[error("sled: {0}")]
    Sled(#[from] sled::Error),
    /// sled cannot read its own files.
    #[error("the store in {path} is damaged: {reason}. Restore a copy of it")]
    Unreadable {
        /// The store's directory.
        path: PathBuf,
        /// What sled said.
        reason: String,
    },
    /// A simulated disk broke down.
    #[error("the disk is gone")]
    Gone,
}

/// What a store notes beside its records, without a sync of its own: exact after a crash of the process, perhaps some
/// seconds old after a power cut, never ahead of what is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Records that were durable at the last flush; 0 where nothing is known.
    pub records: u64,
    /// When the engine was last alive; nothing where that is not known.
    pub alive_at: Option<Timestamp>,
}

/// Keeps records. Invariant: one writer.
pub trait Store: Send {
    /// Writes records, all or none; not yet durable.
    ///
    /// # Errors
    /// [`StoreError`], after which the store must not be used.
    fn append(&mut self, records: &[(Key, Vec<u8>)]) -> Result<(), StoreError>;

    /// Makes all that was appended durable, and notes outside the records that there are `records` now.
    ///
    /// # Errors
    /// [`StoreError`], after which the store must not be used: a flush is never tried again.
    fn flush(&mut self, records: u64) -> Result<(), StoreError>;

    /// Drops some records of a stream up to and with `sequence`; says whether none is left. The next flush makes that
    /// durable; until then a start may see them again.
    ///
    /// # Errors
    /// [`StoreError`], after which the store must not be used.
    fn trim(&mut self, stream: Stream, sequence: u64) -> Result<bool, StoreError>;

    /// Reads every record, by stream and sequence.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError>;

    /// What is noted beside the records.
    fn mark(&self) -> Mark;

    /// Notes that the engine was alive at a time.
    ///
    /// # Errors
    /// [`StoreError`], after which the store must not be used.
    fn heartbeat(&mut self, at: Timestamp) -> Result<(), StoreError>;

    /// Bytes that are free where the store lives.
    fn disk_free_bytes(&self) -> Option<u64>;
}

/// The journal's records in sled.
pub struct SledStore {
    sled: DurableSled,
    marked: Mark,
}

/// Keys that one trim drops: each is a write of its own in sled, and some make it write a page anew.
const TRIM_MAX: usize = 20;

impl SledStore {
    /// Opens the store in `dir`, or makes it.
    ///
    /// # Errors
    /// [`StoreError`], where it cannot be made, or read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let sled = DurableSled::open(dir)?;
        let alive_at = sled.noted(ALIVE).and_then(|millis| i64::try_from(millis).ok()).map(Timestamp::from_millis);
        let marked = Mark { records: sled.noted(RECORDS).unwrap_or(0), alive_at };
        Ok(Self { sled, marked })
    }
}

/// Places of the numbers beside the store.
const RECORDS: u64 = 0;
const ALIVE: u64 = 1;

impl Store for SledStore {
    fn append(&mut self, records: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        if let [(key, record)] = records {
            return self.sled.work(|db| db.insert(key.to_bytes(), record.as_slice())).map(drop);
        }
        let mut batch = sled::Batch::default();
        for (key, record) in records {
            batch.insert(&key.to_bytes(), record.as_slice());
        }
        self.sled.work(|db| db.apply_batch(batch))
    }

    fn flush(&mut self, records: u64) -> Result<(), StoreError> {
        self.sled.flush()?;
        self.sled.note(RECORDS, records)
    }

    fn heartbeat(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.sled.rest_again()?;
        self.sled.note(ALIVE, at.as_millis() as u64)
    }

    fn trim(&mut self, stream: Stream, sequence: u64) -> Result<bool, StoreError> {
        let from = Key { stream, sequence: 0 }.to_bytes();
        let to = Key { stream, sequence }.to_bytes();
        let keys = self.sled.db().range(from..=to).keys().take(TRIM_MAX);
        let keys: Vec<sled::IVec> = keys.collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.sled.work(|db| db.remove(key)).map(drop))?;
        Ok(keys.len() < TRIM_MAX)
    }

    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        for record in self.sled.db().iter() {
            let (key, value) = record?;
            visit(Key::from_bytes(&key).ok_or_else(|| self.sled.unreadable("a key is not ours"))?, &value);
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.marked
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        disk::free_bytes(self.sled.dir()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64) -> (Key, Vec<u8>) {
        (Key { stream: Stream(7), sequence }, vec![sequence as u8; 100])
    }

    fn sequences(store: &SledStore) -> Vec<u64> {
        let mut found = Vec::new();
        store.scan(&mut |key, _| found.push(key.sequence)).unwrap();
        found
    }

    #[test]
    fn what_was_flushed_is_there_again_and_what_was_trimmed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(dir.path()).unwrap();
        store.append(&[record(0), record(1)]).unwrap();
        store.append(&[record(2)]).unwrap();
        store.flush(3).unwrap();
        assert!(store.trim(Stream(7), 1).unwrap());
        store.flush(3).unwrap();
        drop(store);
        let store = SledStore::open(dir.path()).unwrap();
        assert_eq!(sequences(&store), [2]);
        assert_eq!(store.mark().records, 3);
    }
}
