//! The control plane's end: a listener for edges.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::http::{self, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Bookmark, Revocations};
use onrush_edge::control_plane::ControlPlane;
use onrush_edge::payments::{Checkout, Payments};
use onrush_engine::client::{Client, EngineAt};
use onrush_engine::wire::{Credentials, Stream};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{CHECKOUTS, CheckoutBody, NEWS, NOTICES, News, PATIENCE, PEER, PULSE, SILENCE_MAX};

/// Edges, however many.
const EDGES_MAX: usize = 1_024;
/// Those of them that have not said yet who they are.
const STRANGERS_MAX: usize = 64;
/// Requests of one edge under way.
const UNDER_WAY_MAX: u32 = 4_096;
/// The longest body of a request that is passed on: edges have checked it, each by its route.
const BODY_LEN_MAX: usize = 16 << 20;
/// How long somebody who ends a session waits for edges that do not say that they know.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// The edges that are connected, each with how far it has heard.
#[derive(Default)]
pub(crate) struct Edges {
    heard: Mutex<BTreeMap<u64, watch::Receiver<u64>>>,
    next: AtomicU64,
}

impl Edges {
    fn add(&self, heard: watch::Receiver<u64>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(number, heard);
        number
    }

    fn remove(&self, number: u64) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Returns once every edge that is connected has heard so much, or does not say so for too long.
    pub(crate) async fn until_heard(&self, mark: u64) {
        let edges: Vec<_> = self.heard.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let give_up = Instant::now() + HEARD_WITHIN;
        for mut heard in edges {
            // One that has gone is told when it comes back.
            if timeout_at(give_up, heard.wait_for(|heard| *heard >= mark)).await.is_err() {
                tracing::warn!("an edge does not say that it knows who has signed out");
            }
        }
    }
}

/// What edges are answered from.
pub(crate) struct Serving {
    pub(crate) face: ControlPlane,
    pub(crate) payments: Option<Payments>,
    pub(crate) client: Client,
    /// Whether all engines are known that have something: where not, no edge may take another one for gone.
    pub(crate) names_all: Box<dyn Fn() -> bool + Send + Sync>,
    /// Where edges find the engine of this process.
    pub(crate) own_engine: String,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) edges: Arc<Edges>,
    pub(crate) credentials: Credentials,
}

