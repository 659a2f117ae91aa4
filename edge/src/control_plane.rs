//! What is the control plane's is passed on to it, wherever it lives.

use std::pin::Pin;

use bytes::Bytes;
use hyper::http::{Request, Response};
use onrush_api::problem::Problem;

/// A control plane's answer in the making.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + Send>>;

/// Asks the control plane. The request has an [`onrush_api::peer::Peer`] among its extensions.
pub type ControlPlane = Box<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;
