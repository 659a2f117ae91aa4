//! The handle that an edge holds: asks performances, reads what is published. There may be an engine in this process, and
//! any number elsewhere; whoever asks need not know.

mod elsewhere;
mod link;
mod moving;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Addr;
use dashmap::DashMap;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use self::elsewhere::Elsewhere;
use self::link::Link;
use crate::committer::Health;
use crate::dues::Dues;
use crate::feed::{AccountHistory, Histories, Publication, Shows};
use crate::id::{AccountId, EngineId, PerformanceId};
use crate::journal::Durability;
use crate::lease::{Fence, Replaced};
use crate::mailbox::{Ask, Envelope, Failure, Mailbox, Outcome};
use crate::owner::{Owner, Register, RegistryFailure, RegistryOutcome, Settle, Tick};
use crate::performance::Opening;
use crate::refusal::Refusal;
use crate::registry::{RegistryCommand, RegistryRefusal};
use crate::time::{Clock, Timestamp};
use crate::wire::{Credentials, PATIENCE};

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
    /// What was given to another engine and not let go of yet; by which engine, with nothing for the one of this process.
    left: DashMap<(PerformanceId, Option<Box<str>>), EngineId>,
    /// How often something has come or gone.
    moves: watch::Sender<u64>,
}

impl Views {
    fn note_move(&self) {
        self.moves.send_modify(|moves| *moves += 1);
    }
}

struct Shared {
    views: Arc<Views>,
    clock: Arc<dyn Clock + Send + Sync>,
    command_age_max: Duration,
    dues: Arc<Dues>,
    here: Option<Here>,
    elsewhere: Elsewhere,
}

/// The engine of this process.
struct Here {
    histories: Arc<Histories>,
    durability: Durability,
    health: watch::Receiver<Health>,
    fence: Fence,
    /// What other engines know it by, once that is durable.
    name: watch::Sender<Option<EngineId>>,
    owner: OnceLock<Addr<Owner>>,
}

/// An engine elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineAt {
    /// `host:port`
    pub address: String,
    /// Whether new shows may be for it.
    pub takes_shows: bool,
}

/// See the module. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

impl Performance {
    /// Whom the engine of this process has given it to, if it has.
    pub(crate) fn handed_over(&self) -> Option<EngineId> {
        match &self.road {
            Road::Mailbox(mailbox) => mailbox.handed_over(),
            Road::Link(_) => None,
        }
    }
}

