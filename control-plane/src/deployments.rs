//! Deployments: each gives one show an engine of its own, a process that is started, watched, started again and stopped.
//!
//! What is asked for is written down first, and then one task for each deployment brings it about, as often as it has to:
//! after each failure, and after each start of the control plane. Every step may be done twice.

mod driver;
mod keeper;
mod pod;
mod process;
mod record;
mod spread;
mod status;
mod supervisor;
mod template;
mod usage;
mod watch;
mod watching;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onrush_api::deployments::{
    Deployment, DeploymentDraft, OperationKind, RelocateOrder, RenderOrder, ScaleOrder, Template,
};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_api::token::Caller;
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::time::Clock;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch as watch_channel;

pub use self::driver::Driver;
use self::driver::Place;
pub use self::process::Local;
use self::record::{Begun, Record};
use self::supervisor::{Gone, Supervisor};
pub use self::template::{Size, size_of};
pub use self::usage::Span;
use self::watch::Watch;
use crate::accounts::secret;
use crate::callers::{check_operates, is_admin};
pub use crate::costs::RateCard;
use crate::incidents::Incidents;
use crate::kubernetes::manifests::{Wanted, name_of};
use crate::store::{Change, Store, StoreError};

/// What the edge of this process knows of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Who sells it.
    pub seller: AccountId,
}

/// What a show has not done with yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outstanding {
    /// Nothing.
    Nothing,
    /// A performance is not over, and nobody has paid for it.
    Performances,
    /// Money was paid for a performance that is not over, or is under way.
    Money,
}

/// A performance, and the address of an engine, if there is one.
pub type Located = (PerformanceId, Option<String>);

/// What takes a while.
pub type Asked<T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send>>;

/// What is asked of the edge of this process, which knows the engines.
pub struct Engines {
    /// What is known of a show; nothing where there is none.
    pub show: Box<dyn Fn(ShowId) -> Option<Known> + Send + Sync>,
    /// Adds the engine at an address. Twice is once.
    pub connect: Box<dyn Fn(&str) + Send + Sync>,
    /// Forgets it.
    pub disconnect: Box<dyn Fn(&str) + Send + Sync>,
    /// Whether it has told all that it has.
    pub is_connected: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Gives a show from the engine at one address, or from that of this process, to the one at another. Twice is once.
    pub move_show: Box<dyn Fn(ShowId, Option<String>, String) -> Asked<()> + Send + Sync>,
    /// A show's performances, each with the address of its engine, nothing for that of this process; nothing at all where it
    /// is not known of one of them.
    pub performances: Box<dyn Fn(ShowId) -> Option<Vec<Located>> + Send + Sync>,
    /// Performances that were given away and did not arrive yet, each with the address of the engine that it goes to, nothing
    /// where that is not heard.
    pub unfinished: Box<dyn Fn() -> Vec<Located> + Send + Sync>,
    /// Bytes that went to and from the engine at an address since it was added.
    pub traffic: Box<dyn Fn(&str) -> u64 + Send + Sync>,
    /// Hands a performance over to the engine at an address. Twice is once.
    pub hand_over: Box<dyn Fn(PerformanceId, String) -> Asked<()> + Send + Sync>,
    /// What is left to be done for a show. An error where its engine does not say.
    pub outstanding: Box<dyn Fn(ShowId) -> Asked<Outstanding> + Send + Sync>,
}

/// Engines of one seller, and of all: each is a process.
const PER_SELLER_MAX: usize = 20;
const ALL_MAX: usize = 500;
/// Engines of one deployment.
const REPLICAS_MAX: u32 = 8;
/// The image of this release, for engines in a cluster.
pub const IMAGE: &str = concat!("ghcr.io/onrush/onrush:", env!("CARGO_PKG_VERSION"));
/// The namespace of edges and control plane there, unless it is told another.
pub const SYSTEM_NAMESPACE: &str = "onrush";
/// The part of a deployment that can be scaled and moved.
const COMPONENT: &str = "engine";

/// See the module.
pub struct Deployments {
    store: Arc<Store>,
    world: World,
    watch: Arc<Watch>,
    incidents: Arc<Incidents>,
    rates: RateCard,
    /// What changes how many engines there are is done one at a time: limits count them.
    operating: tokio::sync::Mutex<()>,
    supervisors: Mutex<Supervisors>,
}

/// What every supervisor works with.
#[derive(Clone)]
struct World {
    clock: Arc<dyn Clock + Send + Sync>,
    driver: Arc<Driver>,
    engines: Arc<Engines>,
    /// Where supervisors run, whichever thread asks for one: not beside the seats of an engine.
    runtime: Handle,
}

