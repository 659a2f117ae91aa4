//! Edges that ask a server about accounts, payments and deployments, and are told by it which engines there are.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onrush_engine::wire::NAME;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::accounts::PASSWORD;
use crate::apart::wait_for;
use crate::deployments::Engines;
use crate::hall::Tokens;
use crate::http::{Call, Connection, Response};
use crate::payments::pay;
use crate::server::{PLANE, Process, Server};

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server, and edges of it.
struct Platform {
    dir: tempfile::TempDir,
    edges: Vec<Server>,
    /// What all are told, as `NAME=value`.
    environment: Vec<String>,
}

impl Platform {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, edges: Vec::new(), environment: Vec::new() }
    }

    /// With certificates.
    fn encrypted() -> Self {
        let mut platform = Self::new();
        let at = |file: &str| platform.dir.path().join(file);
        let key = || KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (authority, own) = (CertifiedIssuer::self_signed(authority, key()).expect("it signs itself"), key());
        let member = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
        let member = member.signed_by(&own, &authority).expect("it signs");
        let files = [
            ("CERT", at("wire.crt"), member.pem()),
            ("CERT_KEY", at("wire.key"), own.serialize_pem()),
            ("CA", at("ca.crt"), authority.pem()),
        ];
        for (name, path, text) in files {
            std::fs::write(&path, text).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our file");
            platform.environment.push(format!("ONRUSH_WIRE_{name}_FILE={}", path.display()));
        }
        platform
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("plane")
    }

    /// Starts the server; at the addresses where it was before, if it was.
    fn start(&self) -> Server {
        let at = |file: &str| {
            let known = std::fs::read_to_string(self.data().join(file)).unwrap_or_default();
            if known.is_empty() { "127.0.0.1:0".to_owned() } else { known.trim().to_owned() }
        };
        let plane = format!("ONRUSH_PLANE_LISTEN={}", at(PLANE));
        let engine = format!("ONRUSH_ENGINE_LISTEN={}", at("engine-address"));
        let own = ["env", &plane, &engine, "ONRUSH_PAYMENT_PROVIDER=test-psp"];
        let all: Vec<_> = own.into_iter().chain(self.environment.iter().map(String::as_str)).collect();
        Server::start_under(&self.data(), &all)
    }

    fn start_edge(&mut self) {
        let data = self.dir.path().join(format!("edge-{}", self.edges.len()));
        let edge = Process::edge_of(&data, &self.data(), &self.environment).serves(&data);
        let edge = edge.unwrap_or_else(|reason| panic!("an edge does not start: {reason}"));
        wait_for(&edge, &Call::get("/metrics"), "onrush_control_plane_connected 1");
        wait_for(&edge, &Call::get("/readyz"), "ready");
        self.edges.push(edge);
    }

    fn at(&self, edge: usize) -> At {
        At(self.edges[edge].address)
    }

    fn ask(&self, edge: usize, call: &Call, token: &str) -> Response {
        self.at(edge).ask(call, token)
    }

    #[track_caller]
    fn make(&self, edge: usize, path: &str, token: &str, body: &Value) -> Value {
        self.at(edge).make(path, token, body)
    }

    /// Somebody's account, and their access token.
    fn sign_up(&self, edge: usize, name: &str, role: &str) -> String {
        let account = json!({"email": format!("{name}@example.org"), "password": PASSWORD, "name": name, "role": role});
        self.make(edge, "/v1/accounts", "", &account);
        self.sign_in(edge, name)
    }

    fn sign_in(&self, edge: usize, name: &str) -> String {
        let body = json!({"email": format!("{name}@example.org"), "password": PASSWORD});
        text(&self.make(edge, "/v1/sessions", "", &body)["access_token"])
    }

    fn performance(&self, edge: usize, show: &str, seller: &str, price: u64) -> String {
        let draft = json!({
            "starts_at": "2099-01-01T20:00:00Z",
            "seat_map": {"sections": [{"kind": "general_admission", "name": "Floor", "tier": "All", "capacity": 1_000}]},
            "tiers": [{"name": "All", "price": {"amount": price, "currency": "KRW"}}],
            "sale": {"max_seats_per_buyer": 1_000, "max_holds_per_buyer": 1_000},
        });
        text(&self.make(edge, &format!("/v1/shows/{show}/performances"), seller, &draft)["id"])
    }

    #[track_caller]
    fn book(&self, edge: usize, performance: &str, buyer: &str) -> Value {
        self.at(edge).book(performance, buyer)
    }

    /// Waits until what is read over an edge is as it should be.
    fn until(&self, edge: usize, path: &str, token: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let (mut connection, begun) = (self.edges[edge].connect(), Instant::now());
        loop {
            let answer = connection.ask(&Call::get(path), token);
            if answer.status == 200 && is_so(&answer.json()) {
                return answer.json();
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {}", answer.text());
            std::thread::yield_now();
        }
    }
}

