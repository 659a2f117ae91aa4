//! Setting a show up and changing it.

use onrush_api::text::Time;
use serde_json::{Value, json};

use crate::fixture::{Hall, Seat, Server, id, show_draft};

#[test]
fn a_show_is_made_read_and_changed() {
    let server = Server::start();
    let seller = server.seller();
    let answer = server.post("/v1/shows").token(&seller).json(&show_draft()).expect(201);
    let mut show = answer.json();
    let path = format!("/v1/shows/{}", id(&show));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    for (member, value) in show_draft().as_object().unwrap() {
        assert_eq!(&show[member], value, "{member}");
    }
    assert_eq!((&show["seller"], &show["performances"]), (&json!("acc_seller"), &json!([])));
    assert_eq!(show["on_sale"], false);
    assert_eq!(server.get(&path).expect(200).json(), show);

    let changed = server.patch(&path).token(&seller).json(&json!({"title": "Hamlet", "cast": []})).expect(200).json();
    (show["title"], show["cast"]) = (json!("Hamlet"), json!([]));
    assert_eq!(changed, show);
    assert_eq!(server.get(&path).expect(200).json(), show);
    for wrong in [json!({"title": ""}), json!({"title": 7})] {
        server.patch(&path).token(&seller).json(&wrong).refused(422, "invalid-body").at("/title");
    }
    assert_eq!(server.patch(&path).token(&seller).json(&json!({})).expect(200).json(), show);
    let without = server.patch(&path).token(&seller).json(&json!({"poster_url": null})).expect(200).json();
    assert_eq!((without["poster_url"].as_str(), &without["title"]), (None, &json!("Hamlet")));
}

#[test]
fn of_two_changes_at_once_both_take_effect() {
    let server = Server::start();
    let path = format!("/v1/shows/{}", server.show());
    for round in 0..20 {
        let change = |member: &str| {
            let patch = json!({member: format!("{member} {round}")});
            server.patch(&path).token(&server.seller()).json(&patch).expect(200);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| change("title"));
            scope.spawn(|| change("venue"));
        });
        let show = server.get(&path).expect(200).json();
        assert_eq!(show["title"], format!("title {round}"));
        assert_eq!(show["venue"], format!("venue {round}"));
    }
}

#[test]
fn a_performance_that_moves_takes_its_end_and_its_sale_with_it() {
    let hall = Hall::open();
    let before = hall.get(&hall.path("")).expect(200).json();
    let patch = json!({"starts_at": "2041-01-01T18:00:00Z"});
    let moved = hall.patch(&hall.path("")).token(&hall.seller()).json(&patch).expect(200).json();
    let time = |show: &Value, at: &str| show.pointer(at).unwrap().as_str().unwrap().parse::<Time>().unwrap().0;
    assert_eq!(moved["starts_at"], "2041-01-01T18:00:00.000Z");
    let length = |show: &Value| time(show, "/ends_at") - time(show, "/starts_at");
    assert_eq!(length(&moved), length(&before));
    for end in ["/sale/closes_at", "/sale/cancel_until"] {
        assert_eq!(time(&before, end), time(&before, "/starts_at"), "{end} is left out in the draft");
        assert_eq!(time(&moved, end), time(&moved, "/starts_at"), "{end}");
    }
    assert_eq!(moved["sale"]["opens_at"], before["sale"]["opens_at"]);
}

