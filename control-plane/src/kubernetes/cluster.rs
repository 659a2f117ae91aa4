//! The calls that are made to a cluster, each again where that may help. None is of another kind than these.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    TypeMeta,
};
use kube::{Client, Config};
use onrush_api::text::Time;
use onrush_engine::time::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use super::companions::COMPANION;
use super::manifests::{self, CO_OPERATOR, FIELD_MANAGER, Front, claim_name, engine_name, pod_name};
use super::readings::{Prometheus, Readings};

/// What one call may take.
const CALL_MAX: Duration = Duration::from_secs(15);
/// A watch ends by itself after 290 seconds, and begins anew.
const SILENCE_MAX: Duration = Duration::from_secs(295);
/// Calls for one thing, before it is given up; whoever wants it begins again.
const CALLS_MAX: u32 = 5;
/// Between two of them, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether something has gone.
const LOOK: Duration = Duration::from_millis(500);
/// What a pod may take to go: its time to stop, and the kubelet's to notice.
const GONE_MAX: Duration = Duration::from_mins(2);

/// What a cluster did not do.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no cluster to be found.
    #[error("no cluster is configured: neither is this a pod with a service account, nor is there a kubeconfig")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refuses, or fails.
    #[error("the cluster says: {}", said(.0))]
    Refused(#[source] Box<kube::Error>),
    /// It does not answer.
    #[error("the cluster does not answer within {CALL_MAX:?}")]
    Silent,
    /// What was to go is still there.
    #[error("{0} is still there after {GONE_MAX:?}")]
    Stays(String),
    /// An engine has a journal, and no claim on the volume that has it.
    #[error(
        "the volume {volume} has the journal of engine {engine}, and no claim data-engine-{engine}-0 in {namespace} is bound to it: \
         clear its claimRef and make that claim with volumeName {volume}; or take its label onrush.dev/engine away, and the engine \
         begins with nothing"
    )]
    VolumeLost {
        /// The show's namespace.
        namespace: String,
        /// The engine's number.
        engine: u32,
        /// The volume.
        volume: String,
    },
    /// An object that nobody could apply.
    #[error("an object is of no kind: {0}")]
    Kind(String),
}

/// What everything that is applied has in common. Not to be printed: it has a secret.
pub struct Told {
    /// The image of engines that are new.
    pub image: String,
    /// The namespace of edges and control plane.
    pub system_namespace: String,
    /// The namespace of what scrapes metrics, where that is another one.
    pub monitoring_namespace: Option<String>,
    /// What engines and edges know each other by: the files that engines get, with what they hold. [`manifests::KEY`], and with certificates
    /// [`manifests::CERTIFICATES`], too.
    pub files: BTreeMap<String, String>,
    /// Who knows what engines use, if somebody does.
    pub prometheus: Option<Prometheus>,
    /// Where buyers of each show come in by a name of its own, if they do.
    pub front: Option<Front>,
}

impl Told {
    /// Whether engines have certificates.
    pub(crate) fn is_encrypted(&self) -> bool {
        manifests::CERTIFICATES.iter().all(|file| self.files.contains_key(*file))
    }
}

/// A cluster. See the module.
pub struct Cluster {
    client: Client,
    pub(crate) told: Told,
}

