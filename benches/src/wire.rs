//! What a server is spoken to in. The client sends bytes that were made before, and only has to know where an answer
//! ends, and whether it says that the seat is held.

use std::net::TcpStream;

use anyhow::ensure;

use crate::{answer, postgresql_wire, redis_wire};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1: a hold is a 201.
    Http,
    /// HTTP/1.1, and what is asked for is not a hold: another status is the right one.
    HttpStatus(u16),
    /// Redis's RESP: a hold is the integer 1.
    Redis,
    /// PostgreSQL's version 3: a hold is one row changed.
    Postgresql,
}

impl Wire {
    /// What a new connection needs before requests.
    ///
    /// # Errors
    /// Where the server is not willing.
    pub fn greet(self, stream: &mut TcpStream) -> anyhow::Result<()> {
        match self {
            Self::Http | Self::HttpStatus(_) | Self::Redis => Ok(()),
            Self::Postgresql => postgresql_wire::greet(stream),
        }
    }

    /// Whether the answer is all there, and then it is what was asked for.
    ///
    /// # Errors
    /// Where it is anything else, with what it is.
    pub fn is_held(self, bytes: &[u8]) -> anyhow::Result<bool> {
        match self {
            Self::Http => has_status(bytes, 201),
            Self::HttpStatus(status) => has_status(bytes, status),
            Self::Redis => redis_wire::is_held(bytes),
            Self::Postgresql => postgresql_wire::is_held(bytes),
        }
    }
}

fn has_status(bytes: &[u8], wanted: u16) -> anyhow::Result<bool> {
    let Some(answer) = answer::parse(bytes)? else { return Ok(false) };
    let body = || String::from_utf8_lossy(&bytes[answer.body.clone()]);
    ensure!(answer.status == wanted, "instead of {wanted} came {}: {}", answer.status, body());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_201_is_a_hold() {
        assert!(Wire::Http.is_held(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").unwrap());
        assert!(!Wire::Http.is_held(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{").unwrap());
        let refused = Wire::Http.is_held(b"HTTP/1.1 409 Conflict\r\ncontent-length: 5\r\n\r\ntaken").unwrap_err();
        assert_eq!(refused.to_string(), "instead of 201 came 409: taken");
    }
}
