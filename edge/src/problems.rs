//! A refusal of the engine as a problem of the API: the only place where the two meet.

use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_engine::mailbox::Failure;
use onrush_engine::owner::RegistryFailure;
use onrush_engine::performance::{OpeningError, TermsError};
use onrush_engine::refusal::Refusal;
use onrush_engine::registry::{MEMBERS_MAX, RegistryRefusal};
use onrush_engine::seat_map::{SeatIndex, SeatMap};

pub(crate) fn of_failure(failure: Failure, map: &SeatMap) -> Problem {
    match failure {
        Failure::Refused(refusal) => of_refusal(refusal, map),
        Failure::Unknown => Problem::new(Kind::OutcomeUnknown).retry_after(1),
        Failure::Overloaded => overloaded(),
        Failure::DiskLow => Problem::new(Kind::DiskLow),
        Failure::Nonsense => Problem::new(Kind::Internal),
    }
}

pub(crate) fn overloaded() -> Problem {
    // Spread over some seconds, so that those who were refused together do not come back together.
    Problem::new(Kind::Overloaded).retry_after(1 + rand::random::<u32>() % 3)
}

pub(crate) fn of_refusal(refusal: Refusal, map: &SeatMap) -> Problem {
    let labels = |seats: &[SeatIndex]| seats.iter().map(|seat| map.label(*seat).to_string()).collect::<Vec<_>>();
    match refusal {
        // Whoever asked waited for as long as one waits.
        Refusal::HandedOver => overloaded(),
        Refusal::NotOnSale { opens_at, closes_at } => Problem::new(Kind::NotOnSale).with(|body| {
            body.opens_at = Some(Time(opens_at));
            body.closes_at = Some(Time(closes_at));
        }),
        Refusal::SeatsTaken { seats } => Problem::new(Kind::SeatsUnavailable).seats(labels(&seats)),
        Refusal::TooFewSeats { remaining } => Problem::new(Kind::SeatsUnavailable)
            .detail(format!("Only {remaining} such seats are free. Nothing was held."))
            .with(|body| body.remaining = Some(u64::from(remaining))),
        Refusal::NotAdjacent { split } => {
            let split = split.iter().map(|group| labels(group)).collect();
            Problem::new(Kind::NotAdjacent).with(|body| body.split = Some(split))
        }
        Refusal::SeatLimit { limit, in_use } => limit_exceeded("seats", limit, in_use),
        Refusal::HoldLimit { limit, in_use } => limit_exceeded("holds at a time", limit, in_use),
        Refusal::UnknownHold => Problem::new(Kind::NotFound).detail("You have no such hold."),
        Refusal::HoldEnded => Problem::new(Kind::HoldExpired),
        Refusal::HoldBooked { booking } => {
            Problem::new(Kind::AlreadyBooked).with(|body| body.booking = Some(booking.to_string()))
        }
        Refusal::UnknownBooking => Problem::new(Kind::NotFound).detail("You have no such booking."),
        Refusal::CancellationClosed { until } => {
            Problem::new(Kind::CancellationClosed).with(|body| body.cancel_until = Some(Time(until)))
        }
        Refusal::BookingClosed => Problem::new(Kind::BookingClosed),
        Refusal::NotInBooking { seats } => {
            Problem::new(Kind::UnknownSeats).detail("The booking does not have these seats.").seats(labels(&seats))
        }
        Refusal::UnknownBlock => Problem::new(Kind::NotFound).detail("There is no such block."),
        Refusal::NotSeller => Problem::new(Kind::NotFound).detail("You do not sell this performance."),
        Refusal::Outdated => Problem::new(Kind::ChangedMeanwhile),
        Refusal::Prices(error) => Problem::field("/tiers", error.to_string()),
        Refusal::Terms(error) => of_terms(error),
        Refusal::TooManyOffers { limit } => {
            let detail =
                "Prices and cancellation rules of one performance can be changed so often: each buyer keeps theirs.";
            Problem::new(Kind::LimitExceeded).detail(detail).limit(u64::from(limit))
        }
        Refusal::KeyReused => Problem::new(Kind::KeyReused),
        Refusal::PaymentPending => Problem::new(Kind::PaymentPending),
        Refusal::NotWaiting => Problem::new(Kind::AlreadyDecided),
        Refusal::UnknownPayment => Problem::new(Kind::NotFound).detail("The booking has no such payment."),
        Refusal::PerformanceCancelled => {
            Problem::new(Kind::NotOnSale).detail("The seller called this performance off.")
        }
        Refusal::UnknownTicket => Problem::new(Kind::NotFound).detail("You have no such ticket."),
        Refusal::TicketReissued => Problem::new(Kind::TicketReissued),
        Refusal::TicketUsed { at } => {
            Problem::new(Kind::AlreadyCheckedIn).with(|body| body.checked_in_at = Some(Time(at)))
        }
        Refusal::TicketsGone { seats } => Problem::new(Kind::TicketsGone).seats(labels(&seats)),
        Refusal::NoNumberLeft => {
            Problem::new(Kind::NotOnSale).detail("This performance has had as many holds or blocks as it can number.")
        }
    }
}

