//! The custom resource and the deployment of a show, each kept as the other says: `kubectl apply` of one and `POST /v1/deployments`
//! come to the same.
//!
//! What is written to a resource is done once for each of its generations; what is changed over the API is written back to it. A
//! resource goes with its deployment, and a deployment with its resource, once all that was paid for is over or has gone back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PostParams, Preconditions};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Error as FinalizerError, Event, finalizer};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use onrush_api::deployments::{Deployment, DeploymentDraft, ScaleOrder};
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Scopes;
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};
use onrush_engine::id::ShowId;
use onrush_engine::time::Timestamp;
use serde_json::json;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, ClusterError, merging, once, patiently};
use super::manifests::{FIELD_MANAGER, name_of};
use super::mirror::{refused, spec_of, status_of};
use super::resource::ShowDeployment;
use crate::ControlPlane;
use crate::deployments::Deployments;

/// What keeps a resource until its engines have gone.
const FINALIZER: &str = "onrush.dev/engines";
/// Said of a resource that is to go though performances are not over.
const FORCE: &str = "onrush.dev/force-delete";
/// Said of a resource that was made for a deployment, with its id.
const COPY_OF: &str = "onrush.dev/copy-of";
/// Between two looks at a deployment that is ready, and at one that is not.
const IDLE: Duration = Duration::from_secs(15);
const BUSY: Duration = Duration::from_secs(2);
/// Between two tries of what does not come to anything.
const AGAIN: Duration = Duration::from_secs(30);

/// What is tried again.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It may not go yet.
    #[error("{0}")]
    Kept(String),
}

struct Context {
    client: Client,
    /// Where resources are made for what was deployed over the API.
    namespace: String,
    plane: Arc<ControlPlane>,
    store: Store<ShowDeployment>,
}

/// Keeps resources and deployments alike, until it is to stop.
pub async fn run(cluster: &Cluster, plane: Arc<ControlPlane>, stop: CancellationToken) {
    let (client, namespace) = (cluster.client(), cluster.told.system_namespace.clone());
    let controller = Controller::new(Api::<ShowDeployment>::all(client.clone()), watcher::Config::default());
    let context = Arc::new(Context { client, namespace, plane, store: controller.store() });
    let stopped = stop.clone();
    let reconciled = controller
        .graceful_shutdown_on(async move { stopped.cancelled().await })
        .run(reconcile, |_, _, _| Action::requeue(AGAIN), Arc::clone(&context))
        .for_each(|done| async move {
            if let Err(error) = done {
                tracing::warn!(%error, "a resource is looked at again");
            }
        });
    tokio::select! {
        () = reconciled => {}
        () = context.write_down() => {}
    }
}

async fn reconcile(resource: Arc<ShowDeployment>, context: Arc<Context>) -> Result<Action, FinalizerError<Trouble>> {
    let api = context.api(&resource.namespace().unwrap_or_default());
    finalizer(&api, FINALIZER, resource, |event| async {
        match event {
            Event::Apply(resource) => context.apply(&api, &resource).await,
            Event::Cleanup(resource) => context.clean_up(&api, &resource).await,
        }
    })
    .await
}

impl Context {
    fn api(&self, namespace: &str) -> Api<ShowDeployment> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn deployments(&self) -> Result<&Deployments, Problem> {
        self.plane.deployments.as_ref().ok_or_else(|| Problem::new(Kind::Internal))
    }

    async fn apply(&self, api: &Api<ShowDeployment>, resource: &ShowDeployment) -> Result<Action, Trouble> {
        let status = resource.status.clone().unwrap_or_default();
        let known = match self.known(&resource.spec.show) {
            Ok(known) => known,
            Err(problem) => return Err(Trouble::Kept(problem.body().detail.clone())),
        };
        if let (Some(id), None) = (&status.deployment, &known) {
            return self.follow(api, resource, id).await;
        }
        let is_done = if status.deployment.is_some() {
            status.observed_generation == resource.metadata.generation
        } else {
            known.as_ref().is_some_and(|known| is_copy(resource, known))
        };
        let (outcome, generation) = match known {
            // What was written is not to be done, were it changed over the API once more before it is seen.
            Some(known) if is_done && self.owner(resource).is_none() => {
                (Ok(known.clone()), self.write_back(api, resource, &known).await?)
            }
            known => (self.bring_about(resource, known).await, resource.metadata.generation),
        };
        let again = match &outcome {
            Ok(now) if now.status.conditions.iter().all(|condition| condition.status) => IDLE,
            Ok(_) => BUSY,
            Err(_) => AGAIN,
        };
        self.tell(api, resource, outcome, generation).await?;
        Ok(Action::requeue(again))
    }

