//! What goes by itself: what was erased from the disk, what has expired from the store.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use onrush_engine::time::Timestamp;

use super::Accounts;
use super::record::{self, key};
use crate::store::{Change, Store, StoreError};

/// When the store was last tidied up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tidied {
    /// When it was written anew, and how long that took.
    rewritten: Option<(Timestamp, Duration)>,
    /// When expired sessions were last looked for.
    looked: Option<Timestamp>,
}

/// Between two looks for sessions that have expired.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// Of the time no more than one part in so many goes into writing the store anew.
const REWRITE_SHARE: u32 = 100;
/// Keys that one change takes away.
const KEYS_AT_ONCE: usize = 1_000;

impl Accounts {
    /// What has to be done now and then: what was erased goes from the disk, and what has expired from the store. Waits
    /// for the disk.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost, and the next time it is tried again.
    pub fn upkeep(&self) -> Result<(), StoreError> {
        let now = self.now();
        let erased = self.erase_for_good(now);
        self.forget_expired(now)?;
        erased
    }

    /// Writes the store anew, if something was erased long enough ago, and not all the time.
    fn erase_for_good(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(since) = self.store.get(key::ERASING)?.and_then(|since| record::time(&since)) else { return Ok(()) };
        let tidied = *self.tidied();
        let rests = tidied.rewritten.is_some_and(|(at, took)| now - at < took * REWRITE_SHARE);
        if now - since < self.config.erase_after || rests {
            return Ok(());
        }
        let rewritten = self.store.rewrite(key::ERASING, self.config.low_water_bytes);
        self.tidied().rewritten = Some((self.now(), self.now() - now));
        if rewritten.is_ok() {
            tracing::info!("what was erased is gone from the disk");
        }
        rewritten
    }

    fn tidied(&self) -> MutexGuard<'_, Tidied> {
        self.tidied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.tidied().looked.is_some_and(|looked| now - looked < LOOK_EVERY) {
            return Ok(());
        }
        self.revocations.forget_expired(now);
        let ended = self.ended()?;
        let over = ended.iter().filter(|(_, until)| *until <= now).map(|(session, _)| key::of(key::ENDED, *session));
        let over: Vec<Vec<u8>> = over.chain(self.expired_sessions(now)?).collect();
        self.remove(&over, None)?;
        self.remove(&self.unneeded_guests(now)?, Some(now))?;
        self.tidied().looked = Some(now);
        Ok(())
    }

    /// Takes keys away, so many at a time; with a note since when, where they have to go from the disk, too.
    fn remove(&self, keys: &[Vec<u8>], erased: Option<Timestamp>) -> Result<(), StoreError> {
        for part in keys.chunks(KEYS_AT_ONCE) {
            let change = part.iter().cloned().fold(Change::default(), Change::remove);
            self.store.write(|| {
                let noted = match erased {
                    Some(now) => erasing(&self.store, change, now)?,
                    None => change,
                };
                Ok::<_, StoreError>((noted, ()))
            })?;
        }
        Ok(())
    }
}

/// With a note that something has to be erased, since the first that was.
pub(super) fn erasing(store: &Store, change: Change, now: Timestamp) -> Result<Change, StoreError> {
    Ok(match store.get(key::ERASING)? {
        Some(_) => change,
        None => change.put(key::ERASING, now.as_millis().to_string()),
    })
}
