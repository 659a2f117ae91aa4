//! Guests at the edge: who they are is noted before they book, and they come back with their reservation password. The
//! control plane keeps all of that.

use hyper::{Method, StatusCode};
use onrush_api::accounts::Session;
use onrush_api::bookings::Booking;
use onrush_api::guests::{Guest, GuestAnswer, GuestDraft, GuestQuestion, GuestReturn, GuestSignIn, is_guest};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Text;
use onrush_engine::client::Performance;
use onrush_engine::command::Caller;
use onrush_engine::id::{AccountId, BookingId, HoldId};
use onrush_engine::inventory::Answer as EngineAnswer;
use onrush_engine::mailbox::Ask;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::context::Context;
use crate::control_plane;
use crate::request::Request;

/// Guests that the control plane is asked for in one go.
const AT_ONCE: usize = 500;

/// Notes who books, where that is a guest: before the booking, so that there is none whose guest cannot come back. Only who
/// has the hold gets so far, as a password takes much work.
pub(crate) async fn note(
    request: &Request<'_>,
    caller: Caller,
    performance: &Performance,
    hold: HoldId,
    guest: Option<GuestDraft>,
) -> Result<Option<Guest>, Problem> {
    let guest = match (is_guest(&caller.account), guest) {
        (false, None) => return Ok(None),
        (false, Some(_)) => return Err(Problem::field("/guest", "you have an account: leave this out")),
        (true, None) => return Err(Problem::field("/guest", "say who you are: name, phone and password")),
        (true, Some(guest)) => guest,
    };
    match request.context.directory.ask(performance, Ask::Hold(caller, hold)).await {
        // It may be this very request that has booked it, and whose answer was lost.
        Err(problem) if problem.kind != Kind::AlreadyBooked => return Err(problem),
        _ => {}
    }
    ask(request, Method::PUT, &format!("/v1/guests/{}", caller.account), &guest).await.map(Some)
}

/// Come back as a guest
///
/// With the reservation password of a guest's booking: a token with which all that the guest has booked can be read, printed
/// and cancelled, for a quarter of an hour. After five wrong tries there is one every quarter of an hour.
#[utoipa::path(post, path = "/v1/bookings/{booking}/guest", tag = "Accounts and sessions",
    params(("booking" = String, Path)), request_body = GuestSignIn,
    responses((status = 201, body = Session), (status = 401, description = "`wrong-credentials`"),
              (status = 429, description = "`quota-exceeded`")))]
pub(crate) async fn come_back(request: &Request<'_>) -> Result<Answer, Problem> {
    let GuestSignIn { password } = request.json()?;
    let booking: BookingId = request.id(2)?;
    let account = buyer(request.context, booking).await?.map(Text);
    let back = GuestReturn { booking: Text(booking), account, password };
    let session: Session = ask(request, Method::POST, "/v1/guests/sessions", &back).await?;
    Ok(Answer::json(StatusCode::CREATED, &session))
}

/// Whose a booking is; nobody's, where there is none.
async fn buyer(context: &Context, booking: BookingId) -> Result<Option<AccountId>, Problem> {
    let Ok(performance) = context.directory.performance(booking.performance) else { return Ok(None) };
    let platform = Caller { account: performance.publication.seller, admin: true };
    match context.directory.ask(&performance, Ask::Booking(platform, booking)).await {
        Ok(answered) => match answered.answer {
            EngineAnswer::Booking(view) => Ok(Some(view.buyer)),
            _ => Err(Problem::new(Kind::Internal)),
        },
        Err(problem) if problem.kind == Kind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Says of each booking who its guest is. While accounts are down, nobody's is said.
pub(crate) async fn name(request: &Request<'_>, bookings: &mut [Booking]) {
    let mut of_guests: Vec<&mut Booking> = bookings.iter_mut().filter(|booking| is_guest(&booking.buyer.0)).collect();
    for bookings in of_guests.chunks_mut(AT_ONCE) {
        let accounts = bookings.iter().map(|booking| booking.buyer).collect();
        let question = GuestQuestion { accounts };
        match ask::<GuestAnswer>(request, Method::POST, "/v1/guests/contacts", &question).await {
            Ok(GuestAnswer { guests }) => {
                bookings.iter_mut().zip(guests).for_each(|(booking, guest)| booking.guest = guest);
            }
            Err(problem) => {
                tracing::warn!(detail = problem.body().detail, "bookings are shown without their guests");
                return;
            }
        }
    }
}

async fn ask<T: DeserializeOwned>(
    request: &Request<'_>,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Problem> {
    let body = serde_json::to_vec(body).expect("the API's types are plain and always make JSON");
    control_plane::ask(request, method, path, body.into()).await
}
