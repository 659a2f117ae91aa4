//! What can be seen while a rush runs: a bar on a terminal, a line a second elsewhere. On standard error, so that a
//! report can be piped.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::sample::Live;

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Not at all.
    Quiet,
    /// A bar or lines, whichever suits where standard error goes.
    Shown,
}

impl Progress {
    /// Begins to show `live` on its way to `bots`.
    pub(crate) fn start(manner: Manner, bots: u64, live: Arc<Live>) -> Self {
        if manner == Manner::Quiet {
            return Self { stop: None, thread: None };
        }
        let (stop, stopped) = mpsc::channel();
        let show = move || {
            let face = Face::new(bots);
            let mut last = Seen::default();
            while stopped.recv_timeout(face.period()) == Err(RecvTimeoutError::Timeout) {
                let seen = Seen::read(&live);
                face.show(&seen, &last);
                last = seen;
            }
            face.finish();
        };
        Self { stop: Some(stop), thread: Some(thread::spawn(show)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Progress is an extra: a panic there must not spoil the rush.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The counters at one moment.
struct Seen {
    at: Instant,
    bots_done: u64,
    requests: u64,
    refusals: u64,
    seats_sold: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { at: Instant::now(), bots_done: 0, requests: 0, refusals: 0, seats_sold: 0 }
    }
}

impl Seen {
    fn read(live: &Live) -> Self {
        Self {
            at: Instant::now(),
            bots_done: Live::read(&live.bots_done),
            requests: Live::read(&live.requests),
            refusals: Live::read(&live.refusals),
            seats_sold: Live::read(&live.seats_sold),
        }
    }

    fn describe(&self, last: &Self) -> String {
        let rate = (self.requests - last.requests) as f64 / (self.at - last.at).as_secs_f64().max(1e-9);
        format!("{rate:.0} requests/s · {} seats sold · {} refusals", self.seats_sold, self.refusals)
    }
}

enum Face {
    Bar(ProgressBar),
    Lines { bots: u64, start: Instant },
}

impl Face {
    fn new(bots: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { bots, start: Instant::now() };
        }
        let template = "{elapsed:>4} {bar:30} {pos}/{len} bots · {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        Self::Bar(ProgressBar::new(bots).with_style(style))
    }

    fn period(&self) -> Duration {
        match self {
            Self::Bar(_) => Duration::from_millis(200),
            Self::Lines { .. } => Duration::from_secs(1),
        }
    }

    fn show(&self, seen: &Seen, last: &Seen) {
        let words = seen.describe(last);
        match self {
            Self::Bar(bar) => {
                bar.set_length(bar.length().unwrap_or_default().max(seen.bots_done));
                bar.set_message(words);
                bar.set_position(seen.bots_done);
            }
            Self::Lines { bots, start } => {
                let seconds = start.elapsed().as_secs();
                // Nobody may be reading any more; the rush goes on.
                let _ = writeln!(io::stderr(), "{seconds} s: {}/{bots} bots · {words}", seen.bots_done);
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_since_the_last() {
        let last = Seen::default();
        let at = last.at + Duration::from_secs(2);
        let seen = Seen { at, bots_done: 10, requests: 4_000, refusals: 7, seats_sold: 20 };
        assert_eq!(seen.describe(&last), "2000 requests/s · 20 seats sold · 7 refusals");
    }
}
