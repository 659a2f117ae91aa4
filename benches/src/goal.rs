//! Printing: what was measured beside what is aimed at.

use std::time::Duration;

/// Whether `cargo bench -p benches -- NAME…` asks for what has this name: all, where no name is given.
pub fn wanted(name: &str) -> bool {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()))
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the figures are what a benchmark is for")]
pub fn print(line: &str) {
    println!("{line}");
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
