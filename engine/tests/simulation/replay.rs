//! The same journal comes to the same state, whoever reads it: goal 10.
//!
//! A seeded sale is decided and applied as it is while an engine runs, and written as its records. Every thousand records
//! the digest of the live state has to be that of the state that the records replay to, and the one in
//! `replay.digests`: so debug and release builds, other processors and later versions come to the very same states.
//!
//! `replay.digests` stays as it is. A version that comes to other states reads old journals wrongly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onrush_engine::command::{
    BestAvailable, BlockSeats, BookHold, CancelSeats, ChangeTerms, Command, HoldSeats, RequestKey, Wish,
};
use onrush_engine::event::{Entry, Event, SoldRules};
use onrush_engine::id::{BlockId, BookingId, HoldId, PerformanceId, ShowId};
use onrush_engine::inventory::{Answer, Decision, Inventory};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{encode_entries, encode_registry, state_digest};
use onrush_engine::journal::frame::{Body, Digest, Frame};
use onrush_engine::journal::history::{History, Until};
use onrush_engine::journal::recovery::recover;
use onrush_engine::journal::store::Key;
use onrush_engine::money::Money;
use onrush_engine::performance::Opening;
use onrush_engine::registry::RegistryEvent;
use onrush_engine::seat_map::{
    RowPlan, SeatIndex, SeatMapPlan, SeatNames, Seating, SectionIndex, SectionPlan, TierIndex,
};
use onrush_engine::time::Timestamp;

use crate::disk::Disk;
use crate::hall::{account, opening, seller, show_details};
use crate::random::Random;

const SEED: u64 = 10;
const RECORDS: u64 = 20_000;
const EVERY: u64 = 1_000;
const PERFORMANCE: PerformanceId = PerformanceId(11);
const BUYERS: u64 = 300;
const ROWS: u64 = 12;
const SEATS_PER_ROW: u64 = 12;
const FLOOR: SectionIndex = SectionIndex(1);

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/replay.digests")
}

/// A hall that never sells out, so that at any time much is held, and booked, and blocked.
fn hall() -> Opening {
    let row = |row: u64| RowPlan { name: row.to_string().into(), seats: SeatNames::Count(SEATS_PER_ROW as u32) };
    let section = |name: &str, tier, seating| SectionPlan { name: name.into(), tier: TierIndex(tier), seating };
    let sections = vec![
        section("Stalls", 0, Seating::Reserved((1..=ROWS).map(row).collect())),
        section("Floor", 1, Seating::GeneralAdmission(40)),
    ];
    let opened = opening(PERFORMANCE);
    let prices = vec![opened.prices[0]; 2];
    Opening { plan: SeatMapPlan { sections }, tiers: vec!["Gold".into(), "Floor".into()], prices, ..opened }
}

/// A sale as it runs, and what it writes.
struct Sale {
    random: Random,
    live: Inventory,
    now: Timestamp,
    holds: Vec<(u64, HoldId)>,
    bookings: Vec<(u64, BookingId)>,
    blocks: Vec<BlockId>,
    records: BTreeMap<Key, Vec<u8>>,
    tips: BTreeMap<Stream, (u64, Digest)>,
    /// Of the live state, by record.
    digests: Vec<(u64, Digest)>,
    events: Events,
}

