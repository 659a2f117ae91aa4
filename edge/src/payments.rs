//! What has to do with payment providers is passed on to whoever collects payments, wherever that lives.

use std::pin::Pin;

use bytes::Bytes;
use hyper::HeaderMap;
use onrush_api::problem::Problem;
use onrush_engine::id::BookingId;

/// How a buyer pays: the provider's page, or what its own component in a page needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's page.
    pub url: Option<String>,
    /// What the provider's own component in a page needs.
    pub client_secret: Option<String>,
}

/// An answer in the making.
pub type Asking<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Takes a provider's notice: its headers, and its body as it came.
pub type TakeNotice = Box<dyn Fn(HeaderMap, Bytes) -> Asking<Result<(), Problem>> + Send + Sync>;

/// Who collects payments.
pub struct Payments {
    /// Whether anybody does, just now.
    pub is_open: Box<dyn Fn() -> bool + Send + Sync>,
    /// How a booking that waits for its payment is paid; nothing where the provider does not say now.
    pub checkout: Box<dyn Fn(BookingId) -> Asking<Option<Checkout>> + Send + Sync>,
    /// See [`TakeNotice`].
    pub notice: TakeNotice,
}
