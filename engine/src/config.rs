//! What an engine can be told, with defaults and the reason for each.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::journal::Durability;

/// See each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the journal and the snapshots live.
    pub data: PathBuf,
    /// When a change is answered.
    pub durability: Durability,
    /// Commands that may wait for one performance; more are refused.
    pub mailbox_capacity: usize,
    /// A command that waited longer is dropped before it is decided: its client has given up or will try again.
    pub command_age_max: Duration,
    /// Room that is kept for a start on a full disk.
    pub ballast_bytes: u64,
    /// With less room than this no new hold is made, so that what buyers have begun can be finished.
    pub low_water_bytes: u64,
    /// A performance's state is written to a file of its own after so many events.
    pub snapshot_every_events: u64,
    /// After a time away, active holds get that time back, but no more than this.
    pub downtime_extension_max: Duration,
    /// An engine that has not renewed its lease for so long may be replaced; none for one that nobody ever replaces.
    pub lease: Option<Duration>,
}

/// A configuration that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A mailbox holds nothing, or more than memory allows for many performances.
    #[error("mailbox_capacity must be 16 to 65536")]
    MailboxCapacity,
    /// Snapshots would be written all the time.
    #[error("snapshot_every_events must be 1000 or more")]
    SnapshotEvery,
    /// The ballast would not be enough for the store to open.
    #[error("ballast_mib must be 0 (none) or 17 or more: the store needs 16 MiB to open")]
    Ballast,
    /// Every command would be too old.
    #[error("command_age_max_ms must be 10 or more")]
    CommandAge,
    /// It would run out whenever the machine is busy, or hardly ever.
    #[error("lease_ms must be 300 to 600000")]
    Lease,
}

impl Config {
    /// One segment of the store, which it takes at once when it opens, and room for the rest of a start.
    const BALLAST_BYTES_MIN: u64 = 17 << 20;

    /// Lengths that a lease may have.
    const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_mins(10);

    /// The defaults, for a data directory.
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            durability: Durability::Fsync,
            // 16 bytes each: ten thousand performances of this size are 640 MiB at the very most.
            mailbox_capacity: 4096,
            // Ten slow flushes; with a fast disk a command waits a millisecond.
            command_age_max: Duration::from_secs(1),
            ballast_bytes: 64 << 20,
            // One segment of the store, which it may take at once, and half of one.
            low_water_bytes: 24 << 20,
            // A fifth of a second of replay.
            snapshot_every_events: 200_000,
            downtime_extension_max: Duration::from_mins(5),
            lease: None,
        }
    }

    /// Whether the values go together.
    ///
    /// # Errors
    /// [`ConfigError`], the first that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            ((16..=65536).contains(&self.mailbox_capacity), ConfigError::MailboxCapacity),
            (self.snapshot_every_events >= 1000, ConfigError::SnapshotEvery),
            (self.ballast_bytes == 0 || self.ballast_bytes >= Self::BALLAST_BYTES_MIN, ConfigError::Ballast),
            (self.command_age_max >= Duration::from_millis(10), ConfigError::CommandAge),
            (self.lease.is_none_or(|lease| Self::LEASES.contains(&lease)), ConfigError::Lease),
        ];
        checks.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, error)| Err(*error))
    }
}
