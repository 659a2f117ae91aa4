//! A request as a handler sees it: who calls, which path, what body; read with limits.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Version;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, IF_NONE_MATCH, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use onrush_api::headers::{idempotency_key, only};
use onrush_api::page::PageQuery;
use onrush_api::problem::{Kind, Problem};
use onrush_api::token::{Caller, Role};
use onrush_engine::command::RequestKey;
use onrush_engine::id::{AccountId, ParseIdError, PerformanceId, ShowId};
use onrush_engine::registry::Duty;
use serde::de::DeserializeOwned;

use crate::auth::{EVERYBODY, engine_caller, require};
use crate::config::Config;
use crate::context::Context;

/// What a handler gets.
pub(crate) struct Request<'a> {
    pub(crate) context: &'a Context,
    pub(crate) parts: &'a Parts,
    /// Nothing on a route that everybody may call: there no token is looked at.
    pub(crate) caller: Option<Caller>,
    pub(crate) body: Bytes,
    /// Where it came from.
    pub(crate) peer: IpAddr,
}

/// The parts of a path, the first one aside: `/v1/shows` has `["v1", "shows"]`.
pub(crate) fn segments(path: &str) -> ([&str; 6], usize) {
    let mut segments = [""; 6];
    let mut count = 0;
    for segment in path.split('/').skip(1) {
        if count == segments.len() {
            return (segments, count + 1);
        }
        segments[count] = segment;
        count += 1;
    }
    (segments, count)
}

impl Request<'_> {
    /// The caller; the router has made sure that there is one.
    pub(crate) fn caller(&self) -> Result<Caller, Problem> {
        self.caller.ok_or_else(|| Problem::new(Kind::Unauthenticated))
    }

    /// The caller as the engine knows it, if it has one of some roles.
    pub(crate) fn caller_as(&self, roles: &[Role]) -> Result<onrush_engine::command::Caller, Problem> {
        Ok(engine_caller(&require(self.caller()?, roles)?))
    }

    /// The caller, if it has one of some roles; with a seller's rights, where it does not sell the show but its seller lets
    /// it do what is needed. Whoever may not is told so by the engine, which knows the seller.
    pub(crate) fn caller_for(
        &self,
        show: ShowId,
        needed: Duty,
        roles: &[Role],
    ) -> Result<onrush_engine::command::Caller, Problem> {
        let caller = self.caller_as(roles)?;
        let may_sell = require(self.caller()?, &[Role::Seller]).is_ok();
        let show = self.context.directory.show(show)?;
        let duty = show.members.get(&caller.account).filter(|_| may_sell);
        let acts_for_seller = duty.is_some_and(|duty| duty.covers(needed));
        Ok(onrush_engine::command::Caller { admin: caller.admin || acts_for_seller, ..caller })
    }

    /// Whoever has a token; with a seller's eyes, where the performance's seller lets it see who booked.
    pub(crate) fn reader_of(&self, performance: PerformanceId) -> Result<onrush_engine::command::Caller, Problem> {
        self.caller_as(&EVERYBODY)?;
        let show = self.context.directory.performance(performance)?.publication.show;
        self.caller_for(show, Duty::View, &EVERYBODY)
    }

    /// An id in the path: what is no id names nothing.
    pub(crate) fn id<T: std::str::FromStr<Err = ParseIdError>>(&self, place: usize) -> Result<T, Problem> {
        let not_found = |error: ParseIdError| Problem::new(Kind::NotFound).detail(format!("{error}."));
        self.segment(place).parse().map_err(not_found)
    }

    fn segment(&self, place: usize) -> &str {
        segments(self.parts.uri.path()).0[place]
    }

    /// An account in the path.
    pub(crate) fn account(&self, place: usize) -> Result<AccountId, Problem> {
        self.segment(place).parse().map_err(|_| Problem::new(Kind::NotFound))
    }

    /// A value of the query, percent-decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query_value(self.parts.uri.query()?, name)
    }

    /// Which page of a list is asked for.
    pub(crate) fn page(&self) -> Result<PageQuery, Problem> {
        let (limit, cursor) = (self.query("limit"), self.query("cursor"));
        PageQuery::parse(limit.as_deref(), cursor.as_deref())
            .map_err(|error| Problem::new(Kind::BadRequest).detail(format!("{error}.")))
    }

    /// Whether the client has what `etag` names already (RFC 9110, section 13.1.2): a list, compared weakly, because a
    /// proxy that compresses may have weakened our tag.
    pub(crate) fn has(&self, etag: &HeaderValue) -> bool {
        let known = self.parts.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.check_is_json()?;
        onrush_api::body::parse(&self.body)
    }

    /// Whether the body is JSON, as far as the client says.
    pub(crate) fn check_is_json(&self) -> Result<(), Problem> {
        let json = only(&self.parts.headers, &CONTENT_TYPE)?.is_none_or(|value| {
            let media_type = value.to_str().ok().and_then(|value| value.split(';').next()).unwrap_or("");
            media_type.trim().eq_ignore_ascii_case("application/json")
        });
        if json { Ok(()) } else { Err(Problem::new(Kind::UnsupportedMediaType)) }
    }

    /// The request's `Idempotency-Key` with its body, digested; `operation` keeps the keys of different calls apart.
    pub(crate) fn key(&self, operation: &str) -> Result<Option<RequestKey>, Problem> {
        request_key(self.parts, &self.body, operation)
    }
}

