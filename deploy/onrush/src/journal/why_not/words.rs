//! An answer as sentences, and as JSON.

use std::fmt;

use onrush_api::text::Time;
use onrush_engine::id::AccountId;
use onrush_engine::journal::history::seat::{Freed, Place, Rules, Sale, SeatAnswer, Stay};
use onrush_engine::refusal::Refusal;
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::journal::happening::quoted;

/// What became of a seat at a moment.
#[derive(Debug)]
pub(in crate::journal) struct WhyNot {
    pub(super) seat: SeatIndex,
    pub(super) label: String,
    pub(super) buyer: Option<AccountId>,
    pub(super) answer: SeatAnswer,
    /// The journal's last record of the performance.
    pub(super) last: u64,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeatAnswer { at, stay, extended_until, later, rules, away, .. } = &self.answer;
        write!(f, "{} at {}: {}", self.label, Time(*at), sentence(stay))?;
        if let Some(end) = extended_until {
            write!(f, ", and with more time given later until {}", Time(*end))?;
        }
        write!(f, ".\n{}", self.afterwards(later))?;
        match rules {
            Some(rules) => write!(f, "\n{}", self.rules(rules))?,
            None => write!(f, "\nA snapshot stands for that time: the rules of the sale are not known.")?,
        }
        let Some(away) = away else { return Ok(()) };
        write!(f, "\nThe server was away then: it was back at {} (record {}).", Time(away.until), away.sequence)
    }
}

/// Where a seat was.
fn sentence(stay: &Stay) -> String {
    match &stay.place {
        Place::Held { hold, buyer, expires_at } => {
            format!("held by {buyer} ({hold}) {} until {}", since(stay), Time(*expires_at))
        }
        Place::Booked { booking, buyer } => format!("booked by {buyer} ({booking}) {}", since(stay)),
        Place::Blocked { block, by, reason } => {
            let by = by.map_or_else(|| "the seller".to_owned(), |by| by.to_string());
            format!("blocked by {by} ({block}{}) {}", quoted(reason), since(stay))
        }
        Place::Free(freed) => format!("it was free: nobody had it {}{}", since(stay), because(freed)),
    }
}

/// From when on, and by which record.
fn since(stay: &Stay) -> String {
    match (stay.since, stay.sequence) {
        (Some(at), Some(sequence)) => format!("since {} (record {sequence})", Time(at)),
        (Some(at), None) => format!("since {}", Time(at)),
        (None, _) => "since before the history begins".to_owned(),
    }
}

fn because(freed: &Freed) -> String {
    match freed {
        Freed::Opened => ", when the performance came into being".to_owned(),
        Freed::Unknown => String::new(),
        Freed::Released { hold, buyer } => format!(", when {buyer} released {hold}"),
        Freed::RanOut { hold, buyer } => format!(", when {hold} of {buyer} ran out"),
        Freed::Cancelled { booking, by } => format!(", when {by} cancelled {booking}"),
        Freed::Lost { booking } => format!(", when {booking} was not paid, or rejected"),
        Freed::CalledOff { by } => format!(", when {by} called the performance off"),
        Freed::Lifted { block } => format!(", when {block} was lifted"),
    }
}

/// How a stay followed on the one before, as a part of a sentence.
fn turn(stay: &Stay) -> String {
    let sequence = stay.sequence.unwrap_or_default();
    let at = stay.since.map_or_else(String::new, |at| format!(" at {}", Time(at)));
    match &stay.place {
        Place::Held { hold, buyer, .. } => format!("was taken by {buyer}{at} ({hold}, record {sequence})"),
        Place::Booked { booking, buyer } => format!("was booked by {buyer}{at} ({booking}, record {sequence})"),
        Place::Blocked { block, .. } => format!("was blocked{at} ({block}, record {sequence})"),
        Place::Free(freed) => format!("came back{at} (record {sequence}: {})", why_free(freed)),
    }
}

fn why_free(freed: &Freed) -> &'static str {
    match freed {
        Freed::Opened => "opened",
        Freed::Unknown => "unknown",
        Freed::Released { .. } => "released",
        Freed::RanOut { .. } => "ran out",
        Freed::Cancelled { .. } => "cancelled",
        Freed::Lost { .. } => "not paid or rejected",
        Freed::CalledOff { .. } => "called off",
        Freed::Lifted { .. } => "lifted",
    }
}

