//! sled's I/O threads: one is enough for one writer, and seven are a herd.
//!
//! sled 0.34.7 keeps seven threads for its writes and wakes every one of them for each write (`notify_all` in its
//! `threadpool.rs`). A journal that flushes after every group has work for one. On two cores a commit of 5 KB cost
//! 290 µs of CPU and 440 µs of waiting with seven threads, 125 µs and 270 µs with one.
//!
//! sled has no setting for it, so all but one are put to rest here: a flush that is awaited is answered by an I/O
//! thread that wakes whoever waits, and our waiter's wake-up does not return.
//!
//! Is one enough? sled's threads wait for each other in one place: a write ends with the segments' lock, whose holder
//! may wait for a truncation that stands behind that write. Only a new segment right after a truncation gets there,
//! and sled keeps one free segment back so that this does not happen; between two syncs less than a segment is written.
//! Should it look as if it had happened all the same, one thread after another goes back to work until it is over.

use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The name of each thread, up to its number.
const NAME: &str = "sled-io-";
/// The first so many stay for good; others come where much is to be done, and go.
const STAYING: usize = 7;
/// Work that is under way for so long calls a thread back: it is noticed within twice that.
const STALL: Duration = Duration::from_secs(1);
/// To put a thread to rest takes microseconds; a start does not wait for one that never comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Taken while threads are put to rest, so that two stores that open at once leave one awake.
static BEDTIME: Mutex<()> = Mutex::new(());
/// Wake-ups that came, of whichever thread.
static WOKEN: AtomicUsize = AtomicUsize::new(0);
/// sled's threads are the process's, whatever the number of stores.
static RESTING: AtomicUsize = AtomicUsize::new(0);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);
/// Threads that were called back, ever: one for each stall, or more for a long one.
static RECALLED: AtomicU64 = AtomicU64::new(0);
/// How many of those may rest again.
static RESTED_AGAIN: AtomicU64 = AtomicU64::new(0);

/// Puts all but one of the process's I/O threads to rest that do not rest already.
///
/// # Errors
/// What a flush says that fails here: no later one may pass for it.
pub(super) fn rest(db: &sled::Db) -> Result<(), sled::Error> {
    let _alone = BEDTIME.lock().unwrap_or_else(PoisonError::into_inner);
    // A flush on an I/O thread needs another one for its write, if there is something to write: see that there is not.
    if resting() + 1 < STAYING {
        db.flush()?;
        if count() == 0 {
            // sled starts its threads when it has the first work for them.
            flush_async(db, Waker::noop())?;
        }
    }
    let begun = now();
    while resting() + 1 < STAYING && begun.elapsed() < PATIENCE {
        // They come one by one: until there are two, nobody can go.
        if resting() + 1 < count() {
            put_one_to_rest(db)?;
        } else {
            thread::yield_now();
        }
    }
    if resting() + 1 < count() {
        tracing::warn!("sled's I/O threads could not be put to rest: commits take longer than they need");
    }
    Ok(())
}

/// Asks an I/O thread for a flush; says whether it will wake the waiter.
fn flush_async(db: &sled::Db, waker: &Waker) -> Result<bool, sled::Error> {
    match pin!(db.flush_async()).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(flushed) => flushed.map(|_| false),
        Poll::Pending => Ok(true),
    }
}

fn resting() -> usize {
    RESTING.load(Ordering::SeqCst)
}

#[expect(clippy::disallowed_methods, reason = "patience with threads, decided by nothing that is journaled")]
fn now() -> Instant {
    Instant::now()
}

/// As [`rest`], if a stall has called threads back that has passed.
pub(super) fn rest_again(db: &sled::Db) -> Result<(), sled::Error> {
    let recalled = RECALLED.load(Ordering::SeqCst);
    if RESTED_AGAIN.swap(recalled, Ordering::SeqCst) != recalled {
        rest(db)?;
    }
    Ok(())
}

