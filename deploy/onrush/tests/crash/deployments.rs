//! Shows with engines of their own: what one of them does not do to the other.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::hall::Tokens;
use crate::http::{Call, Connection, Response};
use crate::payments::pay;
use crate::server::Server;

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_mins(1);

struct Seller {
    server: Server,
    tokens: Tokens,
}

impl Seller {
    /// At a server that starts on a data directory, perhaps under another program.
    fn at(data: &Path, wrapper: &[&str]) -> Self {
        let server = Server::start_under(data, wrapper);
        Self { server, tokens: Tokens::of(data) }
    }

    /// The server stops in good order, and its engines with it.
    fn leave(self) {
        self.server.terminate();
        let (status, log) = self.server.wait();
        assert!(status.success(), "{status}: {log}");
    }

    fn connect(&self) -> Connection {
        self.server.connect()
    }

    fn ask(&self, method: &'static str, path: &str, body: &Value) -> Response {
        self.connect().ask(&Call::of(method, path, body), &self.tokens.seller())
    }

    fn read(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    #[track_caller]
    fn make(&self, path: &str, body: &Value, status: u16) -> String {
        let made = self.ask("POST", path, body);
        assert_eq!(made.status, status, "{path}: {}", made.text());
        made.json::<Value>()["id"].as_str().expect("what is made has an id").to_owned()
    }

    fn show(&self, title: &str) -> String {
        self.make("/v1/shows", &json!({"title": title, "field": "concert"}), 201)
    }

    fn deploy(&self, show: &str) -> String {
        let draft = json!({"template": "tpl_general-admission", "show": show, "parameters": {"crowd": 1_000}});
        let deployment = self.make("/v1/deployments", &draft, 202);
        self.wait_until_ready(&deployment);
        deployment
    }

    fn wait_until_ready(&self, deployment: &str) {
        let begun = Instant::now();
        loop {
            let now = self.read(&format!("/v1/deployments/{deployment}"));
            if now["status"]["conditions"][4]["status"] == true {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{now:#}");
            std::thread::yield_now();
        }
    }

    fn performance(&self, show: &str) -> String {
        self.performance_at(show, 0)
    }

    fn performance_at(&self, show: &str, price: u64) -> String {
        let draft = json!({
            "starts_at": "2099-01-01T20:00:00Z",
            "seat_map": {"sections": [{"kind": "general_admission", "name": "Floor", "tier": "All", "capacity": 1_000}]},
            "tiers": [{"name": "All", "price": {"amount": price, "currency": "KRW"}}],
            "sale": {"max_seats_per_buyer": 1_000, "max_holds_per_buyer": 1_000},
        });
        self.make(&format!("/v1/shows/{show}/performances"), &draft, 201)
    }

    /// Holds a place and books it; the booking's id.
    fn sell(&self, performance: &str, key: &str) -> String {
        text(&self.book(performance, key)["id"])
    }

    fn book(&self, performance: &str, key: &str) -> Value {
        let (mut connection, buyer) = (self.connect(), self.tokens.buyer(1));
        let place = json!({"general_admission": {"section": "Floor", "quantity": 1}});
        let hold = Call::post(format!("/v1/performances/{performance}/holds"), key, &place);
        let held = connection.ask(&hold, &buyer);
        assert_eq!(held.status, 201, "{}", held.text());
        let hold = held.json::<Value>()["id"].clone();
        let booked = connection.ask(&Call::post("/v1/bookings", format!("{key}b"), &json!({"hold": hold})), &buyer);
        assert_eq!(booked.status, 201, "{}", booked.text());
        booked.json()
    }

    fn bookings(&self, performance: &str) -> Vec<String> {
        let page = self.read(&format!("/v1/performances/{performance}/bookings?limit=200"));
        let ids = page["items"].as_array().expect("a page has items").iter().map(|item| item["id"].as_str());
        ids.map(|id| id.expect("a booking has an id").to_owned()).collect()
    }
}

/// Ends the engines of a test that fails: whoever kills a server leaves them to the next one.
pub(crate) struct Engines<'a>(pub(crate) &'a Path);

impl Drop for Engines<'_> {
    fn drop(&mut self) {
        let places = std::fs::read_dir(self.0.join("engines")).into_iter().flatten().flatten();
        for place in places {
            let pid = std::fs::read_to_string(place.path().join("pid")).unwrap_or_default();
            if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
                // It has ended where the test went well.
                kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Whether a process has not ended yet, also where nobody has waited for it.
fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with(['Z', 'X']))
}

fn pid(data: &Path, deployment: &str) -> Pid {
    let text = std::fs::read_to_string(data.join("engines").join(deployment).join("pid")).expect("it was started");
    Pid::from_raw(text.trim().parse().expect("a number")).expect("a process")
}

#[test]
fn a_show_has_an_engine_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _engines = Engines(&data);
    let seller = Seller::at(&data, &[]);
    let shows = [seller.show("One"), seller.show("Other")];
    let [one, other] = shows.each_ref().map(|show| seller.deploy(show));
    let again = json!({"template": "tpl_general-admission", "show": shows[0], "parameters": {"crowd": 1_000}});
    let answer = seller.ask("POST", "/v1/deployments", &again);
    assert_eq!((answer.status, answer.replayed), (202, true), "{}", answer.text());
    assert_eq!(text(&answer.json::<Value>()["id"]), one);
    let other_answers = json!({"template": "tpl_general-admission", "show": shows[0], "parameters": {"crowd": 2_000}});
    let answer = seller.ask("POST", "/v1/deployments", &other_answers);
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains(&one), "{}", answer.text());
    let [first, second] = shows.each_ref().map(|show| seller.performance(show));
    let mut sold = [vec![seller.sell(&first, "a")], vec![seller.sell(&second, "b")]];

