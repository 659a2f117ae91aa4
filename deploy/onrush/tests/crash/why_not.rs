//! `onrush journal replay --why-not`: each kind of answer, about the sale of `sale.rs`.

use onrush_api::text::Time;
use onrush_engine::time::Timestamp;
use serde_json::Value;

use crate::replay::{Told, masked, snapshot};

/// Of a free seat in a sale that was open, with the limits.
fn open(seats: u32) -> String {
    format!(
        "The sale was open. One buyer may have {seats} seats and 2 holds at a time: ask with --buyer whether that was \
         it. Else nobody asked, or it was refused for load or a full disk, or the server was not there: of that there is no record."
    )
}

pub(crate) fn every_answer_is_given(hall: &Told<'_>) {
    let check = |asked: &str, options: &[&str], wanted: &[&str]| {
        let answer = hall.replay(&[&["--why-not", asked], options].concat()).expect("it is answered");
        assert_eq!(masked(&answer).lines().collect::<Vec<_>>(), wanted, "{asked} {options:?}");
    };
    let (four, two) = (open(4), open(2));
    check(
        "Stalls-A-2@0",
        &[],
        &[
            "Stalls-A-2 at TIME: it was free: nobody had it since TIME (record 0), when the performance came into being.",
            "It was taken by acc_crash-1 at TIME (HOLD, record 1).",
            &four,
        ],
    );
    check(
        "Stalls-A-2@1",
        &[],
        &[
            "Stalls-A-2 at TIME: held by acc_crash-1 (HOLD) since TIME (record 1) until TIME.",
            "It came back at TIME (record 2: released).",
            "The sale was open.",
        ],
    );
    check(
        "Stalls-A-4@3",
        &[],
        &[
            "Stalls-A-4 at TIME: held by acc_crash-3 (HOLD) since TIME (record 3) until TIME.",
            "It was booked by acc_crash-3 at TIME (BKG, record 4), and then came back at TIME (record 5: cancelled).",
            "The sale was open.",
        ],
    );
    check(
        "Stalls-A-4@9",
        &[],
        &[
            "Stalls-A-4 at TIME: it was free: nobody had it since TIME (record 5), when acc_crash-3 cancelled BKG.",
            "It stayed so up to the last record (17).",
            &four,
        ],
    );
    check(
        "Stalls-A-5@10",
        &[],
        &[
            "Stalls-A-5 at TIME: booked by acc_crash-4 (BKG) since TIME (record 10).",
            "It stayed so up to the last record (17).",
            "The sale was open.",
        ],
    );
    check(
        "Stalls-B-1@7",
        &[],
        &[
            "Stalls-B-1 at TIME: blocked by acc_crash-seller (BLK, \"house\") since TIME (record 6).",
            "It came back at TIME (record 8: lifted).",
            "The sale was open.",
        ],
    );
    // Its number in the seat map; and the hold that ran out, and who was quicker.
    check(
        "0@12",
        &[],
        &[
            "Stalls-A-1 at TIME: held by acc_crash-2 (HOLD) since TIME (record 11) until TIME.",
            "It came back at TIME (record 13: ran out), and then was taken by acc_crash-3 at TIME (HOLD, record 14).",
            "The sale was open.",
        ],
    );
    check(
        "Stalls-A-1@13",
        &[],
        &[
            "Stalls-A-1 at TIME: it was free: nobody had it since TIME (record 13), when HOLD of acc_crash-2 ran out.",
            "It was taken by acc_crash-3 at TIME (HOLD, record 14).",
            &two,
        ],
    );
    limits_are_asked_for(&check);
    closed_sales_are_named(&check);
    times_are_moments(hall, &check);
}

type Check<'a> = dyn Fn(&str, &[&str], &[&str]) + 'a;

fn limits_are_asked_for(check: &Check<'_>) {
    let free =
        "Floor-2 at TIME: it was free: nobody had it since TIME (record 0), when the performance came into being.";
    let stayed = "It stayed so up to the last record (17).";
    check(
        "Floor-2@14",
        &["--buyer", "acc_crash-3"],
        &[
            free,
            stayed,
            "The sale was open, but acc_crash-3 would have been refused: one buyer may have 2 seats and has 2.",
        ],
    );
    check(
        "Floor-2@14",
        &["--buyer", "acc_crash-4"],
        &[
            free,
            stayed,
            "The sale was open, and by the rules acc_crash-4 could have had it: nobody asked, or it was refused for load or \
         a full disk, or the server was not there: of that there is no record.",
        ],
    );
}

fn closed_sales_are_named(check: &Check<'_>) {
    let held = "Floor-1 at TIME: held by acc_crash-3 (HOLD) since TIME (record 14) until TIME.";
    let stayed = "It stayed so up to the last record (17).";
    check("Floor-1@16", &[], &[held, stayed, "The sale was not open yet: it was to open at 2098-01-01T00:00:00.000Z."]);
    check("Floor-1@17", &[], &[held, stayed, "The sale was closed since 2021-01-01T00:00:00.000Z."]);
    check(
        "Floor-2@2099-01-01T23:00:00Z",
        &[],
        &[
            "Floor-2 at 2099-01-01T23:00:00.000Z: it was free: nobody had it since TIME (record 0), when the performance came \
         into being.",
            stayed,
            "The sale was closed since 2021-01-01T00:00:00.000Z.",
        ],
    );
}

