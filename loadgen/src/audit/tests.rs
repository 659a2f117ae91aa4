//! One honest sale, and each way of spoiling it: every violation is planted and must be seen.

use super::*;
use crate::seats::tests::small_hall;
use base64::Engine as _;

/// A hall of twelve seats in which two bots booked three, one seat is held and one blocked.
struct Sale {
    bookings: Vec<Booking>,
    states: Vec<u8>,
    remaining: u32,
    bots: Acknowledgements,
}

const KIM: &str = "bkg_00000000000000000000000000000001";
const LEE: &str = "bkg_00000000000000000000000000000002";

fn booking(id: &str, buyer: &str, labels: &[&str]) -> Booking {
    let seat =
        |label: &&str| serde_json::json!({"label": label, "tier": "x", "price": {"amount": 0, "currency": "KRW"}});
    let seats: Vec<_> = labels.iter().map(seat).collect();
    let body = serde_json::json!({
        "id": id, "performance": "perf_0000000000001", "buyer": buyer, "status": "confirmed", "seats": seats,
        "cancelled_seats": [], "total": {"amount": 0, "currency": "KRW"}, "cancellation": {"until": "2026-12-01T09:00:00Z", "refund": []}, "created_at": "2026-12-01T09:00:00Z",
    });
    serde_json::from_value(body).unwrap()
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}

fn told(id: &str, buyer: &str, labels: &[&str]) -> Acknowledged {
    Acknowledged {
        booking: id.to_owned(),
        buyer: buyer.to_owned(),
        status: BookingStatus::Confirmed,
        held: owned(labels),
        seats: owned(labels),
        at_micros: 0,
    }
}

fn honest() -> Sale {
    let acknowledged = vec![told(KIM, "acc_kim", &["A-1-1", "A-1-2"]), told(LEE, "acc_lee", &["Floor-1"])];
    Sale {
        bookings: vec![booking(KIM, "acc_kim", &["A-1-2", "A-1-1"]), booking(LEE, "acc_lee", &["Floor-1"])],
        states: vec![2, 2, 0, 1, 3, 0, 2, 0, 0, 0, 0, 0],
        remaining: 7,
        bots: Acknowledgements { acknowledged, unsettled: Vec::new() },
    }
}

fn availability(sale: &Sale) -> Availability {
    let bytes: Vec<u8> = sale.states.chunks(4).map(|four| four.iter().rev().fold(0, |byte, s| byte << 2 | s)).collect();
    let seats = base64::engine::general_purpose::STANDARD.encode(bytes);
    let remaining = serde_json::json!({"total": sale.remaining, "by_tier": {}, "by_section": {}});
    let body =
        serde_json::json!({"version": 1, "as_of": "2026-12-01T09:00:00Z", "seats": seats, "remaining": remaining});
    serde_json::from_value(body).unwrap()
}

fn verdict(sale: &Sale, buyers: Buyers) -> Vec<Violation> {
    let (hall, availability) = (small_hall(), availability(sale));
    let evidence =
        Evidence { hall: &hall, bookings: &sale.bookings, availability: &availability, bots: &sale.bots, buyers };
    audit(&evidence).violations
}

fn spoiled(spoil: impl FnOnce(&mut Sale)) -> Vec<Violation> {
    let mut sale = honest();
    spoil(&mut sale);
    verdict(&sale, Buyers::BotsOnly)
}

#[test]
fn an_honest_sale_is_clean() {
    assert_eq!(verdict(&honest(), Buyers::BotsOnly), []);
}

#[test]
fn a_seat_in_two_bookings_is_seen() {
    let violations = spoiled(|sale| {
        sale.bookings[1] = booking(LEE, "acc_lee", &["A-1-1"]);
        sale.bots.acknowledged[1] = told(LEE, "acc_lee", &["A-1-1"]);
        sale.states[6] = 0;
        sale.remaining = 8;
    });
    let twice = Violation::SoldTwice { seat: "A-1-1".to_owned(), bookings: owned(&[KIM, LEE]) };
    assert_eq!(violations, [twice, Violation::BookedMiscounted { availability: 2, bookings: 3 }]);
}

#[test]
fn a_lost_booking_is_seen() {
    let violations = spoiled(|sale| {
        sale.bookings.pop();
        sale.states[6] = 0;
        sale.remaining = 8;
    });
    let (booking, buyer) = (LEE.to_owned(), "acc_lee".to_owned());
    assert_eq!(violations, [Violation::Lost { booking, buyer, seats: owned(&["Floor-1"]) }]);
}

#[test]
fn a_booking_that_is_cancelled_frees_its_seats_but_was_confirmed() {
    let violations = spoiled(|sale| sale.bookings[1].status = BookingStatus::Cancelled);
    let unconfirmed = Violation::Unconfirmed { booking: LEE.to_owned(), status: BookingStatus::Cancelled };
    assert_eq!(violations, [unconfirmed, Violation::BookedMiscounted { availability: 3, bookings: 2 }]);
}

