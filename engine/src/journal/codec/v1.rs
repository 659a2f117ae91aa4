//! Format 1. Never changed once it is released: old journals are read with it for ever. What later formats add stands
//! behind the last variant of an enumeration, in a box, so that the archives of before are laid out as they were.

mod image;
mod registry;

pub(super) use image::Image;
pub(super) use registry::{Adopted, RegistryEntry};
use rkyv::{Archive, Deserialize, Serialize};

use super::{DecodeError, v2, v3, v4};
use crate::command::RequestKey;
use crate::event::{self, Event, Standing};
use crate::id::{AccountId, PerformanceId, ShowId};
use crate::money::{self, Currency};
use crate::performance::{self, Approval};
use crate::seat_map::{self, SeatIndex, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
use crate::time::Timestamp;

type Read<T> = Result<T, DecodeError>;

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Entry {
    at: i64,
    what: What,
}

#[derive(Archive, Serialize, Deserialize)]
enum What {
    Opened(Box<Opening>),
    Held { hold: u32, nonce: u64, buyer: String, seats: Vec<u32>, expires_at: i64, key: Option<Key> },
    Released { hold: u32 },
    Expired { holds: Vec<u32> },
    Booked { hold: u32, booking: u32, nonce: u64, standing: u8, purpose: Option<String>, key: Option<Key> },
    Cancelled { booking: u32, seats: Vec<u32>, by: String, key: Option<Key> },
    Blocked { block: u32, nonce: u64, seats: Vec<u32>, reason: Option<String>, by: String, key: Option<Key> },
    Lifted { block: u32 },
    Terms { terms: Box<Terms>, prices: Option<Vec<Money>> },
    Extended { by_millis: u32 },
    Format2(Box<v2::What>),
    Format3(Box<v3::What>),
    Format4(Box<v4::What>),
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Key {
    key: [u64; 2],
    fingerprint: u64,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Money {
    amount: i64,
    currency: String,
}

#[derive(Archive, Serialize, Deserialize)]
struct Opening {
    performance: u64,
    show: u64,
    seller: String,
    sections: Vec<Section>,
    tiers: Vec<String>,
    prices: Vec<Money>,
    terms: Terms,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Terms {
    starts_at: i64,
    ends_at: i64,
    opens_at: i64,
    closes_at: i64,
    hold_ttl_seconds: u32,
    seats_per_buyer_max: u32,
    holds_per_buyer_max: u32,
    manual_approval: bool,
    cancel_until: i64,
    refund: Vec<(i64, u8)>,
}

#[derive(Archive, Serialize, Deserialize)]
struct Section {
    name: String,
    tier: u16,
    seating: SectionSeating,
}

#[derive(Archive, Serialize, Deserialize)]
enum SectionSeating {
    Reserved(Vec<(String, Names)>),
    GeneralAdmission(u32),
    Slots { resource: String, slots: Vec<(i64, i64)> },
}

#[derive(Archive, Serialize, Deserialize)]
enum Names {
    Count(u32),
    Named(Vec<String>),
}

pub(super) fn entries(entries: &[event::Entry]) -> Vec<Entry> {
    entries.iter().map(|entry| Entry { at: entry.at.as_millis(), what: What::write(&entry.event) }).collect()
}

impl Entry {
    /// The format that can say what it says.
    pub(super) fn format(&self) -> u16 {
        match self.what {
            What::Format4(_) => 4,
            What::Format3(_) => 3,
            What::Format2(_) => 2,
            _ => 1,
        }
    }

    pub(super) fn read(self) -> Read<event::Entry> {
        Ok(event::Entry { at: time("at", self.at)?, event: self.what.read()? })
    }
}

pub(super) fn numbers(seats: &[SeatIndex]) -> Vec<u32> {
    seats.iter().map(|seat| seat.0).collect()
}

pub(super) fn seats<T: FromIterator<SeatIndex>>(numbers: Vec<u32>) -> T {
    numbers.into_iter().map(SeatIndex).collect()
}

pub(super) fn account(field: &'static str, text: &str) -> Read<AccountId> {
    text.parse().map_err(|_| DecodeError::Field(field))
}

pub(super) fn text(name: &Option<Box<str>>) -> Option<String> {
    name.as_deref().map(str::to_owned)
}

pub(super) fn time(field: &'static str, millis: i64) -> Read<Timestamp> {
    Timestamp::at_millis(millis).ok_or(DecodeError::Field(field))
}

impl Key {
    pub(super) fn write(key: &Option<RequestKey>) -> Option<Self> {
        key.map(|RequestKey { key, fingerprint }| Self { key, fingerprint })
    }
}

pub(super) fn read_key(key: Option<Key>) -> Option<RequestKey> {
    key.map(|Key { key, fingerprint }| RequestKey { key, fingerprint })
}

/// The first three are those of format 1.
const STANDINGS: [Standing; 6] = [
    Standing::PendingPayment,
    Standing::PendingApproval,
    Standing::Confirmed,
    Standing::Expired,
    Standing::PaymentFailed,
    Standing::Rejected,
];

pub(super) fn write_standing(standing: Standing) -> u8 {
    STANDINGS.iter().position(|known| *known == standing).expect("STANDINGS has all") as u8
}

pub(super) fn read_standing(standing: u8) -> Read<Standing> {
    STANDINGS.get(usize::from(standing)).copied().ok_or(DecodeError::Field("standing"))
}

impl What {
    fn write(event: &Event) -> Self {
        if let Some(what) = v2::What::write(event) {
            return Self::Format2(Box::new(what));
        }
        if let Some(what) = v3::What::write(event) {
            return Self::Format3(Box::new(what));
        }
        if let Some(what) = v4::What::write(event) {
            return Self::Format4(Box::new(what));
        }
        match event {
            Event::PerformanceOpened(opening) => Self::Opened(Box::new(Opening::write(opening))),
            Event::SeatsHeld(held) => Self::Held {
                hold: held.hold,
                nonce: held.nonce,
                buyer: held.buyer.as_str().to_owned(),
                seats: numbers(&held.seats),
                expires_at: held.expires_at.as_millis(),
                key: Key::write(&held.key),
            },
            Event::HoldReleased { hold } => Self::Released { hold: *hold },
            Event::HoldsExpired { holds } => Self::Expired { holds: holds.clone() },
            Event::HoldBooked(booked) => Self::Booked {
                hold: booked.hold,
                booking: booked.booking,
                nonce: booked.nonce,
                standing: write_standing(booked.standing),
                purpose: text(&booked.purpose),
                key: Key::write(&booked.key),
            },
            Event::SeatsCancelled(cancelled) => Self::Cancelled {
                booking: cancelled.booking,
                seats: numbers(&cancelled.seats),
                by: cancelled.by.as_str().to_owned(),
                key: Key::write(&cancelled.key),
            },
            Event::SeatsBlocked(blocked) => Self::Blocked {
                block: blocked.block,
                nonce: blocked.nonce,
                seats: numbers(&blocked.seats),
                reason: text(&blocked.reason),
                by: blocked.by.as_str().to_owned(),
                key: Key::write(&blocked.key),
            },
            Event::BlockLifted { block } => Self::Lifted { block: *block },
            Event::TermsChanged { terms, prices, .. } => {
                Self::Terms { terms: Box::new(Terms::write(terms)), prices: prices.as_deref().map(write_prices) }
            }
            Event::HoldsExtended { by_millis } => Self::Extended { by_millis: *by_millis },
            _ => unreachable!("later formats have all that format 1 has not"),
        }
    }

    fn read(self) -> Read<Event> {
        Ok(match self {
            Self::Opened(opening) => Event::PerformanceOpened(Box::new(opening.read()?)),
            Self::Held { hold, nonce, buyer, seats: held, expires_at, key } => Event::SeatsHeld(event::SeatsHeld {
                hold,
                nonce,
                buyer: account("buyer", &buyer)?,
                seats: seats(held),
                expires_at: time("expires_at", expires_at)?,
                key: read_key(key),
            }),
            Self::Released { hold } => Event::HoldReleased { hold },
            Self::Expired { holds } => Event::HoldsExpired { holds },
            Self::Booked { hold, booking, nonce, standing, purpose, key } => Event::HoldBooked(event::HoldBooked {
                hold,
                booking,
                nonce,
                standing: read_standing(standing)?,
                until: None,
                purpose: purpose.map(String::into_boxed_str),
                key: read_key(key),
            }),
            Self::Cancelled { booking, seats: gone, by, key } => Event::SeatsCancelled(event::SeatsCancelled {
                booking,
                seats: seats(gone),
                by: account("by", &by)?,
                refund: None,
                key: read_key(key),
            }),
            Self::Blocked { block, nonce, seats: gone, reason, by, key } => Event::SeatsBlocked(event::SeatsBlocked {
                block,
                nonce,
                seats: seats(gone),
                reason: reason.map(String::into_boxed_str),
                by: account("by", &by)?,
                key: read_key(key),
            }),
            Self::Lifted { block } => Event::BlockLifted { block },
            Self::Terms { terms, prices } => {
                let prices = prices.map(read_prices).transpose()?;
                Event::TermsChanged { terms: Box::new(terms.read()?), prices, sold: event::SoldRules::Replaced }
            }
            Self::Extended { by_millis } => Event::HoldsExtended { by_millis },
            Self::Format2(what) => what.read()?,
            Self::Format3(what) => what.read()?,
            Self::Format4(what) => what.read()?,
        })
    }
}

pub(super) fn write_prices(prices: &[money::Money]) -> Vec<Money> {
    let write = |price: &money::Money| Money { amount: price.amount, currency: price.currency.as_str().to_owned() };
    prices.iter().map(write).collect()
}

pub(super) fn read_prices(prices: Vec<Money>) -> Read<Vec<money::Money>> {
    let read = |price: Money| {
        let currency: Currency = price.currency.parse().map_err(|_| DecodeError::Field("currency"))?;
        Ok(money::Money { amount: price.amount, currency })
    };
    prices.into_iter().map(read).collect()
}

impl Opening {
    fn write(opening: &performance::Opening) -> Self {
        Self {
            performance: opening.performance.0,
            show: opening.show.0,
            seller: opening.seller.as_str().to_owned(),
            sections: opening.plan.sections.iter().map(Section::write).collect(),
            tiers: opening.tiers.iter().map(|tier| tier.to_string()).collect(),
            prices: write_prices(&opening.prices),
            terms: Terms::write(&opening.terms),
        }
    }

    fn read(self) -> Read<performance::Opening> {
        Ok(performance::Opening {
            performance: PerformanceId(self.performance),
            show: ShowId(self.show),
            seller: account("seller", &self.seller)?,
            plan: SeatMapPlan { sections: self.sections.into_iter().map(Section::read).collect::<Read<_>>()? },
            tiers: self.tiers.into_iter().map(String::into_boxed_str).collect(),
            prices: read_prices(self.prices)?,
            terms: self.terms.read()?,
        })
    }
}

impl Terms {
    pub(super) fn write(terms: &performance::Terms) -> Self {
        Self {
            starts_at: terms.starts_at.as_millis(),
            ends_at: terms.ends_at.as_millis(),
            opens_at: terms.opens_at.as_millis(),
            closes_at: terms.closes_at.as_millis(),
            hold_ttl_seconds: terms.hold_ttl_seconds,
            seats_per_buyer_max: terms.seats_per_buyer_max,
            holds_per_buyer_max: terms.holds_per_buyer_max,
            manual_approval: terms.approval == Approval::Manual,
            cancel_until: terms.cancel_until.as_millis(),
            refund: terms.refund.iter().map(|step| (step.until.as_millis(), step.percent)).collect(),
        }
    }

    pub(super) fn read(self) -> Read<performance::Terms> {
        let step = |(until, percent)| Ok(performance::RefundStep { until: time("until", until)?, percent });
        Ok(performance::Terms {
            starts_at: time("starts_at", self.starts_at)?,
            ends_at: time("ends_at", self.ends_at)?,
            opens_at: time("opens_at", self.opens_at)?,
            closes_at: time("closes_at", self.closes_at)?,
            hold_ttl_seconds: self.hold_ttl_seconds,
            seats_per_buyer_max: self.seats_per_buyer_max,
            holds_per_buyer_max: self.holds_per_buyer_max,
            approval: if self.manual_approval { Approval::Manual } else { Approval::Automatic },
            cancel_until: time("cancel_until", self.cancel_until)?,
            refund: self.refund.into_iter().map(step).collect::<Read<_>>()?,
        })
    }
}

impl Section {
    fn write(section: &SectionPlan) -> Self {
        let seating = match &section.seating {
            Seating::Reserved(rows) => SectionSeating::Reserved(rows.iter().map(write_row).collect()),
            Seating::GeneralAdmission(places) => SectionSeating::GeneralAdmission(*places),
            Seating::Slots { resource, slots } => SectionSeating::Slots {
                resource: resource.to_string(),
                slots: slots.iter().map(|slot| (slot.starts_at.as_millis(), slot.ends_at.as_millis())).collect(),
            },
        };
        Self { name: section.name.to_string(), tier: section.tier.0, seating }
    }

    fn read(self) -> Read<SectionPlan> {
        let slot = |(from, to)| {
            Ok(seat_map::Slot { starts_at: time("slot.starts_at", from)?, ends_at: time("slot.ends_at", to)? })
        };
        let seating = match self.seating {
            SectionSeating::Reserved(rows) => Seating::Reserved(rows.into_iter().map(read_row).collect()),
            SectionSeating::GeneralAdmission(places) => Seating::GeneralAdmission(places),
            SectionSeating::Slots { resource, slots } => Seating::Slots {
                resource: resource.into_boxed_str(),
                slots: slots.into_iter().map(slot).collect::<Read<_>>()?,
            },
        };
        Ok(SectionPlan { name: self.name.into_boxed_str(), tier: TierIndex(self.tier), seating })
    }
}

fn write_row(row: &seat_map::RowPlan) -> (String, Names) {
    let names = match &row.seats {
        SeatNames::Count(count) => Names::Count(*count),
        SeatNames::Named(names) => Names::Named(names.iter().map(|name| name.to_string()).collect()),
    };
    (row.name.to_string(), names)
}

fn read_row((name, names): (String, Names)) -> seat_map::RowPlan {
    let seats = match names {
        Names::Count(count) => SeatNames::Count(count),
        Names::Named(names) => SeatNames::Named(names.into_iter().map(String::into_boxed_str).collect()),
    };
    seat_map::RowPlan { name: name.into_boxed_str(), seats }
}
