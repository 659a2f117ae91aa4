//! What format 2 adds to format 1: bookings that wait for a time, payments, a seller's word, performances called off.
//! Never changed once it is released.

use rkyv::{Archive, Deserialize, Serialize};

use super::DecodeError;
use super::v1::{self, Key, account, numbers, read_key, read_standing, seats, text, time, write_standing};
use crate::event::{self, Advance, Event, Fate};
use crate::inventory::{self, Moment, Payment, Refund, Stage, Standpoint, Verdict};
use crate::seat_map::SeatIndex;
use crate::time::Timestamp;

type Read<T> = Result<T, DecodeError>;

#[derive(Archive, Serialize, Deserialize)]
pub(super) enum What {
    Booked { hold: u32, booking: u32, nonce: u64, standing: u8, until: i64, purpose: Option<String>, key: Option<Key> },
    Cancelled { booking: u32, seats: Vec<u32>, by: String, refund: i64, key: Option<Key> },
    Decided { booking: u32, approved: bool, by: String, reason: Option<String>, until: Option<i64> },
    Lapsed { bookings: Vec<u32> },
    Advanced { booking: u32, reference: Option<String>, advance: Advanced },
    CalledOff { by: String, reason: Option<String> },
    Transferred { booking: u32, seat: u32, to: String, by: String },
    CheckedIn { booking: u32, seat: u32, by: String },
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) enum Advanced {
    Opened,
    Charging { until: Option<i64> },
    Authorised { fate: u8 },
    Captured { fate: u8, refund: i64 },
    Failed,
    Voided,
    Refunded { refund: u32 },
}

const FATES: [Fate; 3] = [Fate::Kept, Fate::Retaken, Fate::Lost];
const STAGES: [Stage; 6] =
    [Stage::Open, Stage::Charging, Stage::Authorised, Stage::Captured, Stage::Failed, Stage::Voided];

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|known| known == one).expect("the list has all") as u8
}

fn at_place<T: Copy>(all: &[T], place: u8, field: &'static str) -> Read<T> {
    all.get(usize::from(place)).copied().ok_or(DecodeError::Field(field))
}

fn until(millis: Option<i64>) -> Read<Option<Timestamp>> {
    millis.map(|millis| time("until", millis)).transpose()
}

impl What {
    /// Nothing for what format 1 can say.
    pub(super) fn write(event: &Event) -> Option<Self> {
        Some(match event {
            Event::HoldBooked(booked) => Self::Booked {
                hold: booked.hold,
                booking: booked.booking,
                nonce: booked.nonce,
                standing: write_standing(booked.standing),
                until: booked.until?.as_millis(),
                purpose: text(&booked.purpose),
                key: Key::write(&booked.key),
            },
            Event::SeatsCancelled(cancelled) => Self::Cancelled {
                booking: cancelled.booking,
                seats: numbers(&cancelled.seats),
                by: cancelled.by.as_str().to_owned(),
                refund: cancelled.refund?,
                key: Key::write(&cancelled.key),
            },
            Event::BookingDecided(decided) => Self::Decided {
                booking: decided.booking,
                approved: decided.approved,
                by: decided.by.as_str().to_owned(),
                reason: text(&decided.reason),
                until: decided.until.map(Timestamp::as_millis),
            },
            Event::BookingsLapsed { bookings } => Self::Lapsed { bookings: bookings.clone() },
            Event::PaymentAdvanced(advanced) => Self::Advanced {
                booking: advanced.booking,
                reference: text(&advanced.reference),
                advance: Advanced::write(advanced.advance),
            },
            Event::PerformanceCancelled(cancelled) => {
                Self::CalledOff { by: cancelled.by.as_str().to_owned(), reason: text(&cancelled.reason) }
            }
            Event::TicketTransferred(given) if given.key.is_none() => Self::Transferred {
                booking: given.booking,
                seat: given.seat.0,
                to: given.to.as_str().to_owned(),
                by: given.by.as_str().to_owned(),
            },
            Event::TicketCheckedIn(used) if used.key.is_none() => {
                Self::CheckedIn { booking: used.booking, seat: used.seat.0, by: used.by.as_str().to_owned() }
            }
            _ => return None,
        })
    }

