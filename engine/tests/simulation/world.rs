//! One seed's world: lives of an engine on a disk and a clock that misbehave. [`round`](crate::round) is what happens in
//! a life, [`check`](crate::check) what must be so after each of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_rt::System;
use onrush_engine::client::Client;
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::{EngineId, ShowId};
use onrush_engine::registry::RegistryCommand;
use onrush_engine::time::{Clock, Timestamp};

use crate::crowd::Crowd;
use crate::disk::Disk;
use crate::fault::{Fault, Plan, Site};
use crate::hall::{PERFORMANCES, START, opening, seller, show};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::sometimes::Sometimes;

/// As small as the configuration allows, so that a round can fill it.
pub(crate) const MAILBOX_CAPACITY: usize = 16;
const EXTENSION_MAX: Duration = Duration::from_secs(20);
/// So few that a life sees several.
const SNAPSHOT_EVERY_EVENTS: u64 = 8;

/// A clock that the world sets.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedClock(Arc<AtomicI64>);

impl SimulatedClock {
    pub(crate) fn at_start() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub(crate) fn step(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// How long a world goes on, and what goes wrong in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// Engines, one after the other.
    pub(crate) lives: u64,
    /// Rounds of each: so many, and fewer than so many more.
    pub(crate) rounds: (u64, u64),
    /// Where the clock must have gone, and then the world ends; a sale is a rush at first, and then quiet.
    pub(crate) day_millis: Option<i64>,
    pub(crate) faults: Faults,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Faults {
    /// Whatever the seed says.
    Drawn,
    /// This alone; without a number nothing.
    One(Option<(u64, Fault)>),
}

impl Course {
    /// The small sale of one seed.
    pub(crate) const SEED: Self = Self { lives: 4, rounds: (5, 25), day_millis: None, faults: Faults::Drawn };
    /// From one day's first sale to the next day's, with as many lives as it takes.
    pub(crate) const DAY: Self =
        Self { lives: u64::MAX, rounds: (20, 60), day_millis: Some(24 * 3_600_000), faults: Faults::Drawn };
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// So that two runs of one seed can be compared.
    pub(crate) text: String,
    /// Every operation of the disk.
    pub(crate) operations: Vec<Site>,
    pub(crate) faults: u64,
    pub(crate) simulated: Duration,
}

impl Trace {
    pub(crate) fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex().to_string()
    }
}

/// See the module.
pub(crate) struct World<'a> {
    pub(crate) random: Random,
    pub(crate) disk: Disk,
    pub(crate) clock: SimulatedClock,
    course: Course,
    /// One a performance; nothing until it is open.
    pub(crate) oracles: Vec<Option<Oracle>>,
    pub(crate) sometimes: &'a mut Sometimes,
    trace: Trace,
    pub(crate) crowd: Crowd,
    pub(crate) life: u64,
}

impl<'a> World<'a> {
    /// Runs a seed to its end.
    pub(crate) fn run(seed: u64, course: Course, sometimes: &'a mut Sometimes) -> Trace {
        let mut world = Self {
            random: Random::new(seed),
            disk: Disk::default(),
            clock: SimulatedClock::at_start(),
            course,
            oracles: vec![None; PERFORMANCES.len()],
            sometimes,
            trace: Trace::default(),
            crowd: Crowd::default(),
            life: 0,
        };
        world.note(&format!("seed {seed} {course:?}"));
        if let Faults::One(one) = course.faults {
            world.disk.plan(one.map(|(number, fault)| Plan::Number(number, fault)));
        }
        while world.life < course.lives && !world.is_over() {
            System::new().block_on(world.live());
            world.life += 1;
            world.restart();
        }
        let simulated = Duration::from_millis((world.now() - START).max(0) as u64);
        Trace {
            operations: world.disk.log(),
            faults: world.disk.faults(),
            simulated,
            ..std::mem::take(&mut world.trace)
        }
    }

    fn is_over(&self) -> bool {
        self.course.day_millis.is_some_and(|day| self.now() - START >= day)
    }

