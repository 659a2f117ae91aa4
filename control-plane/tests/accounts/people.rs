//! Signing up, and changing an account.

use onrush_api::accounts::Secret;
use onrush_api::token::Role;
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Plane};

#[test]
fn who_signs_up_has_an_account_and_an_address_has_one() {
    let plane = Plane::open();
    let made = plane.sign_up(" Kim@Example.org", "seller");
    assert_eq!((made.status, made.text("email"), made.text("role")), (201, "kim@example.org", "seller"));
    assert_eq!(made.headers["location"], "/v1/accounts/me");
    assert!(made.body.get("password").is_none());
    plane.expect(&plane.sign_up("KIM@example.ORG", "buyer"), 409, "email-taken");
    let token = plane.sign_in("kim@example.org").text("access_token").to_owned();
    let read = plane.call("GET", "/v1/accounts/me", &token, Value::Null);
    assert_eq!((read.status, &read.body), (200, &made.body));
    assert_eq!(plane.at_the_edge(&token).unwrap().role, Role::Seller);
}

#[test]
fn what_makes_no_account_is_refused_with_the_place() {
    let plane = Plane::open();
    let fine = json!({"email": "kim@example.org", "password": PASSWORD, "name": "Kim", "role": "buyer"});
    for (field, value) in [
        ("email", json!("kim")),
        ("email", json!("@example.org")),
        ("email", json!("kim@exa mple.org")),
        ("email", json!(format!("{}@example.org", "x".repeat(250)))),
        ("password", json!("short")),
        ("password", json!("password")),
        ("name", json!(" ")),
        ("name", json!("x".repeat(101))),
        ("role", json!("admin")),
        ("verified", json!(true)),
    ] {
        let mut body = fine.clone();
        body[field] = value;
        let answer = plane.call_with("POST", "/v1/accounts", &[], body);
        plane.expect(&answer, 422, "invalid-body");
        assert_eq!(answer.body["errors"][0]["pointer"], format!("/{field}"), "{answer:?}");
    }
    let wrong = json!({"email": "kim", "password": "short", "name": "", "role": "buyer"});
    let answer = plane.call_with("POST", "/v1/accounts", &[], wrong);
    plane.expect(&answer, 422, "invalid-body");
    let pointers = [0, 1, 2].map(|place| answer.body["errors"][place]["pointer"].as_str().map(str::to_owned));
    assert_eq!(pointers, ["/email", "/name", "/password"].map(|pointer| Some(pointer.to_owned())));
    assert_eq!(plane.call_with("POST", "/v1/accounts", &[], fine).status, 201);
}

#[test]
fn the_same_request_answers_again_and_another_with_its_key_does_not() {
    let mut plane = Plane::open();
    let key = [("idempotency-key", "k-1")];
    let body = json!({"email": "kim@example.org", "password": PASSWORD, "name": "Kim", "role": "buyer"});
    let sign_up = |plane: &Plane, body: &Value| plane.call_with("POST", "/v1/accounts", &key, body.clone());
    let first = sign_up(&plane, &body);
    plane.restart();
    let again = sign_up(&plane, &body);
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert!(again.headers["idempotency-replayed"] == "true" && first.headers.get("idempotency-replayed").is_none());
    for (field, value) in [("name", "Lee"), ("password", "another garden, 4 lamps"), ("role", "seller")] {
        let mut other = body.clone();
        other[field] = json!(value);
        plane.expect(&sign_up(&plane, &other), 422, "idempotency-key-reused");
    }
    plane.expect(&plane.sign_up("kim@example.org", "buyer"), 409, "email-taken");
    plane.pass(std::time::Duration::from_hours(25));
    plane.expect(&sign_up(&plane, &body), 409, "email-taken");
}

#[test]
fn a_name_changes_and_an_address_or_password_needs_the_current_one() {
    let plane = Plane::open();
    let token = plane.kim();
    plane.sign_up("lee@example.org", "buyer");
    let change = |body: Value| plane.call("PATCH", "/v1/accounts/me", &token, body);
    assert_eq!(change(json!({"name": "Lee Jun"})).text("name"), "Lee Jun");
    plane.expect(&change(json!({"email": "new@example.org"})), 422, "invalid-body");
    let wrong = json!({"email": "new@example.org", "current_password": "wrong, wrong"});
    plane.expect(&change(wrong), 401, "wrong-credentials");
    let taken = json!({"email": "lee@example.org", "current_password": PASSWORD});
    plane.expect(&change(taken), 409, "email-taken");
    plane.expect(&change(json!({"password": "12345678", "current_password": PASSWORD})), 422, "invalid-body");
    let moved = change(json!({"email": "New@example.org", "current_password": PASSWORD}));
    assert_eq!((moved.status, moved.text("email"), moved.text("name")), (200, "new@example.org", "Lee Jun"));
    plane.expect(&plane.try_password("kim@example.org", PASSWORD), 401, "wrong-credentials");
    plane.sign_in("new@example.org");
    assert_eq!(plane.sign_up("kim@example.org", "buyer").status, 201, "the old address is free");
}

