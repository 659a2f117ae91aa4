//! What the store has of accounts, sessions, keys for machines and guests: JSON, by keys whose first letter says what they name.

use std::path::Path;

use onrush_api::session::{Scope, SessionId};
use onrush_api::text::{Text, Time};
use onrush_api::token::Role;
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Change, Store, StoreError};

/// Where something stands in the store.
pub(super) mod key {
    use super::{AccountId, SessionId};

    pub(crate) const CLOSED: &[u8] = b"c";
    pub(crate) const ENDED: &[u8] = b"x";
    /// Of which an account has many: sessions, and keys for machines.
    pub(crate) const SESSION: &[u8] = b"s";
    pub(crate) const MACHINE: &[u8] = b"k";
    /// What a guest has said.
    pub(crate) const GUEST: &[u8] = b"g";
    /// Whom the first start has made an admin.
    pub(crate) const FIRST_ADMIN: &[u8] = b"i";
    /// There is something to be erased, since then.
    pub(crate) const ERASING: &[u8] = b"p";

    pub(crate) fn guest(id: &AccountId) -> Vec<u8> {
        [GUEST, id.as_str().as_bytes()].concat()
    }

    pub(crate) fn account(id: &AccountId) -> Vec<u8> {
        [b"a", id.as_str().as_bytes()].concat()
    }

    pub(crate) fn email(email: &str) -> Vec<u8> {
        [b"e", email.as_bytes()].concat()
    }

    pub(crate) fn closed(id: &AccountId) -> Vec<u8> {
        [CLOSED, id.as_str().as_bytes()].concat()
    }

    /// A session, a key for a machine, or that one of either is over.
    pub(crate) fn of(kind: &[u8], id: SessionId) -> Vec<u8> {
        [kind, id.to_string().as_bytes()].concat()
    }

    /// What an account has of a kind. No account's id has a colon.
    pub(crate) fn owned(kind: &[u8], account: &AccountId) -> Vec<u8> {
        [b"o", account.as_str().as_bytes(), b":", kind].concat()
    }

    pub(crate) fn owned_one(kind: &[u8], account: &AccountId, id: SessionId) -> Vec<u8> {
        [owned(kind, account).as_slice(), id.to_string().as_bytes()].concat()
    }

    /// What a key names, behind a prefix.
    pub(crate) fn name<T: std::str::FromStr>(key: &[u8], prefix: &[u8]) -> Option<T> {
        std::str::from_utf8(key.strip_prefix(prefix)?).ok()?.parse().ok()
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) id: Text<AccountId>,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) role: Role,
    /// A PHC string.
    pub(super) password: String,
    pub(super) created_at: Time,
    /// What the request that made it was known by, digested.
    pub(super) request: Option<u64>,
    /// Places from which its owner has signed in, digested, the newest last.
    pub(super) places: Vec<u64>,
}

/// A session that can be refreshed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub(super) account: Text<AccountId>,
    /// Of what all its refresh tokens have in common.
    pub(super) family: String,
    /// Of the only refresh token that is good now.
    pub(super) secret: String,
    pub(super) begun_at: Time,
    pub(super) expires_at: Time,
}

/// A key for a machine; its sessions are named like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    pub(super) account: Text<AccountId>,
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) secret: String,
    pub(super) created_at: Time,
}

/// What somebody owns of a kind, by id.
pub(super) type Owned<T> = Vec<(SessionId, T)>;

fn bytes(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain and always make JSON")
}

/// The record at a key. One that does not read is taken for a failure of the store, not for nothing.
pub(super) fn read<T: DeserializeOwned>(store: &Store, key: &[u8]) -> Result<Option<T>, StoreError> {
    store.get(key)?.map(|bytes| serde_json::from_slice(&bytes).map_err(|_| unreadable(key))).transpose()
}

/// A point in time as the store has it.
pub(super) fn time(millis: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(millis).ok()?.parse().ok().map(Timestamp::from_millis)
}

/// What stands at a key is none of ours. Only the kind is told: the rest may name somebody.
pub(super) fn unreadable(key: &[u8]) -> StoreError {
    let kind = key.first().copied().map(char::from).unwrap_or(' ');
    StoreError::unreadable(Path::new("accounts"), format!("a record of kind '{kind}' is damaged"))
}

/// The account with an address.
pub(super) fn by_email(store: &Store, email: &str) -> Result<Option<AccountRecord>, StoreError> {
    let id = store.get(&key::email(email))?;
    let id = id.and_then(|id| std::str::from_utf8(&id).ok()?.parse().ok());
    id.map_or(Ok(None), |id| read(store, &key::account(&id)))
}

/// What an account has of a kind, in the order of ids.
pub(super) fn owned<T: DeserializeOwned>(
    store: &Store,
    kind: &[u8],
    account: &AccountId,
) -> Result<Owned<T>, StoreError> {
    let prefix = key::owned(kind, account);
    let mut found = Vec::new();
    for (key, _) in store.below(&prefix)? {
        let id: SessionId = key::name(&key, &prefix).ok_or_else(|| unreadable(&key))?;
        found.extend(read(store, &key::of(kind, id))?.map(|record| (id, record)));
    }
    Ok(found)
}

impl Change {
    /// With an account's record as it is now.
    pub(super) fn account(self, record: &AccountRecord) -> Self {
        self.put(key::account(&record.id.0), bytes(record))
    }

    /// With a session, or a key for a machine, as it is now.
    pub(super) fn own(self, kind: &[u8], id: SessionId, account: &AccountId, record: &impl Serialize) -> Self {
        self.put(key::of(kind, id), bytes(record)).put(key::owned_one(kind, account, id), "")
    }

    /// Without a session, or without a key for a machine and the sessions that it has begun. That this is over is kept
    /// `until` every access token has expired.
    pub(super) fn end(self, kind: &[u8], id: SessionId, account: &AccountId, until: Timestamp) -> Self {
        let without = self.remove(key::of(kind, id)).remove(key::owned_one(kind, account, id));
        without.put(key::of(key::ENDED, id), until.as_millis().to_string())
    }
}
