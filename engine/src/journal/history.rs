//! One performance's past, event by event: the fold that a start makes of it, with somebody looking on.
//!
//! [`recover`](super::recovery::recover) has to have found the journal sound; what it cut off, and what a snapshot
//! stands for, is no part of a history.

pub mod seat;

use super::frame::Record;
use super::recovery::{RecordError, Recovered, RecoveryError, open, record_error};
use super::snapshot::Snapshot;
use super::store::{Key, Store};
use super::{Stream, codec};
use crate::event::{Entry, Event};
use crate::id::PerformanceId;
use crate::inventory::Inventory;
use crate::time::Timestamp;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end of this record.
    Record(u64),
    /// As long as events are not later than this: a record's events have times of their own.
    Time(Timestamp),
    /// To the last record.
    End,
}

/// An event at its place.
#[derive(Debug)]
pub struct Step<'a> {
    /// The record that it stands in.
    pub sequence: u64,
    /// What happened, and when.
    pub entry: &'a Entry,
    /// The state that it met; of the first event, what it opens.
    pub before: &'a Inventory,
}

/// See the module. Goes forward only.
#[derive(Debug)]
pub struct History {
    performance: PerformanceId,
    /// The last record that a snapshot stands for, where the history does not begin with the opening.
    snapshot: Option<u64>,
    /// The last record that there is.
    last: u64,
    /// The record that comes next.
    next: u64,
    /// How many events of `next` were replayed, where a time fell between two of them.
    applied: usize,
    events: u64,
    /// Nothing before the opening was replayed.
    inventory: Option<Inventory>,
}

impl History {
    /// The history of a performance that was recovered, from its opening on, or from its snapshot; nothing where it was
    /// not found.
    ///
    /// # Errors
    /// [`RecoveryError`], where the snapshot holds no performance; one that was recovered does.
    pub fn of(
        performance: PerformanceId,
        found: &Recovered,
        snapshots: &[Snapshot],
    ) -> Result<Option<Self>, RecoveryError> {
        let stream = Stream(performance.0);
        let chain = found.chains.get(&stream).filter(|_| found.inventories.contains_key(&performance));
        let Some(chain) = chain else { return Ok(None) };
        let snapshot = snapshots.iter().find(|snapshot| snapshot.stream == stream);
        let restored = |snapshot: &Snapshot| {
            let key = Key { stream, sequence: snapshot.sequence };
            Inventory::from_image(snapshot.image.clone()).map_err(|error| record_error(key, error))
        };
        Ok(Some(Self {
            performance,
            snapshot: snapshot.map(|snapshot| snapshot.sequence),
            last: chain.next_sequence - 1,
            next: snapshot.map_or(0, |snapshot| snapshot.sequence + 1),
            applied: 0,
            events: 0,
            inventory: snapshot.map(restored).transpose()?,
        }))
    }

    /// The performance.
    pub fn performance(&self) -> PerformanceId {
        self.performance
    }

    /// The last record that a snapshot stands for: what was before its end is known only by what it came to. Nothing
    /// where the history begins with the opening.
    pub fn snapshot(&self) -> Option<u64> {
        self.snapshot
    }

    /// The last record that there is.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last record of which something was replayed, or that the snapshot stands for; nothing before the first.
    pub fn position(&self) -> Option<u64> {
        if self.applied > 0 { Some(self.next) } else { self.next.checked_sub(1) }
    }

    /// Events that were replayed.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The state that was come to; nothing before the opening.
    pub fn inventory(&self) -> Option<&Inventory> {
        self.inventory.as_ref()
    }

    /// Goes on, and shows each event before it is applied.
    ///
    /// # Errors
    /// [`RecoveryError`], where the store cannot be read, or a record is not what it was when it was recovered.
    pub fn replay(
        &mut self,
        store: &dyn Store,
        until: Until,
        look: &mut dyn FnMut(&Step<'_>),
    ) -> Result<(), RecoveryError> {
        let mut outcome = Ok(());
        store.scan(&mut |key, bytes| {
            if outcome.is_ok() && self.wants(key, until) {
                outcome = self.record(key.sequence, bytes, until, look).map_err(|error| record_error(key, error));
            }
        })?;
        outcome
    }

    fn wants(&self, key: Key, until: Until) -> bool {
        let asked_for = match until {
            Until::Record(sequence) => key.sequence <= sequence,
            Until::Time(_) | Until::End => true,
        };
        key.stream == Stream(self.performance.0) && key.sequence == self.next && self.next <= self.last && asked_for
    }

    fn record(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        until: Until,
        look: &mut dyn FnMut(&Step<'_>),
    ) -> Result<(), RecordError> {
        let entries = codec::decode_entries(Record::decode(bytes)?.body)?;
        for entry in &entries[self.applied..] {
            if matches!(until, Until::Time(time) if entry.at > time) {
                return Ok(());
            }
            self.apply(sequence, entry, look)?;
        }
        (self.next, self.applied) = (sequence + 1, 0);
        Ok(())
    }

    fn apply(&mut self, sequence: u64, entry: &Entry, look: &mut dyn FnMut(&Step<'_>)) -> Result<(), RecordError> {
        let opens = matches!(entry.event, Event::PerformanceOpened(_));
        if opens {
            // Where there are two, the later one counts, as for a start.
            let (opened, _) = open(Stream(self.performance.0), std::slice::from_ref(entry))?;
            self.inventory = Some(opened);
        }
        let inventory = self.inventory.as_mut().ok_or(RecordError::NotOpened)?;
        look(&Step { sequence, entry, before: inventory });
        if !opens {
            inventory.replay(entry)?;
        }
        // Nobody has to be told what replay touches.
        drop(inventory.touched());
        self.applied += 1;
        self.events += 1;
        Ok(())
    }
}
