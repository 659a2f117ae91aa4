//! What everybody can see: seat maps and availability, whole and in part, once and again.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::fixture::{Hall, Seat, Server, id};

#[test]
fn a_seat_map_reads_back_as_it_was_drawn() {
    let hall = Hall::open();
    let map = hall.get(&hall.path("/seat-map")).expect(200).json();
    let mut drawn = crate::fixture::draft()["seat_map"]["sections"].clone();
    for slot in drawn[3]["slots"].as_array_mut().unwrap() {
        for time in slot.as_object_mut().unwrap().values_mut() {
            *time = json!(time.as_str().unwrap().replace('Z', ".000Z"));
        }
    }
    assert_eq!(map["sections"], drawn);
    assert_eq!((&map["capacity"], &map["version"]), (&json!(27), &json!(1)));
    let labels = hall.labels();
    for label in ["A-1-1", "A-2-6", "B-left-1b", "Floor-10", "Studio-2040-06-01T10:00:00Z"] {
        assert!(labels.iter().any(|known| known == label), "{label} of {labels:?}");
    }
    // Every label is good for a hold.
    let kim = hall.buyer("acc_kim");
    for label in &labels {
        let hold = id(&hall.held(&kim, &[label]));
        hall.delete(&format!("/v1/holds/{hold}")).token(&kim).expect(204);
    }
}

#[test]
fn a_seat_map_is_sent_once_and_small() {
    let hall = Hall::open();
    let path = hall.path("/seat-map");
    let plain = hall.get(&path).expect(200);
    assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    assert_eq!(plain.header("content-encoding"), None);
    let etag = plain.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");

    let gzipped = hall.get(&path).header("Accept-Encoding", "br, gzip").expect(200);
    assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    GzDecoder::new(gzipped.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert_eq!(hall.get(&path).header("Accept-Encoding", "gzip;q=0").expect(200).body, plain.body);

    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let again = hall.get(&path).header("If-None-Match", &known).expect(304);
        assert_eq!((again.header("etag"), again.body.len()), (Some(etag.as_str()), 0));
    }
    assert_eq!(hall.get(&path).header("If-None-Match", "\"x\"").expect(200).body, plain.body);
}

#[test]
fn availability_counts_what_its_bits_say() {
    let hall = Hall::with(&[("/sale/max_seats_per_buyer", json!(20))]);
    let kim = hall.buyer("acc_kim");
    hall.held(&kim, &["A-1-1", "Floor-10", "Studio-2040-06-01T09:00:00Z"]);
    hall.booked(&kim, &["A-2-6", "B-left-1b"]);
    hall.block(&hall.seller(), &["A-1-6", "Floor-1", "Floor-2"]).expect(201);
    assert_eq!(hall.seat("A-1-1"), Seat::Held);
    assert_eq!(hall.seat("Floor-10"), Seat::Held);
    assert_eq!(hall.seat("A-2-6"), Seat::Booked);
    assert_eq!(hall.seat("B-left-1b"), Seat::Booked);
    assert_eq!(hall.seat("Floor-2"), Seat::Blocked);

    let mut by_section = BTreeMap::from([("A", 0), ("B", 0), ("Floor", 0), ("Studio", 0)]);
    let seats = hall.seats();
    for (label, _) in seats.iter().filter(|(_, state)| *state == Seat::Free) {
        *by_section.get_mut(label.split('-').next().unwrap()).unwrap() += 1;
    }
    let availability = hall.availability();
    assert_eq!(availability["remaining"]["by_section"], json!(by_section));
    let by_tier = json!({"VIP": by_section["A"], "R": by_section["B"] + by_section["Floor"], "Hour": 1});
    assert_eq!(availability["remaining"]["by_tier"], by_tier);
    assert_eq!(availability["remaining"]["total"], 27 - 8);
}

#[test]
fn availability_shows_a_change_at_once_and_nothing_where_there_was_none() {
    let hall = Hall::open();
    let (kim, path) = (hall.buyer("acc_kim"), hall.path("/availability"));
    let mut before = hall.get(&path).expect(200);
    for label in ["A-1-1", "A-1-2", "A-1-3"] {
        let etag = before.header("etag").unwrap().to_owned();
        let same = hall.get(&path).header("If-None-Match", &etag).expect(304);
        assert_eq!((same.header("etag"), same.body.len()), (Some(etag.as_str()), 0));

        let held = hall.hold(&kim, &json!({"seats": [label]})).expect(201);
        let after = hall.get(&path).header("If-None-Match", &etag).expect(200);
        let version = after.json()["version"].as_u64().unwrap();
        assert_ne!(after.header("etag"), Some(etag.as_str()));
        assert_eq!(after.header("cache-control"), Some("no-cache"));
        assert!(version > before.json()["version"].as_u64().unwrap());
        let sequence = held.header("onrush-sequence").unwrap().to_owned();
        let (performance, sequence) = sequence.split_once('/').unwrap();
        assert_eq!(performance, hall.performance);
        assert!(sequence.parse::<u64>().unwrap() < version, "{sequence} is part of version {version}");
        assert_eq!(hall.seat(label), Seat::Held);
        before = after;
    }
}

#[test]
fn availability_can_leave_the_seats_out() {
    let hall = Hall::open();
    let path = hall.path("/availability");
    let (full, counts) = (hall.get(&path).expect(200), hall.get(&format!("{path}?fields=remaining")).expect(200));
    assert_eq!(full.header("etag"), counts.header("etag"));
    let (mut full, counts) = (full.json(), counts.json());
    assert!(full.as_object_mut().unwrap().remove("seats").is_some_and(|seats| seats.is_string()));
    assert_eq!(full, counts);
    hall.get(&format!("{path}?fields=")).refused(400, "bad-request");
    hall.get(&format!("{path}?fields=seats")).refused(400, "bad-request");
}

#[test]
fn presets_are_halls_of_their_size() {
    let server = Server::start();
    let show = server.show();
    for (preset, capacity) in [("grand-theatre", 3022), ("arena", 15_000), ("stadium", 50_000), ("study-rooms", 30)] {
        let draft = json!({"starts_at": "2040-06-01T19:00:00Z", "venue_preset": preset});
        let performance = server.performance(&show, &draft);
        let hall = format!("/v1/performances/{performance}");
        let known = server.get(&hall).expect(200).json();
        assert_eq!((&known["capacity"], &known["ends_at"]), (&json!(capacity), &json!("2040-06-01T22:00:00.000Z")));
        assert!(known["tiers"].as_array().unwrap().iter().all(|tier| tier["price"]["amount"] == 0), "{known}");
        let availability = server.get(&format!("{hall}/availability")).expect(200).json();
        let sum =
            |counts: &Value| -> u64 { counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum() };
        assert_eq!(availability["remaining"]["total"], capacity);
        assert_eq!(capacity, sum(&availability["remaining"]["by_tier"]));
        assert_eq!(capacity, sum(&availability["remaining"]["by_section"]));
        assert_eq!(server.get(&format!("{hall}/seat-map")).expect(200).json()["capacity"], capacity);
    }
}