#[test]
fn a_booking_with_other_seats_is_seen() {
    let violations = spoiled(|sale| {
        sale.bookings[1] = booking(LEE, "acc_lee", &["Floor-2"]);
        sale.states.swap(6, 7);
    });
    let (acknowledged, listed) = (owned(&["acc_lee", "Floor-1"]), owned(&["acc_lee", "Floor-2"]));
    assert_eq!(violations, [Violation::Altered { booking: LEE.to_owned(), acknowledged, listed }]);
}

#[test]
fn a_booking_of_somebody_else_is_seen() {
    let violations = spoiled(|sale| sale.bookings[1] = booking(LEE, "acc_kim", &["Floor-1"]));
    assert!(matches!(&violations[..], [Violation::Altered { .. }]), "{violations:?}");
}

#[test]
fn a_hold_that_became_something_else_is_seen() {
    let violations = spoiled(|sale| sale.bots.acknowledged[1].held = owned(&["Floor-2"]));
    let (held, booked) = (owned(&["Floor-2"]), owned(&["Floor-1"]));
    assert_eq!(violations, [Violation::NotWhatWasHeld { booking: LEE.to_owned(), held, booked }]);
}

#[test]
fn a_booking_that_nobody_made_is_seen_where_only_bots_buy() {
    let mut sale = honest();
    let stranger = sale.bots.acknowledged.pop().unwrap();
    let (booking, buyer) = (LEE.to_owned(), "acc_lee".to_owned());
    let unasked = Violation::Unasked { booking, buyer, seats: owned(&["Floor-1"]) };
    assert_eq!(verdict(&sale, Buyers::BotsOnly), std::slice::from_ref(&unasked));
    assert_eq!(verdict(&sale, Buyers::Anybody), []);
    sale.bots.unsettled.push(Unsettled { buyer: stranger.buyer, seats: owned(&["Floor-2"]) });
    assert_eq!(verdict(&sale, Buyers::BotsOnly), [unasked], "the bot's unknown outcome is about another seat");
}

#[test]
fn an_unknown_outcome_explains_one_booking() {
    let mut sale = honest();
    let stranger = sale.bots.acknowledged.pop().unwrap();
    sale.bots.unsettled.push(Unsettled { buyer: stranger.buyer, seats: stranger.seats });
    assert_eq!(verdict(&sale, Buyers::BotsOnly), []);
    // It may just as well not have come about.
    sale.bookings.pop();
    sale.states[6] = 0;
    sale.remaining = 8;
    assert_eq!(verdict(&sale, Buyers::BotsOnly), []);
}

#[test]
fn a_list_that_repeats_itself_is_seen() {
    let violations = spoiled(|sale| sale.bookings.push(sale.bookings[1].clone()));
    assert!(violations.contains(&Violation::ListedTwice { booking: LEE.to_owned() }), "{violations:?}");
}

#[test]
fn a_seat_that_is_not_in_the_hall_is_seen() {
    let violations = spoiled(|sale| {
        sale.bookings[1] = booking(LEE, "acc_lee", &["Moon-1"]);
        sale.bots.acknowledged[1] = told(LEE, "acc_lee", &["Moon-1"]);
    });
    assert_eq!(violations, [Violation::NoSuchSeat { booking: LEE.to_owned(), seat: "Moon-1".to_owned() }]);
}

#[test]
fn a_booked_seat_that_is_shown_as_another_is_seen() {
    let violations = spoiled(|sale| sale.states.swap(6, 7));
    let seat = "Floor-1".to_owned();
    assert_eq!(violations, [Violation::NotMarkedBooked { booking: LEE.to_owned(), seat }]);
}

#[test]
fn remaining_that_does_not_add_up_is_seen() {
    let violations = spoiled(|sale| sale.remaining = 9);
    assert_eq!(violations, [Violation::RemainingMiscounted { remaining: 9, free: 7 }]);
}

#[test]
fn an_availability_of_another_hall_is_seen() {
    let violations = spoiled(|sale| sale.states.truncate(8));
    assert!(matches!(&violations[..], [Violation::Uncounted { .. }]), "{violations:?}");
}

#[test]
fn violations_read_as_sentences() {
    let twice = Violation::SoldTwice { seat: "A-1-1".to_owned(), bookings: owned(&["bkg_1", "bkg_2"]) };
    assert_eq!(twice.to_string(), "seat A-1-1 was sold twice: bkg_1, bkg_2");
    let json = serde_json::to_string(&twice).unwrap();
    assert_eq!(json, r#"{"kind":"sold_twice","seat":"A-1-1","bookings":["bkg_1","bkg_2"]}"#);
}
