//! What one commit takes on this disk, and so the best that P1 can be where clients wait for their answers.
//!
//! The journal's own store beside a file that is written in place, both with `fdatasync`, for the bytes of 16, 64 and 256
//! holds: the distance to the disk is what sled takes.

use std::time::{Duration, Instant};

use benches::disk::{HOLD_LEN, InPlace};
use benches::goal::{Spread, micros, print, wanted};
use benches::{platform, process};
use onrush_engine::journal::Stream;
use onrush_engine::journal::store::{Key, SledStore, Store as _};

const COMMITS: u32 = 2_000;
const GROUPS: [usize; 3] = [16, 64, 256];

fn main() -> anyhow::Result<()> {
    if !wanted("commit") {
        return Ok(());
    }
    for holds in GROUPS {
        let record = vec![0xa5; holds * HOLD_LEN];
        show(holds, "journal", &journal(&record)?);
        show(holds, "a file written in place", &in_place(&record)?);
    }
    Ok(())
}

fn show(holds: usize, name: &str, cost: &Cost) {
    let Cost { spread, cpu } = cost;
    let ceiling = holds as f64 / spread.p50.as_secs_f64();
    print(&format!(
        "P1 commit of {holds} holds, {name}: p50 {} µs, worst {} µs, CPU {} µs; {ceiling:.0} holds/s at most one \
         after the other",
        micros(spread.p50),
        micros(spread.worst),
        micros(*cpu),
    ));
}

struct Cost {
    spread: Spread,
    /// Of each commit, all threads of this process.
    cpu: Duration,
}

fn measure(mut commit: impl FnMut(u32) -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let this = std::process::id();
    let begun = process::cpu_time(this)?;
    let mut samples = Vec::with_capacity(COMMITS as usize);
    for number in 0..COMMITS {
        let begun = Instant::now();
        commit(number)?;
        samples.push(begun.elapsed());
    }
    Ok(Cost { spread: Spread::of(samples), cpu: (process::cpu_time(this)? - begun) / COMMITS })
}

fn journal(record: &[u8]) -> anyhow::Result<Cost> {
    let data = platform::directory()?;
    let mut store = SledStore::open(data.path())?;
    measure(|number| {
        let sequence = u64::from(number);
        store.append(&[(Key { stream: Stream(1), sequence }, record.to_vec())])?;
        Ok(store.flush(sequence + 1)?)
    })
}

fn in_place(record: &[u8]) -> anyhow::Result<Cost> {
    let data = platform::directory()?;
    let file = InPlace::create(data.path(), record.len() * COMMITS as usize)?;
    measure(|number| file.commit(number, record))
}
