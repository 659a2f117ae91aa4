//! A connection that is cut where hyper would wait for ever: for a client that takes nothing of an answer, and for one
//! that does not say which HTTP it speaks. hyper's own timeouts begin once that is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What an HTTP/2 client says first; with any other byte it is HTTP/1.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// See the module. The timers exist only while a write, or the first bytes, are waited for.
pub(crate) struct Socket<S> {
    stream: S,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    greeting: Option<Greeting>,
}

/// The time before it is known which HTTP a connection speaks.
struct Greeting {
    /// What is left of the HTTP/2 preface, as all before it was there.
    left: &'static [u8],
    timeout: Pin<Box<Sleep>>,
}

impl Greeting {
    /// The greeting after more bytes; nothing where they tell the protocol.
    fn heard(self, bytes: &[u8]) -> Option<Self> {
        let left = self.left.strip_prefix(bytes).filter(|left| !left.is_empty())?;
        Some(Self { left, ..self })
    }
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, greeting_timeout: Duration, write_timeout: Duration) -> Self {
        let greeting = Greeting { left: HTTP2_PREFACE, timeout: Box::pin(tokio::time::sleep(greeting_timeout)) };
        Self { stream, write_timeout, stalled: None, greeting: Some(greeting) }
    }

    fn timed<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(mut greeting) = self.greeting.take() else { return read };
        if read.is_ready() {
            self.greeting = greeting.heard(&buf.filled()[before..]);
            return read;
        }
        let late = greeting.timeout.as_mut().poll(cx);
        self.greeting = Some(greeting);
        late.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SECONDS: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (near, _far) = tokio::io::duplex(8);
        let mut socket = Socket::new(near, SECONDS, SECONDS);
        let error = socket.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_say_what_it_speaks_is_cut_off() {
        for beginning in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(beginning.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            let error = Socket::new(near, SECONDS, SECONDS).read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((error.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, beginning.as_bytes()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_protocol_is_known_others_watch_the_time() {
        for beginning in ["G", "POST", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(beginning.as_bytes()).await.unwrap();
            let mut socket = Socket::new(near, SECONDS, SECONDS);
            socket.read_exact(&mut vec![0; beginning.len()]).await.unwrap();
            assert!(tokio::time::timeout(SECONDS * 10, socket.read_u8()).await.is_err(), "{beginning}");
        }
    }
}
