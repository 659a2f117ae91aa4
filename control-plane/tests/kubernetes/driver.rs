//! Deployments whose engines are pods: what they come to in a cluster, however well that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use onrush_api::deployments::{Deployment, DeploymentDraft, RelocateOrder, ScaleOrder};
use onrush_api::key_file::KeyFile;
use onrush_api::problem::Problem;
use onrush_api::session::Scopes;
use onrush_api::text::Text;
use onrush_api::token::{Caller, Role};
use onrush_control_plane::ControlPlane;
use onrush_control_plane::config::Config;
use onrush_control_plane::deployments::{Deployments, Driver, Engines, Known, Outstanding, RateCard};
use onrush_control_plane::kubernetes::cluster::{Cluster, Told};
use onrush_control_plane::kubernetes::manifests::Front;
use onrush_control_plane::kubernetes::readings::Prometheus;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::money::Currency;
use onrush_engine::time::{SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::server::{Fault, Server};

pub(crate) const SHOW: ShowId = ShowId(4_711);
/// Performances of the show.
const PERFORMANCES: u64 = 4;

/// What an edge would know: where each performance is.
#[derive(Default)]
pub(crate) struct Edge {
    connected: BTreeSet<String>,
    pub(crate) at: BTreeMap<PerformanceId, Option<String>>,
    /// Whether performances are not over.
    pub(crate) outstanding: bool,
}

impl Edge {
    /// Every performance is where it was made.
    pub(crate) fn begin_anew(&mut self) {
        self.at = (1..=PERFORMANCES).map(|number| (PerformanceId(number), None)).collect();
    }
}

/// A control plane with a cluster.
pub(crate) struct World {
    pub(crate) server: Server,
    edge: Arc<Mutex<Edge>>,
    data: tempfile::TempDir,
    plane: Option<Arc<ControlPlane>>,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::begin(None)
    }

    /// With somebody who says what engines use.
    pub(crate) fn measured_by(prometheus: Prometheus) -> Self {
        Self::begin(Some(prometheus))
    }

    fn begin(prometheus: Option<Prometheus>) -> Self {
        let edge = Arc::new(Mutex::new(Edge::default()));
        edge.lock().unwrap().begin_anew();
        let data = tempfile::tempdir().unwrap();
        let mut world = Self { server: Server::start(), edge, data, plane: None };
        world.open_with("onrush:1", prometheus);
        world
    }

    /// Starts the control plane, of a release.
    fn open(&mut self, image: &str) {
        self.open_with(image, None);
    }

    fn open_with(&mut self, image: &str, prometheus: Option<Prometheus>) {
        let told = Told {
            image: image.to_owned(),
            system_namespace: "onrush".to_owned(),
            monitoring_namespace: None,
            files: [("engine.key".to_owned(), "a-key\n".to_owned())].into(),
            prometheus,
            front: Some(front()),
        };
        let cluster = Cluster::of(self.server.client(), told);
        let server = self.server.clone();
        let is_running = move |namespace: &str, pod: &str| {
            let pod = server.object(&format!("/api/v1/namespaces/{namespace}/pods/{pod}"));
            pod.is_some_and(|pod| pod["status"]["phase"] == "Running")
        };
        let plane = plane(self.data.path()).with_deployments(
            Driver::Cluster(Arc::new(cluster)),
            engines(is_running, &self.edge),
            rates(),
        );
        plane.deployments.as_ref().unwrap().start().unwrap();
        self.plane = Some(Arc::new(plane));
    }

    /// What the control plane knew is gone.
    pub(crate) async fn lose_the_store(&mut self) {
        self.close().await;
        self.data = tempfile::tempdir().unwrap();
        self.open("onrush:1");
    }

    /// Stops it in good order.
    async fn close(&mut self) {
        self.deployments().stop().await;
        self.plane = None;
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn deployments(&self) -> &Deployments {
        self.plane.as_ref().unwrap().deployments.as_ref().unwrap()
    }

    pub(crate) fn edge(&self) -> MutexGuard<'_, Edge> {
        self.edge.lock().unwrap()
    }

    pub(crate) async fn deploy(&self) -> Deployment {
        let (template, show) = ("tpl_reserved-seating".to_owned(), Text(SHOW));
        let draft = DeploymentDraft { template, show, parameters: BTreeMap::new() };
        self.deployments().create(&seller(), draft).await.unwrap().0
    }

    async fn scale(&self, id: &str, replicas: u32) {
        self.scale_to(id, Some(replicas), None, None).await.unwrap();
    }

    pub(crate) async fn scale_to(
        &self,
        id: &str,
        replicas: Option<u32>,
        cpu: Option<&str>,
        memory: Option<&str>,
    ) -> Result<Deployment, Problem> {
        let (cpu, memory) = (cpu.map(str::to_owned), memory.map(str::to_owned));
        let order = ScaleOrder { component: "engine".to_owned(), replicas, cpu, memory };
        self.deployments().scale(&seller(), id, order).await
    }

    /// Waits until all that was asked for is done; the deployment as it is then.
    pub(crate) async fn done(&self, id: &str) -> Deployment {
        loop {
            let now = self.deployments().read(&seller(), id).unwrap();
            let is_done = now.status.operation.as_ref().is_none_or(|operation| operation.finished_at.is_some());
            if is_done && now.status.conditions.iter().all(|condition| condition.status) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the deployment does not come for a reason; the message for people.
    pub(crate) async fn trouble(&self, id: &str, reason: &str) -> String {
        loop {
            let now = self.deployments().read(&seller(), id).unwrap();
            let condition = now.status.conditions.into_iter().find(|condition| condition.reason == reason);
            if let Some(condition) = condition {
                return condition.message;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Which engines there are, by the names of their sets.
    pub(crate) fn sets(&self, namespace: &str) -> Vec<String> {
        let below = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/");
        let sets = self.server.paths(&below);
        sets.iter().map(|path| path[below.len()..].to_owned()).collect()
    }

    pub(crate) fn shared_plane(&self) -> Arc<ControlPlane> {
        Arc::clone(self.plane.as_ref().unwrap())
    }

    pub(crate) fn set(&self, namespace: &str, name: &str) -> Value {
        self.server.object(&format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")).unwrap()
    }
}

/// Where buyers come in.
pub(crate) fn front() -> Front {
    Front {
        gateway_namespace: "gateways".to_owned(),
        gateway: "public".to_owned(),
        domain: "shows.example.org".to_owned(),
        service: "onrush-edge".to_owned(),
        port: 80,
    }
}

/// So dear that a second is seen.
pub(crate) fn rates() -> RateCard {
    RateCard { currency: Currency::KRW, core_hour: 100_000_000, memory_gib_hour: 1, disk_gib_hour: 1, network_gib: 1 }
}

pub(crate) fn plane(data: &Path) -> ControlPlane {
    let keys = Arc::new(KeyFile::open_or_create(&KeyFile::path_in(data)).unwrap());
    let clock = Arc::new(SystemClock::start());
    let config = Config::new(data.to_owned());
    let free = || Box::pin(async { Ok(()) });
    ControlPlane::open(config, keys, Arc::default(), clock, Box::new(move |_, _| free()), Box::new(|_| Ok(None)))
        .unwrap()
}

pub(crate) fn seller() -> Caller {
    Caller {
        account: "acc_seller".parse().unwrap(),
        role: Role::Seller,
        session: None,
        scopes: Scopes::All,
        expires_at: Timestamp::MAX,
    }
}

/// An edge that hears an engine once its pod runs.
pub(crate) fn engines(
    is_running: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    edge: &Arc<Mutex<Edge>>,
) -> Engines {
    let of = || Arc::clone(edge);
    let (adding, removing, looking, giving, hearing, owing) = (of(), of(), of(), of(), of(), of());
    Engines {
        show: Box::new(|show| (show == SHOW).then(|| Known { seller: seller().account })),
        connect: Box::new(move |address, _| {
            adding.lock().unwrap().connected.insert(address.to_owned());
        }),
        disconnect: Box::new(move |address| {
            removing.lock().unwrap().connected.remove(address);
        }),
        is_connected: Box::new(move |address| {
            let mut parts = address.split('.');
            let (pod, namespace) = (parts.next().unwrap(), parts.nth(1).unwrap());
            hearing.lock().unwrap().connected.contains(address) && is_running(namespace, pod)
        }),
        move_show: Box::new(|_, _, _| Box::pin(async { Ok(()) })),
        performances: Box::new(move |_| {
            Some(looking.lock().unwrap().at.iter().map(|(id, address)| (*id, address.clone())).collect())
        }),
        unfinished: Box::new(Vec::new),
        traffic: Box::new(|_| 0),
        hand_over: Box::new(move |performance, to| {
            giving.lock().unwrap().at.insert(performance, Some(to));
            Box::pin(async { Ok(()) })
        }),
        outstanding: Box::new(move |_| {
            let left = if owing.lock().unwrap().outstanding { Outstanding::Performances } else { Outstanding::Nothing };
            Box::pin(async move { Ok(left) })
        }),
    }
}

pub(crate) fn namespace_of(deployment: &Deployment) -> String {
    deployment.id.replace('_', "-")
}

/// From the first engine to the last: what there is in between, and what stays.
pub(crate) async fn a_life(world: &World) {
    let deployment = world.deploy().await;
    let (id, namespace) = (&deployment.id, &namespace_of(&deployment));
    world.done(id).await;
    assert_eq!(world.sets(namespace), ["engine-0"]);
    let key = world.server.object(&format!("/api/v1/namespaces/{namespace}/secrets/engine-key")).unwrap();
    assert_eq!(key["stringData"]["engine.key"], "a-key\n");

    world.scale(id, 2).await;
    let now = world.done(id).await;
    assert_eq!(now.status.engines.iter().map(|engine| engine.performances).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(world.sets(namespace), ["engine-0", "engine-1"]);

    let order = RelocateOrder { component: "engine".to_owned(), node: "node-b".to_owned() };
    world.deployments().relocate(&seller(), id, order).await.unwrap();
    let now = world.done(id).await;
    assert_eq!(now.status.engines.iter().map(|engine| engine.performances).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(world.sets(namespace), ["engine-2", "engine-3"]);
    let pod = world.set(namespace, "engine-2")["spec"]["template"]["spec"].clone();
    assert!(pod["affinity"].to_string().contains(r#""values":["node-b"]"#), "{pod}");

    world.scale(id, 1).await;
    world.done(id).await;
    let here = format!("engine-2-0.engine.{namespace}.svc:7411");
    assert!(world.edge().at.values().all(|address| address.as_ref() == Some(&here)));
    assert_eq!(world.edge().connected, BTreeSet::from([here]));

    world.edge().at.clear();
    while world.deployments().delete(&seller(), id, false).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.server.object(&format!("/api/v1/namespaces/{namespace}")), None);
    assert_eq!(world.sets(namespace), [""; 0]);
    let volumes = world.server.paths("/api/v1/persistentvolumes/");
    assert_eq!(volumes.len(), 4);
    for volume in volumes.iter().map(|path| world.server.object(path).unwrap()) {
        assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain", "{volume}");
        assert_eq!(volume["metadata"]["labels"]["onrush.dev/namespace"], **namespace);
    }
    assert_eq!(world.deployments().read(&seller(), id).unwrap_err().kind.slug(), "not-found");
}

/// Time passes as soon as everybody waits for it.
pub(crate) fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // What does not come about within hours never does.
    let in_time = async { tokio::time::timeout(Duration::from_hours(4), test).await.expect("it comes about") };
    runtime.block_on(in_time);
}

#[test]
fn a_show_comes_to_a_namespace_and_goes_without_its_volumes() {
    on_runtime(async { a_life(&World::start()).await });
}

/// A third of all calls, in turns of every kind.
pub(crate) fn badly(number: u64) -> Option<Fault> {
    const FAULTS: [Fault; 8] = [
        Fault::Code(409, 0),
        Fault::Code(429, 2),
        Fault::Lost,
        Fault::Code(500, 0),
        Fault::Silence,
        Fault::Code(503, 0),
        Fault::Refused,
        Fault::Code(504, 0),
    ];
    number.is_multiple_of(3).then(|| FAULTS[(number / 3) as usize % FAULTS.len()])
}

#[test]
fn a_cluster_that_answers_badly_comes_to_the_same() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(badly);
        a_life(&world).await;
    });
}

#[test]
fn a_cluster_that_is_away_for_an_hour_is_waited_for() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(|_| Some(Fault::Refused));
        let deployment = world.deploy().await;
        let message = world.trouble(&deployment.id, "ClusterFailed").await;
        assert!(message.contains("connection refused"), "{message}");
        tokio::time::sleep(Duration::from_hours(1)).await;
        let calls = world.server.calls();
        assert!(calls < 3_000, "{calls} calls in an hour that were all refused");
        world.server.fail(|_| None);
        world.done(&deployment.id).await;
    });
}

#[test]
fn what_a_cluster_refuses_for_good_is_told_and_not_asked_again_at_once() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(|_| Some(Fault::Code(403, 0)));
        let deployment = world.deploy().await;
        let message = world.trouble(&deployment.id, "ClusterFailed").await;
        assert!(message.contains("it was scripted"), "{message}");
        assert_eq!(world.server.calls(), 1);
    });
}

