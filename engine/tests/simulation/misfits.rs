//! Numbers that lead nowhere: each is refused by the name of the part that has it, and changes nothing.

use onrush_engine::command::RequestKey;
use onrush_engine::event::{
    Advance, BookingDecided, Entry, Event, Fate, HoldBooked, PaymentAdvanced, PerformanceCancelled, SeatsBlocked,
    SeatsCancelled, SeatsHeld, SoldRules, Standing, TicketTransferred,
};
use onrush_engine::id::{AccountId, EngineId, PerformanceId, ShowId};
use onrush_engine::inventory::{Details, Image, Inventory, Made, OfferIndex, PlaceImage, Stage, Ticket};
use onrush_engine::journal::codec::{decode_entries, encode_entries, encode_registry};
use onrush_engine::journal::frame::{Body, Digest, Frame};
use onrush_engine::journal::recovery::recover;
use onrush_engine::journal::snapshot::Snapshot;
use onrush_engine::journal::{Stream, codec};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{CancellationRules, Offer, PriceList, RefundStep};
use onrush_engine::registry::{Duty, RegistryEvent, Show};
use onrush_engine::seat_map::{SeatIndex, TierIndex};
use onrush_engine::time::Timestamp;

use crate::damage::chain;
use crate::disk::Disk;
use crate::golden::{later_entries, state};
use crate::hall::{opening, show_details};

const SEAT_MISSING: u32 = 22;

/// The golden state, with one hold that is active.
fn sale() -> Inventory {
    let mut inventory = state();
    inventory.replay(&entry(held(4, &[5], None))).unwrap();
    inventory
}

fn entry(event: Event) -> Entry {
    Entry { at: Timestamp::from_millis(1_800_000_020_000), event }
}

fn kim() -> AccountId {
    "acc_kim".parse().unwrap()
}

fn key(key: u64) -> Option<RequestKey> {
    Some(RequestKey { key: [key, 0], fingerprint: 7 })
}

fn seats<T: FromIterator<SeatIndex>>(seats: &[u32]) -> T {
    seats.iter().copied().map(SeatIndex).collect()
}

fn held(hold: u32, named: &[u32], key: Option<RequestKey>) -> Event {
    Event::SeatsHeld(SeatsHeld { hold, nonce: 5, buyer: kim(), seats: seats(named), expires_at: Timestamp::MAX, key })
}

fn booked(hold: u32, booking: u32, key: Option<RequestKey>) -> Event {
    Event::HoldBooked(HoldBooked {
        hold,
        booking,
        nonce: 6,
        standing: Standing::Confirmed,
        until: None,
        purpose: None,
        key,
    })
}

fn cancelled(booking: u32, named: &[u32], key: Option<RequestKey>) -> Event {
    Event::SeatsCancelled(SeatsCancelled { booking, seats: seats(named), by: seller(), refund: None, key })
}

fn seller() -> AccountId {
    "acc_seller".parse().unwrap()
}

fn blocked(block: u32, named: &[u32], key: Option<RequestKey>) -> Event {
    Event::SeatsBlocked(SeatsBlocked { block, nonce: 8, seats: seats(named), reason: None, by: seller(), key })
}

fn terms(prices: &[(i64, &str)]) -> Event {
    let price = |(amount, currency): &(i64, &str)| Money { amount: *amount, currency: currency.parse().unwrap() };
    let terms = Box::new(opening(PerformanceId(11)).terms);
    Event::TermsChanged { terms, prices: Some(prices.iter().map(price).collect()), sold: SoldRules::Kept }
}

fn generous() -> Event {
    let mut terms = opening(PerformanceId(11)).terms;
    terms.refund = vec![RefundStep { until: Timestamp::MIN, percent: 101 }];
    Event::TermsChanged { terms: Box::new(terms), prices: None, sold: SoldRules::Kept }
}

