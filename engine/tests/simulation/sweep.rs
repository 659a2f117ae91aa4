//! Every byte of a journal: the last 64 KiB cut off at each offset, and flipped bit by bit. A start must find exactly
//! what was there behind some record, or refuse; never something else, and it never panics. A damaged snapshot must be
//! refused.
//!
//! A cut is an end that never reached the disk, the last record torn or missing. Every bit is flipped in a whole
//! journal, and one of each byte in a torn end. A recovery takes what is noted to have been durable: first nothing
//! behind the damage, and then the damage has to be cut off where it is at its stream's end; where that comes to a
//! prefix, then everything, and that has to be refused.
//!
//! An optimised build tries all. A debug build tries a sample; `ONRUSH_SWEEP_STRIDE=1` makes it try all, too.

use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use onrush_engine::journal::Stream;
use onrush_engine::journal::directory::Directory as _;
use onrush_engine::journal::frame::Chain;
use onrush_engine::journal::recovery::{Recovered, RecoveryError, recover};
use onrush_engine::journal::snapshot::{Snapshot, Snapshots};
use onrush_engine::journal::store::{Key, Mark, Store, StoreError};
use onrush_engine::time::Timestamp;

use crate::disk::Disk;
use crate::hall::PERFORMANCES;
use crate::number;
use crate::sale::Sale;

const SEED: u64 = 11;
/// What is damaged; before it is what every sale begins with.
const SWEPT: usize = 64 << 10;
/// Prime, so that a sample sees every bit of a byte and every field of a header.
const STRIDE_IN_DEBUG: u64 = 197;

/// What became of some recoveries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outcomes {
    prefixes: u64,
    refusals: u64,
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.prefixes += other.prefixes;
        self.refusals += other.refusals;
    }
}

/// A sale's journal of which one record is damaged.
#[derive(Clone, Copy)]
struct Damaged<'a> {
    sale: &'a Sale,
    /// The sale's records in the order of their keys.
    order: &'a [usize],
    /// Which record.
    at: usize,
    /// What is left of it, if anything.
    left: Option<&'a [u8]>,
    /// Whether what was written behind it is missing.
    torn: bool,
    /// How many records the mark says were durable.
    acknowledged: u64,
}

impl Damaged<'_> {
    fn recovered(&self) -> Result<Recovered, RecoveryError> {
        let recovered = catch_unwind(AssertUnwindSafe(|| recover(self, Vec::new())));
        recovered.unwrap_or_else(|_| panic!("recovery panicked: {}", self.describe()))
    }

    fn describe(&self) -> String {
        let Self { at, left, torn, acknowledged, .. } = self;
        format!("record {at}, torn: {torn}, {acknowledged} acknowledged, left: {left:02x?}")
    }

    /// Records that are as they were.
    fn whole(&self) -> u64 {
        (if self.torn { self.at } else { self.sale.records.len() - 1 }) as u64
    }

    /// Whether a start has to get over it: what is damaged is its stream's end and was never acknowledged.
    fn may_be_cut(&self) -> bool {
        let stream = self.sale.records[self.at].key.stream;
        self.torn || self.sale.records[self.at + 1..].iter().all(|later| later.key.stream != stream)
    }

    /// Recovers with nothing acknowledged behind the damage; where that finds a prefix, with everything acknowledged, too.
    fn outcomes(self) -> Outcomes {
        let lenient = Self { acknowledged: self.at as u64, ..self };
        let Ok(found) = lenient.recovered() else {
            assert!(!lenient.may_be_cut(), "an end that nobody was told of is refused: {}", lenient.describe());
            return Outcomes { prefixes: 0, refusals: 1 };
        };
        assert!(lenient.may_be_cut(), "damage in the middle is passed over: {}", lenient.describe());
        assert_eq!(self.sale.records_in(&found), Ok(lenient.whole()), "{}", lenient.describe());
        let cut: Vec<Key> = self.left.iter().map(|_| self.sale.records[self.at].key).collect();
        assert_eq!(found.cut, cut, "a start has to say what it cuts off: {}", lenient.describe());
        let strict = Self { acknowledged: self.sale.records.len() as u64, ..self };
        assert!(strict.recovered().is_err(), "what was acknowledged is missing: {}", strict.describe());
        Outcomes { prefixes: 1, refusals: 1 }
    }
}

impl Store for Damaged<'_> {
    fn scan(&self, visit: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        for &place in self.order {
            let record = &self.sale.records[place];
            match self.left {
                _ if place < self.at || (place > self.at && !self.torn) => visit(record.key, &record.bytes),
                Some(left) if place == self.at => visit(record.key, left),
                _ => {}
            }
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { records: self.acknowledged, alive_at: None }
    }

    fn append(&mut self, _: &[(Key, Vec<u8>)]) -> Result<(), StoreError> {
        unreachable!("recovery only reads")
    }

    fn flush(&mut self, _: u64) -> Result<(), StoreError> {
        unreachable!("recovery only reads")
    }

    fn trim(&mut self, _: Stream, _: u64) -> Result<bool, StoreError> {
        unreachable!("recovery only reads")
    }

    fn heartbeat(&mut self, _: Timestamp) -> Result<(), StoreError> {
        unreachable!("recovery only reads")
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }
}

/// A journal to be damaged.
struct Sweep {
    sale: Sale,
    order: Vec<usize>,
    /// The record and the place in it of each byte that is swept.
    bytes: Vec<(usize, usize)>,
}

