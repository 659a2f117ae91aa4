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
}

impl Record {
    fn key(&self) -> Vec<u8> {
        [DEPLOYMENT, self.id.as_bytes()].concat()
    }

    pub(super) fn put(&self) -> Change {
        let json = serde_json::to_vec(self).expect("plain fields always make JSON");
        Change::default().put(self.key(), json)
    }

    pub(super) fn remove(&self) -> Change {
        Change::default().remove(self.key())
    }

    /// Whether a caller may see it.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        caller.role == Role::Admin || self.seller.0 == caller.account
    }
}

/// All that a store has.
pub(super) fn all(store: &Store) -> Result<Vec<Record>, StoreError> {
    let records = store.below(DEPLOYMENT)?.into_iter();
    records
        .map(|(key, bytes)| {
            let name = String::from_utf8_lossy(&key);
            serde_json::from_slice(&bytes).map_err(|error| StoreError::unreadable(Path::new(&*name), error.to_string()))
        })
        .collect()
}
