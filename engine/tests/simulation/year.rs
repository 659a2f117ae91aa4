//! Whole days of sales, a rush in the morning and quiet until the next, with faults all along: a year of them in a night.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::number;
use crate::sometimes::Sometimes;
use crate::world::{Course, World};

/// The commit-sized share.
const DAYS_DEFAULT: u64 = 2;

const DAY: Duration = Duration::from_hours(24);
/// So many days reach everything that can happen.
const DAYS_OF_ALL: u64 = 20;

/// What came of some days.
#[derive(Default)]
struct Days {
    simulated: Duration,
    faults: u64,
    operations: usize,
    sometimes: Sometimes,
}

impl Days {
    /// Runs days of which each has the next number, until there are so many.
    fn run(next: &AtomicU64, count: u64) -> Self {
        let mut days = Self::default();
        while let Some(day) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|day| *day < count) {
            let trace = World::run(day, Course::DAY, &mut days.sometimes);
            days.simulated += trace.simulated;
            days.faults += trace.faults;
            days.operations += trace.operations.len();
        }
        days
    }

    fn add(&mut self, other: Self) {
        self.simulated += other.simulated;
        self.faults += other.faults;
        self.operations += other.operations;
        self.sometimes.add(other.sometimes);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a year is run for")]
fn days_of_sales_are_clean() {
    let (count, next) = (number("ONRUSH_SIM_DAYS").unwrap_or(DAYS_DEFAULT), AtomicU64::new(0));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Days::default();
    thread::scope(|scope| {
        let shares: Vec<_> = (0..cores).map(|_| scope.spawn(|| Days::run(&next, count))).collect();
        shares.into_iter().for_each(|share| all.add(share.join().expect("every day is clean")));
    });
    let Days { simulated, faults, operations, sometimes } = all;
    assert!(simulated >= DAY * count as u32, "only {simulated:?} were simulated");
    assert!(faults >= count, "{faults} faults are too few");
    if count >= DAYS_OF_ALL {
        sometimes.check_all_happened();
    }
    println!(
        "{count} days clean, seeds 0 to {}: {} simulated hours, {operations} operations of the disk, {faults} faults; \
         {sometimes}",
        count.saturating_sub(1),
        simulated.as_secs() / 3600
    );
}
