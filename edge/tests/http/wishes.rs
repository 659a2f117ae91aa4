//! Holds that are refused for what they ask for: each says why, and nothing is held.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::fixture::{Hall, Seat, id, labels};

#[test]
fn a_body_that_is_no_json_is_malformed() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let bodies: [&[u8]; 7] = [
        b"",
        b"{",
        br#"{"seats":["A-1-1"]"#,
        br#"{"seats":["A-1-1"]} x"#,
        br#"{'seats':['A-1-1']}"#,
        b"{\"seats\":[\"\xff\xfe\"]}",
        b"seats=A-1-1",
    ];
    hall.unchanged(|| {
        for body in bodies {
            let call = hall.post(&hall.path("/holds")).token(&kim).body("application/json", body);
            call.refused(400, "malformed-body");
        }
    });
}

#[test]
fn a_wish_of_another_shape_is_invalid_and_says_where() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let quantity = |quantity: &str| format!(r#"{{"best_available":{{"quantity":{quantity}}}}}"#);
    let places = |section: &str, quantity: i64| {
        json!({"general_admission": {"section": section, "quantity": quantity}}).to_string()
    };
    let wishes = [
        (quantity("0"), "/best_available/quantity"),
        (quantity("-1"), "/best_available/quantity"),
        (quantity("4294967296"), "/best_available/quantity"),
        (quantity("9223372036854775808"), "/best_available/quantity"),
        (quantity("1.5"), "/best_available/quantity"),
        (quantity("\"2\""), "/best_available/quantity"),
        (quantity("null"), "/best_available/quantity"),
        (quantity("1,\"quantity\":2"), "/best_available"),
        (quantity("1,\"price\":1"), "/best_available/price"),
        (quantity("1,\"adjacent\":\"yes\""), "/best_available/adjacent"),
        (quantity("1,\"tier\":\"Gold\""), "/best_available/tier"),
        (quantity("1,\"section\":\"Z\""), "/best_available/section"),
        (places("Floor", 0), "/general_admission/quantity"),
        (places("Floor", -1), "/general_admission/quantity"),
        (places("Z", 1), "/general_admission/section"),
        (places("A", 1), "/general_admission/section"),
        (places("Studio", 1), "/general_admission/section"),
        (r#"{"seats":["A-1-1"],"price":1}"#.into(), "/price"),
        (r#"{"seats":["A-1-1"],"a/b~c":1}"#.into(), "/a~1b~0c"),
        (r#"{"seats":["A-1-1"],"seats":["A-1-2"]}"#.into(), ""),
        (r#"{"seats":"A-1-1"}"#.into(), "/seats"),
        (r#"{"seats":["A-1-1",7]}"#.into(), "/seats/1"),
        (r#"{"seats":[]}"#.into(), "/seats"),
        (r#"{"seats":["A-1-1","A-1-2","A-1-1"]}"#.into(), "/seats"),
        (format!(r#"{{"seats":{}1{}}}"#, "[".repeat(500), "]".repeat(500)), "/seats/0"),
        ("{}".into(), ""),
        ("[]".into(), ""),
        ("null".into(), ""),
        ("\"A-1-1\"".into(), ""),
        (r#"{"seats":["A-1-1"],"best_available":{"quantity":1}}"#.into(), ""),
        (r#"{"seats":["A-1-1"],"general_admission":{"section":"Floor","quantity":1}}"#.into(), ""),
        (r#"{"seats":["A-1-1"],"wish":"wish_"}"#.into(), ""),
        (r#"{"wish":"wish_"}"#.into(), "/wish"),
        (r#"{"wish":"A-1-1"}"#.into(), "/wish"),
    ];
    hall.unchanged(|| {
        for (wish, pointer) in wishes {
            let call = hall.post(&hall.path("/holds")).token(&kim).body("application/json", wish);
            call.refused(422, "invalid-body").at(pointer);
        }
    });
}

#[test]
fn seats_that_the_hall_does_not_have_are_named() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let labels =
        ["A-9-9", "A-1-0", "A-1-7", "A-1-01", "a-1-1", "A-1-1 ", "A", "", "Floor-11", "Studio-1", "B-left-1", "관-1"];
    hall.unchanged(|| {
        for label in labels {
            let wish = json!({"seats": ["A-1-1", label]});
            hall.hold(&kim, &wish).refused(422, "unknown-seats").with("seats", json!([label]));
        }
    });
    let wish = json!({"seats": ["Z-1-1", "A-1-1", "Z-1-2"]});
    hall.hold(&kim, &wish).refused(422, "unknown-seats").with("seats", json!(["Z-1-1", "Z-1-2"]));
}

#[test]
fn ten_thousand_seats_are_too_many_however_they_are_asked_for() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(1_000_000))]);
    let kim = hall.buyer("acc_kim");
    let labels = |count: usize| (1..=count).map(|place| format!("A-1-{place}")).collect::<Vec<_>>();
    hall.unchanged(|| {
        let wish = json!({"seats": labels(10_000)});
        hall.hold(&kim, &wish).refused(413, "body-too-large").with("limit", 16 * 1024);
        for wish in [
            json!({"seats": labels(501)}),
            json!({"best_available": {"quantity": 10_000}}),
            json!({"best_available": {"quantity": u32::MAX}}),
            json!({"general_admission": {"section": "Floor", "quantity": 10_000}}),
        ] {
            hall.hold(&kim, &wish).refused(403, "limit-exceeded").with("limit", 500);
        }
    });
}

#[test]
fn a_body_must_be_called_json() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let wish = json!({"seats": ["A-1-1"]}).to_string();
    let as_type = |content_type: &str| hall.post(&hall.path("/holds")).token(&kim).body(content_type, wish.clone());
    hall.unchanged(|| {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json-patch+json",
            "application/jsonx",
            "",
            "text/plain; application/json",
        ] {
            as_type(content_type).refused(415, "unsupported-media-type");
        }
    });
    as_type("Application/JSON; charset=utf-8").expect(201);
    assert_eq!(hall.seat("A-1-1"), Seat::Held);
}

#[test]
fn taken_seats_are_named_and_none_of_the_others_is_held() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(20)), ("/sale/max_holds_per_buyer", json!(20))]);
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    hall.held(&kim, &["A-1-2"]);
    hall.booked(&kim, &["A-1-4"]);
    hall.block(&hall.seller(), &["A-1-6"]).expect(201);
    hall.unchanged(|| {
        let wish = json!({"seats": ["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5", "A-1-6"]});
        let taken = hall.hold(&lee, &wish).refused(409, "seats-unavailable");
        taken.with("seats", json!(["A-1-2", "A-1-4", "A-1-6"]));
    });
}

#[test]
fn a_tier_that_no_section_is_sold_in_has_no_seats() {
    let free = json!({"amount": 0, "currency": "KRW"});
    let tier = |name: &str| json!({"name": name, "price": free});
    let hall = Hall::with(&[("/tiers", json!([tier("VIP"), tier("R"), tier("Hour"), tier("Unsold")]))]);
    let kim = hall.buyer("acc_kim");
    hall.unchanged(|| {
        for wish in [json!({"quantity": 1, "tier": "Unsold"}), json!({"quantity": 2, "tier": "Unsold", "section": "A"})]
        {
            let wish = json!({"best_available": wish});
            hall.hold(&kim, &wish).refused(409, "seats-unavailable").with("remaining", 0);
        }
    });
}

#[test]
fn what_is_not_left_is_refused_with_what_is() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(20)), ("/sale/max_holds_per_buyer", json!(20))]);
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    hall.hold(&kim, &json!({"general_admission": {"section": "Floor", "quantity": 8}})).expect(201);
    hall.held(&kim, &["A-1-3", "A-2-3"]);
    hall.unchanged(|| {
        let wish = json!({"general_admission": {"section": "Floor", "quantity": 3}});
        hall.hold(&lee, &wish).refused(409, "seats-unavailable").with("remaining", 2);
        let wish = json!({"best_available": {"quantity": 11, "section": "A", "adjacent": false}});
        hall.hold(&lee, &wish).refused(409, "seats-unavailable").with("remaining", 10);
        let wish = json!({"best_available": {"quantity": 5, "section": "A"}});
        let split = hall.hold(&lee, &wish).refused(409, "not-adjacent").body["split"].clone();
        let groups: Vec<usize> =
            split.as_array().unwrap().iter().map(|group| group.as_array().unwrap().len()).collect();
        assert_eq!(groups, [3, 2], "{split}");
    });
    // What is on offer can be had, by name.
    let wish = json!({"best_available": {"quantity": 5, "section": "A"}});
    let split = hall.hold(&lee, &wish).refused(409, "not-adjacent").body["split"].clone();
    let names: Vec<&Value> = split.as_array().unwrap().iter().flat_map(|group| group.as_array().unwrap()).collect();
    hall.hold(&lee, &json!({"seats": names})).expect(201);
}

