//! Drafts of shows and performances with one thing wrong: refused with the field, and nothing is made.

use serde_json::{Value, json};

use crate::fixture::{Hall, Server, draft_with, show_draft};

#[test]
fn a_show_with_a_wrong_field_is_not_made() {
    let server = Server::start();
    let wrong = [
        ("title", json!(""), "/title"),
        ("title", json!("  "), "/title"),
        ("title", json!("x".repeat(201)), "/title"),
        ("title", json!(7), "/title"),
        ("title", Value::Null, "/title"),
        ("field", json!("opera"), "/field"),
        ("cast", json!(vec!["x"; 101]), "/cast"),
        ("cast", json!(["x".repeat(201)]), "/cast"),
        ("cast", json!("Kim"), "/cast"),
        ("venue", json!("x".repeat(201)), "/venue"),
        ("description", json!("x".repeat(8001)), "/description"),
        ("poster_url", json!("http://example.org/x.png"), "/poster_url"),
        ("poster_url", json!("javascript:alert(1)"), "/poster_url"),
        ("poster_url", json!(format!("https://example.org/{}", "x".repeat(1000))), "/poster_url"),
        ("seller", json!("acc_other"), "/seller"),
    ];
    for (field, value, pointer) in wrong {
        let mut draft = show_draft();
        draft[field] = value;
        server.post("/v1/shows").token(&server.seller()).json(&draft).refused(422, "invalid-body").at(pointer);
    }
    let mut draft = show_draft();
    (draft["title"], draft["venue"]) = (json!(""), json!("x".repeat(201)));
    let both = server.post("/v1/shows").token(&server.seller()).json(&draft).refused(422, "invalid-body");
    assert_eq!(both.body["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.get("/v1/shows").expect(200).json()["items"], json!([]));
}

#[test]
fn a_performance_with_a_wrong_field_is_not_added() {
    let server = Server::start();
    let show = server.show();
    let price = |amount: Value, currency: &str| json!({"amount": amount, "currency": currency});
    let rows = "/seat_map/sections/0/rows";
    let wrong = [
        ("/starts_at", json!("tomorrow"), "/starts_at"),
        ("/starts_at", json!("2040-06-01"), "/starts_at"),
        ("/starts_at", json!("1969-12-31T00:00:00Z"), "/starts_at"),
        ("/starts_at", json!(1_900_000_000), "/starts_at"),
        ("/starts_at", Value::Null, "/starts_at"),
        ("/ends_at", json!("2040-06-01T18:00:00Z"), "/ends_at"),
        ("/ends_at", json!("2040-06-01T19:00:00Z"), "/ends_at"),
        ("/title", json!("Hamlet"), "/title"),
        ("/venue_preset", json!("arena"), ""),
        ("/seat_map", Value::Null, ""),
        ("/seat_map/sections", json!([]), "/seat_map"),
        ("/seat_map/rows", json!([]), "/seat_map/rows"),
        ("/seat_map/sections/0/tier", json!("Gold"), "/seat_map/sections/0/tier"),
        ("/seat_map/sections/3/tier", json!(""), "/seat_map/sections/3/tier"),
        ("/seat_map/sections/0/name", json!(""), "/seat_map"),
        ("/seat_map/sections/0/name", json!("x".repeat(65)), "/seat_map"),
        ("/seat_map/sections/0/name", json!("A\nB"), "/seat_map"),
        ("/seat_map/sections/1/name", json!("A"), "/seat_map"),
        (rows, json!([{"name": "1", "seats": 6}, {"name": "1", "seats": 6}]), "/seat_map"),
        (rows, json!([{"name": "1", "seats": ["a", "a"]}]), "/seat_map"),
        (rows, json!([{"name": "1-1", "seats": ["1"]}, {"name": "1", "seats": ["1-1"]}]), "/seat_map"),
        (rows, json!([{"name": "", "seats": 6}]), "/seat_map"),
        (rows, json!([{"name": "1", "seats": [""]}]), "/seat_map"),
        ("/tiers", json!([]), "/tiers"),
        ("/tiers/1/name", json!("VIP"), "/tiers/1/name"),
        ("/tiers/0/name", json!(""), "/tiers/0/name"),
        ("/tiers/0/price", price(json!(-1), "KRW"), "/tiers/0/price/amount"),
        ("/tiers/0/price", price(json!(1_000_000_000_001_i64), "KRW"), "/tiers/0/price/amount"),
        ("/tiers/0/price", price(json!(1.5), "KRW"), "/tiers/0/price/amount"),
        ("/tiers/1/price", price(json!(0), "USD"), "/tiers/1/price/currency"),
        ("/tiers/1/price", price(json!(0), "won"), "/tiers/1/price/currency"),
        ("/sale/hold_ttl_seconds", json!(9), "/sale/hold_ttl_seconds"),
        ("/sale/hold_ttl_seconds", json!(3601), "/sale/hold_ttl_seconds"),
        ("/sale/hold_ttl_seconds", json!(-1), "/sale/hold_ttl_seconds"),
        ("/sale/max_seats_per_buyer", json!(0), "/sale/max_seats_per_buyer"),
        ("/sale/max_seats_per_buyer", json!(1_000_001), "/sale/max_seats_per_buyer"),
        ("/sale/max_holds_per_buyer", json!(0), "/sale/max_holds_per_buyer"),
        ("/sale/closes_at", json!("2020-01-01T00:00:00Z"), "/sale/closes_at"),
        ("/sale/opens_at", json!("2040-06-01T19:00:00Z"), "/sale/closes_at"),
        ("/sale/approval", json!("maybe"), "/sale/approval"),
        ("/sale/refund", json!([{"until": "2039-01-01T00:00:00Z", "percent": 101}]), "/sale/refund"),
        (
            "/sale/refund",
            json!([{"until": "2039-01-01T00:00:00Z", "percent": 50},
                                {"until": "2038-01-01T00:00:00Z", "percent": 20}]),
            "/sale/refund",
        ),
        (
            "/sale/refund",
            json!([{"until": "2038-01-01T00:00:00Z", "percent": 20},
                                {"until": "2039-01-01T00:00:00Z", "percent": 50}]),
            "/sale/refund",
        ),
        ("/sale/waiting_room", json!({}), "/sale/waiting_room"),
        ("/sale/waiting_room", json!(true), "/sale/waiting_room"),
        ("/sale/colour", json!("red"), "/sale/colour"),
    ];
    let path = format!("/v1/shows/{show}/performances");
    for (place, value, pointer) in wrong {
        let draft = draft_with(&[(place, value)]);
        server.post(&path).token(&server.seller()).json(&draft).refused(422, "invalid-body").at(pointer);
    }
    assert_eq!(server.get(&format!("/v1/shows/{show}")).expect(200).json()["performances"], json!([]));
}

/// serde reads a section's kind first and then the rest of it, so the section is as close as a pointer gets.
/// What is over can be forgotten by its seller, so nobody says of what was sold that it is over.
#[test]
fn a_performance_is_not_moved_into_the_past() {
    let hall = Hall::open();
    let path = hall.path("");
    let moved = |patch: Value| hall.patch(&path).token(&hall.seller()).json(&patch).refused(422, "invalid-body");
    hall.unchanged(|| {
        let sale = json!({"opens_at": "2000-01-01T00:00:00Z", "closes_at": "2001-01-01T00:00:00Z"});
        let starts_at = json!({"starts_at": "2001-01-01T20:00:00Z", "sale": sale});
        moved(starts_at).at("/starts_at");
        let both = json!({"starts_at": "2001-01-01T20:00:00Z", "ends_at": "2001-01-01T22:00:00Z", "sale": sale});
        moved(both).at("/ends_at");
    });
}

#[test]
fn a_section_with_a_wrong_field_is_pointed_at() {
    let server = Server::start();
    let path = format!("/v1/shows/{}/performances", server.show());
    let section = |at: &str| format!("/seat_map/sections/{at}");
    let wrong = [
        (section("0/kind"), json!("balcony")),
        (section("0/rows/0/seats"), json!(-1)),
        (section("0/rows/0/seats"), json!("six")),
        (section("0/rows/0/x"), json!(1)),
        (section("0/capacity"), json!(1)),
        (section("2/capacity"), json!(-1)),
        (section("2/capacity"), json!("ten")),
        (section("3/slots/0/starts_at"), json!("noon")),
    ];
    for (place, value) in wrong {
        let draft = draft_with(&[(&place, value)]);
        let problem = server.post(&path).token(&server.seller()).json(&draft).refused(422, "invalid-body");
        let pointer = problem.body["errors"][0]["pointer"].as_str().unwrap();
        assert!(place.starts_with(pointer) && pointer.starts_with("/seat_map/sections"), "{}", problem.body);
    }
    let early = ("/seat_map/sections/3/slots/0/ends_at", json!("2040-06-01T08:00:00Z"));
    let draft = draft_with(&[early]);
    server.post(&path).token(&server.seller()).json(&draft).refused(422, "invalid-body").at("/seat_map");
}

#[test]
fn a_hall_that_is_too_large_is_not_built() {
    let server = Server::start();
    let path = format!("/v1/shows/{}/performances", server.show());
    for capacity in [200_001, u32::MAX] {
        let draft = draft_with(&[("/seat_map/sections/2/capacity", json!(capacity))]);
        let call = server.post(&path).token(&server.seller()).json(&draft);
        call.refused(422, "seat-map-too-large").with("limit", 200_000);
    }
    let rows: Vec<Value> = (0..40).map(|row| json!({"name": row.to_string(), "seats": 5001})).collect();
    let draft = draft_with(&[("/seat_map/sections/0/rows", json!(rows))]);
    server.post(&path).token(&server.seller()).json(&draft).refused(422, "seat-map-too-large").with("limit", 200_000);
    // Names that one journal record has no room for.
    let names: Vec<String> = (0..7000).map(|seat| format!("{seat}{}", "x".repeat(58))).collect();
    let draft = draft_with(&[("/seat_map/sections/0/rows", json!([{"name": "1", "seats": names}]))]);
    server.post(&path).token(&server.seller()).json(&draft).refused(422, "seat-map-too-large");
    // And a body that is not read to its end.
    let names: Vec<String> = (0..20_000).map(|seat| format!("{seat}{}", "x".repeat(58))).collect();
    let draft = draft_with(&[("/seat_map/sections/0/rows", json!([{"name": "1", "seats": names}]))]);
    server.post(&path).token(&server.seller()).json(&draft).refused(413, "body-too-large").with("limit", 1024 * 1024);
}

#[test]
fn a_preset_that_does_not_exist_or_fit_is_refused() {
    let server = Server::start();
    let path = format!("/v1/shows/{}/performances", server.show());
    let free = json!({"amount": 0, "currency": "KRW"});
    let wrong = [
        (json!({"venue_preset": "moon"}), "/venue_preset"),
        (json!({"venue_preset": ""}), "/venue_preset"),
        (json!({"venue_preset": 7}), "/venue_preset"),
        (json!({"venue_preset": "study-rooms", "ends_at": "2040-06-01T19:30:00Z"}), "/venue_preset"),
        (json!({"venue_preset": "study-rooms", "ends_at": "2041-06-01T19:30:00Z"}), "/venue_preset"),
        (json!({"venue_preset": "arena", "tiers": [{"name": "R", "price": free}]}), "/tiers"),
        (json!({"venue_preset": "study-rooms", "tiers": [{"name": "Day", "price": free}]}), "/tiers"),
        (json!({}), ""),
    ];
    for (mut draft, pointer) in wrong {
        draft["starts_at"] = json!("2040-06-01T19:00:00Z");
        server.post(&path).token(&server.seller()).json(&draft).refused(422, "invalid-body").at(pointer);
    }
}
