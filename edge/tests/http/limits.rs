//! When holds may be made, and how many seats one buyer may have.

use serde_json::json;

use crate::client::Call;
use crate::fixture::{Hall, at_once, id};

#[test]
fn nothing_is_held_before_the_sale_opens_or_after_it_has_closed() {
    for (opens_at, closes_at) in [("2039-01-01", "2040-01-01"), ("2020-01-01", "2020-02-01")] {
        let (opens_at, closes_at) = (format!("{opens_at}T00:00:00.000Z"), format!("{closes_at}T00:00:00.000Z"));
        let hall = Hall::with(&[("/sale/opens_at", json!(opens_at)), ("/sale/closes_at", json!(closes_at))]);
        let kim = hall.buyer("acc_kim");
        hall.unchanged(|| {
            for wish in [
                json!({"seats": ["A-1-1"]}),
                json!({"best_available": {"quantity": 2}}),
                json!({"general_admission": {"section": "Floor", "quantity": 1}}),
            ] {
                let refused = hall.hold(&kim, &wish).refused(403, "not-on-sale");
                refused.with("opens_at", opens_at.clone()).with("closes_at", closes_at.clone());
            }
        });
        assert_eq!(hall.get(&hall.path("")).expect(200).json()["on_sale"], false);
        assert_eq!(hall.get(&format!("/v1/shows/{}", hall.show)).expect(200).json()["on_sale"], false);
    }
}

#[test]
fn what_is_held_when_the_sale_closes_can_still_be_booked() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let closed = json!({"sale": {"opens_at": "2020-01-01T00:00:00Z", "closes_at": "2020-02-01T00:00:00Z"}});
    hall.patch(&hall.path("")).token(&hall.seller()).json(&closed).expect(200);
    hall.hold(&kim, &json!({"seats": ["A-1-2"]})).refused(403, "not-on-sale");
    hall.book(&kim, &hold).expect(201);
}

#[test]
fn one_buyer_has_no_more_seats_than_allowed_held_and_booked_together() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(3))]);
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    hall.unchanged(|| {
        let refused = hall.hold(&kim, &json!({"best_available": {"quantity": 4}})).refused(403, "limit-exceeded");
        refused.with("limit", 3).with("in_use", 0);
    });
    let booking = id(&hall.booked(&kim, &["A-1-1", "A-1-2"]));
    let hold = id(&hall.held(&kim, &["A-1-3"]));
    hall.unchanged(|| {
        let refused = hall.hold(&kim, &json!({"seats": ["A-1-4"]})).refused(403, "limit-exceeded");
        refused.with("limit", 3).with("in_use", 3);
    });
    // Another buyer has a limit of their own, and what is given up counts no more.
    hall.held(&lee, &["A-1-4"]);
    hall.cancel(&kim, &booking, &json!(["A-1-1"])).expect(200);
    hall.delete(&format!("/v1/holds/{hold}")).token(&kim).expect(204);
    hall.hold(&kim, &json!({"best_available": {"quantity": 3}})).refused(403, "limit-exceeded").with("in_use", 1);
    hall.hold(&kim, &json!({"best_available": {"quantity": 2}})).expect(201);
}

#[test]
fn one_buyer_has_no_more_holds_than_allowed() {
    let hall = Hall::with(&[("/sale/max_holds_per_buyer", json!(2))]);
    let kim = hall.buyer("acc_kim");
    let first = id(&hall.held(&kim, &["A-1-1"]));
    hall.held(&kim, &["A-1-2"]);
    hall.unchanged(|| {
        let refused = hall.hold(&kim, &json!({"seats": ["A-1-3"]})).refused(403, "limit-exceeded");
        refused.with("limit", 2).with("in_use", 2);
    });
    hall.book(&kim, &first).expect(201);
    hall.held(&kim, &["A-1-3"]);
}

#[test]
fn a_limit_holds_against_many_connections_at_once() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(4)), ("/sale/max_holds_per_buyer", json!(100))]);
    let kim = hall.buyer("acc_kim");
    let two = hall.hold(&kim, &json!({"best_available": {"quantity": 2}}));
    let answers = at_once(vec![two; 8]);
    let held = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(held, 2, "{answers:?}");
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(403, "limit-exceeded").with("in_use", 4);
    }
    assert_eq!(hall.remaining(), 23);
}

#[test]
fn a_limit_holds_against_requests_in_one_packet() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(2))]);
    let two = hall.hold(&hall.buyer("acc_kim"), &json!({"best_available": {"quantity": 2}})).bytes();
    let mut connection = hall.connect();
    connection.send([two.clone(), two].concat());
    connection.answer().expect(201);
    connection.answer().refused(403, "limit-exceeded");
    assert_eq!(hall.remaining(), 25);
}

#[test]
fn one_seat_has_one_holder_however_many_ask_at_once() {
    let hall = Hall::open();
    let wish = json!({"seats": ["A-1-1"]});
    let calls: Vec<Call> = (0..16).map(|buyer| hall.hold(&hall.buyer(&format!("acc_{buyer}")), &wish)).collect();
    let mut answers = at_once(calls).into_iter();
    answers.next().unwrap().expect(201);
    for answer in answers {
        answer.refused(409, "seats-unavailable").with("seats", json!(["A-1-1"]));
    }
    assert_eq!(hall.remaining(), 26);
}

#[test]
fn the_last_places_to_stand_are_sold_once() {
    let hall = Hall::open();
    let wish = json!({"general_admission": {"section": "Floor", "quantity": 3}});
    let calls = (0..8).map(|buyer| hall.hold(&hall.buyer(&format!("acc_{buyer}")), &wish)).collect();
    let answers = at_once(calls);
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "seats-unavailable").with("remaining", 1);
    }
    assert_eq!(hall.availability()["remaining"]["by_section"]["Floor"], 1);
}