/// Why an engine's pod does not come: a reason, and a message for people.
pub(crate) type Trouble = (&'static str, String);

impl Cluster {
    /// The cluster that this process runs in, or that of the kubeconfig.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`].
    pub async fn connect(told: Told) -> Result<Self, ClusterError> {
        let mut config = Config::infer().await.map_err(|error| ClusterError::Unknown(error.into()))?;
        // Without it a watch hangs for good on a connection that has silently gone.
        (config.read_timeout, config.reset_reader_on_write) = (Some(SILENCE_MAX), true);
        let client = Client::try_from(config).map_err(|error| ClusterError::Unknown(error.into()))?;
        Ok(Self::of(client, told))
    }

    /// The cluster behind a client.
    pub fn of(client: Client, told: Told) -> Self {
        Self { client, told }
    }

    /// A client for what is not of shows' engines.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The leases of the system's namespace.
    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.told.system_namespace)
    }

    /// Makes an object what it is to be (server-side apply); what others have put there stays. Twice is once.
    pub(crate) async fn apply(&self, object: &Value) -> Result<(), ClusterError> {
        let kind = || ClusterError::Kind(object["kind"].to_string());
        let types: TypeMeta = serde_json::from_value(object.clone()).map_err(|_| kind())?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).map_err(|_| kind())?);
        let name = object["metadata"]["name"].as_str().ok_or_else(kind)?;
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        patiently(|| async { api.patch(name, &params, &Patch::Apply(object)).await }).await.map(drop)
    }

    /// Sees that the companions of a show are as they are to be, and that none is left of those that it had.
    pub(crate) async fn keep_companions(&self, namespace: &str, wanted: &[Value]) -> Result<(), ClusterError> {
        for object in wanted {
            self.apply(object).await?;
        }
        let beside = ListParams::default().labels(COMPANION);
        let named = |kind: &str, name: &str| {
            wanted.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        };
        for (group, kind) in [("apps", "Deployment"), ("", "Service"), ("networking.k8s.io", "NetworkPolicy")] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            let there = patiently(|| api.list(&beside)).await?.items;
            for name in there.into_iter().filter_map(|object| object.metadata.name) {
                if !named(kind, &name) {
                    gone(patiently(|| async { api.delete(&name, &DeleteParams::foreground()).await.map(drop) }).await)?;
                }
            }
        }
        Ok(())
    }

    /// Sees that a show has a host of its own, if shows do here. A cluster without the Gateway API has none.
    pub(crate) async fn keep_route(&self, name: &str, show: &str) -> Result<(), ClusterError> {
        // It may have had one, when it was told another domain.
        let Some(front) = &self.told.front else { return self.remove_route(name).await };
        match self.apply(&front.route(name, &self.told.system_namespace, show)).await {
            Err(ClusterError::Refused(error)) if code_of(&error) == Some(404) => {
                tracing::warn!(show, "no host of its own: the cluster has no Gateway API");
                Ok(())
            }
            applied => applied,
        }
    }

    /// Removes it. Twice is once.
    pub(crate) async fn remove_route(&self, name: &str) -> Result<(), ClusterError> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
        let routes: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.told.system_namespace, &resource);
        gone(patiently(|| async { routes.delete(name, &DeleteParams::foreground()).await.map(drop) }).await)
    }

    /// Whether an engine's set is there.
    pub(crate) async fn has_engine(&self, namespace: &str, number: u32) -> Result<bool, ClusterError> {
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
        let name = engine_name(number);
        Ok(patiently(|| sets.get_opt(&name)).await?.is_some())
    }

    /// Why an engine's pod is not there yet, as far as the cluster says so.
    pub(crate) async fn trouble(&self, namespace: &str, number: u32) -> Result<Option<Trouble>, ClusterError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let name = pod_name(number);
        let pod = patiently(|| pods.get_opt(&name)).await?;
        Ok(pod.as_ref().and_then(|pod| trouble_of(namespace, pod)))
    }

    /// Ends an engine for good. Its volume stays, whatever becomes of the namespace; its name, if there is one. Twice is once.
    pub(crate) async fn remove_engine(&self, namespace: &str, number: u32) -> Result<Option<String>, ClusterError> {
        let volume = self.retain(namespace, number).await?;
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
        let name = engine_name(number);
        gone(patiently(|| async { sets.delete(&name, &DeleteParams::foreground()).await.map(drop) }).await)?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let name = pod_name(number);
        self.until_gone(&pods, &name, &format!("the pod {namespace}/{name}")).await?;
        // Its volume stays, and its room in the show's quota is the next one's.
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let name = claim_name(number);
        gone(patiently(|| async { claims.delete(&name, &DeleteParams::foreground()).await.map(drop) }).await)?;
        Ok(volume)
    }

    /// The volume that has an engine's journal, where no claim is there for it any more.
    pub(crate) async fn lost_volume(&self, namespace: &str, number: u32) -> Result<Option<String>, ClusterError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let name = claim_name(number);
        if patiently(|| claims.get_opt(&name)).await?.is_some() {
            return Ok(None);
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let its = ListParams::default().labels(&format!("onrush.dev/namespace={namespace},onrush.dev/engine={number}"));
        let found = patiently(|| volumes.list(&its)).await?.items;
        Ok(found.into_iter().find_map(|volume| volume.metadata.name))
    }

    /// A journal is never deleted by a deletion: what the claim was bound to stays when the claim goes.
    pub(crate) async fn retain(&self, namespace: &str, number: u32) -> Result<Option<String>, ClusterError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let name = claim_name(number);
        let claim = patiently(|| claims.get_opt(&name)).await?;
        let Some(volume) = claim.and_then(|claim| claim.spec?.volume_name) else { return Ok(None) };
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let retain = json!({
            "metadata": {"labels": {"onrush.dev/namespace": namespace, "onrush.dev/engine": number.to_string()}},
            "spec": {"persistentVolumeReclaimPolicy": "Retain"},
        });
        let params = merging();
        patiently(|| async { volumes.patch(&volume, &params, &Patch::Merge(&retain)).await }).await?;
        Ok(Some(volume))
    }

    /// Removes a namespace with all that is in it. Twice is once.
    pub(crate) async fn remove_namespace(&self, namespace: &str) -> Result<(), ClusterError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let deleted = patiently(|| async { namespaces.delete(namespace, &DeleteParams::foreground()).await.map(drop) });
        gone(deleted.await)?;
        self.until_gone(&namespaces, namespace, &format!("the namespace {namespace}")).await
    }

    async fn until_gone<K>(&self, api: &Api<K>, name: &str, what: &str) -> Result<(), ClusterError>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let give_up = Instant::now() + GONE_MAX;
        while patiently(|| api.get_opt(name)).await?.is_some() {
            if Instant::now() > give_up {
                return Err(ClusterError::Stays(what.to_owned()));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// What engines use; nothing where nobody says so.
    pub(crate) async fn readings(&self) -> Option<Readings> {
        let read = self.told.prometheus.as_ref()?.read().await;
        read.inspect_err(|error| {
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, "nobody says what engines use");
        })
        .ok()
    }

    /// A token with which a show's co-operators may look at its namespace, and until when it is good.
    pub(crate) async fn co_operator_token(
        &self,
        namespace: &str,
        seconds: u32,
    ) -> Result<(String, Time), ClusterError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(seconds.into()), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let params = PostParams::default();
        let given = patiently(|| accounts.create_token_request(CO_OPERATOR, &params, &request)).await?;
        let told = given.status.and_then(|status| Some((status.token?, status.expiration_timestamp?)));
        let (token, until) = told.ok_or_else(|| ClusterError::Kind("a token without an end".to_owned()))?;
        Ok((token, Time(Timestamp::from_millis(until.0.as_millisecond()))))
    }

    /// The nodes that there are.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let all = ListParams::default();
        Ok(patiently(|| nodes.list(&all)).await?.items)
    }

    /// How many engines run on each node, by its name.
    pub(crate) async fn engines_by_node(&self) -> Result<BTreeMap<String, u32>, ClusterError> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let engines = ListParams::default()
            .labels(&format!("app.kubernetes.io/component=engine,app.kubernetes.io/managed-by={FIELD_MANAGER}"));
        let mut counts = BTreeMap::new();
        let found = patiently(|| pods.list(&engines)).await?.items;
        for node in found.into_iter().filter_map(|pod| pod.spec?.node_name) {
            *counts.entry(node).or_default() += 1;
        }
        Ok(counts)
    }
}

