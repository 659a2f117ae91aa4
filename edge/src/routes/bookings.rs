//! Bookings: made from holds, listed, read, cancelled.

use hyper::StatusCode;
use onrush_api::bookings::{Booking, BookingRequest, BookingStatus, CancelRequest};
use onrush_api::page::{Cursor, Page};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_api::token::Role;
use onrush_engine::command::{BookHold, Caller, CancelSeats, Command};
use onrush_engine::event::Standing;
use onrush_engine::feed::Publication;
use onrush_engine::id::{BookingId, PerformanceId};
use onrush_engine::inventory::{Answer as EngineAnswer, BookingView};
use onrush_engine::mailbox::Ask;

use crate::answer::Answer;
use crate::labels;
use crate::request::Request;

const BUYERS: [Role; 1] = [Role::Buyer];
const EVERYBODY: [Role; 3] = [Role::Buyer, Role::Seller, Role::Admin];
const SELLERS: [Role; 2] = [Role::Seller, Role::Admin];

/// Book a hold
///
/// With nothing to pay the booking is confirmed at once.
#[utoipa::path(post, path = "/v1/bookings", tag = "Holding and booking",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = BookingRequest, security(("token" = [])),
    responses((status = 201, body = Booking), (status = 410, description = "`hold-expired`")))]
pub(crate) async fn book(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let BookingRequest { hold: Text(hold), purpose } = request.json()?;
    if purpose.as_ref().is_some_and(|purpose| purpose.chars().count() > 200) {
        return Err(Problem::field("/purpose", "at most 200 characters"));
    }
    let performance = request.context.directory.performance(hold.performance)?;
    let (key, nonce, purpose) = (request.key("book_hold")?, rand::random(), purpose.map(String::into_boxed_str));
    let command = Command::BookHold(BookHold { caller, hold, purpose, nonce, key });
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let answer = Answer::json(StatusCode::CREATED, &body(&performance.publication, &view));
    let location = format!("/v1/bookings/{}", view.id);
    let answer = answer.sequence(hold.performance, answered.sequence).replayed(answered.replayed);
    Ok(answer.location(location))
}

/// List your bookings
///
/// Newest first.
#[utoipa::path(get, path = "/v1/bookings", tag = "Holding and booking", security(("token" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Booking>)))]
pub(crate) async fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&EVERYBODY)?;
    let page = request.page()?;
    let skip = usize::try_from(page.cursor.0).unwrap_or(usize::MAX);
    let (ids, total) = request.context.directory.history(&caller.account, skip, page.limit);
    let mut items = Vec::with_capacity(ids.len());
    for id in &ids {
        items.push(fetch(request, caller, *id).await?);
    }
    let next = skip.saturating_add(ids.len());
    let next_cursor = (next < total && !ids.is_empty()).then(|| Cursor(next as u64).to_string());
    Ok(Answer::json(StatusCode::OK, &Page { items, next_cursor }))
}

async fn fetch(request: &Request<'_>, caller: Caller, id: BookingId) -> Result<Booking, Problem> {
    let performance = request.context.directory.performance(id.performance)?;
    let answered = request.context.directory.ask(&performance, Ask::Booking(caller, id)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    Ok(body(&performance.publication, &view))
}

/// Read a booking
#[utoipa::path(get, path = "/v1/bookings/{booking}", tag = "Holding and booking", security(("token" = [])),
    params(("booking" = String, Path)), responses((status = 200, body = Booking)))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&EVERYBODY)?;
    Ok(Answer::json(StatusCode::OK, &fetch(request, caller, request.id(2)?).await?))
}

/// Cancel a booking
///
/// All of it, or some of its seats.
#[utoipa::path(post, path = "/v1/bookings/{booking}/cancel", tag = "Holding and booking", security(("token" = [])),
    params(("booking" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = CancelRequest,
    responses((status = 200, body = Booking), (status = 403, description = "`cancellation-closed`"),
              (status = 409, description = "`booking-closed`")))]
pub(crate) async fn cancel(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&EVERYBODY)?;
    let booking: BookingId = request.id(2)?;
    let performance = request.context.directory.performance(booking.performance)?;
    let wanted = if request.body.is_empty() { CancelRequest::default() } else { request.json()? };
    let seats = wanted.seats.map(|seats| match seats.is_empty() {
        true => Err(Problem::field("/seats", "at least 1; left out, all seats are cancelled")),
        false => labels::seats(&performance.publication, &seats),
    });
    let (seats, key) = (seats.transpose()?, request.key("cancel_booking")?);
    let command = Command::CancelSeats(CancelSeats { caller, booking, seats, key });
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let answer = Answer::json(StatusCode::OK, &body(&performance.publication, &view));
    Ok(answer.sequence(booking.performance, answered.sequence).replayed(answered.replayed))
}

/// List who booked
///
/// For the performance's seller; oldest first.
#[utoipa::path(get, path = "/v1/performances/{performance}/bookings", tag = "Selling", security(("token" = [])),
    params(("performance" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Booking>)))]
pub(crate) async fn list_sold(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let id: PerformanceId = request.id(2)?;
    let performance = request.context.directory.performance(id)?;
    let page = request.page()?;
    let start = u32::try_from(page.cursor.0).unwrap_or(u32::MAX);
    let end = start.saturating_add(page.limit as u32);
    let answered = request.context.directory.ask(&performance, Ask::Bookings(caller, start..end)).await?;
    let EngineAnswer::Bookings(views, total) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let items: Vec<Booking> = views.iter().map(|view| body(&performance.publication, view)).collect();
    let next_cursor = (end < total).then(|| Cursor(u64::from(end)).to_string());
    Ok(Answer::json(StatusCode::OK, &Page { items, next_cursor }))
}

pub(crate) fn body(publication: &Publication, view: &BookingView) -> Booking {
    Booking {
        id: Text(view.id),
        performance: Text(view.id.performance),
        buyer: Text(view.buyer),
        status: status(view),
        seats: labels::priced(publication, &view.seats, &view.prices),
        cancelled_seats: labels::priced(publication, &view.cancelled, &view.prices),
        total: labels::total(publication, &view.seats, &view.prices),
        purpose: view.purpose.as_deref().map(str::to_owned),
        created_at: Time(view.created_at),
    }
}

fn status(view: &BookingView) -> BookingStatus {
    match (view.standing, view.cancelled.is_empty()) {
        _ if view.seats.is_empty() => BookingStatus::Cancelled,
        (Standing::Confirmed, true) => BookingStatus::Confirmed,
        (Standing::Confirmed, false) => BookingStatus::PartlyCancelled,
        (Standing::PendingPayment, _) => BookingStatus::PendingPayment,
        (Standing::PendingApproval, _) => BookingStatus::PendingApproval,
    }
}
