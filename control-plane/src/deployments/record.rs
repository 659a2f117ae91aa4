//! What the store has of a deployment: what was asked for. How far it is, is looked at.

use std::collections::BTreeMap;
use std::path::Path;

use onrush_api::deployments::OperationKind;
use onrush_api::text::{Text, Time};
use onrush_api::token::Caller;
use onrush_engine::id::{AccountId, ShowId};
use serde::{Deserialize, Serialize};

use super::template::{Size, size_of};
use crate::callers::is_admin;
use crate::catalogue::parts::Parts;
use crate::store::{Change, Store, StoreError};

const DEPLOYMENT: &[u8] = b"d";
/// By their ids, deployments that were deleted.
const BURIED: &[u8] = b"t";

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) show: Text<ShowId>,
    pub(super) seller: Text<AccountId>,
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, u64>,
    /// What it runs, as the template was when it was asked for.
    #[serde(default)]
    pub(super) parts: Parts,
    /// Thousandths of a core, and MiB, that each engine was asked to have; what the template comes to, where nobody did.
    #[serde(default)]
    pub(super) cpu_millis: Option<u64>,
    #[serde(default)]
    pub(super) memory_mib: Option<u64>,
    pub(super) created_at: Time,
    /// Its engines, by number; each has a directory.
    #[serde(default = "first")]
    pub(super) engines: Vec<u32>,
    /// Those of them that are to give all away and go.
    #[serde(default)]
    pub(super) leaving: Vec<u32>,
    /// Those that have nothing any more and are being ended: not to be started again, whatever goes wrong.
    #[serde(default)]
    pub(super) retiring: Vec<u32>,
    /// Those that nothing was ever given to: whatever becomes of them, nothing is lost.
    #[serde(default)]
    pub(super) vacant: Vec<u32>,
    /// What engines got before that are to go: they take it until they have gone.
    #[serde(default)]
    pub(super) before: Option<Size>,
    /// The number of the next one. None is used twice: what one has left behind stays.
    #[serde(default = "one")]
    pub(super) next: u32,
    /// Which of them has the show; nothing while it is where it was made.
    #[serde(default)]
    pub(super) home: Option<u32>,
    /// To which of them it is on its way.
    #[serde(default)]
    pub(super) moving: Option<u32>,
    /// The nodes that engines were asked for on; who is not among them runs on any.
    #[serde(default)]
    pub(super) nodes: BTreeMap<u32, String>,
    /// How often this was changed.
    #[serde(default)]
    pub(super) revision: u64,
    /// What was asked for last, until it is done.
    #[serde(default)]
    pub(super) operation: Option<Begun>,
    /// That it is to go was written down, and is brought to its end, whatever goes down meanwhile.
    #[serde(default)]
    pub(super) going: bool,
}

/// What was asked of a deployment, and when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) kind: OperationKind,
    pub(super) at: Time,
}

fn first() -> Vec<u32> {
    vec![0]
}

fn one() -> u32 {
    1
}

impl Record {
    /// One with an engine, as it is asked for.
    pub(super) fn new(
        id: String,
        show: ShowId,
        seller: AccountId,
        template: String,
        parameters: BTreeMap<String, u64>,
        parts: Parts,
        created_at: Time,
    ) -> Self {
        let (show, seller) = (Text(show), Text(seller));
        let (engines, leaving, next) = (first(), Vec::new(), one());
        Self {
            id,
            show,
            seller,
            template,
            parameters,
            parts,
            cpu_millis: None,
            memory_mib: None,
            created_at,
            engines,
            leaving,
            retiring: Vec::new(),
            vacant: first(),
            before: None,
            next,
            home: None,
            moving: None,
            nodes: BTreeMap::new(),
            revision: 0,
            operation: None,
            going: false,
        }
    }

    /// What each of its engines gets.
    pub(super) fn size(&self) -> Size {
        let mut size = size_of(&self.parameters);
        if let Some(cpu_millis) = self.cpu_millis {
            (size.cpu_millis, size.cpu_limit_millis) = (cpu_millis, cpu_millis);
        }
        size.memory_mib = self.memory_mib.unwrap_or(size.memory_mib);
        size
    }

    /// The engines that are to run.
    pub(super) fn running(&self) -> impl Iterator<Item = u32> {
        self.engines.iter().filter(|engine| !self.retiring.contains(engine)).copied()
    }

    /// The engines that are to be there.
    pub(super) fn staying(&self) -> Vec<u32> {
        self.engines.iter().filter(|engine| !self.leaving.contains(engine)).copied().collect()
    }

    /// Where the show has to go, unless it is where it is to be.
    pub(super) fn next_home(&self) -> Option<u32> {
        let staying = self.staying();
        let is_well = self.home.is_some_and(|home| staying.contains(&home));
        if is_well { None } else { staying.first().copied() }
    }

    /// So many engines: more come, or the last ones go.
    pub(super) fn scale(&mut self, replicas: usize) {
        let staying = self.staying();
        self.leaving.extend(staying.iter().skip(replicas));
        self.add(replicas.saturating_sub(staying.len()));
    }

    /// As many new engines in the place of all that there are.
    pub(super) fn replace(&mut self) {
        self.replace_by(self.staying().len());
    }

    /// So many new engines in the place of all that there are.
    pub(super) fn replace_by(&mut self, replicas: usize) {
        let staying = self.staying();
        self.add(replicas);
        self.leaving.extend(staying);
    }

    /// Makes a change, with new engines in the place of all that there are.
    pub(super) fn renew(&mut self, replicas: usize, change: impl FnOnce(&mut Self)) {
        self.before = Some(self.size());
        change(self);
        self.replace_by(replicas);
    }

    /// The same, on a node.
    pub(super) fn relocate(&mut self, node: &str) {
        let first = self.next;
        self.replace();
        self.nodes.extend((first..self.next).map(|engine| (engine, node.to_owned())));
    }

    fn add(&mut self, engines: usize) {
        for _ in 0..engines {
            self.engines.push(self.next);
            self.vacant.push(self.next);
            self.next += 1;
        }
    }

    /// One that is to go and has nothing to give away, heard or not.
    pub(super) fn needless(&self) -> Option<u32> {
        let is_needless = |engine: &&u32| self.vacant.contains(engine) && !self.retiring.contains(engine);
        self.leaving.iter().find(is_needless).copied()
    }

    /// Something is given to an engine.
    pub(super) fn occupy(&mut self, engine: u32) {
        self.vacant.retain(|vacant| *vacant != engine);
    }

    /// An engine has gone.
    pub(super) fn forget(&mut self, engine: u32) {
        self.engines.retain(|known| *known != engine);
        self.leaving.retain(|known| *known != engine);
        self.retiring.retain(|known| *known != engine);
        self.vacant.retain(|known| *known != engine);
        self.nodes.remove(&engine);
    }

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

    /// It has gone; that it was there stays known.
    pub(super) fn bury(&self) -> Change {
        Change::default().remove(Self::key(self.show.0)).put([BURIED, self.id.as_bytes()].concat(), Vec::new())
    }

    /// Whether a caller may see it.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        is_admin(caller) || self.seller.0 == caller.account
    }
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

/// Whether a deployment was deleted from here.
///
/// # Errors
/// [`StoreError`], where the store cannot be read.
pub(super) fn is_buried(store: &Store, id: &str) -> Result<bool, StoreError> {
    Ok(store.get(&[BURIED, id.as_bytes()].concat())?.is_some())
}
