//! The handle that an edge holds: asks performances, reads what is published.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Addr;
use dashmap::DashMap;
use tokio::sync::{oneshot, watch};

use crate::committer::Health;
use crate::dues::Dues;
use crate::feed::{Histories, Publication, Shows};
use crate::id::PerformanceId;
use crate::journal::Durability;
use crate::mailbox::{Ask, Envelope, Failure, Mailbox, Outcome};
use crate::owner::{Owner, Register, RegistryFailure, RegistryOutcome, Settle, Tick};
use crate::performance::Opening;
use crate::registry::RegistryCommand;
use crate::time::{Clock, Timestamp};

/// A performance as a client knows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Performance {
    pub(crate) mailbox: Arc<Mailbox>,
    /// What everybody may see of it.
    pub publication: Arc<Publication>,
}

struct Shared {
    performances: DashMap<PerformanceId, Performance>,
    shows: Shows,
    histories: Arc<Histories>,
    dues: Arc<Dues>,
    clock: Arc<dyn Clock + Send + Sync>,
    command_age_max: Duration,
    durability: Durability,
    health: watch::Receiver<Health>,
    owner: OnceLock<Addr<Owner>>,
}

/// See the module. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

impl Client {
    pub(crate) fn new(
        histories: &Arc<Histories>,
        dues: &Arc<Dues>,
        clock: Arc<dyn Clock + Send + Sync>,
        command_age_max: Duration,
        durability: Durability,
        health: watch::Receiver<Health>,
    ) -> Self {
        Self(Arc::new(Shared {
            performances: DashMap::new(),
            shows: Shows::default(),
            histories: Arc::clone(histories),
            dues: Arc::clone(dues),
            clock,
            command_age_max,
            durability,
            health,
            owner: OnceLock::new(),
        }))
    }

    pub(crate) fn belongs_to(&self, owner: Addr<Owner>) {
        let first = self.0.owner.set(owner).is_ok();
        assert!(first, "a client has one owner");
    }

    pub(crate) fn add(&self, performance: Performance) {
        self.0.performances.insert(performance.publication.performance, performance);
    }

    /// A performance of this engine.
    pub fn performance(&self, id: PerformanceId) -> Option<Performance> {
        self.0.performances.get(&id).map(|known| known.clone())
    }

    /// All shows.
    pub fn shows(&self) -> &Shows {
        &self.0.shows
    }

    /// Each account's bookings.
    pub fn histories(&self) -> &Histories {
        &self.0.histories
    }

    /// The bookings whose payment somebody has to see to.
    pub fn dues(&self) -> &Dues {
        &self.0.dues
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When changes are answered.
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    /// Whether the engine still answers, and every change of that.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.health.clone()
    }

    /// Asks a performance; answers when the answer is durable.
    ///
    /// # Errors
    /// [`Failure`], which says whether anything may have happened.
    pub async fn ask(&self, performance: &Performance, ask: Ask) -> Outcome {
        let deadline = self.now() + self.0.command_age_max;
        let (reply, answer) = oneshot::channel();
        performance.mailbox.push(Envelope { ask, deadline, reply });
        answer.await.unwrap_or(Err(Failure::Unknown))
    }

    /// Asks the registry for a change; `opening` belongs to a command that adds a performance.
    ///
    /// # Errors
    /// [`RegistryFailure`], which says whether anything may have happened.
    pub async fn register(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
        let (reply, answer) = oneshot::channel();
        let owner = self.0.owner.get().ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
        let sent = owner.try_send(Register { command, opening, reply });
        sent.map_err(|_| RegistryFailure::Failed(Failure::Overloaded))?;
        answer.await.unwrap_or(Err(RegistryFailure::Failed(Failure::Unknown)))
    }

    /// Lets time pass, for an engine that has no timer of its own; says whether the owner is there to see it.
    pub async fn tick(&self) -> bool {
        match self.0.owner.get() {
            Some(owner) => owner.send(Tick).await.is_ok(),
            None => false,
        }
    }

    /// Answers when everything that was asked before is durable or has failed; says whether the owner is there to see it.
    pub async fn settle(&self) -> bool {
        match self.0.owner.get() {
            Some(owner) => owner.send(Settle).await.is_ok(),
            // An owner that is gone has nothing left to settle.
            None => false,
        }
    }
}
