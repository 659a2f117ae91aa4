//! An inventory's state in format 1.

use rkyv::{Archive, Deserialize, Serialize};

use super::{Key, Money, Opening, Read, account, numbers, read_prices, read_standing, seats, text, time};
use super::{write_prices, write_standing};
use crate::command::RequestKey;
use crate::inventory::{self, Details, Notice, OfferIndex, PlaceImage};
use crate::journal::codec::{DecodeError, v2};
use crate::performance::{Offer, PriceList};
use crate::seat_map::SeatIndex;

/// Holds, bookings and request keys name their offer by its place in `prices`.
#[derive(Archive, Serialize, Deserialize)]
pub(in crate::journal::codec) struct Image {
    opening: Opening,
    now: i64,
    prices: Vec<Vec<Money>>,
    holds_base: u32,
    places: Vec<Place>,
    bookings: Vec<Booking>,
    blocks: Vec<Block>,
    next_block: u32,
    buyers: Vec<String>,
    replays: Vec<Replay>,
}

#[derive(Archive, Serialize, Deserialize)]
enum Place {
    Active { nonce: u64, buyer: u32, seats: Vec<u32>, prices: u32, created_at: i64, expires_at: i64 },
    Booked(u32),
    Ended,
}

#[derive(Archive, Serialize, Deserialize)]
struct Booking {
    nonce: u64,
    buyer: u32,
    standing: u8,
    seats: Vec<u32>,
    cancelled: Vec<u32>,
    prices: u32,
    purpose: Option<String>,
    created_at: i64,
}

#[derive(Archive, Serialize, Deserialize)]
struct Block {
    number: u32,
    nonce: u64,
    seats: Vec<u32>,
    reason: Option<String>,
}

#[derive(Archive, Serialize, Deserialize)]
struct Replay {
    request: Key,
    caller: u32,
    made: Made,
    at: i64,
}

#[derive(Archive, Serialize, Deserialize)]
enum Made {
    Hold { number: u32, nonce: u64, seats: Vec<u32>, prices: u32, expires_at: i64 },
    Booking { number: u32 },
    Cancellation { booking: u32, cancelled: u32 },
    Block(Block),
    Later(Box<v2::Made>),
    Ticket(Box<v2::Ticket>),
}

impl Image {
    pub(in crate::journal::codec) fn write(image: &inventory::Image) -> Self {
        let block = |(number, block): (&u32, &inventory::Block)| {
            Block::write(*number, block.nonce, &block.seats, &block.reason)
        };
        Self {
            opening: Opening::write(&image.opening),
            now: image.now.as_millis(),
            prices: image.offers.iter().map(|offer| write_prices(&offer.prices.0)).collect(),
            holds_base: image.holds_base,
            places: image.places.iter().map(Place::write).collect(),
            bookings: image.bookings.iter().map(Booking::write).collect(),
            blocks: image.blocks.iter().map(block).collect(),
            next_block: image.next_block,
            buyers: image.buyers.iter().map(|buyer| buyer.as_str().to_owned()).collect(),
            replays: image.replays.iter().map(Replay::write).collect(),
        }
    }

    pub(in crate::journal::codec) fn read(self) -> Read<inventory::Image> {
        let opening = self.opening.read()?;
        // A state of these formats has one set of rules for all that was ever sold.
        let cancellation = opening.terms.cancellation();
        let notice = Notice::none(opening.terms.starts_at);
        let read_offer = |list| {
            let prices = PriceList(read_prices(list)?.into());
            Ok(Offer { prices, cancellation: cancellation.clone() })
        };
        // A map would take two blocks of one number for one.
        if !self.blocks.is_sorted_by(|one, next| one.number < next.number) {
            return Err(DecodeError::Field("blocks"));
        }
        Ok(inventory::Image {
            opening,
            offers: self.prices.into_iter().map(read_offer).collect::<Read<_>>()?,
            now: time("now", self.now)?,
            holds_base: self.holds_base,
            places: self.places.into_iter().map(Place::read).collect::<Read<_>>()?,
            bookings: self.bookings.into_iter().map(Booking::read).collect::<Read<_>>()?,
            called_off: None,
            notice,
            tickets: std::collections::BTreeMap::new(),
            blocks: self.blocks.into_iter().map(Block::read).collect(),
            next_block: self.next_block,
            buyers: self.buyers.iter().map(|buyer| account("buyers", buyer)).collect::<Read<_>>()?,
            replays: self.replays.into_iter().map(Replay::read).collect::<Read<_>>()?,
            handed_over: None,
        })
    }
}