    pub(super) fn read(self) -> Read<Event> {
        Ok(match self {
            Self::Booked { hold, booking, nonce, standing, until, purpose, key } => {
                Event::HoldBooked(event::HoldBooked {
                    hold,
                    booking,
                    nonce,
                    standing: read_standing(standing)?,
                    until: Some(time("until", until)?),
                    purpose: purpose.map(String::into_boxed_str),
                    key: read_key(key),
                })
            }
            Self::Cancelled { booking, seats: gone, by, refund, key } => Event::SeatsCancelled(event::SeatsCancelled {
                booking,
                seats: seats(gone),
                by: account("by", &by)?,
                refund: Some(refund),
                key: read_key(key),
            }),
            Self::Decided { booking, approved, by, reason, until: last } => {
                Event::BookingDecided(event::BookingDecided {
                    booking,
                    approved,
                    by: account("by", &by)?,
                    reason: reason.map(String::into_boxed_str),
                    until: until(last)?,
                })
            }
            Self::Lapsed { bookings } => Event::BookingsLapsed { bookings },
            Self::Advanced { booking, reference, advance } => Event::PaymentAdvanced(event::PaymentAdvanced {
                booking,
                reference: reference.map(String::into_boxed_str),
                advance: advance.read()?,
            }),
            Self::CalledOff { by, reason } => Event::PerformanceCancelled(event::PerformanceCancelled {
                by: account("by", &by)?,
                reason: reason.map(String::into_boxed_str),
            }),
            Self::Transferred { booking, seat, to, by } => Event::TicketTransferred(event::TicketTransferred {
                booking,
                seat: SeatIndex(seat),
                to: account("to", &to)?,
                by: account("by", &by)?,
                key: None,
            }),
            Self::CheckedIn { booking, seat, by } => {
                let (seat, by) = (SeatIndex(seat), account("by", &by)?);
                Event::TicketCheckedIn(event::TicketCheckedIn { booking, seat, by, key: None })
            }
        })
    }
}

impl Advanced {
    fn write(advance: Advance) -> Self {
        match advance {
            Advance::Opened => Self::Opened,
            Advance::Charging { until } => Self::Charging { until: until.map(Timestamp::as_millis) },
            Advance::Authorised(fate) => Self::Authorised { fate: place(&FATES, &fate) },
            Advance::Captured { fate, refund } => Self::Captured { fate: place(&FATES, &fate), refund },
            Advance::Failed => Self::Failed,
            Advance::Voided => Self::Voided,
            Advance::Refunded { refund } => Self::Refunded { refund },
        }
    }

    fn read(self) -> Read<Advance> {
        let fate_of = |place| at_place(&FATES, place, "fate");
        Ok(match self {
            Self::Opened => Advance::Opened,
            Self::Charging { until: last } => Advance::Charging { until: until(last)? },
            Self::Authorised { fate } => Advance::Authorised(fate_of(fate)?),
            Self::Captured { fate, refund } => Advance::Captured { fate: fate_of(fate)?, refund },
            Self::Failed => Advance::Failed,
            Self::Voided => Advance::Voided,
            Self::Refunded { refund } => Advance::Refunded { refund },
        })
    }
}

/// A state in format 1, and what that cannot say of it.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Image {
    sale: v1::Image,
    beyond: Beyond,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Beyond {
    /// By the bookings' numbers, which grow.
    orders: Vec<(u32, Order)>,
    called_off: Option<(i64, String, Option<String>)>,
    tickets: Vec<Ticket>,
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Ticket {
    booking: u32,
    seat: u32,
    holder: Option<String>,
    issue: u16,
    used_at: Option<i64>,
}

#[derive(Archive, Serialize, Deserialize)]
struct Order {
    until: Option<i64>,
    first_until: Option<i64>,
    verdict: Option<(bool, String, i64, Option<String>)>,
    payment: Option<Paid>,
}

#[derive(Archive, Serialize, Deserialize)]
struct Paid {
    amount: i64,
    stage: u8,
    reference: Option<String>,
    refunds: Vec<(i64, bool)>,
}

impl Image {
    /// What format 1 cannot say of a state, if there is anything.
    pub(super) fn beyond(image: &inventory::Image) -> Option<Beyond> {
        let called_off = image.called_off.as_ref();
        let called_off = called_off.map(|off| (off.at.as_millis(), off.by.as_str().to_owned(), text(&off.reason)));
        let orders = (0..).zip(&image.bookings).filter_map(|(number, booking)| Some((number, Order::write(booking)?)));
        let orders: Vec<(u32, Order)> = orders.collect();
        let tickets: Vec<Ticket> = image.tickets.iter().map(Ticket::write).collect();
        let says = called_off.is_some() || !orders.is_empty() || !tickets.is_empty();
        says.then_some(Beyond { orders, called_off, tickets })
    }

    pub(super) fn write(sale: v1::Image, beyond: Beyond) -> Self {
        Self { sale, beyond }
    }

    pub(super) fn read(self) -> Read<inventory::Image> {
        Self::read_parts(self.sale, Some(self.beyond))
    }

    /// A state in format 1, with what is known beyond it.
    pub(super) fn read_parts(sale: v1::Image, beyond: Option<Beyond>) -> Read<inventory::Image> {
        let mut image = sale.read()?;
        let Some(Beyond { orders, called_off, tickets }) = beyond else { return Ok(image) };
        if !orders.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(DecodeError::Field("orders"));
        }
        for (number, order) in orders {
            let booking = image.bookings.get_mut(number as usize).ok_or(DecodeError::Field("orders"))?;
            *booking = order.read(booking.clone())?;
        }
        let read = |(at, by, reason): (i64, String, Option<String>)| {
            let (at, by) = (time("called_off", at)?, account("called_off", &by)?);
            Ok(inventory::CalledOff { at, by, reason: reason.map(String::into_boxed_str) })
        };
        image.called_off = called_off.map(read).transpose()?;
        // A map would take two tickets of one seat for one.
        if !tickets.is_sorted_by(|one, next| (one.booking, one.seat) < (next.booking, next.seat)) {
            return Err(DecodeError::Field("tickets"));
        }
        image.tickets = tickets.into_iter().map(Ticket::read).collect::<Read<_>>()?;
        Ok(image)
    }
}

