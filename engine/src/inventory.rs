//! The state of all seats, holds and bookings of one performance: the pure core.
//!
//! [`Inventory::decide`] says what a command would change, [`Inventory::apply`] changes it, [`Inventory::pulse`] says
//! which holds have run out. None of them reads a clock, draws a number, waits, or depends on the order of a hash map;
//! so production, simulation, tests and replay run the same code to the same result.

mod adjacent;
mod bookings;
mod decide;
mod holds;
mod image;
mod limits;
mod misfit;
mod moves;
mod offers;
mod orders;
mod payments;
mod replays;
mod seats;
mod tickets;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use bookings::{Booking, Details, Standpoint, Verdict};
pub use decide::Decision;
pub use holds::Hold;
pub use image::{Image, PlaceImage};
pub use misfit::{Fault, Misfit, Part};
pub use moves::Notice;
pub use offers::OfferIndex;
pub use orders::CalledOff;
pub use payments::{Moment, Payment, Refund, Stage, Step};
pub use replays::{Made, Replay};
pub use seats::{SeatState, Tally};
pub use tickets::{Ticket, TicketView};
pub use views::{Answer, BlockView, BookingView, HoldView, PaymentView};

use self::holds::Holds;
use self::limits::Buyers;
use self::offers::Offers;
use self::replays::Replays;
use self::seats::Seats;
use crate::command::RequestKey;
use crate::event::{Event, SeatsBlocked, SeatsHeld, SoldRules};
use crate::id::{AccountId, EngineId, PerformanceId, ShowId};
use crate::money::Money;
use crate::performance::{Offer, Opening, OpeningError, PriceList, Terms};
use crate::seat_map::{SeatIndex, SeatMap};
use crate::seeded::Bug;
use crate::time::Timestamp;

/// One performance's seats and what became of them.
#[derive(Debug)]
pub struct Inventory {
    performance: PerformanceId,
    show: ShowId,
    seller: AccountId,
    map: Arc<SeatMap>,
    tiers: Arc<[Box<str>]>,
    offers: Offers,
    terms: Arc<Terms>,
    seats: Seats,
    holds: Holds,
    bookings: Vec<Booking>,
    /// When bookings that wait wait no longer, with their numbers.
    waiting: BTreeSet<(Timestamp, u32)>,
    called_off: Option<CalledOff>,
    notice: Notice,
    /// What became of tickets, by booking and seat; of the others there is nothing to tell.
    tickets: BTreeMap<(u32, SeatIndex), Ticket>,
    blocks: BTreeMap<u32, Block>,
    next_block: u32,
    buyers: Buyers,
    replays: Replays,
    /// Whom it was given to, if it was: then it is not decided about here.
    handed_over: Option<EngineId>,
    /// Journal time. Invariant (B6): never goes back.
    now: Timestamp,
}

/// House seats that are out of sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Random bits of its id.
    pub nonce: u64,
    /// Which seats.
    pub seats: Vec<SeatIndex>,
    /// Why.
    pub reason: Option<Box<str>>,
}

impl Inventory {
    /// Holds, or bookings, that end in one event at most: one journal record holds them with room to spare.
    const EXPIRED_PER_EVENT_MAX: usize = 1000;

    /// A performance as it is when it opens.
    ///
    /// # Errors
    /// [`OpeningError`], where the opening's plan makes no seat map, or its prices no price list.
    pub fn open(opening: &Opening, at: Timestamp) -> Result<Self, OpeningError> {
        let map = opening.seat_map()?;
        Ok(Self {
            performance: opening.performance,
            show: opening.show,
            seller: opening.seller,
            seats: Seats::new(&map),
            map: Arc::new(map),
            tiers: opening.tiers.clone().into(),
            offers: Offers::new(opening.offer()),
            terms: Arc::new(opening.terms.clone()),
            holds: Holds::default(),
            bookings: Vec::new(),
            waiting: BTreeSet::new(),
            called_off: None,
            notice: Notice::none(opening.terms.starts_at),
            tickets: BTreeMap::new(),
            blocks: BTreeMap::new(),
            next_block: 0,
            buyers: Buyers::default(),
            replays: Replays::default(),
            handed_over: None,
            now: at,
        })
    }

    /// Its performance.
    pub fn performance(&self) -> PerformanceId {
        self.performance
    }

