//! Snapshots: an inventory's state in a file of its own, so that a start need not replay all.
//!
//! The file is a record of its own: a [`frame`](super::frame) whose sequence is that of the last record it stands for
//! and whose `previous` is that record's digest, with the state as its body. Written beside its place, synced, renamed,
//! and the directory synced; so it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Stream;
use super::codec::{self, DecodeError};
use super::frame::{Digest, Frame, FrameError, Record};
use crate::inventory::Image;

/// A state and the place in its stream that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Who wrote it.
    pub epoch: u64,
    /// The performance's stream.
    pub stream: Stream,
    /// The last record that the state holds.
    pub sequence: u64,
    /// That record's digest.
    pub tip: Digest,
    /// The state.
    pub image: Image,
}

/// Why a snapshot cannot be read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("the snapshot {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something else.
    #[error("the snapshot {path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ContentError,
    },
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContentError {
    /// They are not what they were when they were written.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// They do not hold a state.
    #[error(transparent)]
    Body(#[from] DecodeError),
}

/// The snapshots of a data directory.
#[derive(Debug, Clone)]
pub struct Snapshots {
    dir: PathBuf,
}

impl Snapshots {
    /// Opens the directory, or makes it; drops what was being written when the process ended. What it finds is durable
    /// when it returns: the last process may have ended between a rename and the sync that makes it last, and the records
    /// that a snapshot stands for go for good.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(data: &Path) -> io::Result<Self> {
        let dir = data.join("snapshots");
        fs::create_dir_all(&dir)?;
        let snapshots = Self { dir };
        for path in snapshots.files()? {
            if path.extension().is_some_and(|extension| extension == "partial") {
                fs::remove_file(path)?;
            }
        }
        snapshots.sync()?;
        Ok(snapshots)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn path(&self, stream: Stream) -> PathBuf {
        self.dir.join(format!("{:016x}.snapshot", stream.0))
    }

    /// Writes a snapshot in the place of the stream's former one. When it returns, it is durable.
    ///
    /// # Errors
    /// What the operating system says. Then the former snapshot or the new one is there, and a power cut may change which:
    /// the records of both have to stay.
    pub fn write(&self, stream: Stream, frame: &[u8]) -> io::Result<()> {
        let path = self.path(stream);
        let partial = path.with_extension("partial");
        if let Err(error) = write_whole(&partial, frame).and_then(|()| fs::rename(&partial, &path)) {
            // What is half there only takes room, perhaps the last that there was; the next start drops it, too.
            fs::remove_file(&partial).ok();
            return Err(error);
        }
        self.sync()
    }

    /// Reads all snapshots, one for each stream that has one.
    ///
    /// # Errors
    /// [`SnapshotError`], for the first that cannot be read: the journal before it is gone, so nothing can stand in.
    pub fn read_all(&self) -> Result<Vec<Snapshot>, SnapshotError> {
        let io = |source| SnapshotError::Io { path: self.dir.clone(), source };
        let mut paths = self.files().map_err(io)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "snapshot"));
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<Snapshot, SnapshotError> {
    let bytes = fs::read(path).map_err(|source| SnapshotError::Io { path: path.to_owned(), source })?;
    Snapshot::decode(&bytes).map_err(|source| SnapshotError::Content { path: path.to_owned(), source })
}

impl Snapshot {
    /// The bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        Frame::encode(self.epoch, self.stream, self.sequence, self.tip, &codec::encode_image(&self.image)).bytes
    }

    /// Reads the bytes of a file. Whether the image is a state's, who restores it sees.
    ///
    /// # Errors
    /// [`ContentError`], where they hold something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let Record { epoch, stream, sequence, previous, body, .. } = Record::decode(bytes)?;
        Ok(Self { epoch, stream, sequence, tip: previous, image: codec::decode_image(body)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_cannot_take_its_place_leaves_nothing_behind() {
        let data = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(data.path()).unwrap();
        fs::create_dir(snapshots.path(Stream(7))).unwrap();
        assert!(snapshots.write(Stream(7), b"state").is_err());
        assert_eq!(snapshots.files().unwrap(), [snapshots.path(Stream(7))]);
    }
}
