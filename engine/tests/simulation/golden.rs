//! The bytes of each format: what this version wrote, every later one has to read to the same state.
//!
//! `UPDATE_GOLDEN=1` writes the file anew. Once a version is released that must never be needed again: a change of the
//! bytes is a new format, with a module of its own.

use std::fs;
use std::path::{Path, PathBuf};

use onrush_engine::command::RequestKey;
use onrush_engine::event::{
    Advance, BookingDecided, Entry, Event, Fate, HoldBooked, PaymentAdvanced, PerformanceCancelled, SeatsBlocked,
    SeatsCancelled, SeatsHeld, SoldRules, Standing, TicketCheckedIn, TicketTransferred,
};
use onrush_engine::id::{AccountId, EngineId, PerformanceId, ShowId};
use onrush_engine::inventory::Inventory;
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{
    decode_entries, decode_image, decode_registry, encode_entries, encode_image, encode_registry, state_digest,
};
use onrush_engine::journal::frame::{Digest, Frame, Record};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::RefundStep;
use onrush_engine::registry::{Duty, MadeBefore, RegistryEvent, RegistryMade, Show};
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;

use crate::hall::{opening, show_details};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/format-1.record")
}

/// One event of each kind, in an order that could have happened.
pub(crate) fn entries() -> Vec<Entry> {
    let account = |name: &str| -> AccountId { name.parse().unwrap() };
    let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
    let key = |key| Some(RequestKey { key: [key, 0], fingerprint: 7 });
    let held = |hold, seats: &[u32], key| {
        let seats = seats.iter().copied().map(SeatIndex).collect();
        Event::SeatsHeld(SeatsHeld { hold, nonce: 5, buyer: account("acc_kim"), seats, expires_at: at(300), key })
    };
    let opened = Box::new(opening(PerformanceId(11)));
    let mut terms = opened.terms.clone();
    terms.hold_ttl_seconds = 90;
    let (by, standing) = (account("acc_seller"), Standing::Confirmed);
    let events = vec![
        Event::PerformanceOpened(opened),
        held(0, &[0, 1], key(1)),
        held(1, &[2], None),
        held(2, &[3], None),
        held(3, &[4], None),
        Event::HoldBooked(HoldBooked {
            hold: 0,
            booking: 0,
            nonce: 6,
            standing,
            until: None,
            purpose: Some("a birthday".into()),
            key: key(2),
        }),
        Event::SeatsCancelled(SeatsCancelled {
            booking: 0,
            seats: [SeatIndex(1)].into_iter().collect(),
            by,
            refund: None,
            key: key(3),
        }),
        Event::HoldReleased { hold: 1 },
        Event::HoldsExpired { holds: vec![2] },
        Event::SeatsBlocked(SeatsBlocked {
            block: 0,
            nonce: 8,
            seats: vec![SeatIndex(9)],
            reason: Some("house".into()),
            by,
            key: key(4),
        }),
        Event::SeatsBlocked(SeatsBlocked {
            block: 1,
            nonce: 9,
            seats: vec![SeatIndex(10)],
            reason: None,
            by,
            key: None,
        }),
        Event::BlockLifted { block: 0 },
        Event::TermsChanged { terms: Box::new(terms), prices: None, sold: SoldRules::Replaced },
        Event::HoldsExtended { by_millis: 1500 },
    ];
    (0..).zip(events).map(|(second, event)| Entry { at: at(second), event }).collect()
}

#[test]
fn the_bytes_of_format_1_are_what_they_were() {
    let body = encode_entries(&entries()).remove(0);
    let bytes = Frame::encode(1, Stream(11), 0, Digest::GENESIS, &body).bytes;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(), &bytes).unwrap();
    }
    assert!(fs::read(path()).unwrap() == bytes, "the bytes of a record have changed: give the new ones a new format");
}

pub(crate) fn state() -> Inventory {
    let entries = entries();
    let Event::PerformanceOpened(opening) = &entries[0].event else { panic!("the first event opens") };
    let mut inventory = Inventory::open(opening, entries[0].at).unwrap();
    entries.iter().for_each(|entry| inventory.apply(entry.at, &entry.event));
    inventory
}

#[test]
fn the_bytes_of_a_snapshot_are_what_they_were_and_read_to_the_same_state() {
    let path = path().with_extension("snapshot");
    let bytes = encode_image(&state().image());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &bytes.bytes).unwrap();
    }
    let known = fs::read(&path).unwrap();
    assert!(known == bytes.bytes, "the bytes of a state have changed: give the new ones a new format");
    assert_eq!(decode_image(1, &known).unwrap(), state().image());
    let restored = Inventory::from_image(decode_image(1, &known).unwrap()).unwrap();
    restored.verify().unwrap();
    assert_eq!(restored.image(), state().image());
}

#[test]
fn what_was_written_is_read_to_the_same_state() {
    let bytes = fs::read(path()).unwrap();
    let read = decode_entries(Record::decode(&bytes).unwrap().body).unwrap();
    assert_eq!(read, entries());
    let inventory = state();
    inventory.verify().unwrap();
    assert_eq!(state_digest(&inventory).to_string(), STATE, "the state that the record leads to has changed");
}