    pub(crate) fn note(&mut self, text: &str) {
        writeln!(self.trace.text, "{} {text}", self.now()).unwrap();
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    /// From a start to a crash, or to the end of the world's patience.
    async fn live(&mut self) {
        if let Faults::Drawn = self.course.faults {
            let plan = self.draw_fault();
            self.note(&format!("{plan:?}"));
            self.disk.plan(plan);
        }
        let extension = self.extension();
        let Some(client) = self.open() else { return };
        let before = self.oracles.clone();
        self.extend_oracles(extension);
        client.settle().await;
        if self.disk.is_broken() {
            self.sometimes.happened("crash while the engine starts");
            self.check_dead(&client).await;
            return self.reconcile(&Self::steps(&before, &self.oracles));
        }
        self.check_durable();
        if !self.open_missing(&client).await {
            return;
        }
        for _ in 0..self.random.below(self.course.rounds.1) + self.course.rounds.0 {
            self.pass_time();
            let lives = (!self.random.one_in(5) || self.tick(&client).await) && self.round(&client).await;
            if !lives || self.is_over() {
                return;
            }
        }
    }

    /// An engine, unless the disk cannot be read: then the start says so.
    fn open(&mut self) -> Option<Client> {
        let config = Config {
            mailbox_capacity: MAILBOX_CAPACITY,
            downtime_extension_max: EXTENSION_MAX,
            snapshot_every_events: SNAPSHOT_EVERY_EVENTS,
            ..Config::new("nowhere".into())
        };
        self.notice_snapshots();
        let (store, directory) = (Box::new(self.disk.clone()), Arc::new(self.disk.clone()));
        match Engine::simulated(&config, EngineId(1), store, directory, Arc::new(self.clock.clone())) {
            Ok(engine) => Some(engine.start_here()),
            Err(error) => {
                assert!(self.disk.failed().is_some(), "a start failed: {error}");
                self.sometimes.happened("a start is refused for an error of the disk");
                None
            }
        }
    }

    fn draw_fault(&mut self) -> Option<Plan> {
        if self.random.one_in(8) {
            return None;
        }
        let (site, within) = match self.random.below(8) {
            0..=4 => (*self.random.pick(&[Site::Append, Site::Sync, Site::Mark]), 25),
            _ => (*self.random.pick(&Site::ALL), 4),
        };
        let fault = if self.random.one_in(2) { Fault::Stop } else { *self.random.pick(Fault::at(site)) };
        Some(Plan::Site(site, self.random.below(within), fault))
    }

    /// The machine comes back, or another process is started, perhaps after a long time.
    fn restart(&mut self) {
        self.disk.come_back(&mut self.random);
        self.note(&format!("records {}", self.disk.digest()));
        if self.random.one_in(8) {
            self.sometimes.happened("the clock leaps far ahead");
            // A day is not to consist of leaps.
            let least = if self.course.day_millis.is_some() { 300_000 } else { 3_600_000 };
            self.clock.step(least * (self.random.below(5) as i64 + 1));
        }
    }

    /// How much time the engine will give back, by its own mark.
    fn extension(&self) -> i64 {
        let alive_at = self.disk.mark().alive_at;
        let away = alive_at.map_or(0, |alive_at| (self.now() - alive_at.as_millis()).max(0));
        away.min(EXTENSION_MAX.as_millis() as i64)
    }

    fn extend_oracles(&mut self, by: i64) {
        let now = self.now();
        for oracle in self.oracles.iter_mut().flatten() {
            if by > 0 && oracle.waits() {
                oracle.extend(by, now);
                self.sometimes.happened("active holds get the time of a crash back");
            }
        }
    }

    /// Opens the performances that are not there yet; says whether the engine lives.
    async fn open_missing(&mut self, client: &Client) -> bool {
        if client.shows().all().is_empty() && client.register(show(), None).await.is_err() {
            return self.crashed_while_opening(client).await;
        }
        for (place, performance) in PERFORMANCES.into_iter().enumerate() {
            if self.oracles[place].is_some() {
                continue;
            }
            let caller = seller();
            let command = RegistryCommand::AddPerformance { show: ShowId(1), performance, caller, key: None };
            let now = self.now();
            if client.register(command, Some(Box::new(opening(performance)))).await.is_err() {
                return self.crashed_while_opening(client).await;
            }
            self.oracles[place] = Some(Oracle::open(performance, now));
        }
        true
    }

    /// A performance whose opening was under way may be there or not.
    async fn crashed_while_opening(&mut self, client: &Client) -> bool {
        assert!(self.disk.is_broken(), "only a crash keeps a performance from opening");
        self.check_dead(client).await;
        self.disk.come_back(&mut self.random);
        let found = self.recover_aside();
        let now = self.now();
        for (place, performance) in PERFORMANCES.into_iter().enumerate() {
            let there = found.inventories.contains_key(&performance);
            assert!(there || self.oracles[place].is_none(), "an opened performance is gone");
            if there && self.oracles[place].is_none() {
                self.oracles[place] = Some(Oracle::open(performance, now));
            }
        }
        false
    }

    /// The engine looks for holds that have run out, writes snapshots, and drops what they stand for; says whether it
    /// lives.
    async fn tick(&mut self, client: &Client) -> bool {
        self.note("tick");
        let before = self.oracles.clone();
        let now = self.now();
        // Only who has a hold that ends by this clock is woken.
        for oracle in self.oracles.iter_mut().flatten().filter(|oracle| oracle.is_due(now)) {
            oracle.pulse(now);
        }
        client.tick().await;
        client.settle().await;
        if self.disk.is_broken() {
            self.check_dead(client).await;
            self.reconcile(&Self::steps(&before, &self.oracles));
            return false;
        }
        self.check_durable();
        true
    }

    fn pass_time(&mut self) {
        let step = match self.random.below(10) {
            0 => 0,
            1 => 1000 * self.random.below(90) as i64,
            2 => {
                self.sometimes.happened("the clock goes back");
                -(1000 * self.random.below(30) as i64)
            }
            _ => self.random.below(3000) as i64 * self.pace(),
        };
        self.clock.step(step);
    }

    /// How slowly the day goes: half an hour of rush, and then little happens.
    fn pace(&self) -> i64 {
        const RUSH_MILLIS: i64 = 30 * 60_000;
        const QUIET: i64 = 60;
        if self.course.day_millis.is_some() && self.now() - START > RUSH_MILLIS { QUIET } else { 1 }
    }
}

impl Drop for World<'_> {
    /// A seed that fails says how it came to that.
    #[expect(clippy::print_stdout, reason = "only of a failure, which cargo shows")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.trace.text);
        }
    }
}
