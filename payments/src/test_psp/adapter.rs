//! The test provider behind the seam.

use http::HeaderMap;
use onrush_engine::command::{PaymentNotice, PaymentStatus};
use onrush_engine::money::Money;
use reqwest::RequestBuilder;
use standardwebhooks::{HEADER_WEBHOOK_TIMESTAMP, Webhook};

use super::wire::{NewPayment, NewRefund, Notice, Payment, Status};
use crate::http_client::{self, ask, demand};
use crate::provider::{Charge, Checkout, NoticeError, Order, Provider, ProviderError};

/// A client of the test provider.
pub struct TestPsp {
    client: reqwest::Client,
    url: String,
    api_key: String,
    secret: Webhook,
}

impl TestPsp {
    /// A client of the provider at `url`, such as `http://127.0.0.1:8090`.
    ///
    /// # Errors
    /// Where the secret is none, or no client can be made.
    pub fn new(
        url: &str,
        api_key: String,
        webhook_secret: &str,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (client, secret) = (http_client::client()?, Webhook::new(webhook_secret)?);
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), api_key, secret })
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}/v1/{path}", self.url)).bearer_auth(&self.api_key)
    }
}

impl Provider for TestPsp {
    async fn authorise(&self, order: &Order) -> Result<Charge, ProviderError> {
        let currency = order.amount.currency.as_str().to_owned();
        let new = NewPayment { reference: order.booking.to_string(), amount: order.amount.amount, currency };
        charge(demand(self.post("payments").json(&new)).await?)
    }

    async fn capture(&self, _: &Order, reference: &str) -> Result<Charge, ProviderError> {
        charge(demand(self.post(&format!("payments/{reference}/capture"))).await?)
    }

    async fn void(&self, _: &Order, reference: &str) -> Result<Charge, ProviderError> {
        charge(demand(self.post(&format!("payments/{reference}/void"))).await?)
    }

    async fn refund(&self, _: &Order, reference: &str, number: u32, amount: Money) -> Result<(), ProviderError> {
        let new = NewRefund { name: refund_name(number), amount: amount.amount };
        demand::<Payment>(self.post(&format!("payments/{reference}/refunds")).json(&new)).await.map(drop)
    }

    async fn look_up(&self, order: &Order) -> Result<Option<Charge>, ProviderError> {
        let url = format!("{}/v1/payments?reference={}", self.url, order.booking);
        let found: Option<Payment> = ask(self.client.get(url).bearer_auth(&self.api_key)).await?;
        found.map(charge).transpose()
    }

    fn read_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<PaymentNotice>, NoticeError> {
        // The library subtracts it from today's before it has looked at the signature.
        let at = headers.get(HEADER_WEBHOOK_TIMESTAMP).and_then(|at| at.to_str().ok()?.parse::<u32>().ok());
        at.ok_or(NoticeError::Signature)?;
        self.secret.verify(body, headers).map_err(|_| NoticeError::Signature)?;
        let content = |error: String| NoticeError::Content(error);
        let notice: Notice = serde_json::from_slice(body).map_err(|error| content(error.to_string()))?;
        let booking = notice.data.reference.parse().map_err(|_| content("its reference is no booking".to_owned()))?;
        let refunds = notice.data.refunds.len() as u32;
        let charge = charge(notice.data).map_err(|error| content(error.to_string()))?;
        let notice = charge.notice(booking);
        // Refunds go out in order, so the last one says all.
        Ok(Some(match refunds.checked_sub(1) {
            Some(last) => PaymentNotice { status: PaymentStatus::Refunded(last), ..notice },
            None => notice,
        }))
    }
}

fn refund_name(number: u32) -> String {
    format!("refund-{number}")
}

fn charge(payment: Payment) -> Result<Charge, ProviderError> {
    let currency = payment.currency.parse();
    let currency = currency.map_err(|_| ProviderError::Unknown("its currency is none".to_owned()))?;
    let status = match payment.status {
        Status::Open => PaymentStatus::Opened,
        Status::Processing => PaymentStatus::Charging,
        Status::Authorised => PaymentStatus::Authorised,
        Status::Captured => PaymentStatus::Captured,
        Status::Declined => PaymentStatus::Failed,
        Status::Voided => PaymentStatus::Voided,
    };
    Ok(Charge {
        reference: payment.id,
        status,
        amount: Money { amount: payment.amount, currency },
        checkout: Checkout { url: Some(payment.url).filter(|url| !url.is_empty()), client_secret: None },
    })
}
