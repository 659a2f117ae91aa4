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
        serde_json::error::Category::Data => {
            Problem::new(Kind::InvalidBody).errors(vec![FieldError { pointer, detail: error.to_string() }])
        }
        _ => malformed(&error),
    }
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
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
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
