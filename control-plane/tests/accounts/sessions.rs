//! Signing in, going on, signing out.

use std::time::Duration;

use onrush_api::key_file::{FollowedKeyFile, KeyFile};
use onrush_engine::time::Clock as _;
use serde_json::Value;

use crate::fixture::{Plane, is_on_disk};

#[test]
fn a_session_goes_on_with_tokens_that_can_be_used_once() {
    let mut plane = Plane::open();
    plane.kim();
    let first = plane.sign_in("kim@example.org");
    assert_eq!((first.text("token_type"), &first.body["expires_in"]), ("Bearer", &900.into()));
    plane.restart();
    let second = plane.refresh(first.text("refresh_token"));
    assert_eq!(second.status, 200);
    let session = |answer: &crate::fixture::Answer| plane.at_the_edge(answer.text("access_token")).unwrap().session;
    assert_eq!(session(&first), session(&second));
    assert_ne!(first.text("refresh_token"), second.text("refresh_token"));
    plane.pass(Duration::from_mins(16));
    assert!(plane.at_the_edge(first.text("access_token")).is_none(), "an access token is short");
}

#[test]
fn a_refresh_token_that_is_used_twice_ends_its_session_and_no_other() {
    let plane = Plane::open();
    let other = plane.kim();
    let first = plane.sign_in("kim@example.org");
    let second = plane.refresh(first.text("refresh_token"));
    plane.expect(&plane.refresh(first.text("refresh_token")), 401, "wrong-credentials");
    plane.expect(&plane.refresh(second.text("refresh_token")), 401, "wrong-credentials");
    assert!(plane.at_the_edge(second.text("access_token")).is_none() && plane.at_the_edge(&other).is_some());
}

#[test]
fn what_is_no_refresh_token_changes_nothing() {
    let plane = Plane::open();
    plane.kim();
    let session = plane.sign_in("kim@example.org");
    let token = session.text("refresh_token");
    // A session's id stands in every access token; that is not enough to end it.
    let made_up = format!("{}.made-up.made-up", token.split('.').next().unwrap());
    let alike = format!("{}.A", token.rsplit_once('.').unwrap().0.rsplit_once('.').unwrap().0);
    let other = token.replace("ort_", "onr_");
    for wrong in ["", "ort_", "ort_x.y", &token[4..], &other, session.text("access_token"), &made_up, &alike] {
        plane.expect(&plane.refresh(wrong), 401, "wrong-credentials");
    }
    assert_eq!(plane.refresh(token).status, 200);
}

#[test]
fn who_signs_out_is_out_at_once_and_after_a_restart() {
    let mut plane = Plane::open();
    let other = plane.kim();
    let session = plane.sign_in("kim@example.org");
    let token = session.text("access_token");
    assert_eq!(plane.call("DELETE", "/v1/sessions/current", token, Value::Null).status, 204);
    for restarted in [false, true] {
        assert!(plane.at_the_edge(token).is_none() && plane.at_the_edge(&other).is_some(), "restarted: {restarted}");
        plane.expect(&plane.call("GET", "/v1/accounts/me", token, Value::Null), 401, "unauthenticated");
        plane.expect(&plane.refresh(session.text("refresh_token")), 401, "wrong-credentials");
        plane.restart();
    }
}

/// Whoever closes the page behind signing out is out.
#[test]
fn who_signs_out_and_does_not_wait_for_the_answer_is_out() {
    let plane = Plane::open();
    let token = plane.kim();
    let caller = plane.at_the_edge(&token).unwrap();
    plane.wait(async {
        let mut signing_out = Box::pin(plane.plane().accounts.sign_out(&caller));
        std::future::poll_fn(|context| std::task::Poll::Ready(signing_out.as_mut().poll(context).is_ready())).await
    });
    assert!(plane.at_the_edge(&token).is_none());
}

#[test]
fn a_session_that_nobody_refreshes_is_over() {
    let plane = Plane::open();
    plane.kim();
    let session = plane.sign_in("kim@example.org");
    plane.pass(Duration::from_hours(30 * 24));
    plane.expect(&plane.refresh(session.text("refresh_token")), 401, "wrong-credentials");
    let id =
        plane.keys.check(session.text("access_token"), onrush_engine::time::Timestamp::MIN).unwrap().session.unwrap();
    let is_kept = || is_on_disk(&plane.data.path().join("accounts"), format!("s{id}").as_bytes());
    assert!(is_kept());
    plane.plane().accounts.upkeep().unwrap();
    // A change that erases something is what the next writing anew waits for.
    close(&plane);
    plane.pass(Duration::from_mins(1));
    plane.plane().accounts.upkeep().unwrap();
    assert!(!is_kept(), "it is forgotten, too");
}

fn close(plane: &Plane) {
    let token = plane.sign_in("kim@example.org").text("access_token").to_owned();
    let closing = serde_json::json!({"password": crate::fixture::PASSWORD});
    assert_eq!(plane.call("DELETE", "/v1/accounts/me", &token, closing).status, 204);
}

#[test]
fn a_session_ends_some_day_however_often_it_is_refreshed() {
    let plane = Plane::open();
    plane.kim();
    let mut token = plane.sign_in("kim@example.org").text("refresh_token").to_owned();
    let mut days = 0;
    loop {
        plane.pass(Duration::from_hours(20 * 24));
        let answer = plane.refresh(&token);
        if answer.status != 200 {
            break plane.expect(&answer, 401, "wrong-credentials");
        }
        days += 20;
        token = answer.text("refresh_token").to_owned();
    }
    assert_eq!(days, 160, "180 are over");
}

#[test]
fn the_fifty_first_session_takes_the_place_of_the_first() {
    let plane = Plane::open();
    plane.kim();
    let sessions: Vec<_> = (0..50)
        .map(|_| {
            plane.pass(Duration::from_millis(1));
            plane.sign_in("kim@example.org")
        })
        .collect();
    // That of `kim` was the first.
    plane.sign_in("kim@example.org");
    assert!(plane.at_the_edge(sessions[0].text("access_token")).is_none());
    assert!(sessions[1..].iter().all(|session| plane.at_the_edge(session.text("access_token")).is_some()));
}

#[test]
fn a_new_signing_key_signs_nobody_out() {
    let plane = Plane::open();
    let path = KeyFile::path_in(plane.data.path());
    let mut followed = FollowedKeyFile::new(&path);
    let old = plane.kim();
    KeyFile::rotate(&path, plane.clock.now()).unwrap();
    assert!(followed.look(&plane.keys).unwrap());
    let between = plane.sign_in("kim@example.org");
    plane.pass(KeyFile::SIGNS_AFTER);
    for token in [&old, between.text("access_token")] {
        assert!(plane.at_the_edge(token).is_some());
        assert_eq!(plane.call("GET", "/v1/accounts/me", token, Value::Null).status, 200);
    }
}
