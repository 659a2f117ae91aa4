//! Where the control plane keeps what it knows: a sled store of its own, one tree, one batch a change.
//!
//! A change is durable when [`Store::write`] returns: sled's own `flush` survives a crash of the process but no power
//! cut, so an `fdatasync` on a descriptor of ours follows it, as in the engine's journal. sled keeps what was overwritten
//! in its log for an unknown time; what has to be gone is gone when the store is written anew ([`Store::rewrite`]).
//!
//! A damaged byte makes sled cut off all that was written after it, without a word, where the process was killed. So
//! changes are counted, in the store and in a file beside it, and a store with fewer is refused.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use thiserror::Error;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What a batch changes: values at keys, and keys that are taken away.
#[derive(Debug, Default)]
pub struct Change(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Change {
    /// Puts a value at a key.
    #[must_use]
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.0.push((key.into(), Some(value.into())));
        self
    }

    /// Takes a key away.
    #[must_use]
    pub fn remove(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.0.push((key.into(), None));
        self
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    #[error("the store in {path}: {source}")]
    Sled {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        source: sled::Error,
    },
    /// It failed before. Nobody knows what the disk has until the next start.
    #[error("the store has failed before and takes nothing more")]
    Failed,
    /// It holds what it should not, or not what it should.
    #[error("the store in {path} cannot be read: {reason}. If its files are damaged, restore a copy")]
    Unreadable {
        /// The store's directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is too little room to write it anew.
    #[error("the store in {path} is not written anew: that needs {needed} bytes, and {free} are free")]
    NoRoom {
        /// The store's directory.
        path: PathBuf,
        /// Twice what the store takes, and what is left to the engines.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// A later version wrote it.
    #[error("the store in {path} has format {found}, and this version reads format {FORMAT}")]
    Format {
        /// The store's directory.
        path: PathBuf,
        /// What it says.
        found: String,
    },
}

/// See the module. Invariant: one process.
pub struct Store {
    root: PathBuf,
    open: RwLock<Generation>,
    /// One change at a time, so that who looks before a change sees what it changes.
    writing: Mutex<()>,
    failed: AtomicBool,
}

/// The store as it was last written anew.
struct Generation {
    number: u64,
    db: sled::Db,
    data: File,
    /// Says how many changes are durable; exact after a crash of the process.
    mark: File,
    dir: PathBuf,
}

const FORMAT: &str = "1";
/// No key of a caller begins with a zero byte.
const FORMAT_KEY: &[u8] = b"\0format";
const CHANGES_KEY: &[u8] = b"\0changes";
/// As in the engine's journal, and for its reason: less than a segment is written between two syncs. Part of the format.
const SEGMENT_BYTES: usize = 16 << 20;
const REWRITE_BYTES_MAX: usize = 256 * 1024;

impl Generation {
    fn open(root: &Path, number: u64) -> Result<Self, StoreError> {
        let dir = root.join(format!("store.{number}"));
        make_private(&dir).map_err(|source| StoreError::Io { path: dir.clone(), source })?;
        let db = open_sled(&dir)?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, source }
        };
        let path = dir.join("db");
        let data = File::open(&path).map_err(io(&path))?;
        for path in [&dir.join("conf"), &path, &dir, root] {
            File::open(path).and_then(|file| file.sync_all()).map_err(io(path))?;
        }
        let path = dir.join("mark");
        let mark =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io(&path))?;
        let generation = Self { number, db, data, mark, dir };
        generation.check_format()?;
        generation.check_changes()?;
        Ok(generation)
    }

    /// How many changes there were, as the store itself says.
    fn changes(&self) -> Result<u64, StoreError> {
        let count = self.db.get(CHANGES_KEY).map_err(|source| self.sled(source))?;
        Ok(count.and_then(|count| count.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0))
    }

    /// Compares with what was noted beside the store: a number and its complement, or nothing where a crash tore it.
    fn check_changes(&self) -> Result<(), StoreError> {
        let mut noted = [0; 16];
        let read = self.mark.read_exact_at(&mut noted, 0);
        let (count, complement) = noted.split_at(8);
        let word = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        let noted = Some(word(count)).filter(|count| read.is_ok() && word(complement) == !count).unwrap_or(0);
        let found = self.changes()?;
        if found >= noted {
            return Ok(());
        }
        let reason = format!("{found} changes are left of {noted} that were durable");
        Err(StoreError::Unreadable { path: self.dir.clone(), reason })
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.db.get(FORMAT_KEY).map_err(|source| self.sled(source))? {
            None => self.write(vec![(FORMAT_KEY.to_vec(), Some(FORMAT.into()))]),
            Some(found) if found == FORMAT.as_bytes() => Ok(()),
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                Err(StoreError::Format { path: self.dir.clone(), found })
            }
        }
    }

    fn sled(&self, source: sled::Error) -> StoreError {
        StoreError::Sled { path: self.dir.clone(), source }
    }

    fn write(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let count = self.changes()? + 1;
        let mut batch = sled::Batch::default();
        batch.insert(CHANGES_KEY, &count.to_be_bytes());
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).and_then(|()| self.db.flush()).map_err(|source| self.sled(source))?;
        let note = [count.to_be_bytes(), (!count).to_be_bytes()].concat();
        let noted = self.data.sync_data().and_then(|()| self.mark.write_all_at(&note, 0));
        noted.map_err(|source| StoreError::Io { path: self.dir.clone(), source })
    }
}

