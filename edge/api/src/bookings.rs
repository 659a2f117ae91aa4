//! Bookings: holds that became orders.

use onrush_engine::id::{AccountId, BookingId, HoldId, PerformanceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::holds::PricedSeat;
use crate::text::{Money, Text, Time};

/// What a buyer sends to book a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// The hold to book.
    #[schema(value_type = String)]
    pub hold: Text<HoldId>,
    /// What it is for (rooms and halls); at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// What a buyer sends to cancel a booking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Only these seats, by label; default: all that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Vec<String>>,
}

/// Where a booking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookingStatus {
    /// Waits for its payment.
    PendingPayment,
    /// Waits for the seller.
    PendingApproval,
    /// The seats are the buyer's.
    Confirmed,
    /// Some of its seats were cancelled; the others are the buyer's.
    PartlyCancelled,
    /// All of its seats were cancelled.
    Cancelled,
}

/// A booking as its buyer and the seller see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Booking {
    /// `bkg_…`
    #[schema(value_type = String)]
    pub id: Text<BookingId>,
    /// `perf_…`
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// Who booked.
    #[schema(value_type = String)]
    pub buyer: Text<AccountId>,
    /// Where it stands.
    pub status: BookingStatus,
    /// The seats it has now.
    pub seats: Vec<PricedSeat>,
    /// The seats it had and that were cancelled.
    pub cancelled_seats: Vec<PricedSeat>,
    /// The sum of the prices of the seats it has now.
    pub total: Money,
    /// What it is for.
    pub purpose: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}
