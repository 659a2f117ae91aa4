//! Problems: RFC 9457 answers, from a closed table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Time;

macro_rules! kinds {
    ($($name:ident $status:literal $slug:literal $title:literal $page:literal)*) => {
        /// Every kind of problem that the API can answer with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $page] $name,)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The last segment of the problem's type and of its page: `/problems/<slug>`.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The whole type: `/problems/<slug>`.
            pub fn type_uri(self) -> &'static str {
                match self { $(Self::$name => concat!("/problems/", $slug),)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A few words for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do: the text of its page.
            pub fn page(self) -> &'static str {
                match self { $(Self::$name => $page,)* }
            }
        }
    };
}

kinds! {
    MalformedBody 400 "malformed-body" "The body is not JSON" "The request's body could not be read as JSON. Send one JSON object, in UTF-8."
    BadRequest 400 "bad-request" "The request cannot be read" "A header, the path or the query is not well-formed. The detail says which; correct it and send the request again."
    Unauthenticated 401 "unauthenticated" "A valid access token is needed" "The access token is missing, expired, or not signed by this platform. Get a new one and send it as `Authorization: Bearer <token>`."
    WrongCredentials 401 "wrong-credentials" "That does not sign you in" "The address and the password, the key, or the refresh token are not those of an account, or the reservation password is not that of the booking. A refresh token can be used once; sign in again."
    Forbidden 403 "forbidden" "Your role may not do this" "The token is valid, but its role may not make this call. Sellers set shows up, buyers hold and book."
    LimitExceeded 403 "limit-exceeded" "Over the limit for one account" "One buyer may have so many seats, or holds, in a performance, as its seller says; one account may have so many keys. `limit` is that number and `in_use` what you have. Release, cancel or revoke something first."
    NotOnSale 403 "not-on-sale" "Not on sale now" "The sale has not opened yet or has closed already; `opens_at` and `closes_at` say when it is open. Times are the server's."
    CancellationClosed 403 "cancellation-closed" "Too late to cancel" "The seller's deadline for cancelling has passed; `cancel_until` was that time."
    NotFound 404 "not-found" "There is no such thing" "Nothing is found under this URL, or it is not yours."
    MethodNotAllowed 405 "method-not-allowed" "The method is not allowed here" "The URL exists but not with this method; the `Allow` header lists those it has."
    Timeout 408 "request-timeout" "The request took too long" "The whole request did not arrive in time. Send it again, faster; with the same idempotency key it is safe."
    ShowInUse 409 "show-in-use" "The show has an engine already" "A show has one deployment, which was made from other answers. Change that one, or delete it."
    AlreadyKnown 409 "already-known" "There is one already" "Something of this name, alias or reference is known already; `errors` says which field has it. Use another, or delete the one that has it."
    ImageInUse 409 "image-in-use" "The image is in use" "Templates name it, or deployments run it; `used_by` lists them. Deployments would go on, and could not be made again: add `?force=true` if that is meant."
    ChangedMeanwhile 409 "changed-meanwhile" "Somebody else changed it" "Again and again somebody else changed the same thing while your change was made. Look at it as it is now, and send yours again."
    SeatsUnavailable 409 "seats-unavailable" "Seats are taken" "At least one of the seats is not free any more; `seats` names those that are gone. Nothing was held. Choose others, or ask for the best available."
    NotAdjacent 409 "not-adjacent" "No such run of seats side by side" "There are enough free seats, but not side by side. `split` offers the best groups there are: ask for them by name, or ask again with `adjacent: false`."
    AlreadyBooked 409 "already-booked" "The hold is a booking already" "This hold has become a booking; `booking` is its id."
    BookingClosed 409 "booking-closed" "The booking cannot be changed any more" "The booking is cancelled, or in another state that does not allow this call."
    PaymentPending 409 "payment-pending" "The booking waits for its payment" "Until it is paid it can be cancelled as a whole only, and has nothing to print. Leave `seats` out, or pay first."
    ApprovalPending 409 "approval-pending" "The booking waits for the seller" "The seller has not said yes or no yet; nothing is confirmed until then. Read the booking again later."
    AlreadyDecided 409 "already-decided" "The booking does not wait for the seller" "The seller has said the other thing already, the time to decide was up, or nobody is asked. The first word holds."
    AlreadyCheckedIn 409 "already-checked-in" "Somebody has come in with this ticket" "A ticket lets one person in, once; `checked_in_at` says when that was. If that was not its holder, the holder has given the code away."
    TicketReissued 409 "ticket-reissued" "The code is an earlier one" "The ticket was given to somebody else since this code was made; the new holder has the code that is good."
    TicketsGone 409 "tickets-gone" "Tickets were given away or used" "The tickets of the seats in `seats` were given to somebody else, or somebody came in with them. Only the seller can cancel those seats; leave them out."
    EmailTaken 409 "email-taken" "The address has an account" "There is an account with this address. Sign in with it, or use another address."
    BookingsOutstanding 409 "bookings-outstanding" "Something is not over that the account has booked or sells" "The account has bookings, or sells performances, that have not ended; `limit` is how many. Cancel them, or close the account with `force: true`, which cancels them by each performance's policy. What a seller has sold has to be cancelled first."
    KeyInFlight 409 "idempotency-key-in-flight" "The first request with this key is under way" "A request with the same idempotency key has not been answered yet. Wait, then send this one again."
    HoldExpired 410 "hold-expired" "The hold has ended" "The time to book was up, or the hold was released. The seats went back on sale; hold seats again."
    LengthRequired 411 "length-required" "Content-Length is needed" "Send the body with a Content-Length and without a Transfer-Encoding."
    BodyTooLarge 413 "body-too-large" "The body is too large" "The body is longer than this call takes; `limit` is the number of bytes."
    UriTooLong 414 "uri-too-long" "The URL is too long" "The URL is longer than the server takes; `limit` is the number of bytes."
    UnsupportedMediaType 415 "unsupported-media-type" "The body must be JSON" "Send `Content-Type: application/json`."
    InvalidBody 422 "invalid-body" "The body has wrong fields" "The body is JSON, but not what this call takes. `errors` lists each wrong field as a JSON pointer with what is wrong."
    UnknownSeats 422 "unknown-seats" "No such seats" "The seat map of this performance has no seats with the labels in `seats`. See GET /v1/performances/{perf}/seat-map."
    SeatMapTooLarge 422 "seat-map-too-large" "The seat map is too large" "The seat map has more seats than one performance may have, or its names take more room than one journal record; `limit` is the number."
    InvalidCode 422 "invalid-code" "That is no code of this ticket" "The code is not signed by this platform, or is another ticket's. Scan it again; `GET /v1/tickets/keys` has the public keys."
    KeyReused 422 "idempotency-key-reused" "The idempotency key was used for another request" "This key stands for an earlier request with another body. Use a new key for a new request."
    HeadersTooLarge 431 "headers-too-large" "Too many or too large headers" "The request's headers are more, or larger, than the server takes."
    TooManyRequests 429 "quota-exceeded" "Too many requests" "You have sent more requests than one account may in this time, or have tried something too often, such as a password. `Retry-After` says when to go on."
    Internal 500 "internal-error" "Something went wrong here" "The server met a case that it should not. The request id is in its log; tell the operator."
    PaymentUnavailable 409 "payment-unavailable" "Nobody takes payments here" "The booking would have something to pay, and this server has no payment provider. Nothing was booked; the hold is as it was. Tell the operator: the setting is `payment_provider`."
    NoticeRefused 401 "notice-refused" "The notice is not the payment provider's" "Its signature is missing or wrong, or it is too old. Nothing was done."
    Overloaded 503 "temporary-reduced-capacity" "The server is busy" "The request was refused before any work was done for it. Send it again after `Retry-After` seconds."
    OutcomeUnknown 503 "outcome-unknown" "The outcome is not known" "The server could not make sure that the change is durable. Send the request again with the same idempotency key: it takes effect once at most."
    DiskLow 507 "disk-low" "Nothing new is taken: the disk is nearly full" "The engine keeps its last room for what buyers have begun: no new holds, no blocks, no changes by sellers. What you hold can still be booked, released or cancelled. The operator has to make room."
}

