//! Holds: seats taken for one buyer for a short time.

use onrush_engine::id::{HoldId, PerformanceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Money, Text, Time};

/// What a buyer asks for: exactly one of seats, best_available, general_admission, wish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// These seats, by label: all or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["Stalls-A-1", "Stalls-A-2"]))]
    pub seats: Option<Vec<String>>,
    /// What to do where one of `seats` is taken; default: refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// The best free seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_available: Option<BestAvailable>,
    /// Places in a standing area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general_admission: Option<GeneralAdmission>,
    /// What was said before: the id of a wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<String>,
}

/// What to do where a seat that was asked for is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Hold nothing, and say which are taken.
    #[default]
    Refuse,
    /// Hold as many others of the same tier, side by side, as near to them as can be.
    Nearest,
}

/// A wish for the best free seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BestAvailable {
    /// How many: 1 or more.
    pub quantity: u32,
    /// Only in this tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Only in this section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Side by side in one row; default true.
    #[serde(default = "yes")]
    pub adjacent: bool,
}

fn yes() -> bool {
    true
}

/// A wish for places in a standing area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneralAdmission {
    /// The area's name.
    pub section: String,
    /// How many: 1 or more.
    pub quantity: u32,
}

/// A seat with what it costs, or cost when it was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PricedSeat {
    /// Its label in the seat map.
    pub label: String,
    /// The tier it is sold in.
    pub tier: String,
    /// Its price at the time of the hold.
    pub price: Money,
}

/// A hold as its buyer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// `hold_…`
    #[schema(value_type = String)]
    pub id: Text<HoldId>,
    /// `perf_…`
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// What is held.
    pub seats: Vec<PricedSeat>,
    /// The sum of their prices.
    pub total: Money,
    /// When the seats go back on sale.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Time,
    /// The same as a span from when the seats were taken, for clients whose clock is off.
    pub expires_in_seconds: u32,
}
