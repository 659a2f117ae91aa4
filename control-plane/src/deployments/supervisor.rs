//! The task that brings one deployment about: its engines run, one of them has the show, and each performance is where it is
//! to be; again after each failure and each change of what is asked for. Every step may be done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use onrush_api::deployments::{ConditionKind, Deployment};
use onrush_api::problem::{Kind, Problem};
use onrush_engine::id::PerformanceId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::driver::{DriverError, Failure, Place};
use super::keeper::{Keeper, PAUSE_MAX, PAUSE_MIN};
use super::record::Record;
use super::status::Status;
use super::{World, spread};
use crate::store::Store;

/// Between two looks whether performances have been added that belong elsewhere.
const LOOK: Duration = Duration::from_secs(1);
/// What engines have in common is looked after so often, and sooner where one is not heard: somebody may have deleted it.
const PREPARED_FOR: Duration = Duration::from_mins(5);
const PREPARED_FOR_UNHEARD: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Supervisor {
    host: Option<String>,
    record: watch::Sender<Record>,
    status: Arc<Status>,
    orders: watch::Sender<Order>,
    gone: watch::Receiver<Gone>,
    task: JoinHandle<()>,
}

/// What is to become of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// It runs.
    Run,
    /// It stops, with the server; the next one starts it again.
    Stop,
    /// It stops for good.
    Go,
}

/// Whether a deployment that was to go has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    No,
    Yes,
    /// Not all of it; the next start tries again.
    Failed,
}

impl Supervisor {
    pub(super) fn start(record: Record, world: &World, store: &Arc<Store>) -> Self {
        let status = Arc::new(Status::new(Arc::clone(&world.clock)));
        let order = if record.going { Order::Go } else { Order::Run };
        let ((orders, heard), (say_gone, gone)) = (watch::channel(order), watch::channel(Gone::No));
        let record = watch::Sender::new(record);
        let work = Work {
            record: record.clone(),
            status: Arc::clone(&status),
            world: world.clone(),
            store: Arc::clone(store),
            orders: heard,
            gone: say_gone,
            keepers: Mutex::default(),
            prepared: Mutex::default(),
            accompanied: Mutex::default(),
        };
        let host = world.driver.host(&work.record().id);
        Self { host, record, status, orders, gone, task: world.runtime.spawn(work.run()) }
    }

    pub(super) fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Something else is asked for, and is written down.
    pub(super) fn change(&self, record: Record) {
        record.operation.into_iter().for_each(|asked| self.status.begin(asked));
        take(&self.record, record);
    }

    pub(super) fn describe(&self) -> Deployment {
        let record = self.record();
        let replicas = record.staying().len() as u32;
        let Record { id, show, template, parameters, created_at, cpu_millis, memory_mib, .. } = record;
        let cpu = cpu_millis.map(|millis| format!("{millis}m"));
        let memory = memory_mib.map(|mib| format!("{mib}Mi"));
        let (host, status) = (self.host.clone(), self.status.describe());
        Deployment { id, show, template, parameters, replicas, cpu, memory, host, created_at, status }
    }

    /// The engines of which it is known where they are, heard or not.
    pub(super) fn named(&self) -> Vec<u32> {
        self.status.named()
    }

    /// Where each engine is that is heard.
    pub(super) fn addresses(&self) -> BTreeMap<u32, String> {
        self.status.addresses()
    }

    pub(super) fn begin_to_stop(&self) {
        self.orders.send_replace(Order::Stop);
    }

    pub(super) fn begin_to_go(&self) {
        self.orders.send_replace(Order::Go);
    }

    /// Whether it has gone, and every change of that.
    pub(super) fn gone(&self) -> watch::Receiver<Gone> {
        self.gone.clone()
    }

    pub(super) async fn stopped(self) {
        // A task that panicked has nothing left to stop.
        self.task.await.ok();
    }
}

/// Takes what is written down, unless something later was taken before.
fn take(current: &watch::Sender<Record>, written: Record) {
    current.send_if_modified(|known| {
        let is_later = written.revision > known.revision;
        if is_later {
            *known = written;
        }
        is_later
    });
}

/// What the task works with.
struct Work {
    record: watch::Sender<Record>,
    status: Arc<Status>,
    world: World,
    store: Arc<Store>,
    orders: watch::Receiver<Order>,
    gone: watch::Sender<Gone>,
    keepers: Mutex<BTreeMap<u32, Keeper>>,
    /// What the engines have in common is there: as of which revision, since when.
    prepared: Mutex<Option<(u64, Instant)>>,
    /// The same of what runs beside them.
    accompanied: Mutex<Option<(u64, Instant)>>,
}

impl Work {
    async fn run(self) {
        let mut orders = self.orders.clone();
        tokio::select! {
            biased;
            // Who would say so is gone: then the server stops, too.
            _ = orders.wait_for(|order| *order != Order::Run) => {}
            () = self.bring_about() => {}
        }
        let keepers = std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        keepers.values().for_each(Keeper::begin_to_stop);
        for keeper in keepers.into_values() {
            keeper.stopped().await;
        }
        if *self.orders.borrow() == Order::Go {
            tokio::select! {
                () = self.go() => {}
                _ = orders.wait_for(|order| *order == Order::Stop) => {}
            }
        }
    }

