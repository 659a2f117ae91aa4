//! What must be so: what the disk holds is what the oracles say, what is published too, and an engine whose disk has
//! failed says nothing more.

use onrush_engine::Health;
use onrush_engine::client::Client;
use onrush_engine::event::{Entry, Event};
use onrush_engine::id::PerformanceId;
use onrush_engine::journal::Stream;
use onrush_engine::journal::codec::{decode_image, encode_entries, encode_image};
use onrush_engine::journal::frame::{Frame, Record};
use onrush_engine::journal::recovery::{RecordError, Recovered, RecoveryError, recover};
use onrush_engine::journal::store::Key;
use onrush_engine::mailbox::Failure;
use onrush_engine::owner::RegistryFailure;
use onrush_engine::time::Timestamp;

use crate::disk::Disk;
use crate::fault::{Fault, Site};
use crate::hall::{PERFORMANCES, show};
use crate::oracle::{self, Oracle};
use crate::world::World;

/// One performance's states within a round, of which a crash leaves one.
pub(crate) struct Steps {
    pub(crate) states: Vec<Option<Oracle>>,
    /// The first that may be found.
    pub(crate) acknowledged: usize,
}

impl World<'_> {
    /// What may be found after a crash where all that was under way is one step.
    pub(crate) fn steps(before: &[Option<Oracle>], after: &[Option<Oracle>]) -> Vec<Steps> {
        let steps = |(before, after): (&Option<Oracle>, &Option<Oracle>)| Steps {
            states: vec![before.clone(), after.clone()],
            acknowledged: 0,
        };
        before.iter().zip(after).map(steps).collect()
    }

    /// What a start would find.
    pub(crate) fn recover_aside(&self) -> Recovered {
        let copy = self.disk.durable_copy();
        recover(&copy, copy.snapshots()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the disk holds for good is what the oracles say: acknowledged is durable, and nothing else is there.
    pub(crate) fn check_durable(&mut self) {
        let states = states(&self.recover_aside());
        for (place, state) in states.into_iter().enumerate() {
            let expected = self.oracles[place].as_ref().map(Oracle::describe);
            assert_eq!(expected, state, "performance {place}");
        }
        if self.random.one_in(16) {
            self.check_stale_owner();
        }
    }

    /// A record that an owner writes who has been replaced, and does not know it, is not read.
    fn check_stale_owner(&mut self) {
        let mut records = self.disk.durable_copy().records();
        let stream = Stream(PERFORMANCES[0].0);
        let last = records.range(Key { stream, sequence: 0 }..=Key { stream, sequence: u64::MAX }).next_back();
        let Some((key, bytes)) = last else { return };
        // What was cut off is there until the next record takes its place.
        let Ok(Record { epoch, digest, .. }) = Record::decode(bytes) else { return };
        let next = Key { stream, sequence: key.sequence + 1 };
        let entry = Entry { at: Timestamp::from_millis(self.now()), event: Event::HoldReleased { hold: 0 } };
        let body = encode_entries(&[entry]).remove(0);
        records.insert(next, Frame::encode(epoch - 1, stream, next.sequence, digest, &body).bytes);
        match recover(&Disk::holding(records, 0), self.disk.durable_copy().snapshots()) {
            Err(RecoveryError::Record { source: RecordError::Epoch { .. }, .. }) => {
                self.sometimes.happened("a record of an owner that was replaced is refused");
            }
            other => panic!("a stale owner's record is read: {other:?}"),
        }
    }

    /// Nobody is told anything any more, by an engine whose disk has failed.
    pub(crate) async fn check_dead(&mut self, client: &Client) {
        // It need not have heard of it yet.
        client.settle().await;
        assert!(matches!(*client.health().borrow(), Health::Failed(_)), "the engine takes itself for sound");
        for _ in 0..3 {
            let request = self.crowd.ask(&mut self.random);
            let Some(performance) = client.performance(PERFORMANCES[request.place]) else { continue };
            let outcome = client.ask(&performance, request.ask).await;
            assert_eq!(outcome, Err(Failure::Unknown), "an answer after the first error");
        }
        let registered = client.register(show(), None).await;
        assert_eq!(registered, Err(RegistryFailure::Failed(Failure::Unknown)), "an answer after the first error");
        self.sometimes.happened("nothing is answered after the first error");
    }

    /// After a crash: each performance is as it was after some step, and that is none before the last acknowledged one.
    pub(crate) fn reconcile(&mut self, steps: &[Steps]) {
        self.note_failure();
        self.disk.come_back(&mut self.random);
        let found = self.recover_aside();
        if !found.cut.is_empty() {
            self.sometimes.happened("an unfinished record was cut off");
        }
        if found.inventories.values().any(|inventory| inventory.due().next().is_some()) {
            self.sometimes.happened("a crash leaves payments to be seen to");
        }
        for (place, state) in states(&found).into_iter().enumerate() {
            let Steps { states, acknowledged } = &steps[place];
            let found = states.iter().rposition(|step| step.as_ref().map(Oracle::describe) == state);
            let found = found.unwrap_or_else(|| panic!("performance {place} is as it never was"));
            assert!(
                found >= *acknowledged,
                "performance {place}: step {acknowledged} was acknowledged, {found} is there"
            );
            let changed = |from: usize, to: usize| {
                states[from].as_ref().map(Oracle::describe) != states[to].as_ref().map(Oracle::describe)
            };
            let last = states.len() - 1;
            if changed(0, last) {
                self.sometimes.happened(match (changed(0, found), changed(found, last)) {
                    (true, false) => "the round under way survived the crash",
                    (false, _) => "the round under way was lost in the crash",
                    (true, true) => "a part of the round under way survived the crash",
                });
            }
            self.oracles[place] = states[found].clone();
        }
    }

    fn note_failure(&mut self) {
        let (site, fault) = self.disk.failed().expect("it failed");
        self.note(&format!("{fault:?} at {site:?}"));
        self.sometimes.happened(match (site, fault) {
            (Site::Append, Fault::Stop) => "crash before the append",
            (Site::Append, Fault::NoRoom) => "the disk is full while a group is written",
            (Site::Append, _) => "an append fails",
            (Site::Sync, Fault::Stop) => "crash between append and sync",
            (Site::Sync, _) => "a sync fails",
            (Site::Mark, Fault::Stop) => "crash between sync and acknowledgement",
            (Site::Mark | Site::Heartbeat, _) => "what is noted beside the records cannot be noted",
            (Site::Trim, _) => "records cannot be dropped",
            (Site::Write | Site::SyncFile | Site::Rename | Site::SyncNames | Site::Remove, _) => {
                "crash while a snapshot is written"
            }
            (Site::Scan | Site::Names | Site::Read, _) => unreachable!("a start that cannot read is refused"),
        });
    }

    /// What a start will find of snapshots.
    pub(crate) fn notice_snapshots(&mut self) {
        let copy = self.disk.durable_copy();
        let (records, snapshots) = (copy.records(), copy.snapshots());
        for snapshot in snapshots {
            let behind = |key: &&Key| key.stream == snapshot.stream && key.sequence > snapshot.sequence;
            let before = |key: &&Key| key.stream == snapshot.stream && key.sequence <= snapshot.sequence;
            if records.keys().any(|key| behind(&key)) {
                self.sometimes.happened("a start replays what came after a snapshot");
            }
            if records.keys().any(|key| before(&key)) {
                self.sometimes.happened("a start sees records that a snapshot stands for");
            } else {
                self.sometimes.happened("a start finds that all records before a snapshot are dropped");
            }
        }
    }

    /// What everybody sees is what the oracles say.
    pub(crate) fn check_published(&self, client: &Client) {
        for (performance, oracle) in PERFORMANCES.iter().zip(&self.oracles) {
            let published = client.performance(*performance).expect("it is open").publication.seats();
            let expected = oracle.as_ref().expect("it is open").states();
            let seat = |seat: usize| published.packed[seat / 4] >> (seat % 4 * 2) & 3;
            let seen: Vec<u8> = (0..expected.len()).map(seat).collect();
            assert_eq!(expected, seen, "availability is not what was acknowledged");
        }
    }
}

/// Each performance's state, sound by its own count.
fn states(found: &Recovered) -> Vec<Option<String>> {
    let describe = |performance: &PerformanceId| {
        let inventory = found.inventories.get(performance)?;
        inventory.verify().unwrap_or_else(|fault| panic!("{fault}"));
        let image = inventory.image();
        let body = encode_image(&image);
        assert_eq!(decode_image(body.format, &body).unwrap(), image, "a snapshot reads back");
        Some(oracle::describe(&image, inventory.map().capacity()))
    };
    PERFORMANCES.iter().map(describe).collect()
}
