//! Blocks: house seats taken out of sale and given back.

use hyper::StatusCode;
use onrush_api::blocks::{Block, BlockRequest};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Text;
use onrush_engine::command::{BlockSeats, Command};
use onrush_engine::id::{BlockId, PerformanceId};
use onrush_engine::inventory::Answer as EngineAnswer;
use onrush_engine::mailbox::Ask;
use onrush_engine::registry::Duty;

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::labels;
use crate::request::Request;

/// Seats of one block: one block is one event, which has to fit a record.
const SEATS_PER_BLOCK_MAX: usize = 10_000;

/// Block house seats
#[utoipa::path(post, path = "/v1/performances/{performance}/blocks", tag = "Selling",
    params(("performance" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = BlockRequest, security(("token" = [])),
    responses((status = 201, body = Block), (status = 409, description = "`seats-unavailable`")))]
pub(crate) async fn block(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &SELLERS)?;
    let BlockRequest { seats, reason } = request.json()?;
    if seats.is_empty() || seats.len() > SEATS_PER_BLOCK_MAX {
        return Err(Problem::field("/seats", format!("1 to {SEATS_PER_BLOCK_MAX} seats")));
    }
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > 200) {
        return Err(Problem::field("/reason", "at most 200 characters"));
    }
    let seats = labels::seats(&performance.publication, &seats)?;
    let (key, nonce, reason) = (request.key("block_seats")?, rand::random(), reason.map(String::into_boxed_str));
    let command = Command::BlockSeats(BlockSeats { caller, seats, reason, nonce, key });
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    let EngineAnswer::Block(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    let body = Block {
        id: Text(view.id),
        performance: Text(view.id.performance),
        seats: labels::labels(&performance.publication, &view.seats),
        reason: view.reason.as_deref().map(str::to_owned),
    };
    let answer = Answer::json(StatusCode::CREATED, &body);
    Ok(answer.sequence(view.id.performance, answered.sequence).replayed(answered.replayed))
}

/// Give blocked seats back
///
/// 204 also where they were given back before.
#[utoipa::path(delete, path = "/v1/performances/{performance}/blocks/{block}", tag = "Selling",
    params(("performance" = String, Path), ("block" = String, Path)), security(("token" = [])),
    responses((status = 204)))]
pub(crate) async fn lift(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&SELLERS)?;
    let id: PerformanceId = request.id(2)?;
    let block: BlockId = request.id(4)?;
    if block.performance != id {
        return Err(Problem::new(Kind::NotFound).detail("There is no such block."));
    }
    let performance = request.context.directory.performance(id)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &SELLERS)?;
    let command = Command::LiftBlock { caller, block };
    let answered = request.context.directory.ask(&performance, Ask::Command(command)).await?;
    Ok(Answer::done().sequence(id, answered.sequence))
}
