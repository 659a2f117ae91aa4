//! `onrush journal replay`: the flight recorder of a sale.

use std::fmt;
use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use onrush_api::text::{Text, Time};
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::inventory::{Inventory, Tally};
use onrush_engine::journal::codec::state_digest;
use onrush_engine::journal::history::{History, Until};
use onrush_engine::journal::recovery::Recovered;
use serde::Serialize;

use super::copy::Copy;
use super::happening::EventLine;
use super::misuse::Misuse;
use super::print::{Form, Printer};
use super::why_not::{self, Asked};
use super::{Directory, verify};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 0 for an answer, 1 for a damaged journal, 2 where the question has to be put \
    differently.\n\nExamples:\n  \
    onrush journal replay ./onrush-data --performance perf_01j8f2b6m4c9k --events\n  \
    onrush journal replay ./onrush-data --performance perf_01j8f2b6m4c9k --until 17 --json\n  \
    onrush journal replay ./onrush-data --performance perf_01j8f2b6m4c9k \\\n    --why-not Stalls-A-12@2030-12-01T10:00:00.123Z --buyer acc_kim"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// The performance; may be left out where there is only one
    #[arg(long, value_name = "PERF")]
    performance: Option<PerformanceId>,
    /// Stop at the end of this record
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// Print a line an event: its record, its time, what happened
    #[arg(long)]
    events: bool,
    /// Print JSON objects, one a line
    #[arg(long)]
    json: bool,
    /// Why nobody could get a seat: its label, or its number in the seat map; and a time, or a record to the end of which
    #[arg(long, value_name = "SEAT@TIME", conflicts_with_all = ["until", "events"])]
    why_not: Option<Asked>,
    /// Whether it was a limit of this buyer
    #[arg(long, value_name = "ACCOUNT", requires = "why_not")]
    buyer: Option<AccountId>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let copy = Copy::of(&arguments.directory.path())?;
    let performance = chosen(arguments.performance, &copy.found)?;
    let history = History::of(performance, &copy.found, &copy.snapshots)?;
    let history = history.context("a performance that was recovered has a history")?;
    let mut printer = Printer::new(if arguments.json { Form::Json } else { Form::Text });
    match &arguments.why_not {
        Some(asked) => {
            let answer = why_not::answer(&copy, history, asked, arguments.buyer)?;
            let printed = printer.print(&answer);
            printer.finish(printed)?;
        }
        None => {
            let until = checked(arguments.until, &history)?;
            let printed = tell(&copy, history, until, arguments.events, &mut printer);
            printer.finish(printed?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The performance that was asked for, or the only one.
fn chosen(asked: Option<PerformanceId>, found: &Recovered) -> Result<PerformanceId, Misuse> {
    let known = || list(found);
    let mut all = found.inventories.keys().copied();
    match (asked, all.next(), all.next()) {
        (_, None, _) => Err(Misuse::NoPerformances),
        (Some(asked), ..) if found.inventories.contains_key(&asked) => Ok(asked),
        (Some(asked), ..) => Err(Misuse::UnknownPerformance { asked, known: known() }),
        (None, Some(only), None) => Ok(only),
        (None, ..) => Err(Misuse::WhichPerformance { known: known() }),
    }
}

/// The performances that there are, a line each.
fn list(found: &Recovered) -> String {
    let line = |inventory: &Inventory| {
        let starts_at = Time(inventory.terms().starts_at);
        format!("  {}  {}, starts {starts_at}", inventory.performance(), title(found, inventory))
    };
    found.inventories.values().map(line).collect::<Vec<_>>().join("\n")
}

fn title<'a>(found: &'a Recovered, inventory: &Inventory) -> &'a str {
    found.registry.show(inventory.show()).map_or("", |show| &show.details.title)
}

fn checked(until: Option<u64>, history: &History) -> anyhow::Result<Until> {
    match (until, history.snapshot()) {
        (Some(asked), _) if asked > history.last() => Err(Misuse::BeyondEnd { asked, last: history.last() }.into()),
        (Some(asked), Some(snapshot)) if asked < snapshot => {
            let at = history.inventory().context("a snapshot has a state")?.now();
            Err(Misuse::BeforeHistory { snapshot, at }.into())
        }
        (Some(asked), _) => Ok(Until::Record(asked)),
        (None, _) => Ok(Until::End),
    }
}

/// Prints the history. The outer failure is the journal's, the inner one the printer's.
fn tell(
    copy: &Copy,
    mut history: History,
    until: Until,
    events: bool,
    printer: &mut Printer,
) -> anyhow::Result<io::Result<()>> {
    let mut printed = printer.print(&Line::Performance(Headline::of(&copy.found, &history)));
    history.replay(&copy.store, until, &mut |step| {
        if events && printed.is_ok() {
            printed = printer.print(&Line::Event(EventLine::of(step)));
        }
    })?;
    let state = State::of(&history).context("a history that was replayed has a state")?;
    Ok(printed.and_then(|()| printer.print(&Line::State(state))))
}

/// What a history is told in.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Performance(Headline),
    Event(EventLine),
    State(State),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Performance(headline) => headline.fmt(f),
            Self::Event(event) => event.fmt(f),
            Self::State(state) => state.fmt(f),
        }
    }
}

