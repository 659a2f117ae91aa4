//! What a command would change: the rules.

mod orders;
mod payment;
mod preferred;

use std::time::Duration;

use super::holds::{Found, Hold};
use super::offers::{OFFERS_MAX, OFFERS_RESERVED};
use super::views::Answer;
use super::{Inventory, Replay};
use crate::command::{BestAvailable, BlockSeats, Caller, ChangeTerms, Command, HoldSeats, RequestKey, Wish};
use crate::event::{Event, SeatsBlocked, SeatsHeld, SoldRules};
use crate::id::{AccountId, BlockId, BookingId, HoldId};
use crate::performance::{PriceList, PricesError, Terms};
use crate::refusal::Refusal;
use crate::seat_map::{SeatList, SectionIndex};
use crate::seeded::Bug;
use crate::time::Timestamp;

/// What a command comes to, where it is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This happens.
    Event(Event),
    /// The same request came before and was done; this was its answer.
    Replayed(Box<Answer>),
    /// All is as asked for already.
    Nothing,
}

impl Inventory {
    /// What `command` comes to at `now`. Changes nothing; [`Inventory::pulse`] of the same time has to be applied first.
    ///
    /// # Errors
    /// [`Refusal`], where the rules do not allow it.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
        let now = now.max(self.now);
        if self.handed_over.is_some() {
            return Err(Refusal::HandedOver);
        }
        match command {
            Command::HoldSeats(hold) => self.decide_hold(hold, now),
            Command::ReleaseHold { caller, hold } => self.decide_release(caller, *hold, now),
            Command::BookHold(book) => self.decide_book(book, now),
            Command::CancelSeats(cancel) => self.decide_cancel(cancel, now),
            Command::BlockSeats(block) => self.decide_block(block),
            Command::LiftBlock { caller, block } => self.decide_lift(caller, *block),
            Command::ChangeTerms(change) => self.decide_terms(change),
            Command::DecideBooking(decide) => self.decide_booking(decide, now),
            Command::NotePayment(notice) => self.decide_payment(notice, now),
            Command::CancelPerformance(cancel) => self.decide_call_off(cancel),
            Command::TransferTicket { caller, ticket, to, key } => self.decide_transfer(caller, *ticket, *to, *key),
            Command::CheckIn { caller, ticket, issue, key } => self.decide_check_in(caller, *ticket, *issue, *key),
        }
    }

    /// What a caller's request key stands for, if it was used.
    pub(super) fn remembered(&self, caller: &AccountId, request: RequestKey) -> Option<&Replay> {
        self.replays.find(self.buyers.number(caller)?, request.key)
    }

    /// The answer that was given under `request` before, if any.
    pub(super) fn replayed(&self, caller: &Caller, request: Option<RequestKey>) -> Result<Option<Decision>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        match self.remembered(&caller.account, request) {
            None => Ok(None),
            Some(Replay { request: first, made, at, .. })
                if first.fingerprint == request.fingerprint || Bug::FingerprintIgnored.is_on() =>
            {
                Ok(Some(Decision::Replayed(Box::new(self.answer_made(made, *at)))))
            }
            Some(_) => Err(Refusal::KeyReused),
        }
    }

    fn decide_hold(&self, command: &HoldSeats, now: Timestamp) -> Result<Decision, Refusal> {
        if let Some(replay) = self.replayed(&command.caller, command.key)? {
            return Ok(replay);
        }
        if self.called_off.is_some() {
            return Err(Refusal::PerformanceCancelled);
        }
        let terms = &self.terms;
        if now < terms.opens_at || now >= terms.closes_at {
            return Err(Refusal::NotOnSale { opens_at: terms.opens_at, closes_at: terms.closes_at });
        }
        self.buyers.check(&command.caller.account, command.wish.quantity(), terms)?;
        let seats = self.seats_for(&command.wish)?;
        Ok(Decision::Event(Event::SeatsHeld(SeatsHeld {
            hold: unless_last(self.holds.next_number())?,
            nonce: command.nonce,
            buyer: command.caller.account,
            seats,
            expires_at: now + Duration::from_secs(u64::from(terms.hold_ttl_seconds)),
            key: command.key,
        })))
    }

    fn seats_for(&self, wish: &Wish) -> Result<SeatList, Refusal> {
        match wish {
            Wish::Seats(seats) => match self.seats.taken(seats) {
                taken if taken.is_empty() => Ok(seats.clone()),
                taken if taken.len() < seats.len() && Bug::NotAllOrNothing.is_on() => {
                    Ok(seats.iter().copied().filter(|seat| !taken.contains(seat)).collect())
                }
                seats => Err(Refusal::SeatsTaken { seats }),
            },
            Wish::SeatsOrNearest(seats) => match self.seats.taken(seats) {
                taken if taken.is_empty() => Ok(seats.clone()),
                taken => self.seats.runs.nearest(&self.map, seats).ok_or(Refusal::SeatsTaken { seats: taken }),
            },
            Wish::BestAvailable(wish) => self.best_available(wish),
            Wish::GeneralAdmission { section, quantity } => self.places(*section, *quantity),
            Wish::Preferred(wish) => self.preferred(wish),
        }
    }

    fn best_available(&self, wish: &BestAvailable) -> Result<SeatList, Refusal> {
        if let Some(seats) = self.seats.runs.best(&self.map, wish) {
            return Ok(seats);
        }
        let split = self.seats.runs.split(&self.map, wish);
        let found: SeatList = split.iter().flatten().copied().collect();
        if (found.len() as u32) < wish.quantity {
            return Err(Refusal::TooFewSeats { remaining: found.len() as u32 });
        }
        if wish.adjacent { Err(Refusal::NotAdjacent { split }) } else { Ok(found) }
    }

    fn places(&self, section: SectionIndex, quantity: u32) -> Result<SeatList, Refusal> {
        let remaining = self.seats.tally(section).free;
        if remaining < quantity {
            return Err(Refusal::TooFewSeats { remaining });
        }
        let row = self.map.sections()[usize::from(section.0)].rows.start as usize;
        Ok(self.seats.runs.places(row, quantity))
    }

    /// The hold, if it is active and the caller's.
    pub(super) fn own_hold(&self, caller: &Caller, id: HoldId, now: Timestamp) -> Result<&Hold, Refusal> {
        match self.holds.find(id.number) {
            Found::Active(hold) if hold.nonce != id.nonce => Err(Refusal::UnknownHold),
            Found::Active(hold)
                if self.buyers.get(hold.buyer).account != caller.account && !Bug::OthersHold.is_on() =>
            {
                Err(Refusal::UnknownHold)
            }
            Found::Active(hold) if hold.expires_at <= now => Err(Refusal::HoldEnded),
            Found::Active(hold) => Ok(hold),
            Found::Booked(number) => Err(self.booked_refusal(caller, number)),
            Found::Ended => Err(Refusal::HoldEnded),
            Found::Never => Err(Refusal::UnknownHold),
        }
    }

    fn booked_refusal(&self, caller: &Caller, number: u32) -> Refusal {
        let booking = &self.bookings[number as usize];
        match self.buyers.get(booking.buyer).account == caller.account {
            true => Refusal::HoldBooked { booking: self.booking_id(number) },
            false => Refusal::UnknownHold,
        }
    }

    fn decide_release(&self, caller: &Caller, id: HoldId, now: Timestamp) -> Result<Decision, Refusal> {
        match self.own_hold(caller, id, now) {
            Ok(_) => Ok(Decision::Event(Event::HoldReleased { hold: id.number })),
            Err(Refusal::HoldEnded) => Ok(Decision::Nothing),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether the caller may do what the seller may.
    pub(super) fn is_seller(&self, caller: &Caller) -> bool {
        caller.admin || caller.account == self.seller
    }

    /// The booking's number, if it is the caller's or the caller sells here.
    pub(super) fn visible_booking(&self, caller: &Caller, id: BookingId) -> Result<u32, Refusal> {
        let booking = self.bookings.get(id.number as usize).filter(|booking| booking.nonce == id.nonce);
        let visible = booking
            .is_some_and(|booking| self.buyers.get(booking.buyer).account == caller.account || self.is_seller(caller));
        if visible { Ok(id.number) } else { Err(Refusal::UnknownBooking) }
    }

    fn decide_block(&self, command: &BlockSeats) -> Result<Decision, Refusal> {
        if !self.is_seller(&command.caller) {
            return Err(Refusal::NotSeller);
        }
        if let Some(replay) = self.replayed(&command.caller, command.key)? {
            return Ok(replay);
        }
        let taken = self.seats.taken(&command.seats);
        if !taken.is_empty() {
            return Err(Refusal::SeatsTaken { seats: taken });
        }
        Ok(Decision::Event(Event::SeatsBlocked(SeatsBlocked {
            block: unless_last(self.next_block)?,
            nonce: command.nonce,
            seats: command.seats.clone(),
            reason: command.reason.clone(),
            by: command.caller.account,
            key: command.key,
        })))
    }

    fn decide_lift(&self, caller: &Caller, id: BlockId) -> Result<Decision, Refusal> {
        if !self.is_seller(caller) {
            return Err(Refusal::UnknownBlock);
        }
        match self.blocks.get(&id.number) {
            Some(block) if block.nonce == id.nonce => Ok(Decision::Event(Event::BlockLifted { block: id.number })),
            None if id.number < self.next_block => Ok(Decision::Nothing),
            _ => Err(Refusal::UnknownBlock),
        }
    }

    fn decide_terms(&self, command: &ChangeTerms) -> Result<Decision, Refusal> {
        if !self.is_seller(&command.caller) {
            return Err(Refusal::NotSeller);
        }
        if self.called_off.is_some() {
            return Err(Refusal::PerformanceCancelled);
        }
        let same_prices = command.prices.as_ref().is_none_or(|prices| prices[..] == self.prices().0[..]);
        if command.terms == *self.terms && same_prices {
            return Ok(Decision::Nothing);
        }
        let in_force = |(terms, prices): &(Terms, PriceList)| *terms == *self.terms && prices == self.prices();
        if command.based_on.as_deref().is_some_and(|based_on| !in_force(based_on)) {
            return Err(Refusal::Outdated);
        }
        if let Some(prices) = &command.prices {
            PricesError::check(prices, self.tiers.len())?;
        }
        command.terms.check()?;
        // Who has changed prices too often may still say when it starts.
        let more = if command.terms.starts_at == self.terms.starts_at { 0 } else { OFFERS_RESERVED };
        let offer = self.offer_of(&command.terms, command.prices.as_deref());
        if !self.offers.has_room_for(&offer, OFFERS_MAX + more) {
            return Err(Refusal::TooManyOffers { limit: OFFERS_MAX as u32 });
        }
        let (terms, prices) = (Box::new(command.terms.clone()), command.prices.clone());
        Ok(Decision::Event(Event::TermsChanged { terms, prices, sold: SoldRules::Kept }))
    }
}

/// The number of the next thing. The last of all is never given, so that there is always a next one.
fn unless_last(number: u32) -> Result<u32, Refusal> {
    if number < u32::MAX { Ok(number) } else { Err(Refusal::NoNumberLeft) }
}

impl Wish {
    /// How many seats are wished for.
    pub fn quantity(&self) -> u32 {
        match self {
            Self::Seats(seats) | Self::SeatsOrNearest(seats) => u32::try_from(seats.len()).unwrap_or(u32::MAX),
            Self::BestAvailable(BestAvailable { quantity, .. }) | Self::GeneralAdmission { quantity, .. } => *quantity,
            Self::Preferred(wish) => wish.quantity,
        }
    }
}
