//! The commit: everything that the actors of one thread have staged becomes durable at once, then is answered.
//!
//! One group is written at a time, by the journal beside this thread; meanwhile the actors go on, and what they stage is
//! the next group: as large as the load asks for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::command::Command;
use crate::dues::Dues;
use crate::feed::Histories;
use crate::journal::frame::{Body, Chain};
use crate::journal::snapshot::{Snapshot, Snapshots};
use crate::journal::writer::Writer;
use crate::journal::{Durability, JournalError, Stream};
use crate::lease::{Fence, Lease, Replaced};
use crate::mailbox::Failure;
use crate::metrics::{CommandResult, Metrics};
use crate::seeded::Bug;
use crate::staging::{Captured, Staging};
use crate::time::{Clock, Timestamp};

/// Whether an engine still answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Running,
    /// Its journal failed, for this reason: it must be started again.
    Failed(Arc<str>),
}

/// What waits for a commit besides the performances: told whether it is durable.
pub(crate) type Waiter = Box<dyn FnOnce(Result<u64, Failure>)>;

/// What a committer works with; made where the engine is opened, used on the owner's thread.
pub(crate) struct Setup {
    pub(crate) writer: Writer,
    pub(crate) epoch: u64,
    /// The end of the registry's stream.
    pub(crate) registry: Chain,
    pub(crate) disk_free_bytes: Option<u64>,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Arc<dyn Clock + Send + Sync>,
    pub(crate) metrics: Metrics,
    pub(crate) histories: Arc<Histories>,
    pub(crate) dues: Arc<Dues>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) durability: Durability,
    pub(crate) low_water_bytes: u64,
    pub(crate) lease: Option<Lease>,
}

/// See the module.
pub(crate) struct Committer {
    writer: Writer,
    epoch: u64,
    snapshots: Snapshots,
    clock: Arc<dyn Clock + Send + Sync>,
    pub(crate) metrics: Metrics,
    histories: Arc<Histories>,
    dues: Arc<Dues>,
    health: watch::Sender<Health>,
    durability: Durability,
    /// Performances that have something for the next commit.
    listed: Vec<Rc<RefCell<Staging>>>,
    /// Bodies of the registry's events for the next commit; nothing for an answer that only waits.
    registry: Vec<(Option<Body>, Waiter)>,
    /// The registry's last record.
    registry_sequence: u64,
    /// Whether [`commit_all`] is at work.
    committing: bool,
    low_water_bytes: u64,
    disk_free_bytes: Option<u64>,
    /// Snapshots that are durable; the records before them go bit by bit.
    trims: VecDeque<(Stream, u64)>,
    fence: Fence,
    /// Renewed for as long as anything is committed.
    _lease: Option<Lease>,
}

/// What one commit makes durable.
struct Group {
    /// With how many bodies each has.
    performances: Vec<(Rc<RefCell<Staging>>, usize)>,
    registry: Vec<Waiter>,
    bodies: Vec<(Stream, Body)>,
}

/// What the journal says of a group.
struct Written {
    /// The end of its stream behind each body.
    chains: Vec<Chain>,
    took: Duration,
    disk_free_bytes: Option<u64>,
}

/// With less room than so many times the low-water mark, every commit looks how much there is.
const NEAR: u64 = 8;

