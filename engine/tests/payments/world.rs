//! One sale with everything that can go wrong about money.

use std::collections::BTreeMap;
use std::time::Duration;

use onrush_engine::command::{
    BestAvailable, BookHold, Caller, CancelPerformance, CancelSeats, ChangeTerms, Command, DecideBooking, HoldSeats,
    PaymentNotice, PaymentStatus, Wish,
};
use onrush_engine::event::{Advance, Entry, Event, Fate, SeatsCancelled};
use onrush_engine::id::{BookingId, HoldId, PerformanceId, ShowId};
use onrush_engine::inventory::{Answer, Decision, Inventory, Step};
use onrush_engine::journal::codec::{decode_entries, decode_image, encode_entries, encode_image, state_digest};
use onrush_engine::journal::frame::Digest;
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, RefundStep, Terms};
use onrush_engine::refusal::Refusal;
use onrush_engine::seat_map::{RowPlan, SeatIndex, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use onrush_engine::time::Timestamp;

use crate::laws::{self, Sold};
use crate::provider::Provider;
use crate::random::Random;
use crate::rules::{Promise, Rules};

/// What a run that shows anything has met.
pub(crate) const CONDITIONS: &[&str] = &[
    "money in time",
    "money late, the seats taken again",
    "money late, the seats lost",
    "a step whose answer was lost",
    "a notice twice",
    "a notice lost",
    "a charge that got more time",
    "a bank that said no",
    "a capture that failed",
    "a bank that changed its mind",
    "a refund of a part",
    "a cancellation while nothing was collected yet",
    "an approval",
    "a rejection",
    "an approval after its time",
    "a booking that ran out",
    "a performance called off",
    "a restart from the journal",
    "a restart from a snapshot",
    "the limit in the way of late money",
    "a refund by rules that are worse now",
    "a refund by rules that are better now",
    "a refund for a performance that was moved",
    "a cancellation after its time",
];

const START: i64 = 1_800_000_000_000;
const SEATS_MAX: u32 = 4;
const STEPS: u64 = 400;
const LENGTH: Duration = Duration::from_hours(3);

/// See the module.
pub(crate) struct World {
    random: Random,
    inventory: Inventory,
    opened: Vec<u8>,
    entries: Vec<Entry>,
    provider: Provider,
    now: i64,
    nonce: u64,
    holds: Vec<(Caller, HoldId)>,
    bookings: Vec<(Caller, BookingId)>,
    rules: Rules,
    /// Which start whoever has booked was told of last, and when.
    told: (Timestamp, Option<Timestamp>),
    /// Those of each hold, by its number.
    held: BTreeMap<u32, Rules>,
    /// Those of each booking, by its number: of the time at which its seats were held.
    sold: Sold,
    /// Of each booking, what the policy has let the seller keep.
    kept: BTreeMap<u32, i64>,
    pub(crate) sometimes: BTreeMap<&'static str, u64>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

fn caller(name: &str) -> Caller {
    Caller { account: format!("acc_{name}").parse().unwrap(), admin: false }
}

fn opening(random: &mut Random) -> Opening {
    let row = |name: &str| RowPlan { name: name.into(), seats: SeatNames::Count(5) };
    let section = |name: &str, tier| SectionPlan {
        name: name.into(),
        tier: TierIndex(tier),
        seating: Seating::Reserved(vec![row("1"), row("2")]),
    };
    let money = |amount| Money { amount, currency: Currency::KRW };
    let steps = [(2_000, 100), (5_000, 50)].map(|(until, percent)| RefundStep { until: at(until), percent });
    Opening {
        performance: PerformanceId(9),
        show: ShowId(1),
        seller: caller("seller").account,
        plan: SeatMapPlan { sections: vec![section("A", 0), section("B", 1)] },
        tiers: vec!["Gold".into(), "Silver".into()],
        prices: vec![money(1_001), money(333)],
        terms: Terms {
            starts_at: at(20_000),
            ends_at: at(30_000),
            opens_at: at(0),
            closes_at: at(20_000),
            hold_ttl_seconds: 100,
            seats_per_buyer_max: SEATS_MAX,
            holds_per_buyer_max: 2,
            approval: if random.one_in(3) { Approval::Manual } else { Approval::Automatic },
            cancel_until: at(20_000),
            refund: if random.one_in(4) { Vec::new() } else { steps.to_vec() },
        },
    }
}

impl World {
    /// Runs a seed to its settled end.
    pub(crate) fn run(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let opening = opening(&mut random);
        let inventory = Inventory::open(&opening, at(0)).unwrap();
        let rules = Rules {
            prices: [opening.prices[0].amount, opening.prices[1].amount],
            starts_at: opening.terms.starts_at,
            cancel_until: opening.terms.cancel_until,
            refund: opening.terms.refund.clone(),
        };
        let opened = encode_image(&inventory.image()).bytes;
        let mut world = Self {
            random,
            inventory,
            opened,
            entries: Vec::new(),
            provider: Provider::default(),
            now: START,
            nonce: 0,
            holds: Vec::new(),
            bookings: Vec::new(),
            told: (rules.starts_at, None),
            rules,
            held: BTreeMap::new(),
            sold: BTreeMap::new(),
            kept: BTreeMap::new(),
            sometimes: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        world
    }

    /// How many payments there were.
    pub(crate) fn payments(&self) -> u64 {
        self.inventory.bookings().iter().filter(|booking| booking.payment().is_some()).count() as u64
    }

    /// The state that it came to.
    pub(crate) fn digest(&self) -> Digest {
        state_digest(&self.inventory)
    }

    fn met(&mut self, what: &'static str) {
        assert!(CONDITIONS.contains(&what), "{what} is not listed");
        *self.sometimes.entry(what).or_default() += 1;
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..18 => self.hold(),
            18..32 => self.book(),
            32..46 => self.pay(),
            46..60 => self.deliver(),
            60..76 => self.collect(),
            76..82 => self.cancel(),
            82..88 => self.decide(),
            88..92 => self.restart(),
            92..97 => self.wait(),
            97..99 => self.change_rules(),
            _ if self.random.one_in(6) => self.call_off(),
            _ => {}
        }
    }

    fn wait(&mut self) {
        self.now += [1_000, 20_000, 101_000, 400_000][self.random.below(4) as usize];
        self.pulse();
    }

    fn pulse(&mut self) {
        while let Some(event) = self.inventory.pulse(Timestamp::from_millis(self.now)) {
            if matches!(event, Event::BookingsLapsed { .. }) {
                self.met("a booking that ran out");
            }
            self.apply(event);
        }
        laws::nobody_outlives_their_time(&self.inventory);
    }

    fn apply(&mut self, event: Event) {
        let now = Timestamp::from_millis(self.now);
        self.inventory.check(&Entry { at: now, event: event.clone() }).unwrap();
        self.account_for(&event);
        self.inventory.apply(now, &event);
        self.entries.push(Entry { at: self.inventory.now(), event });
        laws::hold(&self.inventory, &self.sold, &self.provider);
    }

    fn account_for(&mut self, event: &Event) {
        match event {
            Event::SeatsHeld(held) => drop(self.held.insert(held.hold, self.rules.clone())),
            Event::HoldBooked(booked) => drop(self.sold.insert(booked.booking, self.held[&booked.hold].clone())),
            Event::SeatsCancelled(cancelled) => {
                let value: i64 = self.prices(cancelled.booking, &cancelled.seats).iter().sum();
                let kept = cancelled.refund.map_or(0, |refund| value - refund);
                *self.kept.entry(cancelled.booking).or_default() += kept;
            }
            Event::PaymentAdvanced(advanced) if matches!(advanced.advance, Advance::Failed | Advance::Voided) => {
                self.kept.remove(&advanced.booking);
            }
            _ => {}
        }
    }

    fn give(&mut self, command: &Command) -> Result<Option<Answer>, Refusal> {
        self.pulse();
        match self.inventory.decide(command, Timestamp::from_millis(self.now))? {
            Decision::Event(event) => {
                self.apply(event.clone());
                Ok(Some(self.inventory.answer(&event)))
            }
            Decision::Replayed(answer) => Ok(Some(*answer)),
            Decision::Nothing => Ok(None),
        }
    }

    fn buyer(&mut self) -> Caller {
        caller(&format!("buyer-{}", self.random.below(8)))
    }

    fn hold(&mut self) {
        self.nonce += 1;
        let (quantity, who) = (1 + self.random.below(3) as u32, self.buyer());
        let wish = Wish::BestAvailable(BestAvailable { quantity, tier: None, section: None, adjacent: false });
        let command = Command::HoldSeats(HoldSeats { caller: who, wish, nonce: self.nonce, key: None });
        if let Ok(Some(Answer::Hold(hold))) = self.give(&command) {
            self.holds.push((who, hold.id));
        }
    }

    fn book(&mut self) {
        if self.holds.is_empty() {
            return;
        }
        let place = self.random.below(self.holds.len() as u64) as usize;
        let (who, hold) = self.holds.swap_remove(place);
        self.nonce += 1;
        let command = Command::BookHold(BookHold { caller: who, hold, purpose: None, nonce: self.nonce, key: None });
        if let Ok(Some(Answer::Booking(booking))) = self.give(&command) {
            self.bookings.push((who, booking.id));
        }
    }

    fn any_booking(&mut self) -> Option<(Caller, BookingId)> {
        (!self.bookings.is_empty()).then(|| *self.random.pick(&self.bookings))
    }

    fn cancel(&mut self) {
        let Some((buyer, booking)) = self.any_booking() else { return };
        let caller = if self.random.one_in(4) { caller("seller") } else { buyer };
        let remaining = self.inventory.bookings()[booking.number as usize].remaining();
        let part = self.random.one_in(2) && remaining.len() > 1;
        let seats = part.then(|| remaining.iter().copied().take(1).collect());
        let gone = seats.clone().unwrap_or(remaining);
        let command = Command::CancelSeats(CancelSeats { caller, booking, seats, key: None });
        let collected = self.provider.look_up(booking).is_some_and(|said| said.status == PaymentStatus::Captured);
        let given = self.give(&command);
        if matches!(given, Err(Refusal::CancellationClosed { .. })) {
            let now = Timestamp::from_millis(self.now).max(self.inventory.now());
            assert_eq!(
                self.promise(booking.number).due(&[], now),
                None,
                "booking {} can be given back",
                booking.number
            );
            self.met("a cancellation after its time");
        }
        let Ok(Some(Answer::Booking(view))) = given else { return };
        if caller == buyer {
            self.check_refund(booking.number, &gone);
        }
        if view.payment.is_some_and(|payment| payment.refund_due() > 0) {
            self.met(if part { "a refund of a part" } else { "a cancellation while nothing was collected yet" });
            if part && !collected {
                self.met("a cancellation while nothing was collected yet");
            }
        }
    }

    /// What a buyer's cancellation, the last thing that happened, sends back.
    fn check_refund(&mut self, booking: u32, seats: &[SeatIndex]) {
        let Some(Entry { event: Event::SeatsCancelled(SeatsCancelled { refund: Some(refund), .. }), .. }) =
            self.entries.last()
        else {
            return;
        };
        let (now, refund, prices) = (self.inventory.now(), *refund, self.prices(booking, seats));
        let promise = self.promise(booking);
        assert_eq!(Some(refund), promise.due(&prices, now), "what booking {booking} gets back");
        let of = |rules| Promise { held: rules, in_force: rules, told_at: None }.due(&prices, now).unwrap_or(0);
        let (then, today) = (of(promise.held), of(promise.in_force));
        let moved = promise.held.starts_at != promise.in_force.starts_at;
        if moved {
            self.met("a refund for a performance that was moved");
        } else if today < then {
            self.met("a refund by rules that are worse now");
        } else if today > then {
            self.met("a refund by rules that are better now");
        }
    }

    fn promise(&self, booking: u32) -> Promise<'_> {
        Promise { held: &self.sold[&booking], in_force: &self.rules, told_at: self.told.1 }
    }

    /// What seats of a booking cost when they were held.
    fn prices(&self, booking: u32, seats: &[SeatIndex]) -> Vec<i64> {
        let tier = |seat: &SeatIndex| usize::from(self.inventory.map().tier_of(*seat).0);
        seats.iter().map(|seat| self.sold[&booking].prices[tier(seat)]).collect()
    }

    /// The seller changes the prices, or the rules by which seats can be given back.
    fn change_rules(&mut self) {
        let rules = self.rules.changed(&mut self.random, Timestamp::from_millis(self.now));
        let mut terms = Terms::clone(self.inventory.terms());
        (terms.cancel_until, terms.refund) = (rules.cancel_until, rules.refund.clone());
        (terms.starts_at, terms.ends_at) = (rules.starts_at, terms.ends_at.max(rules.starts_at + LENGTH));
        let prices = rules.prices.map(|amount| Money { amount, currency: Currency::KRW }).to_vec();
        let command = ChangeTerms { caller: caller("seller"), based_on: None, terms, prices: Some(prices) };
        if self.give(&Command::ChangeTerms(command)) == Err(Refusal::PerformanceCancelled) {
            return;
        }
        if (rules.starts_at.as_millis() - self.told.0.as_millis()).abs() >= 3_600_000 {
            self.told = (rules.starts_at, Some(self.inventory.now()));
        }
        self.rules = rules;
    }

    fn decide(&mut self) {
        let Some((_, booking)) = self.any_booking() else { return };
        let (caller, approve) = (caller("seller"), !self.random.one_in(3));
        let ran_out =
            self.inventory.bookings()[booking.number as usize].standing == onrush_engine::event::Standing::Rejected;
        let command = Command::DecideBooking(DecideBooking { caller, booking, approve, reason: None });
        match self.give(&command) {
            Ok(Some(_)) => self.met(if approve { "an approval" } else { "a rejection" }),
            Err(Refusal::NotWaiting) if ran_out && approve => self.met("an approval after its time"),
            _ => {}
        }
    }

    fn call_off(&mut self) {
        let command = CancelPerformance { caller: caller("seller"), reason: None };
        if self.give(&Command::CancelPerformance(command)).is_ok() {
            self.met("a performance called off");
        }
    }

    /// A buyer pays, or a bank answers.
    fn pay(&mut self) {
        let open: Vec<BookingId> = self.provider.book.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        let booking = *self.random.pick(&open);
        match self.provider.look_up(booking).unwrap().status {
            PaymentStatus::Opened => self.provider.charge(booking),
            PaymentStatus::Charging => {
                let yes = !self.random.one_in(6);
                self.provider.bank(booking, yes);
                if !yes {
                    self.met("a bank that said no");
                }
            }
            PaymentStatus::Failed if self.random.one_in(4) => {
                self.provider.change_of_mind(booking);
                if self.provider.look_up(booking).unwrap().status == PaymentStatus::Captured {
                    self.met("a bank that changed its mind");
                }
            }
            _ => {}
        }
    }

    /// A notice arrives, in no order, perhaps not for the last time, or never.
    fn deliver(&mut self) {
        if self.provider.notices.is_empty() {
            return;
        }
        let place = self.random.below(self.provider.notices.len() as u64) as usize;
        let notice = match self.random.below(8) {
            0 => {
                self.met("a notice twice");
                self.provider.notices[place].clone()
            }
            // A bank that changes its mind says so until somebody listens: after a no nobody asks any more.
            1 if self.provider.notices[place].status != PaymentStatus::Captured => {
                self.met("a notice lost");
                return drop(self.provider.notices.swap_remove(place));
            }
            _ => self.provider.notices.swap_remove(place),
        };
        self.note(notice);
    }

    fn note(&mut self, notice: PaymentNotice) {
        let limit_in_the_way = self.limit_in_the_way(notice.booking);
        let before = self.entries.len();
        self.give(&Command::NotePayment(notice)).unwrap();
        let advanced = self.entries[before..].iter().rev().find_map(|entry| match &entry.event {
            Event::PaymentAdvanced(advanced) => Some(advanced.advance),
            _ => None,
        });
        match advanced {
            Some(Advance::Authorised(Fate::Kept)) => self.met("money in time"),
            Some(Advance::Authorised(Fate::Retaken) | Advance::Captured { fate: Fate::Retaken, .. }) => {
                self.met("money late, the seats taken again");
            }
            Some(Advance::Authorised(Fate::Lost) | Advance::Captured { fate: Fate::Lost, .. }) => {
                self.met("money late, the seats lost");
                if limit_in_the_way {
                    self.met("the limit in the way of late money");
                }
            }
            Some(Advance::Charging { until: Some(_) }) => self.met("a charge that got more time"),
            _ => {}
        }
    }

    /// Whether a booking could have its seats again but for what its buyer has since.
    fn limit_in_the_way(&self, booking: BookingId) -> bool {
        let booking = &self.inventory.bookings()[booking.number as usize];
        let wanted = booking.wanted();
        let free = wanted.iter().all(|seat| self.inventory.seat(*seat) == onrush_engine::inventory::SeatState::Free);
        let buyer = booking.buyer;
        let held: usize = self
            .inventory
            .bookings()
            .iter()
            .filter(|other| other.buyer == buyer)
            .map(|other| other.remaining().len())
            .sum();
        !booking.standing.has_seats() && free && held + wanted.len() > SEATS_MAX as usize
    }

    /// Somebody sees to a payment: takes the step that is due, and may never hear of it.
    fn collect(&mut self) {
        let due: Vec<BookingId> = self.inventory.due().collect();
        if due.is_empty() {
            return;
        }
        let booking = *self.random.pick(&due);
        let lost = self.random.one_in(5);
        let answer = self.take_step(booking);
        if lost {
            return self.met("a step whose answer was lost");
        }
        answer.into_iter().for_each(|notice| self.note(notice));
    }

    fn take_step(&mut self, booking: BookingId) -> Option<PaymentNotice> {
        let view = self.inventory.read_payment(booking).unwrap();
        match view.step? {
            Step::Open => Some(self.provider.open(booking, view.amount, self.random.one_in(7))),
            Step::Await => self.provider.look_up(booking),
            Step::Capture => {
                let notice = self.provider.capture(booking);
                if notice.as_ref().is_some_and(|notice| notice.status == PaymentStatus::Failed) {
                    self.met("a capture that failed");
                }
                notice
            }
            // Under the same name it is the same payment, if there was one.
            Step::Void if view.reference.is_none() => Some(self.provider.open(booking, view.amount, false)),
            Step::Void => self.provider.void(booking),
            Step::Refund { number, amount } => self.provider.refund(booking, number, amount),
        }
    }

    /// The engine is killed, and comes back from bytes.
    fn restart(&mut self) {
        let digest = state_digest(&self.inventory);
        let snapshot = self.random.one_in(2);
        let restored = if snapshot {
            let body = encode_image(&self.inventory.image());
            Inventory::from_image(decode_image(body.format, &body).unwrap()).unwrap()
        } else {
            let mut replayed = Inventory::from_image(decode_image(1, &self.opened).unwrap()).unwrap();
            for body in encode_entries(&self.entries) {
                decode_entries(&body).unwrap().iter().for_each(|entry| replayed.replay(entry).unwrap());
            }
            replayed
        };
        assert_eq!(state_digest(&restored), digest, "another state came back");
        self.inventory = restored;
        self.met(if snapshot { "a restart from a snapshot" } else { "a restart from the journal" });
        if self.random.one_in(2) && self.inventory.has_deadlines() {
            self.apply(Event::HoldsExtended { by_millis: 5_000 });
        }
    }

    /// Nothing new happens, and everything that is due is seen to, until nothing is.
    fn settle(&mut self) {
        let charging: Vec<BookingId> = self.provider.book.keys().copied().collect();
        for booking in charging {
            let yes = self.random.one_in(2);
            self.provider.bank(booking, yes);
        }
        self.now += 40_000_000;
        self.pulse();
        self.see_to_everything();
        while let Some(notice) = self.provider.notices.pop() {
            self.note(notice);
        }
        self.see_to_everything();
        laws::settled(&self.inventory, &self.sold, &self.provider, &self.kept);
    }

    fn see_to_everything(&mut self) {
        for _ in 0..200 {
            for booking in self.inventory.due().collect::<Vec<_>>() {
                let looked = self.provider.look_up(booking);
                looked.into_iter().for_each(|notice| self.note(notice));
                if self.inventory.read_payment(booking).unwrap().step.is_some() {
                    self.take_step(booking).into_iter().for_each(|notice| self.note(notice));
                }
            }
        }
    }
}
