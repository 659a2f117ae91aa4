//! Sessions: begun with a password, carried on with refresh tokens that can be used once, ended at once.

use onrush_api::accounts::{Secret, Session, SignIn};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Scopes, SessionId};
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;

use super::record::{AccountRecord, SessionRecord, by_email, key, owned, read, unreadable};
use super::{Accounts, ENDED_REMEMBERED, PLACES_MAX, Refused, email, place, secret, still, whole, wrong_credentials};
use crate::store::{Change, Store, StoreError};

/// Sessions of one account; the one that would expire first makes room.
const SESSIONS_MAX: usize = 50;

/// What becomes of a refresh token.
enum Refreshed {
    Fine(Box<AccountRecord>),
    /// It was used before: somebody else may have it.
    UsedTwice,
    Unknown,
}

impl Accounts {
    /// Begins a session. `token` is what came along: a guest stays the same one by it.
    ///
    /// # Errors
    /// `wrong-credentials`, after the same time whatever was wrong; `quota-exceeded` after too many of these.
    pub async fn sign_in(&self, with: SignIn, token: Option<&str>, peer: Peer) -> Result<Session, Problem> {
        match with {
            SignIn { email: Some(address), password: Some(password), api_key: None, guest: None } => {
                self.sign_in_with_password(&address, &password, peer).await
            }
            SignIn { email: None, password: None, api_key: Some(key), guest: None } => {
                self.sign_in_machine(key, peer).await
            }
            SignIn { email: None, password: None, api_key: None, guest: Some(true) } => self.begin_guest(token, peer),
            _ => Err(Problem::field("", "give email and password, or api_key, or \"guest\": true")),
        }
    }

    async fn sign_in_with_password(&self, address: &str, password: &Secret, peer: Peer) -> Result<Session, Problem> {
        // What is no address belongs to nobody; that takes as long as any other.
        let email = email(address, "/email").unwrap_or_default();
        let known = self.with_store({
            let email = email.clone();
            move |store| Ok(by_email(store, &email)?)
        });
        let known = known.await?;
        self.try_password(&email, known.as_ref(), password, peer).await?;
        self.begin(known.ok_or_else(wrong_credentials)?, peer).await
    }

    async fn begin(&self, known: AccountRecord, peer: Peer) -> Result<Session, Problem> {
        let (id, now) = (secret::id()?, self.now());
        let (refresh_token, family, secret) = secret::begin(id)?;
        let (account, role) = (known.id.0, known.role);
        let (begun_at, expires_at) = (Time(now), Time(now + self.config.session_ttl));
        let record = SessionRecord { account: Text(account), family, secret, begun_at, expires_at };
        let (until, place) = (now + ENDED_REMEMBERED, place(peer));
        let ended = self.with_store(move |store| {
            store.write(|| {
                let mut known = still(store, &known)?;
                let mut change = Change::default().own(key::SESSION, id, &account, &record);
                // The place that was not used for longest makes room.
                if let Some(place) = place.filter(|place| known.places.last() != Some(place)) {
                    known.places.retain(|other| *other != place);
                    let full = known.places.len() >= PLACES_MAX;
                    known.places.drain(..usize::from(full));
                    known.places.push(place);
                    change = change.account(&known);
                }
                let oldest = surplus(store, &account)?;
                let change = oldest.iter().fold(change, |change, id| change.end(key::SESSION, *id, &account, until));
                Ok::<_, Refused>((change, oldest))
            })
        });
        ended.await?.into_iter().for_each(|id| self.revocations.end_session(id, until));
        Ok(self.tokens(account, role, Some(id), Scopes::All, Some(refresh_token)))
    }

    /// The tokens of a session as they go to the client.
    pub(super) fn tokens(
        &self,
        account: AccountId,
        role: Role,
        session: Option<SessionId>,
        scopes: Scopes,
        refresh_token: Option<Secret>,
    ) -> Session {
        let (now, ttl) = (self.now(), self.config.access_token_ttl);
        let caller = Caller { account, role, session, scopes, expires_at: now + ttl };
        let access_token = Secret(self.keys.mint_for(&caller, now));
        Session { access_token, refresh_token, token_type: "Bearer".to_owned(), expires_in: ttl.as_secs() }
    }