fn limit_exceeded(what: &str, limit: u32, in_use: u32) -> Problem {
    let detail = format!("One buyer may have {limit} {what} in this performance; you have {in_use}.");
    let problem = Problem::new(Kind::LimitExceeded).detail(detail).limit(u64::from(limit));
    problem.with(|body| body.in_use = Some(u64::from(in_use)))
}

/// A registry's failure.
pub fn of_registry(failure: RegistryFailure) -> Problem {
    match failure {
        RegistryFailure::Refused(RegistryRefusal::UnknownShow) => {
            Problem::new(Kind::NotFound).detail("You have no such show.")
        }
        RegistryFailure::Refused(RegistryRefusal::KeyReused) => Problem::new(Kind::KeyReused),
        RegistryFailure::Refused(RegistryRefusal::TooManyMembers) => {
            let detail = format!("A show has at most {MEMBERS_MAX} members.");
            Problem::new(Kind::LimitExceeded).detail(detail).limit(MEMBERS_MAX as u64)
        }
        RegistryFailure::Refused(RegistryRefusal::IdTaken | RegistryRefusal::NotHandedOver)
        | RegistryFailure::Failed(Failure::Nonsense) => Problem::new(Kind::Internal),
        RegistryFailure::Refused(RegistryRefusal::Outdated) => Problem::new(Kind::ChangedMeanwhile),
        RegistryFailure::Opening(OpeningError::SeatMap(error)) => of_seat_map(&error),
        RegistryFailure::Opening(OpeningError::Terms(error)) => of_terms(error),
        RegistryFailure::Opening(error @ (OpeningError::Prices(_) | OpeningError::TooManyTiers)) => {
            Problem::field("/tiers", error.to_string())
        }
        RegistryFailure::TooLarge { bytes } => Problem::new(Kind::SeatMapTooLarge)
            .detail(format!("The seat map's names take {bytes} bytes in the journal."))
            .limit(onrush_engine::journal::BODY_LEN_MAX as u64),
        RegistryFailure::Failed(Failure::Overloaded | Failure::Refused(_)) => overloaded(),
        RegistryFailure::Failed(Failure::DiskLow) => Problem::new(Kind::DiskLow),
        RegistryFailure::Failed(Failure::Unknown) => Problem::new(Kind::OutcomeUnknown).retry_after(1),
    }
}

fn of_terms(error: TermsError) -> Problem {
    match error {
        TermsError::Refund(_) => Problem::field("/sale/refund", error.to_string()),
    }
}

fn of_seat_map(error: &onrush_engine::seat_map::SeatMapError) -> Problem {
    use onrush_engine::seat_map::SeatMapError;
    match error {
        SeatMapError::TooManySeats => {
            Problem::new(Kind::SeatMapTooLarge).detail(format!("{error}.")).limit(u64::from(SeatMap::SEATS_MAX))
        }
        error => Problem::field("/seat_map", error.to_string()),
    }
}
