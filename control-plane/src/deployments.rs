//! Deployments: each gives one show an engine of its own, a process that is started, watched, started again and stopped.
//!
//! What is asked for is written down first, and then one task for each deployment brings it about, as often as it has to:
//! after each failure, and after each start of the control plane. Every step may be done twice.

mod cgroup;
mod deleting;
mod driver;
mod keeper;
mod operating;
mod pod;
mod process;
mod record;
mod spread;
mod status;
mod supervisor;
pub(crate) mod template;
mod usage;
mod watch;
mod watching;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::{Deployment, DeploymentDraft};
use onrush_api::problem::{Kind, Problem};
use onrush_api::templates::RenderOrder;
use onrush_api::text::{Text, Time};
use onrush_api::token::Caller;
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::time::Clock;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

pub use self::cgroup::Cgroups;
pub use self::driver::Driver;
use self::driver::Place;
pub use self::process::Local;
use self::record::Record;
use self::supervisor::Supervisor;
pub use self::template::{Size, size_of};
pub use self::usage::Span;
use self::watch::Watch;
use crate::accounts::secret;
use crate::callers::{check_operates, is_admin};
use crate::catalogue::Catalogue;
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

/// Adds an engine. See [`Engines::connect`].
pub type Connect = Box<dyn Fn(&str, bool) + Send + Sync>;

