//! Every state that a very small sale can come to: two seats, three buyers, whatever they do in whatever order, a payment
//! provider that says anything at any time, as often as it likes, a clock
//! that ticks, a disk that is behind, and crashes. The states are those of the real [`Inventory`]; what checks them
//! (stateright) only chooses the next step.
//!
//! The sale is bounded by events, ticks and crashes, not by depth, so each run checks all states within its bounds, and
//! their number is the same each time. An optimised build has the wider bounds.
//!
//! [`Inventory`]: onrush_engine::inventory::Inventory

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, stops it here")]

mod invariants;
mod sale;
mod state;

use std::thread;

use sale::Sale;
use stateright::{Checker as _, Model as _};

#[expect(clippy::print_stdout, reason = "the figures say what was checked")]
fn check(sale: Sale, states: usize) {
    let told = format!("{sale:?}");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let checker = sale.checker().threads(threads).spawn_bfs().join();
    println!("{told}: {} states, all checked; {} steps at most", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states, "other states than before: say why, and count them anew");
}

#[test]
fn no_state_breaks_a_rule_where_a_buyer_may_have_both_seats() {
    let (events, states) = if cfg!(debug_assertions) { (4, 110_076) } else { (5, 504_006) };
    check(
        Sale { buyers: 3, price: 0, seats_per_buyer_max: 2, holds_per_buyer_max: 2, events, ticks: 2, crashes: 1 },
        states,
    );
}

#[test]
fn no_state_breaks_a_rule_where_a_buyer_may_have_one_seat() {
    let (events, states) = if cfg!(debug_assertions) { (4, 49_260) } else { (6, 804_444) };
    check(
        Sale { buyers: 3, price: 0, seats_per_buyer_max: 1, holds_per_buyer_max: 1, events, ticks: 2, crashes: 1 },
        states,
    );
}

#[test]
fn no_state_breaks_a_rule_where_seats_have_to_be_paid_for() {
    let (events, states) = if cfg!(debug_assertions) { (5, 44_788) } else { (6, 215_940) };
    let sale =
        Sale { buyers: 2, price: 100, seats_per_buyer_max: 1, holds_per_buyer_max: 1, events, ticks: 1, crashes: 1 };
    check(sale, states);
}
