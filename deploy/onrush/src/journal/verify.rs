//! `onrush journal verify`: reads the whole journal and checks it.

use std::io;
use std::process::ExitCode;

use onrush_engine::inventory::{Inventory, Tally};
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::state_digest;
use onrush_engine::journal::store::Store as _;

use super::Directory;
use super::copy::Copy;
use super::print::{Form, Printer};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "It reads a copy, which it makes in DIR and drops again: DIR needs room for that, and must be writable.\n\n\
                  The exit code is 0 for a sound journal; 1 for a damaged one, one that cannot be read, and one of which \
                  nobody can say whether its end is lost; 2 where there is none to look at."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let copy = Copy::of(&arguments.directory.path())?;
    for (id, inventory) in &copy.found.inventories {
        inventory.verify().map_err(|fault| anyhow::anyhow!("{id}: {fault}"))?;
    }
    let mut printer = Printer::new(Form::Text);
    let printed = report(&mut printer, &copy);
    printer.finish(printed)?;
    // Without the note nobody can say that nothing is missing.
    Ok(if copy.store.mark().records == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(printer: &mut Printer, Copy { found, store, .. }: &Copy) -> io::Result<()> {
    for (id, inventory) in &found.inventories {
        let Tally { free, held, booked, blocked } = whole(inventory);
        let records = found.chains.get(&Stream(id.0)).map_or(0, |chain| chain.next_sequence);
        let digest = state_digest(inventory);
        printer.print(&format!(
            "{id}: {records} records, {free} free, {held} held, {booked} booked, {blocked} blocked, state {digest}"
        ))?;
    }
    printer.print(&format!(
        "{}: {} shows, {} performances, {} events replayed, epoch {}",
        if store.mark().records == 0 { "sound as far as it goes" } else { "sound" },
        found.registry.shows().count(),
        found.inventories.len(),
        found.events.values().sum::<u64>(),
        found.epoch
    ))?;
    for key in &found.cut {
        printer.print(&format!(
            "but record {} of stream {:016x} is damaged: it is the last one and not noted as durable, so a start cuts it off",
            key.sequence, key.stream.0
        ))?;
    }
    if store.mark().records == 0 {
        printer.print(&"but the note of how many records were acknowledged is missing: a lost end would not show")?;
    }
    Ok(())
}

/// The seats of all sections.
pub(super) fn whole(inventory: &Inventory) -> Tally {
    inventory.tallies().iter().copied().fold(Tally::default(), Tally::plus)
}
