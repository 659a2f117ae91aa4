//! Shows with engines of their own: what one of them does not do to the other.

mod releases;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
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
        book(&mut self.connect(), &self.tokens.buyer(1), performance, key)
    }

    fn bookings(&self, performance: &str) -> Vec<String> {
        let page = self.read(&format!("/v1/performances/{performance}/bookings?limit=200"));
        let ids = page["items"].as_array().expect("a page has items").iter().map(|item| item["id"].as_str());
        ids.map(|id| id.expect("a booking has an id").to_owned()).collect()
    }
}

fn book(connection: &mut Connection, buyer: &str, performance: &str, key: &str) -> Value {
    let place = json!({"general_admission": {"section": "Floor", "quantity": 1}});
    let held =
        ask_patiently(connection, &Call::post(format!("/v1/performances/{performance}/holds"), key, &place), buyer);
    assert_eq!(held.status, 201, "{}", held.text());
    let hold = held.json::<Value>()["id"].clone();
    let book = Call::post("/v1/bookings", format!("{key}b"), &json!({"hold": hold}));
    let booked = ask_patiently(connection, &book, buyer);
    assert_eq!(booked.status, 201, "{}", booked.text());
    booked.json()
}

/// Asks again where a slow disk has kept a command waiting for too long, and nothing was done: as it says.
fn ask_patiently(connection: &mut Connection, call: &Call, token: &str) -> Response {
    let begun = Instant::now();
    loop {
        let answer = connection.ask(call, token);
        let is_busy = answer.status == 503 && answer.text().contains("temporary-reduced-capacity");
        if !is_busy || begun.elapsed() > PATIENCE {
            return answer;
        }
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

    // The next server finds it as it is, and does not take its directory away under it.
    let (seller, exported) = (Seller::at(dir.path(), &[]), dir.path().join("exports").join(&deployment));
    kill_process(engine, Signal::CONT).expect("the engine is there");
    while runs(engine) || dir.path().join("engines").join(&deployment).exists() || !exported.join("journal").exists() {
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
    seller.wait_until_ready(&deployment);
    let engines = seller.read(&format!("/v1/deployments/{deployment}"))["status"]["engines"].clone();
    assert_eq!(engines[0]["performances"], 1, "{engines}");
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

    assert_eq!(seller.read("/v1/deployments")["items"], json!([]));
    assert_eq!(seller.read("/v1/templates")["items"].as_array().map(Vec::len), Some(3));

    let render = |body: &Value| seller.ask("POST", "/v1/templates/tpl_reserved-seating/render", body);
    let rendered = render(&json!({"show": show, "replicas": 2})).json::<Value>();
    let kinds: Vec<_> = rendered["items"].as_array().expect("a list").iter().map(|item| text(&item["kind"])).collect();
    assert_eq!((&*kinds[0], kinds.last().map(String::as_str)), ("Namespace", Some("StatefulSet")));
    assert!(render(&json!({"show": show, "replicas": 9})).text().contains("/replicas"));
    assert!(render(&json!({"show": show, "parameters": {"seats": 0}})).text().contains("/parameters/seats"));
}

/// Buyers who buy one place after the other, until they are told to stop; what they have bought.
struct Buyers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Buyers {
    fn of(seller: &Seller, performances: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let buy = |performance: &String| {
            let (mut connection, buyer) = (seller.connect(), seller.tokens.buyer(1));
            let (stop, performance) = (Arc::clone(&stop), performance.clone());
            std::thread::spawn(move || {
                let mut bought = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let booking = book(&mut connection, &buyer, &performance, &format!("under-way-{}", bought.len()));
                    bought.push(text(&booking["id"]));
                }
                bought
            })
        };
        Self { threads: performances.iter().map(buy).collect(), stop }
    }

    /// Each one's bookings. A purchase that failed has panicked.
    fn leave(self) -> Vec<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().expect("every purchase succeeds")).collect()
    }
}