    // One engine is killed again and again; nobody sees more than a pause, and of the other show not even that.
    for round in 0..3 {
        kill_process(pid(&data, &one), Signal::KILL).expect("the engine runs");
        sold[1].push(seller.sell(&second, &format!("other-{round}")));
        sold[0].push(seller.sell(&first, &format!("one-{round}")));
    }
    assert_eq!([seller.bookings(&first), seller.bookings(&second)], sold);
    let killed = seller.read(&format!("/v1/deployments/{one}"));
    assert_eq!(killed["status"]["restarts"], 3, "{killed:#}");
    assert_eq!(seller.read(&format!("/v1/deployments/{other}"))["status"]["restarts"], 0);

    // The server is killed: its engines are found by the next one, as they run.
    let before = [pid(&data, &one), pid(&data, &other)];
    seller.server.kill();
    let seller = Seller::at(&data, &[]);
    [&one, &other].into_iter().for_each(|deployment| seller.wait_until_ready(deployment));
    assert_eq!([pid(&data, &one), pid(&data, &other)], before);
    assert_eq!([seller.bookings(&first), seller.bookings(&second)], sold);

    // It stops in good order, with all its engines, and comes back with all of them.
    seller.leave();
    assert!(!before.iter().any(|pid| runs(*pid)), "an engine was left behind");
    let seller = Seller::at(&data, &[]);
    [&one, &other].into_iter().for_each(|deployment| seller.wait_until_ready(deployment));
    sold[0].push(seller.sell(&first, "last"));
    assert_eq!([seller.bookings(&first), seller.bookings(&second)], sold);

    // One goes.
    let path = format!("/v1/deployments/{one}");
    let refused = seller.ask("DELETE", &path, &Value::Null);
    assert_eq!(refused.status, 409, "{}", refused.text());
    let deleted = seller.ask("DELETE", &format!("{path}?force=true"), &Value::Null);
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    assert_eq!(seller.ask("GET", &path, &Value::Null).status, 404);
    assert_eq!(seller.ask("GET", &format!("/v1/shows/{}", shows[0]), &Value::Null).status, 404);
    assert!(data.join("exports").join(&one).join("journal").exists());
    assert_eq!(seller.bookings(&second), sold[1]);
    seller.leave();
}

