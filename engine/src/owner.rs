//! The owner: one thread with its actors and its journal; opens performances, keeps the registry, and keeps time.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _,
};
use tokio::sync::oneshot;

use crate::actor::{Extend, Leave, SeatActor, TakeSnapshot, TakeUp};
use crate::client::{Client, Performance, Road};
use crate::committer::{Committer, Setup, Waiter};
use crate::event::{Entry, Event};
use crate::feed::Leaving;
use crate::id::{EngineId, PerformanceId, ShowId};
use crate::inventory::Inventory;
use crate::journal::codec;
use crate::journal::frame::Chain;
use crate::journal::{BODY_LEN_MAX, Stream};
use crate::mailbox::{Failure, Mailbox};
use crate::performance::{Opening, OpeningError};
use crate::registry::{
    Registry, RegistryCommand, RegistryDecision, RegistryEvent, RegistryMade, RegistryRefusal, Show,
};
use crate::seeded::Bug;
use crate::staging::Staging;
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// How often holds are looked at whose performance nobody talks to, and snapshots are thought of.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Between two drops of some of the records that snapshots stand for: little at a time, as commands wait meanwhile.
const TRIM: Duration = Duration::from_millis(25);
/// Ticks between two rounds of upkeep.
const TICKS_PER_MAINTENANCE: u64 = 4;

/// What became of a registry's command.
pub type RegistryOutcome = Result<RegistryAnswered, RegistryFailure>;

/// It is done, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RegistryAnswered {
    /// What was made or changed.
    pub made: RegistryMade,
    /// The registry's record that it stands in; nothing where nothing was changed.
    pub sequence: Option<u64>,
    /// Whether this answers a request that came before.
    pub replayed: bool,
}

/// It is not done, or that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Archive, Serialize, Deserialize)]
pub enum RegistryFailure {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] RegistryRefusal),
    /// The opening opens no performance.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The layout's names take more room than one record has.
    #[error("the seat map takes {bytes} bytes in the journal; {BODY_LEN_MAX} is the most")]
    TooLarge {
        /// What it takes.
        bytes: usize,
    },
    /// See [`Failure`].
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Asks the registry for a change.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Register {
    pub(crate) command: RegistryCommand,
    /// The performance that comes into being, where the command adds one.
    pub(crate) opening: Option<Box<Opening>>,
    pub(crate) reply: oneshot::Sender<RegistryOutcome>,
}

/// Time has passed, for an owner without timers: all that they do is done once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Tick;

pub(crate) struct Seated {
    pub(crate) actor: Addr<SeatActor>,
    pub(crate) staging: Rc<RefCell<Staging>>,
}

/// See the module.
pub(crate) struct Owner {
    pub(crate) registry: Registry,
    pub(crate) committer: Rc<RefCell<Committer>>,
    pub(crate) client: Client,
    pub(crate) performances: BTreeMap<PerformanceId, Seated>,
    /// Those whose state is being taken over from another engine.
    pub(crate) arriving: BTreeSet<PerformanceId>,
    /// The states of those that were given away and not let go of yet, as they are sent.
    pub(crate) parcels: BTreeMap<PerformanceId, Arc<[u8]>>,
    /// Of those that were here, the number of the record that would have come next: an older state is none that comes back.
    pub(crate) ends: BTreeMap<PerformanceId, u64>,
    /// How much time holders get back at most.
    pub(crate) extension_max: Duration,
    ticks: u64,
    mailbox_capacity: usize,
    snapshot_every_events: u64,
    /// Whether the owner has a timer; a simulation sends the ticks itself.
    ticking: bool,
    /// Whether upkeep is under way: a disk may take longer for it than the time between two rounds.
    maintaining: Rc<Cell<bool>>,
}

