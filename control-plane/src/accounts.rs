//! Accounts: who signs up, and whose password is right. [`changing`] has changing and closing an account, [`sessions`]
//! signing in and out, [`machines`] the keys for machines, [`guests`] those who have no account, [`upkeep`] what has to go.

mod changing;
pub mod guests;
mod machines;
pub mod password;
mod record;
pub(crate) mod secret;
mod sessions;
pub mod throttle;
mod turns;
mod upkeep;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onrush_api::accounts::{Account, AccountDraft, AccountRole, Secret, SignUpRole};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Revocations, Scopes, SessionId};
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role, TokenKeys};
use onrush_engine::id::AccountId;
use onrush_engine::time::{Clock, Timestamp};
use tokio::sync::Semaphore;

use self::guests::BookedUntil;
use self::password::Hasher;
use self::record::{AccountRecord, by_email, key, read};
use self::throttle::{Subject, Throttle};
use self::turns::Who;
use self::upkeep::Tidied;
use crate::config::Config;
use crate::store::{Change, Store, StoreError};

/// Makes sure that nothing is outstanding for an account that is to be closed; told whether to cancel what is. Only who
/// knows the engines can.
pub type Obligations =
    Box<dyn Fn(AccountId, bool) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>> + Send + Sync>;

/// See the module.
pub struct Accounts {
    store: Arc<Store>,
    hasher: Hasher,
    throttle: Throttle,
    keys: Arc<TokenKeys>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock + Send + Sync>,
    obligations: Obligations,
    booked_until: BookedUntil,
    config: Config,
    /// Of calls that wait for the store; whoever comes on top is asked to come back.
    store_places: Arc<Semaphore>,
    tidied: Mutex<Tidied>,
}

/// Why the store was not changed.
enum Refused {
    Problem(Problem),
    EmailTaken(Box<AccountRecord>),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Problem(of_store(&error))
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Problem(problem) => problem,
            Refused::EmailTaken(_) => Self::new(Kind::EmailTaken),
        }
    }
}

fn of_store(error: &StoreError) -> Problem {
    tracing::error!(%error, "accounts are down");
    Problem::new(Kind::OutcomeUnknown).retry_after(1)
}

/// The same whatever is wrong: nobody learns which part.
fn wrong_credentials() -> Problem {
    Problem::new(Kind::WrongCredentials)
}

/// Places that an account knows.
const PLACES_MAX: usize = 8;
/// Calls that may wait for the store.
const STORE_PLACES: usize = 256;
/// How long it is remembered that a session is over: longer than any access token is valid.
const ENDED_REMEMBERED: Duration = Config::ACCESS_TOKEN_TTL_MAX.saturating_add(Duration::from_mins(1));
/// A request that made an account answers again for so long.
const REQUEST_REMEMBERED: Duration = Duration::from_hours(24);

impl Accounts {
    /// Goes on with what the store has: sessions and accounts that are over are over here, too.
    ///
    /// # Errors
    /// [`StoreError`], where it cannot be read.
    pub fn new(
        store: Arc<Store>,
        keys: Arc<TokenKeys>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock + Send + Sync>,
        obligations: Obligations,
        booked_until: BookedUntil,
        config: Config,
    ) -> Result<Self, StoreError> {
        let hasher = Hasher::new(config.hashes_at_once_max, config.hashes_waiting_max);
        let throttle = Throttle::default();
        let store_places = Arc::new(Semaphore::new(STORE_PLACES));
        let tidied = Mutex::default();
        let accounts = Self {
            store,
            hasher,
            throttle,
            keys,
            revocations,
            clock,
            obligations,
            booked_until,
            config,
            store_places,
            tidied,
        };
        accounts.recall()?;
        Ok(accounts)
    }

    fn recall(&self) -> Result<(), StoreError> {
        for (key, _) in self.store.below(key::CLOSED)? {
            let account = key::name(&key, key::CLOSED).ok_or_else(|| record::unreadable(&key))?;
            self.revocations.close_account(account);
        }
        for (session, until) in self.ended()? {
            self.revocations.end_session(session, until);
        }
        Ok(())
    }

    /// Sessions that are over, with the time at which their last access token expires.
    fn ended(&self) -> Result<Vec<(SessionId, Timestamp)>, StoreError> {
        let pair = |(key, until): (Vec<u8>, Vec<u8>)| {
            key::name(&key, key::ENDED).zip(record::time(&until)).ok_or_else(|| record::unreadable(&key))
        };
        self.store.below(key::ENDED)?.into_iter().map(pair).collect()
    }

