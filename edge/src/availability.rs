//! Availability and seat maps, encoded once and served to everybody.
//!
//! A reader gets the newest version as long as that is cheap: each performance may be encoded anew twenty times a
//! second, with a burst of twenty. So who has just held a seat in a quiet hall sees it held, and a hundred thousand pollers
//! in a rush share bytes that are fifty milliseconds old at most.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dashmap::DashMap;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::HeaderValue;
use onrush_api::availability::{Availability, Remaining};
use onrush_api::seat_map::SeatMap;
use onrush_api::text::Time;
use onrush_engine::feed::{Publication, Published};
use onrush_engine::id::PerformanceId;
use onrush_engine::seeded::Bug;
use onrush_engine::time::Timestamp;

use crate::routes::performances::seat_map_body;

/// Encodings of one performance a second, and at once.
const ENCODINGS_PER_SECOND: f64 = 20.0;

/// The encoded state of one version.
#[derive(Clone)]
pub(crate) struct Encoded {
    pub(crate) version: u64,
    pub(crate) etag: HeaderValue,
    /// With every seat.
    pub(crate) full: Bytes,
    /// Counts only.
    pub(crate) remaining: Bytes,
}

/// The seat map of one performance.
#[derive(Clone)]
pub(crate) struct EncodedMap {
    pub(crate) etag: HeaderValue,
    pub(crate) plain: Bytes,
    pub(crate) gzipped: Bytes,
}

#[derive(Default)]
struct Slot {
    encoded: Mutex<Option<(Encoded, Allowance)>>,
    map: std::sync::OnceLock<EncodedMap>,
}

/// How many encodings are left of this performance's share.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: f64,
    at: Timestamp,
}

impl Allowance {
    fn take(&mut self, now: Timestamp) -> bool {
        let gained = (now - self.at).as_secs_f64() * ENCODINGS_PER_SECOND;
        self.left = (self.left + gained).min(ENCODINGS_PER_SECOND);
        self.at = now;
        let granted = self.left >= 1.0;
        self.left -= if granted { 1.0 } else { 0.0 };
        granted
    }
}

/// All performances' encodings.
#[derive(Default)]
pub(crate) struct Availabilities(DashMap<PerformanceId, Arc<Slot>>);

impl Availabilities {
    fn slot(&self, performance: PerformanceId) -> Arc<Slot> {
        Arc::clone(&self.0.entry(performance).or_default())
    }

    /// The newest version that is encoded, or may be encoded now.
    pub(crate) fn get(&self, publication: &Publication, now: Timestamp) -> Encoded {
        let slot = self.slot(publication.performance);
        let mut known = slot.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut allowance = Allowance { left: ENCODINGS_PER_SECOND, at: now };
        if let Some((encoded, left)) = known.as_mut() {
            if encoded.version == publication.version() || Bug::StaleAvailability.is_on() || !left.take(now) {
                return encoded.clone();
            }
            allowance = *left;
        }
        let encoded = encode(publication);
        *known = Some((encoded.clone(), allowance));
        encoded
    }

    /// The seat map, which never changes.
    pub(crate) fn map(&self, publication: &Publication) -> EncodedMap {
        self.slot(publication.performance).map.get_or_init(|| encode_map(&seat_map_body(publication))).clone()
    }
}

fn encode(publication: &Publication) -> Encoded {
    let mut body = describe(publication, &publication.seats());
    let (version, full) = (body.version, json(&body));
    body.seats = None;
    let counts = json(&body);
    // Of the content, not of the version: a relaxed journal may lose versions in a power cut and give them out again.
    Encoded { version, etag: etag(&full), full, remaining: counts }
}

fn etag(content: &[u8]) -> HeaderValue {
    let etag = format!("\"{}\"", &blake3::hash(content).to_hex()[..16]);
    HeaderValue::try_from(etag).expect("hex digits are a header")
}

fn json(body: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(body).expect("the API's types are plain and always make JSON").into()
}

/// Every seat at one version, as the API says it.
pub(crate) fn describe(publication: &Publication, published: &Published) -> Availability {
    Availability {
        version: published.version,
        as_of: Time(published.as_of),
        remaining: remaining(publication, published),
        seats: Some(STANDARD.encode(&published.packed)),
    }
}

pub(crate) fn remaining(publication: &Publication, published: &Published) -> Remaining {
    let mut by_tier: BTreeMap<String, u32> = publication.tiers.iter().map(|tier| (tier.to_string(), 0)).collect();
    let mut by_section = BTreeMap::new();
    let mut total = 0;
    for (section, tally) in publication.map.sections().iter().zip(&published.tallies) {
        let tier = &publication.tiers[usize::from(section.tier.0)];
        *by_tier.entry(tier.to_string()).or_default() += tally.free;
        by_section.insert(section.name.to_string(), tally.free);
        total += tally.free;
    }
    Remaining { total, by_tier, by_section }
}

fn encode_map(map: &SeatMap) -> EncodedMap {
    let plain = json(map);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&plain).expect("writing to memory does not fail");
    let gzipped = gzip.finish().expect("writing to memory does not fail");
    EncodedMap { etag: etag(&plain), plain, gzipped: gzipped.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_allowance_is_a_burst_and_a_rate() {
        let start = Timestamp::from_millis(1_000_000);
        let mut allowance = Allowance { left: ENCODINGS_PER_SECOND, at: start };
        assert_eq!((0..100).filter(|_| allowance.take(start)).count(), 20);
        let later = start + Duration::from_millis(100);
        assert_eq!((0..100).filter(|_| allowance.take(later)).count(), 2);
    }
}
