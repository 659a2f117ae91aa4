//! `onrush tickets`: the door without a network.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use onrush_api::ticket_code::{TicketKeySet, TicketKeys, TicketVerifier};
use onrush_engine::id::{PerformanceId, TicketId};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Check a list of codes, without a network: that the platform signed them, for which seat, and that each comes once
    Verify(Verify),
    /// Print the public keys that check codes, as GET /v1/tickets/keys does
    Keys(Keys),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What was cancelled, given away or used since, only the server knows: this says that the platform \
    signed a code, and for which ticket. It ends with 1 if any line is not good.\n\nExample:\n  \
    curl -s http://127.0.0.1:8080/v1/tickets/keys > keys.json\n  \
    onrush tickets verify --offline --keys keys.json --performance perf_… codes.txt"
)]
pub(crate) struct Verify {
    /// Codes, one a line; - for standard input
    #[arg(default_value = "-")]
    codes: PathBuf,
    /// The public keys: what GET /v1/tickets/keys answered
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Only tickets of this performance are good
    #[arg(long, value_name = "PERF")]
    performance: Option<PerformanceId>,
    /// Ask no server; there is no other way yet, so this may be left out
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    /// The data directory of the server
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[expect(clippy::print_stdout, reason = "what the person at the door reads")]
pub(crate) fn run(action: &Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Verify(arguments) => verify(arguments),
        Action::Keys(arguments) => {
            let keys = TicketKeys::open(&TicketKeys::path_in(&arguments.data))?;
            println!("{}", serde_json::to_string_pretty(&keys.verifier().set())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the person at the door reads")]
fn verify(arguments: &Verify) -> anyhow::Result<ExitCode> {
    let keys = std::fs::read(&arguments.keys).with_context(|| format!("cannot read {}", arguments.keys.display()))?;
    let keys: TicketKeySet = serde_json::from_slice(&keys)
        .with_context(|| format!("{} is not what GET /v1/tickets/keys answers", arguments.keys.display()))?;
    let verifier = TicketVerifier::of(&keys).map_err(|kid| anyhow!("the key '{kid}' is no Ed25519 key"))?;
    let (mut seen, mut good, mut bad) = (BTreeMap::new(), 0u64, 0u64);
    for line in BufReader::new(open(&arguments.codes)?).split(b'\n') {
        let line = line.context("the codes cannot be read")?;
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        match judge(&verifier, line.trim(), arguments.performance, &mut seen) {
            Ok(ticket) => {
                good += 1;
                println!("good  {ticket}");
            }
            Err(why) => {
                bad += 1;
                // What was scanned may be anything, an order to the terminal, too.
                println!("bad   {why}: {}", line.trim().chars().take(40).collect::<String>().escape_debug());
            }
        }
    }
    println!("{good} good, {bad} bad");
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    Ok(Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?))
}

fn judge(
    verifier: &TicketVerifier,
    code: &str,
    performance: Option<PerformanceId>,
    seen: &mut BTreeMap<TicketId, u16>,
) -> Result<String, String> {
    let read = verifier.check(code).map_err(|error| error.to_string())?;
    if performance.is_some_and(|wanted| wanted != read.ticket.performance) {
        return Err(format!("for another performance, {}", read.ticket.performance));
    }
    let label = read.label.escape_debug();
    match seen.insert(read.ticket, read.issue) {
        Some(before) if before > read.issue => {
            seen.insert(read.ticket, before);
            Err(format!("{label}: issue {before} came before, and only the last issue is good"))
        }
        Some(before) if before == read.issue => Err(format!("{label} came before")),
        Some(before) => {
            Ok(format!("{label}  {}  issue {}; issue {before} before it was not good", read.ticket, read.issue))
        }
        None => Ok(format!("{label}  {}  issue {}", read.ticket, read.issue)),
    }
}
