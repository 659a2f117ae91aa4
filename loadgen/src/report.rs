//! The report: what was measured, put together once, then shown as a table, as JSON and as an HTML page.

mod html;
pub mod machine;
mod plot;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use onrush_api::text::Time;
use serde::Serialize;

use crate::answer::Step;
use crate::audit::{Acknowledged, Audit};
use crate::buyer::Ending;
use crate::options::{OutputOptions, Settings};
use crate::rush::{SeatCount, Sent};
use crate::sample::{Outcome, Samples, Tally};
use crate::target::now;
use machine::Machine;

/// What came of a rush. Times are seconds from the opening, latencies milliseconds from the intended start.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of the load generator.
    pub version: &'static str,
    /// When the rush was over.
    pub finished_at: Time,
    /// Where the bots ran.
    pub machine: Machine,
    /// The options in force.
    pub settings: Settings,
    /// The performance's id.
    pub performance: String,
    /// From the opening until the last bot left, with the waiting for abandoned holds.
    pub seconds: f64,
    /// The part of it in which bots were under way; all rates are per second of this time.
    pub busy_seconds: f64,
    /// How the bots' visits ended.
    pub bots: Bots,
    /// All requests of the bots.
    pub requests: Requests,
    /// Throughput and latency by step and outcome.
    pub steps: Vec<StepReport>,
    /// Problems by the last segment of their type, also those that a retry got over.
    pub refusals: BTreeMap<String, u64>,
    /// Broken connections and answers outside the contract, in words.
    pub failures: BTreeMap<String, u64>,
    /// What became of the hall.
    pub seats: Seats,
    /// What the server used; `None` where its process is not known.
    pub server_cpu: Option<ServerCpu>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// The verdict.
    pub audit: Audit,
}

/// How the bots' visits ended.
#[derive(Debug, Clone, Serialize)]
pub struct Bots {
    /// All that came, those with a second chance too.
    pub arrived: u64,
    /// Those who came when seats came back, in place of those who had found nothing.
    pub second_chances: u64,
    /// With a booking.
    pub booked: u64,
    /// Nothing was left.
    pub nothing_left: u64,
    /// Every try was too late.
    pub gave_up: u64,
    /// Went away without booking or releasing their hold.
    pub abandoned: u64,
    /// Released their hold.
    pub released: u64,
    /// Refused for another reason than taken seats.
    pub refused: u64,
    /// The outcome of their last request is unknown.
    pub unknown: u64,
    /// The server answered outside its contract, or could not be reached.
    pub failed: u64,
}

/// All requests of the bots.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    /// Sent, those that were sent again too.
    pub total: u64,
    /// A second of the busy time.
    pub per_second: f64,
    /// Sent again with the same key.
    pub retries: u64,
}

/// One step with one outcome.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// hold, book, release, availability.
    pub step: &'static str,
    /// success, refusal, unsettled.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
    /// A second of the busy time.
    pub per_second: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// One in ten took longer.
    pub p90_ms: f64,
    /// One in a hundred took longer.
    pub p99_ms: f64,
    /// One in a thousand took longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The whole distribution: quantile and latency, for plots.
    pub curve: Vec<(f64, f64)>,
}

/// What became of the hall.
#[derive(Debug, Clone, Serialize)]
pub struct Seats {
    /// All seats.
    pub capacity: u64,
    /// Sold, by the server's count.
    pub booked: u64,
    /// Still held.
    pub held: u64,
    /// Still free.
    pub free: u64,
    /// Out of sale.
    pub blocked: u64,
    /// Sold to bots, by their acknowledgements.
    pub sold_to_bots: u64,
    /// Sold to bots a second of the busy time.
    pub sold_per_second: f64,
    /// Sold to bots in the best second.
    pub sold_per_second_max: u64,
    /// Whether nothing is free or held any more.
    pub sold_out: bool,
    /// From the opening to the last acknowledged booking, where it sold out.
    pub sold_out_after_seconds: Option<f64>,
    /// From the opening until bots had bought 99 % of what was for sale; without those who waited for abandoned holds.
    pub sold_99_percent_after_seconds: Option<f64>,
}

