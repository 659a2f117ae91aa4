//! Where snapshots are kept, one operation of a file system at a time: a folder in production, one that forgets and
//! breaks in the simulation.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Files, none within another. Each operation fails with what the operating system says.
pub trait Directory: Send + Sync {
    /// The place of a file, for people.
    fn path(&self, name: &str) -> PathBuf;

    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// A file's bytes.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Makes a file with these bytes. They are durable when it returns, its name is not. One operation of two steps, as
    /// only the descriptor that wrote is sure to hear of an error of the writing.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, whose former file goes; not durable.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Drops a file; not durable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// A folder of the operating system's.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Opens a folder, or makes it.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Directory for Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.path(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
