//! `onrush serve`: engine and edge in one process.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle, System};
use anyhow::Context as _;
use onrush_api::key_file::{FollowedKeyFile, KeyFile};
use onrush_api::ticket_code::TicketKeys;
use onrush_api::token::Role;
use onrush_edge::context::Context;
use onrush_edge::directory::Directory;
use onrush_edge::server::{self, Surface};
use onrush_engine::Health;
use onrush_engine::client::Client;
use onrush_engine::engine::Engine;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::payments::Collecting;
use crate::people::People;
use crate::settings::{Layers, Settings, SettingsError};
use crate::{demo, listen, logging, people, telemetry};

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Every setting of --print-config can also stand in the file of --config, or in the environment as \
    ONRUSH_<NAME>; a flag beats the environment, which beats the file.\n\nExamples:\n  \
    onrush serve --listen 0.0.0.0:8080 --ops-listen 127.0.0.1:9090\n  \
    onrush serve --print-config > onrush.toml && onrush serve --config onrush.toml"
)]
pub(crate) struct Arguments {
    /// Directory of the journal, the snapshots and the signing key [default: ./onrush-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of /healthz, /readyz and /metrics [default: the API's]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// A TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// fsync: an answer means that the disk has it; relaxed: up to a second may be lost [default: fsync]
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Print what is in force and where each value came from, and stop
    #[arg(long)]
    print_config: bool,
}

impl Arguments {
    fn layers(&self) -> Result<Layers, SettingsError> {
        let layers = Layers::defaults().file(self.config.as_deref())?.variables(|name| std::env::var(name).ok());
        Ok(layers
            .flag("data", self.data.clone())
            .flag("listen", self.listen.clone())
            .flag("ops_listen", self.ops_listen.clone())
            .flag("durability", self.durability.clone())
            .flag("log_format", self.log_format.clone()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let layers = arguments.layers()?;
    let settings = Settings::read(&layers)?;
    if arguments.print_config {
        print(&layers.print());
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(&settings.log, settings.log_format)?;
    use_small_pages();
    System::new().block_on(serve(settings))
}

/// Huge pages are zeroed whole at the first touch, by the thread that touches them: while halls filled up, one answer in
/// a hundred waited for 9 ms instead of 3.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on: some answers may take longer");
    }
}

#[expect(clippy::print_stdout, reason = "what a person who started the server reads")]
fn print(text: &str) {
    print!("{text}");
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let prometheus = telemetry::start()?;
    let api = listen::listeners(settings.listen, "--listen", settings.http_threads.max(1))?;
    let ops = settings.ops_listen.map(|address| listen::listeners(address, "--ops-listen", 1)).transpose()?;
    let address = api[0].local_addr().context("the bound address")?;

    let engine = Engine::open(&settings.engine)?;
    withdraw(&settings)?;
    tracing::info!(events = engine.recovered_events, took = ?engine.recovery, "the journal is recovered");
    let key_file = KeyFile::path_in(&settings.engine.data);
    let keys = Arc::new(KeyFile::open_or_create(&key_file)?);
    let owner = Arbiter::new();
    let client = engine.start(&owner.handle()).await.context("the owner's thread ended")?;
    if settings.demo {
        demo::publish(&client).await?;
    }
    let banner = banner(&settings, &client, &keys, address);

    let people = People::open(&settings, &keys).await?;
    let context = Context::new(
        settings.edge.clone(),
        Directory::of(client.clone()),
        Arc::clone(&keys),
        TicketKeys::open_or_create(&TicketKeys::path_in(&settings.engine.data))?,
        Arc::clone(&people.revocations),
        prometheus.clone(),
    );
    let collecting = Collecting::start(&settings, &client, address).await?;
    let context = context.with_control_plane(people.face()).with_payments(collecting.face());
    let context = Arc::new(context);
    people.know(&context);
    let shutdown = CancellationToken::new();
    let surface = if ops.is_some() { Surface::Public } else { Surface::Everything };
    let mut served = Vec::new();
    for (place, listener) in api.into_iter().enumerate() {
        let thread = connections_thread(&owner, settings.http_threads, place);
        served.push(spawn(&thread, listener, &context, surface, &shutdown));
    }
    for listener in ops.into_iter().flatten() {
        // On a thread of its own kind: health is answered also while a rush keeps the others busy.
        served.push(spawn(&Arbiter::current(), listener, &context, Surface::Operations, &shutdown));
    }
    // Before anybody knows that it serves: whoever stops it right after that is to see it drain.
    let signals = StopSignals::catch()?;
    announce(&settings, address)?;
    print(&banner);
    actix_rt::spawn(watch_for_stalls(client.clone()));
    actix_rt::spawn(people.upkeep());
    collecting.run();
    actix_rt::spawn(people::follow(FollowedKeyFile::new(&key_file), keys));

    until_stopped(&client, prometheus, signals).await;
    tracing::info!("stopping: requests under way are answered first");
    shutdown.cancel();
    if *client.health().borrow() == Health::Running {
        for connections in served {
            // A thread that ended has no connections left.
            connections.await.ok();
        }
        client.settle().await;
    }
    let sound = *client.health().borrow() == Health::Running;
    if !sound {
        // Everybody who waited has been told; nothing more can be answered.
        tokio::time::sleep(FAILED_DRAIN).await;
    }
    owner.stop();
    tracing::info!("stopped");
    // The last flush may be the one that fails.
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The owner's own thread, where there are too few cores for more; else one of their own.
fn connections_thread(owner: &Arbiter, http_threads: usize, place: usize) -> ArbiterHandle {
    if http_threads == 0 {
        return owner.handle();
    }
    tracing::debug!(place, "a thread for connections");
    Arbiter::new().handle()
}

/// Serves a listener on a thread; the answer comes when it has stopped.
fn spawn(
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

/// What stops a server in good order.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on they do not end the process.
    fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("the SIGTERM handler")?,
            interrupt: signal(SignalKind::interrupt()).context("the SIGINT handler")?,
        })
    }
}