/// How something is changed that somebody else has made.
pub(crate) fn merging() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// What an answer says, for people.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}

/// What is gone is as good as deleted.
fn gone(deleted: Result<(), ClusterError>) -> Result<(), ClusterError> {
    match deleted {
        Err(ClusterError::Refused(error)) if code_of(&error) == Some(404) => Ok(()),
        deleted => deleted,
    }
}

fn code_of(error: &kube::Error) -> Option<u16> {
    if let kube::Error::Api(status) = error { Some(status.code) } else { None }
}

/// Calls once, in time.
pub(crate) async fn once<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
    let called = timeout(CALL_MAX, call).await.map_err(|_| ClusterError::Silent)?;
    called.map_err(|error| ClusterError::Refused(Box::new(error)))
}

/// Calls, and calls again where the cluster has too much to do, is not there, or somebody else was faster; as late as it says.
pub(crate) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, ClusterError>
where
    F: Future<Output = kube::Result<T>>,
{
    let (mut pause, mut left) = (PAUSE_MIN, CALLS_MAX);
    loop {
        let (error, asked_for) = match timeout(CALL_MAX, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if is_lasting(&error) => return Err(ClusterError::Refused(Box::new(error))),
            Ok(Err(error)) => {
                let asked_for = retry_after(&error);
                (ClusterError::Refused(Box::new(error)), asked_for)
            }
            Err(_) => (ClusterError::Silent, None),
        };
        left -= 1;
        if left == 0 {
            return Err(error);
        }
        tracing::debug!(%error, "a call to the cluster is made again");
        sleep(asked_for.unwrap_or(pause).min(PAUSE_MAX)).await;
        pause *= 2;
    }
}

/// Whether the same call will fail again.
fn is_lasting(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => !matches!(status.code, 409 | 429 | 500..),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => false,
        _ => true,
    }
}

fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}

/// What a pod says of why it does not run.
fn trouble_of(namespace: &str, pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.reason.is_some()
    });
    if let Some(condition) = unscheduled {
        let message = condition.message.clone().unwrap_or_default();
        return Some(("NoRoom", format!("No node has room for the engine: {message}")));
    }
    let waiting =
        status.container_statuses.iter().flatten().find_map(|container| container.state.as_ref()?.waiting.as_ref());
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match waiting?.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" => {
            let message = waiting?.message.clone().unwrap_or_default();
            Some(("ImageMissing", format!("The engine's image does not come: {message}")))
        }
        "CrashLoopBackOff" => {
            let message = format!("The engine ends again and again; see: kubectl logs --namespace {namespace} {name}.");
            Some(("Ended", message))
        }
        _ => None,
    }
}
