//! Payments through the real binary and the test provider's own process: in time, late, twice, never; refunds; approval;
//! a whole performance called off; and what a kill leaves of all that.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{onrush, stdout};
use crate::hall::Tokens;
use crate::http::{Call, Connection, Response};
use crate::server::Server;

/// Nothing that is waited for here takes so long on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Sale {
    server: Server,
    tokens: Tokens,
    connection: Connection,
    performance: String,
}

fn start(data: &Path) -> Server {
    Server::start_under(data, &["env", "ONRUSH_PAYMENT_PROVIDER=test-psp"])
}

impl Sale {
    fn open(data: &Path, sale: &Value) -> Self {
        let server = start(data);
        let (tokens, mut connection) = (Tokens::of(data), server.connect());
        let performance = perform(&mut connection, &tokens, sale);
        Self { server, tokens, connection, performance }
    }

    fn ask(&mut self, call: &Call, token: &str) -> Value {
        let answer = self.connection.ask(call, token);
        assert!((200..300).contains(&answer.status), "{call:?}: {}", answer.text());
        answer.json()
    }

    fn hold(&mut self, buyer: usize, seats: &[&str]) -> String {
        let path = format!("/v1/performances/{}/holds", self.performance);
        let held = self.ask(&Call::of("POST", &path, &json!({"seats": seats})), &self.tokens.buyer(buyer));
        text(&held["id"])
    }

    fn book(&mut self, buyer: usize, seats: &[&str]) -> Value {
        let hold = self.hold(buyer, seats);
        self.ask(&Call::of("POST", "/v1/bookings", &json!({"hold": hold})), &self.tokens.buyer(buyer))
    }

    fn read(&mut self, buyer: usize, booking: &Value) -> Value {
        let path = format!("/v1/bookings/{}", text(&booking["id"]));
        self.ask(&Call::get(path), &self.tokens.buyer(buyer))
    }

