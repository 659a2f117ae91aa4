//! One seed's world: lives of an engine, rounds of commands, crashes, and the checks after each.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_rt::System;
use onrush_engine::client::Client;
use onrush_engine::command::{
    BestAvailable, BlockSeats, BookHold, Caller, CancelSeats, Command, HoldSeats, RequestKey, Wish,
};
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::{BlockId, BookingId, HoldId, PerformanceId, ShowId};
use onrush_engine::inventory::Answer;
use onrush_engine::journal::codec::{decode_image, encode_image};
use onrush_engine::journal::recovery::recover;
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, Terms};
use onrush_engine::registry::{Field, RegistryCommand, ShowDetails};
use onrush_engine::seat_map::{RowPlan, SeatIndex, SeatMap, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use onrush_engine::time::{Clock, Timestamp};

use crate::disk::{Crash, Disk};
use crate::model::{self, Model};
use crate::random::Random;
use crate::sometimes::Sometimes;

const START: i64 = 1_800_000_000_000;
const BUYERS: u64 = 5;
const TTL_SECONDS: u32 = 60;
const SEATS_MAX: u32 = 6;
const HOLDS_MAX: u32 = 2;
/// As small as the configuration allows, so that a round can fill it.
const MAILBOX_CAPACITY: usize = 16;
const PERFORMANCES: [PerformanceId; 2] = [PerformanceId(11), PerformanceId(12)];
const EXTENSION_MAX: Duration = Duration::from_secs(20);

/// A clock that the world sets.
#[derive(Clone)]
pub(crate) struct SimulatedClock(Arc<AtomicI64>);

impl SimulatedClock {
    pub(crate) fn at_start() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// What happened, so that two runs of one seed can be compared.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) text: String,
}

impl Trace {
    pub(crate) fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex().to_string()
    }
}

/// One performance's states within a round, of which a crash leaves one.
struct Steps {
    states: Vec<Option<Model>>,
    /// The first that may be found.
    acknowledged: usize,
}

/// See the module.
pub(crate) struct World<'a> {
    random: Random,
    disk: Disk,
    clock: SimulatedClock,
    /// One a performance; nothing until it is open.
    models: Vec<Option<Model>>,
    sometimes: &'a mut Sometimes,
    trace: Trace,
    /// Ids that buyers were told, with the performance and the buyer.
    holds: Vec<(usize, u64, HoldId)>,
    bookings: Vec<(usize, u64, BookingId)>,
    blocks: Vec<(usize, BlockId)>,
    /// Commands with keys that were sent, to be sent again.
    sent: Vec<(usize, Command, u64)>,
    nonce: u64,
    life: u64,
}

pub(crate) fn account(buyer: u64) -> Caller {
    Caller { account: format!("acc_buyer-{buyer}").parse().unwrap(), admin: false }
}

pub(crate) fn seller() -> Caller {
    Caller { account: "acc_seller".parse().unwrap(), admin: false }
}

pub(crate) fn opening(performance: PerformanceId) -> Opening {
    let row = |name: &str, seats| RowPlan { name: name.into(), seats: SeatNames::Count(seats) };
    let section =
        |name: &str, rows| SectionPlan { name: name.into(), tier: TierIndex(0), seating: Seating::Reserved(rows) };
    let at = |seconds: i64| Timestamp::from_millis(START + seconds * 1000);
    Opening {
        performance,
        show: ShowId(1),
        seller: seller().account,
        plan: SeatMapPlan {
            sections: vec![section("A", vec![row("1", 5), row("2", 6)]), section("B", vec![row("1", 4), row("2", 7)])],
        },
        tiers: vec!["Gold".into()],
        prices: vec![Money::zero(Currency::KRW)],
        terms: Terms {
            starts_at: at(1_000_000),
            ends_at: at(1_000_001),
            opens_at: at(0),
            closes_at: at(1_000_000),
            hold_ttl_seconds: TTL_SECONDS,
            seats_per_buyer_max: SEATS_MAX,
            holds_per_buyer_max: HOLDS_MAX,
            approval: Approval::Automatic,
            cancel_until: at(1_000_000),
            refund: Vec::new(),
        },
    }
}

