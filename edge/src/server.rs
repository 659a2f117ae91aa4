//! Serving connections: accept, limits, timeouts, drain.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::Content;
use crate::config::Config;
use crate::connections::Connection;
use crate::context::Context;
use crate::router::respond;
use crate::socket::Socket;

pub use crate::router::Surface;

/// Runs futures where they are made, so that connections and actors may share a thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves the connections of a listener until `shutdown`; then lets what is under way end, and returns.
///
/// Has to be polled on a thread whose runtime runs local tasks: an actix arbiter, or a `LocalSet`.
///
/// # Errors
/// Where the listener cannot be used.
pub async fn run(
    listener: StdListener,
    context: Arc<Context>,
    surface: Surface,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let graceful = GracefulShutdown::new();
    let builder = Rc::new(builder(&context.config));
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => {
                let Some(connection) = context.connections.open(address.ip()) else { continue };
                serve(stream, address.ip(), connection, &context, surface, &builder, &graceful);
            }
            // Out of descriptors, or the client went away in the queue: the others must not suffer.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    context.streams.close();
    drain(graceful, &context).await;
    Ok(())
}

/// How long to wait after a connection that could not be accepted: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn builder(config: &Config) -> Builder<LocalExecutor> {
    let mut builder = Builder::new(LocalExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(Config::HEADER_LEN_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(Config::HEADER_LEN_MAX as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(20));
    builder
}

fn serve(
    stream: TcpStream,
    peer: IpAddr,
    connection: Connection,
    context: &Arc<Context>,
    surface: Surface,
    builder: &Rc<Builder<LocalExecutor>>,
    graceful: &GracefulShutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return;
    }
    let config = &context.config;
    // A peer that is gone without a word takes nothing either, though little is sent to it.
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(config.write_timeout)) {
        tracing::debug!(%error, "a peer that is gone will be noticed late");
    }
    let io = TokioIo::new(Socket::new(stream, config.header_read_timeout, config.write_timeout));
    let context = Arc::clone(context);
    let asked = Rc::new(Cell::new(Instant::now()));
    let silence = silence(Rc::clone(&asked), config.silence_max());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        asked.set(Instant::now());
        let context = Arc::clone(&context);
        let asked = Rc::clone(&asked);
        async move {
            let response = respond(&context, surface, peer, request).await;
            Ok::<_, Infallible>(response.map(|content| Sent { content, asked }))
        }
    });
    let served = graceful.watch(builder.serve_connection(io, service).into_owned());
    tokio::task::spawn_local(async move {
        tokio::select! {
            biased;
            served = served => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = silence => tracing::debug!("a connection on which nothing was asked for is cut"),
        }
        drop(connection);
    });
}

/// What is sent of an answer. As long as something of a stream is taken, its connection is not silent.
struct Sent {
    content: Content,
    asked: Rc<Cell<Instant>>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = <Content as Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(cx));
        if matches!(self.content, Content::Right(_)) {
            self.asked.set(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// Ends when nothing was asked for so long, nor anything taken of a stream. All that was asked before has been answered then;
/// what a client still has not taken of it, it does not want. In HTTP/2 nobody else watches for that: a client may leave its window shut.
async fn silence(asked: Rc<Cell<Instant>>, max: Duration) {
    let mut end = asked.get() + max;
    while end > Instant::now() {
        tokio::time::sleep_until(end).await;
        end = asked.get() + max;
    }
}

async fn drain(graceful: GracefulShutdown, context: &Context) {
    let timeout = context.config.drain_timeout;
    if tokio::time::timeout(timeout, graceful.shutdown()).await.is_err() {
        let left = context.connections.count();
        tracing::warn!(left, "connections were still busy after the drain timeout and are cut off");
    }
}
