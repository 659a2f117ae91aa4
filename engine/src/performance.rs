//! A performance's terms: when it is, what it costs, and the rules of its sale.

use std::sync::Arc;

use crate::id::{AccountId, PerformanceId, ShowId};
use crate::money::Money;
use crate::seat_map::{SeatMapPlan, TierIndex};
use crate::time::Timestamp;

/// What a performance is when it comes into being: the first event of its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Its id.
    pub performance: PerformanceId,
    /// The show it is one of.
    pub show: ShowId,
    /// Who sells it.
    pub seller: AccountId,
    /// Its layout.
    pub plan: SeatMapPlan,
    /// The names of its tiers; [`TierIndex`] counts them.
    pub tiers: Vec<Box<str>>,
    /// The price of each tier. Invariant: as many as tiers, all in one currency.
    pub prices: Vec<Money>,
    /// The rules of its sale.
    pub terms: Terms,
}

/// The rules of a sale; a seller may change them while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When the performance starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Holds are made from then on.
    pub opens_at: Timestamp,
    /// From then on no hold is made; what is held can still be booked.
    pub closes_at: Timestamp,
    /// How long a hold lasts.
    pub hold_ttl_seconds: u32,
    /// Held and booked seats of one buyer.
    pub seats_per_buyer_max: u32,
    /// Holds of one buyer at one time.
    pub holds_per_buyer_max: u32,
    /// Whether the seller approves each booking.
    pub approval: Approval,
    /// Until then a buyer may cancel.
    pub cancel_until: Timestamp,
    /// What a buyer gets back, by time.
    pub refund: Vec<RefundStep>,
}

/// How a booking comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// At once.
    Automatic,
    /// The seller approves each.
    Manual,
}

/// Who cancels before `until` gets `percent` back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundStep {
    /// The end of this step.
    pub until: Timestamp,
    /// 0 to 100.
    pub percent: u8,
}

/// One price a tier; shared by all that was held while it was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList(pub Arc<[Money]>);

impl PriceList {
    /// The price of a tier.
    pub fn of(&self, tier: TierIndex) -> Money {
        self.0[usize::from(tier.0)]
    }
}
