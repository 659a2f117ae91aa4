//! Performances: added and changed by the show's seller, read by everybody.

use hyper::StatusCode;
use hyper::header::ACCEPT_ENCODING;
use onrush_api::performances::{
    self as api, Cancelled, Performance, PerformanceDraft, PerformancePatch, RefundStep, Sale, SeatsLeft, Tier,
};
use onrush_api::problem::{Kind, Problem};
use onrush_api::seat_map::{Row, RowSeats, SeatMap, Section, Slot};
use onrush_api::text::{Text, Time};
use onrush_engine::command::{CancelPerformance, ChangeTerms, Command};
use onrush_engine::feed::Publication;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::mailbox::Ask;
use onrush_engine::performance::{Approval, Terms};
use onrush_engine::registry::{Duty, RegistryCommand, RegistryMade};
use onrush_engine::seat_map::{SeatNames, Seating};

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::context::{Context, MERGES_MAX};
use crate::request::Request;
use crate::routes::bookings;

pub(crate) mod draft;

/// Add a performance
#[utoipa::path(post, path = "/v1/shows/{show}/performances", tag = "Performances",
    params(("show" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PerformanceDraft, security(("token" = [])),
    responses((status = 201, body = Performance), (status = 422, description = "`invalid-body`, `seat-map-too-large`")))]
pub(crate) async fn add(request: &Request<'_>) -> Result<Answer, Problem> {
    let show: ShowId = request.id(2)?;
    let caller = request.caller_for(show, Duty::Manage, &SELLERS)?;
    let seller = request.context.directory.show(show)?.seller;
    let draft: PerformanceDraft = request.json()?;
    let performance = PerformanceId(rand::random::<u64>().max(1));
    let opening = draft::opening(draft, performance, show, seller, request.context.now())?;
    let command = RegistryCommand::AddPerformance { show, performance, caller, key: request.key("add_performance")? };
    let answered = request.context.directory.register(command, Some(Box::new(opening))).await?;
    let RegistryMade::Performance(performance) = answered.made else { return Err(Problem::new(Kind::Internal)) };
    let known = request.context.directory.performance(performance)?;
    let location = format!("/v1/performances/{performance}");
    let body = body(request.context, &known.publication);
    // A performance's opening is the first record of its stream.
    let sequence = answered.sequence.map(|_| 0);
    let answer = Answer::json(StatusCode::CREATED, &body).location(location).replayed(answered.replayed);
    Ok(answer.sequence(performance, sequence))
}

/// Read a performance
#[utoipa::path(get, path = "/v1/performances/{performance}", tag = "Performances",
    params(("performance" = String, Path)), responses((status = 200, body = Performance)))]
pub(crate) fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    Ok(Answer::json(StatusCode::OK, &body(request.context, &performance.publication)))
}

/// Change a performance
///
/// What is safe while on sale: times, rules, and prices of seats that are neither held nor booked.
#[utoipa::path(patch, path = "/v1/performances/{performance}", tag = "Performances",
    params(("performance" = String, Path)), request_body = PerformancePatch, security(("token" = [])),
    responses((status = 200, body = Performance)))]
pub(crate) async fn change(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &SELLERS)?;
    let patch: PerformancePatch = request.json()?;
    let _alone = request.context.changing(performance.publication.performance.0).await;
    let mut tries = 1;
    let answered = loop {
        let rules = performance.publication.rules();
        let (terms, prices) = draft::changed(patch.clone(), &performance.publication, &rules, request.context.now())?;
        let based_on = Some(Box::new((Terms::clone(&rules.terms), rules.prices.clone())));
        let command = Command::ChangeTerms(ChangeTerms { caller, based_on, terms, prices });
        match request.context.directory.ask(&performance, Ask::Command(command)).await {
            // Over another edge; what is in force now came with the answer.
            Err(problem) if problem.kind == Kind::ChangedMeanwhile && tries < MERGES_MAX => tries += 1,
            answered => break answered?,
        }
    };
    let id = performance.publication.performance;
    let body = body(request.context, &performance.publication);
    Ok(Answer::json(StatusCode::OK, &body).sequence(id, answered.sequence))
}

/// Cancel a performance
///
/// For good: every hold ends, every booking is cancelled, and all that was paid goes back.
#[utoipa::path(post, path = "/v1/performances/{performance}/cancel", tag = "Performances",
    params(("performance" = String, Path)), request_body = Option<onrush_api::bookings::ReasonRequest>,
    security(("token" = [])), responses((status = 200, body = Performance)))]
