//! The Prometheus recorder of this process.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of latency buckets, in seconds: from a fast flush to a client's patience.
const SECONDS: [f64; 14] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1.0, 5.0];
/// Upper bounds of group sizes.
const EVENTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0];

/// Makes the recorder that all parts write to.
pub(crate) fn start() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), &EVENTS));
    let handle = builder.context("the metrics' buckets")?.install_recorder().context("the metrics recorder")?;
    for (name, what) in HELP {
        metrics::describe_counter!(*name, *what);
    }
    Ok(handle)
}

const HELP: &[(&str, &str)] = &[
    ("onrush_http_requests_total", "Requests answered, by route and status."),
    ("onrush_http_request_duration_seconds", "From the head of a request to its answer."),
    ("onrush_commands_total", "Commands by kind and what became of them."),
    ("onrush_engine_connected", "Of an edge: whether it is connected to the engine and has caught up."),
    (
        "onrush_engine_connection_failures_total",
        "Of an edge: connections to the engine that ended or did not come about.",
    ),
    ("onrush_seats", "Seats by performance and state."),
    ("onrush_mailbox_depth", "Commands waiting in the fullest mailbox."),
    ("onrush_journal_group_events", "Events of one commit."),
    ("onrush_journal_flush_duration_seconds", "How long a commit takes: write, flush and fdatasync."),
    ("onrush_recovery_duration_seconds", "How long the last start took to replay the journal."),
    ("onrush_journal_disk_free_bytes", "Room left where the journal lives."),
];
