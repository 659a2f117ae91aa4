//! `onrush edge`: the API, for engines in other processes.

use std::process::ExitCode;
use std::sync::Arc;

use actix_rt::{Arbiter, System};
use anyhow::Context as _;
use onrush_api::key_file::{FollowedKeyFile, KeyFile};
use onrush_api::session::Revocations;
use onrush_api::ticket_code::TicketKeys;
use onrush_api::token::TokenKeys;
use onrush_edge::context::Context;
use onrush_edge::directory::Directory;
use onrush_edge::server::Surface;
use onrush_engine::client::Client;
use onrush_engine::time::SystemClock;
use tokio_util::sync::CancellationToken;

use crate::arguments::Shared;
use crate::plane::remote::{Remote, Told};
use crate::running::{self, StopSignals};
use crate::settings::{Settings, SettingsError};
use crate::{credentials, listen, people, telemetry};

#[derive(Debug, clap::Args)]
#[command(after_help = "It keeps nothing: any number of edges may serve the same engines, with the same keys.\n\n\
    Examples:\n  \
    onrush edge --engines 127.0.0.1:7411 --engine-key-file ./engine-data/engine.key --data ./edge-data\n  \
    onrush edge --engines engine-0:7411,engine-1:7411 --listen 0.0.0.0:8080 --data /keys\n  \
    onrush edge --control-plane 127.0.0.1:7410 --engine-key-file ./onrush-data/engine.key \\\n      \
    --token-key-file ./onrush-data/token.key --ticket-key-file ./onrush-data/ticket.key --data ./edge-data")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Engines, as host:port, with commas between them; they need not be there yet
    #[arg(long, value_name = "ADDRS")]
    engines: Option<String>,
    /// The server to ask about accounts, payments and deployments, and which engines there are; in the place of --engines
    #[arg(long, value_name = "ADDR")]
    control_plane: Option<String>,
    /// The keys that sign access tokens, the same for all [default: token.key in the data directory]
    #[arg(long, value_name = "FILE")]
    token_key_file: Option<String>,
    /// The keys that sign tickets, the same for all [default: ticket.key in the data directory]
    #[arg(long, value_name = "FILE")]
    ticket_key_file: Option<String>,
    /// The key of the engines [default: engine.key in the data directory]
    #[arg(long, value_name = "FILE")]
    engine_key_file: Option<String>,
    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let role = [
        ("engines", &arguments.engines),
        ("control_plane", &arguments.control_plane),
        ("token_key_file", &arguments.token_key_file),
        ("ticket_key_file", &arguments.ticket_key_file),
        ("engine_key_file", &arguments.engine_key_file),
        ("listen", &arguments.listen),
    ];
    let Some(settings) = arguments.shared.begin(&arguments.shared.layers(&role)?)? else {
        return Ok(ExitCode::SUCCESS);
    };
    if settings.engines.is_empty() && settings.control_plane_address.is_none() {
        let reason =
            "an edge needs engines: onrush edge --engines HOST:PORT,… or --control-plane HOST:PORT, which names them"
                .to_owned();
        return Err(SettingsError::Contradiction(reason).into());
    }
    System::new().block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let prometheus = telemetry::start()?;
    let data = &settings.engine.data;
    let threads = settings.http_threads.max(1);
    let api = listen::listeners(settings.listen, "--listen", threads)?;
    let ops = settings.ops_listen.map(|address| listen::listeners(address, "--ops-listen", 1)).transpose()?;
    let address = api[0].local_addr().context("the bound address")?;
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    running::withdraw(data, running::ADDRESS)?;
    let credentials = credentials::open(&settings)?;
    let key_file = &settings.token_key_file;
    let keys = Arc::new(open_keys(&settings)?);
    let client = Client::of_engines(&settings.engines, &credentials, Arc::new(SystemClock::start()));
    // Whoever has a payment provider hears of them from the engines, too.
    client.ignore_dues();
    let revocations = Arc::new(Revocations::default());
    let context = Context::new(
        settings.edge.clone(),
        Directory::of(client.clone()),
        Arc::clone(&keys),
        TicketKeys::open_or_create(&settings.ticket_key_file)?,
        Arc::clone(&revocations),
        prometheus.clone(),
    );
    let context = Arc::new(match &settings.control_plane_address {
        None => context,
        Some(address) => {
            // Until it was told which there are.
            client.expect_engines(true);
            let plane = Remote::new(address, &credentials);
            actix_rt::spawn(Arc::clone(&plane).keep(Told { client: client.clone(), revocations }));
            context.with_control_plane(plane.face()).with_payments(Some(plane.payments()))
        }
    });

    let shutdown = CancellationToken::new();
    let surface = if ops.is_some() { Surface::Public } else { Surface::Everything };
    // Where there is one, it is this one: what the engines say is heard on it.
    let thread = || if threads == 1 { Arbiter::current() } else { Arbiter::new().handle() };
    let serve = |listener| running::spawn(&thread(), listener, &context, surface, &shutdown);
    let mut served: Vec<_> = api.into_iter().map(serve).collect();
    for listener in ops.into_iter().flatten() {
        served.push(running::spawn(&Arbiter::current(), listener, &context, Surface::Operations, &shutdown));
    }
    // Before anybody knows that it serves: whoever stops it right after that is to see it drain.
    let signals = StopSignals::catch()?;
    running::announce(data, running::ADDRESS, address)?;
    running::print(&format!(
        "An edge serves http://{address}  (docs: http://{address}/docs, keys: {})\n",
        data.display()
    ));
    actix_rt::spawn(people::follow(FollowedKeyFile::new(key_file), keys));

    running::until_stopped(&client, prometheus, signals).await;
    tracing::info!("stopping: requests under way are answered first");
    shutdown.cancel();
    for connections in served {
        // A thread that ended has no connections left.
        connections.await.ok();
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Its keys have to be those of the server that it asks: with keys of its own nobody's token would be good.
fn open_keys(settings: &Settings) -> anyhow::Result<TokenKeys> {
    match settings.control_plane_address {
        None => Ok(KeyFile::open_or_create(&settings.token_key_file)?),
        Some(_) if !settings.token_key_file.exists() || !settings.ticket_key_file.exists() => {
            let reason = format!(
                "an edge signs and checks with its control plane's keys: {} and {} have to be there, see --token-key-file and \
                 --ticket-key-file",
                settings.token_key_file.display(),
                settings.ticket_key_file.display()
            );
            Err(SettingsError::Contradiction(reason).into())
        }
        Some(_) => Ok(KeyFile::open(&settings.token_key_file)?),
    }
}
