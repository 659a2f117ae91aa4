//! Deployments: each gives one show an engine of its own, a process that is started, watched, started again and stopped.
//!
//! What is asked for is written down first, and then one task for each deployment brings it about, as often as it has to:
//! after each failure, and after each start of the control plane. Every step may be done twice.

mod process;
mod record;
mod supervisor;
mod template;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onrush_api::deployments::{Deployment, DeploymentDraft, Template};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};
use onrush_engine::id::{AccountId, ShowId};
use onrush_engine::time::Clock;
use tokio::runtime::Handle;

pub use self::process::Driver;
use self::record::Record;
use self::supervisor::{Gone, Supervisor};
use crate::accounts::secret;
use crate::store::{Change, Store, StoreError};

/// What the edge of this process knows of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Who sells it.
    pub seller: AccountId,
    /// Whether it has performances.
    pub has_performances: bool,
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
    /// Takes a show without performances out of the engine of this process. Twice is once.
    pub give_away: Box<dyn Fn(ShowId) -> Asked<()> + Send + Sync>,
    /// Gives it to the one at an address. Twice is once.
    pub move_show: Box<dyn Fn(ShowId, String) -> Asked<()> + Send + Sync>,
    /// What is left to be done for a show. An error where its engine does not say.
    pub outstanding: Box<dyn Fn(ShowId) -> Asked<Outstanding> + Send + Sync>,
}

/// Deployments of one seller, and of all: each is a process.
const PER_SELLER_MAX: usize = 20;
const ALL_MAX: usize = 500;

/// See the module.
pub struct Deployments {
    store: Arc<Store>,
    world: World,
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
    /// Nothing more is started: the server stops.
    closed: bool,
}

