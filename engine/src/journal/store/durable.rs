//! sled 0.34.7, used so that what was flushed survives a power cut: the recipe of every store here.
//!
//! `Db::flush` alone does not: it ends in `sync_file_range`, which writes no metadata and leaves the drive's cache be.
//! So every flush is followed by `fdatasync` on a descriptor of our own; values stay below the size at which sled puts
//! them into files it never syncs; and whoever writes here writes less than one segment between two flushes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{StoreError, io_threads};
use crate::journal::disk;
use crate::seeded::Bug;

/// See the module.
pub struct DurableSled {
    db: sled::Db,
    data: File,
    /// Two numbers beside the store, which need no flush.
    mark: File,
    dir: PathBuf,
}

/// A number with its complement.
const NUMBER_BYTES: u64 = 16;

impl DurableSled {
    /// Opens what is in `dir`, or makes it.
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
        Ok(Self { db, data, mark, dir: dir.to_owned() })
    }

    /// What is kept, to be read.
    pub fn db(&self) -> &sled::Db {
        &self.db
    }

    /// Where it is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does something that sled's threads have a part in: a write. It is durable after the next flush.
    ///
    /// # Errors
    /// What sled says, after which it must not be used.
    pub fn work<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        Ok(io_threads::watched(|| work(&self.db))?)
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StoreError`], after which it must not be used: a flush is never tried again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.work(|db| db.flush())?;
        if !Bug::FlushWithoutSync.is_on() {
            self.data.sync_data().map_err(|source| self.io(source))?;
        }
        Ok(())
    }

    /// Notes a number in one of two places beside the store, without a sync: exact after a crash of the process, perhaps
    /// some seconds old after a power cut.
    ///
    /// # Errors
    /// [`StoreError`], where it cannot be written.
    pub fn note(&self, place: u64, number: u64) -> Result<(), StoreError> {
        let mut bytes = [0; NUMBER_BYTES as usize];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&(!number).to_le_bytes());
        self.mark.write_all_at(&bytes, place * NUMBER_BYTES).map_err(|source| self.io(source))
    }

    /// What is noted in a place; nothing where it is torn or was never written.
    pub fn noted(&self, place: u64) -> Option<u64> {
        let mut bytes = [0; NUMBER_BYTES as usize];
        self.mark.read_exact_at(&mut bytes, place * NUMBER_BYTES).ok()?;
        let (number, complement) = bytes.split_at(8);
        let number = u64::from_le_bytes(number.try_into().expect("8 bytes"));
        (u64::from_le_bytes(complement.try_into().expect("8 bytes")) == !number).then_some(number)
    }

    /// To be called now and then: puts those of sled's threads to rest that a stall has called back.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn rest_again(&self) -> Result<(), StoreError> {
        Ok(io_threads::rest_again(&self.db)?)
    }

    /// That it holds what it should not.
    pub fn unreadable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unreadable { path: self.dir.clone(), reason: reason.into() }
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
        Ok(Err(sled::Error::Corruption { at, .. })) => Err(unreadable(damaged(at.map(|at| at.lid())))),
        Ok(Err(error)) => Err(unreadable(error.to_string())),
        Err(_) => Err(unreadable("sled panicked while it read its files".to_owned())),
    }
}

/// What sled says of damage, in words; the place is what it calls an offset of its log, where it knows one.
fn damaged(offset: Option<u64>) -> String {
    match offset {
        Some(offset) => format!("sled found what it cannot have written at byte {offset} of its file 'db'"),
        None => "sled found what it cannot have written in its files, and does not say where".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let sled = DurableSled::open(dir.path()).unwrap();
        assert_eq!(sled.noted(1), None);
        sled.note(1, 7).unwrap();
        assert_eq!((sled.noted(0), sled.noted(1)), (None, Some(7)));
        sled.mark.write_all_at(&[1], 16).unwrap();
        assert_eq!(sled.noted(1), None);
    }

    #[test]
    fn an_index_left_half_written_does_not_stop_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(DurableSled::open(dir.path()).unwrap());
        fs::write(dir.path().join("snap.0000000000000001.generating"), b"half").unwrap();
        assert!(DurableSled::open(dir.path()).is_ok());
    }
}
