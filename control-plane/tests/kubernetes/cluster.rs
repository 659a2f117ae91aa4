//! What Onrush takes for granted of a cluster: asked of the one in memory, so that every call is one that it knows, and of a real one,
//! where there is one.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, TypeMeta,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, CustomResourceExt as _};
use onrush_control_plane::deployments::Driver;
use onrush_control_plane::kubernetes::cluster::{Cluster, Told};
use onrush_control_plane::kubernetes::controller;
use onrush_control_plane::kubernetes::manifests::FIELD_MANAGER;
use onrush_control_plane::kubernetes::resource::ShowDeployment;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::driver::{Edge, SHOW, engines, front, on_runtime, plane, rates};
use crate::server::Server;
use crate::{wanted, with_everything};

/// What takes longer in a real cluster never comes: an image has to be fetched, and a volume made.
const PATIENCE: Duration = Duration::from_mins(10);
/// Where the control plane would be.
const NAMESPACE: &str = "onrush-test";

/// A cluster, whichever.
struct Asked {
    client: Client,
}

impl Asked {
    /// Applies an object, or only rehearses that.
    async fn apply(&self, object: &Value, is_rehearsal: bool) -> kube::Result<()> {
        let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let mut params = PatchParams::apply(FIELD_MANAGER).force();
        params.dry_run = is_rehearsal;
        api.patch(object["metadata"]["name"].as_str().unwrap(), &params, &Patch::Apply(object)).await.map(drop)
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        self.client.request(request).await.ok()
    }

