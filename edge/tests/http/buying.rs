//! From a wish to a booking and back.

use serde_json::{Value, json};

use crate::fixture::{Hall, Seat, id, labels};

#[test]
fn seats_are_held_by_name_in_the_order_named() {
    let vip = json!({"amount": 165_000, "currency": "KRW"});
    let hall = Hall::with(&[("/tiers/0/price", vip.clone()), ("/sale/hold_ttl_seconds", json!(600))]);
    let kim = hall.buyer("acc_kim");
    let answer = hall.hold(&kim, &json!({"seats": ["A-1-2", "B-left-1a", "A-1-1"]})).expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let hold = answer.json();
    let free = json!({"amount": 0, "currency": "KRW"});
    let seats = json!([
        {"label": "A-1-2", "tier": "VIP", "price": vip},
        {"label": "B-left-1a", "tier": "R", "price": free},
        {"label": "A-1-1", "tier": "VIP", "price": vip},
    ]);
    assert_eq!(hold["seats"], seats);
    assert_eq!(hold["total"], json!({"amount": 330_000, "currency": "KRW"}));
    assert_eq!(hold["performance"], hall.performance);
    assert_eq!(hold["expires_in_seconds"], 600);

    let mut read = hall.get(&format!("/v1/holds/{}", id(&hold))).token(&kim).expect(200).json();
    let left = read["expires_in_seconds"].take().as_u64().unwrap();
    assert!(left <= 600, "{left}");
    read["expires_in_seconds"] = json!(600);
    assert_eq!(read, hold);
}

#[test]
fn a_released_hold_is_gone_and_its_seats_are_back() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let hold = id(&hall.held(&kim, &["A-1-1", "A-1-2"]));
    let path = format!("/v1/holds/{hold}");
    let released = hall.delete(&path).token(&kim).expect(204);
    assert!(released.header("onrush-sequence").is_some());
    assert_eq!((released.header("content-type"), released.body.len()), (None, 0));
    hall.unchanged(|| {
        let again = hall.delete(&path).token(&kim).expect(204);
        assert_eq!(again.header("onrush-sequence"), None, "nothing was changed this time");
        hall.get(&path).token(&kim).refused(410, "hold-expired");
        hall.book(&kim, &hold).refused(410, "hold-expired");
    });
    assert_eq!(hall.remaining(), 27);
    hall.held(&lee, &["A-1-1", "A-1-2"]);
}

#[test]
fn the_best_seats_are_side_by_side_where_there_are_such() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = hall.hold(&kim, &json!({"best_available": {"quantity": 4}})).expect(201).json();
    assert_eq!(labels(&hold["seats"]), ["A-1-2", "A-1-3", "A-1-4", "A-1-5"], "the middle of the first row");
    let lee = hall.buyer("acc_lee");
    let in_tier = hall.hold(&lee, &json!({"best_available": {"quantity": 3, "tier": "R"}})).expect(201).json();
    assert_eq!(labels(&in_tier["seats"]), ["B-left-1a", "B-left-1b", "B-left-2"]);
    let wish = json!({"best_available": {"quantity": 2, "section": "A", "adjacent": true}});
    assert_eq!(labels(&hall.hold(&lee, &wish).expect(201).json()["seats"]), ["A-2-3", "A-2-4"]);
    let apart = json!({"best_available": {"quantity": 3, "section": "A", "adjacent": false}});
    let hold = hall.hold(&lee, &apart).expect(201).json();
    assert_eq!(labels(&hold["seats"]).len(), 3);
    assert_eq!(hall.availability()["remaining"]["by_section"]["A"], 3);
}

#[test]
fn places_to_stand_and_hours_of_a_room_are_held_alike() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = hall.hold(&kim, &json!({"general_admission": {"section": "Floor", "quantity": 3}})).expect(201).json();
    assert_eq!(labels(&hold["seats"]), ["Floor-1", "Floor-2", "Floor-3"]);
    let booking = hall.booked(&kim, &["Studio-2040-06-01T10:00:00Z"]);
    assert_eq!(booking["seats"][0]["tier"], "Hour");
    let purpose = json!({"hold": id(&hold), "purpose": "A rehearsal"});
    let booking = hall.post("/v1/bookings").token(&kim).json(&purpose).expect(201).json();
    assert_eq!(booking["purpose"], "A rehearsal");
    let long = json!({"hold": id(&hold), "purpose": "x".repeat(201)});
    hall.post("/v1/bookings").token(&kim).json(&long).refused(422, "invalid-body").at("/purpose");
}