/// What an owner is started with.
pub(crate) struct Start {
    pub(crate) registry: Registry,
    /// What other engines are to know this one by, where it has no name yet.
    pub(crate) name: EngineId,
    /// With the ends of their streams.
    pub(crate) inventories: BTreeMap<PerformanceId, (Inventory, Chain)>,
    /// See [`Owner::ends`].
    pub(crate) ends: BTreeMap<PerformanceId, u64>,
    /// Events that no snapshot stands for yet.
    pub(crate) replayed: BTreeMap<Stream, u64>,
    /// The last records that snapshots stand for: what is before them may go.
    pub(crate) snapshots: Vec<(Stream, u64)>,
    pub(crate) setup: Setup,
    pub(crate) client: Client,
    pub(crate) mailbox_capacity: usize,
    pub(crate) snapshot_every_events: u64,
    pub(crate) ticking: bool,
    /// How much time holders get back.
    pub(crate) extension: Duration,
    /// The most that they get.
    pub(crate) extension_max: Duration,
}

impl Owner {
    /// Starts the owner and its actors on the thread that calls.
    pub(crate) fn start_here(start: Start) -> Addr<Self> {
        Self::create(|_| Self::new(start))
    }

    fn new(start: Start) -> Self {
        let mut owner = Self {
            registry: start.registry,
            committer: Rc::new(RefCell::new(Committer::new(start.setup))),
            client: start.client,
            performances: BTreeMap::new(),
            arriving: BTreeSet::new(),
            parcels: BTreeMap::new(),
            ends: start.ends,
            extension_max: start.extension_max,
            ticks: 0,
            mailbox_capacity: start.mailbox_capacity,
            snapshot_every_events: start.snapshot_every_events,
            ticking: start.ticking,
            maintaining: Rc::default(),
        };
        owner.committer.borrow_mut().expect_trims(start.snapshots);
        owner.announce(start.name);
        owner.registry.shows().for_each(|show| owner.client.shows().publish(Arc::clone(show)));
        for show in owner.registry.released() {
            owner.client.shows().note_released(owner.leaving(show));
        }
        for (id, (inventory, chain)) in start.inventories {
            let (running, handed_over) = (inventory.has_deadlines(), inventory.handed_over());
            let staging = owner.seat(id, inventory, chain);
            owner.publish(id);
            if let Some(to) = handed_over {
                owner.resume(id, to, start.extension);
                continue;
            }
            staging.borrow_mut().events_since_snapshot = start.replayed.get(&Stream(id.0)).copied().unwrap_or(0);
            owner.extend(id, running, start.extension);
        }
        owner
    }

    /// The first record of this owner: a later start refuses an older owner's records behind it. It also proves the disk.
    /// The engine is known by its name once that is durable.
    fn announce(&mut self, name: EngineId) {
        let now = self.committer.borrow().now();
        let body = codec::encode_registry(now, &RegistryEvent::EngineStarted);
        Committer::enlist_registry(&self.committer, Some(body), Box::new(|_| {}));
        let named = self.registry.name().is_none().then_some(RegistryEvent::EngineNamed { engine: name });
        named.iter().for_each(|event| self.registry.apply(now, event));
        let (client, name) = (self.client.clone(), self.registry.name().unwrap_or(name));
        let known = move |durable: Result<u64, Failure>| {
            if durable.is_ok() {
                client.note_name(name);
            }
        };
        let body = named.map(|event| codec::encode_registry(now, &event));
        Committer::enlist_registry(&self.committer, body, Committer::lasting(&self.committer, Box::new(known)));
    }

    /// A handing over that broke off: away from here it is done again by whoever began it; what came here goes on.
    fn resume(&self, id: PerformanceId, to: EngineId, extension: Duration) {
        let seated = &self.performances[&id];
        if Some(to) == self.registry.name() {
            let by_millis = u32::try_from(extension.as_millis()).unwrap_or(u32::MAX);
            seated.actor.do_send(TakeUp { by_millis });
        } else {
            seated.staging.borrow().mailbox.give_away(to);
            self.client.note_left_here(id, to);
        }
    }

    /// Whether another engine can write down that it has a show: once it has left here there is no way back.
    fn check_that_it_can_leave(&self, show: ShowId) -> Result<(), RegistryFailure> {
        let Some(show) = self.registry.show(show) else { return Ok(()) };
        let Leaving { show, made } = self.leaving(show);
        let adopted = RegistryEvent::ShowAdopted { show: Box::new(show), made };
        let bytes = codec::encode_registry(Timestamp::MIN, &adopted).len();
        if bytes > BODY_LEN_MAX { Err(RegistryFailure::TooLarge { bytes }) } else { Ok(()) }
    }

