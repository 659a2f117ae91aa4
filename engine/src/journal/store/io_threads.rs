//! sled's I/O threads: one is enough for one writer, and seven are a herd.
//!
//! sled 0.34.7 keeps seven threads for its writes and wakes every one of them for each write (`notify_all` in its
//! `threadpool.rs`). A journal that flushes after every group has work for one. On two cores a commit of 5 KB cost
//! 290 µs of CPU and 440 µs of waiting with seven threads, 125 µs and 270 µs with one.
//!
//! sled has no setting for it, so all but one are put to rest here: a flush that is awaited is answered by an I/O
//! thread that wakes whoever waits, and our waiter's wake-up does not return. Should a flush ever take so long that it
//! looks as if one thread were too few, the others go back to work.

use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

/// How many threads sled starts (`DESIRED_WAITING_THREADS`), but for the one that goes on working.
const TO_REST: usize = 7 - 1;
/// A flush that is under way for longer than this, and for less than twice as long, calls the others back.
const STALL: Duration = Duration::from_secs(1);
/// An I/O thread may answer before it is asked to wake us; then another try is needed.
const TRIES_MAX: usize = 1000;

/// Taken while threads are put to rest, so that two stores that open at once leave one awake.
static BEDTIME: Mutex<()> = Mutex::new(());
/// sled's threads are the process's, whatever the number of stores.
static RESTING: AtomicUsize = AtomicUsize::new(0);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Puts all but one of the process's I/O threads to rest, unless they rest already.
pub(super) fn rest(db: &sled::Db) {
    let _alone = BEDTIME.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..TRIES_MAX {
        let resting = RESTING.load(Ordering::SeqCst);
        if resting >= TO_REST {
            return;
        }
        let waker = Waker::from(Arc::new(Bed));
        if pin!(db.flush_async()).poll(&mut Context::from_waker(&waker)).is_pending() {
            while RESTING.load(Ordering::SeqCst) == resting {
                thread::yield_now();
            }
        }
    }
    tracing::debug!("sled's I/O threads could not be put to rest: commits take longer than they need");
}

/// Does the work of a flush under the eyes of those who rest.
pub(super) fn watched<T>(flush: impl FnOnce() -> T) -> T {
    BEGUN.fetch_add(1, Ordering::Relaxed);
    let outcome = flush();
    ENDED.fetch_add(1, Ordering::Relaxed);
    outcome
}

struct Bed;

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        RESTING.fetch_add(1, Ordering::SeqCst);
        let mut seen = Flushes::now();
        loop {
            thread::park_timeout(STALL);
            let now = Flushes::now();
            if now.stalled_since(seen) {
                tracing::warn!("a flush takes very long: another of sled's I/O threads goes back to work");
                return;
            }
            seen = now;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Flushes {
    begun: u64,
    ended: u64,
}

impl Flushes {
    fn now() -> Self {
        Self { begun: BEGUN.load(Ordering::Relaxed), ended: ENDED.load(Ordering::Relaxed) }
    }

    /// Whether one has been under way all the time since.
    fn stalled_since(self, before: Self) -> bool {
        self == before && self.begun != self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_stalled_when_nothing_has_moved() {
        let flushes = |begun, ended| Flushes { begun, ended };
        assert!(flushes(5, 4).stalled_since(flushes(5, 4)));
        assert!(!flushes(5, 5).stalled_since(flushes(5, 5)), "none is under way");
        assert!(!flushes(6, 5).stalled_since(flushes(5, 4)), "another one");
    }

    #[test]
    fn all_but_one_rest_and_the_store_still_writes() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        rest(&db);
        assert_eq!(RESTING.load(Ordering::SeqCst), TO_REST);
        db.insert(b"key", b"value").unwrap();
        watched(|| db.flush()).unwrap();
        rest(&db);
        assert_eq!(RESTING.load(Ordering::SeqCst), TO_REST, "once for the process");
    }
}
