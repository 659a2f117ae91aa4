//! P7: what a seat, a booking and an open performance take.
//!
//! Bytes are those of live allocations, counted by this program's own allocator; resident memory is VmRSS.

use std::alloc::{GlobalAlloc, Layout, System as SystemAllocator};
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_rt::System;
use benches::goal::{Bound, print, resident, wanted};
use benches::hall::{self, Keys};
use benches::platform::{self, Platform};
use onrush_engine::command::{BookHold, Command, HoldSeats, RequestKey, Wish};
use onrush_engine::config::Config;
use onrush_engine::event::Event;
use onrush_engine::inventory::{Decision, Inventory};
use onrush_engine::seat_map::SeatIndex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The system's allocator, with a count of the bytes that are out.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts and passes on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller of this function promises.
        unsafe { SystemAllocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller of this function promises.
        unsafe { SystemAllocator.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

fn main() -> anyhow::Result<()> {
    if !wanted("memory") {
        return Ok(());
    }
    [5_000, 50_000].into_iter().for_each(seats);
    [(Keys::None, "without request keys"), (Keys::Each, "with the request keys of hold and booking")]
        .into_iter()
        .for_each(|(keys, name)| bookings(keys, name));
    System::new().block_on(performances())
}

fn seats(seats: u32) {
    let before = live();
    let inventory = hall::inventory(seats);
    let each = (live() - before) as f64 / f64::from(seats);
    print(&format!(
        "P7 memory of a seat, inventory of {seats} seats with its seat map: {each:.1} B ({})",
        Bound::AtMost(16.0).beside(each)
    ));
    drop(inventory);
}

/// Two seats each, every booking by another buyer.
fn bookings(keys: Keys, name: &str) {
    const BOOKINGS: u32 = 25_000;
    let mut inventory = hall::inventory(2 * BOOKINGS);
    let before = live();
    let mut random = SmallRng::seed_from_u64(1);
    for number in 0..BOOKINGS {
        book(&mut inventory, number, keys, &mut random);
    }
    let each = (live() - before) as f64 / f64::from(BOOKINGS);
    print(&format!(
        "P7 memory of a booking of two seats with its buyer, {name}: {each:.0} B ({})",
        Bound::AtMost(200.0).beside(each)
    ));
}

fn book(inventory: &mut Inventory, number: u32, keys: Keys, random: &mut SmallRng) {
    let now = inventory.now();
    let caller = hall::buyer(number as usize);
    let mut key = || (keys == Keys::Each).then(|| RequestKey { key: random.random(), fingerprint: random.random() });
    let wish = Wish::Seats([SeatIndex(2 * number), SeatIndex(2 * number + 1)].into_iter().collect());
    let hold = Command::HoldSeats(HoldSeats { caller, wish, nonce: u64::from(number), key: key() });
    let Ok(Decision::Event(event)) = inventory.decide(&hold, now) else { panic!("the seats are free") };
    inventory.apply(now, &event);
    let Event::SeatsHeld(held) = event else { panic!("seats were held") };
    let hold = onrush_engine::id::HoldId { performance: inventory.performance(), number: held.hold, nonce: held.nonce };
    let book = Command::BookHold(BookHold { caller, hold, purpose: None, nonce: u64::from(number), key: key() });
    hall::perform(inventory, &book, now);
    // As whoever publishes what changed does all the time.
    drop(inventory.touched());
}

async fn performances() -> anyhow::Result<()> {
    const PERFORMANCES: u64 = 1_000;
    const SEATS: u32 = 5_000;
    let data = platform::directory()?;
    let platform = Platform::open(&Config::new(data.path().to_owned())).await?;
    let (live_before, resident_before) = (live(), resident()?);
    let performances = platform.add_performances(PERFORMANCES, SEATS).await?;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let (grown, resident) = (mib(live() - live_before), mib(resident()?));
    print(&format!(
        "P7 memory of {PERFORMANCES} performances of {SEATS} seats, open in one engine: {resident:.0} MiB resident \
         ({}), {:.0} MiB of them before; allocations grew by {grown:.0} MiB",
        Bound::AtMost(400.0).beside(resident),
        mib(resident_before)
    ));
    drop(performances);
    platform.stop().await
}
