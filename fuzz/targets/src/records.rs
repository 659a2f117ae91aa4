//! Journal records: whatever their bytes, a start reads them to a sound state or refuses them by name.

use onrush_engine::event::{
    Advance, BookingDecided, Entry, Event, Fate, HoldBooked, PaymentAdvanced, PerformanceCancelled, SeatsBlocked,
    SeatsCancelled, SeatsHeld, SoldRules, Standing, TicketCheckedIn, TicketTransferred,
};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{decode_entries, decode_registry, encode_entries, encode_registry};
use onrush_engine::journal::frame::{Body, Frame, Record};
use onrush_engine::journal::recovery::{RecordError, Recovered, RecoveryError};
use onrush_engine::money::{Currency, Money};
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;

use crate::hall::{PERFORMANCE, after, caller, opening};
use crate::input::Input;
use crate::journal::{Records, STREAM, opens_large};
use crate::sale::{Sale, exercise};

/// Bytes as a record, as its body, and as events that were never decided.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    match input.byte() % 5 {
        0 => frame(input.rest()),
        1 => first_body(input.rest()),
        2 => next_body(input.rest()),
        3 => registry_body(input.rest()),
        _ => events(input),
    }
}

/// What is read as a record is one that could have been written.
fn frame(bytes: &[u8]) {
    if let Ok(Record { epoch, stream, sequence, previous, digest, format, body }) = Record::decode(bytes) {
        let body = Body { format, bytes: body.to_vec() };
        let written = Frame::encode(epoch, stream, sequence, previous, &body);
        assert_eq!((written.bytes.as_slice(), written.digest), (bytes, digest));
    }
}

fn first_body(body: &[u8]) {
    let mut records = Records::listed();
    body_of(&mut records, body);
}

fn next_body(body: &[u8]) {
    let mut records = Records::listed();
    records.push(STREAM, &encode_entries(&Sale::open().entries)[0]);
    body_of(&mut records, body);
}

fn body_of(records: &mut Records, body: &[u8]) {
    if opens_large(body) {
        return;
    }
    if let Ok(entries) = decode_entries(body) {
        for written in encode_entries(&entries) {
            decode_entries(&written).expect("what was read can be written and read again");
        }
    }
    records.push(STREAM, body);
    use_all(records.recovered(Vec::new()));
}

fn registry_body(body: &[u8]) {
    if let Ok((at, event)) = decode_registry(body) {
        assert_eq!(decode_registry(&encode_registry(at, &event)), Ok((at, event)));
    }
    let mut records = Records::listed();
    records.push(STREAM, &encode_entries(&Sale::open().entries)[0]);
    records.push(Stream::REGISTRY, body);
    use_all(records.recovered(Vec::new()));
}

fn use_all(found: Result<Recovered, RecoveryError>) {
    match found {
        Ok(found) => found.inventories.into_values().for_each(exercise),
        Err(error) => drop(error.to_string()),
    }
}

/// A sale by the rules, and at some point perhaps an event that nobody decided. A start comes to the very state of the
/// sale, or refuses that event, with the state before it untouched.
fn events(mut input: Input<'_>) {
    let per_record = usize::from(input.byte() % 8) + 1;
    let mut sale = Sale::open();
    let mut refused = false;
    while !input.is_empty() && !refused {
        if input.byte() < 224 {
            sale.step(&mut input);
            continue;
        }
        let entry = Entry { at: sale.now(), event: nonsense(&mut input) };
        if matches!(entry.event, Event::PerformanceOpened(_)) && sale.entries.len() == 1 {
            // That may be: see what recovery says of an opening whose listing was lost.
            continue;
        }
        let before = sale.inventory.image();
        refused = sale.inventory.replay(&entry).is_err();
        assert!(!refused || sale.inventory.image() == before, "a refused event leaves everything as it was");
        sale.entries.push(entry);
    }
    let mut records = Records::listed();
    let bodies = sale.entries.chunks(per_record).flat_map(encode_entries);
    let last = bodies.map(|body| records.push(STREAM, &body)).last().expect("a sale opens");
    match records.recovered(Vec::new()) {
        Ok(mut found) => {
            assert!(!refused, "an event that does not fit was read");
            let inventory = found.inventories.remove(&PERFORMANCE).expect("it is listed");
            assert_eq!(inventory.image(), sale.inventory.image());
            exercise(inventory);
        }
        Err(RecoveryError::Record { sequence, source: RecordError::Misfit(_), .. }) => {
            assert!(refused && sequence == last.sequence, "an event that fits was refused");
        }
        Err(error) => panic!("{error}"),
    }
}

