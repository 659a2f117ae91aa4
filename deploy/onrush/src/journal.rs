//! `onrush journal`: looks into a data directory whose server is stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use onrush_engine::inventory::Tally;
use onrush_engine::journal::recovery::recover;
use onrush_engine::journal::snapshot::Snapshots;
use onrush_engine::journal::store::{SledStore, Store as _};
use onrush_engine::journal::{Stream, disk};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Read what a start would read, check the chain, count everything anew, and say what there is
    Verify {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./onrush-data")]
        data: PathBuf,
    },
}

#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
pub(crate) fn run(action: &Action) -> anyhow::Result<ExitCode> {
    let Action::Verify { data } = action;
    let journal = data.join("journal");
    anyhow::ensure!(journal.is_dir(), "{} holds no journal; name the directory with --data", data.display());
    let lock = disk::lock(data).with_context(|| format!("cannot use {}", data.display()))?;
    let _lock = lock.with_context(|| format!("a server runs in {}; stop it first", data.display()))?;
    let copy = copy(&journal, data)?;
    let store = SledStore::open(copy.path()).with_context(|| format!("a copy of {}", journal.display()))?;
    let found = recover(&store, Snapshots::open(data)?.read_all()?)?;
    for (id, inventory) in &found.inventories {
        inventory.verify().map_err(|fault| anyhow::anyhow!("{id}: {fault}"))?;
        let Tally { free, held, booked, blocked } =
            inventory.tallies().iter().copied().fold(Tally::default(), Tally::plus);
        let records = found.chains.get(&Stream(id.0)).map_or(0, |chain| chain.next_sequence);
        println!("{id}: {records} records, {free} free, {held} held, {booked} booked, {blocked} blocked");
    }
    println!(
        "sound: {} shows, {} performances, {} events replayed, epoch {}",
        found.registry.shows().count(),
        found.inventories.len(),
        found.events.values().sum::<u64>(),
        found.epoch
    );
    if store.mark().records == 0 {
        println!("but the note of how many records were acknowledged is missing: a lost end would not show");
    }
    Ok(ExitCode::SUCCESS)
}

/// A copy beside the original, until dropped: sled mends what it opens, and overwrites what it takes for a torn end. The
/// records behind a damaged byte must still be there when somebody comes to save them.
fn copy(journal: &Path, data: &Path) -> anyhow::Result<tempfile::TempDir> {
    let in_vain = || format!("cannot copy {}: it needs as much room again", journal.display());
    let copy = tempfile::Builder::new().prefix("verify-").tempdir_in(data).with_context(in_vain)?;
    for entry in fs::read_dir(journal).with_context(in_vain)? {
        let path = entry.with_context(in_vain)?.path();
        if path.is_file() {
            let name = path.file_name().context("an entry of a directory has a name")?;
            fs::copy(&path, copy.path().join(name)).with_context(in_vain)?;
        }
    }
    Ok(copy)
}
