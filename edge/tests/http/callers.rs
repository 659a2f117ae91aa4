//! Who may call what: tokens, roles, and things that belong to somebody else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onrush_api::session::Scope;
use onrush_api::token::Role;
use onrush_edge::config::Config;
use onrush_engine::time::Timestamp;
use serde_json::{Value, json};

use crate::client::{Call, Problem};
use crate::fixture::{Hall, Server, eventually, forged_key, id, now, show_draft};

const HOUR: Duration = Duration::from_hours(1);

#[track_caller]
fn not_known(call: &Call) -> Problem {
    let problem = call.refused(401, "unauthenticated");
    assert_eq!(problem.answer.header("www-authenticate"), Some("Bearer"));
    problem
}

fn jwt(header: &Value, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn without_a_valid_token_nothing_is_done() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let past = Timestamp::from_millis(now().as_millis() - 7_200_000);
    let account = "acc_kim".parse().unwrap();
    let (head, rest) = kim.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    let none = json!({"alg": "none", "typ": "at+jwt", "kid": header["kid"]});
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let mut admin = payload.clone();
    admin["role"] = json!("admin");
    let credentials = [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        "Bearer x".into(),
        "Bearer a.b.c".into(),
        format!("Basic {kim}"),
        kim.clone(),
        format!("Bearer {kim}x"),
        format!("Bearer {kim} {kim}"),
        format!("Bearer {}", &kim[..kim.len() - 1]),
        format!("Bearer {}", hall.token("acc_kim", Role::Buyer, past, HOUR)),
        format!("Bearer {}", hall.token("acc_kim", Role::Buyer, now() + HOUR, HOUR)),
        format!("Bearer {}", forged_key(&hall).mint(account, Role::Buyer, now(), HOUR)),
        format!("Bearer {}", jwt(&none, &payload, "")),
        format!("Bearer {}", jwt(&none, &payload, signature)),
        format!("Bearer {}", jwt(&header, &admin, signature)),
    ];
    let wish = json!({"seats": ["A-1-1"]});
    hall.unchanged(|| {
        not_known(&hall.post(&hall.path("/holds")).json(&wish));
        for credential in &credentials {
            not_known(&hall.post(&hall.path("/holds")).header("Authorization", credential).json(&wish));
        }
    });
    let expired = &credentials[10];
    let problem = not_known(&hall.get("/v1/bookings").header("Authorization", expired));
    assert!(problem.body["detail"].as_str().unwrap().contains("expired"), "{}", problem.body);
}

#[test]
fn a_token_that_was_known_ends_all_the_same() {
    let server = Server::with(Config { requests_per_second_per_account: 1_000_000, ..Config::default() });
    let short = server.token("acc_kim", Role::Buyer, now(), Duration::from_secs(2));
    let call = server.get("/v1/bookings").token(&short);
    call.expect(200);
    eventually(|| (call.send().status != 200).then_some(()));
    not_known(&call);
}

#[test]
fn every_call_that_needs_a_token_says_so() {
    let hall = Hall::open();
    let show = format!("/v1/shows/{}", hall.show);
    let calls = [
        hall.post("/v1/shows").json(&show_draft()),
        hall.patch(&show).json(&json!({"title": "Mine"})),
        hall.post(&format!("{show}/performances")).json(&json!({})),
        hall.patch(&hall.path("")).json(&json!({})),
        hall.get(&hall.path("/bookings")),
        hall.post(&hall.path("/blocks")).json(&json!({"seats": ["A-1-1"]})),
        hall.delete(&hall.path("/blocks/x")),
        hall.get("/v1/holds/x"),
        hall.delete("/v1/holds/x"),
        hall.post("/v1/bookings").json(&json!({})),
        hall.get("/v1/bookings"),
        hall.get("/v1/bookings/x"),
        hall.post("/v1/bookings/x/cancel"),
    ];
    hall.unchanged(|| {
        for call in &calls {
            not_known(call);
        }
    });
}

