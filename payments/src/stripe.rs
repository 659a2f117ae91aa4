//! Stripe's PaymentIntents behind the seam: money is reserved (`capture_method=manual`), the seats confirmed, then it is
//! collected. See <https://docs.stripe.com/api/payment_intents> and <https://docs.stripe.com/webhooks/signature>.
//!
//! Nobody has tried it against Stripe itself: the tests have answers of the documented shape.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use onrush_engine::command::{PaymentNotice, PaymentStatus};
use onrush_engine::id::BookingId;
use onrush_engine::money::Money;
use reqwest::RequestBuilder;
use serde::Deserialize;
use sha2::Sha256;

use crate::http_client::{self, ask, demand};
use crate::provider::{Charge, Checkout, NoticeError, Order, Provider, ProviderError};

/// A client of Stripe's API.
pub struct Stripe {
    client: reqwest::Client,
    url: String,
    api_key: String,
    webhook_secret: String,
}

/// A notice that was signed so many seconds ago is not believed.
const TOLERANCE_SECONDS: i64 = 300;

#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    client_secret: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    booking: Option<String>,
    refund: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refunds {
    data: Vec<Refund>,
}

#[derive(Debug, Deserialize)]
struct Refund {
    status: String,
    #[serde(default)]
    metadata: Metadata,
}