impl Ticket {
    fn write((place, ticket): (&(u32, SeatIndex), &inventory::Ticket)) -> Self {
        Self::of(place.0, place.1, ticket)
    }

    pub(super) fn of(booking: u32, seat: SeatIndex, ticket: &inventory::Ticket) -> Self {
        Self {
            booking,
            seat: seat.0,
            holder: ticket.holder.map(|holder| holder.as_str().to_owned()),
            issue: ticket.issue,
            used_at: ticket.used_at.map(Timestamp::as_millis),
        }
    }

    pub(super) fn read(self) -> Read<((u32, SeatIndex), inventory::Ticket)> {
        let holder = self.holder.map(|holder| account("holder", &holder)).transpose()?;
        let used_at = self.used_at.map(|at| time("used_at", at)).transpose()?;
        Ok(((self.booking, SeatIndex(self.seat)), inventory::Ticket { holder, issue: self.issue, used_at }))
    }
}

impl Order {
    /// Nothing for a booking of which format 1 says all.
    fn write(booking: &inventory::Booking) -> Option<Self> {
        let details = booking.details.as_deref().cloned().unwrap_or_default();
        let verdict = details.verdict.as_ref().map(|verdict| {
            (verdict.approved, verdict.by.as_str().to_owned(), verdict.at.as_millis(), text(&verdict.reason))
        });
        let order = Self {
            until: details.until.map(Timestamp::as_millis),
            first_until: details.first_until.map(Timestamp::as_millis),
            verdict,
            payment: details.payment.as_ref().map(Paid::write),
        };
        let says = order.until.is_some()
            || order.first_until.is_some()
            || order.verdict.is_some()
            || order.payment.is_some()
            || !booking.standing.has_seats();
        says.then_some(order)
    }

    fn read(self, booking: inventory::Booking) -> Read<inventory::Booking> {
        let mut details = booking.details.as_deref().cloned().unwrap_or_default();
        details.until = until(self.until)?;
        details.first_until = until(self.first_until)?;
        details.payment = self.payment.map(Paid::read).transpose()?;
        let verdict = |(approved, by, at, reason): (bool, String, i64, Option<String>)| {
            let (by, at) = (account("verdict", &by)?, time("verdict", at)?);
            Ok(Verdict { approved, by, at, reason: reason.map(String::into_boxed_str) })
        };
        details.verdict = self.verdict.map(verdict).transpose()?;
        Ok(booking.with_details(details))
    }
}

impl Paid {
    fn write(payment: &Payment) -> Self {
        Self {
            amount: payment.amount,
            stage: place(&STAGES, &payment.stage),
            reference: text(&payment.reference),
            refunds: payment.refunds.iter().map(|refund| (refund.amount, refund.paid)).collect(),
        }
    }

    fn read(self) -> Read<Payment> {
        Ok(Payment {
            amount: self.amount,
            stage: at_place(&STAGES, self.stage, "stage")?,
            reference: self.reference.map(String::into_boxed_str),
            refunds: self.refunds.into_iter().map(|(amount, paid)| Refund { amount, paid }).collect(),
        })
    }
}

/// A cancellation of a booking that has waited: how it stood then. Such a booking is an [`Order`], so that its state is in
/// this format anyway.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Made {
    booking: u32,
    cancelled: u32,
    standing: u8,
    until: Option<i64>,
    payment: Option<(u8, i64, i64)>,
}

impl Made {
    pub(super) fn write(booking: u32, cancelled: u32, then: &Standpoint) -> Self {
        let payment = then.payment.map(|moment| (place(&STAGES, &moment.stage), moment.refunded, moment.due));
        let until = then.until.map(Timestamp::as_millis);
        Self { booking, cancelled, standing: write_standing(then.standing), until, payment }
    }

    pub(super) fn read(self) -> Read<inventory::Made> {
        let moment = |(stage, refunded, due)| {
            let stage = at_place(&STAGES, stage, "stage")?;
            Ok(Moment { stage, refunded, due })
        };
        let payment = self.payment.map(moment).transpose()?;
        let (standing, until) = (read_standing(self.standing)?, until(self.until)?);
        let then = Some(Standpoint { standing, until, payment });
        Ok(inventory::Made::Cancellation { booking: self.booking, cancelled: self.cancelled, then })
    }
}
