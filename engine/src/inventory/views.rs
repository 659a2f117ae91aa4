//! What those who may see it see: holds, bookings and blocks as they stand at one moment.

use std::ops::Range;

use super::holds::{Found, Hold};
use super::{Block, Booking, Inventory, Made, Payment, Stage, Standpoint, Step, TicketView, Verdict};
use crate::command::Caller;
use crate::event::{Event, Standing};
use crate::id::{AccountId, BlockId, BookingId, HoldId};
use crate::money::Money;
use crate::performance::{CancellationRules, PriceList};
use crate::refusal::Refusal;
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// What a caller learns of what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Answer {
    /// A hold, as it was made or is.
    Hold(HoldView),
    /// A booking, as it was made or is.
    Booking(BookingView),
    /// A block, as it was made.
    Block(BlockView),
    /// Who booked: a page, and how many bookings there are in all.
    Bookings(Vec<BookingView>, u32),
    /// A payment, and what has to be done about it.
    Payment(PaymentView),
    /// A ticket, as it is.
    Ticket(TicketView),
    /// Tickets, as they are.
    Tickets(Vec<TicketView>),
    /// It is done; there is nothing to tell.
    Done,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct HoldView {
    /// Its id.
    pub id: HoldId,
    /// What is held.
    pub seats: SeatList,
    /// What it costs.
    pub prices: PriceList,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A booking.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BookingView {
    /// Its id.
    pub id: BookingId,
    /// Who booked.
    pub buyer: AccountId,
    /// Where it stands, its cancelled seats aside.
    pub standing: Standing,
    /// The seats that are still its own.
    pub seats: SeatList,
    /// Those that were given up, or went back on sale.
    pub cancelled: Vec<SeatIndex>,
    /// What it cost.
    pub prices: PriceList,
    /// The rules by which it can be given back at least.
    pub cancellation: CancellationRules,
    /// Where the performance was moved since: until then it can be given back for all that it cost.
    pub free_until: Option<Timestamp>,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it waits: for its payment, or for the seller's word.
    pub until: Option<Timestamp>,
    /// What the seller said.
    pub verdict: Option<Box<Verdict>>,
    /// Its payment, once there is something to pay.
    pub payment: Option<Box<Payment>>,
}

/// A payment as whoever sees to it sees it.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PaymentView {
    /// The booking.
    pub booking: BookingId,
    /// What has to be done next, if anything.
    pub step: Option<Step>,
    /// What is asked for.
    pub amount: Money,
    /// How far it is.
    pub stage: Stage,
    /// The provider's name for it, once it is known there.
    pub reference: Option<Box<str>>,
    /// Until when the booking waits for it.
    pub until: Option<Timestamp>,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BlockView {
    /// Its id.
    pub id: BlockId,
    /// Which seats.
    pub seats: Vec<SeatIndex>,
    /// Why.
    pub reason: Option<Box<str>>,
}

impl Inventory {
    /// What is answered to the command that led to `event`, once that has been applied.
    pub fn answer(&self, event: &Event) -> Answer {
        match event {
            Event::SeatsHeld(held) => match self.holds.find(held.hold) {
                Found::Active(hold) => Answer::Hold(self.hold_view(held.hold, hold)),
                _ => Answer::Done,
            },
            Event::HoldBooked(booked) => Answer::Booking(self.booking_view(booked.booking)),
            Event::SeatsCancelled(cancelled) => Answer::Booking(self.booking_view(cancelled.booking)),
            Event::BookingDecided(decided) => Answer::Booking(self.booking_view(decided.booking)),
            Event::PaymentAdvanced(advanced) => Answer::Booking(self.booking_view(advanced.booking)),
            Event::SeatsBlocked(blocked) => match self.blocks.get(&blocked.block) {
                Some(Block { nonce, seats, reason }) => {
                    Answer::Block(self.block_view(blocked.block, *nonce, seats, reason))
                }
                None => Answer::Done,
            },
            Event::TicketTransferred(transferred) => {
                Answer::Ticket(self.ticket_view(transferred.booking, transferred.seat))
            }
            Event::TicketCheckedIn(checked_in) => Answer::Ticket(self.ticket_view(checked_in.booking, checked_in.seat)),
            _ => Answer::Done,
        }
    }

    /// The answer that was given at `at` when this was made.
    pub(super) fn answer_made(&self, made: &Made, at: Timestamp) -> Answer {
        match made {
            Made::Hold { number, nonce, seats, offer, expires_at } => Answer::Hold(HoldView {
                id: HoldId { performance: self.performance, number: *number, nonce: *nonce },
                seats: seats.clone(),
                prices: self.offers.get(*offer).prices.clone(),
                created_at: at,
                expires_at: *expires_at,
            }),
            Made::Booking { number } => Answer::Booking(self.first_view(*number)),
            Made::Cancellation { booking, cancelled, then } => {
                Answer::Booking(self.view_then(*booking, *cancelled as usize, *then))
            }
            Made::Ticket { booking, seat, then } => Answer::Ticket(self.view_of(*booking, *seat, *then)),
            Made::Block { number, nonce, seats, reason } => {
                Answer::Block(self.block_view(*number, *nonce, seats, reason))
            }
        }
    }

    fn hold_view(&self, number: u32, hold: &Hold) -> HoldView {
        HoldView {
            id: HoldId { performance: self.performance, number, nonce: hold.nonce },
            seats: hold.seats.clone(),
            prices: self.offers.get(hold.offer).prices.clone(),
            created_at: hold.created_at,
            expires_at: hold.expires_at,
        }
    }

    pub(super) fn booking_id(&self, number: u32) -> BookingId {
        BookingId { performance: self.performance, number, nonce: self.bookings[number as usize].nonce }
    }

    /// A booking as it is.
    pub(super) fn booking_view(&self, number: u32) -> BookingView {
        let booking: &Booking = &self.bookings[number as usize];
        let lost = if booking.standing.has_seats() { SeatList::new() } else { booking.wanted() };
        BookingView {
            id: self.booking_id(number),
            buyer: self.buyers.get(booking.buyer).account,
            standing: booking.standing,
            seats: booking.remaining(),
            cancelled: booking.cancelled().iter().copied().chain(lost).collect(),
            prices: self.offers.get(booking.offer).prices.clone(),
            cancellation: self.booked_under(booking),
            free_until: self.free_until(booking),
            purpose: booking.purpose().map(Box::from),
            created_at: booking.created_at,
            until: booking.until(),
            verdict: booking.verdict().cloned().map(Box::new),
            payment: booking.payment().cloned().map(Box::new),
        }
    }

    /// A booking as it stood when it was made.
    fn first_view(&self, number: u32) -> BookingView {
        let booking = &self.bookings[number as usize];
        let standing = booking.first_standing();
        let paid_for = standing == Standing::PendingPayment;
        BookingView {
            standing,
            seats: booking.seats.clone(),
            cancelled: Vec::new(),
            until: booking.details.as_ref().and_then(|details| details.first_until),
            verdict: None,
            payment: booking.payment().filter(|_| paid_for).map(|payment| Box::new(Payment::of(payment.amount))),
            ..self.booking_view(number)
        }
    }

    /// A booking as it stood when its first `cancelled` cancelled seats had been given up.
    fn view_then(&self, number: u32, cancelled: usize, then: Option<Standpoint>) -> BookingView {
        let booking = &self.bookings[number as usize];
        let gone = &booking.cancelled()[..cancelled.min(booking.cancelled().len())];
        let moment = then.and_then(|then| then.payment);
        let undecided = then.is_some_and(|then| then.standing == Standing::PendingApproval);
        BookingView {
            standing: then.map_or(booking.standing, |then| then.standing),
            seats: booking.seats.iter().copied().filter(|seat| !gone.contains(seat)).collect(),
            cancelled: gone.to_vec(),
            until: then.map_or(booking.until(), |then| then.until),
            verdict: booking.verdict().filter(|_| !undecided).cloned().map(Box::new),
            payment: booking.payment().zip(moment).map(|(payment, moment)| Box::new(payment.as_of(moment))),
            ..self.booking_view(number)
        }
    }

    fn block_view(&self, number: u32, nonce: u64, seats: &[SeatIndex], reason: &Option<Box<str>>) -> BlockView {
        BlockView {
            id: BlockId { performance: self.performance, number, nonce },
            seats: seats.to_vec(),
            reason: reason.clone(),
        }
    }

    /// A hold of the caller's.
    ///
    /// # Errors
    /// [`Refusal`], where there is none, or it has ended.
    pub fn read_hold(&self, caller: &Caller, id: HoldId) -> Result<HoldView, Refusal> {
        self.own_hold(caller, id, self.now).map(|hold| self.hold_view(id.number, hold))
    }

    /// A booking of the caller's, or one that the caller sold.
    ///
    /// # Errors
    /// [`Refusal::UnknownBooking`], where there is none.
    pub fn read_booking(&self, caller: &Caller, id: BookingId) -> Result<BookingView, Refusal> {
        self.visible_booking(caller, id).map(|number| self.booking_view(number))
    }

    /// A booking's payment, for whoever sees to it. Asks nobody who they are.
    ///
    /// # Errors
    /// [`Refusal`], where there is no such booking, or nothing to pay.
    pub fn read_payment(&self, id: BookingId) -> Result<PaymentView, Refusal> {
        let booking = self.bookings.get(id.number as usize).filter(|booking| booking.nonce == id.nonce);
        let booking = booking.ok_or(Refusal::UnknownBooking)?;
        let payment = booking.payment().ok_or(Refusal::UnknownPayment)?;
        Ok(PaymentView {
            booking: id,
            step: booking.step(),
            amount: self.money_of(booking, payment.amount),
            stage: payment.stage,
            reference: payment.reference.clone(),
            until: booking.until(),
        })
    }

    /// The bookings with these numbers, as far as there are such: who booked.
    ///
    /// # Errors
    /// [`Refusal::NotSeller`], where the caller does not sell here.
    pub fn list_bookings(&self, caller: &Caller, numbers: Range<u32>) -> Result<Answer, Refusal> {
        if !self.is_seller(caller) {
            return Err(Refusal::NotSeller);
        }
        let total = self.bookings.len() as u32;
        let page = numbers.start..numbers.end.min(total);
        Ok(Answer::Bookings(page.map(|number| self.booking_view(number)).collect(), total))
    }

    /// An active hold and whose it is, by its number. Asks nobody who they are: for whoever reads a journal.
    pub fn hold(&self, number: u32) -> Option<(AccountId, HoldView)> {
        match self.holds.find(number) {
            Found::Active(hold) => Some((self.buyers.get(hold.buyer).account, self.hold_view(number, hold))),
            Found::Booked(_) | Found::Ended | Found::Never => None,
        }
    }

    /// A booking by its number, as [`Self::hold`].
    pub fn booking(&self, number: u32) -> Option<BookingView> {
        self.bookings.get(number as usize).map(|_| self.booking_view(number))
    }

    /// A block by its number, as [`Self::hold`].
    pub fn block(&self, number: u32) -> Option<BlockView> {
        self.blocks.get(&number).map(|block| self.block_view(number, block.nonce, &block.seats, &block.reason))
    }

    /// Every booking with its buyer: what an account's own history is built from when the engine starts.
    pub fn booking_owners(&self) -> impl Iterator<Item = (AccountId, BookingId, Timestamp)> {
        self.bookings.iter().enumerate().map(|(number, booking)| {
            (self.buyers.get(booking.buyer).account, self.booking_id(number as u32), booking.created_at)
        })
    }
}
