//! What a start would read, read from a copy.

use std::path::Path;

use anyhow::Context as _;
use onrush_engine::journal::recovery::{Recovered, recover};
use onrush_engine::journal::snapshot::{Snapshot, Snapshots};
use onrush_engine::journal::store::{SledStore, StoreError};
use onrush_engine::journal::{disk, original};
use tempfile::TempDir;

use super::misuse::Misuse;

/// A data directory's journal, read and found sound.
pub(super) struct Copy {
    pub(super) found: Recovered,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) store: SledStore,
    /// Goes when this is dropped, after the store that is in it.
    _files: TempDir,
}

impl Copy {
    /// Copies what is in a data directory, and recovers from that. The directory is free for a server again as soon as
    /// it is copied.
    ///
    /// A copy, because sled mends what it opens, and overwrites what it takes for a torn end: the records behind a
    /// damaged byte must still be there when somebody comes to save them.
    pub(super) fn of(data: &Path) -> anyhow::Result<Self> {
        if !data.is_dir() {
            return Err(Misuse::NoDirectory(data.to_owned()).into());
        }
        if !data.join("journal").is_dir() {
            return Err(Misuse::NoJournal(data.to_owned()).into());
        }
        let lock = disk::lock(data).with_context(|| format!("cannot use {}", data.display()))?;
        let lock = lock.ok_or_else(|| Misuse::InUse(data.to_owned()))?;
        let files =
            copied(data).with_context(|| format!("cannot copy {}: it needs as much room again", data.display()))?;
        drop(lock);
        let of = || format!("a copy of {}", data.display());
        let store = SledStore::open(&files.path().join("journal")).map_err(|error| of_original(error, data));
        let store = store?;
        let snapshots = Snapshots::open(files.path())?.read_all().with_context(of)?;
        let found = recover(&store, snapshots.clone()).with_context(|| {
            format!("the journal of {} is damaged and nothing is told from it; restore a copy of it", data.display())
        })?;
        Ok(Self { found, snapshots, store, _files: files })
    }
}

/// The copy is gone when somebody reads the message: what is damaged is the original.
fn of_original(error: StoreError, data: &Path) -> StoreError {
    match error {
        StoreError::Unreadable { reason, .. } => StoreError::Unreadable { path: data.join("journal"), reason },
        error => error,
    }
}

/// The copy stands beside the original, where there may be room for it; a temporary directory is often small.
fn copied(data: &Path) -> std::io::Result<TempDir> {
    let files = tempfile::Builder::new().prefix("copy-").tempdir_in(data)?;
    for part in ["journal", "snapshots"] {
        let (from, to) = (data.join(part), files.path().join(part));
        if from.is_dir() {
            original::copy(&from, &to)?;
        }
    }
    Ok(files)
}
