//! Halls of any size with their buyers, for what is measured without HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onrush_engine::command::{Caller, Command, HoldSeats, RequestKey, Wish};
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::inventory::{Decision, Inventory};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, Terms};
use onrush_engine::seat_map::{RowPlan, SeatIndex, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use onrush_engine::time::Timestamp;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// The show that all halls are part of.
pub const SHOW: ShowId = ShowId(1);
/// All rows are as long.
pub const SEATS_PER_ROW: u32 = 25;
const ROWS_PER_SECTION: u32 = 40;

/// Who sells.
pub fn seller() -> Caller {
    buyer_named("acc_bench-seller")
}

/// One of many buyers.
pub fn buyer(number: usize) -> Caller {
    buyer_named(&format!("acc_bench-buyer-{number}"))
}

fn buyer_named(account: &str) -> Caller {
    let account: AccountId = account.parse().expect("a well-formed account");
    Caller { account, admin: false }
}

/// The machine's time.
pub fn now() -> Timestamp {
    Timestamp::MIN + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A performance on sale whose limits never matter, in a hall of `seats`: sections of 40 rows of 25, three tiers.
pub fn opening(performance: u64, seats: u32) -> Opening {
    let rows = seats / SEATS_PER_ROW;
    let sections = rows.div_ceil(ROWS_PER_SECTION);
    let row = |number: u32| RowPlan { name: number.to_string().into(), seats: SeatNames::Count(SEATS_PER_ROW) };
    let section = |number: u32| SectionPlan {
        name: format!("S{number}").into(),
        tier: TierIndex((number % 3) as u16),
        seating: Seating::Reserved((1..=ROWS_PER_SECTION.min(rows - number * ROWS_PER_SECTION)).map(row).collect()),
    };
    let (now, day) = (now(), Duration::from_hours(24));
    Opening {
        performance: PerformanceId(performance),
        show: SHOW,
        seller: seller().account,
        plan: SeatMapPlan { sections: (0..sections).map(section).collect() },
        tiers: ["R", "S", "A"].map(Into::into).to_vec(),
        prices: [165_000, 132_000, 99_000].map(|amount| Money { amount, currency: Currency::KRW }).to_vec(),
        terms: Terms {
            starts_at: now + day,
            ends_at: now + 2 * day,
            opens_at: Timestamp::MIN,
            closes_at: now + day,
            hold_ttl_seconds: 3600,
            seats_per_buyer_max: 1_000_000,
            holds_per_buyer_max: 1_000_000,
            approval: Approval::Automatic,
            cancel_until: now + day,
            refund: Vec::new(),
        },
    }
}

/// The inventory of such a hall.
pub fn inventory(seats: u32) -> Inventory {
    Inventory::open(&opening(1, seats), now()).expect("the plan makes a seat map")
}

/// Whether requests carry an idempotency key, as an honest client's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Each its own.
    Each,
    /// None.
    None,
}

/// A command that holds a seat for one of a thousand buyers.
pub fn hold(caller: Caller, seat: u32, keys: Keys, random: &mut SmallRng) -> Command {
    let key = (keys == Keys::Each).then(|| RequestKey { key: random.random(), fingerprint: random.random() });
    let wish = Wish::Seats([SeatIndex(seat)].into_iter().collect());
    Command::HoldSeats(HoldSeats { caller, wish, nonce: random.random(), key })
}

/// One hold for every seat, in random order, by a thousand buyers in turns.
pub fn holds(seats: u32, keys: Keys) -> Vec<Command> {
    let mut random = SmallRng::seed_from_u64(1);
    let buyers: Vec<Caller> = (0..1000).map(buyer).collect();
    let mut order: Vec<u32> = (0..seats).collect();
    order.shuffle(&mut random);
    order.iter().enumerate().map(|(at, &seat)| hold(buyers[at % buyers.len()], seat, keys, &mut random)).collect()
}

/// Decides and applies what must not be refused.
pub fn perform(inventory: &mut Inventory, command: &Command, now: Timestamp) {
    match inventory.decide(command, now) {
        Ok(Decision::Event(event)) => inventory.apply(now, &event),
        other => panic!("a command came to nothing: {other:?}"),
    }
}
