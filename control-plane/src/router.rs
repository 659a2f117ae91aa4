//! The routes of the control plane, and who may call them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use onrush_api::body::parse;
use onrush_api::deployments::DeploymentTokenOrder;
use onrush_api::headers::{access_token, idempotency_key};
use onrush_api::incidents::IncidentDraft;
use onrush_api::page::{Cursor, Page, PageQuery};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_api::token::{Caller, TokenKeys};
use onrush_engine::time::{Clock, Timestamp};
use serde_json::Value;

use crate::accounts::guests::BookedUntil;
use crate::accounts::{Accounts, Obligations};
use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::deployments::{Deployments, Driver, Engines, RateCard, Span};
use crate::incidents::{Filter, Incidents};
use crate::reply::{Reply, at, done, json, replayed};
use crate::store::{Store, StoreError};

/// See the crate.
pub struct ControlPlane {
    /// Who has an account.
    pub accounts: Accounts,
    /// Which shows have engines of their own; nothing where none can.
    pub deployments: Option<Deployments>,
    incidents: Arc<Incidents>,
    catalogue: Arc<Catalogue>,
    store: Arc<Store>,
    clock: Arc<dyn Clock + Send + Sync>,
}

impl ControlPlane {
    /// Opens what it keeps. `revocations` is where edges look.
    ///
    /// # Errors
    /// [`StoreError`], where that cannot be opened.
    pub fn open(
        config: Config,
        keys: Arc<TokenKeys>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock + Send + Sync>,
        obligations: Obligations,
        booked_until: BookedUntil,
    ) -> Result<Self, StoreError> {
        let store = Arc::new(Store::open(&config.data.join("accounts"))?);
        let (kept, time) = (Arc::clone(&store), Arc::clone(&clock));
        let accounts = Accounts::new(store, keys, revocations, clock, obligations, booked_until, config)?;
        let incidents = Arc::new(Incidents::new(Arc::clone(&kept), Arc::clone(&time)));
        let catalogue = Arc::new(Catalogue::new(Arc::clone(&kept), Arc::clone(&time)));
        Ok(Self { accounts, deployments: None, incidents, catalogue, store: kept, clock: time })
    }

