//! What a start makes of a damaged journal: every flipped bit, every cut and every missing record is either cut off
//! because nobody was told of it, or refused by name. Never a wrong state.

use std::collections::BTreeMap;

use onrush_engine::event::{Entry, Event, SeatsHeld};
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::journal::codec::{encode_entries, encode_registry};
use onrush_engine::journal::frame::{Body, Digest, Frame, Record};
use onrush_engine::journal::recovery::{RecordError, Recovered, RecoveryError, recover};
use onrush_engine::journal::store::Key;
use onrush_engine::journal::{Stream, frame};
use onrush_engine::registry::RegistryEvent;
use onrush_engine::seat_map::{SeatIndex, SeatList};
use onrush_engine::time::Timestamp;

use crate::disk::Disk;
use crate::hall::{opening, show_details};

const PERFORMANCE: Stream = Stream(11);
const AT: Timestamp = Timestamp::MIN;
const HOLDS: u32 = 4;

/// A chain of records, each with an epoch.
pub(crate) fn chain(stream: Stream, bodies: &[(u64, Body)], records: &mut BTreeMap<Key, Vec<u8>>) {
    let mut previous = Digest::GENESIS;
    for (sequence, (epoch, body)) in (0..).zip(bodies) {
        let frame = Frame::encode(*epoch, stream, sequence, previous, body);
        previous = frame.digest;
        records.insert(Key { stream, sequence }, frame.bytes);
    }
}

fn kim() -> AccountId {
    "acc_kim".parse().unwrap()
}

fn entry(event: Event) -> Body {
    encode_entries(&[Entry { at: AT, event }]).remove(0)
}

fn held(hold: u32, seat: u32) -> Body {
    let seats: SeatList = [SeatIndex(seat)].into_iter().collect();
    let (nonce, expires_at) = (1, Timestamp::MAX);
    entry(Event::SeatsHeld(SeatsHeld { hold, nonce, buyer: kim(), seats, expires_at, key: None }))
}

/// A show, its performance, and some holds, one a record; `epochs` of the performance's records.
fn journal(epochs: &[u64]) -> BTreeMap<Key, Vec<u8>> {
    let (show, seller, performance) = (ShowId(1), kim(), PerformanceId(PERFORMANCE.0));
    let created = RegistryEvent::ShowCreated { show, seller, details: show_details(), key: None };
    let added = RegistryEvent::PerformanceAdded { show, performance, by: seller, key: None };
    let mut records = BTreeMap::new();
    chain(Stream::REGISTRY, &[(1, encode_registry(AT, &created)), (1, encode_registry(AT, &added))], &mut records);
    let mut bodies = vec![(epochs[0], entry(Event::PerformanceOpened(Box::new(opening(performance)))))];
    bodies.extend((0..HOLDS).map(|hold| (epochs[hold as usize + 1], held(hold, hold))));
    chain(PERFORMANCE, &bodies, &mut records);
    records
}

fn sound() -> BTreeMap<Key, Vec<u8>> {
    journal(&[1, 1, 2, 2, 3])
}

fn recovered(records: &BTreeMap<Key, Vec<u8>>, acknowledged: u64) -> Result<Recovered, RecoveryError> {
    recover(&Disk::holding(records.clone(), acknowledged), Vec::new())
}

fn holds(found: &Recovered) -> u32 {
    found.inventories[&PerformanceId(PERFORMANCE.0)].active_holds()
}

fn last() -> Key {
    Key { stream: PERFORMANCE, sequence: u64::from(HOLDS) }
}

#[test]
fn a_sound_journal_is_read_to_its_end() {
    let found = recovered(&sound(), 7).unwrap();
    assert_eq!((holds(&found), found.epoch, found.events.values().sum()), (HOLDS, 3, 7u64));
}

#[test]
fn every_flipped_bit_is_refused_where_it_was_acknowledged() {
    let records = sound();
    for (key, bytes) in &records {
        for bit in 0..bytes.len() * 8 {
            let mut damaged = records.clone();
            damaged.get_mut(key).unwrap()[bit / 8] ^= 1 << (bit % 8);
            match recovered(&damaged, 7) {
                Err(RecoveryError::Record { stream, sequence, .. }) => {
                    assert_eq!((stream, sequence), (key.stream.0, key.sequence), "bit {bit}");
                }
                other => panic!("bit {bit} of {key:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_cut_of_an_unacknowledged_tail_leaves_what_was_acknowledged() {
    let records = sound();
    for length in 0..records[&last()].len() {
        let mut torn = records.clone();
        torn.get_mut(&last()).unwrap().truncate(length);
        let found = recovered(&torn, 6).unwrap();
        assert_eq!(holds(&found), HOLDS - 1, "cut at {length}");
        assert_eq!(found.cut, [last()]);
    }
}

#[test]
fn a_missing_record_is_missed() {
    for key in sound().into_keys() {
        let mut records = sound();
        records.remove(&key);
        let missed = recovered(&records, 7);
        let at_the_end = key == last() || key == Key { stream: Stream::REGISTRY, sequence: 1 };
        match missed {
            Err(RecoveryError::EndLost { found: 6, acknowledged: 7 }) if at_the_end => {}
            Err(RecoveryError::Record { source: RecordError::Chain | RecordError::NotOpened, .. }) => {}
            other => panic!("without {key:?}: {other:?}"),
        }
    }
}

#[test]
fn a_record_of_an_owner_that_was_replaced_is_refused() {
    match recovered(&journal(&[1, 2, 2, 1, 2]), 7) {
        Err(RecoveryError::Record { sequence: 3, source: RecordError::Epoch { found: 1, before: 2 }, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_that_belongs_elsewhere_is_refused() {
    let mut records = sound();
    let stranger = records[&Key { stream: PERFORMANCE, sequence: 2 }].clone();
    records.insert(Key { stream: PERFORMANCE, sequence: 3 }, stranger);
    assert!(matches!(recovered(&records, 7), Err(RecoveryError::Record { sequence: 3, .. })));
}

#[test]
fn a_record_that_was_rewritten_is_refused_at_the_one_behind_it() {
    let mut records = sound();
    let key = Key { stream: PERFORMANCE, sequence: 2 };
    let previous = Record::decode(&records[&key]).unwrap().previous;
    // Sound in itself, another seat: only the record behind it knows that another stood here.
    records.insert(key, Frame::encode(2, PERFORMANCE, 2, previous, &held(1, 9)).bytes);
    match recovered(&records, 7) {
        Err(RecoveryError::Record { sequence: 3, source: RecordError::Chain, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_that_is_no_archive_is_refused() {
    let mut records = sound();
    let bytes =
        Frame::encode(1, PERFORMANCE, 0, Digest::GENESIS, &Body { format: 1, bytes: b"not an archive".to_vec() }).bytes;
    assert!(bytes.len() > frame::HEADER_LEN);
    records.insert(Key { stream: PERFORMANCE, sequence: 0 }, bytes);
    match recovered(&records, 7) {
        Err(RecoveryError::Record { sequence: 0, source: RecordError::Body(_), .. }) => {}
        other => panic!("{other:?}"),
    }
}
