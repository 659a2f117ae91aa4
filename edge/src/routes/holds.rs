//! Holds: seats taken for one buyer for a short time.

use hyper::StatusCode;
use onrush_api::holds::{BestAvailable, GeneralAdmission, Hold, HoldRequest, OnConflict};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Text, Time};
use onrush_engine::command::{self, Command, HoldSeats, Wish};
use onrush_engine::feed::Publication;
use onrush_engine::id::HoldId;
use onrush_engine::inventory::{Answer as EngineAnswer, HoldView};
use onrush_engine::mailbox::Ask;
use onrush_engine::seat_map::{SectionIndex, TierIndex};

use crate::answer::Answer;
use crate::auth::BUYERS;
use crate::labels;
use crate::request::Request;
use crate::routes::wishes;

/// Seats of one hold, whatever the seller allows: one hold is one event, which has to fit a record.
const SEATS_PER_HOLD_MAX: u32 = 500;

/// Hold seats
///
/// All or nothing. The clock starts when the seats are taken. With `"on_conflict": "nearest"` the answer to `seats` of
/// which one is taken is a hold on the nearest others of their tier, in the same step.
#[utoipa::path(post, path = "/v1/performances/{performance}/holds", tag = "Holding and booking",
    params(("performance" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = HoldRequest, security(("token" = [])),
    responses((status = 201, body = Hold), (status = 403, description = "`limit-exceeded`, `not-on-sale`"),
              (status = 409, description = "`seats-unavailable`, `not-adjacent`")))]
pub(crate) async fn hold(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let performance = request.context.directory.performance(request.id(2)?)?;
    let wish = wish(&performance.publication, request.json()?)?;
    let (key, nonce) = (request.key("hold_seats")?, rand::random());
    let command = Command::HoldSeats(HoldSeats { caller, wish, nonce, key });
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Hold(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let answer = Answer::json(StatusCode::CREATED, &body(&performance.publication, &view));
    Ok(answer.sequence(view.id.performance, answered.sequence).replayed(answered.replayed))
}

/// Read a hold
#[utoipa::path(get, path = "/v1/holds/{hold}", tag = "Holding and booking", params(("hold" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = Hold), (status = 410, description = "`hold-expired`")))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let hold: HoldId = request.id(2)?;
    let performance = request.context.directory.performance(hold.performance)?;
    let answered = request.context.directory.ask(&performance, Ask::Hold(caller, hold)).await?;
    let EngineAnswer::Hold(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let mut body = body(&performance.publication, &view);
    body.expires_in_seconds = seconds(view.expires_at - request.context.now());
    Ok(Answer::json(StatusCode::OK, &body))
}

/// Release a hold
///
/// 204 also where it has ended already.
#[utoipa::path(delete, path = "/v1/holds/{hold}", tag = "Holding and booking", params(("hold" = String, Path)),
    security(("token" = [])), responses((status = 204), (status = 409, description = "`already-booked`")))]
pub(crate) async fn release(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&BUYERS)?;
    let hold: HoldId = request.id(2)?;
    let performance = request.context.directory.performance(hold.performance)?;
    let command = Command::ReleaseHold { caller, hold };
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    Ok(Answer::done().sequence(hold.performance, answered.sequence))
}

pub(crate) fn wish(publication: &Publication, request: HoldRequest) -> Result<Wish, Problem> {
    match request {
        HoldRequest { seats: Some(labels), on_conflict, best_available: None, general_admission: None, wish: None } => {
            let quantity = u32::try_from(labels.len()).unwrap_or(u32::MAX);
            check_quantity(quantity, "/seats")?;
            let seats = labels::seats(publication, &labels)?;
            Ok(match on_conflict.unwrap_or_default() {
                OnConflict::Refuse => Wish::Seats(seats),
                OnConflict::Nearest => Wish::SeatsOrNearest(seats),
            })
        }
        HoldRequest { on_conflict: Some(_), .. } => {
            Err(Problem::field("/on_conflict", "goes with seats only: the others find seats by themselves"))
        }
        HoldRequest { seats: None, best_available: Some(wish), general_admission: None, wish: None, .. } => {
            best_available(publication, &wish)
        }
        HoldRequest { seats: None, best_available: None, general_admission: Some(wish), wish: None, .. } => {
            places(publication, &wish)
        }
        HoldRequest { seats: None, best_available: None, general_admission: None, wish: Some(id), .. } => {
            wishes::read(publication, &id)
        }
        _ => Err(Problem::field("", "give exactly one of seats, best_available, general_admission, wish")),
    }
}

pub(crate) fn check_quantity(quantity: u32, pointer: &str) -> Result<(), Problem> {
    if quantity == 0 {
        return Err(Problem::field(pointer, "at least 1"));
    }
    if quantity > SEATS_PER_HOLD_MAX {
        let detail = format!("One hold has at most {SEATS_PER_HOLD_MAX} seats.");
        return Err(Problem::new(Kind::LimitExceeded).detail(detail).limit(u64::from(SEATS_PER_HOLD_MAX)));
    }
    Ok(())
}

fn best_available(publication: &Publication, wish: &BestAvailable) -> Result<Wish, Problem> {
    check_quantity(wish.quantity, "/best_available/quantity")?;
    let section = wish.section.as_deref().map(|name| section(publication, name, "/best_available/section"));
    let tier = wish.tier.as_deref().map(|name| {
        let place = publication.tiers.iter().position(|tier| **tier == *name);
        place.ok_or_else(|| Problem::field("/best_available/tier", "there is no such tier"))
    });
    Ok(Wish::BestAvailable(command::BestAvailable {
        quantity: wish.quantity,
        tier: tier.transpose()?.map(|place| TierIndex(place as u16)),
        section: section.transpose()?,
        adjacent: wish.adjacent,
    }))
}

fn places(publication: &Publication, wish: &GeneralAdmission) -> Result<Wish, Problem> {
    const POINTER: &str = "/general_admission/section";
    check_quantity(wish.quantity, "/general_admission/quantity")?;
    let section = section(publication, &wish.section, POINTER)?;
    if !publication.map.is_standing(section) {
        return Err(Problem::field(
            POINTER,
            "this section has numbered seats: name them, or ask for the best available",
        ));
    }
    Ok(Wish::GeneralAdmission { section, quantity: wish.quantity })
}

pub(crate) fn section(publication: &Publication, name: &str, pointer: &str) -> Result<SectionIndex, Problem> {
    publication.map.section_named(name).ok_or_else(|| Problem::field(pointer, "there is no such section"))
}

fn seconds(span: std::time::Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

pub(crate) fn body(publication: &Publication, view: &HoldView) -> Hold {
    Hold {
        id: Text(view.id),
        performance: Text(view.id.performance),
        seats: labels::priced(publication, &view.seats, &view.prices),
        total: labels::total(publication, &view.seats, &view.prices),
        expires_at: Time(view.expires_at),
        expires_in_seconds: seconds(view.expires_at - view.created_at),
    }
}
