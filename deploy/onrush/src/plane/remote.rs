//! An edge's end: asks a control plane that is another process, and does what it is told.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use hyper::http::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_edge::control_plane::ControlPlane;
use onrush_edge::payments::{Checkout, Payments};
use onrush_engine::client::Client;
use onrush_engine::wire::Credentials;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{ANSWER_LEN_MAX, CHECKOUTS, CheckoutBody, NEWS, NOTICES, News, PATIENCE, PEER, PULSE, SILENCE_MAX};

/// The type of a problem's body.
pub(crate) const PROBLEM: &str = "application/problem+json";
/// Between two tries to connect, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The longest line of news.
const LINE_LEN_MAX: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A control plane elsewhere.
pub(crate) struct Remote {
    address: String,
    credentials: Credentials,
    /// The connection, once it has told all that there is.
    connection: watch::Sender<Option<SendRequest<Body>>>,
    /// Until it was told, somebody may: who asks is told to come again.
    takes_payments: AtomicBool,
    /// Since when it is not heard, if it is not.
    away_since: Mutex<Option<Instant>>,
    connected: metrics::Gauge,
    failures: metrics::Counter,
}

/// What an edge does with what it is told.
pub(crate) struct Told {
    pub(crate) client: Client,
    pub(crate) revocations: Arc<Revocations>,
}

impl Remote {
    pub(crate) fn new(address: &str, credentials: &Credentials) -> Arc<Self> {
        let connected = metrics::gauge!("onrush_control_plane_connected");
        connected.set(0.0);
        let failures = metrics::counter!("onrush_control_plane_connection_failures_total");
        failures.increment(0);
        let connection = watch::channel(None).0;
        let (address, credentials) = (address.to_owned(), credentials.clone());
        Arc::new(Self {
            address,
            credentials,
            connection,
            takes_payments: AtomicBool::new(true),
            away_since: Mutex::new(Some(Instant::now())),
            connected,
            failures,
        })
    }

    /// How the edge asks.
    pub(crate) fn face(self: &Arc<Self>) -> ControlPlane {
        let remote = Arc::clone(self);
        Arc::new(move |request| {
            let remote = Arc::clone(&remote);
            Box::pin(async move { remote.ask(request).await })
        })
    }

    /// How the edge asks about payments.
    pub(crate) fn payments(self: &Arc<Self>) -> Payments {
        let (open, asked, told) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        Payments {
            is_open: Box::new(move || open.takes_payments.load(Ordering::Acquire)),
            checkout: Box::new(move |booking| {
                let remote = Arc::clone(&asked);
                Box::pin(async move {
                    let answer =
                        remote.ask(own(Method::GET, &format!("{CHECKOUTS}{booking}"), Bytes::new())).await.ok()?;
                    let CheckoutBody { url, client_secret } = serde_json::from_slice(answer.body()).ok()?;
                    Some(Checkout { url, client_secret })
                })
            }),
            notice: Box::new(move |headers, body| {
                let remote = Arc::clone(&told);
                Box::pin(async move {
                    let mut request = own(Method::POST, NOTICES, body);
                    *request.headers_mut() = headers;
                    // What is not known to be taken is to come again.
                    let is_taken = remote.ask(request).await?.status().is_success();
                    is_taken.then_some(()).ok_or_else(|| lost(false))
                })
            }),
        }
    }

