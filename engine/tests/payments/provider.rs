//! A payment provider that keeps its word about money, and about nothing else.

use std::collections::BTreeMap;

use onrush_engine::command::{PaymentNotice, PaymentStatus};
use onrush_engine::id::BookingId;
use onrush_engine::money::Money;

/// A payment in the provider's own book.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) booking: BookingId,
    pub(crate) amount: Money,
    pub(crate) status: PaymentStatus,
    /// By the refunds' places.
    pub(crate) refunds: BTreeMap<u32, i64>,
    /// The bank will say no to collecting.
    pub(crate) capture_fails: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Provider {
    /// One a booking: the step's name is a function of that.
    pub(crate) book: BTreeMap<BookingId, Account>,
    /// Notices that are under way, in no order.
    pub(crate) notices: Vec<PaymentNotice>,
}

impl Provider {
    /// Makes a payment known, or finds it.
    pub(crate) fn open(&mut self, booking: BookingId, amount: Money, capture_fails: bool) -> PaymentNotice {
        let status = PaymentStatus::Opened;
        let account = self.book.entry(booking);
        let account =
            account.or_insert_with(|| Account { booking, amount, status, refunds: BTreeMap::new(), capture_fails });
        assert_eq!(account.amount, amount, "one booking, two sums");
        account.notice()
    }

    /// The buyer begins to pay; the bank is asked.
    pub(crate) fn charge(&mut self, booking: BookingId) {
        self.change(booking, |account| {
            if account.status == PaymentStatus::Opened {
                account.status = PaymentStatus::Charging;
            }
        });
    }

    /// The bank answers.
    pub(crate) fn bank(&mut self, booking: BookingId, yes: bool) {
        self.change(booking, |account| {
            if account.status == PaymentStatus::Charging {
                account.status = if yes { PaymentStatus::Authorised } else { PaymentStatus::Failed };
            }
        });
    }

    pub(crate) fn capture(&mut self, booking: BookingId) -> Option<PaymentNotice> {
        self.change(booking, |account| {
            account.status = match account.status {
                PaymentStatus::Authorised if account.capture_fails => PaymentStatus::Failed,
                PaymentStatus::Authorised => PaymentStatus::Captured,
                other => other,
            };
        })
    }

    /// The bank that could not be collected from was, after all.
    pub(crate) fn change_of_mind(&mut self, booking: BookingId) {
        self.change(booking, |account| {
            if account.status == PaymentStatus::Failed && account.capture_fails {
                account.status = PaymentStatus::Captured;
            }
        });
    }

    pub(crate) fn void(&mut self, booking: BookingId) -> Option<PaymentNotice> {
        self.change(booking, |account| {
            if matches!(account.status, PaymentStatus::Opened | PaymentStatus::Authorised) {
                account.status = PaymentStatus::Voided;
            }
        })
    }

    pub(crate) fn refund(&mut self, booking: BookingId, number: u32, amount: i64) -> Option<PaymentNotice> {
        let account = self.book.get_mut(&booking)?;
        assert_eq!(account.status, PaymentStatus::Captured, "money goes back that never came");
        let first = *account.refunds.entry(number).or_insert(amount);
        assert_eq!(first, amount, "one refund, two sums");
        let back: i64 = account.refunds.values().sum();
        assert!(back <= account.amount.amount, "more goes back than came");
        let notice = PaymentNotice { status: PaymentStatus::Refunded(number), ..account.notice() };
        self.notices.push(notice.clone());
        Some(notice)
    }

    pub(crate) fn look_up(&self, booking: BookingId) -> Option<PaymentNotice> {
        self.book.get(&booking).map(Account::notice)
    }

    fn change(&mut self, booking: BookingId, change: impl FnOnce(&mut Account)) -> Option<PaymentNotice> {
        let account = self.book.get_mut(&booking)?;
        let before = account.status;
        change(account);
        let notice = account.notice();
        if account.status != before {
            self.notices.push(notice.clone());
        }
        Some(notice)
    }
}

impl Account {
    fn notice(&self) -> PaymentNotice {
        let reference = Some(format!("pay_{}", self.booking.number).into());
        PaymentNotice { booking: self.booking, reference, amount: Some(self.amount), status: self.status }
    }
}
