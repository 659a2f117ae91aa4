//! Availability: one encoded copy for everybody, once or as it changes.

use hyper::StatusCode;
use onrush_api::availability::{Availability, AvailabilityDelta};
use onrush_api::problem::{Kind, Problem};

use crate::answer::Answer;
use crate::problems;
use crate::request::Request;

/// Read availability
///
/// The state of every seat at one version. Send the ETag back as `If-None-Match`: 304 says that nothing has changed.
#[utoipa::path(get, path = "/v1/performances/{performance}/availability", tag = "Performances",
    params(("performance" = String, Path),
           ("fields" = Option<String>, Query, description = "`remaining` leaves `seats` out")),
    responses((status = 200, body = Availability), (status = 304)))]
pub(crate) fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    const CACHE: &str = "no-cache";
    let performance = request.context.directory.performance(request.id(2)?)?;
    let counts_only = match request.query("fields").as_deref() {
        None => false,
        Some("remaining") => true,
        Some(_) => return Err(Problem::new(Kind::BadRequest).detail("fields is `remaining`, or left out.")),
    };
    let encoded = request.context.availabilities.get(&performance.publication, request.context.now());
    if request.has(&encoded.etag) {
        return Ok(Answer::not_modified().cached(encoded.etag, CACHE));
    }
    let body = if counts_only { encoded.remaining } else { encoded.full };
    Ok(Answer::bytes(StatusCode::OK, body).cached(encoded.etag, CACHE))
}

/// Listen to availability
///
/// Server-sent events, of which a browser's `EventSource` knows how to go on: first a `snapshot`, as above, then a `delta`
/// for what has changed since the event before, four times a second at most. Who comes back with `Last-Event-ID` hears the
/// deltas since then, or a new `snapshot` where they are not remembered any more: a minute, and while anybody listens.
#[utoipa::path(get, path = "/v1/performances/{performance}/availability/stream", tag = "Performances",
    params(("performance" = String, Path), ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = AvailabilityDelta)))]
pub(crate) fn stream(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    let last = request.parts.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let listener = request.context.streams.listen(performance.publication, last, request.peer);
    let listener = listener.ok_or_else(problems::overloaded)?;
    Ok(Answer::stream(listener))
}