#[test]
fn an_engine_keeps_its_release_until_another_takes_over() {
    on_runtime(async {
        let mut world = World::start();
        let deployment = world.deploy().await;
        let (id, namespace) = (&deployment.id, &namespace_of(&deployment));
        world.done(id).await;
        world.close().await;
        assert_eq!(world.sets(namespace), ["engine-0"], "engines go on without a control plane");

        let image = |name: &str, world: &World| {
            world.set(namespace, name)["spec"]["template"]["spec"]["containers"][0]["image"].clone()
        };
        let before = world.set(namespace, "engine-0");
        world.open("onrush:2");
        world.done(id).await;
        assert_eq!((world.set(namespace, "engine-0"), image("engine-0", &world)), (before, json!("onrush:1")));
        let order = RelocateOrder { component: "engine".to_owned(), node: "node-a".to_owned() };
        world.deployments().relocate(&seller(), id, order).await.unwrap();
        world.done(id).await;
        assert_eq!(
            (world.sets(namespace), image("engine-1", &world)),
            (vec!["engine-1".to_owned()], json!("onrush:2"))
        );
    });
}

#[test]
fn what_keeps_a_pod_away_is_told() {
    on_runtime(async {
        let world = World::start();
        let full = "0/2 nodes are available: 2 Insufficient cpu.";
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": full});
        world.server.say_of_pods(json!({"phase": "Pending", "conditions": [condition]}));
        let deployment = world.deploy().await;
        assert!(world.trouble(&deployment.id, "NoRoom").await.contains(full));
        let waiting = |reason: &str| {
            let state = json!({"waiting": {"reason": reason, "message": "no such image"}});
            let container = json!({"name": "engine", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            json!({"phase": "Pending", "containerStatuses": [container]})
        };
        world.server.say_of_pods(waiting("ErrImagePull"));
        assert!(world.trouble(&deployment.id, "ImageMissing").await.contains("no such image"));
        world.server.say_of_pods(waiting("CrashLoopBackOff"));
        assert!(world.trouble(&deployment.id, "Ended").await.contains("kubectl logs"));
        world.server.say_of_pods(json!({"phase": "Running"}));
        world.done(&deployment.id).await;
    });
}

#[test]
fn what_somebody_deletes_is_made_again() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        let namespace = namespace_of(&deployment);
        world.done(&deployment.id).await;
        world.server.delete(&format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/engine-0"));
        assert_eq!(world.sets(&namespace), [""; 0]);
        while world.sets(&namespace).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.done(&deployment.id).await;
    });
}

