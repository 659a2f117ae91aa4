//! A performance goes from one engine to another, with all that is held and sold of it.
//!
//! The engine that has it writes down that it is given to the other one ([`crate::event::Event::HandedOver`]): from then on it
//! decides nothing about it. The other one makes the state durable, goes on in the same chain of records under a younger
//! epoch ([`crate::event::Event::TakenOver`]), and answers. Then the first one forgets it. Whatever goes down meanwhile, each step
//! can be done again, and what was given away goes to that engine and to no other: at no time do two of them have it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{ActorFutureExt as _, Context, Handler, Message, ResponseActFuture, ResponseFuture, WrapFuture as _};
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::actor::{GiveAway, Leave, Pack, TakeUp};
use crate::committer::Committer;
use crate::id::{EngineId, PerformanceId};
use crate::inventory::Inventory;
use crate::journal::Stream;
use crate::journal::codec;
use crate::journal::frame::{Body, Chain};
use crate::journal::snapshot::Snapshot;
use crate::mailbox::Failure;
use crate::owner::{Owner, RegistryFailure};
use crate::registry::RegistryEvent;

/// The longest state that is handed over, in bytes: ten times what a sold-out stadium of 100,000 has come to.
pub(crate) const PARCEL_LEN_MAX: usize = 256 << 20;

