//! A performance goes from one engine to another, with all that is held and sold of it.
//!
//! The engine that has it writes down that it is given to the other one ([`crate::event::Event::HandedOver`]): from then on it
//! decides nothing about it. The other one makes the state durable, goes on in the same chain of records under a younger
//! epoch ([`crate::event::Event::TakenOver`]), and answers. Then the first one forgets it. Whatever goes down meanwhile, each step
//! can be done again, and what was given away goes to that engine and to no other: at no time do two of them have it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt as _, Addr, Context, Handler, Message, ResponseActFuture, WrapFuture as _};
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::actor::{GiveAway, Pack, SeatActor, TakeUp};
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

/// Between two looks whether a snapshot that is under way is written.
const SNAPSHOT_LOOK: Duration = Duration::from_millis(2);

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
#[rtype(result = "Result<Arc<[u8]>, HandOverFailure>")]
pub(crate) struct HandOver {
    pub(crate) performance: PerformanceId,
    pub(crate) to: EngineId,
}

impl Handler<HandOver> for Owner {
    type Result = ResponseActFuture<Self, Result<Arc<[u8]>, HandOverFailure>>;

    fn handle(&mut self, HandOver { performance, to }: HandOver, _: &mut Context<Self>) -> Self::Result {
        let Some(seated) = self.performances.get(&performance) else {
            return Box::pin(std::future::ready(Err(HandOverFailure::NotHere)).into_actor(self));
        };
        let (actor, staging, known) =
            (seated.actor.clone(), Rc::clone(&seated.staging), self.parcels.get(&performance));
        let (committer, client, known) = (Rc::clone(&self.committer), self.client.clone(), known.cloned());
        let packed = async move {
            let given = actor.send(GiveAway { to }).await;
            given.map_err(|_| Failure::Unknown)??;
            // It does not change any more, and is sent in parts.
            if let Some(known) = known {
                return Ok(known);
            }
            durable(&committer, None).await?;
            staging.borrow().mailbox.give_away(to);
            client.note_left_here(performance, to);
            // One that is still being written would take the place of a newer one, were the performance to come back.
            while staging.borrow().snapshotting {
                actix_rt::time::sleep(SNAPSHOT_LOOK).await;
            }
            let parcel = actor.send(Pack).await.map_err(|_| Failure::Unknown)?;
            if parcel.len() > PARCEL_LEN_MAX {
                tracing::error!(%performance, bytes = parcel.len(), "a state is too long to be handed over");
            }
            Ok(Arc::from(parcel))
        };
        Box::pin(packed.into_actor(self).map(move |packed: Result<Arc<[u8]>, HandOverFailure>, owner, _| {
            if let Ok(parcel) = &packed
                && owner.performances.contains_key(&performance)
            {
                owner.parcels.insert(performance, Arc::clone(parcel));
            }
            packed
        }))
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
        // It was here, and has gone on.
        if self.ends.get(&id).is_some_and(|end| *end > next) {
            return Ok(None);
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

    /// Whether a performance that is here was given away, durably, in the record with this number.
    pub(crate) fn was_handed_over(&self, id: PerformanceId, last: u64) -> bool {
        let Some(seated) = self.performances.get(&id) else { return false };
        let staging = seated.staging.borrow();
        staging.mailbox.handed_over().is_some() && staging.next_sequence() == last + 1
    }

    /// Lets a performance go that the other engine has. Its actor is to leave once that is durable.
    pub(crate) fn let_go(&mut self, id: PerformanceId) -> Option<Addr<SeatActor>> {
        let seated = self.performances.remove(&id)?;
        self.parcels.remove(&id);
        self.ends.insert(id, seated.staging.borrow().next_sequence());
        Some(seated.actor)
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
    // Not before: a snapshot that is younger than the records behind it would be refused.
    committer.borrow_mut().raise_epoch(epoch);
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
    let waiter = Committer::lasting(committer, Box::new(move |written| drop(done.send(written))));
    Committer::enlist_registry(committer, body, waiter);
    async move { durable.await.unwrap_or(Err(Failure::Unknown)).map(drop) }
}
