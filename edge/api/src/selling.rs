//! What a seller reads of a performance: how it sells.

use onrush_engine::id::PerformanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Money, Text, Time};

/// How a performance sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sales {
    /// `perf_…`
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// When it was counted.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Time,
    /// All seats.
    pub capacity: u32,
    /// Seats of confirmed bookings.
    pub sold: u32,
    /// Seats of bookings that wait for their payment or for the seller.
    pub waiting: u32,
    /// Seats that are held and not booked.
    pub held: u32,
    /// Seats out of sale.
    pub blocked: u32,
    /// Sold seats of those that are not blocked, in a hundredth of a percent: 10,000 is sold out.
    pub sell_through: u32,
    /// How many bookings there are in each state.
    pub bookings: BookingCounts,
    /// The money. `tickets + kept + refunded + refund_due = collected + reserved`, to the last minor unit.
    pub money: MoneyCounts,
    /// Sold seats by what was asked for, in order of `key`.
    pub rows: Vec<SalesRow>,
}

/// How many bookings there are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookingCounts {
    /// Confirmed, with all or some of their seats.
    pub confirmed: u32,
    /// Wait for their payment.
    pub pending_payment: u32,
    /// Wait for the seller.
    pub pending_approval: u32,
    /// Cancelled, by whomever.
    pub cancelled: u32,
    /// Not approved, by word or by silence.
    pub rejected: u32,
    /// Not paid in time.
    pub expired: u32,
    /// Their payment failed.
    pub payment_failed: u32,
}

/// A performance's money, each in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyCounts {
    /// What has come from buyers.
    pub collected: Money,
    /// What is reserved for confirmed bookings, and is collected next.
    pub reserved: Money,
    /// What the sold seats cost.
    pub tickets: Money,
    /// What the refund policy let you keep of cancelled seats.
    pub kept: Money,
    /// What has gone back.
    pub refunded: Money,
    /// What is on its way back.
    pub refund_due: Money,
}

/// Sold seats of one day, hour, tier or section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SalesRow {
    /// The day (`2026-11-29`) or hour (`2026-11-29T15`) in UTC in which they were booked; the tier's or section's name.
    pub key: String,
    /// Bookings that have such seats.
    pub bookings: u32,
    /// Seats.
    pub seats: u32,
    /// What they cost.
    pub revenue: Money,
}
