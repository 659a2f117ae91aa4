//! Accounts through the real binary: from signing up to a sale, and what is left of it after a kill.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{onrush, stderr, stdout};
use crate::hall::{self, Tokens};
use crate::http::{Call, Connection, Response};
use crate::server::{Server, command};

pub(crate) const PASSWORD: &str = "a winter garden, 3 lamps";

fn sign_up(connection: &mut Connection, email: &str, role: &str) -> Response {
    let body = json!({"email": email, "password": PASSWORD, "name": "Kim Minji", "role": role});
    connection.ask(&Call::of("POST", "/v1/accounts", &body), "")
}

fn sign_in(connection: &mut Connection, email: &str) -> Value {
    let answer = connection.ask(&Call::of("POST", "/v1/sessions", &json!({"email": email, "password": PASSWORD})), "");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// Holds two seats and books them.
fn book(connection: &mut Connection, performance: &str, token: &str) -> Response {
    let wish = json!({"best_available": {"quantity": 2}});
    let held = connection.ask(&Call::of("POST", &format!("/v1/performances/{performance}/holds"), &wish), token);
    assert_eq!(held.status, 201, "{}", held.text());
    let hold = text(&held.json(), "id");
    connection.ask(&Call::of("POST", "/v1/bookings", &json!({"hold": hold})), token)
}

fn status(connection: &mut Connection, method: &'static str, path: &str, token: &str) -> u16 {
    connection.ask(&Call::of(method, path, &Value::Null), token).status
}

#[test]
fn a_buyer_signs_up_books_and_is_forgotten() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    let performance = hall::open(&mut connection, &Tokens::of(dir.path()));
    assert_eq!(sign_up(&mut connection, "kim@example.org", "buyer").status, 201);
    let token = text(&sign_in(&mut connection, "kim@example.org"), "access_token");
    let other = text(&sign_in(&mut connection, "kim@example.org"), "access_token");
    let booked = book(&mut connection, &performance, &token);
    assert_eq!(booked.status, 201, "{}", booked.text());
    let booking = text(&booked.json(), "id");

    assert_eq!(status(&mut connection, "DELETE", "/v1/sessions/current", &other), 204);
    assert_eq!(status(&mut connection, "GET", "/v1/bookings", &other), 401, "at once");
    assert_eq!(status(&mut connection, "GET", "/v1/bookings", &token), 200);

    let closing = |force: bool| Call::of("DELETE", "/v1/accounts/me", &json!({"password": PASSWORD, "force": force}));
    let outstanding = connection.ask(&closing(false), &token);
    assert_eq!((outstanding.status, &outstanding.json::<Value>()["limit"]), (409, &json!(1)), "{}", outstanding.text());
    let closed = connection.ask(&closing(true), &token);
    assert_eq!(closed.status, 204, "{}", closed.text());
    assert_eq!(status(&mut connection, "GET", "/v1/bookings", &token), 401);
    let seller = Tokens::of(dir.path()).seller();
    let sold = connection.ask(&Call::get(format!("/v1/performances/{performance}/bookings")), &seller).json::<Value>();
    assert_eq!((text(&sold["items"][0], "id"), text(&sold["items"][0], "status")), (booking, "cancelled".to_owned()));
}