    /// Asks, and waits a while for a connection where there is none. What never went is asked on the next one.
    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        let give_up = Instant::now() + PATIENCE;
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut request = sent(request)?;
        let response = loop {
            let mut connection = self.connection(give_up).await?;
            match connection.try_send_request(request).await {
                Ok(response) => break response,
                Err(mut failed) => match failed.take_message() {
                    Some(never_went) => request = never_went,
                    None => return Err(lost(is_safe)),
                },
            }
            // Until it is known that this one is no more.
            sleep(PAUSE_MIN).await;
        };
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|_| lost(is_safe))?.to_bytes();
        let is_problem = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM);
        if is_problem && let Some(problem) = serde_json::from_slice(&body).ok().and_then(Problem::read) {
            return Err(problem);
        }
        Ok(Response::from_parts(parts, body))
    }

    async fn connection(&self, give_up: Instant) -> Result<SendRequest<Body>, Problem> {
        // Whoever has been away for longer than anybody waits is not waited for.
        let away = self
            .away_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|since| since.elapsed() > PATIENCE);
        let give_up = if away { Instant::now() } else { give_up };
        let mut connection = self.connection.subscribe();
        let there = timeout_at(give_up, connection.wait_for(Option::is_some)).await;
        let there = there.ok().and_then(|there| there.ok()?.clone());
        let unheard = "The control plane is not heard: accounts, payments and deployments wait; the sale goes on.";
        there.ok_or_else(|| Problem::new(Kind::Overloaded).detail(unheard).retry_after(2))
    }

    /// Connects, as often as it has to, and does what it is told; without end.
    pub(crate) async fn keep(self: Arc<Self>, told: Told) {
        let (mut pause, mut known) = (PAUSE_MIN, String::new());
        loop {
            let failed = self.attend(&told).await.err();
            let was_there = self.connection.send_replace(None).is_some();
            if was_there {
                *self.away_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            self.connected.set(0.0);
            self.failures.increment(1);
            if was_there {
                (pause, known) = (PAUSE_MIN, String::new());
            }
            // Each reason once, until it was heard again.
            if let Some(error) = failed.map(|error| format!("{error:#}")).filter(|error| *error != known) {
                tracing::warn!(address = self.address, error, "the control plane is not heard");
                known = error;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attend(&self, told: &Told) -> anyhow::Result<()> {
        let connecting = timeout(PATIENCE, TcpStream::connect(&self.address)).await;
        let stream = connecting.context("it does not answer")?.context("it is not there")?;
        stream.set_nodelay(true)?;
        let stream = self.credentials.as_asker(stream).await?;
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PULSE)
            .keep_alive_timeout(SILENCE_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
        let (say, said) = mpsc::channel(16);
        let marks = unfold(said, |mut said: mpsc::Receiver<u64>| async move {
            let mark = said.recv().await?;
            Some((Ok(Frame::data(Bytes::copy_from_slice(&mark.to_be_bytes()))), said))
        });
        let mut request = Request::new(StreamBody::new(marks).boxed_unsync());
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri(NEWS)?);
        let response = timeout(PATIENCE, sender.send_request(request)).await.context("it tells nothing")??;
        if response.status() != StatusCode::OK {
            bail!("it answers {}", response.status());
        }
        self.listen(response.into_body(), &sender, &say, told).await
    }

    /// Does what it is told, until the other end is silent or gone.
    async fn listen(
        &self,
        body: Incoming,
        sender: &SendRequest<Body>,
        say: &mpsc::Sender<u64>,
        told: &Told,
    ) -> anyhow::Result<()> {
        let (mut frames, mut bytes) = (pin!(BodyStream::new(body)), BytesMut::new());
        let (mut there, mut knows_all) = (BTreeSet::new(), false);
        loop {
            let frame = timeout(SILENCE_MAX, frames.next()).await.context("it was silent for too long")?;
            let frame = frame.ok_or_else(|| anyhow!("it has closed the connection"))??;
            bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                let line = bytes.split_to(end + 1);
                let news = serde_json::from_slice(&line).context("it says what this release does not know")?;
                if let Some(Mark { mark, names_all }) = self.take(news, told, &mut there) {
                    self.begin(sender, told);
                    if names_all && !std::mem::replace(&mut knows_all, true) {
                        forget_others(told, &there);
                    }
                    say.send(mark).await.context("it hears nothing any more")?;
                }
            }
            anyhow::ensure!(bytes.len() <= LINE_LEN_MAX, "a line has no end");
        }
    }

    /// Takes one piece of news; a mark, where that was all for now. `there` has the engines that were told on this connection.
    fn take(&self, news: News, told: &Told, there: &mut BTreeSet<String>) -> Option<Mark> {
        match news {
            News::Engine { address, takes_shows } => {
                match takes_shows {
                    true => told.client.connect(&address, &self.credentials),
                    false => told.client.connect_dedicated(&address, false, &self.credentials),
                }
                there.insert(address);
            }
            News::NoEngine { address } => {
                there.remove(&address);
                told.client.disconnect_later(&address);
            }
            News::Session { id, until } => told.revocations.end_session(id.0, until.0),
            News::Account { id } => told.revocations.close_account(id.0),
            News::Payments { open } => self.takes_payments.store(open, Ordering::Release),
            News::Told { mark, names_all } => return Some(Mark { mark, names_all }),
        }
        None
    }

    /// All that there is was told, once on a connection: from now on it is asked.
    fn begin(&self, sender: &SendRequest<Body>, told: &Told) {
        told.revocations.forget_expired(told.client.now());
        if self.connection.borrow().is_none() {
            self.connection.send_replace(Some(sender.clone()));
            *self.away_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.connected.set(1.0);
            tracing::info!(address = self.address, "the control plane is heard");
        }
    }
}

/// Up to where something was told.
struct Mark {
    mark: u64,
    names_all: bool,
}

/// All engines were told that have something: others have gone while nobody was heard.
fn forget_others(told: &Told, there: &BTreeSet<String>) {
    let known = told.client.engines().into_iter().map(|engine| engine.address);
    known.filter(|address| !there.contains(address)).for_each(|address| told.client.disconnect_later(&address));
    told.client.expect_engines(false);
}

/// What becomes of a request that may have got there, and was not answered.
fn lost(is_safe: bool) -> Problem {
    Problem::new(if is_safe { Kind::Overloaded } else { Kind::OutcomeUnknown }).retry_after(1)
}

/// A request that an edge makes by itself.
fn own(method: Method, path: &str, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(path).expect("an id in a path is a URL");
    request
}

fn uri(path_and_query: &str) -> anyhow::Result<Uri> {
    Ok(Uri::builder().scheme("http").authority("control-plane").path_and_query(path_and_query).build()?)
}

/// A request as it goes over the connection: what says something of the one that it came on stays here.
fn sent(request: Request<Bytes>) -> Result<Request<Body>, Problem> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = uri(path).map_err(|_| Problem::new(Kind::BadRequest))?;
    parts.version = hyper::Version::HTTP_2;
    strip(&mut parts.headers);
    if let Some(Peer(peer)) = parts.extensions.get::<Peer>() {
        let peer = HeaderValue::try_from(peer.to_string()).expect("an address is a header");
        parts.headers.insert(PEER, peer);
    }
    parts.extensions.clear();
    Ok(Request::from_parts(parts, Full::new(body).boxed_unsync()))
}

/// Nobody says for others where they are, and HTTP/2 has none of the rest.
fn strip(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in [PEER, "keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_says_for_others_where_they_are() {
        let request =
            Request::post("/v1/sessions?x=1").header(PEER, "198.51.100.7").header("host", "a").header("accept", "b");
        let request = request.header("connection", "keep-alive").extension(Peer([203, 0, 113, 9].into()));
        let (parts, _) = sent(request.body(Bytes::new()).unwrap()).unwrap().into_parts();
        assert_eq!(parts.headers.get_all(PEER).iter().collect::<Vec<_>>(), ["203.0.113.9"]);
        assert_eq!((parts.headers.len(), parts.uri.path_and_query().unwrap().as_str()), (2, "/v1/sessions?x=1"));
    }
}
