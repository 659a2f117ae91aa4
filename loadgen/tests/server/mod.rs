//! The smallest server that a rush can be sent against: one hall of 120 seats in rows of ten, in memory, behind just
//! enough HTTP/1.1. It can be told to be dishonest or unlucky.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use onrush_api::bookings::BookingRequest;
use onrush_api::holds::HoldRequest;
use onrush_api::problem::{Kind, Problem};
use serde_json::{Value, json};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manners {
    /// One seat is never taken: everybody may have it.
    pub(crate) sells_twice: bool,
    /// The first booking is acknowledged and forgotten.
    pub(crate) loses_a_booking: bool,
    /// Every fifth booking is made, and the connection closed instead of an answer.
    pub(crate) breaks_after_booking: bool,
    /// Every booking is made, and its outcome is said to be unknown.
    pub(crate) never_knows: bool,
    /// Holds end when an availability without free seats is asked for.
    pub(crate) ends_holds_when_full: bool,
}

const SEATS: usize = 120;
const PERFORMANCE: &str = "perf_0000000000001";
const FREE: u8 = 0;
const HELD: u8 = 1;
const BOOKED: u8 = 2;

struct Hall {
    manners: Manners,
    version: u64,
    states: Vec<u8>,
    holds: HashMap<String, (String, Vec<usize>)>,
    bookings: Vec<Value>,
    /// Answers by idempotency key.
    replays: HashMap<String, (u16, Value)>,
    broken: HashMap<String, ()>,
}

/// What a client sent.
struct Request {
    method: String,
    path: String,
    key: String,
    account: String,
    body: Vec<u8>,
}

/// Starts a server on a free port; it ends with the process.
pub(crate) fn start(manners: Manners) -> SocketAddr {
    let hall = Hall {
        manners,
        version: 1,
        states: vec![FREE; SEATS],
        holds: HashMap::new(),
        bookings: Vec::new(),
        replays: HashMap::new(),
        broken: HashMap::new(),
    };
    let hall = Arc::new(Mutex::new(hall));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, hall) = (stream.unwrap(), Arc::clone(&hall));
            thread::spawn(move || serve(stream, &hall));
        }
    });
    address
}

fn serve(mut stream: TcpStream, hall: &Mutex<Hall>) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        let Some((status, body)) = hall.lock().unwrap().answer(&request) else { return };
        let body = if status == 204 { String::new() } else { body.to_string() };
        let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nETag: \"x\"\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let account = headers.get("authorization").map(|token| subject(token)).unwrap_or_default();
    let key = headers.remove("idempotency-key").unwrap_or_default();
    Some(Request { method, path, key, account, body })
}

/// Whom a token speaks for, believed unseen.
fn subject(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["sub"].as_str().unwrap().to_owned()
}

fn label(seat: usize) -> String {
    format!("A-{}-{}", seat / 10 + 1, seat % 10 + 1)
}

fn seat(label: &str) -> usize {
    let (row, seat) = label.strip_prefix("A-").unwrap().split_once('-').unwrap();
    (row.parse::<usize>().unwrap() - 1) * 10 + seat.parse::<usize>().unwrap() - 1
}

fn priced(seats: &[usize]) -> Value {
    seats
        .iter()
        .map(|&seat| json!({"label": label(seat), "tier": "x", "price": {"amount": 0, "currency": "KRW"}}))
        .collect()
}

fn problem(kind: Kind) -> (u16, Value) {
    (kind.status(), serde_json::to_value(Problem::new(kind).body()).unwrap())
}

impl Hall {
    fn answer(&mut self, request: &Request) -> Option<(u16, Value)> {
        if let Some(known) = self.replays.get(&request.key) {
            return Some(known.clone());
        }
        let path = request.path.split('?').next().unwrap();
        let answer = match (request.method.as_str(), path.trim_start_matches("/v1/")) {
            ("POST", "shows") => (201, show()),
            ("POST", path) if path.ends_with("/performances") => (201, performance()),
            ("POST", "bookings") => return self.book(request),
            ("POST", _) => self.hold(request),
            ("GET", path) if !path.contains(PERFORMANCE) => problem(Kind::NotFound),
            ("GET", path) if path.ends_with("/seat-map") => (200, seat_map()),
            ("GET", path) if path.ends_with("/availability") => (200, self.availability()),
            ("GET", path) if path.ends_with("/bookings") => (200, self.list(&request.path)),
            ("DELETE", path) => self.release(path.trim_start_matches("holds/")),
            _ => problem(Kind::NotFound),
        };
        Some(answer)
    }

