//! A demo show in the grand theatre, so that a first start has something to sell.

use std::time::Duration;

use anyhow::Context as _;
use onrush_engine::client::Client;
use onrush_engine::command::Caller;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, Opening, Terms};
use onrush_engine::registry::{Field, RegistryCommand, ShowDetails};
use onrush_engine::venues;

/// Who sells the demo show.
pub(crate) const SELLER: &str = "acc_demo-seller";

/// Publishes the demo show, if there is no show yet.
pub(crate) async fn publish(client: &Client) -> anyhow::Result<()> {
    if !client.shows().all().is_empty() {
        return Ok(());
    }
    let caller = Caller { account: SELLER.parse().context("the demo's seller")?, admin: false };
    let (show, performance) = (ShowId(random()?), PerformanceId(random()?));
    let create = RegistryCommand::CreateShow { show, caller, details: details(), key: None };
    client.register(create, None).await?;
    let opening = opening(client, caller, show, performance)?;
    let add = RegistryCommand::AddPerformance { show, performance, caller, key: None };
    client.register(add, Some(Box::new(opening))).await?;
    Ok(())
}

/// A number for an id. 0 names no stream of the journal.
fn random() -> anyhow::Result<u64> {
    getrandom::u64().map(|number| number.max(1)).context("the operating system's random numbers")
}

fn details() -> ShowDetails {
    ShowDetails {
        title: "A Midsummer Night's Rush".into(),
        field: Field::Theatre,
        cast: vec!["Titania".into(), "Oberon".into(), "Puck".into()],
        venue: "The Grand Theatre".into(),
        description: "A demo: 3,022 seats, free of charge, on sale now.".into(),
        poster_url: None,
    }
}

fn opening(client: &Client, caller: Caller, show: ShowId, performance: PerformanceId) -> anyhow::Result<Opening> {
    let now = client.now();
    let starts_at = now + Duration::from_hours(30 * 24);
    let ends_at = starts_at + Duration::from_hours(3);
    let venue = venues::preset("grand-theatre", starts_at, ends_at)?;
    Ok(Opening {
        performance,
        show,
        seller: caller.account,
        plan: venue.plan,
        tiers: venue.tiers.iter().map(|name| (*name).into()).collect(),
        prices: vec![Money::zero(Currency::KRW); venue.tiers.len()],
        terms: Terms {
            starts_at,
            ends_at,
            opens_at: now,
            closes_at: starts_at,
            hold_ttl_seconds: 300,
            seats_per_buyer_max: 8,
            holds_per_buyer_max: 4,
            approval: Approval::Automatic,
            cancel_until: starts_at,
            refund: Vec::new(),
        },
    })
}