/// Why a performance was not handed over. Trying again is right, unless it says something else.
#[derive(Debug, Clone, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum HandOverFailure {
    /// See [`Failure`].
    #[error(transparent)]
    Failed(#[from] Failure),
    /// See [`RegistryFailure`].
    #[error(transparent)]
    Registry(#[from] RegistryFailure),
    /// The engine does not have it.
    #[error("the engine does not have the performance")]
    NotHere,
    /// It was given to another engine before, and has to get there first.
    #[error("the performance was given to engine {0} before")]
    GoesTo(EngineId),
    /// What came is for another engine, or older than what this one has had.
    #[error("the state is for another engine, or an old one")]
    NotForThis,
    /// What came is no state.
    #[error("what was handed over is no state of a performance")]
    Unreadable,
}

/// Gives a performance away; answers with its state once that is durable. Twice is once.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<u8>, HandOverFailure>")]
pub(crate) struct HandOver {
    pub(crate) performance: PerformanceId,
    pub(crate) to: EngineId,
}

impl Handler<HandOver> for Owner {
    type Result = ResponseFuture<Result<Vec<u8>, HandOverFailure>>;

    fn handle(&mut self, HandOver { performance, to }: HandOver, _: &mut Context<Self>) -> Self::Result {
        let Some(seated) = self.performances.get(&performance) else {
            return Box::pin(async { Err(HandOverFailure::NotHere) });
        };
        let (actor, mailbox) = (seated.actor.clone(), seated.staging.borrow().mailbox.clone());
        let (committer, client) = (Rc::clone(&self.committer), self.client.clone());
        Box::pin(async move {
            let given = actor.send(GiveAway { to }).await;
            given.map_err(|_| Failure::Unknown)??;
            durable(&committer, None).await?;
            mailbox.give_away(to);
            client.note_left_here(performance, to);
            Ok(actor.send(Pack).await.map_err(|_| Failure::Unknown)?)
        })
    }
}

/// Takes a performance that another engine has given to this one. Twice is once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), HandOverFailure>")]
pub(crate) struct TakeOver {
    pub(crate) parcel: Vec<u8>,
}

/// A state that is for this engine.
struct Arriving {
    parcel: Vec<u8>,
    inventory: Inventory,
    /// That of all records that are written here from now on: younger than any that it has.
    epoch: u64,
    chain: Chain,
}

impl Handler<TakeOver> for Owner {
    type Result = ResponseActFuture<Self, Result<(), HandOverFailure>>;

    fn handle(&mut self, TakeOver { parcel }: TakeOver, _: &mut Context<Self>) -> Self::Result {
        match self.expect(parcel) {
            Ok(Some(arriving)) => self.take_over(arriving),
            done => Box::pin(std::future::ready(done.map(drop)).into_actor(self)),
        }
    }
}

impl Owner {
    /// Reads what has come; nothing where the performance is here already.
    fn expect(&mut self, parcel: Vec<u8>) -> Result<Option<Arriving>, HandOverFailure> {
        if self.committer.borrow().has_failed() {
            return Err(Failure::Unknown.into());
        }
        if self.committer.borrow().disk_low() {
            return Err(Failure::DiskLow.into());
        }
        let snapshot = Snapshot::decode(&parcel).map_err(|_| HandOverFailure::Unreadable)?;
        let id = PerformanceId(snapshot.stream.0);
        let is_its = snapshot.stream != Stream::REGISTRY && snapshot.image.opening.performance == id;
        let inventory = Inventory::from_image(snapshot.image).ok().filter(|_| is_its);
        let inventory = inventory.ok_or(HandOverFailure::Unreadable)?;
        let next = snapshot.sequence + 1;
        if inventory.handed_over().is_none() || inventory.handed_over() != self.registry.name() {
            return Err(HandOverFailure::NotForThis);
        }
        if self.arriving.contains(&id) {
            return Err(Failure::Overloaded.into());
        }
        if let Some(seated) = self.performances.get(&id) {
            let has_come = seated.staging.borrow().next_sequence() > next;
            return if has_come { Ok(None) } else { Err(HandOverFailure::NotForThis) };
        }
        if self.ends.get(&id).is_some_and(|end| *end > next) {
            return Err(HandOverFailure::NotForThis);
        }
        self.arriving.insert(id);
        let chain = Chain { next_sequence: next, tip: snapshot.tip };
        Ok(Some(Arriving { parcel, inventory, epoch: snapshot.epoch + 1, chain }))
    }

    fn take_over(&mut self, arriving: Arriving) -> ResponseActFuture<Self, Result<(), HandOverFailure>> {
        let Arriving { parcel, inventory, epoch, chain } = arriving;
        let (id, now) = (inventory.performance(), self.committer.borrow().now());
        let expected = RegistryEvent::PerformanceExpected { performance: id };
        self.registry.apply(now, &expected);
        self.committer.borrow_mut().raise_epoch(epoch);
        let expected = codec::encode_registry(now, &expected);
        let prepared = prepare(Rc::clone(&self.committer), expected, id, parcel, chain, epoch);
        let here = prepared.into_actor(self).then(move |prepared, owner, _| {
            let has_it = prepared.map(|()| owner.go_on(inventory, chain));
            async move { has_it?.await }.into_actor(owner)
        });
        Box::pin(here.map(move |here, owner, _| {
            owner.arriving.remove(&id);
            here
        }))
    }

    /// Seats a performance whose state is durable here, and which is listed. Nobody knows of it before it goes on, durably.
    fn go_on(
        &mut self,
        inventory: Inventory,
        chain: Chain,
    ) -> impl Future<Output = Result<(), HandOverFailure>> + use<> {
        let (id, now) = (inventory.performance(), self.committer.borrow().now());
        self.registry.apply(now, &RegistryEvent::PerformanceAdopted { performance: id });
        self.committer.borrow().histories().add([&inventory]);
        let due: Vec<_> = inventory.due().collect();
        let by =
            if inventory.has_deadlines() { (now - inventory.now()).min(self.extension_max) } else { Duration::ZERO };
        let staging = self.seat(id, inventory, chain);
        let (performance, actor) = (self.performance(id), self.performances[&id].actor.clone());
        let (committer, client) = (Rc::clone(&self.committer), self.client.clone());
        async move {
            let by_millis = u32::try_from(by.as_millis()).unwrap_or(u32::MAX);
            actor.send(TakeUp { by_millis }).await.map_err(|_| Failure::Unknown)?;
            durable(&committer, None).await?;
            drop(staging);
            client.add(performance);
            due.into_iter().for_each(|booking| client.dues().push(booking));
            Ok(())
        }
    }

    /// Whether a performance that is here was given away, durably.
    pub(crate) fn was_handed_over(&self, id: PerformanceId) -> bool {
        let seated = self.performances.get(&id);
        seated.is_some_and(|seated| seated.staging.borrow().mailbox.handed_over().is_some())
    }

    /// Lets a performance go that the other engine has. Who waits for it here is told so.
    pub(crate) fn let_go(&mut self, id: PerformanceId) {
        let Some(seated) = self.performances.remove(&id) else { return };
        self.ends.insert(id, seated.staging.borrow().next_sequence());
        seated.actor.do_send(Leave);
    }
}

/// Makes a state durable, and then that it is here: what breaks off before that is begun again by the other engine, and
/// after it by the next start of this one.
async fn prepare(
    committer: Rc<RefCell<Committer>>,
    expected: Body,
    id: PerformanceId,
    parcel: Vec<u8>,
    chain: Chain,
    epoch: u64,
) -> Result<(), HandOverFailure> {
    let stream = Stream(id.0);
    durable(&committer, Some(expected)).await?;
    let snapshots = committer.borrow().snapshots().clone();
    let written = committer.borrow().writer().apart(move || snapshots.write(stream, &parcel));
    written.await.map_err(|error| {
        tracing::error!(%error, "what was handed over could not be written");
        Failure::DiskLow
    })?;
    // One job after the other: what is written from now on goes on behind the state's end.
    let adopted = committer.borrow().writer().ask(move |journal| {
        journal.adopt(stream, chain, epoch);
        Ok(())
    });
    adopted.await.map_err(|_| Failure::Unknown)?;
    committer.borrow_mut().expect_trims(vec![(stream, chain.next_sequence - 1)]);
    let now = committer.borrow().now();
    let listed = codec::encode_registry(now, &RegistryEvent::PerformanceAdopted { performance: id });
    Ok(durable(&committer, Some(listed)).await?)
}

/// Returns when all that was staged before is durable, and a record of the registry's with it, if there is one.
fn durable(
    committer: &Rc<RefCell<Committer>>,
    body: Option<Body>,
) -> impl Future<Output = Result<(), Failure>> + use<> {
    let (done, durable) = oneshot::channel();
    // Whoever waits may have gone away.
    Committer::enlist_registry(committer, body, Box::new(move |written| drop(done.send(written))));
    async move { durable.await.unwrap_or(Err(Failure::Unknown)).map(drop) }
}
