//! P6: the best free seats side by side, in halls of all sizes, from empty to nearly sold out.
//!
//! Each sample is another state of the hall: between two samples some seats go back on sale and others are sold, at
//! random from a seed, so that the share that is sold stays. A sample is the median of a few decisions of the same
//! state, so that it tells of the state and not of whatever else the machine did. A refusal, where so many seats are
//! nowhere free side by side, counts like a success: it says how else they could be had, which is more work.

use std::time::{Duration, Instant};

use benches::goal::{Bound, Spread, micros, print, wanted};
use benches::hall::{self, Keys};
use onrush_engine::command::{BestAvailable, Command, HoldSeats, Wish};
use onrush_engine::event::Event;
use onrush_engine::inventory::{Inventory, SeatState};
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
const SOLD_PERCENT: [u32; 4] = [0, 50, 90, 99];
const QUANTITIES: [u32; 3] = [2, 4, 8];
const SAMPLES: usize = 300;
const REPEATS: usize = 5;
/// Seats that change hands between two samples.
const CHANGES: usize = 20;

fn main() {
    if !wanted("best_available") {
        return;
    }
    for quantity in QUANTITIES {
        for sold_percent in SOLD_PERCENT {
            let spreads = SIZES.map(|seats| measure(seats, sold_percent, quantity));
            let p50 = spreads.map(|spread| micros(spread.p50)).join(" / ");
            let worst = spreads.map(|spread| micros(spread.worst)).join(" / ");
            let ratio = spreads[2].p50.as_secs_f64() / spreads[0].p50.as_secs_f64();
            let slowest = |figure: fn(&Spread) -> Duration| {
                spreads.iter().map(|spread| figure(spread).as_secs_f64() * 1e6).fold(0.0, f64::max)
            };
            let goals = [
                Bound::AtMost(5.0).beside(slowest(|spread| spread.p50)),
                Bound::AtMost(50.0).beside(slowest(|spread| spread.worst)),
                Bound::AtMost(2.0).beside(ratio),
            ];
            print(&format!(
                "P6 best available, 1,000 / 10,000 / 100,000 seats, {sold_percent} % sold, {quantity} seats: \
                 p50 {p50} µs ({}), the worst state's median of five {worst} µs ({}), largest by smallest {ratio:.2} ({})",
                goals[0], goals[1], goals[2]
            ));
        }
    }
}

fn measure(seats: u32, sold_percent: u32, quantity: u32) -> Spread {
    let mut hall = Hall::with_sold(seats, sold_percent);
    let best = BestAvailable { quantity, tier: None, section: None, adjacent: true };
    let wish = Wish::BestAvailable(best);
    let command = Command::HoldSeats(HoldSeats { caller: hall::buyer(0), wish, nonce: 1, key: None });
    let samples = (0..SAMPLES).map(|_| {
        hall.change_hands();
        hall.time(&command)
    });
    Spread::of(samples.collect())
}

/// A hall with some seats sold, and the seats of either kind.
struct Hall {
    inventory: Inventory,
    now: Timestamp,
    free: Vec<u32>,
    sold: Vec<u32>,
    random: SmallRng,
}

impl Hall {
    fn with_sold(seats: u32, sold_percent: u32) -> Self {
        let inventory = hall::inventory(seats);
        let mut random = SmallRng::seed_from_u64(u64::from(seats + sold_percent));
        let mut free: Vec<u32> = (0..seats).collect();
        free.shuffle(&mut random);
        let sold = free.split_off((seats - seats / 100 * sold_percent) as usize);
        let mut hall = Self { now: inventory.now(), inventory, free, sold, random };
        for seat in hall.sold.clone() {
            hall.sell(seat);
        }
        hall
    }

    fn sell(&mut self, seat: u32) {
        let command = hall::hold(hall::buyer(0), seat, Keys::None, &mut self.random);
        hall::perform(&mut self.inventory, &command, self.now);
    }

    fn change_hands(&mut self) {
        for _ in 0..CHANGES.min(self.sold.len()) {
            let back = self.random.random_range(0..self.sold.len());
            let gone = self.random.random_range(0..self.free.len());
            let SeatState::Held(hold) = self.inventory.seat(SeatIndex(self.sold[back])) else { panic!("not sold") };
            self.inventory.apply(self.now, &Event::HoldReleased { hold });
            self.sell(self.free[gone]);
            std::mem::swap(&mut self.sold[back], &mut self.free[gone]);
        }
        drop(self.inventory.touched());
    }

    fn time(&self, command: &Command) -> Duration {
        let times = (0..REPEATS).map(|_| {
            let begun = Instant::now();
            // Dropped within the time: whoever asks pays for that, too.
            drop(std::hint::black_box(self.inventory.decide(command, self.now)));
            begun.elapsed()
        });
        Spread::of(times.collect()).p50
    }
}
