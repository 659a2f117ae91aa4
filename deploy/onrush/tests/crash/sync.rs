//! What the kernel is asked for, seen through strace: a sync before each answer, and the end after a failed call.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::campaign::{Campaign, Figures};
use crate::hall::{self, Tokens};
use crate::http::Call;
use crate::random::{Random, seed};
use crate::server::Server;
use crate::{say, skip};

/// `-D`: the server stays the test's own child, to be killed and waited for.
const STRACE: [&str; 5] = ["strace", "-D", "-f", "-e", "trace=fdatasync"];
/// How a file gets its name, on whichever machine.
const RENAME: &str = "?rename,renameat,renameat2";

/// Why strace cannot be used here, if it cannot.
fn obstacle() -> Option<String> {
    let traced = Command::new(STRACE[0]).args(&STRACE[1..]).arg("true").output();
    match traced {
        Err(error) => Some(format!("strace: {error}")),
        Ok(output) if !output.status.success() => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(_) => None,
    }
}

#[test]
fn every_acknowledged_group_is_synced() {
    if let Some(why) = obstacle() {
        return skip("every_acknowledged_group_is_synced", &why);
    }
    const HOLDS: usize = 200;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_under(dir.path(), &STRACE);
    let tokens = Tokens::of(dir.path());
    let mut connection = server.connect();
    let performance = hall::open(&mut connection, &tokens);
    for number in 0..HOLDS {
        let wish = json!({"best_available": {"quantity": 1}});
        let call = Call::post(format!("/v1/performances/{performance}/holds"), format!("sync-{number}"), &wish);
        assert_eq!(connection.ask(&call, &tokens.buyer(0)).status, 201);
    }
    let syncs = syncs(&server.kill());
    assert!(syncs >= HOLDS, "{HOLDS} holds in a row were answered after {syncs} syncs");
}

/// Syncs that succeeded, one line of strace each or two where threads take turns.
fn syncs(trace: &str) -> usize {
    let done = |line: &&str| line.contains("fdatasync") && line.trim_end().ends_with("= 0");
    trace.lines().filter(done).count()
}

#[test]
fn a_failed_fdatasync_ends_the_process() {
    if let Some(why) = obstacle() {
        return skip("a_failed_fdatasync_ends_the_process", &why);
    }
    fails_and_ends("a_failed_fdatasync_ends_the_process", &[("fdatasync", "EIO", "journal/db"); 3]);
}

/// sled's own writes, and the note of how many records are durable.
#[test]
fn a_failed_write_ends_the_process() {
    if let Some(why) = obstacle() {
        return skip("a_failed_write_ends_the_process", &why);
    }
    let failures =
        [("pwrite64", "EIO", "journal/db"), ("pwrite64", "ENOSPC", "journal/db"), ("pwrite64", "EIO", "journal/mark")];
    fails_and_ends("a_failed_write_ends_the_process", &failures);
}

/// Of each call on a file below the data directory one fails.
fn fails_and_ends(test: &str, failures: &[(&str, &str, &str)]) {
    let seed = seed();
    say(&format!("{test}: ONRUSH_SEED={seed}"));
    let mut random = Random::new(seed);
    for failure in failures {
        // Only one fails: a server that tried again would go on. The first few make the hall.
        let at = 10 + random.below(100);
        let figures = fail_once(seed, random.split(), failure, at);
        say(&format!("{test}: {failure:?} at the {at}th: {figures}"));
    }
}

/// Many more answers than come before the call that fails.
const FAR_BEYOND: usize = 5_000;

fn fail_once(seed: u64, random: Random, (call, error, file): &(&str, &str, &str), at: u64) -> Figures {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let (mut campaign, server) = Campaign::begin(data.clone(), Figures::new(seed), random);
    server.kill();
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={at}"));
    let path = data.join(file).to_str().expect("temporary paths are text").to_owned();
    let wrapper = ["strace", "-D", "-f", "-P", path.as_str(), "-e", trace.as_str(), "-e", inject.as_str()];
    let server = Server::start_under(&data, &wrapper);
    let load = campaign.load(&server);
    assert!(load.wait_for(FAR_BEYOND) < FAR_BEYOND, "it goes on after a failed {call}");
    let (status, log) = server.wait();
    assert!(log.contains("(INJECTED)"), "no {call} failed: {log}");
    assert_eq!(status.code(), Some(1), "it must end by itself, in failure: {log}");
    let outcome = load.join();
    assert_eq!(outcome.late_successes, 0, "somebody got a success after the error");
    campaign.note(outcome);
    campaign.figures.cycles = 1;
    let server = campaign.restart();
    campaign.audit_all(&server);
    campaign.figures.clone()
}

