//! The store as a start finds it, kept until the start knows that it is sound.
//!
//! sled mends what it opens: it overwrites what it takes for a torn end, and zeroes the segments that it cannot reach
//! from there. Behind a damaged byte that destroys intact records, and a start that is then refused has made things
//! worse for whoever comes to save them. So the files are copied before sled sees them, and a refused start puts the
//! copy in their place.
//!
//! The copy goes from memory to memory, of bytes that sled is about to read anyway, and is gone before most of it has
//! reached the disk: 10 ms for 32 MiB, 100 to 300 ms for [`COPIED_MAX`]. A larger store is not copied, nor one for which
//! the disk has no room; a start that is refused then says so.
//!
//! The copy has its name only once it is whole, and goes only once a start has found the store sound. One that a start
//! meets is what an earlier start found and could not put back: it was killed, or the file system does not exchange names.
//! It stays until a start succeeds, and takes nobody's place by itself: if the power was cut meanwhile, it may be torn.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use super::disk;

/// The most that is copied.
const COPIED_MAX: u64 = 256 << 20;
/// What a copy leaves free: sled takes a segment or two of 16 MiB when it opens.
const LEFT_FREE: u64 = 64 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Original {
    store: PathBuf,
    copy: Copied,
}

#[derive(Debug, PartialEq, Eq)]
enum Copied {
    /// By this start.
    Now(PathBuf),
    /// By one that could not put it back; the store may have changed since.
    Earlier(PathBuf),
    /// It would take too much time or room.
    Not,
}

impl Original {
    /// Keeps the store as it is, if there is one. A start does without a copy that cannot be made.
    pub(crate) fn keep(store: &Path) -> Self {
        let place = store.with_extension("before");
        let copy = if place.exists() {
            tracing::warn!(copy = %place.display(), "an earlier start could not put the journal back as it found it");
            Copied::Earlier(place)
        } else {
            let copied = is_cheap(store).and_then(|cheap| Ok(cheap && copy_whole(store, &place)?));
            let copied = copied.inspect_err(|error| {
                tracing::warn!(%error, "the journal could not be copied before it is opened");
            });
            if copied.unwrap_or(false) { Copied::Now(place) } else { Copied::Not }
        };
        Self { store: store.to_owned(), copy }
    }

    /// The store is sound.
    pub(crate) fn forget(self) {
        let (Copied::Now(copy) | Copied::Earlier(copy)) = self.copy else { return };
        if let Err(error) = remove(&copy) {
            tracing::warn!(%error, "the copy of the journal is left behind: the next start drops it");
        }
    }

    /// The start is refused and has written nothing: the store is again what it was.
    pub(crate) fn put_back(self) {
        match self.copy {
            Copied::Now(copy) => match exchange(&self.store, &copy) {
                Ok(()) => tracing::warn!("this start is refused; the journal is again what it was before"),
                Err(error) => tracing::warn!(%error, copy = %copy.display(), "the journal could not be put back"),
            },
            Copied::Earlier(copy) => {
                tracing::warn!(copy = %copy.display(), "the journal as an earlier start found it may hold more");
            }
            Copied::Not => {
                tracing::warn!("the journal was not copied before it was opened: behind damage it may have changed");
            }
        }
    }
}

/// Copies a store so that the copy is there whole or not at all.
fn copy_whole(store: &Path, place: &Path) -> io::Result<bool> {
    let partial = store.with_extension("copying");
    let copied = remove(&partial).and_then(|()| copy(store, &partial)).and_then(|()| fs::rename(&partial, place));
    if copied.is_err() {
        // What is half there only takes room; the next start drops it, too.
        remove(&partial).ok();
    }
    copied.map(|()| true)
}

/// Whether there is something to copy, little enough, and the disk has room.
fn is_cheap(store: &Path) -> io::Result<bool> {
    if !store.exists() {
        return Ok(false);
    }
    let lens: Vec<u64> = files(store)?.iter().map(|file| Ok(fs::metadata(file)?.len())).collect::<io::Result<_>>()?;
    let len = lens.iter().sum::<u64>();
    Ok(len > 0 && len <= COPIED_MAX && disk::free_bytes(store)? >= len + LEFT_FREE)
}

/// Copies a store's files into a new directory.
///
/// # Errors
/// What the operating system says.
pub fn copy(store: &Path, place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    for file in files(store)? {
        fs::copy(&file, place.join(file.file_name().expect("an entry of a directory has a name")))?;
    }
    Ok(())
}

pub(crate) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| path.is_file());
    Ok(paths)
}

pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Puts a copy in a store's place and drops what was there. At no moment is there none; when it returns, it is durable.
fn exchange(store: &Path, copy: &Path) -> io::Result<()> {
    files(copy)?.iter().try_for_each(|file| File::open(file)?.sync_all())?;
    rustix::fs::renameat_with(CWD, store, CWD, copy, RenameFlags::EXCHANGE)?;
    File::open(disk::parent(store))?.sync_all()?;
    remove(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of two files beside nothing else.
    fn store(data: &Path) -> PathBuf {
        let store = data.join("journal");
        fs::create_dir(&store).unwrap();
        fs::write(store.join("db"), b"intact").unwrap();
        fs::write(store.join("mark"), b"7").unwrap();
        store
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_refused_start_leaves_the_store_as_it_was_and_nothing_beside_it() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        let original = Original::keep(&store);
        fs::write(store.join("db"), b"mended").unwrap();
        fs::write(store.join("snap.1"), b"new").unwrap();
        original.put_back();
        assert_eq!(fs::read(store.join("db")).unwrap(), b"intact");
        assert_eq!((names(&store), names(data.path())), (vec!["db".into(), "mark".into()], vec!["journal".into()]));
    }

    #[test]
    fn a_sound_start_keeps_what_it_has_written_and_drops_the_copy() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        fs::create_dir(data.path().join("journal.copying")).unwrap();
        fs::write(data.path().join("journal.copying/db"), b"half").unwrap();
        let original = Original::keep(&store);
        assert_eq!(names(data.path()), ["journal", "journal.before"]);
        fs::write(store.join("db"), b"mended").unwrap();
        original.forget();
        assert_eq!(fs::read(store.join("db")).unwrap(), b"mended");
        assert_eq!(names(data.path()), ["journal"]);
    }

    #[test]
    fn what_a_killed_start_has_kept_stays_until_a_start_succeeds() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        std::mem::forget(Original::keep(&store));
        fs::write(store.join("db"), b"mended").unwrap();
        Original::keep(&store).put_back();
        assert_eq!(fs::read(data.path().join("journal.before/db")).unwrap(), b"intact");
        assert_eq!(fs::read(store.join("db")).unwrap(), b"mended", "a copy that may be torn takes nobody's place");
        Original::keep(&store).forget();
        assert_eq!(names(data.path()), ["journal"]);
    }

    #[test]
    fn where_there_is_no_store_there_is_nothing_to_keep() {
        let data = tempfile::tempdir().unwrap();
        assert!(Original::keep(&data.path().join("journal")).copy == Copied::Not);
        assert!(names(data.path()).is_empty());
    }
}
