//! Crash tests of the real binary: what was answered is there after whatever happens to the process or to its disk.
//!
//! The clients live in the test's process, which survives; they write down an answer only once they have read all of
//! it. What was sent and never answered is sent again after the restart, with its key, and must come to one effect. So
//! after every restart the whole state is known, and the server's own lists are compared with it seat by seat.
//!
//! What the disk holds then can be told again, in words; and every version's journals are read to the states that they had.
//!
//! `ONRUSH_SEED` repeats a run's load and moments; `ONRUSH_KILL_CYCLES`, `ONRUSH_POWER_CYCLES` and `ONRUSH_TAKEOVER_CYCLES`
//! say how many. Some tests need root, a loop device or strace; where they cannot run they say `skipped` and why on standard error, or fail
//! where `ONRUSH_NO_SKIPS` is set.

mod audit;
mod campaign;
mod hall;
mod http;
mod load;
mod mount;
mod orders;
mod random;
mod sale;
mod server;
mod visit;

mod accounts;
mod apart;
mod checklist;
mod cli;
mod deployments;
mod disk_full;
mod edges;
mod guests;
mod journals;
mod kill;
mod matrix;
mod payments;
mod power;
mod replay;
mod rot;
mod stop;
mod sync;
mod take_over;
mod walk;
mod why_not;

use std::io::Write as _;

/// Says that a test cannot run here, and why; with `ONRUSH_NO_SKIPS` that is a failure.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("ONRUSH_NO_SKIPS").is_none(), "{test} cannot run here: {why}");
    say(&format!("{test}: skipped: {why}"));
}

/// Writes a line for people, past the test harness's capture: a skipped test must not pass silently.
fn say(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").expect("standard error takes a line");
}

/// A number from the environment, or a default.
fn number(variable: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} = {text} is no number"));
    std::env::var(variable).map_or(default, parse)
}