    /// A resource whose deployment is not there: it was deleted over the API, and the resource goes, too; or nobody knows.
    async fn follow(&self, api: &Api<ShowDeployment>, resource: &ShowDeployment, id: &str) -> Result<Action, Trouble> {
        if self.was_deleted(id).await? {
            let preconditions = Preconditions { uid: resource.metadata.uid.clone(), resource_version: None };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            patiently(|| async { api.delete(&resource.name_any(), &params).await }).await?;
            return Ok(Action::await_change());
        }
        self.tell(api, resource, Err(lost(id)), resource.metadata.generation).await?;
        Ok(Action::requeue(AGAIN))
    }

    async fn was_deleted(&self, id: &str) -> Result<bool, Trouble> {
        let deployments = self.deployments().map_err(|problem| Trouble::Kept(problem.body().detail.clone()))?;
        deployments.was_deleted(id).await.map_err(|problem| Trouble::Kept(problem.body().detail.clone()))
    }

    /// The deployment of a show; an error where that is not known.
    fn known(&self, show: &str) -> Result<Option<Deployment>, Problem> {
        let all = self.deployments()?.list(&cluster_itself())?;
        Ok(all.into_iter().find(|deployment| deployment.show.0.to_string() == show))
    }

    /// Does what a resource says.
    async fn bring_about(&self, resource: &ShowDeployment, known: Option<Deployment>) -> Result<Deployment, Problem> {
        if let Some(other) = self.owner(resource) {
            let detail = format!("The show has the deployment {other} already; change that one.");
            return Err(Problem::new(Kind::ShowInUse).detail(detail));
        }
        let (deployments, caller, spec) = (self.deployments()?, cluster_itself(), &resource.spec);
        let show = spec.show.parse::<ShowId>().map_err(|_| Problem::field("/show", "is no show's id"))?;
        let parameters = spec.parameters.iter().map(|(name, answer)| (name.clone(), json!(answer))).collect();
        let draft = DeploymentDraft { template: spec.template.clone(), show: Text(show), parameters };
        let now = match known {
            None => deployments.create(&caller, draft).await?.0,
            Some(known) => deployments.change(&caller, &known.id, draft).await?,
        };
        let replicas = u32::try_from(spec.replicas).unwrap_or(0);
        if now.replicas == replicas {
            return Ok(now);
        }
        let order = ScaleOrder { component: "engine".to_owned(), replicas: Some(replicas), cpu: None, memory: None };
        deployments.scale(&caller, &now.id, order).await
    }

    /// The resource that has the show's deployment, where that is another one: of several the oldest.
    fn owner(&self, resource: &ShowDeployment) -> Option<String> {
        let age = |one: &ShowDeployment| (one.metadata.creation_timestamp.clone(), one.metadata.uid.clone());
        let all = self.store.state();
        let of_show = all.iter().filter(|other| other.spec.show == resource.spec.show);
        let owner = of_show.min_by_key(|other| age(other)).filter(|owner| age(owner) < age(resource))?;
        Some(format!("{}/{}", owner.namespace().unwrap_or_default(), owner.name_any()))
    }

    /// What was changed over the API is what the resource says, too; its generation then.
    async fn write_back(
        &self,
        api: &Api<ShowDeployment>,
        resource: &ShowDeployment,
        known: &Deployment,
    ) -> Result<Option<i64>, ClusterError> {
        let is = spec_of(known);
        let spec = &resource.spec;
        let says =
            is.parameters.iter().all(|(name, answer)| spec.parameters.get(name).is_none_or(|said| said == answer));
        if says && (&spec.template, spec.replicas) == (&is.template, is.replicas) {
            return Ok(resource.metadata.generation);
        }
        let change = json!({
            // Unless somebody has written to it since it was read.
            "metadata": {"resourceVersion": resource.metadata.resource_version},
            "spec": {"template": is.template, "parameters": is.parameters, "replicas": is.replicas},
        });
        let (name, params) = (resource.name_any(), merging());
        let written = once(api.patch(&name, &params, &Patch::Merge(&change))).await?;
        Ok(written.metadata.generation)
    }

