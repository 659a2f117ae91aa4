//! Who collects payments in the process of a server: the provider that the settings name, and what the edge asks of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use onrush_api::problem::{Kind, Problem};
use onrush_edge::payments::{Checkout, Payments};
use onrush_engine::client::Client;
use onrush_payments::collector::{Collector, NotTaken};
use onrush_payments::provider::Provider;
use onrush_payments::stripe::Stripe;
use onrush_payments::test_psp::TestPsp;

use crate::settings::{PaymentSettings, Settings};
use crate::test_psp::Child;

/// See the module.
pub(crate) enum Collecting {
    /// With the provider's process, which ends with this one.
    TestPsp {
        collector: Arc<Collector<TestPsp>>,
        _process: Child,
    },
    Stripe(Arc<Collector<Stripe>>),
    Nobody,
}

impl Collecting {
    /// Starts what the settings name. `address` is that of the API, where notices are taken.
    ///
    /// # Errors
    /// Where the provider cannot be used as the settings say.
    pub(crate) async fn start(settings: &Settings, client: &Client, address: SocketAddr) -> anyhow::Result<Self> {
        match &settings.payments {
            PaymentSettings::TestPsp(listen) => {
                let child = Child::start(&settings.engine.data, *listen, &notices_at(address)).await?;
                let provider = TestPsp::new(&child.url, child.api_key.clone(), &child.webhook_secret);
                let provider = provider.map_err(|error| anyhow!("the test provider: {error}"))?;
                tracing::info!(url = child.url, "the test provider takes payments; no money moves");
                let collector = Arc::new(Collector::new(provider, client.clone()));
                Ok(Self::TestPsp { collector, _process: child })
            }
            PaymentSettings::Stripe { url, key_file, webhook_secret_file } => {
                let (key, secret) = (secret(key_file)?, secret(webhook_secret_file)?);
                let provider = Stripe::new(url, key, secret).map_err(|error| anyhow!("Stripe: {error}"))?;
                Ok(Self::Stripe(Arc::new(Collector::new(provider, client.clone()))))
            }
            PaymentSettings::None => Ok(Self::Nobody),
        }
    }

    /// What the edge asks.
    pub(crate) fn face(&self) -> Option<Payments> {
        match self {
            Self::TestPsp { collector, .. } => Some(face(collector)),
            Self::Stripe(collector) => Some(face(collector)),
            Self::Nobody => None,
        }
    }

    /// Sees to payments from now on, until the process ends.
    pub(crate) fn run(&self, client: &Client) {
        match self {
            Self::TestPsp { collector, .. } => drop(actix_rt::spawn(Arc::clone(collector).run())),
            Self::Stripe(collector) => drop(actix_rt::spawn(Arc::clone(collector).run())),
            Self::Nobody => client.ignore_dues(),
        }
    }
}

fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    anyhow::ensure!(!text.trim().is_empty(), "{} is empty: a secret is needed, or anybody could pay", file.display());
    Ok(text.trim().to_owned())
}

/// Where a process on this machine finds the API.
fn notices_at(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}/v1/payments/webhook")
}

fn face<P: Provider>(collector: &Arc<Collector<P>>) -> Payments {
    let (asked, told) = (Arc::clone(collector), Arc::clone(collector));
    Payments {
        is_open: Box::new(|| true),
        checkout: Box::new(move |booking| {
            let collector = Arc::clone(&asked);
            Box::pin(async move {
                let checkout = collector.checkout(booking).await?;
                Some(Checkout { url: checkout.url, client_secret: checkout.client_secret })
            })
        }),
        notice: Box::new(move |headers, body| {
            let collector = Arc::clone(&told);
            Box::pin(async move { collector.take_notice(&headers, &body).await.map_err(problem) })
        }),
    }
}

fn problem(not_taken: NotTaken) -> Problem {
    match not_taken {
        NotTaken::Notice(error @ onrush_payments::provider::NoticeError::Signature) => {
            Problem::new(Kind::NoticeRefused).detail(format!("{error}."))
        }
        NotTaken::Notice(error) => Problem::field("", error.to_string()),
        NotTaken::Unavailable => Problem::new(Kind::OutcomeUnknown).retry_after(1),
    }
}