    /// The show that it is one performance of.
    pub fn show(&self) -> ShowId {
        self.show
    }

    /// Who sells it.
    pub fn seller(&self) -> AccountId {
        self.seller
    }

    /// Its layout.
    pub fn map(&self) -> &Arc<SeatMap> {
        &self.map
    }

    /// The names of its tiers.
    pub fn tiers(&self) -> &Arc<[Box<str>]> {
        &self.tiers
    }

    /// Its prices in force.
    pub fn prices(&self) -> &PriceList {
        &self.offers.in_force().prices
    }

    /// Its rules in force.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// Journal time: that of the last event.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How many holds are active.
    pub fn active_holds(&self) -> u32 {
        self.holds.active()
    }

    /// Whether somebody waits for an end that comes by itself: holds and bookings whose time is running.
    pub fn has_deadlines(&self) -> bool {
        self.holds.active() > 0 || !self.waiting.is_empty()
    }

    /// That it was called off, if it was.
    pub fn called_off(&self) -> Option<&CalledOff> {
        self.called_off.as_ref()
    }

    /// The engine that it was given to, if it was.
    pub fn handed_over(&self) -> Option<EngineId> {
        self.handed_over
    }

    /// Its bookings, by number.
    pub fn bookings(&self) -> &[Booking] {
        &self.bookings
    }

    /// A seat's state.
    pub fn seat(&self, seat: SeatIndex) -> SeatState {
        self.seats.state(seat)
    }

    /// How many seats of each section are in each state.
    pub fn tallies(&self) -> &[Tally] {
        self.seats.tallies()
    }

    /// The seats that changed since the last call, with the state they have now; one may come more than once.
    pub fn touched(&mut self) -> Vec<(SeatIndex, SeatState)> {
        let seats: Vec<SeatIndex> = self.seats.drain_touched().collect();
        seats.into_iter().map(|seat| (seat, self.seats.state(seat))).collect()
    }

    /// When [`Self::pulse`] should be asked next; nothing where nothing runs out.
    pub fn next_end(&self) -> Option<Timestamp> {
        if self.handed_over.is_some() {
            return None;
        }
        let (hold, booking) = (self.holds.next_end(), self.waiting.first().copied());
        hold.into_iter().chain(booking).map(|(at, _)| at).min()
    }

    /// Which holds and bookings have run out at `now`; to be applied before a command of that time is decided, until
    /// there is nothing more.
    pub fn pulse(&self, now: Timestamp) -> Option<Event> {
        if self.handed_over.is_some() {
            return None;
        }
        let now = now.max(self.now);
        let expired = if self.holds.is_due(now) { self.expired(now) } else { None };
        expired.or_else(|| self.lapsed(now))
    }

    fn expired(&self, now: Timestamp) -> Option<Event> {
        let mut holds = self.holds.expired(now, Self::EXPIRED_PER_EVENT_MAX);
        if Bug::HashOrder.is_on() {
            holds =
                holds.into_iter().collect::<hashbrown::HashSet<_, foldhash::fast::RandomState>>().into_iter().collect();
        }
        (!holds.is_empty()).then_some(Event::HoldsExpired { holds })
    }

    fn lapsed(&self, now: Timestamp) -> Option<Event> {
        // An equal time counts as past (B2).
        let due = self.waiting.iter().take_while(|(until, _)| *until <= now);
        let bookings: Vec<u32> = due.map(|(_, number)| *number).take(Self::EXPIRED_PER_EVENT_MAX).collect();
        (!bookings.is_empty()).then_some(Event::BookingsLapsed { bookings })
    }

