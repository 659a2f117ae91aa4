//! `onrush journal`: looks into a data directory whose server is stopped, always by a copy of it.

mod copy;
mod happening;
mod misuse;
mod orders;
mod print;
mod replay;
mod rules;
mod verify;
mod why_not;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use misuse::Misuse;

use crate::settings::Layers;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Read what a start would read, check the chain, count everything anew, and say what there is
    Verify(verify::Arguments),
    /// Tell a performance's sale again, record by record, or why nobody could get a seat
    Replay(replay::Arguments),
}

/// Which data directory.
#[derive(Debug, clap::Args)]
struct Directory {
    /// The data directory of a server that is stopped [default: what ONRUSH_DATA says, or ./onrush-data]
    #[arg(value_name = "DIR", conflicts_with = "data")]
    dir: Option<PathBuf>,
    /// The same, as the other commands take it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Directory {
    fn path(&self) -> PathBuf {
        let named = self.dir.clone().or_else(|| self.data.clone());
        named.unwrap_or_else(|| Layers::defaults().variables(|name| std::env::var(name).ok()).data())
    }
}

pub(crate) fn run(action: &Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Verify(arguments) => verify::run(arguments),
        Action::Replay(arguments) => replay::run(arguments),
    }
}
