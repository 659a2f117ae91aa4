//! The control plane in the process of a server: what it is asked by the edge, and what it asks the edge.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use onrush_api::accounts::Secret;
use onrush_api::key_file::FollowedKeyFile;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_api::token::TokenKeys;
use onrush_control_plane::ControlPlane;
use onrush_control_plane::accounts::Obligations;
use onrush_control_plane::accounts::guests::BookedUntil;
use onrush_control_plane::deployments::Deployments;
use onrush_control_plane::kubernetes::cluster::Cluster;
use onrush_edge::context::Context;
use onrush_edge::control_plane;
use onrush_engine::client::Client;
use onrush_engine::time::SystemClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::deployments;
use crate::plane::serving::Edges;
use crate::settings::Settings;

/// See the module.
pub(crate) struct People {
    /// Nothing where its store cannot be opened.
    plane: Option<Arc<ControlPlane>>,
    /// Where shows' engines are pods.
    cluster: Option<Arc<Cluster>>,
    pub(crate) revocations: Arc<Revocations>,
    /// The edges in other processes.
    pub(crate) edges: Arc<Edges>,
    edge: Arc<OnceLock<Weak<Context>>>,
}

/// What sees to deployments, and waits for its turn where there are several that could.
pub(crate) struct Seeing {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl People {
    /// Opens the control plane of a data directory, and makes its first admin if the settings name one. Where its store
    /// cannot be opened nobody signs in or up, and the sale goes on. `own_engine` is where the engine of this process is, if it is
    /// asked over the wire.
    ///
    /// # Errors
    /// Where the first admin cannot be made as the settings say.
    pub(crate) async fn open(
        settings: &Settings,
        keys: &Arc<TokenKeys>,
        client: &Client,
        own_engine: Option<String>,
    ) -> anyhow::Result<Self> {
        let (edge, revocations) = (Arc::new(OnceLock::new()), Arc::new(Revocations::default()));
        let config = settings.control_plane.clone();
        let (shared_keys, shared_revocations) = (Arc::clone(keys), Arc::clone(&revocations));
        let obligations = obligations(Arc::clone(&edge));
        let clock = Arc::new(SystemClock::start());
        let booked_until = booked_until(Arc::clone(&edge));
        let plane = ControlPlane::open(config, shared_keys, shared_revocations, clock, obligations, booked_until);
        let (plane, cluster) = match plane {
            Ok(plane) => {
                let (plane, cluster) = deployments::add(plane, settings, client, own_engine).await;
                (Some(Arc::new(plane)), cluster)
            }
            Err(error) => {
                tracing::error!(%error, "there are no accounts until this is mended; the sale goes on");
                (None, None)
            }
        };
        let people = Self { plane, cluster, revocations, edges: Arc::default(), edge };
        people.ensure_admin(settings).await?;
        Ok(people)
    }

    async fn ensure_admin(&self, settings: &Settings) -> anyhow::Result<()> {
        let (Some((email, file)), Some(plane)) = (&settings.admin, &self.plane) else { return Ok(()) };
        let why = |problem: Problem| {
            let body = problem.body();
            let wrong_field = body.errors.iter().flatten().next().map(|error| &error.detail);
            anyhow!(
                "cannot make the first admin {email} with the password in {}: {}",
                file.display(),
                wrong_field.unwrap_or(&body.detail)
            )
        };
        if plane.accounts.has_first_admin().await.map_err(why)? {
            return Ok(());
        }
        let password =
            std::fs::read_to_string(file).with_context(|| format!("admin_password_file {}", file.display()))?;
        let password = Secret(password.trim_end().to_owned());
        plane.accounts.make_first_admin(email, &password).await.map_err(why)?;
        tracing::info!(email, "the first admin was made");
        Ok(())
    }

    /// How the edge asks. What was begun is brought to its end, even if whoever asked has gone away: somebody who signs
    /// out and closes the page is out.
    pub(crate) fn face(&self) -> control_plane::ControlPlane {
        let (plane, revocations, edges) = (self.plane.clone(), Arc::clone(&self.revocations), Arc::clone(&self.edges));
        Arc::new(move |request| {
            let (plane, ended, edges) = (plane.clone(), revocations.changes(), Arc::clone(&edges));
            Box::pin(async move {
                let plane = plane.ok_or_else(|| Problem::new(Kind::Overloaded).retry_after(60))?;
                let before = *ended.borrow();
                let answered = tokio::spawn(async move { plane.respond(request).await }).await;
                let now = *ended.borrow();
                if now > before {
                    // Whoever has signed out is out everywhere.
                    edges.until_heard(now).await;
                }
                answered.unwrap_or_else(|_| Err(Problem::new(Kind::Internal)))
            })
        })
    }

