//! What an edge tells Prometheus. Labels come from the route table, so there are only so many series.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::router::Route;

/// The statuses that the API answers with, and their labels; another counts as the last.
const STATUSES: [(u16, &str); 24] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (411, "411"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (503, "503"),
    (507, "507"),
    (0, "other"),
];

/// An edge's handles, made when they are needed first.
pub(crate) struct Metrics {
    routes: Vec<RouteMetrics>,
    connections: Gauge,
    streams: Gauge,
    in_flight: Gauge,
}

struct RouteMetrics {
    seconds: OnceLock<Histogram>,
    requests: [OnceLock<Counter>; STATUSES.len()],
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let route = |_| RouteMetrics { seconds: OnceLock::new(), requests: std::array::from_fn(|_| OnceLock::new()) };
        Self {
            routes: Route::ALL.iter().map(route).collect(),
            connections: gauge!("onrush_http_connections"),
            streams: gauge!("onrush_http_streams"),
            in_flight: gauge!("onrush_http_requests_in_flight"),
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, route: Route, status: u16, took: Duration) {
        let metrics = &self.routes[route as usize];
        let place = STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len() - 1);
        let requests = metrics.requests[place].get_or_init(
            || counter!("onrush_http_requests_total", "route" => route.name(), "status" => STATUSES[place].1),
        );
        requests.increment(1);
        let seconds =
            metrics.seconds.get_or_init(|| histogram!("onrush_http_request_duration_seconds", "route" => route.name()));
        seconds.record(took.as_secs_f64());
    }

    pub(crate) fn show_load(&self, connections: usize, streams: usize, in_flight: usize) {
        self.streams.set(streams as f64);
        self.connections.set(connections as f64);
        self.in_flight.set(in_flight as f64);
    }
}
