//! What a template adds to a show's namespace, larger engines, and tokens for those who help.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use onrush_api::deployments::{Deployment, DeploymentDraft, DeploymentTokenOrder};
use onrush_api::key_file::KeyFile;
use onrush_api::peer::Peer;
use onrush_api::problem::Kind;
use onrush_api::text::Text;
use onrush_api::token::Role;
use onrush_engine::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::driver::{SHOW, World, badly, namespace_of, on_runtime, seller};

/// Asks as an admin over the API; the answer's body.
async fn ask(world: &World, method: &str, path: &str, body: Value) -> Value {
    let keys = KeyFile::open_or_create(&KeyFile::path_in(world.data())).unwrap();
    let admin = "acc_root".parse().unwrap();
    let token = keys.mint(admin, Role::Admin, SystemClock::start().now(), Duration::from_hours(9));
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    let request = request.extension(Peer([127, 0, 0, 1].into())).body(Bytes::from(body.to_string())).unwrap();
    let answer = world.shared_plane().respond(request).await.unwrap_or_else(|problem| panic!("{:?}", problem.body()));
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

/// The id of an image, which is made known.
async fn image(world: &World, alias: &str, reference: &str, spec: Value) -> String {
    let draft = json!({"name": alias, "alias": alias, "version": "1", "reference": reference, "spec": spec});
    ask(world, "POST", "/v1/images", draft).await["id"].as_str().unwrap().to_owned()
}

async fn template(world: &World, title: &str, parts: Value) -> String {
    let mut draft = json!({"title": title, "about": "For a test."});
    draft.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    ask(world, "POST", "/v1/templates", draft).await["id"].as_str().unwrap().to_owned()
}

fn draft(template: &str) -> DeploymentDraft {
    DeploymentDraft { template: template.to_owned(), show: Text(SHOW), parameters: BTreeMap::new() }
}

async fn deploy(world: &World, template: &str) -> Deployment {
    let deployment = world.deployments().create(&seller(), draft(template)).await.unwrap().0;
    world.done(&deployment.id).await
}

/// What runs beside the engines, and what is said of it: kinds and names.
fn beside(world: &World, namespace: &str) -> Vec<String> {
    let of = |group: &str, kind: &str| {
        let paths = world.server.paths(&format!("{group}/namespaces/{namespace}/{kind}/"));
        let names = paths.iter().map(|path| path.rsplit('/').next().unwrap().to_owned());
        names.map(|name| format!("{kind}/{name}")).collect::<Vec<_>>()
    };
    [of("/apis/apps/v1", "deployments"), of("/api/v1", "services"), of("/apis/networking.k8s.io/v1", "networkpolicies")]
        .concat()
}

pub(crate) async fn companions_come_and_go(world: &World) -> Deployment {
    let port = json!([{"name": "http", "port": 8_080}]);
    let raffle = image(world, "raffle", "registry.example/raffle:1", json!({"role": "companion", "ports": port})).await;
    let board =
        image(world, "board", "registry.example/board:1", json!({"role": "companion", "connects_to": ["engine"]}))
            .await;
    let both = json!({"companions": [{"name": "raffle", "image": raffle}, {"name": "board", "image": board}]});
    let seats = json!([{"name": "seats", "about": "Seats", "default": 700, "min": 1, "max": 1_000}]);
    let template = template(world, "Both", json!({"companions": both["companions"], "parameters": seats})).await;
    let deployment = deploy(world, &template).await;
    let namespace = namespace_of(&deployment);
    let plain = ["services/engine", "networkpolicies/deny-all", "networkpolicies/edges-in"];
    assert_eq!(
        beside(world, &namespace),
        [
            "deployments/board",
            "deployments/raffle",
            "services/engine",
            "services/raffle",
            "networkpolicies/beside-board",
            "networkpolicies/beside-raffle",
            "networkpolicies/deny-all",
            "networkpolicies/edges-in",
            "networkpolicies/engine-from-board",
        ]
    );
    let raffle_set = format!("/apis/apps/v1/namespaces/{namespace}/deployments/raffle");
    let container = world.server.object(&raffle_set).unwrap()["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["env"][1], json!({"name": "ONRUSH_PARAMETER_SEATS", "value": "700"}));
    let gone = ask(world, "DELETE", &format!("/v1/images/{raffle}?force=true"), Value::Null).await;
    assert_eq!(gone, json!({"templates": [template], "deployments": [deployment.id]}));
    let refused = world.deployments().create(&seller(), draft(&template)).await.unwrap_err();
    assert_eq!(refused.kind, Kind::InvalidBody, "nothing is made from what is not there any more");

    let alone =
        json!({"title": "Both", "about": "The board alone.", "companions": [{"name": "board", "image": board}]});
    ask(world, "PUT", &format!("/v1/templates/{template}"), alone).await;
    assert!(world.server.object(&raffle_set).is_some(), "what runs stays as it is until it is asked for once more");
    let draft = draft(&template);
    world.deployments().change(&seller(), &deployment.id, draft).await.unwrap();
    world.done(&deployment.id).await;
    assert_eq!(
        beside(world, &namespace),
        [
            "deployments/board",
            "services/engine",
            "networkpolicies/beside-board",
            "networkpolicies/deny-all",
            "networkpolicies/edges-in",
            "networkpolicies/engine-from-board",
        ]
    );
    let plain_draft = self::draft("tpl_reserved-seating");
    world.deployments().change(&seller(), &deployment.id, plain_draft).await.unwrap();
    world.done(&deployment.id).await;
    assert_eq!(beside(world, &namespace), plain);
    deployment
}

#[test]
fn companions_come_with_a_template_and_go_with_it() {
    on_runtime(async { drop(companions_come_and_go(&World::start()).await) });
}

#[test]
fn companions_come_and_go_in_a_cluster_that_answers_badly() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(badly);
        companions_come_and_go(&world).await;
    });
}

