//! An API server of a cluster in memory, as far as Onrush asks it, with a kubelet that starts pods at once. It refuses what a real
//! one would refuse, answers as badly as a test wants, and writes down what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use onrush_control_plane::kubernetes::resource::ShowDeployment;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

/// What is answered: at once, or as it happens.
type Answer = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// How one call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this code, and whoever asks is to come back after so many seconds, if any.
    Code(u16, u32),
    /// It is never answered, and the connection is given up in the end.
    Silence,
    /// It is carried out, and the connection ends before the answer.
    Lost,
    /// The connection ends before it is carried out.
    Refused,
}

/// What decides whether a call goes wrong, by its number.
type Faults = Box<dyn FnMut(u64) -> Option<Fault> + Send>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

struct State {
    /// By their paths.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// What has happened to resources of Onrush's own: the version, what, and to which.
    events: Vec<(u64, &'static str, Value)>,
    /// Who watches from an earlier version is told that it is gone.
    compacted: u64,
    news: watch::Sender<u64>,
    /// What is going, and how often it is still seen.
    going: BTreeMap<String, u32>,
    /// Methods and paths of all calls, ids and names replaced.
    kinds_of_calls: BTreeSet<String>,
    calls: u64,
    faults: Faults,
    /// Calls whose kind begins so go wrong.
    failing: Option<&'static str>,
    /// What new pods say of themselves.
    pod_status: Value,
    /// Whether nothing that goes gets there.
    is_stuck: bool,
    /// Whether it has the Gateway API.
    has_gateways: bool,
}

/// Where resources are.
const RESOURCES_OF: &str = "/apis/onrush.dev/v1alpha1/namespaces/onrush/showdeployments";

/// When a client gives a silent connection up.
const READ_TIMEOUT: Duration = Duration::from_secs(295);

/// How often something that goes is still seen.
const LINGERS: u32 = 2;

impl Server {
    pub(crate) fn start() -> Self {
        let state = State {
            objects: BTreeMap::new(),
            version: 0,
            events: Vec::new(),
            compacted: 0,
            news: watch::channel(0).0,
            going: BTreeMap::new(),
            kinds_of_calls: BTreeSet::new(),
            is_stuck: false,
            has_gateways: true,
            calls: 0,
            faults: Box::new(|_| None),
            failing: None,
            pod_status: json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
        };
        let server = Self(Arc::new(Mutex::new(state)));
        for node in ["node-a", "node-b"] {
            let capacity = json!({"cpu": "4", "memory": "16Gi", "ephemeral-storage": "100Gi"});
            let node = json!({"metadata": {"name": node}, "status": {"capacity": capacity}});
            let path = format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap());
            server.state().put(&path, node);
        }
        server
    }

    /// A client of it. Has to be called on a runtime.
    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on calls go wrong.
    pub(crate) fn fail(&self, faults: impl FnMut(u64) -> Option<Fault> + Send + 'static) {
        self.state().failing = None;
        self.state().faults = Box::new(faults);
    }

    pub(crate) fn say_of_pods(&self, status: Value) {
        let mut state = self.state();
        for (path, pod) in &mut state.objects {
            if path.contains("/pods/") {
                pod["status"] = status.clone();
            }
        }
        state.pod_status = status;
    }