#[test]
fn closing_an_account_leaves_only_what_was_given_away() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    let performance = hall::open(&mut connection, &Tokens::of(dir.path()));
    sign_up(&mut connection, "kim@example.org", "buyer");
    let token = text(&sign_in(&mut connection, "kim@example.org"), "access_token");
    let booked = book(&mut connection, &performance, &token).json::<Value>();
    let tickets = connection.ask(&Call::get("/v1/tickets"), &token).json::<Value>();
    let give = format!("/v1/tickets/{}/transfer", text(&tickets["items"][0], "id"));
    let friend = text(&sign_up(&mut connection, "friend@example.org", "buyer").json(), "id");
    let seller = text(&sign_up(&mut connection, "seller@example.org", "seller").json(), "id");
    for nobody in ["acc_friend", &seller, "acc_guest_000000000000000000000000000000"] {
        let refused = connection.ask(&Call::of("POST", &give, &json!({"to": nobody})), &token);
        assert_eq!((refused.status, refused.json::<Value>()["errors"][0]["pointer"].clone()), (422, json!("/to")));
    }
    assert_eq!(connection.ask(&Call::of("POST", &give, &json!({"to": friend})), &token).status, 204);
    let closing = Call::of("DELETE", "/v1/accounts/me", &json!({"password": PASSWORD, "force": true}));
    assert_eq!(connection.ask(&closing, &token).status, 204);
    let path = format!("/v1/bookings/{}", text(&booked, "id"));
    let left = connection.ask(&Call::get(path), &Tokens::of(dir.path()).seller()).json::<Value>();
    assert_eq!(
        (text(&left, "status"), left["seats"].as_array().map(Vec::len)),
        ("partly_cancelled".to_owned(), Some(1))
    );
}

#[test]
fn who_has_sold_seats_cannot_just_go_away() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    sign_up(&mut connection, "lee@example.org", "seller");
    let seller = text(&sign_in(&mut connection, "lee@example.org"), "access_token");
    let show = connection.ask(&Call::of("POST", "/v1/shows", &json!({"title": "Cats", "field": "musical"})), &seller);
    let show = text(&show.json(), "id");
    let tomorrow = onrush_api::text::Time(hall::now() + Duration::from_hours(24)).to_string();
    let evening = onrush_api::text::Time(hall::now() + Duration::from_hours(27)).to_string();
    let opens = onrush_api::text::Time(hall::now()).to_string();
    let performance = json!({
        "starts_at": tomorrow, "ends_at": evening,
        "tiers": [{"name": "all", "price": {"amount": 0, "currency": "KRW"}}],
        "seat_map": {"sections": [{"name": "A", "kind": "reserved", "tier": "all", "rows": [{"name": "1", "seats": 10}]}]},
        "sale": {"opens_at": opens, "closes_at": tomorrow, "max_seats_per_buyer": 4},
    });
    let added = connection.ask(&Call::of("POST", &format!("/v1/shows/{show}/performances"), &performance), &seller);
    assert_eq!(added.status, 201, "{}", added.text());
    let buyer = Tokens::of(dir.path()).buyer(1);
    assert_eq!(book(&mut connection, &text(&added.json(), "id"), &buyer).status, 201);
    let closing = Call::of("DELETE", "/v1/accounts/me", &json!({"password": PASSWORD, "force": true}));
    let refused = connection.ask(&closing, &seller);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("You have 1 performances that are on sale"), "{}", refused.text());
    let at_once = onrush_api::text::Time(hall::now() + Duration::from_millis(1)).to_string();
    let close = json!({"sale": {"closes_at": at_once}});
    let path = format!("/v1/performances/{}", text(&added.json(), "id"));
    let closed = connection.ask(&Call::of("PATCH", &path, &close), &seller);
    assert_eq!(closed.status, 200, "{}", closed.text());
    let refused = connection.ask(&closing, &seller);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("You have sold 1 bookings"), "{}", refused.text());
}

#[test]
fn who_has_called_everything_off_may_go() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    sign_up(&mut connection, "lee@example.org", "seller");
    let seller = text(&sign_in(&mut connection, "lee@example.org"), "access_token");
    let mut ask = |method: &'static str, path: &str, body: &Value| {
        let answer = connection.ask(&Call::of(method, path, body), &seller);
        (answer.status, if answer.status == 204 { Value::Null } else { answer.json() })
    };
    let (_, show) = ask("POST", "/v1/shows", &json!({"title": "Cats", "field": "musical"}));
    let performances = format!("/v1/shows/{}/performances", text(&show, "id"));
    let (_, added) = ask("POST", &performances, &json!({"starts_at": "2099-01-01T20:00:00Z", "venue_preset": "arena"}));
    let closing = json!({"password": PASSWORD});
    assert_eq!(ask("DELETE", "/v1/accounts/me", &closing).0, 409);
    assert_eq!(ask("POST", &format!("/v1/performances/{}/cancel", text(&added, "id")), &json!({})).0, 200);
    assert_eq!(ask("DELETE", "/v1/accounts/me", &closing).0, 204);
}

