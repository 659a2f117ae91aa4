//! Blocks: house seats taken out of sale.

use onrush_engine::id::{BlockId, PerformanceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Text;

/// What a seller sends to take seats out of sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// These seats, by label: all or none.
    pub seats: Vec<String>,
    /// Why; at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Seats that are out of sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// `blk_…`
    #[schema(value_type = String)]
    pub id: Text<BlockId>,
    /// `perf_…`
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// Their labels.
    pub seats: Vec<String>,
    /// Why.
    pub reason: Option<String>,
}
