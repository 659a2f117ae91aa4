//! A disk that forgets what was not synced, tears the last of it, and breaks where it is told to.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use onrush_engine::journal::Stream;
use onrush_engine::journal::directory::Directory;
use onrush_engine::journal::frame::Record;
use onrush_engine::journal::snapshot::{Snapshot, Snapshots};
use onrush_engine::journal::store::{Key, Mark, Store, StoreError};
use onrush_engine::time::Timestamp;

use crate::fault::{Fault, Plan, Site};
use crate::folder::Folder;
use crate::random::Random;

/// Keys that one trim drops: few, so that most trims are cut short by something.
const TRIM_MAX: usize = 3;

/// What is in the store's log and not synced yet.
#[derive(Debug, Clone)]
enum Change {
    Put(Key, Vec<u8>),
    Drop(Key),
}

#[derive(Debug, Default)]
struct State {
    durable: BTreeMap<Key, Vec<u8>>,
    /// In the order in which they were made.
    pending: Vec<Change>,
    folder: Folder,
    /// As it would be read after a crash of the process.
    mark: Mark,
    /// As it would be read after a power cut, at the oldest.
    old_mark: Mark,
    plan: Option<Plan>,
    /// Every operation that was asked for, ever.
    log: Vec<Site>,
    /// Which append each record came with.
    groups: BTreeMap<Key, usize>,
    remarks: Vec<&'static str>,
    /// Where it failed since it came back, and how.
    failed: Option<(Site, Fault)>,
    faults: u64,
}

/// Shared by the engine's store and directory, and the world that breaks them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A disk that holds some records, so many of them acknowledged.
    pub(crate) fn holding(records: BTreeMap<Key, Vec<u8>>, acknowledged: u64) -> Self {
        let mark = Mark { records: acknowledged, alive_at: None };
        Self(Arc::new(Mutex::new(State { durable: records, mark, ..State::default() })))
    }

    /// Says what goes wrong next, instead of what was said before.
    pub(crate) fn plan(&self, plan: Option<Plan>) {
        self.state().plan = plan;
    }

    /// Where and how it failed since it came back, if it did.
    pub(crate) fn failed(&self) -> Option<(Site, Fault)> {
        self.state().failed
    }

    /// Whether an engine that runs on it must have come to its end.
    pub(crate) fn is_broken(&self) -> bool {
        self.failed().is_some_and(|(site, fault)| fault == Fault::Stop || !site.is_optional())
    }

    /// Every operation that was asked for, ever.
    pub(crate) fn log(&self) -> Vec<Site> {
        self.state().log.clone()
    }

    /// Faults that happened, ever.
    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }

    pub(crate) fn mark(&self) -> Mark {
        self.state().mark
    }

    /// The records that are there for good.
    pub(crate) fn records(&self) -> BTreeMap<Key, Vec<u8>> {
        self.state().durable.clone()
    }

    /// What the records that are there for good come to.
    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for bytes in self.state().durable.values() {
            hasher.update(bytes);
        }
        hasher.finalize()
    }

    /// What is remarkable of the snapshots that were written since this was asked last.
    pub(crate) fn remarks(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().remarks)
    }

    /// The machine comes back: a prefix of what was not synced may be there, its last record torn.
    pub(crate) fn come_back(&self, random: &mut Random) {
        let mut state = self.state();
        let mut survivors = std::mem::take(&mut state.pending);
        survivors.truncate(random.below(survivors.len() as u64 + 1) as usize);
        if let Some(Change::Put(_, bytes)) = survivors.last_mut()
            && random.one_in(2)
        {
            let keep = random.below(bytes.len() as u64) as usize;
            bytes.truncate(keep);
        }
        state.make_durable(survivors);
        state.folder.come_back(random);
        if random.one_in(2) {
            // The power was cut: what was never synced may be old.
            state.mark = state.old_mark;
        }
        state.failed = None;
    }

    /// What the disk holds for good, as a disk of its own.
    pub(crate) fn durable_copy(&self) -> Self {
        let state = self.state();
        let (durable, folder) = (state.durable.clone(), state.folder.durable_copy());
        Self(Arc::new(Mutex::new(State { durable, folder, mark: state.mark, ..State::default() })))
    }

    /// Its snapshots, as a start reads them.
    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        let snapshots =
            Snapshots::within(Arc::new(self.clone())).and_then(|all| all.read_all().map_err(io::Error::other));
        snapshots.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl State {
    /// Counts an operation; what goes wrong with it, if something does.
    fn attempt(&mut self, site: Site) -> Option<Fault> {
        if self.failed.is_some_and(|(_, fault)| fault == Fault::Stop) {
            return Some(Fault::Stop);
        }
        let number = self.log.len() as u64;
        self.log.push(site);
        let fault = self.plan.as_mut()?.is_due(site, number)?;
        (self.plan, self.failed) = (None, Some((site, fault)));
        self.faults += 1;
        Some(fault)
    }

    fn make_durable(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(key, bytes) => drop(self.durable.insert(key, bytes)),
                Change::Drop(key) => drop(self.durable.remove(&key)),
            }
        }
    }

    /// What a snapshot stands for, beside what is in the store.
    fn remark(&mut self, snapshot: &[u8]) {
        let Ok(Record { stream, sequence, .. }) = Record::decode(snapshot) else { return };
        if self.keys(stream, u64::MAX).last().is_some_and(|last| last.sequence > sequence) {
            self.remarks.push("a snapshot is written while the sale goes on");
        }
        let group = |sequence| self.groups.get(&Key { stream, sequence });
        if group(sequence).is_some() && group(sequence) == group(sequence + 1) {
            self.remarks.push("a snapshot is of half a group");
        }
    }

    /// The keys of a stream up to a sequence, as the running process sees them.
    fn keys(&self, stream: Stream, sequence: u64) -> Vec<Key> {
        let mut keys: Vec<Key> = self.durable.keys().copied().collect();
        for change in &self.pending {
            match change {
                Change::Put(key, _) => keys.push(*key),
                Change::Drop(dropped) => keys.retain(|key| key != dropped),
            }
        }
        keys.retain(|key| key.stream == stream && key.sequence <= sequence);
        keys.sort();
        keys
    }
}

