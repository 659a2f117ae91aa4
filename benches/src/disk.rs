//! The disk without a journal: a file of its full length from the start, written in place and synced. No store that waits
//! for this disk can be quicker.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// What a hold of one seat takes in a journal's record, in bytes.
pub const HOLD_LEN: usize = 97;

/// See the module.
pub struct InPlace {
    file: File,
}

impl InPlace {
    /// A file of `len` bytes, all of which have a place on the disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(dir: &Path, len: usize) -> anyhow::Result<Self> {
        let file = File::create(dir.join("file"))?;
        file.write_all_at(&vec![0; len], 0)?;
        file.sync_all()?;
        Ok(Self { file })
    }

    /// Writes a record, the `number`th of this length, and waits until the disk has it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn commit(&self, number: u32, record: &[u8]) -> anyhow::Result<()> {
        self.file.write_all_at(record, u64::from(number) * record.len() as u64)?;
        Ok(self.file.sync_data()?)
    }
}

/// What `count` commits of `holds` holds take, one after the other, in nanoseconds.
///
/// # Errors
/// What the operating system says.
pub fn latencies(dir: &Path, holds: usize, count: u32) -> anyhow::Result<Histogram<u64>> {
    let record = vec![0xa5; holds * HOLD_LEN];
    let data = tempfile::tempdir_in(dir).context("cannot make a directory")?;
    let file = InPlace::create(data.path(), record.len() * count as usize)?;
    let mut latencies = Histogram::new(3).context("no histogram")?;
    for number in 0..count {
        let begun = Instant::now();
        file.commit(number, &record)?;
        let taken: Duration = begun.elapsed();
        latencies.record(taken.as_nanos() as u64).context("no room in the histogram")?;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use onrush_engine::event::Entry;
    use onrush_engine::inventory::Decision;
    use onrush_engine::journal::codec::encode_entries;

    use super::*;
    use crate::hall::{self, Keys};

    fn record_len(holds: usize) -> usize {
        let mut inventory = hall::inventory(1000);
        let now = inventory.now();
        let mut entries = Vec::new();
        for command in hall::holds(1000, Keys::Each).iter().take(holds) {
            let Ok(Decision::Event(event)) = inventory.decide(command, now) else { panic!("a free seat is refused") };
            inventory.apply(now, &event);
            entries.push(Entry { at: now, event });
        }
        encode_entries(&entries).iter().map(|body| body.len()).sum()
    }

    #[test]
    fn a_hold_takes_as_much_as_is_written_here() {
        let each = (record_len(64) - record_len(1)) / 63;
        assert!(each.abs_diff(HOLD_LEN) <= 8, "{each} bytes");
    }
}
