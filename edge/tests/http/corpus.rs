//! The corpus of malformed requests: how `corpus/*.txt` are read.
//!
//! ```text
//! # Why the requests below are malformed.
//! GET /healthz\r\n\r\n                                   => 400
//! G<\x00..\x1f>T /healthz HTTP/1.1\r\nHost: x\r\n\r\n    => 400
//! <post>Content-Length: 5, 5\r\n\r\nhello\
//!     <canary>                                           => 400 or close
//! <greeting> @PING 0 0 1234567                           => goaway (open)
//! ```
//!
//! A line is one request: the bytes to send, `=>`, and what may come back before the connection is closed. Spaces
//! before `=>` are for the eye; a `\` at the end of a line goes on below. In the bytes
//! - `\r \n \t \\ \xff` are what they are in Rust, and `\s` is a space, for places where one would not be seen;
//! - `<A*9000>` is repeated; `<\x00..\x1f>` makes a request of each byte, `<a|b|c>` one of each text;
//! - `<canary>` and the other names stand for what [`Words`] has for them;
//! - `<length>` is the number of bytes behind the empty line that ends the head;
//! - `@HEADERS 5 1 …` is, up to the next ` @` or the end, an HTTP/2 frame with its kind, flags and stream.
//!
//! What may come back is `close` for a connection that is closed without an answer, or the answers: a status, `4xx`,
//! `reset`, `goaway`; several in a row with commas; one or the other with `or`. Once they are there, the client says
//! that it will send no more; unless the line ends in `(open)`: then the server must hang up by itself.

use std::fs;
use std::path::Path;

use crate::frames;
use crate::heard::Said;

/// What the names in angle brackets stand for.
pub(crate) type Words = [(&'static str, Vec<u8>)];

/// What a name stands for.
pub(crate) fn word<'a>(words: &'a Words, name: &str) -> Option<&'a [u8]> {
    words.iter().find(|(known, _)| *known == name).map(|(_, word)| word.as_slice())
}

/// One request and what may come of it.
pub(crate) struct Entry {
    /// The file and the line where it stands.
    place: String,
    /// What it says, in the notation.
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    open: bool,
    expected: Vec<Vec<Expected>>,
}

/// One thing that a server may say.
#[derive(Clone, Copy)]
enum Expected {
    Status(u16),
    /// Any status of the hundred.
    Class(u16),
    Reset,
    GoAway,
}

impl Entry {
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.place, self.text)
    }

    /// How many answers the client waits for before it says that it will send no more; nothing where it never does.
    pub(crate) fn answers(&self) -> Option<usize> {
        if self.open { None } else { self.expected.iter().map(Vec::len).min() }
    }

    /// Whether this is one of the things that may come back.
    pub(crate) fn allows(&self, said: &[Said]) -> bool {
        let one = |(expected, said): (&Expected, &Said)| match (*expected, *said) {
            (Expected::Status(expected), Said::Status(status)) => expected == status,
            (Expected::Class(class), Said::Status(status)) => class == status / 100,
            (Expected::Reset, Said::Reset) | (Expected::GoAway, Said::GoAway(_)) => true,
            _ => false,
        };
        self.expected.iter().any(|row| row.len() == said.len() && row.iter().zip(said).all(one))
    }
}

/// The files of the corpus by name, each with its text.
pub(crate) fn files() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/corpus");
    let mut paths: Vec<_> =
        fs::read_dir(directory).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("the corpus is text"))).collect()
}

/// The entries of a file. Each has words of its own.
#[track_caller]
pub(crate) fn entries(file: &str, text: &str, mut words: impl FnMut() -> Box<Words>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut begun = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if begun.is_empty() && (line.is_empty() || line.starts_with('#')) {
            continue;
        }
        let line = line.trim_start();
        if let Some(line) = line.strip_suffix('\\') {
            begun.push_str(line);
            continue;
        }
        begun.push_str(line);
        let (request, expected) =
            begun.rsplit_once("=>").unwrap_or_else(|| panic!("{file}:{number} expects nothing: {begun}"));
        let (expected, open) = match expected.trim().strip_suffix(" (open)") {
            Some(expected) => (expected, true),
            None => (expected.trim(), false),
        };
        let place = format!("{file}:{number}");
        entries.extend(choices(request.trim_end()).into_iter().map(|text| Entry {
            place: place.clone(),
            bytes: bytes(&text, &words()),
            text,
            open,
            expected: expected.split(" or ").map(row).collect(),
        }));
        begun.clear();
    }
    assert!(begun.is_empty(), "{file} ends within {begun}");
    entries
}

fn row(expected: &str) -> Vec<Expected> {
    let said = |text: &str| match text {
        "reset" => Expected::Reset,
        "goaway" => Expected::GoAway,
        text => match text.strip_suffix("xx") {
            Some(class) => Expected::Class(class.parse().expect("a class of statuses")),
            None => Expected::Status(text.parse().unwrap_or_else(|_| panic!("nothing that is said: {text}"))),
        },
    };
    if expected == "close" { Vec::new() } else { expected.split(", ").map(said).collect() }
}