fn refused(fault: Fault) -> StoreError {
    match fault {
        Fault::Stop => StoreError::Gone,
        _ => StoreError::Io { path: PathBuf::from("db"), source: fault.error() },
    }
}

impl Store for Disk {
    fn append(&mut self, records: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        let mut state = self.state();
        let fault = state.attempt(Site::Append);
        let written = match fault {
            None => records,
            Some(Fault::Short | Fault::NoRoom) => &records[..records.len() / 2],
            Some(_) => &[],
        };
        let group = state.log.len();
        state.groups.extend(written.iter().map(|(key, _)| (*key, group)));
        state.pending.extend(written.iter().map(|(key, bytes)| Change::Put(*key, bytes.clone())));
        fault.map_or(Ok(()), |fault| Err(refused(fault)))
    }

    fn flush(&mut self, records: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(fault) = state.attempt(Site::Sync) {
            if fault != Fault::Stop {
                state.pending.clear();
            }
            return Err(refused(fault));
        }
        let pending = std::mem::take(&mut state.pending);
        state.make_durable(pending);
        if let Some(fault) = state.attempt(Site::Mark) {
            return Err(refused(fault));
        }
        state.old_mark = state.mark;
        state.mark.records = records;
        Ok(())
    }

    fn trim(&mut self, stream: Stream, sequence: u64) -> Result<bool, StoreError> {
        let mut state = self.state();
        if let Some(fault) = state.attempt(Site::Trim) {
            return Err(refused(fault));
        }
        let keys = state.keys(stream, sequence);
        state.pending.extend(keys.iter().take(TRIM_MAX).map(|key| Change::Drop(*key)));
        Ok(keys.len() < TRIM_MAX)
    }

    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(fault) = state.attempt(Site::Scan) {
            return Err(refused(fault));
        }
        state.durable.iter().for_each(|(key, bytes)| visit(*key, bytes));
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.state().mark
    }

    fn heartbeat(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(fault) = state.attempt(Site::Heartbeat) {
            return Err(refused(fault));
        }
        state.mark.alive_at = Some(at);
        Ok(())
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }
}

impl Directory for Disk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("snapshots").join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.on_folder(Site::Names, |folder| Ok(folder.names()))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.on_folder(Site::Read, |folder| folder.read(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.attempt(Site::Write);
        let written = match fault {
            None => bytes,
            Some(Fault::Short | Fault::NoRoom) => &bytes[..bytes.len() / 2],
            Some(_) => &[],
        };
        if fault != Some(Fault::Stop) {
            state.folder.write(name, written);
            state.remark(bytes);
        }
        let fault = fault.or_else(|| state.attempt(Site::SyncFile));
        fault.map_or_else(|| state.folder.sync(name), |fault| Err(fault.error()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.on_folder(Site::Rename, |folder| folder.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.on_folder(Site::Remove, |folder| folder.remove(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.on_folder(Site::SyncNames, |folder| {
            folder.sync_names();
            Ok(())
        })
    }
}

impl Disk {
    fn on_folder<T>(&self, site: Site, work: impl FnOnce(&mut Folder) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        match state.attempt(site) {
            Some(fault) => Err(fault.error()),
            None => work(&mut state.folder),
        }
    }
}
