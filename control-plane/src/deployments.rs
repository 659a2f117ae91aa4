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

pub use self::process::Driver;
use self::record::Record;
use self::supervisor::Supervisor;
use crate::accounts::secret;
use crate::store::{Store, StoreError};

/// What the edge of this process knows of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Who sells it.
    pub seller: AccountId,
    /// Whether it has performances.
    pub has_performances: bool,
    /// Whether one of them is not over yet.
    pub goes_on: bool,
}

/// The end of moving a show.
pub type Moving = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>;

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
    /// Moves a show without performances to it. Twice is once.
    pub move_show: Box<dyn Fn(ShowId, String) -> Moving + Send + Sync>,
}

/// See the module.
pub struct Deployments {
    store: Arc<Store>,
    clock: Arc<dyn Clock + Send + Sync>,
    driver: Arc<Driver>,
    engines: Arc<Engines>,
    supervisors: Mutex<BTreeMap<String, Supervisor>>,
}

impl Deployments {
    /// Those of a store; each is brought about from now on. Has to be called on a runtime.
    ///
    /// # Errors
    /// [`StoreError`], where the store cannot be read.
    pub fn open(
        store: Arc<Store>,
        clock: Arc<dyn Clock + Send + Sync>,
        driver: Driver,
        engines: Engines,
    ) -> Result<Self, StoreError> {
        let records = record::all(&store)?;
        let supervisors = Mutex::default();
        let this = Self { store, clock, driver: Arc::new(driver), engines: Arc::new(engines), supervisors };
        records.into_iter().for_each(|record| this.supervise(record));
        Ok(this)
    }

    fn supervisors(&self) -> MutexGuard<'_, BTreeMap<String, Supervisor>> {
        // Nothing that is done under the lock panics.
        self.supervisors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn supervise(&self, record: Record) {
        let id = record.id.clone();
        let (clock, driver, engines) = (Arc::clone(&self.clock), Arc::clone(&self.driver), Arc::clone(&self.engines));
        self.supervisors().insert(id, Supervisor::start(record, clock, driver, engines));
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
    /// `not-found`, `invalid-body`, and `show-in-use` where the show has performances.
    pub async fn create(&self, caller: &Caller, draft: DeploymentDraft) -> Result<(Deployment, bool), Problem> {
        let Text(show) = draft.show;
        let known = self.own_show(caller, show)?;
        if let Some(before) = self.supervisors().values().find(|supervisor| supervisor.record.show.0 == show) {
            return Ok((before.describe(), true));
        }
        if known.has_performances {
            return Err(Problem::new(Kind::ShowInUse));
        }
        let parameters = template::answers(&template::find(&draft.template)?, &draft.parameters)?;
        let id = secret::id()?;
        let record = Record {
            id: format!("dep_{id}"),
            show: Text(show),
            seller: Text(known.seller),
            template: draft.template,
            parameters,
            created_at: Time(self.clock.now()),
        };
        self.write(record.clone()).await?;
        // Two at once for one show: the first one counts.
        let mut supervisors = self.supervisors();
        let id = record.id.clone();
        let (clock, driver, engines) = (Arc::clone(&self.clock), Arc::clone(&self.driver), Arc::clone(&self.engines));
        let supervisor = supervisors.entry(id).or_insert_with(|| Supervisor::start(record, clock, driver, engines));
        Ok((supervisor.describe(), false))
    }

    async fn write(&self, record: Record) -> Result<(), Problem> {
        let store = Arc::clone(&self.store);
        let write = move || store.write(|| Ok::<_, StoreError>((record.put(), ())));
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(|_| Problem::new(Kind::Internal))?.map_err(|error| {
            tracing::error!(%error, "a deployment cannot be written down");
            Problem::new(Kind::OutcomeUnknown).retry_after(1)
        })
    }

    /// A show, for whoever sells it.
    fn own_show(&self, caller: &Caller, show: ShowId) -> Result<Known, Problem> {
        may_deploy(caller)?;
        let known =
            (self.engines.show)(show).filter(|known| caller.role == Role::Admin || known.seller == caller.account);
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
        let own = supervisors.get(id).filter(|supervisor| supervisor.record.is_of(caller));
        own.map(Supervisor::describe).ok_or_else(unknown)
    }

    /// Ends a show's engine, and puts its journal aside. The show is gone with it.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, and `bookings-outstanding` where a performance is not over, unless `force`d.
    pub async fn delete(&self, caller: &Caller, id: &str, force: bool) -> Result<(), Problem> {
        let deployment = self.read(caller, id)?;
        let Text(show) = deployment.show;
        if !force && (self.engines.show)(show).is_some_and(|known| known.goes_on) {
            let detail = "The show has performances that are not over. Call them off, or delete the deployment with ?force=true.";
            return Err(Problem::new(Kind::BookingsOutstanding).detail(detail));
        }
        let Some(supervisor) = self.supervisors().remove(id) else { return Err(unknown()) };
        let record = supervisor.record.clone();
        supervisor.remove(&self.driver, &self.engines).await?;
        let store = Arc::clone(&self.store);
        let write = move || store.write(|| Ok::<_, StoreError>((record.remove(), ())));
        let removed = tokio::task::spawn_blocking(write).await;
        match removed {
            Ok(Ok(())) => Ok(()),
            _ => Err(Problem::new(Kind::OutcomeUnknown).retry_after(1)),
        }
    }

    /// Stops all engines in good order: the server does.
    pub async fn stop(&self) {
        let all: Vec<_> = std::mem::take(&mut *self.supervisors()).into_values().collect();
        for supervisor in &all {
            supervisor.begin_to_stop();
        }
        for supervisor in all {
            supervisor.stopped().await;
        }
    }
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
