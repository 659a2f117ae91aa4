//! Ends in good order, and starts that must not be.

use crate::campaign::{Campaign, Figures};
use crate::random::{Random, seed};
use crate::say;
use crate::server::{Process, Server};

#[test]
fn sigterm_drains() {
    let seed = seed();
    say(&format!("sigterm_drains: ONRUSH_SEED={seed}"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let figures = Figures::new(seed);
    let (mut campaign, mut server) = Campaign::begin(dir.path().join("data"), figures, Random::new(seed));
    for cycle in 1..=5 {
        campaign.figures.cycles = cycle;
        let load = campaign.load(&server);
        load.wait_for(100);
        server.terminate();
        let (status, log) = server.wait();
        assert!(status.success(), "it ended with {status}: {log}");
        let outcome = load.join();
        assert!(outcome.broken.is_empty(), "{:?}", outcome.broken);
        campaign.note(outcome);
        server = campaign.restart();
    }
    campaign.audit_all(&server);
    say(&format!("sigterm_drains: {}", campaign.figures));
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = Server::start(dir.path());
    let reason = Process::spawn(dir.path(), &[]).serves(dir.path()).err().expect("the second must not serve");
    assert!(reason.starts_with("it ended with exit status: 1"), "{reason}");
    assert!(reason.contains("another engine runs in") && reason.contains("choose another directory"), "{reason}");
    // The first one goes on as if nothing had been.
    let answer = first.connect().ask(&crate::http::Call::get("/readyz"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}