#[test]
fn a_role_that_may_not_is_forbidden() {
    let hall = Hall::open();
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    let admin = hall.token("acc_admin", Role::Admin, now(), HOUR);
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let show = format!("/v1/shows/{}", hall.show);
    let block = id(&hall.block(&seller, &["B-left-2"]).expect(201).json());
    let for_sellers = |token: &str| {
        [
            hall.post("/v1/shows").token(token).json(&show_draft()),
            hall.patch(&show).token(token).json(&json!({"title": "Mine"})),
            hall.post(&format!("{show}/performances")).token(token).json(&crate::fixture::draft()),
            hall.patch(&hall.path("")).token(token).json(&json!({"sale": {"max_seats_per_buyer": 100}})),
            hall.get(&hall.path("/bookings")).token(token),
            hall.block(token, &["A-1-2"]),
            hall.delete(&hall.path(&format!("/blocks/{block}"))).token(token),
        ]
    };
    let for_buyers = |token: &str| {
        [
            hall.hold(token, &json!({"seats": ["A-1-2"]})),
            hall.get(&format!("/v1/holds/{hold}")).token(token),
            hall.delete(&format!("/v1/holds/{hold}")).token(token),
            hall.book(token, &hold),
        ]
    };
    hall.unchanged(|| {
        let calls = for_sellers(&kim).into_iter().chain(for_buyers(&seller)).chain(for_buyers(&admin));
        for call in calls {
            call.refused(403, "forbidden");
        }
    });
    assert_eq!(hall.get(&show).expect(200).json()["title"], "The Tempest");
    hall.get(&hall.path("/bookings")).token(&admin).expect(200);
}

#[test]
fn another_buyers_hold_is_not_there() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let path = format!("/v1/holds/{hold}");
    hall.unchanged(|| {
        hall.get(&path).token(&lee).refused(404, "not-found");
        hall.delete(&path).token(&lee).refused(404, "not-found");
        hall.book(&lee, &hold).refused(404, "not-found");
    });
    hall.get(&path).token(&kim).expect(200);
    hall.book(&kim, &hold).expect(201);
    // Nor does it tell anybody else what became of it.
    hall.get(&path).token(&lee).refused(404, "not-found");
    hall.book(&lee, &hold).refused(404, "not-found");
}

#[test]
fn another_buyers_booking_is_not_there() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let booking = id(&hall.booked(&kim, &["A-1-1"]));
    hall.unchanged(|| {
        hall.get(&format!("/v1/bookings/{booking}")).token(&lee).refused(404, "not-found");
        hall.get(&format!("/v1/bookings/{booking}")).token(&hall.other_seller()).refused(404, "not-found");
        hall.cancel(&lee, &booking, &Value::Null).refused(404, "not-found");
        hall.cancel(&hall.other_seller(), &booking, &Value::Null).refused(404, "not-found");
    });
    let history = hall.get("/v1/bookings").token(&lee).expect(200).json();
    assert_eq!(history, json!({"items": [], "next_cursor": null}));
}

#[test]
fn another_sellers_show_is_not_there() {
    let hall = Hall::open();
    let other = hall.other_seller();
    let block = id(&hall.block(&hall.seller(), &["A-1-1"]).expect(201).json());
    let show = format!("/v1/shows/{}", hall.show);
    hall.unchanged(|| {
        hall.patch(&show).token(&other).json(&json!({"title": "Mine"})).refused(404, "not-found");
        let performances = hall.post(&format!("{show}/performances")).token(&other);
        performances.json(&crate::fixture::draft()).refused(404, "not-found");
        let free = json!({"sale": {"max_seats_per_buyer": 1}});
        hall.patch(&hall.path("")).token(&other).json(&free).refused(404, "not-found");
        hall.get(&hall.path("/bookings")).token(&other).refused(404, "not-found");
        hall.block(&other, &["A-1-2"]).refused(404, "not-found");
        hall.delete(&hall.path(&format!("/blocks/{block}"))).token(&other).refused(404, "not-found");
    });
    let known = hall.get(&show).expect(200).json();
    assert_eq!((&known["title"], &known["performances"]), (&json!("The Tempest"), &json!([hall.performance])));
    assert_eq!(hall.get(&hall.path("")).expect(200).json()["sale"]["max_seats_per_buyer"], 8);
}

