//! Answers: status, headers, body.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Body;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode, Version};
use onrush_api::headers::IDEMPOTENCY_REPLAYED;
use onrush_api::problem::{Kind, Problem};
use onrush_engine::id::PerformanceId;
use serde::Serialize;

/// What goes over the wire.
pub(crate) type HttpResponse = Response<Content>;

/// The body of an answer: there at once, or as it comes.
pub(crate) type Content = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
pub(crate) const ONRUSH_SEQUENCE: HeaderName = HeaderName::from_static("onrush-sequence");
/// An API answer is never a page: nothing in it may run, and nobody may frame it.
const API_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Our pages carry their style with them, and nothing that runs.
const PAGE_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");

/// An answer in the making.
pub(crate) struct Answer {
    response: HttpResponse,
}

impl Answer {
    fn new(status: StatusCode, content_type: HeaderValue, body: Bytes, policy: HeaderValue) -> Self {
        let mut response = Response::new(Either::Left(Full::new(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(12);
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Self { response }
    }

    /// A JSON body.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // Most answers fit; growing from nothing would copy them twice.
        let mut bytes = Vec::with_capacity(512);
        serde_json::to_writer(&mut bytes, body).expect("the API's types are plain and always make JSON");
        Self::bytes(status, bytes.into())
    }

    /// A JSON body that is made already.
    pub(crate) fn bytes(status: StatusCode, body: Bytes) -> Self {
        Self::new(status, JSON, body, API_POLICY)
    }

    /// Plain text.
    pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(status, HeaderValue::from_static(content_type), body.into(), API_POLICY)
    }

    /// Events as they come.
    pub(crate) fn stream(events: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        let mut answer = Self::text(StatusCode::OK, "text/event-stream", Bytes::new());
        *answer.response.body_mut() = Either::Right(events.boxed_unsync());
        // Whoever stands between is not to wait until there is more.
        answer.with(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))
    }

    /// A page.
    pub(crate) fn page(body: Bytes) -> Self {
        Self::new(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), body, PAGE_POLICY)
    }

    /// What the control plane answers, with what every answer of ours has.
    pub(crate) fn passed_on(passed: Response<Bytes>) -> Self {
        let (parts, body) = passed.into_parts();
        let mut answer = Self::bytes(parts.status, body);
        if parts.status == StatusCode::NO_CONTENT {
            answer.response.headers_mut().remove(CONTENT_TYPE);
        }
        answer.response.headers_mut().extend(parts.headers);
        answer
    }

    /// 204: done, and nothing to say.
    pub(crate) fn done() -> Self {
        let mut answer = Self::new(StatusCode::NO_CONTENT, JSON, Bytes::new(), API_POLICY);
        answer.response.headers_mut().remove(CONTENT_TYPE);
        answer
    }

    /// 304: what you have is what there is.
    pub(crate) fn not_modified() -> Self {
        let mut answer = Self::done();
        *answer.response.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    }

    /// A problem.
    pub(crate) fn problem(problem: &Problem) -> Self {
        let body = serde_json::to_vec(problem.body()).expect("a problem is plain and always makes JSON");
        let status = StatusCode::from_u16(problem.status()).expect("the table has valid statuses");
        let mut answer = Self::new(status, PROBLEM_JSON, body.into(), API_POLICY);
        if let Some(seconds) = problem.body().retry_after {
            answer.response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        match problem.kind {
            Kind::Unauthenticated | Kind::WrongCredentials => {
                answer.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            // Without a number it is not the rate of an account's requests.
            Kind::TooManyRequests => match problem.body().limit {
                Some(per_second) => answer.rate_limited(per_second),
                None => answer,
            },
            _ => answer,
        }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers.
    fn rate_limited(self, per_second: u64) -> Self {
        let policy = format!("\"account\";q={};w=2", per_second * 2);
        let policy = HeaderValue::try_from(policy).expect("digits are a header");
        self.with(HeaderName::from_static("ratelimit-policy"), policy)
            .with(HeaderName::from_static("ratelimit"), HeaderValue::from_static("\"account\";r=0;t=1"))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// Says where in the journal the change stands.
    pub(crate) fn sequence(self, performance: PerformanceId, sequence: Option<u64>) -> Self {
        let Some(sequence) = sequence else { return self };
        let value =
            HeaderValue::try_from(format!("{performance}/{sequence}")).expect("an id and a number are a header");
        self.with(ONRUSH_SEQUENCE, value)
    }

    /// Says that this was answered before.
    pub(crate) fn replayed(self, replayed: bool) -> Self {
        if replayed { self.with(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true")) } else { self }
    }

    pub(crate) fn location(self, url: String) -> Self {
        self.with(LOCATION, HeaderValue::try_from(url).expect("a path of ids is a header"))
    }

    /// To be kept as a file of this name.
    pub(crate) fn named(self, file: &str) -> Self {
        let value = format!("attachment; filename=\"{file}\"");
        self.with(CONTENT_DISPOSITION, HeaderValue::try_from(value).expect("a plain name is a header"))
    }

    pub(crate) fn allow(self, methods: &str) -> Self {
        self.with(ALLOW, HeaderValue::try_from(methods).expect("method names are a header"))
    }

    pub(crate) fn cached(self, etag: HeaderValue, cache_control: &'static str) -> Self {
        self.with(ETAG, etag).with(CACHE_CONTROL, HeaderValue::from_static(cache_control))
    }

    pub(crate) fn gzipped(self) -> Self {
        self.with(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
    }

    pub(crate) fn varies_by_accept(self) -> Self {
        self.with(VARY, HeaderValue::from_static("accept"))
    }

    pub(crate) fn varies_by_encoding(self) -> Self {
        self.with(VARY, HeaderValue::from_static("accept-encoding"))
    }

    /// The last of its connection: where the request ends may be told differently by whoever passed it on. In HTTP/2 no
    /// header tells that, and none has to.
    pub(crate) fn last(self, version: Version) -> Self {
        if version < Version::HTTP_2 { self.with(CONNECTION, HeaderValue::from_static("close")) } else { self }
    }

    pub(crate) fn into_response(self) -> HttpResponse {
        self.response
    }
}