    /// What pods say of themselves that are not there yet.
    pub(crate) fn say_of_new_pods(&self, status: Value) {
        self.state().pod_status = status;
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Somebody else deletes something.
    pub(crate) fn delete(&self, path: &str) {
        self.state().delete(path);
        self.state().going.clear();
    }

    /// A cluster without the Gateway API.
    pub(crate) fn forget_gateways(&self) {
        self.state().has_gateways = false;
    }

    /// From now on, what goes does not get there; or does again.
    pub(crate) fn stick(&self, is_stuck: bool) {
        self.state().is_stuck = is_stuck;
    }

    /// Somebody else deletes a namespace with all that is in it, and the volumes that were to go with that.
    pub(crate) fn destroy(&self, namespace: &str) {
        let (own, within) = (format!("/api/v1/namespaces/{namespace}"), format!("/namespaces/{namespace}/"));
        let goes = |path: &str, object: &Value| {
            let is_volume = path.contains("/persistentvolumes/") && path.contains(namespace);
            path == own
                || path.contains(&within)
                || is_volume && object["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        };
        self.state().objects.retain(|path, object| !goes(path, object));
    }

    /// From now on calls of a kind go wrong.
    pub(crate) fn fail_calls(&self, kind: &'static str) {
        self.state().failing = Some(kind);
    }

    /// What somebody else applies; why not, if it is refused.
    pub(crate) fn apply_resource(&self, name: &str, spec: &Value) -> Result<(), String> {
        let path = format!("{RESOURCES_OF}/{name}");
        let mut state = self.state();
        let answer = match state.objects.contains_key(&path) {
            true => state.change(&path, &json!({"spec": spec}), false),
            false => {
                state.create(RESOURCES_OF, json!({"metadata": {"name": name, "namespace": "onrush"}, "spec": spec}))
            }
        };
        answer.map(drop).map_err(|(_, message)| message)
    }

    pub(crate) fn annotate(&self, name: &str, annotation: &str, value: &str) {
        let annotations = json!({"metadata": {"annotations": {annotation: value}}});
        self.state().change(&format!("{RESOURCES_OF}/{name}"), &annotations, false).unwrap();
    }

    pub(crate) fn delete_resource(&self, name: &str) {
        self.state().delete_resource(&format!("{RESOURCES_OF}/{name}"));
    }

    pub(crate) fn resource(&self, name: &str) -> Option<Value> {
        self.object(&format!("{RESOURCES_OF}/{name}"))
    }

    /// Whoever watches has to begin anew.
    pub(crate) fn compact(&self) {
        let mut state = self.state();
        state.version += 1;
        state.compacted = state.version;
        state.news.send_replace(state.compacted);
    }

    /// The paths of all objects below one.
    pub(crate) fn paths(&self, prefix: &str) -> Vec<String> {
        self.state().objects.keys().filter(|path| path.starts_with(prefix)).cloned().collect()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Method and path of every kind of call that was made.
    pub(crate) fn kinds_of_calls(&self) -> BTreeSet<String> {
        self.state().kinds_of_calls.clone()
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Answer>, String> {
        let fault = {
            let mut state = self.state();
            state.calls += 1;
            let (kind, number) = (kind_of(&request), state.calls);
            let fails = state.failing.is_some_and(|failing| kind.starts_with(failing));
            state.kinds_of_calls.insert(kind);
            if fails { Some(Fault::Refused) } else { (state.faults)(number) }
        };
        match fault {
            Some(Fault::Code(code, after)) => return Ok(failure(code, "it was scripted", after)),
            Some(Fault::Silence) => {
                tokio::time::sleep(READ_TIMEOUT).await;
                return Err("the read timed out".to_owned());
            }
            Some(Fault::Refused) => return Err("connection refused".to_owned()),
            Some(Fault::Lost) | None => {}
        }
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        if parts.method == Method::GET && !form(query, "watch").is_empty() {
            let from = form(query, "resourceVersion").parse().unwrap();
            return Ok(self.watch(from));
        }
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let answer = self.state().answer(&parts, &body);
        if fault == Some(Fault::Lost) { Err("connection reset by peer".to_owned()) } else { Ok(answer) }
    }
}

impl Server {
    /// What happens from a version on, a line each.
    fn watch(&self, from: u64) -> Response<Answer> {
        let server = self.clone();
        let news = self.state().news.subscribe();
        let lines = stream::unfold((server, news, Some(from)), |(server, mut news, from)| async move {
            let from = from?;
            loop {
                news.mark_unchanged();
                let (line, next) = server.state().lines_since(from);
                if !line.is_empty() {
                    let frame = http_body::Frame::data(Bytes::from(line));
                    return Some((Ok::<_, std::convert::Infallible>(frame), (server, news, next)));
                }
                news.changed().await.ok()?;
            }
        });
        Response::builder()
            .header("content-type", "application/json")
            .body(StreamBody::new(lines).boxed_unsync())
            .unwrap()
    }
}

/// A call without the names in it.
fn kind_of(request: &Request<Body>) -> String {
    const KINDS: [&str; 18] = [
        "httproutes",
        "deployments",
        "namespaces",
        "resourcequotas",
        "limitranges",
        "serviceaccounts",
        "roles",
        "rolebindings",
        "networkpolicies",
        "services",
        "secrets",
        "poddisruptionbudgets",
        "statefulsets",
        "pods",
        "persistentvolumeclaims",
        "persistentvolumes",
        "showdeployments",
        "leases",
    ];
    let mut is_name = false;
    let path: Vec<_> = request
        .uri()
        .path()
        .split('/')
        .map(|segment| if std::mem::replace(&mut is_name, KINDS.contains(&segment)) { "{name}" } else { segment })
        .collect();
    format!("{} {}", request.method(), path.join("/"))
}

fn answered(code: u16, body: &Value) -> Response<Answer> {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    let code = StatusCode::from_u16(code).unwrap();
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

fn failure(code: u16, message: &str, after: u32) -> Response<Answer> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 if message == "AlreadyExists" => "AlreadyExists",
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    answered(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code,
            "metadata": {}, "details": {"retryAfterSeconds": after},
        }),
    )
}

impl State {
    fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn answer(&mut self, parts: &http::request::Parts, body: &[u8]) -> Response<Answer> {
        let path = parts.uri.path();
        match parts.method {
            Method::GET => self.get(path, parts.uri.query().unwrap_or_default()),
            Method::PATCH => self.patch(path, parts, body),
            Method::POST if path.ends_with("/serviceaccounts/co-operator/token") => {
                let request: Value = serde_json::from_slice(body).unwrap();
                let seconds = request["spec"]["expirationSeconds"].as_u64().unwrap();
                assert!(seconds >= 600, "a cluster gives none that is shorter");
                let status =
                    json!({"token": format!("a-token-for-{seconds}"), "expirationTimestamp": "2026-01-01T01:00:00Z"});
                answered(201, &json!({"metadata": {}, "spec": request["spec"], "status": status}))
            }
            Method::POST => {
                let object: Value = serde_json::from_slice(body).unwrap();
                answer_of(201, self.create(path, object))
            }
            Method::PUT => {
                let object: Value = serde_json::from_slice(body).unwrap();
                answer_of(200, self.change(path, &object, false))
            }
            Method::DELETE if path.contains("/showdeployments/") => {
                self.delete_resource(path);
                answered(200, &json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}))
            }
            Method::DELETE => {
                if !self.objects.contains_key(path) {
                    return failure(404, &format!("{path} not found"), 0);
                }
                let options: Value = serde_json::from_slice(body).unwrap_or_default();
                assert_eq!(options["propagationPolicy"], "Foreground", "what depends on it goes first");
                self.delete(path);
                answered(200, &json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}))
            }
            ref method => failure(405, &format!("{method} {path} is asked by nobody"), 0),
        }
    }

    fn get(&mut self, path: &str, query: &str) -> Response<Answer> {
        self.pass(path);
        if let Some(object) = self.objects.get(path) {
            return answered(200, object);
        }
        let resource = path.rsplit('/').next().unwrap_or_default();
        let selector = form(query, "labelSelector");
        let items: Vec<&Value> = match resource {
            "nodes" => self
                .objects
                .iter()
                .filter(|(path, _)| path.starts_with("/api/v1/nodes/"))
                .map(|(_, node)| node)
                .collect(),
            "showdeployments" => {
                self.objects.iter().filter(|(path, _)| path.contains("/showdeployments/")).map(|(_, one)| one).collect()
            }
            "persistentvolumes" => self
                .objects
                .iter()
                .filter(|(path, _)| path.contains("/persistentvolumes/"))
                .map(|(_, one)| one)
                .collect(),
            "pods" => self.objects.iter().filter(|(path, _)| path.contains("/pods/")).map(|(_, pod)| pod).collect(),
            "deployments" | "services" | "networkpolicies" => {
                let within = format!("{path}/");
                self.objects.iter().filter(|(path, _)| path.starts_with(&within)).map(|(_, one)| one).collect()
            }
            _ => return failure(404, &format!("{path} not found"), 0),
        };
        let items: Vec<&Value> =
            items.into_iter().filter(|item| selects(&selector, &item["metadata"]["labels"])).collect();
        answered(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items}),
        )
    }

    /// What is going goes a little.
    fn pass(&mut self, path: &str) {
        let Some(left) = self.going.get_mut(path).filter(|_| !self.is_stuck) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        self.going.remove(path);
        self.objects.remove(path);
        if let Some(namespace) = path.strip_prefix("/api/v1/namespaces/").filter(|rest| !rest.contains('/')) {
            let within = format!("/namespaces/{namespace}/");
            self.objects.retain(|path, _| !path.contains(&within));
        }
    }

    fn patch(&mut self, path: &str, parts: &http::request::Parts, body: &[u8]) -> Response<Answer> {
        let (kind, query) = (parts.headers["content-type"].to_str().unwrap(), parts.uri.query().unwrap_or_default());
        let patch: Value = serde_json::from_slice(body).unwrap();
        if kind == "application/json-patch+json" {
            return self.patch_json(path, patch);
        }
        assert_eq!(form(query, "fieldManager"), "onrush-control-plane");
        match kind {
            "application/merge-patch+json" if path.contains("/showdeployments/") => {
                let of_status = path.ends_with("/status");
                let path = path.strip_suffix("/status").unwrap_or(path);
                answer_of(200, self.change(path, &patch, of_status))
            }
            "application/merge-patch+json" => {
                let Some(mut object) = self.objects.get(path).cloned() else { return failure(404, path, 0) };
                merge(&mut object, &patch);
                answered(200, &self.put(path, object))
            }
            "application/apply-patch+yaml" => {
                assert_eq!(form(query, "force"), "true");
                self.apply(path, patch, form(query, "dryRun") == "All")
            }
            kind => failure(415, kind, 0),
        }
    }

    fn apply(&mut self, path: &str, mut object: Value, is_rehearsal: bool) -> Response<Answer> {
        check(path, &object);
        if object["kind"] == "HTTPRoute" && !self.has_gateways {
            return failure(404, "the server could not find the requested resource", 0);
        }
        // The platform's own is there.
        if let Some(namespace) = object["metadata"]["namespace"].as_str().filter(|namespace| *namespace != "onrush") {
            let namespace = format!("/api/v1/namespaces/{namespace}");
            if !self.objects.contains_key(&namespace) {
                return failure(404, "the namespace is not there", 0);
            }
            if self.going.contains_key(&namespace) {
                return failure(403, "the namespace is being terminated", 0);
            }
        }
        let before = self.objects.get(path);
        if let Some(before) = before.filter(|before| before["kind"] == "StatefulSet") {
            assert_eq!(
                before["spec"]["volumeClaimTemplates"], object["spec"]["volumeClaimTemplates"],
                "it cannot change"
            );
        }
        let code = if before.is_some() { 200 } else { 201 };
        if is_rehearsal {
            return answered(code, &object);
        }
        if object["kind"] == "CustomResourceDefinition" {
            object["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        }
        if object["kind"] == "StatefulSet" {
            self.start_pod(&object);
        }
        let applied = self.put(path, object);
        answered(code, &applied)
    }

    /// What kubelet and provisioner do.
    fn start_pod(&mut self, set: &Value) {
        let (namespace, name) = (
            set["metadata"]["namespace"].as_str().unwrap(),
            format!("{}-0", set["metadata"]["name"].as_str().unwrap()),
        );
        let within = format!("/api/v1/namespaces/{namespace}");
        for (kind, quota) in [("pods", "pods"), ("persistentvolumeclaims", "persistentvolumeclaims")] {
            let most = self.objects[&format!("{within}/resourcequotas/show")]["spec"]["hard"][quota].clone();
            let known = self.objects.keys().filter(|path| path.starts_with(&format!("{within}/{kind}/"))).count();
            if known >= most.as_str().unwrap().parse().unwrap() {
                return;
            }
        }
        let (claim, volume) = (format!("data-{name}"), format!("pv-{namespace}-{name}"));
        let affinity = &set["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
        let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
        let node = terms[0]["matchFields"][0]["values"][0].as_str().unwrap_or("node-a");
        let pod = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": set["spec"]["template"]["metadata"]["labels"]},
            "spec": {"containers": [], "nodeName": node},
            "status": self.pod_status,
        });
        self.put(&format!("{within}/pods/{name}"), pod);
        let claims = json!({"metadata": {"name": claim, "namespace": namespace}, "spec": {"volumeName": volume}});
        self.put(&format!("{within}/persistentvolumeclaims/{claim}"), claims);
        let policy = json!({"persistentVolumeReclaimPolicy": "Delete"});
        self.put(&format!("/api/v1/persistentvolumes/{volume}"), json!({"metadata": {"name": volume}, "spec": policy}));
    }

    /// Events that somebody who has seen a version does not know, and up to where they go; nothing where there are no more.
    fn lines_since(&self, from: u64) -> (String, Option<u64>) {
        if from < self.compacted {
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old", "metadata": {}});
            return (json!({"type": "ERROR", "object": gone}).to_string() + "\n", None);
        }
        let news = self.events.iter().filter(|(version, ..)| *version > from);
        let lines: Vec<_> =
            news.map(|(_, kind, object)| json!({"type": kind, "object": object}).to_string() + "\n").collect();
        (lines.concat(), Some(self.version))
    }

    /// Puts what may be watched.
    fn tell(&mut self, kind: &'static str, path: &str, object: Value) -> Value {
        let object = self.put(path, object);
        if path.contains("/showdeployments/") {
            self.events.push((self.version, kind, object.clone()));
            self.news.send_replace(self.version);
        }
        object
    }

    fn create(&mut self, of: &str, mut object: Value) -> Written {
        let path = format!("{of}/{}", object["metadata"]["name"].as_str().unwrap());
        if self.objects.contains_key(&path) {
            return Err((409, "AlreadyExists".to_owned()));
        }
        if of.contains("/showdeployments") {
            (object["apiVersion"], object["kind"]) = (json!("onrush.dev/v1alpha1"), json!("ShowDeployment"));
            object["metadata"]["namespace"] = of.split('/').nth(5).into();
            let defaults = json!({"replicas": 1, "parameters": {}});
            let mut spec = defaults;
            merge(&mut spec, &object["spec"]);
            object["spec"] = spec;
            object["metadata"]["generation"] = json!(1);
            object["metadata"]["uid"] = json!(format!("uid-{:06}", self.version));
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            valid(&object)?;
        }
        Ok(self.tell("ADDED", &path, object))
    }

    fn change(&mut self, path: &str, patch: &Value, of_status: bool) -> Written {
        let Some(before) = self.objects.get(path).cloned() else { return Err((404, format!("{path} not found"))) };
        let expected = &patch["metadata"]["resourceVersion"];
        if !expected.is_null() && *expected != before["metadata"]["resourceVersion"] {
            return Err((409, "the object has been modified".to_owned()));
        }
        let mut object = before.clone();
        // A subresource changes nothing else, and nothing else changes it.
        let mut patch = patch.clone();
        let fields = patch.as_object_mut().unwrap();
        fields.retain(|name, _| path.contains("/leases/") || (name == "status") == of_status);
        merge(&mut object, &patch);
        if path.contains("/showdeployments/") {
            valid(&object)?;
            if object["spec"] != before["spec"] {
                object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap() + 1);
            }
        }
        Ok(self.tell("MODIFIED", path, object))
    }

    /// How finalizers are put and taken away.
    fn patch_json(&mut self, path: &str, patch: Value) -> Response<Answer> {
        let Some(mut object) = self.objects.get(path).cloned() else { return failure(404, path, 0) };
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        // A real server takes a field that is not there for null.
        if object["metadata"]["finalizers"].is_null() {
            object["metadata"]["finalizers"] = Value::Null;
        }
        if json_patch::patch(&mut object, &patch).is_err() {
            return failure(422, "the patch does not fit", 0);
        }
        let is_free = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if is_free && !object["metadata"]["deletionTimestamp"].is_null() {
            let last = self.tell("DELETED", path, object);
            self.objects.remove(path);
            return answered(200, &last);
        }
        let changed = self.tell("MODIFIED", path, object);
        answered(200, &changed)
    }

    fn delete_resource(&mut self, path: &str) {
        let Some(mut object) = self.objects.get(path).cloned() else { return };
        let is_free = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.tell(if is_free { "DELETED" } else { "MODIFIED" }, path, object);
        if is_free {
            self.objects.remove(path);
        }
    }

    fn delete(&mut self, path: &str) {
        if path.contains("/statefulsets/") {
            self.objects.remove(path);
            let (before, name) = path.rsplit_once('/').unwrap();
            let namespace = before.split('/').nth(5).unwrap();
            self.going.insert(format!("/api/v1/namespaces/{namespace}/pods/{name}-0"), LINGERS);
        } else if ["/persistentvolume", "/deployments/", "/services/", "/networkpolicies/", "/httproutes/"]
            .iter()
            .any(|kind| path.contains(kind))
        {
            // Nobody waits for these.
            self.objects.remove(path);
        } else {
            self.going.insert(path.to_owned(), LINGERS);
        }
    }
}