/// What is asked of the edge of this process, which knows the engines.
pub struct Engines {
    /// What is known of a show; nothing where there is none.
    pub show: Box<dyn Fn(ShowId) -> Option<Known> + Send + Sync>,
    /// Adds the engine at an address; whether it has nothing yet, so that nobody has to wait for it. Twice is once.
    pub connect: Connect,
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
/// What is made over one edge is known here within this; and the first pause between two looks.
const SHOW_WITHIN: Duration = Duration::from_millis(500);
const SHOW_PAUSE_MIN: Duration = Duration::from_millis(5);
/// The image of this release, for engines in a cluster.
pub const IMAGE: &str = concat!("ghcr.io/onrush/onrush:", env!("CARGO_PKG_VERSION"));
/// The namespace of edges and control plane there, unless it is told another.
pub const SYSTEM_NAMESPACE: &str = "onrush";

/// See the module.
pub struct Deployments {
    store: Arc<Store>,
    world: World,
    watch: Arc<Watch>,
    incidents: Arc<Incidents>,
    catalogue: Arc<Catalogue>,
    rates: RateCard,
    /// What changes how many engines there are is done one at a time: limits count them.
    operating: tokio::sync::Mutex<()>,
    supervisors: Mutex<Supervisors>,
    /// Whether engines are heard that run without being seen to.
    listens: AtomicBool,
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
    pub(crate) fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock + Send + Sync>,
        incidents: Arc<Incidents>,
        catalogue: Arc<Catalogue>,
        driver: Driver,
        engines: Engines,
        rates: RateCard,
    ) -> Self {
        let (driver, engines, runtime) = (Arc::new(driver), Arc::new(engines), Handle::current());
        let watch = Arc::new(Watch::new(Arc::clone(&store), Arc::clone(&clock)));
        let world = World { clock, driver, engines, runtime };
        let (operating, supervisors) = (tokio::sync::Mutex::default(), Mutex::default());
        Self {
            store,
            world,
            watch,
            incidents,
            catalogue,
            rates,
            operating,
            supervisors,
            listens: AtomicBool::new(false),
        }
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
        for record in records.iter().filter(|record| !record.going) {
            for engine in record.running() {
                let place = Place::of(&self.world.driver, record, engine);
                if let Some(address) = place.address().filter(|_| place.outlives_us()) {
                    (self.world.engines.connect)(&address, record.vacant.contains(&engine));
                }
            }
        }
        self.listens.store(true, Ordering::Release);
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

    /// Whether of every engine that has something it is known where it is.
    pub fn names_all_engines(&self) -> bool {
        let supervisors = self.supervisors();
        let is_named = |supervisor: &Supervisor| {
            let (record, named) = (supervisor.record(), supervisor.named());
            record.running().all(|engine| record.vacant.contains(&engine) || named.contains(&engine))
        };
        match supervisors.state {
            State::Working => supervisors.by_id.values().all(is_named),
            // Of pods all were named when this began to listen; of processes none may be there yet.
            State::Resting => self.listens.load(Ordering::Acquire),
            State::Closed => false,
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

    /// The objects that a deployment would be on Kubernetes, as one list. Nothing is applied.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`.
    pub async fn render(&self, caller: &Caller, id: &str, order: &RenderOrder) -> Result<Value, Problem> {
        check_operates(caller)?;
        let (template, parts) = self.catalogue.plan(caller, id).await?;
        let answers = template::answers(&template, &order.parameters)?;
        let replicas = order.replicas.unwrap_or(1);
        check_replicas(replicas)?;
        let show = order.show.0.to_string();
        let (image, system_namespace, monitoring_namespace, is_encrypted) = match &*self.world.driver {
            Driver::Cluster(cluster) => {
                let told = &cluster.told;
                (
                    told.image.clone(),
                    told.system_namespace.clone(),
                    told.monitoring_namespace.clone(),
                    told.is_encrypted(),
                )
            }
            Driver::Local(_) => (IMAGE.to_owned(), SYSTEM_NAMESPACE.to_owned(), None, false),
        };
        let wanted = Wanted {
            // A name that a namespace may have, as the deployment's will be.
            name: name_of(&show),
            show,
            template: id.to_owned(),
            replicas,
            image: parts.engine.as_ref().map_or(image, |image| image.reference.clone()),
            system_namespace,
            monitoring_namespace,
            size: size_of(&answers),
            room: size_of(&answers),
            is_encrypted,
            parts,
            answers,
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
        let Text(show) = draft.show;
        // Before anybody else has to wait for that.
        self.know_soon(show).await;
        let _alone = self.operating.lock().await;
        let (template, parts) = self.catalogue.plan(caller, &draft.template).await?;
        let parameters = template::answers(&template, &draft.parameters)?;
        // A show that moves just now is at no engine, so what is written down is asked first.
        let before = self.store.ask(move |store| Record::of(store, show)).await?;
        if let Some(before) = before.filter(|before| before.is_of(caller)) {
            return same(self.supervise(before)?, &draft.template, &parameters);
        }
        let known = self.own_show(caller, show)?;
        self.world.driver.check(&parts)?;
        self.check_room(known.seller, 1)?;
        let (id, made_at) = (format!("dep_{}", secret::id()?), Time(self.world.clock.now()));
        let record = Record::new(id, show, known.seller, draft.template.clone(), parameters.clone(), parts, made_at);
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

    fn own_record(&self, caller: &Caller, id: &str) -> Result<Record, Problem> {
        check_operates(caller)?;
        let supervisors = self.working()?;
        let own = supervisors.by_id.get(id).map(Supervisor::record).filter(|record| record.is_of(caller));
        own.ok_or_else(unknown)
    }

    /// Waits a little for a show that may have been made over another edge a moment ago.
    async fn know_soon(&self, show: ShowId) {
        let (mut pause, give_up) = (SHOW_PAUSE_MIN, Instant::now() + SHOW_WITHIN);
        while (self.world.engines.show)(show).is_none() && Instant::now() < give_up {
            sleep(pause).await;
            pause *= 2;
        }
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

/// The deployments that run an image.
///
/// # Errors
/// [`StoreError`], where the store cannot be read.
pub(crate) fn running(store: &Store, image: &str) -> Result<Vec<String>, StoreError> {
    let runs = |record: &Record| record.parts.have(image);
    Ok(record::all(store)?.into_iter().filter(runs).map(|record| record.id).collect())
}

fn check_replicas(replicas: u32) -> Result<(), Problem> {
    let fits = (1..=REPLICAS_MAX).contains(&replicas);
    fits.then_some(()).ok_or_else(|| Problem::field("/replicas", format!("is not 1 to {REPLICAS_MAX}")))
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
