//! What a server opens for edges in other processes: its control plane, and its own engine.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use anyhow::Context as _;
use onrush_engine::client::Client;
use onrush_engine::time::SystemClock;
use onrush_engine::wire::Credentials;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::serving::{self, Serving};
use crate::settings::{Settings, SettingsError};
use crate::{credentials, listen, running};

/// In the data directory: where edges ask the control plane.
const ADDRESS: &str = "plane-address";
/// Between two looks whether the own engine is heard, and how long that may take.
const LOOK: Duration = Duration::from_millis(2);
const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// See the module. The server's own edge is one of those that ask its engine then: what an engine tells edges is what it has itself,
/// and not what others have that its process knows of.
pub(crate) struct Open {
    plane: TcpListener,
    engine: TcpListener,
    /// Where the engine listens, and where edges elsewhere find it.
    bound: SocketAddr,
    own_engine: String,
    credentials: Credentials,
}

/// An engine that edges ask, also that of this process.
pub(crate) struct OpenEngine {
    plane: TcpListener,
    bound: SocketAddr,
    pub(crate) own_engine: String,
    pub(crate) credentials: Credentials,
    /// All engines, as an edge knows them.
    pub(crate) client: Client,
    stopped: oneshot::Receiver<()>,
}

impl Open {
    /// Binds what the settings name; nothing where the server has no edges elsewhere.
    pub(crate) fn bind(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.plane_listen else { return Ok(None) };
        let plane = listen::listeners(address, "--plane-listen", 1)?.remove(0);
        let engine = listen::listeners(settings.engine_listen, "--engine-listen", 1)?.remove(0);
        let bound = engine.local_addr().context("the engine's bound address")?;
        let own_engine = match &settings.engine_address {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => return Err(nowhere(bound).into()),
            None => bound.to_string(),
        };
        let data = &settings.engine.data;
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let credentials = credentials::open_or_create(settings)?;
        running::withdraw(data, ADDRESS)?;
        running::withdraw(data, running::ENGINE_ADDRESS)?;
        Ok(Some(Self { plane, engine, bound, own_engine, credentials }))
    }

    /// Lets edges ask the engine, until it is to stop; returns once this process's own has heard it.
    pub(crate) async fn serve_engine(
        self,
        engine: &Client,
        owner: &ArbiterHandle,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<OpenEngine> {
        let Self { plane, engine: listener, bound, own_engine, credentials } = self;
        let stopped = running::spawn_engine(owner, listener, engine, credentials.clone(), shutdown);
        let client = Client::of_engines(&[here(bound).to_string()], &credentials, Arc::new(SystemClock::start()));
        let heard = async {
            while !client.is_ready() {
                sleep(LOOK).await;
            }
        };
        timeout(HEARD_WITHIN, heard).await.context("the engine of this process does not answer at engine_listen")?;
        Ok(OpenEngine { plane, bound, own_engine, credentials, client, stopped })
    }
}

impl OpenEngine {
    /// Where this process finds its own engine.
    pub(crate) fn here(&self) -> String {
        here(self.bound).to_string()
    }

    /// For whoever reads what a server says at its start.
    pub(crate) fn how_to_ask(&self, settings: &Settings) -> anyhow::Result<String> {
        let address = self.plane.local_addr().context("the bound address for edges")?;
        let Settings { engine_key_file, token_key_file, ticket_key_file, .. } = settings;
        Ok(format!(
            "An edge for it: onrush edge --control-plane {address} --engine-key-file {} --token-key-file {} --ticket-key-file {} \
             --data DIR\n",
            engine_key_file.display(),
            token_key_file.display(),
            ticket_key_file.display()
        ))
    }

    /// Answers edges until it is to stop; returns what ends when that is done.
    pub(crate) fn serve(
        self,
        settings: &Settings,
        serving: Serving,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let address = self.plane.local_addr().context("the bound address for edges")?;
        let plane = tokio::spawn(serving::run(self.plane, Arc::new(serving), shutdown.clone()));
        running::announce(&settings.engine.data, ADDRESS, address)?;
        running::announce(&settings.engine.data, running::ENGINE_ADDRESS, self.bound)?;
        Ok(async move {
            if let Ok(Err(error)) = plane.await {
                tracing::error!(error = format!("{error:#}"), "edges were not served");
            }
            // A thread that ended has no connections left.
            self.stopped.await.ok();
        })
    }
}

/// Where something on this machine is that listens at an address.
fn here(mut bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(address) if address.ip().is_unspecified() => bound.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(address) if address.ip().is_unspecified() => bound.set_ip(Ipv6Addr::LOCALHOST.into()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
    }
    bound
}

fn nowhere(bound: SocketAddr) -> SettingsError {
    SettingsError::Contradiction(format!(
        "edges cannot find an engine at {bound}, which is every address of this machine: say with engine_address = HOST:PORT where it is"
    ))
}