#[test]
fn every_event_that_cannot_have_happened_is_refused_by_its_part() {
    let mut early =
        SeatsHeld { hold: 5, nonce: 5, buyer: kim(), seats: seats(&[6]), expires_at: Timestamp::MIN, key: None };
    let misfits = [
        (Event::PerformanceOpened(Box::new(opening(PerformanceId(11)))), "opening: a performance opens once"),
        (held(4, &[6], None), "hold 4: the next number is 5"),
        (held(6, &[6], None), "hold 6: the next number is 5"),
        (held(5, &[SEAT_MISSING], None), "hold 5: seat 22 does not exist"),
        (held(5, &[u32::MAX], None), "hold 5: seat 4294967295 does not exist"),
        (held(5, &[6, 7, 6], None), "hold 5: seat 6 is named twice"),
        (held(5, &[6, 5], None), "hold 5: seat 5 is not free"),
        (held(5, &[6], key(1)), "hold 5: the caller has used its request key before"),
        (Event::SeatsHeld(early.clone()), "hold 5: it ends before it begins"),
        (Event::HoldReleased { hold: 0 }, "hold 0: it is not active"),
        (Event::HoldReleased { hold: 5 }, "hold 5: it is not active"),
        (Event::HoldsExpired { holds: vec![4, 3, 1] }, "hold 1: it is not active"),
        (Event::HoldsExpired { holds: vec![4, 3, 4] }, "hold 4: it is named twice"),
        (booked(4, 0, None), "booking 0: the next number is 1"),
        (booked(4, u32::MAX, None), "booking 4294967295: the next number is 1"),
        (booked(0, 1, None), "booking 1: hold 0 is not active"),
        (booked(9, 1, None), "booking 1: hold 9 is not active"),
        (booked(4, 1, key(2)), "booking 1: the caller has used its request key before"),
        (cancelled(1, &[0], None), "booking 1: there is none"),
        (cancelled(0, &[1], None), "booking 0: seat 1 is not one of its own"),
        (cancelled(0, &[u32::MAX], None), "booking 0: seat 4294967295 is not one of its own"),
        (cancelled(0, &[0, 0], None), "booking 0: seat 0 is named twice"),
        (cancelled(0, &[0], key(3)), "booking 0: the caller has used its request key before"),
        (blocked(1, &[6], None), "block 1: the next number is 2"),
        (blocked(2, &[SEAT_MISSING], None), "block 2: seat 22 does not exist"),
        (blocked(2, &[10], None), "block 2: seat 10 is not free"),
        (blocked(2, &[6], key(4)), "block 2: the caller has used its request key before"),
        (Event::BlockLifted { block: 0 }, "block 0: there is none"),
        (terms(&[]), "terms: there are 0 prices for 1 tiers"),
        (terms(&[(1, "KRW"), (1, "KRW")]), "terms: there are 2 prices for 1 tiers"),
        (terms(&[(-1, "KRW")]), "terms: a price of -1 is not 0 to 1000000000000"),
        (generous(), "terms: a refund of 101 percent is more than was paid"),
    ];
    for (event, sentence) in misfits {
        let mut inventory = sale();
        let refused = inventory.replay(&entry(event)).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
        assert_eq!(inventory.image(), sale().image(), "{sentence}");
    }
    early.expires_at = Timestamp::MAX;
    sale().replay(&entry(Event::SeatsHeld(early))).unwrap();
}

/// A sale in which seats cost something, with a booking that waits for its payment, one that is paid, one that is over.
fn orders() -> Inventory {
    let entries = later_entries();
    let Event::PerformanceOpened(opening) = &entries[0].event else { panic!("the first event opens") };
    let mut inventory = Inventory::open(opening, entries[0].at).unwrap();
    let last = entries.len() - 3;
    entries[1..last].iter().for_each(|entry| inventory.replay(entry).unwrap());
    inventory
}

fn waits(booking: u32, standing: Standing, until: Option<Timestamp>) -> Event {
    Event::HoldBooked(HoldBooked { hold: 4, booking, nonce: 6, standing, until, purpose: None, key: None })
}

fn decided(booking: u32, approved: bool, until: Option<Timestamp>) -> Event {
    Event::BookingDecided(BookingDecided { booking, approved, by: seller(), reason: None, until })
}

fn advanced(booking: u32, advance: Advance) -> Event {
    Event::PaymentAdvanced(PaymentAdvanced { booking, reference: None, advance })
}

