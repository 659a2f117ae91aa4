//! Why somebody could not get a seat: where it was at a moment, and what became of it.
//!
//! Pure but for reading the store. The journal has changes, not refusals: of who asked in vain there is no record, so the
//! answer is what the rules would have said.

mod trail;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
pub use trail::{Freed, Place, Stay};

use self::trail::Trail;
use super::{History, Step, Until};
use crate::command::{Caller, Command, HoldSeats, Wish};
use crate::event::Event;
use crate::id::AccountId;
use crate::inventory::{Inventory, Misfit};
use crate::journal::recovery::RecoveryError;
use crate::journal::store::Store;
use crate::performance::Terms;
use crate::refusal::Refusal;
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this time, with all that happened in that very millisecond.
    Time(Timestamp),
    /// At the end of this record.
    Record(u64),
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Which seat.
    pub seat: SeatIndex,
    /// When.
    pub moment: Moment,
    /// For whom, where the limits of one buyer are asked for.
    pub buyer: Option<AccountId>,
}

/// Whether the sale went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sale {
    /// Not yet.
    NotYet,
    /// Yes.
    Open,
    /// Not any more.
    Closed,
}

impl Sale {
    fn of(terms: &Terms, at: Timestamp) -> Self {
        match at {
            _ if at >= terms.closes_at => Self::Closed,
            _ if at < terms.opens_at => Self::NotYet,
            _ => Self::Open,
        }
    }
}

/// The engine did not run: whoever held seats got the time back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away {
    /// It was back then, and may have been away for longer than it gave back.
    pub until: Timestamp,
    /// The record that says so.
    pub sequence: u64,
}

