//! What those who may see it see: holds, bookings and blocks as they stand at one moment.

use std::ops::Range;

use super::holds::{Found, Hold};
use super::{Block, Booking, Inventory, Made};
use crate::command::Caller;
use crate::event::{Event, Standing};
use crate::id::{AccountId, BlockId, BookingId, HoldId};
use crate::performance::PriceList;
use crate::refusal::Refusal;
use crate::seat_map::{SeatIndex, SeatList};
use crate::time::Timestamp;

/// What a caller learns of what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A hold, as it was made or is.
    Hold(HoldView),
    /// A booking, as it was made or is.
    Booking(BookingView),
    /// A block, as it was made.
    Block(BlockView),
    /// Who booked: a page, and how many bookings there are in all.
    Bookings(Vec<BookingView>, u32),
    /// It is done; there is nothing to tell.
    Done,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingView {
    /// Its id.
    pub id: BookingId,
    /// Who booked.
    pub buyer: AccountId,
    /// Where it stands, its cancelled seats aside.
    pub standing: Standing,
    /// The seats that are still its own.
    pub seats: SeatList,
    /// Those that were given up.
    pub cancelled: Vec<SeatIndex>,
    /// What it cost.
    pub prices: PriceList,
    /// What it is for.
    pub purpose: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            Event::HoldBooked(booked) => Answer::Booking(self.booking_view(booked.booking, usize::MAX)),
            Event::SeatsCancelled(cancelled) => Answer::Booking(self.booking_view(cancelled.booking, usize::MAX)),
            Event::SeatsBlocked(blocked) => match self.blocks.get(&blocked.block) {
                Some(Block { nonce, seats, reason }) => {
                    Answer::Block(self.block_view(blocked.block, *nonce, seats, reason))
                }
                None => Answer::Done,
            },
            _ => Answer::Done,
        }
    }

    /// The answer that was given at `at` when this was made.
    pub(super) fn answer_made(&self, made: &Made, at: Timestamp) -> Answer {
        match made {
            Made::Hold { number, nonce, seats, prices, expires_at } => Answer::Hold(HoldView {
                id: HoldId { performance: self.performance, number: *number, nonce: *nonce },
                seats: seats.clone(),
                prices: self.prices.get(*prices).clone(),
                created_at: at,
                expires_at: *expires_at,
            }),
            Made::Booking { number } => Answer::Booking(self.booking_view(*number, 0)),
            Made::Cancellation { booking, cancelled } => {
                Answer::Booking(self.booking_view(*booking, *cancelled as usize))
            }
            Made::Block { number, nonce, seats, reason } => {
                Answer::Block(self.block_view(*number, *nonce, seats, reason))
            }
        }
    }

    fn hold_view(&self, number: u32, hold: &Hold) -> HoldView {
        HoldView {
            id: HoldId { performance: self.performance, number, nonce: hold.nonce },
            seats: hold.seats.clone(),
            prices: self.prices.get(hold.prices).clone(),
            created_at: hold.created_at,
            expires_at: hold.expires_at,
        }
    }

    pub(super) fn booking_id(&self, number: u32) -> BookingId {
        BookingId { performance: self.performance, number, nonce: self.bookings[number as usize].nonce }
    }

    /// A booking as it stood when its first `cancelled` cancelled seats had been given up.
    fn booking_view(&self, number: u32, cancelled: usize) -> BookingView {
        let booking: &Booking = &self.bookings[number as usize];
        let gone = booking.cancelled();
        let gone = &gone[..cancelled.min(gone.len())];
        BookingView {
            id: self.booking_id(number),
            buyer: self.buyers.get(booking.buyer).account,
            standing: booking.standing,
            seats: booking.seats.iter().copied().filter(|seat| !gone.contains(seat)).collect(),
            cancelled: gone.to_vec(),
            prices: self.prices.get(booking.prices).clone(),
            purpose: booking.purpose().map(Box::from),
            created_at: booking.created_at,
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
        self.visible_booking(caller, id).map(|number| self.booking_view(number, usize::MAX))
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
        Ok(Answer::Bookings(page.map(|number| self.booking_view(number, usize::MAX)).collect(), total))
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
        self.bookings.get(number as usize).map(|_| self.booking_view(number, usize::MAX))
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
