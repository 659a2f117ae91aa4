//! What a control plane is told.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// See the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory; the accounts' store is below it.
    pub data: PathBuf,
    /// How long an access token is valid: so long does a sale go on for somebody while accounts are down.
    pub access_token_ttl: Duration,
    /// How long a session lasts from its last refresh.
    pub session_ttl: Duration,
    /// How long a session lasts at most, however often it is refreshed.
    pub session_max: Duration,
    /// Passwords that are hashed at one time; each takes a core and 19 MiB.
    pub hashes_at_once_max: usize,
    /// Callers who may wait for that, of those who are known, and of strangers; whoever comes on top is asked to come back.
    pub hashes_waiting_max: usize,
    /// What was erased is gone from the disk, too, after so long.
    pub erase_after: Duration,
    /// Room on the disk that is left to the engines.
    pub low_water_bytes: u64,
}

/// What contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nobody could ever sign in, or too many at once.
    #[error("hashes_at_once_max must be 1 to 1,000, and hashes_waiting_max no more than 100,000")]
    Hashes,
    /// An access token would outlive the session that it belongs to, or the memory of its end.
    #[error("access_token_ttl_seconds must be at least 10, and no more than a day and than session_ttl_hours")]
    Ttl,
    /// A session would be carried on beyond its end.
    #[error("session_ttl_hours must be no more than session_max_hours")]
    SessionMax,
}

impl Config {
    /// No access token is valid for longer, whatever the settings were when it was minted.
    pub const ACCESS_TOKEN_TTL_MAX: Duration = Duration::from_hours(24);

    /// What is shipped.
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            access_token_ttl: Duration::from_mins(15),
            session_ttl: Duration::from_hours(30 * 24),
            session_max: Duration::from_hours(180 * 24),
            hashes_at_once_max: 2,
            hashes_waiting_max: 200,
            erase_after: Duration::from_mins(1),
            low_water_bytes: 24 << 20,
        }
    }

    /// Finds the first contradiction.
    ///
    /// # Errors
    /// [`ConfigError`] says what to change.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=1_000).contains(&self.hashes_at_once_max) || self.hashes_waiting_max > 100_000 {
            return Err(ConfigError::Hashes);
        }
        let ttl = self.access_token_ttl;
        if ttl < Duration::from_secs(10) || ttl > self.session_ttl.min(Self::ACCESS_TOKEN_TTL_MAX) {
            return Err(ConfigError::Ttl);
        }
        if self.session_ttl > self.session_max {
            return Err(ConfigError::SessionMax);
        }
        Ok(())
    }
}
