//! The comparison: what the server lists after a restart, against what its buyers were told.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onrush_api::availability::Availability;
use onrush_api::bookings::Booking;
use onrush_api::holds::Hold;
use onrush_api::page::Page;

use crate::hall::{self, CAPACITY, Tokens};
use crate::http::{Call, Connection};
use crate::visit::Visit;

/// What is not as it was acknowledged, in sentences.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Bookings, cancellations and holds that were acknowledged and are not there, or are different.
    pub(crate) lost: Vec<String>,
    /// Seats that stand in two bookings.
    pub(crate) double_sold: Vec<String>,
    /// What nobody was told of, and sums that do not add up.
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.double_sold.is_empty() && self.wrong.is_empty()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.double_sold.extend(other.double_sold);
        self.wrong.extend(other.wrong);
    }
}

/// Sends again what was never answered, twice each: both answers are the same one, and the visit has it from then on.
pub(crate) fn resolve(connection: &mut Connection, tokens: &Tokens, visits: &mut [Visit]) -> Findings {
    let mut findings = Findings::default();
    for visit in visits.iter_mut().filter(|visit| visit.open.is_some()) {
        let call = visit.open.clone().expect("just looked");
        let token = tokens.buyer(visit.buyer);
        let (first, second) = (connection.ask(&call, &token), connection.ask(&call, &token));
        if (first.status, &first.body) != (second.status, &second.body) {
            findings.wrong.push(format!("{call:?}: first {}, then {}", first.text(), second.text()));
        }
        if first.status < 300 && call.key.is_some() && !second.replayed {
            findings.wrong.push(format!("{call:?} was carried out twice: {}", second.text()));
        }
        // Its step rests on an earlier answer: where that is gone, it is refused.
        visit.learn(&first).unwrap_or_else(|surprise| findings.lost.push(surprise));
    }
    findings
}

/// Compares a performance with its visits, of which none is open.
pub(crate) fn audit(connection: &mut Connection, tokens: &Tokens, performance: &str, visits: &[Visit]) -> Findings {
    let mut findings = Findings::default();
    let Some(listed) = bookings(connection, tokens, performance) else {
        let gone = visits.iter().filter_map(|visit| visit.booking.as_ref());
        findings.lost.push(format!("{performance} is not there"));
        findings.lost.extend(gone.map(|booking| format!("{} is not there, nor its performance", booking.id.0)));
        return findings;
    };
    compare_bookings(&listed, visits, &mut findings);
    find_double_sold(&listed, &mut findings);
    let mut seats = vec![FREE; CAPACITY];
    mark_held(connection, tokens, visits, &mut seats, &mut findings);
    let booked = visits.iter().filter_map(|visit| visit.booking.as_ref()).flat_map(|booking| &booking.seats);
    booked.for_each(|seat| seats[hall::place(&seat.label)] = BOOKED);
    compare_seats(connection, tokens, performance, &seats, &mut findings);
    findings
}

const FREE: u8 = 0;
const HELD: u8 = 1;
const BOOKED: u8 = 2;

/// All bookings of a performance; nothing where the server does not know it.
fn bookings(connection: &mut Connection, tokens: &Tokens, performance: &str) -> Option<Vec<Booking>> {
    let (token, mut listed, mut cursor) = (tokens.seller(), Vec::new(), String::new());
    loop {
        let path = format!("/v1/performances/{performance}/bookings?limit=200{cursor}");
        let response = connection.ask(&Call::get(path), &token);
        if response.status == 404 {
            return None;
        }
        assert_eq!(response.status, 200, "the list of bookings of {performance}: {}", response.text());
        let page: Page<Booking> = response.json();
        listed.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(listed),
        }
    }
}

fn compare_bookings(listed: &[Booking], visits: &[Visit], findings: &mut Findings) {
    let mut listed: BTreeMap<_, _> = listed.iter().map(|booking| (booking.id, booking)).collect();
    for told in visits.iter().filter_map(|visit| visit.booking.as_ref()) {
        match listed.remove(&told.id) {
            None => findings.lost.push(format!("{} is not there", told.id.0)),
            Some(found) if found != told => findings.lost.push(format!("told {told:?}, found {found:?}")),
            Some(_) => {}
        }
    }
    findings.wrong.extend(listed.keys().map(|id| format!("nobody was told of {}", id.0)));
}

fn find_double_sold(listed: &[Booking], findings: &mut Findings) {
    let mut sold = BTreeSet::new();
    let seats = listed.iter().flat_map(|booking| &booking.seats);
    let twice = seats.filter(|seat| !sold.insert(&seat.label));
    findings.double_sold.extend(twice.map(|seat| seat.label.clone()));
}

/// Every acknowledged hold is still there, for as long as was promised at least, unless its time was up.
fn mark_held(c: &mut Connection, tokens: &Tokens, visits: &[Visit], seats: &mut [u8], findings: &mut Findings) {
    for (visit, told) in visits.iter().filter_map(|visit| Some((visit, visit.holds()?))) {
        let response = c.ask(&Call::get(format!("/v1/holds/{}", told.id.0)), &tokens.buyer(visit.buyer));
        if response.status == 410 && told.expires_at.0 <= hall::now() {
            continue;
        }
        told.seats.iter().for_each(|seat| seats[hall::place(&seat.label)] = HELD);
        if response.status != 200 {
            findings.lost.push(format!("{} was held: {}", told.id.0, response.text()));
            continue;
        }
        let found: Hold = response.json();
        if found.seats != told.seats || found.expires_at < told.expires_at {
            findings.lost.push(format!("told {told:?}, found {found:?}"));
        }
    }
}

fn compare_seats(c: &mut Connection, tokens: &Tokens, performance: &str, told: &[u8], findings: &mut Findings) {
    let response = c.ask(&Call::get(format!("/v1/performances/{performance}/availability")), &tokens.seller());
    assert_eq!(response.status, 200, "the availability of {performance}: {}", response.text());
    let availability: Availability = response.json();
    let found = decode(&availability);
    let differing = (0..CAPACITY).filter(|&seat| told[seat] != found[seat]);
    let words = ["free", "held", "booked", "blocked"];
    let sentence = |seat| {
        let (told, found) = (words[usize::from(told[seat])], words[usize::from(found[seat])]);
        format!("seat {seat} should be {told} and is {found}")
    };
    findings.wrong.extend(differing.map(sentence));
    let free = found.iter().filter(|state| **state == FREE).count();
    if free != availability.remaining.total as usize {
        findings.wrong.push(format!("{free} seats are free, {} are said to remain", availability.remaining.total));
    }
}

/// Two bits a seat, from the low bits up; every seat is in one of four states, so that all add up to the capacity.
fn decode(availability: &Availability) -> Vec<u8> {
    let text = availability.seats.as_ref().expect("the whole availability was asked for");
    let bytes = STANDARD.decode(text).expect("the seats are base64");
    let states: Vec<u8> = bytes.iter().flat_map(|byte| (0..4).map(move |at| byte >> (2 * at) & 3)).collect();
    assert!(states.len() >= CAPACITY, "{} seats of {CAPACITY}", states.len());
    states[..CAPACITY].to_vec()
}
