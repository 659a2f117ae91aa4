//! What must hold of money and approvals whatever happens: the invariants E and F.

use std::collections::BTreeMap;

use onrush_engine::command::PaymentStatus;
use onrush_engine::event::Standing;
use onrush_engine::inventory::{Booking, Inventory, Payment, Stage, Step};

use crate::provider::{Account, Provider};
use crate::rules::Rules;

/// Of each booking, by its number, what it was sold for.
pub(crate) type Sold = BTreeMap<u32, Rules>;

/// What a booking's seats cost when they were held.
fn value(inventory: &Inventory, sold: &Sold, number: usize) -> i64 {
    let (map, prices) = (inventory.map(), &sold[&(number as u32)].prices);
    let seats = inventory.bookings()[number].remaining();
    seats.iter().map(|seat| prices[usize::from(map.tier_of(*seat).0)]).sum()
}

/// After every event.
pub(crate) fn hold(inventory: &Inventory, sold: &Sold, provider: &Provider) {
    inventory.verify().unwrap();
    for (number, booking) in inventory.bookings().iter().enumerate() {
        of_booking(booking, value(inventory, sold, number), number);
        let account = provider.book.values().find(|account| account.booking.number as usize == number);
        if let (Some(payment), Some(account)) = (booking.payment(), account) {
            of_both(booking, payment, account);
        }
    }
}

/// Once everything that has run out has ended.
pub(crate) fn nobody_outlives_their_time(inventory: &Inventory) {
    let outlived =
        inventory.bookings().iter().position(|booking| booking.until().is_some_and(|until| until <= inventory.now()));
    assert_eq!(outlived, None, "a booking outlived its time");
}

fn of_booking(booking: &Booking, value: i64, number: usize) {
    let pending = matches!(booking.standing, Standing::PendingPayment | Standing::PendingApproval);
    // F2, E11: whoever waits has an end to it.
    assert_eq!(booking.until().is_some(), pending && !booking.is_over(), "booking {number} waits without an end");
    let Some(payment) = booking.payment() else {
        // E2: nothing costs nothing here, so that nothing is confirmed without a payment.
        assert_ne!(booking.standing, Standing::Confirmed, "booking {number} is confirmed and was never to be paid");
        return;
    };
    let came = matches!(payment.stage, Stage::Authorised | Stage::Captured);
    let has_tickets = booking.standing == Standing::Confirmed && !booking.is_over();
    assert!(!has_tickets || came, "booking {number} has tickets and no money (E2)");
    // E5: money without tickets is owed to somebody.
    assert!(!came || has_tickets || is_owed(booking, payment), "booking {number} has money, no tickets, no obligation");
    let back = payment.refunded() + payment.refund_due();
    assert!(back <= payment.amount, "booking {number} gives back more than it took (E1)");
    // E10, for one booking: what came is a ticket, has gone back, is on its way back, or is kept by the policy.
    if payment.stage == Stage::Captured && booking.standing == Standing::Confirmed {
        assert!(value + back <= payment.amount, "booking {number} is out of balance");
    }
}

fn is_owed(booking: &Booking, payment: &Payment) -> bool {
    match payment.stage {
        Stage::Authorised => matches!(booking.step(), Some(Step::Void | Step::Capture)),
        // All that was to go back has gone, or is on its way; how much that is, is seen at the end.
        _ => payment.refunds.iter().all(|refund| refund.paid) || matches!(booking.step(), Some(Step::Refund { .. })),
    }
}

/// The engine never knows more than the provider.
fn of_both(booking: &Booking, payment: &Payment, account: &Account) {
    assert_eq!(payment.amount, account.amount.amount);
    if payment.stage == Stage::Captured {
        assert_eq!(account.status, PaymentStatus::Captured, "{booking:?}");
    }
    for (number, refund) in payment.refunds.iter().enumerate() {
        let sent = account.refunds.get(&(number as u32));
        assert!(!refund.paid || sent == Some(&refund.amount), "a refund is said to have gone out and has not");
    }
}

/// When everything is settled: the provider's book and the tickets agree to the won.
pub(crate) fn settled(inventory: &Inventory, sold: &Sold, provider: &Provider, kept: &BTreeMap<u32, i64>) {
    for (number, booking) in inventory.bookings().iter().enumerate() {
        assert_eq!(booking.step(), None, "booking {number} is not settled: {booking:?}");
        let account = provider.book.values().find(|account| account.booking.number as usize == number);
        let captured = account.filter(|account| account.status == PaymentStatus::Captured);
        let has_tickets = !booking.remaining().is_empty();
        assert_eq!(has_tickets, booking.standing == Standing::Confirmed && !booking.is_over());
        let Some(account) = captured else {
            assert!(!has_tickets, "booking {number} has tickets and the provider no money: {booking:?} {account:?}");
            assert!(account.is_none_or(|account| account.status != PaymentStatus::Authorised), "money stays reserved");
            continue;
        };
        let back: i64 = account.refunds.values().sum();
        let payment = booking.payment().unwrap();
        assert_eq!(back, payment.refunded(), "booking {number}");
        match booking.standing {
            Standing::Confirmed => {
                let kept = kept.get(&(number as u32)).copied().unwrap_or(0);
                let accounted = value(inventory, sold, number) + back + kept;
                assert_eq!(accounted, account.amount.amount, "booking {number} is out of balance");
            }
            // Never a ticket: all of it.
            _ => assert_eq!(back, account.amount.amount, "booking {number} lost its seats and not all came back"),
        }
    }
}
