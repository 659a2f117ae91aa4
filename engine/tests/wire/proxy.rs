//! A road between an edge and an engine that can lose what the engine says, and end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// See the module.
pub(crate) struct Proxy {
    pub(crate) address: String,
    swallowing: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Proxy {
    pub(crate) fn before(engine: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket has options");
        let address = listener.local_addr().expect("bound").to_string();
        let (swallowing, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let engine = engine.parse().expect("an address");
        actix_rt::spawn(accept(listener, engine, Arc::clone(&swallowing), Arc::clone(&cut)));
        Self { address, swallowing, cut }
    }

    /// Whether what the engine says is lost from now on.
    pub(crate) fn swallow(&self, swallowing: bool) {
        self.swallowing.store(swallowing, Ordering::SeqCst);
    }

    /// Ends every connection that there is.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }
}

async fn accept(listener: std::net::TcpListener, engine: SocketAddr, swallowing: Arc<AtomicBool>, cut: Arc<Notify>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let (edge, _) = listener.accept().await.expect("a connection");
        let (swallowing, cut) = (Arc::clone(&swallowing), Arc::clone(&cut));
        actix_rt::spawn(async move {
            tokio::select! {
                () = cut.notified() => {}
                () = carry(edge, engine, &swallowing) => {}
            }
        });
    }
}

async fn carry(edge: TcpStream, engine: SocketAddr, swallowing: &AtomicBool) {
    let Ok(engine) = TcpStream::connect(engine).await else { return };
    let (mut from_edge, mut to_edge) = edge.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let there = tokio::io::copy(&mut from_edge, &mut to_engine);
    let back = async {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from_engine.read(&mut bytes).await {
            if !swallowing.load(Ordering::SeqCst) && to_edge.write_all(&bytes[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = there => {}
        () = back => {}
    }
}
