//! PostgreSQL's own protocol, version 3, as far as one prepared statement needs it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail, ensure};

use crate::postgresql_server::{HOLD, USER};

/// The statement's name on each connection.
const STATEMENT: &str = "hold";

/// Signs in without a password, and prepares the statement.
///
/// # Errors
/// Where the server refuses.
pub fn greet(stream: &mut TcpStream) -> anyhow::Result<()> {
    sign_in(stream)?;
    let mut prepare = message(b'P', format!("{STATEMENT}\0{HOLD}\0\0\0").as_bytes());
    prepare.extend(message(b'S', b""));
    exchange(stream, &prepare)
}

/// Signs in and leaves: whether the server is there.
///
/// # Errors
/// Where it is not, yet.
pub fn ping(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).context("cannot connect to PostgreSQL")?;
    sign_in(&mut stream)?;
    stream.write_all(&message(b'X', b"")).context("cannot send to PostgreSQL")
}

fn sign_in(stream: &mut TcpStream) -> anyhow::Result<()> {
    let parameters = format!("\0\x03\0\0user\0{USER}\0database\0postgres\0\0");
    let length = (parameters.len() as u32 + 4).to_be_bytes();
    exchange(stream, &[&length, parameters.as_bytes()].concat())
}

/// A hold: bind the statement's three parameters as text, execute, sync.
pub fn hold(performance: u64, label: &str, buyer: &str) -> Vec<u8> {
    let mut bind = format!("\0{STATEMENT}\0").into_bytes();
    bind.extend_from_slice(&0u16.to_be_bytes());
    bind.extend_from_slice(&3u16.to_be_bytes());
    for value in [&performance.to_string(), label, buyer] {
        bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
        bind.extend_from_slice(value.as_bytes());
    }
    bind.extend_from_slice(&0u16.to_be_bytes());
    [message(b'B', &bind), message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat()
}

/// Whether the answer is all there, and then it changed one row.
///
/// # Errors
/// Where it is an error, or changed none.
pub fn is_held(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut changed = false;
    let mut rest = bytes;
    while let Some((kind, body, behind)) = next(rest) {
        match kind {
            b'C' => {
                ensure!(body == b"UPDATE 1\0", "instead of one row: {}", String::from_utf8_lossy(body));
                changed = true;
            }
            b'E' => bail!("PostgreSQL says {}", error(body)),
            b'Z' => {
                ensure!(changed && behind.is_empty(), "PostgreSQL's answer is not that of one statement");
                return Ok(true);
            }
            _ => {}
        }
        rest = behind;
    }
    Ok(false)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

/// The first message: its kind, its body, and what stands behind it; nothing where it is not all there.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (body, behind) = rest.split_at_checked((u32::from_be_bytes(*length) as usize).checked_sub(4)?)?;
    Some((kind, body, behind))
}

/// The fields of an error are strings, each with a letter before it.
fn error(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', " ")
}

/// Sends, and reads until the server is ready for more.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    stream.write_all(bytes).context("cannot send to PostgreSQL")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).context("no answer from PostgreSQL")?;
        ensure!(read > 0, "PostgreSQL closed the connection");
        answer.extend_from_slice(&chunk[..read]);
        let mut rest = answer.as_slice();
        while let Some((kind, body, behind)) = next(rest) {
            match kind {
                b'E' => bail!("PostgreSQL says {}", error(body)),
                b'Z' => return Ok(()),
                _ => rest = behind,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_changed_row_is_a_hold() {
        let answer =
            |tag: &[u8]| [message(b'2', b""), message(b'C', &[tag, b"\0"].concat()), message(b'Z', b"I")].concat();
        let one = answer(b"UPDATE 1");
        assert!(is_held(&one).unwrap());
        for length in 0..one.len() {
            assert!(!is_held(&one[..length]).unwrap(), "{length}");
        }
        assert!(is_held(&answer(b"UPDATE 0")).is_err());
        assert!(is_held(&message(b'E', b"SERROR\0Mno\0\0")).is_err());
    }
}
