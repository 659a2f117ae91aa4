//! Who calls: the access token, checked once and remembered; and how often one account may call.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderMap;
use onrush_api::headers::access_token;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_api::token::{Caller, Role, TokenKeys};
use onrush_engine::id::AccountId;
use onrush_engine::seeded::Bug;
use onrush_engine::time::Timestamp;
use quick_cache::sync::Cache;

/// Checks tokens.
pub(crate) struct Tokens {
    keys: Arc<TokenKeys>,
    revocations: Arc<Revocations>,
    /// By the whole token, so that nothing but the very same bytes is believed unchecked.
    known: Cache<Box<str>, Known>,
    buckets: Cache<AccountId, Arc<Bucket>>,
    per_second: u32,
}

/// A token that was checked.
#[derive(Clone, Copy)]
struct Known {
    caller: Caller,
    /// That of the keys it was checked with.
    generation: u64,
}

/// A token bucket: so many requests a second on average, twice as many at once.
struct Bucket(Mutex<Level>);

struct Level {
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    fn take(&self, now: Timestamp, per_second: f64) -> bool {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = (now - level.at).as_secs_f64() * per_second;
        level.tokens = (level.tokens + gained).min(per_second * 2.0);
        level.at = now;
        let granted = level.tokens >= 1.0;
        level.tokens -= if granted { 1.0 } else { 0.0 };
        granted
    }
}

impl Tokens {
    pub(crate) fn new(keys: Arc<TokenKeys>, revocations: Arc<Revocations>, capacity: usize, per_second: u32) -> Self {
        Self { keys, revocations, known: Cache::new(capacity), buckets: Cache::new(capacity), per_second }
    }

    /// Who calls.
    pub(crate) fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Problem> {
        let token = access_token(headers)?;
        let generation = self.keys.generation();
        let caller = match self.known.get(token).filter(|known| known.generation == generation) {
            Some(known) => known.caller,
            None => self.check(token, generation, now)?,
        };
        if self.revocations.cover(&caller) {
            return Err(unauthenticated("The session is over."));
        }
        if caller.expires_at <= now && !Bug::ExpiredTokenAccepted.is_on() {
            return Err(unauthenticated("The access token has expired."));
        }
        self.meter(&caller.account, now)?;
        Ok(caller)
    }

    fn check(&self, token: &str, generation: u64, now: Timestamp) -> Result<Caller, Problem> {
        let caller = self.keys.check(token, now).map_err(|error| unauthenticated(&sentence(&error.to_string())))?;
        self.known.insert(token.into(), Known { caller, generation });
        Ok(caller)
    }

    fn meter(&self, account: &AccountId, now: Timestamp) -> Result<(), Problem> {
        let per_second = f64::from(self.per_second);
        let full = || Bucket(Mutex::new(Level { tokens: per_second * 2.0, at: now }));
        let bucket = match self.buckets.get(account) {
            Some(bucket) => bucket,
            None => {
                let bucket = Arc::new(full());
                self.buckets.insert(*account, Arc::clone(&bucket));
                bucket
            }
        };
        if bucket.take(now, per_second) {
            return Ok(());
        }
        Err(Problem::new(Kind::TooManyRequests).limit(u64::from(self.per_second)).retry_after(1))
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated).detail(detail.to_owned())
}

/// Who holds and books: by themselves, or without an account.
pub(crate) const BUYERS: [Role; 2] = [Role::Buyer, Role::Guest];
/// Who sets shows up, and who operates the platform.
pub(crate) const SELLERS: [Role; 2] = [Role::Seller, Role::Admin];
/// Who runs the platform.
pub(crate) const ADMINS: [Role; 1] = [Role::Admin];
/// Whoever has a token.
pub(crate) const EVERYBODY: [Role; 4] = [Role::Buyer, Role::Guest, Role::Seller, Role::Admin];

/// Demands one of some roles.
pub(crate) fn require(caller: Caller, roles: &[Role]) -> Result<Caller, Problem> {
    if !roles.contains(&caller.role) {
        return Err(Problem::new(Kind::Forbidden));
    }
    if !caller.scopes.cover(roles) {
        return Err(Problem::new(Kind::Forbidden).detail("The key that you signed in with does not have this scope."));
    }
    Ok(caller)
}

/// The caller as the engine knows it.
pub(crate) fn engine_caller(caller: &Caller) -> onrush_engine::command::Caller {
    // An admin's key that is good for selling only is no admin.
    let admin = caller.role == Role::Admin && caller.scopes.cover(&[Role::Admin]);
    onrush_engine::command::Caller { account: caller.account, admin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_gives_a_burst_and_then_its_rate() {
        let start = Timestamp::from_millis(1_000_000);
        let bucket = Bucket(Mutex::new(Level { tokens: 20.0, at: start }));
        assert_eq!((0..30).filter(|_| bucket.take(start, 10.0)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..30).filter(|_| bucket.take(later, 10.0)).count(), 5);
    }
}
