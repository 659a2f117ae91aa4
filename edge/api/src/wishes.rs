//! Wishes: what a buyer would like, said before the rush, so that one short request then asks for it.

use onrush_engine::id::PerformanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Text;

/// What a buyer would like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishDraft {
    /// How many seats: 1 or more.
    pub quantity: u32,
    /// Where, the most wanted first; at most 16. Left out: anywhere.
    #[serde(default)]
    pub sections: Vec<String>,
    /// The most that one seat may cost when it is held, in minor units of the performance's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_max: Option<i64>,
    /// What will do where none of these sections has the seats side by side; default: nothing.
    #[serde(default)]
    pub fallback: Fallback,
}

/// What will do where nothing that is wished for is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Nothing else.
    #[default]
    Nothing,
    /// The same sections, not all side by side.
    Apart,
    /// Any section within the price, side by side if it can be.
    Elsewhere,
}

/// A wish that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wish {
    /// `wish_…`, to be sent as `wish` when the sale is open. It says all of the wish, so it never ends.
    pub id: String,
    /// `perf_…`
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// How many seats.
    pub quantity: u32,
    /// Where, the most wanted first; where there are none, anywhere.
    pub sections: Vec<String>,
    /// The most that one seat may cost.
    pub price_max: Option<i64>,
    /// What else will do.
    pub fallback: Fallback,
}
