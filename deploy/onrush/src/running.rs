//! What every server of this binary does: listen, tell where, stop in good order, and not hang.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use anyhow::Context as _;
use onrush_edge::context::Context;
use onrush_edge::server::{self, Surface};
use onrush_engine::Health;
use onrush_engine::client::Client;
use onrush_engine::wire::Credentials;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Huge pages are zeroed whole at the first touch, by the thread that touches them: while halls filled up, one answer in
/// a hundred waited for 9 ms instead of 3.
pub(crate) fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on: some answers may take longer");
    }
}

#[expect(clippy::print_stdout, reason = "what a person who started the server reads")]
pub(crate) fn print(text: &str) {
    print!("{text}");
}

/// Serves a listener on a thread; the answer comes when it has stopped.
pub(crate) fn spawn(
    thread: &ArbiterHandle,
    listener: TcpListener,
    context: &Arc<Context>,
    surface: Surface,
    shutdown: &CancellationToken,
) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    let (context, shutdown) = (Arc::clone(context), shutdown.clone());
    thread.spawn_fn(move || {
        actix_rt::spawn(async move {
            if let Err(error) = server::run(listener, context, surface, shutdown).await {
                tracing::error!(%error, "a listener failed");
            }
            // Whoever waited and went away needs no answer.
            ended.send(()).ok();
        });
    });
    end
}

/// Serves the engine of this process to edges, on its owner's thread; the answer comes when that has stopped.
pub(crate) fn spawn_engine(
    owner: &ArbiterHandle,
    listener: TcpListener,
    client: &Client,
    credentials: Credentials,
    shutdown: &CancellationToken,
) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    let (served, stop) = (client.clone(), shutdown.clone());
    owner.spawn_fn(move || {
        actix_rt::spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => onrush_engine::server::run(listener, served, credentials, stop).await,
                Err(error) => tracing::error!(%error, "the listener for edges failed"),
            }
            // Whoever waited and went away needs no answer.
            ended.send(()).ok();
        });
    });
    end
}

/// What stops a server in good order.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on they do not end the process.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("the SIGTERM handler")?,
            interrupt: signal(SignalKind::interrupt()).context("the SIGINT handler")?,
        })
    }
}

/// Waits for a signal, or for the engine to fail; keeps the metrics' memory small meanwhile.
pub(crate) async fn until_stopped(
    client: &Client,
    prometheus: metrics_exporter_prometheus::PrometheusHandle,
    mut signals: StopSignals,
) {
    let mut upkeep = tokio::time::interval(Duration::from_secs(5));
    let mut health = client.health();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            failed = health.wait_for(|health| *health != Health::Running) => {
                drop(failed);
                // Whoever waits gets its 503 while the process ends; the next start recovers from the disk.
                return;
            }
            _ = upkeep.tick() => prometheus.run_upkeep(),
        }
    }
}

/// What it takes to send the last answers of an engine that has failed.
pub(crate) const FAILED_DRAIN: Duration = Duration::from_millis(50);

/// A disk that neither writes nor fails leaves the journal waiting for ever, and everybody with it: a restart is better.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Ends the process when nothing has become durable for too long. There is nothing to drain then.
pub(crate) async fn watch_for_stalls(client: Client) {
    while tokio::time::timeout(STALL_MAX, client.settle()).await.unwrap_or(false) {
        tokio::time::sleep(STALL_MAX / 6).await;
    }
    tracing::error!("the engine is gone, or has waited for its disk for {STALL_MAX:?}, and must be started again");
    std::process::exit(1);
}

/// In the data directory: where the API is.
pub(crate) const ADDRESS: &str = "address";
/// In the data directory: where an engine listens for edges.
pub(crate) const ENGINE_ADDRESS: &str = "engine-address";

/// Takes the address of the last start away, before anybody believes it.
pub(crate) fn withdraw(data: &Path, file: &str) -> anyhow::Result<()> {
    let path = data.join(file);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Leaves the address that was bound in the data directory, for whoever started the server on a free port.
pub(crate) fn announce(data: &Path, file: &str, address: SocketAddr) -> anyhow::Result<()> {
    let path = data.join(file);
    std::fs::write(&path, format!("{address}\n")).with_context(|| format!("cannot write {}", path.display()))
}
