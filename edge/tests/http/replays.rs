//! The same request again: answered, not done; and the same state again after a restart.

use serde_json::{Value, json};

use crate::client::{Answer, Call};
use crate::fixture::{Hall, Seat, Server, draft, id, show_draft};

/// Sends a call again: it must be answered as it was answered first.
#[track_caller]
fn replayed(call: &Call, first: &Answer) {
    let again = call.expect(first.status);
    assert_eq!(again.text(), first.text());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("location"), first.header("location"));
}

#[test]
fn a_hold_is_made_once_under_its_key() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let wish = json!({"best_available": {"quantity": 2}});
    let call = hall.hold(&kim, &wish).key("k");
    let first = call.expect(201);
    hall.unchanged(|| {
        replayed(&call, &first);
        hall.hold(&kim, &json!({"best_available": {"quantity": 1}})).key("k").refused(422, "idempotency-key-reused");
        hall.hold(&kim, &json!({"seats": ["A-1-1"]})).key("k").refused(422, "idempotency-key-reused");
    });
    // The same key is another one for another buyer, and so is another key for the same buyer.
    let other = hall.hold(&lee, &wish).key("k").expect(201);
    assert_eq!(other.header("idempotency-replayed"), None);
    assert_ne!(id(&other.json()), id(&first.json()));
    assert_ne!(id(&hall.hold(&kim, &wish).key("K").expect(201).json()), id(&first.json()));
    // It stands for the answer also when the hold is over.
    hall.delete(&format!("/v1/holds/{}", id(&first.json()))).token(&kim).expect(204);
    hall.unchanged(|| replayed(&call, &first));
}

#[test]
fn a_request_with_two_keys_is_refused() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let wish = json!({"best_available": {"quantity": 1}});
    hall.unchanged(|| hall.hold(&kim, &wish).key("k").key("l").refused(400, "bad-request"));
    hall.unchanged(|| hall.hold(&kim, &wish).key("k").key("k").refused(400, "bad-request"));
}

#[test]
fn a_hold_under_one_key_is_made_once_however_often_it_is_sent_at_once() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(100)), ("/sale/max_holds_per_buyer", json!(100))]);
    let call = hall.hold(&hall.buyer("acc_kim"), &json!({"best_available": {"quantity": 1}})).key("k");
    let answers = crate::fixture::at_once(vec![call; 8]);
    let bodies: Vec<Value> = answers.iter().map(|answer| answer.clone().expect(201).json()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let made = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
    assert_eq!((made, hall.remaining()), (1, 26));
}

#[test]
fn a_booking_is_answered_as_it_was_made() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let (hold, other) = (id(&hall.held(&kim, &["A-1-1", "A-1-2"])), id(&hall.held(&kim, &["A-1-3"])));
    let call = hall.book(&kim, &hold).key("k");
    let first = call.expect(201);
    hall.unchanged(|| {
        replayed(&call, &first);
        hall.book(&kim, &other).key("k").refused(422, "idempotency-key-reused");
    });
    hall.cancel(&kim, &id(&first.json()), &json!(["A-1-1"])).expect(200);
    hall.unchanged(|| replayed(&call, &first));
    hall.cancel(&kim, &id(&first.json()), &Value::Null).expect(200);
    hall.unchanged(|| replayed(&call, &first));
    assert_eq!(first.json()["status"], "confirmed");
}

#[test]
fn a_cancellation_is_answered_as_it_was_made() {
    let hall = Hall::open();
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    let booking = id(&hall.booked(&kim, &["A-1-1", "A-1-2", "A-1-3"]));
    let some = hall.cancel(&kim, &booking, &json!(["A-1-2"])).key("some");
    let first = some.expect(200);
    hall.unchanged(|| {
        replayed(&some, &first);
        hall.cancel(&kim, &booking, &json!(["A-1-3"])).key("some").refused(422, "idempotency-key-reused");
    });
    let rest = hall.cancel(&seller, &booking, &Value::Null).key("some");
    let last = rest.expect(200);
    hall.unchanged(|| {
        replayed(&some, &first);
        replayed(&rest, &last);
    });
    assert_eq!((&first.json()["status"], &last.json()["status"]), (&json!("partly_cancelled"), &json!("cancelled")));
}

