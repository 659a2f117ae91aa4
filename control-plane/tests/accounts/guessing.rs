//! Those who guess passwords: slowed down, told nothing, and in nobody's way.

use std::time::Duration;

use crate::fixture::{Answer, PASSWORD, Plane};

fn at(plane: &mut Plane, place: u8) {
    plane.from = [198, 51, 100, place].into();
}

#[test]
fn five_wrong_tries_and_then_one_has_to_wait() {
    let mut plane = Plane::open();
    plane.sign_up("kim@example.org", "buyer");
    at(&mut plane, 1);
    for _ in 0..5 {
        plane.expect(&plane.try_password("kim@example.org", "wrong, wrong"), 401, "wrong-credentials");
    }
    let refused = plane.try_password("kim@example.org", PASSWORD);
    plane.expect(&refused, 429, "quota-exceeded");
    let wait = refused.body["retry_after"].as_u64().unwrap();
    assert!((1..=901).contains(&wait), "{wait}");
    at(&mut plane, 2);
    plane.expect(&plane.try_password("kim@example.org", PASSWORD), 429, "quota-exceeded");
    plane.pass(Duration::from_secs(wait));
    plane.sign_in("kim@example.org");
}

#[test]
fn the_owner_gets_in_from_where_the_account_knows_while_others_guess() {
    let mut plane = Plane::open();
    plane.kim();
    let home = plane.from;
    for place in 0..20 {
        at(&mut plane, place);
        plane.try_password("kim@example.org", "wrong, wrong");
    }
    plane.from = home;
    plane.sign_in("kim@example.org");
}

/// A till or a buyer behind the same address as somebody who guesses goes on.
#[test]
fn who_shares_a_place_with_somebody_who_guesses_gets_in_where_the_account_is_known() {
    let plane = Plane::open();
    let token = plane.kim();
    let draft = serde_json::json!({"name": "till", "scopes": ["book"]});
    let key = plane.call("POST", "/v1/accounts/me/api-keys", &token, draft).text("key").to_owned();
    for number in 0..60 {
        plane.try_password(&format!("u{number}@example.org"), "wrong, wrong");
    }
    plane.expect(&plane.try_password("u99@example.org", "wrong, wrong"), 429, "quota-exceeded");
    plane.sign_in("kim@example.org");
    let machine = |key: &str| plane.call_with("POST", "/v1/sessions", &[], serde_json::json!({"api_key": key}));
    assert_eq!(machine(&key).status, 201);
    plane.expect(&machine("onr_x"), 429, "quota-exceeded");
}

#[test]
fn one_place_cannot_try_account_after_account() {
    let mut plane = Plane::open();
    at(&mut plane, 1);
    let tries = |plane: &Plane| {
        (0..60)
            .filter(|number| plane.try_password(&format!("u{number}@example.org"), "wrong, wrong").status == 401)
            .count()
    };
    assert_eq!(tries(&plane), 50);
    at(&mut plane, 2);
    assert_eq!(tries(&plane), 50);
}

#[test]
fn accounts_are_made_at_a_human_rate() {
    let mut plane = Plane::open();
    let sign_up = |plane: &Plane, number: usize| plane.sign_up(&format!("u{number}@example.org"), "buyer").status;
    assert_eq!((0..20).filter(|number| sign_up(&plane, *number) == 201).count(), 20);
    assert_eq!(sign_up(&plane, 20), 429);
    plane.from = [127, 0, 0, 1].into();
    assert_eq!((20..45).filter(|number| sign_up(&plane, *number) == 201).count(), 25, "this machine has no limit");
}

/// Nobody learns from an answer whether there is an account: not from its words, and both take one hash.
#[test]
fn a_wrong_password_and_a_missing_account_look_the_same() {
    let plane = Plane::open();
    plane.sign_up("kim@example.org", "buyer");
    let told = |answer: Answer| (answer.status, answer.body.to_string());
    let known = told(plane.try_password("kim@example.org", "wrong, wrong"));
    for nobody in ["lee@example.org", "no address", ""] {
        assert_eq!(told(plane.try_password(nobody, "wrong, wrong")), known);
    }
}

/// Also how often it may be tried is the same.
#[test]
fn a_missing_account_is_slowed_down_like_any_other() {
    let mut plane = Plane::open();
    plane.sign_up("kim@example.org", "buyer");
    at(&mut plane, 1);
    let tries = |email: &str| (0..10).filter(|_| plane.try_password(email, "wrong, wrong").status == 401).count();
    assert_eq!((tries("kim@example.org"), tries("lee@example.org")), (5, 5));
}

#[test]
fn who_holds_a_token_cannot_guess_the_password_with_it() {
    let plane = Plane::open();
    let token = plane.kim();
    let guess = || {
        let body = serde_json::json!({"email": "me@example.org", "current_password": "wrong, wrong"});
        plane.call("PATCH", "/v1/accounts/me", &token, body).status
    };
    assert_eq!((0..10).filter(|_| guess() == 401).count(), 5);
    assert_eq!(guess(), 429);
}
