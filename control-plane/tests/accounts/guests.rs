//! Guests: noted for as long as they are needed, let back in with their password, and told nothing otherwise.

use std::time::Duration;

use onrush_api::token::Role;
use onrush_engine::time::Clock as _;
use serde_json::{Value, json};

use crate::fixture::{Answer, PASSWORD, Plane, is_on_disk};

const BOOKING: &str = "bkg_00000000000000000000000000000001";
const DAY: Duration = Duration::from_hours(24);

/// A guest's account, as an edge learns it from the token.
fn guest(plane: &Plane) -> String {
    let begun = plane.call_with("POST", "/v1/sessions", &[], json!({"guest": true}));
    assert_eq!((begun.status, begun.body.get("refresh_token")), (201, None), "{begun:?}");
    let caller = plane.at_the_edge(begun.text("access_token")).expect("a token that is good");
    assert_eq!((caller.role, caller.session.is_some()), (Role::Guest, true));
    caller.account.to_string()
}

fn kim() -> Value {
    json!({"name": "Kim Minji", "phone": "+82 10-1234-5678", "password": PASSWORD})
}

fn note(plane: &Plane, account: &str, guest: &Value) -> Answer {
    plane.call_with("PUT", &format!("/v1/guests/{account}"), &[], guest.clone())
}

