//! The disk fills up: what was begun can be ended, nothing new is taken, and a start with nothing free works.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use serde_json::{Value, json};

use crate::audit;
use crate::hall::{self, Tokens};
use crate::http::{Call, Connection};
use crate::mount::Disk;
use crate::server::Server;
use crate::skip;
use crate::visit::Visit;

/// The ballast is taken where four times as much is free.
const DISK_MIB: u32 = 160;
/// More than one segment of the store, which it takes anew when it is opened.
const BALLAST: [&str; 2] = ["env", "ONRUSH_BALLAST_MIB=32"];
/// Below the low-water mark of 1 MiB, and enough for some bookings.
const LEFT_BYTES: u64 = 512 << 10;

#[test]
fn disk_full() {
    let disk = match Disk::tmpfs(DISK_MIB) {
        Ok(disk) => disk,
        Err(why) => return skip("disk_full", &why),
    };
    let data = disk.path().join("data");
    let server = Server::start_under(&data, &BALLAST);
    let tokens = Tokens::of(&data);
    let mut connection = server.connect();
    let performance = hall::open(&mut connection, &tokens);
    let mut visits: Vec<Visit> = (0..50).map(|number| held(&mut connection, &tokens, &performance, number)).collect();
    let asked_before = hold_of_one(&performance, "asked-before");
    let answer = connection.ask(&asked_before, &tokens.buyer(1));
    assert_eq!(answer.status, 201, "{}", answer.text());

    fill(&disk, LEFT_BYTES);
    assert_refused(&mut connection, &tokens, &performance);
    let again = connection.ask(&asked_before, &tokens.buyer(1));
    assert!(again.status == 201 && again.replayed && again.body == answer.body, "{}", again.text());
    let hold: Value = again.json();
    let release = Call::delete(format!("/v1/holds/{}", hold["id"].as_str().expect("a hold has an id")));
    assert_eq!(connection.ask(&release, &tokens.buyer(1)).status, 204);
    visits.iter_mut().take(25).for_each(|visit| book(&mut connection, &tokens, visit));
    assert!(audit::audit(&mut connection, &tokens, &performance, &visits).is_clean());

    fill(&disk, 0);
    server.kill();
    fill(&disk, 0);
    assert_eq!(disk.free_bytes(), 0);
    let server = Server::start_under(&data, &BALLAST);
    assert!(!data.join("ballast").exists(), "the start needed the ballast's room");
    let findings = audit::audit(&mut server.connect(), &tokens, &performance, &visits);
    assert!(findings.is_clean(), "{findings:#?}");
}

fn held(connection: &mut Connection, tokens: &Tokens, performance: &str, number: usize) -> Visit {
    let wish = json!({"best_available": {"quantity": 1}});
    let mut visit = Visit::keeping(0, performance, format!("full-{number}"), wish);
    go(connection, tokens, &mut visit);
    visit
}

fn book(connection: &mut Connection, tokens: &Tokens, visit: &mut Visit) {
    visit.decides_to_book();
    go(connection, tokens, visit);
    assert!(visit.booking.is_some(), "a hold can be booked on a disk that is nearly full");
}

fn go(connection: &mut Connection, tokens: &Tokens, visit: &mut Visit) {
    let call = visit.advance().expect("there is a next step");
    let response = connection.ask(&call, &tokens.buyer(0));
    visit.learn(&response).expect("an answer that fits");
}

fn hold_of_one(performance: &str, key: &str) -> Call {
    let wish = json!({"best_available": {"quantity": 1}});
    Call::post(format!("/v1/performances/{performance}/holds"), key, &wish)
}

/// Waits until the server has looked at its disk, then asks for what takes room: a buyer, and a seller.
fn assert_refused(connection: &mut Connection, tokens: &Tokens, performance: &str) {
    while free_bytes_seen(connection) > LEFT_BYTES {}
    let show = json!({"title": "One too many", "field": "concert", "venue": "Hall"});
    let rules = json!({"sale": {"hold_ttl_seconds": 77}}).to_string();
    let performance_url = format!("/v1/performances/{performance}");
    let calls = [
        (hold_of_one(performance, "one-too-many"), tokens.buyer(0)),
        (Call::post("/v1/shows", "one-show-too-many", &show), tokens.seller()),
        (Call { method: "PATCH", path: performance_url, key: None, body: rules }, tokens.seller()),
    ];
    for (call, token) in calls {
        let response = connection.ask(&call, &token);
        let refused = response.status == 507 && response.text().contains("/problems/disk-low");
        assert!(refused, "{} {}: {}", call.method, call.path, response.text());
    }
}

/// What the server has last seen to be free.
fn free_bytes_seen(connection: &mut Connection) -> u64 {
    let metrics = connection.ask(&Call::get("/metrics"), "").text();
    let value = metrics.lines().find_map(|line| line.strip_prefix("onrush_journal_disk_free_bytes "));
    value.expect("the metric is there").parse::<f64>().expect("a number") as u64
}

/// Fills the disk up to some bytes.
fn fill(disk: &Disk, leave: u64) {
    let mut filler = OpenOptions::new().create(true).append(true).open(disk.path().join("filler")).expect("a file");
    while disk.free_bytes() > leave {
        let length = (disk.free_bytes() - leave).min(1 << 20);
        if !write(&mut filler, length) {
            break;
        }
    }
}

/// Whether there was room.
fn write(filler: &mut File, length: u64) -> bool {
    filler.write_all(&vec![1; length as usize]).is_ok()
}