#[test]
fn a_booking_is_confirmed_where_there_is_nothing_to_pay() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = id(&hall.held(&kim, &["A-1-1", "A-1-2"]));
    let answer = hall.book(&kim, &hold).expect(201);
    let booking = answer.json();
    let path = format!("/v1/bookings/{}", id(&booking));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert!(answer.header("onrush-sequence").unwrap().starts_with(&format!("{}/", hall.performance)));
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!((&booking["status"], &booking["buyer"]), (&json!("confirmed"), &json!("acc_kim")));
    assert_eq!(labels(&booking["seats"]), ["A-1-1", "A-1-2"]);
    assert_eq!(booking["cancelled_seats"], json!([]));
    assert_eq!(hall.seat("A-1-1"), Seat::Booked);
    assert_eq!(hall.get(&path).token(&kim).expect(200).json(), booking);
    assert_eq!(hall.get(&path).token(&hall.seller()).expect(200).json(), booking, "its seller sees it too");
    hall.unchanged(|| {
        hall.book(&kim, &hold).refused(409, "already-booked").with("booking", id(&booking));
        let path = format!("/v1/holds/{hold}");
        hall.delete(&path).token(&kim).refused(409, "already-booked").with("booking", id(&booking));
        hall.get(&path).token(&kim).refused(409, "already-booked").with("booking", id(&booking));
    });
}

#[test]
fn a_booking_waits_where_there_is_something_to_pay_or_to_approve() {
    let priced = Hall::with(&[("/tiers/0/price/amount", json!(1000))]);
    let kim = priced.buyer("acc_kim");
    let pending = priced.booked(&kim, &["A-1-1"]);
    assert_eq!(pending["status"], "pending_payment");
    let payment = &pending["payment"];
    assert_eq!((&payment["status"], &payment["amount"]["amount"]), (&json!("open"), &json!(1000)));
    assert_eq!(payment["url"], json!(format!("https://pay.test/{}", id(&pending))));
    let read = priced.get(&format!("/v1/bookings/{}", id(&pending))).token(&kim).expect(200).json();
    assert_eq!(read, pending, "the same, when it is read");
    let seen = priced.get(&format!("/v1/bookings/{}", id(&pending))).token(&priced.seller()).expect(200).json();
    assert_eq!(
        (&seen["payment"]["status"], &seen["payment"]["url"]),
        (&json!("open"), &json!(null)),
        "the buyer's alone"
    );
    assert_eq!(priced.booked(&kim, &["B-left-2"])["status"], "confirmed");
    let approved = Hall::with(&[("/sale/approval", json!("manual"))]);
    let (kim, seller) = (approved.buyer("acc_kim"), approved.seller());
    let pending = approved.booked(&kim, &["A-1-1"]);
    assert_eq!((&pending["status"], &pending["payment"]), (&json!("pending_approval"), &json!(null)));
    let path = |word: &str| format!("/v1/bookings/{}/{word}", id(&pending));
    approved.unchanged(|| {
        approved.post(&path("reject")).token(&seller).json(&json!({})).refused(422, "invalid-body");
        approved.post(&path("reject")).token(&seller).json(&json!({"reason": " "})).refused(422, "invalid-body");
        let long = json!({"reason": "x".repeat(201)});
        approved.post(&path("approve")).token(&seller).json(&long).refused(422, "invalid-body");
        approved.post(&path("approve")).token(&kim).json(&json!({})).refused(403, "forbidden");
        approved.post(&path("approve")).token(&approved.other_seller()).json(&json!({})).refused(404, "not-found");
    });
    let confirmed = approved.post(&path("approve")).token(&seller).json(&json!({})).expect(200).json();
    assert_eq!((&confirmed["status"], &confirmed["decision"]["approved"]), (&json!("confirmed"), &json!(true)));
    approved.unchanged(|| {
        let no = json!({"reason": "too late"});
        approved.post(&path("reject")).token(&seller).json(&no).refused(409, "already-decided");
        assert_eq!(approved.post(&path("approve")).token(&seller).json(&json!({})).expect(200).json(), confirmed);
    });
}

#[test]
fn where_a_seat_is_taken_the_nearest_are_held_if_that_is_asked_for() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    hall.held(&kim, &["A-1-2"]);
    let ask = |wish: serde_json::Value| hall.post(&hall.path("/holds")).token(&lee).json(&wish);
    hall.unchanged(|| {
        ask(json!({"seats": ["A-1-2"], "on_conflict": "refuse"})).refused(409, "seats-unavailable");
        ask(json!({"seats": ["A-1-2"], "on_conflict": "other"})).refused(422, "invalid-body");
        ask(json!({"best_available": {"quantity": 1}, "on_conflict": "nearest"})).refused(422, "invalid-body");
    });
    let held = ask(json!({"seats": ["A-1-2"], "on_conflict": "nearest"})).expect(201).json();
    assert_eq!(labels(&held["seats"]), ["A-1-1"]);
}

#[test]
fn a_notice_that_nobody_signed_is_refused() {
    let hall = Hall::open();
    hall.unchanged(|| drop(hall.post("/v1/payments/webhook").json(&json!({})).refused(401, "notice-refused")));
}