#[test]
fn a_member_is_another_seller_that_there_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    let mut account = |email: &str, role: &str| text(&sign_up(&mut connection, email, role).json(), "id");
    let (own, other) = (account("lee@example.org", "seller"), account("park@example.org", "seller"));
    let buyer = account("kim@example.org", "buyer");
    let seller = text(&sign_in(&mut connection, "lee@example.org"), "access_token");
    let show = connection.ask(&Call::of("POST", "/v1/shows", &json!({"title": "Cats", "field": "musical"})), &seller);
    let members = format!("/v1/shows/{}/members", text(&show.json(), "id"));
    for (member, status) in [(own.as_str(), 422), (&buyer, 422), ("acc_nobody", 422), (&other, 201)] {
        let invited = connection.ask(&Call::of("POST", &members, &json!({"account": member, "role": "view"})), &seller);
        assert_eq!(invited.status, status, "{member}: {}", invited.text());
        assert!(status == 201 || invited.json::<Value>()["errors"][0]["pointer"] == "/account");
    }
}

#[test]
fn a_key_for_a_machine_does_a_part_of_what_its_account_may() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let secret = dir.path().join("admin.password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).expect("a file");
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    let admin = format!("ONRUSH_ADMIN_PASSWORD_FILE={}", secret.display());
    let server = Server::start_under(&data, &["env", "ONRUSH_ADMIN_EMAIL=root@example.org", &admin]);
    let mut connection = server.connect();
    let token = text(&sign_in(&mut connection, "root@example.org"), "access_token");
    let mut machine = |scope: &str| {
        let draft = json!({"name": "till", "scopes": [scope]});
        let key = connection.ask(&Call::of("POST", "/v1/accounts/me/api-keys", &draft), &token);
        let body = json!({"api_key": text(&key.json(), "key")});
        text(&connection.ask(&Call::of("POST", "/v1/sessions", &body), "").json(), "access_token")
    };
    let (sell, ops) = (machine("sell"), machine("ops"));
    let show = Call::of("POST", "/v1/shows", &json!({"title": "Cats", "field": "musical"}));
    assert_eq!(connection.ask(&show, &sell).status, 201);
    assert_eq!(connection.ask(&show, &ops).status, 201, "an admin sells as an admin");
    assert_eq!(status(&mut connection, "GET", "/v1/accounts/me/api-keys", &sell), 403);
    // Somebody else's show is an admin's business, not that of a key that is good for selling.
    let tokens = Tokens::of(&data);
    let others = connection.ask(&show, &tokens.seller()).json::<Value>();
    let change = Call::of("PATCH", &format!("/v1/shows/{}", text(&others, "id")), &json!({"description": "x"}));
    assert_eq!((connection.ask(&change, &sell).status, connection.ask(&change, &ops).status), (404, 200));
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::start(dir.path());
    let (mut signed_out, mut refreshed) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let mut connection = server.connect();
        let email = format!("u{round}@example.org");
        assert_eq!(sign_up(&mut connection, &email, "buyer").status, 201);
        let gone = text(&sign_in(&mut connection, &email), "access_token");
        assert_eq!(status(&mut connection, "DELETE", "/v1/sessions/current", &gone), 204);
        signed_out.push(gone);
        refreshed.push(text(&sign_in(&mut connection, &email), "refresh_token"));
        server.kill();
        server = Server::start(dir.path());
        let mut connection = server.connect();
        for token in &signed_out {
            assert_eq!(status(&mut connection, "GET", "/v1/accounts/me", token), 401);
        }
        for token in &mut refreshed {
            let refresh = Call::of("POST", "/v1/sessions/refresh", &json!({"refresh_token": token}));
            let answer = connection.ask(&refresh, "");
            assert_eq!(answer.status, 200, "{}", answer.text());
            *token = text(&answer.json(), "refresh_token");
        }
    }
}

