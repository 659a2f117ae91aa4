//! Performances: one showing of a show, with its own seats.

use onrush_engine::id::{PerformanceId, ShowId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::seat_map::SeatMapDraft;
use crate::text::{Money, Text, Time};

/// What a draft's `venue_preset` can name.
pub use onrush_engine::venues::NAMES as VENUE_PRESETS;

/// A price category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The name that sections refer to.
    #[schema(example = "VIP")]
    pub name: String,
    /// What one seat costs.
    pub price: Money,
}

/// How bookings come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// At once.
    #[default]
    Automatic,
    /// The seller approves each.
    Manual,
}

/// One step of the refund policy: who cancels until then gets so much back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundStep {
    /// Cancelled before this.
    #[schema(value_type = String, format = DateTime)]
    pub until: Time,
    /// 0 to 100.
    pub percent: u8,
}

/// The rules of the sale as the seller sends them; what is left out takes the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaleDraft {
    /// When holds may be made from; default: at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Time>,
    /// When the last hold may be made; default: when the performance starts.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Time>,
    /// How long a hold lasts: 10 to 3,600 seconds, default 300.
    pub hold_ttl_seconds: Option<u32>,
    /// Held and booked seats together; default 8.
    pub max_seats_per_buyer: Option<u32>,
    /// Holds at one time; default 4.
    pub max_holds_per_buyer: Option<u32>,
    /// Default automatic.
    pub approval: Option<Approval>,
    /// Until when a buyer may cancel; default: when the performance starts.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cancel_until: Option<Time>,
    /// What a buyer gets back, by time.
    pub refund: Option<Vec<RefundStep>>,
    /// A waiting room in front of the sale. Not available yet: must be null.
    pub waiting_room: Option<serde_json::Value>,
}

/// The rules of the sale in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sale {
    /// When holds may be made from.
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Time,
    /// From when on no hold is made.
    #[schema(value_type = String, format = DateTime)]
    pub closes_at: Time,
    /// How long a hold lasts.
    pub hold_ttl_seconds: u32,
    /// Held and booked seats together.
    pub max_seats_per_buyer: u32,
    /// Holds at one time.
    pub max_holds_per_buyer: u32,
    /// How bookings come about.
    pub approval: Approval,
    /// Until when a buyer may cancel.
    #[schema(value_type = String, format = DateTime)]
    pub cancel_until: Time,
    /// What a buyer gets back, by time.
    pub refund: Vec<RefundStep>,
    /// Not available yet: null.
    pub waiting_room: Option<serde_json::Value>,
}

/// What a seller sends to add a performance to a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceDraft {
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Time,
    /// When it ends; default: three hours later.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Time>,
    /// The layout; this or `venue_preset`.
    pub seat_map: Option<SeatMapDraft>,
    /// A hall that Onrush knows: `grand-theatre`, `arena`, `stadium`, `study-rooms`.
    #[schema(example = "grand-theatre")]
    pub venue_preset: Option<String>,
    /// Prices; left out with a preset, its tiers cost nothing.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// The rules of the sale.
    #[serde(default)]
    pub sale: SaleDraft,
}

/// A change of a performance that is safe while on sale: what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformancePatch {
    /// A new start.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Time>,
    /// A new end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Time>,
    /// New prices, by tier; what is held or booked keeps the price it was held at.
    pub tiers: Option<Vec<Tier>>,
    /// New rules; a field left out stays as it is.
    pub sale: Option<SaleDraft>,
}

/// A performance as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Performance {
    /// `perf_…`
    #[schema(value_type = String)]
    pub id: Text<PerformanceId>,
    /// The show it is one of.
    #[schema(value_type = String)]
    pub show: Text<ShowId>,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Time,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Time,
    /// All seats, blocked ones too.
    pub capacity: u32,
    /// Prices in force.
    pub tiers: Vec<Tier>,
    /// Rules in force.
    pub sale: Sale,
    /// Whether seats can be held now.
    pub on_sale: bool,
    /// Whether there are seats left.
    pub seats_left: SeatsLeft,
    /// That the seller called it off, if so.
    pub cancelled: Option<Cancelled>,
}

/// Whether there are seats left: a word for listings; availability has the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeatsLeft {
    /// More than one in twenty.
    Plenty,
    /// One in twenty or fewer.
    LastSeats,
    /// None that is free now; one that is held may come back.
    SoldOut,
}

/// That a performance was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Why.
    pub reason: Option<String>,
}