#[test]
fn nodes_are_those_of_the_cluster() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        let admin = Caller { role: Role::Admin, ..seller() };
        let nodes = world.deployments().nodes(&admin).await.unwrap();
        let seen: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.cores, node.engines)).collect();
        assert_eq!(seen, [("node-a", 4, 1), ("node-b", 4, 0)]);
        let order = RelocateOrder { component: "engine".to_owned(), node: "node-c".to_owned() };
        let refused = world.deployments().relocate(&seller(), &deployment.id, order).await.unwrap_err();
        assert!(format!("{:?}", refused.body()).contains("is no node; there is 'node-a', 'node-b'"));
    });
}

#[test]
fn a_show_is_moved_as_often_as_anybody_likes() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        for _ in 0..5 {
            let order = RelocateOrder { component: "engine".to_owned(), node: "node-b".to_owned() };
            world.deployments().relocate(&seller(), &deployment.id, order).await.unwrap();
            world.done(&deployment.id).await;
        }
        assert_eq!(world.sets(&namespace_of(&deployment)), ["engine-5"]);
        let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims/", namespace_of(&deployment));
        assert_eq!(world.server.paths(&claims).len(), 1, "who goes gives back its room in the quota");
    });
}

#[test]
fn what_cannot_go_yet_goes_once_it_can() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        let (id, namespace) = (&deployment.id, &namespace_of(&deployment));
        world.done(id).await;
        world.edge().at.clear();
        world.server.stick(true);
        let kept = world.deployments().delete(&seller(), id, false).await.unwrap_err();
        assert_eq!(kept.kind.slug(), "outcome-unknown");
        let again = world.deployments().delete(&seller(), id, false).await.unwrap_err();
        assert_eq!(again.kind.slug(), "outcome-unknown", "it is not asked whether it may");
        world.server.stick(false);
        while world.server.object(&format!("/api/v1/namespaces/{namespace}")).is_some() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        world.deployments().delete(&seller(), id, false).await.unwrap();
        let gone = world.deployments().delete(&seller(), id, false).await.unwrap_err();
        assert_eq!(gone.kind.slug(), "not-found");
    });
}

