//! HTTP/2 floods: many small frames, each of which makes work or takes room. The server sends such a client away, or
//! does not mind it; what it does for it ends with it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use onrush_edge::config::Config;

use crate::corpus;
use crate::fixture::{Hall, Seat, Server, eventually};
use crate::frames::{self, END_HEADERS, END_STREAM, GREETING, field, frame};
use crate::heard::Said;
use crate::honest::meanwhile;
use crate::hostile::{FIRST_PLACE, answer, config, words};

/// Streams or frames of a flood: far more than anybody puts up with, and more than there is room for requests.
const FLOOD: u32 = 5_000;

const CANCEL: &[u8] = &[0, 0, 0, 8];

/// There is room for so few requests that an honest one would be refused if some were never given back.
fn hall() -> Hall {
    Hall::on(Server::with(Config { requests_in_flight_max: 50, ..config() }), &[])
}

/// The frames of each stream.
fn streams(frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    GREETING.iter().copied().chain((0..FLOOD).flat_map(|number| frames(number * 2 + 1))).collect()
}

fn fields(hall: &Hall, name: &str) -> Vec<u8> {
    corpus::word(&words(hall, FIRST_PLACE), name).expect("the corpus has these fields").to_vec()
}

#[track_caller]
fn sent_away(hall: &Hall, flood: &[u8]) {
    let said = meanwhile(hall, || answer(hall, flood, None));
    let last = said.as_ref().ok().and_then(|said| said.last());
    assert!(matches!(last, Some(Said::GoAway(_))), "{said:?}");
}

/// CVE-2023-44487: a request that is taken back at once costs the client nothing, and the server what it began for it.
#[test]
fn who_takes_back_all_that_was_asked_for_is_sent_away() {
    let hall = hall();
    let post = fields(&hall, "post-fields");
    let reset = |stream| frame("RST_STREAM", 0, stream, CANCEL);
    sent_away(&hall, &streams(|stream| [frame("HEADERS", END_HEADERS, stream, &post), reset(stream)].concat()));
    assert!(hall.seats().iter().all(|(_, seat)| *seat == Seat::Free), "no body came to its end");

    let wish = br#"{"best_available":{"quantity":1}}"#;
    let whole = |stream| {
        [frame("HEADERS", END_HEADERS, stream, &post), frame("DATA", END_STREAM, stream, wish), reset(stream)].concat()
    };
    sent_away(&hall, &streams(whole));
    // What was asked for in full is done, and counts for the buyer like any other hold.
    assert!(hall.remaining() >= 27 - 4, "{}", hall.remaining());
}

/// One at a time, so that the server has begun each: no count of requests that were taken back too early can tell this
/// from a client that changes its mind.
#[test]
fn what_was_begun_for_a_request_ends_with_it() {
    let hall = hall();
    let post = fields(&hall, "post-fields");
    meanwhile(&hall, || {
        let mut stream = TcpStream::connect(hall.addresses[0]).expect("the server listens");
        stream.set_nodelay(true).expect("a socket has options");
        stream.write_all(GREETING).expect("a new connection");
        for number in (0..FLOOD).map(|number| number * 2 + 1) {
            let begun = [frame("HEADERS", END_HEADERS, number, &post), frame("PING", 0, 0, &[0; 8])].concat();
            stream.write_all(&begun).expect("the server listens");
            while next_kind(&mut stream) != "PING" {}
            stream.write_all(&frame("RST_STREAM", 0, number, CANCEL)).expect("the server listens");
        }
    });
    let in_flight = || hall.get("/metrics").expect(200).text().contains("\nonrush_http_requests_in_flight 1\n");
    // The one that asks.
    eventually(|| in_flight().then_some(()));
    assert!(hall.seats().iter().all(|(_, seat)| *seat == Seat::Free));
}

fn next_kind(stream: &mut TcpStream) -> &'static str {
    let mut frame = vec![0; frames::HEAD_LEN];
    stream.read_exact(&mut frame).expect("a frame");
    let length = frames::payload_len(&frame);
    frame.resize(frames::HEAD_LEN + length, 0);
    stream.read_exact(&mut frame[frames::HEAD_LEN..]).expect("the rest of it");
    frames::read(&frame).expect("a whole frame").0.kind
}

/// CVE-2024-27316: a head that never ends is kept, or read, for ever.
#[test]
fn a_head_of_endless_frames_is_cut_off() {
    let hall = hall();
    let get = fields(&hall, "get-fields");
    let room = 16 * 1024;
    for fields in [Vec::new(), field("x", "y"), field("x", &"y".repeat(room - 100)), vec![0x82; room]] {
        let begun = [GREETING, &frame("HEADERS", END_STREAM, 1, &get)].concat();
        let flood = [begun, frame("CONTINUATION", 0, 1, &fields).repeat(FLOOD as usize / 10)].concat();
        sent_away(&hall, &flood);
    }
}
