//! Requests that are refused for their head: method, path, query, headers.

use serde_json::json;

use crate::client::Connection;
use crate::fixture::{Hall, Server};

#[test]
fn an_unknown_path_is_not_found() {
    let server = Server::start();
    let token = server.buyer("acc_kim");
    for path in [
        "//",
        "/v1",
        "/v1/",
        "/v1/show",
        "/v1/shows/",
        "/v1//shows",
        "/V1/shows",
        "/v1/shows/x/performances/y",
        "/v1/../v1/shows",
        "/v1/%73hows",
        "/v1/performances/x/blocks/y/z/w/v",
        "/problems",
        "/problems/",
        "/.env",
    ] {
        for call in [server.get(path), server.post(path).token(&token).json(&json!({})), server.delete(path)] {
            call.refused(404, "not-found");
        }
    }
}

#[test]
fn the_bare_address_leads_to_the_docs() {
    let server = Server::start();
    let answer = server.get("/").expect(302);
    assert_eq!(answer.header("location"), Some("/docs"));
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let hall = Hall::open();
    let hold = format!("/v1/holds/hold_{}", "0".repeat(32));
    let calls = [
        ("PUT", "/v1/shows".to_owned(), "POST, GET"),
        ("DELETE", "/v1/shows".to_owned(), "POST, GET"),
        ("POST", format!("/v1/shows/{}", hall.show), "GET, PATCH"),
        ("DELETE", hall.path(""), "GET, PATCH"),
        ("GET", hall.path("/holds"), "POST"),
        ("POST", hall.path("/availability"), "GET"),
        ("PATCH", hall.path("/seat-map"), "GET"),
        ("POST", hold, "GET, DELETE"),
        ("TRACE", "/v1/bookings".to_owned(), "POST, GET"),
        ("OPTIONS", "/v1/bookings".to_owned(), "POST, GET"),
        ("GET", "/v1/bookings/x/cancel".to_owned(), "POST"),
        ("BREW", "/healthz".to_owned(), "GET"),
    ];
    hall.unchanged(|| {
        for (method, path, allow) in calls {
            let problem = hall.call(method, &path).refused(405, "method-not-allowed");
            assert_eq!(problem.answer.header("allow"), Some(allow), "{method} {path}");
        }
    });
}

#[test]
fn a_list_has_a_limit_and_a_cursor_of_its_own() {
    let hall = Hall::open();
    let lists = [("/v1/shows".to_owned(), hall.seller()), ("/v1/bookings".to_owned(), hall.buyer("acc_kim"))];
    for (list, token) in lists.into_iter().chain([(hall.path("/bookings"), hall.seller())]) {
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=",
            "limit=x",
            "limit=1.5",
            "limit=99999999999999999999",
            "limit=%2B1",
        ] {
            hall.get(&format!("{list}?{query}")).token(&token).refused(400, "bad-request");
        }
        for query in [
            "cursor=",
            "cursor=x",
            "cursor=12",
            "cursor=c",
            "cursor=cxyz",
            "cursor=c-1",
            "cursor=c1%00",
            "cursor=cAB",
            "cursor=c%2B1",
        ] {
            hall.get(&format!("{list}?{query}")).token(&token).refused(400, "bad-request");
        }
        for query in ["limit=1", "limit=200", "cursor=cffffffffffffffff"] {
            hall.get(&format!("{list}?{query}")).token(&token).expect(200);
        }
    }
}

#[test]
fn a_url_over_2_kib_is_too_long() {
    let hall = Hall::open();
    let url = |length: usize| format!("/v1/shows?q={}", "x".repeat(length - "/v1/shows?q=".len()));
    hall.get(&url(2048)).expect(200);
    hall.get(&url(2049)).refused(414, "uri-too-long").with("limit", 2048);
    hall.get(&format!("/v1/holds/{}", "x".repeat(3000))).refused(414, "uri-too-long");
}

#[test]
fn more_than_64_headers_are_too_many() {
    let hall = Hall::open();
    let with = |count: usize| {
        // Host is one of them.
        (1..count).fold(hall.get(&hall.path("/availability")), |call, header| call.header(&format!("X-{header}"), "x"))
    };
    with(64).expect(200);
    with(65).refused(431, "headers-too-large").with("limit", 64);
}

