//! Accounts and sessions: described here, because this is the face of the platform; answered by the control plane.

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::Method;
use onrush_api::accounts::{
    Account, AccountClosing, AccountDraft, AccountPatch, AccountRole, ApiKey, ApiKeyDraft, NewApiKey, RefreshRequest,
    Session, SignIn,
};
use onrush_api::page::Page;
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::token::Role;
use onrush_engine::id::AccountId;

use crate::answer::Answer;
use crate::request::Request;
use crate::watching::Watching;
use crate::{control_plane, problems, watching};

/// Asks the control plane, and answers what it says.
pub(crate) async fn pass_on(request: &Request<'_>) -> Result<Answer, Problem> {
    let ask = request.context.control_plane.as_ref().ok_or_else(no_control_plane)?;
    if !request.body.is_empty() {
        request.check_is_json()?;
    }
    Ok(Answer::passed_on(ask(passed(request)).await?))
}

/// The same, and each time that it says something else, as events.
pub(crate) async fn pass_on_and_watch(request: &Request<'_>) -> Result<Answer, Problem> {
    let ask = request.context.control_plane.clone().ok_or_else(no_control_plane)?;
    let (place, closing) = request.context.streams.place(request.peer).ok_or_else(problems::overloaded)?;
    let again = passed(request);
    let told = ask(again.clone()).await?.into_body();
    let watching = Watching { ask: Box::new(move || ask(again.clone())), told, closing, _place: place };
    Ok(Answer::stream(StreamBody::new(watching::events(watching))))
}

fn no_control_plane() -> Problem {
    let detail = "This edge has no accounts, payments or deployments: it was started without a control plane.";
    Problem::new(Kind::NotFound).detail(detail)
}

fn passed(request: &Request<'_>) -> hyper::Request<Bytes> {
    let mut passed = hyper::Request::new(request.body.clone());
    *passed.method_mut() = request.parts.method.clone();
    *passed.uri_mut() = request.parts.uri.clone();
    *passed.headers_mut() = request.parts.headers.clone();
    passed.extensions_mut().insert(Peer(request.peer));
    passed
}

/// Makes sure that there is somebody with this role to be given something. An edge that knows of no accounts takes the
/// caller's word.
pub(crate) async fn check_is(
    request: &Request<'_>,
    account: AccountId,
    role: Role,
    pointer: &str,
) -> Result<(), Problem> {
    if request.context.control_plane.is_none() {
        return Ok(());
    }
    let whose = if role == Role::Seller { "seller" } else { "buyer" };
    let wrong = || Problem::field(pointer, format!("there is no {whose} with this account"));
    match control_plane::ask::<AccountRole>(request, Method::GET, &format!("/v1/roles/{account}"), Bytes::new()).await {
        Ok(known) if known.role == role => Ok(()),
        Ok(_) => Err(wrong()),
        Err(problem) if problem.kind == Kind::NotFound => Err(wrong()),
        Err(problem) => Err(problem),
    }
}

/// Sign up
///
/// As a buyer or a seller. The same `Idempotency-Key` with the same body answers again.
#[utoipa::path(post, path = "/v1/accounts", tag = "Accounts and sessions",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = AccountDraft,
    responses((status = 201, body = Account), (status = 409, description = "`email-taken`"),
              (status = 422, description = "`invalid-body`"), (status = 429, description = "`quota-exceeded`")))]
pub(crate) async fn sign_up(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Read your account
#[utoipa::path(get, path = "/v1/accounts/me", tag = "Accounts and sessions", security(("token" = [])),
    responses((status = 200, body = Account)))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Change your account
///
/// A new password signs every other session out.
#[utoipa::path(patch, path = "/v1/accounts/me", tag = "Accounts and sessions", security(("token" = [])),
    request_body = AccountPatch,
    responses((status = 200, body = Account), (status = 401, description = "`wrong-credentials`"),
              (status = 409, description = "`email-taken`"), (status = 429, description = "`quota-exceeded`")))]
pub(crate) async fn change(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Close your account
///
/// What identifies you is erased for good; what was booked and sold stays, without a name.
#[utoipa::path(delete, path = "/v1/accounts/me", tag = "Accounts and sessions", security(("token" = [])),
    request_body = AccountClosing,
    responses((status = 204), (status = 401, description = "`wrong-credentials`"),
              (status = 409, description = "`bookings-outstanding`"), (status = 429, description = "`quota-exceeded`")))]
pub(crate) async fn close(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Make a key for a machine
///
/// The key is shown this once.
#[utoipa::path(post, path = "/v1/accounts/me/api-keys", tag = "Accounts and sessions", security(("token" = [])),
    request_body = ApiKeyDraft, responses((status = 201, body = NewApiKey), (status = 403, description = "`limit-exceeded`")))]
pub(crate) async fn make_key(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// List your keys for machines
#[utoipa::path(get, path = "/v1/accounts/me/api-keys", tag = "Accounts and sessions", security(("token" = [])),
    responses((status = 200, body = Page<ApiKey>)))]
pub(crate) async fn list_keys(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Revoke a key
///
/// The sessions that it has begun are over at once.
#[utoipa::path(delete, path = "/v1/accounts/me/api-keys/{key}", tag = "Accounts and sessions",
    params(("key" = String, Path)), security(("token" = [])), responses((status = 204)))]
pub(crate) async fn revoke_key(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Sign in
///
/// With an address and its password, or with a machine's key. `{"guest": true}` makes somebody a guest, who may hold and
/// book; sent with a guest's token that is still good, it renews that.
#[utoipa::path(post, path = "/v1/sessions", tag = "Accounts and sessions", request_body = SignIn,
    responses((status = 201, body = Session), (status = 401, description = "`wrong-credentials`"),
              (status = 429, description = "`quota-exceeded`")))]
pub(crate) async fn sign_in(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Refresh a session
///
/// Each refresh token can be used once; one that is used again ends its session.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "Accounts and sessions", request_body = RefreshRequest,
    responses((status = 200, body = Session), (status = 401, description = "`wrong-credentials`")))]
pub(crate) async fn refresh(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Sign out
///
/// The access token stops working everywhere at once.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "Accounts and sessions", security(("token" = [])),
    responses((status = 204)))]
pub(crate) async fn sign_out(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}
