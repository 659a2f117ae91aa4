//! Answers: just enough HTTP/1.1, and strict. An answer without a length, or with bytes behind its end, is a failure.

use std::ops::Range;

use anyhow::{Context as _, bail, ensure};

/// An answer that is all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 201, as a rule.
    pub status: u16,
    /// Where its body lies in the bytes.
    pub body: Range<usize>,
}

const HEADERS_MAX: usize = 24;

/// Reads an answer; nothing while it is not all there.
///
/// # Errors
/// Where it is not the HTTP that the client speaks.
pub fn parse(bytes: &[u8]) -> anyhow::Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = head.parse(bytes).context("the answer's head cannot be read")? else {
        return Ok(None);
    };
    let mut length = None;
    for header in head.headers.iter() {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => length = Some(number(header.value)?),
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => bail!("the answer comes in chunks"),
            _ => {}
        }
    }
    let end = head_len + length.context("the answer has no Content-Length")?;
    ensure!(bytes.len() <= end, "there are bytes behind the answer's end");
    let status = head.code.context("the answer has no status")?;
    Ok((bytes.len() == end).then_some(Answer { status, body: head_len..end }))
}

fn number(value: &[u8]) -> anyhow::Result<usize> {
    let text = std::str::from_utf8(value).context("Content-Length is no number")?;
    text.parse().context("Content-Length is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_all_of_it_is_there() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(text).unwrap(), Some(Answer { status: 201, body: 43..45 }));
        for length in 0..text.len() {
            assert_eq!(parse(&text[..length]).unwrap(), None, "{length}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "HTTP/1.1 201 Created\r\n\r\n",
            "HTTP/1.1 201 Created\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nab",
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