    /// Whether every engine is known by now that has something.
    pub(crate) fn names_all_engines(&self) -> Box<dyn Fn() -> bool + Send + Sync> {
        let plane = self.plane.clone();
        Box::new(move || {
            let deployments = plane.as_ref().and_then(|plane| plane.deployments.as_ref());
            deployments.is_some_and(Deployments::names_all_engines)
        })
    }

    /// Starts the engines that shows have of their own, or finds them; they are seen to from then on.
    pub(crate) fn start_engines(&self) -> Seeing {
        let stop = CancellationToken::new();
        let task = self.plane.as_ref().and_then(|plane| {
            let Some(cluster) = self.cluster.clone() else {
                deployments::start(plane);
                return None;
            };
            Some(tokio::spawn(deployments::lead(Arc::clone(plane), cluster, stop.clone())))
        });
        Seeing { stop, task }
    }

    /// Ends what they are seen to by; those that are processes stop.
    pub(crate) async fn stop_engines(&self, seeing: Seeing) {
        seeing.stop.cancel();
        if let Some(task) = seeing.task {
            // One that panicked has nothing left to end.
            task.await.ok();
        }
        if let Some(deployments) = self.plane.as_ref().and_then(|plane| plane.deployments.as_ref()) {
            deployments.stop().await;
        }
    }

    /// Tells the control plane which edge knows the engines.
    pub(crate) fn know(&self, edge: &Arc<Context>) {
        let first = self.edge.set(Arc::downgrade(edge)).is_ok();
        assert!(first, "there is one edge in a server");
    }

    /// Does what has to be done now and then; without end.
    pub(crate) fn upkeep(&self) -> impl Future<Output = ()> + use<> {
        let plane = self.plane.clone();
        async move {
            let Some(plane) = plane else { return };
            let mut times = tokio::time::interval(UPKEEP);
            loop {
                times.tick().await;
                let plane = Arc::clone(&plane);
                // A panic there is told by the runtime; the next time is another try.
                tokio::task::spawn_blocking(move || tidy_up(&plane)).await.ok();
            }
        }
    }
}

/// Between two looks for what has expired or has to be erased.
const UPKEEP: Duration = Duration::from_secs(10);

fn tidy_up(plane: &ControlPlane) {
    if let Err(error) = plane.accounts.upkeep() {
        tracing::error!(%error, "the accounts' store could not be tidied up");
    }
}

/// Follows the key file, without end.
pub(crate) async fn follow(mut file: FollowedKeyFile, keys: Arc<TokenKeys>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let keys = Arc::clone(&keys);
        let looked = tokio::task::spawn_blocking(move || {
            look(&mut file, &keys);
            file
        });
        let Ok(back) = looked.await else { return tracing::error!("the key file is not followed any more") };
        file = back;
    }
}

fn look(followed: &mut FollowedKeyFile, keys: &TokenKeys) {
    match followed.look(keys) {
        Ok(true) => tracing::debug!("the signing keys were read"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the signing keys stay as they are"),
    }
}

fn obligations(edge: Arc<OnceLock<Weak<Context>>>) -> Obligations {
    Box::new(move |account, force| {
        let edge = edge.get().and_then(Weak::upgrade);
        Box::pin(async move {
            let edge = edge.ok_or_else(|| Problem::new(Kind::Overloaded).retry_after(1))?;
            edge.settle(account, force).await
        })
    })
}

fn booked_until(edge: Arc<OnceLock<Weak<Context>>>) -> BookedUntil {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |account| {
        let edge = edge.get().and_then(Weak::upgrade).ok_or_else(|| Problem::new(Kind::Overloaded).retry_after(1))?;
        // Only the upkeep asks, on a thread that may wait.
        runtime.block_on(edge.booked_until(&account))
    })
}
