//! What a provider's notice comes to: the saga of a payment, as one table.

use std::time::Duration;

use super::Decision;
use crate::command::{PaymentNotice, PaymentStatus};
use crate::event::{Advance, Event, Fate, PaymentAdvanced, Standing};
use crate::inventory::payments::{Payment, Stage};
use crate::inventory::{Booking, Inventory};
use crate::refusal::Refusal;
use crate::seeded::Bug;
use crate::time::Timestamp;

/// While a charge is under way the seats wait so long, once: a bank asks its customer, who looks for the telephone.
const GRACE: Duration = Duration::from_secs(120);

impl Inventory {
    /// Each stage is entered once and none is left backwards, but that money which was reserved, or has come, in the end is
    /// seen to, whatever was said before. So whatever order notices come in, and however often, they end in one state (E4).
    pub(super) fn decide_payment(&self, notice: &PaymentNotice, now: Timestamp) -> Result<Decision, Refusal> {
        let booking = self.bookings.get(notice.booking.number as usize);
        let booking = booking.filter(|booking| booking.nonce == notice.booking.nonce).ok_or(Refusal::UnknownBooking)?;
        let payment = booking.payment().ok_or(Refusal::UnknownPayment)?;
        self.check_notice(booking, payment, notice)?;
        let reference = notice.reference.clone().filter(|_| payment.reference.is_none());
        let advance = match self.advance(booking, payment, notice.status, now) {
            Some(advance) => advance,
            None if reference.is_some() => Advance::Opened,
            None => return Ok(Decision::Nothing),
        };
        let booking = notice.booking.number;
        Ok(Decision::Event(Event::PaymentAdvanced(PaymentAdvanced { booking, reference, advance })))
    }

    /// Nobody pays another's booking, or another sum.
    fn check_notice(&self, booking: &Booking, payment: &Payment, notice: &PaymentNotice) -> Result<(), Refusal> {
        let known = payment.reference.is_none() || notice.reference.is_none() || payment.reference == notice.reference;
        let agreed = notice.amount.is_none_or(|amount| amount == self.money_of(booking, payment.amount));
        if known && agreed { Ok(()) } else { Err(Refusal::UnknownPayment) }
    }

    fn advance(&self, booking: &Booking, payment: &Payment, said: PaymentStatus, now: Timestamp) -> Option<Advance> {
        let fate = || self.fate(booking, now);
        match (said, payment.stage) {
            (PaymentStatus::Charging, Stage::Open) => Some(Advance::Charging { until: grace(booking, now) }),
            (PaymentStatus::Authorised, Stage::Open | Stage::Charging) => Some(Advance::Authorised(fate())),
            // Perhaps only late news; if not, what is reserved there has to be let go.
            (PaymentStatus::Authorised, Stage::Failed | Stage::Voided) => Some(Advance::Authorised(Fate::Lost)),
            (PaymentStatus::Captured, stage) if stage != Stage::Captured => {
                let fate = fate();
                Some(Advance::Captured { fate, refund: self.back_at_once(booking, payment, fate) })
            }
            (PaymentStatus::Failed, Stage::Open | Stage::Charging | Stage::Authorised) => Some(Advance::Failed),
            (PaymentStatus::Voided, Stage::Open | Stage::Charging | Stage::Authorised) => Some(Advance::Voided),
            (PaymentStatus::Refunded(refund), Stage::Captured) => {
                let due = payment.refunds.get(refund as usize).is_some_and(|refund| !refund.paid);
                due.then_some(Advance::Refunded { refund })
            }
            _ => None,
        }
    }

    /// What goes back as soon as money has come: all that is neither a ticket's price nor due already. Only where a booking
    /// has had its seats all along is every earlier cancellation accounted for; what had been due is forgotten once a
    /// payment had failed or was let go.
    fn back_at_once(&self, booking: &Booking, payment: &Payment, fate: Fate) -> i64 {
        if fate == Fate::Kept && !matches!(payment.stage, Stage::Failed | Stage::Voided) {
            return 0;
        }
        if fate == Fate::Lost && Bug::LateMoneyKept.is_on() {
            return 0;
        }
        let tickets = if fate == Fate::Lost { 0 } else { self.cost(booking, &booking.wanted()) };
        payment.amount - tickets - payment.refund_due()
    }
}

/// Until when a booking waits now that its buyer's money is being asked for: for the first time, as that stage is entered
/// once (B8).
fn grace(booking: &Booking, now: Timestamp) -> Option<Timestamp> {
    let waits = booking.standing == Standing::PendingPayment && !booking.is_over();
    let until = booking.until().filter(|_| waits)?;
    Some(until.max(now + GRACE))
}
