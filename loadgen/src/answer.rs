//! What the server's answer means to a bot.
//!
//! The bodies are those of `onrush_api`, read through borrowing views of the few fields that a bot needs: a bot reads
//! hundreds of thousands of them, and what it does not read it need not pay for. The audit reads them whole.

use std::borrow::Cow;

use onrush_api::bookings::BookingStatus;
use onrush_api::problem::Kind;
use serde::Deserialize;

/// What a request asked for. The steps of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Hold,
    Book,
    Release,
    Availability,
}

impl Step {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Hold, Self::Book, Self::Release, Self::Availability];

    /// As it stands in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Book => "book",
            Self::Release => "release",
            Self::Availability => "availability",
        }
    }
}

/// How a step of a bot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 201: the seats are held.
    Held(Seats),
    /// 201: the hold is a booking.
    Booked(Seats, BookingStatus),
    /// 204: the seats are given back.
    Released,
    /// 200 or 304: the worker's view of the hall is fresh, or fresh enough.
    Looked,
    /// A problem of the contract.
    Refused(Refusal),
    /// Whether the request took effect cannot be told.
    Unknown,
    /// An answer that the contract does not have; or none, though nothing was sent.
    Strange(String),
}

/// The id of a hold or a booking, and its seats' labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seats {
    pub(crate) id: String,
    pub(crate) labels: Vec<String>,
}

/// A problem, as far as a bot acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) remaining: Option<u64>,
    pub(crate) split: Vec<Vec<String>>,
}

impl Refusal {
    /// Whether the same request may succeed in a moment. All of them are refused before anything is done, but
    /// [`Kind::OutcomeUnknown`] and [`Kind::KeyInFlight`]: there, a request with this key may still take effect.
    pub(crate) fn is_temporary(&self) -> bool {
        let kinds = [Kind::Overloaded, Kind::TooManyRequests, Kind::Timeout, Kind::OutcomeUnknown, Kind::KeyInFlight];
        kinds.contains(&self.kind)
    }

    /// Whether the request may have taken effect all the same.
    pub(crate) fn leaves_it_open(&self) -> bool {
        matches!(self.kind, Kind::OutcomeUnknown | Kind::KeyInFlight)
    }
}

#[derive(Deserialize)]
struct SeatsBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    seats: Vec<Label<'a>>,
    status: Option<BookingStatus>,
}

#[derive(Deserialize)]
struct Label<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ProblemBody<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    remaining: Option<u64>,
    #[serde(default)]
    split: Vec<Vec<String>>,
}

/// Reads an answer to `step`. Availabilities with a body are read by whoever keeps the view.
pub(crate) fn read(step: Step, status: u16, body: &[u8]) -> Answer {
    let strange =
        || Answer::Strange(format!("{} answered with status {status} and a body of another kind", step.name()));
    match (step, status) {
        (Step::Hold, 201) => seats(body).map(|(seats, _)| Answer::Held(seats)).unwrap_or_else(strange),
        (Step::Book, 201) => booked(body).unwrap_or_else(strange),
        (Step::Release, 204) => Answer::Released,
        (Step::Availability, 200 | 304) => Answer::Looked,
        (_, 400..) => refused(body).unwrap_or_else(strange),
        _ => strange(),
    }
}

fn seats(body: &[u8]) -> Option<(Seats, Option<BookingStatus>)> {
    let body: SeatsBody<'_> = serde_json::from_slice(body).ok()?;
    let labels = body.seats.into_iter().map(|seat| seat.label.into_owned()).collect();
    Some((Seats { id: body.id.into_owned(), labels }, body.status))
}

fn booked(body: &[u8]) -> Option<Answer> {
    let (seats, status) = seats(body)?;
    Some(Answer::Booked(seats, status?))
}

fn refused(body: &[u8]) -> Option<Answer> {
    let body: ProblemBody<'_> = serde_json::from_slice(body).ok()?;
    let kind = Kind::ALL.iter().copied().find(|kind| kind.type_uri() == body.r#type)?;
    Some(Answer::Refused(Refusal { kind, remaining: body.remaining, split: body.split }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_and_bookings_are_read() {
        let body = br#"{"id": "hold_1", "seats": [{"label": "A-1-1", "tier": "x"}, {"label": "A-\u0031-2"}]}"#;
        let seats = Seats { id: "hold_1".to_owned(), labels: vec!["A-1-1".to_owned(), "A-1-2".to_owned()] };
        assert_eq!(read(Step::Hold, 201, body), Answer::Held(seats));
        assert!(matches!(read(Step::Book, 201, body), Answer::Strange(_)), "a booking has a status");
        let body = br#"{"id": "bkg_1", "status": "confirmed", "seats": []}"#;
        let seats = Seats { id: "bkg_1".to_owned(), labels: Vec::new() };
        assert_eq!(read(Step::Book, 201, body), Answer::Booked(seats, BookingStatus::Confirmed));
    }

    #[test]
    fn every_problem_of_the_contract_is_known() {
        for &kind in Kind::ALL {
            let body = serde_json::to_vec(onrush_api::problem::Problem::new(kind).body()).unwrap();
            let Answer::Refused(refusal) = read(Step::Hold, kind.status(), &body) else { panic!("{kind:?}") };
            assert_eq!(refusal.kind, kind);
        }
    }

    #[test]
    fn what_is_not_in_the_contract_is_strange() {
        assert!(matches!(read(Step::Hold, 500, b"oops"), Answer::Strange(_)));
        assert!(matches!(read(Step::Hold, 409, br#"{"type": "/problems/moon"}"#), Answer::Strange(_)));
        assert!(matches!(read(Step::Hold, 200, b"{}"), Answer::Strange(_)));
        assert!(matches!(read(Step::Release, 302, b""), Answer::Strange(_)));
    }
}