    fn leaving(&self, show: &Show) -> Leaving {
        Leaving { show: show.clone(), made: self.registry.made_for(show) }
    }

    fn extend(&self, id: PerformanceId, running: bool, extension: Duration) {
        let by_millis = u32::try_from(extension.as_millis()).unwrap_or(u32::MAX);
        if running && by_millis > 0 && !Bug::HoldersNotExtended.is_on() {
            self.performances[&id].actor.do_send(Extend { by_millis });
        }
    }

    /// Gives a performance its actor, and makes it known.
    pub(crate) fn seat(&mut self, id: PerformanceId, inventory: Inventory, chain: Chain) -> Rc<RefCell<Staging>> {
        let mailbox = Arc::new(Mailbox::new(self.mailbox_capacity));
        let staging = Rc::new(RefCell::new(Staging::new(&inventory, chain, Arc::clone(&mailbox))));
        let actor = SeatActor::new(inventory, Rc::clone(&staging), Rc::clone(&self.committer)).start();
        mailbox.belongs_to(actor.clone().recipient());
        self.performances.insert(id, Seated { actor, staging: Rc::clone(&staging) });
        staging
    }

    /// Makes a performance known to everybody.
    fn publish(&self, id: PerformanceId) {
        self.client.add(self.performance(id));
    }

    pub(crate) fn performance(&self, id: PerformanceId) -> Performance {
        let staging = self.performances[&id].staging.borrow();
        Performance { road: Road::Mailbox(Arc::clone(&staging.mailbox)), publication: Arc::clone(&staging.publication) }
    }

    fn register(&mut self, register: Register) {
        let Register { command, opening, reply } = register;
        if self.committer.borrow().has_failed() {
            // A receiver that has gone away needs no answer.
            return drop(reply.send(Err(RegistryFailure::Failed(Failure::Unknown))));
        }
        match self.decide(&command, opening) {
            // A receiver that has gone away needs no answer.
            Ok(_) if self.committer.borrow().disk_low() => {
                drop(reply.send(Err(RegistryFailure::Failed(Failure::DiskLow))));
            }
            Ok((event, made, opened)) => self.commit(event, made, opened, reply),
            Err(outcome) => self.answer_in_order(*outcome, reply),
        }
    }

    /// An answer that changes nothing rests on what it saw, so it waits for the commit that makes that durable.
    fn answer_in_order(&self, outcome: RegistryOutcome, reply: oneshot::Sender<RegistryOutcome>) {
        let waiter = move |durable: Result<u64, Failure>| {
            // A receiver that has gone away needs no answer.
            drop(reply.send(durable.map_err(RegistryFailure::Failed).and(outcome)));
        };
        Committer::enlist_registry(&self.committer, None, Box::new(waiter));
    }

    /// The event to be written, or the answer that needs none.
    #[expect(clippy::type_complexity, reason = "one caller, next to it")]
    fn decide(
        &self,
        command: &RegistryCommand,
        opening: Option<Box<Opening>>,
    ) -> Result<(RegistryEvent, RegistryMade, Option<(Box<Opening>, Inventory)>), Box<RegistryOutcome>> {
        let event = match self.registry.decide(command) {
            Ok(RegistryDecision::Event(event)) => event,
            Ok(RegistryDecision::Replayed(made)) => {
                return Err(Box::new(Ok(RegistryAnswered { made, sequence: None, replayed: true })));
            }
            Err(refusal) => return Err(Box::new(Err(refusal.into()))),
        };
        match command {
            RegistryCommand::ReleasePerformance { performance, last } if !self.was_handed_over(*performance, *last) => {
                return Err(Box::new(Err(RegistryRefusal::NotHandedOver.into())));
            }
            RegistryCommand::ReleaseShow { show } => {
                self.check_that_it_can_leave(*show).map_err(|error| Box::new(Err(error)))?
            }
            _ => {}
        }
        if !fits(&event, opening.as_deref(), &self.registry) {
            return Err(Box::new(Err(RegistryFailure::Failed(Failure::Nonsense))));
        }
        let opened = opening.map(|opening| self.open(opening)).transpose().map_err(|error| Box::new(Err(error)))?;
        let made = match command {
            RegistryCommand::AddPerformance { performance, .. }
            | RegistryCommand::ReleasePerformance { performance, .. } => RegistryMade::Performance(*performance),
            RegistryCommand::CreateShow { show, .. }
            | RegistryCommand::ChangeShow { show, .. }
            | RegistryCommand::SetMember { show, .. }
            | RegistryCommand::ReleaseShow { show } => RegistryMade::Show(*show),
            RegistryCommand::AdoptShow { show, .. } => RegistryMade::Show(show.id),
        };
        Ok((event, made, opened))
    }