/// Waits for a signal, or for the engine to fail; keeps the metrics' memory small meanwhile.
async fn until_stopped(
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
const FAILED_DRAIN: Duration = Duration::from_millis(50);

/// A disk that neither writes nor fails leaves the journal waiting for ever, and everybody with it: a restart is better.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Ends the process when nothing has become durable for too long. There is nothing to drain then.
async fn watch_for_stalls(client: Client) {
    while tokio::time::timeout(STALL_MAX, client.settle()).await.unwrap_or(false) {
        tokio::time::sleep(STALL_MAX / 6).await;
    }
    tracing::error!("the engine is gone, or has waited for its disk for {STALL_MAX:?}, and must be started again");
    std::process::exit(1);
}

fn address_file(settings: &Settings) -> PathBuf {
    settings.engine.data.join("address")
}

/// Takes the address of the last start away, before anybody believes it.
fn withdraw(settings: &Settings) -> anyhow::Result<()> {
    let path = address_file(settings);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Leaves the address that was bound in the data directory, for whoever started the server on a free port.
fn announce(settings: &Settings, address: SocketAddr) -> anyhow::Result<()> {
    let path = address_file(settings);
    std::fs::write(&path, format!("{address}\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn banner(settings: &Settings, client: &Client, key: &onrush_api::token::TokenKeys, address: SocketAddr) -> String {
    let mut text = format!(
        "Onrush serves http://{address}  (docs: http://{address}/docs, data: {})\n",
        settings.engine.data.display()
    );
    let on_sale = client
        .shows()
        .all()
        .into_iter()
        .flat_map(|show| show.performances.clone())
        .find(|id| client.performance(*id).is_some_and(|known| known.publication.rules().on_sale(client.now())));
    if let Some(performance) = on_sale.filter(|_| settings.demo) {
        let buyer = "acc_demo-buyer".parse().expect("a well-formed account");
        let token = key.mint(buyer, Role::Buyer, client.now(), Duration::from_hours(12));
        text.push_str(&format!(
            "A buyer's token, valid for 12 hours:\n  {token}\nHold two seats:\n  curl -s -X POST \
             http://{address}/v1/performances/{performance}/holds -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' -H \"Idempotency-Key: $RANDOM$RANDOM\" -d '{{\"best_available\":{{\"quantity\":2}}}}'\n"
        ));
    }
    text
}
