//! P3, without a journal: how many holds one core decides and applies in a second.

use std::time::Instant;

use benches::goal::{Bound, millions, print, wanted};
use benches::hall::{self, Keys};
use benches::rounds::median;

const SEATS: u32 = 50_000;
const ROUNDS: usize = 30;

fn main() {
    if !wanted("inventory") {
        return;
    }
    for (keys, name) in [(Keys::None, "without request keys"), (Keys::Each, "each with a request key")] {
        let commands = hall::holds(SEATS, keys);
        let rates = (0..ROUNDS).map(|_| {
            let mut inventory = hall::inventory(SEATS);
            let now = inventory.now();
            let begun = Instant::now();
            commands.iter().for_each(|command| hall::perform(&mut inventory, command, now));
            let rate = f64::from(SEATS) / begun.elapsed().as_secs_f64();
            assert_eq!(inventory.active_holds(), SEATS, "every seat is held");
            rate
        });
        let rate = median(rates.collect());
        print(&format!(
            "P3 decide + apply of holds, {SEATS} seats, {name}: {}/s ({})",
            millions(rate),
            Bound::AtLeast(5e6).beside(rate)
        ));
    }
}
