//! Onrush beside what one would pick instead: starts the servers, measures them in turns, prints one table.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::machine::Machine;
use benches::rounds::{self, Plan};
use benches::row::{self, ROWS, Row};
use benches::run::Run;
use benches::table::{Comparison, Skipped};
use benches::{hyper_server, onrush_server, platform, verdict};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, value_parser};

/// The same holds, sent by the same client, to Onrush and to what one would pick instead.
///
/// Every server is started by this program, on loopback, and stopped again: Onrush with its defaults, the others with
/// the best simple settings for this work, which stand with their reasons in benches/src/*_server.rs. Rows are measured
/// in turns, and the medians over all rounds are printed. The ratio is to bare hyper with as many connections, in this
/// very run: absolute figures move from machine to machine and from hour to hour. The client keeps one core busy, so a
/// machine needs two. What is not installed is skipped, and named: redis-server, postgresql, rabbitmq-server and wrk are Debian's
/// packages. All of it takes about ten minutes once it is built; --rounds 1 --seconds 1 a minute, for a first look.
#[derive(Debug, Parser)]
#[command(name = "versus")]
struct Arguments {
    /// Rows to measure, with all that is compared with them [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write the result as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long each row is measured in each round
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u64).range(1..=20))]
    seconds: u64,
    /// How often each row is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=100))]
    rounds: u32,
}

fn main() -> ExitCode {
    if let Err(error) = hyper_server::serve_if_asked() {
        return report(Err(error));
    }
    let matches = Arguments::command().after_help(help()).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    report(compare(&arguments))
}

fn help() -> String {
    let mut text = "Rows:\n".to_owned();
    for row in ROWS {
        writeln!(text, "  {:<28} {}", row.name, row.about).expect("writing to memory does not fail");
    }
    text.push_str(
        "\nExamples:\n  \
        cargo run --release -p benches --bin versus                    everything\n  \
        cargo run --release -p benches --bin versus -- hyper           Onrush beside bare hyper, and nothing else\n  \
        cargo run --release -p benches --bin versus -- redis-protocol  Redis's own protocol, beside Onrush\n  \
        cargo run --release -p benches --bin versus -- onrush-256 --rounds 9 --json versus.json",
    );
    text
}

fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let rows = row::selected(&arguments.names).map_err(anyhow::Error::msg)?;
    let hint = "figures of a debug build say nothing: cargo run --release -p benches --bin versus";
    ensure!(!cfg!(debug_assertions), hint);
    onrush_server::build()?;
    let dir = &platform::beside_programs()?;
    let plan = Plan { window: Duration::from_secs(arguments.seconds), rounds: arguments.rounds };
    let skipped = rows.iter().filter_map(|row| Some(Skipped { name: row.name, install: row.contender.lacks()? }));
    let skipped: Vec<Skipped> = skipped.collect();
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.contender.lacks().is_none()).collect();
    let rows = rounds::run(&rows, plan, dir)?;
    let goals = verdict::verdicts(&rows);
    let comparison = Comparison { run: Run::ended(plan), machine: Machine::with_data_in(dir), rows, skipped, goals };
    print(&comparison.table());
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&comparison).context("the result is no JSON")?;
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn print(text: &str) {
    print!("\n{text}");
}

#[expect(clippy::print_stderr, reason = "where a program says why it failed")]
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("versus: {error:#}");
            ExitCode::FAILURE
        }
    }
}