/// One wrong field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// RFC 6901 JSON pointer to the field; empty for the whole body.
    #[schema(example = "/best_available/quantity")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A refusal as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which of the table.
    pub kind: Kind,
    /// What goes over the wire; boxed, so that a result that is nearly always fine stays small.
    body: Box<ProblemBody>,
}

impl Problem {
    /// A problem with nothing but its kind.
    pub fn new(kind: Kind) -> Self {
        let body = ProblemBody {
            r#type: kind.type_uri().to_owned(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: kind.page().to_owned(),
            retryable: matches!(kind.status(), 408 | 429 | 503),
            ..ProblemBody::default()
        };
        Self { kind, body: Box::new(body) }
    }

    /// A problem that came over the wire; nothing where it is of no kind that there is.
    pub fn read(body: ProblemBody) -> Option<Self> {
        let kind = Kind::ALL.iter().find(|kind| kind.type_uri() == body.r#type)?;
        Some(Self { kind: *kind, body: Box::new(body) })
    }

    /// An `invalid-body` problem about one field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidBody).errors(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// Wrong fields of one body, as one problem; nothing where none is wrong.
    pub fn fields<'a>(wrong: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let errors: Vec<FieldError> =
            wrong.into_iter().filter_map(|problem| problem.body.errors.clone()).flatten().collect();
        (!errors.is_empty()).then(|| Self::new(Kind::InvalidBody).errors(errors))
    }