/// What the server used while the bots ran.
#[derive(Debug, Clone, Serialize)]
pub struct ServerCpu {
    /// Its process.
    pub pid: u32,
    /// User and system time.
    pub seconds: f64,
    /// User and system time of one request, in microseconds.
    pub micros_per_request: f64,
}

/// One second of the rush.
#[derive(Debug, Clone, Serialize)]
pub struct Second {
    /// Bots that were meant to start in it.
    pub arrivals: u64,
    /// Requests answered or given up in it.
    pub requests: u64,
    /// Refusals answered in it.
    pub refusals: u64,
    /// Seats of bookings acknowledged in it.
    pub seats_sold: u64,
}

/// All that was measured, before it is put in order.
pub(crate) struct Measured {
    pub(crate) settings: Settings,
    pub(crate) performance: String,
    pub(crate) sent: Sent,
    pub(crate) took: Duration,
    pub(crate) pid: Option<u32>,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) seats: SeatCount,
}

impl Report {
    pub(crate) fn new(measured: Measured, audit: Audit) -> Self {
        let Measured { settings, performance, sent, took, pid, server_cpu, seats } = measured;
        let (samples, busy_seconds) = (&sent.samples, sent.busy.as_secs_f64().max(1e-6));
        let total = samples.requests();
        let server_cpu = pid.zip(server_cpu).map(|(pid, used)| ServerCpu {
            pid,
            seconds: used.as_secs_f64(),
            micros_per_request: used.as_secs_f64() * 1e6 / (total.max(1) as f64),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            finished_at: now(),
            machine: Machine::this(),
            settings,
            performance,
            seconds: took.as_secs_f64(),
            busy_seconds,
            bots: bots(samples, sent.second_chances),
            requests: Requests { total, per_second: total as f64 / busy_seconds, retries: samples.retries },
            steps: steps(samples, busy_seconds),
            refusals: samples.refusals.iter().map(|(kind, count)| (kind.slug().to_owned(), *count)).collect(),
            failures: samples.failures.clone(),
            seats: hall(seats, samples, busy_seconds),
            server_cpu,
            timeline: samples.timeline.iter().map(second).collect(),
            audit,
        }
    }

    /// Prints the table and writes the files that were asked for.
    ///
    /// # Errors
    /// Where a file cannot be written; the table is printed before.
    pub fn deliver(&self, output: &OutputOptions) -> anyhow::Result<()> {
        self.print_table()?;
        output.json.as_deref().map_or(Ok(()), |path| self.write_json(path))?;
        output.html.as_deref().map_or(Ok(()), |path| self.write_html(path))
    }

    /// Prints the report for people on standard output.
    ///
    /// # Errors
    /// Where standard output is gone.
    pub fn print_table(&self) -> io::Result<()> {
        table::write(self, &mut io::stdout().lock())
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| format!("cannot write the report to {}", path.display()))
    }

    /// Writes the report as one HTML page that needs nothing else.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_html(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, html::page(self)).with_context(|| format!("cannot write the report to {}", path.display()))
    }

    /// How the bots came, in words.
    pub(crate) fn mode(&self) -> String {
        let Settings { rate_per_second, profile, connections, .. } = &self.settings;
        match (rate_per_second, profile) {
            (Some(rate), _) => format!("open loop, {rate} arrivals/s over {connections} connections"),
            (_, Some(profile)) => format!("replay of {profile} over {connections} connections"),
            _ => format!("closed loop over {connections} connections"),
        }
    }

    /// Whether and when the hall sold out, in words.
    pub(crate) fn sell_out(&self) -> String {
        match self.seats.sold_out_after_seconds {
            Some(seconds) => format!("sold out after {seconds:.2} s"),
            None => format!("not sold out: {} free, {} held", self.seats.free, self.seats.held),
        }
    }

    /// What a request costs the server, in words.
    pub(crate) fn cpu(&self) -> String {
        self.server_cpu.as_ref().map_or_else(
            || "not known".to_owned(),
            |cpu| {
                format!("{:.1} µs a request ({:.2} s in all, process {})", cpu.micros_per_request, cpu.seconds, cpu.pid)
            },
        )
    }
}

