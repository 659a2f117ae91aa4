//! Very many operations on inventories alone, one after the other, and on the naive model: what comes out is the same, and
//! after each of them so is the state, counted anew. `ONRUSH_SIM_OPERATIONS=100000000` runs more than the commit-sized share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use onrush_engine::id::PerformanceId;
use onrush_engine::inventory::Inventory;
use onrush_engine::time::Timestamp;

use crate::core::answer;
use crate::crowd::Crowd;
use crate::hall::{FREE, HOLDS_MAX, PERFORMANCES, SEATS_MAX, START, TTL_SECONDS, map, opening};
use crate::model::{self, Model};
use crate::number;
use crate::random::Random;

const OPERATIONS_DEFAULT: u64 = 1_000_000;
/// Of one sale: the model looks through all that ever happened.
const OPERATIONS_PER_SALE: u64 = 500;

struct Sale {
    random: Random,
    crowd: Crowd,
    now: i64,
    inventories: Vec<Inventory>,
    models: Vec<Model>,
}

impl Sale {
    fn begin(seed: u64) -> Self {
        let opened = |performance: &PerformanceId| {
            Inventory::open(&opening(*performance), Timestamp::from_millis(START)).expect("a sound hall")
        };
        let model = |_| Model::new(&map(), TTL_SECONDS, SEATS_MAX, HOLDS_MAX, START);
        Self {
            random: Random::new(seed),
            crowd: Crowd::of_what_is_free(),
            now: START,
            inventories: PERFORMANCES[..FREE].iter().map(opened).collect(),
            models: PERFORMANCES[..FREE].iter().map(model).collect(),
        }
    }

    /// One operation; the clock goes back at times.
    fn step(&mut self) {
        self.now += if self.random.one_in(20) { -5000 } else { self.random.below(4000) as i64 };
        let request = self.crowd.ask(&mut self.random);
        let (inventory, model) = (&mut self.inventories[request.place], &mut self.models[request.place]);
        let at = Timestamp::from_millis(self.now);
        while let Some(expired) = inventory.pulse(at) {
            inventory.apply(at, &expired);
        }
        model.pulse(self.now);
        let outcome = answer(inventory, &request.ask, at);
        assert_eq!(model.ask(&request.ask, self.now), model::said(&outcome), "{request:?}");
        if let Ok(answered) = &outcome {
            self.crowd.learn(&request, &answered.answer, 0);
        }
        self.look(request.place);
    }

    /// The state of what was asked for, counted anew.
    fn look(&self, place: usize) {
        let (inventory, model) = (&self.inventories[place], &self.models[place]);
        inventory.verify().unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(model.describe(), model::describe(&inventory.image(), inventory.map().capacity()));
    }
}

fn sale(seed: u64) {
    let mut sale = Sale::begin(seed);
    for _ in 0..OPERATIONS_PER_SALE {
        sale.step();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures say what was tested")]
fn operations_are_what_the_model_says() {
    let operations = number("ONRUSH_SIM_OPERATIONS").unwrap_or(OPERATIONS_DEFAULT);
    let (sales, next) = (operations.div_ceil(OPERATIONS_PER_SALE), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < sales) {
                    let failed = std::panic::catch_unwind(|| sale(seed)).is_err();
                    assert!(!failed, "the sale of seed {seed} failed");
                }
            });
        }
    });
    println!("{} operations in {sales} sales: each as the model says", sales * OPERATIONS_PER_SALE);
}