    /// Waits until a booking is as it should be.
    fn until(&mut self, buyer: usize, booking: &Value, status: &str, payment: &str) -> Value {
        let begun = Instant::now();
        loop {
            let now = self.read(buyer, booking);
            if (now["status"].as_str(), now["payment"]["status"].as_str()) == (Some(status), Some(payment)) {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "not {status} and {payment}, but {now}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn remaining(&mut self) -> u64 {
        let path = format!("/v1/performances/{}/availability?fields=remaining", self.performance);
        self.ask(&Call::get(path), "")["remaining"]["total"].as_u64().expect("a number")
    }

    fn as_seller(&mut self, path: &str, body: &Value) -> Response {
        self.connection.ask(&Call::of("POST", path, body), &self.tokens.seller())
    }
}

/// Puts 20 seats at 50,000 won each on sale.
fn perform(connection: &mut Connection, tokens: &Tokens, sale: &Value) -> String {
    let seller = tokens.seller();
    let mut make = |path: &str, body: &Value| {
        let made = connection.ask(&Call::of("POST", path, body), &seller);
        assert_eq!(made.status, 201, "{}", made.text());
        text(&made.json::<Value>()["id"])
    };
    let show = make("/v1/shows", &json!({"title": "An evening that costs something", "field": "concert"}));
    let rows = json!([{"name": "1", "seats": 20}]);
    let performance = json!({
        "starts_at": "2099-01-01T20:00:00Z",
        "seat_map": {"sections": [{"kind": "reserved", "name": "A", "tier": "All", "rows": rows}]},
        "tiers": [{"name": "All", "price": {"amount": 50_000, "currency": "KRW"}}],
        "sale": sale,
    });
    make(&format!("/v1/shows/{show}/performances"), &performance)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Goes to the provider's page and pays there; its status.
pub(crate) fn pay(booking: &Value, mood: &str) -> u16 {
    use std::io::{Read as _, Write as _};
    let url = text(&booking["payment"]["url"]);
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain URL");
    let mut stream = std::net::TcpStream::connect(host).expect("the provider listens");
    let mood = if mood.is_empty() { String::new() } else { format!("Test-PSP-Mood: {mood}\r\n") };
    let form = "outcome=pay";
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\n{mood}Connection: close\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).expect("the provider reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the provider answers");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

/// The last line of each payment in the provider's own book.
fn book_of(data: &Path) -> BTreeMap<String, Value> {
    let book = std::fs::read_to_string(data.join("test-psp/payments.jsonl")).expect("the provider's book");
    let payments = book.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    payments.map(|payment| (text(&payment["reference"]), payment)).collect()
}

#[test]
fn a_buyer_pays_and_gets_one_seat_of_three_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refund = json!([{"until": "2098-12-01T00:00:00Z", "percent": 80}]);
    let mut sale = Sale::open(dir.path(), &json!({"refund": refund}));
    let booking = sale.book(1, &["A-1-1", "A-1-2", "A-1-3"]);
    assert_eq!(booking["status"], "pending_payment", "{booking}");
    assert_eq!(booking["payment"]["amount"], json!({"amount": 150_000, "currency": "KRW"}));
    let part = Call::of("POST", &format!("/v1/bookings/{}/cancel", text(&booking["id"])), &json!({"seats": ["A-1-1"]}));
    let pending = sale.connection.ask(&part, &sale.tokens.buyer(1));
    assert!(pending.text().contains("/problems/payment-pending"), "{}", pending.text());

    assert_eq!(pay(&booking, "again=2"), 200);
    assert_eq!(pay(&booking, ""), 409, "once");
    let paid = sale.until(1, &booking, "confirmed", "captured");
    assert_eq!(paid["payment"]["url"], Value::Null);
    let cancelled = sale.ask(&part, &sale.tokens.buyer(1));
    assert_eq!(cancelled["status"], "partly_cancelled");
    assert_eq!(cancelled["payment"]["refund_due"]["amount"], 40_000);
    let back = sale.until(1, &booking, "partly_cancelled", "captured");
    assert_eq!(back["payment"]["refunded"]["amount"], 40_000);
    assert_eq!(sale.remaining(), 18);
    let known = &book_of(dir.path())[&text(&booking["id"])];
    assert_eq!((&known["status"], &known["refunds"][0]["amount"]), (&json!("captured"), &json!(40_000)));
    assert_eq!(known["refunds"].as_array().expect("a list").len(), 1);

    let path = format!("/v1/performances/{}/sales?by=tier", sale.performance);
    let sales = sale.ask(&Call::get(path), &sale.tokens.seller());
    let money = |name: &str| sales["money"][name]["amount"].as_i64().expect("a number");
    let sums = ["collected", "tickets", "kept", "refunded", "refund_due"].map(money);
    assert_eq!(sums, [150_000, 100_000, 10_000, 40_000, 0], "{sales}");
    assert_eq!((&sales["sold"], &sales["rows"][0]["revenue"]["amount"]), (&json!(2), &json!(100_000)));
}

#[test]
fn late_money_takes_the_same_seats_again_or_goes_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut sale = Sale::open(dir.path(), &json!({"hold_ttl_seconds": 10}));
    let [free, gone, never] = [1, 2, 3].map(|buyer| sale.book(buyer, &[&format!("A-1-{buyer}")]));
    // The bank is not asked before the time is up, so that nobody gets more of it.
    sale.until(1, &free, "expired", "closed");
    assert_eq!(sale.until(3, &never, "expired", "closed")["seats"], json!([]));
    assert_eq!(pay(&never, ""), 409, "nobody can pay any more");
    drop(gone);

    let late = sale.book(4, &["A-1-4"]);
    let lost = sale.book(5, &["A-1-5"]);
    // The bank takes longer than the hold; it is asked in time, so that the seats wait for it.
    assert_eq!(pay(&late, "delay=11000,silent"), 200);
    assert_eq!(pay(&lost, "declined"), 200);
    sale.until(5, &lost, "payment_failed", "failed");
    assert_eq!(sale.read(4, &late)["status"], "pending_payment");
    sale.until(4, &late, "confirmed", "captured");
}

#[test]
fn a_lost_answer_a_lost_notice_and_a_capture_that_fails_end_well() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut sale = Sale::open(dir.path(), &json!({}));
    let moods = ["loses-answers", "reordered,again=3", "capture-fails"];
    let bookings = [0, 1, 2].map(|buyer| sale.book(buyer, &[&format!("A-1-{}", buyer + 1)]));
    for (booking, mood) in bookings.iter().zip(moods) {
        assert_eq!(pay(booking, mood), 200, "{mood}");
    }
    sale.until(0, &bookings[0], "confirmed", "captured");
    sale.until(1, &bookings[1], "confirmed", "captured");
    sale.until(2, &bookings[2], "payment_failed", "failed");
    assert_eq!(sale.remaining(), 18);
}

