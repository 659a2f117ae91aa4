//! The routes of the control plane, and who may call them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};
use onrush_api::body::parse;
use onrush_api::page::Page;
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_api::token::{Caller, TokenKeys, bearer};
use onrush_engine::time::{Clock, Timestamp};

use crate::accounts::{Accounts, Obligations};
use crate::config::Config;
use crate::reply::{Reply, at, done, json, replayed};
use crate::store::{Store, StoreError};

/// See the crate.
pub struct ControlPlane {
    /// Who has an account.
    pub accounts: Accounts,
    keys: Arc<TokenKeys>,
    revocations: Arc<Revocations>,
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
    ) -> Result<Self, StoreError> {
        let store = Store::open(&config.data.join("accounts"))?;
        let (own_keys, own_revocations, own_clock) = (Arc::clone(&keys), Arc::clone(&revocations), Arc::clone(&clock));
        let accounts = Accounts::new(store, own_keys, own_revocations, own_clock, obligations, config)?;
        Ok(Self { accounts, keys, revocations, clock })
    }

    /// Answers a request that an edge has passed on.
    ///
    /// # Errors
    /// The problem that is answered.
    pub async fn respond(&self, request: Request<Bytes>) -> Result<Reply, Problem> {
        let peer = request.extensions().get::<Peer>().copied().ok_or_else(|| Problem::new(Kind::Internal))?;
        let (parts, body) = request.into_parts();
        let caller = || self.caller(&parts.headers, self.clock.now());
        let accounts = &self.accounts;
        let segments: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        match (&parts.method, segments.as_slice()) {
            (&Method::POST, ["v1", "accounts"]) => {
                let (account, again) = accounts.sign_up(parse(&body)?, key(&parts.headers)?, peer).await?;
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
            (&Method::POST, ["v1", "sessions"]) => {
                Ok(json(StatusCode::CREATED, &accounts.sign_in(parse(&body)?, peer).await?))
            }
            (&Method::POST, ["v1", "sessions", "refresh"]) => {
                let request: onrush_api::accounts::RefreshRequest = parse(&body)?;
                Ok(json(StatusCode::OK, &accounts.refresh(request.refresh_token).await?))
            }
            (&Method::DELETE, ["v1", "sessions", "current"]) => {
                accounts.sign_out(&caller()?).await?;
                Ok(done())
            }
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }

    /// Who calls. The edge has looked already; a control plane that stands alone has to.
    fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Problem> {
        let unauthenticated = || Problem::new(Kind::Unauthenticated);
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer).ok_or_else(unauthenticated)?;
        let caller = self.keys.check(token, now).map_err(|_| unauthenticated())?;
        if self.revocations.cover(&caller) {
            return Err(unauthenticated());
        }
        Ok(caller)
    }
}

/// The caller's idempotency key, where there is one.
fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::new(Kind::BadRequest).detail("There are two headers Idempotency-Key."));
    }
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let wrong = || Problem::new(Kind::BadRequest).detail("An Idempotency-Key has 1 to 255 visible ASCII characters.");
    key.map(Some).ok_or_else(wrong)
}
