//! Seat maps: what a seller draws, and what everybody reads.
//!
//! A reserved seat's label is `section-row-seat`, a place of a standing area is `section-number`, a slot is
//! `section-start`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Time;

/// The layout as the seller sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeatMapDraft {
    /// At least one.
    pub sections: Vec<Section>,
}

/// A part of the hall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Section {
    /// Rows of numbered seats.
    Reserved {
        /// Its name, the first part of its seats' labels.
        name: String,
        /// The tier its seats are sold in.
        tier: String,
        /// From the stage backwards.
        rows: Vec<Row>,
    },
    /// A standing area: so many places, none better than another.
    GeneralAdmission {
        /// Its name, the first part of its places' labels.
        name: String,
        /// The tier its places are sold in.
        tier: String,
        /// How many.
        capacity: u32,
    },
    /// Time slots of a room or hall.
    Slots {
        /// Its name, the first part of its slots' labels.
        name: String,
        /// The tier its slots are sold in.
        tier: String,
        /// What is reserved: a room's name.
        resource: String,
        /// One sellable unit each.
        slots: Vec<Slot>,
    },
}

/// A row of seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The second part of its seats' labels.
    pub name: String,
    /// From left to right.
    pub seats: RowSeats,
}

/// A row's seats: how many, or their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a number of seats or a list of their names")]
pub enum RowSeats {
    /// So many, numbered from 1.
    Count(u32),
    /// Their names from left to right.
    Names(Vec<String>),
}

/// A span of time that can be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// From.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Time,
    /// To.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Time,
}

/// The layout as everybody reads it. Seats are counted through in the order of this document; that number is their
/// place in an availability's `seats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatMap {
    /// Changes when the layout changes.
    pub version: u32,
    /// All seats.
    pub capacity: u32,
    /// In seat order.
    pub sections: Vec<Section>,
}