fn put_one_to_rest(db: &sled::Db) -> Result<(), sled::Error> {
    let woken = WOKEN.load(Ordering::SeqCst);
    let begun = now();
    let waker = Waker::from(Arc::new(Bed));
    // A thread that answers before it is asked to wake us goes on; then another try is needed.
    if flush_async(db, &waker)? {
        while WOKEN.load(Ordering::SeqCst) == woken && begun.elapsed() < PATIENCE {
            thread::yield_now();
        }
    }
    Ok(())
}

/// How many there are that stay: seven, or fewer where the system gave no more.
fn count() -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| stays(name.trim_end())).count()
}

fn stays(name: &str) -> bool {
    name.strip_prefix(NAME).and_then(|number| number.parse().ok()).is_some_and(|number: usize| number < STAYING)
}

/// Does work that sled's threads have a part in under the eyes of those who rest.
pub(super) fn watched<T>(work: impl FnOnce() -> T) -> T {
    let _ended = Ended;
    BEGUN.fetch_add(1, Ordering::Relaxed);
    work()
}

/// Counts the end of work, also of one that panics.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bed;

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        let stays = thread::current().name().is_some_and(stays);
        RESTING.fetch_add(usize::from(stays), Ordering::SeqCst);
        WOKEN.fetch_add(1, Ordering::SeqCst);
        // One that may go by itself must not be the one that is left.
        if stays {
            sleep_until_needed();
            RESTING.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "one of sled's threads sleeps here, never the owner's")]
fn sleep_until_needed() {
    let mut seen = Progress::now();
    loop {
        thread::sleep(STALL);
        let now = Progress::now();
        if now.stalled_since(seen) && now.recall_one() {
            tracing::warn!("a write takes very long: another of sled's I/O threads goes back to work");
            return;
        }
        seen = now;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    begun: u64,
    ended: u64,
    recalled: u64,
}

impl Progress {
    fn now() -> Self {
        let [begun, ended, recalled] = [&BEGUN, &ENDED, &RECALLED].map(|count| count.load(Ordering::SeqCst));
        Self { begun, ended, recalled }
    }

    /// Whether the same work has been under way all the time, and nobody has gone to help.
    fn stalled_since(self, before: Self) -> bool {
        self == before && self.begun != self.ended
    }

    /// Whether it falls to the caller to help: one at a time.
    fn recall_one(self) -> bool {
        RECALLED.compare_exchange(self.recalled, self.recalled + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_stalled_when_nothing_has_moved() {
        let progress = |begun, ended, recalled| Progress { begun, ended, recalled };
        assert!(progress(5, 4, 0).stalled_since(progress(5, 4, 0)));
        assert!(!progress(5, 5, 0).stalled_since(progress(5, 5, 0)), "none is under way");
        assert!(!progress(6, 5, 0).stalled_since(progress(5, 4, 0)), "another one");
        assert!(!progress(5, 4, 1).stalled_since(progress(5, 4, 0)), "somebody helps already");
    }

    #[test]
    fn only_those_that_stay_are_counted() {
        assert!(stays("sled-io-0") && stays("sled-io-6"));
        assert!(!stays("sled-io-7") && !stays("sled-io-") && !stays("tokio-6"));
    }

    #[test]
    fn all_but_one_rest_and_the_store_still_writes() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        rest(&db).unwrap();
        assert_eq!(resting() + 1, STAYING);
        db.insert(b"key", b"value").unwrap();
        watched(|| db.flush()).unwrap();
        rest(&db).unwrap();
        assert_eq!(resting() + 1, STAYING, "once for the process");

        let other_dir = tempfile::tempdir().unwrap();
        let other = sled::open(other_dir.path()).unwrap();
        rest(&other).unwrap();
        other.insert(b"key", b"value").unwrap();
        watched(|| other.flush()).unwrap();
        assert_eq!(RECALLED.load(Ordering::SeqCst), 0, "one is enough for two stores");
    }
}
