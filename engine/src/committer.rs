//! The commit: everything that the actors of one thread have staged becomes durable at once, then is answered.
//!
//! Before it commits, it lets whatever else is ready on its thread go first, again and again for as long as that brings
//! new commands: so a burst becomes one group, and one flush. While the thread waits for the disk, sockets and
//! mailboxes fill, and the next group is as large as the load asks for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::actor::Staging;
use crate::command::Command;
use crate::feed::Histories;
use crate::journal::codec::encode_entries;
use crate::journal::frame::Digest;
use crate::journal::snapshot::{Snapshot, Snapshots};
use crate::journal::{Durability, Journal, JournalError, Stream};
use crate::mailbox::Failure;
use crate::metrics::{CommandResult, Metrics};
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
type Waiter = Box<dyn FnOnce(Result<u64, Failure>)>;

/// What a committer works with; made where the engine is opened, used on the owner's thread.
pub(crate) struct Setup {
    pub(crate) journal: Journal,
    pub(crate) snapshots: Option<Snapshots>,
    pub(crate) clock: Arc<dyn Clock + Send + Sync>,
    pub(crate) metrics: Metrics,
    pub(crate) histories: Arc<Histories>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) durability: Durability,
    pub(crate) low_water_bytes: u64,
}

/// See the module.
pub(crate) struct Committer {
    journal: Journal,
    snapshots: Option<Snapshots>,
    clock: Arc<dyn Clock + Send + Sync>,
    pub(crate) metrics: Metrics,
    histories: Arc<Histories>,
    health: watch::Sender<Health>,
    durability: Durability,
    group: Vec<Rc<RefCell<Staging>>>,
    /// Bodies of the registry's events; nothing for an answer that only waits.
    registry: Vec<(Option<Vec<u8>>, Waiter)>,
    /// Grows whenever something is staged: whether waiting brought anything.
    staged: u64,
    scheduled: bool,
    low_water_bytes: u64,
    disk_free_bytes: Option<u64>,
    /// Snapshots that are durable; the records before them go bit by bit.
    trims: VecDeque<(Stream, u64)>,
}

/// How often a commit lets others go first: enough to gather a burst, and a bound where commands never cease.
const ROUNDS_MAX: u32 = 32;

/// With less room than so many times the low-water mark, every commit looks how much there is.
const NEAR: u64 = 8;

