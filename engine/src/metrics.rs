//! What an engine tells Prometheus. Handles are made once; the hot path adds plain numbers.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::command::Command;
use crate::id::PerformanceId;
use crate::inventory::Tally;

/// Kinds of commands, as labels.
const KINDS: [&str; 12] = [
    "hold",
    "release",
    "book",
    "cancel",
    "block",
    "unblock",
    "change_terms",
    "decide",
    "note_payment",
    "call_off",
    "transfer",
    "check_in",
];
/// What became of them, as labels.
const RESULTS: [&str; 4] = ["done", "refused", "replayed", "dropped"];

/// What became of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CommandResult {
    Done,
    Refused,
    Replayed,
    Dropped,
}

/// The owner's handles.
pub(crate) struct Metrics {
    commands: [[Counter; RESULTS.len()]; KINDS.len()],
    pub(crate) group_events: Histogram,
    pub(crate) flush_seconds: Histogram,
    pub(crate) mailbox_depth: Gauge,
    pub(crate) disk_free_bytes: Gauge,
    pub(crate) recovery_seconds: Gauge,
    pub(crate) recovered_events: Gauge,
    pub(crate) performances: Gauge,
    pub(crate) snapshots: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let command = |kind: usize, result: usize| counter!("onrush_commands_total", "kind" => KINDS[kind], "outcome" => RESULTS[result]);
        Self {
            commands: std::array::from_fn(|kind| std::array::from_fn(|result| command(kind, result))),
            group_events: histogram!("onrush_journal_group_events"),
            flush_seconds: histogram!("onrush_journal_flush_duration_seconds"),
            mailbox_depth: gauge!("onrush_mailbox_depth"),
            disk_free_bytes: gauge!("onrush_journal_disk_free_bytes"),
            recovery_seconds: gauge!("onrush_recovery_duration_seconds"),
            recovered_events: gauge!("onrush_recovery_events"),
            performances: gauge!("onrush_performances"),
            snapshots: counter!("onrush_snapshots_total"),
        }
    }

    pub(crate) fn count(&self, command: &Command, result: CommandResult) {
        let kind = match command {
            Command::HoldSeats(_) => 0,
            Command::ReleaseHold { .. } => 1,
            Command::BookHold(_) => 2,
            Command::CancelSeats(_) => 3,
            Command::BlockSeats(_) => 4,
            Command::LiftBlock { .. } => 5,
            Command::ChangeTerms(_) => 6,
            Command::DecideBooking(_) => 7,
            Command::NotePayment(_) => 8,
            Command::CancelPerformance(_) => 9,
            Command::TransferTicket { .. } => 10,
            Command::CheckIn { .. } => 11,
        };
        self.commands[kind][result as usize].increment(1);
    }
}

/// Performances that have gauges of their own; those that opened later share one series, so that the number of series
/// does not grow with the platform.
const PERFORMANCES_SHOWN_MAX: usize = 200;

/// Sets `onrush_seats` for every performance.
pub(crate) fn show_seats(tallies: impl Iterator<Item = (PerformanceId, Tally)>) {
    let mut others: Option<Tally> = None;
    for (place, (performance, tally)) in tallies.enumerate() {
        if place < PERFORMANCES_SHOWN_MAX {
            set_seats(&performance.to_string(), tally);
        } else {
            others = Some(others.unwrap_or_default().plus(tally));
        }
    }
    if let Some(tally) = others {
        set_seats("others", tally);
    }
}

fn set_seats(performance: &str, tally: Tally) {
    let states = [("free", tally.free), ("held", tally.held), ("booked", tally.booked), ("blocked", tally.blocked)];
    for (state, count) in states {
        gauge!("onrush_seats", "performance" => performance.to_owned(), "state" => state).set(f64::from(count));
    }
}
