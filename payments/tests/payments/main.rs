//! Providers over real sockets: the test provider as it is, and Stripe by answers of its documented shape.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, stops it here")]

mod stripe;
mod test_psp;

use onrush_engine::id::{BookingId, PerformanceId};
use onrush_engine::money::{Currency, Money};
use onrush_payments::provider::Order;

fn order(reference: Option<&str>) -> Order {
    let booking = BookingId { performance: PerformanceId(7), number: 3, nonce: 9 };
    Order { booking, amount: won(165_000), reference: reference.map(str::to_owned) }
}

fn won(amount: i64) -> Money {
    Money { amount, currency: Currency::KRW }
}