    fn hold(&mut self, request: &Request) -> (u16, Value) {
        let wish: HoldRequest = serde_json::from_slice(&request.body).unwrap();
        let free: Vec<usize> = (0..SEATS).filter(|&seat| self.states[seat] == FREE).collect();
        let seats: Vec<usize> = match (wish.seats, wish.best_available) {
            (Some(labels), _) => labels.iter().map(|label| seat(label)).collect(),
            (None, Some(best)) if best.quantity as usize > free.len() => {
                let mut refusal = Problem::new(Kind::SeatsUnavailable);
                refusal = refusal.with(|body| body.remaining = Some(free.len() as u64));
                return (409, serde_json::to_value(refusal.body()).unwrap());
            }
            (None, Some(best)) => free[..best.quantity as usize].to_vec(),
            (None, None) => return problem(Kind::InvalidBody),
        };
        if seats.iter().any(|&seat| self.states[seat] != FREE) {
            return problem(Kind::SeatsUnavailable);
        }
        for &seat in &seats {
            self.set(seat, HELD);
        }
        let id = format!("hold_{:032}", self.version);
        self.holds.insert(id.clone(), (request.account.clone(), seats.clone()));
        (201, json!({"id": id, "seats": priced(&seats)}))
    }

    fn release(&mut self, hold: &str) -> (u16, Value) {
        for seat in self.holds.remove(hold).map(|hold| hold.1).unwrap_or_default() {
            self.set(seat, FREE);
        }
        (204, Value::Null)
    }

    fn book(&mut self, request: &Request) -> Option<(u16, Value)> {
        let wish: BookingRequest = serde_json::from_slice(&request.body).unwrap();
        let Some((buyer, seats)) = self.holds.remove(&wish.hold.0.to_string()) else {
            return Some(problem(Kind::HoldExpired));
        };
        for &seat in &seats {
            self.set(seat, BOOKED);
        }
        let booking = json!({
            "id": format!("bkg_{:032}", self.version), "performance": PERFORMANCE, "buyer": buyer,
            "status": "confirmed", "seats": priced(&seats), "cancelled_seats": [], "purpose": null,
            "total": {"amount": 0, "currency": "KRW"}, "cancellation": {"until": "2026-12-01T09:00:00Z", "refund": []}, "created_at": "2026-12-01T09:00:00Z",
        });
        self.bookings.push(booking.clone());
        let answer = if self.manners.never_knows { problem(Kind::OutcomeUnknown) } else { (201, booking) };
        self.replays.insert(request.key.clone(), answer.clone());
        let breaks = self.manners.breaks_after_booking && self.bookings.len().is_multiple_of(5);
        (!breaks || self.broken.insert(request.key.clone(), ()).is_some()).then_some(answer)
    }

    /// Where a seat is sold twice, the first one never looks taken to those who hold.
    fn set(&mut self, seat: usize, state: u8) {
        self.version += 1;
        if !(self.manners.sells_twice && seat == 0) {
            self.states[seat] = state;
        }
    }

    fn availability(&mut self) -> Value {
        if self.manners.ends_holds_when_full && !self.states.contains(&FREE) {
            for (_, (_, seats)) in std::mem::take(&mut self.holds) {
                seats.into_iter().for_each(|seat| self.set(seat, FREE));
            }
        }
        let byte = |four: &[u8]| four.iter().rev().fold(0, |byte, state| byte << 2 | state);
        let bytes: Vec<u8> = self.states.chunks(4).map(byte).collect();
        let free = self.states.iter().filter(|&&state| state == FREE).count();
        json!({
            "version": self.version, "as_of": "2026-12-01T09:00:00Z",
            "remaining": {"total": free, "by_tier": {}, "by_section": {}},
            "seats": base64::engine::general_purpose::STANDARD.encode(bytes),
        })
    }

    /// Pages of ten, whatever is asked for: a page may always be shorter.
    fn list(&self, path: &str) -> Value {
        let from: usize = path.split_once("cursor=c").map_or(0, |(_, cursor)| cursor.parse().unwrap());
        let skipped = usize::from(self.manners.loses_a_booking);
        let listed: Vec<&Value> = self.bookings.iter().skip(skipped).collect();
        let next = (from + 10 < listed.len()).then(|| format!("c{}", from + 10));
        json!({"items": listed.iter().skip(from).take(10).collect::<Vec<_>>(), "next_cursor": next})
    }
}

fn seat_map() -> Value {
    let rows: Vec<Value> = (1..=SEATS / 10).map(|row| json!({"name": row.to_string(), "seats": 10})).collect();
    let section = json!({"kind": "reserved", "name": "A", "tier": "x", "rows": rows});
    json!({"version": 1, "capacity": SEATS, "sections": [section]})
}

fn show() -> Value {
    json!({
        "id": "show_0000000000001", "seller": "acc_rush-seller", "title": "Rush", "field": "concert", "cast": [],
        "venue": "", "description": "", "poster_url": null, "created_at": "2026-12-01T09:00:00Z", "performances": [],
        "on_sale": false,
    })
}

fn performance() -> Value {
    let time = "2026-12-01T09:00:00Z";
    json!({
        "id": PERFORMANCE, "show": "show_0000000000001", "starts_at": time, "ends_at": time, "capacity": SEATS,
        "tiers": [], "on_sale": true, "seats_left": "plenty", "cancelled": null, "sale": {
            "opens_at": time, "closes_at": time, "hold_ttl_seconds": 10, "max_seats_per_buyer": 8,
            "max_holds_per_buyer": 4, "approval": "automatic", "cancel_until": time, "refund": [],
            "waiting_room": null,
        },
    })
}