#[derive(Default)]
struct Supervisors {
    by_id: BTreeMap<String, Supervisor>,
    /// What was to go at the last start, and may have gone by now.
    going: BTreeMap<String, Supervisor>,
    state: State,
}

/// Whether this control plane sees to deployments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Not yet, or not for now: another one does.
    #[default]
    Resting,
    Working,
    /// Nothing more is started: the server stops.
    Closed,
}

impl Deployments {
    /// Those of a store; none is brought about before [`Self::start`]. Has to be called on a runtime.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock + Send + Sync>,
        incidents: Arc<Incidents>,
        driver: Driver,
        engines: Engines,
        rates: RateCard,
    ) -> Self {
        let (driver, engines, runtime) = (Arc::new(driver), Arc::new(engines), Handle::current());
        let watch = Arc::new(Watch::new(Arc::clone(&store), Arc::clone(&clock)));
        let world = World { clock, driver, engines, runtime };
        let (operating, supervisors) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { store, world, watch, incidents, rates, operating, supervisors }
    }

    /// Brings about what the store has, from now on.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn start(&self) -> Result<(), StoreError> {
        let records = record::all(&self.store)?;
        records.iter().try_for_each(|record| self.watch.recover(&record.id))?;
        let mut supervisors = self.supervisors();
        supervisors.state = State::Working;
        for record in records {
            let (id, going) = (record.id.clone(), record.going);
            let supervisor = Supervisor::start(record, &self.world, &self.store);
            // What was begun is brought to its end, and is not told any more.
            let known = if going { &mut supervisors.going } else { &mut supervisors.by_id };
            known.insert(id, supervisor);
        }
        Ok(())
    }

    /// Has engines heard that run whether anybody sees to them or not: a sale does not wait for that.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn listen(&self) -> Result<(), StoreError> {
        let records = record::all(&self.store)?;
        let places = records
            .iter()
            .filter(|record| !record.going)
            .flat_map(|record| record.engines.iter().map(|engine| Place::of(&self.world.driver, record, *engine)));
        places.filter(Place::outlives_us).filter_map(|place| place.address()).for_each(|address| {
            (self.world.engines.connect)(&address);
        });
        Ok(())
    }

    /// Sees to deployments no more, until it is started again: another control plane may. Engines that are pods go on, and are heard.
    pub async fn rest(&self) {
        self.end(State::Resting).await;
    }

    async fn end(&self, state: State) {
        let all = {
            let mut supervisors = self.supervisors();
            supervisors.state = state;
            let going = std::mem::take(&mut supervisors.going);
            std::mem::take(&mut supervisors.by_id).into_values().chain(going.into_values()).collect::<Vec<_>>()
        };
        all.iter().for_each(Supervisor::begin_to_stop);
        for supervisor in all {
            supervisor.stopped().await;
        }
    }

    /// The deployments that are seen to.
    ///
    /// # Errors
    /// `temporary-reduced-capacity`, where none is seen to from here: what is not known then may be there.
    fn working(&self) -> Result<MutexGuard<'_, Supervisors>, Problem> {
        let supervisors = self.supervisors();
        if supervisors.state == State::Working {
            return Ok(supervisors);
        }
        let detail = "Deployments are not seen to from here just now. Sales go on; ask again in a moment.";
        Err(Problem::new(Kind::Overloaded).detail(detail).retry_after(2))
    }

    /// Whether a deployment was there, and was deleted.
    pub(crate) async fn was_deleted(&self, id: &str) -> Result<bool, Problem> {
        let id = id.to_owned();
        self.store.ask(move |store| record::is_buried(store, &id)).await
    }

    fn supervisors(&self) -> MutexGuard<'_, Supervisors> {
        // Nothing that is done under the lock panics.
        self.supervisors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The templates that there are.
    pub fn templates(&self) -> Vec<Template> {
        template::all()
    }

    /// A template.
    ///
    /// # Errors
    /// `not-found`.
    pub fn template(&self, id: &str) -> Result<Template, Problem> {
        template::find(id)
    }

    /// The objects that a deployment would be on Kubernetes, as one list. Nothing is applied.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`.
    pub fn render(&self, caller: &Caller, id: &str, order: &RenderOrder) -> Result<Value, Problem> {
        check_operates(caller)?;
        let answers = template::answers(&template::find(id)?, &order.parameters)?;
        let replicas = order.replicas.unwrap_or(1);
        check_replicas(replicas)?;
        let show = order.show.0.to_string();
        let (image, system_namespace) = match &*self.world.driver {
            Driver::Cluster(cluster) => (cluster.told.image.clone(), cluster.told.system_namespace.clone()),
            Driver::Local(_) => (IMAGE.to_owned(), SYSTEM_NAMESPACE.to_owned()),
        };
        let wanted = Wanted {
            // A name that a namespace may have, as the deployment's will be.
            name: name_of(&show),
            show,
            template: id.to_owned(),
            replicas,
            image,
            system_namespace,
            monitoring_namespace: None,
            size: size_of(&answers),
        };
        Ok(wanted.list())
    }

    /// Gives a show an engine of its own. The same again is the same deployment; says whether it was one before.
    ///
    /// # Errors
    /// `not-found`, `invalid-body`, `limit-exceeded`, and `show-in-use` where the show has an engine that was made from other
    /// answers.
    pub async fn create(&self, caller: &Caller, draft: DeploymentDraft) -> Result<(Deployment, bool), Problem> {
        check_operates(caller)?;
        drop(self.working()?);
        let _alone = self.operating.lock().await;
        let Text(show) = draft.show;
        let parameters = template::answers(&template::find(&draft.template)?, &draft.parameters)?;
        // A show that moves just now is at no engine, so what is written down is asked first.
        let before = self.store.ask(move |store| Record::of(store, show)).await?;
        if let Some(before) = before.filter(|before| before.is_of(caller)) {
            return same(self.supervise(before)?, &draft.template, &parameters);
        }
        let known = self.own_show(caller, show)?;
        self.check_room(known.seller, 1)?;
        let (id, made_at) = (format!("dep_{}", secret::id()?), Time(self.world.clock.now()));
        let record = Record::new(id, show, known.seller, draft.template.clone(), parameters.clone(), made_at);
        // Of two at once for one show the first counts: the store takes one change at a time.
        let (record, again) = self
            .store
            .ask(move |store| {
                store.write(|| match Record::of(store, show)? {
                    Some(before) => Ok((Change::default(), (before, true))),
                    None => Ok((record.put(), (record.clone(), false))),
                })
            })
            .await?;
        let described = self.supervise(record)?;
        if again { same(described, &draft.template, &parameters) } else { Ok((described, false)) }
    }

    /// Sees to a deployment that is written down, if nobody does.
    fn supervise(&self, record: Record) -> Result<Deployment, Problem> {
        // What a server that stops has written down, the next one brings about; and what goes has to be gone first.
        let mut supervisors = self.working().map_err(|_| Problem::new(Kind::OutcomeUnknown).retry_after(1))?;
        if record.going {
            return Err(Problem::new(Kind::OutcomeUnknown).retry_after(1));
        }
        self.watch.begin(&record.id);
        let entry = supervisors.by_id.entry(record.id.clone());
        Ok(entry.or_insert_with(|| Supervisor::start(record, &self.world, &self.store)).describe())
    }

    /// Whether so many engines more may be there for a seller.
    fn check_room(&self, seller: AccountId, more: usize) -> Result<(), Problem> {
        let supervisors = self.supervisors();
        let records: Vec<_> = supervisors.by_id.values().map(Supervisor::record).collect();
        let own =
            records.iter().filter(|record| record.seller.0 == seller).map(|record| record.engines.len()).sum::<usize>();
        let all = records.iter().map(|record| record.engines.len()).sum::<usize>();
        let refused = |limit: usize, whose: &str| {
            let detail =
                format!("{whose} may have {limit} engines at a time. Delete a deployment, or make one smaller.");
            Problem::new(Kind::LimitExceeded).detail(detail).limit(limit as u64)
        };
        if own + more > PER_SELLER_MAX {
            return Err(refused(PER_SELLER_MAX, "One seller"));
        }
        if all + more > ALL_MAX { Err(refused(ALL_MAX, "All sellers together")) } else { Ok(()) }
    }

    /// Changes how many engines a show has; its performances spread over them, one by one, with all that is held and sold.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn scale(&self, caller: &Caller, id: &str, order: ScaleOrder) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        check_component(&order.component)?;
        check_replicas(order.replicas)?;
        let replicas = order.replicas as usize;
        self.check_room(before.seller.0, replicas.saturating_sub(before.staying().len()))?;
        self.operate(id, before, OperationKind::Scale, move |record| record.scale(replicas)).await
    }

    /// Moves a show to new engines on a node, one performance after the other, with all that is held and sold. The new ones are
    /// started by the program that there is now.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn relocate(&self, caller: &Caller, id: &str, order: RelocateOrder) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        check_component(&order.component)?;
        let nodes = self.world.driver.nodes(0).await.map_err(|error| {
            tracing::error!(%error, "nobody says which nodes there are");
            Problem::new(Kind::Overloaded).retry_after(5)
        })?;
        if nodes.iter().all(|node| node.name != order.node) {
            let names: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.name)).collect();
            return Err(Problem::field("/node", format!("is no node; there is {}", names.join(", "))));
        }
        self.check_room(before.seller.0, before.staying().len())?;
        self.operate(id, before, OperationKind::Relocate, move |record| record.relocate(&order.node)).await
    }

    /// Changes what a deployment is made from; new engines take over from the old ones, without losing a hold. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn change(&self, caller: &Caller, id: &str, draft: DeploymentDraft) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        if draft.show != before.show {
            return Err(Problem::field("/show", "is another than the deployment's, and it has no other"));
        }
        let parameters = template::answers(&template::find(&draft.template)?, &draft.parameters)?;
        if (&draft.template, &parameters) == (&before.template, &before.parameters) {
            return self.read(caller, id);
        }
        self.check_room(before.seller.0, before.staying().len())?;
        let change = move |record: &mut Record| {
            (record.template, record.parameters) = (draft.template, parameters);
            record.replace();
        };
        self.operate(id, before, OperationKind::Change, change).await
    }

    fn own_record(&self, caller: &Caller, id: &str) -> Result<Record, Problem> {
        check_operates(caller)?;
        let supervisors = self.working()?;
        let own = supervisors.by_id.get(id).map(Supervisor::record).filter(|record| record.is_of(caller));
        own.ok_or_else(unknown)
    }

    /// Writes down what is asked for, and has it brought about.
    async fn operate(
        &self,
        id: &str,
        before: Record,
        kind: OperationKind,
        change: impl FnOnce(&mut Record) + Send + 'static,
    ) -> Result<Deployment, Problem> {
        if before.going {
            return Err(unknown());
        }
        let at = Time(self.world.clock.now());
        let changed = change_record(&self.store, before.show.0, move |record| {
            change(record);
            record.operation = Some(Begun { kind, at });
        });
        let changed = changed.await?;
        let supervisors = self.supervisors();
        let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
        supervisor.change(changed);
        Ok(supervisor.describe())
    }

    /// A show, for whoever sells it.
    fn own_show(&self, caller: &Caller, show: ShowId) -> Result<Known, Problem> {
        let known = (self.world.engines.show)(show).filter(|known| is_admin(caller) || known.seller == caller.account);
        known.ok_or_else(|| Problem::new(Kind::NotFound).detail("You have no such show."))
    }

    /// All deployments of the caller's, in the order in which they were made; an admin's are all.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn list(&self, caller: &Caller) -> Result<Vec<Deployment>, Problem> {
        check_operates(caller)?;
        let supervisors = self.working()?;
        let mut own: Vec<_> = supervisors
            .by_id
            .values()
            .filter(|supervisor| supervisor.record().is_of(caller))
            .map(Supervisor::describe)
            .collect();
        own.sort_by_key(|deployment| deployment.created_at.0);
        Ok(own)
    }

    /// A deployment of the caller's.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub fn read(&self, caller: &Caller, id: &str) -> Result<Deployment, Problem> {
        check_operates(caller)?;
        let supervisors = self.working()?;
        let own = supervisors.by_id.get(id).filter(|supervisor| supervisor.record().is_of(caller));
        own.map(Supervisor::describe).ok_or_else(unknown)
    }

    /// Ends a show's engine, and puts its journal aside. The show is gone with it.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `temporary-reduced-capacity` where the engine is not heard, so that nobody knows what it
    /// has, and `bookings-outstanding` where money is, and where a performance is not over, unless `force`d.
    pub async fn delete(&self, caller: &Caller, id: &str, force: bool) -> Result<(), Problem> {
        check_operates(caller)?;
        let gone = match self.goes(caller, id)? {
            Some(gone) => gone,
            None => self.let_go(caller, id, force).await?,
        };
        self.gone(id, gone).await
    }

    /// Whether a deployment of the caller's that is to go has gone, and every change of that; nothing where it is not to go.
    fn goes(&self, caller: &Caller, id: &str) -> Result<Option<watch_channel::Receiver<Gone>>, Problem> {
        let supervisors = self.working()?;
        let known = supervisors.going.get(id).or_else(|| supervisors.by_id.get(id));
        let goes = known.filter(|supervisor| supervisor.record().going && supervisor.record().is_of(caller));
        Ok(goes.map(Supervisor::gone))
    }

    /// Writes down that a deployment is to go, if it may.
    async fn let_go(&self, caller: &Caller, id: &str, force: bool) -> Result<watch_channel::Receiver<Gone>, Problem> {
        let _alone = self.operating.lock().await;
        let record = self.own_record(caller, id)?;
        match (self.world.engines.outstanding)(record.show.0).await? {
            Outstanding::Money => {
                let detail = "Money was paid for performances that are not over, or is under way. Call the \
                    performances off, and delete the deployment once everything has gone back.";
                return Err(Problem::new(Kind::BookingsOutstanding).detail(detail));
            }
            Outstanding::Performances if !force => {
                let detail = "The show has performances that are not over. Call them off, or add ?force=true.";
                return Err(Problem::new(Kind::BookingsOutstanding).detail(detail));
            }
            Outstanding::Performances | Outstanding::Nothing => {}
        }
        let moves = || {
            let detail = "The show or its performances are on their way to its engine. Try again in a moment.";
            Problem::new(Kind::Overloaded).detail(detail).retry_after(1)
        };
        let all = (self.world.engines.performances)(record.show.0).ok_or_else(moves)?;
        let is_apart = record.home.is_some() && all.iter().any(|(_, address)| address.is_none());
        if is_apart || record.moving.is_some() {
            return Err(moves());
        }
        // Unless something has moved since it was looked at.
        let changed =
            change_record(&self.store, record.show.0, move |now| now.going |= now.revision == record.revision);
        let changed = changed.await?;
        if !changed.going {
            return Err(moves());
        }
        let supervisors = self.working()?;
        let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
        supervisor.change(changed);
        supervisor.begin_to_go();
        Ok(supervisor.gone())
    }

    /// Returns once a deployment has gone. An engine may take its time to stop; it goes, whether somebody waits for that or not.
    async fn gone(&self, id: &str, mut gone: watch_channel::Receiver<Gone>) -> Result<(), Problem> {
        let how = *gone.wait_for(|gone| *gone != Gone::No).await.map_err(|_| Problem::new(Kind::OutcomeUnknown))?;
        if how == Gone::Failed {
            let detail = "It is written down that it goes, and something keeps it: that is tried again and again.";
            return Err(Problem::new(Kind::OutcomeUnknown).detail(detail).retry_after(5));
        }
        {
            let mut supervisors = self.supervisors();
            supervisors.by_id.remove(id);
            supervisors.going.remove(id);
        }
        let (watch, id) = (Arc::clone(&self.watch), id.to_owned());
        // It is only room that is left where this breaks off.
        tokio::task::spawn_blocking(move || watch.forget(&id)).await.ok();
        Ok(())
    }

    /// Stops engines that are processes in good order, and starts no more: the server stops.
    pub async fn stop(&self) {
        self.end(State::Closed).await;
    }
}