#[test]
fn a_seller_approves_and_rejects_and_the_first_word_holds() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut sale = Sale::open(dir.path(), &json!({"approval": "manual"}));
    let [wanted, unwanted] = [1, 2].map(|buyer| sale.book(buyer, &[&format!("A-1-{buyer}")]));
    assert_eq!(wanted["status"], "pending_approval");
    assert!(wanted["decide_until"].is_string() && wanted["payment"].is_null(), "{wanted}");
    assert_eq!(sale.remaining(), 18, "taken meanwhile");
    let path = |booking: &Value, word: &str| format!("/v1/bookings/{}/{word}", text(&booking["id"]));

    let buyer = sale.tokens.buyer(1);
    let own = sale.connection.ask(&Call::of("POST", &path(&wanted, "approve"), &Value::Null), &buyer);
    assert_eq!(own.status, 403, "{}", own.text());
    let silent = sale.as_seller(&path(&unwanted, "reject"), &json!({}));
    assert_eq!(silent.status, 422, "{}", silent.text());
    let rejected = sale.as_seller(&path(&unwanted, "reject"), &json!({"reason": "Press only"})).json::<Value>();
    assert_eq!((&rejected["status"], &rejected["decision"]["reason"]), (&json!("rejected"), &json!("Press only")));
    assert_eq!(sale.as_seller(&path(&unwanted, "approve"), &Value::Null).status, 409);
    assert_eq!(sale.as_seller(&path(&unwanted, "reject"), &json!({"reason": "Again"})).status, 200);
    let approved = sale.as_seller(&path(&wanted, "approve"), &Value::Null).json::<Value>();
    assert_eq!(approved["status"], "pending_payment", "{approved}");
    // The provider's page may take longer than a reader waits for it; reading again asks again.
    let page = std::iter::repeat_with(|| sale.read(1, &wanted)).find(|read| read["payment"]["url"].is_string());
    assert_eq!(pay(&page.expect("there is a page at last"), ""), 200);
    sale.until(1, &wanted, "confirmed", "captured");
    assert_eq!(sale.remaining(), 19);
}

#[test]
fn a_performance_that_is_called_off_gives_everything_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refund = json!([{"until": "2098-12-01T00:00:00Z", "percent": 10}]);
    let mut sale = Sale::open(dir.path(), &json!({"refund": refund}));
    let [paid, open] = [1, 2].map(|buyer| sale.book(buyer, &[&format!("A-1-{buyer}")]));
    assert_eq!(pay(&paid, ""), 200);
    sale.until(1, &paid, "confirmed", "captured");
    let path = format!("/v1/performances/{}/cancel", sale.performance);
    let buyer = sale.tokens.buyer(1);
    assert_eq!(sale.connection.ask(&Call::of("POST", &path, &Value::Null), &buyer).status, 403);
    let off = sale.as_seller(&path, &json!({"reason": "The singer is ill"}));
    let off = off.json::<Value>();
    assert_eq!((&off["on_sale"], &off["cancelled"]["reason"]), (&json!(false), &json!("The singer is ill")));
    let back = sale.until(1, &paid, "refunded", "returned");
    assert_eq!(back["payment"]["refunded"]["amount"], 50_000, "all of it, whatever the policy says");
    sale.until(2, &open, "cancelled", "closed");
    let holds = format!("/v1/performances/{}/holds", sale.performance);
    let refused = sale.connection.ask(&Call::of("POST", &holds, &json!({"seats": ["A-1-9"]})), &buyer);
    assert!(refused.text().contains("called this performance off"), "{}", refused.text());
}