#[test]
fn a_new_password_signs_all_other_sessions_out() {
    let plane = Plane::open();
    let token = plane.kim();
    let other = plane.sign_in("kim@example.org");
    let body = json!({"password": "another garden, 4 lamps", "current_password": PASSWORD});
    assert_eq!(plane.call("PATCH", "/v1/accounts/me", &token, body).status, 200);
    assert!(plane.at_the_edge(&token).is_some() && plane.at_the_edge(other.text("access_token")).is_none());
    plane.expect(&plane.refresh(other.text("refresh_token")), 401, "wrong-credentials");
    plane.expect(&plane.try_password("kim@example.org", PASSWORD), 401, "wrong-credentials");
    assert_eq!(plane.try_password("kim@example.org", "another garden, 4 lamps").status, 201);
}

#[test]
fn the_first_admin_is_made_once_and_in_nobody_elses_place() {
    let mut plane = Plane::open();
    let make = |plane: &Plane, email: &str, password: &str| {
        plane.wait(plane.plane().accounts.make_first_admin(email, &Secret(password.to_owned())))
    };
    let is_made = |plane: &Plane| plane.wait(plane.plane().accounts.has_first_admin()).unwrap();
    plane.sign_up("kim@example.org", "buyer");
    assert!(make(&plane, "kim@example.org", PASSWORD).is_err());
    assert!(make(&plane, "other@example.org", "password").is_err());
    assert!(!is_made(&plane));
    make(&plane, "root@example.org", PASSWORD).unwrap();
    let token = plane.sign_in("root@example.org").text("access_token").to_owned();
    assert_eq!(plane.at_the_edge(&token).unwrap().role, Role::Admin);
    // Not even an admin who goes away is made again with the old password.
    let closing = json!({"password": PASSWORD});
    assert_eq!(plane.call("DELETE", "/v1/accounts/me", &token, closing).status, 204);
    plane.restart();
    assert!(is_made(&plane));
}

#[test]
fn what_is_not_a_route_or_has_no_token_is_refused() {
    let plane = Plane::open();
    for (method, path) in
        [("GET", "/v1/accounts/me"), ("DELETE", "/v1/sessions/current"), ("GET", "/v1/accounts/me/api-keys")]
    {
        plane.expect(&plane.call(method, path, "no token", Value::Null), 401, "unauthenticated");
        plane.expect(&plane.call_with(method, path, &[], Value::Null), 401, "unauthenticated");
    }
    plane.expect(&plane.call_with("GET", "/v1/accounts", &[], Value::Null), 404, "not-found");
    plane.expect(
        &plane.call_with("POST", "/v1/sessions", &[], json!({"email": "kim@example.org"})),
        422,
        "invalid-body",
    );
    let stranger =
        plane.keys.mint("acc_x".parse().unwrap(), Role::Buyer, now(&plane), std::time::Duration::from_mins(1));
    plane.expect(&plane.call("GET", "/v1/accounts/me", &stranger, Value::Null), 404, "not-found");
    plane.expect(&plane.call("DELETE", "/v1/sessions/current", &stranger, Value::Null), 403, "forbidden");
}

fn now(plane: &Plane) -> onrush_engine::time::Timestamp {
    use onrush_engine::time::Clock as _;
    plane.clock.now()
}

#[test]
fn an_account_does_not_try_address_after_address() {
    let plane = Plane::open();
    let token = plane.kim();
    let moved = (0..10).filter(|number| {
        let body = json!({"email": format!("kim{number}@example.org"), "current_password": PASSWORD});
        plane.call("PATCH", "/v1/accounts/me", &token, body).status == 200
    });
    assert_eq!(moved.count(), 5);
}

/// A new address takes a hash; a new name, which takes none, overtakes it.
#[test]
fn a_change_does_not_undo_another_that_came_meanwhile() {
    let plane = Plane::open();
    let token = format!("Bearer {}", plane.kim());
    let headers = [("authorization", token.as_str())];
    let change = |body| plane.answer("PATCH", "/v1/accounts/me", &headers, body);
    let moves = change(json!({"email": "n@example.org", "current_password": PASSWORD}));
    let (moved, named) = plane.wait(async { tokio::join!(moves, change(json!({"name": "Lee Jun"}))) });
    assert_eq!((named.status, named.text("email")), (200, "kim@example.org"));
    assert_eq!((moved.text("name"), moved.text("email")), ("Lee Jun", "n@example.org"));
}

#[test]
fn a_request_with_two_keys_is_refused() {
    let plane = Plane::open();
    let body = json!({"email": "kim@example.org", "password": PASSWORD, "name": "Kim", "role": "buyer"});
    let keys = [("idempotency-key", "k-1"), ("idempotency-key", "k-2")];
    plane.expect(&plane.call_with("POST", "/v1/accounts", &keys, body), 400, "bad-request");
}
