//! For machines and operators: the API's description, problem pages, health, metrics.

use hyper::StatusCode;
use onrush_api::problem::{Kind, Problem};

use crate::answer::Answer;
use crate::request::{Request, segments};

pub(crate) fn openapi(request: &Request<'_>) -> Answer {
    Answer::bytes(StatusCode::OK, request.context.pages.openapi.clone())
}

pub(crate) fn docs(request: &Request<'_>) -> Answer {
    Answer::page(request.context.pages.docs.clone())
}

/// Whoever opens the bare address in a browser is shown what there is.
pub(crate) fn root() -> Answer {
    Answer::text(StatusCode::FOUND, "text/plain; charset=utf-8", "The API is described at /docs.\n")
        .location("/docs".to_owned())
}

pub(crate) fn problem(request: &Request<'_>) -> Result<Answer, Problem> {
    let (segments, _) = segments(request.parts.uri.path());
    let page = request.context.pages.problem(segments[1]);
    page.map(Answer::page).ok_or_else(|| Problem::new(Kind::NotFound))
}

/// The process lives
#[utoipa::path(get, path = "/healthz", tag = "Operating", responses((status = 200, description = "It does")))]
pub(crate) fn health() -> Answer {
    Answer::text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

/// The journal is recovered and takes changes
#[utoipa::path(get, path = "/readyz", tag = "Operating",
    responses((status = 200, description = "It does"), (status = 503, description = "It does not")))]
pub(crate) fn ready(request: &Request<'_>) -> Result<Answer, Problem> {
    match request.context.directory.is_ready() {
        true => Ok(Answer::text(StatusCode::OK, "text/plain; charset=utf-8", "ready\n")),
        false => {
            let detail = if request.context.directory.has_engine_here() {
                "The journal has failed; the engine must be started again."
            } else {
                "No engine is heard: see the log, and onrush_engine_connected in the metrics."
            };
            Err(Problem::new(Kind::Overloaded).detail(detail).retry_after(1))
        }
    }
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "Operating", responses((status = 200, description = "Prometheus text")))]
pub(crate) async fn metrics(request: &Request<'_>) -> Answer {
    let context = request.context;
    context.metrics.show_load(context.connections.count(), context.streams.count(), context.in_flight.count());
    Answer::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", context.render_metrics().await)
}