    /// Makes an event part of the state. Cannot fail: what could, was refused by `decide`; or by [`Self::check`], where
    /// the event comes from a journal.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        self.now = if Bug::ClockGoesBack.is_on() { at } else { self.now.max(at) };
        match event {
            Event::PerformanceOpened(_) => {}
            Event::SeatsHeld(held) => self.apply_held(held),
            Event::HoldReleased { hold } => self.end_hold(*hold),
            Event::HoldsExpired { holds } => holds.iter().for_each(|&hold| self.end_hold(hold)),
            Event::HoldBooked(booked) => self.apply_booked(booked),
            Event::SeatsCancelled(cancelled) => self.apply_cancelled(cancelled),
            Event::SeatsBlocked(blocked) => self.apply_blocked(blocked),
            Event::BlockLifted { block } => self.apply_lifted(*block),
            Event::TermsChanged { terms, prices, sold } => self.apply_terms(terms, prices.as_deref(), *sold),
            Event::HoldsExtended { by_millis } => self.extend(Duration::from_millis(u64::from(*by_millis))),
            Event::BookingDecided(decided) => self.apply_decided(decided),
            Event::BookingsLapsed { bookings } => bookings.iter().for_each(|&number| self.apply_lapsed(number)),
            Event::PaymentAdvanced(advanced) => self.apply_payment(advanced),
            Event::PerformanceCancelled(cancelled) => self.apply_called_off(cancelled),
            Event::TicketTransferred(transferred) => self.apply_transferred(transferred),
            Event::TicketCheckedIn(checked_in) => self.apply_checked_in(checked_in),
            Event::HandedOver { to } => self.handed_over = Some(*to),
            Event::TakenOver => self.handed_over = None,
        }
    }

    fn apply_held(&mut self, event: &SeatsHeld) {
        let number = self.holds.next_number();
        let buyer = self.buyers.enter(event.buyer);
        let offer = self.offers.index_in_force();
        let entry = self.buyers.get_mut(buyer);
        entry.seats += event.seats.len() as u32;
        entry.holds += 1;
        self.seats.set(&self.map, &event.seats, SeatState::Held(number));
        if let Some(request) = event.key {
            let made = Made::Hold {
                number,
                nonce: event.nonce,
                seats: event.seats.clone(),
                offer,
                expires_at: event.expires_at,
            };
            self.remember(request, buyer, made);
        }
        self.holds.push(Hold {
            nonce: event.nonce,
            buyer,
            seats: event.seats.clone(),
            offer,
            created_at: self.now,
            expires_at: event.expires_at,
        });
    }

    /// Gives a hold's seats and its share of the limits back, in one step (B5).
    fn end_hold(&mut self, number: u32) {
        let Some(hold) = self.holds.end(number, None) else { return };
        let buyer = self.buyers.get_mut(hold.buyer);
        buyer.holds -= 1;
        buyer.seats -= if Bug::LimitNotGivenBack.is_on() { 0 } else { hold.seats.len() as u32 };
        self.seats.set(&self.map, &hold.seats, SeatState::Free);
        self.holds.drop_stale_ends();
    }

    /// Gives everybody who waits more time.
    fn extend(&mut self, by: Duration) {
        self.holds.extend(by);
        for (until, number) in std::mem::take(&mut self.waiting) {
            self.wait_until(number, Some(until + by));
        }
    }

    fn apply_blocked(&mut self, event: &SeatsBlocked) {
        self.seats.set(&self.map, &event.seats, SeatState::Blocked(event.block));
        let block = Block { nonce: event.nonce, seats: event.seats.clone(), reason: event.reason.clone() };
        if let Some(request) = event.key {
            let caller = self.buyers.enter(event.by);
            let (seats, reason) = (block.seats.clone(), block.reason.clone());
            self.remember(request, caller, Made::Block { number: event.block, nonce: event.nonce, seats, reason });
        }
        self.blocks.insert(event.block, block);
        self.next_block = event.block + 1;
    }

    fn apply_lifted(&mut self, number: u32) {
        let Some(block) = self.blocks.remove(&number) else { return };
        self.seats.set(&self.map, &block.seats, SeatState::Free);
    }

    fn apply_terms(&mut self, terms: &Terms, prices: Option<&[Money]>, sold: SoldRules) {
        match sold {
            SoldRules::Kept => self.notice = self.notice.after(terms.starts_at, self.now),
            SoldRules::Replaced => {
                self.offers.cancel_by(&terms.cancellation());
                self.notice = Notice::none(terms.starts_at);
            }
        }
        self.terms = Arc::new(terms.clone());
        self.offers.put_in_force(self.offer_of(terms, prices));
    }

    /// What seats are held for once the rules, and the prices where they are given, are these.
    fn offer_of(&self, terms: &Terms, prices: Option<&[Money]>) -> Offer {
        let prices = prices.map_or_else(|| self.prices().clone(), |prices| PriceList(prices.into()));
        Offer { prices, cancellation: terms.cancellation() }
    }

    fn remember(&mut self, request: RequestKey, caller: u32, made: Made) {
        self.replays.push(Replay { request, caller, made, at: self.now });
    }
}
