//! The custom resource and the API, each as the other says; and one control plane of several at work.

use std::time::Duration;

use onrush_api::deployments::{DeploymentTokenOrder, ScaleOrder};
use onrush_api::token::{Caller, Role};
use onrush_control_plane::kubernetes::cluster::{Cluster, Told};
use onrush_control_plane::kubernetes::controller;
use onrush_control_plane::kubernetes::election::{Candidate, Leader};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::driver::{self, SHOW, World, badly, front, on_runtime, seller};
use crate::server::{Fault, Server};
use crate::{golden_text, templates};

/// What keeps resources and deployments alike.
struct Controller {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Controller {
    fn of(world: &World) -> Self {
        let (stop, plane) = (CancellationToken::new(), world.shared_plane());
        let (cluster, stopped) = (cluster(&world.server), stop.clone());
        let task = tokio::spawn(async move { controller::run(&cluster, plane, stopped).await });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn cluster(server: &Server) -> Cluster {
    let told = Told {
        image: "onrush:1".to_owned(),
        system_namespace: "onrush".to_owned(),
        monitoring_namespace: None,
        files: [("engine.key".to_owned(), "a-key\n".to_owned())].into(),
        prometheus: None,
        front: Some(front()),
    };
    Cluster::of(server.client(), told)
}

fn spec(change: Value) -> Value {
    let mut spec = json!({"show": SHOW.to_string(), "template": "tpl_reserved-seating"});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    spec
}

/// Waits until a resource is as it should be.
async fn until(server: &Server, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        if let Some(resource) = server.resource(name).filter(|resource| is_so(resource)) {
            return resource;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn until_gone(server: &Server, name: &str) {
    while server.resource(name).is_some() {
        sleep(Duration::from_millis(200)).await;
    }
}

fn condition<'a>(resource: &'a Value, kind: &str) -> &'a Value {
    let conditions = resource["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind)).unwrap_or(&Value::Null)
}

/// Whether what it says has been done, and all is well.
fn is_ready(resource: &Value) -> bool {
    resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        && condition(resource, "Ready")["status"] == "True"
}

/// From `kubectl apply` to `kubectl delete`, with changes from both sides.
async fn a_life(world: &World) {
    let server = &world.server;
    server.apply_resource("night", &spec(json!({}))).unwrap();
    let resource = until(server, "night", is_ready).await;
    assert_eq!(resource["metadata"]["finalizers"], json!(["onrush.dev/engines"]));
    let id = resource["status"]["deployment"].as_str().unwrap().to_owned();
    let namespace = resource["status"]["namespace"].as_str().unwrap().to_owned();
    assert_eq!(world.sets(&namespace), ["engine-0"]);

    server.apply_resource("night", &spec(json!({"replicas": 3}))).unwrap();
    until(server, "night", |now| is_ready(now) && world.sets(&namespace).len() == 3).await;
    world.done(&id).await;
    server.compact();
    let order = ScaleOrder { component: "engine".to_owned(), replicas: Some(2), cpu: None, memory: None };
    world.deployments().scale(&seller(), &id, order).await.unwrap();
    until(server, "night", |now| now["spec"]["replicas"] == 2 && is_ready(now)).await;
    assert_eq!(world.done(&id).await.replicas, 2, "what was written back is not done again");
    server.apply_resource("night", &spec(json!({"replicas": 2, "parameters": {"seats": 100}}))).unwrap();
    until(server, "night", |now| is_ready(now) && world.sets(&namespace).iter().all(|set| set.as_str() > "engine-2"))
        .await;
    world.done(&id).await;

    world.edge().at.clear();
    server.delete_resource("night");
    until_gone(server, "night").await;
    assert_eq!(world.sets(&namespace), [""; 0]);
    assert!(world.deployments().list(&seller()).unwrap().is_empty());
}

#[test]
fn what_is_applied_comes_about_and_what_is_changed_is_written_back() {
    on_runtime(async {
        let world = World::start();
        let controller = Controller::of(&world);
        a_life(&world).await;
        controller.stop().await;
    });
}

#[test]
fn resources_come_about_in_a_cluster_that_answers_badly() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(badly);
        let controller = Controller::of(&world);
        a_life(&world).await;
        controller.stop().await;
    });
}

#[test]
fn what_was_deployed_over_the_api_has_a_resource_and_goes_with_it() {
    on_runtime(async {
        let world = World::start();
        let controller = Controller::of(&world);
        let deployment = world.deploy().await;
        let name = deployment.id.replace('_', "-");
        let resource = until(&world.server, &name, is_ready).await;
        assert_eq!(resource["spec"]["show"], SHOW.to_string());
        world.edge().at.clear();
        while world.deployments().delete(&seller(), &deployment.id, false).await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        until_gone(&world.server, &name).await;
        controller.stop().await;
    });
}

#[test]
fn what_is_changed_while_its_resource_is_made_stays_changed() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        world.server.fail_calls("PATCH /apis/onrush.dev");
        let controller = Controller::of(&world);
        let name = deployment.id.replace('_', "-");
        until(&world.server, &name, |_| true).await;
        let order = ScaleOrder { component: "engine".to_owned(), replicas: Some(2), cpu: None, memory: None };
        world.deployments().scale(&seller(), &deployment.id, order).await.unwrap();
        world.done(&deployment.id).await;
        world.server.fail(|_| None);
        until(&world.server, &name, |now| now["spec"]["replicas"] == 2 && is_ready(now)).await;
        assert_eq!(world.done(&deployment.id).await.replicas, 2);
        controller.stop().await;
    });
}

