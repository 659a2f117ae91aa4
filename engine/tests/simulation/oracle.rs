//! What a performance must be like: by naive rules; or, where money is at stake, by the pure core.
//!
//! The rules about money have a world of their own, with a provider whose book has to agree (`tests/payments`). Here the
//! question is another one: whether an engine among faults comes to what the rules say, and keeps it.

use std::fmt::Debug;

use onrush_engine::id::PerformanceId;
use onrush_engine::inventory::{Image, SeatState};
use onrush_engine::mailbox::{Ask, Outcome};
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;

use crate::core::Core;
use crate::hall::{HOLDS_MAX, SEATS, SEATS_MAX, TTL_SECONDS, costs_nothing, map};
use crate::model::{self, Model, Said};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) enum Oracle {
    Naive(Box<Model>),
    Core(Box<Core>),
}

impl Oracle {
    pub(crate) fn open(performance: PerformanceId, now: i64) -> Self {
        match costs_nothing(performance) {
            true => Self::Naive(Box::new(Model::new(&map(), TTL_SECONDS, SEATS_MAX, HOLDS_MAX, now))),
            false => Self::Core(Box::new(Core::open(performance, time(now)))),
        }
    }

    /// What an engine must say at a time, and what of interest there is about it.
    pub(crate) fn ask(&mut self, ask: &Ask, now: i64) -> (Said, Vec<&'static str>) {
        match self {
            Self::Naive(model) => (model.ask(ask, now), Vec::new()),
            Self::Core(core) => {
                let (outcome, met) = core.ask(ask, time(now));
                (said_in_full(&outcome), met)
            }
        }
    }

    /// What an engine said, in this oracle's words.
    pub(crate) fn said(&self, outcome: &Outcome) -> Said {
        match self {
            Self::Naive(_) => model::said(outcome),
            Self::Core(_) => said_in_full(outcome),
        }
    }

    /// Ends what has run out; says how much.
    pub(crate) fn pulse(&mut self, now: i64) -> usize {
        match self {
            Self::Naive(model) => model.pulse(now),
            Self::Core(core) => core.pulse(time(now)),
        }
    }

    pub(crate) fn is_due(&self, now: i64) -> bool {
        match self {
            Self::Naive(model) => model.is_due(now),
            Self::Core(core) => core.inventory().next_end().is_some_and(|end| end <= time(now)),
        }
    }

    /// Whether somebody has an end that a start puts off.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Self::Naive(model) => model.active_holds() > 0,
            Self::Core(core) => core.inventory().has_deadlines(),
        }
    }

    /// Gives everybody who waits more time.
    pub(crate) fn extend(&mut self, by: i64, now: i64) {
        match self {
            Self::Naive(model) => model.extend(by, now),
            Self::Core(core) => core.extend(by, time(now)),
        }
    }

    /// Everything that it knows, as text.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Naive(model) => model.describe(),
            Self::Core(core) => in_full(&core.inventory().image()),
        }
    }

    /// 0 free, 1 held, 2 booked, 3 blocked.
    pub(crate) fn states(&self) -> Vec<u8> {
        match self {
            Self::Naive(model) => model.states(),
            Self::Core(core) => (0..SEATS).map(|seat| packed(core.inventory().seat(SeatIndex(seat)))).collect(),
        }
    }
}

/// The same text of an engine's state.
pub(crate) fn describe(image: &Image, capacity: u32) -> String {
    match costs_nothing(image.opening.performance) {
        true => model::describe(image, capacity),
        false => in_full(image),
    }
}

fn said_in_full(outcome: &Outcome) -> Said {
    match outcome {
        Ok(answered) => in_full(&answered.answer),
        Err(failure) => model::said_failure(failure),
    }
}

fn in_full(what: &impl Debug) -> String {
    format!("{what:?}")
}

fn packed(state: SeatState) -> u8 {
    match state {
        SeatState::Free => 0,
        SeatState::Held(_) => 1,
        SeatState::Booked(_) => 2,
        SeatState::Blocked(_) => 3,
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
