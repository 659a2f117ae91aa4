//! Work that takes a while, where nobody waits for seats.

use onrush_api::problem::{Kind, Problem};
use tokio::sync::Semaphore;

/// So much is done at one time: the cores are for those who wait for seats.
static WORKING: Semaphore = Semaphore::const_new(2);
/// So many may have work done or wait for it; each has what it works on in memory.
static ASKING: Semaphore = Semaphore::const_new(ASKING_MAX);
const ASKING_MAX: usize = 64;

/// Does it on a thread of its own kind; whoever asked waits, and nobody else.
///
/// # Errors
/// `overloaded`, where too many ask.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let asking = ASKING.try_acquire().map_err(|_| Problem::new(Kind::Overloaded).retry_after(1))?;
    let working = WORKING.acquire().await.map_err(|_| Problem::new(Kind::Internal))?;
    // Who goes away does not stop it, so its place is free only when it is done.
    let work = move || {
        let done = work();
        drop((working, asking));
        done
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::new(Kind::Internal))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// One test, as the places are the process's.
    #[tokio::test]
    async fn places_are_bounded_and_kept_until_the_work_is_done() {
        let all = ASKING.acquire_many(ASKING_MAX as u32).await.unwrap();
        assert_eq!(apart(|| ()).await.map_err(|problem| problem.kind), Err(Kind::Overloaded));
        drop(all);
        let ((began, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let asked = tokio::spawn(apart(move || began.send(()).map(|()| ended.recv())));
        while begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_eq!((WORKING.available_permits(), ASKING.available_permits()), (1, ASKING_MAX - 1), "it still works");
        drop(end);
        while ASKING.available_permits() < ASKING_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(apart(|| 7).await.unwrap(), 7);
    }
}
