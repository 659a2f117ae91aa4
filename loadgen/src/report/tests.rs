//! A small rush by hand, and what the report makes of it.

use super::*;
use crate::audit::Violation;
use crate::options::Settings;
use onrush_api::bookings::BookingStatus;
use onrush_api::problem::Kind;

/// Two bots bought two seats each of a hall of five, one of them late; one was refused. One seat is blocked.
fn samples() -> Samples {
    let mut samples = Samples::default();
    for (number, at_micros) in [(1, 500_000), (2, 3_000_000)] {
        samples.acknowledgements.acknowledged.push(Acknowledged {
            booking: format!("bkg_{number}"),
            buyer: format!("acc_bot-7-{number}"),
            status: BookingStatus::Confirmed,
            held: Vec::new(),
            seats: vec!["a".to_owned(), "b".to_owned()],
            at_micros,
        });
        let tally = samples.second(Duration::from_micros(at_micros));
        (tally.seats_sold, tally.requests, tally.arrivals) = (2, 10, 1);
        samples.step(Step::Hold, Outcome::Success, Duration::from_millis(number));
        samples.ending(Ending::Booked);
    }
    samples.ending(Ending::NothingLeft);
    samples.step(Step::Hold, Outcome::Refusal, Duration::from_millis(9));
    samples.refusals.insert(Kind::SeatsUnavailable, 1);
    samples.failure("<b>broke</b>".to_owned());
    samples
}

fn report(violations: Vec<Violation>) -> Report {
    let settings = Settings {
        bots: 3,
        rate_per_second: None,
        profile: None,
        venue: Some("small".to_owned()),
        connections: 2,
        workers: 1,
        seed: 7,
        mix: "pickers=1".to_owned(),
        patience_seconds: 15,
        timeout_seconds: 10,
    };
    let measured = Measured {
        settings,
        performance: "perf_1".to_owned(),
        sent: Sent { samples: samples(), second_chances: 0, busy: Duration::from_secs(2) },
        took: Duration::from_secs(4),
        pid: Some(17),
        server_cpu: Some(Duration::from_micros(400)),
        seats: SeatCount { free: 0, held: 0, booked: 4, blocked: 1 },
    };
    Report::new(measured, Audit { bookings_listed: 2, bookings_acknowledged: 2, bookings_unsettled: 0, violations })
}

fn table(report: &Report) -> String {
    let mut out = Vec::new();
    table::write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn twice() -> Vec<Violation> {
    vec![Violation::SoldTwice { seat: "<A>-1".to_owned(), bookings: vec!["bkg_1".to_owned(), "bkg_2".to_owned()] }]
}

#[test]
fn rates_are_of_the_busy_time_and_the_sell_out_of_the_whole() {
    let report = report(Vec::new());
    assert_eq!((report.requests.total, report.requests.per_second), (20, 10.0));
    assert_eq!((report.seats.sold_to_bots, report.seats.sold_per_second), (4, 2.0));
    assert_eq!(report.seats.sold_out_after_seconds, Some(3.0));
    assert_eq!(report.seats.sold_99_percent_after_seconds, Some(3.0));
    assert_eq!((report.bots.arrived, report.bots.booked, report.bots.nothing_left), (3, 2, 1));
    assert_eq!(report.server_cpu.map(|cpu| cpu.micros_per_request.round()), Some(20.0));
}

#[test]
fn the_table_says_what_matters() {
    let text = table(&report(Vec::new()));
    for words in [
        "closed loop over 2 connections, seed 7",
        "sold out after 3.00 s; 4 of 5 seats booked",
        "3 arrived: 2 booked, 1 found nothing left",
        "hold refusal",
        "1  seats-unavailable",
        "20.0 µs a request",
        "audit       clean: 2 acknowledged bookings, 2 in the server's list",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    let text = table(&report(twice()));
    assert!(text.contains("FAILED: 1 violations\n  seat <A>-1 was sold twice"), "{text}");
}

#[test]
fn the_json_has_the_documented_fields() {
    let json = serde_json::to_value(report(twice())).unwrap();
    let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "audit",
        "bots",
        "busy_seconds",
        "failures",
        "finished_at",
        "machine",
        "performance",
        "refusals",
        "requests",
        "seats",
        "seconds",
        "server_cpu",
        "settings",
        "steps",
        "timeline",
        "version",
    ];
    assert_eq!(fields, documented);
    assert_eq!(json["audit"]["violations"][0]["kind"], "sold_twice");
    assert_eq!(json["timeline"][3]["seats_sold"], 2);
    assert_eq!(json["steps"][0]["step"], "hold");
}

#[test]
fn the_page_is_whole_and_escapes_what_comes_from_outside() {
    let page = html::page(&report(twice()));
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains("&lt;A&gt;-1") && page.contains("&lt;b&gt;broke"));
    for foreign in ["<A>", "<script", "http://", "https://", "NaN", "inf"] {
        assert!(!page.contains(foreign), "the page has {foreign}");
    }
}

#[test]
fn quantiles_go_as_far_as_the_samples_tell() {
    let of = |samples| quantiles(samples).map(|quantile| format!("{quantile:.3}")).collect::<Vec<_>>();
    assert_eq!(of(5).len(), 10);
    assert_eq!(of(1_000)[9..11], ["0.900", "0.910"]);
    assert_eq!(of(1_000).last().map(String::as_str), Some("0.999"));
}
