//! The real actors and the real journal on a disk and a clock that misbehave, from a seed.
//!
//! Each seed is a small sale, of what costs nothing and of what has to be paid for: rounds of commands and reads that arrive together, while others are written, or too late;
//! time that passes, steps back or leaps; snapshots and what they let go; a disk that stops or fails at any operation and
//! tears what was not synced; and restarts. After every round what the disk holds is recovered aside and must be exactly
//! what a naive model says, counted anew, or, where there is money, what the rules alone come to; after a crash it must be what was acknowledged, with so many of the commands
//! that were under way as came first, and nothing else; and an engine whose journal has failed answers nothing more.
//!
//! `ONRUSH_SIM_SEEDS=10000` runs more; `ONRUSH_SIM_SEED=42` runs one and prints its trace; `ONRUSH_SIM_DAYS=365` runs a
//! year of whole days. Beside them stands what needs the same sales: a failure at each operation of one of them, the
//! sweep of every byte of a journal, the golden bytes, and what a start makes of damage by name.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, stops it here")]

mod backlog;
mod check;
mod core;
mod crowd;
mod damage;
mod disk;
mod fault;
mod folder;
mod golden;
mod hall;
mod handover;
mod history;
mod members;
mod misfits;
mod model;
mod operations;
mod oracle;
mod random;
mod replay;
mod round;
mod sale;
mod sites;
mod sometimes;
mod sweep;
mod world;
mod year;

use std::env;

use sometimes::Sometimes;
use world::{Course, World};

/// The commit-sized share.
const SEEDS_DEFAULT: u64 = 200;
/// Behind the commit-sized share one seed of so many is run twice, to the same trace; of that share each is.
const TWICE_EACH: u64 = 10;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
#[expect(clippy::print_stdout, reason = "a seed is known before it can fail")]
fn every_seed_is_clean() {
    let mut sometimes = Sometimes::default();
    if let Some(seed) = number("ONRUSH_SIM_SEED") {
        println!("seed {seed}");
        let trace = World::run(seed, Course::SEED, &mut sometimes);
        println!("{}\ntrace hash {}", trace.text, trace.hash());
        return;
    }
    let seeds = number("ONRUSH_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT);
    for seed in 0..seeds {
        // First, so that a panic says which seed it was.
        println!("seed {seed}");
        let hash = World::run(seed, Course::SEED, &mut sometimes).hash();
        if seed < SEEDS_DEFAULT || seed.is_multiple_of(TWICE_EACH) {
            assert_eq!(
                hash,
                World::run(seed, Course::SEED, &mut Sometimes::default()).hash(),
                "seed {seed} is not deterministic"
            );
        }
    }
    println!("{seeds} seeds clean; {sometimes}");
    if seeds >= SEEDS_DEFAULT {
        sometimes.check_all_happened();
    }
}
