//! Guests through the real binary: booking without an account, and coming back with a password.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::accounts::PASSWORD;
use crate::hall::{self, Tokens};
use crate::http::{Call, Connection, Response};
use crate::server::Server;

/// A hall on sale, and a guest who has come.
struct Sale {
    server: Server,
    connection: Connection,
    data: TempDir,
    performance: String,
    token: String,
}

impl Sale {
    fn open() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(data.path());
        let mut connection = server.connect();
        let performance = hall::open(&mut connection, &Tokens::of(data.path()));
        let begun = connection.ask(&Call::of("POST", "/v1/sessions", &json!({"guest": true})), "");
        assert_eq!(begun.status, 201, "{}", begun.text());
        let token = text(&begun.json(), "access_token");
        Self { server, connection, data, performance, token }
    }

    fn ask(&mut self, method: &'static str, path: &str, body: &Value) -> Response {
        let token = self.token.clone();
        self.ask_as(&token, method, path, body)
    }

    fn ask_as(&mut self, token: &str, method: &'static str, path: &str, body: &Value) -> Response {
        self.connection.ask(&Call::of(method, path, body), token)
    }

    fn hold(&mut self) -> String {
        let path = format!("/v1/performances/{}/holds", self.performance);
        let held = self.ask("POST", &path, &json!({"best_available": {"quantity": 2}}));
        assert_eq!(held.status, 201, "{}", held.text());
        text(&held.json(), "id")
    }

    fn book(&mut self, key: &str, hold: &str, guest: &Value) -> Response {
        let call = Call::post("/v1/bookings", key, &json!({"hold": hold, "guest": guest}));
        self.connection.ask(&call, &self.token)
    }

    fn booked(&mut self) -> String {
        let hold = self.hold();
        let booked = self.book("first", &hold, &kim());
        assert_eq!(booked.status, 201, "{}", booked.text());
        text(&booked.json(), "id")
    }

    fn come_back(&mut self, booking: &str, password: &str) -> Response {
        self.ask_as("", "POST", &format!("/v1/bookings/{booking}/guest"), &json!({"password": password}))
    }
}

