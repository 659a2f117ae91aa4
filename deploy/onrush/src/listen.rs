//! Listening sockets.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};

/// Connections that may wait to be accepted: a rush arrives within a second.
const BACKLOG: i32 = 4096;

/// One handle of a listener for each of `count` threads: whoever is free accepts. Not SO_REUSEPORT, which would let a
/// second server take half of the connections by mistake.
pub(crate) fn listeners(address: SocketAddr, flag: &str, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let first = bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another address with {flag} ADDR"))?;
    let others: std::io::Result<Vec<TcpListener>> = (1..count).map(|_| first.try_clone()).collect();
    let mut listeners = others.context("a second handle of the listener")?;
    listeners.push(first);
    Ok(listeners)
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
