//! Where the control plane keeps what it knows: a sled store of its own, one tree, one batch a change.
//!
//! A change is durable when [`Store::write`] returns; [`DurableSled`] is the recipe, the engine's. sled keeps what was
//! overwritten in its log for an unknown time; what has to be gone is gone when the store is written anew
//! ([`Store::rewrite`]).
//!
//! A damaged byte makes sled cut off all that was written after it, without a word, where the process was killed. So
//! changes are counted, in the store and in a file beside it, and a store with fewer is refused.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use onrush_api::problem::{Kind, Problem};
use onrush_engine::journal::disk;
use onrush_engine::journal::store::StoreError as DiskError;
use onrush_engine::journal::store::durable::DurableSled;
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

    /// With another one behind it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// Why a store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk did, or what it holds cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It failed before. Nobody knows what the disk has until the next start.
    #[error("the store has failed before and takes nothing more")]
    Failed,
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

impl StoreError {
    /// It holds what it should not, or not what it should.
    pub(crate) fn unreadable(path: &Path, reason: impl Into<String>) -> Self {
        DiskError::Unreadable { path: path.to_owned(), reason: reason.into() }.into()
    }

    fn io(path: &Path, source: io::Error) -> Self {
        DiskError::Io { path: path.to_owned(), source }.into()
    }
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
    sled: DurableSled,
}

const FORMAT: &str = "1";
/// No key of a caller begins with a zero byte.
const FORMAT_KEY: &[u8] = b"\0format";
const CHANGES_KEY: &[u8] = b"\0changes";
/// The place of the number beside the store that says how many changes are durable.
const CHANGES: u64 = 0;
/// What a rewriting puts into one change: far less than a segment.
const REWRITE_BYTES_MAX: usize = 256 * 1024;

impl Generation {
    fn open(root: &Path, number: u64) -> Result<Self, StoreError> {
        let dir = generation_dir(root, number);
        make_private(&dir).map_err(|source| StoreError::io(&dir, source))?;
        let generation = Self { number, sled: DurableSled::open(&dir)? };
        generation.check_format()?;
        generation.check_changes()?;
        Ok(generation)
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        Ok(self.sled.db().get(key).map_err(DiskError::from)?)
    }

    /// How many changes there were, as the store itself says.
    fn changes(&self) -> Result<u64, StoreError> {
        let count = self.get(CHANGES_KEY)?;
        Ok(count.and_then(|count| count.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0))
    }

    /// Compares with what was noted beside the store.
    fn check_changes(&self) -> Result<(), StoreError> {
        let (found, noted) = (self.changes()?, self.sled.noted(CHANGES).unwrap_or(0));
        if found >= noted {
            return Ok(());
        }
        Err(self.sled.unreadable(format!("{found} changes are left of {noted} that were durable")).into())
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.get(FORMAT_KEY)? {
            None => self.write(Change::default().put(FORMAT_KEY, FORMAT)),
            Some(found) if found == FORMAT.as_bytes() => Ok(()),
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                Err(StoreError::Format { path: self.sled.dir().to_owned(), found })
            }
        }
    }

    fn write(&self, Change(changes): Change) -> Result<(), StoreError> {
        let count = self.changes()? + 1;
        let mut batch = sled::Batch::default();
        batch.insert(CHANGES_KEY, &count.to_be_bytes());
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.sled.work(|db| db.apply_batch(batch))?;
        self.sled.flush()?;
        Ok(self.sled.note(CHANGES, count)?)
    }
}

