//! Deployments: described here, because this is the face of the platform; answered by the control plane.

use onrush_api::deployments::{
    Deployment, DeploymentDraft, DeploymentToken, DeploymentTokenOrder, RelocateOrder, ScaleOrder,
};
use onrush_api::page::Page;
use onrush_api::problem::{Kind, Problem};

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::request::Request;
use crate::routes::accounts::{pass_on, pass_on_and_watch};

/// Give a show an engine of its own
///
/// Its performances, and what is sold of them, live in that engine then, and nothing that becomes of other shows touches it. They
/// may be on sale already: each is handed over, with all that is held and sold. Answered once it is written down;
/// `status.conditions` say how far it is. Twice is once.
#[utoipa::path(post, path = "/v1/deployments", tag = "Operating", security(("token" = [])),
    request_body = DeploymentDraft,
    responses((status = 202, body = Deployment), (status = 404, description = "`not-found`"),
              (status = 409, description = "`show-in-use`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn deploy(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// List your deployments
///
/// An admin's are all.
#[utoipa::path(get, path = "/v1/deployments", tag = "Operating", security(("token" = [])),
    responses((status = 200, body = Page<Deployment>)))]
pub(crate) async fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Read a deployment
///
/// With `?watch=true` as server-sent events: a `deployment` as it is, and again each time that it is another. A `problem` is the
/// last one: that it has gone, say, or that the token has run out.
#[utoipa::path(get, path = "/v1/deployments/{deployment}", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path), ("watch" = Option<bool>, Query, description = "`true` goes on telling")),
    responses((status = 200, content((Deployment = "application/json"), (Deployment = "text/event-stream")))))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    match request.query("watch").as_deref() {
        None | Some("false") => pass_on(request).await,
        Some("true") if request.parts.method == hyper::Method::GET => pass_on_and_watch(request).await,
        Some("true") => pass_on(request).await,
        Some(_) => Err(Problem::new(Kind::BadRequest).detail("watch is `true`, `false`, or left out.")),
    }
}

/// Change what a deployment is made from
///
/// The template, as it is now, and its questions: what is not answered has the template's default. New engines take over from those that
/// there are, one performance after the other, without losing a hold. Answered once it is
/// written down; `status.operation` says how far it is. The same again changes nothing.
#[utoipa::path(put, path = "/v1/deployments/{deployment}", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), request_body = DeploymentDraft,
    responses((status = 202, body = Deployment), (status = 403, description = "`limit-exceeded`"),
              (status = 404, description = "`not-found`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn change(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Have more engines for a show, or fewer, or larger ones
///
/// Its performances spread over them, one after the other: who buys meanwhile notices a pause, and no error. Answered once it is
/// written down; `status.operation` says how far it is, and how long the longest pause was. `cpu` and `memory` need a cluster, or
/// `engine_cgroup`.
#[utoipa::path(post, path = "/v1/deployments/{deployment}/scale", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), request_body = ScaleOrder,
    responses((status = 202, body = Deployment), (status = 403, description = "`limit-exceeded`"),
              (status = 404, description = "`not-found`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn scale(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Move a show to new engines
///
/// As with `scale`. The new engines are started by the program that runs now.
#[utoipa::path(post, path = "/v1/deployments/{deployment}/relocate", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), request_body = RelocateOrder,
    responses((status = 202, body = Deployment), (status = 403, description = "`limit-exceeded`"),
              (status = 404, description = "`not-found`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn relocate(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Get a token for a deployment's namespace
///
/// For those who help with the show: what runs there, its logs and its events can be read with it in the cluster. It opens nothing
/// here, and cannot be taken back: let it run out.
#[utoipa::path(post, path = "/v1/deployments/{deployment}/token", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), request_body = Option<DeploymentTokenOrder>,
    responses((status = 201, body = DeploymentToken),
              (status = 404, description = "`not-found`, also where engines have no namespace"),
              (status = 422, description = "`invalid-body`")))]
pub(crate) async fn token(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Delete a deployment, and its show with it
///
/// Its journal is put aside, in `exports`.
#[utoipa::path(delete, path = "/v1/deployments/{deployment}", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path), ("force" = Option<bool>, Query, description = "Also where performances are not over")),
    responses((status = 204), (status = 409, description = "`bookings-outstanding`")))]
pub(crate) async fn delete(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}
