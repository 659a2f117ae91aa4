//! Tickets over HTTP: codes, QR, giving one away, letting somebody in, and the confirmation to print.

use onrush_api::ticket_code::{TicketKeySet, TicketVerifier};
use serde_json::{Value, json};

use crate::fixture::{Hall, id};

fn tickets(hall: &Hall, token: &str) -> Vec<Value> {
    let listed = hall.get("/v1/tickets").token(token).expect(200).json();
    listed["items"].as_array().expect("a list").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[test]
fn each_seat_has_a_ticket_whose_code_anybody_can_check() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let booking = hall.booked(&kim, &["A-1-1", "A-1-2"]);
    let own = tickets(&hall, &kim);
    assert_eq!(own.iter().map(|ticket| text(&ticket["seat"])).collect::<Vec<_>>(), ["A-1-1", "A-1-2"]);
    assert!(own.iter().all(|ticket| ticket["booking"] == booking["id"] && ticket["holder"] == "acc_kim"));
    assert_eq!(tickets(&hall, &lee), Vec::<Value>::new());

    let keys: TicketKeySet = serde_json::from_value(hall.get("/v1/tickets/keys").expect(200).json()).expect("keys");
    let read = TicketVerifier::of(&keys).expect("keys").check(text(&own[0]["code"])).expect("a code");
    assert_eq!((read.ticket.to_string().as_str(), read.label.as_str()), (text(&own[0]["id"]), "A-1-1"));

    let path = format!("/v1/tickets/{}", id(&own[0]));
    assert_eq!(hall.get(&path).token(&kim).expect(200).json(), own[0]);
    let seen = hall.get(&path).token(&hall.seller()).expect(200).json();
    assert_eq!((&seen["seat"], &seen["code"]), (&json!("A-1-1"), &json!(null)), "a seller sees no code");
    hall.get(&path).token(&lee).refused(404, "not-found");
    let qr = hall.get(&format!("{path}/qr.svg")).token(&kim).expect(200);
    assert_eq!(qr.header("content-type"), Some("image/svg+xml"));
    assert!(qr.text().contains("<svg"));
    hall.get(&format!("{path}/qr.svg")).token(&lee).refused(404, "not-found");

    let first = hall.get("/v1/tickets?limit=1").token(&kim).expect(200).json();
    let cursor = text(&first["next_cursor"]);
    let second = hall.get(&format!("/v1/tickets?limit=1&cursor={cursor}")).token(&kim).expect(200).json();
    assert_eq!((&first["items"], &second["items"]), (&json!([own[0]]), &json!([own[1]])));
    assert_eq!(second["next_cursor"], json!(null));
}

#[test]
fn a_ticket_that_is_given_away_has_another_code_and_lets_one_person_in() {
    let hall = Hall::open();
    let (kim, lee, seller) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"), hall.seller());
    let booking = hall.booked(&kim, &["A-1-1", "A-1-2"]);
    let ticket = tickets(&hall, &kim).remove(0);
    let path = |call: &str| format!("/v1/tickets/{}/{call}", id(&ticket));
    hall.unchanged(|| {
        hall.post(&path("transfer")).token(&lee).json(&json!({"to": "acc_lee"})).refused(404, "not-found");
        hall.post(&path("transfer")).token(&kim).json(&json!({"to": "lee"})).refused(422, "invalid-body");
        hall.post(&path("check-in")).token(&kim).json(&json!({})).refused(403, "forbidden");
        hall.post(&path("check-in")).token(&hall.other_seller()).json(&json!({})).refused(404, "not-found");
        let other = json!({"code": tickets(&hall, &kim)[1]["code"]});
        hall.post(&path("check-in")).token(&seller).json(&other).refused(422, "invalid-code");
        hall.post(&path("check-in")).token(&seller).json(&json!({"code": "onr1."})).refused(422, "invalid-code");
    });
    hall.post(&path("transfer")).token(&kim).json(&json!({"to": "acc_lee"})).expect(204);
    assert_eq!(tickets(&hall, &kim).len(), 1);
    let received = tickets(&hall, &lee).remove(0);
    assert_eq!(received["id"], ticket["id"]);
    assert_ne!(received["code"], ticket["code"]);
    hall.unchanged(|| {
        let cancel = format!("/v1/bookings/{}/cancel", id(&booking));
        let gone = hall.post(&cancel).token(&kim).json(&json!({"seats": ["A-1-1"]})).refused(409, "tickets-gone");
        gone.with("seats", json!(["A-1-1"]));
        let former = json!({"code": ticket["code"]});
        hall.post(&path("check-in")).token(&seller).json(&former).refused(409, "ticket-reissued");
    });
    let scanned = json!({"code": received["code"]});
    let entered = hall.post(&path("check-in")).token(&seller).json(&scanned).expect(200).json();
    assert!(entered["checked_in_at"].is_string(), "{entered}");
    hall.unchanged(|| {
        let again = hall.post(&path("check-in")).token(&seller).json(&scanned).refused(409, "already-checked-in");
        again.with("checked_in_at", entered["checked_in_at"].clone());
    });
    assert_eq!(tickets(&hall, &lee), Vec::<Value>::new(), "it cannot be used again");

    // A door that knows no more than what it has scanned.
    let other = tickets(&hall, &kim).remove(0);
    let scan = |by: &str, code: &Value| hall.post("/v1/check-ins").token(by).json(&json!({"code": code}));
    hall.unchanged(|| {
        scan(&seller, &ticket["code"]).refused(409, "ticket-reissued");
        scan(&seller, &json!("onr1.x.y")).refused(422, "invalid-code");
        scan(&seller, &json!(null)).refused(422, "invalid-body").at("/code");
        scan(&hall.other_seller(), &other["code"]).refused(404, "not-found");
        scan(&kim, &other["code"]).refused(403, "forbidden");
    });
    assert_eq!(scan(&seller, &other["code"]).expect(200).json()["id"], other["id"]);
}

