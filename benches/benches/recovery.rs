//! P8: how soon an engine is back: events replayed a second, and the start of one large performance with a snapshot.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_rt::System;
use anyhow::Context as _;
use benches::goal::{Bound, millions, print, wanted};
use benches::hall::{self, Keys};
use benches::platform::{self, Platform};
use benches::rounds::median;
use onrush_engine::client::Performance;
use onrush_engine::command::Command;
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::journal::recovery::recover;
use onrush_engine::journal::snapshot::Snapshots;
use onrush_engine::journal::store::SledStore;
use onrush_engine::mailbox::Ask;

const SEATS: u32 = 50_000;
/// A million events.
const PERFORMANCES: u64 = 20;
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    if !wanted("recovery") {
        return Ok(());
    }
    replay()?;
    snapshot()
}

fn replay() -> anyhow::Result<()> {
    let data = platform::directory()?;
    let config = Config::new(data.path().to_owned());
    System::new().block_on(async {
        let platform = Platform::open(&config).await?;
        let performances = platform.add_performances(PERFORMANCES, SEATS).await?;
        hold_everything(&platform, &performances).await?;
        platform.stop().await
    })?;
    let mut rates = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let engine = Engine::open(&config)?;
        starts.push(begun.elapsed().as_secs_f64());
        rates.push(engine.recovered_events as f64 / engine.recovery.as_secs_f64());
    }
    let (rate, start) = (median(rates), median(starts));
    let events = u64::from(SEATS) * PERFORMANCES;
    print(&format!("P8 replay of {events} events: {} events/s ({})", millions(rate), Bound::AtLeast(1e6).beside(rate)));
    print(&format!(
        "P8 the whole start of an engine with {events} events, the store's own included: {start:.2} s ({})",
        Bound::AtMost(10.0).beside(start)
    ));
    Ok(())
}

fn snapshot() -> anyhow::Result<()> {
    let data = platform::directory()?;
    let config = Config { snapshot_every_events: 1000, ..Config::new(data.path().to_owned()) };
    System::new().block_on(async {
        let platform = Platform::open(&config).await?;
        let performances = platform.add_performances(1, SEATS).await?;
        hold_everything(&platform, &performances).await?;
        wait_for_snapshot(data.path()).await?;
        platform.stop().await
    })?;
    let mut parts = Parts::default();
    for _ in 0..ROUNDS {
        parts.measure(&config)?;
    }
    let (ready, store, read, rest) = parts.medians();
    print(&format!(
        "P8 ready with a snapshot of {SEATS} seats, all held: {ready:.0} ms ({})",
        Bound::AtMost(200.0).beside(ready)
    ));
    print(&format!("   of them the store {store:.0} ms, the snapshot's file {read:.0} ms, the inventory {rest:.0} ms"));
    Ok(())
}

/// Milliseconds of several starts.
#[derive(Default)]
struct Parts {
    ready: Vec<f64>,
    store: Vec<f64>,
    read: Vec<f64>,
    inventory: Vec<f64>,
}

impl Parts {
    fn measure(&mut self, config: &Config) -> anyhow::Result<()> {
        let millis = |begun: Instant| begun.elapsed().as_secs_f64() * 1000.0;
        let begun = Instant::now();
        System::new().block_on(async {
            let platform = Platform::open(config).await?;
            self.ready.push(millis(begun));
            platform.stop().await
        })?;
        let begun = Instant::now();
        let store = SledStore::open(&config.data.join("journal"))?;
        self.store.push(millis(begun));
        let begun = Instant::now();
        let snapshots = Snapshots::open(&config.data)?.read_all()?;
        self.read.push(millis(begun));
        let begun = Instant::now();
        recover(&store, snapshots)?;
        self.inventory.push(millis(begun));
        Ok(())
    }

    fn medians(self) -> (f64, f64, f64, f64) {
        (median(self.ready), median(self.store), median(self.read), median(self.inventory))
    }
}

async fn hold_everything(platform: &Platform, performances: &[Performance]) -> anyhow::Result<()> {
    let commands: Rc<Vec<Command>> = Rc::new(hall::holds(SEATS, Keys::Each));
    // As many callers at one time as its mailbox has room for.
    for performance in performances {
        let callers: Vec<_> = (0..2048)
            .map(|first| {
                let (client, performance) = (platform.client.clone(), performance.clone());
                let commands = Rc::clone(&commands);
                actix_rt::spawn(async move {
                    for command in commands.iter().skip(first).step_by(2048) {
                        let asked = client.ask(&performance, Ask::Command(command.clone())).await;
                        asked.context("a hold was refused")?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await.context("a caller panicked")??;
        }
    }
    Ok(())
}

/// The engine writes it soon after the last hold.
async fn wait_for_snapshot(data: &Path) -> anyhow::Result<()> {
    let mut newest = None;
    loop {
        actix_rt::time::sleep(Duration::from_millis(1500)).await;
        let mut files = std::fs::read_dir(data.join("snapshots")).context("no snapshots")?.flatten();
        let written = files.find_map(|file| file.metadata().ok()?.modified().ok());
        if written.is_some() && written == newest {
            return Ok(());
        }
        newest = written;
    }
}