fn given(booking: u32, seat: u32) -> Event {
    Event::TicketTransferred(TicketTransferred { booking, seat: SeatIndex(seat), to: kim(), by: seller(), key: None })
}

fn refunded(booking: u32, seat: u32, refund: i64) -> Event {
    let (seats, by) = (seats(&[seat]), seller());
    Event::SeatsCancelled(SeatsCancelled { booking, seats, by, refund: Some(refund), key: None })
}

/// Bookings: 0 is paid for and has one seat left, 1 has a payment that failed, 2 was rejected, 3 waits for its payment.
#[test]
fn every_order_that_cannot_have_happened_is_refused_by_its_part() {
    let captured = |fate, refund| Advance::Captured { fate, refund };
    let misfits = [
        (
            waits(4, Standing::Expired, None),
            "booking 4: it does not stand where it waits, or waits where it does not stand",
        ),
        (
            waits(4, Standing::Confirmed, Some(Timestamp::MAX)),
            "booking 4: it does not stand where it waits, or waits where it does not stand",
        ),
        (decided(9, true, None), "booking 9: there is none"),
        (decided(3, true, None), "booking 3: it does not wait for that"),
        (decided(2, true, None), "booking 2: it does not wait for that"),
        (Event::BookingsLapsed { bookings: vec![9] }, "booking 9: there is none"),
        (Event::BookingsLapsed { bookings: vec![0] }, "booking 0: it does not wait for that"),
        (Event::BookingsLapsed { bookings: vec![3, 3] }, "booking 3: it is named twice"),
        (advanced(9, Advance::Opened), "booking 9: there is none"),
        (advanced(2, Advance::Opened), "booking 2: it has no payment"),
        (
            advanced(1, Advance::Charging { until: Some(Timestamp::MAX) }),
            "booking 1: its payment is further already, or not so far",
        ),
        (advanced(1, Advance::Failed), "booking 1: its payment is further already, or not so far"),
        (advanced(0, captured(Fate::Kept, 0)), "booking 0: its payment is further already, or not so far"),
        (advanced(0, Advance::Authorised(Fate::Kept)), "booking 0: its payment is further already, or not so far"),
        (
            advanced(3, captured(Fate::Lost, 0)),
            "booking 3: it does not stand where it waits, or waits where it does not stand",
        ),
        (refunded(3, 6, 0), "booking 3: its payment is further already, or not so far"),
        (given(9, 0), "booking 9: there is none"),
        (given(3, 6), "booking 3: it does not stand where it waits, or waits where it does not stand"),
        (given(0, 1), "booking 0: seat 1 is not one of its own"),
        (given(0, 0), "booking 0: the ticket of seat 0 was used"),
        (
            advanced(1, Advance::Authorised(Fate::Kept)),
            "booking 1: it does not stand where it waits, or waits where it does not stand",
        ),
        (
            advanced(3, Advance::Authorised(Fate::Retaken)),
            "booking 3: it does not stand where it waits, or waits where it does not stand",
        ),
        (advanced(3, captured(Fate::Lost, 2_001)), "booking 3: more goes back than was paid"),
        (advanced(3, captured(Fate::Lost, -1)), "booking 3: more goes back than was paid"),
        (advanced(3, captured(Fate::Lost, i64::MAX)), "booking 3: more goes back than was paid"),
        (advanced(0, Advance::Refunded { refund: 0 }), "booking 0: refund 0 is not due"),
        (advanced(0, Advance::Refunded { refund: 7 }), "booking 0: refund 7 is not due"),
        (refunded(0, 0, 1_201), "booking 0: more goes back than was paid"),
        (refunded(0, 0, -1), "booking 0: more goes back than was paid"),
        (refunded(2, 4, 1), "booking 2: seat 4 is not one of its own"),
    ];
    for (event, sentence) in misfits {
        let mut inventory = orders();
        inventory.replay(&entry(held(4, &[12], None))).unwrap();
        let before = inventory.image();
        let refused = inventory.replay(&entry(event)).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
        assert_eq!(inventory.image(), before, "{sentence}");
    }
    let mut inventory = orders();
    let off = Event::PerformanceCancelled(PerformanceCancelled { by: seller(), reason: None });
    inventory.replay(&entry(off.clone())).unwrap();
    let twice = inventory.replay(&entry(off)).unwrap_err();
    assert_eq!(twice.to_string(), "opening: the performance is called off once");
}

