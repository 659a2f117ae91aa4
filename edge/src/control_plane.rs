//! What is the control plane's is passed on to it, wherever it lives.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::http::{self, Response};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use serde::de::DeserializeOwned;

use crate::request::Request;

/// A control plane's answer in the making.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + Send>>;

/// Asks the control plane. The request has an [`onrush_api::peer::Peer`] among its extensions.
pub type ControlPlane = Arc<dyn Fn(http::Request<Bytes>) -> Answering + Send + Sync>;

/// Asks the control plane on the edge's own behalf, in the course of a request.
pub(crate) async fn ask<T: DeserializeOwned>(
    request: &Request<'_>,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<T, Problem> {
    let ask = request.context.control_plane.as_ref().ok_or_else(|| Problem::new(Kind::NotFound))?;
    let asked = http::Request::builder().method(method).uri(path).extension(Peer(request.peer));
    let answered = ask(asked.body(body).expect("an id in a path is a URL")).await?;
    serde_json::from_slice(answered.body()).map_err(|_| Problem::new(Kind::Internal))
}
