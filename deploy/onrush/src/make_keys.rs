//! The keys that servers of one platform share, made before any of them starts.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use onrush_api::key_file::KeyFile;
use onrush_api::ticket_code::TicketKeys;
use onrush_engine::wire::Key;

#[derive(Debug, clap::Args)]
#[command(after_help = "Makes engine.key, token.key and ticket.key; one that is there stays as it is.\n\nExample:\n  \
    onrush make-keys ./keys && kubectl create secret generic onrush-keys --from-file=./keys")]
pub(crate) struct Arguments {
    /// The directory to put them into; made if it is not there
    directory: PathBuf,
}

#[expect(clippy::print_stdout, reason = "what an operator wants to know")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Key::open_or_create(&directory.join("engine.key"))?;
    KeyFile::open_or_create(&KeyFile::path_in(directory))?;
    TicketKeys::open_or_create(&TicketKeys::path_in(directory))?;
    println!("{} has engine.key, token.key and ticket.key: keep them secret, and keep them", directory.display());
    Ok(ExitCode::SUCCESS)
}
