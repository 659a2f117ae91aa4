//! Listening to availability: a snapshot, what changes, and going on where one was.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onrush_edge::config::Config;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::fixture::{Hall, Server, id};

/// One who listens.
struct Listener {
    connection: Connection,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Listener {
    fn of(hall: &Hall, last: &str) -> Self {
        let mut connection = hall.connect();
        let path = hall.path("/availability/stream");
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n"));
        let head = connection.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        Self { connection, text: String::new() }
    }

    fn open(hall: &Hall) -> Self {
        Self::of(hall, "")
    }

    fn resume(hall: &Hall, id: &str) -> Self {
        Self::of(hall, &format!("Last-Event-ID: {id}\r\n"))
    }

    /// The next event that has data; nothing where the stream has ended.
    fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
                };
                let event = field("data").map(|data| Event {
                    id: field("id").expect("an id"),
                    name: field("event").expect("a name"),
                    data: serde_json::from_str(&data).expect("JSON"),
                });
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.connection.chunk()?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    #[track_caller]
    fn expect(&mut self, name: &str) -> Event {
        let event = self.next().expect("an event, not the end");
        assert_eq!(event.name, name, "{event:?}");
        event
    }
}

/// The states of all seats.
fn states(packed: &Value) -> Vec<u8> {
    let packed = STANDARD.decode(packed.as_str().expect("a text")).expect("base64");
    packed.iter().flat_map(|byte| [0, 2, 4, 6].map(|shift| byte >> shift & 3)).collect()
}

#[test]
fn a_snapshot_and_then_what_changes() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let mut listener = Listener::open(&hall);
    let snapshot = listener.expect("snapshot");
    assert_eq!(snapshot.data, hall.availability());
    let hold = hall.held(&kim, &["A-1-1", "A-1-2"]);
    let delta = listener.expect("delta");
    assert_eq!(delta.data["seats"], json!([[0, 1], [1, 1]]));
    assert_eq!(delta.data["remaining"], hall.availability()["remaining"]);
    assert_ne!(delta.id, snapshot.id);
    hall.delete(&format!("/v1/holds/{}", id(&hold))).token(&kim).expect(204);
    assert_eq!(listener.expect("delta").data["seats"], json!([[0, 0], [1, 0]]));
}

#[test]
fn what_is_heard_adds_up_to_what_is_there() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(100)), ("/sale/max_holds_per_buyer", json!(100))]);
    let kim = hall.buyer("acc_kim");
    let mut listener = Listener::open(&hall);
    let snapshot = listener.expect("snapshot");
    let mut heard = states(&snapshot.data["seats"]);
    for _ in 0..8 {
        let hold = hall.hold(&kim, &json!({"best_available": {"quantity": 2}})).expect(201).json();
        hall.book(&kim, &id(&hold)).expect(201);
    }
    let there = hall.availability();
    let mut version = snapshot.data["version"].as_u64();
    while version < there["version"].as_u64() {
        let delta = listener.expect("delta");
        for change in delta.data["seats"].as_array().expect("a list") {
            heard[change[0].as_u64().expect("a place") as usize] = change[1].as_u64().expect("a state") as u8;
        }
        version = delta.data["version"].as_u64();
    }
    assert_eq!(heard, states(&there["seats"]));
}

#[test]
fn who_comes_back_goes_on_where_they_were() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    // Somebody else goes on listening, so that what there was to hear is remembered.
    let mut other = Listener::open(&hall);
    let seen = other.expect("snapshot");
    hall.held(&kim, &["A-1-1"]);
    let missed = other.expect("delta");
    assert_eq!(Listener::resume(&hall, &seen.id).expect("delta"), missed);
    hall.held(&kim, &["A-1-2"]);
    let next = other.expect("delta");
    let mut late = Listener::resume(&hall, &seen.id);
    assert_eq!((late.expect("delta"), late.expect("delta")), (missed, next));
    for unknown in ["0", "00000000-0", "x"] {
        assert_eq!(Listener::resume(&hall, unknown).expect("snapshot").data["seats"], hall.availability()["seats"]);
    }
}

#[test]
fn a_stop_ends_the_streams() {
    let hall = Hall::open();
    let mut listener = Listener::open(&hall);
    listener.expect("snapshot");
    drop(hall);
    assert_eq!(listener.next(), None);
}

#[test]
fn there_are_so_many_and_not_more() {
    let hall = Hall::on(Server::with(Config { streams_max: 1, ..Config::default() }), &[]);
    let path = hall.path("/availability/stream");
    let mut listener = Listener::open(&hall);
    listener.expect("snapshot");
    hall.get(&path).refused(503, "temporary-reduced-capacity");
    drop(listener);
    crate::fixture::eventually(|| (hall.call("HEAD", &path).send().status == 200).then_some(()));
    hall.get("/v1/performances/perf_0000000000000/availability/stream").refused(404, "not-found");
}

/// As long as what is said is taken, the connection is not one on which nothing is asked for.
#[test]
fn who_listens_is_not_silent() {
    let short = Duration::from_millis(200);
    let config =
        Config { header_read_timeout: short, request_timeout: short, write_timeout: short, ..Config::default() };
    let hall = Hall::on(Server::with(config), &[]);
    let mut listener = Listener::open(&hall);
    listener.expect("snapshot");
    let begun = Instant::now();
    while begun.elapsed() < short * 9 {
        assert_eq!(listener.connection.chunk().expect("it goes on"), b":\n\n");
    }
}
