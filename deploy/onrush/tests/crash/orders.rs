//! The part of the small sale in which money, the seller's word and tickets come up.

use serde_json::{Value, json};

use crate::accounts::PASSWORD;
use crate::http::Call;
use crate::payments::pay;
use crate::sale::{Desk, SELLER};

/// Its performances.
pub(crate) struct Orders {
    /// Paid, cancelled in part, given away, used; and never paid.
    pub(crate) paid: String,
    /// Approved, rejected, and called off.
    pub(crate) asked: String,
}

/// Sells both.
pub(crate) fn sell(desk: &mut Desk) -> Orders {
    Orders { paid: paid(desk), asked: asked(desk) }
}

fn open(desk: &mut Desk, title: &str, approval: &str) -> String {
    let refund = json!([{"until": "2098-12-01T00:00:00Z", "percent": 80}]);
    let sale = json!({"hold_ttl_seconds": 10, "max_seats_per_buyer": 4, "approval": approval, "refund": refund});
    desk.open(title, 50_000, &sale)
}

fn paid(desk: &mut Desk) -> String {
    let performance = open(desk, "A night to pay for", "automatic");
    let never = book(desk, &performance, 3, &["Stalls-A-3"]);
    let booking = book(desk, &performance, 1, &["Stalls-A-1", "Stalls-A-2"]);
    settle(desk, 1, &booking);
    // What was sold under better rules keeps them.
    let worse = json!({"sale": {"refund": [{"until": "2098-12-01T00:00:00Z", "percent": 10}]}});
    desk.change(&performance, &worse);
    desk.post(1, format!("/v1/bookings/{booking}/cancel"), &json!({"seats": ["Stalls-A-1"]}), 200);
    until(desk, 1, &booking, |booking| booking["payment"]["refunded"]["amount"] == 40_000);
    let tickets = desk.send(1, &Call::get("/v1/tickets"), 200);
    let ticket = tickets["items"][0]["id"].as_str().expect("a ticket's id").to_owned();
    let friend = json!({"email": "friend@example.org", "password": PASSWORD, "name": "Friend", "role": "buyer"});
    let friend = desk.create(1, "/v1/accounts".to_owned(), &friend);
    desk.send(1, &Call::post(format!("/v1/tickets/{ticket}/transfer"), "give", &json!({"to": friend})), 204);
    desk.send(SELLER, &Call::post(format!("/v1/tickets/{ticket}/check-in"), "enter", &json!({})), 200);
    until(desk, 3, &never, |booking| booking["status"] == "expired" && booking["payment"]["status"] == "closed");
    performance
}

fn asked(desk: &mut Desk) -> String {
    let performance = open(desk, "A night for some", "manual");
    let [wanted, unwanted] = [1, 2].map(|buyer| book(desk, &performance, buyer, &[&format!("Stalls-A-{buyer}")]));
    desk.post(SELLER, format!("/v1/bookings/{wanted}/approve"), &json!({}), 200);
    desk.post(SELLER, format!("/v1/bookings/{unwanted}/reject"), &json!({"reason": "Press only"}), 200);
    settle(desk, 1, &wanted);
    let ill = json!({"reason": "The singer is ill"});
    desk.post(SELLER, format!("/v1/performances/{performance}/cancel"), &ill, 200);
    until(desk, 1, &wanted, |booking| booking["payment"]["status"] == "returned");
    performance
}

fn book(desk: &mut Desk, performance: &str, buyer: usize, seats: &[&str]) -> String {
    let hold = desk.hold(performance, buyer, seats);
    desk.book(buyer, &hold, &json!({}))
}

fn settle(desk: &mut Desk, buyer: usize, booking: &str) {
    let open = until(desk, buyer, booking, |booking| booking["payment"]["url"].is_string());
    assert_eq!(pay(&open, ""), 200);
    until(desk, buyer, booking, |booking| booking["payment"]["status"] == "captured");
}

/// Waits until a booking is as it should be.
fn until(desk: &mut Desk, buyer: usize, booking: &str, is_so: fn(&Value) -> bool) -> Value {
    let call = Call::get(format!("/v1/bookings/{booking}"));
    desk.wait_until(|desk| is_so(&desk.send(buyer, &call, 200)), "the booking is as it should be");
    desk.send(buyer, &call, 200)
}