    /// Does what is left to do, again and again.
    async fn bring_about(&self) {
        let (mut pause, mut changes, mut asked) = (PAUSE_MIN, self.status.changes(), self.record.subscribe());
        loop {
            changes.mark_unchanged();
            asked.mark_unchanged();
            match self.step().await {
                Ok(true) => pause = PAUSE_MIN,
                Ok(false) => {
                    pause = PAUSE_MIN;
                    tokio::select! {
                        _ = changes.changed() => {}
                        _ = asked.changed() => {}
                        () = sleep(LOOK) => {}
                    }
                }
                Err(problem) => {
                    let body = problem.body();
                    tracing::warn!(deployment = self.record().id, detail = body.detail, "a step is done again");
                    self.status.set(ConditionKind::Routed, false, problem.kind.slug(), body.detail.clone());
                    timeout(pause, asked.changed()).await.ok();
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// One step from what is to what is asked for; whether there was one to do.
    async fn step(&self) -> Result<bool, Problem> {
        let record = self.record();
        record.operation.into_iter().for_each(|asked| self.status.begin(asked));
        if let Some(engine) = record.retiring.first() {
            return self.retire(*engine).await.map(|()| true);
        }
        if let Some(engine) = record.needless() {
            return self.change(move |record| record.retiring.push(engine)).await.map(|()| true);
        }
        let addresses = self.status.addresses();
        let all_are_heard = record.running().all(|engine| addresses.contains_key(&engine));
        self.prepare(&record, all_are_heard).await?;
        self.keep(&record);
        self.accompany(&record).await;
        if !all_are_heard {
            // What an engine has is known once it is heard: until then nothing is moved.
            return Ok(false);
        }
        if let Some((performance, to)) = self.broke_off(&record, &addresses)? {
            return self.hand_over(performance, to, &addresses).await.map(|()| true);
        }
        if let Some(home) = record.moving {
            return self.move_show(&record, home, &addresses).await.map(|()| true);
        }
        if let Some(home) = record.next_home() {
            let begin = move |record: &mut Record| {
                record.occupy(home);
                record.moving = Some(home);
            };
            return self.change(begin).await.map(|()| true);
        }
        let at = self.whereabouts(&record, &addresses)?;
        if let Some((performance, to)) = spread::moves(&at, &record.staying()).first() {
            if record.vacant.contains(to) {
                let to = *to;
                return self.change(move |record| record.occupy(to)).await.map(|()| true);
            }
            return self.hand_over(*performance, *to, &addresses).await.map(|()| true);
        }
        self.status.set(ConditionKind::Routed, true, "Moved", "The show is with its engines.");
        if let Some(engine) = record.leaving.first() {
            let engine = *engine;
            return self.change(move |record| record.retiring.push(engine)).await.map(|()| true);
        }
        if let Some(done) = record.operation {
            self.change(move |record| record.operation = record.operation.filter(|asked| *asked != done)).await?;
            self.status.finish(done);
        }
        Ok(false)
    }

    /// Sees that what the engines have in common is there, as it is to be now.
    async fn prepare(&self, record: &Record, all_are_heard: bool) -> Result<(), Problem> {
        let again = if all_are_heard { PREPARED_FOR } else { PREPARED_FOR_UNHEARD };
        let known = *self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|(revision, since)| revision == record.revision && since.elapsed() < again) {
            return Ok(());
        }
        match self.world.driver.prepare(record).await {
            Ok(()) => {
                *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some((record.revision, Instant::now()));
                self.status.set(ConditionKind::NamespaceReady, true, "Made", "There is a place for its data.");
                Ok(())
            }
            Err(error) => {
                let (reason, message) = Failure::from(error);
                self.status.set(ConditionKind::NamespaceReady, false, reason, message.clone());
                Err(Problem::new(Kind::Overloaded).detail(message))
            }
        }
    }

    /// Sees that what runs beside the engines is there. Engines do not wait for that.
    async fn accompany(&self, record: &Record) {
        let known = *self.accompanied.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|(revision, since)| revision == record.revision && since.elapsed() < PREPARED_FOR) {
            return;
        }
        *self.accompanied.lock().unwrap_or_else(PoisonError::into_inner) = Some((record.revision, Instant::now()));
        if let Err(error) = self.world.driver.accompany(record).await {
            let message = format!("What runs beside the engines is not as it is to be: {error}.");
            tracing::warn!(deployment = record.id, message, "looked after again in some minutes");
            self.status.set(ConditionKind::NamespaceReady, false, "CompanionsFailed", message);
        }
    }

    /// Sees that every engine is kept.
    fn keep(&self, record: &Record) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        for engine in record.running() {
            keepers.entry(engine).or_insert_with(|| Keeper::start(record, engine, &self.status, &self.world));
        }
    }

    /// A performance of the show's that was given away and has not arrived, and the engine that it goes to.
    fn broke_off(
        &self,
        record: &Record,
        addresses: &BTreeMap<u32, String>,
    ) -> Result<Option<(PerformanceId, u32)>, Problem> {
        let own = (self.world.engines.performances)(record.show.0).unwrap_or_default();
        let unfinished = (self.world.engines.unfinished)();
        let Some((performance, to)) = unfinished.into_iter().find(|(id, _)| own.iter().any(|(known, _)| known == id))
        else {
            return Ok(None);
        };
        let engine = addresses.iter().find(|(_, address)| to.as_ref() == Some(*address));
        let unheard =
            || Problem::new(Kind::Overloaded).detail("A performance is on its way to an engine that is not heard.");
        Ok(Some((performance, *engine.ok_or_else(unheard)?.0)))
    }

    /// Where each performance of the show is.
    fn whereabouts(
        &self,
        record: &Record,
        addresses: &BTreeMap<u32, String>,
    ) -> Result<BTreeMap<PerformanceId, Option<u32>>, Problem> {
        let unheard = || Problem::new(Kind::Overloaded).detail("Where the show's performances are is not known yet.");
        let all = (self.world.engines.performances)(record.show.0).ok_or_else(unheard)?;
        let engine_at = |address: &Option<String>| {
            addresses.iter().find(|(_, known)| Some(*known) == address.as_ref()).map(|(engine, _)| *engine)
        };
        let mut counts = BTreeMap::<u32, u32>::new();
        let at: BTreeMap<_, _> = all.iter().map(|(id, address)| (*id, engine_at(address))).collect();
        at.values().flatten().for_each(|engine| *counts.entry(*engine).or_default() += 1);
        self.status.note_performances(&counts);
        Ok(at)
    }

    async fn hand_over(
        &self,
        performance: PerformanceId,
        to: u32,
        addresses: &BTreeMap<u32, String>,
    ) -> Result<(), Problem> {
        let begun = Instant::now();
        let address = addresses.get(&to).cloned().ok_or_else(|| Problem::new(Kind::Overloaded))?;
        (self.world.engines.hand_over)(performance, address).await?;
        self.status.note_move(begun.elapsed());
        Ok(())
    }

    /// Moves the show itself; from where to where is written down until it has arrived.
    async fn move_show(&self, record: &Record, to: u32, addresses: &BTreeMap<u32, String>) -> Result<(), Problem> {
        let from = record.home.and_then(|engine| addresses.get(&engine).cloned());
        let address = addresses.get(&to).cloned().ok_or_else(|| Problem::new(Kind::Overloaded))?;
        (self.world.engines.move_show)(record.show.0, from, address).await?;
        self.change(move |record| (record.home, record.moving) = (Some(to), None)).await
    }

    /// Ends an engine that has nothing any more, and puts its journal aside.
    async fn retire(&self, engine: u32) -> Result<(), Problem> {
        let keeper = self.keepers.lock().unwrap_or_else(PoisonError::into_inner).remove(&engine);
        if let Some(keeper) = keeper {
            keeper.stopped().await;
        }
        let place = Place::of(&self.world.driver, &self.record(), engine);
        match place.put_aside().await {
            Ok(place) => tracing::info!(place, "the journal of an engine that has gone"),
            Err(error) => {
                tracing::error!(%error, "an engine is not gone, or what it has left behind is not put aside");
                let detail = format!("An engine that has nothing any more is not gone yet: {error}.");
                return Err(Problem::new(Kind::Overloaded).detail(detail));
            }
        }
        place.address().into_iter().for_each(|address| (self.world.engines.disconnect)(&address));
        self.status.forget(engine);
        self.change(move |record| record.forget(engine)).await
    }

    /// Changes what is written down; the deployment as it is then.
    async fn change(&self, change: impl FnOnce(&mut Record) + Send + 'static) -> Result<(), Problem> {
        let show = self.record().show.0;
        let changed = super::change_record(&self.store, show, change).await?;
        take(&self.record, changed);
        Ok(())
    }

    /// Puts what the engines have had aside, and forgets them; again and again, until that is done.
    async fn go(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.put_all_aside().await {
                Ok(exported) => {
                    tracing::info!(?exported, "the journals of a deleted deployment");
                    self.gone.send_replace(Gone::Yes);
                    return;
                }
                Err(error) => tracing::error!(deployment = self.record().id, error, "a deployment is not gone yet"),
            }
            self.gone.send_replace(Gone::Failed);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn put_all_aside(&self) -> Result<Vec<String>, String> {
        let (record, driver) = (self.record(), &self.world.driver);
        let in_words = |error: DriverError| error.to_string();
        let places: Vec<_> = record.engines.iter().map(|engine| Place::of(driver, &record, *engine)).collect();
        let exported = try_join_all(places.iter().map(Place::put_aside)).await.map_err(in_words)?;
        places.iter().filter_map(Place::address).for_each(|address| (self.world.engines.disconnect)(&address));
        driver.clear(&record).await.map_err(in_words)?;
        let removed = self.store.ask(move |store| store.write(|| Ok((record.bury(), ()))));
        removed.await.map(|()| exported).map_err(|problem| problem.body().detail.clone())
    }
}