    fn open(&self, opening: Box<Opening>) -> Result<(Box<Opening>, Inventory), RegistryFailure> {
        let now = self.committer.borrow().now();
        let inventory = Inventory::open(&opening, now)?;
        let bytes = opening_len(now, &opening);
        if bytes > BODY_LEN_MAX {
            return Err(RegistryFailure::TooLarge { bytes });
        }
        Ok((opening, inventory))
    }

    fn commit(
        &mut self,
        event: RegistryEvent,
        made: RegistryMade,
        opened: Option<(Box<Opening>, Inventory)>,
        reply: oneshot::Sender<RegistryOutcome>,
    ) {
        let now = self.committer.borrow().now();
        self.registry.apply(now, &event);
        let performance = opened.map(|(opening, inventory)| self.stage_opening(opening, inventory));
        let show = match &event {
            RegistryEvent::ShowCreated { show, .. }
            | RegistryEvent::ShowChanged { show, .. }
            | RegistryEvent::MemberSet { show, .. }
            | RegistryEvent::PerformanceAdded { show, .. } => self.registry.show(*show).cloned(),
            RegistryEvent::ShowAdopted { show, .. } => self.registry.show(show.id).cloned(),
            _ => None,
        };
        let released = match &event {
            RegistryEvent::ShowReleased { show } => self.registry.released().find(|known| known.id == *show),
            _ => None,
        };
        let released = released.map(|show| self.leaving(show));
        let gone = match &event {
            RegistryEvent::PerformanceReleased { performance } => Some(*performance),
            _ => None,
        };
        let leaving = gone.and_then(|id| self.let_go(id));
        let client = self.client.clone();
        let waiter = move |durable: Result<u64, Failure>| {
            let outcome = durable.map(|sequence| RegistryAnswered { made, sequence: Some(sequence), replayed: false });
            if outcome.is_ok() {
                performance.into_iter().for_each(|performance| client.add(performance));
                show.into_iter().for_each(|show| client.shows().publish(show));
                if let Some(leaving) = released {
                    let id = leaving.show.id;
                    client.shows().note_released(leaving);
                    client.shows().leave(id);
                }
                if let Some(id) = gone {
                    client.forget_here(id);
                }
                leaving.into_iter().for_each(|actor| actor.do_send(Leave));
            }
            // A receiver that has gone away needs no answer.
            drop(reply.send(outcome.map_err(RegistryFailure::Failed)));
        };
        let body = codec::encode_registry(now, &event);
        let between_engines = matches!(
            event,
            RegistryEvent::ShowAdopted { .. }
                | RegistryEvent::ShowReleased { .. }
                | RegistryEvent::PerformanceReleased { .. }
        );
        let waiter: Waiter = Box::new(waiter);
        let waiter = if between_engines { Committer::lasting(&self.committer, waiter) } else { waiter };
        Committer::enlist_registry(&self.committer, Some(body), waiter);
    }

    /// Seats the performance; nobody knows of it before the commit.
    fn stage_opening(&mut self, opening: Box<Opening>, inventory: Inventory) -> Performance {
        let id = opening.performance;
        let staging = self.seat(id, inventory, Chain::default());
        let at = self.committer.borrow().now();
        staging.borrow_mut().open(Entry { at, event: Event::PerformanceOpened(opening) });
        Committer::enlist(&self.committer, &staging);
        self.performance(id)
    }

