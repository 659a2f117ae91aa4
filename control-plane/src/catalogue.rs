//! The catalogue: images that may be run, and templates that say which of them, how many, and what is asked.
//!
//! What a deployment runs is copied out of it when the deployment is asked for ([`parts::Parts`]). So nothing that becomes of an
//! image or a template changes what runs, until somebody asks for that deployment once more.

pub(crate) mod checks;
mod images;
pub mod parts;
mod templates;

use std::path::Path;
use std::sync::Arc;

use onrush_engine::time::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Change, Store, StoreError};

const IMAGE: &[u8] = b"m";
const TEMPLATE: &[u8] = b"w";

/// See the module.
pub(crate) struct Catalogue {
    store: Arc<Store>,
    clock: Arc<dyn Clock + Send + Sync>,
}

impl Catalogue {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self { store, clock }
    }
}

fn put(kind: &[u8], id: &str, what: &impl Serialize) -> Change {
    let json = serde_json::to_vec(what).expect("plain fields always make JSON");
    Change::default().put([kind, id.as_bytes()].concat(), json)
}

fn remove(kind: &[u8], id: &str) -> Change {
    Change::default().remove([kind, id.as_bytes()].concat())
}

fn get<T: DeserializeOwned>(store: &Store, kind: &[u8], id: &str) -> Result<Option<T>, StoreError> {
    let key = [kind, id.as_bytes()].concat();
    store.get(&key)?.map(|bytes| read(&key, &bytes)).transpose()
}

/// All of a kind, by their ids.
fn all<T: DeserializeOwned>(store: &Store, kind: &[u8]) -> Result<Vec<T>, StoreError> {
    store.below(kind)?.iter().map(|(key, bytes)| read(key, bytes)).collect()
}

fn read<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    let name = String::from_utf8_lossy(key);
    serde_json::from_slice(bytes).map_err(|error| StoreError::unreadable(Path::new(&*name), error.to_string()))
}