impl Store {
    /// Does what waits for the disk, apart from whoever asks.
    ///
    /// # Errors
    /// `outcome-unknown`, where the store fails; the log says how.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(self);
        let worked = tokio::task::spawn_blocking(move || work(&store)).await;
        worked.map_err(|_| Problem::new(Kind::Internal))?.map_err(|error| {
            tracing::error!(%error, "the control plane's store");
            Problem::new(Kind::OutcomeUnknown).retry_after(1)
        })
    }

    /// Opens the store below `root`, or makes it.
    ///
    /// # Errors
    /// [`StoreError`], where it cannot be made, or read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::io(root, source);
        make_private(root).map_err(io)?;
        let number = read_current(root).map_err(io)?.unwrap_or(0);
        let numbers = numbers(root).map_err(io)?;
        // Only where there is none at all is the first one made. What a rewriting has begun stands beside the one in use.
        if !numbers.is_empty() && !numbers.contains(&number) {
            return Err(StoreError::unreadable(root, format!("store.{number} is in use, and is not there")));
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
        Ok(open.get(key)?.map(|value| value.to_vec()))
    }

    /// The keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn below(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let pair = |pair: Result<(sled::IVec, sled::IVec), _>| pair.map(|(key, value)| (key.to_vec(), value.to_vec()));
        Ok(open.sled.db().scan_prefix(prefix).map(pair).collect::<Result<_, _>>().map_err(DiskError::from)?)
    }

    /// Makes the change that `decide` asks for, durably, or none if it refuses. Nothing else changes meanwhile.
    ///
    /// # Errors
    /// What `decide` refuses with; and [`StoreError`], after which the store takes nothing more: whether the change is
    /// durable is known at the next start.
    pub fn write<T, E: From<StoreError>>(&self, decide: impl FnOnce() -> Result<(Change, T), E>) -> Result<T, E> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let (change, answer) = decide()?;
        if !change.0.is_empty() {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            self.noting_failure(open.write(change))?;
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
        self.noting_failure(write_current(&self.root, number))?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.io(remove_others(&self.root, number))?;
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        self.noting_failure(open.write(Change::default().remove(mark)))
    }

    fn io<T>(&self, outcome: io::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|source| StoreError::io(&self.root, source))
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
        let takes = open.sled.db().size_on_disk().map_err(DiskError::from)?;
        let (free, needed) = (self.io(disk::free_bytes(&self.root))?, takes * 2 + low_water_bytes);
        if free >= needed { Ok(()) } else { Err(StoreError::NoRoom { path: self.root.clone(), needed, free }) }
    }
}

/// What is kept of people is nobody else's on this machine.
fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn copy(from: &Generation, to: &Generation) -> Result<(), StoreError> {
    let (mut change, mut bytes) = (Change::default(), 0);
    for pair in from.sled.db().iter() {
        let (key, value) = pair.map_err(DiskError::from)?;
        // The copy counts its own.
        if key == CHANGES_KEY {
            continue;
        }
        bytes += key.len() + value.len();
        change = change.put(key.to_vec(), value.to_vec());
        if bytes > REWRITE_BYTES_MAX {
            to.write(std::mem::take(&mut change))?;
            bytes = 0;
        }
    }
    to.write(change)
}

fn generation_dir(root: &Path, number: u64) -> PathBuf {
    root.join(format!("store.{number}"))
}

/// The number of the store that is in use; nothing where there was never another than the first.
fn read_current(root: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(root.join("current")) {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_current(root: &Path, number: u64) -> Result<(), StoreError> {
    let (beside, current) = (root.join("current.new"), root.join("current"));
    fs::write(&beside, format!("{number}\n")).map_err(|source| StoreError::io(&beside, source))?;
    disk::sync(&beside)?;
    fs::rename(&beside, &current).map_err(|source| StoreError::io(&current, source))?;
    Ok(disk::sync(root)?)
}

/// The numbers of the stores that there are.
fn numbers(root: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<io::Result<_>>()?;
    Ok(names.iter().filter_map(|name| name.strip_prefix("store.")?.parse().ok()).collect())
}

fn remove_others(root: &Path, number: u64) -> io::Result<()> {
    let others = numbers(root)?.into_iter().filter(|other| *other != number);
    others.into_iter().try_for_each(|other| fs::remove_dir_all(generation_dir(root, other)))
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
        half.write(Change::default().put("b", "half")).unwrap();
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
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Disk(DiskError::Unreadable { .. }))));
        fs::write(&current, "7\n").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Disk(DiskError::Unreadable { .. }))));
        fs::rename(&away, &current).unwrap();
        assert!(Store::open(dir.path()).unwrap().get(b"a").unwrap().is_some());
    }

    #[test]
    fn a_store_that_has_lost_changes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "a", "x");
        // What a start would find if sled had cut off the last change.
        store.open.read().unwrap().sled.note(CHANGES, 3).unwrap();
        drop(store);
        let Err(error) = Store::open(dir.path()) else { panic!("it is opened") };
        assert!(error.to_string().contains("2 changes are left of 3 that were durable"), "{error}");
        // A note that a power cut has torn, or set back, says nothing.
        for harmless in [&b"torn"[..], &[0; 32]] {
            fs::write(dir.path().join("store.0/mark"), harmless).unwrap();
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
    fn nobody_else_on_the_machine_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("accounts");
        drop(Store::open(&root).unwrap());
        for private in [&root, &root.join("store.0")] {
            assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