/// What was written, or a code and why not.
type Written = Result<Value, (u16, String)>;

fn answer_of(code: u16, written: Written) -> Response<Answer> {
    match written {
        Ok(object) => answered(code, &object),
        Err((code, message)) => failure(code, &message, 0),
    }
}

/// Whether a resource is what its definition says, as a real server evaluates it.
fn valid(object: &Value) -> Result<(), (u16, String)> {
    let mut object = object.clone();
    (object["apiVersion"], object["kind"]) = (json!("onrush.dev/v1alpha1"), json!("ShowDeployment"));
    let resource: ShowDeployment = serde_json::from_value(object).map_err(|error| (422, error.to_string()))?;
    kube::core::cel::validate_cel(&resource).map_err(|errors| (422, errors.to_string()))
}

/// A real server refuses fields that a kind does not have, and paths that are another kind's.
fn check(path: &str, object: &Value) {
    fn reads_as<T: Serialize + DeserializeOwned>(object: &Value) {
        let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object:#}: {error}"));
        assert_eq!(serde_json::to_value(read).unwrap(), *object, "a field that its kind does not have");
    }
    let kind = object["kind"].as_str().unwrap();
    let plural = format!(
        "/{}/",
        if kind == "NetworkPolicy" { "networkpolicies".to_owned() } else { format!("{}s", kind.to_lowercase()) }
    );
    let name = object["metadata"]["name"].as_str().unwrap();
    let group = match object["apiVersion"].as_str().unwrap() {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    assert!(path.starts_with(&group) && path.ends_with(&format!("{plural}{name}")), "{path} for {kind} {name}");
    match kind {
        "Namespace" => reads_as::<Namespace>(object),
        "ResourceQuota" => reads_as::<ResourceQuota>(object),
        "LimitRange" => reads_as::<LimitRange>(object),
        "Secret" => reads_as::<Secret>(object),
        "ServiceAccount" => reads_as::<ServiceAccount>(object),
        "Role" => reads_as::<Role>(object),
        "RoleBinding" => reads_as::<RoleBinding>(object),
        "NetworkPolicy" => reads_as::<NetworkPolicy>(object),
        "Service" => reads_as::<Service>(object),
        "PodDisruptionBudget" => reads_as::<PodDisruptionBudget>(object),
        "StatefulSet" => reads_as::<StatefulSet>(object),
        "Deployment" => reads_as::<k8s_openapi::api::apps::v1::Deployment>(object),
        // Of another project: it says what it says.
        "HTTPRoute" => assert!(object["spec"]["rules"][0]["backendRefs"][0]["port"].is_u64()),
        "CustomResourceDefinition" => reads_as::<CustomResourceDefinition>(object),
        kind => panic!("{kind} is applied by nobody"),
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *object, patch) else {
        *object = patch.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
            continue;
        }
        merge(fields.entry(name).or_insert(Value::Null), change);
    }
}

/// A field of a query.
fn form(query: &str, name: &str) -> String {
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    value.map(|(_, value)| value.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",")).unwrap_or_default()
}

fn selects(selector: &str, labels: &Value) -> bool {
    let mut wanted = selector.split(',').filter(|pair| !pair.is_empty());
    wanted.all(|pair| match pair.split_once('=') {
        Some((name, value)) => labels[name] == value,
        None => !labels[pair].is_null(),
    })
}
