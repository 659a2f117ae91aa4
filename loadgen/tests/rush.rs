//! A whole rush over a real socket, against a small server that can be told to be dishonest.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod server;

use clap::Parser as _;
use onrush_api::key_file::KeyFile;
use onrush_api::token::TokenKeys;
use onrush_loadgen::audit::Violation;
use onrush_loadgen::options::{ReplayOptions, RushOptions};
use onrush_loadgen::report::Report;
use onrush_loadgen::rush::{replay, rush};
use onrush_loadgen::target::Target;

use server::{Manners, start};

#[derive(clap::Parser)]
struct Rush {
    #[command(flatten)]
    options: RushOptions,
}

#[derive(clap::Parser)]
struct Replay {
    #[command(flatten)]
    options: ReplayOptions,
}

fn key() -> TokenKeys {
    let dir = tempfile::tempdir().unwrap();
    KeyFile::open_or_create(&KeyFile::path_in(dir.path())).unwrap()
}

fn run(manners: Manners, options: &[&str]) -> Report {
    let patience = if manners.ends_holds_when_full { "60" } else { "0" };
    let base = ["rush", "--quiet", "--seed", "7", "--patience", patience];
    let options = Rush::parse_from(base.iter().chain(options)).options;
    let target = Target::new(&format!("http://{}", start(manners)), key()).unwrap();
    rush(&target, &options).unwrap()
}

#[test]
fn an_honest_server_sells_out_and_the_audit_is_clean() {
    let report = run(Manners::default(), &["--bots", "200", "--mix", "pickers=5,best-available=4,contenders=1"]);
    assert_eq!(report.audit.violations, []);
    assert!(report.seats.sold_out && report.seats.sold_out_after_seconds.is_some());
    assert_eq!((report.seats.capacity, report.seats.sold_to_bots), (120, 120));
    assert_eq!(report.bots.arrived, 200);
    assert_eq!(report.bots.booked, report.audit.bookings_listed);
    assert!(report.refusals["seats-unavailable"] > 0);
    assert!(report.server_cpu.is_some(), "the server is this process");
}

#[test]
fn an_open_loop_and_a_replay_take_the_same_way() {
    let report = run(Manners::default(), &["--bots", "50", "--rate", "5000", "--workers", "2"]);
    assert!(report.audit.is_clean(), "{:?}", report.audit.violations);
    assert_eq!(report.timeline.iter().map(|second| second.arrivals).sum::<u64>(), 50);

    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile.txt");
    std::fs::write(&profile, "# one tenth\n30\n").unwrap();
    let options = ["replay", "--quiet", "--patience", "0", "--seed", "1", "--profile", profile.to_str().unwrap()];
    let target = Target::new(&format!("http://{}", start(Manners::default())), key()).unwrap();
    let report = replay(&target, &Replay::parse_from(options).options).unwrap();
    assert!(report.audit.is_clean(), "{:?}", report.audit.violations);
    assert_eq!(report.bots.arrived, 30);
}

#[test]
fn abandoned_seats_go_to_those_who_come_back() {
    // The server ends a hold as soon as somebody looks at an availability without free seats.
    let manners = Manners { ends_holds_when_full: true, ..Manners::default() };
    let report = run(manners, &["--bots", "200", "--mix", "best-available=1,abandoners=1"]);
    assert!(report.audit.is_clean(), "{:?}", report.audit.violations);
    assert!(report.seats.sold_out, "{:?}", report.seats);
    assert!(report.bots.abandoned > 0 && report.bots.second_chances > 0);
}

#[test]
fn a_seat_sold_twice_is_reported() {
    let report = run(Manners { sells_twice: true, ..Manners::default() }, &["--bots", "100"]);
    let twice = |violation: &Violation| matches!(violation, Violation::SoldTwice { .. });
    assert!(report.audit.violations.iter().any(twice), "{:?}", report.audit.violations);
}

#[test]
fn a_lost_booking_is_reported() {
    let report = run(Manners { loses_a_booking: true, ..Manners::default() }, &["--bots", "20"]);
    let lost = |violation: &&Violation| matches!(violation, Violation::Lost { .. });
    assert_eq!(report.audit.violations.iter().filter(lost).count(), 1, "{:?}", report.audit.violations);
}

#[test]
fn a_connection_that_breaks_is_tried_again_with_the_same_key() {
    let manners = Manners { breaks_after_booking: true, ..Manners::default() };
    let report = run(manners, &["--bots", "60", "--mix", "best-available=1"]);
    assert!(report.audit.is_clean(), "{:?}", report.audit.violations);
    assert!(report.requests.retries > 0 && !report.failures.is_empty());
    assert_eq!((report.bots.unknown, report.audit.bookings_unsettled), (0, 0));
}

#[test]
fn an_outcome_that_stays_unknown_is_neither_lost_nor_unasked() {
    let manners = Manners { never_knows: true, ..Manners::default() };
    let report = run(manners, &["--bots", "4", "--mix", "best-available=1"]);
    assert!(report.audit.is_clean(), "{:?}", report.audit.violations);
    assert_eq!((report.bots.unknown, report.audit.bookings_unsettled, report.audit.bookings_listed), (4, 4, 4));
    assert_eq!(report.refusals["outcome-unknown"], 12);
}

#[test]
fn the_same_seed_sends_the_same_bots() {
    let run = || {
        let report = run(Manners::default(), &["--bots", "30", "--connections", "1"]);
        let steps: Vec<_> = report.steps.iter().map(|step| (step.step, step.outcome, step.count)).collect();
        (steps, report.seats.sold_to_bots, report.bots.abandoned)
    };
    assert_eq!(run(), run());
}

#[test]
fn reports_are_written_where_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (json, html) = (dir.path().join("rush.json"), dir.path().join("rush.html"));
    let report = run(Manners::default(), &["--bots", "10"]);
    report.write_json(&json).unwrap();
    report.write_html(&html).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(read["audit"]["violations"], serde_json::json!([]));
    assert!(std::fs::read_to_string(html).unwrap().contains("audit clean"));
}

#[test]
fn errors_say_what_to_do() {
    let options = |extra: &[&str]| Rush::parse_from(["rush", "--quiet"].iter().chain(extra)).options;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::new(&format!("http://{nobody}"), key()).unwrap();
    let error = format!("{:#}", rush(&target, &options(&[])).unwrap_err());
    assert!(error.contains("is the server running"), "{error}");

    let target = Target::new(&format!("http://{}", start(Manners::default())), key()).unwrap();
    let error = format!("{:#}", rush(&target, &options(&["--performance", "perf_unknown"])).unwrap_err());
    assert!(error.contains("perf_unknown") && error.contains("There is no such thing"), "{error}");
    let error = format!("{:#}", rush(&target, &options(&["--seller", "kim"])).unwrap_err());
    assert!(error.contains("acc_rush-seller"), "{error}");
}
