//! `onrush engine`: performances and their journal, for edges in other processes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use actix_rt::{Arbiter, System};
use anyhow::{Context as _, bail};
use onrush_api::key_file::KeyFile;
use onrush_api::session::Revocations;
use onrush_api::ticket_code::TicketKeys;
use onrush_edge::context::Context;
use onrush_edge::directory::Directory;
use onrush_edge::server::Surface;
use onrush_engine::Health;
use onrush_engine::engine::Engine;
use onrush_engine::lease;
use tokio_util::sync::CancellationToken;

use crate::arguments::Shared;
use crate::running::{self, StopSignals};
use crate::settings::Settings;
use crate::{credentials, listen, telemetry};

#[derive(Debug, clap::Args)]
#[command(after_help = "Edges find it at --engine-listen, and need the file engine.key of its data directory.\n\n\
    Examples:\n  \
    onrush engine --data ./engine-data\n  \
    onrush engine --data /data --engine-listen 0.0.0.0:7411 --ops-listen 0.0.0.0:9090 --engine-key-file /keys/engine.key\n  \
    onrush engine --data ./second --take-over ./first --engine-listen 127.0.0.1:7412")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Address for edges [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDR")]
    engine_listen: Option<String>,
    /// The key that edges need, too; made where it is not there [default: engine.key in the data directory]
    #[arg(long, value_name = "FILE")]
    engine_key_file: Option<String>,
    /// Goes on in --data with what an engine has in this directory that hangs: waits for its lease to run out, and ends it for good
    #[arg(long, value_name = "DIR")]
    take_over: Option<PathBuf>,
    /// fsync: an answer means that the disk has it; relaxed: up to a second may be lost [default: fsync]
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let role = [
        ("engine_listen", &arguments.engine_listen),
        ("engine_key_file", &arguments.engine_key_file),
        ("durability", &arguments.durability),
    ];
    let Some(settings) = arguments.shared.begin(&arguments.shared.layers(&role)?)? else {
        return Ok(ExitCode::SUCCESS);
    };
    System::new().block_on(serve(settings, arguments.take_over.as_deref()))
}

async fn serve(mut settings: Settings, former: Option<&Path>) -> anyhow::Result<ExitCode> {
    let prometheus = telemetry::start()?;
    settings.engine.lease = Some(settings.lease);
    settings.engine.validate()?;
    let data = &settings.engine.data;
    let listener = listen::listeners(settings.engine_listen, "--engine-listen", 1)?.remove(0);
    let address = listener.local_addr().context("the bound address")?;
    let ops = settings.ops_listen.map(|address| listen::listeners(address, "--ops-listen", 1)).transpose()?;

    // Before all that takes a while: an edge that is started right after this engine needs it.
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    if let Some(former) = former {
        take_over(former, &settings).await?;
    }
    let credentials = credentials::open_or_create(&settings)?;
    let engine = Engine::open(&settings.engine)?;
    running::withdraw(data, running::ENGINE_ADDRESS)?;
    std::fs::write(data.join("pid"), std::process::id().to_string()).context("cannot write this process's number")?;
    tracing::info!(events = engine.recovered_events, took = ?engine.recovery, "the journal is recovered");
    let owner = Arbiter::new();
    let client = engine.start(&owner.handle()).await.context("the owner's thread ended")?;

    let shutdown = CancellationToken::new();
    let end = running::spawn_engine(&owner.handle(), listener, &client, credentials, &shutdown);
    let operations = Context::new(
        settings.edge.clone(),
        Directory::of(client.clone()),
        Arc::new(KeyFile::open_or_create(&settings.token_key_file)?),
        TicketKeys::open_or_create(&settings.ticket_key_file)?,
        Arc::new(Revocations::default()),
        prometheus.clone(),
    );
    let operations = Arc::new(operations);
    for listener in ops.into_iter().flatten() {
        // On another thread than the owner's: health is answered also while a rush keeps that one busy.
        drop(running::spawn(&Arbiter::current(), listener, &operations, Surface::Operations, &shutdown));
    }
    // Before anybody knows that it serves: whoever stops it right after that is to see it drain.
    let signals = StopSignals::catch()?;
    running::announce(data, running::ENGINE_ADDRESS, address)?;
    running::print(&format!(
        "An engine listens for edges on {address} (data: {})\nAn edge for it: onrush edge --engines {address} \
         --engine-key-file {} --data DIR\n",
        data.display(),
        settings.engine_key_file.display()
    ));
    actix_rt::spawn(running::watch_for_stalls(client.clone()));

    running::until_stopped(&client, prometheus, signals).await;
    tracing::info!("stopping: requests under way are answered first");
    shutdown.cancel();
    if *client.health().borrow() == Health::Running {
        // An edge that takes nothing is not waited for.
        tokio::time::timeout(settings.edge.drain_timeout, end).await.ok();
        client.settle().await;
    }
    let sound = *client.health().borrow() == Health::Running;
    if !sound {
        // Everybody who waited has been told; nothing more can be answered.
        tokio::time::sleep(running::FAILED_DRAIN).await;
    }
    owner.stop();
    tracing::info!("stopped");
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Goes on with what an engine has that hangs. Edges that know that one know this one, too, as it has its key.
async fn take_over(former: &Path, settings: &Settings) -> anyhow::Result<()> {
    let (before, own) = (former.join("engine.key"), &settings.engine_key_file);
    if before.exists() && own.exists() && std::fs::read(&before)? != std::fs::read(own)? {
        bail!(
            "{} is another key than {}: edges of the engine before would not know this one; remove it, or name the right one \
             with --engine-key-file",
            own.display(),
            before.display()
        );
    }
    lease::take_over(former, &settings.engine.data).await?;
    if before.exists() && !own.exists() {
        std::fs::copy(&before, own).with_context(|| format!("cannot copy {}", before.display()))?;
    }
    Ok(())
}