pub(crate) fn show_details() -> ShowDetails {
    ShowDetails {
        title: "A show".into(),
        field: Field::Theatre,
        cast: Vec::new(),
        venue: "".into(),
        description: "".into(),
        poster_url: None,
    }
}

pub(crate) fn show() -> RegistryCommand {
    RegistryCommand::CreateShow { show: ShowId(1), caller: seller(), details: show_details(), key: None }
}

fn map() -> SeatMap {
    SeatMap::new(opening(PERFORMANCES[0]).plan, 1).unwrap()
}

impl<'a> World<'a> {
    /// Runs a seed to its end.
    pub(crate) fn run(seed: u64, sometimes: &'a mut Sometimes) -> Trace {
        let mut world = Self {
            random: Random::new(seed),
            disk: Disk::default(),
            clock: SimulatedClock::at_start(),
            models: vec![None; PERFORMANCES.len()],
            sometimes,
            trace: Trace::default(),
            holds: Vec::new(),
            bookings: Vec::new(),
            blocks: Vec::new(),
            sent: Vec::new(),
            nonce: 0,
            life: 0,
        };
        for life in 0..4 {
            world.life = life;
            System::new().block_on(world.live());
            world.disk.come_back(&mut world.random);
        }
        world.trace
    }

    fn note(&mut self, text: &str) {
        writeln!(self.trace.text, "{} {text}", self.now()).unwrap();
    }