    fn tick(&mut self) {
        let now = self.committer.borrow().now();
        for seated in self.performances.values() {
            let staging = seated.staging.borrow();
            if staging.next_end.is_some_and(|end| end <= now) {
                staging.mailbox.wake();
            }
            if staging.events_since_snapshot >= self.snapshot_every_events && !staging.snapshotting {
                seated.actor.do_send(TakeSnapshot);
            }
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_PER_MAINTENANCE) {
            self.maintain();
        }
    }

    fn maintain(&self) {
        if !self.maintaining.replace(true) {
            let (committer, maintaining) = (Rc::clone(&self.committer), Rc::clone(&self.maintaining));
            actix_rt::spawn(async move {
                Committer::maintain(&committer).await;
                maintaining.set(false);
            });
        }
        let deepest = self.performances.values().map(|seated| seated.staging.borrow().mailbox.len()).max();
        let committer = self.committer.borrow();
        committer.metrics.mailbox_depth.set(deepest.unwrap_or(0) as f64);
        committer.metrics.performances.set(self.performances.len() as f64);
        let tallies = self.performances.iter().map(|(id, seated)| (*id, seated.staging.borrow().publication.tally()));
        crate::metrics::show_seats(tallies);
    }
}

/// Whether an opening is there exactly where a performance is added, and is that performance's; and whether the event is
/// short enough for a record. What comes from another process may be anything.
fn fits(event: &RegistryEvent, opening: Option<&Opening>, registry: &Registry) -> bool {
    let goes_with = match (event, opening) {
        (RegistryEvent::PerformanceAdded { show, performance, .. }, Some(opening)) => {
            let seller = registry.show(*show).map(|show| show.seller);
            let stream = Stream(performance.0);
            stream != Stream::REGISTRY
                && (opening.performance, opening.show, Some(opening.seller)) == (*performance, *show, seller)
        }
        (RegistryEvent::PerformanceAdded { .. }, None) => false,
        (_, opening) => opening.is_none(),
    };
    goes_with && codec::encode_registry(Timestamp::MIN, event).len() <= BODY_LEN_MAX
}

/// The bytes that an opening takes in the journal.
fn opening_len(at: Timestamp, opening: &Opening) -> usize {
    let entry = Entry { at, event: Event::PerformanceOpened(Box::new(opening.clone())) };
    codec::encode_entries(&[entry]).iter().map(|body| body.len()).sum()
}

impl Actor for Owner {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        if self.ticking {
            context.run_interval(TICK, |owner, _| owner.tick());
            trim_by_and_by(context);
        }
    }
}

/// Each trim waits anew, so that after a slow one the next is late, too, and none is made up for.
fn trim_by_and_by(context: &mut Context<Owner>) {
    context.run_later(TRIM, |owner, context| {
        let committer = Rc::clone(&owner.committer);
        let trim = async move { Committer::trim(&committer).await };
        context.spawn(trim.into_actor(owner).map(|(), _, context| trim_by_and_by(context)));
    });
}

impl Drop for Owner {
    /// As with an actor: a panic is a bug, and the engine stops and recovers.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut committer) = self.committer.try_borrow_mut()
        {
            committer.fail("the owner panicked");
        }
    }
}

impl Handler<Register> for Owner {
    type Result = ();
    fn handle(&mut self, register: Register, _: &mut Context<Self>) {
        self.register(register);
    }
}

impl Handler<Tick> for Owner {
    type Result = ();
    fn handle(&mut self, _: Tick, _: &mut Context<Self>) {
        self.tick();
        let committer = Rc::clone(&self.committer);
        actix_rt::spawn(async move { Committer::trim(&committer).await });
    }
}

/// Answers once everything that was staged is durable or has failed: the last step of an orderly stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settle;

impl Handler<Settle> for Owner {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Settle, _: &mut Context<Self>) -> ResponseFuture<()> {
        let (done, settled) = oneshot::channel();
        // Whatever became of it: a receiver that has gone away needs no answer.
        Committer::enlist_registry(&self.committer, None, Box::new(move |_| done.send(()).unwrap_or_default()));
        let committer = Rc::clone(&self.committer);
        Box::pin(async move {
            // A waiter that is gone was told nothing, as an engine that has ended tells nobody.
            settled.await.ok();
            Committer::maintain(&committer).await;
        })
    }
}
