//! Tickets: an account's own, their codes, giving one away, and letting somebody in.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;
use onrush_api::page::{Cursor, Page};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_api::ticket_code::{CodeError, TicketCode, TicketKeySet, TicketKeys};
use onrush_api::tickets::{CheckInRequest, ScanRequest, Ticket, TransferRequest};
use onrush_api::token::Role;
use onrush_engine::command::{Caller, Command};
use onrush_engine::feed::{AccountHistory, Publication};
use onrush_engine::id::{AccountId, BookingId, TicketId};
use onrush_engine::inventory::{Answer as EngineAnswer, TicketView};
use onrush_engine::mailbox::Ask;
use onrush_engine::registry::Duty;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::answer::Answer;
use crate::auth::{BUYERS, SELLERS};
use crate::context::Context;
use crate::request::Request;
use crate::routes::accounts;

/// A guest's way back is to a booking, which its tickets stay with.
const WITH_ACCOUNT: [Role; 1] = [Role::Buyer];

/// List your tickets
///
/// Those that can still be used: of confirmed bookings, and given to you, for performances that are not over.
#[utoipa::path(get, path = "/v1/tickets", tag = "Tickets", security(("token" = [])),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Ticket>)))]
pub(crate) async fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let page = request.page()?;
    let skip = usize::try_from(page.cursor.0).unwrap_or(usize::MAX);
    let wanted = skip.saturating_add(page.limit).saturating_add(1);
    let mut tickets: Vec<(Arc<Publication>, TicketView)> = Vec::new();
    for booking in bookings_with_tickets(request.context, &caller.account).await? {
        if tickets.len() >= wanted {
            break;
        }
        let usable = |ticket: &TicketView| ticket.holder == caller.account && ticket.used_at.is_none();
        match of_booking(request.context, caller, booking).await {
            Ok((publication, more)) => {
                let more = more.into_iter().filter(usable);
                tickets.extend(more.map(|ticket| (Arc::clone(&publication), ticket)));
            }
            // One that was received was given on, or its seat cancelled.
            Err(problem) if problem.kind == Kind::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
    let next = skip.saturating_add(page.limit);
    let next_cursor = (tickets.len() > next).then(|| Cursor(next as u64).to_string());
    // A code takes a while to sign: only what is shown has one.
    let shown = tickets.iter().skip(skip).take(page.limit);
    let keys = &request.context.ticket_keys;
    let items = shown.map(|(publication, ticket)| body(keys, publication, ticket, caller.account)).collect();
    Ok(Answer::json(StatusCode::OK, &Page::<Ticket> { items, next_cursor }))
}

/// Of performances that are not over, the bookings of which an account may have tickets.
async fn bookings_with_tickets(context: &Context, account: &AccountId) -> Result<BTreeSet<BookingId>, Problem> {
    let AccountHistory { booked, received, .. } = context.directory.history(account, usize::MAX).await?;
    let goes_on = |id: &BookingId| {
        let performance = context.directory.performance(id.performance);
        performance.is_ok_and(|known| context.now() < known.publication.rules().terms.ends_at)
    };
    Ok(booked.into_iter().map(|(_, id)| id).chain(received).filter(goes_on).collect())
}

/// The caller's tickets of a booking; all of them, where the caller sold it.
pub(crate) async fn of_booking(
    context: &Context,
    caller: Caller,
    booking: BookingId,
) -> Result<(Arc<Publication>, Vec<TicketView>), Problem> {
    let performance = context.directory.performance(booking.performance)?;
    let answered = context.directory.ask(&performance, Ask::Tickets(caller, booking)).await?;
    let EngineAnswer::Tickets(views) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    Ok((performance.publication, views))
}

/// Read a ticket
#[utoipa::path(get, path = "/v1/tickets/{ticket}", tag = "Tickets", security(("token" = [])),
    params(("ticket" = String, Path)), responses((status = 200, body = Ticket)))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let id: TicketId = request.id(2)?;
    let caller = request.reader_of(id.performance)?;
    Ok(Answer::json(StatusCode::OK, &fetch(request, caller).await?))
}

async fn fetch(request: &Request<'_>, caller: Caller) -> Result<Ticket, Problem> {
    let id: TicketId = request.id(2)?;
    let performance = request.context.directory.performance(id.performance)?;
    let answered = request.context.directory.ask(&performance, Ask::Ticket(caller, id)).await?;
    let EngineAnswer::Ticket(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    Ok(body(&request.context.ticket_keys, &performance.publication, &view, caller.account))
}

/// Read a ticket's QR code
///
/// As SVG. It says the ticket's code, for its holder only.
#[utoipa::path(get, path = "/v1/tickets/{ticket}/qr.svg", tag = "Tickets", security(("token" = [])),
    params(("ticket" = String, Path)), responses((status = 200, content_type = "image/svg+xml", body = String)))]
pub(crate) async fn qr(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let code = fetch(request, caller).await?.code.ok_or_else(|| Problem::new(Kind::NotFound))?;
    Ok(Answer::text(StatusCode::OK, "image/svg+xml", qr_svg(&code)))
}

