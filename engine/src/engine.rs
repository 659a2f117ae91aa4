//! Opening an engine: room on the disk, the journal, what it holds, then the owner.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::ArbiterHandle;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::client::Client;
use crate::committer::{Health, Setup};
use crate::config::{Config, ConfigError};
use crate::dues::Dues;
use crate::feed::Histories;
use crate::id::EngineId;
use crate::inventory::Inventory;
use crate::journal::directory::Directory;
use crate::journal::disk::{self, Ballast};
use crate::journal::original::Original;
use crate::journal::recovery::{RecoveryError, recover};
use crate::journal::snapshot::{SnapshotError, Snapshots};
use crate::journal::store::{SledStore, Store, StoreError};
use crate::journal::writer::{Workplace, Writer};
use crate::journal::{Journal, Stream};
use crate::lease::{self, Fence, Lease};
use crate::metrics::Metrics;
use crate::owner::{Owner, Start};
use crate::time::{Clock, SystemClock};

/// An engine whose journal has been read; it answers once it is started.
pub struct Engine {
    start: Start,
    client: Client,
    /// Events that were replayed.
    pub recovered_events: u64,
    /// How long the replay took.
    pub recovery: Duration,
}

/// What keeps other engines from a data directory.
#[derive(Debug, Default)]
struct Held {
    lock: Option<File>,
    lease: Option<Lease>,
}

