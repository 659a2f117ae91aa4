//! Bare hyper: reads each request to its end and gives one fixed answer. The ceiling for anything built on it.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpSocket;
use tokio::task::LocalSet;

use crate::key::Key;
use crate::process::{Process, Stage};
use crate::requests::{RequestCount, Requests, performances};
use crate::wire::Wire;
use crate::{front, hold};

/// As many connections may wait to be accepted as with Onrush.
const BACKLOG: u32 = 4096;
/// The subcommand under which this program serves: not for people.
pub const SUBCOMMAND: &str = "serve-hyper";

/// Starts bare hyper in a process of its own, with the requests that Onrush would get.
///
/// # Errors
/// Where it does not start.
pub fn start(count: RequestCount) -> anyhow::Result<Stage> {
    let (process, address) = start_self(&[SUBCOMMAND])?;
    let requests = Requests::holds(address, &performances(count), &Key::of_nobody(), count);
    Ok(Stage { processes: vec![process], address, wire: Wire::Http, requests, data: None })
}

/// Starts this program once more, as a server that prints its address.
///
/// # Errors
/// Where it does not start.
pub fn start_self(arguments: &[&str]) -> anyhow::Result<(Process, SocketAddr)> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let output = process.child.stdout.take().context("the server has no output")?;
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address).context("the server did not start")?;
    let address = address.trim().parse().with_context(|| format!("{} did not start", arguments.join(" ")))?;
    Ok((process, address))
}

/// Starts bare hyper with an answer of its own: 200, and what is in a file.
///
/// # Errors
/// Where it does not start.
pub fn start_with_body(body: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    start_self(&[SUBCOMMAND, body.to_str().context("the file's name is no text")?])
}

/// Where this program was started as a server for itself: is that server, and does not come back.
///
/// # Errors
/// Where that server cannot be.
pub fn serve_if_asked() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(SUBCOMMAND) => serve(words.get(1))?,
        Some(front::SUBCOMMAND) => front::serve(&words[1..])?,
        _ => return Ok(()),
    }
    std::process::exit(0)
}

/// Serves a fixed answer until standard input ends.
fn serve(body: Option<&String>) -> anyhow::Result<()> {
    let (status, body) = match body {
        None => (StatusCode::CREATED, Bytes::from_static(hold::ANSWER.as_bytes())),
        Some(path) => (StatusCode::OK, fs::read(path).context("the answer cannot be read")?.into()),
    };
    run(serve_with(move |request| fixed(request, status, body.clone())))
}

/// Runs a server on this thread until standard input ends, so that it never outlives whoever started it.
///
/// # Errors
/// What ends the server.
pub fn run(server: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    std::thread::spawn(|| {
        // Whatever comes, or fails, is the end.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    LocalSet::new().block_on(&runtime, server)
}

/// Answers requests on a port of its own, whose address it prints.
///
/// # Errors
/// Where no port is to be had.
#[expect(clippy::print_stdout, reason = "whoever started it reads the address there")]
pub async fn serve_with<A, F>(answer: A) -> anyhow::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + 'static,
{
    let socket = TcpSocket::new_v4().context("no socket")?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("no port")?;
    let listener = socket.listen(BACKLOG).context("no port")?;
    println!("{}", listener.local_addr().context("no address")?);
    std::io::stdout().flush().context("nobody reads the address")?;
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true).context("no TCP_NODELAY")?;
        let answer = answer.clone();
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        // The client closes when it has measured.
        tokio::task::spawn_local(async { served.await.ok() });
    }
}

/// An answer in JSON.
pub fn answer(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn fixed(
    request: Request<Incoming>,
    status: StatusCode,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off breaks the connection, too.
    request.into_body().collect().await.ok();
    Ok(answer(status, body))
}