    /// Says how far it is.
    async fn tell(
        &self,
        api: &Api<ShowDeployment>,
        resource: &ShowDeployment,
        outcome: Result<Deployment, Problem>,
        generation: Option<i64>,
    ) -> Result<(), ClusterError> {
        let before = resource.status.clone().unwrap_or_default();
        let now = match outcome {
            Ok(deployment) => status_of(&deployment, generation),
            Err(problem) => refused(&before, &problem, generation, Time(self.plane.now())),
        };
        if now == before {
            return Ok(());
        }
        let (name, params, status) = (resource.name_any(), merging(), json!({"status": now}));
        patiently(|| async { api.patch_status(&name, &params, &Patch::Merge(&status)).await }).await.map(drop)
    }

    async fn clean_up(&self, api: &Api<ShowDeployment>, resource: &ShowDeployment) -> Result<Action, Trouble> {
        if self.owner(resource).is_some() {
            return Ok(Action::await_change());
        }
        match self.end_deployment(resource).await {
            Ok(()) => Ok(Action::await_change()),
            Err(problem) => {
                let detail = problem.body().detail.clone();
                self.tell(api, resource, Err(problem), resource.metadata.generation).await?;
                Err(Trouble::Kept(detail))
            }
        }
    }

    /// Ends the deployment of a resource that goes, if it may.
    async fn end_deployment(&self, resource: &ShowDeployment) -> Result<(), Problem> {
        let (deployments, known) = (self.deployments()?, self.known(&resource.spec.show)?);
        let told = resource.status.as_ref().and_then(|status| status.deployment.clone());
        let Some(id) = told.or_else(|| known.map(|known| known.id)) else { return Ok(()) };
        let force = resource.annotations().get(FORCE).is_some_and(|force| force == "true");
        match deployments.delete(&cluster_itself(), &id, force).await {
            Err(problem) if problem.kind == Kind::NotFound => {
                let is_over = force || deployments.was_deleted(&id).await?;
                if is_over { Ok(()) } else { Err(lost(&id)) }
            }
            deleted => deleted,
        }
    }

    /// Makes a resource for each deployment that has none, again and again.
    async fn write_down(&self) {
        // Before that it is not known which there are.
        if self.store.wait_until_ready().await.is_err() {
            return std::future::pending().await;
        }
        loop {
            sleep(BUSY).await;
            let all =
                self.deployments().and_then(|deployments| deployments.list(&cluster_itself())).unwrap_or_default();
            for deployment in all {
                let show = deployment.show.0.to_string();
                if self.store.find(|resource| resource.spec.show == show).is_some() {
                    continue;
                }
                if let Err(error) = self.make(&deployment).await {
                    tracing::warn!(deployment = deployment.id, %error, "a deployment has no resource yet");
                }
            }
        }
    }

    async fn make(&self, deployment: &Deployment) -> Result<(), ClusterError> {
        let annotations = BTreeMap::from([(COPY_OF.to_owned(), deployment.id.clone())]);
        let metadata = ObjectMeta {
            name: Some(name_of(&deployment.id)),
            namespace: Some(self.namespace.clone()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        let resource = ShowDeployment { metadata, spec: spec_of(deployment), status: None };
        let (api, params) = (
            self.api(&self.namespace),
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() },
        );
        let made = patiently(|| async {
            match api.create(&params, &resource).await {
                // It has come meanwhile.
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
                made => made.map(drop),
            }
        });
        made.await
    }
}

/// A resource has a deployment that is in no store, and was not deleted from here.
fn lost(id: &str) -> Problem {
    let detail = format!(
        "The deployment {id} is not known to this control plane, which may have lost its store; its namespace and volumes are left \
         as they are. The annotation {FORCE}=true lets the resource go."
    );
    Problem::new(Kind::NotFound).detail(detail)
}

/// Whether a resource was made for what was deployed over the API, and nobody has written to it since.
fn is_copy(resource: &ShowDeployment, known: &Deployment) -> bool {
    resource.annotations().get(COPY_OF) == Some(&known.id) && resource.metadata.generation == Some(1)
}

/// Whoever may write to the cluster may do what an admin may.
fn cluster_itself() -> Caller {
    let account = "acc_cluster".parse().expect("a well-formed account");
    Caller { account, role: Role::Admin, session: None, scopes: Scopes::All, expires_at: Timestamp::MAX }
}
