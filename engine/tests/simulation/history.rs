//! One performance's past, told again: where it stops, what it comes to, and why nobody could get a seat.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use onrush_engine::event::{Entry, Event, HoldBooked, SeatsBlocked, SeatsCancelled, SeatsHeld, SoldRules, Standing};
use onrush_engine::id::{AccountId, PerformanceId};
use onrush_engine::inventory::Inventory;
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{encode_entries, encode_registry, state_digest};
use onrush_engine::journal::frame::{Body, Digest, Frame, Record};
use onrush_engine::journal::history::seat::{AskError, Freed, Moment, Place, Question, Sale, SeatAnswer, Stay, ask};
use onrush_engine::journal::history::{History, Until};
use onrush_engine::journal::recovery::{Recovered, recover};
use onrush_engine::journal::snapshot::Snapshot;
use onrush_engine::journal::store::Key;
use onrush_engine::registry::RegistryEvent;
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;

use crate::disk::Disk;
use crate::hall::{opening, show_details};

const PERFORMANCE: PerformanceId = PerformanceId(11);
/// Opened, nine times something about the seat that is asked for, and a record with two events.
const LAST: u64 = 11;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
}

fn account(name: &str) -> AccountId {
    format!("acc_{name}").parse().unwrap()
}

fn held(hold: u32, buyer: &str, seat: u32, until: i64) -> Event {
    let seats = [SeatIndex(seat)].into_iter().collect();
    Event::SeatsHeld(SeatsHeld { hold, nonce: 1, buyer: account(buyer), seats, expires_at: at(until), key: None })
}

/// The past of seat 0, a record a line; the numbers are seconds.
fn groups() -> Vec<Vec<(i64, Event)>> {
    let (by, seats) = (account("seller"), [SeatIndex(0)]);
    let booked = HoldBooked {
        hold: 2,
        booking: 0,
        nonce: 1,
        standing: Standing::Confirmed,
        until: None,
        purpose: None,
        key: None,
    };
    let cancelled = SeatsCancelled { booking: 0, seats: seats.into_iter().collect(), by, refund: None, key: None };
    let reason = Some("house".into());
    let blocked = SeatsBlocked { block: 0, nonce: 1, seats: seats.to_vec(), reason, by, key: None };
    let opened = Box::new(opening(PERFORMANCE));
    let mut closing = Box::new(opened.terms.clone());
    closing.closes_at = at(400);
    vec![
        vec![(0, Event::PerformanceOpened(opened))],
        vec![(10, held(0, "kim", 0, 70))],
        vec![(20, Event::HoldReleased { hold: 0 })],
        vec![(30, held(1, "lee", 0, 90))],
        vec![(95, Event::HoldsExpired { holds: vec![1] })],
        vec![(100, held(2, "kim", 0, 160))],
        vec![(200, Event::HoldsExtended { by_millis: 80_000 })],
        vec![(210, Event::HoldBooked(booked))],
        vec![(300, Event::SeatsCancelled(cancelled))],
        vec![(310, Event::SeatsBlocked(blocked)), (320, Event::BlockLifted { block: 0 })],
        vec![(330, Event::TermsChanged { terms: closing, prices: None, sold: SoldRules::Kept })],
        vec![(340, held(3, "kim", 1, 400)), (350, held(4, "kim", 2, 410))],
    ]
}

fn chain(stream: Stream, bodies: Vec<Body>, records: &mut BTreeMap<Key, Vec<u8>>) {
    let mut previous = Digest::GENESIS;
    for (sequence, body) in (0..).zip(bodies) {
        let frame = Frame::encode(1, stream, sequence, previous, &body);
        previous = frame.digest;
        records.insert(Key { stream, sequence }, frame.bytes);
    }
}