#[test]
fn shows_are_found_by_what_is_known_of_them() {
    let server = Server::start();
    let seller = server.seller();
    let mut ids = Vec::new();
    for (title, field, venue) in
        [("The Tempest", "theatre", "Globe"), ("서울의 밤", "concert", "Arena"), ("Storm & Drang", "concert", "Hall")]
    {
        let mut draft = show_draft();
        (draft["title"], draft["field"], draft["venue"]) = (json!(title), json!(field), json!(venue));
        ids.push(id(&server.post("/v1/shows").token(&seller).json(&draft).expect(201).json()));
    }
    server.performance(&ids[1], &crate::fixture::draft());
    let found = |query: &str| -> Vec<usize> {
        let page = server.get(&format!("/v1/shows?{query}")).expect(200).json();
        assert_eq!(page["next_cursor"], Value::Null);
        let place = |show: &Value| ids.iter().position(|known| *known == id(show)).unwrap();
        // Shows of one millisecond have no order that was promised.
        let mut places: Vec<_> = page["items"].as_array().unwrap().iter().map(place).collect();
        places.sort_unstable();
        places
    };
    let queries: [(&str, &[usize]); 12] = [
        ("", &[0, 1, 2]),
        ("q=tempest", &[0]),
        ("q=TEMPEST&field=concert", &[]),
        ("q=arena", &[1]),
        ("q=lee", &[0, 1, 2]),
        ("q=%EC%84%9C%EC%9A%B8", &[1]),
        ("q=storm+%26", &[2]),
        ("q=%", &[]),
        ("field=concert", &[1, 2]),
        ("on_sale=true", &[1]),
        ("on_sale=false", &[0, 2]),
        ("colour=red", &[0, 1, 2]),
    ];
    for (query, places) in queries {
        assert_eq!(found(query), places, "{query}");
    }
    let first = server.get("/v1/shows?limit=1&field=concert").expect(200).json();
    let rest = format!("/v1/shows?limit=1&field=concert&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = server.get(&rest).expect(200).json();
    let mut concerts = [id(&first["items"][0]), id(&rest["items"][0])];
    concerts.sort();
    let mut both = [ids[1].clone(), ids[2].clone()];
    both.sort();
    assert_eq!((concerts, &rest["next_cursor"]), (both, &Value::Null));
    for query in ["field=opera", "field=", "on_sale=maybe", "on_sale="] {
        server.get(&format!("/v1/shows?{query}")).refused(400, "bad-request");
    }
}

#[test]
fn a_performance_is_added_with_its_defaults() {
    let server = Server::start();
    let show = server.show();
    let path = format!("/v1/shows/{show}/performances");
    let draft = json!({"starts_at": "2040-06-01T19:00:00+09:00", "venue_preset": "study-rooms"});
    let answer = server.post(&path).token(&server.seller()).json(&draft).expect(201);
    let performance = answer.json();
    let path = format!("/v1/performances/{}", id(&performance));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert_eq!(server.get(&path).expect(200).json(), performance);
    assert_eq!((&performance["show"], &performance["on_sale"]), (&json!(show), &json!(true)));
    assert_eq!(performance["starts_at"], "2040-06-01T10:00:00.000Z");
    assert_eq!(performance["ends_at"], "2040-06-01T13:00:00.000Z");
    let mut sale = performance["sale"].clone();
    assert!(sale["opens_at"].take().is_string());
    let defaults = json!({
        "opens_at": null, "closes_at": "2040-06-01T10:00:00.000Z", "hold_ttl_seconds": 300, "max_seats_per_buyer": 8,
        "max_holds_per_buyer": 4, "approval": "automatic", "cancel_until": "2040-06-01T10:00:00.000Z", "refund": [],
        "waiting_room": null,
    });
    assert_eq!(sale, defaults);
    assert_eq!(server.get(&format!("/v1/shows/{show}")).expect(200).json()["performances"], json!([id(&performance)]));
}

#[test]
fn a_performance_keeps_the_rules_it_was_given() {
    let refund = json!([
        {"until": "2040-01-01T00:00:00.000Z", "percent": 100}, {"until": "2040-05-01T00:00:00.000Z", "percent": 50},
    ]);
    let sale = json!({
        "opens_at": "2020-01-01T00:00:00.000Z", "closes_at": "2040-06-01T18:00:00.000Z", "hold_ttl_seconds": 10,
        "max_seats_per_buyer": 1, "max_holds_per_buyer": 1, "approval": "manual",
        "cancel_until": "2040-05-01T00:00:00.000Z", "refund": refund, "waiting_room": null,
    });
    let hall = Hall::with(&[("/sale", sale.clone())]);
    assert_eq!(hall.get(&hall.path("")).expect(200).json()["sale"], sale);
}

#[test]
fn a_new_price_is_for_later_holds() {
    let hall = Hall::with(&[("/tiers/0/price/amount", json!(1000))]);
    let kim = hall.buyer("acc_kim");
    let before = hall.held(&kim, &["A-1-1"]);
    let price = json!({"amount": 2500, "currency": "KRW"});
    let patch = json!({"tiers": [{"name": "VIP", "price": price}]});
    let answer = hall.patch(&hall.path("")).token(&hall.seller()).json(&patch).expect(200);
    assert!(answer.header("onrush-sequence").is_some());
    assert_eq!(answer.json()["tiers"][0]["price"], price);
    let after = hall.held(&kim, &["A-1-2"]);
    assert_eq!((&before["total"]["amount"], &after["total"]["amount"]), (&json!(1000), &json!(2500)));
    let booking = hall.book(&kim, &id(&before)).expect(201).json();
    assert_eq!(booking["total"]["amount"], 1000);
    let read = hall.get(&format!("/v1/holds/{}", id(&after))).token(&kim).expect(200).json();
    assert_eq!(read["total"]["amount"], 2500);
}

#[test]
fn a_change_of_rules_is_for_what_comes_after() {
    let hall = Hall::open();
    let (kim, path) = (hall.buyer("acc_kim"), hall.path(""));
    let before = hall.get(&path).expect(200).json();
    let patch = json!({"ends_at": "2040-06-01T23:00:00Z", "sale": {"max_seats_per_buyer": 1, "hold_ttl_seconds": 60}});
    let changed = hall.patch(&path).token(&hall.seller()).json(&patch).expect(200).json();
    let mut wanted = before;
    wanted["ends_at"] = json!("2040-06-01T23:00:00.000Z");
    (wanted["sale"]["max_seats_per_buyer"], wanted["sale"]["hold_ttl_seconds"]) = (json!(1), json!(60));
    assert_eq!(changed, wanted);
    assert_eq!(hall.get(&path).expect(200).json(), wanted);
    hall.hold(&kim, &json!({"seats": ["A-1-1", "A-1-2"]})).refused(403, "limit-exceeded").with("limit", 1);
    assert_eq!(hall.held(&kim, &["A-1-1"])["expires_in_seconds"], 60);
    let same = hall.unchanged(|| hall.patch(&path).token(&hall.seller()).json(&json!({})).expect(200));
    assert_eq!(same.header("onrush-sequence"), None);
}

#[test]
fn rules_that_get_worse_are_for_whoever_holds_later() {
    let hall = Hall::open();
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let booking = hall.booked(&kim, &["A-1-1", "A-1-2"]);
    let sale = hall.get(&hall.path("")).expect(200).json()["sale"].clone();
    assert_eq!(
        booking["cancellation"],
        json!({"until": sale["cancel_until"], "refund": sale["refund"], "free_until": null})
    );
    let strict = json!({"sale": {"cancel_until": "2020-01-01T00:00:00.000Z",
        "refund": [{"until": "2020-01-01T00:00:00.000Z", "percent": 10}]}});
    hall.patch(&hall.path("")).token(&hall.seller()).json(&strict).expect(200);
    let later = hall.booked(&lee, &["A-1-3"]);
    assert_eq!(later["cancellation"]["until"], strict["sale"]["cancel_until"]);
    assert_eq!(later["cancellation"]["refund"], strict["sale"]["refund"]);
    hall.unchanged(|| hall.cancel(&lee, &id(&later), &Value::Null).refused(403, "cancellation-closed"));
    let cancelled = hall.cancel(&kim, &id(&booking), &json!(["A-1-1"])).expect(200).json();
    assert_eq!(
        (&cancelled["status"], &cancelled["cancellation"]),
        (&json!("partly_cancelled"), &booking["cancellation"])
    );
    let hall = hall.restart();
    let read = hall.get(&format!("/v1/bookings/{}", id(&booking))).token(&kim).expect(200).json();
    assert_eq!(read["cancellation"], booking["cancellation"]);
}

#[test]
fn what_was_sold_can_be_given_back_where_the_performance_is_moved() {
    let hall = Hall::with(&[("/sale/cancel_until", json!("2020-01-01T00:00:00Z"))]);
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let booking = hall.booked(&kim, &["A-1-1"]);
    let move_to =
        |to: &str| hall.patch(&hall.path("")).token(&hall.seller()).json(&json!({"starts_at": to})).expect(200);
    let read = || hall.get(&format!("/v1/bookings/{}", id(&booking))).token(&kim).expect(200).json();
    let moved = move_to("2040-06-01T19:30:00Z").json();
    assert_eq!(moved["sale"]["cancel_until"], "2020-01-01T00:30:00.000Z", "it moves along");
    assert_eq!(read()["cancellation"]["free_until"], Value::Null, "half an hour is nothing");
    hall.unchanged(|| hall.cancel(&kim, &id(&booking), &Value::Null).refused(403, "cancellation-closed"));
    move_to("2040-06-02T19:00:00Z");
    assert!(read()["cancellation"]["free_until"].is_string(), "{}", read());
    let later = hall.booked(&lee, &["A-1-2"]);
    assert_eq!(later["cancellation"]["free_until"], Value::Null);
    hall.unchanged(|| hall.cancel(&lee, &id(&later), &Value::Null).refused(403, "cancellation-closed"));
    assert_eq!(hall.cancel(&kim, &id(&booking), &Value::Null).expect(200).json()["status"], "cancelled");
}

#[test]
fn what_has_begun_is_not_moved() {
    let hall = Hall::with(&[
        ("/starts_at", json!("2020-01-01T00:00:00Z")),
        ("/ends_at", json!("2040-01-01T00:00:00Z")),
        ("/sale/closes_at", json!("2039-01-01T00:00:00Z")),
    ]);
    let to = |at: &str| hall.patch(&hall.path("")).token(&hall.seller()).json(&json!({"starts_at": at}));
    hall.unchanged(|| to("2030-01-01T00:00:00Z").refused(422, "invalid-body").at("/starts_at"));
    to("2020-01-01T00:00:00Z").expect(200);
}

#[test]
fn there_is_an_end_to_what_seats_can_be_sold_for() {
    let hall = Hall::open();
    let price = |amount: usize| {
        let tiers = json!({"tiers": [{"name": "VIP", "price": {"amount": amount, "currency": "KRW"}}]});
        hall.patch(&hall.path("")).token(&hall.seller()).json(&tiers)
    };
    (1..1_000).for_each(|amount| drop(price(amount).expect(200)));
    hall.unchanged(|| price(1_000).refused(403, "limit-exceeded").with("limit", 1_000));
    price(7).expect(200);
}

#[test]
fn a_change_that_is_not_safe_is_refused_with_the_field() {
    let hall = Hall::open();
    let tier = |name: &str, amount: i64, currency: &str| json!({"tiers": [{"name": name, "price": {"amount": amount, "currency": currency}}]});
    let wrong = [
        (tier("Gold", 1, "KRW"), "/tiers/0/name"),
        (tier("VIP", -1, "KRW"), "/tiers/0/price/amount"),
        (tier("VIP", 1, "USD"), "/tiers/0/price/currency"),
        (json!({"ends_at": "2040-06-01T18:00:00Z"}), "/ends_at"),
        (json!({"sale": {"cancel_until": "2041-01-01T00:00:00Z"}}), "/sale/cancel_until"),
        (json!({"starts_at": "2040-06-01T22:00:00Z", "ends_at": "2040-06-01T21:00:00Z"}), "/ends_at"),
        (json!({"sale": {"closes_at": "2000-06-01T22:00:00Z"}}), "/sale/closes_at"),
        (json!({"sale": {"hold_ttl_seconds": 9}}), "/sale/hold_ttl_seconds"),
        (json!({"sale": {"max_seats_per_buyer": 0}}), "/sale/max_seats_per_buyer"),
        (json!({"sale": {"waiting_room": {}}}), "/sale/waiting_room"),
        (json!({"seat_map": {"sections": []}}), "/seat_map"),
        (json!({"venue_preset": "arena"}), "/venue_preset"),
    ];
    let before = hall.get(&hall.path("")).expect(200).json();
    hall.unchanged(|| {
        for (patch, pointer) in wrong {
            hall.patch(&hall.path("")).token(&hall.seller()).json(&patch).refused(422, "invalid-body").at(pointer);
        }
    });
    assert_eq!(hall.get(&hall.path("")).expect(200).json(), before);
}

#[test]
fn house_seats_are_taken_out_of_sale_and_given_back() {
    let hall = Hall::open();
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    let answer = hall.block(&seller, &["A-1-1", "A-1-2"]).expect(201);
    assert!(answer.header("onrush-sequence").is_some());
    let block = answer.json();
    assert_eq!((&block["seats"], &block["reason"]), (&json!(["A-1-1", "A-1-2"]), &json!("press")));
    assert_eq!(block["performance"], hall.performance);
    assert_eq!((hall.seat("A-1-1"), hall.remaining()), (Seat::Blocked, 25));
    hall.hold(&kim, &json!({"seats": ["A-1-1"]})).refused(409, "seats-unavailable").with("seats", json!(["A-1-1"]));
    let path = hall.path(&format!("/blocks/{}", id(&block)));
    hall.delete(&path).token(&seller).expect(204);
    assert_eq!((hall.seat("A-1-1"), hall.remaining()), (Seat::Free, 27));
    hall.held(&kim, &["A-1-1"]);
    hall.unchanged(|| hall.delete(&path).token(&seller).expect(204));
    assert_eq!(hall.seat("A-1-1"), Seat::Held, "giving back twice takes nothing from whoever holds it now");
}

#[test]
fn taken_or_unknown_seats_are_not_blocked() {
    let hall = Hall::open();
    let (kim, seller) = (hall.buyer("acc_kim"), hall.seller());
    hall.held(&kim, &["A-1-1"]);
    hall.booked(&kim, &["A-1-2"]);
    let block = id(&hall.block(&seller, &["A-1-3"]).expect(201).json());
    let other = hall.performance(&hall.show, &crate::fixture::draft());
    hall.unchanged(|| {
        let taken = hall.block(&seller, &["A-1-4", "A-1-3", "A-1-2", "A-1-1"]).refused(409, "seats-unavailable");
        taken.with("seats", json!(["A-1-3", "A-1-2", "A-1-1"]));
        hall.block(&seller, &["A-1-4", "Z-1-1"]).refused(422, "unknown-seats").with("seats", json!(["Z-1-1"]));
        hall.block(&seller, &["A-1-4", "A-1-4"]).refused(422, "invalid-body").at("/seats");
        hall.block(&seller, &[]).refused(422, "invalid-body").at("/seats");
        let long = json!({"seats": ["A-1-4"], "reason": "x".repeat(201)});
        hall.post(&hall.path("/blocks")).token(&seller).json(&long).refused(422, "invalid-body").at("/reason");
        let elsewhere = format!("/v1/performances/{other}/blocks/{block}");
        hall.delete(&elsewhere).token(&seller).refused(404, "not-found");
    });
}
