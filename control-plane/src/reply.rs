//! Answers: a status, a body in JSON, a header or two.

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use onrush_api::headers::IDEMPOTENCY_REPLAYED;
use serde::Serialize;

/// What goes back to the edge.
pub(crate) type Reply = Response<Bytes>;

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).expect("the API's types are plain and always make JSON");
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply
}

pub(crate) fn done() -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

pub(crate) fn at(mut reply: Reply, location: &'static str) -> Reply {
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
    reply
}

pub(crate) fn replayed(mut reply: Reply, replayed: bool) -> Reply {
    if replayed {
        reply.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    reply
}