/// The journal of that past, with its listing.
fn journal() -> BTreeMap<Key, Vec<u8>> {
    let opened = opening(PERFORMANCE);
    let (show, seller) = (opened.show, opened.seller);
    let created = RegistryEvent::ShowCreated { show, seller, details: show_details(), key: None };
    let added = RegistryEvent::PerformanceAdded { show, performance: PERFORMANCE, by: seller, key: None };
    let body = |group: Vec<(i64, Event)>| {
        let entries: Vec<Entry> = group.into_iter().map(|(second, event)| Entry { at: at(second), event }).collect();
        encode_entries(&entries).remove(0)
    };
    let mut records = BTreeMap::new();
    chain(Stream::REGISTRY, vec![encode_registry(at(0), &created), encode_registry(at(0), &added)], &mut records);
    chain(Stream(PERFORMANCE.0), groups().into_iter().map(body).collect(), &mut records);
    records
}

/// A journal as it was recovered, perhaps from a snapshot at the end of a record.
struct Found {
    disk: Disk,
    recovered: Recovered,
    snapshots: Vec<Snapshot>,
}

impl Found {
    fn whole() -> Self {
        Self::read(journal(), Vec::new())
    }

    /// The records that the snapshot stands for are dropped but for the last ones, as where a trim was cut short.
    fn behind_snapshot(sequence: u64) -> Self {
        let whole = Self::whole();
        let mut history = whole.history();
        history.replay(&whole.disk, Until::Record(sequence), &mut |_| {}).unwrap();
        let stream = Stream(PERFORMANCE.0);
        let mut records = journal();
        let tip = Record::decode(&records[&Key { stream, sequence }]).unwrap().digest;
        let image = history.inventory().unwrap().image();
        records.retain(|key, _| key.stream == Stream::REGISTRY || key.sequence + 2 > sequence);
        Self::read(records, vec![Snapshot { epoch: 1, stream, sequence, tip, image }])
    }

    fn read(records: BTreeMap<Key, Vec<u8>>, snapshots: Vec<Snapshot>) -> Self {
        let disk = Disk::holding(records, 0);
        let recovered = recover(&disk, snapshots.clone()).unwrap();
        Self { disk, recovered, snapshots }
    }

    fn history(&self) -> History {
        History::of(PERFORMANCE, &self.recovered, &self.snapshots).unwrap().unwrap()
    }

    fn ask(&self, moment: Moment, buyer: Option<&str>) -> Result<SeatAnswer, AskError> {
        let question = Question { seat: SeatIndex(0), moment, buyer: buyer.map(account) };
        ask(&mut self.history(), &self.disk, &question)
    }

    /// The answer in a line: seconds, records in brackets.
    fn line(&self, moment: Moment, buyer: Option<&str>) -> String {
        match self.ask(moment, buyer) {
            Ok(answer) => words(&answer),
            Err(error) => error.to_string(),
        }
    }
}

fn seconds(time: Timestamp) -> i64 {
    (time.as_millis() - at(0).as_millis()) / 1000
}

fn stay(stay: &Stay) -> String {
    let place = match &stay.place {
        Place::Free(Freed::Opened) => "free opened".to_owned(),
        Place::Free(Freed::Unknown) => "free unknown".to_owned(),
        Place::Free(Freed::Released { hold, buyer }) => format!("free released {}:{buyer}", hold.number),
        Place::Free(Freed::RanOut { hold, buyer }) => format!("free ran-out {}:{buyer}", hold.number),
        Place::Free(Freed::Cancelled { booking, by }) => format!("free cancelled {}:{by}", booking.number),
        Place::Free(Freed::Lost { booking }) => format!("free lost {}", booking.number),
        Place::Free(Freed::CalledOff { by }) => format!("free called-off by {by}"),
        Place::Free(Freed::Lifted { block }) => format!("free lifted {}", block.number),
        Place::Held { hold, buyer, expires_at } => {
            format!("held {}:{buyer} until {}", hold.number, seconds(*expires_at))
        }
        Place::Booked { booking, buyer } => format!("booked {}:{buyer}", booking.number),
        Place::Blocked { block, by, .. } => format!("blocked {}:{by:?}", block.number),
    };
    let since = stay.since.map_or("?".to_owned(), |since| seconds(since).to_string());
    let sequence = stay.sequence.map_or("?".to_owned(), |sequence| sequence.to_string());
    format!("{place} since {since}[{sequence}]")
}