    /// Whom a token speaks for. An edge has looked already; a control plane that stands alone has to.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn bearer(&self, token: &str) -> Result<Caller, Problem> {
        let caller = self.keys.check(token, self.now()).ok();
        let caller = caller.filter(|caller| !self.revocations.cover(caller));
        caller.ok_or_else(|| Problem::new(Kind::Unauthenticated))
    }

    /// Whom a token speaks for, with an account.
    ///
    /// # Errors
    /// `unauthenticated`; `forbidden` for a guest.
    pub fn caller(&self, token: &str) -> Result<Caller, Problem> {
        match self.bearer(token)? {
            Caller { role: Role::Guest, .. } => Err(Problem::new(Kind::Forbidden).detail("A guest has no account.")),
            caller => Ok(caller),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does what waits for the disk where nobody else waits for it.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let busy = || Problem::new(Kind::Overloaded).retry_after(2);
        let place = Arc::clone(&self.store_places).try_acquire_owned().map_err(|_| busy())?;
        let store = Arc::clone(&self.store);
        // A caller who goes away does not stop the work, so its place is free only when that is done.
        let work = move || {
            let _place = place;
            work(&store)
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.unwrap_or_else(|_| Err(Problem::new(Kind::Internal).into()))
    }

    /// Makes an account. `request` is the caller's idempotency key. Says whether it was there already.
    ///
    /// # Errors
    /// `email-taken`; `invalid-body`; `idempotency-key-reused`; `quota-exceeded`, where too many were made at one place.
    pub async fn sign_up(
        &self,
        draft: AccountDraft,
        request: Option<&[u8]>,
        peer: Peer,
    ) -> Result<(Account, bool), Problem> {
        let role = match draft.role {
            SignUpRole::Buyer => Role::Buyer,
            SignUpRole::Seller => Role::Seller,
        };
        let (email, name) = (email(&draft.email, "/email"), name(&draft.name, "/name"));
        let length = password::check_length(&draft.password, "/password");
        let wrong = [email.as_ref().err(), name.as_ref().err(), length.as_ref().err()];
        Problem::fields(wrong.into_iter().flatten()).map_or(Ok(()), Err)?;
        let (email, name) = (email?, name?);
        let place: Vec<Subject> = place(peer).map(Subject::SignUps).into_iter().collect();
        self.throttle.take(&place, self.now()).map_err(too_often)?;
        self.hasher.check(Who::Stranger, &draft.password, &email, &name, "/password").await?;
        let request = request.map(secret::short);
        let record = self.record(email, name, role, &draft.password, request).await?;
        match self.insert(record.clone()).await {
            Ok(()) => Ok((account(&record), false)),
            Err(Refused::EmailTaken(known)) if request.is_some() && known.request == request => {
                self.replay(&known, &record, &draft.password, peer).await
            }
            Err(refused) => Err(refused.into()),
        }
    }

    async fn record(
        &self,
        email: String,
        name: String,
        role: Role,
        password: &Secret,
        request: Option<u64>,
    ) -> Result<AccountRecord, Problem> {
        let id = format!("acc_{}", secret::id()?).parse().map_err(|_| Problem::new(Kind::Internal))?;
        let password = self.hasher.hash(Who::Stranger, password).await?;
        let created_at = Time(self.now());
        Ok(AccountRecord { id: Text(id), email, name, role, password, created_at, request, places: Vec::new() })
    }

    async fn insert(&self, record: AccountRecord) -> Result<(), Refused> {
        self.with_store(move |store| {
            store.write(|| match by_email(store, &record.email)? {
                Some(known) => Err(Refused::EmailTaken(Box::new(known))),
                None => {
                    let email = key::email(&record.email);
                    let change = Change::default().account(&record).put(email, record.id.0.as_str());
                    let is_admin = record.role == Role::Admin;
                    Ok((if is_admin { change.put(key::FIRST_ADMIN, record.id.0.as_str()) } else { change }, ()))
                }
            })
        })
        .await
    }

    /// The answer to a request that made an account before, if it is the same request. A digest of its body would tell
    /// of the password; so its parts are compared.
    async fn replay(
        &self,
        known: &AccountRecord,
        asked: &AccountRecord,
        password: &Secret,
        peer: Peer,
    ) -> Result<(Account, bool), Problem> {
        if self.now() - known.created_at.0 > REQUEST_REMEMBERED {
            return Err(Problem::new(Kind::EmailTaken));
        }
        let same = known.name == asked.name && known.role == asked.role;
        // Whoever guesses a key must not be able to try passwords with it.
        match self.confirm(known, password, peer).await {
            Ok(()) if same => Ok((account(known), true)),
            Err(problem) if problem.kind != Kind::WrongCredentials => Err(problem),
            _ => Err(Problem::new(Kind::KeyReused)),
        }
    }

    /// Whether the first admin was made already. That is once for each store, whatever has become of the account since.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn has_first_admin(&self) -> Result<bool, Problem> {
        Ok(self.with_store(|store| Ok(store.get(key::FIRST_ADMIN)?.is_some())).await?)
    }

    /// Makes the first admin.
    ///
    /// # Errors
    /// A problem that says what is wrong; also where somebody has the address.
    pub async fn make_first_admin(&self, address: &str, password: &Secret) -> Result<(), Problem> {
        let email = email(address, "/email")?;
        self.hasher.check(Who::Known, password, &email, "admin", "/password").await?;
        let record = self.record(email, "admin".to_owned(), Role::Admin, password, None).await?;
        Ok(self.insert(record).await?)
    }

    /// The account of a caller. An operator's token may speak for one that there is not.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn read(&self, caller: &Caller) -> Result<Account, Problem> {
        Ok(account(&self.of(caller.account).await?))
    }

    /// What an account may do.
    ///
    /// # Errors
    /// `not-found`, also where it was closed.
    pub async fn role(&self, id: AccountId) -> Result<AccountRole, Problem> {
        Ok(AccountRole { role: self.of(id).await?.role })
    }

    async fn of(&self, id: AccountId) -> Result<AccountRecord, Problem> {
        let record = self.with_store(move |store| Ok(read(store, &key::account(&id))?)).await?;
        record.ok_or_else(|| Problem::new(Kind::NotFound).detail("Nobody has signed up for this account."))
    }

    /// Makes sure that it is the account's owner who asks, as whoever holds the token need not be.
    async fn confirm(&self, known: &AccountRecord, password: &Secret, peer: Peer) -> Result<(), Problem> {
        self.try_password(&known.email, Some(known), password, peer).await
    }

    /// Compares a password with that of an account, if there is one with this address; counts the try if it is wrong.
    async fn try_password(
        &self,
        email: &str,
        known: Option<&AccountRecord>,
        password: &Secret,
        peer: Peer,
    ) -> Result<(), Problem> {
        let kept = known.map(|known| known.password.as_str());
        let tries = subjects(email, known, peer);
        let is_known = tries.iter().any(|subject| matches!(subject, Subject::Known(..)));
        self.try_secret(if is_known { Who::Known } else { Who::Stranger }, &tries, password, kept).await
    }

    /// Compares a password with what is kept of it, if there is anything; counts the try if it is wrong.
    async fn try_secret(
        &self,
        who: Who,
        tries: &[Subject],
        password: &Secret,
        kept: Option<&str>,
    ) -> Result<(), Problem> {
        self.throttle.take(tries, self.now()).map_err(too_often)?;
        let is_right = self.hasher.is_right(who, password, kept).await;
        if !matches!(is_right, Ok(false)) {
            // What was not even looked at is no try.
            self.throttle.give_back(tries, self.now());
        }
        if is_right? { Ok(()) } else { Err(wrong_credentials()) }
    }
}