impl Store {
    /// Opens the store below `root`, or makes it.
    ///
    /// # Errors
    /// [`StoreError`], where it cannot be made, or read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: root.to_owned(), source };
        make_private(root).map_err(io)?;
        let current = read_current(root).map_err(io)?;
        let number = current.unwrap_or(0);
        let unreadable = |reason: String| StoreError::Unreadable { path: root.to_owned(), reason };
        if current.is_some() && !root.join(format!("store.{number}")).exists() {
            return Err(unreadable(format!("'current' names store.{number}, which is not there")));
        }
        let numbers = numbers(root).map_err(io)?;
        // The first store has no 'current', and what a first rewriting has begun stands beside it.
        if current.is_none() && !numbers.is_empty() && !numbers.contains(&0) {
            return Err(unreadable("the file 'current' is not there".to_owned()));
        }
        let generation = Generation::open(root, number)?;
        remove_others(root, number).map_err(io)?;
        let failed = AtomicBool::new(false);
        Ok(Self { root: root.to_owned(), open: RwLock::new(generation), writing: Mutex::new(()), failed })
    }

    /// The value at a key.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        Ok(open.db.get(key).map_err(|source| open.sled(source))?.map(|value| value.to_vec()))
    }

    /// The keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn below(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let pair = |pair: Result<(sled::IVec, sled::IVec), _>| pair.map(|(key, value)| (key.to_vec(), value.to_vec()));
        open.db.scan_prefix(prefix).map(pair).collect::<Result<_, _>>().map_err(|source| open.sled(source))
    }

    /// Makes the change that `decide` asks for, durably, or none if it refuses. Nothing else changes meanwhile.
    ///
    /// # Errors
    /// What `decide` refuses with; and [`StoreError`], after which the store takes nothing more: whether the change is
    /// durable is known at the next start.
    pub fn write<T, E: From<StoreError>>(&self, decide: impl FnOnce() -> Result<(Change, T), E>) -> Result<T, E> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let (Change(changes), answer) = decide()?;
        if !changes.is_empty() {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            self.noting_failure(open.write(changes))?;
        }
        Ok(answer)
    }

    fn noting_failure<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &outcome {
            self.failed.store(true, Ordering::Release);
            tracing::error!(%error, "the control plane's store has failed; the process must be started again");
        }
        outcome
    }

    /// Whether it still takes changes.
    ///
    /// # Errors
    /// [`StoreError::Failed`], if it does not.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) { Err(StoreError::Failed) } else { Ok(()) }
    }

    /// Writes all that there is into a new store and removes the old one, with all that was ever overwritten or removed
    /// in it; then takes the key `mark` away, which says that this has to be done. Changes wait meanwhile, reads do not.
    ///
    /// # Errors
    /// [`StoreError`]. [`StoreError::NoRoom`] and a copy that fails leave the old store in use; what fails from the
    /// moment on in which the new one takes its place is final, as for any change.
    pub fn rewrite(&self, mark: &[u8], low_water_bytes: u64) -> Result<(), StoreError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let new = self.copied(low_water_bytes)?;
        let number = new.number;
        self.noting_failure(self.io(write_current(&self.root, number)))?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.io(remove_others(&self.root, number))?;
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        self.noting_failure(open.write(vec![(mark.to_vec(), None)]))
    }

    fn io<T>(&self, outcome: io::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|source| StoreError::Io { path: self.root.clone(), source })
    }

    /// A whole copy of the store in use.
    fn copied(&self, low_water_bytes: u64) -> Result<Generation, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        // What is left of one that was broken off.
        self.io(remove_others(&self.root, open.number))?;
        self.check_room(&open, low_water_bytes)?;
        let copied = Generation::open(&self.root, open.number + 1).and_then(|new| copy(&open, &new).map(|()| new));
        if copied.is_err() {
            self.io(remove_others(&self.root, open.number))?;
        }
        copied
    }

    fn check_room(&self, open: &Generation, low_water_bytes: u64) -> Result<(), StoreError> {
        let takes = open.db.size_on_disk().map_err(|source| open.sled(source))?;
        let room = self.io(rustix::fs::statvfs(&self.root).map_err(io::Error::from))?;
        let (free, needed) = (room.f_bavail * room.f_frsize, takes * 2 + low_water_bytes);
        if free >= needed { Ok(()) } else { Err(StoreError::NoRoom { path: self.root.clone(), needed, free }) }
    }
}