    fn now(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    /// From a start to a crash, or to the end of the world's patience.
    async fn live(&mut self) {
        self.plan_crash();
        let extension = self.extension();
        let config = Config {
            mailbox_capacity: MAILBOX_CAPACITY,
            downtime_extension_max: EXTENSION_MAX,
            ..Config::new("nowhere".into())
        };
        let opened = Engine::simulated(&config, Box::new(self.disk.clone()), Arc::new(self.clock.clone()));
        let client = opened.unwrap_or_else(|error| panic!("a start failed: {error}")).start_here();
        let before = self.models.clone();
        self.extend_models(extension);
        client.settle().await;
        if self.disk.is_gone() {
            self.sometimes.happened("crash while the engine starts");
            return self.reconcile(&self.steps_from(&before));
        }
        self.check_durable();
        if !self.open_missing(&client).await {
            return;
        }
        for _ in 0..self.random.below(25) + 5 {
            self.pass_time();
            if self.random.one_in(3) && !self.tick(&client).await {
                return;
            }
            if !self.round(&client).await {
                return;
            }
        }
    }

    fn plan_crash(&mut self) {
        if self.random.one_in(8) {
            return;
        }
        let crash = *self.random.pick(&[Crash::BeforeAppend, Crash::BeforeSync, Crash::AfterSync]);
        let commits = self.random.below(25);
        self.note(&format!("plan {crash:?} after {commits}"));
        self.disk.plan(commits, crash);
    }

    /// How much time the engine will give back, by its own mark.
    fn extension(&self) -> i64 {
        let alive_at = self.disk.mark().alive_at;
        let away = alive_at.map_or(0, |alive_at| (self.now() - alive_at.as_millis()).max(0));
        away.min(EXTENSION_MAX.as_millis() as i64)
    }

    fn extend_models(&mut self, by: i64) {
        let now = self.now();
        for model in self.models.iter_mut().flatten() {
            if by > 0 && model.active_holds() > 0 {
                model.extend(by, now);
                self.sometimes.happened("active holds get the time of a crash back");
            }
        }
    }

    /// Opens the performances that are not there yet; says whether the engine lives.
    async fn open_missing(&mut self, client: &Client) -> bool {
        if client.shows().all().is_empty() && client.register(show(), None).await.is_err() {
            return self.crashed_while_opening();
        }
        for (place, performance) in PERFORMANCES.into_iter().enumerate() {
            if self.models[place].is_some() {
                continue;
            }
            let caller = seller();
            let command = RegistryCommand::AddPerformance { show: ShowId(1), performance, caller, key: None };
            let now = self.now();
            if client.register(command, Some(Box::new(opening(performance)))).await.is_err() {
                return self.crashed_while_opening();
            }
            self.models[place] = Some(Model::new(&map(), TTL_SECONDS, SEATS_MAX, HOLDS_MAX, now));
        }
        true
    }

    /// A performance whose opening was under way may be there or not.
    fn crashed_while_opening(&mut self) -> bool {
        assert!(self.disk.is_gone(), "only a crash keeps a performance from opening");
        self.disk.come_back(&mut self.random);
        let found = recover(&self.disk.durable_copy(), Vec::new()).unwrap();
        let now = self.now();
        for (place, performance) in PERFORMANCES.iter().enumerate() {
            let there = found.inventories.contains_key(performance);
            assert!(there || self.models[place].is_none(), "an opened performance is gone");
            if there && self.models[place].is_none() {
                self.models[place] = Some(Model::new(&map(), TTL_SECONDS, SEATS_MAX, HOLDS_MAX, now));
            }
        }
        false
    }

    /// The engine looks for holds that have run out; says whether it lives.
    async fn tick(&mut self, client: &Client) -> bool {
        let before = self.models.clone();
        let now = self.now();
        // Only who has a hold that ends by this clock is woken.
        for model in self.models.iter_mut().flatten().filter(|model| model.is_due(now)) {
            model.pulse(now);
        }
        client.tick().await;
        client.settle().await;
        if self.disk.is_gone() {
            self.reconcile(&self.steps_from(&before));
            return false;
        }
        self.check_durable();
        true
    }

    /// What may be found after a crash where all that was under way is one step.
    fn steps_from(&self, before: &[Option<Model>]) -> Vec<Steps> {
        let steps = |(before, after): (&Option<Model>, &Option<Model>)| Steps {
            states: vec![before.clone(), after.clone()],
            acknowledged: 0,
        };
        before.iter().zip(&self.models).map(steps).collect()
    }

    fn pass_time(&mut self) {
        let step = match self.random.below(10) {
            0 => 0,
            1 => 1000 * self.random.below(90) as i64,
            2 => {
                self.sometimes.happened("the clock goes back");
                -(1000 * self.random.below(30) as i64)
            }
            _ => self.random.below(3000) as i64,
        };
        self.clock.0.fetch_add(step, Ordering::Relaxed);
    }

    /// Sends commands that arrive together or shortly one after the other, so that some are decided while others are
    /// written; and checks what became of them; says whether the engine lives.
    async fn round(&mut self, client: &Client) -> bool {
        let count = if self.random.one_in(20) { 2 * MAILBOX_CAPACITY as u64 + 8 } else { self.random.below(6) + 1 };
        let commands: Vec<(usize, Command, u64)> = (0..count).map(|_| self.command()).collect();
        self.notice_contention(&commands);
        let (expected, mut steps) = self.expect(&commands);
        let spread = count <= 6 && self.random.one_in(2);

        let mut asked = Vec::new();
        for (place, command, _) in &commands {
            let performance = client.performance(PERFORMANCES[*place]).expect("it is open");
            let (client, command) = (client.clone(), command.clone());
            asked.push(actix_rt::spawn(async move { client.ask(&performance, Ask::Command(command)).await }));
            for _ in 0..if spread { self.random.below(6) } else { 0 } {
                tokio::task::yield_now().await;
            }
        }
        let mut outcomes = Vec::new();
        for asked in asked {
            outcomes.push(asked.await.unwrap());
        }
        self.compare(&commands, &expected, &outcomes);
        self.learn(&commands, &outcomes);
        if outcomes.contains(&Err(Failure::Unknown)) {
            assert!(self.disk.is_gone(), "an outcome is unknown though the disk works");
            self.note("crash");
            self.acknowledge(&commands, &outcomes, &mut steps);
            self.reconcile(&steps);
            return false;
        }
        self.check_durable();
        self.check_published(client);
        true
    }

    /// What the models say, and how they come to it; a mailbox takes so many, and the rest is refused before it is
    /// decided.
    fn expect(&mut self, commands: &[(usize, Command, u64)]) -> (Vec<Option<String>>, Vec<Steps>) {
        let now = self.now();
        let mut waiting = [0; PERFORMANCES.len()];
        let mut expected = Vec::new();
        let begin = |model: &Option<Model>| Steps { states: vec![model.clone()], acknowledged: 0 };
        let mut steps: Vec<Steps> = self.models.iter().map(begin).collect();
        for (place, command, _) in commands {
            let model = self.models[*place].as_mut().expect("rounds come after the opening");
            let states = &mut steps[*place].states;
            if states.len() == 1 {
                if model.pulse(now) > 0 {
                    self.sometimes.happened("a hold runs out");
                }
                states.push(Some(model.clone()));
            }
            waiting[*place] += 1;
            let fits = waiting[*place] <= MAILBOX_CAPACITY;
            expected.push(fits.then(|| model.run(command, now)));
            states.push(Some(model.clone()));
        }
        (expected, steps)
    }

    /// Notes how far each performance must be found: an answer, also a refusal, rests on what is durable.
    fn acknowledge(&mut self, commands: &[(usize, Command, u64)], outcomes: &[Outcome], steps: &mut [Steps]) {
        let mut commands_of = [0; PERFORMANCES.len()];
        for ((place, _, _), outcome) in commands.iter().zip(outcomes) {
            commands_of[*place] += 1;
            if matches!(outcome, Ok(_) | Err(Failure::Refused(_))) {
                self.sometimes.happened("a part of the round was answered before the crash");
                // Behind the state before the round and the one after the pulse.
                steps[*place].acknowledged = commands_of[*place] + 1;
            }
        }
    }

    fn compare(&mut self, commands: &[(usize, Command, u64)], expected: &[Option<String>], outcomes: &[Outcome]) {
        for (((_, command, _), expected), outcome) in commands.iter().zip(expected).zip(outcomes) {
            if *outcome == Err(Failure::Unknown) {
                continue;
            }
            let said = model::said(outcome);
            self.note(&said);
            match expected {
                Some(expected) => assert_eq!(*expected, said, "{command:?}"),
                None => {
                    assert_eq!(*outcome, Err(Failure::Overloaded));
                    self.sometimes.happened("the mailbox is full");
                }
            }
            match said.as_str() {
                "refused KeyReused" => self.sometimes.happened("a request key is used for another request"),
                "refused NotAdjacent" => self.sometimes.happened("no run of seats side by side is left"),
                _ => {}
            }
        }
    }

    fn notice_contention(&mut self, commands: &[(usize, Command, u64)]) {
        let wanted = |command: &(usize, Command, u64)| match &command.1 {
            Command::HoldSeats(HoldSeats { wish: Wish::Seats(seats), caller, .. }) => {
                Some((command.0, seats.clone(), caller.account))
            }
            _ => None,
        };
        let wanted: Vec<_> = commands.iter().filter_map(wanted).collect();
        for (nth, (place, seats, buyer)) in wanted.iter().enumerate() {
            let same = |(other, theirs, them): &&(usize, _, _)| {
                let theirs: &onrush_engine::seat_map::SeatList = theirs;
                other == place && them != buyer && theirs.iter().any(|seat| seats.contains(seat))
            };
            if wanted[..nth].iter().any(|other| same(&other)) {
                self.sometimes.happened("two buyers want the same seat in the same group");
            }
            let own = wanted[..nth].iter().filter(|(other, _, them)| other == place && them == buyer).count();
            if own >= HOLDS_MAX as usize {
                self.sometimes.happened("a limit is reached by holds of one group");
            }
        }
    }

    /// Remembers what the buyers were told.
    fn learn(&mut self, commands: &[(usize, Command, u64)], outcomes: &[Outcome]) {
        for ((place, command, buyer), outcome) in commands.iter().zip(outcomes) {
            let Ok(answered) = outcome else { continue };
            if answered.replayed {
                self.sometimes.happened("a request is answered again");
                let again = self.sent.iter().any(|(_, sent, life)| sent == command && *life < self.life);
                if again {
                    self.sometimes.happened("a request is answered again after a crash");
                }
            }
            match &answered.answer {
                Answer::Hold(hold) => self.holds.push((*place, *buyer, hold.id)),
                Answer::Booking(booking) if !booking.cancelled.is_empty() && !booking.seats.is_empty() => {
                    self.sometimes.happened("a booking is cancelled in part");
                }
                Answer::Booking(booking) => self.bookings.push((*place, *buyer, booking.id)),
                Answer::Block(block) => {
                    self.sometimes.happened("house seats are blocked");
                    self.blocks.push((*place, block.id));
                }
                _ => {}
            }
            self.sent.push((*place, command.clone(), self.life));
        }
    }

    /// What the disk holds for good is what the models say: acknowledged is durable, and nothing else is there.
    fn check_durable(&mut self) {
        let states = self.recovered();
        for (place, state) in states.into_iter().enumerate() {
            let model = self.models[place].as_ref().map(Model::describe);
            assert_eq!(model, state, "performance {place}");
        }
    }

    /// The states that a start would find, each sound by its own count.
    fn recovered(&self) -> Vec<Option<String>> {
        let found = recover(&self.disk.durable_copy(), Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        let describe = |performance: &PerformanceId| {
            let inventory = found.inventories.get(performance)?;
            inventory.verify().unwrap_or_else(|fault| panic!("{fault}"));
            let image = inventory.image();
            assert_eq!(decode_image(&encode_image(&image)).unwrap(), image, "a snapshot reads back");
            Some(model::describe(&image, inventory.map().capacity()))
        };
        PERFORMANCES.iter().map(describe).collect()
    }

    /// After a crash: each performance is as it was after some step, and that is none before the last acknowledged one.
    fn reconcile(&mut self, steps: &[Steps]) {
        self.note_crash_step();
        self.disk.come_back(&mut self.random);
        let copy = self.disk.durable_copy();
        let cut = recover(&copy, Vec::new()).unwrap_or_else(|error| panic!("{error}")).cut;
        if !cut.is_empty() {
            self.sometimes.happened("an unfinished record was cut off");
        }
        for (place, state) in self.recovered().into_iter().enumerate() {
            let Steps { states, acknowledged } = &steps[place];
            let found = states.iter().rposition(|step| step.as_ref().map(Model::describe) == state);
            let found = found.unwrap_or_else(|| panic!("performance {place} is as it never was"));
            assert!(
                found >= *acknowledged,
                "performance {place}: step {acknowledged} was acknowledged, {found} is there"
            );
            let changed = |from: usize, to: usize| {
                states[from].as_ref().map(Model::describe) != states[to].as_ref().map(Model::describe)
            };
            let last = states.len() - 1;
            if changed(0, last) {
                self.sometimes.happened(match (changed(0, found), changed(found, last)) {
                    (true, false) => "the round under way survived the crash",
                    (false, _) => "the round under way was lost in the crash",
                    (true, true) => "a part of the round under way survived the crash",
                });
            }
            self.models[place] = states[found].clone();
        }
    }

    fn note_crash_step(&mut self) {
        self.sometimes.happened(match self.disk.crashed_at() {
            Crash::BeforeAppend => "crash before the append",
            Crash::BeforeSync => "crash between append and sync",
            Crash::AfterSync => "crash between sync and acknowledgement",
        });
    }

    /// What everybody sees is what the models say.
    fn check_published(&self, client: &Client) {
        for (performance, model) in PERFORMANCES.iter().zip(&self.models) {
            let published = client.performance(*performance).expect("it is open").publication.seats();
            let expected = model.as_ref().expect("it is open").states();
            let seat = |seat: usize| published.packed[seat / 4] >> (seat % 4 * 2) & 3;
            let seen: Vec<u8> = (0..expected.len()).map(seat).collect();
            assert_eq!(expected, seen, "availability is not what was acknowledged");
        }
    }

    fn command(&mut self) -> (usize, Command, u64) {
        if !self.sent.is_empty() && self.random.one_in(6) {
            return self.again();
        }
        let place = self.random.below(PERFORMANCES.len() as u64) as usize;
        let buyer = self.random.below(BUYERS);
        let command = match self.random.below(12) {
            0..=4 => self.hold(buyer),
            5..=6 => self.release(place, buyer),
            7..=8 => self.book(place, buyer),
            9..=10 => self.cancel(place, buyer),
            _ => self.block(place),
        };
        (place, command, buyer)
    }

    /// A command that was sent before, perhaps with another body under its key.
    fn again(&mut self) -> (usize, Command, u64) {
        let (place, mut command, _) = self.random.pick(&self.sent).clone();
        let other = self.random.one_in(4);
        if let Command::HoldSeats(HoldSeats { key: Some(key), .. }) = &mut command
            && other
        {
            key.fingerprint ^= 1;
        }
        let caller = match &command {
            Command::HoldSeats(HoldSeats { caller, .. })
            | Command::BookHold(BookHold { caller, .. })
            | Command::CancelSeats(CancelSeats { caller, .. })
            | Command::ReleaseHold { caller, .. } => *caller,
            _ => seller(),
        };
        let buyer = (0..BUYERS).find(|buyer| account(*buyer) == caller).unwrap_or(0);
        (place, command, buyer)
    }

    fn nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    fn key(&mut self) -> Option<RequestKey> {
        let key = [self.nonce(), 0];
        (!self.random.one_in(3)).then_some(RequestKey { key, fingerprint: 8 })
    }

    fn seats(&mut self, most: u64) -> Vec<SeatIndex> {
        let first = self.random.below(22) as u32;
        let count = self.random.below(most) as u32 + 1;
        (first..(first + count).min(22)).map(SeatIndex).collect()
    }

    fn hold(&mut self, buyer: u64) -> Command {
        let wish = if self.random.one_in(2) {
            Wish::Seats(self.seats(4).into())
        } else {
            let quantity = self.random.below(5) as u32 + 1;
            Wish::BestAvailable(BestAvailable { quantity, tier: None, section: None, adjacent: true })
        };
        let (nonce, key) = (self.nonce(), self.key());
        Command::HoldSeats(HoldSeats { caller: account(buyer), wish, nonce, key })
    }

    /// A hold that somebody was told of: often the buyer's own.
    fn known_hold(&mut self, place: usize, buyer: u64) -> (u64, HoldId) {
        let here: Vec<_> = self.holds.iter().filter(|(at, _, _)| *at == place).copied().collect();
        let nobody = HoldId { performance: PERFORMANCES[place], number: 100_000, nonce: 1 };
        if here.is_empty() {
            return (buyer, nobody);
        }
        let recent = &here[here.len().saturating_sub(6)..];
        let (_, owner, hold) = *self.random.pick(recent);
        (if self.random.one_in(8) { buyer } else { owner }, hold)
    }

    fn release(&mut self, place: usize, buyer: u64) -> Command {
        let (buyer, hold) = self.known_hold(place, buyer);
        Command::ReleaseHold { caller: account(buyer), hold }
    }

    fn book(&mut self, place: usize, buyer: u64) -> Command {
        let (buyer, hold) = self.known_hold(place, buyer);
        let (nonce, key) = (self.nonce(), self.key());
        Command::BookHold(BookHold { caller: account(buyer), hold, purpose: None, nonce, key })
    }

    fn cancel(&mut self, place: usize, buyer: u64) -> Command {
        let here: Vec<_> = self.bookings.iter().filter(|(at, _, _)| *at == place).copied().collect();
        let nobody = (place, buyer, BookingId { performance: PERFORMANCES[place], number: 100_000, nonce: 1 });
        let (_, owner, booking) = if here.is_empty() { nobody } else { *self.random.pick(&here) };
        let seats = self.random.one_in(2).then(|| self.seats(2).into());
        let key = self.key();
        Command::CancelSeats(CancelSeats { caller: account(owner), booking, seats, key })
    }

    fn block(&mut self, place: usize) -> Command {
        let here: Vec<_> = self.blocks.iter().filter(|(at, _)| *at == place).copied().collect();
        if !here.is_empty() && self.random.one_in(2) {
            let (_, block) = *self.random.pick(&here);
            return Command::LiftBlock { caller: seller(), block };
        }
        let (seats, nonce, key) = (self.seats(2), self.nonce(), self.key());
        Command::BlockSeats(BlockSeats { caller: seller(), seats, reason: None, nonce, key })
    }
}
