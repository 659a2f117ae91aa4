//! A small sale in which everything happens, over HTTP: what is then told again from its journal.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use onrush_api::availability::Availability;
use serde_json::{Value, json};

use crate::hall::Tokens;
use crate::http::{Call, Connection};
use crate::orders::{self, Orders};
use crate::server::Server;

/// The performances of a sale whose server has stopped.
pub(crate) struct Sale {
    /// With an event of every kind but those of orders, one a record: see `replay.rs`.
    pub(crate) hall: String,
    /// So busy that a snapshot stands for its first records.
    pub(crate) crowd: String,
    /// With all that becomes of orders.
    pub(crate) orders: Orders,
}

/// Who sells and buys.
pub(crate) struct Desk {
    connection: Connection,
    tokens: Tokens,
}

/// As many as there are places to stand: they share records, and the journal stays small.
const VISITORS: usize = 10;
/// Of each visitor, two events each: a thousand in all, for which there is a snapshot.
const VISITS: usize = 50;

/// Sells in a data directory that is empty, stops, and starts once more, so that holders get time back.
pub(crate) fn run(data: &Path) -> Sale {
    let server = start(data);
    let mut desk = Desk::at(&server, data);
    let orders = orders::sell(&mut desk);
    let crowd = desk.crowd(&server, data);
    let hall = desk.open("A night at the opera", 0, &free_sale());
    let held = desk.sell(&hall);
    stop(server);
    let server = start(data);
    let mut desk = Desk::at(&server, data);
    // Once this is answered, a record says that the holders have their time back.
    desk.send(3, &Call::get(format!("/v1/holds/{held}")), 200);
    desk.change(&hall, &json!({"sale": {"opens_at": "2098-01-01T00:00:00Z"}}));
    desk.change(&hall, &json!({"sale": {"opens_at": "2020-01-01T00:00:00Z", "closes_at": "2021-01-01T00:00:00Z"}}));
    stop(server);
    Sale { hall, crowd, orders }
}

/// With the test provider, whose book is in the data directory, too.
fn start(data: &Path) -> Server {
    Server::start_under(data, &["env", "ONRUSH_PAYMENT_PROVIDER=test-psp"])
}

fn stop(server: Server) {
    server.terminate();
    let (status, log) = server.wait();
    assert!(status.success(), "it ended with {status}: {log}");
}

impl Desk {
    fn at(server: &Server, data: &Path) -> Self {
        Self { connection: server.connect(), tokens: Tokens::of(data) }
    }

    /// One event after the other; the hold that is left.
    fn sell(&mut self, hall: &str) -> String {
        let released = self.hold(hall, 1, &["Stalls-A-2", "Stalls-A-3"]);
        self.send(1, &Call::delete(format!("/v1/holds/{released}")), 204);
        let booked = self.hold(hall, 3, &["Stalls-A-4"]);
        let booking = self.book(3, &booked, &json!({"purpose": "a \u{7}birthday"}));
        self.send(3, &Call { key: None, ..Call::post(format!("/v1/bookings/{booking}/cancel"), "", &json!({})) }, 200);
        let lifted = self.block(hall, &["Stalls-B-1"]);
        self.block(hall, &["Stalls-B-2"]);
        self.send(SELLER, &Call::delete(format!("/v1/performances/{hall}/blocks/{lifted}")), 204);
        let kept = self.hold(hall, 4, &["Stalls-A-5"]);
        self.book(4, &kept, &json!({}));
        let runs_out = self.hold(hall, 2, &["Stalls-A-1"]);
        let free = self.free(hall);
        let price = json!([{"name": "All", "price": {"amount": 1000, "currency": "KRW"}}]);
        let sale = json!({"hold_ttl_seconds": 3600, "max_seats_per_buyer": 2});
        self.change(hall, &json!({"sale": sale, "tiers": price}));
        self.wait_until(|desk| desk.free(hall) > free, &format!("{runs_out} runs out"));
        self.hold(hall, 3, &["Stalls-A-1", "Floor-1"])
    }

    /// A booking, visits until there is a snapshot, and one booking more.
    fn crowd(&mut self, server: &Server, data: &Path) -> String {
        let crowd = self.open("A crowd", 0, &free_sale());
        let hold = self.hold(&crowd, 4, &["Stalls-A-1"]);
        self.book(4, &hold, &json!({}));
        // What is booked keeps other rules than the sale has now: so the snapshot has to say.
        self.change(&crowd, &json!({"sale": {"cancel_until": "2098-01-01T00:00:00Z"}}));
        std::thread::scope(|scope| {
            for visitor in 0..VISITORS {
                let (mut desk, crowd) = (Self::at(server, data), &crowd);
                scope.spawn(move || desk.visit(crowd, visitor + 10));
            }
        });
        let written = || data.join("snapshots").read_dir().is_ok_and(|mut files| files.any(|file| is_snapshot(&file)));
        self.wait_until(|_| written(), "a snapshot is written");
        let hold = self.hold(&crowd, 2, &["Stalls-A-6"]);
        self.book(2, &hold, &json!({}));
        crowd
    }

