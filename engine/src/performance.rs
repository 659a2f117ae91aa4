//! A performance's terms: when it is, what it costs, and the rules of its sale.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use std::sync::Arc;

use thiserror::Error;

use crate::id::{AccountId, PerformanceId, ShowId};
use crate::money::Money;
use crate::seat_map::{SeatMap, SeatMapError, SeatMapPlan, TierIndex};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// What a performance is when it comes into being: the first event of its journal.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
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

impl Opening {
    /// Tiers of one performance: every price list has as many prices.
    pub const TIERS_MAX: usize = 100;

    /// What its seats are held for at first.
    pub(crate) fn offer(&self) -> Offer {
        Offer { prices: PriceList(self.prices.clone().into()), cancellation: self.terms.cancellation() }
    }

    /// Lays the plan out.
    ///
    /// # Errors
    /// [`OpeningError`] names the first thing that is wrong.
    pub fn seat_map(&self) -> Result<SeatMap, OpeningError> {
        if self.tiers.len() > Self::TIERS_MAX {
            return Err(OpeningError::TooManyTiers);
        }
        PricesError::check(&self.prices, self.tiers.len())?;
        self.terms.check()?;
        Ok(SeatMap::new(self.plan.clone(), self.tiers.len())?)
    }
}

/// Why an opening opens no performance.
#[derive(Debug, Clone, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum OpeningError {
    /// Its plan makes no seat map.
    #[error(transparent)]
    SeatMap(#[from] SeatMapError),
    /// Its prices are none.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// Its terms are none.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// It has more tiers than there may be.
    #[error("there are more than {} tiers", Opening::TIERS_MAX)]
    TooManyTiers,
}

/// Why prices are no price list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum PricesError {
    /// A look-up by tier would fail.
    #[error("there are {prices} prices for {tiers} tiers")]
    Count {
        /// Prices that there are.
        prices: usize,
        /// Prices that there should be.
        tiers: usize,
    },
    /// A sum over a hall would fail.
    #[error("a price of {0} is not 0 to {max}", max = Money::PRICE_MAX)]
    Amount(i64),
    /// A sum over two tiers would fail.
    #[error("the prices are of more than one currency")]
    Currencies,
}

impl PricesError {
    /// Whether prices are what a performance with so many tiers needs.
    pub(crate) fn check(prices: &[Money], tiers: usize) -> Result<(), Self> {
        if prices.len() != tiers {
            return Err(Self::Count { prices: prices.len(), tiers });
        }
        if let Some(price) = prices.iter().find(|price| !(0..=Money::PRICE_MAX).contains(&price.amount)) {
            return Err(Self::Amount(price.amount));
        }
        let mixed = prices.windows(2).any(|pair| pair[0].currency != pair[1].currency);
        if mixed { Err(Self::Currencies) } else { Ok(()) }
    }
}

/// The rules of a sale; a seller may change them while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Approval {
    /// At once.
    Automatic,
    /// The seller approves each.
    Manual,
}

impl Terms {
    /// The part that seats keep.
    pub fn cancellation(&self) -> CancellationRules {
        let refund = self.refund.as_slice().into();
        CancellationRules { starts_at: self.starts_at, until: self.cancel_until, refund }
    }

    /// Whether they can be a sale's.
    pub(crate) fn check(&self) -> Result<(), TermsError> {
        self.cancellation().check()
    }
}

/// Why terms can be no sale's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum TermsError {
    /// It would give back what was never paid.
    #[error("a refund of {0} percent is more than was paid")]
    Refund(u8),
}

/// What seats are held for: they keep it, whatever the seller changes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What they cost, by tier.
    pub prices: PriceList,
    /// Until when they can be given back, and for how much.
    pub cancellation: CancellationRules,
}

/// How seats can be given back.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CancellationRules {
    /// When the performance was to start: the other times may move with it.
    pub starts_at: Timestamp,
    /// Until then a buyer may cancel.
    pub until: Timestamp,
    /// What a buyer gets back, by time.
    pub refund: Arc<[RefundStep]>,
}

impl CancellationRules {
    /// Whether they can be a sale's.
    pub(crate) fn check(&self) -> Result<(), TermsError> {
        let beyond = self.refund.iter().find(|step| step.percent > 100);
        beyond.map_or(Ok(()), |step| Err(TermsError::Refund(step.percent)))
    }

    /// The same, where the performance starts at another time. Where that is later, each time is as long before the start as
    /// it was; where it is earlier, each stays, though not past a start that it was not past.
    pub fn moved_to(&self, starts_at: Timestamp) -> Self {
        // Most never move, and every look at a booking asks.
        if starts_at == self.starts_at {
            return self.clone();
        }
        let by = starts_at.as_millis() - self.starts_at.as_millis();
        let along = |at: Timestamp| Timestamp::from_millis(at.as_millis().saturating_add(by));
        let moved = |at: Timestamp| if by > 0 { along(at) } else { at.min(along(at).max(starts_at)) };
        let steps = self.refund.iter().map(|step| RefundStep { until: moved(step.until), ..*step });
        Self { starts_at, until: moved(self.until), refund: steps.collect() }
    }

    /// What part of a price goes back to who cancels at `now`: that of the first step that has not passed. Without any
    /// step it is all, as long as cancelling is allowed at all; nothing where it is not.
    pub fn percent_at(&self, now: Timestamp) -> u8 {
        if now >= self.until {
            return 0;
        }
        let open = self.refund.iter().filter(|step| now < step.until);
        let first = open.min_by_key(|step| step.until).map(|step| step.percent);
        first.unwrap_or(if self.refund.is_empty() { 100 } else { 0 })
    }
}

/// Who cancels before `until` gets `percent` back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RefundStep {
    /// The end of this step.
    pub until: Timestamp,
    /// 0 to 100.
    pub percent: u8,
}

/// One price a tier; shared by all that was held while it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PriceList(pub Arc<[Money]>);

impl PriceList {
    /// The price of a tier.
    pub fn of(&self, tier: TierIndex) -> Money {
        self.0[usize::from(tier.0)]
    }
}
