//! The power goes: what the kernel had not yet written to the disk is gone, unlike after a kill.

use std::thread::sleep;
use std::time::Duration;

use crate::campaign::{Campaign, Figures};
use crate::mount::Disk;
use crate::random::{Random, seed};
use crate::{number, say};

const CYCLES: u64 = 20;
/// The store's segments are 16 MiB each.
const IMAGE_MIB: u64 = 128;
/// Crashes of one image.
const CYCLES_PER_IMAGE: u64 = 5;
const MOMENT_MILLIS: u64 = 90;

#[test]
fn power_cut() {
    let (seed, cycles) = (seed(), number("ONRUSH_POWER_CYCLES", CYCLES));
    say(&format!("power_cut: ONRUSH_SEED={seed}, {cycles} cycles"));
    let (mut figures, mut random) = (Figures::new(seed), Random::new(seed));
    while figures.cycles < cycles {
        let mut disk = match Disk::ext4(IMAGE_MIB) {
            Ok(disk) => disk,
            Err(why) if figures.cycles == 0 => return say(&format!("power_cut: skipped: {why}")),
            Err(why) => panic!("{figures}; no further image: {why}"),
        };
        let count = CYCLES_PER_IMAGE.min(cycles - figures.cycles);
        figures = crashes(&mut disk, figures, random.split(), count);
        say(&format!("power_cut: {figures}"));
    }
}

/// Some crashes of one image, and the figures with them.
fn crashes(disk: &mut Disk, figures: Figures, random: Random, count: u64) -> Figures {
    let (mut campaign, mut server) = Campaign::begin(disk.path().join("data"), figures, random);
    for _ in 0..count {
        campaign.figures.cycles += 1;
        let load = campaign.load(&server);
        load.wait_for(1);
        // Nothing is waited for here: the moment of the cut is what is drawn.
        sleep(Duration::from_micros(campaign.random.below(MOMENT_MILLIS * 1000)));
        disk.cut();
        server.kill();
        campaign.note(load.join());
        disk.remount();
        server = campaign.restart();
    }
    campaign.audit_all(&server);
    server.kill();
    campaign.figures
}
