//! Images and templates: who may make them, what they have to be, and what becomes of those that go.

use std::time::Duration;

use onrush_api::token::Role;
use onrush_engine::time::Clock as _;
use serde_json::{Value, json};

use crate::fixture::{Answer, Plane};

/// Somebody's access token.
fn token(plane: &Plane, name: &str, role: Role) -> String {
    let account = format!("acc_{name}").parse().expect("an account");
    plane.keys.mint(account, role, plane.clock.now(), Duration::from_hours(1))
}

struct Hall {
    plane: Plane,
    admin: String,
    kim: String,
    lee: String,
}

impl Hall {
    fn open() -> Self {
        let plane = Plane::open();
        let [admin, kim, lee] = [("root", Role::Admin), ("kim", Role::Seller), ("lee", Role::Seller)]
            .map(|(name, role)| token(&plane, name, role));
        Self { plane, admin, kim, lee }
    }

    fn register(&self, change: Value) -> Answer {
        self.plane.call("POST", "/v1/images", &self.admin, with(raffle(), change))
    }

    fn make(&self, token: &str, change: Value) -> Answer {
        self.plane.call("POST", "/v1/templates", token, with(template(), change))
    }

    fn ids(&self, token: &str) -> Vec<String> {
        let all = self.plane.call("GET", "/v1/templates", token, Value::Null);
        let items = all.body["items"].as_array().expect("a page").clone();
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }
}

fn raffle() -> Value {
    json!({
        "name": "Raffle", "alias": "raffle", "version": "1", "reference": "registry.example/raffle:1",
        "spec": {"role": "companion", "ports": [{"name": "http", "port": 8_080}]},
    })
}

fn template() -> Value {
    let seats = json!({"name": "seats", "about": "Seats", "default": 100, "min": 1, "max": 1_000});
    json!({"title": "Club", "about": "A small one.", "parameters": [seats]})
}

