//! Payments: how a booking is paid, what became of its money, and the provider's notices.

use onrush_api::bookings::{Booking, BookingStatus, Payment, PaymentStatus};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_engine::event::Standing;
use onrush_engine::inventory::{self, BookingView, Stage};
use onrush_engine::money::Money;

use crate::answer::Answer;
use crate::context::Context;
use crate::payments::Checkout;
use crate::request::Request;

/// Take a payment provider's notice
///
/// Signed as the provider signs: Standard Webhooks for the test provider, `Stripe-Signature` for Stripe. Duplicates, and
/// a wrong order, are harmless.
#[utoipa::path(post, path = "/v1/payments/webhook", tag = "Holding and booking", request_body = Object,
    responses((status = 204), (status = 401, description = "`notice-refused`")))]
pub(crate) async fn notice(request: &Request<'_>) -> Result<Answer, Problem> {
    let payments = request.context.payments.as_ref().filter(|payments| (payments.is_open)());
    let payments = payments.ok_or_else(|| Problem::new(Kind::NotFound))?;
    (payments.notice)(request.parts.headers.clone(), request.body.clone()).await?;
    Ok(Answer::done())
}

/// Adds how a booking is paid, where it waits for that.
pub(crate) async fn add_checkout(context: &Context, booking: &mut Booking) {
    let (Some(payments), Some(payment)) = (&context.payments, &mut booking.payment) else { return };
    if booking.status == BookingStatus::PendingPayment && payment.status == PaymentStatus::Open {
        let Checkout { url, client_secret } = (payments.checkout)(booking.id.0).await.unwrap_or_default();
        (payment.url, payment.client_secret) = (url, client_secret);
    }
}

/// A booking's payment as its buyer and the seller see it.
pub(crate) fn body(view: &BookingView) -> Option<Payment> {
    let payment = view.payment.as_deref()?;
    let currency = view.prices.0[0].currency;
    let money = |amount| Money { amount, currency }.into();
    let pending = view.standing == Standing::PendingPayment && !view.seats.is_empty();
    let status = status(view, payment);
    Some(Payment {
        status,
        amount: money(payment.amount),
        refunded: money(payment.refunded()),
        refund_due: money(payment.refund_due()),
        pay_until: view.until.filter(|_| pending).map(Time),
        url: None,
        client_secret: None,
        detail: detail(view, status).to_owned(),
    })
}

fn status(view: &BookingView, payment: &inventory::Payment) -> PaymentStatus {
    match payment.stage {
        Stage::Open if view.seats.is_empty() => PaymentStatus::Closing,
        Stage::Open => PaymentStatus::Open,
        Stage::Charging => PaymentStatus::Charging,
        Stage::Authorised if view.standing == Standing::Confirmed && !view.seats.is_empty() => {
            PaymentStatus::Authorised
        }
        Stage::Authorised => PaymentStatus::Returning,
        Stage::Captured if payment.refund_due() > 0 => PaymentStatus::Returning,
        Stage::Captured if payment.refunded() == payment.amount => PaymentStatus::Returned,
        Stage::Captured => PaymentStatus::Captured,
        Stage::Failed => PaymentStatus::Failed,
        Stage::Voided if view.standing == Standing::PaymentFailed => PaymentStatus::Returned,
        Stage::Voided => PaymentStatus::Closed,
    }
}

fn detail(view: &BookingView, status: PaymentStatus) -> &'static str {
    let late = !view.standing.has_seats();
    // Nobody who has given the seats up gets them again.
    let given_up = view.standing.has_seats() && view.seats.is_empty();
    match status {
        PaymentStatus::Charging | PaymentStatus::Closing if given_up => {
            "The seats were given up. Whatever your bank says, nothing is taken, or all of it goes back."
        }
        PaymentStatus::Open => "Pay until pay_until; after that the seats go back on sale.",
        PaymentStatus::Charging if late => {
            "The time to pay was up while your bank was being asked. If it says yes you get the same seats if all are \
             still free; else nothing is taken."
        }
        PaymentStatus::Charging => "Your bank is being asked. The seats are kept for you meanwhile.",
        PaymentStatus::Authorised => "Paid: the seats are yours. The money is collected next.",
        PaymentStatus::Captured if view.cancelled.is_empty() => "Paid: the seats are yours.",
        PaymentStatus::Captured => "Paid. What was cancelled has gone back as far as the refund policy says.",
        PaymentStatus::Returning if late => "The money came after the seats had gone to others. All of it goes back.",
        PaymentStatus::Returning => "Money is on its way back to you.",
        PaymentStatus::Returned => "All of the money has gone back to you.",
        PaymentStatus::Closing => {
            "The time to pay is up. If you have just paid, you get the same seats if all are still free."
        }
        PaymentStatus::Closed => "Nothing was paid, and nothing can be paid any more.",
        PaymentStatus::Failed => "Your bank said no, or the money could not be collected. Nothing was taken.",
    }
}