/// An account as it is now, if it is there and has the password that was compared: between that and a change it may have
/// got another, or have been closed.
fn still(store: &Store, confirmed: &AccountRecord) -> Result<AccountRecord, Refused> {
    let known: Option<AccountRecord> = read(store, &key::account(&confirmed.id.0))?;
    let known = known.filter(|known| known.password == confirmed.password);
    Ok(known.ok_or_else(wrong_credentials)?)
}

/// What is said of an account to its owner.
fn account(record: &AccountRecord) -> Account {
    Account {
        id: record.id,
        email: record.email.clone(),
        name: record.name.clone(),
        role: record.role,
        created_at: record.created_at,
    }
}

/// A caller who may do all that the account may: not one with a part of it only.
fn whole(caller: &Caller) -> Result<&Caller, Problem> {
    match caller.scopes {
        Scopes::All => Ok(caller),
        Scopes::Some(_) => Err(Problem::new(Kind::Forbidden).detail("A key for a machine cannot change its account.")),
    }
}

fn too_often(wait: Duration) -> Problem {
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    Problem::new(Kind::TooManyRequests)
        .detail("That was tried too often, and is not looked at now, right or wrong: try again after `Retry-After` seconds.")
        .retry_after(seconds)
}

/// Where a peer is, digested; nothing for this machine.
fn place(peer: Peer) -> Option<u64> {
    peer.prefix().map(|prefix| secret::short(format!("{prefix:?}").as_bytes()))
}

/// Whose tries are counted when somebody names an address and a password.
fn subjects(email: &str, known: Option<&AccountRecord>, peer: Peer) -> Vec<Subject> {
    let (address, place) = (secret::short(email.as_bytes()), place(peer));
    // Who shares a place with somebody who guesses is not to suffer for it where the account knows the place.
    if let Some(place) = place.filter(|place| known.is_some_and(|known| known.places.contains(place))) {
        return vec![Subject::Known(address, place)];
    }
    [Some(Subject::Strangers(address)), place.map(Subject::Place)].into_iter().flatten().collect()
}

fn name(name: &str, pointer: &str) -> Result<String, Problem> {
    let name = name.trim();
    let fine = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    fine.then(|| name.to_owned()).ok_or_else(|| Problem::field(pointer, "1 to 100 characters"))
}

/// An address as it is kept: whoever reads mail there decides whether it is one.
fn email(address: &str, pointer: &str) -> Result<String, Problem> {
    let address = address.trim().to_lowercase();
    let parts = address.split_once('@');
    let fine = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && address.len() <= 254
        && !address.chars().any(|char| char.is_whitespace() || char.is_control());
    fine.then_some(address).ok_or_else(|| Problem::field(pointer, "expected an address such as kim@example.org"))
}