impl WhyNot {
    /// What became of the seat, until somebody else had it.
    fn afterwards(&self, later: &[Stay]) -> String {
        let taken = |stay: &Stay| matches!(stay.place, Place::Held { .. } | Place::Blocked { .. });
        let end = later.iter().position(taken).map_or(later.len(), |first| first + 1);
        let turns: Vec<String> = later[..end].iter().map(turn).collect();
        match turns.is_empty() {
            true => format!("It stayed so up to the last record ({}).", self.last),
            false => format!("It {}.", turns.join(", and then ")),
        }
    }

    fn rules(&self, rules: &Rules) -> String {
        let terms = &rules.terms;
        let free = matches!(self.answer.stay.place, Place::Free(_));
        match rules.sale {
            Sale::NotYet => format!("The sale was not open yet: it was to open at {}.", Time(terms.opens_at)),
            Sale::Closed => format!("The sale was closed since {}.", Time(terms.closes_at)),
            Sale::Open => match (self.buyer, &rules.verdict) {
                (Some(buyer), Some(Err(refusal))) if !is_seat(refusal) => {
                    format!("The sale was open, but {buyer} would have been refused: {refusal}.")
                }
                (Some(buyer), Some(Ok(()))) => {
                    format!("The sale was open, and by the rules {buyer} could have had it: {NO_RECORD}.")
                }
                _ if free => format!(
                    "The sale was open. One buyer may have {} seats and {} holds at a time: ask with --buyer whether \
                     that was it. Else {NO_RECORD}.",
                    terms.seats_per_buyer_max, terms.holds_per_buyer_max
                ),
                _ => "The sale was open.".to_owned(),
            },
        }
    }
}

/// What a journal of changes cannot know.
const NO_RECORD: &str =
    "nobody asked, or it was refused for load or a full disk, or the server was not there: of that there is no record";

/// Whether a refusal says no more than where the seat was.
fn is_seat(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::SeatsTaken { .. })
}

impl Serialize for WhyNot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SeatAnswer { at, sequence, stay, extended_until, later, rules, away } = &self.answer;
        let object = json!({
            "kind": "why_not",
            "seat": self.label,
            "number": self.seat.0,
            "at": time(*at),
            "sequence": sequence,
            "last_sequence": self.last,
            "was": object(stay),
            "extended_until": extended_until.map(time),
            "later": later.iter().map(object).collect::<Vec<_>>(),
            "sale": rules.as_ref().map(|rules| self.sale(rules)),
            "away": away.map(|away| json!({"until": time(away.until), "sequence": away.sequence})),
        });
        object.serialize(serializer)
    }
}

impl WhyNot {
    fn sale(&self, rules: &Rules) -> Value {
        let Rules { terms, sale, verdict } = rules;
        let sale = match sale {
            Sale::NotYet => "not_yet",
            Sale::Open => "open",
            Sale::Closed => "closed",
        };
        json!({
            "state": sale,
            "opens_at": time(terms.opens_at),
            "closes_at": time(terms.closes_at),
            "ends_at": time(terms.ends_at),
            "max_seats_per_buyer": terms.seats_per_buyer_max,
            "max_holds_per_buyer": terms.holds_per_buyer_max,
            "buyer": self.buyer.map(|buyer| buyer.to_string()),
            "refusal": verdict.as_ref().and_then(|verdict| verdict.as_ref().err()).map(Refusal::to_string),
        })
    }
}

fn time(at: Timestamp) -> String {
    Time(at).to_string()
}

fn object(stay: &Stay) -> Value {
    let mut object = match &stay.place {
        Place::Free(freed) => json!({"state": "free", "because": why_free(freed)}),
        Place::Held { hold, buyer, expires_at } => json!({
            "state": "held", "hold": hold.to_string(), "buyer": buyer.to_string(), "expires_at": time(*expires_at),
        }),
        Place::Booked { booking, buyer } => {
            json!({"state": "booked", "booking": booking.to_string(), "buyer": buyer.to_string()})
        }
        Place::Blocked { block, by, reason } => json!({
            "state": "blocked", "block": block.to_string(), "by": by.map(|by| by.to_string()), "reason": reason,
        }),
    };
    object["since"] = json!(stay.since.map(time));
    object["sequence"] = json!(stay.sequence);
    object
}
