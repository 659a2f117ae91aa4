//! Request bodies: read by the edge's own way, turned into the engine's types, and asked of an engine's inventory.

use std::sync::LazyLock;

use onrush_api::accounts::{AccountClosing, AccountDraft, AccountPatch, ApiKeyDraft, RefreshRequest, SignIn};
use onrush_api::blocks::BlockRequest;
use onrush_api::body;
use onrush_api::bookings::{BookingRequest, CancelRequest, ReasonRequest};
use onrush_api::guests::GuestSignIn;
use onrush_api::holds::HoldRequest;
use onrush_api::performances::{PerformanceDraft, PerformancePatch};
use onrush_api::problem::Problem;
use onrush_api::shows::{Member, ShowDraft, ShowPatch};
use onrush_api::tickets::{CheckInRequest, ScanRequest, TransferRequest};
use onrush_api::wishes::WishDraft;
use onrush_edge::fuzzing;
use onrush_engine::command::{ChangeTerms, Command, HoldSeats};
use onrush_engine::event::Entry;
use onrush_engine::feed::Publication;
use onrush_engine::inventory::{Answer, Decision, Inventory};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::hall::{PERFORMANCE, SEATS_MAX, SHOW, after, caller, opening, seller, size};
use crate::input::Input;
use crate::sale::exercise;

fn hall() -> Inventory {
    Inventory::open(&opening(), after(0)).expect("the hall is sound")
}

pub(crate) static PUBLICATION: LazyLock<Publication> = LazyLock::new(|| Publication::new(&hall(), 1));

/// Bytes as the body of one of the calls.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    let call = input.byte() % 21;
    let body = input.rest();
    match call {
        0 => accepted(parsed::<ShowDraft>(body).and_then(fuzzing::show).map(drop)),
        1 => accepted(parsed::<ShowPatch>(body).map(drop)),
        2 => accepted(parsed(body).and_then(add)),
        3 => accepted(parsed(body).and_then(change)),
        4 => accepted(parsed(body).and_then(hold)),
        5 => accepted(parsed::<BookingRequest>(body).map(drop)),
        6 => accepted(parsed(body).and_then(cancel)),
        7 => accepted(parsed(body).and_then(block)),
        8 => accepted(parsed::<ReasonRequest>(body).map(drop)),
        9 => accepted(parsed::<Member>(body).map(drop)),
        10 => accepted(parsed::<TransferRequest>(body).map(drop)),
        11 => accepted(parsed::<CheckInRequest>(body).map(drop)),
        12 => accepted(parsed::<AccountDraft>(body).map(drop)),
        13 => accepted(parsed::<AccountPatch>(body).map(drop)),
        14 => accepted(parsed::<AccountClosing>(body).map(drop)),
        15 => accepted(parsed::<ApiKeyDraft>(body).map(drop)),
        16 => accepted(parsed::<SignIn>(body).map(drop)),
        17 => accepted(parsed::<RefreshRequest>(body).map(drop)),
        18 => accepted(parsed::<GuestSignIn>(body).map(drop)),
        19 => accepted(parsed(body).and_then(wish)),
        _ => accepted(parsed::<ScanRequest>(body).map(drop)),
    }
}

/// A refusal is the client's fault, and says so with an answer that can be written.
fn accepted(outcome: Result<(), Problem>) {
    let Err(problem) = outcome else { return };
    assert!((400..500).contains(&problem.status()), "{problem:?}");
    let pointers = problem.body().errors.iter().flatten().map(|error| error.pointer.as_str());
    pointers.for_each(|pointer| assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}"));
    serde_json::to_vec(problem.body()).expect("a problem can be written");
}

/// A body that is read says all that was sent, and is read again from what is written of it.
fn parsed<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Result<T, Problem> {
    let read: T = body::parse(bytes)?;
    let written = serde_json::to_value(&read).expect("a body can be written");
    let sent: Value = serde_json::from_slice(bytes).expect("what was read is JSON");
    assert!(sent.is_object() && tells_all(&sent, &written), "{sent} was read as {written}");
    assert_eq!(body::parse::<T>(written.to_string().as_bytes()).as_ref(), Ok(&read));
    Ok(read)
}

/// Whether each field that was sent is among those that were read. A list may stand for a struct's fields in their order.
fn tells_all(sent: &Value, read: &Value) -> bool {
    match (sent, read) {
        (Value::Object(sent), Value::Object(read)) => sent
            .iter()
            .all(|(name, value)| value.is_null() || read.get(name).is_some_and(|read| tells_all(value, read))),
        (Value::Array(sent), Value::Array(read)) => {
            sent.len() == read.len() && sent.iter().zip(read).all(|(sent, read)| tells_all(sent, read))
        }
        (Value::Object(_), _) => false,
        _ => true,
    }
}

fn add(draft: PerformanceDraft) -> Result<(), Problem> {
    // A hall that we know is not laid out each time anew.
    let preset = draft.venue_preset.is_some();
    let opening = fuzzing::opening(draft, PERFORMANCE, SHOW, seller().account, after(0))?;
    if preset || size(&opening.plan) > SEATS_MAX {
        return Ok(());
    }
    if let Ok(inventory) = Inventory::open(&opening, after(0)) {
        exercise(inventory);
    }
    Ok(())
}

fn change(patch: PerformancePatch) -> Result<(), Problem> {
    let (terms, prices) = fuzzing::terms(patch, &PUBLICATION)?;
    ask(&mut hall(), &Command::ChangeTerms(ChangeTerms { caller: seller(), based_on: None, terms, prices }))
}

fn hold(request: HoldRequest) -> Result<(), Problem> {
    let wish = fuzzing::wish(request, &PUBLICATION)?;
    ask(&mut hall(), &Command::HoldSeats(HoldSeats { caller: caller(0), wish, nonce: 1, key: None }))
}

/// What was said before is what is asked for.
fn wish(draft: WishDraft) -> Result<(), Problem> {
    let id = fuzzing::wish_id(&draft, &PUBLICATION)?;
    let wish = fuzzing::wish(HoldRequest { wish: Some(id), ..HoldRequest::default() }, &PUBLICATION)?;
    assert_eq!(wish.quantity(), draft.quantity);
    ask(&mut hall(), &Command::HoldSeats(HoldSeats { caller: caller(0), wish, nonce: 1, key: None }))
}

fn cancel(request: CancelRequest) -> Result<(), Problem> {
    request.seats.map_or(Ok(()), |labels| fuzzing::seats(&labels, &PUBLICATION).map(drop))
}

fn block(request: BlockRequest) -> Result<(), Problem> {
    fuzzing::seats(&request.seats, &PUBLICATION).map(drop)
}

fn ask(inventory: &mut Inventory, command: &Command) -> Result<(), Problem> {
    match inventory.decide(command, after(0)) {
        Ok(Decision::Event(event)) => {
            inventory.replay(&Entry { at: after(0), event: event.clone() }).expect("what was decided fits");
            if let Answer::Hold(view) = inventory.answer(&event) {
                let hold = fuzzing::hold(&view, &PUBLICATION);
                serde_json::to_vec(&hold).expect("a hold can be written");
            }
            inventory.verify().expect("what was decided leaves a sound state");
            Ok(())
        }
        Ok(Decision::Replayed(_) | Decision::Nothing) => Ok(()),
        Err(refusal) => Err(fuzzing::refused(refusal, inventory.map())),
    }
}