impl Seller {
    /// Returns once what was asked for is done; the deployment as it is then.
    fn wait_until_done(&self, deployment: &str) -> Value {
        let begun = Instant::now();
        loop {
            let now = self.read(&format!("/v1/deployments/{deployment}"));
            let status = &now["status"];
            if status["operation"]["finished_at"].is_string() && status["conditions"][4]["status"] == true {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "{now:#}");
            std::thread::yield_now();
        }
    }

    fn operate(&self, deployment: &str, what: &str, body: &Value) {
        let answer = self.ask("POST", &format!("/v1/deployments/{deployment}/{what}"), body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

fn performances_of(deployment: &Value) -> Vec<u64> {
    let engines = deployment["status"]["engines"].as_array().expect("engines");
    engines.iter().map(|engine| engine["performances"].as_u64().expect("a number")).collect()
}

#[test]
fn a_show_that_is_on_sale_moves_spreads_and_comes_together_while_it_is_bought() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _engines = Engines(&data);
    let seller = Seller::at(&data, &[]);
    let show = seller.show("One");
    let performances: Vec<_> = (0..4).map(|_| seller.performance(&show)).collect();
    let mut sold: Vec<_> = performances.iter().map(|id| vec![seller.sell(id, "before")]).collect();
    let held = {
        let place = json!({"general_admission": {"section": "Floor", "quantity": 1}});
        let hold = Call::post(format!("/v1/performances/{}/holds", performances[0]), "held", &place);
        seller.connect().ask(&hold, &seller.tokens.buyer(2))
    };
    let hold = text(&held.json::<Value>()["id"]);

    let buyers = Buyers::of(&seller, &performances);
    let deployment = seller.deploy(&show);
    assert_eq!(performances_of(&seller.read(&format!("/v1/deployments/{deployment}"))), [4]);
    seller.operate(&deployment, "scale", &json!({"component": "engine", "replicas": 2}));
    let now = seller.wait_until_done(&deployment);
    assert_eq!((performances_of(&now), &now["status"]["operation"]["moved"]), (vec![2, 2], &json!(2)), "{now:#}");
    seller.operate(&deployment, "relocate", &json!({"component": "engine", "node": "local"}));
    let now = seller.wait_until_done(&deployment);
    assert_eq!((performances_of(&now), &now["status"]["operation"]["moved"]), (vec![2, 2], &json!(4)), "{now:#}");
    let draft = json!({"template": "tpl_general-admission", "show": show, "parameters": {"crowd": 9_000}});
    let changed = seller.ask("PUT", &format!("/v1/deployments/{deployment}"), &draft);
    assert_eq!(changed.status, 202, "{}", changed.text());
    let now = seller.wait_until_done(&deployment);
    assert_eq!((&now["status"]["operation"]["kind"], &now["parameters"]["crowd"]), (&json!("change"), &json!(9_000)));
    let before = now;
    seller.ask("PUT", &format!("/v1/deployments/{deployment}"), &draft);
    let again = seller.read(&format!("/v1/deployments/{deployment}"));
    assert_eq!(again["status"]["engines"], before["status"]["engines"], "the same again changes nothing");
    seller.operate(&deployment, "scale", &json!({"component": "engine", "replicas": 1}));
    let now = seller.wait_until_done(&deployment);
    assert_eq!((performances_of(&now), &now["replicas"]), (vec![4], &json!(1)), "{now:#}");
    assert_eq!(now["status"]["restarts"], 0);

    for (all, bought) in sold.iter_mut().zip(buyers.leave()) {
        assert!(bought.len() > 1, "nobody bought anything meanwhile");
        all.extend(bought);
    }
    for (performance, sold) in performances.iter().zip(&sold) {
        assert_eq!(seller.every_booking(performance), *sold);
    }
    let buyer = seller.tokens.buyer(2);
    let booked = seller.connect().ask(&Call::post("/v1/bookings", "held-b", &json!({"hold": hold})), &buyer);
    assert_eq!(booked.status, 201, "a hold goes along: {}", booked.text());
    let exported = std::fs::read_dir(data.join("exports")).expect("journals are put aside").count();
    assert_eq!(exported, 5, "one of each engine that has gone");
    seller.leave();
}

impl Seller {
    /// All bookings of a performance, page by page.
    fn every_booking(&self, performance: &str) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.read(&format!("/v1/performances/{performance}/bookings?limit=200{cursor}"));
            let ids = page["items"].as_array().expect("a page has items").iter().map(|item| text(&item["id"]));
            all.extend(ids);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}

#[test]
fn a_move_that_broke_off_goes_on_whoever_was_killed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _engines = Engines(&data);
    let mut seller = Seller::at(&data, &[]);
    let show = seller.show("One");
    let performances: Vec<_> = (0..6).map(|_| seller.performance(&show)).collect();
    let sold: Vec<_> = performances.iter().map(|id| vec![seller.sell(id, "before")]).collect();
    let deployment = seller.deploy(&show);
    for round in 0..4 {
        let replicas = if round % 2 == 0 { 3 } else { 1 };
        seller.operate(&deployment, "scale", &json!({"component": "engine", "replicas": replicas}));
        // At whatever point it is by then.
        std::thread::yield_now();
        if round < 2 {
            kill_process(pid(&data, &deployment), Signal::KILL).expect("the engine runs");
        } else {
            seller.server.kill();
            seller = Seller::at(&data, &[]);
        }
        let begun = Instant::now();
        loop {
            let now = seller.read(&format!("/v1/deployments/{deployment}"));
            let engines = now["status"]["engines"].as_array().map_or(0, Vec::len);
            let is_done = now["status"]["operation"].is_null() || now["status"]["operation"]["finished_at"].is_string();
            if engines == replicas && is_done && now["status"]["conditions"][4]["status"] == true {
                assert_eq!(performances_of(&now), vec![6 / replicas as u64; replicas], "{now:#}");
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{now:#}");
            std::thread::yield_now();
        }
        for (performance, sold) in performances.iter().zip(&sold) {
            assert_eq!(seller.bookings(performance), *sold);
        }
    }
    seller.leave();
}

#[test]
fn what_becomes_of_a_deployment_is_told_as_it_happens() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let draft = json!({"template": "tpl_reserved-seating", "show": show});
    let deployment = text(&seller.ask("POST", "/v1/deployments", &draft).json::<Value>()["id"]);
    let path = format!("/v1/deployments/{deployment}");
    let watch = Call::get(format!("{path}?watch=true"));
    let mut events = seller.connect().listen(&watch, &seller.tokens.seller());
    let mut until = |is_so: &dyn Fn(&Value) -> bool| {
        events.find_map(|(name, data)| {
            let now: Value = serde_json::from_str(&data).expect("an event has JSON");
            is_so(&now).then_some((name, now))
        })
    };
    until(&|now| now["status"]["conditions"][0]["status"] == true).expect("it is accepted");
    until(&|now| now["status"]["conditions"][4]["status"] == true).expect("it is ready");
    seller.operate(&deployment, "scale", &json!({"component": "engine", "replicas": 2}));
    until(&|now| now["status"]["operation"]["finished_at"].is_string()).expect("it is scaled");
    let gone = seller.ask("DELETE", &path, &Value::Null);
    assert_eq!(gone.status, 204, "{}", gone.text());
    let (name, last) = until(&|now| now["status"] == 404).expect("that it has gone is told");
    assert_eq!((name.as_str(), &last["type"]), ("problem", &json!("/problems/not-found")));
    assert_eq!(until(&|_| true), None, "and then the answer ends");

    let buyer = seller.connect().ask(&watch, &seller.tokens.buyer(1));
    assert_eq!(buyer.status, 403, "{}", buyer.text());
    let unknown = seller.ask("GET", &format!("{path}?watch=true"), &Value::Null);
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let wrong = seller.ask("GET", &format!("{path}?watch=perhaps"), &Value::Null);
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    seller.leave();
}

#[test]
fn what_cannot_be_asked_of_a_deployment_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let (show, other) = (seller.show("One"), seller.show("Other"));
    let deployment = seller.deploy(&show);
    let path = format!("/v1/deployments/{deployment}");
    let before = seller.read(&path);
    let refused = [
        ("POST", "/scale", json!({"component": "engine", "replicas": 0}), 422, "/replicas"),
        ("POST", "/scale", json!({"component": "engine", "replicas": 9}), 422, "/replicas"),
        ("POST", "/scale", json!({"component": "cache", "replicas": 2}), 422, "/component"),
        ("POST", "/scale", json!({"component": "engine"}), 422, "asks for nothing"),
        ("POST", "/relocate", json!({"component": "engine", "node": "moon"}), 422, "/node"),
        ("POST", "/relocate", json!({"component": "cache", "node": "local"}), 422, "/component"),
        ("PUT", "", json!({"template": "tpl_circus", "show": show}), 404, "not-found"),
        ("PUT", "", json!({"template": "tpl_general-admission", "show": other}), 422, "/show"),
        (
            "PUT",
            "",
            json!({"template": "tpl_general-admission", "show": show, "parameters": {"seats": 0}}),
            422,
            "/parameters/seats",
        ),
    ];
    for (method, what, body, status, said) in refused {
        let answer = seller.ask(method, &format!("{path}{what}"), &body);
        assert_eq!(answer.status, status, "{method} {what} {body}: {}", answer.text());
        assert!(answer.text().contains(said), "{method} {what} {body}: {}", answer.text());
    }
    let body = json!({"component": "engine", "replicas": 2});
    let buyer = seller.connect().ask(&Call::of("POST", &format!("{path}/scale"), &body), &seller.tokens.buyer(1));
    assert_eq!(buyer.status, 403, "{}", buyer.text());
    let perhaps = seller.ask("DELETE", &format!("{path}?force=perhaps"), &Value::Null);
    assert_eq!(perhaps.status, 400, "{}", perhaps.text());
    let unknown = seller.ask("POST", "/v1/deployments/dep_0000000000000000/scale", &body);
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_eq!(seller.read(&path), before);
    seller.leave();
}

#[test]
fn what_is_used_costs_and_crosses_a_threshold_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _engines = Engines(&data);
    let seller = Seller::at(&data, &[]);
    let show = seller.show("One");
    let deployment = seller.deploy(&show);
    let path = format!("/v1/deployments/{deployment}");
    assert_eq!(seller.read(&format!("{path}/policies"))["rules"][0]["name"], "busy", "what is shipped");
    let rules = json!({"rules": [
        {"name": "there", "metric": "memory_bytes_per_engine", "above": 1.0, "severity": "warning", "scale_by": 1, "replicas_max": 2},
        {"name": "dead", "metric": "restarts_in_10_minutes", "above": 0.0, "severity": "critical"},
    ]});
    let put = seller.ask("PUT", &format!("{path}/policies"), &rules);
    assert_eq!(put.status, 200, "{}", put.text());
    let wrong = json!({"rules": [{"name": "", "metric": "disk_bytes", "above": -1.0, "severity": "info"}]});
    let refused = seller.ask("PUT", &format!("{path}/policies"), &wrong);
    assert!(refused.status == 422 && refused.text().contains("/rules/0/above"), "{}", refused.text());

    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < PATIENCE, "{what} never comes");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let anomalies = || seller.read("/v1/anomalies")["items"].as_array().cloned().expect("a list");
    until("an anomaly", &|| anomalies().iter().any(|anomaly| anomaly["rule"] == "there"));
    until("a second engine", &|| {
        seller.read(&path)["replicas"] == 2 && performances_of(&seller.read(&path)).len() == 2
    });
    kill_process(pid(&data, &deployment), Signal::KILL).expect("the engine runs");
    until("the other one", &|| anomalies().iter().any(|anomaly| anomaly["rule"] == "dead"));
    let all = anomalies();
    let dead = all.iter().find(|anomaly| anomaly["rule"] == "dead").expect("it is there");
    assert_eq!((&dead["show"], &dead["value"], &dead["until"]), (&json!(show), &json!(1.0), &Value::Null));

    // Its incident is somebody's to see to.
    let incident = format!("/v1/incidents/{}", text(&dead["incident"]));
    let opened = seller.read(&incident);
    assert_eq!(
        (&opened["state"], &opened["severity"], &opened["deployment"]),
        (&json!("open"), &json!("critical"), &json!(deployment))
    );
    let change = json!({"state": "acknowledged", "assignee": "acc_crash-seller", "due_at": "2020-01-01T00:00:00Z", "comment": "A bad disk."});
    let changed = seller.ask("PATCH", &incident, &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let summary = seller.read("/v1/incidents/summary");
    assert_eq!((&summary["by_state"]["acknowledged"], &summary["overdue"]), (&json!(1), &json!(1)), "{summary}");
    let mine = seller.read("/v1/incidents?assignee=acc_crash-seller&state=acknowledged");
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(1), "{mine}");
    let own = json!({"title": "A blank hall", "severity": "info", "show": show, "comment": "In the back."});
    seller.make("/v1/incidents", &own, 201);
    let resolved = seller.ask("PATCH", &incident, &json!({"state": "resolved"}));
    assert!(resolved.json::<Value>()["resolved_at"].is_string(), "{}", resolved.text());
    for (body, said) in [
        (json!({"title": "", "severity": "info", "show": show}), "/title"),
        (json!({"title": "x", "severity": "loud", "show": show}), "severity"),
        (json!({"title": "x", "severity": "info", "show": "show_0000000000001"}), "/show"),
        (json!({"title": "x", "severity": "info"}), "/show"),
    ] {
        let refused = seller.ask("POST", "/v1/incidents", &body);
        assert!(refused.status == 422 && refused.text().contains(said), "{body}: {}", refused.text());
    }
    assert_eq!(seller.ask("GET", "/v1/incidents?state=lost", &Value::Null).status, 400);
    assert_eq!(seller.ask("GET", "/v1/incidents?limit=0", &Value::Null).status, 400);
    let first = seller.read("/v1/incidents?limit=2");
    let rest = seller.read(&format!("/v1/incidents?limit=2&cursor={}", text(&first["next_cursor"])));
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next_cursor"]), (Some(1), &Value::Null), "{rest}");

    // What was used, and what it costs.
    until("a cost", &|| seller.read(&format!("{path}/costs"))["total"]["amount"].as_i64() > Some(0));
    let costs = seller.read(&format!("{path}/costs"));
    assert_eq!(costs["items"].as_array().map(Vec::len), Some(4), "{costs}");
    let usage = seller.read(&format!("{path}/usage?step=5"));
    let last = usage["points"].as_array().and_then(|points| points.last()).expect("points").clone();
    assert!(last["memory_bytes"].as_u64() > Some(1 << 20) && last["disk_bytes"].as_u64() > Some(1 << 20), "{last}");
    for wrong in [
        "step=1",
        "from=yesterday",
        "step=5&from=2020-01-01T00:00:00Z",
        "to=2020-01-01T00:00:00Z&from=2021-01-01T00:00:00Z",
    ] {
        assert_eq!(seller.ask("GET", &format!("{path}/usage?{wrong}"), &Value::Null).status, 400, "{wrong}");
    }
    let nodes = seller.connect().ask(&Call::of("GET", "/v1/nodes", &Value::Null), &seller.tokens.admin());
    let nodes = nodes.json::<Value>();
    assert_eq!((&nodes["items"][0]["name"], &nodes["items"][0]["engines"]), (&json!("local"), &json!(2)), "{nodes}");
    assert_eq!(seller.ask("GET", "/v1/nodes", &Value::Null).status, 403);
    seller.leave();

    // It is there after a start, and what has not been over since is not told again.
    let seller = Seller::at(&data, &[]);
    seller.wait_until_ready(&deployment);
    let after = seller.read("/v1/anomalies")["items"].as_array().cloned().expect("a list");
    assert_eq!(after.iter().filter(|anomaly| anomaly["rule"] == "there").count(), 1, "{after:#?}");
    seller.leave();
}
