//! P10: what a durable hold costs as the platform grows: more performances, larger halls, more connections.
//!
//! Each value is measured in turns with the others and with bare hyper, with as many seats to hold for each: so where
//! there are fewer performances they are larger; from 200 on only their number grows. Prints a table, and draws it to
//! `growth.svg` in the directory of the benchmarks' programs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use benches::client::{self, Load, Measured};
use benches::curve::{Panel, svg};
use benches::goal::{print, wanted};
use benches::requests::RequestCount;
use benches::rounds::median;
use benches::{hyper_server, onrush_server, platform};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_millis(1500);
const PER_SECOND_MAX: u32 = 100_000;

/// What is measured: so many performances, seats each, connections.
#[derive(Debug, Clone, Copy)]
struct Size {
    performances: usize,
    seats: u32,
    connections: usize,
}

/// Enough seats for a window, however few performances share them.
const SEATS_IN_ALL: usize = 200_000;
const MANY: Size = Size { performances: 200, seats: 1000, connections: 64 };

fn axes() -> [(&'static str, Vec<(f64, Size)>); 3] {
    let performances = [2, 20, 200, 2000, 10_000].map(|performances| {
        let seats = (SEATS_IN_ALL / performances).clamp(1000, 100_000) as u32;
        (performances as f64, Size { performances, seats, ..MANY })
    });
    let seats = [1000, 10_000, 100_000]
        .map(|seats: u32| (f64::from(seats), Size { seats, performances: SEATS_IN_ALL / seats as usize, ..MANY }));
    let connections = [16, 64, 256, 1024, 4096].map(|connections| (connections as f64, Size { connections, ..MANY }));
    [("performances", performances.to_vec()), ("seats a hall", seats.to_vec()), ("connections", connections.to_vec())]
}

fn main() -> anyhow::Result<()> {
    hyper_server::serve_if_asked()?;
    if !wanted("growth") {
        return Ok(());
    }
    allow_many_files()?;
    onrush_server::build()?;
    let dir = &platform::beside_programs()?;
    let panels = axes().map(|(axis, sizes)| measure_axis(axis, &sizes, dir));
    let panels = panels.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let path = dir.join("growth.svg");
    std::fs::write(&path, svg("durable holds a second as the platform grows", &panels)).context("cannot write")?;
    print(&format!("drawn to {}", path.display()));
    print("P10 with N cores, at least 0.8 × N: not measured; on two cores the client has one of them");
    Ok(())
}

/// A connection is a file on either side.
fn allow_many_files() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).context("cannot raise the limit of files")
}

fn measure_axis(axis: &'static str, sizes: &[(f64, Size)], dir: &Path) -> anyhow::Result<Panel> {
    let mut measured: Vec<Vec<(Measured, Measured)>> = sizes.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        for ((value, size), results) in sizes.iter().zip(&mut measured) {
            let (onrush, hyper) = (measure(*size, dir)?, measure_hyper(*size)?);
            progress(&format!(
                "round {round} of {ROUNDS}, {axis} {value}: {:.0} holds/s",
                onrush.requests_per_second()
            ));
            results.push((onrush, hyper));
        }
    }
    let rate = |results: &[(Measured, Measured)], figure: fn(&(Measured, Measured)) -> f64| {
        median(results.iter().map(figure).collect())
    };
    let first = rate(&measured[0], |(onrush, _)| onrush.requests_per_second());
    let mut points = Vec::new();
    for ((value, size), results) in sizes.iter().zip(&measured) {
        let per_second = rate(results, |(onrush, _)| onrush.requests_per_second());
        let cpu = rate(results, |(onrush, _)| onrush.cpu_us_per_request());
        let hyper = rate(results, |(onrush, hyper)| onrush.requests_per_second() / hyper.requests_per_second());
        print(&format!(
            "P10 {axis} {value:>6}: {per_second:>6.0} holds/s, {:.2} × the first, {hyper:.2} × hyper, {cpu:.1} µs CPU each \
             ({} performances of {} seats, {} connections; goal: flat within 10 % over performances and seats)",
            per_second / first,
            size.performances,
            size.seats,
            size.connections,
        ));
        points.push((*value, per_second));
    }
    Ok(Panel { axis, points })
}

#[expect(clippy::print_stderr, reason = "whoever waits sees where it stands")]
fn progress(text: &str) {
    eprintln!("{text}");
}

fn load(size: Size) -> Load {
    Load { connections: size.connections, warm_up: WARM_UP, window: WINDOW }
}

fn count(size: Size) -> RequestCount {
    RequestCount::for_span(load(size).span(), PER_SECOND_MAX)
}

fn measure(size: Size, dir: &Path) -> anyhow::Result<Measured> {
    let stage = onrush_server::start_with_halls(dir, size.performances, size.seats, count(size))?;
    client::measure(&stage, load(size))
}

fn measure_hyper(size: Size) -> anyhow::Result<Measured> {
    client::measure(&hyper_server::start(count(size))?, load(size))
}