/// What the performance is, by the last that is known of it.
#[derive(Debug, Serialize)]
struct Headline {
    performance: Text<PerformanceId>,
    show: Text<ShowId>,
    title: String,
    seller: Text<AccountId>,
    starts_at: Time,
    ends_at: Time,
    capacity: u32,
    snapshot: Option<Before>,
}

/// What a snapshot stands for.
#[derive(Debug, Serialize)]
struct Before {
    sequence: u64,
    at: Time,
}

impl Headline {
    fn of(found: &Recovered, history: &History) -> Self {
        let inventory = &found.inventories[&history.performance()];
        let state = history.snapshot().zip(history.inventory());
        Self {
            performance: Text(inventory.performance()),
            show: Text(inventory.show()),
            title: title(found, inventory).to_owned(),
            seller: Text(inventory.seller()),
            starts_at: Time(inventory.terms().starts_at),
            ends_at: Time(inventory.terms().ends_at),
            capacity: inventory.map().capacity(),
            snapshot: state.map(|(sequence, state)| Before { sequence, at: Time(state.now()) }),
        }
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, starts_at, ends_at, capacity, snapshot, .. } = self;
        write!(f, "{}: {title} ({}), {capacity} seats, sold by {}", self.performance.0, self.show.0, self.seller.0)?;
        write!(f, "\nstarts {starts_at}, ends {ends_at}")?;
        let Some(Before { sequence, at }) = snapshot else { return Ok(()) };
        write!(
            f,
            "\nthe history begins with record {}: a snapshot stands for what was before, until {at}",
            sequence + 1
        )
    }
}

/// What it had come to.
#[derive(Debug, Serialize)]
struct State {
    /// The record to whose end this is.
    sequence: u64,
    last_sequence: u64,
    records: u64,
    events: u64,
    at: Time,
    free: u32,
    held: u32,
    booked: u32,
    blocked: u32,
    holds: u32,
    bookings: usize,
    digest: String,
}

impl State {
    fn of(history: &History) -> Option<Self> {
        let (inventory, sequence) = (history.inventory()?, history.position()?);
        let Tally { free, held, booked, blocked } = verify::whole(inventory);
        Some(Self {
            sequence,
            last_sequence: history.last(),
            records: history.snapshot().map_or(sequence + 1, |snapshot| sequence - snapshot),
            events: history.events(),
            at: Time(inventory.now()),
            free,
            held,
            booked,
            blocked,
            holds: inventory.active_holds(),
            bookings: inventory.bookings().len(),
            digest: state_digest(inventory).to_string(),
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, last_sequence, records, events, at, .. } = self;
        let Self { free, held, booked, blocked, holds, bookings, digest, .. } = self;
        writeln!(f, "to the end of record {sequence} of {last_sequence}, at {at}: {records} records, {events} events")?;
        writeln!(f, "seats: {free} free, {held} held, {booked} booked, {blocked} blocked")?;
        writeln!(f, "holds: {holds}, bookings: {bookings}")?;
        write!(f, "state {digest}")
    }
}
