//! Honest requests with a byte or two gone wrong. What comes of one cannot be told beforehand: some are as good as they
//! were, most are refused. But each is answered or cut off, and none is the server's fault.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::corpus;
use crate::fixture::Hall;
use crate::frames::{END_HEADERS, END_STREAM, GREETING, frame};
use crate::heard::Said;
use crate::hostile::{FIRST_PLACE, answer, at_once, hall, words};

/// Of each request.
const MUTATIONS: u64 = 600;

/// What is between a byte that is right and one that is not: what separates, ends, repeats, and what is no text.
const BYTES: &[u8] = b"\0\t\n\r \",/:;=?0159AZaz\x7f\x80\xff";

/// A request that went wrong.
struct Mutation {
    name: String,
    bytes: Vec<u8>,
}

fn mutation(original: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let at = random.random_range(0..bytes.len());
    let byte = BYTES[random.random_range(0..BYTES.len())];
    let end = bytes.len().min(at + random.random_range(1..40));
    match random.random_range(0..7) {
        0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes[at] = byte,
        3 => bytes.insert(at, byte),
        4 => drop(bytes.drain(at..at + 1)),
        5 => bytes.splice(at..at, original[at..end].to_vec()).for_each(drop),
        _ => bytes.truncate(at),
    }
    bytes
}

/// What follows each, so that nobody has to wait for a rest that does not come: it ends a head, fills a body, and is no
/// request.
fn noise() -> Vec<u8> {
    [b"\r\n\r\n".as_slice(), &[0xff; 20_000]].concat()
}

/// The same in HTTP/2: frames that mean nothing, and are no frames to a server that has lost its place.
fn http2_noise() -> Vec<u8> {
    frame("PING", 0, 0, &[0xff; 8]).repeat(1_000)
}

fn check(hall: &Hall, mutation: &Mutation) -> Result<(), String> {
    let said = answer(hall, &mutation.bytes, Some(1));
    let is_fine = |said: &Said| !matches!(said, Said::Status(status) if ![2, 4].contains(&(status / 100)));
    if said.as_ref().is_ok_and(|said| said.iter().all(is_fine)) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&mutation.bytes[..mutation.bytes.len().min(1000)]);
    Err(format!("{}, {shown:?}, was answered with {said:?}", mutation.name))
}

#[test]
fn no_mutation_is_the_servers_fault() {
    let hall = hall();
    let words = words(&hall, FIRST_PLACE);
    let word = |name| corpus::word(&words, name).expect("the corpus has this word");
    let head = frame("HEADERS", END_HEADERS, 1, word("post-fields"));
    let body = frame("DATA", END_STREAM, 1, word("wish"));
    let read = frame("HEADERS", END_HEADERS | END_STREAM, 1, word("get-fields"));
    let originals = [
        ("a hold", word("canary").to_vec(), noise()),
        ("a read and a hold", [word("get"), b"If-None-Match: \"x\"\r\n\r\n", word("canary")].concat(), noise()),
        ("an HTTP/2 hold", [GREETING, &head, &body].concat(), http2_noise()),
        ("an HTTP/2 read", [GREETING, &read].concat(), http2_noise()),
    ];
    let mutations = originals.iter().flat_map(|(name, original, noise)| {
        (0..MUTATIONS).map(move |seed| Mutation {
            name: format!("mutation {seed} of {name}"),
            bytes: [mutation(original, &mut SmallRng::seed_from_u64(seed)), noise.clone()].concat(),
        })
    });
    let failed = at_once(&mutations.collect::<Vec<_>>(), |mutation| check(&hall, mutation));
    assert!(failed.is_empty(), "{failed:#?}");
    hall.get("/healthz").expect(200);
    hall.availability();
}
