//! What the store has of a deployment: what was asked for. How far it is, is looked at.

use std::collections::BTreeMap;
use std::path::Path;

use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};
use onrush_engine::id::{AccountId, ShowId};
use serde::{Deserialize, Serialize};

use crate::store::{Change, Store, StoreError};

const DEPLOYMENT: &[u8] = b"d";

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) show: Text<ShowId>,
    pub(super) seller: Text<AccountId>,
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, u64>,
    pub(super) created_at: Time,
    /// That it is to go was written down, and is brought to its end, whatever goes down meanwhile.
    #[serde(default)]
    pub(super) going: bool,
}

impl Record {
    /// A show has one at most.
    fn key(show: ShowId) -> Vec<u8> {
        [DEPLOYMENT, show.to_string().as_bytes()].concat()
    }

    /// The deployment of a show.
    pub(super) fn of(store: &Store, show: ShowId) -> Result<Option<Self>, StoreError> {
        let key = Self::key(show);
        store.get(&key)?.map(|bytes| read(&key, &bytes)).transpose()
    }

    pub(super) fn put(&self) -> Change {
        let json = serde_json::to_vec(self).expect("plain fields always make JSON");
        Change::default().put(Self::key(self.show.0), json)
    }

    pub(super) fn remove(&self) -> Change {
        Change::default().remove(Self::key(self.show.0))
    }

    /// Whether a caller may see it.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        is_admin(caller) || self.seller.0 == caller.account
    }
}

/// An admin's key that is good for selling only is no admin.
pub(super) fn is_admin(caller: &Caller) -> bool {
    caller.role == Role::Admin && caller.scopes.cover(&[Role::Admin])
}

fn read(key: &[u8], bytes: &[u8]) -> Result<Record, StoreError> {
    let name = String::from_utf8_lossy(key);
    serde_json::from_slice(bytes).map_err(|error| StoreError::unreadable(Path::new(&*name), error.to_string()))
}

/// All that a store has. One that does not read is left alone, and the log says so: the others are no worse for it.
///
/// # Errors
/// [`StoreError`], where the store cannot be read.
pub(super) fn all(store: &Store) -> Result<Vec<Record>, StoreError> {
    let pairs = store.below(DEPLOYMENT)?;
    let records = pairs.iter().filter_map(|(key, bytes)| {
        read(key, bytes).inspect_err(|error| tracing::error!(%error, "a deployment is left alone")).ok()
    });
    Ok(records.collect())
}