#[test]
fn a_kill_loses_no_payment_and_takes_none_twice() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut sale = Sale::open(dir.path(), &json!({}));
    let bookings: Vec<Value> = (0..6).map(|buyer| sale.book(buyer, &[&format!("A-1-{}", buyer + 1)])).collect();
    // Some have paid, some notices were taken, some money was collected, when the power goes.
    for booking in &bookings[..4] {
        assert_eq!(pay(booking, "silent"), 200);
    }
    assert_eq!(pay(&bookings[4], ""), 200);
    let Sale { server, tokens, performance, .. } = sale;
    server.kill();
    let server = start(dir.path());
    let connection = server.connect();
    let mut sale = Sale { server, tokens, connection, performance };
    for (buyer, booking) in bookings[..5].iter().enumerate() {
        sale.until(buyer, booking, "confirmed", "captured");
    }
    let still = sale.read(5, &bookings[5]);
    assert_eq!(still["status"], "pending_payment");
    assert_eq!(pay(&still, ""), 200);
    sale.until(5, &bookings[5], "confirmed", "captured");
    let book = book_of(dir.path());
    assert_eq!(book.len(), 6, "one payment a booking: {book:?}");
    assert!(book.values().all(|payment| payment["status"] == "captured" && payment["refunds"] == json!([])));
    sale.server.kill();
}

#[test]
fn a_forged_notice_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut sale = Sale::open(dir.path(), &json!({}));
    let booking = sale.book(1, &["A-1-1"]);
    let data = json!({"id": "tpay_1", "reference": booking["id"], "amount": 50_000, "currency": "KRW",
        "status": "captured", "url": "", "refunds": []});
    let notice = json!({"type": "payment.captured", "data": data});
    let forged = sale.connection.ask(&Call::of("POST", "/v1/payments/webhook", &notice), "");
    assert!(forged.text().contains("/problems/notice-refused"), "{}", forged.text());
    assert_eq!(sale.read(1, &booking)["status"], "pending_payment");
}

#[test]
fn where_nobody_takes_payments_nothing_that_costs_is_booked() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let (tokens, mut connection) = (Tokens::of(dir.path()), server.connect());
    let performance = perform(&mut connection, &tokens, &json!({}));
    let mut sale = Sale { server, tokens, connection, performance };
    let hold = sale.hold(1, &["A-1-1"]);
    let booked = Call::of("POST", "/v1/bookings", &json!({"hold": hold}));
    let refused = sale.connection.ask(&booked, &sale.tokens.buyer(1));
    assert!(refused.text().contains("/problems/payment-unavailable"), "{}", refused.text());
    assert_eq!(sale.ask(&Call::get(format!("/v1/holds/{hold}")), &sale.tokens.buyer(1))["id"], json!(hold));
}

#[test]
fn a_door_without_a_network_tells_good_codes_from_bad_ones() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let (tokens, mut connection) = (Tokens::of(dir.path()), server.connect());
    let performance = crate::hall::open(&mut connection, &tokens);
    let mut sale = Sale { server, tokens, connection, performance };
    sale.book(1, &["A-1-1", "A-1-2"]);
    let buyer = sale.tokens.buyer(1);
    let listed = sale.ask(&Call::get("/v1/tickets"), &buyer);
    let codes: Vec<String> = (0..2).map(|place| text(&listed["items"][place]["code"])).collect();
    let keys = sale.ask(&Call::get("/v1/tickets/keys"), "");
    let (keys_file, codes_file) = (dir.path().join("keys.json"), dir.path().join("codes.txt"));
    std::fs::write(&keys_file, keys.to_string()).expect("a file");
    let verify = |lines: &[&str]| {
        std::fs::write(&codes_file, lines.join("\n")).expect("a file");
        let files = [keys_file.to_str().expect("a path"), codes_file.to_str().expect("a path")];
        onrush(&["tickets", "verify", "--offline", "--performance", &sale.performance, "--keys", files[0], files[1]])
    };
    let good = verify(&[&codes[0], &codes[1]]);
    assert!(good.status.success() && stdout(&good).ends_with("2 good, 0 bad\n"), "{}", stdout(&good));
    assert!(stdout(&good).contains("A-1-2"), "{}", stdout(&good));
    let forged = codes[0].replace("onr1.A", "onr1.B");
    let order = "\r\u{1b}[2Kgood  A-1-9";
    let bad = verify(&[&codes[0], &codes[0], "", order, &forged]);
    assert_eq!(bad.status.code(), Some(1), "{}", stdout(&bad));
    assert!(!stdout(&bad).contains('\u{1b}'), "an order to the terminal came through");
    assert!(
        stdout(&bad).contains("A-1-1 came before") && stdout(&bad).ends_with("1 good, 3 bad\n"),
        "{}",
        stdout(&bad)
    );
    let printed = onrush(&["tickets", "keys", "--data", dir.path().to_str().expect("a path")]);
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON"), keys);
}
