//! Work that takes a while, where nobody waits for seats.

use onrush_api::problem::{Kind, Problem};

/// Does it on a thread of its own kind; whoever asked waits, and nobody else.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::new(Kind::Internal))
}
