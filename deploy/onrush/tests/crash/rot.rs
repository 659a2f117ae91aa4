//! A byte on the disk changes while no server runs. Either nothing that was acknowledged is touched by it, or the start
//! is refused and says where, and leaves every byte as it was; never is a wrong state served.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::campaign::{Campaign, Figures};
use crate::cli::{onrush, stderr, stdout};
use crate::random::{Random, seed};
use crate::say;
use crate::server::Process;

/// Places of the store's file that are tried.
const PLACES: u64 = 24;

#[test]
fn a_flipped_byte_is_refused_or_harmless() {
    let seed = seed();
    say(&format!("a_flipped_byte_is_refused_or_harmless: ONRUSH_SEED={seed}"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let figures = Figures::new(seed);
    let (mut campaign, server) = Campaign::begin(data.clone(), figures, Random::new(seed));
    let load = campaign.load(&server);
    load.wait_for(2_000);
    server.kill();
    campaign.note(load.join());
    campaign.restart().kill();
    assert_sound(&data);

    let written = written_bytes(&data.join("journal/db"));
    let mut outcomes = [0; 2];
    for place in 0..PLACES {
        let offset = written[(written.len() - 1) * place as usize / (PLACES as usize - 1)];
        let served = flip_and_start(&mut campaign, &data, &dir.path().join("rotten"), offset);
        outcomes[usize::from(served)] += 1;
    }
    let [refused, harmless] = outcomes;
    say(&format!("a_flipped_byte_is_refused_or_harmless: {PLACES} places: {refused} refused, {harmless} harmless"));
    assert!(refused > 0, "no flipped byte was ever seen");
}

fn assert_sound(data: &Path) {
    let output = verify(data);
    assert!(output.0 && output.1.contains("sound: "), "{}", output.1);
}

/// Whether `journal verify` is content, and what it says.
fn verify(data: &Path) -> (bool, String) {
    let output = onrush(&["journal", "verify", "--data", data.to_str().expect("temporary paths are text")]);
    (output.status.success(), stdout(&output) + &stderr(&output))
}

/// The places of bytes that are not zero.
fn written_bytes(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).expect("the store's file");
    (0..).zip(bytes).filter(|(_, byte)| *byte != 0).map(|(place, _)| place).collect()
}

/// Whether the server serves all that was acknowledged in spite of the flip; else it has refused with its reason.
fn flip_and_start(campaign: &mut Campaign, data: &Path, rotten: &Path, offset: u64) -> bool {
    flipped_copy(data, rotten, offset);
    let store = || fs::read(rotten.join("journal/db")).expect("the store's file");
    let before = store();
    let (sound, said) = verify(rotten);
    assert!(before == store(), "at {offset} verify has changed what it looked at");
    match Process::spawn(rotten, &[]).serves(rotten) {
        Ok(server) => {
            campaign.audit_all(&server);
            say(&format!("at {offset}: harmless: everything acknowledged is there"));
            assert!(sound, "at {offset} the server serves, but verify says: {said}");
            true
        }
        Err(reason) => {
            let log = reason.lines().last().unwrap_or_default();
            say(&format!("at {offset}: refused: {log}"));
            assert!(reason.contains("exit status: 1") && names_the_place(&reason), "at {offset}: {reason}");
            assert!(!sound && names_the_place(&said), "at {offset} verify says: {said}");
            assert!(before == store(), "at {offset} a refused start has changed what it was refused for");
            assert!(!rotten.join("journal.before").exists(), "at {offset} a copy is left behind");
            false
        }
    }
}

pub(crate) fn names_the_place(reason: &str) -> bool {
    ["record ", "its end is lost", " is damaged: ", "is listed, but has no records"]
        .iter()
        .any(|words| reason.contains(words))
}

fn flipped_copy(data: &Path, rotten: &Path, offset: u64) {
    if rotten.exists() {
        fs::remove_dir_all(rotten).expect("the former copy can go");
    }
    copy(data, rotten);
    let db = rotten.join("journal/db");
    let file = OpenOptions::new().read(true).write(true).open(db).expect("the store's file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("the byte flipped");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    let paths: Vec<PathBuf> =
        fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    for path in paths {
        let place = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, &place).expect("a copy");
        }
    }
}
