//! An inventory's state without what can be counted from it: what a snapshot keeps and what two states are compared by.

use std::collections::BTreeMap;

use super::holds::Holds;
use super::misfit::{Fault, Misfit, Part, check_own, demand};
use super::offers::Offers;
use super::seats::SeatState;
use super::{Block, Booking, CalledOff, Hold, Inventory, Made, Notice, Replay, Stage, Ticket};
use crate::event::Standing;
use crate::id::{AccountId, EngineId};
use crate::performance::{Offer, Opening, OpeningError, PricesError, Terms};
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What the performance opened with, with the rules and prices in force.
    pub opening: Opening,
    /// Every offer that was ever in force, each once; what is held or booked names its own.
    pub offers: Vec<Offer>,
    /// Journal time.
    pub now: Timestamp,
    /// The number of the first of `places`.
    pub holds_base: u32,
    /// What is known of each hold number from there on.
    pub places: Vec<PlaceImage>,
    /// Bookings, by number.
    pub bookings: Vec<Booking>,
    /// What became of tickets, by booking and seat.
    pub tickets: BTreeMap<(u32, SeatIndex), Ticket>,
    /// That the performance was called off.
    pub called_off: Option<CalledOff>,
    /// Which start whoever has booked was told of.
    pub notice: Notice,
    /// Blocks, by number.
    pub blocks: BTreeMap<u32, Block>,
    /// The number of the next block.
    pub next_block: u32,
    /// Buyers, by number.
    pub buyers: Vec<AccountId>,
    /// Request keys, oldest first.
    pub replays: Vec<Replay>,
    /// Whom it was given to, if it was.
    pub handed_over: Option<EngineId>,
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
                prices: self.prices().0.to_vec(),
                terms: Terms::clone(&self.terms),
            },
            offers: self.offers.all().to_vec(),
            now: self.now,
            holds_base: self.holds.base(),
            places: self.holds.known().map(place_image).collect(),
            bookings: self.bookings.clone(),
            called_off: self.called_off.clone(),
            notice: self.notice,
            tickets: self.tickets.clone(),
            blocks: self.blocks.clone(),
            next_block: self.next_block,
            buyers: self.buyers.all().iter().map(|buyer| buyer.account).collect(),
            replays: self.replays.iter().cloned().collect(),
            handed_over: self.handed_over,
        }
    }

    /// The inventory with this state; everything derived is counted anew, and every number is looked at before it leads
    /// anywhere: an image comes from a file.
    ///
    /// # Errors
    /// [`Misfit`] names the first part that cannot be a state's.
    pub fn from_image(image: Image) -> Result<Self, Misfit> {
        let mut inventory = Self::open(&image.opening, image.now)?;
        inventory.restore_offers(image.offers)?;
        inventory.restore_buyers(image.buyers)?;
        inventory.restore_holds(image.holds_base, image.places, image.bookings.len())?;
        for (number, booking) in (0..).zip(image.bookings) {
            inventory.restore_booking(number, booking).map_err(|fault| Part::Booking(number).is(fault))?;
        }
        for (&number, block) in &image.blocks {
            let fits = inventory
                .check_free(&block.seats)
                .and(demand(number < image.next_block, Fault::NotNext { next: image.next_block }));
            fits.map_err(|fault| Part::Block(number).is(fault))?;
            inventory.seats.set(&inventory.map, &block.seats, SeatState::Blocked(number));
        }
        (inventory.blocks, inventory.next_block) = (image.blocks, image.next_block);
        (inventory.called_off, inventory.notice) = (image.called_off, image.notice);
        inventory.handed_over = image.handed_over;
        for &(number, seat) in image.tickets.keys() {
            let booking = inventory.bookings.get(number as usize).ok_or(Part::Booking(number).is(Fault::Unknown))?;
            demand(booking.seats.contains(&seat), Fault::SeatForeign(seat))
                .map_err(|fault| Part::Booking(number).is(fault))?;
        }
        inventory.tickets = image.tickets;
        for (place, replay) in image.replays.into_iter().enumerate() {
            inventory.restore_replay(place, replay).map_err(|fault| Part::RequestKey(place).is(fault))?;
        }
        Ok(inventory)
    }

    fn restore_offers(&mut self, offers: Vec<Offer>) -> Result<(), Misfit> {
        for (place, offer) in (0..).zip(&offers) {
            PricesError::check(&offer.prices.0, self.tiers.len()).map_err(|error| Part::Offer(place).is(error))?;
            offer.cancellation.check().map_err(|error| Part::Offer(place).is(error))?;
        }
        let in_force = self.offers.in_force().clone();
        if !offers.contains(&in_force) {
            return Err(Part::Opening.is(Fault::NotInForce));
        }
        self.offers = Offers::restore(offers, in_force);
        Ok(())
    }

    fn restore_buyers(&mut self, buyers: Vec<AccountId>) -> Result<(), Misfit> {
        for (number, account) in (0..).zip(buyers) {
            if self.buyers.enter(account) != number {
                return Err(Part::Buyer(number).is(Fault::Twice));
            }
        }
        Ok(())
    }

    /// `bookings` are still to be restored, but their number is known.
    fn restore_holds(&mut self, base: u32, places: Vec<PlaceImage>, bookings: usize) -> Result<(), Misfit> {
        if base as usize + places.len() > u32::MAX as usize {
            return Err(Part::Hold(base).is(Fault::LastNumber));
        }
        self.holds = Holds::starting_at(base);
        for place in places {
            let number = self.holds.next_number();
            self.restore_place(place, bookings).map_err(|fault| Part::Hold(number).is(fault))?;
        }
        demand(self.holds.base() == base, Fault::Forgotten).map_err(|fault| Part::Hold(base).is(fault))
    }

    fn restore_place(&mut self, place: PlaceImage, bookings: usize) -> Result<(), Fault> {
        match place {
            PlaceImage::Active(hold) => {
                self.check_buyer(hold.buyer)?;
                self.check_offer(hold.offer)?;
                self.check_free(&hold.seats)?;
                demand(hold.expires_at >= hold.created_at, Fault::EndsEarly)?;
                let buyer = self.buyers.get_mut(hold.buyer);
                buyer.seats += hold.seats.len() as u32;
                buyer.holds += 1;
                self.seats.set(&self.map, &hold.seats, SeatState::Held(self.holds.next_number()));
                self.holds.push(hold);
            }
            PlaceImage::Booked(booking) => {
                demand((booking as usize) < bookings, Fault::NoBooking(booking))?;
                self.holds.push_ended(Some(booking));
            }
            PlaceImage::Ended => self.holds.push_ended(None),
        }
        Ok(())
    }

    fn restore_booking(&mut self, number: u32, booking: Booking) -> Result<(), Fault> {
        self.check_buyer(booking.buyer)?;
        self.check_offer(booking.offer)?;
        self.check_seats(&booking.seats)?;
        check_own(booking.cancelled(), &booking.seats)?;
        self.check_order(&booking)?;
        let remaining = booking.remaining();
        self.check_free(&remaining)?;
        self.buyers.get_mut(booking.buyer).seats += remaining.len() as u32;
        self.seats.set(&self.map, &remaining, SeatState::Booked(number));
        self.waiting.extend(booking.until().map(|until| (until, number)));
        self.bookings.push(booking);
        Ok(())
    }

    /// Whether a booking waits, and has paid, as where it stands wants it (E1, E2).
    fn check_order(&self, booking: &Booking) -> Result<(), Fault> {
        let pending = matches!(booking.standing, Standing::PendingPayment | Standing::PendingApproval);
        demand(booking.until().is_none() || (pending && !booking.is_over()), Fault::Standing)?;
        let Some(payment) = booking.payment() else { return Ok(()) };
        let came = matches!(payment.stage, Stage::Authorised | Stage::Captured);
        demand(came || booking.standing != Standing::Confirmed || booking.is_over(), Fault::Standing)?;
        demand(!pending || !came || booking.is_over(), Fault::Standing)?;
        let back = payment.refunds.iter().try_fold(0i64, |sum, refund| sum.checked_add(refund.amount));
        let none_below_zero = payment.refunds.iter().all(|refund| refund.amount > 0);
        demand(none_below_zero && back.is_some_and(|back| back <= payment.amount), Fault::TooMuchBack)?;
        demand(came || payment.refunds.is_empty(), Fault::TooMuchBack)?;
        demand((0..=self.cost(booking, &booking.seats)).contains(&payment.amount), Fault::Amount)
    }

    fn restore_replay(&mut self, place: usize, replay: Replay) -> Result<(), Fault> {
        self.check_buyer(replay.caller)?;
        demand(self.replays.find(replay.caller, replay.request.key).is_none(), Fault::KeyUsed)?;
        match &replay.made {
            Made::Hold { number, seats, offer, .. } => {
                demand(*number < self.holds.next_number(), Fault::NoHold(*number))?;
                self.check_seats(seats)?;
                self.check_offer(*offer)?;
            }
            Made::Booking { number } => drop(self.check_booking(*number)?),
            Made::Cancellation { booking, cancelled, .. } => {
                let gone = self.check_booking(*booking)?.cancelled().len();
                demand(*cancelled as usize <= gone, Fault::TooManyCancelled)?;
            }
            Made::Ticket { booking, seat, then } => {
                let own = self.check_booking(*booking)?.seats.contains(seat);
                demand(own, Fault::SeatForeign(*seat))?;
                demand(then.issue <= self.ticket(*booking, *seat).issue, Fault::NeverIssued(*seat))?;
            }
            Made::Block { number, seats, .. } => {
                demand(*number < self.next_block, Fault::NoBlock(*number))?;
                self.check_seats(seats)?;
            }
        }
        self.replays.push(replay);
        demand(self.replays.len() == place + 1, Fault::Forgotten)
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
        let booked = self.bookings.iter().map(|booking| booking.remaining().len());
        let blocked = self.blocks.values().map(|block| block.seats.len());
        let owned: usize = owners.chain(booked).chain(blocked).sum();
        let free = self.seats.tallies().iter().map(|tally| tally.free as usize).sum::<usize>();
        let agrees = [
            ("a seat is owned twice or by nobody", owned + free == self.map.capacity() as usize),
            ("the seats differ from a count of their owners", fresh.seats == self.seats),
            ("the buyers' counts differ from a count of what they have", fresh.buyers == self.buyers),
            ("the image does not read back", fresh.image() == image),
            ("the deadlines differ from those of the bookings", fresh.waiting == self.waiting),
            ("a hold outlived its time", self.holds.iter().all(|(_, hold)| hold.expires_at >= hold.created_at)),
        ];
        agrees.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(fault, _)| Err((*fault).to_owned()))
    }
}

impl From<OpeningError> for Misfit {
    fn from(error: OpeningError) -> Self {
        Part::Opening.is(error)
    }
}

fn place_image((_, hold, booked): (u32, Option<&Hold>, Option<u32>)) -> PlaceImage {
    match (hold, booked) {
        (Some(hold), _) => PlaceImage::Active(hold.clone()),
        (None, Some(booking)) => PlaceImage::Booked(booking),
        (None, None) => PlaceImage::Ended,
    }
}
