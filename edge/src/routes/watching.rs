//! What deployments use and cost, what is watched of them, and the machines that they run on: described here, answered by the
//! control plane.

use onrush_api::page::Page;
use onrush_api::policies::{Anomaly, Policies};
use onrush_api::problem::Problem;
use onrush_api::usage::{Costs, Node, Usage};

use crate::answer::Answer;
use crate::auth::{ADMINS, SELLERS};
use crate::request::Request;
use crate::routes::accounts::pass_on;

/// See what a deployment uses
///
/// Cores, memory, disk, and what goes over the wire, of all its engines together: the last hour as it was measured, every five
/// seconds, and before that by the minute, for a week. A span in which the server was down has no points.
#[utoipa::path(get, path = "/v1/deployments/{deployment}/usage", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path),
           ("from" = Option<String>, Query, description = "RFC 3339; an hour before `to`"),
           ("to" = Option<String>, Query, description = "RFC 3339; now"),
           ("step" = Option<u32>, Query, description = "Seconds, 5 to 86,400; 60", minimum = 5, maximum = 86_400)),
    responses((status = 200, body = Usage), (status = 400, description = "`bad-request`")))]
pub(crate) async fn usage(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// See what a deployment has cost up to now
///
/// What it used since it was made, times the rates that the platform is told (`rate_core_hour` and others).
#[utoipa::path(get, path = "/v1/deployments/{deployment}/costs", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), responses((status = 200, body = Costs)))]
pub(crate) async fn costs(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Read what is watched of a deployment
///
/// What is shipped, until somebody says something else.
#[utoipa::path(get, path = "/v1/deployments/{deployment}/policies", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), responses((status = 200, body = Policies)))]
pub(crate) async fn policies(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Say what is to be watched of a deployment
///
/// A rule that is crossed is an anomaly, opens an incident, and adds engines where it says so: once each time that it is crossed.
#[utoipa::path(put, path = "/v1/deployments/{deployment}/policies", tag = "Operating", security(("token" = [])),
    params(("deployment" = String, Path)), request_body = Policies,
    responses((status = 200, body = Policies), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn put_policies(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// List the machines that engines run on
#[utoipa::path(get, path = "/v1/nodes", tag = "Operating", security(("token" = [])),
    responses((status = 200, body = Page<Node>), (status = 403, description = "`forbidden`")))]
pub(crate) async fn nodes(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&ADMINS)?;
    pass_on(request).await
}

/// List what crossed a threshold
///
/// The latest first, a thousand at most; an admin's of all shows, a seller's of their own.
#[utoipa::path(get, path = "/v1/anomalies", tag = "Operating", security(("token" = [])),
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50", minimum = 1, maximum = 200),
           ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Anomaly>)))]
pub(crate) async fn anomalies(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}