    /// With engines for shows of their own; none is started before [`Deployments::start`]. Has to be called on a runtime.
    #[must_use]
    pub fn with_deployments(self, driver: Driver, engines: Engines, rates: RateCard) -> Self {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let (incidents, catalogue) = (Arc::clone(&self.incidents), Arc::clone(&self.catalogue));
        let deployments = Deployments::new(store, clock, incidents, catalogue, driver, engines, rates);
        Self { deployments: Some(deployments), ..self }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn deployments(&self) -> Result<&Deployments, Problem> {
        self.deployments.as_ref().ok_or_else(|| Problem::new(Kind::NotFound).detail("Nothing is deployed from here."))
    }

    /// Answers a request that an edge has passed on.
    ///
    /// # Errors
    /// The problem that is answered.
    pub async fn respond(&self, request: Request<Bytes>) -> Result<Reply, Problem> {
        let peer = request.extensions().get::<Peer>().copied().ok_or_else(|| Problem::new(Kind::Internal))?;
        let (parts, body) = request.into_parts();
        let accounts = &self.accounts;
        let caller = || accounts.caller(access_token(&parts.headers)?);
        let has_token = parts.headers.contains_key(AUTHORIZATION);
        let segments: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        match (&parts.method, segments.as_slice()) {
            (&Method::POST, ["v1", "accounts"]) => {
                let (account, again) = accounts.sign_up(parse(&body)?, idempotency_key(&parts.headers)?, peer).await?;
                Ok(replayed(at(json(StatusCode::CREATED, &account), "/v1/accounts/me"), again))
            }
            (&Method::GET | &Method::HEAD, ["v1", "accounts", "me"]) => {
                Ok(json(StatusCode::OK, &accounts.read(&caller()?).await?))
            }
            (&Method::PATCH, ["v1", "accounts", "me"]) => {
                Ok(json(StatusCode::OK, &accounts.change(&caller()?, parse(&body)?, peer).await?))
            }
            (&Method::DELETE, ["v1", "accounts", "me"]) => {
                accounts.close(&caller()?, parse(&body)?, peer).await?;
                Ok(done())
            }
            (&Method::POST, ["v1", "accounts", "me", "api-keys"]) => {
                Ok(json(StatusCode::CREATED, &accounts.make_key(&caller()?, parse(&body)?).await?))
            }
            (&Method::GET | &Method::HEAD, ["v1", "accounts", "me", "api-keys"]) => {
                let items = accounts.list_keys(&caller()?).await?;
                Ok(json(StatusCode::OK, &Page { items, next_cursor: None }))
            }
            (&Method::DELETE, ["v1", "accounts", "me", "api-keys", key]) => {
                accounts.revoke_key(&caller()?, key).await?;
                Ok(done())
            }
            (&Method::POST, ["v1", "sessions"]) => Ok(json(
                StatusCode::CREATED,
                &accounts.sign_in(parse(&body)?, access_token(&parts.headers).ok(), peer).await?,
            )),
            (&Method::POST, ["v1", "sessions", "refresh"]) => {
                let request: onrush_api::accounts::RefreshRequest = parse(&body)?;
                Ok(json(StatusCode::OK, &accounts.refresh(request.refresh_token).await?))
            }
            (&Method::DELETE, ["v1", "sessions", "current"]) => {
                accounts.sign_out(&accounts.bearer(access_token(&parts.headers)?)?).await?;
                Ok(done())
            }
            (method, ["v1", "templates", rest @ ..]) => {
                let caller = match caller() {
                    Ok(caller) => Some(caller),
                    // One that has run out is to be renewed; a guest is like anybody.
                    Err(problem) if problem.kind == Kind::Unauthenticated && has_token => return Err(problem),
                    Err(_) => None,
                };
                self.respond_of_templates(method, rest, caller.as_ref(), &parts, &body).await
            }
            (method, ["v1", "images", rest @ ..]) => {
                self.respond_of_images(method, rest, &caller()?, &parts, &body).await
            }
            (method, ["v1", "deployments", rest @ ..]) => {
                self.respond_of_deployments(method, rest, &caller()?, &body, parts.uri.query()).await
            }
            (&Method::GET | &Method::HEAD, ["v1", "nodes"]) => {
                let items = self.deployments()?.nodes(&caller()?).await?;
                Ok(json(StatusCode::OK, &Page { items, next_cursor: None }))
            }
            (&Method::GET | &Method::HEAD, ["v1", "anomalies"]) => {
                let all = self.deployments()?.anomalies(&caller()?).await?;
                Ok(json(StatusCode::OK, &page(all, parts.uri.query())?))
            }
            (method, ["v1", "incidents", rest @ ..]) => {
                self.respond_of_incidents(method, rest, &caller()?, &body, parts.uri.query()).await
            }
            // As of guests: no edge has a route to here for anybody else.
            (&Method::GET, ["v1", "roles", account]) => {
                let account = account.parse().map_err(|_| Problem::new(Kind::NotFound))?;
                Ok(json(StatusCode::OK, &accounts.role(account).await?))
            }
            (_, ["v1", "guests", rest @ ..]) => self.respond_of_guests(&parts.method, rest, &body, peer).await,
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    async fn respond_of_deployments(
        &self,
        method: &Method,
        rest: &[&str],
        caller: &Caller,
        body: &[u8],
        query: Option<&str>,
    ) -> Result<Reply, Problem> {
        let deployments = self.deployments()?;
        match (method, rest) {
            (&Method::POST, []) => {
                let (deployment, again) = deployments.create(caller, parse(body)?).await?;
                Ok(replayed(json(StatusCode::ACCEPTED, &deployment), again))
            }
            (&Method::GET | &Method::HEAD, []) => {
                Ok(json(StatusCode::OK, &Page { items: deployments.list(caller)?, next_cursor: None }))
            }
            (&Method::GET | &Method::HEAD, [id]) => Ok(json(StatusCode::OK, &deployments.read(caller, id)?)),
            (&Method::GET | &Method::HEAD, [id, "usage"]) => {
                let span = Span { from: value(query, "from"), to: value(query, "to"), step: value(query, "step") };
                Ok(json(StatusCode::OK, &deployments.usage(caller, id, &span).await?))
            }
            (&Method::GET | &Method::HEAD, [id, "costs"]) => Ok(json(StatusCode::OK, &deployments.costs(caller, id)?)),
            (&Method::GET | &Method::HEAD, [id, "policies"]) => {
                Ok(json(StatusCode::OK, &deployments.policies(caller, id).await?))
            }
            (&Method::PUT, [id, "policies"]) => {
                Ok(json(StatusCode::OK, &deployments.put_policies(caller, id, parse(body)?).await?))
            }
            (&Method::PUT, [id]) => {
                Ok(json(StatusCode::ACCEPTED, &deployments.change(caller, id, parse(body)?).await?))
            }
            (&Method::POST, [id, "scale"]) => {
                Ok(json(StatusCode::ACCEPTED, &deployments.scale(caller, id, parse(body)?).await?))
            }
            (&Method::POST, [id, "relocate"]) => {
                Ok(json(StatusCode::ACCEPTED, &deployments.relocate(caller, id, parse(body)?).await?))
            }
            (&Method::POST, [id, "token"]) => {
                let order = if body.is_empty() { DeploymentTokenOrder::default() } else { parse(body)? };
                Ok(json(StatusCode::CREATED, &deployments.token(caller, id, order).await?))
            }
            (&Method::DELETE, [id]) => {
                deployments.delete(caller, id, flag(query, "force")?).await?;
                Ok(done())
            }
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    /// Everybody may look at the platform's templates, with a token or without.
    async fn respond_of_templates(
        &self,
        method: &Method,
        rest: &[&str],
        caller: Option<&Caller>,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Reply, Problem> {
        let catalogue = &self.catalogue;
        let named = || caller.ok_or_else(|| Problem::new(Kind::Unauthenticated));
        match (method, rest) {
            (&Method::GET | &Method::HEAD, []) => {
                Ok(json(StatusCode::OK, &page(catalogue.templates(caller).await?, parts.uri.query())?))
            }
            (&Method::GET | &Method::HEAD, [id]) => Ok(json(StatusCode::OK, &catalogue.template(caller, id).await?)),
            (&Method::POST, []) => {
                idempotency_key(&parts.headers)?;
                let (template, again) = catalogue.make_template(named()?, parse(body)?).await?;
                Ok(replayed(json(StatusCode::CREATED, &template), again))
            }
            (&Method::PUT, [id]) => {
                Ok(json(StatusCode::OK, &catalogue.put_template(named()?, id, parse(body)?).await?))
            }
            (&Method::DELETE, [id]) => {
                catalogue.remove_template(named()?, id).await?;
                Ok(done())
            }
            (&Method::POST, [id, "render"]) => {
                Ok(json(StatusCode::OK, &self.deployments()?.render(named()?, id, &parse(body)?).await?))
            }
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    async fn respond_of_images(
        &self,
        method: &Method,
        rest: &[&str],
        caller: &Caller,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Reply, Problem> {
        let catalogue = &self.catalogue;
        match (method, rest) {
            (&Method::GET | &Method::HEAD, []) => {
                Ok(json(StatusCode::OK, &page(catalogue.images(caller).await?, parts.uri.query())?))
            }
            (&Method::GET | &Method::HEAD, [id]) => Ok(json(StatusCode::OK, &catalogue.image(caller, id).await?)),
            (&Method::POST, []) => {
                idempotency_key(&parts.headers)?;
                let (image, again) = catalogue.register(caller, parse(body)?).await?;
                Ok(replayed(json(StatusCode::CREATED, &image), again))
            }
            (&Method::DELETE, [id]) => {
                let force = flag(parts.uri.query(), "force")?;
                let used = catalogue.remove_image(caller, id, force).await?;
                Ok(if force { json(StatusCode::OK, &used) } else { done() })
            }
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    async fn respond_of_incidents(
        &self,
        method: &Method,
        rest: &[&str],
        caller: &Caller,
        body: &[u8],
        query: Option<&str>,
    ) -> Result<Reply, Problem> {
        match (method, rest) {
            (&Method::GET | &Method::HEAD, []) => {
                let all = self.incidents.list(caller, &filter(query)?).await?;
                Ok(json(StatusCode::OK, &page(all, query)?))
            }
            (&Method::POST, []) => {
                let draft: IncidentDraft = parse(body)?;
                let seller = draft.show.and_then(|show| self.deployments.as_ref()?.seller_of(show.0));
                Ok(json(StatusCode::CREATED, &self.incidents.open(caller, draft, seller).await?))
            }
            (&Method::GET | &Method::HEAD, ["summary"]) => {
                Ok(json(StatusCode::OK, &self.incidents.summary(caller).await?))
            }
            (&Method::GET | &Method::HEAD, [id]) => Ok(json(StatusCode::OK, &self.incidents.read(caller, id).await?)),
            (&Method::PATCH, [id]) => Ok(json(StatusCode::OK, &self.incidents.change(caller, id, parse(body)?).await?)),
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    /// What an edge asks on its own behalf. No edge has a route to here for anybody else.
    async fn respond_of_guests(
        &self,
        method: &Method,
        rest: &[&str],
        body: &[u8],
        peer: Peer,
    ) -> Result<Reply, Problem> {
        let account = |id: &str| id.parse().map_err(|_| Problem::new(Kind::NotFound));
        match (method, rest) {
            (&Method::PUT, [guest]) => {
                Ok(json(StatusCode::OK, &self.accounts.note_guest(account(guest)?, parse(body)?).await?))
            }
            (&Method::POST, ["sessions"]) => {
                Ok(json(StatusCode::CREATED, &self.accounts.return_guest(parse(body)?, peer).await?))
            }
            (&Method::POST, ["contacts"]) => Ok(json(StatusCode::OK, &self.accounts.guests(parse(body)?).await?)),
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }
}

/// A value of a query.
fn value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Whether a query says so.
fn flag(query: Option<&str>, name: &str) -> Result<bool, Problem> {
    match value(query, name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::new(Kind::BadRequest).detail(format!("{name} is `true`, `false`, or left out."))),
    }
}

/// The part of a list that a query asks for.
fn page<T>(all: Vec<T>, query: Option<&str>) -> Result<Page<T>, Problem> {
    let (limit, cursor) = (value(query, "limit"), value(query, "cursor"));
    let wanted = PageQuery::parse(limit.as_deref(), cursor.as_deref())
        .map_err(|error| Problem::new(Kind::BadRequest).detail(format!("{error}.")))?;
    let begin = usize::try_from(wanted.cursor.0).unwrap_or(usize::MAX);
    let is_last = all.len().saturating_sub(begin) <= wanted.limit;
    let next_cursor = (!is_last).then(|| Cursor((begin + wanted.limit) as u64).to_string());
    Ok(Page { items: all.into_iter().skip(begin).take(wanted.limit).collect(), next_cursor })
}

/// Which incidents a query asks for.
fn filter(query: Option<&str>) -> Result<Filter, Problem> {
    let wrong = |name: &str| Problem::new(Kind::BadRequest).detail(format!("{name} has a value that it cannot have."));
    let word = |name: &str| value(query, name).map(Value::String);
    Ok(Filter {
        state: word("state").map(serde_json::from_value).transpose().map_err(|_| wrong("state"))?,
        severity: word("severity").map(serde_json::from_value).transpose().map_err(|_| wrong("severity"))?,
        assignee: value(query, "assignee").map(|text| text.parse()).transpose().map_err(|_| wrong("assignee"))?,
        show: value(query, "show").map(|text| text.parse()).transpose().map_err(|_| wrong("show"))?,
    })
}
