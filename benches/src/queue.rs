//! What a queue costs (P11): a question goes through it to one who answers at once, and the answer comes back.
//!
//! Closed loop: so many callers, each with one question under way. What is counted is the way there and back, and nothing
//! else: Onrush's actor is asked for a hold that does not exist, and RabbitMQ's consumer sends back what it got.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::task::spawn_local;

use crate::client::{Load, Measured};
use crate::process::{cpu_time, machine_cpu_time};

/// One after the other, until time is up: callers ask, and their latencies are kept.
///
/// `ask` is given the caller's number. `others` is the CPU time of whoever else works for an answer.
///
/// # Errors
/// The first question that fails.
pub async fn measure<A, F>(
    load: Load,
    others: impl Fn() -> anyhow::Result<Duration>,
    ask: A,
) -> anyhow::Result<Measured>
where
    A: Fn(usize) -> F + Clone + 'static,
    F: Future<Output = anyhow::Result<()>> + 'static,
{
    let cpu = || anyhow::Ok([others()? + cpu_time(std::process::id())?, machine_cpu_time()?]);
    let run =
        Rc::new(Run { counts: Cell::new(false), ends: Cell::new(false), latencies: RefCell::new(Histogram::new(3)?) });
    let callers = (0..load.connections).map(|caller| spawn_local(Rc::clone(&run).call(caller, ask.clone())));
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(load.warm_up).await;
    let (before, begun) = (cpu()?, Instant::now());
    run.counts.set(true);
    tokio::time::sleep(load.window).await;
    run.counts.set(false);
    let (elapsed, after) = (begun.elapsed(), cpu()?);
    run.ends.set(true);
    for caller in callers {
        caller.await.context("a caller panicked")??;
    }
    let [cpu, machine_cpu] = [0, 1].map(|at| after[at].saturating_sub(before[at]));
    let latencies = run.latencies.borrow().clone();
    Ok(Measured { answers: latencies.len(), elapsed, cpu, client_cpu: Duration::ZERO, machine_cpu, latencies })
}

struct Run {
    counts: Cell<bool>,
    ends: Cell<bool>,
    latencies: RefCell<Histogram<u64>>,
}

impl Run {
    async fn call<A, F>(self: Rc<Self>, caller: usize, ask: A) -> anyhow::Result<()>
    where
        A: Fn(usize) -> F,
        F: Future<Output = anyhow::Result<()>>,
    {
        while !self.ends.get() {
            let sent = Instant::now();
            ask(caller).await?;
            if self.counts.get() {
                self.latencies.borrow_mut().record(sent.elapsed().as_nanos() as u64)?;
            }
        }
        Ok(())
    }
}
