//! What is on sale in every simulated sale, and who may have it.

use onrush_engine::command::Caller;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, RefundStep, Terms};
use onrush_engine::registry::{Field, RegistryCommand, ShowDetails};
use onrush_engine::seat_map::{RowPlan, SeatMap, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use onrush_engine::time::Timestamp;

/// Where the clock stands when the world begins.
pub(crate) const START: i64 = 1_800_000_000_000;
pub(crate) const BUYERS: u64 = 5;
pub(crate) const TTL_SECONDS: u32 = 60;
pub(crate) const SEATS_MAX: u32 = 6;
pub(crate) const HOLDS_MAX: u32 = 2;
/// Seats of the one hall.
pub(crate) const SEATS: u32 = 22;
/// The first ones cost nothing; of the others one has tickets to pay for, and one's seller is asked, too.
pub(crate) const PERFORMANCES: [PerformanceId; 4] =
    [PerformanceId(11), PerformanceId(12), PerformanceId(13), PerformanceId(14)];
/// How many of them cost nothing.
pub(crate) const FREE: usize = 2;

/// Whether nothing is paid for a performance, and nobody asked.
pub(crate) fn costs_nothing(performance: PerformanceId) -> bool {
    PERFORMANCES[..FREE].contains(&performance)
}

pub(crate) fn account(buyer: u64) -> Caller {
    Caller { account: format!("acc_buyer-{buyer}").parse().unwrap(), admin: false }
}

pub(crate) fn seller() -> Caller {
    Caller { account: "acc_seller".parse().unwrap(), admin: false }
}

pub(crate) fn opening(performance: PerformanceId) -> Opening {
    let row = |name: &str, seats| RowPlan { name: name.into(), seats: SeatNames::Count(seats) };
    let section =
        |name: &str, rows| SectionPlan { name: name.into(), tier: TierIndex(0), seating: Seating::Reserved(rows) };
    let at = |seconds: i64| Timestamp::from_millis(START + seconds * 1000);
    let amount = if costs_nothing(performance) { 0 } else { 1_001 };
    let steps = [(500, 100), (2_000, 50)].map(|(until, percent)| RefundStep { until: at(until), percent });
    Opening {
        performance,
        show: ShowId(1),
        seller: seller().account,
        plan: SeatMapPlan {
            sections: vec![section("A", vec![row("1", 5), row("2", 6)]), section("B", vec![row("1", 4), row("2", 7)])],
        },
        tiers: vec!["Gold".into()],
        prices: vec![Money { amount, currency: Currency::KRW }],
        terms: Terms {
            starts_at: at(1_000_000),
            ends_at: at(1_000_001),
            opens_at: at(0),
            closes_at: at(1_000_000),
            hold_ttl_seconds: TTL_SECONDS,
            seats_per_buyer_max: SEATS_MAX,
            holds_per_buyer_max: HOLDS_MAX,
            approval: if performance == PERFORMANCES[3] { Approval::Manual } else { Approval::Automatic },
            cancel_until: at(1_000_000),
            refund: if costs_nothing(performance) { Vec::new() } else { steps.to_vec() },
        },
    }
}

pub(crate) fn show_details() -> ShowDetails {
    ShowDetails {
        title: "A show".into(),
        field: Field::Theatre,
        cast: Vec::new(),
        venue: "".into(),
        description: "".into(),
        poster_url: None,
    }
}

pub(crate) fn show() -> RegistryCommand {
    RegistryCommand::CreateShow { show: ShowId(1), caller: seller(), details: show_details(), key: None }
}

pub(crate) fn map() -> SeatMap {
    SeatMap::new(opening(PERFORMANCES[0]).plan, 1).unwrap()
}