/// Times between the records, each a little off one of them.
fn times_are_moments(hall: &Told<'_>, check: &Check<'_>) {
    let events = hall.json(&["--events"]);
    let time = |sequence: u64, field: &str| -> Time {
        let event = events.iter().find(|event| event["kind"] == "event" && event["sequence"] == sequence);
        event.and_then(|event| event[field].as_str()).expect("a time").parse().expect("a time")
    };
    // The hold was over, and nobody had noticed; the record says so at the next look.
    let over = time(11, "expires_at");
    check(
        &format!("Stalls-A-1@{over}"),
        &[],
        &[
            "Stalls-A-1 at TIME: it was free: nobody had it since TIME (record 13), when HOLD of acc_crash-2 ran out.",
            "It was taken by acc_crash-3 at TIME (HOLD, record 14).",
            &open(2),
        ],
    );
    // The server was away, and nobody could get anything.
    let back = time(15, "at").0.as_millis();
    let away = Time(Timestamp::from_millis(back - 1));
    check(
        &format!("Floor-1@{away}"),
        &[],
        &[
            "Floor-1 at TIME: held by acc_crash-3 (HOLD) since TIME (record 14) until TIME, and with more time given later \
         until TIME.",
            "It stayed so up to the last record (17).",
            "The sale was open.",
            "The server was away then: it was back at TIME (record 15).",
        ],
    );
    let answer = hall.json(&["--why-not", &format!("Floor-1@{away}")]).remove(0);
    let wanted = [("kind", "why_not"), ("seat", "Floor-1")].map(|(name, text)| (name, Value::from(text)));
    wanted.iter().for_each(|(name, value)| assert_eq!(answer[name], *value, "{answer}"));
    assert_eq!((&answer["was"]["state"], &answer["was"]["sequence"]), (&"held".into(), &14.into()), "{answer}");
    assert_eq!((&answer["away"]["sequence"], &answer["sale"]["state"]), (&15.into(), &"open".into()), "{answer}");
}

pub(crate) fn behind_a_snapshot_what_it_says_is_answered(crowd: &Told<'_>) {
    let headline = &crowd.json(&[])[0]["snapshot"];
    let at: Time = headline["at"].as_str().expect("a time").parse().expect("a time");
    let before = Time(Timestamp::from_millis(at.0.as_millis() - 1));
    let last = crowd.state(&[])["last_sequence"].as_u64().expect("a number");
    let taken = format!("It was taken by acc_crash-2 at TIME (HOLD, record {}).", last - 1);
    let check = |asked: &str, wanted: &[&str]| {
        let answer = crowd.replay(&["--why-not", asked]).expect("it is answered");
        assert_eq!(masked(&answer).lines().collect::<Vec<_>>(), wanted, "{asked}");
    };
    check(
        &format!("Stalls-A-6@{}", snapshot(crowd)),
        &["Stalls-A-6 at TIME: it was free: nobody had it since before the history begins.", &taken, &open(4)],
    );
    check(
        &format!("Stalls-A-1@{before}"),
        &[
            "Stalls-A-1 at TIME: booked by acc_crash-4 (BKG) since TIME.",
            &format!("It stayed so up to the last record ({last})."),
            "A snapshot stands for that time: the rules of the sale are not known.",
        ],
    );
}

pub(crate) fn what_is_asked_wrongly_is_refused(hall: &Told<'_>, crowd: &Told<'_>) {
    let refused = |told: &Told<'_>, asked: &str, words: &str| {
        let message = told.replay(&["--why-not", asked]).expect_err(words);
        assert!(message.contains(words), "{asked}: {message}");
    };
    refused(hall, "Stalls-A-1@18", "record 18 is not there yet: the last one is 17");
    refused(hall, "Stalls-A-1@2000-01-01T00:00:00Z", "the performance did not exist yet: it came into being at ");
    refused(hall, "stals-a-1@3", "there is no seat 'stals-a-1'; did you mean Stalls-A-1 or ");
    refused(hall, "Box-1@3", "the seats are Stalls-A-1 to Stalls-B-12, Floor-1 to Floor-10, and numbered from 0 to 33");
    refused(hall, "Stalls-A-1", "expected SEAT@TIME");
    refused(
        hall,
        "Stalls-A-1@noon",
        "expected an RFC 3339 time from 1970 on, such as 2026-12-01T19:30:00Z, or a record's number",
    );
    let snapshot = snapshot(crowd);
    let gone = format!("a snapshot stands for what was before the end of record {snapshot}, at ");
    refused(crowd, &format!("Stalls-A-2@{}", snapshot - 1), &gone);
    refused(crowd, "Stalls-A-2@2000-01-01T00:00:00Z", &gone);
    for options in [["--until", "3"].as_slice(), &["--events"]] {
        let message = hall.replay(&[&["--why-not", "Stalls-A-1@3"], options].concat()).expect_err("contradictory");
        assert!(message.contains("cannot be used with"), "{message}");
    }
    let message = hall.replay(&["--buyer", "acc_kim"]).expect_err("a buyer of nothing");
    assert!(message.contains("--why-not"), "{message}");
}
