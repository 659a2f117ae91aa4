//! Requests as bytes, made before anything is measured: the client only sends.

use std::net::SocketAddr;
use std::time::Duration;

use crate::hold;
use crate::key::Key;

/// How many requests a round needs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount(pub usize);

impl RequestCount {
    /// Above what one thread of any server here answers. Whoever is quicker ends its window early.
    const PER_SECOND_MAX: f64 = 110_000.0;

    /// Enough for a span of time.
    pub fn for_span(span: Duration) -> Self {
        Self((span.as_secs_f64() * Self::PER_SECOND_MAX) as usize)
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
    /// One hold for each seat of these performances, by a thousand buyers in turns.
    pub fn holds(address: SocketAddr, performances: &[String], key: &Key, count: RequestCount) -> Self {
        let labels = hold::labels();
        let tokens: Vec<String> =
            (0..hold::BUYERS).map(|buyer| key.token(&format!("acc_versus-buyer-{buyer:04}"), "buyer")).collect();
        let run = hold::run();
        let mut requests = Self { bytes: Vec::new(), ends: Vec::with_capacity(count.0) };
        let seats = performances.iter().flat_map(|performance| labels.iter().map(move |label| (performance, label)));
        for (place, (performance, label)) in seats.take(count.0).enumerate() {
            let path = format!("/v1/performances/{performance}/holds");
            let (token, key) = (&tokens[place % tokens.len()], hold::key(run, place));
            requests.push(&post(address, &path, token, &key, &hold::body(label)));
        }
        requests
    }

    fn push(&mut self, request: &str) {
        self.bytes.extend_from_slice(request.as_bytes());
        self.ends.push(self.bytes.len());
    }

    /// The request at a place; nothing behind the last.
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
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
