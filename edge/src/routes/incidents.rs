//! Incidents: described here, answered by the control plane.

use onrush_api::incidents::{Incident, IncidentChange, IncidentDraft, IncidentSummary};
use onrush_api::page::Page;
use onrush_api::problem::Problem;

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::request::Request;
use crate::routes::accounts::pass_on;

/// List incidents
///
/// The latest first. An admin's are all; a seller's are those of their shows, and those that they are to see to.
#[utoipa::path(get, path = "/v1/incidents", tag = "Operating", security(("token" = [])),
    params(("state" = Option<String>, Query, description = "`open`, `acknowledged` or `resolved`"),
           ("severity" = Option<String>, Query, description = "`info`, `warning` or `critical`"),
           ("assignee" = Option<String>, Query, description = "`acc_…`"),
           ("show" = Option<String>, Query, description = "`show_…`"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50", minimum = 1, maximum = 200),
           ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Incident>), (status = 400, description = "`bad-request`")))]
pub(crate) async fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Open an incident
///
/// A seller's is about one of their shows. Thresholds that are crossed open theirs by themselves.
#[utoipa::path(post, path = "/v1/incidents", tag = "Operating", security(("token" = [])),
    request_body = IncidentDraft,
    responses((status = 201, body = Incident), (status = 403, description = "`limit-exceeded`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn open(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// See incidents in numbers
///
/// How many stand where; and of those that are not resolved, how bad they are, who sees to them, and how many are late.
#[utoipa::path(get, path = "/v1/incidents/summary", tag = "Operating", security(("token" = [])),
    responses((status = 200, body = IncidentSummary)))]
pub(crate) async fn summary(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Read an incident
#[utoipa::path(get, path = "/v1/incidents/{incident}", tag = "Operating", security(("token" = [])),
    params(("incident" = String, Path)), responses((status = 200, body = Incident)))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Change an incident, or say something of it
///
/// What is not named stays.
#[utoipa::path(patch, path = "/v1/incidents/{incident}", tag = "Operating", security(("token" = [])),
    params(("incident" = String, Path)), request_body = IncidentChange,
    responses((status = 200, body = Incident), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn change(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}