fn with(mut body: Value, change: Value) -> Value {
    for (name, value) in change.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

fn pointers(answer: &Answer) -> Vec<&str> {
    let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

#[test]
fn an_image_is_known_once_and_to_everybody_who_sells() {
    let hall = Hall::open();
    let made = hall.register(json!({}));
    assert_eq!(made.status, 201, "{made:?}");
    let again = hall.register(json!({}));
    assert_eq!(
        (again.status, &again.body, again.headers.contains_key("idempotency-replayed")),
        (201, &made.body, true)
    );

    let taken = hall.register(json!({"alias": "other", "reference": "registry.example/other"}));
    hall.plane.expect(&taken, 409, "already-known");
    assert_eq!(pointers(&taken), ["/version"]);
    let taken = hall.register(json!({"name": "Other"}));
    assert_eq!((taken.status, pointers(&taken)), (409, vec!["/alias", "/reference"]));

    let path = format!("/v1/images/{}", made.text("id"));
    assert_eq!(hall.plane.call("GET", &path, &hall.kim, Value::Null).body, made.body);
    let all = hall.plane.call("GET", "/v1/images", &hall.kim, Value::Null);
    assert_eq!(all.body["items"], json!([made.body]));
    let gone = hall.plane.call("DELETE", &path, &hall.admin, Value::Null);
    assert_eq!(gone.status, 204, "{gone:?}");
    hall.plane.expect(&hall.plane.call("GET", &path, &hall.kim, Value::Null), 404, "not-found");
    hall.plane.expect(&hall.plane.call("DELETE", &path, &hall.admin, Value::Null), 404, "not-found");
}

#[test]
fn an_image_that_cannot_run_is_refused_with_every_reason() {
    let hall = Hall::open();
    let companion = |change| json!({"spec": with(raffle()["spec"].clone(), change)});
    let engine = |spec| json!({"reference": "program:onrush-2", "spec": with(json!({"role": "engine"}), spec)});
    for (change, wrong) in [
        (json!({"name": " ", "version": "", "alias": "Raffle"}), vec!["/name", "/version", "/alias"]),
        (json!({"alias": "engine"}), vec!["/alias"]),
        (json!({"reference": "a b"}), vec!["/reference"]),
        (json!({"reference": "program:../../bin/sh"}), vec!["/reference", "/reference"]),
        (json!({"reference": "program:onrush-2"}), vec!["/reference"]),
        (companion(json!({"ports": [{"name": "http", "port": 80}]})), vec!["/spec/ports/0/port"]),
        (
            companion(json!({"ports": [{"name": "a", "port": 8080}, {"name": "b", "port": 8080}]})),
            vec!["/spec/ports/1"],
        ),
        (
            companion(json!({"health": {"path": "healthz", "port": "ops"}})),
            vec!["/spec/health/path", "/spec/health/port"],
        ),
        (companion(json!({"connects_to": ["raffle"]})), vec!["/spec/connects_to/0"]),
        (companion(json!({"env": {"1A": "x"}})), vec!["/spec/env/1A"]),
        (companion(json!({"env": {"ONRUSH_SHOW": "x"}})), vec!["/spec/env/ONRUSH_SHOW"]),
        (companion(json!({"ports": [{"name": "a--b", "port": 8_080}]})), vec!["/spec/ports/0/name"]),
        (engine(json!({"ports": [{"name": "http", "port": 8080}]})), vec!["/spec/ports"]),
        (
            engine(json!({"env": {"LD_PRELOAD": "x", "ONRUSH_DATA": "/"}})),
            vec!["/spec/env/LD_PRELOAD", "/spec/env/ONRUSH_DATA"],
        ),
        (engine(json!({"connects_to": ["engine"]})), vec!["/spec/connects_to"]),
    ] {
        let refused = hall.register(change.clone());
        hall.plane.expect(&refused, 422, "invalid-body");
        assert_eq!(pointers(&refused), wrong, "{change}");
    }
    let by_a_seller = hall.plane.call("POST", "/v1/images", &hall.kim, raffle());
    hall.plane.expect(&by_a_seller, 403, "forbidden");
    assert_eq!(hall.plane.call("GET", "/v1/images", &hall.kim, Value::Null).body["items"], json!([]));
    assert_eq!(hall.register(engine(json!({"env": {"ONRUSH_LEASE_MS": "6000"}}))).status, 201);
}

#[test]
fn an_image_in_use_goes_when_that_is_meant() {
    let hall = Hall::open();
    let image = hall.register(json!({})).text("id").to_owned();
    let beside = json!({"companions": [{"name": "raffle", "image": image}]});
    let template = hall.make(&hall.admin, beside).text("id").to_owned();
    let path = format!("/v1/images/{image}");
    let refused = hall.plane.call("DELETE", &path, &hall.admin, Value::Null);
    hall.plane.expect(&refused, 409, "image-in-use");
    assert_eq!(refused.body["used_by"], json!([template]));
    hall.plane.expect(
        &hall.plane.call("DELETE", &format!("{path}?force=1"), &hall.admin, Value::Null),
        400,
        "bad-request",
    );
    hall.plane.expect(
        &hall.plane.call("DELETE", &format!("{path}?force=true"), &hall.kim, Value::Null),
        403,
        "forbidden",
    );
    let gone = hall.plane.call("DELETE", &format!("{path}?force=true"), &hall.admin, Value::Null);
    assert_eq!((gone.status, gone.body), (200, json!({"templates": [template], "deployments": []})));
}

#[test]
fn a_template_is_its_owners() {
    let mut hall = Hall::open();
    let shipped = hall.ids(&hall.kim);
    let of_all = hall.make(&hall.admin, json!({})).text("id").to_owned();
    let made = hall.make(&hall.kim, json!({}));
    let of_kim = made.text("id").to_owned();
    assert_eq!((made.status, &made.body["owner"], &made.body["shipped"]), (201, &json!("acc_kim"), &json!(false)));
    let again = hall.make(&hall.kim, json!({}));
    assert_eq!((again.text("id"), again.headers.contains_key("idempotency-replayed")), (of_kim.as_str(), true));
    hall.plane.expect(&hall.make(&hall.kim, json!({"about": "Another."})), 409, "already-known");
    assert_eq!(hall.make(&hall.lee, json!({})).status, 201, "another's titles are no matter");

    hall.plane.restart();
    let path = format!("/v1/templates/{of_kim}");
    assert!(hall.ids(&hall.kim).contains(&of_kim) && hall.ids(&hall.admin).contains(&of_kim));
    assert!(!hall.ids(&hall.lee).contains(&of_kim) && hall.ids(&hall.lee).contains(&of_all));
    let expired = hall.plane.call("GET", "/v1/templates", "not-a-token", Value::Null);
    hall.plane.expect(&expired, 401, "unauthenticated");
    let page = hall.plane.call("GET", "/v1/templates?limit=1", &hall.kim, Value::Null);
    assert_eq!((page.body["items"].as_array().map(Vec::len), page.body["next_cursor"].is_string()), (Some(1), true));
    let everybody = hall.plane.call_with("GET", "/v1/templates", &[], Value::Null);
    assert_eq!(everybody.body["items"].as_array().expect("a page").len(), shipped.len() + 1);
    for (method, body) in [("GET", Value::Null), ("PUT", template()), ("DELETE", Value::Null)] {
        hall.plane.expect(&hall.plane.call(method, &path, &hall.lee, body), 404, "not-found");
    }
    for known in [&of_all, &shipped[0]] {
        let path = format!("/v1/templates/{known}");
        hall.plane.expect(&hall.plane.call("DELETE", &path, &hall.kim, Value::Null), 403, "forbidden");
        hall.plane.expect(&hall.plane.call("PUT", &path, &hall.kim, template()), 403, "forbidden");
    }
    let of_release = format!("/v1/templates/{}", shipped[0]);
    hall.plane.expect(&hall.plane.call("DELETE", &of_release, &hall.admin, Value::Null), 403, "forbidden");

    let changed = hall.plane.call("PUT", &path, &hall.kim, with(template(), json!({"title": "Arena"})));
    assert_eq!((changed.status, changed.text("title"), changed.text("id")), (200, "Arena", of_kim.as_str()));
    assert_eq!(hall.plane.call("GET", &path, &hall.kim, Value::Null).body, changed.body);
    assert_eq!(hall.make(&hall.kim, json!({})).status, 201, "its title is free again");
    hall.plane.expect(&hall.plane.call("PUT", &path, &hall.kim, template()), 409, "already-known");
    assert_eq!(hall.plane.call("DELETE", &path, &hall.kim, Value::Null).status, 204);
    hall.plane.expect(&hall.plane.call("GET", &path, &hall.kim, Value::Null), 404, "not-found");
}

#[test]
fn a_template_that_nothing_can_be_made_from_is_refused_with_every_reason() {
    let hall = Hall::open();
    let raffle = hall.register(json!({"spec": {"role": "companion", "connects_to": ["cache"]}})).text("id").to_owned();
    let cache = json!({"name": "Cache", "alias": "cache", "reference": "registry.example/cache"});
    let cache = hall.register(cache).text("id").to_owned();
    let of = |name: &str, image: &str| json!({"name": name, "image": image});
    let seats = |change: Value| json!({"parameters": [with(template()["parameters"][0].clone(), change)]});
    for (change, wrong) in [
        (json!({"title": "", "about": ""}), vec!["/title", "/about"]),
        (json!({"engine": "img_none"}), vec!["/engine"]),
        (json!({"engine": raffle}), vec!["/engine"]),
        (json!({"companions": [of("raffle", &raffle)]}), vec!["/companions/0/image"]),
        (json!({"companions": [of("engine", &cache)]}), vec!["/companions/0/name"]),
        (json!({"companions": [of("a", &cache), of("a", &cache)]}), vec!["/companions/1/name"]),
        (json!({"companions": [with(of("a", &cache), json!({"replicas": 0}))]}), vec!["/companions/0/replicas"]),
        (
            json!({"companions": [with(of("a", &cache), json!({"replicas": 8, "cpu_millis": 8_000}))]}),
            vec!["/companions"],
        ),
        (seats(json!({"max": 200_001})), vec!["/parameters/0/max"]),
        (seats(json!({"min": 0})), vec!["/parameters/0/min"]),
        (seats(json!({"default": 1_001})), vec!["/parameters/0/default"]),
        (seats(json!({"name": "Seats"})), vec!["/parameters/0/name"]),
        (seats(json!({"name": "memory_mib", "min": 256, "default": 256, "max": 9_000})), vec!["/parameters/0/max"]),
    ] {
        let refused = hall.make(&hall.kim, change.clone());
        hall.plane.expect(&refused, 422, "invalid-body");
        assert_eq!(pointers(&refused), wrong, "{change}");
    }
    let both = json!({"companions": [of("raffle", &raffle), of("cache", &cache)]});
    assert_eq!(hall.make(&hall.kim, both).status, 201);
    let large =
        json!({"title": "Large", "companions": [with(of("a", &cache), json!({"replicas": 8, "cpu_millis": 8_000}))]});
    assert_eq!(hall.make(&hall.admin, large).status, 201, "the platform's may take more");
    let buyer = token(&hall.plane, "buyer", Role::Buyer);
    hall.plane.expect(&hall.make(&buyer, json!({})), 403, "forbidden");
}
