//! How many connections there are, in all and from one place; streams on them are counted the same way.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use onrush_api::peer::{Peer, Prefix};

/// Open connections.
pub(crate) struct Connections {
    total: AtomicUsize,
    by_prefix: DashMap<Prefix, usize>,
    total_max: usize,
    per_prefix_max: usize,
}

/// One open connection, until dropped.
pub(crate) struct Connection {
    connections: Arc<Connections>,
    /// Nothing for loopback, which is not limited.
    prefix: Option<Prefix>,
}

impl Connections {
    pub(crate) fn new(total_max: usize, per_prefix_max: usize) -> Self {
        Self { total: AtomicUsize::new(0), by_prefix: DashMap::new(), total_max, per_prefix_max }
    }

    /// Counts a connection, or says that there are too many.
    pub(crate) fn open(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.total_max {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut connection = Connection { connections: Arc::clone(self), prefix: None };
        if let Some(prefix) = Peer(address).prefix() {
            let mut count = self.by_prefix.entry(prefix).or_default();
            if *count >= self.per_prefix_max {
                return None;
            }
            *count += 1;
            connection.prefix = Some(prefix);
        }
        Some(connection)
    }

    pub(crate) fn count(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(prefix) = self.prefix {
            self.connections.by_prefix.remove_if_mut(&prefix, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_its_share_and_loopback_the_rest() {
        let connections = Arc::new(Connections::new(5, 2));
        let far: IpAddr = "192.0.2.1".parse().unwrap();
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let open: Vec<_> = (0..2).map(|_| connections.open(far).unwrap()).collect();
        assert!(connections.open(far).is_none());
        let local: Vec<_> = (0..3).map(|_| connections.open(here).unwrap()).collect();
        assert!(connections.open(here).is_none(), "five in all");
        drop((open, local));
        assert_eq!(connections.count(), 0);
        assert!(connections.by_prefix.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_place() {
        let connections = Arc::new(Connections::new(5, 1));
        let _first = connections.open("2001:db8::1".parse().unwrap()).unwrap();
        assert!(connections.open("2001:db8::2".parse().unwrap()).is_none());
        assert!(connections.open("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