#[test]
fn what_is_paid_for_is_collected_from_every_engine() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    // What a server is told for itself is not for its engines: the same address, say.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let ops = format!("ONRUSH_OPS_LISTEN={free}");
    let seller = Seller::at(dir.path(), &["env", "ONRUSH_PAYMENT_PROVIDER=test-psp", &ops]);
    let show = seller.show("One");
    let deployment = seller.deploy(&show);
    let performance = seller.performance_at(&show, 50_000);
    for key in ["quiet", "killed"] {
        let booking = seller.book(&performance, key);
        assert_eq!(booking["status"], "pending_payment", "{booking:#}");
        if key == "killed" {
            kill_process(pid(dir.path(), &deployment), Signal::KILL).expect("the engine runs");
        }
        assert_eq!(pay(&booking, ""), 200);
        let (path, buyer) = (format!("/v1/bookings/{}", text(&booking["id"])), seller.tokens.buyer(1));
        let begun = Instant::now();
        loop {
            let now: Value = seller.connect().ask(&Call::get(path.as_str()), &buyer).json();
            if now["status"] == "confirmed" && now["payment"]["status"] == "captured" {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{now:#}");
            std::thread::yield_now();
        }
    }
    // No deletion takes what was paid with it: first it goes back.
    let path = format!("/v1/deployments/{deployment}");
    let refused = seller.ask("DELETE", &format!("{path}?force=true"), &Value::Null);
    assert_eq!(refused.status, 409, "{}", refused.text());
    let called_off = seller.ask("POST", &format!("/v1/performances/{performance}/cancel"), &json!({}));
    assert_eq!(called_off.status, 200, "{}", called_off.text());
    let begun = Instant::now();
    while seller.ask("DELETE", &path, &Value::Null).status != 204 {
        assert!(begun.elapsed() < PATIENCE, "the money does not go back");
        std::thread::yield_now();
    }
    let book = std::fs::read_to_string(dir.path().join("test-psp/payments.jsonl")).expect("the provider's book");
    let last = book.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of the book"));
    let last: std::collections::BTreeMap<_, _> = last.map(|line| (line["id"].to_string(), line)).collect();
    assert!(last.values().all(|payment| payment["refunds"][0]["amount"] == 50_000), "{last:#?}");
    seller.leave();
}

#[test]
fn an_engine_that_hangs_is_started_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let deployment = seller.deploy(&show);
    let performance = seller.performance(&show);
    let hanging = pid(dir.path(), &deployment);
    kill_process(hanging, Signal::STOP).expect("the engine runs");
    let begun = Instant::now();
    while seller.read(&format!("/v1/deployments/{deployment}"))["status"]["restarts"] == 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody notices");
        std::thread::sleep(Duration::from_millis(100));
    }
    seller.wait_until_ready(&deployment);
    assert_ne!(pid(dir.path(), &deployment), hanging);
    seller.sell(&performance, "a");
    seller.leave();
}

#[test]
fn of_two_requests_at_once_for_one_show_one_counts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    for round in 0..5 {
        let draft = json!({"template": "tpl_reserved-seating", "show": seller.show("One")});
        let (call, token) = (Call::of("POST", "/v1/deployments", &draft), seller.tokens.seller());
        let mut connections = [seller.connect(), seller.connect()];
        let ids = std::thread::scope(|scope| {
            let both = connections.each_mut().map(|connection| scope.spawn(|| connection.ask(&call, &token)));
            both.map(|one| one.join().expect("it is answered"))
        });
        let ids = ids.map(|made| text(&made.json::<Value>()["id"]));
        assert_eq!(ids[0], ids[1]);
        let listed = seller.read("/v1/deployments")["items"].as_array().map(Vec::len);
        assert_eq!(listed, Some(round + 1));
    }
    seller.leave();
}

