//! Closing an account: its owner is forgotten, for good.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::fixture::{PASSWORD, Plane, is_on_disk};

fn close(plane: &Plane, token: &str, force: bool) -> crate::fixture::Answer {
    plane.call("DELETE", "/v1/accounts/me", token, json!({"password": PASSWORD, "force": force}))
}

#[test]
fn a_closed_account_is_gone_everywhere_at_once_and_its_address_is_free() {
    let mut plane = Plane::open();
    let token = plane.kim();
    let session = plane.sign_in("kim@example.org");
    let key = plane.call("POST", "/v1/accounts/me/api-keys", &token, json!({"name": "till", "scopes": ["book"]}));
    let machine = plane.call_with("POST", "/v1/sessions", &[], json!({"api_key": key.text("key")}));
    assert_eq!(close(&plane, &token, false).status, 204);
    for _ in 0..2 {
        for void in [&token, session.text("access_token"), machine.text("access_token")] {
            assert!(plane.at_the_edge(void).is_none());
        }
        plane.expect(&plane.refresh(session.text("refresh_token")), 401, "wrong-credentials");
        plane.expect(&plane.try_password("kim@example.org", PASSWORD), 401, "wrong-credentials");
        plane.restart();
    }
    assert_eq!(plane.sign_up("kim@example.org", "buyer").status, 201);
}

#[test]
fn what_identifies_somebody_is_gone_from_the_disk_after_the_next_tidying_up() {
    let plane = Plane::open();
    let token = plane.kim();
    plane.sign_up("lee@example.org", "buyer");
    let on_disk = |text: &str| is_on_disk(plane.data.path(), text.as_bytes());
    assert!(on_disk("kim@example.org") && on_disk("Kim Minji"));
    let moved = json!({"email": "moved@example.org", "name": "Park Jiwoo", "current_password": PASSWORD});
    assert_eq!(plane.call("PATCH", "/v1/accounts/me", &token, moved).status, 200);
    assert_eq!(close(&plane, &token, false).status, 204);
    plane.plane().accounts.upkeep().unwrap();
    assert!(on_disk("moved@example.org"), "not yet");
    plane.pass(Duration::from_mins(1));
    plane.plane().accounts.upkeep().unwrap();
    for gone in ["kim@example.org", "moved@example.org", "Park Jiwoo"] {
        assert!(!on_disk(gone), "{gone}");
    }
    assert!(on_disk("lee@example.org"));
    plane.sign_in("lee@example.org");
}

#[test]
fn what_is_booked_keeps_an_account_open_unless_it_is_given_up() {
    let plane = Plane::open();
    let token = plane.kim();
    plane.outstanding.lock().unwrap().bookings = true;
    plane.expect(&close(&plane, &token, false), 409, "bookings-outstanding");
    assert_eq!(plane.call("GET", "/v1/accounts/me", &token, Value::Null).status, 200, "nothing has changed");
    plane.sign_in("kim@example.org");
    assert_eq!(close(&plane, &token, true).status, 204);
    // Once more behind the closing, for what was booked meanwhile.
    assert_eq!(plane.outstanding.lock().unwrap().asked, [false, true, true]);
}

/// Somebody else may have the address by the time that a second closing comes to its end.
#[test]
fn a_second_closing_leaves_the_next_owner_of_the_address_alone() {
    let plane = Plane::open();
    let token = plane.kim();
    let (go_on, waits) = oneshot::channel();
    plane.outstanding.lock().unwrap().waits = Some(waits);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let closing = || plane.answer("DELETE", "/v1/accounts/me", &headers, json!({"password": PASSWORD}));
    let signing_up = async {
        while plane.outstanding.lock().unwrap().asked.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(closing().await.status, 204);
        let draft = json!({"email": "kim@example.org", "password": PASSWORD, "name": "Kim", "role": "buyer"});
        assert_eq!(plane.answer("POST", "/v1/accounts", &[], draft).await.status, 201);
        go_on.send(()).unwrap();
    };
    let (first, ()) = plane.wait(async { tokio::join!(closing(), signing_up) });
    plane.expect(&first, 401, "wrong-credentials");
    plane.sign_in("kim@example.org");
}

#[test]
fn closing_goes_on_being_erased_however_often_accounts_are_closed() {
    let plane = Plane::open();
    for number in 0..4 {
        let email = format!("u{number}@example.org");
        plane.sign_up(&email, "buyer");
        let token = plane.sign_in(&email).text("access_token").to_owned();
        assert_eq!(close(&plane, &token, false).status, 204);
        plane.pass(Duration::from_secs(25));
        plane.plane().accounts.upkeep().unwrap();
    }
    assert!(!is_on_disk(plane.data.path(), b"u0@example.org"), "a minute is over since the first");
}

#[test]
fn nothing_is_given_up_for_a_wrong_password() {
    let plane = Plane::open();
    let token = plane.kim();
    let wrong = plane.call("DELETE", "/v1/accounts/me", &token, json!({"password": "wrong, wrong", "force": true}));
    plane.expect(&wrong, 401, "wrong-credentials");
    assert!(plane.outstanding.lock().unwrap().asked.is_empty());
    plane.expect(&plane.call("DELETE", "/v1/accounts/me", &token, json!({})), 422, "invalid-body");
    plane.sign_in("kim@example.org");
}