fn nonsense(input: &mut Input<'_>) -> Event {
    let seats = |input: &mut Input<'_>| input.numbers(6).into_iter().map(SeatIndex).collect::<Vec<_>>();
    let (nonce, key) = (7, None);
    match input.byte() % 16 {
        0 => Event::SeatsHeld(SeatsHeld {
            hold: input.number(),
            nonce,
            buyer: caller(input.byte()).account,
            seats: seats(input).into(),
            expires_at: if input.coin() { after(1_000_000) } else { Timestamp::from_millis(input.signed()) },
            key,
        }),
        1 => Event::HoldReleased { hold: input.number() },
        2 => Event::HoldsExpired { holds: input.numbers(4) },
        3 => {
            let (hold, booking, standing, purpose) = (input.number(), input.number(), Standing::Confirmed, None);
            let until = input.coin().then(|| Timestamp::from_millis(input.signed()));
            Event::HoldBooked(HoldBooked { hold, booking, nonce, standing, until, purpose, key })
        }
        4 => {
            let (booking, by) = (input.number(), caller(input.byte()).account);
            let refund = input.coin().then(|| input.signed());
            Event::SeatsCancelled(SeatsCancelled { booking, seats: seats(input).into(), by, refund, key })
        }
        5 => {
            let (block, by, seats) = (input.number(), caller(input.byte()).account, seats(input));
            Event::SeatsBlocked(SeatsBlocked { block, nonce, seats, reason: None, by, key })
        }
        6 => Event::BlockLifted { block: input.number() },
        7 => {
            let currencies = [Currency::KRW, "USD".parse().expect("a currency")];
            let money = |input: &mut Input<'_>| Money { amount: input.signed(), currency: input.one_of(&currencies) };
            let prices = (0..input.byte() % 6).map(|_| money(input)).collect();
            let sold = input.one_of(&[SoldRules::Kept, SoldRules::Replaced]);
            Event::TermsChanged { terms: Box::new(opening().terms), prices: Some(prices), sold }
        }
        8 => Event::HoldsExtended { by_millis: input.number() },
        9 => {
            let (booking, approved, by) = (input.number(), input.coin(), caller(input.byte()).account);
            let until = input.coin().then(|| Timestamp::from_millis(input.signed()));
            Event::BookingDecided(BookingDecided { booking, approved, by, reason: None, until })
        }
        10 => Event::BookingsLapsed { bookings: input.numbers(4) },
        11 => Event::PaymentAdvanced(PaymentAdvanced {
            booking: input.number(),
            reference: None,
            advance: advance(input),
        }),
        13 => {
            let (booking, seat) = (input.number(), SeatIndex(input.number()));
            let (to, by) = (caller(input.byte()).account, caller(input.byte()).account);
            Event::TicketTransferred(TicketTransferred { booking, seat, to, by, key })
        }
        14 => {
            let (booking, seat, by) = (input.number(), SeatIndex(input.number()), caller(input.byte()).account);
            Event::TicketCheckedIn(TicketCheckedIn { booking, seat, by, key })
        }
        12 => Event::PerformanceCancelled(PerformanceCancelled { by: caller(input.byte()).account, reason: None }),
        _ => Event::PerformanceOpened(Box::new(opening())),
    }
}

fn advance(input: &mut Input<'_>) -> Advance {
    let fate = input.one_of(&[Fate::Kept, Fate::Retaken, Fate::Lost]);
    match input.byte() % 7 {
        0 => Advance::Opened,
        1 => Advance::Charging { until: input.coin().then(|| Timestamp::from_millis(input.signed())) },
        2 => Advance::Authorised(fate),
        3 => Advance::Captured { fate, refund: input.signed() },
        4 => Advance::Failed,
        5 => Advance::Voided,
        _ => Advance::Refunded { refund: input.number() },
    }
}