/// What is kept of people is nobody else's on this machine.
fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn open_sled(dir: &Path) -> Result<sled::Db, StoreError> {
    let unreadable = |reason: String| StoreError::Unreadable { path: dir.to_owned(), reason };
    remove_unfinished_index(dir).map_err(|source| StoreError::Io { path: dir.to_owned(), source })?;
    let config =
        sled::Config::new().path(dir).segment_size(SEGMENT_BYTES).cache_capacity(32 << 20).flush_every_ms(None);
    // sled panics on some damage.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| unreadable(error.to_string())),
        Err(_) => Err(unreadable("sled panicked while it read its files".to_owned())),
    }
}

/// A process that is killed while sled opens leaves an index on which every later open fails.
fn remove_unfinished_index(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn copy(from: &Generation, to: &Generation) -> Result<(), StoreError> {
    let (mut changes, mut bytes) = (Vec::new(), 0);
    for pair in from.db.iter() {
        let (key, value) = pair.map_err(|source| from.sled(source))?;
        // The copy counts its own.
        if key == CHANGES_KEY {
            continue;
        }
        bytes += key.len() + value.len();
        changes.push((key.to_vec(), Some(value.to_vec())));
        if bytes > REWRITE_BYTES_MAX {
            to.write(std::mem::take(&mut changes))?;
            bytes = 0;
        }
    }
    to.write(changes)
}

/// The number of the store that is in use; nothing where there was never another than the first.
fn read_current(root: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(root.join("current")) {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_current(root: &Path, number: u64) -> io::Result<()> {
    let beside = root.join("current.new");
    fs::write(&beside, format!("{number}\n"))?;
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, root.join("current"))?;
    File::open(root)?.sync_all()
}

/// The numbers of the stores that there are.
fn numbers(root: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<io::Result<_>>()?;
    Ok(names.iter().filter_map(|name| name.strip_prefix("store.")?.parse().ok()).collect())
}

fn remove_others(root: &Path, number: u64) -> io::Result<()> {
    let others = numbers(root)?.into_iter().filter(|other| *other != number);
    others.into_iter().try_for_each(|other| fs::remove_dir_all(root.join(format!("store.{other}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn put(store: &Store, key: &str, value: &str) {
        store.write(|| Ok::<_, StoreError>((Change::default().put(key, value), ()))).unwrap();
    }

    /// Whether any file below a directory has these bytes.
    fn is_on_disk(dir: &Path, bytes: &[u8]) -> bool {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
            true => is_on_disk(&path, bytes),
            false => fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes),
        })
    }

    #[test]
    fn what_is_written_is_there_again_and_a_refusal_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a1", "x");
        put(&store, "a2", "y");
        put(&store, "b1", "z");
        assert!(store.write(|| Err::<(Change, ()), _>(StoreError::Failed)).is_err());
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.get(b"a1").unwrap().as_deref(), Some(b"x".as_slice()));
        assert_eq!(store.below(b"a").unwrap().len(), 2);
        put(&store, "a1", "still takes changes");
    }

    #[test]
    fn what_was_removed_is_gone_from_the_disk_once_the_store_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for number in 0..2_000 {
            put(&store, &format!("k{number}"), &"v".repeat(200));
        }
        put(&store, "somebody", "kim@example.org, for good");
        let remove = Change::default().remove("somebody");
        store.write(|| Ok::<_, StoreError>((remove, ()))).unwrap();
        assert!(is_on_disk(dir.path(), b"kim@example.org"), "sled keeps what was removed");
        put(&store, "mark", "1");
        store.rewrite(b"mark", 0).unwrap();
        assert!(!is_on_disk(dir.path(), b"kim@example.org"));
        put(&store, "k0", "written later");
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.below(b"k").unwrap().len(), 2_000);
        assert_eq!(store.get(b"k0").unwrap().as_deref(), Some(b"written later".as_slice()));
        assert!(store.get(b"mark").unwrap().is_none());
    }

    #[test]
    fn a_rewriting_that_broke_off_is_as_if_it_had_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a", "x");
        drop(store);
        let half = Generation::open(dir.path(), 1).unwrap();
        half.write(vec![(b"b".to_vec(), Some(b"half".to_vec()))]).unwrap();
        drop(half);
        let store = Store::open(dir.path()).unwrap();
        assert!(store.get(b"a").unwrap().is_some() && store.get(b"b").unwrap().is_none());
        store.rewrite(b"mark", 0).unwrap();
        assert!(store.get(b"a").unwrap().is_some() && store.get(b"b").unwrap().is_none());
    }

    #[test]
    fn a_store_that_is_not_all_there_is_refused_and_nothing_of_it_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a", "x");
        store.rewrite(b"mark", 0).unwrap();
        drop(store);
        let (current, away) = (dir.path().join("current"), dir.path().join("away"));
        fs::rename(&current, &away).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Unreadable { .. })));
        fs::write(&current, "7\n").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Unreadable { .. })));
        fs::rename(&away, &current).unwrap();
        assert!(Store::open(dir.path()).unwrap().get(b"a").unwrap().is_some());
    }

    #[test]
    fn a_store_that_has_lost_changes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a", "x");
        put(&store, "b", "x");
        drop(store);
        let mark = dir.path().join("store.0/mark");
        let noted = fs::read(&mark).unwrap();
        let more = [9u64.to_be_bytes(), (!9u64).to_be_bytes()].concat();
        fs::write(&mark, more).unwrap();
        assert!(
            matches!(Store::open(dir.path()), Err(StoreError::Unreadable { reason, .. }) if reason.starts_with("3 "))
        );
        // One that a power cut has torn, or set back, says nothing.
        for harmless in [&noted[..], &noted[..7], &[7; 16]] {
            fs::write(&mark, harmless).unwrap();
            assert!(Store::open(dir.path()).is_ok());
        }
    }

    #[test]
    fn without_room_for_a_copy_nothing_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a", "x");
        assert!(matches!(store.rewrite(b"mark", u64::MAX / 2), Err(StoreError::NoRoom { .. })));
        put(&store, "a", "still takes changes");
        assert_eq!(numbers(dir.path()).unwrap(), [0]);
    }

    #[test]
    fn nobody_else_reads_it_and_an_index_left_half_written_does_not_stop_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("accounts");
        drop(Store::open(&root).unwrap());
        for private in [&root, &root.join("store.0")] {
            assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(root.join("store.0/snap.0000000000000001.generating"), b"half").unwrap();
        assert!(Store::open(&root).is_ok());
    }

    #[test]
    fn a_store_of_another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let generation = Generation::open(dir.path(), 0).unwrap();
        generation.write(vec![(FORMAT_KEY.to_vec(), Some(b"2".to_vec()))]).unwrap();
        drop(generation);
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Format { found, .. }) if found == "2"));
    }
}
