//! Slowloris: one host opens two thousand connections and does on each as little as it can to keep it. Each kind would
//! keep its connection for many minutes if nobody looked at the time; the server closes all, and honest buyers go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::corpus;
use crate::fixture::{Hall, Server, eventually};
use crate::frames::{END_HEADERS, END_STREAM, GREETING, frame};
use crate::honest::meanwhile;
use crate::hostile::{FIRST_PLACE, config, words};

/// This test holds both ends of each. They come from this machine, whose addresses may open any number.
const CONNECTIONS: usize = 2_000;
/// Between two drops.
const PACE: Duration = Duration::from_millis(100);
/// How long the test waits for all to be closed: any number of times what the server allows.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a connection is kept.
struct Slow {
    name: &'static str,
    /// Sent at once.
    opening: Vec<u8>,
    /// Sent at each step.
    drip: Vec<u8>,
    /// Read at each step.
    sip: usize,
}

fn kinds(hall: &Hall) -> Vec<Slow> {
    let words = words(hall, FIRST_PLACE);
    let word = |name| corpus::word(&words, name).expect("the corpus has this word");
    let (get, post) = (word("get"), word("post"));
    let ping = || frame("PING", 0, 0, &[0; 8]);
    let page = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = frame("HEADERS", END_HEADERS, 1, word("post-fields"));
    let no_window = frame("SETTINGS", 0, 0, &[0, 4, 0, 0, 0, 0]);
    let read = frame("HEADERS", END_HEADERS | END_STREAM, 1, word("get-fields"));
    let slow =
        |name, opening: &[&[u8]], drip: &[u8], sip| Slow { name, opening: opening.concat(), drip: drip.into(), sip };
    vec![
        slow("says nothing", &[], b"", 1),
        slow("sends empty lines", &[], b"\r\n", 1),
        slow("sends a header byte by byte", &[get, b"X: "], b"y", 1),
        slow("sends headers one by one", &[get], b"X: y\r\n", 1),
        slow("asks once, and stays", &[get, b"\r\n"], b"", 100),
        slow("sends a body byte by byte", &[post, b"Content-Length: 10000\r\n\r\n"], b" ", 1),
        slow("reads nothing", &[&page.repeat(100)], b"G", 0),
        slow("reads in sips", &[&page.repeat(100)], b"G", 100),
        slow("HTTP/2: sends half a greeting", &[b"PRI * HTTP/2.0\r\n\r\n"], b"", 1),
        slow("HTTP/2: asks nothing", &[GREETING], &ping(), 100),
        slow("HTTP/2: sends a body byte by byte", &[GREETING, &head], &frame("DATA", 0, 1, b" "), 100),
        slow("HTTP/2: takes no answer", &[GREETING, &no_window, &read], &ping(), 100),
    ]
}

/// Keeps a connection for as long as the server lets it.
async fn keep(mut stream: TcpStream, slow: &Slow) {
    let mut pace = tokio::time::interval(PACE);
    let mut sip = vec![0; slow.sip];
    let mut closed = stream.write_all(&slow.opening).await.is_err();
    while !closed {
        pace.tick().await;
        closed = stream.write_all(&slow.drip).await.is_err();
        if !sip.is_empty() {
            closed |= match stream.try_read(&mut sip) {
                Ok(read) => read == 0,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
        }
    }
}

/// How many of each kind were closed.
async fn keep_all(hall: &Hall, kinds: &Arc<[Slow]>) -> BTreeMap<&'static str, usize> {
    let mut kept = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (kinds, stream) = (Arc::clone(kinds), connect(hall).await);
        kept.spawn(async move {
            let slow = &kinds[number % kinds.len()];
            keep(stream, slow).await;
            slow.name
        });
    }
    let mut closed = BTreeMap::new();
    let count = async {
        while let Some(name) = kept.join_next().await {
            *closed.entry(name.expect("nothing panics")).or_default() += 1;
        }
    };
    tokio::time::timeout(PATIENCE, count).await.ok();
    closed
}

async fn connect(hall: &Hall) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Little room here, and segments as small as on a bad line: else the kernel would take megabytes for a slow reader.
    socket.set_recv_buffer_size(4096).expect("a socket has buffers");
    socket2::SockRef::from(&socket).set_tcp_mss(536).expect("a socket has options");
    socket.connect(hall.addresses[0]).await.expect("the server listens")
}

/// As many descriptors as this process may have.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a process may have what it may have");
    let enough = maximum.is_none_or(|maximum| maximum >= 2 * CONNECTIONS as u64 + 500);
    assert!(enough, "this test needs {} descriptors, not {maximum:?}", 2 * CONNECTIONS + 500);
}

#[test]
fn two_thousand_slow_connections_are_closed_while_others_buy() {
    raise_descriptor_limit();
    let hall = Hall::on(Server::with(config()), &[]);
    let kinds: Arc<[Slow]> = kinds(&hall).into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let closed = meanwhile(&hall, || runtime.block_on(keep_all(&hall, &kinds)));
    let mut all = BTreeMap::new();
    for number in 0..CONNECTIONS {
        *all.entry(kinds[number % kinds.len()].name).or_default() += 1;
    }
    assert_eq!(closed, all);
    let one = || hall.get("/metrics").expect(200).text().contains("\nonrush_http_connections 1\n");
    // The one that asks.
    eventually(|| one().then_some(()));
}
