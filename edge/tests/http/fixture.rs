//! A server with a real engine in this process, and a hall with seats to sell.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, mpsc};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_rt::{Arbiter, System};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use onrush_api::key_file::KeyFile;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Scope, Scopes};
use onrush_api::ticket_code::TicketKeys;
use onrush_api::token::{Caller, Role, TokenKeys};
use onrush_edge::config::Config;
use onrush_edge::context::Context;
use onrush_edge::directory::Directory;
use onrush_edge::payments::{Checkout, Payments};
use onrush_edge::server::{self, Surface};
use onrush_engine::client::Client;
use onrush_engine::engine::Engine;
use onrush_engine::time::{SystemClock, Timestamp};
use onrush_engine::wire::{Credentials, Key};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Call, Connection};

/// All tests of this binary write to one recorder: a process has only one.
fn prometheus() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || PrometheusBuilder::new().install_recorder().expect("nobody else installs a recorder");
    HANDLE.get_or_init(install).clone()
}

/// Threads on which something has panicked.
static PANICKED: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

/// A panic of one connection's task ends that connection alone, which to a client looks like any refusal. So panics are
/// noted, and a server is asked for its own when it stops.
fn note_panics() {
    static NOTING: Once = Once::new();
    NOTING.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // What h2 asserts of a connection whose client just goes away is not so, and not asserted in a build that
            // is shipped: https://github.com/hyperium/h2/issues/907.
            if panic.location().is_some_and(|at| at.file().ends_with("src/proto/streams/counts.rs")) {
                return;
            }
            PANICKED.lock().unwrap_or_else(PoisonError::into_inner).push(std::thread::current().id());
            tell(panic);
        }));
    });
}

