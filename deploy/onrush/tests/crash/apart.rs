//! Engines and edges as processes of their own: what becomes of the sale when one of them goes.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::audit;
use crate::hall::{self, Tokens};
use crate::http::Call;
use crate::load::{BUYERS, Load};
use crate::random::{Random, seed};
use crate::server::{Process, Server};
use crate::{number, say};

/// What takes longer never comes.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
/// Kills, where nothing else is asked for: a part of what a server in one process goes through.
const CYCLES: u64 = 5;

/// Where the two keep what they keep.
struct Places {
    dir: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn engine(&self) -> PathBuf {
        self.dir.path().join("engine")
    }

    fn edge(&self) -> PathBuf {
        self.dir.path().join("edge")
    }

    fn start_engine(&self, address: &str) -> Server {
        let engine = Process::engine(&self.engine(), address).listens(&self.engine());
        engine.unwrap_or_else(|reason| panic!("the engine does not start: {reason}"))
    }

    fn start_edge(&self, engine: SocketAddr) -> Server {
        let edge = start_edge(&self.edge(), engine, &self.engine().join("engine.key"));
        edge.unwrap_or_else(|reason| panic!("the edge does not start: {reason}"))
    }

    /// With the same keys.
    fn start_other_edge(&self, engine: SocketAddr) -> Server {
        let data = self.dir.path().join("other");
        std::fs::create_dir(&data).expect("a directory");
        for key in ["token.key", "ticket.key"] {
            std::fs::copy(self.edge().join(key), data.join(key)).expect("a key to share");
        }
        start_edge(&data, engine, &self.engine().join("engine.key")).expect("it starts")
    }
}

fn start_edge(data: &Path, engine: SocketAddr, key: &Path) -> Result<Server, String> {
    Process::edge(data, &[engine], key).serves(data)
}

/// Waits until an answer has a text in it.
pub(crate) fn wait_for(server: &Server, call: &Call, text: &str) {
    let (mut connection, begun) = (server.connect(), std::time::Instant::now());
    while !connection.ask(call, "").text().contains(text) {
        assert!(begun.elapsed() < PATIENCE, "{text} never comes");
        std::thread::yield_now();
    }
}

#[test]
fn an_engine_is_killed_behind_its_edge() {
    let (seed, cycles) = (seed(), number("ONRUSH_KILL_CYCLES", CYCLES * 20).div_ceil(20));
    say(&format!("an_engine_is_killed_behind_its_edge: ONRUSH_SEED={seed}, {cycles} cycles"));
    let (places, mut random) = (Places::new(), Random::new(seed));
    let mut engine = places.start_engine("127.0.0.1:0");
    let (address, edge) = (engine.address, places.start_edge(engine.address));
    let tokens = Tokens::of(&places.edge());
    let performance = hall::open(&mut edge.connect(), &tokens);

    let load = Load::start(edge.address, &tokens, &performance, &format!("{seed:x}"), &mut random);
    for cycle in 0..cycles {
        load.wait_for(20 + random.below(100) as usize);
        // Every fifth goes in good order.
        if cycle % 5 == 4 {
            engine.terminate();
            engine.wait();
        } else {
            engine.kill();
        }
        engine = places.start_engine(&address.to_string());
    }
    load.wait_for(20);
    edge.kill();
    let mut outcome = load.join();

    // Every request had a key, or comes to the same when it is sent twice: so whoever waited has an answer, and nobody was
    // told to try again. Only the edge's own end leaves some open.
    let open = outcome.visits.iter().filter(|visit| visit.open.is_some()).count();
    assert!(open <= BUYERS, "{open} requests were not answered");
    assert_eq!(outcome.unknown, 0, "somebody was told that an outcome is not known");
    assert_eq!(outcome.broken, Vec::<String>::new());

    let edge = places.start_edge(engine.address);
    wait_for(&edge, &Call::get("/readyz"), "ready");
    let mut connection = edge.connect();
    let mut findings = audit::resolve(&mut connection, &tokens, &mut outcome.visits);
    findings.add(audit::audit(&mut connection, &tokens, &performance, &outcome.visits));
    assert!(findings.is_clean(), "{findings:#?}");
    let booked = outcome.visits.iter().filter(|visit| visit.booking.is_some()).count();
    say(&format!(
        "an_engine_is_killed_behind_its_edge: {} visits, {booked} acknowledged bookings: 0 lost, 0 twice, 0 errors seen",
        outcome.visits.len()
    ));
}

