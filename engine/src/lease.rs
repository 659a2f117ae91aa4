//! The lease: an engine answers only while no other one can have taken its place.
//!
//! The lock on a data directory ends with its process. A process that hangs or is stopped keeps it, and may go on at any
//! moment. So an engine also renews a lease, and answers only for a part of the lease's length since the last renewal
//! *began*. Whoever sees no renewal for the whole length may take over: it names itself the successor, which one can do, and
//! once. From then on no renewal succeeds, so the former engine waits, and ends.
//!
//! What was answered is durable before it is answered, and no answer leaves after the lease has run out: so the successor,
//! which reads the journal after that, has all of it. (With relaxed durability it may lack the last second, as after a kill.) Between
//! the look at the lease and the system call that follows it an engine may be stopped, too; what it says then is late, and true: it
//! was durable, and the successor has it. Nobody's clock is compared with another's, only lengths of time are, each
//! by a clock that goes on while a process is stopped and a machine sleeps (Gray and Cheriton, "Leases", 1989).

mod file;
mod take_over;

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use metrics::counter;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::timeout;

use self::file::LeaseFile;
pub(crate) use self::file::successor;
pub use self::take_over::{TakeOverError, take_over};

/// Renewals in the length of a lease: some may be late.
const RENEWALS: u32 = 6;

/// Another engine has taken over, or nobody can tell whether one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no lease, and nobody who would take over.
    Free,
    /// Held until then, by [`uptime`]; maybe longer.
    Until(Duration),
    /// Another engine has taken over.
    Lost,
}

/// Whether an engine may answer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fence(watch::Receiver<State>);

impl Fence {
    /// That of an engine without a lease.
    pub(crate) fn none() -> Self {
        Self(watch::channel(State::Free).1)
    }

    /// Returns once the lease is held: at once, unless it ran out.
    ///
    /// # Errors
    /// [`Replaced`], for good.
    pub(crate) async fn held(&self) -> Result<(), Replaced> {
        let mut state = self.0.clone();
        loop {
            match *state.borrow_and_update() {
                State::Free => return Ok(()),
                State::Until(end) if uptime() < end => return Ok(()),
                State::Until(_) => {}
                State::Lost => return Err(Replaced),
            }
            // Nobody renews it any more.
            state.changed().await.map_err(|_| Replaced)?;
        }
    }

    /// Returns once the lease has run out, or is another engine's: what is being said then is not to be said on.
    pub(crate) async fn lapsed(&self) {
        let mut state = self.0.clone();
        loop {
            let end = match *state.borrow_and_update() {
                State::Free => return std::future::pending().await,
                State::Lost => return,
                State::Until(end) => end,
            };
            let left = end.saturating_sub(uptime());
            if left.is_zero() {
                return;
            }
            // By then it may have been renewed.
            if let Ok(Err(_)) = timeout(left, state.changed()).await {
                return;
            }
        }
    }

    /// Whether another engine has taken over.
    pub(crate) fn is_lost(&self) -> bool {
        *self.0.borrow() == State::Lost
    }
}

/// A lease that is renewed for as long as this is kept.
pub(crate) struct Lease {
    fence: Fence,
    /// Dropped to end the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl Lease {
    /// Takes the lease of a data directory that this process has the lock of, and that has no successor.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn hold(data: &Path, length: Duration) -> io::Result<Self> {
        let (begun, mut file) = (uptime(), LeaseFile::open(data, length)?);
        let state = if file.renew()? { held(begun, length) } else { State::Lost };
        let (told, fence) = watch::channel(state);
        let (stop, stopped) = mpsc::channel();
        let lapses = counter!("onrush_lease_lapses_total");
        lapses.increment(0);
        let renewing = move || {
            while *told.borrow() != State::Lost
                && stopped.recv_timeout(length / RENEWALS) == Err(RecvTimeoutError::Timeout)
            {
                renew(&mut file, length, &told, &lapses);
            }
        };
        let thread = thread::Builder::new().name("lease".into()).spawn(renewing)?;
        Ok(Self { fence: Fence(fence), stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the lease's thread panicked");
        }
    }
}

fn renew(file: &mut LeaseFile, length: Duration, told: &watch::Sender<State>, lapses: &metrics::Counter) {
    let begun = uptime();
    if matches!(*told.borrow(), State::Until(end) if end < begun) {
        lapses.increment(1);
        tracing::warn!("the lease was not renewed in time: answers waited");
    }
    match file.renew() {
        Ok(true) => drop(told.send_replace(held(begun, length))),
        Ok(false) => {
            tracing::error!("another engine has taken over: this one answers nothing more");
            told.send_replace(State::Lost);
        }
        // The next one may succeed; until then the one before counts.
        Err(error) => tracing::error!(%error, "the lease could not be renewed"),
    }
}

/// A part of the length: the clock of whoever watches may go faster.
fn held(begun: Duration, length: Duration) -> State {
    State::Until(begun + length * 2 / 3)
}

/// The time since the machine was started, with all the time that it slept.
pub(crate) fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    // Neither is ever negative.
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(state: State) -> (watch::Sender<State>, Fence) {
        let (told, fence) = watch::channel(state);
        (told, Fence(fence))
    }

    /// What the fence says by now, if anything.
    fn said(fence: &Fence) -> Option<Result<(), Replaced>> {
        futures_util::FutureExt::now_or_never(fence.held())
    }

    #[test]
    fn answers_wait_where_the_lease_has_run_out_and_go_on_when_it_is_renewed() {
        let (told, fence) = fence(State::Until(Duration::ZERO));
        assert_eq!(said(&fence), None);
        told.send_replace(held(uptime(), Duration::from_hours(1)));
        assert_eq!(said(&fence), Some(Ok(())));
        told.send_replace(State::Lost);
        assert_eq!((said(&fence), fence.is_lost()), (Some(Err(Replaced)), true));
    }

    #[test]
    fn where_nobody_renews_any_more_nobody_answers() {
        let (told, fence) = fence(State::Until(Duration::ZERO));
        drop(told);
        assert_eq!(said(&fence), Some(Err(Replaced)));
        assert_eq!(said(&Fence::none()), Some(Ok(())));
    }

    #[test]
    fn a_lease_holds_until_somebody_takes_over() {
        let (data, heir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let lease = Lease::hold(data.path(), Duration::from_millis(30)).unwrap();
        let fence = lease.fence();
        assert_eq!(futures_executor(fence.held()), Ok(()));
        file::name_successor(data.path(), heir.path()).unwrap();
        while !fence.is_lost() {
            thread::yield_now();
        }
        assert_eq!(said(&fence), Some(Err(Replaced)));
        let other = Lease::hold(data.path(), Duration::from_millis(30)).unwrap();
        assert!(other.fence().is_lost());
    }

    fn futures_executor<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }
}