    fn visit(&mut self, crowd: &str, visitor: usize) {
        for _ in 0..VISITS {
            let place = json!({"general_admission": {"section": "Floor", "quantity": 1}});
            let hold = self.create(visitor, format!("/v1/performances/{crowd}/holds"), &place);
            self.send(visitor, &Call::delete(format!("/v1/holds/{hold}")), 204);
        }
    }

    /// A show with one performance, all of whose seats have one price; the performance.
    pub(crate) fn open(&mut self, title: &str, price: i64, sale: &Value) -> String {
        let show = json!({"title": title, "field": "concert"});
        let show = self.create(SELLER, "/v1/shows".to_owned(), &show);
        let rows = json!([{"name": "A", "seats": 12}, {"name": "B", "seats": 12}]);
        let sections = json!([
            {"kind": "reserved", "name": "Stalls", "tier": "All", "rows": rows},
            {"kind": "general_admission", "name": "Floor", "tier": "All", "capacity": 10},
        ]);
        let performance = json!({
            "starts_at": "2099-01-01T20:00:00Z",
            "seat_map": {"sections": sections},
            "tiers": [{"name": "All", "price": {"amount": price, "currency": "KRW"}}],
            "sale": sale,
        });
        self.create(SELLER, format!("/v1/shows/{show}/performances"), &performance)
    }

    pub(crate) fn hold(&mut self, performance: &str, buyer: usize, seats: &[&str]) -> String {
        self.create(buyer, format!("/v1/performances/{performance}/holds"), &json!({"seats": seats}))
    }

    pub(crate) fn book(&mut self, buyer: usize, hold: &str, with: &Value) -> String {
        let mut booking = with.clone();
        booking["hold"] = hold.into();
        self.create(buyer, "/v1/bookings".to_owned(), &booking)
    }

    fn block(&mut self, performance: &str, seats: &[&str]) -> String {
        let block = json!({"seats": seats, "reason": "house"});
        self.create(SELLER, format!("/v1/performances/{performance}/blocks"), &block)
    }

    pub(crate) fn change(&mut self, performance: &str, patch: &Value) {
        let call = Call { method: "PATCH", ..Call::post(format!("/v1/performances/{performance}"), "", patch) };
        self.send(SELLER, &Call { key: None, ..call }, 200);
    }

    fn free(&mut self, performance: &str) -> u32 {
        let call = Call::get(format!("/v1/performances/{performance}/availability?fields=remaining"));
        self.connection.ask(&call, "").json::<Availability>().remaining.total
    }

    pub(crate) fn wait_until(&mut self, is_so: impl Fn(&mut Self) -> bool, what: &str) {
        // A minute, where ten seconds are the longest that has to be waited for.
        let came = (0..1200).any(|_| {
            is_so(self) || {
                sleep(Duration::from_millis(50));
                false
            }
        });
        assert!(came, "it does not come that {what}");
    }

    pub(crate) fn create(&mut self, who: usize, path: String, body: &Value) -> String {
        let made = self.post(who, path, body, 201);
        made["id"].as_str().expect("what is made has an id").to_owned()
    }

    /// Posts what must be answered so; what it says.
    pub(crate) fn post(&mut self, who: usize, path: String, body: &Value, status: u16) -> Value {
        self.send(who, &Call { key: None, ..Call::post(path, "", body) }, status)
    }

    /// Sends a request that must be answered so; what it says.
    pub(crate) fn send(&mut self, who: usize, call: &Call, status: u16) -> Value {
        let token = if who == SELLER { self.tokens.seller() } else { self.tokens.buyer(who) };
        let response = self.connection.ask(call, &token);
        assert_eq!(response.status, status, "{call:?}: {}", response.text());
        if response.body.is_empty() { Value::Null } else { response.json() }
    }
}

/// Stands for the seller where others are buyers by number.
pub(crate) const SELLER: usize = 0;

fn free_sale() -> Value {
    json!({"hold_ttl_seconds": 10, "max_seats_per_buyer": 4, "max_holds_per_buyer": 2})
}

fn is_snapshot(file: &std::io::Result<std::fs::DirEntry>) -> bool {
    file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|extension| extension == "snapshot"))
}