/// A code as a QR code.
pub(crate) fn qr_code(code: &str) -> QrCode {
    QrCode::with_error_correction_level(code, EcLevel::M).expect("a code is far shorter than a QR code holds")
}

/// A code as an SVG picture, black on white.
pub(crate) fn qr_svg(code: &str) -> String {
    qr_code(code).render::<svg::Color<'_>>().min_dimensions(240, 240).build()
}

/// Read the keys that check tickets' codes
///
/// Public keys, as a JWK set: whoever has them can check codes without a network (`onrush tickets verify`).
#[utoipa::path(get, path = "/v1/tickets/keys", tag = "Tickets", responses((status = 200, body = TicketKeySet)))]
pub(crate) fn keys(request: &Request<'_>) -> Answer {
    Answer::json(StatusCode::OK, &request.context.ticket_keys.verifier().set())
}

/// Give a ticket away
///
/// For good: from then on it is the other account's, a buyer's, and its former code is no longer good.
#[utoipa::path(post, path = "/v1/tickets/{ticket}/transfer", tag = "Tickets", security(("token" = [])),
    params(("ticket" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = TransferRequest,
    responses((status = 204), (status = 409, description = "`already-checked-in`")))]
pub(crate) async fn transfer(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&WITH_ACCOUNT)?;
    let ticket: TicketId = request.id(2)?;
    let TransferRequest { to: Text(to) } = request.json()?;
    accounts::check_is(request, to, Role::Buyer, "/to").await?;
    let performance = request.context.directory.performance(ticket.performance)?;
    let key = request.key("transfer_ticket")?;
    let command = Command::TransferTicket { caller, ticket, to, key };
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    Ok(Answer::done().sequence(ticket.performance, answered.sequence).replayed(answered.replayed))
}

/// Let somebody in
///
/// Once. With the code that was shown, the ticket must be that code's and the code the last that there was.
#[utoipa::path(post, path = "/v1/tickets/{ticket}/check-in", tag = "Tickets", security(("token" = [])),
    params(("ticket" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Option<CheckInRequest>,
    responses((status = 200, body = Ticket), (status = 409, description = "`already-checked-in`, `ticket-reissued`"),
              (status = 422, description = "`invalid-code`")))]
pub(crate) async fn check_in(request: &Request<'_>) -> Result<Answer, Problem> {
    let ticket: TicketId = request.id(2)?;
    let CheckInRequest { code } = if request.body.is_empty() { CheckInRequest::default() } else { request.json()? };
    let read = code.map(|code| read_code(request.context, &code)).transpose()?;
    if read.as_ref().is_some_and(|read| read.ticket != ticket) {
        return Err(Problem::new(Kind::InvalidCode).detail("The code is another ticket's."));
    }
    let_in(request, ticket, read.map(|read| read.issue)).await
}

/// Let in whoever shows a code
///
/// As at the ticket itself, for a door that has scanned a code and knows no more. In the body, as codes do not belong into
/// anybody's log of URLs.
#[utoipa::path(post, path = "/v1/check-ins", tag = "Tickets", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header)), request_body = ScanRequest,
    responses((status = 200, body = Ticket), (status = 409, description = "`already-checked-in`, `ticket-reissued`"),
              (status = 422, description = "`invalid-code`")))]
pub(crate) async fn scan(request: &Request<'_>) -> Result<Answer, Problem> {
    // Who may let nobody in learns nothing of a code.
    request.caller_as(&SELLERS)?;
    let ScanRequest { code } = request.json()?;
    let read = read_code(request.context, &code)?;
    let_in(request, read.ticket, Some(read.issue)).await
}

async fn let_in(request: &Request<'_>, ticket: TicketId, issue: Option<u16>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(ticket.performance)?;
    let caller = request.caller_for(performance.publication.show, Duty::Door, &SELLERS)?;
    let command = Command::CheckIn { caller, ticket, issue, key: request.key("check_in")? };
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Ticket(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let body = body(&request.context.ticket_keys, &performance.publication, &view, caller.account);
    let answer = Answer::json(StatusCode::OK, &body).sequence(ticket.performance, answered.sequence);
    Ok(answer.replayed(answered.replayed))
}

fn read_code(context: &Context, code: &str) -> Result<TicketCode, Problem> {
    let invalid = |error: CodeError| Problem::new(Kind::InvalidCode).detail(format!("{error}."));
    context.ticket_keys.verifier().check(code).map_err(invalid)
}

/// A ticket as `reader` sees it: nobody but its holder sees the code.
pub(crate) fn body(keys: &TicketKeys, publication: &Publication, view: &TicketView, reader: AccountId) -> Ticket {
    let (map, label) = (&publication.map, publication.map.label(view.seat).to_string());
    let code = || keys.sign(&TicketCode { ticket: view.id, issue: view.issue, label: label.clone() });
    Ticket {
        id: Text(view.id),
        booking: Text(view.booking),
        performance: Text(publication.performance),
        starts_at: Time(publication.rules().terms.starts_at),
        tier: publication.tiers[usize::from(map.tier_of(view.seat).0)].to_string(),
        holder: Text(view.holder),
        code: (view.holder == reader).then(code),
        checked_in_at: view.used_at.map(Time),
        seat: label,
    }
}
