//! P3 in process: durable holds a second through mailbox, actor and journal, without HTTP.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use actix_rt::System;
use anyhow::Context as _;
use benches::goal::{Bound, print, wanted};
use benches::hall::{self, Keys};
use benches::platform::{self, Platform};
use benches::rounds::median;
use onrush_engine::command::Command;
use onrush_engine::config::Config;
use onrush_engine::mailbox::Ask;

const PERFORMANCES: u64 = 8;
const SEATS: u32 = 50_000;
const ROUNDS: usize = 3;
/// Callers that wait for an answer at one time, spread over the performances; a mailbox takes 4,096.
const CALLERS: [usize; 4] = [64, 1024, 4096, 16_384];

fn main() -> anyhow::Result<()> {
    if !wanted("engine") {
        return Ok(());
    }
    let commands = Rc::new(hall::holds(SEATS, Keys::Each));
    for callers in CALLERS {
        let rates = (0..ROUNDS).map(|_| System::new().block_on(holds_per_second(callers, &commands)));
        let rate = median(rates.collect::<anyhow::Result<_>>()?);
        print(&format!(
            "P3 durable holds in process, {callers} callers, {PERFORMANCES} performances: {rate:.0}/s ({})",
            Bound::AtLeast(500_000.0).beside(rate)
        ));
    }
    Ok(())
}

async fn holds_per_second(callers: usize, commands: &Rc<Vec<Command>>) -> anyhow::Result<f64> {
    let data = platform::directory()?;
    let platform = Platform::open(&Config::new(data.path().to_owned())).await?;
    let performances = platform.add_performances(PERFORMANCES, SEATS).await?;
    // Fewer for few callers, who wait for the disk each time.
    let total = (commands.len() * performances.len()).min(callers * 2000);
    let next = Rc::new(Cell::new(0usize));
    let begun = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (client, performances, next) = (platform.client.clone(), performances.clone(), Rc::clone(&next));
            let commands = Rc::clone(commands);
            actix_rt::spawn(async move {
                while next.get() < total {
                    let place = next.replace(next.get() + 1);
                    let performance = &performances[place % performances.len()];
                    let command = commands[place / performances.len()].clone();
                    client.ask(performance, Ask::Command(command)).await.context("a hold was refused")?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await.context("a caller panicked")??;
    }
    let elapsed = begun.elapsed();
    platform.stop().await?;
    Ok(total as f64 / elapsed.as_secs_f64())
}