impl Committer {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { journal, snapshots, clock, metrics, histories, health, durability, low_water_bytes } = setup;
        let mut committer = Self {
            journal,
            snapshots,
            clock,
            metrics,
            histories,
            health,
            durability,
            group: Vec::new(),
            registry: Vec::new(),
            staged: 0,
            scheduled: false,
            low_water_bytes,
            disk_free_bytes: None,
            trims: VecDeque::new(),
        };
        committer.look_at_disk();
        committer
    }

    fn look_at_disk(&mut self) {
        self.disk_free_bytes = self.journal.disk_free_bytes();
        if let Some(free) = self.disk_free_bytes {
            self.metrics.disk_free_bytes.set(free as f64);
        }
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

    /// The epoch, sequence and digest of a stream's last record.
    pub(crate) fn last_record(&self, stream: Stream) -> Option<(u64, u64, Digest)> {
        let sequence = self.journal.next_sequence(stream).checked_sub(1)?;
        Some((self.journal.epoch(), sequence, self.journal.tip(stream)))
    }

    /// Puts a performance on the list of the next commit, if it is not there, and sees that there is one.
    pub(crate) fn enlist(this: &Rc<RefCell<Self>>, staging: Option<&Rc<RefCell<Staging>>>) {
        let mut committer = this.borrow_mut();
        committer.group.extend(staging.cloned());
        committer.schedule(this);
    }

    /// Adds an event of the registry, or an answer that rests on the registry's state, to the next commit.
    pub(crate) fn enlist_registry(this: &Rc<RefCell<Self>>, body: Option<Vec<u8>>, waiter: Waiter) {
        let mut committer = this.borrow_mut();
        committer.registry.push((body, waiter));
        committer.schedule(this);
    }

    fn schedule(&mut self, this: &Rc<RefCell<Self>>) {
        self.staged += 1;
        if !std::mem::replace(&mut self.scheduled, true) {
            actix_rt::spawn(gather_and_commit(Rc::clone(this)));
        }
    }

    /// Makes the group durable, then answers it.
    pub(crate) fn commit(&mut self) {
        self.scheduled = false;
        if self.disk_free_bytes.is_some_and(|free| free / NEAR < self.low_water_bytes) {
            // Upkeep looks once a second; near the mark that is not often enough.
            self.look_at_disk();
        }
        let group = std::mem::take(&mut self.group);
        let registry = std::mem::take(&mut self.registry);
        match self.write(&group, &registry) {
            Ok(()) => {
                group.iter().for_each(|staging| self.release(&mut staging.borrow_mut()));
                let sequence = self.journal.next_sequence(Stream::REGISTRY).saturating_sub(1);
                registry.into_iter().for_each(|(_, waiter)| waiter(Ok(sequence)));
            }
            Err(error) => {
                self.fail(&error.to_string());
                group.iter().for_each(|staging| abandon(&mut staging.borrow_mut()));
                registry.into_iter().for_each(|(_, waiter)| waiter(Err(Failure::Unknown)));
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how long a flush takes is measured, not decided by")]
    fn write(
        &mut self,
        group: &[Rc<RefCell<Staging>>],
        registry: &[(Option<Vec<u8>>, Waiter)],
    ) -> Result<(), JournalError> {
        let mut bodies: Vec<(Stream, Vec<u8>)> = Vec::with_capacity(group.len());
        let mut events = 0;
        for staging in group {
            let staging = staging.borrow();
            events += staging.entries.len();
            bodies.extend(encode_entries(&staging.entries).into_iter().map(|body| (staging.stream(), body)));
        }
        // A performance's own records come before its listing, so that a listed performance always has them.
        let performances = bodies.iter().map(|(stream, body)| (*stream, body.as_slice()));
        let listings = registry.iter().filter_map(|(body, _)| Some((Stream::REGISTRY, body.as_deref()?)));
        let begun = Instant::now();
        self.journal.commit(performances.chain(listings))?;
        self.metrics.flush_seconds.record(begun.elapsed().as_secs_f64());
        self.metrics.group_events.record(events as f64);
        Ok(())
    }

    /// Lets go what has waited for the disk: first what can be seen, then the answers, so that who has an answer sees
    /// what it says.
    fn release(&self, staging: &mut Staging) {
        let version = self.journal.next_sequence(staging.stream());
        let as_of = staging.entries.last().map_or_else(|| self.clock.now(), |entry| entry.at);
        staging.publication.publish(version, as_of, &staging.touched, &staging.tallies);
        if let Some(rules) = staging.rules.take() {
            staging.publication.publish_rules(rules);
        }
        staging.booked.drain(..).for_each(|(account, booking)| self.histories.push(account, booking));
        for (reply, mut outcome) in staging.waiting.drain(..) {
            if let Ok(answered) = &mut outcome {
                answered.sequence = answered.sequence.map(|_| version - 1);
            }
            // A receiver that has gone away needs no answer.
            drop(reply.send(outcome));
        }
        staging.events_since_snapshot += staging.entries.len() as u64;
        staging.entries.clear();
        staging.touched.clear();
        staging.listed = false;
    }

    /// Whether this engine is at its end.
    pub(crate) fn has_failed(&self) -> bool {
        *self.health.borrow() != Health::Running
    }

    /// The end of this engine: nothing more is acknowledged, whoever watches stops the process.
    pub(crate) fn fail(&mut self, reason: &str) {
        tracing::error!(reason, "the engine has failed and must be started again");
        self.health.send_replace(Health::Failed(reason.into()));
    }

    /// What has to be done now and then: the heartbeat, the room on the disk, a relaxed flush, old records.
    pub(crate) fn maintain(&mut self) {
        self.look_at_disk();
        if let Err(error) = self.maintain_journal() {
            self.fail(&error.to_string());
        }
    }

    fn maintain_journal(&mut self) -> Result<(), JournalError> {
        self.journal.heartbeat(self.clock.now())?;
        if self.durability == Durability::Relaxed {
            self.journal.flush()?;
        }
        Ok(())
    }

    /// Drops some records that a snapshot stands for, each performance in its turn.
    pub(crate) fn trim(&mut self) {
        let Some((stream, sequence)) = self.trims.pop_front().filter(|_| !self.has_failed()) else { return };
        match self.journal.trim(stream, sequence) {
            Ok(true) => {}
            Ok(false) => self.trims.push_back((stream, sequence)),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Takes up what an earlier process had not dropped.
    pub(crate) fn expect_trims(&mut self, snapshots: Vec<(Stream, u64)>) {
        self.trims.extend(snapshots);
    }

    /// Writes a snapshot on a thread of its own; then the records before it may go.
    pub(crate) fn write_snapshot(this: &Rc<RefCell<Self>>, staging: &Rc<RefCell<Staging>>, snapshot: Snapshot) {
        let Some(snapshots) = this.borrow().snapshots.clone() else { return };
        let (this, staging) = (Rc::clone(this), Rc::clone(staging));
        actix_rt::spawn(async move {
            let (stream, sequence) = (snapshot.stream, snapshot.sequence);
            let written = tokio::task::spawn_blocking(move || snapshots.write(stream, &snapshot.encode())).await;
            match written {
                Ok(Ok(())) => this.borrow_mut().snapshot_durable(stream, sequence),
                // The journal still has everything; the next one is tried after as many events again.
                Ok(Err(error)) => tracing::warn!(%error, "a snapshot could not be written"),
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

/// The journal failed under this group: whether it is durable is known at the next start only.
fn abandon(staging: &mut Staging) {
    staging.waiting.drain(..).for_each(|(reply, _)| drop(reply.send(Err(Failure::Unknown))));
    // `entries` stay: nothing of this performance is ever answered again as if it were durable.
}

async fn gather_and_commit(committer: Rc<RefCell<Committer>>) {
    for _ in 0..ROUNDS_MAX {
        let before = committer.borrow().staged;
        tokio::task::yield_now().await;
        if committer.borrow().staged == before {
            break;
        }
    }
    let unwinding = FailOnPanic(&committer);
    committer.borrow_mut().commit();
    drop(unwinding);
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