#[test]
fn every_image_of_an_order_that_is_no_state_is_refused_by_its_part() {
    let details = |image: &mut Image, place: usize| image.bookings[place].details.clone().unwrap();
    let standing = "it does not stand where it waits, or waits where it does not stand";
    let mut late = orders().image();
    late.bookings[0].details = Some(Box::new(Details { until: Some(Timestamp::MAX), ..*details(&mut late, 0) }));
    let mut unpaid = orders().image();
    unpaid.bookings[0].details.as_mut().unwrap().payment.as_mut().unwrap().stage = Stage::Open;
    let mut generous = orders().image();
    generous.bookings[0].details.as_mut().unwrap().payment.as_mut().unwrap().refunds[0].amount = 2_001;
    let mut backwards = orders().image();
    backwards.bookings[0].details.as_mut().unwrap().payment.as_mut().unwrap().refunds[0].amount = -1;
    let mut dear = orders().image();
    dear.bookings[3].details.as_mut().unwrap().payment.as_mut().unwrap().amount = 2_001;
    let (mut stray, mut nobodys) = (orders().image(), orders().image());
    stray.tickets.insert((0, SeatIndex(9)), Ticket::default());
    nobodys.tickets.insert((9, SeatIndex(0)), Ticket::default());
    let mut early = orders().image();
    early.bookings[3].details.as_mut().unwrap().payment.as_mut().unwrap().stage = Stage::Captured;
    let misfits = [
        (late, format!("booking 0: {standing}")),
        (unpaid, format!("booking 0: {standing}")),
        (generous, "booking 0: more goes back than was paid".to_owned()),
        (backwards, "booking 0: more goes back than was paid".to_owned()),
        (dear, "booking 3: its payment is not what it costs".to_owned()),
        (early, format!("booking 3: {standing}")),
        (stray, "booking 0: seat 9 is not one of its own".to_owned()),
        (nobodys, "booking 9: there is none".to_owned()),
    ];
    for (image, sentence) in misfits {
        assert_eq!(Inventory::from_image(image).unwrap_err().to_string(), sentence);
    }
}

type Change = fn(&mut Image);

fn first_hold(image: &mut Image) -> &mut onrush_engine::inventory::Hold {
    let hold = image.places.iter_mut().find_map(|place| match place {
        PlaceImage::Active(hold) => Some(hold),
        _ => None,
    });
    hold.unwrap()
}