#[test]
fn a_second_edge_serves_the_same_sale() {
    let places = Places::new();
    let engine = places.start_engine("127.0.0.1:0");
    let one = places.start_edge(engine.address);
    let tokens = Tokens::of(&places.edge());
    let performance = hall::open(&mut one.connect(), &tokens);
    let other = places.start_other_edge(engine.address);
    wait_for(&other, &Call::get("/readyz"), "ready");

    let wish = serde_json::json!({"seats": ["A-1-1"]});
    let hold = Call::post(format!("/v1/performances/{performance}/holds"), "the-same-key", &wish);
    let held = one.connect().ask(&hold, &tokens.buyer(1));
    assert_eq!(held.status, 201, "{}", held.text());
    let again = other.connect().ask(&hold, &tokens.buyer(1));
    assert_eq!((again.status, again.replayed, &again.body), (201, true, &held.body), "{}", again.text());
    let elses = other.connect().ask(&hold, &tokens.buyer(2));
    assert_eq!(elses.status, 409, "{}", elses.text());
}

#[test]
fn changes_over_two_edges_at_once_both_count() {
    const FIELDS: [&str; 2] = ["title", "venue"];
    let places = Places::new();
    let engine = places.start_engine("127.0.0.1:0");
    let first = places.start_edge(engine.address);
    let tokens = Tokens::of(&places.edge());
    let draft = serde_json::json!({"title": "0", "field": "concert"});
    let show = first.connect().ask(&Call::of("POST", "/v1/shows", &draft), &tokens.seller());
    let path = format!("/v1/shows/{}", show.json::<serde_json::Value>()["id"].as_str().expect("an id"));
    let second = places.start_other_edge(engine.address);
    wait_for(&second, &Call::get("/readyz"), "ready");
    let edges = [first, second];
    for round in 1..=50 {
        let said = round.to_string();
        std::thread::scope(|scope| {
            for (edge, field) in edges.iter().zip(FIELDS) {
                let call = Call::of("PATCH", &path, &serde_json::json!({ field: &said }));
                let (mut connection, token) = (edge.connect(), tokens.seller());
                scope.spawn(move || {
                    let changed = connection.ask(&call, &token);
                    assert_eq!(changed.status, 200, "{}", changed.text());
                });
            }
        });
        // Either edge hears of the other's change a moment later.
        let both = edges.iter().zip(FIELDS.iter().rev());
        both.for_each(|(edge, field)| wait_for(edge, &Call::get(path.as_str()), &format!("\"{field}\":\"{said}\"")));
    }
}

#[test]
fn an_edge_with_another_key_serves_nothing_and_says_why() {
    let places = Places::new();
    let engine = places.start_engine("127.0.0.1:0");
    let stranger = places.dir.path().join("stranger.key");
    std::fs::write(&stranger, "7".repeat(64)).expect("a file");
    std::fs::set_permissions(&stranger, std::fs::Permissions::from_mode(0o600)).expect("our file");
    let edge = start_edge(&places.edge(), engine.address, &stranger).expect("it starts, and waits");
    let answer = edge.connect().ask(&Call::get("/readyz"), "");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let failures = format!("onrush_engine_connection_failures_total{{engine=\"{}\"}} 1", engine.address);
    wait_for(&edge, &Call::get("/metrics"), &failures);
    let log = edge.kill();
    assert!(log.contains("the other end has another engine key"), "{log}");

    let reason = start_edge(&places.edge(), engine.address, &places.dir.path().join("nothing.key"));
    let reason = reason.err().expect("there is no such key");
    assert!(reason.contains("--engine-key-file FILE"), "{reason}");
}

#[test]
fn an_engine_stops_in_good_order() {
    let places = Places::new();
    let engine = places.start_engine("127.0.0.1:0");
    let edge = places.start_edge(engine.address);
    let tokens = Tokens::of(&places.edge());
    hall::open(&mut edge.connect(), &tokens);
    engine.terminate();
    let (status, log) = engine.wait();
    assert!(status.success(), "{status}: {log}");
    let reason = edge.connect().ask(&Call::get("/readyz"), "");
    assert_eq!(reason.status, 503, "{}", reason.text());
}
