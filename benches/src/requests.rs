//! Requests as bytes, made before anything is measured: the client only sends.

use std::net::SocketAddr;
use std::time::Duration;

use crate::hold;
use crate::key::Key;

/// How many requests a round needs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount(pub usize);

impl RequestCount {
    /// Enough for a span of time with a server that answers no more than so many a second. One that is quicker ends its
    /// window early.
    pub fn for_span(span: Duration, per_second_max: u32) -> Self {
        Self((span.as_secs_f64() * f64::from(per_second_max)) as usize)
    }

    /// How many halls of `seats` they fill.
    pub fn halls(self, seats: usize) -> usize {
        self.0.div_ceil(seats)
    }
}

/// All requests of a round, one behind the other.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// One hold for each seat of these performances over HTTP, one hall after the other, by a thousand buyers in turns.
    pub fn holds(address: SocketAddr, performances: &[String], key: &Key, count: RequestCount) -> Self {
        let labels = hold::labels();
        Self::of(by_hall(performances, &labels), count, over_http(address, key))
    }

    /// The same in halls of their own, where neighbours in time are in different halls.
    pub fn holds_across(
        address: SocketAddr,
        performances: &[String],
        labels: &[String],
        key: &Key,
        count: RequestCount,
    ) -> Self {
        let seats = labels.iter().flat_map(|label| performances.iter().map(move |performance| (performance, label)));
        Self::of(seats, count, over_http(address, key))
    }

    /// The same holds in another protocol: `request` makes the bytes for a place, a performance and a seat's label.
    pub fn each<Bytes: AsRef<[u8]>>(count: RequestCount, request: impl Fn(usize, &str, &str) -> Bytes) -> Self {
        let (performances, labels) = (performances(count), hold::labels());
        Self::of(by_hall(&performances, &labels), count, request)
    }

    /// One request over and over.
    pub fn repeated(request: &str, count: RequestCount) -> Self {
        let mut requests = Self::with_room_for(count);
        (0..count.0).for_each(|_| requests.push(request.as_bytes()));
        requests
    }

    fn of<'a, Bytes: AsRef<[u8]>>(
        seats: impl Iterator<Item = (&'a String, &'a String)>,
        count: RequestCount,
        request: impl Fn(usize, &str, &str) -> Bytes,
    ) -> Self {
        let mut requests = Self::with_room_for(count);
        for (place, (performance, label)) in seats.take(count.0).enumerate() {
            requests.push(request(place, performance, label).as_ref());
        }
        requests
    }

    fn with_room_for(count: RequestCount) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(count.0) }
    }

    fn push(&mut self, request: &[u8]) {
        self.bytes.extend_from_slice(request);
        self.ends.push(self.bytes.len());
    }

    /// The request at a place; nothing behind the last.
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }
}

/// As many performances as a round can fill, by the names that servers other than Onrush know them by.
pub fn performances(count: RequestCount) -> Vec<String> {
    (0..count.halls(hold::labels().len())).map(hold::performance).collect()
}

/// Every seat with its performance, one hall after the other.
fn by_hall<'a>(performances: &'a [String], labels: &'a [String]) -> impl Iterator<Item = (&'a String, &'a String)> {
    performances.iter().flat_map(move |performance| labels.iter().map(move |label| (performance, label)))
}

/// A hold as a POST, by a thousand buyers in turns.
fn over_http(address: SocketAddr, key: &Key) -> impl Fn(usize, &str, &str) -> String {
    let tokens: Vec<String> = (0..hold::BUYERS).map(|buyer| key.token(&hold::buyer(buyer), "buyer")).collect();
    let run = hold::run();
    move |place, performance, label| {
        let path = format!("/v1/performances/{performance}/holds");
        let (token, key) = (&tokens[place % tokens.len()], hold::key(run, place));
        post(address, &path, token, &key, &hold::body(label))
    }
}

/// A POST with what the contract asks for and nothing else.
pub fn post(address: SocketAddr, path: &str, token: &str, key: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seat_is_asked_for_once_and_no_more_than_wanted() {
        let address = "127.0.0.1:1".parse().unwrap();
        let performances = ["perf_a".to_owned(), "perf_b".to_owned()];
        let requests = Requests::holds(address, &performances, &Key::of_nobody(), RequestCount(50_001));
        let text = |place| std::str::from_utf8(requests.get(place).unwrap()).unwrap();
        assert!(text(0).starts_with("POST /v1/performances/perf_a/holds HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        assert!(text(50_000).starts_with("POST /v1/performances/perf_b/holds"));
        assert!(text(0).ends_with("\"]}"));
        assert!(requests.get(50_001).is_none());
        let mut bodies: Vec<&str> = (0..50_000).map(|place| text(place).rsplit_once('\n').unwrap().1).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), 50_000);
    }
}