/// An edge, for whoever asks it.
#[derive(Clone, Copy)]
struct At(SocketAddr);

impl At {
    fn ask(self, call: &Call, token: &str) -> Response {
        Connection::open(self.0).expect("an edge listens").ask(call, token)
    }

    #[track_caller]
    fn make(self, path: &str, token: &str, body: &Value) -> Value {
        let made = self.ask(&Call::of("POST", path, body), token);
        assert!((200..300).contains(&made.status), "{path}: {}", made.text());
        made.json()
    }

    #[track_caller]
    fn book(self, performance: &str, buyer: &str) -> Value {
        let place = json!({"general_admission": {"section": "Floor", "quantity": 1}});
        let hold = self.make(&format!("/v1/performances/{performance}/holds"), buyer, &place);
        self.make("/v1/bookings", buyer, &json!({"hold": hold["id"]}))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn is_ready(deployment: &Value) -> bool {
    let status = &deployment["status"];
    status["conditions"][4]["status"] == true
        && (status["operation"].is_null() || status["operation"]["finished_at"].is_string())
}

fn engines_of(metrics: &str) -> usize {
    metrics.lines().filter(|line| line.starts_with("onrush_engine_connected{") && line.ends_with(" 1")).count()
}

#[test]
fn a_show_is_set_up_sold_and_paid_over_edges() {
    let mut platform = Platform::new();
    let _engines = Engines(&platform.data());
    let _server = platform.start();
    platform.start_edge();
    platform.start_edge();
    let seller = platform.sign_up(0, "lee", "seller");
    let show = text(&platform.make(0, "/v1/shows", &seller, &json!({"title": "One", "field": "concert"}))["id"]);
    let performances = [0, 1].map(|_| platform.performance(0, &show, &seller, 90_000));
    let draft = json!({"template": "tpl_general-admission", "show": show});
    let deployment = text(&platform.make(0, "/v1/deployments", &seller, &draft)["id"]);
    let path = format!("/v1/deployments/{deployment}");
    platform.until(1, &path, &seller, is_ready);

    // What is at an engine of its own is sold over either edge, which was told of that engine.
    let buyer = platform.sign_up(1, "kim", "buyer");
    let booked = platform.book(1, &performances[0], &buyer);
    assert_eq!(booked["status"], "pending_payment");
    assert_eq!(pay(&booked, ""), 200);
    let booking = format!("/v1/bookings/{}", text(&booked["id"]));
    platform.until(0, &booking, &buyer, |now| now["status"] == "confirmed" && now["payment"]["status"] == "captured");

    platform.make(0, &format!("{path}/scale"), &seller, &json!({"component": "engine", "replicas": 2}));
    platform.until(0, &path, &seller, is_ready);
    for edge in 0..2 {
        performances.iter().for_each(|performance| drop(platform.book(edge, performance, &buyer)));
        let metrics = platform.ask(edge, &Call::get("/metrics"), "").text();
        assert_eq!(engines_of(&metrics), 3, "the server's and two of the show's: {metrics}");
    }
    platform.make(1, &format!("{path}/scale"), &seller, &json!({"component": "engine", "replicas": 1}));
    let now = platform.until(1, &path, &seller, is_ready);
    assert_eq!(now["status"]["engines"][0]["performances"], 2);
    performances.iter().for_each(|performance| drop(platform.book(1, performance, &buyer)));
    let events: Vec<_> =
        platform.edges[0].connect().listen(&Call::get(format!("{path}?watch=true")), &seller).take(1).collect();
    assert!(events[0].1.contains(&deployment), "{events:?}");
}

#[test]
fn all_is_as_before_where_it_is_encrypted_and_nobody_gets_in_without() {
    let mut platform = Platform::encrypted();
    let _engines = Engines(&platform.data());
    let _server = platform.start();
    platform.start_edge();
    let seller = platform.sign_up(0, "lee", "seller");
    let show = text(&platform.make(0, "/v1/shows", &seller, &json!({"title": "One", "field": "concert"}))["id"]);
    let performance = platform.performance(0, &show, &seller, 0);
    let draft = json!({"template": "tpl_general-admission", "show": show});
    let deployment = text(&platform.make(0, "/v1/deployments", &seller, &draft)["id"]);
    platform.until(0, &format!("/v1/deployments/{deployment}"), &seller, is_ready);
    let buyer = platform.sign_up(0, "kim", "buyer");
    assert_eq!(platform.book(0, &performance, &buyer)["status"], "confirmed");

    let data = platform.dir.path().join("plain");
    let plain = Process::edge_of(&data, &platform.data(), &[]).serves(&data).expect("it starts, and waits");
    wait_for(&plain, &Call::get("/metrics"), "onrush_control_plane_connection_failures_total 2");
    assert_eq!(plain.connect().ask(&Call::get("/readyz"), "").status, 503);
}

#[test]
fn buyers_over_edges_see_no_error_of_moves() {
    let mut platform = Platform::new();
    let _engines = Engines(&platform.data());
    let _server = platform.start();
    platform.start_edge();
    platform.start_edge();
    let tokens = Tokens::of(&platform.data());
    let seller = platform.sign_up(0, "lee", "seller");
    let show = text(&platform.make(0, "/v1/shows", &seller, &json!({"title": "One", "field": "concert"}))["id"]);
    let performances = [0, 1].map(|_| platform.performance(0, &show, &seller, 0));
    // The other edge hears of them a moment later.
    performances.iter().for_each(|id| drop(platform.until(1, &format!("/v1/performances/{id}"), "", |_| true)));
    let buyers: Vec<_> = (0..4).map(|buyer| (buyer, tokens.buyer(buyer))).collect();
    let is_over = AtomicBool::new(false);
    let sold = std::thread::scope(|scope| {
        let buy = |(number, buyer): &(usize, String)| {
            let (edge, performance, is_over) = (platform.at(number % 2), &performances[number / 2], &is_over);
            let buyer = buyer.clone();
            scope.spawn(move || {
                let mut sold = 0;
                while !is_over.load(Ordering::Relaxed) {
                    // A purchase that is refused panics.
                    edge.book(performance, &buyer);
                    sold += 1;
                }
                sold
            })
        };
        let threads: Vec<_> = buyers.iter().map(buy).collect();
        let draft = json!({"template": "tpl_general-admission", "show": show});
        let deployment = text(&platform.make(0, "/v1/deployments", &seller, &draft)["id"]);
        let path = format!("/v1/deployments/{deployment}");
        platform.until(1, &path, &seller, is_ready);
        for _ in 0..3 {
            for (what, order) in [
                ("scale", json!({"component": "engine", "replicas": 2})),
                ("relocate", json!({"component": "engine", "node": "local"})),
                ("scale", json!({"component": "engine", "replicas": 1})),
            ] {
                platform.make(1, &format!("{path}/{what}"), &seller, &order);
                platform.until(0, &path, &seller, is_ready);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("every purchase succeeds")).sum::<u64>()
    });
    let count = |performance: &String| {
        let tally = platform.until(1, &format!("/v1/performances/{performance}/sales?by=tier"), &seller, |_| true);
        tally["sold"].as_u64().unwrap_or_else(|| panic!("{tally:#}"))
    };
    assert_eq!(performances.iter().map(count).sum::<u64>(), sold);
}

#[test]
fn who_signs_out_is_out_at_every_edge() {
    let mut platform = Platform::new();
    let server = platform.start();
    platform.start_edge();
    platform.start_edge();
    let kept = platform.sign_up(0, "kim", "buyer");
    for edge in [0, 1] {
        let token = platform.sign_in(edge, "kim");
        let bookings = Call::get("/v1/bookings");
        assert_eq!(platform.ask(1 - edge, &bookings, &token).status, 200);
        assert_eq!(platform.ask(edge, &Call::delete("/v1/sessions/current"), &token).status, 204);
        assert_eq!(platform.ask(1 - edge, &bookings, &token).status, 401, "at once");
        assert_eq!(platform.ask(edge, &bookings, &token).status, 401);
        assert_eq!(server.connect().ask(&bookings, &token).status, 401);
        // One that comes later is told what was before.
        platform.start_edge();
        assert_eq!(platform.ask(2 + edge, &bookings, &token).status, 401);
    }
    let closing = Call::of("DELETE", "/v1/accounts/me", &json!({"password": PASSWORD}));
    let closed = platform.ask(2, &closing, &kept);
    assert_eq!(closed.status, 204, "{}", closed.text());
    for edge in 0..4 {
        assert_eq!(platform.ask(edge, &Call::get("/v1/bookings"), &kept).status, 401);
    }
}

#[test]
fn nobody_is_told_that_they_are_out_before_every_edge_knows() {
    let mut platform = Platform::new();
    let _server = platform.start();
    platform.start_edge();
    platform.start_edge();
    let token = platform.sign_up(0, "kim", "buyer");
    let hanging = platform.edges[1].pid();
    kill_process(hanging, Signal::STOP).expect("an edge can be stopped");
    let (tell, told) = std::sync::mpsc::channel();
    let (edge, leaving) = (platform.at(0), token.clone());
    let signing_out = std::thread::spawn(move || {
        tell.send(edge.ask(&Call::delete("/v1/sessions/current"), &leaving).status).expect("the test waits");
    });
    // No answer is what is waited for: one that came would be wrong.
    told.recv_timeout(Duration::from_millis(300)).expect_err("an edge does not know");
    kill_process(hanging, Signal::CONT).expect("it goes on");
    assert_eq!(told.recv().expect("an answer"), 204);
    assert_eq!(platform.ask(1, &Call::get("/v1/bookings"), &token).status, 401);
    signing_out.join().expect("it was told");
}

#[test]
fn a_sale_goes_on_while_the_server_is_away() {
    let mut platform = Platform::new();
    let data = platform.data();
    let _engines = Engines(&data);
    let server = platform.start();
    platform.start_edge();
    let tokens = Tokens::of(&data);
    let seller = platform.sign_up(0, "lee", "seller");
    let show = text(&platform.make(0, "/v1/shows", &seller, &json!({"title": "One", "field": "concert"}))["id"]);
    let performance = platform.performance(0, &show, &seller, 0);
    let draft = json!({"template": "tpl_general-admission", "show": show});
    let deployment = text(&platform.make(0, "/v1/deployments", &seller, &draft)["id"]);
    let path = format!("/v1/deployments/{deployment}");
    platform.until(0, &path, &seller, is_ready);

    // The edge knows where the performance is.
    let mut sold = vec![text(&platform.book(0, &performance, &tokens.buyer(1))["id"])];
    server.kill();
    sold.push(text(&platform.book(0, &performance, &tokens.buyer(1))["id"]));
    wait_for(&platform.edges[0], &Call::get("/metrics"), "onrush_control_plane_connected 0");
    sold.push(text(&platform.book(0, &performance, &tokens.buyer(1))["id"]));
    let waits = platform.ask(0, &Call::get(path.as_str()), &seller);
    assert_eq!(waits.status, 503, "{}", waits.text());
    assert!(waits.text().contains("the sale goes on"), "{}", waits.text());

    // One that does not know which engines there are tells no edge that there are none.
    platform.environment.push("ONRUSH_ENGINE_CGROUP=/nowhere".to_owned());
    let server = platform.start();
    wait_for(&platform.edges[0], &Call::get("/metrics"), "onrush_control_plane_connected 1");
    platform.sign_in(0, "lee");
    sold.push(text(&platform.book(0, &performance, &tokens.buyer(1))["id"]));
    server.kill();
    platform.environment.clear();

    let is_over = AtomicBool::new(false);
    let _server = std::thread::scope(|scope| {
        let (edge, is_over, performance, buyer) = (platform.at(0), &is_over, &performance, tokens.buyer(1));
        let buying = scope.spawn(move || {
            let mut sold = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                // A purchase that is refused panics.
                sold.push(text(&edge.book(performance, &buyer)["id"]));
            }
            sold
        });
        let server = platform.start();
        platform.until(0, &path, &seller, is_ready);
        platform.sign_in(0, "lee");
        is_over.store(true, Ordering::Relaxed);
        sold.extend(buying.join().expect("every purchase succeeds"));
        server
    });
    sold.push(text(&platform.book(0, &performance, &tokens.buyer(1))["id"]));
    let sales = platform.until(0, &format!("/v1/performances/{performance}/sales?by=tier"), &seller, |_| true);
    assert_eq!(sales["sold"].as_u64(), Some(sold.len() as u64));
}

#[test]
fn an_edge_that_is_not_believed_or_has_other_keys_says_why() {
    let mut platform = Platform::new();
    let _server = platform.start();
    let data = platform.dir.path().join("edge");
    let reason = |keys: &Path| {
        std::fs::copy(platform.data().join(PLANE), keys.join(PLANE)).expect("the address");
        Process::edge_of(&data, keys, &[]).serves(&data)
    };
    let without = platform.dir.path().join("without");
    std::fs::create_dir(&without).expect("a directory");
    let refused = reason(&without).err().expect("it has no key");
    assert!(refused.contains("--engine-key-file FILE"), "{refused}");
    std::fs::copy(platform.data().join("engine.key"), without.join("engine.key")).expect("a key");
    let refused = reason(&without).err().expect("it would make keys of its own");
    assert!(refused.contains("--token-key-file"), "{refused}");

    for key in ["token.key", "ticket.key"] {
        std::fs::copy(platform.data().join(key), without.join(key)).expect("a key");
    }
    std::fs::write(without.join("engine.key"), "7".repeat(64)).expect("another key");
    let edge = reason(&without).expect("it starts, and waits");
    let answer = edge.connect().ask(&Call::get("/v1/shows/show_4bhp7snadv3r9"), "");
    assert_eq!(answer.status, 503, "nobody is told that something is not there: {}", answer.text());
    // The second one comes after what is told of the first.
    wait_for(&edge, &Call::get("/metrics"), "onrush_control_plane_connection_failures_total 2");
    let log = edge.kill();
    assert!(log.contains("the control plane is not heard") && log.contains("another engine key"), "{log}");
    platform.start_edge();
    let unknown = platform.ask(0, &Call::get("/v1/shows/show_4bhp7snadv3r9"), "");
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}
