//! `onrush-loadgen`: rushes, replays and bare requests against a server that is already there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use onrush_api::key_file::KeyFile;
use onrush_loadgen::bare::{BareOptions, bare};
use onrush_loadgen::options::{ReplayOptions, RushOptions};
use onrush_loadgen::report::Report;
use onrush_loadgen::rush::{replay, rush};
use onrush_loadgen::target::Target;

/// Sends booking bots against a running Onrush, measures what they see, and audits what became of the seats.
///
/// Exit code: 0 after a clean audit, 1 after violations or an error, 2 for options that cannot be.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a performance, send bots through hold → book → confirm, audit, report
    #[command(after_help = RUSH_EXAMPLES)]
    Rush {
        #[command(flatten)]
        server: ServerOptions,
        #[command(flatten)]
        options: RushOptions,
    },
    /// Send a recorded profile of arrivals instead of a steady crowd
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay {
        #[command(flatten)]
        server: ServerOptions,
        #[command(flatten)]
        options: ReplayOptions,
    },
    /// GET one URL in a closed loop, to compare the load generator with wrk
    #[command(after_help = BARE_EXAMPLES)]
    Bare(BareOptions),
}

const RUSH_EXAMPLES: &str = "\
Examples:
  # 5,000 bots for the 3,022 seats of a theatre
  onrush-loadgen rush --target http://127.0.0.1:8080 --key-file onrush-data/token.key

  # a stadium, with a page of plots
  onrush-loadgen rush --target http://127.0.0.1:8080 --key-file onrush-data/token.key \\
      --venue stadium --bots 100000 --html rush.html

  # open loop: 2,000 bots start each second whatever happens; latency counts from when they meant to
  onrush-loadgen rush --target http://127.0.0.1:8080 --key-file onrush-data/token.key \\
      --venue arena --bots 20000 --rate 2000

  # the same bots as in an earlier run
  onrush-loadgen rush --target http://127.0.0.1:8080 --key-file onrush-data/token.key --seed 7";

const REPLAY_EXAMPLES: &str = "\
Examples:
  onrush-loadgen replay --target http://127.0.0.1:8080 --key-file onrush-data/token.key --profile emf-camp
  onrush-loadgen replay --target http://127.0.0.1:8080 --key-file onrush-data/token.key \\
      --profile flash-crowd --venue arena --json replay.json

A profile of your own is a text file with the arrivals of each second, one line a second:
  # doors open
  1200
  800
  300";

const BARE_EXAMPLES: &str = "\
Example, side by side with wrk:
  onrush-loadgen bare --target http://127.0.0.1:8080/v1/shows --connections 64 --seconds 10
  wrk --threads 1 --connections 64 --duration 10s http://127.0.0.1:8080/v1/shows";

/// The server, and what it takes for a token.
#[derive(Debug, Args)]
struct ServerOptions {
    /// Where the server listens
    #[arg(long, value_name = "URL", env = "ONRUSH_TARGET")]
    target: String,
    /// The server's key file (token.key in its data directory): bots sign their own tokens with it
    #[arg(long, value_name = "FILE", env = "ONRUSH_KEY_FILE")]
    key_file: PathBuf,
}

impl ServerOptions {
    fn open(&self) -> anyhow::Result<Target> {
        Target::new(&self.target, KeyFile::open(&self.key_file)?)
    }
}

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr, reason = "the last word of a process that failed")]
fn report(error: &anyhow::Error) {
    eprintln!("onrush-loadgen: {error:#}");
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Rush { server, options } => {
            let report = rush(&server.open()?, &options)?;
            report.deliver(&options.output)?;
            Ok(exit_code(&report))
        }
        Command::Replay { server, options } => {
            let report = replay(&server.open()?, &options)?;
            report.deliver(&options.output)?;
            Ok(exit_code(&report))
        }
        Command::Bare(options) => {
            bare(&options)?.print()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn exit_code(report: &Report) -> ExitCode {
    if report.audit.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_performance_of_ones_own_and_a_venue_exclude_each_other() {
        let parse = |extra: &[&str]| {
            let base = ["onrush-loadgen", "rush", "--target", "http://a", "--key-file", "k"];
            Cli::try_parse_from(base.iter().chain(extra))
        };
        assert!(parse(&["--performance", "perf_1"]).is_ok());
        assert!(parse(&["--performance", "perf_1", "--venue", "arena"]).is_err());
        assert!(parse(&["--mix", "pickers=0"]).is_err());
        assert!(parse(&["--bots", "0"]).is_err());
    }
}
