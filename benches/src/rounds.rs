//! Rounds: every row once, again and again, so that a machine that is slow for a while is slow for all.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::client::{Load, Measured};
use crate::row::Row;

/// How long and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The window of one row in one round.
    pub window: Duration,
    /// How often each row is measured.
    pub rounds: u32,
}

/// So many rows further on does each round begin: no divisor of how many rows there are.
const ROTATION: usize = 5;
/// Before each window.
const WARM_UP: Duration = Duration::from_millis(500);

/// A row's medians over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowResult {
    /// The row.
    pub name: &'static str,
    /// Answers a second.
    pub requests_per_second: f64,
    /// User and system time of the servers' processes, in microseconds an answer.
    pub cpu_us_per_request: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// The latency that one in a hundred requests exceeds.
    pub p99_ms: f64,
    /// Answers a second, round by round.
    pub rounds: Vec<f64>,
    /// How much of a core the client took, in percent: near 100 it may be the client that was measured.
    pub client_busy_percent: f64,
    /// Its throughput by that of the hyper row with as many connections, where it is compared with one.
    pub ratio_to_hyper: Option<f64>,
}

#[cfg(test)]
impl RowResult {
    pub(crate) fn nothing() -> Self {
        Self {
            name: "",
            requests_per_second: 0.0,
            cpu_us_per_request: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            rounds: Vec::new(),
            client_busy_percent: 0.0,
            ratio_to_hyper: None,
        }
    }
}

/// Measures all rows in turns, each round from another row on: whoever comes after a row that has left the disk busy is
/// another one each time. What was written by one row is on the disk before the next begins. Servers keep their data below `dir`.
///
/// # Errors
/// At the first server that does not start, and the first answer that is not a hold: figures beside it say nothing.
pub fn run(rows: &[Row], plan: Plan, dir: &Path) -> anyhow::Result<Vec<RowResult>> {
    let mut measured: Vec<Vec<Measured>> = rows.iter().map(|_| Vec::new()).collect();
    for round in 1..=plan.rounds {
        for place in (0..rows.len()).map(|place| (place + (round as usize - 1) * ROTATION) % rows.len()) {
            let (row, results) = (&rows[place], &mut measured[place]);
            rustix::fs::sync();
            let result = measure(*row, plan, dir).with_context(|| format!("row {}, round {round}", row.name))?;
            progress(&format!(
                "round {round} of {}: {} {:.0} requests/s, {:.1} µs CPU each (busy: client {:.0} %, other processes {:.0} %)",
                plan.rounds,
                row.name,
                result.requests_per_second(),
                result.cpu_us_per_request(),
                result.client_busy_percent(),
                result.others_busy_percent()
            ));
            results.push(result);
        }
    }
    Ok(results(rows, &measured))
}

fn measure(row: Row, plan: Plan, dir: &Path) -> anyhow::Result<Measured> {
    row.contender.measure(dir, Load { connections: row.connections, warm_up: WARM_UP, window: plan.window })
}

fn results(rows: &[Row], measured: &[Vec<Measured>]) -> Vec<RowResult> {
    let of = |results: &[Measured], figure: fn(&Measured) -> f64| median(results.iter().map(figure).collect());
    let rates: Vec<f64> = measured.iter().map(|results| of(results, Measured::requests_per_second)).collect();
    let hyper = |row: &Row| Some(rates[rows.iter().position(|other| Some(other.name) == row.hyper)?]);
    let result = |((row, results), rate): ((&Row, &Vec<Measured>), &f64)| RowResult {
        name: row.name,
        requests_per_second: rounded(*rate, 0),
        cpu_us_per_request: rounded(of(results, Measured::cpu_us_per_request), 2),
        p50_ms: rounded(of(results, |measured| measured.latency_ms(0.5)), 3),
        p99_ms: rounded(of(results, |measured| measured.latency_ms(0.99)), 3),
        rounds: results.iter().map(|measured| rounded(measured.requests_per_second(), 0)).collect(),
        client_busy_percent: rounded(of(results, Measured::client_busy_percent), 0),
        ratio_to_hyper: hyper(row).map(|hyper| rounded(rate / hyper, 3)),
    };
    rows.iter().zip(measured).zip(&rates).map(result).collect()
}

/// Digits that noise would change anyhow are not written.
fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// The middle one; of an even number, the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[expect(clippy::print_stderr, reason = "whoever waits sees where it stands")]
fn progress(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
