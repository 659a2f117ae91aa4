//! A blocking keep-alive connection that speaks just enough HTTP/1.1, and is strict about what counts as an answer.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::de::DeserializeOwned;

/// A request, kept so that it can be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
}

impl Call {
    /// A request without a key; with a body, if there is one.
    pub(crate) fn of(method: &'static str, path: &str, body: &serde_json::Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { method, path: path.to_owned(), key: None, body }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), key: None, body: String::new() }
    }

    pub(crate) fn post(path: impl Into<String>, key: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method: "POST", path: path.into(), key: Some(key.into()), body: body.to_string() }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", path: path.into(), key: None, body: String::new() }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Whether the server says that it had answered this key before.
    pub(crate) replayed: bool,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        let text = self.text();
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the answer {text}"))
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing came back.
    Silent(io::Error),
    /// An answer began and broke off.
    Broken(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(error) => write!(f, "no answer: {error}"),
            Self::Broken(error) => write!(f, "an answer began and broke off: {error}"),
        }
    }
}

/// See the module.
pub(crate) struct Connection(BufReader<TcpStream>);

/// A server that is alive answers sooner; a test that hangs says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn exchange(&mut self, call: &Call, token: &str) -> Result<Response, Failure> {
        self.send(call, token).map_err(Failure::Silent)?;
        let mut head = String::new();
        match self.0.read_line(&mut head) {
            Ok(0) => return Err(Failure::Silent(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if head.is_empty() => return Err(Failure::Silent(error)),
            Err(error) => return Err(Failure::Broken(error)),
            Ok(_) => {}
        }
        self.receive(head).map_err(Failure::Broken)
    }

    /// An exchange that must be answered.
    pub(crate) fn ask(&mut self, call: &Call, token: &str) -> Response {
        self.exchange(call, token).unwrap_or_else(|failure| panic!("{call:?} was not answered: {failure}"))
    }

    /// What an answer tells that goes on: names of events with their data, until it ends.
    pub(crate) fn listen(mut self, call: &Call, token: &str) -> impl Iterator<Item = (String, String)> + use<> {
        self.send(call, token).expect("a request is taken");
        // Each event is a chunk, so that none of its lines is broken; one of no length is the end.
        let lines = self.0.lines().map_while(Result::ok).take_while(|line| line != "0");
        let mut name = String::new();
        lines.filter_map(move |line| {
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            }
            Some((name.clone(), line.strip_prefix("data: ")?.to_owned()))
        })
    }

    fn send(&mut self, call: &Call, token: &str) -> io::Result<()> {
        let Call { method, path, key, body } = call;
        let key = key.as_ref().map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let caller = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: onrush\r\n{caller}{key}{kind}Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes())
    }

    fn receive(&mut self, mut head: String) -> io::Result<Response> {
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no HTTP: {head}")))?;
        let replayed = header(&head, "idempotency-replayed").is_some();
        let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Response { status, replayed, body })
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
