//! Signed notices to the merchant, sent again until they are taken.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

use super::book::Entry;
use super::wire::{Notice, Status};

/// Who takes no notice for so many tries gets none.
const TRIES: u32 = 12;
/// Between the first two tries; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// In a mood for it, so much later comes what should come first.
const LATE: Duration = Duration::from_millis(400);

/// Where a merchant takes notices.
#[derive(Debug, Clone)]
pub struct WebhookUrl(Arc<str>);

impl FromStr for WebhookUrl {
    type Err = &'static str;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let url = given.parse::<Uri>().ok();
        match url.as_ref().and_then(Uri::scheme_str) {
            Some("http" | "https") => Ok(Self(given.into())),
            _ => Err("not a web address, such as http://127.0.0.1:8080/v1/payments/webhook"),
        }
    }
}

/// Sends notices. Cheap to clone.
#[derive(Clone)]
pub(super) struct Notices {
    client: reqwest::Client,
    /// Where the merchant takes notices; nobody is told where there is none.
    url: Option<WebhookUrl>,
    secret: Arc<Webhook>,
}

impl Notices {
    pub(super) fn new(client: reqwest::Client, url: Option<WebhookUrl>, secret: Webhook) -> Self {
        Self { client, url, secret: Arc::new(secret) }
    }

    /// Tells the merchant how a payment stands, in the mood it is in.
    pub(super) fn send(&self, entry: &Entry) {
        let Some(WebhookUrl(url)) = self.url.clone().filter(|_| !entry.mood.silent) else { return };
        let status = serde_json::to_value(entry.payment.status).expect("a status is a word");
        let kind = if entry.payment.refunds.is_empty() { status.as_str().unwrap_or_default() } else { "refunded" };
        let notice = Notice { r#type: format!("payment.{kind}"), data: entry.payment.clone() };
        let body = serde_json::to_string(&notice).expect("a notice is plain and always makes JSON");
        let early = matches!(entry.payment.status, Status::Processing | Status::Authorised);
        let pause = if entry.mood.reordered && early { LATE } else { Duration::ZERO };
        for time in 0..=entry.mood.again {
            let (this, url, body) = (self.clone(), Arc::clone(&url), body.clone());
            // The copies bear one id: whoever has seen it has seen them all.
            let id = format!("msg_{}_{kind}_{}", entry.payment.id, entry.payment.refunds.len());
            let pause = pause + FIRST_PAUSE * time;
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                this.deliver(&url, &id, &body).await;
            });
        }
    }

    async fn deliver(&self, url: &str, id: &str, body: &str) {
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            if self.try_once(url, id, body).await {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        tracing::warn!(id, "nobody took this notice");
    }

    async fn try_once(&self, url: &str, id: &str, body: &str) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let Ok(signature) = self.secret.sign(id, now, body.as_bytes()) else { return false };
        let request = self.client.post(url).header(HEADER_WEBHOOK_ID, id).header(HEADER_WEBHOOK_TIMESTAMP, now);
        let request = request.header(HEADER_WEBHOOK_SIGNATURE, signature).header("content-type", "application/json");
        let sent = request.body(body.to_owned()).send().await;
        sent.is_ok_and(|response| response.status().is_success())
    }
}