#[test]
fn what_was_never_made_is_not_there() {
    let hall = Hall::open();
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let mut guessed = hold.clone();
    let last = if guessed.ends_with('0') { "1" } else { "0" };
    guessed.replace_range(guessed.len() - 1.., last);
    let elsewhere = format!("hold_{}", "0".repeat(32));
    hall.unchanged(|| {
        for hold in [guessed.as_str(), &elsewhere, "hold_", "hold_x", "x", "..", "%00", &hold[5..], &hall.performance] {
            hall.get(&format!("/v1/holds/{hold}")).token(&kim).refused(404, "not-found");
            hall.delete(&format!("/v1/holds/{hold}")).token(&kim).refused(404, "not-found");
        }
        hall.book(&kim, &guessed).refused(404, "not-found");
        hall.book(&kim, &elsewhere).refused(404, "not-found");
        hall.book(&kim, "hold_x").refused(422, "invalid-body").at("/hold");
        let booking = format!("bkg_{}", &hold[5..]);
        hall.get(&format!("/v1/bookings/{booking}")).token(&kim).refused(404, "not-found");
        hall.cancel(&kim, &booking, &Value::Null).refused(404, "not-found");
        let block = format!("blk_{}", &hold[5..]);
        hall.delete(&hall.path(&format!("/blocks/{block}"))).token(&seller).refused(404, "not-found");
        hall.delete(&hall.path(&format!("/blocks/blk_{}", "0".repeat(32)))).token(&seller).refused(404, "not-found");
        hall.get("/v1/shows/show_0000000000000").refused(404, "not-found");
        for rest in ["", "/seat-map", "/availability"] {
            hall.get(&format!("/v1/performances/perf_0000000000000{rest}")).refused(404, "not-found");
        }
        let nowhere = "/v1/performances/perf_0000000000000/holds";
        hall.post(nowhere).token(&kim).json(&json!({"seats": ["A-1-1"]})).refused(404, "not-found");
    });
}

#[test]
fn a_token_for_a_part_does_no_more_than_that_part() {
    let hall = Hall::open();
    let wish = json!({"seats": ["A-1-1"]});
    let hold = |scopes: &[Scope]| {
        let token = hall.token_for("acc_kim", Role::Buyer, scopes);
        hall.post(&format!("/v1/performances/{}/holds", hall.performance)).token(&token).json(&wish)
    };
    for too_little in [&[][..], &[Scope::Sell], &[Scope::Sell, Scope::Ops]] {
        let problem = hold(too_little).refused(403, "forbidden");
        let detail = problem.body["detail"].as_str().expect("a sentence");
        assert!(detail.contains("scope"), "{detail}");
    }
    hold(&[Scope::Book]).expect(201);
    let show = |role, scopes: &[Scope]| {
        hall.post("/v1/shows").token(&hall.token_for("acc_lee", role, scopes)).json(&show_draft())
    };
    show(Role::Seller, &[Scope::Book]).refused(403, "forbidden");
    show(Role::Seller, &[Scope::Sell]).expect(201);
    show(Role::Buyer, &[Scope::Sell]).refused(403, "forbidden");
}

#[test]
fn an_edge_without_a_control_plane_has_no_accounts() {
    let hall = Hall::open();
    hall.post("/v1/sessions").json(&json!({"email": "kim@example.org", "password": "x"})).refused(404, "not-found");
}