/// The digest of the state.
const STATE: &str = "cccb70c9c64124a20af9e629be04a653";

fn later_path() -> PathBuf {
    path().with_file_name("format-2.record")
}

/// One event of each kind that format 2 adds, in an order that could have happened.
pub(crate) fn later_entries() -> Vec<Entry> {
    let account = |name: &str| -> AccountId { name.parse().unwrap() };
    let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
    let mut opening = opening(PerformanceId(11));
    opening.prices = vec![Money { amount: 1_000, currency: Currency::KRW }];
    let held = |hold: u32| {
        let (buyer, seats) = (account("acc_kim"), [SeatIndex(hold * 2), SeatIndex(hold * 2 + 1)].into_iter().collect());
        Event::SeatsHeld(SeatsHeld { hold, nonce: 5, buyer, seats, expires_at: at(300), key: None })
    };
    let booked = |hold: u32, standing| {
        let key = Some(RequestKey { key: [u64::from(hold), 0], fingerprint: 7 });
        let until = Some(at(300));
        Event::HoldBooked(HoldBooked { hold, booking: hold, nonce: 6, standing, until, purpose: None, key })
    };
    let advanced = |booking, advance| {
        let reference = (advance == Advance::Opened).then(|| "pay_1".into());
        Event::PaymentAdvanced(PaymentAdvanced { booking, reference, advance })
    };
    let decided = |booking, approved: bool| {
        let (by, until) = (account("acc_seller"), approved.then(|| at(500)));
        Event::BookingDecided(BookingDecided { booking, approved, by, reason: Some("a reason".into()), until })
    };
    let cancelled = SeatsCancelled {
        booking: 0,
        seats: [SeatIndex(1)].into_iter().collect(),
        by: account("acc_kim"),
        refund: Some(800),
        key: Some(RequestKey { key: [9, 0], fingerprint: 7 }),
    };
    let captured = Advance::Captured { fate: Fate::Kept, refund: 0 };
    let events = vec![
        Event::PerformanceOpened(Box::new(opening)),
        held(0),
        held(1),
        held(2),
        held(3),
        booked(0, Standing::PendingPayment),
        advanced(0, Advance::Opened),
        advanced(0, Advance::Charging { until: Some(at(400)) }),
        advanced(0, Advance::Authorised(Fate::Kept)),
        advanced(0, captured),
        Event::SeatsCancelled(cancelled),
        advanced(0, Advance::Refunded { refund: 0 }),
        Event::TicketTransferred(TicketTransferred {
            booking: 0,
            seat: SeatIndex(0),
            to: account("acc_lee"),
            by: account("acc_kim"),
            key: None,
        }),
        Event::TicketCheckedIn(TicketCheckedIn {
            booking: 0,
            seat: SeatIndex(0),
            by: account("acc_seller"),
            key: None,
        }),
        booked(1, Standing::PendingApproval),
        decided(1, true),
        advanced(1, Advance::Failed),
        booked(2, Standing::PendingApproval),
        decided(2, false),
        booked(3, Standing::PendingPayment),
        Event::BookingsLapsed { bookings: vec![3] },
        advanced(3, Advance::Voided),
        Event::PerformanceCancelled(PerformanceCancelled { by: account("acc_seller"), reason: Some("ill".into()) }),
    ];
    (0..).zip(events).map(|(second, event)| Entry { at: at(second), event }).collect()
}

fn state_after(entries: &[Entry]) -> Inventory {
    let Event::PerformanceOpened(opening) = &entries[0].event else { panic!("the first event opens") };
    let mut inventory = Inventory::open(opening, entries[0].at).unwrap();
    entries[1..].iter().for_each(|entry| inventory.replay(entry).unwrap());
    inventory
}

#[test]
fn the_bytes_of_format_2_are_what_they_were() {
    the_bytes_are_what_they_were(2, &later_path(), &later_entries());
}

/// Of a record with these events, and of the snapshot of what they lead to.
fn the_bytes_are_what_they_were(format: u16, path: &Path, entries: &[Entry]) {
    let body = encode_entries(entries).remove(0);
    let image = encode_image(&state_after(entries).image());
    assert_eq!((body.format, image.format), (format, format));
    let record = Frame::encode(1, Stream(11), 0, Digest::GENESIS, &body).bytes;
    let snapshot = Frame::encode(1, Stream(11), 0, Digest::GENESIS, &image).bytes;
    for (path, bytes) in [(path.to_owned(), record), (path.with_extension("snapshot"), snapshot)] {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "the bytes of {} have changed", path.display());
    }
    let bytes = fs::read(path).unwrap();
    assert_eq!(decode_entries(Record::decode(&bytes).unwrap().body).unwrap(), entries);
    let bytes = fs::read(path.with_extension("snapshot")).unwrap();
    let record = Record::decode(&bytes).unwrap();
    let restored = Inventory::from_image(decode_image(record.format, record.body).unwrap()).unwrap();
    restored.verify().unwrap();
    assert_eq!(restored.image(), state_after(entries).image());
}