impl Sweep {
    fn new() -> Self {
        let sale = Sale::run(SEED, SWEPT);
        let mut order: Vec<usize> = (0..sale.records.len()).collect();
        order.sort_by_key(|place| sale.records[*place].key);
        let places = |(record, written): (usize, &crate::sale::Written)| {
            (0..written.bytes.len()).map(move |byte| (record, byte)).collect::<Vec<_>>()
        };
        let mut bytes: Vec<(usize, usize)> = sale.records.iter().enumerate().flat_map(places).collect();
        bytes.drain(..bytes.len() - SWEPT);
        Self { sale, order, bytes }
    }

    fn damaged<'a>(&'a self, at: usize, left: Option<&'a [u8]>, torn: bool) -> Damaged<'a> {
        Damaged { sale: &self.sale, order: &self.order, at, left, torn, acknowledged: 0 }
    }

    /// The journal ends before a byte.
    fn cut(&self, byte: usize) -> Outcomes {
        let (at, kept) = self.bytes[byte];
        let left = Some(&self.sale.records[at].bytes[..kept]).filter(|left| !left.is_empty());
        self.damaged(at, left, true).outcomes()
    }

    /// A bit is flipped in a whole journal; one bit of each byte also in a torn end.
    fn flip(&self, bit: usize) -> Outcomes {
        let (at, byte) = self.bytes[bit / 8];
        let mut flipped = self.sale.records[at].bytes.clone();
        flipped[byte] ^= 1 << (bit % 8);
        let mut outcomes = self.damaged(at, Some(&flipped), false).outcomes();
        if bit % 8 == byte % 8 {
            outcomes += self.damaged(at, Some(&flipped), true).outcomes();
        }
        outcomes
    }
}

/// The bytes of a snapshot at the sale's end.
fn snapshot(sale: &Sale) -> Vec<u8> {
    let order: Vec<usize> = (0..sale.records.len()).collect();
    let whole = Damaged { sale, order: &order, at: order.len(), left: None, torn: false, acknowledged: 0 };
    let found = whole.recovered().unwrap();
    let stream = Stream(PERFORMANCES[0].0);
    let Chain { next_sequence, tip } = found.chains[&stream];
    let image = found.inventories[&PERFORMANCES[0]].image();
    Snapshot { epoch: found.epoch, stream, sequence: next_sequence - 1, tip, image }.encode()
}

/// Whether a start reads a snapshot with these bytes.
fn reads(bytes: &[u8]) -> bool {
    let disk = Disk::default();
    disk.write("000000000000000b.snapshot", bytes).unwrap();
    Snapshots::within(Arc::new(disk)).unwrap().read_all().is_ok()
}

/// Does `one` for every stride's number below `end`, on all cores.
fn on_all_cores(end: usize, one: impl Fn(usize) -> Outcomes + Sync) -> Outcomes {
    let stride = number("ONRUSH_SWEEP_STRIDE").unwrap_or(if cfg!(debug_assertions) { STRIDE_IN_DEBUG } else { 1 });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = |core: usize| {
        let mut outcomes = Outcomes::default();
        (0..end).step_by(stride as usize).skip(core).step_by(cores).for_each(|number| outcomes += one(number));
        outcomes
    };
    let share = &share;
    thread::scope(|scope| {
        let shares: Vec<_> = (0..cores).map(|core| scope.spawn(move || share(core))).collect();
        let mut outcomes = Outcomes::default();
        shares.into_iter().for_each(|share| outcomes += share.join().expect("no recovery goes wrong"));
        outcomes
    })
}

#[expect(clippy::print_stdout, reason = "the figures are what a full sweep is run for")]
fn report(what: &str, Outcomes { prefixes, refusals }: Outcomes) {
    println!("{what}: {} recoveries, {prefixes} exact prefixes, {refusals} refusals", prefixes + refusals);
    assert!(prefixes > 0 && refusals > 0, "only one of both was tested");
}

#[test]
fn a_journal_cut_at_any_byte_is_a_prefix_or_refused() {
    let sweep = Sweep::new();
    report("cuts", on_all_cores(sweep.bytes.len(), |byte| sweep.cut(byte)));
}

#[test]
fn a_journal_with_any_bit_flipped_is_a_prefix_or_refused() {
    let sweep = Sweep::new();
    let outcomes = on_all_cores(sweep.bytes.len() * 8, |bit| sweep.flip(bit));
    let whole = number("ONRUSH_SWEEP_STRIDE").is_none() && !cfg!(debug_assertions);
    assert!(!whole || outcomes.prefixes + outcomes.refusals >= 500_000, "too few recoveries");
    report("flipped bits", outcomes);
}

#[test]
fn a_snapshot_with_any_bit_flipped_or_cut_at_any_byte_is_refused() {
    let whole = snapshot(&Sale::run(SEED, SWEPT));
    let outcome = |bytes: &[u8]| Outcomes { prefixes: u64::from(reads(bytes)), refusals: u64::from(!reads(bytes)) };
    let mut outcomes = on_all_cores(whole.len() * 8, |bit| {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        outcome(&flipped)
    });
    outcomes += on_all_cores(whole.len(), |length| outcome(&whole[..length]));
    assert_eq!(outcomes.prefixes, 0, "a damaged snapshot was read");
    outcomes += outcome(&whole);
    report("damaged snapshots, and a whole one", outcomes);
}