fn words(answer: &SeatAnswer) -> String {
    let mut line = stay(&answer.stay);
    answer.extended_until.iter().for_each(|end| write!(line, " extended {}", seconds(*end)).unwrap());
    answer.later.iter().take(1).for_each(|later| write!(line, "; {}", stay(later)).unwrap());
    match &answer.rules {
        None => line += " | unknown rules",
        Some(rules) => {
            match rules.sale {
                Sale::Open => {}
                closed => write!(line, " | {closed:?}").unwrap(),
            }
            rules.verdict.iter().for_each(|verdict| match verdict {
                Ok(()) => line += " | allowed",
                Err(refusal) => write!(line, " | {refusal}").unwrap(),
            });
        }
    }
    answer
        .away
        .iter()
        .for_each(|away| write!(line, " | away until {}[{}]", seconds(away.until), away.sequence).unwrap());
    line
}

#[test]
fn every_moment_of_a_seat_is_explained() {
    let found = Found::whole();
    let check = |second, wanted: &str| assert_eq!(found.line(Moment::Time(at(second)), None), wanted, "at {second}");
    check(-1, "the performance came into being only with its first record");
    check(0, "free opened since 0[0]; held 0:acc_kim until 70 since 10[1]");
    check(10, "held 0:acc_kim until 70 since 10[1]; free released 0:acc_kim since 20[2]");
    check(20, "free released 0:acc_kim since 20[2]; held 1:acc_lee until 90 since 30[3]");
    check(89, "held 1:acc_lee until 90 since 30[3]; free ran-out 1:acc_lee since 95[4]");
    // The time was up, and nobody had asked yet.
    check(90, "free ran-out 1:acc_lee since 90[4]; held 2:acc_kim until 240 since 100[5]");
    check(95, "free ran-out 1:acc_lee since 95[4]; held 2:acc_kim until 240 since 100[5]");
    // The server went away between 100 and 120, and came back at 200.
    check(110, "held 2:acc_kim until 160 since 100[5] extended 240; booked 0:acc_kim since 210[7]");
    check(170, "held 2:acc_kim until 160 since 100[5] extended 240; booked 0:acc_kim since 210[7] | away until 200[6]");
    check(200, "held 2:acc_kim until 240 since 100[5]; booked 0:acc_kim since 210[7]");
    check(299, "booked 0:acc_kim since 210[7]; free cancelled 0:acc_seller since 300[8]");
    check(300, "free cancelled 0:acc_seller since 300[8]; blocked 0:Some(acc_seller) since 310[9]");
    // Between two events of one record.
    check(315, "blocked 0:Some(acc_seller) since 310[9]; free lifted 0 since 320[9]");
    check(320, "free lifted 0 since 320[9]");
    check(399, "free lifted 0 since 320[9]");
    check(400, "free lifted 0 since 320[9] | Closed");
    check(1_000_001, "free lifted 0 since 320[9] | Closed");
}

#[test]
fn a_record_is_a_moment_too() {
    let found = Found::whole();
    let check = |record, wanted: &str| assert_eq!(found.line(Moment::Record(record), None), wanted, "record {record}");
    check(0, "free opened since 0[0]; held 0:acc_kim until 70 since 10[1]");
    check(9, "free lifted 0 since 320[9]");
    check(LAST, "free lifted 0 since 320[9]");
    check(LAST + 1, "there is no record 12: 11 is the last");
}

#[test]
fn the_rules_answer_a_buyer_as_they_did() {
    let found = Found::whole();
    let check = |second, buyer, wanted: &str| {
        let line = found.line(Moment::Time(at(second)), Some(buyer));
        assert!(line.ends_with(wanted), "at {second}: {line}");
    };
    check(25, "kim", "| allowed");
    check(35, "kim", "| 1 of the seats are not free");
    check(92, "kim", "| allowed");
    // The server was away, and came back with more time for the hold that ends at 160.
    check(155, "lee", "| away until 200[6]");
    check(170, "lee", "| away until 200[6]");
    let away = found.ask(Moment::Time(at(170)), Some("lee")).unwrap();
    assert_eq!(away.rules.unwrap().verdict, None, "nobody could ask");
    check(345, "kim", "| allowed");
    check(355, "kim", "| one buyer may have 2 holds at a time and has 2");
    check(355, "lee", "| allowed");
    check(405, "lee", "| Closed | the sale is not open");
}

