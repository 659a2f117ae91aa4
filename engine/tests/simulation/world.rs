//! One seed's world: lives of an engine, rounds of commands, crashes, and the checks after each.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_rt::System;
use onrush_engine::client::Client;
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::journal::codec::{decode_image, encode_image};
use onrush_engine::journal::recovery::recover;
use onrush_engine::registry::RegistryCommand;
use onrush_engine::time::{Clock, Timestamp};

use crate::crowd::Crowd;
use crate::disk::{Crash, Disk};
use crate::hall::{HOLDS_MAX, PERFORMANCES, SEATS_MAX, START, TTL_SECONDS, map, opening, seller, show};
use crate::model::{self, Model};
use crate::random::Random;
use crate::sometimes::Sometimes;

/// As small as the configuration allows, so that a round can fill it.
pub(crate) const MAILBOX_CAPACITY: usize = 16;
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
pub(crate) struct Steps {
    pub(crate) states: Vec<Option<Model>>,
    /// The first that may be found.
    pub(crate) acknowledged: usize,
}

/// See the module.
pub(crate) struct World<'a> {
    pub(crate) random: Random,
    pub(crate) disk: Disk,
    clock: SimulatedClock,
    /// One a performance; nothing until it is open.
    pub(crate) models: Vec<Option<Model>>,
    pub(crate) sometimes: &'a mut Sometimes,
    trace: Trace,
    pub(crate) crowd: Crowd,
    pub(crate) life: u64,
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
            crowd: Crowd::default(),
            life: 0,
        };
        for life in 0..4 {
            world.life = life;
            System::new().block_on(world.live());
            world.disk.come_back(&mut world.random);
        }
        world.trace
    }

    pub(crate) fn note(&mut self, text: &str) {
        writeln!(self.trace.text, "{} {text}", self.now()).unwrap();
    }

    pub(crate) fn now(&self) -> i64 {
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

    /// What the disk holds for good is what the models say: acknowledged is durable, and nothing else is there.
    pub(crate) fn check_durable(&mut self) {
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
    pub(crate) fn reconcile(&mut self, steps: &[Steps]) {
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
    pub(crate) fn check_published(&self, client: &Client) {
        for (performance, model) in PERFORMANCES.iter().zip(&self.models) {
            let published = client.performance(*performance).expect("it is open").publication.seats();
            let expected = model.as_ref().expect("it is open").states();
            let seat = |seat: usize| published.packed[seat / 4] >> (seat % 4 * 2) & 3;
            let seen: Vec<u8> = (0..expected.len()).map(seat).collect();
            assert_eq!(expected, seen, "availability is not what was acknowledged");
        }
    }
}
