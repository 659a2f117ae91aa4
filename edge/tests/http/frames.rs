//! HTTP/2 frames by hand (RFC 9113, section 4): a client library would refuse to send most of what hostile tests need.

/// What a client says first, with settings of its own that change nothing.
pub(crate) const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The kinds of frames, in the order of their numbers.
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const HEAD_LEN: usize = 9;

/// One frame as it goes over the wire.
pub(crate) fn frame(kind: &str, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let number = KINDS.iter().position(|known| *known == kind).unwrap_or_else(|| panic!("no kind of frame: {kind}"));
    let length = u32::try_from(payload.len()).expect("a payload of a test is small");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([number as u8, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header as HPACK writes it when it remembers and compresses nothing (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [integer(text.len()), text.as_bytes().to_vec()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// An HPACK integer with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(mut left: usize) -> Vec<u8> {
    if left < 127 {
        return vec![left as u8];
    }
    let mut bytes = vec![127];
    left -= 127;
    while left >= 128 {
        bytes.push((left % 128) as u8 | 128);
        left /= 128;
    }
    bytes.push(left as u8);
    bytes
}

/// A frame that came back.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: &'static str,
    pub(crate) payload: &'a [u8],
}

/// How many bytes follow the head of a frame.
pub(crate) fn payload_len(head: &[u8]) -> usize {
    head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

/// The next frame of what a server sent, and what follows it; nothing where there is no whole one.
pub(crate) fn read(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
    let (payload, rest) = rest.split_at_checked(payload_len(head))?;
    let kind = KINDS.get(usize::from(head[3]))?;
    Some((Frame { kind, payload }, rest))
}

/// The status that the first header of an answer tells. Whoever talks to a server for one or two answers sees it either
/// as an entry of HPACK's static table or as three digits in HPACK's Huffman code (RFC 7541, appendices A and B).
pub(crate) fn status(block: &[u8]) -> Option<u16> {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [0x20..=0x3f, rest @ ..] => status(rest),
        [indexed @ 0x88..=0x8e, ..] => Some(KNOWN[usize::from(indexed - 0x88)]),
        [0x48, 0x03, digits @ ..] => std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x48, length @ 0x82..=0x83, code @ ..] => digits(code.get(..usize::from(length - 0x80))?),
        _ => None,
    }
}

fn digits(code: &[u8]) -> Option<u16> {
    let mut bits = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut take = |count| (0..count).try_fold(0, |value, _| Some(value * 2 + bits.next()?));
        // 0, 1 and 2 have five bits, the other digits six.
        let digit = match take(5)? {
            low @ 0..=2 => low,
            high => (high * 2 + take(1)?).checked_sub(22)?,
        };
        number = number * 10 + digit;
    }
    Some(number)
}

#[test]
fn a_status_is_read_in_every_form() {
    for (block, expected) in [
        (&b"\x88"[..], Some(200)),
        (b"\x20\x8d\x5f", Some(404)),
        (b"\x48\x03431", Some(431)),
        (b"\x48\x82\x10\x03", Some(201)),
        (b"\x48\x83\x69\x90\xff", Some(431)),
        (b"\x48\x83\x68\x2c\xff", Some(413)),
        (b"\x40\x01a\x01b", None),
    ] {
        assert_eq!(status(block), expected, "{block:x?}");
    }
}
