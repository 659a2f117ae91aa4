//! Taking over from an engine that hangs: its lease is watched until it has run out, then ended, then its data is copied.
//!
//! A copy, because the former engine may wake up at any moment, and write to its own files what nobody is told.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;

use super::file::{Seen, name_successor, successor};
use super::uptime;
use crate::journal::{disk, original};

/// Looks in the length of a lease.
const LOOKS: u32 = 10;
/// What is copied. The journal comes last: once that is in its place, all is.
const PARTS: [&str; 2] = ["snapshots", "journal"];
/// Copies that somebody writes into, before it is given up, and the time between two. Who wakes up ends within a second.
const COPIES_MAX: u32 = 20;
const COPY_AGAIN: Duration = Duration::from_millis(500);

/// Why an engine cannot take over from another one.
#[derive(Debug, Error)]
pub enum TakeOverError {
    /// The operating system refused.
    #[error("cannot take over from {path}")]
    Io {
        /// The directory of the former engine.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to take over.
    #[error("there is no journal in {0} to take over")]
    Nothing(PathBuf),
    /// The place of the new one has data already.
    #[error("{0} has a journal of its own; take over into another directory with --data")]
    Occupied(PathBuf),
    /// Somebody else takes over into the same place, or runs there.
    #[error("another engine runs in {0}, or takes over there; choose another directory with --data")]
    InUse(PathBuf),
    /// Whether the engine goes on cannot be told.
    #[error("a server runs in {0} that holds no lease, as `onrush serve` does; stop it first")]
    NoLease(PathBuf),
    /// It does go on.
    #[error("the engine in {0} is alive: it has renewed its lease just now; stop it first")]
    Alive(PathBuf),
    /// Another one was first.
    #[error("the engine in {by} has taken over from {former} before; take over from that one")]
    Replaced {
        /// The directory of the former engine.
        former: PathBuf,
        /// The directory of the one that has its data.
        by: PathBuf,
    },
}

/// Ends the engine of one data directory for good, and makes its data that of another one. Waits for a lease that is held to
/// run out. Twice is once: what broke off is brought to its end.
///
/// # Errors
/// [`TakeOverError`]; unless it is of the operating system's, nothing was changed.
pub async fn take_over(former: &Path, heir: &Path) -> Result<(), TakeOverError> {
    let (former, heir) = (&absolute(former)?, &absolute(heir)?);
    let io = |source| TakeOverError::Io { path: former.clone(), source };
    if !former.join("journal").is_dir() {
        return Err(TakeOverError::Nothing(former.clone()));
    }
    fs::create_dir_all(heir).map_err(io)?;
    // One at a time: another one would put its copy in the place of what this one's engine writes.
    let own = disk::lock(heir).map_err(io)?;
    let _own = own.ok_or_else(|| TakeOverError::InUse(heir.clone()))?;
    let named = successor(former).map_err(io)?;
    if let Some(by) = named.as_ref().filter(|by| *by != heir) {
        return Err(TakeOverError::Replaced { former: former.clone(), by: by.clone() });
    }
    if heir.join("journal").exists() {
        return if named.is_some() { Ok(()) } else { Err(TakeOverError::Occupied(heir.clone())) };
    }
    // Whoever has it has ended, and nobody starts there meanwhile.
    let lock = disk::lock(former).map_err(io)?;
    if lock.is_none() {
        end_lease(former, heir, named.is_some()).await?;
    } else {
        become_successor(former, heir)?;
    }
    tracing::info!(former = %former.display(), "the lease of the engine before has ended; its data is copied");
    copy_still(former, heir).await.map_err(io)
}

fn absolute(path: &Path) -> Result<PathBuf, TakeOverError> {
    std::path::absolute(path).map_err(|source| TakeOverError::Io { path: path.to_owned(), source })
}

/// Returns once an engine that has not ended can hold its lease no more.
async fn end_lease(former: &Path, heir: &Path, is_named: bool) -> Result<(), TakeOverError> {
    let seen = if is_named { look(former)? } else { expire(former).await? };
    become_successor(former, heir)?;
    // It may have renewed it just before that; since then it cannot.
    let now = look(former)?;
    if is_named || now != seen {
        sleep(now.length.max(seen.length)).await;
    }
    Ok(())
}

fn become_successor(former: &Path, heir: &Path) -> Result<(), TakeOverError> {
    let named = name_successor(former, heir);
    let by = named.map_err(|source| TakeOverError::Io { path: former.to_owned(), source })?;
    if by == heir { Ok(()) } else { Err(TakeOverError::Replaced { former: former.to_owned(), by }) }
}

fn look(former: &Path) -> Result<Seen, TakeOverError> {
    let seen = Seen::of(former).map_err(|source| TakeOverError::Io { path: former.to_owned(), source })?;
    seen.ok_or_else(|| TakeOverError::NoLease(former.to_owned()))
}

/// Returns once the lease of an engine has run out, with what was seen of it since.
async fn expire(former: &Path) -> Result<Seen, TakeOverError> {
    let (seen, begun) = (look(former)?, uptime());
    tracing::info!(former = %former.display(), length = ?seen.length, "waiting for the lease of an engine to run out");
    while uptime() < begun + seen.length {
        sleep(seen.length / LOOKS).await;
        if look(former)? != seen {
            return Err(TakeOverError::Alive(former.to_owned()));
        }
    }
    Ok(seen)
}

/// Copies what nobody writes to. An engine that wakes up may finish a write, and drop a file, before it learns that it has ended;
/// then the copy is made again.
async fn copy_still(former: &Path, heir: &Path) -> io::Result<()> {
    for _ in 0..COPIES_MAX {
        match copy_once(former, heir) {
            Ok(true) => return put_in_place(heir),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        tracing::info!("the engine before has woken up and writes: its data is copied again");
        sleep(COPY_AGAIN).await;
    }
    Err(io::Error::other("its files do not stop changing"))
}

/// Copies all; whether nobody wrote to it meanwhile.
fn copy_once(former: &Path, heir: &Path) -> io::Result<bool> {
    let before = state_of(former)?;
    for part in PARTS {
        copy_durably(&former.join(part), &draft(heir, part))?;
    }
    Ok(state_of(former)? == before)
}

fn put_in_place(heir: &Path) -> io::Result<()> {
    for part in PARTS {
        // One that came before the other broke off.
        original::remove(&heir.join(part))?;
        fs::rename(draft(heir, part), heir.join(part))?;
        File::open(heir)?.sync_all()?;
    }
    Ok(())
}

fn draft(heir: &Path, part: &str) -> PathBuf {
    heir.join(part).with_extension("taken")
}

/// When each file was written to last, and how long it is.
fn state_of(data: &Path) -> io::Result<Vec<(PathBuf, i64, i64, u64)>> {
    let mut states = Vec::new();
    for part in PARTS.map(|part| data.join(part)).iter().filter(|part| part.is_dir()) {
        for file in original::files(part)? {
            let metadata = fs::metadata(&file)?;
            states.push((file, metadata.mtime(), metadata.mtime_nsec(), metadata.len()));
        }
    }
    states.sort();
    Ok(states)
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    original::remove(to)?;
    fs::create_dir_all(to)?;
    if from.is_dir() {
        original::copy(from, to)?;
    }
    original::files(to)?.iter().try_for_each(|file| File::open(file)?.sync_all())?;
    File::open(to)?.sync_all()
}
