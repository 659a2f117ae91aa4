//! What changed where a seller changed the rules or the prices, field by field as the API names them.

use std::fmt;

use onrush_api::text::{CurrencyCode, Time};
use onrush_engine::inventory::Inventory;
use onrush_engine::money::Money;
use onrush_engine::performance::{Approval, RefundStep, Terms};
use serde::Serialize;

/// A field and its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    field: String,
    from: String,
    to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, from, to } = self;
        write!(f, "{field} {from} -> {to}")
    }
}

/// What `terms` and `prices` change of the rules in force.
pub(super) fn changes(before: &Inventory, terms: &Terms, prices: Option<&[Money]>) -> Vec<Change> {
    let fields = fields(before.terms()).into_iter().zip(fields(terms));
    let rules = fields.map(|((field, from), (_, to))| Change { field: field.to_owned(), from, to });
    let tiers = before.tiers().iter().zip(before.prices().0.iter()).zip(prices.unwrap_or_default());
    let prices = tiers.map(|((tier, from), to)| Change {
        field: format!("price of {}", tier.escape_debug()),
        from: money(from),
        to: money(to),
    });
    rules.chain(prices).filter(|change| change.from != change.to).collect()
}

fn fields(terms: &Terms) -> [(&'static str, String); 10] {
    let Terms { starts_at, ends_at, opens_at, closes_at, cancel_until, refund, approval, .. } = terms;
    let approval = match approval {
        Approval::Automatic => "automatic",
        Approval::Manual => "manual",
    };
    let time = |at| Time(at).to_string();
    [
        ("starts_at", time(*starts_at)),
        ("ends_at", time(*ends_at)),
        ("opens_at", time(*opens_at)),
        ("closes_at", time(*closes_at)),
        ("hold_ttl_seconds", terms.hold_ttl_seconds.to_string()),
        ("max_seats_per_buyer", terms.seats_per_buyer_max.to_string()),
        ("max_holds_per_buyer", terms.holds_per_buyer_max.to_string()),
        ("approval", approval.to_owned()),
        ("cancel_until", time(*cancel_until)),
        ("refund", refund_steps(refund)),
    ]
}

fn refund_steps(steps: &[RefundStep]) -> String {
    let step = |step: &RefundStep| format!("{} % until {}", step.percent, Time(step.until));
    if steps.is_empty() { "none".to_owned() } else { steps.iter().map(step).collect::<Vec<_>>().join(", ") }
}

fn money(money: &Money) -> String {
    format!("{} {}", money.amount, CurrencyCode(money.currency))
}
