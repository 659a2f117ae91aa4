//! Snapshots: an inventory's state in a file of its own, so that a start need not replay all.
//!
//! The file is a record of its own: a [`frame`](super::frame) whose sequence is that of the last record it stands for
//! and whose `previous` is that record's digest, with the state as its body. Written beside its place, synced, renamed,
//! and the directory synced; so it is there whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Stream;
use super::codec::{self, DecodeError};
use super::directory::{Directory, Folder};
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
#[derive(Clone)]
pub struct Snapshots {
    directory: Arc<dyn Directory>,
}

impl Snapshots {
    /// Opens the folder of a data directory, or makes it; see [`Self::within`].
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(data: &Path) -> io::Result<Self> {
        Self::within(Arc::new(Folder::open(data.join("snapshots"))?))
    }

    /// Drops what was being written when the last process ended. What it finds is durable when it returns: that process
    /// may have ended between a rename and the sync that makes it last, and the records that a snapshot stands for go for
    /// good.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn within(directory: Arc<dyn Directory>) -> io::Result<Self> {
        for name in directory.names()? {
            if name.ends_with(PARTIAL) {
                directory.remove(&name)?;
            }
        }
        directory.sync_names()?;
        Ok(Self { directory })
    }

    /// Writes a snapshot in the place of the stream's former one. When it returns, it is durable.
    ///
    /// # Errors
    /// What the operating system says. Then the former snapshot or the new one is there, and a power cut may change which:
    /// the records of both have to stay.
    pub fn write(&self, stream: Stream, frame: &[u8]) -> io::Result<()> {
        let partial = name(stream, PARTIAL);
        let written = self.directory.write(&partial, frame);
        if let Err(error) = written.and_then(|()| self.directory.rename(&partial, &name(stream, WHOLE))) {
            // What is half there only takes room, perhaps the last that there was; the next start drops it, too.
            self.directory.remove(&partial).ok();
            return Err(error);
        }
        self.directory.sync_names()
    }

    /// Reads all snapshots, one for each stream that has one.
    ///
    /// # Errors
    /// [`SnapshotError`], for the first that cannot be read: the journal before it is gone, so nothing can stand in.
    pub fn read_all(&self) -> Result<Vec<Snapshot>, SnapshotError> {
        let io = |source| SnapshotError::Io { path: self.directory.path(""), source };
        let mut names = self.directory.names().map_err(io)?;
        names.retain(|name| name.ends_with(WHOLE));
        names.sort();
        names.iter().map(|name| self.read(name)).collect()
    }

    fn read(&self, name: &str) -> Result<Snapshot, SnapshotError> {
        let path = || self.directory.path(name);
        let bytes = self.directory.read(name).map_err(|source| SnapshotError::Io { path: path(), source })?;
        Snapshot::decode(&bytes).map_err(|source| SnapshotError::Content { path: path(), source })
    }
}

/// The end of a name whose file is whole.
const WHOLE: &str = ".snapshot";
/// The end of a name whose file is being written.
const PARTIAL: &str = ".partial";

fn name(stream: Stream, end: &str) -> String {
    format!("{:016x}{end}", stream.0)
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
        let Record { epoch, stream, sequence, previous, format, body, .. } = Record::decode(bytes)?;
        Ok(Self { epoch, stream, sequence, tip: previous, image: codec::decode_image(format, body)? })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_snapshot_that_cannot_take_its_place_leaves_nothing_behind() {
        let data = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(data.path()).unwrap();
        fs::create_dir(snapshots.directory.path(&name(Stream(7), WHOLE))).unwrap();
        assert!(snapshots.write(Stream(7), b"state").is_err());
        assert_eq!(snapshots.directory.names().unwrap(), [name(Stream(7), WHOLE)]);
    }
}
