//! Keys for machines.

use onrush_api::session::Scopes;
use onrush_api::token::Role;
use serde_json::{Value, json};

use crate::fixture::{Answer, Plane};

const KEYS: &str = "/v1/accounts/me/api-keys";

fn make(plane: &Plane, token: &str, scopes: Value) -> Answer {
    plane.call("POST", KEYS, token, json!({"name": "till", "scopes": scopes}))
}

fn sign_in(plane: &Plane, key: &str) -> Answer {
    plane.call_with("POST", "/v1/sessions", &[], json!({"api_key": key}))
}

#[test]
fn a_key_is_shown_once_and_signs_a_machine_in_for_a_part() {
    let mut plane = Plane::open();
    plane.sign_up("lee@example.org", "seller");
    let token = plane.sign_in("lee@example.org").text("access_token").to_owned();
    let made = make(&plane, &token, json!(["sell"]));
    assert_eq!((made.status, made.text("name")), (201, "till"));
    let listed = plane.call("GET", KEYS, &token, Value::Null);
    assert_eq!(listed.body["items"][0]["id"], made.body["id"]);
    assert!(!listed.body.to_string().contains("onr_"), "{listed:?}");
    plane.restart();
    let session = sign_in(&plane, made.text("key"));
    assert!(session.status == 201 && session.body.get("refresh_token").is_none(), "{session:?}");
    let caller = plane.at_the_edge(session.text("access_token")).unwrap();
    assert_eq!((caller.role, caller.scopes.cover(&[Role::Seller])), (Role::Seller, true));
    assert_ne!(caller.scopes, Scopes::All);
}

#[test]
fn a_machine_cannot_change_its_account() {
    let plane = Plane::open();
    let token = plane.kim();
    let key = make(&plane, &token, json!(["book"]));
    let machine = sign_in(&plane, key.text("key")).text("access_token").to_owned();
    assert_eq!(plane.call("GET", "/v1/accounts/me", &machine, Value::Null).status, 200);
    plane.expect(&make(&plane, &machine, json!(["book"])), 403, "forbidden");
    plane.expect(&plane.call("GET", KEYS, &machine, Value::Null), 403, "forbidden");
    plane.expect(&plane.call("PATCH", "/v1/accounts/me", &machine, json!({"name": "x"})), 403, "forbidden");
    plane.expect(&plane.call("DELETE", "/v1/accounts/me", &machine, json!({"password": "x"})), 403, "forbidden");
    plane.expect(&plane.call("DELETE", "/v1/sessions/current", &machine, Value::Null), 403, "forbidden");
}

#[test]
fn a_revoked_key_is_over_with_all_that_it_has_begun() {
    let mut plane = Plane::open();
    let token = plane.kim();
    let (key, other) = (make(&plane, &token, json!(["book"])), make(&plane, &token, json!(["book"])));
    let machine = sign_in(&plane, key.text("key")).text("access_token").to_owned();
    let path = format!("{KEYS}/{}", key.text("id"));
    assert_eq!(plane.call("DELETE", &path, &token, Value::Null).status, 204);
    for _ in 0..2 {
        assert!(plane.at_the_edge(&machine).is_none());
        plane.expect(&sign_in(&plane, key.text("key")), 401, "wrong-credentials");
        plane.restart();
    }
    assert_eq!(sign_in(&plane, other.text("key")).status, 201);
    plane.expect(&plane.call("DELETE", &path, &token, Value::Null), 404, "not-found");
}

#[test]
fn what_makes_no_key_is_refused() {
    let plane = Plane::open();
    let token = plane.kim();
    for scopes in [json!([]), json!(["sell"]), json!(["book", "ops"]), json!(["all"])] {
        plane.expect(&make(&plane, &token, scopes), 422, "invalid-body");
    }
    plane.sign_up("lee@example.org", "buyer");
    let lee = plane.sign_in("lee@example.org").text("access_token").to_owned();
    let key = make(&plane, &token, json!(["book"]));
    let path = format!("{KEYS}/{}", key.text("id"));
    plane.expect(&plane.call("DELETE", &path, &lee, Value::Null), 404, "not-found");
    for path in ["key_", "key_x", "acc_x"] {
        plane.expect(&plane.call("DELETE", &format!("{KEYS}/{path}"), &token, Value::Null), 404, "not-found");
    }
    for wrong in ["", "onr_", "onr_x", &key.text("key").replace("onr_", "ort_"), &(key.text("key").to_owned() + "A")] {
        plane.expect(&sign_in(&plane, wrong), 401, "wrong-credentials");
    }
    for _ in 1..20 {
        assert_eq!(make(&plane, &token, json!(["book"])).status, 201);
    }
    plane.expect(&make(&plane, &token, json!(["book"])), 403, "limit-exceeded");
}