#[test]
fn a_confirmation_is_made_for_print_and_trusts_nobodys_words() {
    let hall = Hall::with(&[("/sale/approval", json!("manual"))]);
    let kim = hall.buyer("acc_kim");
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let purpose = json!({"hold": hold, "purpose": "<script>alert(1)</script>"});
    let booking = hall.post("/v1/bookings").token(&kim).json(&purpose).expect(201).json();
    let path = format!("/v1/bookings/{}/document", id(&booking));
    hall.get(&path).token(&kim).refused(409, "approval-pending");
    let approve = format!("/v1/bookings/{}/approve", id(&booking));
    hall.post(&approve).token(&hall.seller()).json(&json!({})).expect(200);
    let document = hall.get(&path).token(&kim).expect(200);
    assert_eq!(document.header("content-type"), Some("text/html; charset=utf-8"));
    let page = document.text();
    assert!(page.contains("A-1-1") && page.contains("<svg") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    let pdf = |token: &str| hall.get(&path).token(token).header("Accept", "application/pdf").expect(200).body.len();
    assert!(pdf(&kim) > pdf(&hall.seller()) + 1_000, "a seller prints no code");
    for accept in ["application/pdf", "image/png;q=0.5, Application/PDF;q=0.9"] {
        let file = hall.get(&path).token(&kim).header("Accept", accept).expect(200);
        assert_eq!((file.header("content-type"), file.header("vary")), (Some("application/pdf"), Some("accept")));
        assert!(file.body.starts_with(b"%PDF-") && file.body.len() > 2_000, "{} bytes", file.body.len());
    }
    let browser = hall.get(&path).token(&kim).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8").expect(200);
    assert_eq!(browser.header("content-type"), Some("text/html; charset=utf-8"));
    let seen = hall.get(&path).token(&hall.seller()).expect(200);
    assert!(seen.text().contains("A-1-1") && !seen.text().contains("<svg"), "a seller prints no code");
    hall.get(&path).token(&hall.buyer("acc_lee")).refused(404, "not-found");
}

#[test]
fn a_ticket_that_went_on_or_was_cancelled_leaves_the_others_listed() {
    let hall = Hall::open();
    let (kim, lee, park) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"), hall.buyer("acc_park"));
    let booking = hall.booked(&kim, &["A-1-1", "A-1-2"]);
    hall.booked(&lee, &["A-1-3"]);
    for ticket in tickets(&hall, &kim) {
        let path = format!("/v1/tickets/{}/transfer", id(&ticket));
        hall.post(&path).token(&kim).json(&json!({"to": "acc_lee"})).expect(204);
    }
    let seats =
        |token: &str| tickets(&hall, token).iter().map(|ticket| text(&ticket["seat"]).to_owned()).collect::<Vec<_>>();
    assert_eq!(seats(&lee), ["A-1-1", "A-1-2", "A-1-3"]);
    let first = id(&tickets(&hall, &lee)[0]);
    hall.post(&format!("/v1/tickets/{first}/transfer")).token(&lee).json(&json!({"to": "acc_park"})).expect(204);
    let cancel = format!("/v1/bookings/{}/cancel", id(&booking));
    hall.post(&cancel).token(&hall.seller()).json(&json!({"seats": ["A-1-2"]})).expect(200);
    assert_eq!((seats(&lee), seats(&park)), (vec!["A-1-3".to_owned()], vec!["A-1-1".to_owned()]));
}