/// A value of a query, percent-decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// See [`Request::key`].
pub(crate) fn request_key(parts: &Parts, body: &[u8], operation: &str) -> Result<Option<RequestKey>, Problem> {
    let Some(key) = idempotency_key(&parts.headers)? else { return Ok(None) };
    let key = digest(&[operation.as_bytes(), key]);
    let fingerprint = digest(&[parts.uri.path().as_bytes(), body]);
    Ok(Some(RequestKey { key: [word(&key, 0), word(&key, 1)], fingerprint: word(&fingerprint, 0) }))
}

/// Each part with its length, so that no two lists of parts digest the same bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn word(digest: &[u8; 32], place: usize) -> u64 {
    u64::from_le_bytes(*digest.as_chunks::<8>().0.get(place).expect("a digest has four words"))
}

fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let escaped = digit(0).zip(digit(1)).filter(|_| *first == b'%').map(|(high, low)| (high * 16 + low) as u8);
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Refuses what no honest client sends, before anything is done for it. Nothing more is read from whoever sent it.
pub(crate) fn check_head(parts: &Parts) -> Result<(), Problem> {
    if parts.uri.path_and_query().is_some_and(|path| path.as_str().len() > Config::URI_LEN_MAX) {
        return Err(Problem::new(Kind::UriTooLong).limit(Config::URI_LEN_MAX as u64));
    }
    if parts.headers.len() > Config::HEADERS_MAX {
        return Err(Problem::new(Kind::HeadersTooLarge).limit(Config::HEADERS_MAX as u64));
    }
    // RFC 9112, section 3.2: one Host, or two servers in a row may disagree whom the request is for.
    let is_fine = match only(&parts.headers, &HOST)? {
        Some(host) => is_host(host.as_bytes()),
        None => parts.version != Version::HTTP_11,
    };
    if !is_fine {
        return Err(Problem::new(Kind::BadRequest).detail("A request has one Host header, which names a host."));
    }
    // With both lengths, two servers in a row may disagree where a request ends. hyper drops the Content-Length before
    // it could be seen here, so a transfer coding is refused altogether.
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Problem::new(Kind::LengthRequired));
    }
    Ok(())
}

/// A host with or without a port (RFC 9110, section 7.2), or nothing, which old clients send.
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Incoming,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || Problem::new(Kind::BodyTooLarge).limit(limit as u64);
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Kind::BadRequest).detail("The body ended early.")),
        Err(_) => Err(Problem::new(Kind::Timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_segments_and_a_longer_one_has_too_many() {
        assert_eq!(segments("/v1/shows"), (["v1", "shows", "", "", "", ""], 2));
        assert_eq!(segments("/").1, 1);
        assert_eq!(segments("/a/b/c/d/e/f/g").1, 7);
    }

    #[test]
    fn a_query_is_decoded() {
        assert_eq!(decode("a%20b+c%zz%"), "a b c%zz%");
        assert_eq!(decode("%+1"), "% 1", "a sign is no digit");
        assert_eq!(decode("%EC%84%9C"), "서");
    }

    #[test]
    fn a_host_is_no_url() {
        for host in ["", "onrush.test", "onrush.test:8080", "127.0.0.1:80", "[::1]", "[::1]:80", "a_b.test"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["a b", "a, b", "a/b", "a?b", "a#b", "http://a", "a@b", "@", "[::1", "\u{e4}"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
