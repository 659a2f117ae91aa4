//! What can be asked of a rush: the options that `onrush-loadgen` and `onrush rush` share.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Args, value_parser};
use onrush_api::performances::VENUE_PRESETS;
use serde::Serialize;

use crate::scenario::Mix;

/// How many bots come, and how.
#[derive(Debug, Clone, Args)]
pub struct RushOptions {
    /// How many bots want seats
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub bots: u64,
    /// Open loop: so many bots start a second whether the server keeps up or not; latency counts from the intended
    /// start. Without it, a closed loop: each connection starts its next bot when the one before has left
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Where, with whom and how to measure
    #[command(flatten)]
    pub scene: SceneOptions,
    /// Where the report goes
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Which recorded arrivals are sent.
#[derive(Debug, Clone, Args)]
pub struct ReplayOptions {
    /// `emf-camp` (967 reservations in 17 s, 134 in the busiest), `flash-crowd` (10,000 arrivals, half of them in the
    /// first second), or a file with the number of arrivals of each second, one line a second, # for comments
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: String,
    /// Where, with whom and how to measure
    #[command(flatten)]
    pub scene: SceneOptions,
    /// Where the report goes
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Where, with whom and how to measure.
#[derive(Debug, Clone, Args)]
pub struct SceneOptions {
    /// Hall of the performance that the rush makes; 3,022, 15,000 and 50,000 seats, and rooms by the hour
    #[arg(long, value_name = "NAME", default_value = "grand-theatre", value_parser = PossibleValuesParser::new(VENUE_PRESETS.iter().copied()))]
    pub venue: String,
    /// Rush for this performance instead of making one
    #[arg(long, value_name = "ID", conflicts_with = "venue")]
    pub performance: Option<String>,
    /// The seller's account: of the new performance, or the one who may see the list of bookings of --performance
    #[arg(long, value_name = "ACCOUNT", default_value = crate::seller::SELLER)]
    pub seller: String,
    /// Keep-alive connections [default: 64 in a closed loop, 256 otherwise]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=60_000))]
    pub connections: Option<u32>,
    /// Threads of the bots [default: 1 on fewer than 4 cores, else a quarter of them]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=256))]
    pub workers: Option<u32>,
    /// The same seed gives the same bots, wishes and arrival times [default: from the clock]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Weights of the kinds of buyers, and the percent who release their hold
    #[arg(long, value_name = "KIND=WEIGHT,…", default_value_t = Mix::DEFAULT)]
    pub mix: Mix,
    /// How long those who found nothing left wait for abandoned holds to come back; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = value_parser!(u32).range(0..=3600))]
    pub patience: u32,
    /// How long a bot waits for an answer before it tries again with the same key
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u32).range(1..=600))]
    pub timeout: u32,
    /// No progress while it runs
    #[arg(long)]
    pub quiet: bool,
}

/// Where a report goes besides the terminal.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputOptions {
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one HTML page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl OutputOptions {
    /// Sees that the report can be written before the bots are sent, and not only after.
    ///
    /// # Errors
    /// Where a file cannot be opened; it is made where there is none.
    pub fn check(&self) -> anyhow::Result<()> {
        for path in self.json.iter().chain(&self.html) {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.with_context(|| format!("the report cannot be written to {}", path.display()))?;
        }
        Ok(())
    }
}

/// The options in force, defaults filled in: part of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Bots of the first wave.
    pub bots: u64,
    /// Arrivals a second, in an open loop by rate.
    pub rate_per_second: Option<f64>,
    /// The recorded arrivals, in a replay.
    pub profile: Option<String>,
    /// The hall; `None` where the performance was there already.
    pub venue: Option<String>,
    /// Keep-alive connections.
    pub connections: u32,
    /// Threads of the bots.
    pub workers: u32,
    /// Of all bots and arrival times.
    pub seed: u64,
    /// Weights of the kinds of buyers.
    pub mix: String,
    /// How long those who found nothing waited for seats to come back.
    pub patience_seconds: u32,
    /// How long a bot waited for an answer.
    pub timeout_seconds: u32,
}

impl SceneOptions {
    const CONNECTIONS_CLOSED: u32 = 64;
    /// In an open loop a connection that waits for its answer must not keep the next bot waiting.
    const CONNECTIONS_OPEN: u32 = 256;

    pub(crate) fn connections(&self, open_loop: bool) -> u32 {
        self.connections.unwrap_or(if open_loop { Self::CONNECTIONS_OPEN } else { Self::CONNECTIONS_CLOSED })
    }

    /// Few, because on a machine shared with the server every core that the bots take is one that it lacks.
    pub(crate) fn workers(&self) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        self.workers.unwrap_or((cores / 4).max(1))
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| clock_nanos() % 1_000_000)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout))
    }
}

/// A number that no two runs share, as far as the clock goes.
pub(crate) fn clock_nanos() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.001..=10_000_000.0).contains(&rate) { Ok(rate) } else { Err("expected 0.001 to 10000000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!(parse_rate("2500"), Ok(2500.0));
        for text in ["0", "-1", "NaN", "inf", "many"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
