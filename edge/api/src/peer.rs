//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The address that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// An IPv4 address or an IPv6 /64: what one customer of a provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// All of an IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u16; 4]),
}

impl Peer {
    /// Where the peer is; nothing for this machine itself, which has no limits by place.
    pub fn prefix(self) -> Option<Prefix> {
        match self.0.to_canonical() {
            address if address.is_loopback() => None,
            IpAddr::V4(address) => Some(Prefix::V4(address.octets())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Some(Prefix::V6([a, b, c, d]))
            }
        }
    }
}