impl Committer {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut committer = Self {
            writer: setup.writer,
            epoch: setup.epoch,
            snapshots: setup.snapshots,
            clock: setup.clock,
            metrics: setup.metrics,
            histories: setup.histories,
            dues: setup.dues,
            health: setup.health,
            durability: setup.durability,
            listed: Vec::new(),
            registry: Vec::new(),
            registry_sequence: setup.registry.next_sequence.saturating_sub(1),
            committing: false,
            low_water_bytes: setup.low_water_bytes,
            disk_free_bytes: None,
            trims: VecDeque::new(),
            fence: setup.lease.as_ref().map_or_else(Fence::none, Lease::fence),
            _lease: setup.lease,
        };
        committer.note_room(setup.disk_free_bytes);
        committer
    }

    /// Where the system does not say, what it said last holds.
    fn note_room(&mut self, disk_free_bytes: Option<u64>) {
        if let Some(free) = disk_free_bytes {
            self.disk_free_bytes = Some(free);
            self.metrics.disk_free_bytes.set(free as f64);
        }
    }

    /// Written into every record and snapshot of this owner's.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn histories(&self) -> &Histories {
        &self.histories
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// From now on every record is younger than those of a performance that comes.
    pub(crate) fn raise_epoch(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn count(&self, command: &Command, result: CommandResult) {
        self.metrics.count(command, result);
    }

    /// Whether there is too little room for new holds.
    pub(crate) fn disk_low(&self) -> bool {
        self.disk_free_bytes.is_some_and(|free| free < self.low_water_bytes)
    }

    /// Puts a performance on the list of the next commit, and sees that there is one.
    pub(crate) fn enlist(this: &Rc<RefCell<Self>>, staging: &Rc<RefCell<Staging>>) {
        let mut committer = this.borrow_mut();
        committer.listed.push(Rc::clone(staging));
        committer.schedule(this);
    }

    /// Adds an event of the registry, or an answer that rests on the registry's state, to the next commit.
    pub(crate) fn enlist_registry(this: &Rc<RefCell<Self>>, body: Option<Body>, waiter: Waiter) {
        let mut committer = this.borrow_mut();
        committer.registry.push((body, waiter));
        committer.schedule(this);
    }

    /// The waiter, once what it waits for is on the disk, also where answers come before that: for what two engines rest on.
    pub(crate) fn lasting(this: &Rc<RefCell<Self>>, waiter: Waiter) -> Waiter {
        let this = Rc::clone(this);
        Box::new(move |written| {
            if this.borrow().durability == Durability::Fsync {
                return waiter(written);
            }
            let flushed = this.borrow().writer.ask(crate::journal::Journal::flush);
            actix_rt::spawn(async move {
                let flushed = flushed.await;
                if let Err(error) = &flushed {
                    this.borrow_mut().fail(&error.to_string());
                }
                waiter(written.and_then(|sequence| flushed.map(|()| sequence).map_err(|_| Failure::Unknown)));
            });
        })
    }

    fn schedule(&mut self, this: &Rc<RefCell<Self>>) {
        if !std::mem::replace(&mut self.committing, true) {
            actix_rt::spawn(commit_all(Rc::clone(this)));
        }
    }

    /// Takes what is staged for one commit; nothing where nothing is, and then the work is over.
    fn depart(&mut self) -> Option<Group> {
        if self.listed.is_empty() && self.registry.is_empty() {
            self.committing = false;
            return None;
        }
        let mut group = Group { performances: Vec::new(), registry: Vec::new(), bodies: Vec::new() };
        for staging in self.listed.drain(..) {
            let stream = staging.borrow().stream();
            let bodies = staging.borrow_mut().depart();
            group.performances.push((staging, bodies.len()));
            group.bodies.extend(bodies.into_iter().map(|body| (stream, body)));
        }
        // A performance's own records come before its listing, so that a listed performance always has them.
        for (body, waiter) in self.registry.drain(..) {
            group.bodies.extend(body.map(|body| (Stream::REGISTRY, body)));
            group.registry.push(waiter);
        }
        Some(group)
    }

    /// Gives a group's bodies to the journal.
    #[expect(clippy::disallowed_methods, reason = "how long a commit takes is measured, not decided by")]
    fn write(&self, group: &mut Group) -> impl Future<Output = Result<Written, JournalError>> + use<> {
        let bodies = std::mem::take(&mut group.bodies);
        // Upkeep looks once a second; near the mark that is not often enough.
        let near = self.disk_free_bytes.is_some_and(|free| free / NEAR < self.low_water_bytes);
        self.writer.ask(move |journal| {
            let begun = Instant::now();
            let chains = journal.commit(bodies.iter().map(|(stream, body)| (*stream, body)))?;
            let disk_free_bytes = near.then(|| journal.disk_free_bytes()).flatten();
            Ok(Written { chains, took: begun.elapsed(), disk_free_bytes })
        })
    }

    /// Answers a group that is durable, or whose fate nobody knows.
    fn arrive(this: &Rc<RefCell<Self>>, group: Group, written: Result<Written, JournalError>) {
        match written {
            Ok(written) => Self::release(this, group, &written),
            Err(error) => {
                this.borrow_mut().fail(&error.to_string());
                group.performances.iter().for_each(|(staging, _)| staging.borrow_mut().abandon());
                group.registry.into_iter().for_each(|waiter| waiter(Err(Failure::Unknown)));
            }
        }
    }

    fn release(this: &Rc<RefCell<Self>>, group: Group, written: &Written) {
        let mut committer = this.borrow_mut();
        committer.metrics.flush_seconds.record(written.took.as_secs_f64());
        if written.disk_free_bytes.is_some() {
            committer.note_room(written.disk_free_bytes);
        }
        let mut chains = written.chains.as_slice();
        let mut events = 0;
        for (staging, bodies) in &group.performances {
            let (own, others) = chains.split_at(*bodies);
            chains = others;
            let mut arrived = staging.borrow_mut();
            events += arrived.events_under_way();
            if let Some(captured) = arrived.arrive(own, &committer.histories, &committer.dues) {
                committer.write_snapshot(this, staging, arrived.stream(), captured);
            }
        }
        committer.metrics.group_events.record(events as f64);
        if let Some(chain) = chains.last() {
            committer.registry_sequence = chain.next_sequence - 1;
        }
        let sequence = committer.registry_sequence;
        drop(committer);
        group.registry.into_iter().for_each(|waiter| waiter(Ok(sequence)));
    }

    /// Whether this engine is at its end.
    pub(crate) fn has_failed(&self) -> bool {
        *self.health.borrow() != Health::Running && !Bug::GoesOnAfterError.is_on()
    }

    /// The end of this engine: nothing more is acknowledged, whoever watches stops the process.
    pub(crate) fn fail(&mut self, reason: &str) {
        tracing::error!(reason, "the engine has failed and must be started again");
        self.health.send_replace(Health::Failed(reason.into()));
    }

    /// What has to be done now and then: the heartbeat, the room on the disk, a relaxed flush.
    pub(crate) async fn maintain(this: &Rc<RefCell<Self>>) {
        if this.borrow().fence.is_lost() {
            return this.borrow_mut().fail(&JournalError::Replaced.to_string());
        }
        let (at, relaxed) = (this.borrow().now(), this.borrow().durability == Durability::Relaxed);
        let maintained = this.borrow().writer.ask(move |journal| {
            journal.heartbeat(at)?;
            if relaxed {
                journal.flush()?;
            }
            Ok(journal.disk_free_bytes())
        });
        let maintained = maintained.await;
        let mut committer = this.borrow_mut();
        match maintained {
            Ok(disk_free_bytes) => committer.note_room(disk_free_bytes),
            Err(error) => committer.fail(&error.to_string()),
        }
    }

    /// Drops some records that a snapshot stands for, each performance in its turn.
    pub(crate) async fn trim(this: &Rc<RefCell<Self>>) {
        if this.borrow().has_failed() {
            return;
        }
        let Some((stream, sequence)) = this.borrow_mut().trims.pop_front() else { return };
        let trimmed = this.borrow().writer.ask(move |journal| journal.trim(stream, sequence));
        let trimmed = trimmed.await;
        let mut committer = this.borrow_mut();
        match trimmed {
            Ok(true) => {}
            Ok(false) => committer.trims.push_back((stream, sequence)),
            Err(error) => committer.fail(&error.to_string()),
        }
    }

    /// Takes up what an earlier process had not dropped.
    pub(crate) fn expect_trims(&mut self, snapshots: Vec<(Stream, u64)>) {
        self.trims.extend(snapshots);
    }

    /// Writes a snapshot apart; then the records before it may go.
    pub(crate) fn write_snapshot(
        &self,
        this: &Rc<RefCell<Self>>,
        staging: &Rc<RefCell<Staging>>,
        stream: Stream,
        captured: Captured,
    ) {
        let snapshots = self.snapshots.clone();
        let Captured { chain, image } = captured;
        let sequence = chain.next_sequence - if Bug::SnapshotRepeats.is_on() { 2 } else { 1 };
        let snapshot = Snapshot { epoch: self.epoch, stream, sequence, tip: chain.tip, image };
        let (this, staging) = (Rc::clone(this), Rc::clone(staging));
        let written = self.writer.apart(move || snapshots.write(stream, &snapshot.encode()));
        actix_rt::spawn(async move {
            match written.await {
                Ok(()) => this.borrow_mut().snapshot_durable(stream, sequence),
                // The journal still has everything; the next one is tried after as many events again.
                Err(error) => tracing::warn!(%error, "a snapshot could not be written"),
            }
            staging.borrow_mut().snapshotting = false;
        });
    }

    fn snapshot_durable(&mut self, stream: Stream, sequence: u64) {
        self.metrics.snapshots.increment(1);
        self.trims.retain(|(trimmed, _)| *trimmed != stream);
        self.trims.push_back((stream, sequence));
    }
}

/// Writes one group after the other, until nothing is staged.
async fn commit_all(committer: Rc<RefCell<Committer>>) {
    let _unwinding = FailOnPanic(&committer);
    let fence = committer.borrow().fence.clone();
    loop {
        let Some(mut group) = committer.borrow_mut().depart() else { break };
        let written = committer.borrow().write(&mut group);
        // Whoever takes over goes on from what is written by then.
        let written = match fence.held().await {
            Ok(()) => written.await,
            Err(Replaced) => Err(JournalError::Replaced),
        };
        Committer::arrive(&committer, group, written);
    }
}

/// A commit that panics leaves nobody knowing what the disk holds: the engine is at its end.
struct FailOnPanic<'a>(&'a Rc<RefCell<Committer>>);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut committer) = self.0.try_borrow_mut()
        {
            committer.fail("a commit panicked");
        }
    }
}
