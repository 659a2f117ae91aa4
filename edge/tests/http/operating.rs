//! For operators and machines: health, metrics, the description of the API, pages, request ids.

use std::collections::BTreeSet;
use std::path::Path;

use onrush_api::problem::Kind;
use onrush_edge::config::Config;
use onrush_edge::server::Surface;
use serde_json::{Value, json};

use crate::client::Call;
use crate::fixture::{Hall, Server, eventually};

#[test]
fn every_answer_has_a_request_id() {
    let server = Server::start();
    for id in ["a", "b7c3-41", "\"quoted\"", &"x".repeat(128)] {
        let answer = server.get("/healthz").header("X-Request-Id", id).expect(200);
        assert_eq!(answer.header("x-request-id"), Some(id));
        let problem = server.get("/v1/bookings").header("X-Request-Id", id).refused(401, "unauthenticated");
        assert_eq!(problem.answer.header("x-request-id"), Some(id));
    }
    for id in ["", "a b", "a\tb", "ä", &"x".repeat(129)] {
        let answer = server.get("/healthz").header("X-Request-Id", id).expect(200);
        let made = answer.header("x-request-id").unwrap();
        assert!(made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    }
    let made: BTreeSet<String> =
        (0..10).map(|_| server.get("/healthz").expect(200).header("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(made.len(), 10);
}

#[test]
fn the_process_says_that_it_lives_and_is_ready() {
    let server = Server::start();
    assert_eq!(server.get("/healthz").expect(200).text(), "ok\n");
    assert_eq!(server.get("/readyz").expect(200).text(), "ready\n");
}

#[test]
fn operations_have_a_listener_of_their_own() {
    let mut server = Server::on(Config::default(), &[Surface::Public, Surface::Operations]);
    let operations = server.addresses.pop().unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        server.get(path).refused(404, "not-found");
        Call::new(operations, "GET", path).expect(200);
    }
    for path in ["/v1/shows", "/openapi.json", "/docs", "/problems/not-found"] {
        server.get(path).expect(200);
        Call::new(operations, "GET", path).refused(404, "not-found");
    }
    let show = Call::new(operations, "POST", "/v1/shows").token(&server.seller());
    show.json(&crate::fixture::show_draft()).refused(404, "not-found");
}

#[test]
fn metrics_have_their_names_and_bounded_labels() {
    let hall = Hall::open();
    let kim = hall.buyer("acc_kim");
    hall.booked(&kim, &["A-1-1"]);
    hall.hold(&kim, &json!({"seats": ["A-1-1"]})).refused(409, "seats-unavailable");
    for path in ["/v1/nowhere-in-particular", "/metrics/nowhere-in-particular", "/v1/holds/nowhere-in-particular"] {
        hall.get(path).send();
        hall.call("BREW", path).send();
    }
    // The seats are counted once in a while.
    let booked = format!("onrush_seats{{performance=\"{}\",state=\"booked\"}} 1\n", hall.performance);
    let read = || hall.get("/metrics").expect(200);
    let text = eventually(|| Some(read().text().to_owned()).filter(|text| text.contains(&booked)));
    for name in [
        "onrush_http_requests_total{route=\"hold_seats\",status=\"201\"}",
        "onrush_http_requests_total{route=\"hold_seats\",status=\"409\"}",
        "onrush_http_requests_total{route=\"unknown\",status=\"404\"}",
        "onrush_http_requests_total{route=\"unknown\",status=\"405\"}",
        "onrush_http_request_duration_seconds",
        "onrush_http_connections",
        "onrush_http_streams",
        "onrush_http_requests_in_flight",
        "onrush_commands_total{kind=\"hold\",outcome=\"refused\"}",
        "onrush_commands_total{kind=\"book\",outcome=\"done\"}",
        "onrush_mailbox_depth",
        "onrush_journal_group_events",
        "onrush_journal_flush_duration_seconds",
        "onrush_recovery_duration_seconds",
        "onrush_journal_disk_free_bytes",
    ] {
        assert!(text.contains(&format!("\n{name}")), "{name} in {text}");
    }
    assert!(!text.contains("nowhere-in-particular") && !text.contains("acc_"), "{text}");
    let content_type = read().header("content-type").map(str::to_owned);
    assert_eq!(content_type.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let routes: BTreeSet<&str> =
        text.split("route=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    let plain = |route: &&str| route.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(routes.len() <= 40 && routes.iter().all(plain), "{routes:?}");
}

#[test]
fn the_description_of_the_api_is_the_one_that_is_known() {
    let server = Server::start();
    let served = server.get("/openapi.json").expect(200).json();
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let served = format!("{served:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, &served).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = served.lines().zip(known.lines()).position(|(served, known)| served != known);
    assert!(
        served == known,
        "/openapi.json is not edge/tests/openapi.json any more, from line {} on. If that is meant, and clients can \
         live with it: UPDATE_GOLDEN=1 cargo test -p onrush-edge --test http description",
        difference.unwrap_or(known.lines().count()) + 1,
    );
}

#[test]
fn there_are_pages_for_people() {
    let server = Server::start();
    let docs = server.get("/docs").expect(200);
    assert_eq!(docs.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = docs.header("content-security-policy").unwrap();
    assert!(!policy.contains("script-src"), "nothing runs: {policy}");
    let description = server.get("/openapi.json").expect(200).json();
    for path in description["paths"].as_object().unwrap().keys() {
        assert!(docs.text().contains(path), "{path}");
    }
    for body in ["ShowDraft", "CheckInRequest"] {
        assert!(docs.text().contains(&format!("<li>body <a href=\"#{body}\">")), "{body}");
    }
    for kind in Kind::ALL {
        let page = server.get(kind.type_uri()).expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains(&format!("<code>{}</code> · status {}", kind.type_uri(), kind.status())));
        assert!(docs.text().contains(kind.type_uri()));
    }
    server.get("/problems/nothing-like-that").refused(404, "not-found");
}

#[test]
fn every_type_that_the_description_refers_to_is_described() {
    let description = Server::start().get("/openapi.json").expect(200).json();
    let mut references = BTreeSet::new();
    collect(&description, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