#[test]
fn a_ticket_is_given_away_and_lets_in_once_under_its_key() {
    let hall = Hall::open();
    let (kim, lee, seller) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"), hall.seller());
    hall.booked(&kim, &["A-1-1"]);
    let own = |token: &str| hall.get("/v1/tickets").token(token).expect(200).json()["items"][0].clone();
    let path = |call: &str| format!("/v1/tickets/{}/{call}", id(&own(&kim)));
    let (transfer, check_in) = (path("transfer"), path("check-in"));
    let give = |hall: &Hall| hall.post(&transfer).token(&kim).json(&json!({"to": "acc_lee"})).key("k");
    let given = give(&hall).expect(204);
    hall.unchanged(|| {
        replayed(&give(&hall), &given);
        let other = json!({"to": "acc_park"});
        hall.post(&transfer).token(&kim).json(&other).key("k").refused(422, "idempotency-key-reused");
        hall.post(&transfer).token(&kim).json(&json!({"to": "acc_lee"})).refused(404, "not-found");
    });
    let code = json!({"code": own(&lee)["code"]});
    let enter = |hall: &Hall| hall.post(&check_in).token(&seller).json(&code).key("k");
    let entered = enter(&hall).expect(200);
    let scan = |hall: &Hall| hall.post("/v1/check-ins").token(&seller).json(&code).key("scan");
    hall.unchanged(|| {
        replayed(&enter(&hall), &entered);
        scan(&hall).refused(409, "already-checked-in");
        hall.post(&check_in).token(&seller).json(&json!({})).key("k").refused(422, "idempotency-key-reused");
    });
    let hall = hall.restart();
    hall.unchanged(|| {
        replayed(&give(&hall), &given);
        replayed(&enter(&hall), &entered);
        scan(&hall).refused(409, "already-checked-in");
    });
}

#[test]
fn a_block_is_made_once_under_its_key() {
    let hall = Hall::open();
    let seller = hall.seller();
    let call = hall.block(&seller, &["A-1-1"]).key("k");
    let first = call.expect(201);
    hall.unchanged(|| {
        replayed(&call, &first);
        hall.block(&seller, &["A-1-2"]).key("k").refused(422, "idempotency-key-reused");
    });
    hall.delete(&hall.path(&format!("/blocks/{}", id(&first.json())))).token(&seller).expect(204);
    hall.unchanged(|| replayed(&call, &first));
}

#[test]
fn a_show_and_a_performance_are_made_once_under_their_keys() {
    let server = Server::start();
    let seller = server.seller();
    let call = server.post("/v1/shows").token(&seller).json(&show_draft()).key("k");
    let first = call.expect(201);
    replayed(&call, &first);
    let mut another = show_draft();
    another["title"] = json!("Hamlet");
    server.post("/v1/shows").token(&seller).json(&another).key("k").refused(422, "idempotency-key-reused");
    let others = server.post("/v1/shows").token(&server.other_seller()).json(&show_draft()).key("k").expect(201);
    assert_eq!(others.header("idempotency-replayed"), None);
    assert_eq!(server.get("/v1/shows").expect(200).json()["items"].as_array().unwrap().len(), 2);

    let show = format!("/v1/shows/{}", id(&first.json()));
    let performances = server.post(&format!("{show}/performances")).token(&seller);
    let call = performances.clone().json(&draft()).key("k");
    let first = call.expect(201);
    replayed(&call, &first);
    let other = crate::fixture::draft_with(&[("/sale/max_seats_per_buyer", json!(1))]);
    performances.json(&other).key("k").refused(422, "idempotency-key-reused");
    assert_eq!(server.get(&show).expect(200).json()["performances"], json!([id(&first.json())]));
}

#[test]
fn a_refusal_does_not_use_a_key_up() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let hold = id(&hall.held(&lee, &["A-1-1"]));
    let call = hall.hold(&kim, &json!({"seats": ["A-1-1"]})).key("k");
    call.refused(409, "seats-unavailable");
    hall.hold(&kim, &json!({"seats": ["Z-1-1"]})).key("k").refused(422, "unknown-seats");
    hall.hold(&kim, &json!({"best_available": {"quantity": 9}})).key("k").refused(403, "limit-exceeded");
    hall.delete(&format!("/v1/holds/{hold}")).token(&lee).expect(204);
    let first = call.expect(201);
    replayed(&call, &first);
}

#[test]
fn one_key_of_one_buyer_serves_different_calls() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = hall.hold(&kim, &json!({"seats": ["A-1-1"]})).key("k").expect(201).json();
    let booking = hall.book(&kim, &id(&hold)).key("k").expect(201).json();
    let cancelled = hall.cancel(&kim, &id(&booking), &Value::Null).key("k").expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
}

