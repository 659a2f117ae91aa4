//! The process is killed, at any moment.

use std::panic::resume_unwind;
use std::thread::{ScopedJoinHandle, sleep};
use std::time::Duration;

use crate::campaign::{Campaign, Figures};
use crate::random::{Random, seed};
use crate::server::{Process, Server};
use crate::{number, say};

const CYCLES: u64 = 100;
/// Kills come within so many milliseconds.
const MOMENT_MILLIS: u64 = 90;
/// Every so many cycles the load goes on until a snapshot is written.
const LONG_CYCLE: u64 = 10;

/// Campaigns at one time, each on a directory of its own: a cycle waits more than it works.
const LANES: u64 = 4;

#[test]
fn kill_9_under_load() {
    let (seed, cycles) = (seed(), number("ONRUSH_KILL_CYCLES", CYCLES));
    say(&format!("kill_9_under_load: ONRUSH_SEED={seed}, {cycles} cycles"));
    let figures = std::thread::scope(|scope| {
        let share = |lane| cycles / LANES + u64::from(lane < cycles % LANES);
        let lanes = (0..LANES).map(|lane| scope.spawn(move || lane_of_kills(seed + lane, share(lane))));
        let lanes: Vec<_> = lanes.collect();
        let figures = |lane: ScopedJoinHandle<'_, Figures>| lane.join().unwrap_or_else(|cause| resume_unwind(cause));
        lanes.into_iter().map(figures).fold(Figures::new(seed), Figures::plus)
    });
    say(&format!("kill_9_under_load: {figures}"));
    // Most cycles end before anything is answered; those that go on until there is a snapshot have hundreds of answers.
    assert!(figures.acknowledged_bookings as u64 >= cycles, "too few bookings to lose: {figures}");
}

fn lane_of_kills(seed: u64, cycles: u64) -> Figures {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let figures = Figures::new(seed);
    let (mut campaign, mut server) = Campaign::begin(dir.path().join("data"), figures, Random::new(seed));
    for cycle in 1..=cycles {
        campaign.figures.cycles = cycle;
        crash(&mut campaign, server, cycle.is_multiple_of(LONG_CYCLE));
        while campaign.random.below(4) == 0 {
            crash_at_start(&mut campaign);
        }
        server = campaign.restart();
        if cycle.is_multiple_of(50) {
            say(&format!("kill_9_under_load: {}", campaign.figures));
        }
    }
    campaign.audit_all(&server);
    assert!(campaign.figures.snapshots >= cycles / LONG_CYCLE / 2, "too few snapshots: {}", campaign.figures);
    campaign.figures
}

fn crash(campaign: &mut Campaign, server: Server, long: bool) {
    let load = campaign.load(&server);
    if long {
        campaign.wait_for_snapshot(&load);
    }
    wait_for_the_moment(&mut campaign.random);
    server.kill();
    campaign.note(load.join());
}

/// Kills a server while it starts, wherever it is.
fn crash_at_start(campaign: &mut Campaign) {
    let process = Process::spawn(&campaign.data, &[]);
    wait_for_the_moment(&mut campaign.random);
    process.kill();
}

/// Nothing is waited for here: the moment of the kill is what is drawn.
fn wait_for_the_moment(random: &mut Random) {
    sleep(Duration::from_micros(random.below(MOMENT_MILLIS * 1000)));
}
