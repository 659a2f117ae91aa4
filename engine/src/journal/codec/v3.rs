//! What format 3 adds to format 2: that what was sold keeps its cancellation rules when those of the sale change, that
//! a performance was moved, and request keys of what is done with tickets. Never changed once it is released.

use rkyv::{Archive, Deserialize, Serialize};

use super::v1::{self, Key, account, read_key, time};
use super::{DecodeError, v2};
use crate::event::{self, Event};
use crate::inventory::{self, Made, Notice};
use crate::performance::{CancellationRules, RefundStep};
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

type Read<T> = Result<T, DecodeError>;

#[derive(Archive, Serialize, Deserialize)]
pub(super) enum What {
    Transferred { booking: u32, seat: u32, to: String, by: String, key: Key },
    CheckedIn { booking: u32, seat: u32, by: String, key: Key },
    Terms { terms: Box<v1::Terms>, prices: Option<Vec<v1::Money>> },
}

impl What {
    /// Nothing for what earlier formats can say.
    pub(super) fn write(event: &Event) -> Option<Self> {
        Some(match event {
            Event::TicketTransferred(given) => Self::Transferred {
                booking: given.booking,
                seat: given.seat.0,
                to: given.to.as_str().to_owned(),
                by: given.by.as_str().to_owned(),
                key: Key::write(&given.key)?,
            },
            Event::TicketCheckedIn(used) => Self::CheckedIn {
                booking: used.booking,
                seat: used.seat.0,
                by: used.by.as_str().to_owned(),
                key: Key::write(&used.key)?,
            },
            Event::TermsChanged { terms, prices, sold: event::SoldRules::Kept } => Self::Terms {
                terms: Box::new(v1::Terms::write(terms)),
                prices: prices.as_deref().map(v1::write_prices),
            },
            _ => return None,
        })
    }

    pub(super) fn read(self) -> Read<Event> {
        Ok(match self {
            Self::Transferred { booking, seat, to, by, key } => Event::TicketTransferred(event::TicketTransferred {
                booking,
                seat: SeatIndex(seat),
                to: account("to", &to)?,
                by: account("by", &by)?,
                key: read_key(Some(key)),
            }),
            Self::CheckedIn { booking, seat, by, key } => Event::TicketCheckedIn(event::TicketCheckedIn {
                booking,
                seat: SeatIndex(seat),
                by: account("by", &by)?,
                key: read_key(Some(key)),
            }),
            Self::Terms { terms, prices } => Event::TermsChanged {
                terms: Box::new(terms.read()?),
                prices: prices.map(v1::read_prices).transpose()?,
                sold: event::SoldRules::Kept,
            },
        })
    }
}

/// A state in format 1 or 2, and what they cannot say of it.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Image {
    sale: v1::Image,
    beyond: Option<v2::Beyond>,
    /// Those of each offer, in the order of their prices.
    cancellation: Vec<Cancellation>,
    /// Which start was told of last, and when.
    notice: (i64, Option<i64>),
}

#[derive(Archive, Serialize, Deserialize)]
struct Cancellation {
    starts_at: i64,
    until: i64,
    refund: Vec<(i64, u8)>,
}

impl Image {
    /// Whether earlier formats cannot say all of a state.
    pub(super) fn is_needed(image: &inventory::Image) -> bool {
        let in_force = image.opening.terms.cancellation();
        image.notice != Notice::none(image.opening.terms.starts_at)
            || image.offers.iter().any(|offer| offer.cancellation != in_force)
            || image.replays.iter().any(|replay| matches!(replay.made, Made::Ticket { .. }))
    }

    pub(super) fn write(sale: v1::Image, beyond: Option<v2::Beyond>, image: &inventory::Image) -> Self {
        let cancellation = image.offers.iter().map(|offer| Cancellation::write(&offer.cancellation)).collect();
        let Notice { starts_at, given_at } = image.notice;
        let notice = (starts_at.as_millis(), given_at.map(Timestamp::as_millis));
        Self { sale, beyond, cancellation, notice }
    }

    pub(super) fn read(self) -> Read<inventory::Image> {
        let mut image = v2::Image::read_parts(self.sale, self.beyond)?;
        if self.cancellation.len() != image.offers.len() {
            return Err(DecodeError::Field("cancellation"));
        }
        for (offer, cancellation) in image.offers.iter_mut().zip(self.cancellation) {
            offer.cancellation = cancellation.read()?;
        }
        let (starts_at, given_at) = self.notice;
        let given_at = given_at.map(|at| time("notice", at)).transpose()?;
        image.notice = Notice { starts_at: time("notice", starts_at)?, given_at };
        Ok(image)
    }
}

impl Cancellation {
    fn write(rules: &CancellationRules) -> Self {
        let refund = rules.refund.iter().map(|step| (step.until.as_millis(), step.percent)).collect();
        Self { starts_at: rules.starts_at.as_millis(), until: rules.until.as_millis(), refund }
    }

    fn read(self) -> Read<CancellationRules> {
        let step = |(until, percent)| Ok(RefundStep { until: time("cancellation", until)?, percent });
        let refund = self.refund.into_iter().map(step).collect::<Read<_>>()?;
        let [starts_at, until] = [time("cancellation", self.starts_at)?, time("cancellation", self.until)?];
        Ok(CancellationRules { starts_at, until, refund })
    }
}
