//! Journals as each version's binary wrote them: whatever comes later reads them to the same states.
//!
//! `tests/journals/<version>` has the store's files and the snapshots of the sale in `sale.rs`, compressed, and in
//! `told/<performance>.jsonl` what that version told of it: every event, and the state with its digest. A version writes
//! its own once, before it is released: `just journal-of-this-version`. After that nothing there is ever changed. Where
//! this test fails, it is the code that is wrong: it would read journals that are on somebody's disk to another state, or
//! not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::copy;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use onrush_api::availability::Availability;
use serde_json::Value;

use crate::cli::{onrush, stdout};
use crate::http::Call;
use crate::orders::Orders;
use crate::replay::Told;
use crate::sale::{self, Sale};
use crate::server::Server;

fn journals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals")
}

/// What a data directory keeps that a start reads.
const PARTS: [&str; 2] = ["journal", "snapshots"];

#[test]
fn the_journals_of_every_version_are_read() {
    let this = journals().join(env!("CARGO_PKG_VERSION"));
    if std::env::var_os("ONRUSH_WRITE_JOURNAL").is_some() {
        write(&this);
    }
    assert!(this.is_dir(), "this version has no journal yet: `just journal-of-this-version` writes it");
    for version in entries(&journals()) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        unpack(&version, dir.path());
        let told: Vec<Vec<Value>> = entries(&version.join("told")).iter().map(|path| lines(path)).collect();
        assert!(told.len() >= 2, "{} has several performances", version.display());
        if version == this {
            check_kinds(&told);
        }
        told.iter().for_each(|told| compare(dir.path(), told, &version));
        serve(dir.path(), &told);
    }
}

/// Every kind of event, as it is told. Whoever adds one adds it to the sale of `sale.rs`, too.
const KINDS: [&str; 16] = [
    "block_lifted",
    "booking_decided",
    "bookings_lapsed",
    "hold_booked",
    "hold_released",
    "holds_expired",
    "holds_extended",
    "payment_advanced",
    "performance_cancelled",
    "performance_opened",
    "seats_blocked",
    "seats_cancelled",
    "seats_held",
    "terms_changed",
    "ticket_checked_in",
    "ticket_transferred",
];

/// A journal that lacks a kind of event shows nothing for it.
fn check_kinds(told: &[Vec<Value>]) {
    let kinds: BTreeSet<&str> = told.iter().flatten().filter_map(|line| line["event"].as_str()).collect();
    assert!(kinds.into_iter().eq(KINDS), "this version's journal does not have every kind of event");
}

/// The directories, or the files, of a directory of ours; a README is neither.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "md"));
    paths.sort();
    paths
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn unpack(version: &Path, data: &Path) {
    for part in PARTS {
        fs::create_dir(data.join(part)).expect("a directory");
        for packed in entries(&version.join(part)) {
            let name = packed.file_stem().expect("a packed file has a name");
            let mut file = File::create(data.join(part).join(name)).expect("a file");
            copy(&mut GzDecoder::new(File::open(&packed).expect("a file")), &mut file).expect("it is unpacked");
        }
    }
}

/// The same is told as in `told`, line by line; a later version may say more in each.
fn compare(data: &Path, told: &[Value], version: &Path) {
    let found = Told { data, performance: performance(told) }.json(&["--events"]);
    assert_eq!(found.len(), told.len(), "{} in {}", performance(told), version.display());
    for (line, found) in told.iter().zip(&found) {
        for (name, value) in line.as_object().expect("an object") {
            assert_eq!(found[name], *value, "{name} of {line} in {}", version.display());
        }
    }
}

fn performance(told: &[Value]) -> &str {
    told[0]["performance"].as_str().expect("the first line says whose it is")
}

/// A server goes on from there: bookings and blocks are as they were, and what was held has run out by now.
fn serve(data: &Path, told: &[Vec<Value>]) {
    let verified = onrush(&["journal", "verify", data.to_str().expect("text")]);
    assert!(stdout(&verified).contains("sound: "), "{}", stdout(&verified));
    let server = Server::start(data);
    for told in told {
        let state = told.last().expect("the last line is the state");
        let call = Call::get(format!("/v1/performances/{}/availability", performance(told)));
        let availability: Availability = server.connect().ask(&call, "").json();
        let number = |name: &str| state[name].as_u64().expect("a number");
        assert!(u64::from(availability.remaining.total) >= number("free"), "{state}");
        assert!(u64::from(availability.remaining.total) <= number("free") + number("held"), "{state}");
    }
    server.terminate();
    let (status, log) = server.wait();
    assert!(status.success(), "it ended with {status}: {log}");
    assert!(onrush(&["journal", "verify", data.to_str().expect("text")]).status.success());
}

/// Writes this version's journal, once.
fn write(version: &Path) {
    assert!(!version.exists(), "{} is there, and stays as it is", version.display());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let Sale { hall, crowd, orders: Orders { paid, asked } } = sale::run(&data);
    for part in PARTS {
        fs::create_dir_all(version.join(part)).expect("a directory");
        let files = fs::read_dir(data.join(part)).expect("a directory").map(|entry| entry.expect("an entry").path());
        files.filter(|path| path.is_file()).for_each(|path| pack(&path, &version.join(part)));
    }
    fs::create_dir(version.join("told")).expect("a directory");
    for performance in [&hall, &crowd, &paid, &asked] {
        let told = Told { data: &data, performance }.replay(&["--json", "--events"]).expect("it is told");
        fs::write(version.join(format!("told/{performance}.jsonl")), told).expect("a file");
    }
}

fn pack(path: &Path, to: &Path) {
    let name = path.file_name().expect("a file has a name").to_str().expect("text");
    let packed = File::create(to.join(format!("{name}.gz"))).expect("a file");
    let mut encoder = GzEncoder::new(packed, Compression::best());
    copy(&mut File::open(path).expect("a file"), &mut encoder).expect("it is packed");
    encoder.finish().expect("it is packed");
}
