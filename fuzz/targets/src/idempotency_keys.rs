//! Idempotency keys: two requests are one exactly where caller, call, key and content are the same.

use hyper::Request;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use onrush_api::problem::Kind;
use onrush_edge::fuzzing::request_key;
use onrush_engine::command::RequestKey;

use crate::input::Input;

const OPERATIONS: [&str; 3] = ["hold_seats", "book_hold", "cancel_booking"];
const PATHS: [&str; 2] = ["/v1/performances/perf_0000000000001/holds", "/v1/bookings"];

/// Bytes as a header's value, up to a line's end, and a body.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    let (operation, path) = (input.one_of(&OPERATIONS), input.one_of(&PATHS));
    let text = input.rest();
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (key, body) = (&text[..end], text.get(end + 1..).unwrap_or_default());
    let Ok(header) = HeaderValue::from_bytes(key) else { return };
    assert_eq!(request_key(&parts(path, &[]), body, operation).map_err(|problem| problem.kind), Ok(None));

    let given = |path: &str, body: &[u8], operation: &str| -> Result<RequestKey, Kind> {
        let known = request_key(&parts(path, &[&header]), body, operation).map_err(|problem| problem.kind)?;
        Ok(known.expect("a request with the header has a key, or is refused"))
    };
    let sound = (1..=255).contains(&key.len()) && key.iter().all(|byte| (b'!'..=b'~').contains(byte));
    let one = given(path, body, operation);
    assert_eq!(one.is_ok(), sound, "{:?}", String::from_utf8_lossy(key));
    let Ok(one) = one else { return };
    assert_eq!(given(path, body, operation), Ok(one), "the same request is the same");
    for other in OPERATIONS.into_iter().filter(|other| *other != operation) {
        assert_ne!(given(path, body, other).map(|other| other.key), Ok(one.key), "another call has keys of its own");
    }
    let longer = [body, b" "].concat();
    let other_path = PATHS.into_iter().find(|other| *other != path).unwrap_or_default();
    for other in [given(path, &longer, operation), given(other_path, body, operation)] {
        let other = other.expect("the key is sound");
        assert_eq!(other.key, one.key, "a key belongs to its caller and its call");
        assert_ne!(other.fingerprint, one.fingerprint, "another request under the same key is another");
    }
    let twice = request_key(&parts(path, &[&header, &HeaderValue::from_static("second")]), body, operation);
    assert_eq!(
        twice.map_err(|problem| problem.kind),
        Err(Kind::BadRequest),
        "which of two keys is meant, nobody knows"
    );
}

fn parts(path: &str, keys: &[&HeaderValue]) -> Parts {
    let request = Request::post(path);
    let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
    request.body(()).expect("a sound request").into_parts().0
}
