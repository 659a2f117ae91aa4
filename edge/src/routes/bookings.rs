//! Bookings: made from holds, listed, read, cancelled.

use hyper::StatusCode;
use onrush_api::bookings::{
    Booking, BookingRequest, BookingStatus, CancelRequest, Cancellation, Decision, ReasonRequest,
};
use onrush_api::guests::GuestDraft;
use onrush_api::page::{Cursor, Page};
use onrush_api::performances::RefundStep;
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_engine::client::Performance;
use onrush_engine::command::{BookHold, Caller, CancelSeats, Command, DecideBooking, RequestKey};
use onrush_engine::event::Standing;
use onrush_engine::feed::Publication;
use onrush_engine::id::{BookingId, HoldId};
use onrush_engine::inventory::{Answer as EngineAnswer, BookingView, Verdict};
use onrush_engine::mailbox::Ask;
use onrush_engine::performance::CancellationRules;
use onrush_engine::registry::Duty;

use crate::answer::Answer;
use crate::auth::{BUYERS, EVERYBODY, SELLERS};
use crate::labels;
use crate::request::{Request, request_key};
use crate::routes::{guests, payments};

/// Book a hold
///
/// With nothing to pay, and nobody to ask, the booking is confirmed at once. Else it waits: for the seller
/// (`pending_approval`), or for its payment (`pending_payment`), which `payment.url` takes until `payment.pay_until`. The
/// seats are taken meanwhile. A guest says who that is in `guest`.
#[utoipa::path(post, path = "/v1/bookings", tag = "Holding and booking",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = BookingRequest, security(("token" = [])),
    responses((status = 201, body = Booking), (status = 410, description = "`hold-expired`"),
              (status = 409, description = "`payment-unavailable`")))]
pub(crate) async fn book(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let BookingRequest { hold: Text(hold), purpose, guest } = request.json()?;
    if purpose.as_ref().is_some_and(|purpose| purpose.chars().count() > 200) {
        return Err(Problem::field("/purpose", "at most 200 characters"));
    }
    let performance = request.context.directory.performance(hold.performance)?;
    if !request.context.takes_payments() {
        refuse_what_costs(request, caller, hold).await?;
    }
    let key = key(request, hold, purpose.as_ref(), guest.as_ref())?;
    let guest = guests::note(request, caller, &performance, hold, guest).await?;
    let (nonce, purpose) = (rand::random(), purpose.map(String::into_boxed_str));
    let command = Command::BookHold(BookHold { caller, hold, purpose, nonce, key });
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let mut booking = body(&performance.publication, &view);
    booking.guest = guest;
    payments::add_checkout(request.context, &mut booking).await;
    let answer = Answer::json(StatusCode::CREATED, &booking);
    let location = format!("/v1/bookings/{}", view.id);
    let answer = answer.sequence(hold.performance, answered.sequence).replayed(answered.replayed);
    Ok(answer.location(location))
}

/// What a guest says is in no digest: the journal keeps that for good, and a password could be guessed by it.
fn key(
    request: &Request<'_>,
    hold: HoldId,
    purpose: Option<&String>,
    guest: Option<&GuestDraft>,
) -> Result<Option<RequestKey>, Problem> {
    if guest.is_none() {
        return request.key("book_hold");
    }
    let rest = BookingRequest { hold: Text(hold), purpose: purpose.cloned(), guest: None };
    let rest = serde_json::to_vec(&rest).expect("the API's types are plain and always make JSON");
    request_key(request.parts, &rest, "book_hold")
}