impl Refund {
    /// Whether it has gone out; what is only accepted may fail yet.
    fn outcome(&self) -> Result<(), ProviderError> {
        match self.status.as_str() {
            "succeeded" => Ok(()),
            "failed" | "canceled" => Err(ProviderError::Refused(format!("the refund is {}", self.status))),
            _ => Err(ProviderError::Unknown(format!("the refund is {}", self.status))),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    data: EventData,
}

#[derive(Debug, Deserialize)]
struct EventData {
    object: serde_json::Value,
}

impl Stripe {
    /// A client of the API at `url`, which is `https://api.stripe.com`.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(
        url: &str,
        api_key: String,
        webhook_secret: String,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let client = http_client::client()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), api_key, webhook_secret })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}/v1/{path}", self.url)).bearer_auth(&self.api_key)
    }

    /// A step under its name, which Stripe remembers for a day; after that its own states keep a step from being taken
    /// twice.
    fn post(&self, path: &str, name: &str) -> RequestBuilder {
        let request = self.client.post(format!("{}/v1/{path}", self.url)).bearer_auth(&self.api_key);
        request.header("idempotency-key", name)
    }

    fn check_signature(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), NoticeError> {
        let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
        let header = header.ok_or(NoticeError::Signature)?;
        let parts = || header.split(',').filter_map(|part| part.split_once('='));
        let signed_at = parts().find(|(name, _)| *name == "t").map(|(_, value)| value).ok_or(NoticeError::Signature)?;
        let seconds: i64 = signed_at.parse().map_err(|_| NoticeError::Signature)?;
        let fresh = now.checked_sub(seconds).is_some_and(|age| age.abs() <= TOLERANCE_SECONDS);
        let signed =
            parts().filter(|(name, _)| *name == "v1").any(|(_, value)| self.has_signed(signed_at, body, value));
        if fresh && signed { Ok(()) } else { Err(NoticeError::Signature) }
    }

    fn has_signed(&self, signed_at: &str, body: &[u8], signature: &str) -> bool {
        let Some(signature) = from_hex(signature) else { return false };
        let mac = Hmac::<Sha256>::new_from_slice(self.webhook_secret.as_bytes());
        let mut mac = mac.expect("HMAC takes keys of any length");
        [signed_at.as_bytes(), b".", body].into_iter().for_each(|part| mac.update(part));
        // In constant time.
        mac.verify_slice(&signature).is_ok()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().as_chunks::<2>();
    if !digits.1.is_empty() {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.0.iter().map(byte).collect()
}

impl Provider for Stripe {
    async fn authorise(&self, order: &Order) -> Result<Charge, ProviderError> {
        let form = [
            ("amount", order.amount.amount.to_string()),
            ("currency", order.amount.currency.as_str().to_ascii_lowercase()),
            ("capture_method", "manual".to_owned()),
            ("automatic_payment_methods[enabled]", "true".to_owned()),
            ("metadata[booking]", order.booking.to_string()),
        ];
        demand::<Intent>(self.post("payment_intents", &order.step("authorise")).form(&form)).await?.charge()
    }

    async fn capture(&self, order: &Order, reference: &str) -> Result<Charge, ProviderError> {
        let path = format!("payment_intents/{reference}/capture");
        demand::<Intent>(self.post(&path, &order.step("capture"))).await?.charge()
    }

    async fn void(&self, order: &Order, reference: &str) -> Result<Charge, ProviderError> {
        let path = format!("payment_intents/{reference}/cancel");
        demand::<Intent>(self.post(&path, &order.step("void"))).await?.charge()
    }

    async fn refund(&self, order: &Order, reference: &str, number: u32, amount: Money) -> Result<(), ProviderError> {
        // Stripe forgets the names of steps after a day, and two refunds of a part may both fit: look first.
        let sent: Refunds =
            demand(self.get("refunds").query(&[("payment_intent", reference), ("limit", "100")])).await?;
        let name = number.to_string();
        let tries = || sent.data.iter().filter(|refund| refund.metadata.refund.as_deref() == Some(&name));
        if let Some(stands) = tries().find(|refund| !matches!(refund.outcome(), Err(ProviderError::Refused(_)))) {
            return stands.outcome();
        }
        // One that failed is tried again under another name; under the old one Stripe would only tell it again.
        let step = match tries().count() {
            0 => format!("refund-{number}"),
            failed => format!("refund-{number}-{}", failed + 1),
        };
        let form = [
            ("payment_intent", reference.to_owned()),
            ("amount", amount.amount.to_string()),
            ("metadata[booking]", order.booking.to_string()),
            ("metadata[refund]", name.clone()),
        ];
        let sent: Refund = demand(self.post("refunds", &order.step(&step)).form(&form)).await?;
        sent.outcome()
    }

    async fn look_up(&self, order: &Order) -> Result<Option<Charge>, ProviderError> {
        let Some(reference) = &order.reference else { return Ok(None) };
        let found: Option<Intent> = ask(self.get(&format!("payment_intents/{reference}"))).await?;
        found.map(Intent::charge).transpose()
    }

    fn read_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<PaymentNotice>, NoticeError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        self.check_signature(headers, body, now)?;
        let content = |error: serde_json::Error| NoticeError::Content(error.to_string());
        let event: Event = serde_json::from_slice(body).map_err(content)?;
        if !event.r#type.starts_with("payment_intent.") {
            return Ok(None);
        }
        let intent: Intent = serde_json::from_value(event.data.object).map_err(content)?;
        let booking: Option<BookingId> = intent.metadata.booking.as_deref().and_then(|text| text.parse().ok());
        // Somebody else's payment on the same account is none of ours.
        let Some(booking) = booking else { return Ok(None) };
        let charge = intent.charge().map_err(|error| NoticeError::Content(error.to_string()))?;
        Ok(Some(charge.notice(booking)))
    }
}

impl Intent {
    fn charge(self) -> Result<Charge, ProviderError> {
        let currency = self.currency.to_ascii_uppercase().parse();
        let currency = currency.map_err(|_| ProviderError::Unknown("its currency is none".to_owned()))?;
        let status = match self.status.as_str() {
            // A card that was declined leaves it here, too: the buyer may try another.
            "requires_payment_method" | "requires_confirmation" => PaymentStatus::Opened,
            "requires_action" | "processing" => PaymentStatus::Charging,
            "requires_capture" => PaymentStatus::Authorised,
            "succeeded" => PaymentStatus::Captured,
            "canceled" => PaymentStatus::Voided,
            other => return Err(ProviderError::Unknown(format!("its status is {other}"))),
        };
        Ok(Charge {
            reference: self.id,
            status,
            amount: Money { amount: self.amount, currency },
            checkout: Checkout { url: None, client_secret: self.client_secret },
        })
    }
}