/// Why an engine cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused.
    #[error("cannot use the data directory {path}")]
    Data {
        /// The directory.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("another engine runs in {0}; stop it, or choose another directory with --data")]
    InUse(String),
    /// Another engine goes on with what was here.
    #[error("the engine in {by} has taken over from the one in {data}, for good; start that one")]
    Replaced {
        /// The directory.
        data: String,
        /// The one that has what was here by now.
        by: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The journal is not what was acknowledged.
    #[error("the journal is damaged and nothing is served from it; restore a copy of the data directory")]
    Recovery(#[from] RecoveryError),
    /// The system has no thread for the journal.
    #[error("the journal has no thread to work on")]
    Thread(#[source] io::Error),
}

impl Engine {
    /// Opens the engine of a data directory, or makes one.
    ///
    /// # Errors
    /// [`OpenError`], where it cannot be used. Then the journal is as it was, unless it is very large or the disk full.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        config.validate()?;
        let io = |source| OpenError::Data { path: config.data.display().to_string(), source };
        std::fs::create_dir_all(&config.data).map_err(io)?;
        let lock = disk::lock(&config.data).map_err(io)?;
        let lock = lock.ok_or_else(|| OpenError::InUse(config.data.display().to_string()))?;
        if let Some(by) = lease::successor(&config.data).map_err(io)? {
            return Err(OpenError::Replaced { data: config.data.display().to_string(), by: by.display().to_string() });
        }
        let ballast = Ballast::in_dir(&config.data, config.ballast_bytes);
        if ballast.release_if_needed().map_err(io)? {
            tracing::warn!("the disk is nearly full: the ballast file was deleted to make room for this start");
        }
        // A start may take longer than a lease.
        let lease = config.lease.map(|length| Lease::hold(&config.data, length)).transpose().map_err(io)?;
        let snapshots = Snapshots::open(&config.data).map_err(io)?;
        let journal = config.data.join("journal");
        let original = Original::keep(&journal);
        // Held until the journal is put back, too.
        let held = lock.try_clone().map_err(io)?;
        let engine = match Self::open_journal(config, &journal, snapshots, held, lease) {
            Ok(engine) => engine,
            Err(error) => {
                original.put_back();
                return Err(error);
            }
        };
        original.forget();
        if let Err(error) = ballast.take_if_plenty() {
            tracing::warn!(%error, "the ballast file could not be made: a start on a full disk may fail");
        }
        Ok(engine)
    }

    fn open_journal(
        config: &Config,
        journal: &Path,
        snapshots: Snapshots,
        lock: File,
        lease: Option<Lease>,
    ) -> Result<Self, OpenError> {
        let store = Box::new(SledStore::open(journal)?);
        let clock = Arc::new(SystemClock::start());
        let name = EngineId(getrandom::u64().map_err(|error| OpenError::Thread(io::Error::other(error)))?);
        let held = Held { lock: Some(lock), lease };
        Self::with(config, name, store, snapshots, clock, held, Workplace::Thread)
    }

    /// An engine on another store, directory of snapshots and clock, and with this name where it has none: what a simulation
    /// runs, on the thread that calls, which must run actix. [`Client::tick`] lets time pass.
    ///
    /// # Errors
    /// [`OpenError`], where what they hold cannot be used.
    pub fn simulated(
        config: &Config,
        name: EngineId,
        store: Box<dyn Store>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<Self, OpenError> {
        let io = |source| OpenError::Data { path: directory.path("").display().to_string(), source };
        let snapshots = Snapshots::within(Arc::clone(&directory)).map_err(io)?;
        Self::with(config, name, store, snapshots, clock, Held::default(), Workplace::Beside)
    }

    #[expect(clippy::disallowed_methods, reason = "how long recovery takes is measured, not decided by")]
    fn with(
        config: &Config,
        name: EngineId,
        store: Box<dyn Store>,
        snapshots: Snapshots,
        clock: Arc<dyn Clock + Send + Sync>,
        held: Held,
        workplace: Workplace,
    ) -> Result<Self, OpenError> {
        let begun = Instant::now();
        let states = snapshots.read_all()?;
        let written = states.iter().map(|snapshot| (snapshot.stream, snapshot.sequence)).collect();
        let found = recover(store.as_ref(), states)?;
        found.cut.iter().for_each(|key| tracing::warn!(?key, "an unfinished record at the journal's end was cut off"));
        let recovery = begun.elapsed();

        let mark = store.mark();
        if mark.records == 0 && found.chains.values().any(|chain| chain.next_sequence > 1) {
            tracing::warn!(
                "the note of how many records were acknowledged is missing, as after some power cuts: had the journal \
                 lost its end, this start would not have noticed"
            );
        }
        let alive_at = mark.alive_at;
        let histories = Arc::new(Histories::default());
        histories.add(found.inventories.values());
        let dues = Arc::new(dues(&found.inventories));
        let (health, watched) = watch::channel(Health::Running);
        let fence = held.lease.as_ref().map_or_else(Fence::none, Lease::fence);
        let clocks = (Arc::clone(&clock), config.command_age_max);
        let client = Client::new(&histories, &dues, clocks, config.durability, watched, fence);
        let metrics = Metrics::new();
        metrics.recovery_seconds.set(recovery.as_secs_f64());
        let recovered_events: u64 = found.events.values().sum();
        metrics.recovered_events.set(recovered_events as f64);
        let away = alive_at.map_or(Duration::ZERO, |alive_at| clock.now() - alive_at);
        let epoch = found.epoch + 1;
        let chain = |stream| found.chains.get(&stream).copied().unwrap_or_default();
        let inventories = found.inventories.into_iter().map(|(id, inventory)| (id, (inventory, chain(Stream(id.0)))));
        let ends = found.gone.into_keys().map(|id| (id, chain(Stream(id.0)).next_sequence)).collect();
        let (inventories, registry) = (inventories.collect(), chain(Stream::REGISTRY));
        let journal = Journal::new(store, epoch, found.chains, config.durability);
        let disk_free_bytes = journal.disk_free_bytes();
        let setup = Setup {
            writer: Writer::start(journal, held.lock, workplace).map_err(OpenError::Thread)?,
            epoch,
            registry,
            disk_free_bytes,
            snapshots,
            clock,
            metrics,
            histories,
            dues,
            health,
            durability: config.durability,
            low_water_bytes: config.low_water_bytes,
            lease: held.lease,
        };
        let start = Start {
            registry: found.registry,
            name,
            inventories,
            ends,
            replayed: found.events,
            snapshots: written,
            setup,
            client: client.clone(),
            mailbox_capacity: config.mailbox_capacity,
            snapshot_every_events: config.snapshot_every_events,
            ticking: workplace == Workplace::Thread,
            extension: away.min(config.downtime_extension_max),
            extension_max: config.downtime_extension_max,
        };
        Ok(Self { start, client, recovered_events, recovery })
    }

    /// Starts the owner on an arbiter's thread.
    ///
    /// # Errors
    /// Where the arbiter has stopped.
    pub async fn start(self, arbiter: &ArbiterHandle) -> Result<Client, oneshot::error::RecvError> {
        let (started, client) = oneshot::channel();
        arbiter.spawn_fn(move || {
            // Whoever started the engine and went away needs no client.
            drop(started.send(self.start_here()));
        });
        client.await
    }

    /// Starts the owner on the thread that calls, which must run actix.
    pub fn start_here(self) -> Client {
        let owner = Owner::start_here(self.start);
        self.client.belongs_to(owner);
        self.client
    }
}

/// The bookings whose payment somebody has to see to.
fn dues(inventories: &BTreeMap<crate::id::PerformanceId, Inventory>) -> Dues {
    let dues = Dues::default();
    inventories.values().flat_map(Inventory::due).for_each(|booking| dues.push(booking));
    dues
}