#[test]
fn every_image_that_is_no_state_is_refused_by_its_part() {
    let misfits: [(Change, &str); 38] = [
        (|image| image.opening.plan.sections.clear(), "opening: the seat map has no seats"),
        (|image| image.opening.prices.clear(), "opening: there are 0 prices for 1 tiers"),
        (|image| image.opening.tiers = vec!["x".into(); 101], "opening: there are more than 100 tiers"),
        (
            |image| image.opening.plan.sections[0].tier = TierIndex(1),
            "opening: section 'A' is sold in a tier that the performance does not have",
        ),
        (
            |image| image.opening.terms.refund = vec![RefundStep { until: Timestamp::MIN, percent: 255 }],
            "opening: a refund of 255 percent is more than was paid",
        ),
        (|image| image.offers.clear(), "opening: what is in force is not among the offers"),
        (|image| offer(image, &[], 100), "offer 1: there are 0 prices for 1 tiers"),
        (|image| offer(image, &[i64::MAX], 100), "offer 1: a price of 9223372036854775807 is not 0 to 1000000000000"),
        (|image| offer(image, &[1], 101), "offer 1: a refund of 101 percent is more than was paid"),
        (|image| image.buyers.push(kim()), "buyer 2: it is named twice"),
        (|image| image.holds_base = u32::MAX - 4, "hold 4294967291: no number is left after it"),
        (
            |image| image.places.splice(..0, vec![PlaceImage::Ended; 1024]).for_each(drop),
            "hold 0: it is over and would have been forgotten",
        ),
        (|image| image.places[1] = PlaceImage::Booked(1), "hold 1: booking 1 does not exist"),
        (|image| first_hold(image).buyer = 2, "hold 3: buyer 2 does not exist"),
        (|image| first_hold(image).offer = OfferIndex(1), "hold 3: offer 1 does not exist"),
        (|image| first_hold(image).seats = seats(&[SEAT_MISSING]), "hold 3: seat 22 does not exist"),
        (|image| first_hold(image).seats = seats(&[4, 4]), "hold 3: seat 4 is named twice"),
        (|image| first_hold(image).seats = seats(&[5]), "hold 4: seat 5 is not free"),
        (|image| first_hold(image).expires_at = Timestamp::MIN, "hold 3: it ends before it begins"),
        (|image| image.bookings[0].buyer = u32::MAX, "booking 0: buyer 4294967295 does not exist"),
        (|image| image.bookings[0].offer = OfferIndex(1), "booking 0: offer 1 does not exist"),
        (|image| image.bookings[0].seats = seats(&[0, 1, SEAT_MISSING]), "booking 0: seat 22 does not exist"),
        (|image| image.bookings[0].seats = seats(&[0, 1, 5]), "booking 0: seat 5 is not free"),
        (|image| cancel(image, &[1, 1]), "booking 0: seat 1 is named twice"),
        (|image| cancel(image, &[2]), "booking 0: seat 2 is not one of its own"),
        (|image| image.next_block = 1, "block 1: the next number is 1"),
        (|image| image.blocks.get_mut(&1).unwrap().seats = seats(&[0]), "block 1: seat 0 is not free"),
        (|image| image.replays[0].caller = 2, "request key 0: buyer 2 does not exist"),
        (
            |image| image.replays[1] = image.replays[0].clone(),
            "request key 1: the caller has used its request key before",
        ),
        (|image| image.replays[3].at = Timestamp::MAX, "request key 3: it is over and would have been forgotten"),
        (|image| image.replays[0].made = made_hold(5, &[0], 0), "request key 0: hold 5 does not exist"),
        (|image| image.replays[0].made = made_hold(0, &[SEAT_MISSING], 0), "request key 0: seat 22 does not exist"),
        (|image| image.replays[0].made = made_hold(0, &[0], 1), "request key 0: offer 1 does not exist"),
        (|image| image.replays[1].made = Made::Booking { number: 1 }, "request key 1: booking 1 does not exist"),
        (|image| image.replays[1].made = made_ticket(1, 0, 0), "request key 1: booking 1 does not exist"),
        (|image| image.replays[1].made = made_ticket(0, 5, 0), "request key 1: seat 5 is not one of its own"),
        (
            |image| image.replays[1].made = made_ticket(0, 0, 1),
            "request key 1: the ticket of seat 0 was never issued so often",
        ),
        (
            |image| image.replays[2].made = Made::Cancellation { booking: 0, cancelled: 2, then: None },
            "request key 2: more seats were cancelled than it has cancelled",
        ),
    ];
    for (change, sentence) in misfits {
        let mut image = sale().image();
        change(&mut image);
        assert_eq!(Inventory::from_image(image).unwrap_err().to_string(), sentence);
    }
}

fn cancel(image: &mut Image, named: &[u32]) {
    image.bookings[0].details = Some(Box::new(Details { cancelled: seats(named), ..Details::default() }));
}

/// One more that was once in force.
fn offer(image: &mut Image, prices: &[i64], percent: u8) {
    let prices = prices.iter().map(|&amount| Money { amount, currency: Currency::KRW });
    let refund = [RefundStep { until: Timestamp::MAX, percent }].into();
    let cancellation = CancellationRules { starts_at: Timestamp::MIN, until: Timestamp::MAX, refund };
    image.offers.push(Offer { prices: PriceList(prices.collect()), cancellation });
}

fn made_ticket(booking: u32, seat: u32, issue: u16) -> Made {
    Made::Ticket { booking, seat: SeatIndex(seat), then: Ticket { issue, ..Ticket::default() } }
}