#[test]
fn what_cannot_be_is_told_and_comes_about_once_it_can() {
    on_runtime(async {
        let world = World::start();
        let controller = Controller::of(&world);
        let server = &world.server;
        let refused = server.apply_resource("wrong", &spec(json!({"replicas": 9}))).unwrap_err();
        assert!(refused.contains("replicas is 1 to 8"), "{refused}");

        server.apply_resource("night", &spec(json!({"template": "tpl_circus"}))).unwrap();
        let accepted = |now: &Value| condition(now, "Accepted").clone();
        let resource = until(server, "night", |now| accepted(now)["status"] == "False").await;
        assert_eq!(accepted(&resource)["reason"], "NotFound");
        assert!(accepted(&resource)["message"].as_str().unwrap().contains("tpl_reserved-seating"));
        server.apply_resource("night", &spec(json!({"parameters": {"seats": 1, "colour": 1}}))).unwrap();
        let resource = until(server, "night", |now| accepted(now)["reason"] == "InvalidBody").await;
        assert!(accepted(&resource)["message"].as_str().unwrap().contains("/parameters/colour"));
        server
            .apply_resource(
                "night",
                &json!({"show": SHOW.to_string(), "template": "tpl_reserved-seating", "parameters": {"colour": null}}),
            )
            .unwrap();
        let resource = until(server, "night", is_ready).await;
        assert_eq!(accepted(&resource)["status"], "True");

        server.apply_resource("again", &spec(json!({"replicas": 4}))).unwrap();
        let again = until(server, "again", |now| accepted(now)["status"] == "False").await;
        assert!(accepted(&again)["message"].as_str().unwrap().contains("onrush/night"));
        server.delete_resource("again");
        until_gone(server, "again").await;
        let id = resource["status"]["deployment"].as_str().unwrap();
        assert_eq!(world.done(id).await.replicas, 1, "what another resource says is not done");
        controller.stop().await;
    });
}

#[test]
fn what_has_performances_stays_unless_it_is_forced() {
    on_runtime(async {
        let world = World::start();
        let controller = Controller::of(&world);
        let server = &world.server;
        server.apply_resource("night", &spec(json!({}))).unwrap();
        let resource = until(server, "night", is_ready).await;
        world.done(resource["status"]["deployment"].as_str().unwrap()).await;
        world.edge().outstanding = true;
        server.delete_resource("night");
        let kept = until(server, "night", |now| condition(now, "Accepted")["reason"] == "BookingsOutstanding").await;
        assert!(condition(&kept, "Accepted")["message"].as_str().unwrap().contains("performances that are not over"));
        assert_eq!(world.sets(kept["status"]["namespace"].as_str().unwrap()), ["engine-0"]);
        server.annotate("night", "onrush.dev/force-delete", "true");
        until_gone(server, "night").await;
        controller.stop().await;
    });
}

#[test]
fn of_two_resources_for_a_show_one_has_it() {
    on_runtime(async {
        let world = World::start();
        let server = &world.server;
        server.apply_resource("first", &spec(json!({}))).unwrap();
        server.apply_resource("second", &spec(json!({}))).unwrap();
        let controller = Controller::of(&world);
        let first = until(server, "first", is_ready).await;
        let refused = |now: &Value| condition(now, "Accepted")["status"] == "False";
        until(server, "second", refused).await;
        server.delete_resource("second");
        until_gone(server, "second").await;
        sleep(Duration::from_mins(5)).await;
        assert_eq!(world.sets(first["status"]["namespace"].as_str().unwrap()), ["engine-0"]);
        controller.stop().await;
    });
}

