//! Where records are kept: sled in production, a disk that forgets in the simulation.

mod io_threads;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Stream, disk};
use crate::seeded::Bug;
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
    #[error("the store in {path} cannot be read: {reason}. If its files are damaged, restore a copy")]
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

/// sled 0.34.7, used so that an acknowledged record survives a power cut.
///
/// `Db::flush` alone does not: it ends in `sync_file_range`, which writes no metadata and leaves the drive's cache be.
/// So every flush is followed by `fdatasync` on a descriptor of our own; values stay below the size at which sled puts
/// them into files it never syncs; and less than one segment is written between two syncs.
pub struct SledStore {
    db: sled::Db,
    data: File,
    mark: File,
    dir: PathBuf,
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
        fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.to_owned(), source })?;
        remove_unfinished_snapshots(dir)?;
        let db = open_sled(dir)?;
        io_threads::rest(&db)?;
        let data = disk::open(&dir.join("db"))?;
        let mark = disk::open_mark(&dir.join("mark"))?;
        for path in [dir.join("conf"), dir.join("db"), dir.to_owned(), disk::parent(dir)] {
            disk::sync(&path)?;
        }
        let marked = read_mark(&mark);
        Ok(Self { db, data, mark, dir: dir.to_owned(), marked })
    }

    fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io { path: self.dir.clone(), source }
    }
}

/// sled makes a snapshot of its own index at open; a process killed meanwhile leaves one that every later open fails on.
fn remove_unfinished_snapshots(dir: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path).map_err(io)?;
        }
    }
    Ok(())
}

fn open_sled(dir: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(dir)
        // As large as sled allows. The setting is part of the store's format: it never changes.
        .segment_size(16 << 20)
        .cache_capacity(64 << 20)
        // Background writing only; durability rests on flush and fdatasync.
        .flush_every_ms(None)
        .use_compression(false);
    let unreadable = |reason: String| StoreError::Unreadable { path: dir.to_owned(), reason };
    // sled panics on some damage; that must not take the process with it before it has said where.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(unreadable(error.to_string())),
        Err(_) => Err(unreadable("sled panicked while it read its files".to_owned())),
    }
}

/// A number and its complement: what was torn or never written does not pass for one.
fn read_number(mark: &File, at: u64) -> Option<u64> {
    let mut bytes = [0; 16];
    mark.read_exact_at(&mut bytes, at).ok()?;
    let (number, complement) = bytes.split_at(8);
    let number = u64::from_le_bytes(number.try_into().expect("8 bytes"));
    (u64::from_le_bytes(complement.try_into().expect("8 bytes")) == !number).then_some(number)
}

fn write_number(mark: &File, at: u64, number: u64) -> io::Result<()> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].copy_from_slice(&(!number).to_le_bytes());
    mark.write_all_at(&bytes, at)
}

const RECORDS_AT: u64 = 0;
const ALIVE_AT: u64 = 16;

fn read_mark(mark: &File) -> Mark {
    let alive_at = read_number(mark, ALIVE_AT).and_then(|millis| i64::try_from(millis).ok());
    Mark { records: read_number(mark, RECORDS_AT).unwrap_or(0), alive_at: alive_at.map(Timestamp::from_millis) }
}

impl Store for SledStore {
    fn append(&mut self, records: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        if let [(key, record)] = records {
            io_threads::watched(|| self.db.insert(key.to_bytes(), record.as_slice()))?;
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        for (key, record) in records {
            batch.insert(&key.to_bytes(), record.as_slice());
        }
        Ok(io_threads::watched(|| self.db.apply_batch(batch))?)
    }

    fn flush(&mut self, records: u64) -> Result<(), StoreError> {
        io_threads::watched(|| self.db.flush())?;
        if !Bug::FlushWithoutSync.is_on() {
            self.data.sync_data().map_err(|source| self.io(source))?;
        }
        write_number(&self.mark, RECORDS_AT, records).map_err(|source| self.io(source))
    }

    fn heartbeat(&mut self, at: Timestamp) -> Result<(), StoreError> {
        io_threads::rest_again(&self.db)?;
        write_number(&self.mark, ALIVE_AT, at.as_millis() as u64).map_err(|source| self.io(source))
    }

    fn trim(&mut self, stream: Stream, sequence: u64) -> Result<bool, StoreError> {
        let from = Key { stream, sequence: 0 }.to_bytes();
        let to = Key { stream, sequence }.to_bytes();
        let keys: Vec<sled::IVec> = self.db.range(from..=to).keys().take(TRIM_MAX).collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| io_threads::watched(|| self.db.remove(key)).map(drop))?;
        Ok(keys.len() < TRIM_MAX)
    }

    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        for record in self.db.iter() {
            let (key, value) = record?;
            let unreadable = || StoreError::Unreadable { path: self.dir.clone(), reason: "a key is not ours".into() };
            visit(Key::from_bytes(&key).ok_or_else(unreadable)?, &value);
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.marked
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        disk::free_bytes(&self.dir).ok()
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

    #[test]
    fn an_index_left_half_written_does_not_stop_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(SledStore::open(dir.path()).unwrap());
        fs::write(dir.path().join("snap.0000000000000001.generating"), b"half").unwrap();
        assert!(SledStore::open(dir.path()).is_ok());
    }
}