/// Where nobody takes payments a hold that costs something is not booked: nobody could ever pay for it.
async fn refuse_what_costs(request: &Request<'_>, caller: Caller, hold: HoldId) -> Result<(), Problem> {
    let performance = request.context.directory.performance(hold.performance)?;
    let read = match request.context.directory.ask(&performance, Ask::Hold(caller, hold)).await {
        // The booking itself says so, or was made before.
        Err(problem) if [Kind::NotFound, Kind::HoldExpired, Kind::AlreadyBooked].contains(&problem.kind) => {
            return Ok(());
        }
        read => read?,
    };
    let EngineAnswer::Hold(view) = read.answer else { return Err(Problem::new(Kind::Internal)) };
    let total = labels::total(&performance.publication, &view.seats, &view.prices);
    if total.amount > 0 { Err(Problem::new(Kind::PaymentUnavailable)) } else { Ok(()) }
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
    let history = request.context.directory.history(&caller.account, skip.saturating_add(page.limit)).await?;
    let mut items = Vec::new();
    for (_, id) in history.booked.into_iter().skip(skip) {
        items.push(fetch(request, caller, id).await?);
    }
    guests::name(request, &mut items).await;
    let next = skip.saturating_add(items.len()) as u64;
    let next_cursor = (next < history.total && !items.is_empty()).then(|| Cursor(next).to_string());
    Ok(Answer::json(StatusCode::OK, &Page { items, next_cursor }))
}

pub(crate) async fn fetch(request: &Request<'_>, caller: Caller, id: BookingId) -> Result<Booking, Problem> {
    let performance = request.context.directory.performance(id.performance)?;
    let answered = request.context.directory.ask(&performance, Ask::Booking(caller, id)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    Ok(body(&performance.publication, &view))
}

/// Read a booking
#[utoipa::path(get, path = "/v1/bookings/{booking}", tag = "Holding and booking", security(("token" = [])),
    params(("booking" = String, Path)), responses((status = 200, body = Booking)))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let id: BookingId = request.id(2)?;
    let caller = request.reader_of(id.performance)?;
    let mut booking = fetch(request, caller, id).await?;
    // How to pay is the buyer's alone: whoever has it can also let the payment fail.
    if booking.buyer.0 == caller.account {
        payments::add_checkout(request.context, &mut booking).await;
    }
    guests::name(request, std::slice::from_mut(&mut booking)).await;
    Ok(Answer::json(StatusCode::OK, &booking))
}

/// Approve a booking
///
/// Where the performance's bookings wait for the seller. The buyer pays next, if there is something to pay.
#[utoipa::path(post, path = "/v1/bookings/{booking}/approve", tag = "Selling", security(("token" = [])),
    params(("booking" = String, Path)), request_body = Option<ReasonRequest>,
    responses((status = 200, body = Booking), (status = 409, description = "`already-decided`")))]
pub(crate) async fn approve(request: &Request<'_>) -> Result<Answer, Problem> {
    decide(request, true).await
}

/// Reject a booking
///
/// With a reason, which the buyer reads. The seats go back on sale.
#[utoipa::path(post, path = "/v1/bookings/{booking}/reject", tag = "Selling", security(("token" = [])),
    params(("booking" = String, Path)), request_body = ReasonRequest,
    responses((status = 200, body = Booking), (status = 409, description = "`already-decided`")))]
pub(crate) async fn reject(request: &Request<'_>) -> Result<Answer, Problem> {
    decide(request, false).await
}

async fn decide(request: &Request<'_>, approve: bool) -> Result<Answer, Problem> {
    let booking: BookingId = request.id(2)?;
    let performance = request.context.directory.performance(booking.performance)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &SELLERS)?;
    let reason = reason(request)?;
    if !approve && reason.is_none() {
        return Err(Problem::field("/reason", "say why: the buyer reads it"));
    }
    change(request, &performance, Command::DecideBooking(DecideBooking { caller, booking, approve, reason })).await
}

/// The reason in a body, which may be left out altogether.
pub(crate) fn reason(request: &Request<'_>) -> Result<Option<Box<str>>, Problem> {
    let ReasonRequest { reason } = if request.body.is_empty() { ReasonRequest::default() } else { request.json()? };
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > 200) {
        return Err(Problem::field("/reason", "at most 200 characters"));
    }
    Ok(reason.map(String::into_boxed_str))
}

