//! What a server said on a connection from its first byte to its last, in a list that an expectation can be held
//! against.

use crate::frames;

/// One thing that a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// An answer to a request, in either HTTP.
    Status(u16),
    /// HTTP/2: that nothing comes of one request.
    Reset,
    /// HTTP/2: that nothing more comes on this connection, and the reason.
    GoAway(u32),
}

/// Everything that was said, in order; nothing at all where the server just hung up.
///
/// # Errors
/// The bytes that are neither a whole answer nor a whole frame.
pub(crate) fn said(bytes: &[u8]) -> Result<Vec<Said>, String> {
    if bytes.is_empty() || bytes.starts_with(b"HTTP/") { answers(bytes) } else { frames(bytes) }
}

fn answers(mut bytes: &[u8]) -> Result<Vec<Said>, String> {
    let mut said = Vec::new();
    while !bytes.is_empty() {
        let (status, rest) = answer(bytes).ok_or_else(|| garbage(bytes))?;
        said.push(Said::Status(status));
        bytes = rest;
    }
    Ok(said)
}

/// The status of the first answer, and what follows it.
fn answer(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(Ok(0), str::parse::<usize>).ok()?;
    Some((status, bytes[end + 4..].get(length..)?))
}

fn frames(mut bytes: &[u8]) -> Result<Vec<Said>, String> {
    let mut said = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = frames::read(bytes).ok_or_else(|| garbage(bytes))?;
        match frame.kind {
            "HEADERS" => said.push(Said::Status(frames::status(frame.payload).ok_or_else(|| garbage(frame.payload))?)),
            "RST_STREAM" => said.push(Said::Reset),
            "GOAWAY" => {
                let reason = frame.payload.get(4..8).and_then(|reason| reason.try_into().ok());
                let reason = reason.map(u32::from_be_bytes).ok_or_else(|| garbage(frame.payload))?;
                // Without an error it is how any connection ends.
                said.extend((reason != 0).then_some(Said::GoAway(reason)));
            }
            _ => {}
        }
        bytes = rest;
    }
    Ok(said)
}

fn garbage(bytes: &[u8]) -> String {
    format!("neither an answer nor a frame: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
}
