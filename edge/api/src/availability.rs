//! Availability: what can be had, as one cacheable answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Time;

/// How many seats are free.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remaining {
    /// In the whole hall.
    pub total: u32,
    /// By tier name.
    pub by_tier: BTreeMap<String, u32>,
    /// By section name.
    pub by_section: BTreeMap<String, u32>,
}

/// What has changed since the version before, as a stream tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AvailabilityDelta {
    /// The version that it leads to.
    pub version: u64,
    /// When that version came to be.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Time,
    /// How many seats are free now.
    pub remaining: Remaining,
    /// Each seat that is in another state: its place in seat-map order, from 0, and the state: 0 free, 1 held, 2 booked,
    /// 3 blocked.
    pub seats: Vec<(u32, u8)>,
}

/// The state of every seat at one version: old is allowed, invented is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Availability {
    /// Grows with every change.
    pub version: u64,
    /// When that version came to be.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Time,
    /// How many seats are free.
    pub remaining: Remaining,
    /// Base64 of 2 bits a seat in seat-map order, from the low bits of each byte up: 0 free, 1 held, 2 booked,
    /// 3 blocked. Left out with `?fields=remaining`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seats: Option<String>,
}