impl Road {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mailbox(one), Self::Mailbox(other)) => Arc::ptr_eq(one, other),
            (Self::Link(one), Self::Link(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Client {
    pub(crate) fn new(
        histories: &Arc<Histories>,
        dues: &Arc<Dues>,
        (clock, command_age_max): (Arc<dyn Clock + Send + Sync>, Duration),
        durability: Durability,
        health: watch::Receiver<Health>,
        fence: Fence,
    ) -> Self {
        let (histories, dues) = (Arc::clone(histories), Arc::clone(dues));
        let name = watch::channel(None).0;
        let here = Some(Here { histories, durability, health, fence, name, owner: OnceLock::new() });
        Self::with(here, clock, command_age_max, dues)
    }

    /// A client without an engine in this process.
    pub fn of_none(clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self::with(None, clock, PATIENCE, Arc::default())
    }

    /// A client of the engines at these addresses. See [`Self::connect`].
    pub fn of_engines(addresses: &[String], credentials: &Credentials, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        let client = Self::of_none(clock);
        addresses.iter().for_each(|address| client.connect(address, credentials));
        client
    }

    fn with(
        here: Option<Here>,
        clock: Arc<dyn Clock + Send + Sync>,
        command_age_max: Duration,
        dues: Arc<Dues>,
    ) -> Self {
        let views = Arc::<Views>::default();
        let elsewhere = Elsewhere::new(&views, &dues);
        Self(Arc::new(Shared { views, clock, command_age_max, dues, here, elsewhere }))
    }

    pub(crate) fn belongs_to(&self, owner: Addr<Owner>) {
        let first = self.0.here.as_ref().is_some_and(|here| here.owner.set(owner).is_ok());
        assert!(first, "a client of an engine has one owner");
    }

    fn owner(&self) -> Option<&Addr<Owner>> {
        self.0.here.as_ref()?.owner.get()
    }

    pub(crate) fn add(&self, performance: Performance) {
        self.0.views.performances.insert(performance.publication.performance, performance);
        self.0.views.note_move();
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
        let here = self.0.here.as_ref().map(|here| here.histories.of(account, newest));
        if self.0.elsewhere.is_empty() {
            return Ok(here.unwrap_or_default());
        }
        let elsewhere = self.0.elsewhere.history(account, newest).await?;
        Ok(here.unwrap_or_default().and(elsewhere, newest))
    }

    /// The bookings whose payment somebody has to see to, of all engines.
    pub fn dues(&self) -> &Dues {
        &self.0.dues
    }

    /// Nobody sees to payments here: what is due is not kept.
    pub fn ignore_dues(&self) {
        self.0.dues.ignore();
    }

    /// The engine's time; where that is elsewhere, this process's, which is to be the same.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When changes are answered; of several engines, the least that one of them promises.
    pub fn durability(&self) -> Durability {
        match &self.0.here {
            Some(here) if here.durability == Durability::Relaxed => Durability::Relaxed,
            _ => self.0.elsewhere.durability(),
        }
    }

    /// Whether the engine still answers, and every change of that. Engines elsewhere fail and start again by themselves: that
    /// they do is not this client's health.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.here.as_ref().map_or_else(|| self.0.elsewhere.health(), |here| here.health.clone())
    }

    /// Returns once the engine of this process may answer: at once, unless its lease ran out.
    ///
    /// # Errors
    /// [`Replaced`], for good.
    pub(crate) async fn may_answer(&self) -> Result<(), Replaced> {
        match &self.0.here {
            Some(here) => here.fence.held().await,
            None => Ok(()),
        }
    }

    /// Returns once it may not.
    pub(crate) async fn may_answer_no_more(&self) {
        match &self.0.here {
            Some(here) => here.fence.lapsed().await,
            None => std::future::pending().await,
        }
    }

    /// Whether there is an engine in this process.
    pub fn has_engine_here(&self) -> bool {
        self.0.here.is_some()
    }

    /// Whether there is an engine to ask: the one that is here runs, or one elsewhere has told what it has.
    pub fn is_ready(&self) -> bool {
        self.0
            .here
            .as_ref()
            .map_or_else(|| self.0.elsewhere.is_ready(), |here| *here.health.borrow() == Health::Running)
    }

    /// Whether every engine has told what it has, so that what is not known is not there.
    pub fn knows_all(&self) -> bool {
        self.0.elsewhere.know_all()
    }

    /// Adds the engine at an address, `host:port`, which need not be there yet. Has to be called on a runtime: it keeps the
    /// connection for as long as that runs, or until [`Self::disconnect`].
    pub fn connect(&self, address: &str, credentials: &Credentials) {
        self.0.elsewhere.add(address, credentials);
    }

    /// The same, for an engine of some shows: no new show is ever for it. One that is `vacant` has nothing: until it was heard for the
    /// first time, nobody waits for it.
    pub fn connect_dedicated(&self, address: &str, vacant: bool, credentials: &Credentials) {
        self.0.elsewhere.add_dedicated(address, vacant, credentials);
    }

    /// The engines elsewhere that may have something.
    pub fn engines(&self) -> Vec<EngineAt> {
        self.0.elsewhere.engines()
    }

    /// Every time that these are others.
    pub fn engines_change(&self) -> watch::Receiver<u64> {
        self.0.elsewhere.changes()
    }

    /// Whether there may be engines of which it was not told yet: then nobody is told that something is not there.
    pub fn expect_engines(&self, more: bool) {
        self.0.elsewhere.expect(more);
    }

    /// Forgets an engine elsewhere, with all that it has. Who waits for it is told that the outcome is not known.
    pub fn disconnect(&self, address: &str) {
        self.0.elsewhere.remove(address);
    }

    /// Forgets an engine elsewhere that has given all away, once others have told that they have it: this client may hear of that
    /// after whoever says that the engine has gone. After five seconds in any case. Has to be called on a runtime.
    pub fn disconnect_later(&self, address: &str) {
        let Some(link) = self.0.elsewhere.link(address) else { return };
        // At once: an engine that comes to the same address is another one.
        link.leave();
        let client = self.clone();
        tokio::spawn(async move { client.0.elsewhere.remove_later(link).await });
    }

    /// Whether the engine at an address is there, and has told what it has.
    pub fn is_connected(&self, address: &str) -> bool {
        self.0.elsewhere.link(address).is_some_and(|link| link.has_caught_up())
    }

    /// Bytes that went to and from the engine at an address since it was added; none where it was not.
    pub fn traffic(&self, address: &str) -> u64 {
        self.0.elsewhere.link(address).map_or(0, |link| link.traffic())
    }

    /// Asks a performance; answers when the answer is durable.
    ///
    /// # Errors
    /// [`Failure`], which says whether anything may have happened.
    pub async fn ask(&self, performance: &Performance, ask: Ask) -> Outcome {
        // Next to what the rest of a request costs, a copy is nothing.
        let outcome = self.ask_once(performance, ask.clone()).await;
        if outcome == Err(Failure::Refused(Refusal::HandedOver)) {
            return self.follow(performance, ask).await;
        }
        outcome
    }

    /// The same, where nobody follows a performance that was given away.
    pub(crate) async fn ask_once(&self, performance: &Performance, ask: Ask) -> Outcome {
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

    /// Asks where the performance goes: it was given away, and nothing was done.
    async fn follow(&self, asked: &Performance, ask: Ask) -> Outcome {
        let (mut asked, give_up) = (asked.clone(), Instant::now() + PATIENCE);
        // What may be asked twice may have been done when it was asked before, at an engine that went down under it.
        let failure = if ask.is_repeatable() { Failure::Unknown } else { Failure::Overloaded };
        let mut moves = self.0.views.moves.subscribe();
        loop {
            let known = self.performance(asked.publication.performance);
            if known.as_ref().is_none_or(|known| known.road.is(&asked.road)) {
                // Whoever would say so lives as long as this client. It may come back to where it was.
                let moved = timeout_at(give_up, moves.changed()).await;
                moved.map_err(|_| failure.clone())?.map_err(|_| failure.clone())?;
            }
            let Some(known) = self.performance(asked.publication.performance) else { continue };
            asked = known;
            let outcome = self.ask_once(&asked, ask.clone()).await;
            if outcome != Err(Failure::Refused(Refusal::HandedOver)) {
                return outcome;
            }
        }
    }

    /// Asks the registry for a change; `opening` belongs to a command that adds a performance.
    ///
    /// # Errors
    /// [`RegistryFailure`], which says whether anything may have happened.
    pub async fn register(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
        let show = command.show_that_is();
        while let Some(link) = self.home(&command).await? {
            let outcome = link.register(command.clone(), opening.clone()).await;
            let has_left = outcome == Err(RegistryRefusal::UnknownShow.into())
                && show.is_some_and(|show| !self.0.elsewhere.is_home(show, &link));
            if !has_left {
                return outcome;
            }
        }
        if self.0.here.is_none() {
            let unknown = command.show_that_is().is_some() && self.knows_all();
            let refusal = RegistryFailure::Refused(RegistryRefusal::UnknownShow);
            return Err(if unknown { refusal } else { RegistryFailure::Failed(Failure::Overloaded) });
        }
        self.register_here(command, opening).await
    }

    /// The engine elsewhere that a command is for, if it is one of those; waits for a show that is on its way to one.
    async fn home(&self, command: &RegistryCommand) -> Result<Option<Arc<Link>>, Failure> {
        if let Some(show) = command.show_that_is().filter(|_| !self.0.elsewhere.is_empty()) {
            self.arrival(show).await?;
        }
        Ok(self.0.elsewhere.home(command, self.0.here.is_none()))
    }

    async fn register_here(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
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
