//! The power goes: what the kernel had not yet written to the disk is gone, unlike after a kill.

use std::thread::sleep;
use std::time::Duration;

use crate::campaign::{Campaign, Figures};
use crate::mount::Disk;
use crate::random::{Random, seed};
use crate::server::Process;
use crate::{number, say, skip};

const CYCLES: u64 = 20;
/// The store's segments are 16 MiB each.
const IMAGE_MIB: u64 = 128;
/// Crashes of one image; the last comes when a snapshot is written.
const CYCLES_PER_IMAGE: u64 = 5;
const MOMENT_MILLIS: u64 = 90;

#[test]
fn power_cut() {
    let (seed, cycles) = (seed(), number("ONRUSH_POWER_CYCLES", CYCLES));
    say(&format!("power_cut: ONRUSH_SEED={seed}, {cycles} cycles"));
    let (mut figures, mut random) = (Figures::new(seed), Random::new(seed));
    let mut images = 0;
    while figures.cycles < cycles {
        images += 1;
        let mut disk = match Disk::ext4(IMAGE_MIB) {
            Ok(disk) => disk,
            Err(why) if figures.cycles == 0 => return skip("power_cut", &why),
            Err(why) => panic!("{figures}; no further image: {why}"),
        };
        let count = CYCLES_PER_IMAGE.min(cycles - figures.cycles);
        figures = crashes(&mut disk, figures, random.split(), count);
        say(&format!("power_cut: {figures}"));
    }
    assert!(figures.snapshots >= images / 2, "too few snapshots: {figures}");
    assert!(figures.acknowledged_bookings as u64 >= cycles, "too few bookings to lose: {figures}");
}

/// Some crashes of one image, and the figures with them.
fn crashes(disk: &mut Disk, figures: Figures, random: Random, count: u64) -> Figures {
    let (mut campaign, mut server) = Campaign::begin(disk.path().join("data"), figures, random);
    for cycle in 1..=count {
        campaign.figures.cycles += 1;
        let load = campaign.load(&server);
        load.wait_for(1);
        if cycle == count {
            campaign.wait_for_snapshot(&load);
        }
        wait_for_the_moment(&mut campaign.random);
        disk.cut();
        server.kill();
        campaign.note(load.join());
        disk.remount();
        while campaign.random.below(4) == 0 {
            cut_at_start(disk, &mut campaign);
        }
        server = campaign.restart();
    }
    campaign.audit_all(&server);
    server.kill();
    campaign.figures
}

/// Cuts the power while a server starts, wherever it is.
fn cut_at_start(disk: &mut Disk, campaign: &mut Campaign) {
    let process = Process::spawn(&campaign.data, &[]);
    wait_for_the_moment(&mut campaign.random);
    disk.cut();
    process.kill();
    disk.remount();
}

/// Nothing is waited for here: the moment of the cut is what is drawn.
fn wait_for_the_moment(random: &mut Random) {
    sleep(Duration::from_micros(random.below(MOMENT_MILLIS * 1000)));
}
