//! The store as a start finds it, kept until the start knows that it is sound.
//!
//! sled mends what it opens: it overwrites what it takes for a torn end, and zeroes the segments that it cannot reach
//! from there. Behind a damaged byte that destroys intact records, and a start that is then refused has made things
//! worse for whoever comes to save them. So the files are copied before sled sees them, and a refused start puts the
//! copy in their place.
//!
//! The copy goes from memory to memory, of bytes that sled is about to read anyway, and is gone before most of it has
//! reached the disk: 10 ms for 32 MiB, 100 to 300 ms for [`COPIED_MAX`]. A larger store is not copied, nor one for which
//! the disk has no room; a start that is refused then says so. What a killed start leaves behind is dropped: a later
//! crash may have left it torn.

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
    /// Nothing where it would take too much time or room.
    copy: Option<PathBuf>,
}

impl Original {
    /// Keeps the store as it is, if there is one. A start does without a copy that cannot be made.
    pub(crate) fn keep(store: &Path) -> Self {
        let place = store.with_extension("before");
        let copied = remove(&place).and_then(|()| Ok(is_cheap(store)? && copy(store, &place).map(|()| true)?));
        let copied = copied.unwrap_or_else(|error| {
            tracing::warn!(%error, "the journal could not be copied before it is opened");
            // What is half there only takes room; the next start drops it, too.
            remove(&place).ok();
            false
        });
        Self { store: store.to_owned(), copy: copied.then_some(place) }
    }

    /// The store is sound.
    pub(crate) fn forget(self) {
        if let Some(Err(error)) = self.copy.map(|copy| remove(&copy)) {
            tracing::warn!(%error, "the copy of the journal is left behind: the next start drops it");
        }
    }

    /// The start is refused and has written nothing: the store is again what it was.
    pub(crate) fn put_back(self) {
        let Some(copy) = self.copy else {
            return tracing::warn!(
                "the journal was not copied before it was opened: behind damage it may have changed"
            );
        };
        match exchange(&self.store, &copy) {
            Ok(()) => tracing::warn!("the journal is as this start found it"),
            Err(error) => tracing::warn!(%error, copy = %copy.display(), "the journal could not be put back"),
        }
    }
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

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| path.is_file());
    Ok(paths)
}

fn remove(dir: &Path) -> io::Result<()> {
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
    fn a_sound_start_keeps_what_it_has_written_and_drops_what_a_killed_one_left() {
        let data = tempfile::tempdir().unwrap();
        let store = store(data.path());
        fs::create_dir(data.path().join("journal.before")).unwrap();
        fs::write(data.path().join("journal.before/db"), b"older").unwrap();
        let original = Original::keep(&store);
        assert_eq!(fs::read(data.path().join("journal.before/db")).unwrap(), b"intact");
        fs::write(store.join("db"), b"mended").unwrap();
        original.forget();
        assert_eq!(fs::read(store.join("db")).unwrap(), b"mended");
        assert_eq!(names(data.path()), ["journal"]);
    }

    #[test]
    fn where_there_is_no_store_there_is_nothing_to_keep() {
        let data = tempfile::tempdir().unwrap();
        assert!(Original::keep(&data.path().join("journal")).copy.is_none());
        assert!(names(data.path()).is_empty());
    }
}
