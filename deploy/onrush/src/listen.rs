//! Listening sockets.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};

/// Connections that may wait to be accepted: a rush arrives within a second.
const BACKLOG: i32 = 4096;

/// One listener for each of `count` threads, all on one address; the kernel spreads the connections.
pub(crate) fn listeners(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let first = bind(address, count > 1)?;
    let bound = first.local_addr().context("the bound address")?;
    let others = (1..count).map(|_| bind(bound, true));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn bind(address: SocketAddr, shared: bool) -> anyhow::Result<TcpListener> {
    let bound = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().with_context(|| format!("cannot listen on {address}; choose another address with --listen"))
}