/// A server on a free port.
pub(crate) struct Server {
    /// One for each surface that was asked for.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) shutdown: CancellationToken,
    key: TokenKeys,
    thread: Option<JoinHandle<()>>,
    data: Option<TempDir>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::on(config, &[Surface::Everything])
    }

    pub(crate) fn on(config: Config, surfaces: &[Surface]) -> Self {
        Self::open(tempfile::tempdir().expect("a directory"), config, surfaces)
    }

    fn open(data: TempDir, config: Config, surfaces: &[Surface]) -> Self {
        let path = KeyFile::path_in(data.path());
        let key = KeyFile::open_or_create(&path).expect("a key file");
        let shutdown = CancellationToken::new();
        let listeners: Vec<_> = surfaces.iter().map(|surface| (listen(), *surface)).collect();
        let addresses = listeners.iter().map(|(listener, _)| listener.local_addr().expect("bound")).collect();
        let (directory, stop) = (data.path().to_owned(), shutdown.clone());
        let (ready, started) = mpsc::channel();
        note_panics();
        let thread = std::thread::spawn(move || {
            System::new().block_on(serve(&directory, config, listeners, stop, ready));
        });
        started.recv().expect("the server starts");
        Self { addresses, shutdown, key, thread: Some(thread), data: Some(data) }
    }

    /// Stops as the binary does, and opens the same data directory again.
    pub(crate) fn restart(mut self) -> Self {
        self.stop();
        let data = self.data.take().expect("a server has its data until it is gone");
        Self::open(data, Config::default(), &[Surface::Everything])
    }

    pub(crate) fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let id = thread.thread().id();
            let ended = thread.join().is_ok() && !PANICKED.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
            assert!(ended || std::thread::panicking(), "the server panicked");
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.addresses[0])
    }

    pub(crate) fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(self.addresses[0], method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub(crate) fn patch(&self, path: &str) -> Call {
        self.call("PATCH", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    pub(crate) fn buyer(&self, account: &str) -> String {
        self.token(account, Role::Buyer, now(), Duration::from_hours(1))
    }

    pub(crate) fn seller(&self) -> String {
        self.token("acc_seller", Role::Seller, now(), Duration::from_hours(1))
    }

    pub(crate) fn other_seller(&self) -> String {
        self.token("acc_other-seller", Role::Seller, now(), Duration::from_hours(1))
    }

    pub(crate) fn token(&self, account: &str, role: Role, from: Timestamp, ttl: Duration) -> String {
        self.key.mint(account.parse().expect("an account"), role, from, ttl)
    }

    /// A token that is good for a part of what its role may do.
    pub(crate) fn token_for(&self, account: &str, role: Role, scopes: &[Scope]) -> String {
        let (account, scopes) = (account.parse().expect("an account"), Scopes::some(scopes));
        let expires_at = now() + Duration::from_hours(1);
        self.key.mint_for(&Caller { account, role, session: None, scopes, expires_at }, now())
    }

    /// Adds a show and gives its id.
    #[track_caller]
    pub(crate) fn show(&self) -> String {
        id(&self.post("/v1/shows").token(&self.seller()).json(&show_draft()).expect(201).json())
    }

    /// Adds a performance to a show and gives its id.
    #[track_caller]
    pub(crate) fn performance(&self, show: &str, draft: &Value) -> String {
        let path = format!("/v1/shows/{show}/performances");
        id(&self.post(&path).token(&self.seller()).json(draft).expect(201).json())
    }
}

/// On a free port, with as much room for those who wait to be accepted as the binary has.
fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket2::SockRef::from(&listener).listen(4096).expect("it listens already");
    listener
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(
    data: &Path,
    config: Config,
    listeners: Vec<(TcpListener, Surface)>,
    shutdown: CancellationToken,
    ready: mpsc::Sender<()>,
) {
    let prometheus = prometheus();
    let mut engine = onrush_engine::config::Config::new(data.to_owned());
    engine.ballast_bytes = 0;
    let owner = Arbiter::new();
    let engine = Engine::open(&engine).expect("the engine opens").start(&owner.handle()).await.expect("it starts");
    // An engine outlives the edges that ask it.
    let engine_stops = CancellationToken::new();
    let client = if is_apart() { from_apart(&engine, &owner, &engine_stops).await } else { engine.clone() };
    let key = KeyFile::open(&KeyFile::path_in(data)).expect("a key file");
    let tickets = TicketKeys::open_or_create(&TicketKeys::path_in(data)).expect("a key file");
    let directory = Directory::of(client);
    let context = Context::new(config, directory, Arc::new(key), tickets, Arc::default(), prometheus);
    let context = Arc::new(context.with_payments(Some(payments())));
    let serve = |(listener, surface): (TcpListener, Surface)| {
        listener.set_nonblocking(true).expect("a socket has options");
        actix_rt::spawn(server::run(listener, Arc::clone(&context), surface, shutdown.clone()))
    };
    let served: Vec<_> = listeners.into_iter().map(serve).collect();
    ready.send(()).expect("the test waits");
    for listener in served {
        listener.await.expect("no connection panics").expect("the listener works");
    }
    engine_stops.cancel();
    engine.settle().await;
    owner.stop();
    owner.join().expect("the owner does not panic");
}

/// Whether edge and engine are to be as in two processes, with a connection between them: the contract is the same.
fn is_apart() -> bool {
    std::env::var_os("ONRUSH_TEST_APART").is_some_and(|value| value == "1")
}

/// The client of an engine that is only known by its address.
async fn from_apart(engine: &Client, owner: &Arbiter, shutdown: &CancellationToken) -> Client {
    let (listener, key) = (listen(), Credentials::from(Key::from_bytes([7; 32])));
    let address = listener.local_addr().expect("bound").to_string();
    listener.set_nonblocking(true).expect("a socket has options");
    let (served, stop, its_key) = (engine.clone(), shutdown.clone(), key.clone());
    owner.spawn_fn(move || {
        actix_rt::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            onrush_engine::server::run(listener, served, its_key, stop).await;
        });
    });
    let client = Client::of_engines(&[address], &key, Arc::new(SystemClock::start()));
    while !client.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client
}

pub(crate) fn now() -> Timestamp {
    Timestamp::MIN + SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// A signing key of somebody else's, who knows what ours is called.
pub(crate) fn forged_key(server: &Server) -> TokenKeys {
    let data = server.data.as_ref().expect("a server has its data until it is gone").path();
    let ours = std::fs::read_to_string(KeyFile::path_in(data)).expect("a key file");
    let kid = ours.split(':').next().expect("a kid");
    let path = data.join("forged.key");
    std::fs::write(&path, format!("{kid}:{}\n", "A".repeat(43))).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our file");
    KeyFile::open(&path).expect("a key file")
}

/// The id of what a body describes.
#[track_caller]
pub(crate) fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}")).to_owned()
}

/// The labels of a hold's or a booking's seats.
#[track_caller]
pub(crate) fn labels(seats: &Value) -> Vec<&str> {
    seats.as_array().expect("a list of seats").iter().map(|seat| seat["label"].as_str().expect("a label")).collect()
}

