//! What every request needs: the engine, the keys, the caches, the counts.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use onrush_api::session::Revocations;
use onrush_api::ticket_code::TicketKeys;
use onrush_api::token::TokenKeys;
use onrush_engine::time::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::auth::Tokens;
use crate::availability::Availabilities;
use crate::config::Config;
use crate::connections::Connections;
use crate::control_plane::ControlPlane;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::payments::Payments;
use crate::shed::InFlight;
use crate::streams::Streams;

/// How often a patch is merged into what is in force by then, where others change the same over other edges.
pub(crate) const MERGES_MAX: u32 = 5;

/// Enough that a seller who changes without end seldom stands in another's way.
const CHANGES: usize = 256;

/// See the module. Shared by all connections of an edge.
pub struct Context {
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    pub(crate) tokens: Tokens,
    pub(crate) ticket_keys: Arc<TicketKeys>,
    /// Nothing where this edge knows of none.
    pub(crate) control_plane: Option<ControlPlane>,
    /// Nothing where nobody takes payments.
    pub(crate) payments: Option<Payments>,
    pub(crate) availabilities: Availabilities,
    pub(crate) streams: Arc<Streams>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) in_flight: InFlight,
    /// Of those whose ids have the same place here, one is changed at a time.
    changes: [Mutex<()>; CHANGES],
    pub(crate) metrics: Metrics,
    pub(crate) pages: Pages,
    prometheus: PrometheusHandle,
}

impl Context {
    /// What an edge needs to serve the performances of a directory. `prometheus` must be the handle of the recorder
    /// that is installed.
    pub fn new(
        config: Config,
        directory: Directory,
        keys: Arc<TokenKeys>,
        ticket_keys: TicketKeys,
        revocations: Arc<Revocations>,
        prometheus: PrometheusHandle,
    ) -> Self {
        let (capacity, per_second) = (config.token_cache_capacity, config.requests_per_second_per_account);
        Self {
            tokens: Tokens::new(keys, revocations, capacity, per_second),
            ticket_keys: Arc::new(ticket_keys),
            control_plane: None,
            payments: None,
            connections: Arc::new(Connections::new(config.connections_max, config.connections_per_prefix_max)),
            in_flight: InFlight::new(config.requests_in_flight_max),
            availabilities: Availabilities::default(),
            streams: Arc::new(Streams::new(
                config.streams_max,
                config.connections_per_prefix_max,
                config.silence_max(),
            )),
            changes: std::array::from_fn(|_| Mutex::new(())),
            metrics: Metrics::new(),
            pages: Pages::new(),
            config,
            directory,
            prometheus,
        }
    }

    /// With a control plane, to which this edge passes on what is not its own.
    #[must_use]
    pub fn with_control_plane(self, control_plane: ControlPlane) -> Self {
        Self { control_plane: Some(control_plane), ..self }
    }

    /// With somebody who collects payments.
    #[must_use]
    pub fn with_payments(self, payments: Option<Payments>) -> Self {
        Self { payments, ..self }
    }

    /// Whether somebody collects payments.
    pub(crate) fn takes_payments(&self) -> bool {
        self.payments.as_ref().is_some_and(|payments| (payments.is_open)())
    }

    /// To be held from reading what a patch is merged into until the result is durable: of two at once at this edge, neither
    /// has to be merged anew.
    pub(crate) async fn changing(&self, id: u64) -> MutexGuard<'_, ()> {
        self.changes[id as usize % CHANGES].lock().await
    }

    /// The platform's time: the engine's.
    pub(crate) fn now(&self) -> Timestamp {
        self.directory.now()
    }

    /// The text of `/metrics`; takes some milliseconds, so not on a thread that serves connections.
    pub(crate) async fn render_metrics(&self) -> String {
        let prometheus = self.prometheus.clone();
        // Rendering plain numbers does not panic; if it did, an empty answer is what a scraper should get.
        tokio::task::spawn_blocking(move || prometheus.render()).await.unwrap_or_default()
    }
}