#[test]
fn a_key_has_1_to_255_visible_characters() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let wish = json!({"seats": ["A-1-1"]});
    hall.unchanged(|| {
        for key in ["", " ", "a b", "a\tb", "schlüssel", &"k".repeat(256)] {
            hall.hold(&kim, &wish).key(key).refused(400, "bad-request");
        }
    });
    let longest = hall.hold(&kim, &wish).key(&"k".repeat(255));
    let first = longest.expect(201);
    replayed(&longest, &first);
}

#[test]
fn a_restart_keeps_everything_and_answers_old_keys() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(20)), ("/sale/max_holds_per_buyer", json!(20))]);
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    let show = hall.post("/v1/shows").token(&seller).json(&show_draft()).key("k");
    let mut calls = vec![show.clone()];
    let mut answers = vec![show.expect(201)];
    let ask = |call: Call, status: u16, calls: &mut Vec<Call>, answers: &mut Vec<Answer>| {
        let answer = call.expect(status);
        calls.push(call);
        answers.push(answer.clone());
        answer.json()
    };
    let held = ask(hall.hold(&kim, &json!({"seats": ["A-1-1"]})).key("k"), 201, &mut calls, &mut answers);
    let hold = id(&hall.held(&kim, &["A-1-2", "A-1-3"]));
    let booking = id(&ask(hall.book(&kim, &hold).key("k"), 201, &mut calls, &mut answers));
    ask(hall.cancel(&kim, &booking, &json!(["A-1-3"])).key("k"), 200, &mut calls, &mut answers);
    ask(hall.block(&seller, &["B-left-1a"]).key("k"), 201, &mut calls, &mut answers);
    let newest = id(&hall.booked(&kim, &["A-2-1"]));
    let released = id(&hall.held(&kim, &["A-2-2"]));
    hall.delete(&format!("/v1/holds/{released}")).token(&kim).expect(204);
    let rules = json!({"sale": {"hold_ttl_seconds": 77}, "tiers": [
        {"name": "VIP", "price": {"amount": 5, "currency": "KRW"}}]});
    hall.patch(&hall.path("")).token(&seller).json(&rules).expect(200);
    hall.patch(&format!("/v1/shows/{}", hall.show)).token(&seller).json(&json!({"title": "Hamlet"})).expect(200);

    let paths = [
        "/v1/shows".to_owned(),
        format!("/v1/shows/{}", hall.show),
        hall.path(""),
        hall.path("/seat-map"),
        "/v1/bookings".to_owned(),
        format!("/v1/bookings/{booking}"),
    ];
    let read = |hall: &Hall| paths.each_ref().map(|path| hall.get(path).token(&kim).expect(200).text().to_owned());
    let sold = |hall: &Hall| hall.get(&hall.path("/bookings")).token(&seller).expect(200).json();
    let (before, sold_before, seats) = (read(&hall), sold(&hall), hall.seats());
    let version = hall.availability()["version"].as_u64().unwrap();

    let hall = hall.restart();
    assert_eq!(read(&hall), before);
    assert_eq!(sold(&hall), sold_before);
    assert_eq!(id(&hall.get("/v1/bookings").token(&kim).expect(200).json()["items"][0]), newest);
    assert_eq!(hall.seats(), seats);
    assert!(hall.availability()["version"].as_u64().unwrap() >= version);
    hall.unchanged(|| {
        for (call, first) in calls.iter().zip(&answers) {
            replayed(&call.clone().to(hall.addresses[0]), first);
        }
        hall.hold(&kim, &json!({"seats": ["A-1-6"]})).key("k").refused(422, "idempotency-key-reused");
        hall.get(&format!("/v1/holds/{released}")).token(&kim).refused(410, "hold-expired");
        hall.hold(&kim, &json!({"seats": ["A-1-1"]})).refused(409, "seats-unavailable");
    });
    // What was held can be booked, at its old price, and what is new has the new one.
    assert_eq!(hall.book(&kim, &id(&held)).expect(201).json()["total"]["amount"], 0);
    assert_eq!(hall.held(&kim, &["A-2-3"])["total"]["amount"], 5);
    assert_eq!(hall.seat("A-1-1"), Seat::Booked);
}

#[test]
fn two_restarts_find_the_same_as_one() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    hall.held(&kim, &["A-1-1"]);
    hall.booked(&kim, &["A-1-2"]);
    let seats = hall.seats();
    let hall = hall.restart().restart();
    assert_eq!(hall.seats(), seats);
}
