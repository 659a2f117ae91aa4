//! One keep-alive connection that speaks just enough HTTP/1.1, cheaply: requests are written into a buffer that is
//! used again and again, answers are read into another, and one request is under way at a time.
//!
//! Deliberately not a general client: no TLS, no redirects, no chunked bodies, no pipelining. Strict where a load
//! generator must be: an answer without Content-Length, or with bytes behind its end, is a failure and not a guess.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What to send.
pub(crate) struct Request<'a> {
    /// GET, POST, DELETE.
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) path: fmt::Arguments<'a>,
    /// The access token.
    pub(crate) token: Option<&'a str>,
    /// The idempotency key.
    pub(crate) key: Option<fmt::Arguments<'a>>,
    /// `If-None-Match`.
    pub(crate) etag: Option<&'a str>,
    /// JSON; empty for none.
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A GET without anything.
    pub(crate) fn get(path: fmt::Arguments<'a>) -> Self {
        Self { method: "GET", path, token: None, key: None, etag: None, body: &[] }
    }
}

/// An answer's head, and where its body lies in the connection's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
    pub(crate) etag: Option<String>,
    pub(crate) retry_after_seconds: Option<u32>,
    closes: bool,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No connection: nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke while the request was under way.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The server closed the connection without an answer.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// What came is not the HTTP that the contract has.
    #[error("the server's answer is not well-formed: {0}")]
    Malformed(&'static str),
}

impl Failure {
    /// Whether the server may have acted on the request.
    pub(crate) fn may_have_acted(&self) -> bool {
        !matches!(self, Self::Connect(_))
    }
}

