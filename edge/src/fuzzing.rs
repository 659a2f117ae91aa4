//! Ways in for who feeds the edge nonsense: what a request goes through before an engine is asked, and its answer after
//! that, without a socket and without an engine. Each is the very function that serves requests.

use hyper::Method;
use hyper::http::request::Parts;
use onrush_api::bookings::Booking;
use onrush_api::holds::{Hold, HoldRequest};
use onrush_api::performances::{PerformanceDraft, PerformancePatch};
use onrush_api::problem::Problem;
use onrush_api::shows::ShowDraft;
use onrush_api::wishes::WishDraft;
use onrush_engine::command::{RequestKey, Wish};
use onrush_engine::feed::Publication;
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::inventory::{BookingView, HoldView};
use onrush_engine::money::Money;
use onrush_engine::performance::{Opening, Terms};
use onrush_engine::refusal::Refusal;
use onrush_engine::registry::ShowDetails;
use onrush_engine::seat_map::{SeatList, SeatMap};
use onrush_engine::time::Timestamp;

use crate::routes::performances::draft;
use crate::routes::{bookings, holds, shows, wishes};
use crate::{labels, problems, request, router};

/// The name of the route that a method and a path lead to.
pub fn route(method: &Method, path: &str) -> Option<&'static str> {
    router::find(method, path).ok().map(router::Route::name)
}

/// The segments of a path, as far as a route can have them; and how many there are.
pub fn segments(path: &str) -> ([&str; 6], usize) {
    request::segments(path)
}

/// A value of a query.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    request::query_value(query, name)
}

/// A request's idempotency key.
///
/// # Errors
/// The problem that is answered.
pub fn request_key(parts: &Parts, body: &[u8], operation: &str) -> Result<Option<RequestKey>, Problem> {
    request::request_key(parts, body, operation)
}

/// What a draft of a show says.
///
/// # Errors
/// The problem that is answered.
pub fn show(draft: ShowDraft) -> Result<ShowDetails, Problem> {
    shows::details(draft)
}

/// The opening that a draft of a performance describes.
///
/// # Errors
/// The problem that is answered.
pub fn opening(
    draft: PerformanceDraft,
    performance: PerformanceId,
    show: ShowId,
    seller: AccountId,
    now: Timestamp,
) -> Result<Opening, Problem> {
    draft::opening(draft, performance, show, seller, now)
}

/// The terms and prices that a patch leads to.
///
/// # Errors
/// The problem that is answered.
pub fn terms(patch: PerformancePatch, publication: &Publication) -> Result<(Terms, Option<Vec<Money>>), Problem> {
    draft::changed(patch, publication, &publication.rules(), Timestamp::MIN)
}

/// What a buyer wishes for.
///
/// # Errors
/// The problem that is answered.
pub fn wish(request: HoldRequest, publication: &Publication) -> Result<Wish, Problem> {
    holds::wish(publication, request)
}

/// The id of a wish.
///
/// # Errors
/// The problem that is answered.
pub fn wish_id(draft: &WishDraft, publication: &Publication) -> Result<String, Problem> {
    wishes::preferred(publication, draft)?;
    Ok(wishes::write(publication.performance, draft))
}

/// The seats with these labels.
///
/// # Errors
/// The problem that is answered.
pub fn seats(labels: &[String], publication: &Publication) -> Result<SeatList, Problem> {
    labels::seats(publication, labels)
}

/// A hold as its buyer sees it.
pub fn hold(view: &HoldView, publication: &Publication) -> Hold {
    holds::body(publication, view)
}

/// A booking as its buyer sees it.
pub fn booking(view: &BookingView, publication: &Publication) -> Booking {
    bookings::body(publication, view)
}

/// The problem that a refusal is answered with.
pub fn refused(refusal: Refusal, map: &SeatMap) -> Problem {
    problems::of_refusal(refusal, map)
}
