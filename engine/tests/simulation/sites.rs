//! Every operation of a recorded sale fails once, in each way it can; the same sale is run anew for each. The world's
//! own checks say what must come of it: nothing is answered after the first error of the journal, everything that was
//! answered is there at the next start, a snapshot that cannot be written stops nothing, and a start that cannot read
//! says so.

use std::collections::BTreeMap;

use crate::fault::{Fault, Site};
use crate::sometimes::Sometimes;
use crate::world::{Course, Faults, World};

const SEED: u64 = 3;
/// Three starts: on an empty disk, on one with snapshots, and one more for whatever the failure has left behind.
const COURSE: Course = Course { lives: 3, rounds: (12, 1), day_millis: None, faults: Faults::One(None) };

#[test]
#[expect(clippy::print_stdout, reason = "the figures say what was tested")]
fn every_operation_fails_in_each_way_once() {
    let sound = World::run(SEED, COURSE, &mut Sometimes::default()).operations;
    let mut failures: BTreeMap<(Site, Fault), u64> = BTreeMap::new();
    for (number, site) in (0..).zip(&sound) {
        for fault in Fault::at(*site) {
            let course = Course { faults: Faults::One(Some((number, *fault))), ..COURSE };
            let failed = World::run(SEED, course, &mut Sometimes::default());
            assert_eq!((failed.faults, failed.operations[number as usize]), (1, *site), "it is not the same sale");
            *failures.entry((*site, *fault)).or_default() += 1;
        }
    }
    let missing: Vec<&Site> = Site::ALL.iter().filter(|site| !sound.contains(site)).collect();
    // What a snapshot leaves behind is dropped only where one has failed.
    assert_eq!(missing, [&Site::Remove], "the sale does without them");
    println!("{} operations, {} failures: {failures:?}", sound.len(), failures.values().sum::<u64>());
}