/// A text for each choice that it leaves.
fn choices(text: &str) -> Vec<String> {
    let notes = text.match_indices('<').filter_map(|(start, _)| Some((start, start + text[start..].find('>')?)));
    for (start, end) in notes {
        let note = &text[start + 1..end];
        let chosen: Vec<String> = match note.split_once("..") {
            Some((first, last)) if is_byte(first) && is_byte(last) => {
                (plain(first)[0]..=plain(last)[0]).map(|byte| format!("\\x{byte:02x}")).collect()
            }
            _ if note.contains('|') => note.split('|').map(str::to_owned).collect(),
            _ => continue,
        };
        let texts = chosen.iter().map(|chosen| format!("{}{chosen}{}", &text[..start], &text[end + 1..]));
        return texts.flat_map(|text| choices(&text)).collect();
    }
    vec![text.to_owned()]
}

fn is_byte(text: &str) -> bool {
    plain(text).len() == 1
}

/// The bytes of a request that leaves no choice.
fn bytes(text: &str, words: &Words) -> Vec<u8> {
    let text = format!(" {text}");
    let mut frames = text.split(" @");
    let mut bytes = request(frames.next().unwrap_or_default().trim_start(), words);
    for text in frames {
        let mut parts = text.splitn(4, ' ');
        let mut part = || parts.next().unwrap_or_default();
        let (kind, flags, stream) = (part(), part().parse(), part().parse());
        let (flags, stream) = (
            flags.unwrap_or_else(|_| panic!("no flags: {text}")),
            stream.unwrap_or_else(|_| panic!("no stream: {text}")),
        );
        bytes.extend(frames::frame(kind, flags, stream, &request(part(), words)));
    }
    bytes
}

fn request(text: &str, words: &Words) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut length_at = None;
    let mut rest = text;
    while let Some((before, note)) = rest.split_once('<') {
        bytes.extend(plain(before));
        let (note, after) = note.split_once('>').unwrap_or_else(|| panic!("< without >: {text}"));
        rest = after;
        if note == "length" {
            length_at = Some(bytes.len());
        } else if let Some(word) = word(words, note) {
            bytes.extend(word);
        } else {
            let (repeated, times) = note.rsplit_once('*').unwrap_or_else(|| panic!("nobody knows <{note}>"));
            bytes.extend(plain(repeated).repeat(times.parse().expect("a number of times")));
        }
    }
    bytes.extend(plain(rest));
    if let Some(at) = length_at {
        let end = bytes[at..].windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the head");
        let length = bytes.len() - (at + end + 4);
        bytes.splice(at..at, length.to_string().into_bytes());
    }
    bytes
}

/// The bytes of a text that has nothing but escapes.
fn plain(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        let (byte, length) = match escape.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b's', ..] => (b' ', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => (u8::from_str_radix(&escape[1..3], 16).expect("two hex digits"), 3),
            _ => panic!("no escape: \\{escape}"),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}

#[test]
fn the_notation_means_what_it_says() {
    let words = || Box::from([("word", b"W\xff".to_vec())]);
    let text = "# why\n\nG<\\x01..\\x03>T \\s \\r\\n<ab*3><word> => 400, 4xx or close\n\
                A <x|y>\\\n  B => reset (open)\n\
                L: <length>\\r\\n\\r\\n12345 => close\n\
                <word> @PING 1 2 ab @DATA 0 1  => goaway\n";
    let entries = entries("file", text, words);
    let bytes: Vec<&[u8]> = entries.iter().map(|entry| entry.bytes.as_slice()).collect();
    let expected: [&[u8]; 7] = [
        b"G\x01T   \r\nabababW\xff",
        b"G\x02T   \r\nabababW\xff",
        b"G\x03T   \r\nabababW\xff",
        b"A xB",
        b"A yB",
        b"L: 5\r\n\r\n12345",
        b"W\xff\0\0\x02\x06\x01\0\0\0\x02ab\0\0\0\0\0\0\0\0\x01",
    ];
    assert_eq!(bytes, expected);
    let allowed = |said: &[Said]| entries.iter().map(|entry| entry.allows(said)).collect::<Vec<_>>();
    assert_eq!(allowed(&[]), [true, true, true, false, false, true, false]);
    assert_eq!(allowed(&[Said::Status(400), Said::Status(431)]), [true, true, true, false, false, false, false]);
    assert_eq!(allowed(&[Said::Status(431), Said::Status(400)]), [false; 7]);
    assert_eq!(allowed(&[Said::Reset]), [false, false, false, true, true, false, false]);
    assert_eq!(allowed(&[Said::GoAway(11)]), [false, false, false, false, false, false, true]);
    assert_eq!(entries.iter().filter(|entry| entry.answers().is_none()).count(), 2);
}