#[test]
fn what_a_buyer_booked_is_listed_newest_first() {
    let hall = Hall::open();
    let second = hall.performance(&hall.show, &crate::fixture::draft());
    let kim = hall.buyer("acc_kim");
    let mut booked: Vec<String> = ["A-1-1", "A-1-2", "A-1-3"].map(|label| id(&hall.booked(&kim, &[label]))).into();
    let holds = format!("/v1/performances/{second}/holds");
    let hold = id(&hall.post(&holds).token(&kim).json(&json!({"seats": ["A-1-1"]})).expect(201).json());
    booked.push(id(&hall.book(&kim, &hold).expect(201).json()));
    hall.booked(&hall.buyer("acc_lee"), &["A-1-6"]);
    booked.reverse();
    assert_eq!(pages(&hall, "/v1/bookings?limit=3", &kim), [&booked[..3], &booked[3..]]);
    assert_eq!(pages(&hall, "/v1/bookings?limit=2", &kim), [&booked[..2], &booked[2..]]);
    assert_eq!(pages(&hall, "/v1/bookings?", &kim), [&booked[..]]);
}

#[test]
fn who_booked_is_listed_page_by_page_for_the_seller() {
    let hall = Hall::open();
    let booked: Vec<String> =
        (1..=5).map(|seat| id(&hall.booked(&hall.buyer(&format!("acc_{seat}")), &[&format!("A-1-{seat}")]))).collect();
    let path = hall.path("/bookings?limit=2");
    assert_eq!(pages(&hall, &path, &hall.seller()), [&booked[..2], &booked[2..4], &booked[4..]]);
    let first = hall.get(&path).token(&hall.seller()).expect(200).json();
    assert_eq!((&first["items"][0]["buyer"], labels(&first["items"][1]["seats"])), (&json!("acc_1"), vec!["A-1-2"]));
}

/// The ids of a list, page by page.
fn pages(hall: &Hall, path: &str, token: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = hall.get(&next).token(token).expect(200).json();
        pages.push(page["items"].as_array().expect("items").iter().map(id).collect());
        assert!(pages.len() <= 10, "the list has no end");
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return pages,
        }
    }
}

#[test]
fn a_booking_is_cancelled_seat_by_seat() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let booking = id(&hall.booked(&kim, &["A-1-1", "A-1-2", "A-1-3"]));
    let answer = hall.cancel(&kim, &booking, &json!(["A-1-2"])).expect(200);
    assert!(answer.header("onrush-sequence").is_some());
    let partly = answer.json();
    assert_eq!(partly["status"], "partly_cancelled");
    assert_eq!((labels(&partly["seats"]), labels(&partly["cancelled_seats"])), (vec!["A-1-1", "A-1-3"], vec!["A-1-2"]));
    hall.held(&lee, &["A-1-2"]);
    hall.unchanged(|| {
        let twice = hall.cancel(&kim, &booking, &json!(["A-1-1", "A-1-2"])).refused(422, "unknown-seats");
        twice.with("seats", json!(["A-1-2"]));
        hall.cancel(&kim, &booking, &json!(["A-1-6"])).refused(422, "unknown-seats").with("seats", json!(["A-1-6"]));
        hall.cancel(&kim, &booking, &json!(["Z-1-1"])).refused(422, "unknown-seats").with("seats", json!(["Z-1-1"]));
        hall.cancel(&kim, &booking, &json!(["A-1-1", "A-1-1"])).refused(422, "invalid-body").at("/seats");
        hall.cancel(&kim, &booking, &json!([])).refused(422, "invalid-body").at("/seats");
    });
    let all = hall.post(&format!("/v1/bookings/{booking}/cancel")).token(&kim).expect(200).json();
    assert_eq!((&all["status"], &all["seats"], &all["total"]["amount"]), (&json!("cancelled"), &json!([]), &json!(0)));
    assert_eq!(labels(&all["cancelled_seats"]), ["A-1-2", "A-1-1", "A-1-3"]);
    hall.unchanged(|| {
        hall.cancel(&kim, &booking, &Value::Null).refused(409, "booking-closed");
        hall.cancel(&kim, &booking, &json!(["A-1-1"])).refused(409, "booking-closed");
    });
    assert_eq!(hall.seat("A-1-2"), Seat::Held, "whoever holds it now keeps it");
    assert_eq!(hall.seat("A-1-1"), Seat::Free);
}

#[test]
fn after_the_deadline_only_the_seller_cancels() {
    let deadline = "2020-01-01T00:00:00.000Z";
    let hall = Hall::with(&[("/sale/cancel_until", json!(deadline))]);
    let kim = hall.buyer("acc_kim");
    let booking = id(&hall.booked(&kim, &["A-1-1", "A-1-2"]));
    hall.unchanged(|| {
        let late = hall.cancel(&kim, &booking, &Value::Null).refused(403, "cancellation-closed");
        late.with("cancel_until", deadline);
    });
    let cancelled = hall.cancel(&hall.seller(), &booking, &Value::Null).expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(hall.seat("A-1-1"), Seat::Free);
}
