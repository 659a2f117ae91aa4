//! An inventory's state without what can be counted from it: what a snapshot keeps and what two states are compared by.

use std::collections::BTreeMap;

use super::holds::Holds;
use super::price_lists::PriceLists;
use super::seats::SeatState;
use super::{Block, Booking, Hold, Inventory, Replay};
use crate::id::AccountId;
use crate::performance::{Opening, PriceList, Terms};
use crate::seat_map::SeatMapError;
use crate::time::Timestamp;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What the performance opened with, with the rules and prices in force.
    pub opening: Opening,
    /// Every price list that was ever in force, each once; what is held or booked names its own.
    pub prices: Vec<PriceList>,
    /// Journal time.
    pub now: Timestamp,
    /// The number of the first of `places`.
    pub holds_base: u32,
    /// What is known of each hold number from there on.
    pub places: Vec<PlaceImage>,
    /// Bookings, by number.
    pub bookings: Vec<Booking>,
    /// Blocks, by number.
    pub blocks: BTreeMap<u32, Block>,
    /// The number of the next block.
    pub next_block: u32,
    /// Buyers, by number.
    pub buyers: Vec<AccountId>,
    /// Request keys, oldest first.
    pub replays: Vec<Replay>,
}

/// What is known of a hold number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceImage {
    /// The hold is active.
    Active(Hold),
    /// It became the booking with this number.
    Booked(u32),
    /// It was released or expired.
    Ended,
}

impl Inventory {
    /// The state as it is.
    pub fn image(&self) -> Image {
        Image {
            opening: Opening {
                performance: self.performance,
                show: self.show,
                seller: self.seller,
                plan: self.map.plan().clone(),
                tiers: self.tiers.to_vec(),
                prices: self.prices.in_force().0.to_vec(),
                terms: Terms::clone(&self.terms),
            },
            prices: self.prices.all().to_vec(),
            now: self.now,
            holds_base: self.holds.base(),
            places: self.holds.known().map(place_image).collect(),
            bookings: self.bookings.clone(),
            blocks: self.blocks.clone(),
            next_block: self.next_block,
            buyers: self.buyers.all().iter().map(|buyer| buyer.account).collect(),
            replays: self.replays.iter().cloned().collect(),
        }
    }

    /// The inventory with this state; everything derived is counted anew.
    ///
    /// # Errors
    /// [`SeatMapError`], where the image's plan makes no seat map.
    pub fn from_image(image: Image) -> Result<Self, SeatMapError> {
        let mut inventory = Self::open(&image.opening, image.now)?;
        inventory.prices = PriceLists::restore(image.prices, inventory.prices.in_force().clone());
        image.buyers.into_iter().for_each(|account| {
            inventory.buyers.enter(account);
        });
        inventory.holds = Holds::starting_at(image.holds_base);
        image.places.into_iter().for_each(|place| inventory.restore_place(place));
        image.bookings.into_iter().for_each(|booking| inventory.restore_booking(booking));
        for (number, block) in &image.blocks {
            inventory.seats.set(&inventory.map, &block.seats, SeatState::Blocked(*number));
        }
        inventory.blocks = image.blocks;
        inventory.next_block = image.next_block;
        image.replays.into_iter().for_each(|replay| inventory.replays.push(replay));
        Ok(inventory)
    }

    fn restore_place(&mut self, place: PlaceImage) {
        match place {
            PlaceImage::Active(hold) => {
                let buyer = self.buyers.get_mut(hold.buyer);
                buyer.seats += hold.seats.len() as u32;
                buyer.holds += 1;
                self.seats.set(&self.map, &hold.seats, SeatState::Held(self.holds.next_number()));
                self.holds.push(hold);
            }
            PlaceImage::Booked(booking) => self.holds.push_ended(Some(booking)),
            PlaceImage::Ended => self.holds.push_ended(None),
        }
    }

    fn restore_booking(&mut self, booking: Booking) {
        let remaining = booking.remaining();
        self.buyers.get_mut(booking.buyer).seats += remaining.len() as u32;
        self.seats.set(&self.map, &remaining, SeatState::Booked(self.bookings.len() as u32));
        self.bookings.push(booking);
    }

    /// Whether everything that is counted agrees with a count from scratch, and every link leads both ways
    /// (A1 to A3, A7, A9, C1, C4).
    ///
    /// # Errors
    /// A sentence that names what does not agree: a bug, or memory gone bad.
    pub fn verify(&self) -> Result<(), String> {
        let image = self.image();
        let fresh = Self::from_image(image.clone()).map_err(|error| error.to_string())?;
        let owners = self.holds.iter().map(|(_, hold)| hold.seats.len());
        let booked = self.bookings.iter().map(|booking| booking.seats.len() - booking.cancelled().len());
        let blocked = self.blocks.values().map(|block| block.seats.len());
        let owned: usize = owners.chain(booked).chain(blocked).sum();
        let free = self.seats.tallies().iter().map(|tally| tally.free as usize).sum::<usize>();
        let agrees = [
            ("a seat is owned twice or by nobody", owned + free == self.map.capacity() as usize),
            ("the seats differ from a count of their owners", fresh.seats == self.seats),
            ("the buyers' counts differ from a count of what they have", fresh.buyers == self.buyers),
            ("the image does not read back", fresh.image() == image),
            ("a hold outlived its time", self.holds.iter().all(|(_, hold)| hold.expires_at >= hold.created_at)),
        ];
        agrees.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(fault, _)| Err((*fault).to_owned()))
    }
}

fn place_image((_, hold, booked): (u32, Option<&Hold>, Option<u32>)) -> PlaceImage {
    match (hold, booked) {
        (Some(hold), _) => PlaceImage::Active(hold.clone()),
        (None, Some(booking)) => PlaceImage::Booked(booking),
        (None, None) => PlaceImage::Ended,
    }
}