#[test]
fn what_was_said_before_the_sale_is_held_in_one_short_request() {
    let hall = Hall::with(&[("/tiers/0/price/amount", json!(90_000)), ("/tiers/1/price/amount", json!(50_000))]);
    let kim = hall.buyer("acc_kim");
    let wish = |draft: Value| hall.post(&hall.path("/wishes")).token(&kim).json(&draft);
    let held = |wish: &Value| hall.hold(&kim, &json!({"wish": wish["id"]}));
    let dear = wish(json!({"quantity": 2, "sections": ["A", "B"]})).expect(201).json();
    assert_eq!((&dear["sections"], &dear["fallback"]), (&json!(["A", "B"]), &json!("nothing")));
    let cheap = wish(json!({"quantity": 2, "sections": ["A", "B"], "price_max": 50_000})).expect(201).json();
    assert_eq!(labels(&held(&dear).expect(201).json()["seats"]), ["A-1-3", "A-1-4"]);
    assert_eq!(labels(&held(&cheap).expect(201).json()["seats"]), ["B-left-1a", "B-left-1b"]);
    held(&cheap).refused(409, "seats-unavailable").with("remaining", 1);
    let anywhere = wish(json!({"quantity": 2, "sections": ["B"], "fallback": "elsewhere"})).expect(201).json();
    assert_eq!(labels(&held(&anywhere).expect(201).json()["seats"]).len(), 2);
}

