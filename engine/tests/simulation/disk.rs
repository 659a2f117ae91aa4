//! A disk that forgets what was not flushed, tears the last of it, and breaks when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use onrush_engine::journal::Stream;
use onrush_engine::journal::store::{Key, Mark, Store, StoreError};
use onrush_engine::time::Timestamp;

use crate::random::Random;

/// At which step of a commit the machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    BeforeAppend,
    BeforeSync,
    AfterSync,
}

#[derive(Debug, Default)]
struct State {
    durable: BTreeMap<Key, Vec<u8>>,
    /// Written in this order, not flushed yet.
    pending: Vec<(Key, Vec<u8>)>,
    /// As it would be read after a crash of the process.
    mark: Mark,
    /// As it would be read after a power cut, at the oldest.
    old_mark: Mark,
    /// Commits until the crash that is planned.
    plan: Option<(u64, Crash)>,
    gone: bool,
    crashed_at: Option<Crash>,
}

/// Shared by the store that the engine has and the world that breaks it.
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

    /// Plans a crash after so many more commits.
    pub(crate) fn plan(&self, commits: u64, crash: Crash) {
        self.state().plan = Some((commits, crash));
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// Where the machine stopped last.
    pub(crate) fn crashed_at(&self) -> Crash {
        self.state().crashed_at.expect("it stopped")
    }

    pub(crate) fn mark(&self) -> Mark {
        self.state().mark
    }

    /// The machine comes back: a prefix of what was not flushed may be there, its last record torn.
    pub(crate) fn come_back(&self, random: &mut Random) {
        let mut state = self.state();
        let mut survivors = std::mem::take(&mut state.pending);
        survivors.truncate(random.below(survivors.len() as u64 + 1) as usize);
        let torn = survivors.last_mut().filter(|_| random.one_in(2));
        if let Some((_, bytes)) = torn {
            let keep = random.below(bytes.len() as u64) as usize;
            bytes.truncate(keep);
        }
        state.durable.extend(survivors);
        if random.one_in(2) {
            // The power was cut: what was never synced may be old.
            state.mark = state.old_mark;
        }
        (state.gone, state.plan, state.crashed_at) = (false, None, None);
    }

    /// What the disk holds for good, as a disk of its own.
    pub(crate) fn durable_copy(&self) -> Self {
        let state = self.state();
        let copy = State { durable: state.durable.clone(), mark: state.mark, ..State::default() };
        Self(Arc::new(Mutex::new(copy)))
    }
}

impl State {
    /// Whether the machine stops here.
    fn stops_at(&mut self, step: Crash) -> bool {
        if let Some((commits, crash)) = &mut self.plan
            && *crash == step
        {
            if *commits == 0 {
                self.gone = true;
                self.crashed_at = Some(step);
            }
            *commits = commits.saturating_sub(1);
        }
        self.gone
    }
}

impl Store for Disk {
    fn append(&mut self, records: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.stops_at(Crash::BeforeAppend) {
            return Err(StoreError::Gone);
        }
        state.pending.extend(records.iter().cloned());
        Ok(())
    }

    fn flush(&mut self, records: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.stops_at(Crash::BeforeSync) {
            return Err(StoreError::Gone);
        }
        let pending = std::mem::take(&mut state.pending);
        state.durable.extend(pending);
        if state.stops_at(Crash::AfterSync) {
            return Err(StoreError::Gone);
        }
        state.old_mark = state.mark;
        state.mark.records = records;
        Ok(())
    }

    fn trim(&mut self, _: Stream, _: u64) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        self.state().durable.iter().for_each(|(key, bytes)| visit(*key, bytes));
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.state().mark
    }

    fn heartbeat(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.gone {
            return Err(StoreError::Gone);
        }
        state.mark.alive_at = Some(at);
        Ok(())
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }
}
