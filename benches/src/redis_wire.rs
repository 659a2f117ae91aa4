//! Redis's own protocol, RESP: commands as arrays of strings, and the one answer that a hold is.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail};

/// A command as bytes.
pub fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        write!(text, "${}\r\n{word}\r\n", word.len()).expect("writing to memory does not fail");
    }
    text
}

/// Sends one command on a connection of its own; what comes as a string.
///
/// # Errors
/// Where the server is not there, or says no.
pub fn ask(address: SocketAddr, words: &[&str]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).context("cannot connect to Redis")?;
    stream.write_all(command(words).as_bytes()).context("cannot send to Redis")?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    loop {
        let read = stream.read(&mut chunk).context("no answer from Redis")?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        match (bytes.first(), bytes.ends_with(b"\r\n")) {
            (Some(b'$'), true) if lines.len() == 2 => return Ok(lines[1].to_owned()),
            (Some(b'+'), true) => return Ok(lines[0][1..].to_owned()),
            (Some(b'-'), true) => bail!("Redis says {}", lines[0]),
            _ if read == 0 => bail!("Redis closed the connection"),
            _ => {}
        }
    }
}

/// Whether the answer is all there, and then it is `:1`.
///
/// # Errors
/// Where it is anything else.
pub fn is_held(bytes: &[u8]) -> anyhow::Result<bool> {
    match bytes {
        b":1\r\n" => Ok(true),
        _ if bytes.ends_with(b"\r\n") => bail!("instead of 1 came {}", String::from_utf8_lossy(bytes).trim_end()),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_their_lengths() {
        assert_eq!(command(&["GET", "seat:1"]), "*2\r\n$3\r\nGET\r\n$6\r\nseat:1\r\n");
    }

    #[test]
    fn only_a_one_is_a_hold() {
        assert!(is_held(b":1\r\n").unwrap());
        assert!(!is_held(b":1").unwrap());
        assert!(is_held(b":0\r\n").is_err());
        assert!(is_held(b"-NOSCRIPT No matching script\r\n").is_err());
    }
}
