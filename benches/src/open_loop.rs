//! Requests at a rate, whatever the server does: latency counts from when a request was meant to be sent, so a server
//! that is slow for a while is charged for everybody who waited (no coordinated omission).

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::thread;

use crate::client::{SILENCE_MAX, connect_all};
use crate::process::Stage;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Keep-alive connections; who finds none idle waits, and that counts.
    pub connections: usize,
    /// Requests a second.
    pub per_second: f64,
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub window: Duration,
}

/// An answer that comes meanwhile is seen so much later, and that counts.
const NAP: Duration = Duration::from_micros(50);

/// Sends a stage's requests, and measures: nanoseconds from when each was meant to be sent.
///
/// # Errors
/// Where anything but what was asked for comes.
pub fn measure(stage: &Stage, pace: Pace) -> anyhow::Result<Histogram<u64>> {
    // By itself Linux may let a thread sleep 50 µs longer than it asks for.
    thread::set_current_timer_slack(NonZeroU64::new(1)).context("no timer slack")?;
    let (poll, mut connections) = connect_all(stage, pace.connections)?;
    let mut latencies = Histogram::new(3).context("no histogram")?;
    let mut idle: VecDeque<usize> = (0..connections.len()).collect();
    let mut meant: Vec<Instant> = vec![Instant::now(); connections.len()];
    let (begun, mut next) = (Instant::now(), 0usize);
    let (from, until) = (begun + pace.warm_up, begun + pace.warm_up + pace.window);
    let due = |number: usize| begun + Duration::from_secs_f64(number as f64 / pace.per_second);
    let mut events = Vec::with_capacity(connections.len());
    let mut heard = begun;
    while due(next) < until || idle.len() < connections.len() {
        while due(next) < until && due(next) <= Instant::now() && !idle.is_empty() {
            let request = stage.requests.get(next).context("there are too few requests")?;
            let place = idle.pop_front().context("just seen")?;
            meant[place] = due(next);
            connections[place].send(request)?;
            next += 1;
        }
        events.clear();
        // epoll waits for whole milliseconds, which is longer than the time between two requests.
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&poll, spare_capacity(&mut events), Some(&no_wait)).context("epoll failed")?;
        if events.is_empty() {
            // Who spins takes a whole core from the server, whose threads then wait for each other.
            std::thread::sleep(due(next).saturating_duration_since(Instant::now()).min(NAP));
        }
        for event in &events {
            let place = event.data.u64() as usize;
            if connections[place].receive()? {
                heard = Instant::now();
                idle.push_back(place);
                if meant[place] >= from {
                    latencies.record((heard - meant[place]).as_nanos() as u64).context("no room in the histogram")?;
                }
            }
        }
        let silent = idle.len() < connections.len() && heard.elapsed().as_secs() > SILENCE_MAX.tv_sec as u64;
        ensure!(!silent, "no answer for {} s", SILENCE_MAX.tv_sec);
    }
    Ok(latencies)
}
