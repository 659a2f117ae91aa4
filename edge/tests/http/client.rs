//! A raw HTTP/1.1 client: sends the bytes that a test wants to send, and reads answers to the byte.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing here takes that long; a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read and not yet asked for.
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        stream.set_nodelay(true).expect("a socket has options");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes. A server that has hung up already is a thing to be seen by reading.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).ok();
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// The next answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.next().expect("an answer, not the end of the connection")
    }

    /// The next answer, or nothing where the server has hung up.
    pub(crate) fn next(&mut self) -> Option<Answer> {
        let mut answer = parse_head(&self.until(b"\r\n\r\n")?);
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.buffer.len() < length {
            assert!(self.read_more(), "the body ended early");
        }
        answer.body = self.buffer.drain(..length).collect();
        Some(answer)
    }

    /// The head of the next answer, whose body is read by [`Self::chunk`].
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        parse_head(&self.until(b"\r\n\r\n").expect("an answer, not the end of the connection"))
    }

    /// The next chunk of a body (RFC 9112, section 7.1); nothing behind the last.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").expect("a chunk, or the last");
        let length = std::str::from_utf8(&line).expect("text").trim_end();
        let length = usize::from_str_radix(length, 16).expect("a length");
        while self.buffer.len() < length + 2 {
            assert!(self.read_more(), "the chunk ended early");
        }
        let mut chunk: Vec<u8> = self.buffer.drain(..length + 2).collect();
        assert_eq!(chunk.split_off(length), b"\r\n");
        (length > 0).then_some(chunk)
    }

    /// What comes up to a mark, and the mark; nothing where the server has hung up before.
    fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            if !self.read_more() {
                assert!(self.buffer.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        }
    }

    /// Waits for the server to hang up; it must have nothing more to say.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        let more = self.next();
        assert!(more.is_none(), "not closed, but answered {more:?}");
    }

    /// Every answer until the server hangs up.
    pub(crate) fn all(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Every byte until the server hangs up; nothing where it does not. Says that no more will be sent, once `enough`
    /// of them have come.
    pub(crate) fn everything(mut self, enough: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut finished = false;
        let mut chunk = [0; 16 * 1024];
        loop {
            if !finished && enough(&self.buffer) {
                self.finish();
                finished = true;
            }
            match self.stream.read(&mut chunk) {
                Ok(read @ 1..) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Ok(0) | Err(_) => return Some(self.buffer),
            }
        }
    }

    /// Sends the same bytes again and again, listening in between; whether the server hangs up or answers meanwhile.
    pub(crate) fn drip(&mut self, bytes: &[u8]) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket has timeouts");
        (0..2000).any(|_| self.stream.write_all(bytes).is_err() || self.stream.read(&mut [0; 1024]).is_ok())
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(read) => {
                self.buffer.extend_from_slice(&chunk[..read]);
                read > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came for {PATIENCE:?}: {error}"),
        }
    }
}

fn parse_head(head: &[u8]) -> Answer {
    let head = std::str::from_utf8(head).expect("heads are text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|rest| rest[..3].parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Answer {
        status: status.unwrap_or_else(|| panic!("no status line: {head}")),
        headers: lines.filter(|line| !line.is_empty()).map(header).collect(),
        body: Vec::new(),
    }
}

impl Answer {
    /// The only header of this name.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice");
        first
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Checks the status, and what every answer has.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text_or_length());
        for (name, value) in
            [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("server", ""), ("date", "*")]
        {
            match value {
                "" => assert_eq!(self.header(name), None, "{name}"),
                "*" => assert!(self.header(name).is_some(), "{name}"),
                value => assert_eq!(self.header(name), Some(value), "{name}"),
            }
        }
        let policy = self.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(self.header("cache-control").is_some());
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()));
        self
    }

    /// Checks that this is a problem of a type, in the form that all problems have.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, slug: &str) -> Problem {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body: Value = serde_json::from_slice(&answer.body).expect("a problem is JSON");
        assert_eq!(body["type"], format!("/problems/{slug}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["retryable"], [408, 429, 503].contains(&status), "{body}");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {body}");
        }
        Problem { answer, body }
    }

    fn text_or_length(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap_or_else(|_| format!("{} bytes", self.body.len()))
    }
}

/// A refusal that is well-formed.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) answer: Answer,
    pub(crate) body: Value,
}

impl Problem {
    /// Checks which field is said to be wrong.
    #[track_caller]
    pub(crate) fn at(self, pointer: &str) -> Self {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {}", self.body));
        assert_eq!(errors.len(), 1, "{}", self.body);
        assert_eq!(errors[0]["pointer"], pointer, "{}", self.body);
        assert!(errors[0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", self.body);
        self
    }

    /// Checks a member of this problem's own.
    #[track_caller]
    pub(crate) fn with(self, member: &str, value: impl Into<Value>) -> Self {
        assert_eq!(self.body[member], value.into(), "{member} of {}", self.body);
        self
    }
}

/// One call on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, method: &'static str, path: &str) -> Self {
        Self { address, method, path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same call, to another server.
    pub(crate) fn to(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", content_type)
    }

    /// The request as it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: onrush.test\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    pub(crate) fn send(&self) -> Answer {
        let mut connection = Connection::open(self.address);
        connection.send(self.bytes());
        connection.answer()
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Answer {
        self.send().expect(status)
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, slug: &str) -> Problem {
        self.send().refused(status, slug)
    }
}