fn format_3_path() -> PathBuf {
    path().with_file_name("format-3.record")
}

/// One event of each kind that format 3 adds, behind what it takes for them, and a state that has what it adds.
fn format_3_entries() -> Vec<Entry> {
    let account = |name: &str| -> AccountId { name.parse().unwrap() };
    let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
    let key = |key| Some(RequestKey { key: [key, 0], fingerprint: 7 });
    let (opened, buyer) = (Box::new(opening(PerformanceId(11))), account("acc_kim"));
    let mut terms = opened.terms.clone();
    terms.cancel_until = at(100);
    terms.refund = vec![RefundStep { until: at(50), percent: 30 }];
    terms.starts_at = at(9_000);
    let seats = [SeatIndex(0), SeatIndex(1)].into_iter().collect();
    let (booking, seat) = (0, SeatIndex(0));
    let standing = Standing::Confirmed;
    let events = vec![
        Event::PerformanceOpened(opened),
        Event::SeatsHeld(SeatsHeld { hold: 0, nonce: 5, buyer, seats, expires_at: at(300), key: None }),
        Event::TermsChanged { terms: Box::new(terms), prices: None, sold: SoldRules::Kept },
        Event::HoldBooked(HoldBooked { hold: 0, booking, nonce: 6, standing, until: None, purpose: None, key: None }),
        Event::TicketTransferred(TicketTransferred { booking, seat, to: account("acc_lee"), by: buyer, key: key(1) }),
        Event::TicketCheckedIn(TicketCheckedIn { booking, seat, by: account("acc_seller"), key: key(2) }),
    ];
    (0..).zip(events).map(|(second, event)| Entry { at: at(second), event }).collect()
}

#[test]
fn the_bytes_of_format_3_are_what_they_were() {
    the_bytes_are_what_they_were(3, &format_3_path(), &format_3_entries());
}

#[test]
fn a_show_that_moves_is_read_as_it_was_written() {
    let seller: AccountId = "acc_seller".parse().unwrap();
    let members = [("acc_door".parse().unwrap(), Duty::Door), ("acc_lee".parse().unwrap(), Duty::View)].into();
    let (id, created_at, performances) = (ShowId(1), Timestamp::from_millis(5), Vec::new());
    let show = Box::new(Show { id, seller, details: show_details(), created_at, performances, members });
    let adopted = RegistryEvent::ShowAdopted { show: show.clone(), made: vec![] };
    for event in [adopted, RegistryEvent::ShowReleased { show: id }] {
        let body = encode_registry(Timestamp::MIN, &event);
        assert_eq!((body.format, decode_registry(&body)), (3, Ok((Timestamp::MIN, event))));
    }

    let performance = PerformanceId(11);
    let with_performances = Box::new(Show { performances: vec![performance, PerformanceId(12)], ..*show.clone() });
    let made = |made| MadeBefore { by: seller, key: RequestKey { key: [1, 2], fingerprint: 3 }, made };
    let made = [RegistryMade::Show(id), RegistryMade::Performance(performance)].map(made).to_vec();
    let events = [
        RegistryEvent::ShowAdopted { show: with_performances, made: vec![] },
        RegistryEvent::ShowAdopted { show, made },
        RegistryEvent::EngineNamed { engine: EngineId(7) },
        RegistryEvent::PerformanceExpected { performance },
        RegistryEvent::PerformanceAdopted { performance },
        RegistryEvent::PerformanceReleased { performance },
    ];
    for event in events {
        let body = encode_registry(Timestamp::MIN, &event);
        assert_eq!((body.format, decode_registry(&body)), (4, Ok((Timestamp::MIN, event))));
    }
}

/// What format 4 adds, behind what it takes for it: the state is that of a performance that was given away.
fn format_4_entries() -> Vec<Entry> {
    let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
    let (first, second) = (EngineId(1), EngineId(2));
    let events = [
        Event::PerformanceOpened(Box::new(opening(PerformanceId(11)))),
        Event::HandedOver { to: second },
        Event::TakenOver,
        Event::HandedOver { to: first },
    ];
    (0..).zip(events).map(|(second, event)| Entry { at: at(second), event }).collect()
}

#[test]
fn the_bytes_of_format_4_are_what_they_were() {
    the_bytes_are_what_they_were(4, &path().with_file_name("format-4.record"), &format_4_entries());
}

#[test]
fn what_a_seller_lets_others_do_is_read_as_it_was_written() {
    let account = |name: &str| -> AccountId { name.parse().unwrap() };
    for duty in [Some(Duty::Manage), Some(Duty::Door), Some(Duty::View), None] {
        let (member, by) = (account("acc_door"), account("acc_seller"));
        let event = RegistryEvent::MemberSet { show: ShowId(1), member, duty, by };
        let body = encode_registry(Timestamp::MIN, &event);
        assert_eq!((body.format, decode_registry(&body)), (2, Ok((Timestamp::MIN, event))));
    }
}