pub(crate) async fn cancel(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    let caller = request.caller_for(performance.publication.show, Duty::Manage, &SELLERS)?;
    let command = CancelPerformance { caller, reason: bookings::reason(request)? };
    let answered =
        request.context.directory.ask(&performance, Ask::Command(Command::CancelPerformance(command))).await?;
    let body = body(request.context, &performance.publication);
    let id = performance.publication.performance;
    Ok(Answer::json(StatusCode::OK, &body).sequence(id, answered.sequence))
}

/// Read the seat map
///
/// Never changes for one `version`; a strong ETag; gzip where the client takes it.
#[utoipa::path(get, path = "/v1/performances/{performance}/seat-map", tag = "Performances",
    params(("performance" = String, Path)), responses((status = 200, body = SeatMap), (status = 304)))]
pub(crate) fn seat_map(request: &Request<'_>) -> Result<Answer, Problem> {
    const CACHE: &str = "public, max-age=31536000, immutable";
    let performance = request.context.directory.performance(request.id(2)?)?;
    let encoded = request.context.availabilities.map(&performance.publication);
    if request.has(&encoded.etag) {
        return Ok(Answer::not_modified().cached(encoded.etag, CACHE).varies_by_encoding());
    }
    let gzip = request.parts.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let gzip = gzip.is_some_and(|value| value.split(',').any(|coding| coding.trim() == "gzip"));
    let answer = match gzip {
        true => Answer::bytes(StatusCode::OK, encoded.gzipped).gzipped(),
        false => Answer::bytes(StatusCode::OK, encoded.plain),
    };
    Ok(answer.cached(encoded.etag, CACHE).varies_by_encoding())
}

fn body(context: &Context, publication: &Publication) -> Performance {
    let rules = publication.rules();
    let terms = &rules.terms;
    let tiers = publication.tiers.iter().zip(rules.prices.0.iter());
    let step =
        |step: &onrush_engine::performance::RefundStep| RefundStep { until: Time(step.until), percent: step.percent };
    Performance {
        id: Text(publication.performance),
        show: Text(publication.show),
        starts_at: Time(terms.starts_at),
        ends_at: Time(terms.ends_at),
        capacity: publication.map.capacity(),
        tiers: tiers.map(|(name, price)| Tier { name: name.to_string(), price: (*price).into() }).collect(),
        sale: Sale {
            opens_at: Time(terms.opens_at),
            closes_at: Time(terms.closes_at),
            hold_ttl_seconds: terms.hold_ttl_seconds,
            max_seats_per_buyer: terms.seats_per_buyer_max,
            max_holds_per_buyer: terms.holds_per_buyer_max,
            approval: match terms.approval {
                Approval::Automatic => api::Approval::Automatic,
                Approval::Manual => api::Approval::Manual,
            },
            cancel_until: Time(terms.cancel_until),
            refund: terms.refund.iter().map(step).collect(),
            waiting_room: None,
        },
        on_sale: rules.on_sale(context.now()),
        seats_left: seats_left(publication),
        cancelled: rules
            .called_off
            .as_ref()
            .map(|off| Cancelled { at: Time(off.at), reason: off.reason.as_deref().map(str::to_owned) }),
    }
}

fn seats_left(publication: &Publication) -> SeatsLeft {
    match publication.tally().free {
        0 => SeatsLeft::SoldOut,
        free if free <= publication.map.capacity() / 20 => SeatsLeft::LastSeats,
        _ => SeatsLeft::Plenty,
    }
}

/// The seat map as everybody reads it.
pub(crate) fn seat_map_body(publication: &Publication) -> SeatMap {
    let map = &publication.map;
    let section = |plan: &onrush_engine::seat_map::SectionPlan| {
        let name = plan.name.to_string();
        let tier = publication.tiers[usize::from(plan.tier.0)].to_string();
        match &plan.seating {
            Seating::Reserved(rows) => Section::Reserved { name, tier, rows: rows.iter().map(row).collect() },
            Seating::GeneralAdmission(capacity) => Section::GeneralAdmission { name, tier, capacity: *capacity },
            Seating::Slots { resource, slots } => {
                let slot = |slot: &onrush_engine::seat_map::Slot| Slot {
                    starts_at: Time(slot.starts_at),
                    ends_at: Time(slot.ends_at),
                };
                Section::Slots { name, tier, resource: resource.to_string(), slots: slots.iter().map(slot).collect() }
            }
        }
    };
    SeatMap { version: 1, capacity: map.capacity(), sections: map.plan().sections.iter().map(section).collect() }
}

fn row(row: &onrush_engine::seat_map::RowPlan) -> Row {
    let seats = match &row.seats {
        SeatNames::Count(count) => RowSeats::Count(*count),
        SeatNames::Named(names) => RowSeats::Names(names.iter().map(|name| name.to_string()).collect()),
    };
    Row { name: row.name.to_string(), seats }
}
