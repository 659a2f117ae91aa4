//! The mean cost of single commands, by criterion: to see what a change of the rules does.

use benches::hall::{self, Keys};
use criterion::{Criterion, criterion_group, criterion_main};
use onrush_engine::command::{BestAvailable, Command, HoldSeats, Wish};
use onrush_engine::event::Event;
use onrush_engine::inventory::{Decision, Inventory};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

const SEATS: u32 = 50_000;

/// Holds, and gives back, so that the hall is the same each time.
fn hold_and_release(inventory: &mut Inventory, command: &Command) {
    let now = inventory.now();
    let Ok(Decision::Event(Event::SeatsHeld(held))) = inventory.decide(command, now) else { panic!("no seat") };
    let hold = held.hold;
    inventory.apply(now, &Event::SeatsHeld(held));
    inventory.apply(now, &Event::HoldReleased { hold });
    drop(inventory.touched());
}

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    group.measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(500));
    let mut inventory = hall::inventory(SEATS);

    let named = hall::hold(hall::buyer(1), 20_000, Keys::None, &mut SmallRng::seed_from_u64(1));
    group.bench_function("hold a named seat and release it", |bencher| {
        bencher.iter(|| hold_and_release(&mut inventory, &named));
    });

    let best = BestAvailable { quantity: 4, tier: None, section: None, adjacent: true };
    let wish = Wish::BestAvailable(best);
    let best = Command::HoldSeats(HoldSeats { caller: hall::buyer(1), wish, nonce: 1, key: None });
    group.bench_function("hold the best four seats and release them", |bencher| {
        bencher.iter(|| hold_and_release(&mut inventory, &best));
    });

    let keyed = hall::hold(hall::buyer(1), 30_000, Keys::Each, &mut SmallRng::seed_from_u64(1));
    let now = inventory.now();
    hall::perform(&mut inventory, &keyed, now);
    group.bench_function("answer a request that came before", |bencher| {
        bencher.iter(|| inventory.decide(&keyed, now).expect("it came before"));
    });
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
