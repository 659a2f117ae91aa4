//! The performance that targets sell: small, with a section of each kind, and a tier that no section is sold in.

use onrush_engine::command::Caller;
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, RefundStep, Terms};
use onrush_engine::registry::{Field, ShowDetails};
use onrush_engine::seat_map::{RowPlan, SeatMapPlan, SeatNames, Seating, SectionPlan, Slot, TierIndex};
use onrush_engine::time::Timestamp;

pub(crate) const PERFORMANCE: PerformanceId = PerformanceId(11);
pub(crate) const SHOW: ShowId = ShowId(1);
/// A larger plan is another target's matter: a fuzzer is to try many.
pub(crate) const SEATS_MAX: u64 = 2_000;

/// A time of the sale.
pub(crate) fn after(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
}

fn account(name: &str) -> AccountId {
    name.parse().expect("an account")
}

/// One of a few callers: buyers, then the seller, then an admin.
pub(crate) fn caller(which: u8) -> Caller {
    let name = ["acc_kim", "acc_lee", "acc_park", "acc_seller", "acc_admin"][usize::from(which % 5)];
    Caller { account: account(name), admin: name == "acc_admin" }
}

pub(crate) fn seller() -> Caller {
    caller(3)
}

pub(crate) fn opening() -> Opening {
    let row = |name: &str, seats| RowPlan { name: name.into(), seats };
    let section = |name: &str, tier, seating| SectionPlan { name: name.into(), tier: TierIndex(tier), seating };
    let slot = |hour: i64| Slot { starts_at: after(hour * 3600), ends_at: after((hour + 1) * 3600) };
    let rows = vec![row("1", SeatNames::Count(5)), row("2", SeatNames::Count(6))];
    let named = vec![row("left", SeatNames::Named(vec!["1a".into(), "1b".into(), "2".into()]))];
    let slots = Seating::Slots { resource: "Studio".into(), slots: vec![slot(9), slot(10)] };
    Opening {
        performance: PERFORMANCE,
        show: SHOW,
        seller: seller().account,
        plan: SeatMapPlan {
            sections: vec![
                section("A", 0, Seating::Reserved(rows)),
                section("B", 1, Seating::Reserved(named)),
                section("Floor", 1, Seating::GeneralAdmission(4)),
                section("Room", 2, slots),
            ],
        },
        tiers: ["Gold", "Silver", "Hour", "Unsold"].map(Box::from).to_vec(),
        prices: [100, 50, 0, 0].map(|amount| Money { amount, currency: Currency::KRW }).to_vec(),
        terms: terms(),
    }
}

fn terms() -> Terms {
    Terms {
        starts_at: after(86_400),
        ends_at: after(90_000),
        opens_at: after(0),
        closes_at: after(86_400),
        hold_ttl_seconds: 300,
        seats_per_buyer_max: 8,
        holds_per_buyer_max: 3,
        approval: Approval::Automatic,
        cancel_until: after(80_000),
        refund: vec![RefundStep { until: after(40_000), percent: 50 }],
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

/// How many seats a plan comes to, and rows, which take room even where they are empty.
pub(crate) fn size(plan: &SeatMapPlan) -> u64 {
    let row = |row: &RowPlan| match &row.seats {
        SeatNames::Count(count) => u64::from(*count),
        SeatNames::Named(names) => names.len() as u64,
    };
    let section = |section: &SectionPlan| match &section.seating {
        Seating::Reserved(rows) => rows.len() as u64 + rows.iter().map(row).sum::<u64>(),
        Seating::GeneralAdmission(places) => u64::from(*places),
        Seating::Slots { slots, .. } => slots.len() as u64,
    };
    plan.sections.iter().map(section).sum()
}