/// Serves edges until it is to stop; then what is under way is answered first.
pub(crate) async fn run(
    listener: std::net::TcpListener,
    serving: Arc<Serving>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener).context("the listener for edges")?;
    let (connections, strangers) = (TaskTracker::new(), Arc::new(Semaphore::new(STRANGERS_MAX)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of too many open files, say: no reason to spin.
                tracing::warn!(%error, "a connection of an edge could not be accepted");
                sleep(PULSE / 10).await;
                continue;
            }
        };
        let place = Arc::clone(&strangers).try_acquire_owned();
        let (Ok(place), true) = (place, connections.len() < EDGES_MAX + STRANGERS_MAX) else {
            tracing::warn!(%peer, "too many connections of edges");
            continue;
        };
        let (serving, shutdown) = (Arc::clone(&serving), shutdown.clone());
        connections.spawn(async move {
            let believed = match stream.set_nodelay(true) {
                Ok(()) => serving.credentials.as_plane(stream).await,
                Err(error) => Err(error.into()),
            };
            let stream = match believed {
                Ok(stream) => stream,
                Err(error) => {
                    return tracing::warn!(%peer, error = &error as &dyn std::error::Error, "an edge is not believed");
                }
            };
            drop(place);
            if let Err(error) = serve(stream, serving, shutdown).await {
                tracing::debug!(%peer, error = &*error, "an edge's connection ended");
            }
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn serve(
    stream: Stream,
    serving: Arc<Serving>,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stopping = shutdown.clone();
    let answer = service_fn(move |request| {
        let (serving, stopping) = (Arc::clone(&serving), stopping.clone());
        async move { Ok::<_, Infallible>(respond(serving, request, stopping).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PULSE)
        .keep_alive_timeout(SILENCE_MAX)
        .max_concurrent_streams(UNDER_WAY_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // What an edge does not take is not waited for.
    timeout(PATIENCE * 2, connection).await.map_or(Ok(()), |served| Ok(served?))
}

async fn respond(serving: Arc<Serving>, request: Request<Incoming>, stopping: CancellationToken) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == NEWS {
        return news(serving, body, stopping);
    }
    let answered = async {
        let read = http_body_util::Limited::new(body, BODY_LEN_MAX).collect();
        // An edge that goes away takes its requests along.
        let body = read.await.map_err(|_| Problem::new(Kind::BodyTooLarge).limit(BODY_LEN_MAX as u64))?.to_bytes();
        match parts.uri.path() {
            NOTICES => {
                let payments = serving.payments.as_ref().ok_or_else(|| Problem::new(Kind::NotFound))?;
                (payments.notice)(parts.headers, body).await?;
                Ok(with_status(StatusCode::NO_CONTENT, Bytes::new()))
            }
            path if path.starts_with(CHECKOUTS) => checkout(&serving, &path[CHECKOUTS.len()..]).await,
            _ => (serving.face)(passed(parts, body)?).await,
        }
    };
    let answer = answered.await.unwrap_or_else(|problem| problem_body(&problem));
    answer.map(|body| Full::new(body).boxed_unsync())
}

fn with_status(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn problem_body(problem: &Problem) -> Response<Bytes> {
    let status = StatusCode::from_u16(problem.status()).expect("the table has valid statuses");
    let body = serde_json::to_vec(problem.body()).expect("a problem is plain and always makes JSON");
    let mut response = with_status(status, body.into());
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(super::remote::PROBLEM));
    response
}

/// The request as its edge had it.
fn passed(mut parts: http::request::Parts, body: Bytes) -> Result<Request<Bytes>, Problem> {
    let peer = parts.headers.remove(PEER);
    let peer = peer.and_then(|peer| peer.to_str().ok()?.parse::<IpAddr>().ok());
    let peer = peer.ok_or_else(|| Problem::new(Kind::BadRequest).detail("An edge says where a request came from."))?;
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(Peer(peer));
    Ok(request)
}

async fn checkout(serving: &Serving, booking: &str) -> Result<Response<Bytes>, Problem> {
    let unknown = || Problem::new(Kind::NotFound);
    let payments = serving.payments.as_ref().ok_or_else(unknown)?;
    let booking = booking.parse().map_err(|_| unknown())?;
    let Checkout { url, client_secret } = (payments.checkout)(booking).await.ok_or_else(unknown)?;
    let body = serde_json::to_vec(&CheckoutBody { url, client_secret }).expect("plain fields always make JSON");
    Ok(with_status(StatusCode::OK, body.into()))
}

/// What is new, for as long as an edge listens.
fn news(serving: Arc<Serving>, heard: Incoming, stopping: CancellationToken) -> Response<Answer> {
    let (tell, told) = mpsc::channel(16);
    tokio::spawn(async move {
        let (say, hears) = watch::channel(0);
        let number = serving.edges.add(hears);
        tokio::select! {
            () = tell_all(&serving, &tell) => {}
            () = hear(heard, &say) => {}
            () = stopping.cancelled() => {}
        }
        serving.edges.remove(number);
    });
    let lines = unfold(told, |mut told: mpsc::Receiver<Bytes>| async move {
        let lines = told.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(lines)), told))
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

/// Tells all that there is, and then what is new, until nobody listens.
async fn tell_all(serving: &Serving, tell: &mpsc::Sender<Bytes>) {
    let (mut ended, mut engines) = (serving.revocations.changes(), serving.client.engines_change());
    let (mut bookmark, mut known) = (Bookmark::default(), BTreeSet::new());
    let mut lines = BytesMut::from(&*News::Payments { open: serving.payments.is_some() }.line());
    loop {
        engines.mark_unchanged();
        let mark = *ended.borrow_and_update();
        let own = EngineAt { address: serving.own_engine.clone(), takes_shows: true };
        // The one that takes new shows is the own one, which this process knows by another address.
        let names_all = (serving.names_all)();
        let dedicated = serving.client.engines().into_iter().filter(|engine| !engine.takes_shows);
        let seen = dedicated.map(|engine| EngineAt {
            address: seen_from_elsewhere(engine.address, &serving.own_engine),
            takes_shows: false,
        });
        let now: BTreeSet<_> = seen.chain([own]).collect();
        for EngineAt { address, .. } in known.difference(&now) {
            lines.extend_from_slice(&News::NoEngine { address: address.clone() }.line());
        }
        for EngineAt { address, takes_shows } in now.difference(&known) {
            lines.extend_from_slice(&News::Engine { address: address.clone(), takes_shows: *takes_shows }.line());
        }
        known = now;
        let news = serving.revocations.since(&mut bookmark);
        for (session, until) in news.sessions {
            lines.extend_from_slice(&News::session(session, until).line());
        }
        for id in news.accounts {
            lines.extend_from_slice(&News::Account { id: onrush_api::text::Text(id) }.line());
        }
        lines.extend_from_slice(&News::Told { mark, names_all }.line());
        if tell.send(std::mem::take(&mut lines).freeze()).await.is_err() {
            return;
        }
        tokio::select! {
            _ = ended.changed() => {}
            _ = engines.changed() => {}
            () = sleep(PULSE) => {}
        }
    }
}

/// An engine that listens on every address of this machine is where the own one is, at its own port.
fn seen_from_elsewhere(address: String, own_engine: &str) -> String {
    let Ok(bound) = address.parse::<SocketAddr>() else { return address };
    match own_engine.rsplit_once(':') {
        Some((host, _)) if bound.ip().is_unspecified() => format!("{host}:{}", bound.port()),
        _ => address,
    }
}

/// How far an edge says that it has heard: a number of eight bytes each time.
async fn hear(body: Incoming, say: &watch::Sender<u64>) {
    let (mut frames, mut bytes) = (BodyStream::new(body), BytesMut::new());
    while let Some(Ok(frame)) = frames.next().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while bytes.len() >= size_of::<u64>() {
            say.send_replace(bytes.get_u64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_on_every_address_is_found_where_the_own_one_is() {
        let seen = |address: &str| seen_from_elsewhere(address.to_owned(), "control-plane:7411");
        assert_eq!(seen("0.0.0.0:40000"), "control-plane:40000");
        assert_eq!(seen("[::]:40000"), "control-plane:40000");
        assert_eq!(seen("127.0.0.1:40000"), "127.0.0.1:40000");
        assert_eq!(seen("engine-0-0.engine.dep-1.svc:7411"), "engine-0-0.engine.dep-1.svc:7411");
    }
}
