//! The handle that an edge holds: asks performances, reads what is published. The engine is in this process, or there are
//! engines elsewhere; whoever asks need not know.

mod elsewhere;
mod link;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Addr;
use dashmap::DashMap;
use tokio::sync::{oneshot, watch};

pub use self::elsewhere::Elsewhere;
use self::link::Link;
use crate::committer::Health;
use crate::dues::Dues;
use crate::feed::{AccountHistory, Histories, Publication, Shows};
use crate::id::{AccountId, PerformanceId};
use crate::journal::Durability;
use crate::mailbox::{Ask, Envelope, Failure, Mailbox, Outcome};
use crate::owner::{Owner, Register, RegistryFailure, RegistryOutcome, Settle, Tick};
use crate::performance::Opening;
use crate::registry::RegistryCommand;
use crate::time::{Clock, Timestamp};

/// A performance as a client knows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Performance {
    pub(crate) road: Road,
    /// What everybody may see of it.
    pub publication: Arc<Publication>,
}

/// How what is asked of a performance gets there.
#[derive(Debug, Clone)]
pub(crate) enum Road {
    /// It is in this process.
    Mailbox(Arc<Mailbox>),
    /// It is in another engine's.
    Link(Arc<Link>),
}

/// What everybody may see, wherever it comes from.
#[derive(Default)]
struct Views {
    performances: DashMap<PerformanceId, Performance>,
    shows: Shows,
}

struct Shared {
    views: Arc<Views>,
    clock: Arc<dyn Clock + Send + Sync>,
    command_age_max: Duration,
    dues: Arc<Dues>,
    engines: Engines,
}

enum Engines {
    Here(Here),
    Elsewhere(Elsewhere),
}

/// The engine of this process.
struct Here {
    histories: Arc<Histories>,
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
        let (histories, dues) = (Arc::clone(histories), Arc::clone(dues));
        let engines = Engines::Here(Here { histories, durability, health, owner: OnceLock::new() });
        Self(Arc::new(Shared { views: Arc::default(), clock, command_age_max, dues, engines }))
    }

    pub(crate) fn belongs_to(&self, owner: Addr<Owner>) {
        let Engines::Here(here) = &self.0.engines else { return };
        let first = here.owner.set(owner).is_ok();
        assert!(first, "a client has one owner");
    }

    fn owner(&self) -> Option<&Addr<Owner>> {
        match &self.0.engines {
            Engines::Here(here) => here.owner.get(),
            Engines::Elsewhere(_) => None,
        }
    }

    pub(crate) fn add(&self, performance: Performance) {
        self.0.views.performances.insert(performance.publication.performance, performance);
    }

    /// A performance.
    pub fn performance(&self, id: PerformanceId) -> Option<Performance> {
        self.0.views.performances.get(&id).map(|known| known.clone())
    }

    /// All shows.
    pub fn shows(&self) -> &Shows {
        &self.0.views.shows
    }

    /// What is known of an account's bookings, with the `newest` of them.
    ///
    /// # Errors
    /// [`Failure::Overloaded`], where an engine elsewhere does not say.
    pub async fn history(&self, account: &AccountId, newest: usize) -> Result<AccountHistory, Failure> {
        match &self.0.engines {
            Engines::Here(here) => Ok(here.histories.of(account, newest)),
            Engines::Elsewhere(engines) => engines.history(account, newest).await,
        }
    }

    /// The bookings whose payment somebody has to see to. Whoever does is beside the engine: where that is elsewhere, no
    /// booking is ever named.
    pub fn dues(&self) -> &Dues {
        &self.0.dues
    }

    /// The engine's time; where that is elsewhere, this process's, which is to be the same.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When changes are answered; of several engines, the least that one of them promises.
    pub fn durability(&self) -> Durability {
        match &self.0.engines {
            Engines::Here(here) => here.durability,
            Engines::Elsewhere(engines) => engines.durability(),
        }
    }

    /// Whether the engine still answers, and every change of that. Engines elsewhere fail and start again by themselves: that
    /// they do is not this client's health.
    pub fn health(&self) -> watch::Receiver<Health> {
        match &self.0.engines {
            Engines::Here(here) => here.health.clone(),
            Engines::Elsewhere(engines) => engines.health(),
        }
    }

    /// Whether there is an engine to ask: the one that is here runs, or one elsewhere has told what it has.
    pub fn is_ready(&self) -> bool {
        match &self.0.engines {
            Engines::Here(here) => *here.health.borrow() == Health::Running,
            Engines::Elsewhere(engines) => engines.is_ready(),
        }
    }

    /// Whether every engine has told what it has, so that what is not known is not there.
    pub fn knows_all(&self) -> bool {
        match &self.0.engines {
            Engines::Here(_) => true,
            Engines::Elsewhere(engines) => engines.know_all(),
        }
    }

    /// Asks a performance; answers when the answer is durable.
    ///
    /// # Errors
    /// [`Failure`], which says whether anything may have happened.
    pub async fn ask(&self, performance: &Performance, ask: Ask) -> Outcome {
        match &performance.road {
            Road::Mailbox(mailbox) => {
                let deadline = self.now() + self.0.command_age_max;
                let (reply, answer) = oneshot::channel();
                mailbox.push(Envelope { ask, deadline, reply });
                answer.await.unwrap_or(Err(Failure::Unknown))
            }
            Road::Link(link) => link.ask(performance.publication.performance, ask).await,
        }
    }

    /// Asks the registry for a change; `opening` belongs to a command that adds a performance.
    ///
    /// # Errors
    /// [`RegistryFailure`], which says whether anything may have happened.
    pub async fn register(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
        if let Engines::Elsewhere(engines) = &self.0.engines {
            return engines.register(command, opening).await;
        }
        let (reply, answer) = oneshot::channel();
        let owner = self.owner().ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
        let sent = owner.try_send(Register { command, opening, reply });
        sent.map_err(|_| RegistryFailure::Failed(Failure::Overloaded))?;
        answer.await.unwrap_or(Err(RegistryFailure::Failed(Failure::Unknown)))
    }

    /// Lets time pass, for an engine that has no timer of its own; says whether the owner is there to see it.
    pub async fn tick(&self) -> bool {
        match self.owner() {
            Some(owner) => owner.send(Tick).await.is_ok(),
            None => false,
        }
    }

    /// Answers when everything that was asked before is durable or has failed; says whether the owner is there to see it.
    pub async fn settle(&self) -> bool {
        match self.owner() {
            Some(owner) => owner.send(Settle).await.is_ok(),
            // An owner that is gone, or elsewhere, has nothing here to settle.
            None => false,
        }
    }
}