fn bots(samples: &Samples, second_chances: u64) -> Bots {
    let count = |ending| samples.endings(ending);
    Bots {
        arrived: Ending::ALL.into_iter().map(count).sum(),
        second_chances,
        booked: count(Ending::Booked),
        nothing_left: count(Ending::NothingLeft),
        gave_up: count(Ending::GaveUp),
        abandoned: count(Ending::Abandoned),
        released: count(Ending::Released),
        refused: count(Ending::Refused),
        unknown: count(Ending::Unknown),
        failed: count(Ending::Failed),
    }
}

fn steps(samples: &Samples, seconds: f64) -> Vec<StepReport> {
    let pairs = Step::ALL.into_iter().flat_map(|step| Outcome::ALL.map(|outcome| (step, outcome)));
    let happened = pairs.filter(|&(step, outcome)| !samples.latencies(step, outcome).is_empty());
    happened.map(|(step, outcome)| step_report(step, outcome, samples.latencies(step, outcome), seconds)).collect()
}

fn step_report(step: Step, outcome: Outcome, latencies: &Histogram<u64>, seconds: f64) -> StepReport {
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    StepReport {
        step: step.name(),
        outcome: outcome.name(),
        count: latencies.len(),
        per_second: latencies.len() as f64 / seconds,
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: latencies.max() as f64 / 1_000.0,
        curve: quantiles(latencies.len()).map(|quantile| (quantile, at(quantile))).collect(),
    }
}

/// 0, 0.1 … 0.9, 0.91 … 0.99, 0.991 … as far as so many samples can tell.
fn quantiles(samples: u64) -> impl Iterator<Item = f64> {
    let decades = (samples.max(10) as f64).log10() as i32;
    let within = |decade: i32| (0..9).map(move |ninth| 1.0 - 10f64.powi(-decade) * (1.0 - f64::from(ninth) / 10.0));
    (0..decades).flat_map(within).chain([1.0 - 10f64.powi(-decades)])
}

fn hall(count: SeatCount, samples: &Samples, seconds: f64) -> Seats {
    let SeatCount { free, held, booked, blocked } = count;
    let sold = &samples.acknowledgements.acknowledged;
    let sold_to_bots = sold.iter().map(|told| told.seats.len() as u64).sum();
    let capacity = free + held + booked + blocked;
    let sold_out = capacity > 0 && free + held == 0;
    let last = sold.iter().map(|told| told.at_micros).max();
    Seats {
        capacity,
        booked,
        held,
        free,
        blocked,
        sold_to_bots,
        sold_per_second: sold_to_bots as f64 / seconds,
        sold_per_second_max: samples.timeline.iter().map(|tally| tally.seats_sold).max().unwrap_or(0),
        sold_out,
        sold_out_after_seconds: last.filter(|_| sold_out).map(|micros| micros as f64 / 1e6),
        sold_99_percent_after_seconds: reached(sold, ((capacity - blocked) * 99).div_ceil(100)),
    }
}

/// When the acknowledged bookings had so many seats together.
fn reached(sold: &[Acknowledged], seats_wanted: u64) -> Option<f64> {
    let mut sold: Vec<_> = sold.iter().map(|told| (told.at_micros, told.seats.len() as u64)).collect();
    sold.sort_unstable();
    let mut seats = 0;
    let when = sold.into_iter().find(|&(_, more)| {
        seats += more;
        seats >= seats_wanted
    });
    when.map(|(micros, _)| micros as f64 / 1e6)
}

fn second(tally: &Tally) -> Second {
    let &Tally { arrivals, requests, refusals, seats_sold } = tally;
    Second { arrivals, requests, refusals, seats_sold }
}

#[cfg(test)]
mod tests;