/// Cancel a booking
///
/// All of it, or some of its seats. What goes back is the part of each seat's price that the booking's `cancellation` says
/// at that time, or the performance's rules where they are better by now; all of it where the seller cancels.
/// `payment.refund_due` is the sum.
#[utoipa::path(post, path = "/v1/bookings/{booking}/cancel", tag = "Holding and booking", security(("token" = [])),
    params(("booking" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = CancelRequest,
    responses((status = 200, body = Booking), (status = 403, description = "`cancellation-closed`"),
              (status = 409, description = "`booking-closed`, `payment-pending`, `tickets-gone`")))]
pub(crate) async fn cancel(request: &Request<'_>) -> Result<Answer, Problem> {
    let booking: BookingId = request.id(2)?;
    let performance = request.context.directory.performance(booking.performance)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &EVERYBODY)?;
    let wanted = if request.body.is_empty() { CancelRequest::default() } else { request.json()? };
    let seats = wanted.seats.map(|seats| match seats.is_empty() {
        true => Err(Problem::field("/seats", "at least 1; left out, all seats are cancelled")),
        false => labels::seats(&performance.publication, &seats),
    });
    let (seats, key) = (seats.transpose()?, request.key("cancel_booking")?);
    change(request, &performance, Command::CancelSeats(CancelSeats { caller, booking, seats, key })).await
}

/// Changes a booking, and answers with what it is then.
async fn change(request: &Request<'_>, performance: &Performance, command: Command) -> Result<Answer, Problem> {
    let answered = request.context.directory.ask(performance, Ask::Command(command)).await?;
    let EngineAnswer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let mut booking = body(&performance.publication, &view);
    guests::name(request, std::slice::from_mut(&mut booking)).await;
    let answer = Answer::json(StatusCode::OK, &booking);
    Ok(answer.sequence(view.id.performance, answered.sequence).replayed(answered.replayed))
}

pub(crate) fn body(publication: &Publication, view: &BookingView) -> Booking {
    Booking {
        id: Text(view.id),
        performance: Text(view.id.performance),
        buyer: Text(view.buyer),
        guest: None,
        status: status(view),
        seats: labels::priced(publication, &view.seats, &view.prices),
        cancelled_seats: labels::priced(publication, &view.cancelled, &view.prices),
        total: labels::total(publication, &view.seats, &view.prices),
        purpose: view.purpose.as_deref().map(str::to_owned),
        payment: payments::body(view),
        decision: view.verdict.as_deref().map(decision),
        decide_until: view.until.filter(|_| view.standing == Standing::PendingApproval).map(Time),
        cancellation: cancellation(view),
        created_at: Time(view.created_at),
    }
}

fn cancellation(view: &BookingView) -> Cancellation {
    let CancellationRules { until, refund, .. } = &view.cancellation;
    let steps = refund.iter().map(|step| RefundStep { until: Time(step.until), percent: step.percent });
    Cancellation { until: Time(*until), refund: steps.collect(), free_until: view.free_until.map(Time) }
}

fn decision(verdict: &Verdict) -> Decision {
    Decision { approved: verdict.approved, at: Time(verdict.at), reason: verdict.reason.as_deref().map(str::to_owned) }
}

pub(crate) fn status(view: &BookingView) -> BookingStatus {
    let all_back = view.payment.as_ref().is_some_and(|payment| payment.refunded() > 0 && payment.refund_due() == 0);
    match (view.standing, view.cancelled.is_empty()) {
        (Standing::Expired, _) => BookingStatus::Expired,
        (Standing::PaymentFailed, _) => BookingStatus::PaymentFailed,
        (Standing::Rejected, _) => BookingStatus::Rejected,
        _ if view.seats.is_empty() && all_back => BookingStatus::Refunded,
        _ if view.seats.is_empty() => BookingStatus::Cancelled,
        (Standing::Confirmed, true) => BookingStatus::Confirmed,
        (Standing::Confirmed, false) => BookingStatus::PartlyCancelled,
        (Standing::PendingPayment, _) => BookingStatus::PendingPayment,
        (Standing::PendingApproval, _) => BookingStatus::PendingApproval,
    }
}