#[test]
fn engines_run_the_image_that_a_template_names() {
    on_runtime(async {
        let world = World::start();
        let spec = json!({"role": "engine", "env": {"ONRUSH_LEASE_MS": "9000"}});
        let next = image(&world, "next", "registry.example/onrush:2", spec).await;
        let template = template(&world, "Next", json!({"engine": next})).await;
        let deployment = deploy(&world, "tpl_reserved-seating").await;
        let namespace = namespace_of(&deployment);
        let container = |name: &str| world.set(&namespace, name)["spec"]["template"]["spec"]["containers"][0].clone();
        assert_eq!(container("engine-0")["image"], "onrush:1");
        world.deployments().change(&seller(), &deployment.id, draft(&template)).await.unwrap();
        world.done(&deployment.id).await;
        assert_eq!(world.sets(&namespace), ["engine-1"]);
        assert_eq!(container("engine-1")["image"], "registry.example/onrush:2");
        assert!(container("engine-1")["env"].to_string().contains(r#"{"name":"ONRUSH_LEASE_MS","value":"9000"}"#));

        let own = image(&world, "own", "program:onrush-3", json!({"role": "engine"})).await;
        let template = self::template(&world, "Program", json!({"engine": own})).await;
        let refused = world.deployments().change(&seller(), &deployment.id, draft(&template)).await.unwrap_err();
        assert!(refused.body().errors.as_ref().unwrap()[0].detail.contains("a program of a machine"), "{refused:?}");
    });
}

#[test]
fn a_show_gets_larger_engines() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        let namespace = namespace_of(&deployment);
        let asked = world.scale_to(&deployment.id, Some(2), Some("1.5"), Some("2Gi")).await.unwrap();
        assert_eq!((asked.cpu.as_deref(), asked.memory.as_deref(), asked.replicas), (Some("1500m"), Some("2048Mi"), 2));
        world.done(&deployment.id).await;
        assert_eq!(world.sets(&namespace), ["engine-1", "engine-2"]);
        let resources = || {
            let sets = world.sets(&namespace);
            let set = world.set(&namespace, sets.last().unwrap());
            set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].clone()
        };
        assert_eq!(resources(), json!({"cpu": "1500m", "memory": "2048Mi"}));
        let quota = world.server.object(&format!("/api/v1/namespaces/{namespace}/resourcequotas/show")).unwrap();
        assert_eq!(quota["spec"]["hard"]["limits.memory"], "8192Mi");

        world.scale_to(&deployment.id, None, Some("1500m"), None).await.unwrap();
        world.scale_to(&deployment.id, Some(3), None, None).await.unwrap();
        world.done(&deployment.id).await;
        assert_eq!(world.sets(&namespace), ["engine-1", "engine-2", "engine-3"], "what is as it is to be stays");
        assert_eq!(resources(), json!({"cpu": "1500m", "memory": "2048Mi"}));
        for (replicas, cpu, memory, field) in [
            (None, None, None, ""),
            (Some(9), Some("1"), None, "/replicas"),
            (None, Some("many"), None, "/cpu"),
            (None, None, Some("2GB"), "/memory"),
            (None, Some("100"), Some("1Mi"), "/cpu"),
            (None, Some("4.001"), None, "/cpu"),
            (None, None, Some("8193Mi"), "/memory"),
        ] {
            let refused = world.scale_to(&deployment.id, replicas, cpu, memory).await.unwrap_err();
            assert_eq!(refused.body().errors.as_ref().unwrap()[0].pointer, field);
        }
    });
}

