//! `onrush serve`: engine and edge in one process.

use std::net::SocketAddr;
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
use onrush_edge::server::Surface;
use onrush_engine::Health;
use onrush_engine::client::Client;
use onrush_engine::engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::arguments::Shared;
use crate::payments::Collecting;
use crate::people::People;
use crate::plane::open::{Open, OpenEngine};
use crate::plane::serving::Serving;
use crate::running::{self, StopSignals};
use crate::settings::Settings;
use crate::{demo, listen, people, telemetry};

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Every setting of --print-config can also stand in the file of --config, or in the environment as \
    ONRUSH_<NAME>; a flag beats the environment, which beats the file.\n\nExamples:\n  \
    onrush serve --listen 0.0.0.0:8080 --ops-listen 127.0.0.1:9090\n  \
    onrush serve --print-config > onrush.toml && onrush serve --config onrush.toml"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for edges in other processes, which are told of all engines; its own is at engine_listen then [default: none]
    #[arg(long, value_name = "ADDR")]
    plane_listen: Option<String>,
    /// Address at which edges find the engine of this server, with --plane-listen [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDR")]
    engine_listen: Option<String>,
    /// The key of engines, which edges need, too; made where it is not there [default: engine.key in the data directory]
    #[arg(long, value_name = "FILE")]
    engine_key_file: Option<String>,
    /// The keys that sign access tokens; made where they are not there [default: token.key in the data directory]
    #[arg(long, value_name = "FILE")]
    token_key_file: Option<String>,
    /// The keys that sign tickets; made where they are not there [default: ticket.key in the data directory]
    #[arg(long, value_name = "FILE")]
    ticket_key_file: Option<String>,
    /// fsync: an answer means that the disk has it; relaxed: up to a second may be lost [default: fsync]
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let role = [
        ("listen", &arguments.listen),
        ("plane_listen", &arguments.plane_listen),
        ("engine_listen", &arguments.engine_listen),
        ("engine_key_file", &arguments.engine_key_file),
        ("token_key_file", &arguments.token_key_file),
        ("ticket_key_file", &arguments.ticket_key_file),
        ("durability", &arguments.durability),
    ];
    let Some(settings) = arguments.shared.begin(&arguments.shared.layers(&role)?)? else {
        return Ok(ExitCode::SUCCESS);
    };
    System::new().block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let prometheus = telemetry::start()?;
    let api = listen::listeners(settings.listen, "--listen", settings.http_threads.max(1))?;
    let ops = settings.ops_listen.map(|address| listen::listeners(address, "--ops-listen", 1)).transpose()?;
    let address = api[0].local_addr().context("the bound address")?;

    let open = Open::bind(&settings)?;
    let engine = Engine::open(&settings.engine)?;
    running::withdraw(&settings.engine.data, running::ADDRESS)?;
    tracing::info!(events = engine.recovered_events, took = ?engine.recovery, "the journal is recovered");
    let key_file = settings.token_key_file.clone();
    let keys = Arc::new(KeyFile::open_or_create(&key_file)?);
    let owner = Arbiter::new();
    let engine = engine.start(&owner.handle()).await.context("the owner's thread ended")?;
    if settings.demo {
        demo::publish(&engine).await?;
    }
    // What is asked is answered before what answers it stops.
    let (shutdown, behind) = (CancellationToken::new(), CancellationToken::new());
    let open = match open {
        None => None,
        Some(open) => Some(open.serve_engine(&engine, &owner.handle(), &behind).await?),
    };
    let client = open.as_ref().map_or_else(|| engine.clone(), |open| open.client.clone());
    let mut banner = banner(&settings, &client, &keys, address);

    let own_engine = open.as_ref().map(OpenEngine::here);
    let people = People::open(&settings, &keys, &client, own_engine).await?;
    let context = Context::new(
        settings.edge.clone(),
        Directory::of(client.clone()),
        Arc::clone(&keys),
        TicketKeys::open_or_create(&settings.ticket_key_file)?,
        Arc::clone(&people.revocations),
        prometheus.clone(),
    );
    let collecting = Collecting::start(&settings, &client, address).await?;
    let context = context.with_control_plane(people.face()).with_payments(collecting.face());
    let context = Arc::new(context);
    people.know(&context);
    let surface = if ops.is_some() { Surface::Public } else { Surface::Everything };
    let mut served = Vec::new();
    for (place, listener) in api.into_iter().enumerate() {
        let thread = connections_thread(&owner, settings.http_threads, place);
        served.push(running::spawn(&thread, listener, &context, surface, &shutdown));
    }
    for listener in ops.into_iter().flatten() {
        // On a thread of its own kind: health is answered also while a rush keeps the others busy.
        served.push(running::spawn(&Arbiter::current(), listener, &context, Surface::Operations, &shutdown));
    }
    let edges = match open {
        None => None,
        Some(open) => {
            let serving = Serving {
                face: people.face(),
                payments: collecting.face(),
                client: client.clone(),
                names_all: people.names_all_engines(),
                own_engine: open.own_engine.clone(),
                revocations: Arc::clone(&people.revocations),
                edges: Arc::clone(&people.edges),
                credentials: open.credentials.clone(),
            };
            banner.push_str(&open.how_to_ask(&settings)?);
            Some(open.serve(&settings, serving, &behind)?)
        }
    };
    // Before anybody knows that it serves: whoever stops it right after that is to see it drain.
    let signals = StopSignals::catch()?;
    // Behind all that can fail: whoever fails to start leaves no engine behind.
    let seeing = people.start_engines();
    running::announce(&settings.engine.data, running::ADDRESS, address)?;
    running::print(&banner);
    actix_rt::spawn(running::watch_for_stalls(engine.clone()));
    actix_rt::spawn(people.upkeep());
    collecting.run(&client);
    actix_rt::spawn(people::follow(FollowedKeyFile::new(&key_file), keys));

    running::until_stopped(&engine, prometheus, signals).await;
    tracing::info!("stopping: requests under way are answered first");
    shutdown.cancel();
    if *engine.health().borrow() == Health::Running {
        for connections in served {
            // A thread that ended has no connections left.
            connections.await.ok();
        }
        behind.cancel();
        if let Some(edges) = edges {
            // One that takes nothing is not waited for.
            tokio::time::timeout(settings.edge.drain_timeout, edges).await.ok();
        }
        engine.settle().await;
    }
    people.stop_engines(seeing).await;
    let sound = *engine.health().borrow() == Health::Running;
    if !sound {
        // Everybody who waited has been told; nothing more can be answered.
        tokio::time::sleep(running::FAILED_DRAIN).await;
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
