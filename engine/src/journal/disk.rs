//! Files around the store: opened, synced, and the room they have.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::store::StoreError;

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(io_at(path))
}

/// The file for two numbers beside a store; its 32 bytes have their place on the disk from the start.
pub(super) fn open_mark(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(io_at(path))?;
    if file.metadata().map_err(io_at(path))?.len() < 32 {
        file.write_all_at(&[0; 32], 0).map_err(io_at(path))?;
        file.sync_all().map_err(io_at(path))?;
    }
    Ok(file)
}

/// Syncs a file or a directory.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync(path: &Path) -> Result<(), StoreError> {
    open(path)?.sync_all().map_err(io_at(path))
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Bytes that are free for this process on the disk of `path`.
///
/// # Errors
/// What the operating system says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Takes a data directory for this process, until the file is dropped; nothing where another process has it.
///
/// # Errors
/// What the operating system says.
pub fn lock(dir: &Path) -> io::Result<Option<File>> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file that only takes room, so that a start on a full disk has some to give back.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// The ballast of a data directory.
    pub fn in_dir(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("ballast"), bytes }
    }

    /// Makes room before the store is opened: with nothing free sled cannot open at all. Says whether it had to.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn release_if_needed(&self) -> io::Result<bool> {
        let needed = self.path.exists() && free_bytes(&self.path)? < self.bytes;
        if needed {
            fs::remove_file(&self.path)?;
        }
        Ok(needed)
    }

    /// Takes the room again, where there is plenty: four times as much as the ballast. Says whether it did.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn take_if_plenty(&self) -> io::Result<bool> {
        let dir = parent(&self.path);
        if self.bytes == 0 || self.path.exists() || free_bytes(&dir)? < self.bytes.saturating_mul(4) {
            return Ok(false);
        }
        let file = File::create(&self.path)?;
        let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.bytes);
        if taken.is_err() {
            fs::remove_file(&self.path)?;
        }
        taken.map(|()| true).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_is_taken_once_and_given_back_only_in_need() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::in_dir(dir.path(), 1 << 16);
        assert!(ballast.take_if_plenty().unwrap());
        assert!(!ballast.take_if_plenty().unwrap());
        assert!(!ballast.release_if_needed().unwrap());
        let greedy = Ballast { bytes: u64::MAX, ..Ballast::in_dir(dir.path(), 0) };
        assert!(greedy.release_if_needed().unwrap());
        assert!(!dir.path().join("ballast").exists());
    }
}
