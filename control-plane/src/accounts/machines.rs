//! Keys for machines: shown once, good for a part of what the account may do, revoked at once.

use onrush_api::accounts::{ApiKey, ApiKeyDraft, NewApiKey, Secret, Session};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Scope, Scopes, SessionId};
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};

use super::record::{AccountRecord, MachineRecord, key, owned, read};
use super::throttle::Subject;
use super::{Accounts, ENDED_REMEMBERED, Refused, name, place, secret, too_often, whole, wrong_credentials};
use crate::store::Change;

/// Keys of one account.
const KEYS_MAX: usize = 20;
const PREFIX: &str = "key_";

impl Accounts {
    /// Begins a session of a machine. It cannot be refreshed: the key begins the next one.
    pub(super) async fn sign_in_machine(&self, key: Secret, peer: Peer) -> Result<Session, Problem> {
        // Only what is wrong is counted: a till that shares its place with somebody who guesses goes on.
        match self.machine(key).await {
            Err(problem) if problem.kind == Kind::WrongCredentials => {
                let place: Vec<Subject> = place(peer).map(Subject::Place).into_iter().collect();
                self.throttle.take(&place, self.now()).map_err(too_often)?;
                Err(problem)
            }
            known => known,
        }
    }

    async fn machine(&self, key: Secret) -> Result<Session, Problem> {
        let id = secret::names(secret::MACHINE, &key).ok_or_else(wrong_credentials)?;
        let known = self.with_store(move |store| {
            let record: Option<MachineRecord> = read(store, &key::of(key::MACHINE, id))?;
            let record =
                record.filter(|record| secret::is_right(&key, &record.secret)).ok_or_else(wrong_credentials)?;
            let account: Option<AccountRecord> = read(store, &key::account(&record.account.0))?;
            Ok((record, account.ok_or_else(wrong_credentials)?))
        });
        let (record, account) = known.await?;
        Ok(self.tokens(account.id.0, account.role, Some(id), Scopes::some(&record.scopes), None))
    }

    /// Makes a key.
    ///
    /// # Errors
    /// `invalid-body`, where it could do nothing, or more than the account; `limit-exceeded`.
    pub async fn make_key(&self, caller: &Caller, draft: ApiKeyDraft) -> Result<NewApiKey, Problem> {
        let account = whole(caller)?.account;
        let name = name(&draft.name, "/name")?;
        check_scopes(&draft.scopes, caller.role)?;
        let id = secret::id()?;
        let (key, digest) = secret::make(secret::MACHINE, id)?;
        let created_at = Time(self.now());
        let record = MachineRecord { account: Text(account), name, scopes: draft.scopes, secret: digest, created_at };
        let listed = listed(id, &record);
        let made = self.with_store(move |store| {
            store.write(|| {
                let known: Option<AccountRecord> = read(store, &key::account(&account))?;
                known.ok_or_else(|| Problem::new(Kind::NotFound).detail("Nobody has signed up for this account."))?;
                if owned::<MachineRecord>(store, key::MACHINE, &account)?.len() >= KEYS_MAX {
                    let detail = format!("An account has at most {KEYS_MAX} keys. Revoke one first.");
                    return Err(Problem::new(Kind::LimitExceeded).detail(detail).limit(KEYS_MAX as u64).into());
                }
                Ok::<_, Refused>((Change::default().own(key::MACHINE, id, &account, &record), ()))
            })
        });
        made.await?;
        Ok(NewApiKey { listed, key })
    }

    /// The keys of a caller's account, the oldest first.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn list_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, Problem> {
        let account = whole(caller)?.account;
        let keys = self.with_store(move |store| Ok(owned::<MachineRecord>(store, key::MACHINE, &account)?));
        let mut keys: Vec<ApiKey> = keys.await?.iter().map(|(id, record)| listed(*id, record)).collect();
        keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(keys)
    }

    /// Revokes a key: it begins no session, and those that it has begun are over.
    ///
    /// # Errors
    /// `not-found`, also for somebody else's.
    pub async fn revoke_key(&self, caller: &Caller, key: &str) -> Result<(), Problem> {
        let account = whole(caller)?.account;
        let none = || Problem::new(Kind::NotFound).detail("You have no such key.");
        let id: SessionId = key.strip_prefix(PREFIX).and_then(|id| id.parse().ok()).ok_or_else(none)?;
        let until = self.now() + ENDED_REMEMBERED;
        let revoked = self.with_store(move |store| {
            store.write(|| {
                let record: Option<MachineRecord> = read(store, &key::of(key::MACHINE, id))?;
                record.filter(|record| record.account.0 == account).ok_or_else(none)?;
                Ok::<_, Refused>((Change::default().end(key::MACHINE, id, &account, until), ()))
            })
        });
        revoked.await?;
        self.revocations.end_session(id, until);
        Ok(())
    }
}

fn listed(id: SessionId, record: &MachineRecord) -> ApiKey {
    let MachineRecord { name, scopes, created_at, .. } = record.clone();
    ApiKey { id: format!("{PREFIX}{id}"), name, scopes, created_at }
}

fn check_scopes(scopes: &[Scope], role: Role) -> Result<(), Problem> {
    let own: &[Scope] = match role {
        Role::Buyer | Role::Guest => &[Scope::Book],
        Role::Seller => &[Scope::Sell],
        Role::Admin => &[Scope::Sell, Scope::Ops],
    };
    if scopes.is_empty() {
        return Err(Problem::field("/scopes", "at least one"));
    }
    let alien = scopes.iter().position(|scope| !own.contains(scope));
    let refuse = |place| Err(Problem::field(format!("/scopes/{place}"), "your role may not do that itself"));
    alien.map_or(Ok(()), refuse)
}