impl Place {
    fn write(place: &PlaceImage) -> Self {
        match place {
            PlaceImage::Active(hold) => Self::Active {
                nonce: hold.nonce,
                buyer: hold.buyer,
                seats: numbers(&hold.seats),
                prices: hold.offer.0,
                created_at: hold.created_at.as_millis(),
                expires_at: hold.expires_at.as_millis(),
            },
            PlaceImage::Booked(booking) => Self::Booked(*booking),
            PlaceImage::Ended => Self::Ended,
        }
    }

    fn read(self) -> Read<PlaceImage> {
        Ok(match self {
            Self::Active { nonce, buyer, seats: held, prices, created_at, expires_at } => {
                PlaceImage::Active(inventory::Hold {
                    nonce,
                    buyer,
                    seats: seats(held),
                    offer: OfferIndex(prices),
                    created_at: time("created_at", created_at)?,
                    expires_at: time("expires_at", expires_at)?,
                })
            }
            Self::Booked(booking) => PlaceImage::Booked(booking),
            Self::Ended => PlaceImage::Ended,
        })
    }
}

impl Booking {
    fn write(booking: &inventory::Booking) -> Self {
        Self {
            nonce: booking.nonce,
            buyer: booking.buyer,
            standing: write_standing(booking.standing),
            seats: numbers(&booking.seats),
            cancelled: numbers(booking.cancelled()),
            prices: booking.offer.0,
            purpose: booking.purpose().map(str::to_owned),
            created_at: booking.created_at.as_millis(),
        }
    }

    fn read(self) -> Read<inventory::Booking> {
        Ok(inventory::Booking {
            nonce: self.nonce,
            buyer: self.buyer,
            standing: read_standing(self.standing)?,
            seats: seats(self.seats),
            offer: OfferIndex(self.prices),
            created_at: time("created_at", self.created_at)?,
            details: None,
        }
        .with_details(Details {
            cancelled: seats(self.cancelled),
            purpose: self.purpose.map(String::into_boxed_str),
            ..Details::default()
        }))
    }
}

impl Block {
    fn write(number: u32, nonce: u64, seats: &[SeatIndex], reason: &Option<Box<str>>) -> Self {
        Self { number, nonce, seats: numbers(seats), reason: text(reason) }
    }

    fn read(self) -> (u32, inventory::Block) {
        let reason = self.reason.map(String::into_boxed_str);
        (self.number, inventory::Block { nonce: self.nonce, seats: seats(self.seats), reason })
    }
}

impl Replay {
    fn write(replay: &inventory::Replay) -> Self {
        let RequestKey { key, fingerprint } = replay.request;
        Self {
            request: Key { key, fingerprint },
            caller: replay.caller,
            made: Made::write(&replay.made),
            at: replay.at.as_millis(),
        }
    }

    fn read(self) -> Read<inventory::Replay> {
        let Key { key, fingerprint } = self.request;
        Ok(inventory::Replay {
            request: RequestKey { key, fingerprint },
            caller: self.caller,
            made: self.made.read()?,
            at: time("at", self.at)?,
        })
    }
}

impl Made {
    fn write(made: &inventory::Made) -> Self {
        match made {
            inventory::Made::Hold { number, nonce, seats, offer, expires_at } => Self::Hold {
                number: *number,
                nonce: *nonce,
                seats: numbers(seats),
                prices: offer.0,
                expires_at: expires_at.as_millis(),
            },
            inventory::Made::Booking { number } => Self::Booking { number: *number },
            inventory::Made::Cancellation { booking, cancelled, then: Some(then) } => {
                Self::Later(Box::new(v2::Made::write(*booking, *cancelled, then)))
            }
            inventory::Made::Cancellation { booking, cancelled, then: None } => {
                Self::Cancellation { booking: *booking, cancelled: *cancelled }
            }
            inventory::Made::Ticket { booking, seat, then } => {
                Self::Ticket(Box::new(v2::Ticket::of(*booking, *seat, then)))
            }
            inventory::Made::Block { number, nonce, seats, reason } => {
                Self::Block(Block::write(*number, *nonce, seats, reason))
            }
        }
    }

    fn read(self) -> Read<inventory::Made> {
        Ok(match self {
            Self::Hold { number, nonce, seats: held, prices, expires_at } => inventory::Made::Hold {
                number,
                nonce,
                seats: seats(held),
                offer: OfferIndex(prices),
                expires_at: time("expires_at", expires_at)?,
            },
            Self::Booking { number } => inventory::Made::Booking { number },
            Self::Cancellation { booking, cancelled } => {
                inventory::Made::Cancellation { booking, cancelled, then: None }
            }
            Self::Later(later) => later.read()?,
            Self::Ticket(ticket) => {
                let ((booking, seat), then) = ticket.read()?;
                inventory::Made::Ticket { booking, seat, then }
            }
            Self::Block(block) => {
                let nonce = block.nonce;
                let (number, block) = block.read();
                inventory::Made::Block { number, nonce, seats: block.seats, reason: block.reason }
            }
        })
    }
}