pub(crate) fn show_draft() -> Value {
    json!({
        "title": "The Tempest", "field": "theatre", "cast": ["Kim", "Lee"], "venue": "Grand Theatre",
        "description": "A storm, and what came of it.", "poster_url": "https://example.org/tempest.png",
    })
}

/// A hall of 27 seats that cost nothing, and has one section of each kind and one of named seats.
pub(crate) fn draft() -> Value {
    let free = json!({"amount": 0, "currency": "KRW"});
    json!({
        "starts_at": "2040-06-01T19:00:00Z",
        "ends_at": "2040-06-01T22:00:00Z",
        "tiers": [{"name": "VIP", "price": free}, {"name": "R", "price": free}, {"name": "Hour", "price": free}],
        "seat_map": {"sections": [
            {"name": "A", "kind": "reserved", "tier": "VIP",
             "rows": [{"name": "1", "seats": 6}, {"name": "2", "seats": 6}]},
            {"name": "B", "kind": "reserved", "tier": "R", "rows": [{"name": "left", "seats": ["1a", "1b", "2"]}]},
            {"name": "Floor", "kind": "general_admission", "tier": "R", "capacity": 10},
            {"name": "Studio", "kind": "slots", "tier": "Hour", "resource": "Rehearsal studio", "slots": [
                {"starts_at": "2040-06-01T09:00:00Z", "ends_at": "2040-06-01T10:00:00Z"},
                {"starts_at": "2040-06-01T10:00:00Z", "ends_at": "2040-06-01T11:00:00Z"},
            ]},
        ]},
        "sale": {},
    })
}

/// `draft` with other values at some JSON pointers.
pub(crate) fn draft_with(changes: &[(&str, Value)]) -> Value {
    let mut draft = draft();
    for (pointer, value) in changes {
        set(&mut draft, pointer, value.clone());
    }
    draft
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for part in pointer.split('/').skip(1) {
        place = match place {
            Value::Array(items) => &mut items[part.parse::<usize>().expect("an index")],
            object => &mut object[part],
        };
    }
    *place = value;
}

/// The state of a seat, as an availability tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    Free,
    Held,
    Booked,
    Blocked,
}

/// A server with one performance on sale.
pub(crate) struct Hall {
    pub(crate) server: Server,
    pub(crate) show: String,
    pub(crate) performance: String,
}

impl std::ops::Deref for Hall {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Hall {
    pub(crate) fn open() -> Self {
        Self::with(&[])
    }

    /// A hall whose draft has other values at some JSON pointers.
    #[track_caller]
    pub(crate) fn with(changes: &[(&str, Value)]) -> Self {
        Self::on(Server::start(), changes)
    }

    #[track_caller]
    pub(crate) fn on(server: Server, changes: &[(&str, Value)]) -> Self {
        let show = server.show();
        let performance = server.performance(&show, &draft_with(changes));
        Self { server, show, performance }
    }

    pub(crate) fn restart(self) -> Self {
        Self { server: self.server.restart(), show: self.show, performance: self.performance }
    }

    /// A path below the performance's own.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/performances/{}{rest}", self.performance)
    }

    /// Asks for a hold.
    pub(crate) fn hold(&self, token: &str, wish: &Value) -> Call {
        self.post(&self.path("/holds")).token(token).json(wish)
    }

    /// Holds seats by name.
    #[track_caller]
    pub(crate) fn held(&self, token: &str, labels: &[&str]) -> Value {
        self.hold(token, &json!({"seats": labels})).expect(201).json()
    }

    /// Asks for a booking.
    pub(crate) fn book(&self, token: &str, hold: &str) -> Call {
        self.post("/v1/bookings").token(token).json(&json!({"hold": hold}))
    }

    /// Holds and books seats by name.
    #[track_caller]
    pub(crate) fn booked(&self, token: &str, labels: &[&str]) -> Value {
        let hold = id(&self.held(token, labels));
        self.book(token, &hold).expect(201).json()
    }

    /// Asks to give seats of a booking up; `null` for all.
    pub(crate) fn cancel(&self, token: &str, booking: &str, seats: &Value) -> Call {
        self.post(&format!("/v1/bookings/{booking}/cancel")).token(token).json(&json!({"seats": seats}))
    }

    /// Asks to take seats out of sale.
    pub(crate) fn block(&self, token: &str, labels: &[&str]) -> Call {
        self.post(&self.path("/blocks")).token(token).json(&json!({"seats": labels, "reason": "press"}))
    }