/// A keep-alive connection to the server, made when it is first needed and again after it broke.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    authority: Arc<str>,
    timeout: Duration,
    stream: Option<TcpStream>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Connection {
    /// Larger than a hold's or a booking's answer: a read that does not fill the buffer spares one more system call.
    const BUFFER_BYTES: usize = 16 * 1024;
    /// A full page of bookings of a stadium is far smaller.
    const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
    const HEADERS_MAX: usize = 64;

    /// A connection that is not open yet. `authority` goes into `Host`.
    pub(crate) fn new(address: SocketAddr, authority: Arc<str>, timeout: Duration) -> Self {
        let incoming = vec![0; Self::BUFFER_BYTES];
        Self { address, authority, timeout, stream: None, outgoing: Vec::with_capacity(1024), incoming }
    }

    /// Opens the connection if it is not open.
    ///
    /// # Errors
    /// [`Failure::Connect`] or [`Failure::TimedOut`].
    pub(crate) async fn open(&mut self) -> Result<(), Failure> {
        if self.stream.is_none() {
            let opening = tokio::time::timeout(self.timeout, connect(self.address)).await;
            self.stream = Some(opening.map_err(|_| Failure::TimedOut(self.timeout))??);
        }
        Ok(())
    }

    /// Writes a request into the buffer; [`Self::exchange`] sends it, more than once if it must be.
    pub(crate) fn write(&mut self, request: &Request<'_>) {
        self.outgoing.clear();
        write_request(&mut self.outgoing, &self.authority, request).expect("writing into memory cannot fail");
    }

    /// Sends what was written last and reads the answer.
    ///
    /// # Errors
    /// [`Failure`]; the connection is then closed, and opened anew by the next exchange.
    pub(crate) async fn exchange(&mut self) -> Result<Response, Failure> {
        // A timer costs less than what it guards against: a server that never answers would stop a bot for ever.
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.attempt()).await.unwrap_or(Err(Failure::TimedOut(timeout)))
    }

    /// The bytes of an answer's body.
    pub(crate) fn body(&self, response: &Response) -> &[u8] {
        &self.incoming[response.body.clone()]
    }

    async fn attempt(&mut self) -> Result<Response, Failure> {
        // Taken out, so that a failure or a timeout drops it: a broken connection is never used again.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        stream.write_all(&self.outgoing).await.map_err(Failure::Broken)?;
        let response = self.read(&mut stream).await?;
        if !response.closes {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    async fn read(&mut self, stream: &mut TcpStream) -> Result<Response, Failure> {
        let mut filled = 0;
        loop {
            let read = stream.read(&mut self.incoming[filled..]).await.map_err(Failure::Broken)?;
            if read == 0 {
                return Err(Failure::Closed);
            }
            filled += read;
            let Some(response) = parse(&self.incoming[..filled])? else {
                self.make_room(filled)?;
                continue;
            };
            if filled > response.body.end {
                return Err(Failure::Malformed("there are bytes behind the body"));
            }
            if filled == response.body.end {
                return Ok(response);
            }
            self.incoming.resize(response.body.end.max(self.incoming.len()), 0);
            let rest = &mut self.incoming[filled..response.body.end];
            stream.read_exact(rest).await.map_err(Failure::Broken)?;
            return Ok(response);
        }
    }

    fn make_room(&mut self, filled: usize) -> Result<(), Failure> {
        if filled < self.incoming.len() {
            return Ok(());
        }
        if filled >= 8 * Self::BUFFER_BYTES {
            return Err(Failure::Malformed("the head is longer than 128 KiB"));
        }
        self.incoming.resize(2 * filled, 0);
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(Failure::Connect)?;
    stream.set_nodelay(true).map_err(Failure::Connect)?;
    Ok(stream)
}

fn write_request(out: &mut Vec<u8>, authority: &str, request: &Request<'_>) -> io::Result<()> {
    write!(out, "{} {} HTTP/1.1\r\nHost: {authority}\r\n", request.method, request.path)?;
    if let Some(token) = request.token {
        write!(out, "Authorization: Bearer {token}\r\n")?;
    }
    if let Some(key) = request.key {
        write!(out, "Idempotency-Key: {key}\r\n")?;
    }
    if let Some(etag) = request.etag {
        write!(out, "If-None-Match: {etag}\r\n")?;
    }
    if !request.body.is_empty() {
        write!(out, "Content-Type: application/json\r\nContent-Length: {}\r\n", request.body.len())?;
    } else if request.method == "POST" {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(request.body);
    Ok(())
}

/// Reads the head of an answer; `None` while it is not all there.
fn parse(bytes: &[u8]) -> Result<Option<Response>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; Connection::HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes).map_err(|_| Failure::Malformed("the head cannot be read"))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let status = head.code.ok_or(Failure::Malformed("there is no status"))?;
    let mut response =
        Response { status, body: 0..0, etag: None, retry_after_seconds: None, closes: head.version != Some(1) };
    let mut length = None;
    for header in head.headers.iter() {
        read_header(&mut response, &mut length, header)?;
    }
    let length = match (status, length) {
        (100..=199, _) => return Err(Failure::Malformed("an interim answer was not asked for")),
        (204 | 304, _) => 0,
        (_, Some(length)) => length,
        (_, None) => return Err(Failure::Malformed("there is no Content-Length")),
    };
    if length > Connection::RESPONSE_BYTES_MAX {
        return Err(Failure::Malformed("the body is longer than 64 MiB"));
    }
    response.body = head_bytes..head_bytes + length;
    Ok(Some(response))
}

fn read_header(
    response: &mut Response,
    length: &mut Option<usize>,
    header: &httparse::Header<'_>,
) -> Result<(), Failure> {
    let text = || std::str::from_utf8(header.value).ok().map(str::trim);
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    // The names are told apart by their length first: most headers are none of these.
    match header.name.len() {
        4 if is("etag") => response.etag = text().map(str::to_owned),
        10 if is("connection") => response.closes |= text().is_some_and(|value| value.eq_ignore_ascii_case("close")),
        11 if is("retry-after") => response.retry_after_seconds = text().and_then(|value| value.parse().ok()),
        14 if is("content-length") => {
            let value = text().and_then(|value| value.parse().ok());
            let value = value.ok_or(Failure::Malformed("Content-Length is no number"))?;
            if length.replace(value).is_some_and(|earlier| earlier != value) {
                return Err(Failure::Malformed("there are two Content-Lengths"));
            }
        }
        17 if is("transfer-encoding") => return Err(Failure::Malformed("the body has a Transfer-Encoding")),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn sent(request: &Request<'_>) -> String {
        let mut out = Vec::new();
        write_request(&mut out, "localhost:1", request).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_has_what_the_contract_asks_for_and_nothing_else() {
        assert_eq!(sent(&Request::get(format_args!("/x"))), "GET /x HTTP/1.1\r\nHost: localhost:1\r\n\r\n");
        let post = Request {
            method: "POST",
            path: format_args!("/v1/bookings"),
            token: Some("t"),
            key: Some(format_args!("k-{}", 1)),
            etag: None,
            body: b"{}",
        };
        let lines = "POST /v1/bookings HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: Bearer t\r\n\
            Idempotency-Key: k-1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(sent(&post), lines);
    }

    #[test]
    fn an_answer_is_read_when_its_head_is_complete() {
        let text = b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\nRetry-After: 3\r\nETag: \"7\"\r\n\r\n{}";
        assert_eq!(parse(&text[..40]).unwrap(), None);
        let response = parse(text).unwrap().unwrap();
        assert_eq!((response.status, response.retry_after_seconds), (409, Some(3)));
        assert_eq!((&text[response.body], response.etag.as_deref()), (&b"{}"[..], Some("\"7\"")));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body.len(), 0);
    }

    #[test]
    fn what_the_contract_does_not_have_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(matches!(parse(text.as_bytes()), Err(Failure::Malformed(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_made_anew_after_it_was_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for answers in [2, 1] {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..answers {
                    let mut request = [0; 256];
                    let read = stream.read(&mut request).await.unwrap();
                    assert!(request[..read].ends_with(b"\r\n\r\n"));
                    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n{:40000}", "x");
                    stream.write_all(large.as_bytes()).await.unwrap();
                }
            }
        });
        let mut connection = Connection::new(address, "test".into(), Duration::from_secs(10));
        connection.write(&Request::get(format_args!("/")));
        for _ in 0..2 {
            let response = connection.exchange().await.unwrap();
            assert_eq!((connection.body(&response).len(), connection.body(&response)[0]), (40_000, b'x'));
        }
        let failure = connection.exchange().await.unwrap_err();
        assert!(failure.may_have_acted(), "{failure}");
        assert_eq!(connection.exchange().await.unwrap().status, 200);
        server.await.unwrap();
        assert!(!connection_refused(address).await.may_have_acted());
    }

    async fn connection_refused(address: SocketAddr) -> Failure {
        let mut connection = Connection::new(address, "test".into(), Duration::from_secs(10));
        connection.open().await.unwrap_err()
    }
}
