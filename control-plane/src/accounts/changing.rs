//! An account changes, and is closed: both only by its owner, who says the password once more.

use super::record::{AccountRecord, by_email, key, owned};
use super::throttle::Subject;
use super::turns::Who;
use super::upkeep::erasing;
use super::{Accounts, ENDED_REMEMBERED, Refused, account, email, name, of_store, secret, still, too_often, whole};
use crate::store::{Change, Store, StoreError};
use onrush_api::accounts::{Account, AccountClosing, AccountPatch};
use onrush_api::peer::Peer;
use onrush_api::problem::Problem;
use onrush_api::session::SessionId;
use onrush_api::token::Caller;
use onrush_engine::time::Timestamp;
use serde::de::IgnoredAny;

impl Accounts {
    /// Changes an account. A new password ends all its other sessions in the same step.
    ///
    /// # Errors
    /// `wrong-credentials` where a new address or password comes with another than the current one; `email-taken`;
    /// `invalid-body`; `quota-exceeded`.
    pub async fn change(&self, caller: &Caller, patch: AccountPatch, peer: Peer) -> Result<Account, Problem> {
        let caller = *whole(caller)?;
        let known = self.of(caller.account).await?;
        if patch.email.is_some() || patch.password.is_some() {
            let current = patch.current_password.as_ref();
            let current = current.ok_or_else(|| Problem::field("/current_password", "needed for this change"))?;
            self.confirm(&known, current, peer).await?;
        }
        let wanted = self.wanted(&known, &patch).await?;
        let (changed, ended, until) = self.apply(caller, known, wanted).await?;
        ended.into_iter().for_each(|id| self.revocations.end_session(id, until));
        Ok(account(&changed))
    }

    /// What a patch asks for, checked.
    async fn wanted(&self, known: &AccountRecord, patch: &AccountPatch) -> Result<Wanted, Problem> {
        let name = patch.name.as_deref().map(|wanted| name(wanted, "/name")).transpose()?;
        let email = patch.email.as_deref().map(|address| email(address, "/email")).transpose()?;
        if email.as_ref().is_some_and(|email| *email != known.email) {
            let moves = [Subject::Moves(secret::short(known.id.0.as_str().as_bytes()))];
            self.throttle.take(&moves, self.now()).map_err(too_often)?;
        }
        let Some(new) = &patch.password else { return Ok(Wanted { name, email, password: None }) };
        let (of_email, of_name) = (email.as_ref().unwrap_or(&known.email), name.as_ref().unwrap_or(&known.name));
        self.hasher.check(Who::Known, new, of_email, of_name, "/password").await?;
        Ok(Wanted { name, email, password: Some(self.hasher.hash(Who::Known, new).await?) })
    }

    /// Changes an account that is still what was `confirmed`. Says what it is now, and which sessions are over.
    async fn apply(
        &self,
        caller: Caller,
        confirmed: AccountRecord,
        wanted: Wanted,
    ) -> Result<(AccountRecord, Vec<SessionId>, Timestamp), Problem> {
        let now = self.now();
        let until = now + ENDED_REMEMBERED;
        let applied = self.with_store(move |store| {
            store.write(|| {
                let before = still(store, &confirmed)?;
                let after = wanted.of(before.clone());
                let mut change = Change::default().account(&after);
                if after.email != before.email {
                    if let Some(other) = by_email(store, &after.email)? {
                        return Err(Refused::EmailTaken(Box::new(other)));
                    }
                    change =
                        change.remove(key::email(&before.email)).put(key::email(&after.email), after.id.0.as_str());
                }
                if (&after.email, &after.name) != (&before.email, &before.name) {
                    change = erasing(store, change, now)?;
                }
                let others = if after.password == before.password { Vec::new() } else { others(store, &caller)? };
                let change =
                    others.iter().fold(change, |change, id| change.end(key::SESSION, *id, &caller.account, until));
                Ok((change, (after, others, until)))
            })
        });
        Ok(applied.await?)
    }

    /// Closes an account for good: what identifies its owner is erased.
    ///
    /// # Errors
    /// `wrong-credentials`; `bookings-outstanding`, unless `force` is set.
    pub async fn close(&self, caller: &Caller, closing: AccountClosing, peer: Peer) -> Result<(), Problem> {
        let known = self.of(whole(caller)?.account).await?;
        self.confirm(&known, &closing.password, peer).await?;
        // Nothing is cancelled for an account that could not be closed.
        self.store.check().map_err(|error| of_store(&error))?;
        (self.obligations)(caller.account, closing.force).await?;
        self.erase(known).await?;
        // What was under way when the account was closed may have booked something since.
        if let Err(problem) = (self.obligations)(caller.account, true).await {
            tracing::error!(account = %caller.account, problem = problem.body().detail, "a closed account has left something behind");
        }
        Ok(())
    }

    async fn erase(&self, confirmed: AccountRecord) -> Result<(), Problem> {
        let (account, now) = (confirmed.id.0, self.now());
        let until = now + ENDED_REMEMBERED;
        self.with_store(move |store| {
            store.write(|| {
                let known = still(store, &confirmed)?;
                let mut change = Change::default().remove(key::account(&account)).remove(key::email(&known.email));
                for kind in [key::SESSION, key::MACHINE] {
                    for (id, _) in owned::<IgnoredAny>(store, kind, &account)? {
                        change = change.end(kind, id, &account, until);
                    }
                }
                let change = change.put(key::closed(&account), now.as_millis().to_string());
                Ok::<_, Refused>((erasing(store, change, now)?, ()))
            })
        })
        .await?;
        self.revocations.close_account(account);
        Ok(())
    }
}

/// What an account is to have instead.
struct Wanted {
    name: Option<String>,
    email: Option<String>,
    /// Hashed.
    password: Option<String>,
}

impl Wanted {
    fn of(self, before: AccountRecord) -> AccountRecord {
        AccountRecord {
            name: self.name.unwrap_or(before.name),
            email: self.email.unwrap_or(before.email),
            password: self.password.unwrap_or(before.password),
            ..before
        }
    }
}

/// The sessions of a caller's account but the caller's own.
fn others(store: &Store, caller: &Caller) -> Result<Vec<SessionId>, StoreError> {
    let sessions = owned::<IgnoredAny>(store, key::SESSION, &caller.account)?;
    Ok(sessions.into_iter().map(|(id, _)| id).filter(|id| Some(*id) != caller.session).collect())
}
