//! What is said: requests of the edge, notices of the engine.

use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::WireError;
use crate::command::{BlockSeats, BookHold, CancelSeats, Command, HoldSeats, Wish};
use crate::feed::{AccountHistory, Publication, Published, Rules};
use crate::id::{AccountId, PerformanceId, ShowId};
use crate::inventory::Tally;
use crate::mailbox::{Ask, Outcome};
use crate::owner::RegistryOutcome;
use crate::performance::Opening;
use crate::registry::{RegistryCommand, Show};
use crate::seat_map::{SeatIndex, SeatMap, SeatMapPlan, SectionIndex};
use crate::time::Timestamp;

/// What an edge asks. `number` is its own, and comes back with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) enum Request {
    /// A performance.
    Ask { number: u64, performance: PerformanceId, ask: Ask },
    /// The registry.
    Register { number: u64, command: RegistryCommand, opening: Option<Box<Opening>> },
    /// For an account's bookings.
    History { number: u64, account: AccountId, newest: u32 },
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// It is there.
    Pulse,
    /// All that was there when the edge came has been told.
    CaughtUp { relaxed: bool },
    /// A performance, as it is.
    Performance(Box<Introduction>),
    /// A performance's rules and prices, as they are.
    Rules(PerformanceId, Rules),
    /// Seats that changed.
    Seats(Box<Delta>),
    /// A show, as it is.
    Show(Show),
    /// The answer of a performance.
    Answered(u64, Outcome),
    /// The answer of the registry.
    Registered(u64, RegistryOutcome),
    /// An account's bookings.
    History(u64, AccountHistory),
}

/// See [`Notice::Performance`].
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) performance: PerformanceId,
    show: ShowId,
    seller: AccountId,
    plan: SeatMapPlan,
    tiers: Vec<Box<str>>,
    rules: Rules,
    seats: Published,
}

impl Introduction {
    pub(crate) fn of(publication: &Publication, rules: &Rules, seats: &Published) -> Self {
        Self {
            performance: publication.performance,
            show: publication.show,
            seller: publication.seller,
            plan: publication.map.plan().clone(),
            tiers: publication.tiers.to_vec(),
            rules: rules.clone(),
            seats: seats.clone(),
        }
    }

    /// What everybody may see of it.
    ///
    /// # Errors
    /// [`WireError::Nonsense`], where its parts do not go together.
    pub(crate) fn publication(self) -> Result<Publication, WireError> {
        let map =
            SeatMap::new(self.plan, self.tiers.len()).map_err(|_| WireError::Nonsense("a seat map without sense"))?;
        check(&map, self.tiers.len(), &self.rules, &self.seats)?;
        let seats = self.seats;
        Ok(Publication::from_parts(
            self.performance,
            self.show,
            self.seller,
            Arc::new(map),
            self.tiers.into(),
            self.rules,
            seats,
        ))
    }
}

fn check(map: &SeatMap, tiers: usize, rules: &Rules, seats: &Published) -> Result<(), WireError> {
    check_rules(rules, tiers)?;
    let fits =
        seats.packed.len() == (map.capacity() as usize).div_ceil(4) && seats.tallies.len() == map.sections().len();
    fits.then_some(()).ok_or(WireError::Nonsense("as many seats' states as there are no seats"))
}

/// Whether rules have a price for each tier.
pub(crate) fn check_rules(rules: &Rules, tiers: usize) -> Result<(), WireError> {
    (rules.prices.0.len() == tiers).then_some(()).ok_or(WireError::Nonsense("prices for other tiers"))
}

/// See [`Notice::Seats`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Delta {
    pub(crate) performance: PerformanceId,
    pub(crate) version: u64,
    pub(crate) as_of: Timestamp,
    /// Bytes of [`Published::packed`] that are others now.
    pub(crate) changed: Vec<(u32, u8)>,
    pub(crate) tallies: Vec<Tally>,
}

impl Delta {
    /// What leads from one state to the other.
    pub(crate) fn between(performance: PerformanceId, before: &[u8], now: &Published) -> Self {
        let bytes = before.iter().zip(&now.packed).zip(0..);
        let changed = bytes.filter(|((before, now), _)| before != now).map(|((_, now), place)| (place, *now));
        Self {
            performance,
            version: now.version,
            as_of: now.as_of,
            changed: changed.collect(),
            tallies: now.tallies.clone(),
        }
    }
}

impl Ask {
    /// Whether every seat and section that is named is there: the inventory takes that for granted.
    pub(crate) fn fits(&self, map: &SeatMap) -> bool {
        let seats = |seats: &[SeatIndex]| seats.iter().all(|seat| seat.0 < map.capacity());
        let section = |section: &SectionIndex| usize::from(section.0) < map.sections().len();
        let Self::Command(command) = self else { return true };
        match command {
            Command::HoldSeats(hold) => match &hold.wish {
                Wish::Seats(wanted) | Wish::SeatsOrNearest(wanted) => seats(wanted),
                Wish::BestAvailable(best) => best.section.as_ref().is_none_or(section),
                Wish::GeneralAdmission { section: area, .. } => section(area),
                Wish::Preferred(preferred) => preferred.sections.iter().all(section),
            },
            Command::CancelSeats(cancel) => cancel.seats.as_deref().is_none_or(seats),
            Command::BlockSeats(block) => seats(&block.seats),
            _ => true,
        }
    }

    /// Whether it comes to the same when it is asked twice, so that it may be asked again where its answer was lost.
    pub(crate) fn is_repeatable(&self) -> bool {
        let Self::Command(command) = self else { return true };
        match command {
            Command::HoldSeats(HoldSeats { key, .. })
            | Command::BookHold(BookHold { key, .. })
            | Command::CancelSeats(CancelSeats { key, .. })
            | Command::BlockSeats(BlockSeats { key, .. })
            | Command::TransferTicket { key, .. }
            | Command::CheckIn { key, .. } => key.is_some(),
            Command::ReleaseHold { .. } | Command::DecideBooking(_) | Command::NotePayment(_) => true,
            Command::LiftBlock { .. } | Command::ChangeTerms(_) | Command::CancelPerformance(_) => false,
        }
    }
}

impl RegistryCommand {
    /// As [`Ask::is_repeatable`].
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::CreateShow { key, .. } | Self::AddPerformance { key, .. } => key.is_some(),
            Self::ChangeShow { .. } | Self::SetMember { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests;
