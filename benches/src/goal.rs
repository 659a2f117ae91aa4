//! Printing: what was measured beside what is aimed at.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

/// What `cargo bench -p benches` measures, each with its goal.
const BENCHMARKS: [(&str, &str); 11] = [
    ("best_available", "P6: the best seats side by side"),
    ("commit", "what a commit takes on this disk"),
    ("engine", "P3: durable holds in process"),
    ("growth", "P10: a hold's cost as the platform grows, some minutes"),
    ("inventory", "P3: decide and apply"),
    ("latency", "P4: latency at half of the throughput"),
    ("memory", "P7: memory"),
    ("reads", "P9: availability"),
    ("recovery", "P8: a start"),
    ("rush", "P5: 200,000 bots"),
    ("sign_in", "who signs in while a botnet guesses passwords"),
];

/// Whether `cargo bench -p benches -- NAME…` asks for what has this name: all, where no name is given. Ends the process
/// where it asks for what there is not, or for help.
pub fn wanted(name: &str) -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let known = |argument: &String| BENCHMARKS.iter().any(|(name, _)| name.contains(argument.as_str()));
    if let Some(unknown) = arguments.iter().find(|argument| !known(argument)) {
        print(&format!(
            "cargo bench -p benches [-- NAME…]; with none, all, in about fifteen minutes; {unknown} is none of:"
        ));
        BENCHMARKS.iter().for_each(|(name, about)| print(&format!("  {name:<16}{about}")));
        std::process::exit(if ["-h", "--help"].contains(&unknown.as_str()) { 0 } else { 2 });
    }
    arguments.is_empty() || arguments.iter().any(|wanted| name.contains(wanted.as_str()))
}

/// Which side of a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure is on the good side.
    pub fn is_met_by(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
        }
    }

    /// The goal, and whether a figure meets it: `goal ≤ 10: met`.
    pub fn beside(self, measured: f64) -> String {
        format!("{self}: {}", if self.is_met_by(measured) { "met" } else { "missed" })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "goal ≥ {least}"),
            Self::AtMost(most) => write!(f, "goal ≤ {most}"),
        }
    }
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the figures are what a benchmark is for")]
pub fn print(line: &str) {
    println!("{line}");
}

/// Bytes of this process in memory.
///
/// # Errors
/// Where `/proc` does not say.
pub fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status").context("no /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kilobytes * 1024)
}

/// What a list of samples comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of them are no longer.
    pub p50: Duration,
    /// The longest.
    pub worst: Duration,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let worst = *samples.last().expect("a spread needs a sample");
        Self { p50: samples[samples.len() / 2], worst }
    }
}

/// Microseconds, as far as they can be told apart.
pub fn micros(span: Duration) -> String {
    format!("{:.2}", span.as_secs_f64() * 1e6)
}

/// Millions.
pub fn millions(value: f64) -> String {
    format!("{:.2} million", value / 1e6)
}