/// What is looked at every second is seen long before.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_new_key_is_taken_up_by_a_server_that_runs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    let old = Tokens::of(dir.path()).buyer(1);
    let data = dir.path().to_str().expect("temporary paths are text");
    for (rotation, status_of_old) in [(1, 200), (2, 200), (3, 401)] {
        let rotated = onrush(&["rotate-key", "--data", data]);
        assert!(rotated.status.success(), "{}", stderr(&rotated));
        assert!(stdout(&rotated).contains("signs from"), "{}", stdout(&rotated));
        let new = Tokens::of(dir.path()).buyer(1);
        // The newest key does not sign yet; what is dropped is dropped within a second.
        let begun = Instant::now();
        while status(&mut connection, "GET", "/v1/bookings", &old) != status_of_old {
            assert!(begun.elapsed() < PATIENCE, "rotation {rotation} is not taken up");
        }
        assert_eq!(status(&mut connection, "GET", "/v1/bookings", &new), 200, "after rotation {rotation}");
    }
}

#[test]
fn a_sale_goes_on_without_accounts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    drop(Server::start(dir.path()));
    let accounts = dir.path().join("accounts/store.0");
    std::fs::remove_dir_all(&accounts).expect("the store is there");
    std::fs::write(&accounts, "no directory").expect("a file");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    let tokens = Tokens::of(dir.path());
    let performance = hall::open(&mut connection, &tokens);
    assert_eq!(book(&mut connection, &performance, &tokens.buyer(1)).status, 201);
    assert_eq!(sign_up(&mut connection, "kim@example.org", "buyer").status, 503);
}

/// sled cuts off what comes behind a damaged byte; nobody's address must become free by that.
#[test]
fn a_damaged_store_gives_nobodys_address_away() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let mut connection = server.connect();
    for number in 0..6 {
        assert_eq!(sign_up(&mut connection, &format!("u{number}@example.org"), "buyer").status, 201);
    }
    server.kill();
    let file = dir.path().join("accounts/store.0/db");
    let mut bytes = std::fs::read(&file).expect("the store is there");
    let needle = b"u2@example.org";
    let place = bytes.windows(needle.len()).position(|window| window == needle).expect("it has the address");
    bytes[place] ^= 1;
    std::fs::write(&file, bytes).expect("the store can be damaged");
    let server = Server::start(dir.path());
    let answer = sign_up(&mut server.connect(), "u5@example.org", "seller");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(server.kill().contains("changes are left of"), "it says why");
}

/// The message of a server that must not start.
fn refused(data: &Path, settings: &[(&str, &str)]) -> String {
    let mut command = command(&[]);
    command.envs(settings.iter().copied()).args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let output = command.output().expect("the binary runs");
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", stdout(&output));
    stderr(&output)
}

#[test]
fn an_admin_that_cannot_be_made_is_no_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("admin.password");
    let path = file.to_str().expect("temporary paths are text");
    let settings = [("ONRUSH_ADMIN_EMAIL", "root@example.org"), ("ONRUSH_ADMIN_PASSWORD_FILE", path)];
    let message = refused(&dir.path().join("a"), &settings);
    assert!(message.contains("admin_password_file") && message.contains("No such file"), "{message}");
    std::fs::write(&file, "password\n").expect("a file");
    let message = refused(&dir.path().join("b"), &settings);
    assert!(
        message.contains("cannot make the first admin root@example.org") && message.contains("choose another"),
        "{message}"
    );
    let message = refused(&dir.path().join("c"), &settings[..1]);
    assert!(message.contains("need each other"), "{message}");
}