#[test]
fn a_wish_that_cannot_be_says_so_before_the_rush() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let many: Vec<&str> = std::iter::repeat_n("A", 17).collect();
    let drafts = [
        (json!({"quantity": 0}), "/quantity"),
        (json!({"quantity": 1, "sections": ["A", "Z"]}), "/sections/1"),
        (json!({"quantity": 1, "sections": many}), "/sections"),
        (json!({"quantity": 1, "price_max": -1}), "/price_max"),
        (json!({"quantity": 1, "fallback": "any"}), "/fallback"),
        (json!({"quantity": 1, "seats": []}), "/seats"),
    ];
    let wish = |draft: &Value| hall.post(&hall.path("/wishes")).token(&kim).json(draft);
    for (draft, pointer) in drafts {
        wish(&draft).refused(422, "invalid-body").at(pointer);
    }
    wish(&json!({"quantity": 501})).refused(403, "limit-exceeded").with("limit", 500);
    let other = hall.performance(&hall.show, &crate::fixture::draft());
    let wish = id(&wish(&json!({"quantity": 1})).expect(201).json());
    let elsewhere = hall.post(&format!("/v1/performances/{other}/holds")).token(&kim);
    elsewhere.json(&json!({"wish": wish})).refused(422, "invalid-body").at("/wish");
    // An id that somebody has made up is looked at like any other body.
    let made_up = |draft: Value| {
        let said = json!([hall.performance, draft]).to_string();
        hall.hold(&kim, &json!({"wish": format!("wish_{}", URL_SAFE_NO_PAD.encode(said))}))
    };
    made_up(json!({"quantity": 1})).expect(201);
    for draft in
        [json!({"quantity": 0}), json!({"quantity": 501}), json!({"quantity": 1, "sections": ["Z"]}), json!([])]
    {
        made_up(draft).refused(422, "invalid-body").at("/wish");
    }
}