/// Who a guest is, as the seller is told.
fn contact(plane: &Plane, account: &str) -> Value {
    let answer = plane.call_with("POST", "/v1/guests/contacts", &[], json!({"accounts": [account]}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["guests"][0].clone()
}

fn come_back(plane: &Plane, booking: &str, account: Option<&str>, password: &str) -> Answer {
    let back = json!({"booking": booking, "account": account, "password": password});
    plane.call_with("POST", "/v1/guests/sessions", &[], back)
}

#[test]
fn a_guest_comes_back_with_the_password() {
    let mut plane = Plane::open();
    let account = guest(&plane);
    assert_eq!(note(&plane, &account, &kim()).status, 200);
    plane.restart();
    assert_eq!(contact(&plane, &account), json!({"name": "Kim Minji", "phone": "+82 10-1234-5678"}));
    let back = come_back(&plane, BOOKING, Some(&account), PASSWORD);
    assert_eq!(back.status, 201, "{back:?}");
    let caller = plane.at_the_edge(back.text("access_token")).expect("a token that is good");
    assert_eq!((caller.account.to_string(), caller.role), (account, Role::Guest));
}

#[test]
fn what_is_not_somebody_is_refused_and_nothing_is_noted() {
    let plane = Plane::open();
    let account = guest(&plane);
    let cases = [
        ("name", json!(" ")),
        ("name", json!("K\u{7}im")),
        ("name", json!("x".repeat(101))),
        ("phone", json!("1234")),
        ("phone", json!("call me at 12345")),
        ("phone", json!("1234567890123456")),
        ("password", json!("1234567")),
        ("password", json!("password1")),
    ];
    for (member, value) in cases {
        let mut draft = kim();
        draft[member] = value;
        let refused = note(&plane, &account, &draft);
        plane.expect(&refused, 422, "invalid-body");
        assert_eq!(refused.body["errors"][0]["pointer"], json!(format!("/guest/{member}")), "{refused:?}");
    }
    assert_eq!(contact(&plane, &account), Value::Null);
}

#[test]
fn what_was_said_first_is_what_is_noted() {
    let plane = Plane::open();
    let account = guest(&plane);
    let said =
        note(&plane, &account, &json!({"name": " Kim Minji ", "phone": " +82 10-1234-5678", "password": PASSWORD}));
    assert_eq!((said.status, said.text("name")), (200, "Kim Minji"), "{said:?}");
    assert_eq!(note(&plane, &account, &kim()).status, 200);
    for (member, value) in [("name", "Lee Jun"), ("phone", "010-9876-5432"), ("password", "another winter, 4 lamps")] {
        let mut other = kim();
        other[member] = json!(value);
        let refused = note(&plane, &account, &other);
        plane.expect(&refused, 422, "invalid-body");
        assert_eq!(refused.body["errors"][0]["pointer"], "/guest", "{refused:?}");
    }
    assert_eq!(contact(&plane, &account)["name"], "Kim Minji");
}

/// Whoever has the token has no more tries at the password than anybody else.
#[test]
fn saying_other_passwords_is_guessing() {
    let plane = Plane::open();
    let account = guest(&plane);
    note(&plane, &account, &kim());
    let mut other = kim();
    for number in 0..5 {
        other["password"] = json!(format!("another winter, {number} lamps"));
        plane.expect(&note(&plane, &account, &other), 422, "invalid-body");
    }
    plane.expect(&note(&plane, &account, &kim()), 429, "quota-exceeded");
    plane.pass(Duration::from_secs(901));
    assert_eq!(note(&plane, &account, &kim()).status, 200);
}

#[test]
fn a_guest_who_is_still_one_stays_the_same() {
    let plane = Plane::open();
    let begin = |plane: &Plane, token: &str| {
        let header = [("authorization", format!("Bearer {token}"))];
        let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
        plane.call_with("POST", "/v1/sessions", &header, json!({"guest": true})).text("access_token").to_owned()
    };
    let account = |plane: &Plane, token: &str| plane.at_the_edge(token).expect("a token that is good").account;
    let first = begin(&plane, "x");
    plane.pass(Duration::from_mins(10));
    let second = begin(&plane, &first);
    assert_eq!(account(&plane, &first), account(&plane, &second));
    plane.pass(Duration::from_mins(10));
    assert!(plane.at_the_edge(&first).is_none() && plane.at_the_edge(&second).is_some());
    assert_ne!(account(&plane, &begin(&plane, &first)), account(&plane, &second), "too late");
    let kim = plane.kim();
    assert_ne!(account(&plane, &begin(&plane, &kim)), account(&plane, &kim));
}

#[test]
fn a_wrong_password_and_a_booking_of_nobody_are_answered_alike() {
    let plane = Plane::open();
    let account = guest(&plane);
    note(&plane, &account, &kim());
    let token = plane.kim();
    let kims = plane.at_the_edge(&token).expect("a token").account.to_string();
    let unknown = "acc_guest_000000000000000000000000000000";
    let cases = [
        (Some(account.as_str()), "wrong, wrong"),
        (None, PASSWORD),
        (Some(unknown), PASSWORD),
        (Some(kims.as_str()), PASSWORD),
    ];
    let mut answers = Vec::new();
    for (place, (account, password)) in cases.into_iter().enumerate() {
        let refused = come_back(&plane, &format!("bkg_{place:032}"), account, password);
        plane.expect(&refused, 401, "wrong-credentials");
        answers.push(refused.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[test]
fn five_wrong_tries_at_a_booking_and_then_one_has_to_wait() {
    let mut plane = Plane::open();
    let account = guest(&plane);
    note(&plane, &account, &kim());
    for whose in [Some(account.as_str()), None] {
        let booking = if whose.is_some() { BOOKING } else { "bkg_00000000000000000000000000000002" };
        for place in 0..5 {
            plane.from = [198, 51, 100, place].into();
            plane.expect(&come_back(&plane, booking, whose, "wrong, wrong"), 401, "wrong-credentials");
        }
        plane.expect(&come_back(&plane, booking, whose, PASSWORD), 429, "quota-exceeded");
    }
    plane.pass(Duration::from_secs(901));
    assert_eq!(come_back(&plane, BOOKING, Some(&account), PASSWORD).status, 201);
}

#[test]
fn guests_come_at_a_human_rate() {
    let mut plane = Plane::open();
    let begin = |plane: &Plane| plane.call_with("POST", "/v1/sessions", &[], json!({"guest": true})).status;
    assert_eq!((0..20).filter(|_| begin(&plane) == 201).count(), 20);
    assert_eq!(begin(&plane), 429);
    plane.from = [127, 0, 0, 1].into();
    assert_eq!((0..25).filter(|_| begin(&plane) == 201).count(), 25, "this machine has no limit");
}

#[test]
fn a_guest_is_no_account() {
    let plane = Plane::open();
    let begun = plane.call_with("POST", "/v1/sessions", &[], json!({"guest": true}));
    let token = begun.text("access_token");
    for (method, path) in [
        ("GET", "/v1/accounts/me"),
        ("PATCH", "/v1/accounts/me"),
        ("DELETE", "/v1/accounts/me"),
        ("POST", "/v1/accounts/me/api-keys"),
        ("GET", "/v1/accounts/me/api-keys"),
    ] {
        plane.expect(&plane.call(method, path, token, json!({})), 403, "forbidden");
    }
    for mixed in [json!({"guest": false}), json!({"guest": true, "api_key": "onr_x"})] {
        plane.expect(&plane.call_with("POST", "/v1/sessions", &[], mixed), 422, "invalid-body");
    }
}

#[test]
fn a_guest_signs_out_and_no_token_of_that_session_is_renewed() {
    let plane = Plane::open();
    let begin = |header: &[(&str, &str)]| plane.call_with("POST", "/v1/sessions", header, json!({"guest": true}));
    let first = begin(&[]).text("access_token").to_owned();
    let bearer = format!("Bearer {first}");
    let second = begin(&[("authorization", &bearer)]).text("access_token").to_owned();
    let account = plane.at_the_edge(&second).expect("a token").account;
    assert_eq!(plane.call("DELETE", "/v1/sessions/current", &second, json!({})).status, 204);
    assert!(plane.at_the_edge(&first).is_none() && plane.at_the_edge(&second).is_none());
    let third = begin(&[("authorization", &bearer)]).text("access_token").to_owned();
    assert_ne!(plane.at_the_edge(&third).expect("a token").account, account);
    plane.expect(&plane.call("DELETE", "/v1/sessions/current", &second, json!({})), 401, "unauthenticated");
}

#[test]
fn tries_at_all_bookings_of_a_guest_are_counted_together() {
    let mut plane = Plane::open();
    let account = guest(&plane);
    note(&plane, &account, &kim());
    for place in 0..5 {
        plane.from = [198, 51, 100, place].into();
        let booking = format!("bkg_{place:032}");
        plane.expect(&come_back(&plane, &booking, Some(&account), "wrong, wrong"), 401, "wrong-credentials");
    }
    plane.expect(&come_back(&plane, BOOKING, Some(&account), PASSWORD), 429, "quota-exceeded");
}

/// Erased 30 days after the last performance that was booked; soon, where nothing was.
#[test]
fn what_a_guest_has_said_goes_from_the_disk() {
    let plane = Plane::open();
    let (stays, goes) = (guest(&plane), guest(&plane));
    let lee = json!({"name": "Lee Jun", "phone": "010-9876-5432", "password": PASSWORD});
    note(&plane, &stays, &kim());
    note(&plane, &goes, &lee);
    let upkeep = || {
        plane.plane().accounts.upkeep().unwrap();
        plane.pass(Duration::from_mins(2));
        plane.plane().accounts.upkeep().unwrap();
        [&b"Kim Minji"[..], b"Lee Jun"].map(|name| is_on_disk(plane.data.path(), name))
    };
    let over = plane.clock.now() + 10 * DAY;
    plane.booked_until.lock().unwrap().insert(stays.parse().unwrap(), over);
    assert_eq!(upkeep(), [true, true], "Lee may be about to book");
    plane.pass(DAY);
    assert_eq!(upkeep(), [true, false]);
    plane.pass(39 * DAY - Duration::from_hours(1));
    assert_eq!(upkeep(), [true, false]);
    plane.pass(Duration::from_hours(1));
    assert_eq!(upkeep(), [false, false]);
    assert_eq!(contact(&plane, &stays), Value::Null);
    plane.expect(&come_back(&plane, BOOKING, Some(&stays), PASSWORD), 401, "wrong-credentials");
}

#[test]
fn where_nobody_knows_what_was_booked_nothing_is_erased() {
    let mut plane = Plane::open();
    let account = guest(&plane);
    note(&plane, &account, &kim());
    plane.nobody_knows = true;
    plane.restart();
    plane.pass(100 * DAY);
    plane.plane().accounts.upkeep().unwrap();
    assert_eq!(contact(&plane, &account)["name"], "Kim Minji");
}