#[test]
fn a_store_that_is_lost_takes_nothing_with_it() {
    on_runtime(async {
        let mut world = World::start();
        let controller = Controller::of(&world);
        world.server.apply_resource("night", &spec(json!({}))).unwrap();
        let night = until(&world.server, "night", is_ready).await;
        let namespace = night["status"]["namespace"].as_str().unwrap().to_owned();
        controller.stop().await;
        world.lose_the_store().await;
        let controller = Controller::of(&world);
        let lost =
            |now: &Value| condition(now, "Accepted")["message"].as_str().unwrap_or_default().contains("lost its store");
        let night = until(&world.server, "night", lost).await;
        assert!(night["metadata"]["deletionTimestamp"].is_null(), "nobody has deleted it");
        world.server.delete_resource("night");
        sleep(Duration::from_mins(5)).await;
        assert!(world.server.resource("night").is_some());
        assert_eq!(world.sets(&namespace), ["engine-0"]);
        world.server.annotate("night", "onrush.dev/force-delete", "true");
        until_gone(&world.server, "night").await;
        assert_eq!(world.sets(&namespace), ["engine-0"]);
        controller.stop().await;
    });
}

async fn wins(server: &Server, name: &str) -> Leader {
    Candidate::new(&cluster(server), name.to_owned()).win().await
}

#[test]
fn one_control_plane_is_at_work_and_the_next_one_once_it_is_gone() {
    on_runtime(async {
        let server = Server::start();
        let mut first = wins(&server, "first").await;
        assert_eq!(first.term(), 0);
        let waits = timeout(Duration::from_mins(5), async {
            tokio::select! {
                second = wins(&server, "second") => Some(second),
                () = first.lost() => None,
            }
        });
        assert!(waits.await.is_err(), "while it is renewed nobody else gets it, and it is not lost");
        first.resign().await;
        let begun = Instant::now();
        let second = wins(&server, "second").await;
        assert_eq!((second.term(), begun.elapsed() < Duration::from_secs(3)), (1, true));
        // It hangs: the third one waits until its lease has run out.
        let begun = Instant::now();
        let third = wins(&server, "third").await;
        assert_eq!(third.term(), 2);
        assert!(begun.elapsed() >= Duration::from_secs(15), "{:?}", begun.elapsed());
        let mut second = second;
        timeout(Duration::from_secs(3), second.lost()).await.expect("whoever wakes up learns that it is lost");
    });
}

#[test]
fn whoever_cannot_renew_gives_up_before_anybody_else_begins() {
    on_runtime(async {
        let server = Server::start();
        let mut first = wins(&server, "first").await;
        server.fail(|number| if number.is_multiple_of(3) { Some(Fault::Lost) } else { None });
        let goes_on = timeout(Duration::from_mins(10), first.lost()).await;
        assert!(goes_on.is_err(), "an answer that is lost now and then is none of the lease");
        server.fail(|_| Some(Fault::Silence));
        let begun = Instant::now();
        first.lost().await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}

#[test]
fn of_many_at_once_one_wins() {
    on_runtime(async {
        let server = Server::start();
        server.fail(|number| if number.is_multiple_of(4) { Some(Fault::Lost) } else { None });
        let candidates: Vec<_> = (0..5)
            .map(|number| {
                let server = server.clone();
                tokio::spawn(async move { wins(&server, &format!("candidate-{number}")).await })
            })
            .collect();
        sleep(Duration::from_secs(10)).await;
        assert!(candidates.iter().filter(|candidate| candidate.is_finished()).count() <= 1);
        candidates.iter().for_each(JoinHandle::abort);
    });
}

/// What a cluster has to allow, and no more is asked of it.
#[test]
fn the_calls_are_those_that_are_committed() {
    on_runtime(async {
        let world = World::start();
        let mut leader = wins(&world.server, "one").await;
        timeout(Duration::from_secs(5), leader.lost()).await.expect_err("it is renewed");
        let controller = Controller::of(&world);
        // Over the API, as a resource, and both changed.
        driver::a_life(&world).await;
        world.edge().begin_anew();
        a_life(&world).await;
        world.edge().begin_anew();
        let deployment = templates::companions_come_and_go(&world).await;
        until(&world.server, &deployment.id.replace('_', "-"), is_ready).await;
        world.deployments().token(&seller(), &deployment.id, DeploymentTokenOrder::default()).await.unwrap();
        world.deployments().nodes(&Caller { role: Role::Admin, ..seller() }).await.unwrap();
        world.server.say_of_pods(json!({"phase": "Pending"}));
        world.trouble(&deployment.id, "Silent").await;
        sleep(Duration::from_mins(1)).await;
        controller.stop().await;
        let calls: Vec<_> = world.server.kinds_of_calls().into_iter().collect();
        golden_text("tests/kubernetes/calls.txt", &(calls.join("\n") + "\n"));
    });
}