/// How often each kind of event came: a sale that lacks one shows nothing for it.
#[derive(Debug, Default)]
struct Events(BTreeMap<&'static str, u64>);

impl Events {
    fn count(&mut self, event: &Event) {
        let name = match event {
            Event::PerformanceOpened(_) => "opened",
            Event::SeatsHeld(_) => "held",
            Event::HoldReleased { .. } => "released",
            Event::HoldsExpired { .. } => "expired",
            Event::HoldBooked(_) => "booked",
            Event::SeatsCancelled(_) => "cancelled",
            Event::SeatsBlocked(_) => "blocked",
            Event::BlockLifted { .. } => "lifted",
            Event::TermsChanged { .. } => "terms",
            Event::HoldsExtended { .. } => "extended",
            Event::BookingDecided(_)
            | Event::BookingsLapsed { .. }
            | Event::PaymentAdvanced(_)
            | Event::PerformanceCancelled(_)
            | Event::TicketTransferred(_)
            | Event::TicketCheckedIn(_)
            | Event::HandedOver { .. }
            | Event::TakenOver => unreachable!("format 1 has none of these"),
        };
        *self.0.entry(name).or_default() += 1;
    }
}

impl Sale {
    fn open() -> Self {
        let opened = hall();
        let now = opened.terms.opens_at;
        let mut sale = Self {
            random: Random::new(SEED),
            live: Inventory::open(&opened, now).unwrap(),
            now,
            holds: Vec::new(),
            bookings: Vec::new(),
            blocks: Vec::new(),
            records: BTreeMap::new(),
            tips: BTreeMap::new(),
            digests: Vec::new(),
            events: Events::default(),
        };
        sale.list();
        let first = sale.apply(Event::PerformanceOpened(Box::new(opened)));
        sale.write_entries(&[first]);
        sale
    }

    /// The registry's word that the performance is there.
    fn list(&mut self) {
        let (show, seller) = (ShowId(1), seller().account);
        let created = RegistryEvent::ShowCreated { show, seller, details: show_details(), key: None };
        let added = RegistryEvent::PerformanceAdded { show, performance: PERFORMANCE, by: seller, key: None };
        for event in [created, added] {
            self.write(Stream::REGISTRY, &encode_registry(self.now, &event));
        }
    }

    fn write(&mut self, stream: Stream, body: &Body) -> u64 {
        let (sequence, previous) = self.tips.get(&stream).copied().unwrap_or((0, Digest::GENESIS));
        let frame = Frame::encode(1, stream, sequence, previous, body);
        self.tips.insert(stream, (sequence + 1, frame.digest));
        self.records.insert(Key { stream, sequence }, frame.bytes);
        sequence
    }

    fn write_entries(&mut self, entries: &[Entry]) {
        let bodies = encode_entries(entries);
        assert_eq!(bodies.len(), 1, "a few events fit a record");
        let sequence = self.write(Stream(PERFORMANCE.0), &bodies[0]);
        if (sequence + 1).is_multiple_of(EVERY) {
            self.digests.push((sequence, state_digest(&self.live)));
        }
    }

    /// The sale is one of format 1, whose digests are known: there a booking that costs something waits without an end.
    fn apply(&mut self, mut event: Event) -> Entry {
        // As format 1 has them: so the states are those of the version that noted the digests.
        match &mut event {
            Event::HoldBooked(booked) => booked.until = None,
            Event::TermsChanged { sold, .. } => *sold = SoldRules::Replaced,
            _ => {}
        }
        self.events.count(&event);
        self.live.apply(self.now, &event);
        Entry { at: self.live.now(), event }
    }

    fn run(mut self) -> Self {
        while self.tips[&Stream(PERFORMANCE.0)].0 < RECORDS {
            self.pass_time();
            let entries = self.turn();
            if !entries.is_empty() {
                self.write_entries(&entries);
            }
        }
        self
    }

    /// Mostly moments; now and then so long that holds run out, and in all so long that request keys are forgotten.
    fn pass_time(&mut self) {
        let millis = match self.random.below(200) {
            0 => 3_600_000,
            1..6 => 1000 * self.random.below(120),
            _ => self.random.below(4000),
        };
        self.now = self.now + Duration::from_millis(millis);
    }

    /// What one turn of an actor comes to: what has run out, then some commands.
    fn turn(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if self.random.one_in(30) && self.live.active_holds() > 0 {
            entries.push(self.apply(Event::HoldsExtended { by_millis: 1500 }));
        }
        while let Some(event) = self.live.pulse(self.now) {
            entries.push(self.apply(event));
        }
        for _ in 0..=self.random.below(3) {
            let (buyer, command) = self.command();
            if let Ok(Decision::Event(event)) = self.live.decide(&command, self.now) {
                entries.push(self.apply(event));
                let event = &entries.last().expect("just pushed").event;
                self.learn(buyer, self.live.answer(event));
            }
        }
        entries
    }

    fn learn(&mut self, buyer: u64, answer: Answer) {
        match answer {
            Answer::Hold(hold) => self.holds.push((buyer, hold.id)),
            Answer::Booking(booking) => self.bookings.push((buyer, booking.id)),
            Answer::Block(block) => self.blocks.push(block.id),
            _ => {}
        }
    }

    fn key(&mut self) -> Option<RequestKey> {
        self.random.one_in(2).then(|| RequestKey { key: [self.random.next(), 0], fingerprint: 7 })
    }

    fn command(&mut self) -> (u64, Command) {
        let buyer = self.random.below(BUYERS);
        let (caller, nonce, key) = (account(buyer), self.random.next(), self.key());
        let last = |ids: &[(u64, HoldId)], back: u64| ids.iter().rev().nth(back as usize).copied();
        match self.random.below(20) {
            0..7 => (buyer, Command::HoldSeats(HoldSeats { caller, wish: self.wish(), nonce, key })),
            7..9 => match last(&self.holds, self.random.below(40)) {
                Some((buyer, hold)) => (buyer, Command::ReleaseHold { caller: account(buyer), hold }),
                None => self.command(),
            },
            9..11 => match last(&self.holds, self.random.below(40)) {
                Some((buyer, hold)) => {
                    let purpose = self.random.one_in(10).then(|| "a birthday".into());
                    (buyer, Command::BookHold(BookHold { caller: account(buyer), hold, purpose, nonce, key }))
                }
                None => self.command(),
            },
            11..18 => self.cancel(key),
            18 => self.block_or_lift(nonce, key),
            _ => self.change_terms(),
        }
    }

    fn wish(&mut self) -> Wish {
        let quantity = self.random.below(3) as u32 + 1;
        match self.random.below(5) {
            0 => Wish::GeneralAdmission { section: FLOOR, quantity },
            1..3 => {
                let adjacent = self.random.one_in(2);
                Wish::BestAvailable(BestAvailable { quantity, tier: None, section: None, adjacent })
            }
            _ => {
                let first = self.random.below(ROWS * SEATS_PER_ROW - 3) as u32;
                Wish::Seats((first..first + quantity).map(SeatIndex).collect())
            }
        }
    }

    fn cancel(&mut self, key: Option<RequestKey>) -> (u64, Command) {
        let back = self.random.below(100) as usize;
        match self.bookings.iter().rev().nth(back).copied() {
            Some((buyer, booking)) => {
                (buyer, Command::CancelSeats(CancelSeats { caller: account(buyer), booking, seats: None, key }))
            }
            None => self.command(),
        }
    }

    fn block_or_lift(&mut self, nonce: u64, key: Option<RequestKey>) -> (u64, Command) {
        let caller = seller();
        if self.random.one_in(2)
            && let Some(block) = self.blocks.pop()
        {
            return (0, Command::LiftBlock { caller, block });
        }
        let seats = vec![SeatIndex(self.random.below(ROWS * SEATS_PER_ROW) as u32)];
        let reason = self.random.one_in(2).then(|| "house".into());
        (0, Command::BlockSeats(BlockSeats { caller, seats, reason, nonce, key }))
    }

    fn change_terms(&mut self) -> (u64, Command) {
        let mut terms = self.live.terms().as_ref().clone();
        terms.hold_ttl_seconds = 30 + self.random.below(60) as u32;
        // The sale must not end before the records do.
        terms.closes_at = Timestamp::MAX;
        terms.cancel_until = Timestamp::MAX;
        let prices = self.random.one_in(4).then(|| {
            let amount = self.random.below(5) as i64 * 1000;
            self.live.prices().0.iter().map(|price| Money { amount, ..*price }).collect()
        });
        (0, Command::ChangeTerms(ChangeTerms { caller: seller(), based_on: None, terms, prices }))
    }
}

fn lines(digests: &[(u64, Digest)]) -> String {
    digests.iter().map(|(sequence, digest)| format!("{sequence} {digest}\n")).collect()
}

#[test]
fn live_and_replayed_states_are_the_same_in_every_build() {
    let sale = Sale::open().run();
    assert_eq!(sale.events.0.len(), 10, "a kind of event never came: {:?}", sale.events);
    let oldest = sale.live.image().replays[0].at;
    assert!(oldest > hall().terms.opens_at + Duration::from_hours(24), "no request key was forgotten");
    let disk = Disk::holding(sale.records, RECORDS + 2);
    let found = recover(&disk, Vec::new()).unwrap();
    let mut history = History::of(PERFORMANCE, &found, &[]).unwrap().unwrap();
    for (sequence, live) in &sale.digests {
        history.replay(&disk, Until::Record(*sequence), &mut |_| {}).unwrap();
        let replayed = history.inventory().unwrap();
        assert_eq!(state_digest(replayed), *live, "the replay differs from the live state at record {sequence}");
        replayed.verify().unwrap();
    }
    assert_eq!(state_digest(&found.inventories[&PERFORMANCE]), sale.digests.last().unwrap().1);
    compare(&lines(&sale.digests));
}

/// The digests are written once, and never again: `just bless` leaves them alone.
fn compare(lines: &str) {
    if !path().exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(), lines).unwrap();
    }
    let known = std::fs::read_to_string(path()).unwrap();
    for (known, now) in known.lines().zip(lines.lines()) {
        assert_eq!(known, now, "this build comes to another state than the one that wrote {}", path().display());
    }
    assert_eq!(known, lines);
}