#[test]
fn a_seller_has_so_many_engines_and_no_more() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let draft = || json!({"template": "tpl_space-reservation", "show": seller.show("Room")});
    let all: Vec<_> = (0..20).map(|_| seller.make("/v1/deployments", &draft(), 202)).collect();
    let one_more = draft();
    let refused = seller.ask("POST", "/v1/deployments", &one_more);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("limit-exceeded"), "{}", refused.text());
    seller.wait_until_ready(&all[19]);
    assert_eq!(seller.ask("DELETE", &format!("/v1/deployments/{}", all[0]), &Value::Null).status, 204);
    seller.make("/v1/deployments", &one_more, 202);
    seller.leave();
}

#[test]
fn a_deletion_that_broke_off_is_brought_to_its_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let deployment = seller.deploy(&show);
    let (path, show) = (format!("/v1/deployments/{deployment}"), format!("/v1/shows/{show}"));
    // An engine that does not stop, so that the deletion waits for it.
    let engine = pid(dir.path(), &deployment);
    kill_process(engine, Signal::STOP).expect("the engine runs");
    let (mut connection, token) = (seller.connect(), seller.tokens.seller());
    let (call, begun) = (Call::of("DELETE", &path, &Value::Null), Instant::now());
    let asked = std::thread::spawn(move || connection.exchange(&call, &token).is_ok());
    while seller.ask("GET", &show, &Value::Null).status != 404 {
        assert!(begun.elapsed() < PATIENCE, "it is not begun");
    }
    seller.server.kill();
    assert!(!asked.join().expect("it does not panic"), "it was answered");
    kill_process(engine, Signal::CONT).expect("the engine is there");

    let (seller, exported) = (Seller::at(dir.path(), &[]), dir.path().join("exports").join(&deployment));
    while dir.path().join("engines").join(&deployment).exists() || !exported.join("journal").exists() {
        assert!(begun.elapsed() < PATIENCE, "it is not put aside");
        std::thread::yield_now();
    }
    for gone in [&path, &show] {
        assert_eq!(seller.ask("GET", gone, &Value::Null).status, 404, "{gone}");
    }
    seller.leave();
}

#[test]
fn what_is_added_before_the_engine_is_ready_is_added_to_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let draft = json!({"template": "tpl_general-admission", "show": show});
    let deployment = seller.make("/v1/deployments", &draft, 202);
    let path = format!("/v1/shows/{show}/performances");
    let room = json!({"starts_at": "2099-01-01T20:00:00Z", "venue_preset": "study-rooms"});
    let begun = Instant::now();
    while seller.ask("POST", &path, &room).status != 201 {
        assert!(begun.elapsed() < PATIENCE, "nothing can be added");
    }
    // In the engine that the server shares it would keep the show there for good.
    seller.wait_until_ready(&deployment);
    seller.leave();
}

#[test]
fn what_cannot_be_deployed_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let ask = |draft: &Value| seller.ask("POST", "/v1/deployments", draft);

    let unknown = ask(&json!({"template": "tpl_circus", "show": show}));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let wrong =
        ask(&json!({"template": "tpl_reserved-seating", "show": show, "parameters": {"seats": 0, "colour": 1}}));
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    assert!(
        wrong.text().contains("/parameters/seats") && wrong.text().contains("/parameters/colour"),
        "{}",
        wrong.text()
    );
    let nobodys = ask(&json!({"template": "tpl_reserved-seating", "show": "show_0000000000001"}));
    assert_eq!(nobodys.status, 404, "{}", nobodys.text());
    let draft = json!({"template": "tpl_reserved-seating", "show": show});
    let buyer = seller.connect().ask(&Call::of("POST", "/v1/deployments", &draft), &seller.tokens.buyer(1));
    assert_eq!(buyer.status, 403, "{}", buyer.text());

    seller.performance(&show);
    let in_use = ask(&draft);
    assert_eq!(in_use.status, 409, "{}", in_use.text());
    assert!(in_use.text().contains("show-in-use"), "{}", in_use.text());
    assert_eq!(seller.read("/v1/deployments")["items"], json!([]));
    assert_eq!(seller.read("/v1/templates")["items"].as_array().map(Vec::len), Some(3));
}
