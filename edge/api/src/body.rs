//! Reading a JSON body: what is wrong with it, and where.

use serde::de::DeserializeOwned;

use crate::problem::{FieldError, Kind, Problem};

/// Reads a body of type `T`.
///
/// # Errors
/// `malformed-body` (400) where the bytes are no JSON; `invalid-body` (422) with a JSON pointer where they are JSON of
/// another shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take a list of the fields' values for the object.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(Problem::field("", "expected an object"));
    }
    // The pointer costs time, so it is looked for only once it is known to be needed.
    serde_json::from_slice(bytes).map_err(|_| explain::<T>(bytes))
}

fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let outcome: Result<T, _> = serde_path_to_error::deserialize(&mut json);
    let (pointer, error) = match outcome {
        Ok(_) => return trailing(&mut json),
        Err(error) => (pointer(error.path()), error.into_inner()),
    };
    match error.classify() {
        serde_json::error::Category::Data => wrong_field(pointer, error.to_string()),
        // Of a number where one of some words should be, serde_json says that it is no JSON.
        _ if is_json(bytes) => wrong_field(pointer, "a value of another type is expected".to_owned()),
        _ => malformed(&error),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}

fn wrong_field(mut pointer: String, detail: String) -> Problem {
    // Where a field is missing serde names the object, and the field in words.
    let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = missing {
        pointer.push('/');
        pointer.push_str(&escape(name));
    }
    Problem::new(Kind::InvalidBody).errors(vec![FieldError { pointer, detail }])
}

/// A segment of a JSON pointer, by RFC 6901.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn trailing(json: &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>) -> Problem {
    match json.end() {
        Err(error) => malformed(&error),
        Ok(()) => Problem::new(Kind::MalformedBody),
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::MalformedBody).detail(format!("The body is not JSON: {error}."))
}

/// RFC 6901: `/seat_map/sections/0/name`.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holds::HoldRequest;

    fn refused(body: &str) -> Problem {
        parse::<HoldRequest>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        assert_eq!(refused("{").kind, Kind::MalformedBody);
        assert_eq!(refused("").kind, Kind::MalformedBody);
        assert_eq!(refused(r#"{"seats":["A-1-1"]} x"#).kind, Kind::MalformedBody);
    }

    #[test]
    fn a_word_that_is_no_word_and_a_field_that_is_missing_have_their_pointers() {
        use crate::shows::ShowDraft;
        for (body, pointer) in [
            (r#"{"title":"x","field":3}"#, "/field"),
            (r#"{"title":"x","field":["concert"]}"#, "/field"),
            (r#"{"title":"x","field":"circus"}"#, "/field"),
            (r#"{"field":"concert"}"#, "/title"),
        ] {
            let problem = parse::<ShowDraft>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, Kind::InvalidBody, "{body}: {problem:?}");
            assert_eq!(problem.body().errors.as_ref().unwrap()[0].pointer, pointer, "{body}");
        }
        assert_eq!(parse::<ShowDraft>(br#"{"title":"x","field":}"#).unwrap_err().kind, Kind::MalformedBody);
    }

    #[test]
    fn another_shape_is_invalid_and_says_where() {
        for (body, pointer) in [
            (r#" [["A-1-1"],null,null]"#, ""),
            (r#"{"seats":["A-1-1"],"price":1}"#, "/price"),
            (r#"{"best_available":{"quantity":-1}}"#, "/best_available/quantity"),
            (r#"{"best_available":{"quantity":9223372036854775808}}"#, "/best_available/quantity"),
            (r#"{"seats":["A-1-1",7]}"#, "/seats/1"),
        ] {
            let problem = refused(body);
            assert_eq!(problem.kind, Kind::InvalidBody, "{body}");
            assert_eq!(problem.body().errors.as_ref().unwrap()[0].pointer, pointer, "{body}");
        }
    }
}
