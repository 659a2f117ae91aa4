//! P4: latency at half of what the server can do, open loop, from when each request was meant to be sent; of holds, and
//! of refusals. Beside them what the disk alone takes: a hold that comes while one commit is written waits for that one
//! and for its own.

use std::path::Path;
use std::time::Duration;

use benches::client::{self, Load};
use benches::goal::{Bound, print, wanted};
use benches::open_loop::{self, Pace};
use benches::requests::{RequestCount, Requests};
use benches::rounds::median;
use benches::wire::Wire;
use benches::{disk, hold, onrush_server, platform};
use hdrhistogram::Histogram;

const CONNECTIONS: usize = 256;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
const PER_SECOND_MAX: u32 = 110_000;
/// What the disk alone is asked for before each round.
const COMMITS: u32 = 2_000;
const HOLDS_A_COMMIT: usize = 64;

fn main() -> anyhow::Result<()> {
    if !wanted("latency") {
        return Ok(());
    }
    onrush_server::build()?;
    let dir = &platform::beside_programs()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round(dir)?);
    }
    report("holds", &rounds, |round| &round.holds, Some([1.0, 5.0, 20.0]));
    report("refusals", &rounds, |round| &round.refusals, None);
    let [p50, p99, p999] = quantiles(&rounds, |round| &round.disk);
    print(&format!(
        "P4 the disk alone, {HOLDS_A_COMMIT} holds a commit: p50 {p50:.2}, p99 {p99:.2}, p99.9 {p999:.2} ms"
    ));
    Ok(())
}

struct Round {
    per_second: f64,
    disk: Histogram<u64>,
    holds: Histogram<u64>,
    refusals: Histogram<u64>,
}

fn report(what: &str, rounds: &[Round], latencies: fn(&Round) -> &Histogram<u64>, goals: Option<[f64; 3]>) {
    let rate = median(rounds.iter().map(|round| round.per_second).collect());
    let measured = quantiles(rounds, latencies);
    let beside = |place: usize| {
        goals.map_or("goal: no slower than a hold".to_owned(), |goals| {
            Bound::AtMost(goals[place]).beside(measured[place])
        })
    };
    let figures: Vec<String> = ["p50", "p99", "p99.9"]
        .iter()
        .enumerate()
        .map(|(place, name)| format!("{name} {:.2} ms ({})", measured[place], beside(place)))
        .collect();
    print(&format!("P4 {what} at {rate:.0}/s: {}", figures.join(", ")));
}

/// Milliseconds at the half, 99 % and 99.9 %: of each the median of the rounds.
fn quantiles(rounds: &[Round], latencies: fn(&Round) -> &Histogram<u64>) -> [f64; 3] {
    let millis = |round, quantile| latencies(round).value_at_quantile(quantile) as f64 / 1e6;
    [0.5, 0.99, 0.999].map(|quantile| median(rounds.iter().map(|round| millis(round, quantile)).collect()))
}

/// Half of what a closed loop reaches now; and at that rate the latencies of holds, and of the same seats asked for again.
fn round(dir: &Path) -> anyhow::Result<Round> {
    let disk = disk::latencies(dir, HOLDS_A_COMMIT, COMMITS)?;
    let load = Load { connections: CONNECTIONS, warm_up: Duration::from_millis(500), window: Duration::from_secs(2) };
    let closed =
        client::measure(&onrush_server::start(dir, RequestCount::for_span(load.span(), PER_SECOND_MAX))?, load)?;
    let pace = Pace {
        connections: CONNECTIONS,
        per_second: closed.requests_per_second() / 2.0,
        warm_up: WARM_UP,
        window: WINDOW,
    };
    let count = RequestCount((pace.per_second * (WARM_UP + WINDOW).as_secs_f64()) as usize + 1);
    let running = onrush_server::Running::start(dir)?;
    let halls = count.halls(hold::labels().len());
    let body = onrush_server::stadium();
    let performances = onrush_server::add_performances(running.address, &running.key, halls, &body)?;
    let requests = || Requests::holds(running.address, &performances, &running.key, count);
    let (first, again) = (requests(), requests());
    let mut stage = running.stage(first);
    let holds = open_loop::measure(&stage, pace)?;
    stage.requests = again;
    stage.wire = Wire::HttpStatus(409);
    let refusals = open_loop::measure(&stage, pace)?;
    Ok(Round { per_second: pace.per_second, disk, holds, refusals })
}
