//! A worker's line of bots: the arrivals of a schedule, handed to whichever connection is free next.
//!
//! In a closed loop the next bot is always there. Otherwise a task, [`Arrivals::ring_in`], puts each bot in line at
//! its intended time; a bot that finds every connection busy waits, and its waiting counts as latency.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

use crate::schedule::Schedule;

/// A bot whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its number in the schedule.
    pub(crate) number: u64,
    /// When it was meant to start.
    pub(crate) intended: Instant,
}

/// Which of a schedule's bots are one worker's: every `workers`-th from `worker` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) worker: u64,
    pub(crate) workers: u64,
}

/// The arrivals of one worker.
#[derive(Debug)]
pub(crate) struct Arrivals {
    schedule: Arc<Schedule>,
    /// What the schedule's times are counted from.
    opening: Instant,
    step: u64,
    next: Cell<u64>,
    due: RefCell<VecDeque<Arrival>>,
    bell: Notify,
}

impl Arrivals {
    /// The line of one worker.
    pub(crate) fn new(schedule: Arc<Schedule>, share: Share, opening: Instant) -> Self {
        let next = Cell::new(share.worker);
        Self { schedule, opening, step: share.workers, next, due: RefCell::default(), bell: Notify::new() }
    }

    /// The next bot, when its time has come; `None` when all have been handed out.
    pub(crate) async fn next(&self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.due.borrow_mut().pop_front() {
                return Some(arrival);
            }
            if self.next.get() >= self.schedule.count() {
                return None;
            }
            if self.schedule.intended(self.next.get()).is_none() {
                return Some(Arrival { number: self.take_number(), intended: Instant::now() });
            }
            self.bell.notified().await;
        }
    }

    /// Puts each bot in line at its intended time; returns when all are.
    ///
    /// # Errors
    /// Where the system has no timer for us.
    pub(crate) async fn ring_in(&self) -> io::Result<()> {
        let timer = Timer::new()?;
        while let Some(after) = self.schedule.intended(self.next.get()) {
            let intended = self.opening + after;
            timer.wait_until(intended).await?;
            self.due.borrow_mut().push_back(Arrival { number: self.take_number(), intended });
            self.bell.notify_one();
        }
        self.bell.notify_waiters();
        Ok(())
    }

    fn take_number(&self) -> u64 {
        self.next.replace(self.next.get() + self.step)
    }
}

/// The kernel's timer. The runtime's own counts whole milliseconds, and a bot that starts late by one is a millisecond
/// of latency that no server caused. A timer's descriptor is read like a pipe: readable when the time has come.
struct Timer(Receiver);

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Receiver::from_owned_fd_unchecked(timer).map(Self)
    }

    async fn wait_until(&self, at: Instant) -> io::Result<()> {
        let span = at.saturating_duration_since(Instant::now());
        if span.is_zero() {
            return Ok(());
        }
        self.set(span)?;
        let mut expirations = [0; 8];
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut expirations) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(|_| ()),
            }
        }
    }

    fn set(&self, span: Duration) -> io::Result<()> {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: seconds, tv_nsec: i64::from(span.subsec_nanos()) },
        };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Share = Share { worker: 0, workers: 1 };

    async fn numbers(arrivals: &Arrivals) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(arrival) = arrivals.next().await {
            numbers.push(arrival.number);
        }
        numbers
    }

    #[tokio::test]
    async fn in_a_closed_loop_the_next_bot_is_always_there() {
        let schedule = Arc::new(Schedule::WhenFree { count: 5 });
        let arrivals = Arrivals::new(Arc::clone(&schedule), Share { worker: 1, workers: 2 }, Instant::now());
        assert_eq!(numbers(&arrivals).await, [1, 3]);
        assert_eq!(numbers(&Arrivals::new(schedule, ALL, Instant::now())).await, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn in_an_open_loop_bots_come_at_their_times() {
        let times: Vec<Duration> = [0, 300, 300, 2_500].map(Duration::from_micros).to_vec();
        let opening = Instant::now();
        let arrivals = Arrivals::new(Arc::new(Schedule::At(times)), ALL, opening);
        let first_three = async {
            let mut seen = Vec::new();
            while let Some(arrival) = arrivals.next().await {
                assert!(Instant::now() >= arrival.intended, "bot {} came too early", arrival.number);
                seen.push((arrival.number, arrival.intended - opening));
            }
            seen
        };
        let (rung, seen) = tokio::join!(arrivals.ring_in(), first_three);
        rung.unwrap();
        let micros: Vec<(u64, u128)> = seen.iter().map(|(number, after)| (*number, after.as_micros())).collect();
        assert_eq!(micros, [(0, 0), (1, 300), (2, 300), (3, 2_500)]);
    }
}