#[test]
fn behind_a_snapshot_what_it_says_is_answered() {
    let held = Found::behind_snapshot(5);
    let check = |second, wanted: &str| assert_eq!(held.line(Moment::Time(at(second)), None), wanted, "at {second}");
    check(99, "a snapshot stands for what was before the end of record 5");
    check(100, "held 2:acc_kim until 160 since 100[?] extended 240; booked 0:acc_kim since 210[7]");
    assert_eq!(held.line(Moment::Record(4), None), "a snapshot stands for what was before the end of record 5");
    let booked = Found::behind_snapshot(7);
    assert_eq!(booked.history().snapshot(), Some(7));
    let booked = Found::behind_snapshot(10);
    assert_eq!(booked.line(Moment::Time(at(325)), None), "a snapshot stands for what was before the end of record 10");
    assert_eq!(booked.line(Moment::Time(at(330)), None), "free unknown since ?[?]");
}

/// A snapshot at 11 holds seats that were taken before it was made.
#[test]
fn a_time_before_a_snapshot_is_answered_where_the_owner_is_known() {
    let found = Found::behind_snapshot(LAST);
    let question = Question { seat: SeatIndex(1), moment: Moment::Time(at(345)), buyer: None };
    let answer = ask(&mut found.history(), &found.disk, &question).unwrap();
    assert_eq!(words(&answer), "held 3:acc_kim until 400 since 340[?] | unknown rules");
}

#[test]
fn a_history_goes_on_where_it_stopped() {
    let found = Found::whole();
    let digest = |history: &History| state_digest(history.inventory().unwrap());
    let mut whole = found.history();
    let mut seen = 0;
    whole.replay(&found.disk, Until::End, &mut |_| seen += 1).unwrap();
    assert_eq!((whole.position(), whole.events(), seen), (Some(LAST), 14, 14));
    assert_eq!(digest(&whole), state_digest(&found.recovered.inventories[&PERFORMANCE]));
    let mut parts = found.history();
    assert!(parts.inventory().is_none() && parts.position().is_none());
    for until in [Until::Time(at(315)), Until::Time(at(316)), Until::Record(9), Until::Record(3), Until::Time(at(345))]
    {
        parts.replay(&found.disk, until, &mut |_| {}).unwrap();
    }
    assert_eq!((parts.position(), parts.events()), (Some(LAST), 13));
    assert!(digest(&parts) != digest(&whole));
    parts.replay(&found.disk, Until::End, &mut |_| {}).unwrap();
    assert_eq!(digest(&parts), digest(&whole));
    // From a snapshot, the records are fewer and the end is the same.
    let behind = Found::behind_snapshot(6);
    let mut rest = behind.history();
    rest.replay(&behind.disk, Until::End, &mut |_| {}).unwrap();
    assert_eq!((rest.events(), digest(&rest)), (7, digest(&whole)));
}

#[test]
fn what_was_cut_off_at_the_end_is_no_part_of_a_history() {
    let mut records = journal();
    records.get_mut(&Key { stream: Stream(PERFORMANCE.0), sequence: LAST }).unwrap().truncate(80);
    let found = Found::read(records, Vec::new());
    let mut history = found.history();
    history.replay(&found.disk, Until::End, &mut |_| {}).unwrap();
    assert_eq!(history.position(), Some(LAST - 1));
    history.inventory().map(Inventory::verify).unwrap().unwrap();
}

#[test]
fn a_performance_that_is_not_there_has_no_history() {
    let found = Found::whole();
    assert!(History::of(PerformanceId(12), &found.recovered, &[]).unwrap().is_none());
}
