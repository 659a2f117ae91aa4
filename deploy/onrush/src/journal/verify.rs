//! `onrush journal verify`: reads the whole journal and checks it.

use std::process::ExitCode;

use onrush_engine::inventory::{Inventory, Tally};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::state_digest;
use onrush_engine::journal::store::Store as _;

use super::Directory;
use super::copy::Copy;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 0 for a sound journal, 1 for a damaged one, 2 where there is none to look at."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,
}

#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Copy { found, store, .. } = &Copy::of(&arguments.directory.path())?;
    for (id, inventory) in &found.inventories {
        inventory.verify().map_err(|fault| anyhow::anyhow!("{id}: {fault}"))?;
        let Tally { free, held, booked, blocked } = whole(inventory);
        let records = found.chains.get(&Stream(id.0)).map_or(0, |chain| chain.next_sequence);
        let digest = state_digest(inventory);
        println!(
            "{id}: {records} records, {free} free, {held} held, {booked} booked, {blocked} blocked, state {digest}"
        );
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

/// The seats of all sections.
pub(super) fn whole(inventory: &Inventory) -> Tally {
    inventory.tallies().iter().copied().fold(Tally::default(), Tally::plus)
}