/// Changes what is written down of a show's deployment; as it is then.
async fn change_record(
    store: &Arc<Store>,
    show: ShowId,
    change: impl FnOnce(&mut Record) + Send + 'static,
) -> Result<Record, Problem> {
    let changed = store.ask(move |store| {
        store.write(|| {
            let Some(mut record) = Record::of(store, show)? else { return Ok((Change::default(), None)) };
            change(&mut record);
            record.revision += 1;
            Ok((record.put(), Some(record)))
        })
    });
    changed.await?.ok_or_else(unknown)
}

fn check_replicas(replicas: u32) -> Result<(), Problem> {
    let fits = (1..=REPLICAS_MAX).contains(&replicas);
    fits.then_some(()).ok_or_else(|| Problem::field("/replicas", format!("is not 1 to {REPLICAS_MAX}")))
}

fn check_component(component: &str) -> Result<(), Problem> {
    let known = component == COMPONENT;
    known.then_some(()).ok_or_else(|| Problem::field("/component", format!("is no component; there is '{COMPONENT}'")))
}

/// The deployment that there is, if it was made from the same answers.
fn same(before: Deployment, template: &str, parameters: &BTreeMap<String, u64>) -> Result<(Deployment, bool), Problem> {
    if before.template == template && before.parameters == *parameters {
        return Ok((before, true));
    }
    let detail = format!("The show has an engine already, {}, made from other answers.", before.id);
    Err(Problem::new(Kind::ShowInUse).detail(detail))
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound).detail("You have no such deployment.")
}
