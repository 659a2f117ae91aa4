//! Work that takes a while, where nobody waits for seats.

use onrush_api::problem::{Kind, Problem};
use tokio::sync::Semaphore;

/// So much is done at one time: the cores are for those who wait for seats.
static WORKING: Semaphore = Semaphore::const_new(2);
/// So many may have work done or wait for it; each has what it works on in memory.
static ASKING: Semaphore = Semaphore::const_new(64);

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