    /// Waits until an object is as it should be.
    async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let now = self.get(path).await;
            if let Some(object) = now.clone().filter(&is_so) {
                return object;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} is still {now:#?}");
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn until_gone(&self, path: &str) {
        let begun = Instant::now();
        while self.get(path).await.is_some() {
            assert!(begun.elapsed() < PATIENCE, "{path} is still there");
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn delete(&self, path: &str) {
        let body = serde_json::to_vec(&DeleteParams::foreground()).unwrap();
        let request = Request::delete(path).header("content-type", "application/json").body(body).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    fn resources(&self) -> Api<ShowDeployment> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn change(&self, spec: &Value) {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.resources().patch("night", &params, &Patch::Merge(json!({"spec": spec}))).await.unwrap();
    }

    /// Looks again and again which pods are ready, as an edge would hear.
    async fn watch(&self, ready: &Mutex<BTreeSet<String>>) {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let own = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={FIELD_MANAGER}"));
        loop {
            if let Ok(pods) = pods.list(&own).await {
                let is_ready = |pod: &Pod| {
                    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
                };
                let names = pods.items.iter().filter(|pod| is_ready(pod)).map(|pod| {
                    let name = |name: &Option<String>| name.clone().unwrap_or_default();
                    format!("{}/{}", name(&pod.metadata.namespace), name(&pod.metadata.name))
                });
                *ready.lock().unwrap() = names.collect();
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// See the module.
async fn is_as_it_should_be(client: Client, image: &str) {
    let asked = Asked { client: client.clone() };
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    asked.apply(&namespace(NAMESPACE), false).await.unwrap();
    let definition = serde_json::to_value(ShowDeployment::crd()).unwrap();
    asked.apply(&definition, false).await.unwrap();
    let is_established = |now: &Value| now["status"]["conditions"].to_string().contains("Established");
    asked
        .until("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/showdeployments.onrush.dev", is_established)
        .await;

    // What a show comes to is taken as it is. In a namespace that is there: a rehearsal makes none.
    let stadium = with_everything(wanted("tpl_reserved-seating", 100_000, 1_000_000, 4));
    for size in [wanted("tpl_reserved-seating", 3_000, 20_000, 1), stadium] {
        asked.apply(&namespace(&size.name), false).await.unwrap();
        for object in
            size.objects().into_iter().chain([size.key(&[("engine.key".to_owned(), "a-key\n".to_owned())].into())])
        {
            asked.apply(&object, true).await.unwrap_or_else(|error| panic!("{object:#}: {error}"));
        }
        asked.delete(&format!("/api/v1/namespaces/{}", size.name)).await;
        asked.until_gone(&format!("/api/v1/namespaces/{}", size.name)).await;
    }

    let (data, ready) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(BTreeSet::new())));
    let told = Told {
        image: image.to_owned(),
        system_namespace: NAMESPACE.to_owned(),
        monitoring_namespace: None,
        files: [("engine.key".to_owned(), format!("{}\n", "5a".repeat(32)))].into(),
        prometheus: None,
        front: Some(front()),
    };
    let (cluster, edge) = (Arc::new(Cluster::of(client, told)), Arc::new(Mutex::new(Edge::default())));
    let heard = Arc::clone(&ready);
    let is_running = move |namespace: &str, pod: &str| heard.lock().unwrap().contains(&format!("{namespace}/{pod}"));
    let plane = plane(data.path());
    let plane = plane.with_deployments(Driver::Cluster(Arc::clone(&cluster)), engines(is_running, &edge), rates());
    let (plane, stop) = (Arc::new(plane), CancellationToken::new());
    plane.deployments.as_ref().unwrap().start().unwrap();
    tokio::select! {
        () = controller::run(&cluster, plane, stop) => unreachable!("nobody stops it"),
        () = asked.watch(&ready) => unreachable!("it watches without end"),
        () = a_life(&asked) => {}
    }
    asked.delete(&format!("/api/v1/namespaces/{NAMESPACE}")).await;
}

/// A show gets two engines, each a pod that is ready and a volume, and all but the volumes go.
async fn a_life(asked: &Asked) {
    let wrong: ShowDeployment = resource(json!({"replicas": 9}));
    let refused = asked.resources().create(&Default::default(), &wrong).await.unwrap_err().to_string();
    assert!(refused.contains("replicas is 1 to 8"), "{refused}");
    asked.resources().create(&Default::default(), &resource(json!({}))).await.unwrap();
    let path = format!("/apis/onrush.dev/v1alpha1/namespaces/{NAMESPACE}/showdeployments/night");
    let is_ready = |now: &Value| {
        let conditions = now["status"]["conditions"].as_array().into_iter().flatten();
        now["status"]["observedGeneration"] == now["metadata"]["generation"]
            && conditions.clone().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let night = asked.until(&path, is_ready).await;
    let namespace = night["status"]["namespace"].as_str().unwrap().to_owned();
    asked.change(&json!({"replicas": 2})).await;
    let pod = |number: u32| format!("/api/v1/namespaces/{namespace}/pods/engine-{number}-0");
    let runs = |now: &Value| now["status"]["conditions"].to_string().contains(r#""Ready""#);
    asked.until(&pod(1), runs).await;
    asked.until(&path, is_ready).await;
    let claim = |number: u32| format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-engine-{number}-0");
    let mut volumes = Vec::new();
    for number in 0..2 {
        let bound = asked.until(&claim(number), |now| now["spec"]["volumeName"].is_string()).await;
        volumes.push(format!("/api/v1/persistentvolumes/{}", bound["spec"]["volumeName"].as_str().unwrap()));
    }

    asked.resources().delete("night", &DeleteParams::default()).await.unwrap();
    asked.until_gone(&path).await;
    asked.until_gone(&format!("/api/v1/namespaces/{namespace}")).await;
    for volume in volumes {
        let kept = asked.until(&volume, |_| true).await;
        assert_eq!(kept["spec"]["persistentVolumeReclaimPolicy"], "Retain", "{volume}");
        asked.delete(&volume).await;
    }
}

fn resource(change: Value) -> ShowDeployment {
    let mut spec = json!({"show": SHOW.to_string(), "template": "tpl_reserved-seating", "replicas": 1});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    ShowDeployment::new("night", serde_json::from_value(spec).unwrap())
}

#[test]
fn the_cluster_in_memory_is_as_it_should_be() {
    on_runtime(async { is_as_it_should_be(Server::start().client(), "onrush:1").await });
}

#[test]
fn a_real_cluster_is_as_it_should_be() {
    let (Ok(path), Ok(image)) = (std::env::var("ONRUSH_TEST_KUBECONFIG"), std::env::var("ONRUSH_TEST_IMAGE")) else {
        let why =
            "skipped: no real cluster: ONRUSH_TEST_KUBECONFIG and ONRUSH_TEST_IMAGE name one, and an image for it";
        // Past the test harness's capture: a skipped test must not pass silently.
        return writeln!(std::io::stderr().lock(), "a_real_cluster_is_as_it_should_be: {why}").unwrap();
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        is_as_it_should_be(Client::try_from(config).unwrap(), &image).await;
    });
}