fn made_hold(number: u32, named: &[u32], offer: u32) -> Made {
    let (offer, expires_at) = (OfferIndex(offer), Timestamp::MAX);
    Made::Hold { number, nonce: 5, seats: seats(named), offer, expires_at }
}

/// A start refuses the record, or the snapshot, and names it.
#[test]
fn a_start_names_what_does_not_fit() {
    let listed = |events: &[RegistryEvent], bodies: &[Body], snapshots| {
        let mut records = std::collections::BTreeMap::new();
        let registry: Vec<_> = events.iter().map(|event| (1, encode_registry(Timestamp::MIN, event))).collect();
        let bodies: Vec<_> = bodies.iter().map(|body| (1, body.clone())).collect();
        chain(Stream::REGISTRY, &registry, &mut records);
        chain(Stream(11), &bodies, &mut records);
        recover(&Disk::holding(records, 0), snapshots).map_err(|error| error.to_string()).map(drop)
    };
    let (show, seller) = (ShowId(1), seller());
    let made = |show| RegistryEvent::ShowCreated { show, seller, details: show_details(), key: None };
    let added = |show, performance| RegistryEvent::PerformanceAdded { show, performance, by: seller, key: None };
    let body = |event| encode_entries(&[entry(event)]).remove(0);
    let opens = |performance| body(Event::PerformanceOpened(Box::new(opening(performance))));
    let (performance, sound) = (PerformanceId(11), opens(PerformanceId(11)));
    let snapshot = |stream, image| vec![Snapshot { epoch: 1, stream, sequence: 9, tip: Digest::GENESIS, image }];
    let one = [made(show), added(show, performance)];
    assert_eq!(listed(&one, &[sound.clone(), body(held(0, &[6], None))], vec![]), Ok(()));

    let record = |sequence, sentence: &str| Err(format!("record {sequence} of stream 000000000000000b: {sentence}"));
    assert_eq!(
        listed(&one, &[sound.clone(), body(held(1, &[6], None))], vec![]),
        record(1, "hold 1: the next number is 0")
    );
    assert_eq!(
        listed(&one, &[opens(PerformanceId(12))], vec![]),
        record(0, "performance perf_000000000000c belongs into another stream")
    );
    let mut priceless = opening(performance);
    priceless.prices.clear();
    let priceless = body(Event::PerformanceOpened(Box::new(priceless)));
    assert_eq!(
        listed(&one, &[priceless], vec![]),
        record(0, "the performance's opening: there are 0 prices for 1 tiers")
    );

    let mut image = sale().image();
    assert_eq!(listed(&one, &[], snapshot(Stream(11), image.clone())), Ok(()));
    let stranger = |stream: u64| {
        Err(format!("the snapshot of stream {stream:016x}: performance perf_000000000000b belongs into another stream"))
    };
    assert_eq!(listed(&one, &[], snapshot(Stream(12), image.clone())), stranger(12));
    assert_eq!(listed(&one, &[], snapshot(Stream::REGISTRY, image.clone())), stranger(0));
    image.bookings[0].buyer = 9;
    let sentence = "the snapshot of stream 000000000000000b: booking 0: buyer 9 does not exist";
    assert_eq!(listed(&one, &[], snapshot(Stream(11), image)), Err(sentence.to_owned()));

    // One event behind a snapshot, and then an opening: what the snapshot holds must not be opened anew.
    let behind = Snapshot { epoch: 1, stream: Stream(11), sequence: 0, tip: tip_of(&sound), image: sale().image() };
    let again = [sound.clone(), body(held(5, &[6], None)), sound.clone()];
    assert_eq!(listed(&one, &again, vec![behind]), record(2, "opening: a performance opens once"));

    let registry = |sequence, sentence: &str| Err(format!("record {sequence} of stream 0000000000000000: {sentence}"));
    let (id, other) = ("show_0000000000001", ShowId(2));
    let bodies = [sound];
    assert_eq!(listed(&[made(show), made(show)], &[], vec![]), registry(1, &format!("{id} is made a second time")));
    assert_eq!(listed(&[added(show, performance)], &[], vec![]), registry(0, &format!("{id} was never made")));
    let member = RegistryEvent::MemberSet { show, member: kim(), duty: Some(Duty::Door), by: seller };
    assert_eq!(listed(&[member], &[], vec![]), registry(0, &format!("{id} was never made")));
    let released = |show| RegistryEvent::ShowReleased { show };
    assert_eq!(listed(&[released(show)], &[], vec![]), registry(0, &format!("{id} was never made")));
    assert_eq!(listed(&[made(show), added(show, performance), released(show)], &bodies, vec![]), Ok(()), "they stay");
    let adopted = || RegistryEvent::ShowAdopted { show: Box::new(adopted_show(show)), made: vec![] };
    assert_eq!(listed(&[made(show), released(show), adopted()], &[], vec![]), Ok(()));
    let sentence = format!("{id} is made a second time");
    assert_eq!(listed(&[made(show), adopted()], &[], vec![]), registry(1, &sentence));
    let twice = [made(show), added(show, performance), added(show, performance)];
    assert_eq!(listed(&twice, &bodies, vec![]), Err("performance perf_000000000000b is listed twice".to_owned()));
    let elsewhere = [made(other), added(other, performance)];
    let sentence = "performance perf_000000000000b is listed under another show than its own";
    assert_eq!(listed(&elsewhere, &bodies, vec![]), Err(sentence.to_owned()));

    let given = body(Event::HandedOver { to: EngineId(2) });
    let gone = [made(show), added(show, performance), RegistryEvent::PerformanceReleased { performance }];
    let [sound, given] = [&bodies[0], &given].map(Body::clone);
    assert_eq!(listed(&gone, &[sound.clone(), given.clone()], vec![]), Ok(()));
    assert_eq!(listed(&gone, &[], vec![]), Ok(()), "its records may go");
    let sentence = "performance perf_000000000000b is another engine's, but was not handed over";
    assert_eq!(listed(&gone, std::slice::from_ref(&sound), vec![]), Err(sentence.to_owned()));
    let sentence = "record 2 of stream 000000000000000b: opening: the performance is another engine's";
    let after = body(Event::HoldsExtended { by_millis: 1 });
    assert_eq!(listed(&gone[..2], &[sound.clone(), given.clone(), after], vec![]), Err(sentence.to_owned()));
    let sentence = "record 1 of stream 000000000000000b: opening: the performance was not handed over";
    assert_eq!(listed(&gone[..2], &[sound, body(Event::TakenOver)], vec![]), Err(sentence.to_owned()));
    let place = "perf_000000000000b comes or goes, but is where it would come to, or not where it would leave";
    assert_eq!(listed(&[RegistryEvent::PerformanceAdopted { performance }], &[], vec![]), registry(0, place));
    let expected = RegistryEvent::PerformanceExpected { performance };
    let adopted = RegistryEvent::PerformanceAdopted { performance };
    let lost = "performance perf_000000000000b is listed, but has no records";
    assert_eq!(listed(&[expected, adopted], &[], vec![]), Err(lost.to_owned()));
}

fn adopted_show(id: ShowId) -> Show {
    let (performances, members) = (Vec::new(), std::collections::BTreeMap::new());
    Show { id, seller: seller(), details: show_details(), created_at: Timestamp::MIN, performances, members }
}

/// The digest of a stream's first record.
fn tip_of(body: &Body) -> Digest {
    Frame::encode(1, Stream(11), 0, Digest::GENESIS, body).digest
}

/// What an archive can hold and the engine never writes is refused by its field.
#[test]
fn a_value_that_the_format_does_not_know_is_refused_by_its_field() {
    let times = encode_entries(&[Entry { at: Timestamp::MAX, event: Event::HoldReleased { hold: 0 } }]).remove(0);
    let at = times.windows(8).position(|bytes| *bytes == Timestamp::MAX.as_millis().to_le_bytes()).unwrap();
    let mut late = times.bytes;
    late[at..at + 8].copy_from_slice(&i64::MAX.to_le_bytes());
    assert_eq!(decode_entries(&late), Err(codec::DecodeError::Field("at")));
}
