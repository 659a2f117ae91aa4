//! Headers that both the edge and the control plane read or write.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Kind, Problem};

/// Names a request that may have to be sent again (IETF draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that a request was answered before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The value of a header that is not a list.
///
/// # Errors
/// `bad-request` for two: a server in front of this one may have looked at the other.
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::new(Kind::BadRequest).detail(format!("There are two headers {name}."))),
        (value, None) => Ok(value),
    }
}

/// The request's idempotency key, if it has one.
///
/// # Errors
/// `bad-request` for one that is too long, or not visible ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(header) = only(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let key = header.as_bytes();
    if !(1..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::new(Kind::BadRequest).detail("An Idempotency-Key has 1 to 255 visible ASCII characters."));
    }
    Ok(Some(key))
}

/// The access token of a request.
///
/// # Errors
/// `unauthenticated`, where there is none.
pub fn access_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let refuse = |detail: &str| Problem::new(Kind::Unauthenticated).detail(detail);
    let header = only(headers, &AUTHORIZATION)?.ok_or_else(|| refuse("No access token was sent."))?;
    let token = header.to_str().ok().and_then(bearer);
    token.ok_or_else(|| refuse("The Authorization header is not a bearer token."))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
