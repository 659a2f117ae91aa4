//! The work that every contender is given: hold one named seat of a stadium, each seat once, in random order.

use onrush_engine::seat_map::SeatMap;
use onrush_engine::time::Timestamp;
use onrush_engine::venues;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// The hall's name as a preset of Onrush.
pub const VENUE: &str = "stadium";
/// How many accounts take turns.
pub const BUYERS: usize = 1000;

/// The labels of the stadium's seats, shuffled: the same order in every round.
pub fn labels() -> Vec<String> {
    let venue = venues::preset(VENUE, Timestamp::MIN, Timestamp::MIN).expect("the preset is there");
    shuffled(&SeatMap::new(venue.plan, venue.tiers.len()).expect("a preset makes a seat map"))
}

/// The labels of a hall's seats, shuffled: the same order each time.
pub fn shuffled(map: &SeatMap) -> Vec<String> {
    let mut labels: Vec<String> = map.seats().map(|seat| map.label(seat).to_string()).collect();
    labels.shuffle(&mut SmallRng::seed_from_u64(1));
    labels
}

/// The body of a request for one seat.
pub fn body(label: &str) -> String {
    format!(r#"{{"seats":["{label}"]}}"#)
}

/// An answer to such a request, as Onrush gives it: bare hyper sends the same bytes each time.
pub const ANSWER: &str = r#"{"id":"hold_4f2x9k7m3q8w5e1r6t0y2z4p7s9d1g3h","performance":"perf_0v8c2n5b7m1k4","seats":[{"label":"122-14-17","tier":"R","price":{"amount":110000,"currency":"KRW"}}],"total":{"amount":110000,"currency":"KRW"},"expires_at":"2026-12-01T10:30:00.000Z","expires_in_seconds":3600}"#;

/// An idempotency key: as long as the UUID that a client would send.
pub fn key(run: u64, place: usize) -> String {
    format!("{:08x}-0000-4000-8000-{place:012x}", run as u32)
}

/// A number that differs from run to run.
pub fn run() -> u64 {
    rand::rng().random()
}

/// The account that takes its turn at a place.
pub fn buyer(number: usize) -> String {
    format!("acc_versus-buyer-{number:04}")
}

/// A performance as servers other than Onrush call it, which do not make the names.
pub fn performance(number: usize) -> String {
    format!("perf_{number:013}")
}

/// The number in such a name.
pub fn performance_number(name: &str) -> Option<u64> {
    name.strip_prefix("perf_")?.parse().ok()
}