/// Every snapshot fails from some moment on: the sale goes on, and nothing is dropped that only a snapshot would stand
/// for.
#[test]
fn a_snapshot_that_cannot_take_its_place_stops_nothing() {
    if let Some(why) = obstacle() {
        return skip("a_snapshot_that_cannot_take_its_place_stops_nothing", &why);
    }
    let seed = seed();
    say(&format!("a_snapshot_that_cannot_take_its_place_stops_nothing: ONRUSH_SEED={seed}"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut campaign, server) = Campaign::begin(dir.path().join("data"), Figures::new(seed), Random::new(seed));
    let (mut strace, lines) = attach(&server, RENAME);
    let failed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failed);
    let reader = std::thread::spawn(move || {
        let injected = lines.filter(|line| line.contains("(INJECTED)"));
        injected.for_each(|_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
    });
    let load = campaign.load(&server);
    load.wait_until(|| failed.load(Ordering::SeqCst) >= 2);
    let log = server.kill();
    strace.wait().expect("a child can be waited for");
    reader.join().expect("the reader does not panic");
    assert!(failed.load(Ordering::SeqCst) >= 2, "no snapshot failed: {log}");
    assert!(log.contains("a snapshot could not be written"), "{log}");
    campaign.note(load.join());
    let server = campaign.restart();
    campaign.audit_all(&server);
    say(&format!("a_snapshot_that_cannot_take_its_place_stops_nothing: {}", campaign.figures));
}

/// Makes every such call of a running server fail; strace's lines, to be read to their end so that it can write.
fn attach(server: &Server, call: &str) -> (Child, impl Iterator<Item = String> + Send + use<>) {
    let pid = server.pid().as_raw_nonzero().to_string();
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO"));
    let failing = ["-f", "-e", trace.as_str(), "-e", inject.as_str(), "-p", pid.as_str()];
    let mut strace = Command::new("strace").args(failing).stderr(Stdio::piped()).spawn().expect("strace starts");
    let mut lines = BufReader::new(strace.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("attached")), "strace does not attach");
    (strace, lines)
}

/// With relaxed durability the answers are out, and the last flush of a stop is the one that fails.
#[test]
fn a_stop_whose_last_flush_fails_is_a_failure() {
    if let Some(why) = obstacle() {
        return skip("a_stop_whose_last_flush_fails_is_a_failure", &why);
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_under(dir.path(), &["env", "ONRUSH_DURABILITY=relaxed"]);
    let (mut strace, lines) = attach(&server, "fdatasync");
    server.terminate();
    let trace: Vec<String> = lines.collect();
    let (status, log) = server.wait();
    strace.wait().expect("a child can be waited for");
    assert!(trace.iter().any(|line| line.contains("(INJECTED)")), "no fdatasync failed: {trace:?}");
    assert_eq!(status.code(), Some(1), "{log}");
}

#[test]
fn a_request_that_the_disk_keeps_waiting_is_told_so_and_takes_effect_once() {
    holds_through_a_stall("fdatasync");
}

#[test]
fn a_write_that_stalls_calls_an_io_thread_back() {
    if let Some(log) = holds_through_a_stall("sync_file_range") {
        assert!(log.contains("another of sled's I/O threads goes back to work"), "{log}");
    }
}

/// Makes holds while the 40th call takes 3 seconds, and a request waits for one. Gives what the server said.
fn holds_through_a_stall(call: &str) -> Option<String> {
    if let Some(why) = obstacle() {
        skip(&format!("a stalled {call}"), &why);
        return None;
    }
    const HOLDS: usize = 60;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:delay_enter=3s:when=40"));
    let wrapper = [
        "env",
        "ONRUSH_REQUEST_TIMEOUT_MS=1000",
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-e",
        trace.as_str(),
        "-e",
        inject.as_str(),
    ];
    let server = Server::start_under(dir.path(), &wrapper);
    let tokens = Tokens::of(dir.path());
    let mut connection = server.connect();
    let performance = hall::open(&mut connection, &tokens);
    let mut seats = Vec::new();
    let mut unknown = 0;
    for number in 0..HOLDS {
        let wish = json!({"best_available": {"quantity": 1}});
        let call = Call::post(format!("/v1/performances/{performance}/holds"), format!("stall-{number}"), &wish);
        let answer = loop {
            let answer = connection.ask(&call, &tokens.buyer(number));
            match answer.status {
                201 => break answer,
                503 => unknown += usize::from(answer.text().contains("/outcome-unknown")),
                status => panic!("{status}: {}", answer.text()),
            }
        };
        seats.push(answer.json::<Value>()["seats"][0]["label"].as_str().expect("a held seat has a label").to_owned());
    }
    let log = server.kill();
    assert!(unknown > 0, "no request waited longer than its timeout: {log}");
    seats.sort();
    seats.dedup();
    assert_eq!(seats.len(), HOLDS, "a hold that was asked for twice was made twice, or a seat was given twice");
    Some(log)
}
