//! The bots' connections without the bots: GETs one URL in a closed loop, to be compared with `wrk` on the same server.
//!
//! What the load generator itself costs shows here: both send the same requests, so a lower rate is ours.

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, value_parser};
use tokio::task::LocalSet;

use crate::client::{Connection, Request};
use crate::sample::Latencies;
use crate::target::Target;

/// What to GET, and for how long.
#[derive(Debug, Clone, Args)]
pub struct BareOptions {
    /// The URL, with its path
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Keep-alive connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct BareReport {
    /// Answers with a status below 400.
    pub answers: u64,
    /// Other answers, and failures.
    pub failures: u64,
    /// From the first request on.
    pub seconds: f64,
    /// Median latency.
    pub p50_micros: u64,
    /// The latency that one in a hundred requests exceeds.
    pub p99_micros: u64,
}

impl BareReport {
    /// Prints it in one line.
    ///
    /// # Errors
    /// Where standard output is gone.
    pub fn print(&self) -> io::Result<()> {
        let rate = self.answers as f64 / self.seconds;
        let Self { answers, failures, p50_micros, p99_micros, .. } = self;
        writeln!(
            io::stdout(),
            "{rate:.0} requests/s ({answers} answers, {failures} failures; p50 {p50_micros} µs, p99 {p99_micros} µs)"
        )
    }
}

#[derive(Default)]
struct Counts {
    answers: Cell<u64>,
    failures: Cell<u64>,
    latencies: RefCell<Latencies>,
}

/// GETs one URL over and over. Blocks; brings its own runtime.
///
/// # Errors
/// Where the URL is not one, or nothing answers there.
pub fn bare(options: &BareOptions) -> anyhow::Result<BareReport> {
    let (target, path) = Target::without_key(&options.target)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let counts = Rc::new(Counts::default());
    let start = Instant::now();
    let until = start + Duration::from_secs(u64::from(options.seconds));
    LocalSet::new().block_on(&runtime, async {
        let line = |_| tokio::task::spawn_local(get(target.clone(), path.clone(), until, Rc::clone(&counts)));
        let lines: Vec<_> = (0..options.connections).map(line).collect();
        for line in lines {
            line.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
    });
    ensure!(counts.answers.get() > 0, "nothing answers at {}; is the server running?", options.target);
    let latencies = &counts.latencies.borrow().0;
    Ok(BareReport {
        answers: counts.answers.get(),
        failures: counts.failures.get(),
        seconds: start.elapsed().as_secs_f64(),
        p50_micros: latencies.value_at_quantile(0.5),
        p99_micros: latencies.value_at_quantile(0.99),
    })
}

async fn get(target: Target, path: String, until: Instant, counts: Rc<Counts>) {
    /// Failures after which a connection gives up: nothing is gained by hammering a server that is not there.
    const FAILURES_MAX: u32 = 10;
    let mut connection: Connection = target.connection(Duration::from_secs(10));
    connection.write(&Request::get(format_args!("{path}")));
    let mut failures = 0;
    let mut since = Instant::now();
    while since < until && failures < FAILURES_MAX {
        let good = connection.exchange().await.is_ok_and(|response| response.status < 400);
        let count = if good { &counts.answers } else { &counts.failures };
        count.set(count.get() + 1);
        failures += u32::from(!good);
        let now = Instant::now();
        counts.latencies.borrow_mut().0.saturating_record((now - since).as_micros() as u64);
        since = now;
    }
}
