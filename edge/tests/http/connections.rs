//! Connections: kept, pipelined, bounded, timed out, drained.

use std::net::TcpStream;
use std::time::Duration;

use onrush_edge::config::Config;
use serde_json::json;

use crate::fixture::{Hall, Seat, Server, eventually, labels};

const SHORT: Duration = Duration::from_millis(200);

/// The head of a hold that waits for the server to ask for its body, so that the test knows where the server is.
fn head_and_body(hall: &Hall, labels: &[&str]) -> (String, String) {
    let body = json!({"seats": labels}).to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        hall.path("/holds"),
        hall.buyer("acc_kim"),
        body.len()
    );
    (head, body)
}

#[test]
fn a_connection_is_kept_and_answers_in_order() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let mut connection = hall.connect();
    for _ in 0..3 {
        connection.send(hall.get("/healthz").bytes());
        assert_eq!(connection.answer().expect(200).text(), "ok\n");
    }
    let requests: Vec<u8> = (1..=6)
        .flat_map(|seat| {
            let call = match seat % 3 {
                0 => hall.get(&hall.path("/availability")),
                _ => hall.hold(&kim, &json!({"seats": [format!("A-1-{seat}")]})),
            };
            call.header("X-Request-Id", &format!("request-{seat}")).bytes()
        })
        .collect();
    connection.send(requests);
    for seat in 1..=6 {
        let answer = connection.answer().expect(if seat % 3 == 0 { 200 } else { 201 });
        assert_eq!(answer.header("x-request-id"), Some(format!("request-{seat}").as_str()));
        if seat % 3 != 0 {
            assert_eq!(labels(&answer.json()["seats"]), [format!("A-1-{seat}")]);
        }
    }
}

#[test]
fn a_client_that_wants_no_more_is_let_go() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send(server.get("/healthz").header("Connection", "close").bytes());
    connection.answer().expect(200);
    connection.expect_close();
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = Server::with(Config { header_read_timeout: SHORT, ..Config::default() });
    let beginnings: [&[u8]; 7] = [
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"G",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    ];
    let mut connections = beginnings.map(|beginning| {
        let mut connection = server.connect();
        connection.send(beginning);
        connection
    });
    for connection in &mut connections {
        assert!(connection.next().is_none_or(|answer| answer.status == 408));
        connection.expect_close();
    }
    server.get("/healthz").expect(200);
}

#[test]
fn a_head_that_comes_drop_by_drop_is_not_waited_for() {
    let server = Server::with(Config { header_read_timeout: SHORT, ..Config::default() });
    let mut connection = server.connect();
    connection.send("GET /healthz HTTP/1.1\r\nX: ");
    let closed = connection.drip(b"y");
    assert!(closed, "a head without an end was read for as long as it came");
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::with(Config { header_read_timeout: SHORT, ..Config::default() });
    let mut connection = server.connect();
    connection.send(server.get("/healthz").bytes());
    connection.answer().expect(200);
    connection.expect_close();
}

#[test]
fn a_body_that_stops_arriving_is_not_waited_for() {
    let hall = Hall::on(Server::with(Config { body_read_timeout: SHORT, ..Config::default() }), &[]);
    let (head, body) = head_and_body(&hall, &["A-1-1"]);
    hall.unchanged(|| {
        let mut connection = hall.connect();
        connection.send(head);
        assert_eq!(connection.answer().status, 100);
        connection.send(&body[..5]);
        connection.answer().refused(408, "request-timeout");
        connection.expect_close();
    });
}

#[test]
fn a_request_under_way_is_answered_when_the_server_stops() {
    let mut hall = Hall::open();
    let (head, body) = head_and_body(&hall, &["A-1-1", "A-1-2"]);
    let (mut busy, mut idle) = (hall.connect(), hall.connect());
    idle.send(hall.get("/healthz").bytes());
    idle.answer().expect(200);
    busy.send(head);
    assert_eq!(busy.answer().status, 100);
    busy.send(&body[..5]);

    hall.server.shutdown.cancel();
    eventually(|| TcpStream::connect(hall.addresses[0]).err());
    idle.expect_close();
    busy.send(&body[5..]);
    let answer = busy.answer().expect(201);
    assert_eq!(answer.header("connection"), Some("close"));
    busy.expect_close();
    hall.server.stop();

    let hall = hall.restart();
    assert_eq!((hall.seat("A-1-1"), hall.remaining()), (Seat::Held, 25));
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let server = Server::with(Config { connections_max: 2, ..Config::default() });
    let mut open: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for connection in &mut open {
        connection.send(server.get("/healthz").bytes());
        connection.answer().expect(200);
    }
    server.connect().expect_close();
    open.pop();
    // The server learns of it in its own time.
    let next = eventually(|| {
        let mut next = server.connect();
        next.send(server.get("/healthz").bytes());
        next.next()
    });
    next.expect(200);
}

#[test]
fn a_proxy_on_this_machine_may_open_any_number() {
    let server = Server::with(Config { connections_per_prefix_max: 1, ..Config::default() });
    let mut open: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for connection in &mut open {
        connection.send(server.get("/healthz").bytes());
        connection.answer().expect(200);
    }
}

#[test]
fn a_full_server_refuses_before_it_does_anything() {
    let hall = Hall::on(Server::with(Config { requests_in_flight_max: 1, ..Config::default() }), &[]);
    let (head, body) = head_and_body(&hall, &["A-1-1"]);
    let mut busy = hall.connect();
    busy.send(head);
    assert_eq!(busy.answer().status, 100);
    let reads = [hall.path("/availability"), "/v1/shows".to_owned(), "/docs".to_owned()];
    let calls = reads.iter().map(|path| hall.get(path));
    for call in calls.chain([hall.hold(&hall.buyer("acc_lee"), &json!({"seats": ["A-1-2"]}))]) {
        let problem = call.refused(503, "temporary-reduced-capacity");
        let seconds: u64 = problem.answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&seconds));
        problem.with("retry_after", seconds);
    }
    hall.get("/healthz").expect(200);
    hall.get("/readyz").expect(200);
    busy.send(body);
    busy.answer().expect(201);
    assert_eq!(hall.seat("A-1-2"), Seat::Free);
}

#[test]
fn an_account_has_its_share_of_requests_and_no_more() {
    let server = Server::with(Config { requests_per_second_per_account: 1, ..Config::default() });
    let (kim, lee) = (server.buyer("acc_kim"), server.buyer("acc_lee"));
    let call = server.get("/v1/bookings").token(&kim);
    let refused = eventually(|| Some(call.send()).filter(|answer| answer.status != 200));
    let problem = refused.refused(429, "quota-exceeded").with("limit", 1).with("retry_after", 1);
    assert_eq!(problem.answer.header("retry-after"), Some("1"));
    assert_eq!(problem.answer.header("ratelimit-policy"), Some("\"account\";q=2;w=2"));
    assert_eq!(problem.answer.header("ratelimit"), Some("\"account\";r=0;t=1"));
    // Another token of the same account is the same account; another account is not.
    let again = server.token("acc_kim", onrush_api::token::Role::Seller, crate::fixture::now(), SHORT * 1000);
    eventually(|| (server.get("/v1/bookings").token(&again).send().status == 429).then_some(()));
    server.get("/v1/bookings").token(&lee).expect(200);
    server.get("/v1/shows").expect(200);
}
