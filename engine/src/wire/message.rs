//! What is said: requests of the edge, notices of the engine.

use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::WireError;
use crate::command::{BlockSeats, BookHold, CancelSeats, ChangeTerms, Command, HoldSeats, Wish};
use crate::feed::{AccountHistory, Leaving, Publication, Published, Rules};
use crate::handover::HandOverFailure;
use crate::id::{AccountId, BookingId, EngineId, PerformanceId, ShowId};
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
    /// To give a performance away, and for its state from a byte on.
    HandOver { number: u64, performance: PerformanceId, to: EngineId, from: u64 },
    /// To take one over: a part of its state that begins at a byte, and whether that is the last.
    TakeOver { number: u64, performance: PerformanceId, from: u64, part: Vec<u8>, is_last: bool },
    /// For a show that was given away, as it was.
    Leaving { number: u64, show: ShowId },
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// It is there.
    Pulse,
    /// All that was there when the edge came has been told, by this engine.
    CaughtUp { engine: EngineId, relaxed: bool },
    /// A performance, as it is.
    Performance(Box<Introduction>),
    /// A performance's rules and prices, as they are.
    Rules(PerformanceId, Rules),
    /// Seats that changed.
    Seats(Box<Delta>),
    /// A show, as it is.
    Show(Show),
    /// A show that is not this engine's any more.
    Withdrawn(ShowId),
    /// A booking whose payment somebody has to see to.
    Due(BookingId),
    /// The answer of a performance.
    Answered(u64, Outcome),
    /// The answer of the registry.
    Registered(u64, RegistryOutcome),
    /// An account's bookings.
    History(u64, AccountHistory),
    /// A part of a state that was given away.
    Parcel(u64, Result<Parcel, HandOverFailure>),
    /// A part of a state has come; of the last one, that the performance goes on.
    TakenOver(u64, Result<(), HandOverFailure>),
    /// A show that was given away; nothing where it was not.
    Leaving(u64, Option<Box<Leaving>>),
    /// The engine stops: nothing more is to be asked of it.
    Stopping,
    /// It has stopped before this request, and has done nothing of it.
    NotTaken(u64),
}

impl Request {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Ask { number, .. }
            | Self::Register { number, .. }
            | Self::History { number, .. }
            | Self::HandOver { number, .. }
            | Self::TakeOver { number, .. }
            | Self::Leaving { number, .. } => *number,
        }
    }
}

/// A part of a performance's state.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// Of the whole, in bytes.
    pub(crate) len: u64,
    pub(crate) part: Vec<u8>,
}

impl Parcel {
    /// The bytes of one part at most: well below a frame.
    pub(crate) const PART_LEN_MAX: usize = 4 << 20;

    /// The part of a state that begins at a byte.
    pub(crate) fn of(whole: &[u8], from: u64) -> Self {
        let rest = usize::try_from(from).ok().and_then(|from| whole.get(from..)).unwrap_or_default();
        Self { len: whole.len() as u64, part: rest[..rest.len().min(Self::PART_LEN_MAX)].to_vec() }
    }
}

/// Bytes of a text that goes into a record: a body of the API holds no more.
const TEXT_LEN_MAX: usize = 16 << 10;
/// Steps of a refund policy, and seats that are named: together with such a text they fit a record.
const REFUND_STEPS_MAX: usize = 1_000;
const SEATS_NAMED_MAX: usize = 20_000;

/// See [`Notice::Performance`].
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) performance: PerformanceId,
    show: ShowId,
    seller: AccountId,
    plan: SeatMapPlan,
    tiers: Vec<Box<str>>,
    rules: Rules,
    pub(crate) seats: Published,
    /// Whom it was given to, if it was: who has it says so itself.
    pub(crate) handed_over: Option<EngineId>,
}

impl Introduction {
    pub(crate) fn of(
        publication: &Publication,
        rules: &Rules,
        seats: &Published,
        handed_over: Option<EngineId>,
    ) -> Self {
        Self {
            handed_over,
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
    pub(crate) fn publication(self, known: Option<&Arc<SeatMap>>) -> Result<Publication, WireError> {
        // To lay out a stadium takes a while, and it never changes.
        let map = match known.filter(|known| *known.plan() == self.plan) {
            Some(known) => Arc::clone(known),
            None => {
                let laid_out = SeatMap::new(self.plan, self.tiers.len());
                Arc::new(laid_out.map_err(|_| WireError::Nonsense("a seat map without sense"))?)
            }
        };
        check(&map, self.tiers.len(), &self.rules, &self.seats)?;
        let seats = self.seats;
        Ok(Publication::from_parts(self.performance, self.show, self.seller, map, self.tiers.into(), self.rules, seats))
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
    /// Whether every seat and section that is named is there, places are wanted at all, and nothing is longer than a record
    /// can be: the inventory and the journal take that for granted.
    pub(crate) fn fits(&self, map: &SeatMap) -> bool {
        let there = |seat: &SeatIndex| seat.0 < map.capacity();
        let seats = |seats: &[SeatIndex]| seats.len() <= SEATS_NAMED_MAX && seats.iter().all(there);
        let quantity = |quantity: u32| quantity > 0;
        let text = |text: &Option<Box<str>>| text.as_ref().is_none_or(|text| text.len() <= TEXT_LEN_MAX);
        let section = |section: &SectionIndex| usize::from(section.0) < map.sections().len();
        let Self::Command(command) = self else { return true };
        match command {
            Command::HoldSeats(hold) => match &hold.wish {
                Wish::Seats(wanted) | Wish::SeatsOrNearest(wanted) => seats(wanted),
                Wish::BestAvailable(best) => quantity(best.quantity) && best.section.as_ref().is_none_or(section),
                Wish::GeneralAdmission { section: area, quantity: places } => quantity(*places) && section(area),
                Wish::Preferred(preferred) => quantity(preferred.quantity) && preferred.sections.iter().all(section),
            },
            Command::BookHold(book) => text(&book.purpose),
            Command::DecideBooking(decide) => text(&decide.reason),
            Command::CancelPerformance(cancel) => text(&cancel.reason),
            Command::NotePayment(notice) => text(&notice.reference),
            Command::CancelSeats(cancel) => cancel.seats.as_deref().is_none_or(seats),
            Command::BlockSeats(block) => seats(&block.seats) && text(&block.reason),
            Command::ChangeTerms(change) => change.terms.refund.len() <= REFUND_STEPS_MAX,
            Command::ReleaseHold { .. }
            | Command::LiftBlock { .. }
            | Command::TransferTicket { .. }
            | Command::CheckIn { .. } => true,
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
            Command::ReleaseHold { .. }
            | Command::LiftBlock { .. }
            | Command::DecideBooking(_)
            | Command::NotePayment(_)
            | Command::CancelPerformance(_) => true,
            // Else somebody may have said something else since.
            Command::ChangeTerms(ChangeTerms { based_on, .. }) => based_on.is_some(),
        }
    }
}

impl RegistryCommand {
    /// As [`Ask::is_repeatable`].
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::CreateShow { key, .. } | Self::AddPerformance { key, .. } => key.is_some(),
            Self::AdoptShow { .. } | Self::ReleaseShow { .. } | Self::ReleasePerformance { .. } => true,
            // Else somebody may have said something else since, and of a member's duty.
            Self::ChangeShow { based_on, .. } => based_on.is_some(),
            Self::SetMember { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