    /// What goes over the wire.
    pub fn body(&self) -> &ProblemBody {
        &self.body
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// With members that its kind has.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut ProblemBody)) -> Self {
        set(&mut self.body);
        self
    }

    /// With a sentence about this case.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with(|body| body.detail = detail.into())
    }

    /// With the labels of the seats concerned.
    #[must_use]
    pub fn seats(self, seats: Vec<String>) -> Self {
        self.with(|body| body.seats = Some(seats))
    }

    /// With the limit that was met.
    #[must_use]
    pub fn limit(self, limit: u64) -> Self {
        self.with(|body| body.limit = Some(limit))
    }

    /// With what uses the thing.
    #[must_use]
    pub fn used_by(self, users: Vec<String>) -> Self {
        self.with(|body| body.used_by = Some(users))
    }

    /// With the seconds after which to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.with(|body| body.retry_after = Some(seconds))
    }

    /// With the wrong fields.
    #[must_use]
    pub fn errors(self, errors: Vec<FieldError>) -> Self {
        self.with(|body| body.errors = Some(errors))
    }
}

/// `application/problem+json` (RFC 9457), with the members that the kind has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<slug>`, which is also the URL of a page about it.
    #[schema(example = "/problems/seats-unavailable")]
    pub r#type: String,
    /// A few words for people; the same for every problem of this type.
    pub title: String,
    /// The HTTP status, once more.
    pub status: u16,
    /// A sentence about this case.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Labels of the seats concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seats: Option<Vec<String>>,
    /// Groups of seats on offer instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Vec<Vec<String>>>,
    /// The limit that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much of the limit is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<u64>,
    /// How many free seats there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// What uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<Vec<String>>,
    /// When the sale opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Time>,
    /// When the sale closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Time>,
    /// Until when a booking could be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cancel_until: Option<Time>,
    /// When somebody came in with the ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_in_at: Option<Time>,
    /// The booking that the hold has become.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking: Option<String>,
    /// Seconds after which to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The wrong fields of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldError>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn slugs_are_unique_and_pages_say_something() {
        let slugs: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| kind.page().len() > 30 && kind.status() >= 400));
    }
}