    /// Carries a session on with its newest refresh token, which is used up.
    ///
    /// # Errors
    /// `wrong-credentials`; where the token was used before, its session is over (RFC 9700, section 4.14.2).
    pub async fn refresh(&self, token: Secret) -> Result<Session, Problem> {
        let id = secret::names(secret::REFRESH, &token).ok_or_else(wrong_credentials)?;
        let now = self.now();
        let (refresh_token, digest) = secret::next(&token.0)?;
        let (expires_at, until) = (now + self.config.session_ttl, now + ENDED_REMEMBERED);
        let session_max = self.config.session_max;
        let refreshed = self.with_store(move |store| {
            store.write(|| {
                let record: Option<SessionRecord> = read(store, &key::of(key::SESSION, id))?;
                let Some(record) =
                    record.filter(|record| record.expires_at.0 > now && secret::is_of_family(&token, &record.family))
                else {
                    return Ok((Change::default(), Refreshed::Unknown));
                };
                if !secret::is_right(&token, &record.secret) {
                    return Ok((
                        Change::default().end(key::SESSION, id, &record.account.0, until),
                        Refreshed::UsedTwice,
                    ));
                }
                let account: Option<AccountRecord> = read(store, &key::account(&record.account.0))?;
                let account = account.ok_or_else(|| unreadable(&key::account(&record.account.0)))?;
                let expires_at = Time(expires_at.min(record.begun_at.0 + session_max));
                let record = SessionRecord { secret: digest, expires_at, ..record };
                let change = Change::default().own(key::SESSION, id, &record.account.0, &record);
                Ok::<_, Refused>((change, Refreshed::Fine(Box::new(account))))
            })
        });
        match refreshed.await? {
            Refreshed::Fine(account) => {
                Ok(self.tokens(account.id.0, account.role, Some(id), Scopes::All, Some(refresh_token)))
            }
            Refreshed::Unknown => Err(wrong_credentials()),
            Refreshed::UsedTwice => {
                tracing::warn!("a refresh token was used twice; its session is over");
                self.revocations.end_session(id, until);
                Err(wrong_credentials())
            }
        }
    }

    /// Ends the session of a caller: its access token is void from now on.
    ///
    /// # Errors
    /// `forbidden` for a machine, whose key is to be revoked instead, and for a token of no session.
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), Problem> {
        let none = || Problem::new(Kind::Forbidden).detail("This token belongs to no session; it ends by itself.");
        let (account, id) = (whole(caller)?.account, caller.session.ok_or_else(none)?);
        let until = self.now() + ENDED_REMEMBERED;
        // Void at once, even if it should not be durable: whoever hears of that tries again.
        self.revocations.end_session(id, until);
        let ended = self.with_store(move |store| {
            store.write(|| Ok::<_, Refused>((Change::default().end(key::SESSION, id, &account, until), ())))
        });
        Ok(ended.await?)
    }

    /// The places of sessions that nobody has refreshed in time.
    pub(super) fn expired_sessions(&self, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut places = Vec::new();
        for (place, bytes) in self.store.below(key::SESSION)? {
            let record: SessionRecord = serde_json::from_slice(&bytes).map_err(|_| unreadable(&place))?;
            let id = key::name(&place, key::SESSION).ok_or_else(|| unreadable(&place))?;
            if record.expires_at.0 <= now {
                places.extend([place, key::owned_one(key::SESSION, &record.account.0, id)]);
            }
        }
        Ok(places)
    }
}

/// The sessions of an account that have to go before there can be one more.
fn surplus(store: &Store, account: &AccountId) -> Result<Vec<SessionId>, StoreError> {
    let mut sessions = owned::<SessionRecord>(store, key::SESSION, account)?;
    sessions.sort_by_key(|(_, record)| record.expires_at);
    let surplus = (sessions.len() + 1).saturating_sub(SESSIONS_MAX);
    Ok(sessions.into_iter().take(surplus).map(|(id, _)| id).collect())
}
