//! Bookings: holds that became orders.

use onrush_engine::id::{AccountId, BookingId, HoldId, PerformanceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::guests::{Guest, GuestDraft};
use crate::holds::PricedSeat;
use crate::performances::RefundStep;
use crate::text::{Money, Text, Time};

/// What a buyer sends to book a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// The hold to book.
    #[schema(value_type = String)]
    pub hold: Text<HoldId>,
    /// What it is for (rooms and halls); at most 200 characters. It stays with the booking for good, also when the account
    /// is closed: no names, no telephone numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Who books, for a guest; who has an account leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestDraft>,
}

/// What a buyer sends to cancel a booking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Only these seats, by label; default: all that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Vec<String>>,
}

/// What a seller sends to decide about a booking, or to call a performance off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// Why; at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// All of its seats were cancelled, and what was owed for that has gone back.
    Refunded,
    /// The seller said no, or nothing in time. The seats went back on sale.
    Rejected,
    /// Nobody paid in time. The seats went back on sale.
    Expired,
    /// The payment failed. The seats went back on sale.
    PaymentFailed,
}

/// How far a booking's payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nobody has paid.
    Open,
    /// The buyer's bank is being asked. The seats wait for its answer, for a bounded time.
    Charging,
    /// The money is reserved, and is collected next.
    Authorised,
    /// The money has come.
    Captured,
    /// Money is on its way back: `refund_due`, or all of it where the seats could not be had any more.
    Returning,
    /// All of it has gone back, or was never collected after all.
    Returned,
    /// The time to pay is up, and the payment provider is being told so.
    Closing,
    /// Nobody can pay any more, and nobody has.
    Closed,
    /// The bank said no. Nothing was taken.
    Failed,
}

/// A booking's payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// How far it is.
    pub status: PaymentStatus,
    /// What is asked for.
    pub amount: Money,
    /// What has gone back.
    pub refunded: Money,
    /// What is on its way back.
    pub refund_due: Money,
    /// Until when it can be paid; after that the seats go back on sale.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub pay_until: Option<Time>,
    /// The payment provider's page, while it can be paid; also in the answers to booking and reading one.
    pub url: Option<String>,
    /// What the provider's own component in a page needs, where it has one instead.
    pub client_secret: Option<String>,
    /// In plain words, what happened or what to do.
    pub detail: String,
}

/// What the seller said to a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Yes or no.
    pub approved: bool,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Why.
    pub reason: Option<String>,
}

/// The rules by which a booking can be given back at least: those in force when its seats were held, as long before the
/// start as then. Where the performance's are better for the buyer by now, those count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancellation {
    /// The buyer may cancel until then.
    #[schema(value_type = String, format = DateTime)]
    pub until: Time,
    /// What goes back, by time; without any step all of it.
    pub refund: Vec<RefundStep>,
    /// The performance was moved since: until then all of the price goes back, whatever else is said.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub free_until: Option<Time>,
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
    /// Who that is, where it is a guest's; until 30 days after the performance, and not while accounts are down.
    pub guest: Option<Guest>,
    /// Where it stands.
    pub status: BookingStatus,
    /// The seats it has now.
    pub seats: Vec<PricedSeat>,
    /// The seats it had and that were cancelled, or went back on sale.
    pub cancelled_seats: Vec<PricedSeat>,
    /// The sum of the prices of the seats it has now.
    pub total: Money,
    /// What it is for.
    pub purpose: Option<String>,
    /// Its payment, once there is something to pay.
    pub payment: Option<Payment>,
    /// What the seller said, where the seller is asked.
    pub decision: Option<Decision>,
    /// Until when the seller has time to decide; after that the booking is rejected by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decide_until: Option<Time>,
    /// How it can be given back.
    pub cancellation: Cancellation,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}
