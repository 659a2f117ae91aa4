//! Images and templates: described here, because this is the face of the platform; answered by the control plane.

use onrush_api::images::{Image, ImageDeleted, ImageDraft};
use onrush_api::page::Page;
use onrush_api::problem::Problem;
use onrush_api::templates::{RenderOrder, Template, TemplateDraft};

use crate::answer::Answer;
use crate::auth::{ADMINS, SELLERS};
use crate::request::Request;
use crate::routes::accounts::pass_on;

/// List the images that templates can name
#[utoipa::path(get, path = "/v1/images", tag = "Operating", security(("token" = [])),
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50", minimum = 1, maximum = 200),
           ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Image>)))]
pub(crate) async fn images(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Have an image known
///
/// Nothing is fetched: whether it is there shows when something runs it. Its name with its version, its alias and its reference are no
/// other image's; `errors` says which of them is. The same again is the same image.
#[utoipa::path(post, path = "/v1/images", tag = "Operating", security(("token" = [])), request_body = ImageDraft,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Image), (status = 403, description = "`forbidden`, `limit-exceeded`"),
              (status = 409, description = "`already-known`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn register(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&ADMINS)?;
    pass_on(request).await
}

/// Read an image
#[utoipa::path(get, path = "/v1/images/{image}", tag = "Operating", security(("token" = [])),
    params(("image" = String, Path)),
    responses((status = 200, body = Image), (status = 404, description = "`not-found`")))]
pub(crate) async fn image(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Forget an image
///
/// What runs it goes on. Where templates name it, or deployments run it, that is refused, as they could not be made again; with
/// `?force=true` it goes all the same, and the answer says which these are.
#[utoipa::path(delete, path = "/v1/images/{image}", tag = "Operating", security(("token" = [])),
    params(("image" = String, Path), ("force" = Option<bool>, Query, description = "Also where it is in use")),
    responses((status = 200, body = ImageDeleted), (status = 204, description = "Nothing used it"),
              (status = 404, description = "`not-found`"), (status = 409, description = "`image-in-use`")))]
pub(crate) async fn delete_image(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&ADMINS)?;
    pass_on(request).await
}

/// List what a show can be deployed from
///
/// What is shipped and what the platform has; with a seller's token their own, too, with an admin's everybody's.
#[utoipa::path(get, path = "/v1/templates", tag = "Operating", security((), ("token" = [])),
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50", minimum = 1, maximum = 200),
           ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Template>)))]
pub(crate) async fn templates(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Read a template
#[utoipa::path(get, path = "/v1/templates/{template}", tag = "Operating", security((), ("token" = [])),
    params(("template" = String, Path)),
    responses((status = 200, body = Template), (status = 404, description = "`not-found`")))]
pub(crate) async fn template(request: &Request<'_>) -> Result<Answer, Problem> {
    pass_on(request).await
}

/// Make a template
///
/// An admin's is for everybody, a seller's for themselves. The same again is the same template.
#[utoipa::path(post, path = "/v1/templates", tag = "Operating", security(("token" = [])), request_body = TemplateDraft,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Template), (status = 403, description = "`forbidden`, `limit-exceeded`"),
              (status = 409, description = "`already-known`"), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn make_template(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Change a template
///
/// Deployments that were made from it stay as they are; `PUT` the same to one of them, and it is made from the template as it is now.
#[utoipa::path(put, path = "/v1/templates/{template}", tag = "Operating", security(("token" = [])), request_body = TemplateDraft,
    params(("template" = String, Path)),
    responses((status = 200, body = Template), (status = 403, description = "`forbidden`"),
              (status = 404, description = "`not-found`"), (status = 409, description = "`already-known`"),
              (status = 422, description = "`invalid-body`")))]
pub(crate) async fn put_template(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// Delete a template
///
/// Deployments that were made from it go on as they are.
#[utoipa::path(delete, path = "/v1/templates/{template}", tag = "Operating", security(("token" = [])),
    params(("template" = String, Path)),
    responses((status = 204), (status = 403, description = "`forbidden`"), (status = 404, description = "`not-found`")))]
pub(crate) async fn delete_template(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}

/// See what a deployment would be on Kubernetes
///
/// Every object, as one list that `kubectl apply -f -` takes: the namespace with its quota, network policies, the engines and
/// their volumes. Nothing is applied. The engines wait for a secret `engine-key` with the file `engine.key` of their edges.
#[utoipa::path(post, path = "/v1/templates/{template}/render", tag = "Operating", security(("token" = [])),
    params(("template" = String, Path)), request_body = RenderOrder,
    responses((status = 200, body = serde_json::Value), (status = 404, description = "`not-found`"),
              (status = 422, description = "`invalid-body`")))]
pub(crate) async fn render(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    pass_on(request).await
}