#[test]
fn an_engine_that_cannot_go_yet_is_not_made_again() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        let (id, namespace) = (&deployment.id, &namespace_of(&deployment));
        world.done(id).await;
        world.scale(id, 2).await;
        world.done(id).await;
        world.server.stick(true);
        world.scale(id, 1).await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(world.sets(namespace), ["engine-0"]);
        world.server.stick(false);
        assert_eq!(world.done(id).await.status.engines.len(), 1);
    });
}

#[test]
fn an_engine_never_begins_with_nothing_where_it_had_a_journal() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        let namespace = namespace_of(&deployment);
        world.done(&deployment.id).await;
        let volume = format!("/api/v1/persistentvolumes/pv-{namespace}-engine-0-0");
        let is_kept = || world.server.object(&volume).unwrap()["spec"]["persistentVolumeReclaimPolicy"] == "Retain";
        while !is_kept() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        world.server.destroy(&namespace);
        assert!(world.server.object(&volume).is_some());
        let message = world.trouble(&deployment.id, "ClusterFailed").await;
        assert!(message.contains("has the journal of engine 0"), "{message}");
        assert_eq!(world.sets(&namespace), [""; 0]);
    });
}

#[test]
fn whoever_does_not_see_to_deployments_says_so_and_hears_their_engines() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        world.deployments().rest().await;
        let asked = world.deployments().read(&seller(), &deployment.id).unwrap_err();
        assert_eq!(asked.kind.slug(), "temporary-reduced-capacity", "it may be there");
        assert_eq!(world.edge().connected.len(), 1, "its sale goes on");
        world.edge().connected.clear();
        world.deployments().listen().unwrap();
        assert_eq!(world.edge().connected.len(), 1);
        world.edge().connected.clear();
        world.deployments().start().unwrap();
        world.done(&deployment.id).await;
        assert_eq!(world.edge().connected.len(), 1);
    });
}
