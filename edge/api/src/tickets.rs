//! Tickets: the right to one seat of a confirmed booking.

use onrush_engine::id::{AccountId, BookingId, PerformanceId, TicketId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Text, Time};

/// A ticket as its holder and the seller see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// `tkt_…`
    #[schema(value_type = String)]
    pub id: Text<TicketId>,
    /// The booking it belongs to.
    #[schema(value_type = String)]
    pub booking: Text<BookingId>,
    /// The performance.
    #[schema(value_type = String)]
    pub performance: Text<PerformanceId>,
    /// When that starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Time,
    /// The seat's label.
    pub seat: String,
    /// The tier it was sold in.
    pub tier: String,
    /// Who has it.
    #[schema(value_type = String)]
    pub holder: Text<AccountId>,
    /// Signed; what the QR code says, for the holder only. Good until the ticket is given away, used or cancelled.
    pub code: Option<String>,
    /// When somebody came in with it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_in_at: Option<Time>,
}

/// What a holder sends to give a ticket to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Whose it is from now on: the other's `acc_…`, as `GET /v1/accounts/me` shows it to them.
    #[schema(value_type = String)]
    pub to: Text<AccountId>,
}

/// What the door sends to let somebody in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckInRequest {
    /// The code that was shown; left out, nobody looked at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What a door sends that has scanned a code, and knows no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRequest {
    /// The code.
    pub code: String,
}