/// The rules as they were at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// All of them.
    pub terms: Arc<Terms>,
    /// Whether seats could be held.
    pub sale: Sale,
    /// What a buyer that was asked for would have been told; nothing where none was, or the engine was away.
    pub verdict: Option<Result<(), Refusal>>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatAnswer {
    /// The moment as a time: of a record, when it was made.
    pub at: Timestamp,
    /// The last record at that moment.
    pub sequence: u64,
    /// Where the seat was. A hold's end is the one that was known then.
    pub stay: Stay,
    /// The hold's end after it was given more time, where it was.
    pub extended_until: Option<Timestamp>,
    /// Where it went from there.
    pub later: Vec<Stay>,
    /// Nothing where a snapshot stands for the moment: then only whose the seat was is known.
    pub rules: Option<Rules>,
    /// That the engine was away, as far as is known.
    pub away: Option<Away>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The performance did not exist.
    #[error("the performance came into being only with its first record")]
    BeforeOpening {
        /// When that was.
        opened_at: Timestamp,
    },
    /// A snapshot stands for that time, and does not say.
    #[error("a snapshot stands for what was before the end of record {snapshot}")]
    BeforeHistory {
        /// The last record that the snapshot stands for.
        snapshot: u64,
        /// When that was made.
        at: Timestamp,
    },
    /// There is no such record.
    #[error("there is no record {asked}: {last} is the last")]
    BeyondEnd {
        /// What was asked for.
        asked: u64,
        /// The last record.
        last: u64,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The state makes no inventory: a bug, or memory gone bad.
    #[error(transparent)]
    State(#[from] Misfit),
}

/// Answers a question; `history` is at its beginning, and at its end afterwards.
///
/// # Errors
/// [`AskError`], where there is no answer.
pub fn ask(history: &mut History, store: &dyn Store, question: &Question) -> Result<SeatAnswer, AskError> {
    let mut trail = Trail::begin(history.performance(), question.seat, history.inventory());
    if let Some(early) = before_history(history, &trail, question)? {
        let len = trail.len();
        history.replay(store, Until::End, &mut |step| trail.see(step))?;
        return Ok(trail.answer(len, early));
    }
    let until = match question.moment {
        Moment::Time(time) => Until::Time(time),
        Moment::Record(sequence) => Until::Record(sequence),
    };
    history.replay(store, until, &mut |step| trail.see(step))?;
    let seen = at_moment(history, store, &trail, question)?;
    let (len, mut away) = (trail.len(), None);
    history.replay(store, Until::End, &mut |step| {
        away = away.or_else(|| away_at(step, seen.at));
        trail.see(step);
    })?;
    let mut answer = SeatAnswer { away, ..trail.answer(len, seen) };
    if let (Some(_), Some(rules)) = (away, &mut answer.rules) {
        // Nobody could ask, and what the rules would have said rests on an end that was put off later.
        rules.verdict = None;
    }
    Ok(answer)
}

/// The answer for a time that a snapshot stands for, where the snapshot says as much; nothing where the history has it.
fn before_history(history: &History, trail: &Trail, question: &Question) -> Result<Option<SeatAnswer>, AskError> {
    if let Moment::Record(asked) = question.moment
        && asked > history.last()
    {
        return Err(AskError::BeyondEnd { asked, last: history.last() });
    }
    let (Some(snapshot), Some(state)) = (history.snapshot(), history.inventory()) else { return Ok(None) };
    let at = match question.moment {
        Moment::Record(sequence) if sequence >= snapshot => return Ok(None),
        Moment::Time(time) if time >= state.now() => return Ok(None),
        Moment::Record(_) => None,
        Moment::Time(time) => Some(time),
    };
    let known = trail.current().filter(|stay| stay.since.zip(at).is_some_and(|(since, at)| since <= at));
    let (Some(stay), Some(at)) = (known, at) else {
        return Err(AskError::BeforeHistory { snapshot, at: state.now() });
    };
    Ok(Some(seen(at, snapshot, stay, None)))
}

/// What can be said at the moment itself, without what came later.
fn at_moment(
    history: &mut History,
    store: &dyn Store,
    trail: &Trail,
    question: &Question,
) -> Result<SeatAnswer, AskError> {
    let (Some(inventory), Some(sequence), Some(stay)) = (history.inventory(), history.position(), trail.current())
    else {
        history.replay(store, Until::Record(0), &mut |_| {})?;
        let opened_at = history.inventory().map_or(Timestamp::MIN, Inventory::now);
        return Err(AskError::BeforeOpening { opened_at });
    };
    let at = match question.moment {
        Moment::Time(time) => time,
        Moment::Record(_) => inventory.now(),
    };
    let terms = Arc::clone(inventory.terms());
    let verdict = question.buyer.map(|buyer| rehearse(inventory, buyer, question.seat, at)).transpose()?;
    let rules = Rules { sale: Sale::of(&terms, at), terms, verdict };
    Ok(seen(at, sequence, stay, Some(rules)))
}

fn seen(at: Timestamp, sequence: u64, stay: &Stay, rules: Option<Rules>) -> SeatAnswer {
    let stay = stay.clone();
    SeatAnswer { at, sequence, stay, extended_until: None, later: Vec::new(), rules, away: None }
}

/// What the rules say to a buyer who wants the seat, on a state of their own: nothing of it becomes part of the history.
fn rehearse(
    inventory: &Inventory,
    buyer: AccountId,
    seat: SeatIndex,
    at: Timestamp,
) -> Result<Result<(), Refusal>, Misfit> {
    let mut inventory = Inventory::from_image(inventory.image())?;
    while let Some(event) = inventory.pulse(at) {
        inventory.apply(at, &event);
    }
    let caller = Caller { account: buyer, admin: false };
    let wish = Wish::Seats([seat].into_iter().collect());
    let command = Command::HoldSeats(HoldSeats { caller, wish, nonce: 0, key: None });
    Ok(inventory.decide(&command, at).map(drop))
}

/// Whether the engine was away at `at`, as the extension of a later start says.
fn away_at(step: &Step<'_>, at: Timestamp) -> Option<Away> {
    let Event::HoldsExtended { by_millis } = step.entry.event else { return None };
    let until = step.entry.at;
    let away = until > at && until - at <= Duration::from_millis(u64::from(by_millis));
    away.then_some(Away { until, sequence: step.sequence })
}
