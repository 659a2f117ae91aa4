//! How a performance sells: figures that add up, who booked by state and buyer, and CSV.

use serde_json::{Value, json};

use crate::fixture::{Hall, id};

fn sales(hall: &Hall, query: &str) -> Value {
    hall.get(&hall.path(&format!("/sales{query}"))).token(&hall.seller()).expect(200).json()
}

/// Two bookings that cost nothing, one of them without one of its seats, and one that waits for its payment.
fn sold() -> (Hall, [String; 3]) {
    let hall = Hall::with(&[("/tiers/0/price/amount", json!(1000))]);
    let (kim, lee) = (hall.buyer("acc_kim"), hall.buyer("acc_lee"));
    let one = id(&hall.booked(&kim, &["B-left-1a", "B-left-1b"]));
    let two = id(&hall.booked(&lee, &["B-left-2"]));
    let three = id(&hall.booked(&lee, &["A-1-1", "A-1-2"]));
    let cancel = format!("/v1/bookings/{one}/cancel");
    hall.post(&cancel).token(&kim).json(&json!({"seats": ["B-left-1a"]})).expect(200);
    (hall, [one, two, three])
}

#[test]
fn sold_seats_are_counted_by_day_hour_tier_and_section() {
    let (hall, _) = sold();
    let sales_by_section = sales(&hall, "?by=section");
    assert_eq!((&sales_by_section["sold"], &sales_by_section["waiting"]), (&json!(2), &json!(2)));
    let counts = &sales_by_section["bookings"];
    assert_eq!((&counts["confirmed"], &counts["pending_payment"]), (&json!(2), &json!(1)));
    assert_eq!(sales_by_section["rows"].as_array().map(Vec::len), Some(1));
    let row = &sales_by_section["rows"][0];
    assert_eq!((&row["key"], &row["bookings"], &row["seats"]), (&json!("B"), &json!(2), &json!(2)));
    for by in ["day", "hour", "tier"] {
        let rows = sales(&hall, &format!("?by={by}"))["rows"].as_array().expect("rows").clone();
        assert_eq!(rows.iter().map(|row| row["seats"].as_u64().unwrap_or(0)).sum::<u64>(), 2, "{by}");
    }
    let path = hall.path("/sales");
    hall.get(&format!("{path}?by=moon")).token(&hall.seller()).refused(400, "bad-request");
    hall.get(&format!("{path}?format=pdf")).token(&hall.seller()).refused(400, "bad-request");
    hall.get(&path).token(&hall.other_seller()).refused(404, "not-found");
    hall.get(&path).token(&hall.buyer("acc_kim")).refused(403, "forbidden");
    let csv = hall.get(&format!("{path}?by=tier&format=csv")).token(&hall.seller()).expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text().lines().count(), 2, "{}", csv.text());
}

#[test]
fn who_booked_is_found_by_state_and_by_buyer() {
    let (hall, [one, two, three]) = sold();
    let ids = |query: &str| -> Vec<String> {
        let path = hall.path(&format!("/bookings?{query}"));
        let listed = hall.get(&path).token(&hall.seller()).expect(200).json();
        listed["items"].as_array().expect("a list").iter().map(id).collect()
    };
    assert_eq!(ids("status=partly_cancelled"), [one.as_str()]);
    assert_eq!(ids("status=pending_payment"), [three.as_str()]);
    assert_eq!(ids("buyer=acc_lee"), [two.as_str(), three.as_str()]);
    assert_eq!(ids("buyer=acc_lee&status=confirmed"), [two.as_str()]);
    assert_eq!(ids("buyer=acc_nobody"), Vec::<String>::new());
    let first = hall.get(&hall.path("/bookings?buyer=acc_lee&limit=1")).token(&hall.seller()).expect(200).json();
    assert_eq!(id(&first["items"][0]), two);
    let cursor = first["next_cursor"].as_str().expect("more");
    assert_eq!(ids(&format!("buyer=acc_lee&limit=1&cursor={cursor}")), [three]);
    hall.get(&hall.path("/bookings?status=lost")).token(&hall.seller()).refused(400, "bad-request");
}

#[test]
fn a_spreadsheet_takes_no_buyers_words_for_a_formula() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let hold = id(&hall.held(&kim, &["A-1-1"]));
    let purpose = json!({"hold": hold, "purpose": "=HYPERLINK(\"http://x\"), really"});
    hall.post("/v1/bookings").token(&kim).json(&purpose).expect(201);
    let path = hall.path("/bookings?format=csv&status=confirmed");
    let csv = hall.get(&path).token(&hall.seller()).expect(200);
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"bookings.csv\""));
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("\"id\",\"status\",\"buyer\",\"seats\","), "{}", lines[0]);
    assert!(
        lines[1].contains(",\"confirmed\",\"acc_kim\",\"A-1-1\",") && lines[1].contains("\"'=HYPERLINK("),
        "{}",
        lines[1]
    );
}

#[test]
fn a_listing_says_when_seats_run_out() {
    let floor = json!([{"name": "Floor", "kind": "general_admission", "tier": "VIP", "capacity": 40}]);
    let limits = json!({"max_seats_per_buyer": 40});
    let hall = Hall::with(&[("/seat_map/sections", floor), ("/sale", limits)]);
    let seats_left = || hall.get(&hall.path("")).expect(200).json()["seats_left"].clone();
    let kim = hall.buyer("acc_kim");
    let hold = |quantity: u32| {
        let wish = json!({"general_admission": {"section": "Floor", "quantity": quantity}});
        hall.post(&hall.path("/holds")).token(&kim).json(&wish).expect(201);
    };
    hold(37);
    assert_eq!(seats_left(), "plenty");
    hold(1);
    assert_eq!(seats_left(), "last_seats");
    hold(2);
    assert_eq!(seats_left(), "sold_out");
}