    #[track_caller]
    pub(crate) fn availability(&self) -> Value {
        self.get(&self.path("/availability")).expect(200).json()
    }

    /// Every seat with its state, decoded from the availability in the order of the seat map.
    #[track_caller]
    pub(crate) fn seats(&self) -> Vec<(String, Seat)> {
        let packed = self.availability()["seats"].as_str().map(|seats| STANDARD.decode(seats).expect("base64"));
        let packed = packed.expect("seats");
        let labels = self.labels();
        assert_eq!(packed.len(), labels.len().div_ceil(4));
        let state = |place: usize| match packed[place / 4] >> (place % 4 * 2) & 3 {
            0 => Seat::Free,
            1 => Seat::Held,
            2 => Seat::Booked,
            _ => Seat::Blocked,
        };
        labels.into_iter().enumerate().map(|(place, label)| (label, state(place))).collect()
    }

    #[track_caller]
    pub(crate) fn seat(&self, label: &str) -> Seat {
        self.seats().into_iter().find(|(known, _)| known == label).unwrap_or_else(|| panic!("no seat {label}")).1
    }

    /// Every label, in the order of the seat map, by the rules of the contract.
    #[track_caller]
    pub(crate) fn labels(&self) -> Vec<String> {
        let map = self.get(&self.path("/seat-map")).expect(200).json();
        map["sections"].as_array().expect("sections").iter().flat_map(labels_of).collect()
    }

    /// Does something that must change nothing.
    #[track_caller]
    pub(crate) fn unchanged<T>(&self, act: impl FnOnce() -> T) -> T {
        let before = self.get(&self.path("/availability")).expect(200);
        let outcome = act();
        let after = self.get(&self.path("/availability")).expect(200);
        assert_eq!(before.text(), after.text());
        assert_eq!(before.header("etag"), after.header("etag"));
        outcome
    }

    /// How many seats are free, in all.
    #[track_caller]
    pub(crate) fn remaining(&self) -> u64 {
        self.availability()["remaining"]["total"].as_u64().expect("a number")
    }
}

fn labels_of(section: &Value) -> Vec<String> {
    let name = section["name"].as_str().expect("a name");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match section["kind"].as_str() {
        Some("reserved") => {
            let rows = section["rows"].as_array().expect("rows");
            let row = |row: &Value| {
                let seats = match &row["seats"] {
                    Value::Array(names) => names.iter().map(text).collect(),
                    count => numbers(count),
                };
                let row = text(&row["name"]);
                seats.into_iter().map(move |seat: String| format!("{name}-{row}-{seat}")).collect::<Vec<_>>()
            };
            rows.iter().flat_map(row).collect()
        }
        Some("general_admission") => {
            numbers(&section["capacity"]).into_iter().map(|place| format!("{name}-{place}")).collect()
        }
        Some("slots") => {
            let start = |slot: &Value| format!("{name}-{}", text(&slot["starts_at"]).replace(".000Z", "Z"));
            section["slots"].as_array().expect("slots").iter().map(start).collect()
        }
        other => panic!("no kind of section: {other:?}"),
    }
}

fn numbers(count: &Value) -> Vec<String> {
    (1..=count.as_u64().expect("a number")).map(|number| number.to_string()).collect()
}

/// Asks again until there is something; a test that would never end fails instead.
#[track_caller]
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < patience, "it never came to that");
    }
}

/// Sends calls on as many connections at once; the answers in order of their status.
pub(crate) fn at_once(calls: Vec<Call>) -> Vec<Answer> {
    let start = std::sync::Barrier::new(calls.len());
    let send = |call: &Call| {
        start.wait();
        call.send()
    };
    let mut answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = calls.iter().map(|call| scope.spawn(|| send(call))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a call does not panic")).collect()
    });
    answers.sort_by_key(|answer| answer.status);
    answers
}

/// A provider that has a page for every booking and never sends a notice.
fn payments() -> Payments {
    let page = |booking| Checkout { url: Some(format!("https://pay.test/{booking}")), client_secret: None };
    let refused = || Problem::new(Kind::NoticeRefused);
    Payments {
        is_open: Box::new(|| true),
        checkout: Box::new(move |booking| Box::pin(std::future::ready(Some(page(booking))))),
        notice: Box::new(move |_, _| Box::pin(std::future::ready(Err(refused())))),
    }
}