fn kim() -> Value {
    json!({"name": "김민지", "phone": "+82 10-1234-5678", "password": PASSWORD})
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

#[track_caller]
fn refused(answer: &Response, status: u16, pointer: &str) {
    let at = answer.json::<Value>()["errors"][0]["pointer"].clone();
    assert_eq!((answer.status, at), (status, json!(pointer)), "{}", answer.text());
}

#[test]
fn a_guest_books_comes_back_prints_and_cancels() {
    let mut sale = Sale::open();
    let booking = sale.booked();
    sale.server.kill();
    sale.server = Server::start(sale.data.path());
    sale.connection = sale.server.connect();
    sale.token = String::new();
    let back = sale.come_back(&booking, PASSWORD);
    assert_eq!(back.status, 201, "{}", back.text());
    sale.token = text(&back.json(), "access_token");
    let path = format!("/v1/bookings/{booking}");
    let read = sale.ask("GET", &path, &Value::Null).json::<Value>();
    assert_eq!(
        (&read["status"], &read["guest"]),
        (&json!("confirmed"), &json!({"name": "김민지", "phone": kim()["phone"]}))
    );
    let document = sale.ask("GET", &format!("{path}/document"), &Value::Null);
    assert!(document.status == 200 && document.text().contains("김민지"), "{}", document.text());
    let tickets = sale.ask("GET", "/v1/tickets", &Value::Null).json::<Value>();
    assert_eq!(tickets["items"].as_array().map(Vec::len), Some(2), "{tickets}");
    let give = format!("/v1/tickets/{}/transfer", text(&tickets["items"][0], "id"));
    assert_eq!(
        sale.ask("POST", &give, &json!({"to": "acc_friend"})).status,
        403,
        "a guest's tickets stay with the booking"
    );
    let cancelled = sale.ask("POST", &format!("{path}/cancel"), &Value::Null);
    assert_eq!((cancelled.status, text(&cancelled.json(), "status")), (200, "cancelled".to_owned()));
}

#[test]
fn the_seller_sees_who_a_guest_is_and_nobody_else_does() {
    let mut sale = Sale::open();
    let booking = sale.booked();
    let tokens = Tokens::of(sale.data.path());
    let list = format!("/v1/performances/{}/bookings", sale.performance);
    let sold = sale.ask_as(&tokens.seller(), "GET", &list, &Value::Null).json::<Value>();
    assert_eq!(sold["items"][0]["guest"]["name"], "김민지", "{sold}");
    let csv = sale.ask_as(&tokens.seller(), "GET", &format!("{list}?format=csv"), &Value::Null).text();
    assert!(csv.contains("\"김민지\",\"'+82 10-1234-5678\""), "{csv}");
    let path = format!("/v1/bookings/{booking}");
    assert_eq!(sale.ask_as(&tokens.buyer(1), "GET", &path, &Value::Null).status, 404);
    for way in ["/v1/guests/contacts", "/v1/guests/sessions", "/v1/guests/acc_guest_0"] {
        for token in [tokens.seller(), String::new()] {
            let answer = sale.ask_as(&token, "POST", way, &json!({"accounts": []}));
            assert_eq!(answer.status, 404, "{way} is between edge and control plane: {}", answer.text());
        }
    }
}

#[test]
fn a_guest_says_who_that_is_and_an_account_does_not() {
    let mut sale = Sale::open();
    let hold = sale.hold();
    refused(&sale.ask("POST", "/v1/bookings", &json!({"hold": hold})), 422, "/guest");
    let mut short = kim();
    short["password"] = json!("1234");
    refused(&sale.book("k", &hold, &short), 422, "/guest/password");
    let buyer = Tokens::of(sale.data.path()).buyer(1);
    refused(&sale.ask_as(&buyer, "POST", "/v1/bookings", &json!({"hold": hold, "guest": kim()})), 422, "/guest");
    assert_eq!(sale.book("k", &hold, &kim()).status, 201, "the hold is still there");
}

#[test]
fn a_lost_answer_is_answered_again_and_only_to_the_same_guest() {
    let mut sale = Sale::open();
    let hold = sale.hold();
    let first = sale.book("again", &hold, &kim());
    let again = sale.book("again", &hold, &kim());
    assert_eq!((again.status, again.replayed, first.replayed), (201, true, false), "{}", again.text());
    assert_eq!(text(&first.json(), "id"), text(&again.json(), "id"));
    // What a guest says is in no digest of the journal: with it, this would be another request.
    let mut padded = kim();
    padded["name"] = json!(" 김민지 ");
    assert!(sale.book("again", &hold, &padded).replayed);
    let mut other = kim();
    other["password"] = json!("another winter, 4 lamps");
    refused(&sale.book("again", &hold, &other), 422, "/guest");
    let second = sale.hold();
    refused(&sale.book("second", &second, &other), 422, "/guest");
    assert_eq!(sale.book("second", &second, &kim()).status, 201);
}

/// A password takes much work, so it is not looked at before the hold is.
#[test]
fn who_has_no_hold_is_not_noted() {
    let mut sale = Sale::open();
    let (released, held) = (sale.hold(), sale.hold());
    assert_eq!(sale.ask("DELETE", &format!("/v1/holds/{released}"), &Value::Null).status, 204);
    let mut other = kim();
    other["name"] = json!("Somebody Else");
    assert_eq!(sale.book("k", &released, &other).status, 410);
    let made_up = format!("{}{}", &held[..held.len() - 1], if held.ends_with('0') { '1' } else { '0' });
    assert_eq!(sale.book("k2", &made_up, &other).status, 404);
    assert_eq!(sale.book("k3", &held, &kim()).status, 201, "nothing was said before");
}

#[test]
fn guessing_at_a_booking_ends_after_five_tries_whether_it_is_there_or_not() {
    let mut sale = Sale::open();
    let there = sale.booked();
    let last = if there.ends_with('0') { '1' } else { '0' };
    let nowhere = format!("{}{last}", &there[..there.len() - 1]);
    for booking in [there, nowhere] {
        for _ in 0..5 {
            let wrong = sale.come_back(&booking, "wrong, wrong");
            assert_eq!(wrong.status, 401, "{}", wrong.text());
        }
        assert_eq!(sale.come_back(&booking, PASSWORD).status, 429);
    }
    assert_eq!(sale.come_back("bkg_x", PASSWORD).status, 404);
}
