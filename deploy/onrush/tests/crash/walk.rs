//! The walk that the README shows, against a server of its own; and what is left of who has closed the account behind it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::server::Server;
use crate::skip;

/// Upkeep comes every ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_walk_comes_out_as_it_says_and_leaves_nothing_of_who_has_gone() {
    const TEST: &str = "the_walk_comes_out_as_it_says_and_leaves_nothing_of_who_has_gone";
    if Command::new("jq").arg("--version").output().is_err() || Command::new("curl").arg("--version").output().is_err()
    {
        return skip(TEST, "it needs curl and jq");
    }
    let data = tempfile::tempdir().expect("a temporary directory");
    let settings = ["env", "ONRUSH_PAYMENT_PROVIDER=test-psp", "ONRUSH_ERASE_AFTER_SECONDS=1"];
    let server = Server::start_under(data.path(), &settings);
    let walk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/walk");
    let walked = Command::new(walk).arg(format!("http://{}", server.address)).output().expect("bash runs it");
    let told = String::from_utf8_lossy(&walked.stdout);
    assert!(walked.status.success(), "{told}{}", String::from_utf8_lossy(&walked.stderr));
    assert!(told.contains("\"collected\":200000"), "{told}");
    let begun = Instant::now();
    while is_on_disk(data.path(), b"kim-") {
        assert!(begun.elapsed() < PATIENCE, "Kim's address is still in a file");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(is_on_disk(data.path(), b"lee-"), "who has not gone is still there");
}

/// A store that is written anew takes its old files away while they are looked through.
fn is_on_disk(dir: &Path, bytes: &[u8]) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.map(|entry| entry.expect("an entry").path()).any(|path| match path.is_dir() {
        true => is_on_disk(&path, bytes),
        false => std::fs::read(&path).is_ok_and(|file| file.windows(bytes.len()).any(|window| window == bytes)),
    })
}
