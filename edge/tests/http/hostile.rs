//! The corpus of malformed requests against a real server: each is refused or cut off, does nothing, and leaves the
//! server as it was for everybody else.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use onrush_edge::config::Config;
use serde_json::json;

use crate::corpus::{self, Entry, Words};
use crate::fixture::{Hall, Seat, Server};
use crate::frames::{self, field};
use crate::heard::{Said, said};

/// Connections at one time.
const AT_ONCE: usize = 32;

/// The place that the first entry of the corpus might hold; each has one of its own. All have the same number of
/// digits, so that the corpus can tell the length of a wish.
pub(crate) const FIRST_PLACE: usize = 1000;

/// What is never finished is not waited for long; and one account may send all that this machine can.
pub(crate) fn config() -> Config {
    let second = Duration::from_secs(1);
    Config {
        requests_per_second_per_account: 1_000_000,
        header_read_timeout: second,
        body_read_timeout: second,
        write_timeout: second,
        request_timeout: second * 3,
        ..Config::default()
    }
}

pub(crate) fn hall() -> Hall {
    let many = json!({"max_seats_per_buyer": 100, "max_holds_per_buyer": 100});
    Hall::on(Server::with(config()), &[("/sale", many), ("/seat_map/sections/2/capacity", json!(9000))])
}

/// What the corpus calls by name. The canary is a well-formed hold: where it is let out, its place is seen to be held.
pub(crate) fn words(hall: &Hall, place: usize) -> Box<Words> {
    let wish = format!(r#"{{"seats":["Floor-{place}"]}}"#);
    let (token, path) = (hall.buyer("acc_kim"), hall.path("/holds"));
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n";
    let hold = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    let post = format!("{hold}Authorization: Bearer {token}\r\n");
    let canary = format!("{post}Content-Length: {}\r\n\r\n{wish}", wish.len());
    let fields = |fields: &[(&str, &str)]| fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    let bearer = format!("Bearer {token}");
    let get_fields = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/healthz"), (":authority", "x")]);
    let post_fields = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "x"),
        ("authorization", &bearer),
        ("content-type", "application/json"),
    ]);
    Box::from([
        ("canary", canary.into()),
        ("wish", wish.into()),
        ("token", token.into()),
        ("holds", path.into()),
        // Heads that an entry goes on with: of an honest read, of a hold, and of a hold with a token.
        ("get", get.into()),
        ("hold", hold.into()),
        ("post", post.into()),
        // HTTP/2: a greeting, and the headers of the same.
        ("greeting", frames::GREETING.into()),
        ("get-fields", get_fields),
        ("post-fields", post_fields),
    ])
}

/// Sends bytes on a connection of their own, and listens until the server hangs up. Once there are so many answers,
/// says that no more will be sent.
pub(crate) fn answer(hall: &Hall, bytes: &[u8], answers: Option<usize>) -> Result<Vec<Said>, String> {
    let mut connection = hall.connect();
    connection.send(bytes);
    let enough = |bytes: &[u8]| answers.is_some_and(|answers| said(bytes).is_ok_and(|said| said.len() >= answers));
    said(&connection.everything(enough).ok_or("the connection stayed open")?)
}

/// Checks each of many things, several at a time; what went wrong.
pub(crate) fn at_once<T: Sync>(all: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let left = Mutex::new(all.iter());
    let next = || left.lock().expect("nobody panics meanwhile").next();
    let work = || std::iter::from_fn(next).filter_map(|one| check(one).err()).collect::<Vec<String>>();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a check does not panic")).collect()
    })
}

fn check(hall: &Hall, entry: &Entry) -> Result<(), String> {
    let said = answer(hall, &entry.bytes, entry.answers());
    if !said.as_ref().is_ok_and(|said| entry.allows(said)) {
        return Err(format!("{} was answered with {said:?}", entry.name()));
    }
    match hall.get("/healthz").send().status {
        200 => Ok(()),
        status => Err(format!("{} and then an honest request was answered with {status}", entry.name())),
    }
}

/// The labels of seats that are not free.
fn taken(hall: &Hall) -> Vec<String> {
    hall.seats().into_iter().filter(|(_, seat)| *seat != Seat::Free).map(|(label, _)| label).collect()
}

/// Otherwise it would prove nothing that no canary is heard.
#[test]
fn a_canary_that_is_let_out_is_seen() {
    let hall = hall();
    let text = r"<canary><get>Connection: close\r\n\r\n => 201, 200 (open)
        <post>Connection: close\r\nContent-Length: <length>\r\n\r\n<wish> => 201 (open)
        <greeting> @HEADERS 4 1 <post-fields> @DATA 1 1 <wish> @GOAWAY 0 0 <\x00*8> => 201 (open)
        <greeting> @HEADERS 5 1 <get-fields> @GOAWAY 0 0 <\x00*8> => 200 (open)";
    let mut places = FIRST_PLACE..;
    let entries = corpus::entries("canary", text, || words(&hall, places.next().expect("there are more numbers")));
    let failed = at_once(&entries, |entry| check(&hall, entry));
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(taken(&hall), ["Floor-1000", "Floor-1001", "Floor-1002"]);
}

#[test]
fn nothing_of_the_corpus_is_served() {
    let hall = hall();
    let mut places = FIRST_PLACE..;
    let mut words = || words(&hall, places.next().expect("there are more numbers"));
    let entries: Vec<Entry> =
        corpus::files().iter().flat_map(|(file, text)| corpus::entries(file, text, &mut words)).collect();
    let texts: HashSet<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
    assert!(texts.len() >= 300, "{} different requests", texts.len());
    let failed = at_once(&entries, |entry| check(&hall, entry));
    assert!(failed.is_empty(), "{} of {} entries: {failed:#?}", failed.len(), entries.len());
    let taken = taken(&hall);
    let places = (FIRST_PLACE..).map(|place| format!("Floor-{place}")).zip(&entries);
    let let_out = places.filter(|(place, _)| taken.contains(place)).map(|(_, entry)| entry.name());
    assert!(taken.is_empty(), "{taken:?} are held after {:#?}", let_out.collect::<Vec<_>>());
}