impl Deployments {
    /// Those of a store; none is brought about before [`Self::start`]. Has to be called on a runtime.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock + Send + Sync>, driver: Driver, engines: Engines) -> Self {
        let (driver, engines, runtime) = (Arc::new(driver), Arc::new(engines), Handle::current());
        Self { store, world: World { clock, driver, engines, runtime }, supervisors: Mutex::default() }
    }

    /// Brings about what the store has, from now on.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn start(&self) -> Result<(), StoreError> {
        for record in record::all(&self.store)? {
            let (id, going) = (record.id.clone(), record.going);
            let supervisor = Supervisor::start(record, &self.world, &self.store);
            if going {
                // What was begun is brought to its end, and is nobody's any more.
                supervisor.begin_to_go();
            } else {
                self.supervisors().by_id.insert(id, supervisor);
            }
        }
        Ok(())
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

    /// Gives a show an engine of its own. The same again is the same deployment; says whether it was one before.
    ///
    /// # Errors
    /// `not-found`, `invalid-body`, `limit-exceeded`, and `show-in-use` where the show has performances, or an engine that
    /// was made from other answers.
    pub async fn create(&self, caller: &Caller, draft: DeploymentDraft) -> Result<(Deployment, bool), Problem> {
        may_deploy(caller)?;
        let Text(show) = draft.show;
        let parameters = template::answers(&template::find(&draft.template)?, &draft.parameters)?;
        // A show that moves just now is at no engine, so what is written down is asked first.
        let before = self.with_store(move |store| Record::of(store, show)).await?;
        if let Some(before) = before.filter(|before| before.is_of(caller)) {
            return same(self.supervise(before)?, &draft.template, &parameters);
        }
        let known = self.own_show(caller, show)?;
        if known.has_performances {
            return Err(Problem::new(Kind::ShowInUse));
        }
        self.check_room(known.seller)?;
        let record = Record {
            id: format!("dep_{}", secret::id()?),
            show: Text(show),
            seller: Text(known.seller),
            template: draft.template.clone(),
            parameters: parameters.clone(),
            created_at: Time(self.world.clock.now()),
            going: false,
        };
        // Of two at once for one show the first counts: the store takes one change at a time.
        let (record, again) = self
            .with_store(move |store| {
                store.write(|| match Record::of(store, show)? {
                    Some(before) => Ok((Change::default(), (before, true))),
                    None => Ok((record.put(), (record.clone(), false))),
                })
            })
            .await?;
        // From now on nobody adds a performance to it here.
        if let Err(problem) = (self.world.engines.give_away)(show).await {
            if problem.kind == Kind::ShowInUse {
                self.with_store(move |store| store.write(|| Ok((record.remove(), ())))).await?;
            }
            return Err(problem);
        }
        let described = self.supervise(record)?;
        if again { same(described, &draft.template, &parameters) } else { Ok((described, false)) }
    }

    /// Sees to a deployment that is written down, if nobody does.
    fn supervise(&self, record: Record) -> Result<Deployment, Problem> {
        let mut supervisors = self.supervisors();
        // What goes has to be gone first; and what a server that stops has written down, the next one brings about.
        if supervisors.closed || record.going {
            return Err(Problem::new(Kind::OutcomeUnknown).retry_after(1));
        }
        let entry = supervisors.by_id.entry(record.id.clone());
        Ok(entry.or_insert_with(|| Supervisor::start(record, &self.world, &self.store)).describe())
    }

    fn check_room(&self, seller: AccountId) -> Result<(), Problem> {
        let supervisors = self.supervisors();
        let own = supervisors.by_id.values().filter(|supervisor| supervisor.record.seller.0 == seller).count();
        let refused = |limit: usize, whose: &str| {
            let detail = format!("{whose} may have {limit} deployments at a time. Delete one first.");
            Problem::new(Kind::LimitExceeded).detail(detail).limit(limit as u64)
        };
        match (own, supervisors.by_id.len()) {
            (PER_SELLER_MAX.., _) => Err(refused(PER_SELLER_MAX, "One seller")),
            (_, ALL_MAX..) => Err(refused(ALL_MAX, "All sellers together")),
            _ => Ok(()),
        }
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(&self.store);
        let worked = tokio::task::spawn_blocking(move || work(&store)).await;
        worked.map_err(|_| Problem::new(Kind::Internal))?.map_err(|error| {
            tracing::error!(%error, "the store of deployments");
            Problem::new(Kind::OutcomeUnknown).retry_after(1)
        })
    }

    /// A show, for whoever sells it.
    fn own_show(&self, caller: &Caller, show: ShowId) -> Result<Known, Problem> {
        let known =
            (self.world.engines.show)(show).filter(|known| record::is_admin(caller) || known.seller == caller.account);
        known.ok_or_else(|| Problem::new(Kind::NotFound).detail("You have no such show."))
    }

    /// All deployments of the caller's, in the order in which they were made; an admin's are all.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn list(&self, caller: &Caller) -> Result<Vec<Deployment>, Problem> {
        may_deploy(caller)?;
        let supervisors = self.supervisors();
        let mut own: Vec<_> = supervisors
            .by_id
            .values()
            .filter(|supervisor| supervisor.record.is_of(caller))
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
        may_deploy(caller)?;
        let supervisors = self.supervisors();
        let own = supervisors.by_id.get(id).filter(|supervisor| supervisor.record.is_of(caller));
        own.map(Supervisor::describe).ok_or_else(unknown)
    }

    /// Ends a show's engine, and puts its journal aside. The show is gone with it.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `temporary-reduced-capacity` where the engine is not heard, so that nobody knows what it
    /// has, and `bookings-outstanding` where money is, and where a performance is not over, unless `force`d.
    pub async fn delete(&self, caller: &Caller, id: &str, force: bool) -> Result<(), Problem> {
        self.read(caller, id)?;
        let (mut record, has_show) = {
            let supervisors = self.supervisors();
            let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
            (supervisor.record.clone(), supervisor.has_show())
        };
        if has_show {
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
        }
        record.going = true;
        self.with_store(move |store| store.write(|| Ok((record.put(), ())))).await?;
        let mut gone = {
            let supervisors = self.supervisors();
            let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
            supervisor.begin_to_go();
            supervisor.gone()
        };
        // An engine may take its time to stop; it goes, whether somebody waits for that or not.
        let how = *gone.wait_for(|gone| *gone != Gone::No).await.map_err(|_| Problem::new(Kind::Internal))?;
        if how == Gone::Failed {
            return Err(Problem::new(Kind::OutcomeUnknown).retry_after(5));
        }
        self.supervisors().by_id.remove(id);
        Ok(())
    }

    /// Stops all engines in good order, and starts no more: the server stops.
    pub async fn stop(&self) {
        let all = {
            let mut supervisors = self.supervisors();
            supervisors.closed = true;
            std::mem::take(&mut supervisors.by_id)
        };
        all.values().for_each(Supervisor::begin_to_stop);
        for supervisor in all.into_values() {
            supervisor.stopped().await;
        }
    }
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

fn may_deploy(caller: &Caller) -> Result<(), Problem> {
    match caller.role {
        Role::Seller | Role::Admin => Ok(()),
        Role::Buyer | Role::Guest => Err(Problem::new(Kind::Forbidden)),
    }
}