#[test]
fn who_helps_with_a_show_gets_a_token_for_its_namespace() {
    on_runtime(async {
        let world = World::start();
        world.server.fail(badly);
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        let asked = DeploymentTokenOrder { expires_in_seconds: Some(900) };
        let given = world.deployments().token(&seller(), &deployment.id, asked).await.unwrap();
        assert_eq!((given.token.0.as_str(), given.namespace), ("a-token-for-900", namespace_of(&deployment)));
        for seconds in [599, 86_401] {
            let asked = DeploymentTokenOrder { expires_in_seconds: Some(seconds) };
            let refused = world.deployments().token(&seller(), &deployment.id, asked).await.unwrap_err();
            assert_eq!(refused.kind, Kind::InvalidBody);
        }
        let other = onrush_api::token::Caller { account: "acc_other".parse().unwrap(), ..seller() };
        let refused = world.deployments().token(&other, &deployment.id, DeploymentTokenOrder::default()).await;
        assert_eq!(refused.unwrap_err().kind, Kind::NotFound);
    });
}

#[test]
fn a_show_has_a_host_of_its_own_where_the_cluster_has_gateways() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        let now = world.done(&deployment.id).await;
        let name = namespace_of(&deployment);
        assert_eq!(now.host, Some(format!("{name}.shows.example.org")));
        let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/onrush/httproutes/{name}");
        let route = world.server.object(&path).unwrap();
        assert_eq!(route["spec"]["hostnames"], json!([now.host]));
        assert_eq!(route["spec"]["parentRefs"], json!([{"namespace": "gateways", "name": "public"}]));
        world.edge().at.clear();
        world.deployments().delete(&seller(), &deployment.id, false).await.unwrap();
        assert_eq!(world.server.object(&path), None);

        let world = World::start();
        world.server.forget_gateways();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
    });
}

#[test]
fn what_never_starts_is_taken_back() {
    on_runtime(async {
        let world = World::start();
        let deployment = world.deploy().await;
        world.done(&deployment.id).await;
        let namespace = namespace_of(&deployment);
        let runs = world.set(&namespace, "engine-0");
        world.server.say_of_new_pods(json!({"phase": "Pending"}));
        world.scale_to(&deployment.id, None, Some("2"), None).await.unwrap();
        world.trouble(&deployment.id, "Starting").await;
        let quota = || world.server.object(&format!("/api/v1/namespaces/{namespace}/resourcequotas/show")).unwrap();
        assert_eq!(quota()["spec"]["hard"]["requests.cpu"], "8000m", "room for the larger of old and new");

        world.server.say_of_new_pods(json!({"phase": "Running"}));
        let smaller = json!({"crowd": 100}).as_object().unwrap().clone().into_iter().collect();
        let back = DeploymentDraft { parameters: smaller, ..draft("tpl_reserved-seating") };
        world.deployments().change(&seller(), &deployment.id, back).await.unwrap();
        world.done(&deployment.id).await;
        assert_eq!(world.sets(&namespace), ["engine-2"], "what never started did not keep it");
        assert_ne!(world.set(&namespace, "engine-2"), runs);
    });
}