#[test]
fn heads_that_fill_the_buffer_are_refused() {
    let server = Server::start();
    // The parser itself refuses these, before there is a request that could be answered in the API's own form.
    let calls = [
        server.get("/healthz").header("X-Long", &"x".repeat(20 * 1024)),
        (0..200).fold(server.get("/healthz"), |call, header| call.header(&format!("X-{header}"), "x")),
        server.get(&format!("/{}", "x".repeat(20 * 1024))),
    ];
    for call in calls {
        let mut connection = server.connect();
        connection.send(call.bytes());
        let answer = connection.next();
        assert!(answer.is_none_or(|answer| [400, 414, 431].contains(&answer.status)));
        server.get("/healthz").expect(200);
    }
}

#[test]
fn a_large_body_is_refused_by_its_length_before_it_is_sent() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    let mut connection = hall.connect();
    let head = |length: &str| {
        format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {kim}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n",
            hall.path("/holds")
        )
    };
    hall.unchanged(|| {
        connection.send(head("16385"));
        connection.answer().refused(413, "body-too-large").with("limit", 16 * 1024);
        let mut connection = hall.connect();
        connection.send(head("18446744073709551614"));
        let answer = connection.next();
        assert!(answer.as_ref().is_none_or(|answer| [400, 413, 431].contains(&answer.status)), "{answer:?}");
    });
    let padded = format!("{}{}", json!({"seats": ["A-1-1"]}), " ".repeat(16 * 1024));
    let fits = hall.post(&hall.path("/holds")).token(&kim).body("application/json", &padded.as_bytes()[..16 * 1024]);
    fits.expect(201);
}

#[test]
fn a_body_that_ends_early_does_nothing() {
    let hall = Hall::open();
    let bytes = hall.hold(&hall.buyer("acc_kim"), &json!({"seats": ["A-1-1"]})).bytes();
    hall.unchanged(|| {
        let mut connection = hall.connect();
        connection.send(&bytes[..bytes.len() - 1]);
        connection.finish();
        if let Some(answer) = connection.next() {
            answer.refused(400, "bad-request");
        }
        connection.expect_close();
    });
}

/// Sends a request that says twice, or oddly, where it ends, and another one behind it.
fn smuggled(hall: &Hall, framing: &str, body: &str) -> Vec<u16> {
    let kim = hall.buyer("acc_kim");
    let mut connection = hall.connect();
    connection.send(format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {kim}\r\nContent-Type: application/json\r\n\
         {framing}\r\n{body}GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
        hall.path("/holds")
    ));
    connection.finish();
    statuses(&mut connection)
}

fn statuses(connection: &mut Connection) -> Vec<u16> {
    connection.all().into_iter().map(|answer| answer.status).collect()
}

#[test]
fn a_transfer_coding_is_refused_and_hides_no_second_request() {
    let hall = Hall::open();
    let body = r#"{"seats":["A-1-1"]}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    hall.unchanged(|| {
        let kim = hall.buyer("acc_kim");
        let call = hall.post(&hall.path("/holds")).token(&kim).header("Content-Type", "application/json");
        let bytes = [call.header("Transfer-Encoding", "chunked").bytes(), chunked.clone().into_bytes()].concat();
        let mut connection = hall.connect();
        connection.send(bytes);
        connection.answer().refused(411, "length-required");

        let length = body.len();
        for framing in [
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned(),
        ] {
            let statuses = smuggled(&hall, &framing, &chunked);
            assert!(statuses == [411] || statuses == [400], "{framing}: {statuses:?}");
        }
        for framing in [
            "Transfer-Encoding: identity\r\n".to_owned(),
            "Transfer-Encoding: gzip\r\n".to_owned(),
            "Transfer-Encoding: chunked, gzip\r\n".to_owned(),
            "Transfer-Encoding: xchunked\r\n".to_owned(),
            format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length + 1),
            format!("Content-Length: {length}, {length}\r\n"),
            format!("Content-Length: +{length}\r\n"),
            format!("Content-Length: 0x{length:x}\r\n"),
            format!("Content-Length : {length}\r\n"),
            format!("Transfer-Encoding : chunked\r\nContent-Length: {length}\r\n"),
        ] {
            let statuses = smuggled(&hall, &framing, body);
            assert!(
                statuses.len() <= 1 && statuses.iter().all(|status| [400, 411].contains(status)),
                "{framing}: {statuses:?}"
            );
        }
    });
}
