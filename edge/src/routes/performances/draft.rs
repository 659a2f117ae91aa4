//! A seller's draft as an opening, and a seller's patch as new terms: every rule of the form, with the field it is about.

use std::time::Duration;

use onrush_api::performances::{self as api, PerformanceDraft, PerformancePatch, SaleDraft, Tier};
use onrush_api::problem::Problem;
use onrush_api::seat_map::{Row, RowSeats, SeatMapDraft, Section};
use onrush_engine::feed::{Publication, Rules};
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::money::{Currency, Money};
use onrush_engine::performance::{Approval, CancellationRules, Opening, RefundStep, Terms};
use onrush_engine::seat_map::{RowPlan, SeatMapPlan, SeatNames, Seating, SectionPlan, Slot, TierIndex};
use onrush_engine::time::Timestamp;
use onrush_engine::venues;

const LENGTH_DEFAULT: Duration = Duration::from_hours(3);
const HOLD_TTL_SECONDS_DEFAULT: u32 = 300;
const SEATS_PER_BUYER_DEFAULT: u32 = 8;
const HOLDS_PER_BUYER_DEFAULT: u32 = 4;
const REFUND_STEPS_MAX: usize = 20;

/// The opening that a draft describes.
pub(crate) fn opening(
    draft: PerformanceDraft,
    performance: PerformanceId,
    show: ShowId,
    seller: AccountId,
    now: Timestamp,
) -> Result<Opening, Problem> {
    let starts_at = draft.starts_at.0;
    let ends_at = draft.ends_at.map_or(starts_at + LENGTH_DEFAULT, |ends_at| ends_at.0);
    let before = Terms {
        starts_at,
        ends_at,
        opens_at: now,
        closes_at: starts_at,
        hold_ttl_seconds: HOLD_TTL_SECONDS_DEFAULT,
        seats_per_buyer_max: SEATS_PER_BUYER_DEFAULT,
        holds_per_buyer_max: HOLDS_PER_BUYER_DEFAULT,
        approval: Approval::Automatic,
        cancel_until: starts_at,
        refund: Vec::new(),
    };
    let terms = with_sale(before, draft.sale)?;
    let (plan, tiers, prices) = match (draft.seat_map, draft.venue_preset) {
        (Some(map), None) => own_map(map, draft.tiers)?,
        (None, Some(name)) => preset(&name, draft.tiers, starts_at, ends_at)?,
        _ => return Err(Problem::field("", "give either seat_map or venue_preset")),
    };
    check_window(&terms)?;
    check_deadline(&terms)?;
    Ok(Opening { performance, show, seller, plan, tiers, prices, terms })
}

/// The terms and prices that a patch leads to, from `rules` on.
pub(crate) fn changed(
    patch: PerformancePatch,
    publication: &Publication,
    rules: &Rules,
    now: Timestamp,
) -> Result<(Terms, Option<Vec<Money>>), Problem> {
    let mut terms = Terms::clone(&rules.terms);
    if let Some(starts_at) = patch.starts_at.filter(|at| at.0 != terms.starts_at) {
        if terms.starts_at <= now {
            return Err(Problem::field("/starts_at", "it has started: it cannot be moved any more"));
        }
        move_to(&mut terms, starts_at.0);
    }
    terms.ends_at = patch.ends_at.map_or(terms.ends_at, |at| at.0);
    let terms = with_sale(terms, patch.sale.unwrap_or_default())?;
    check_window(&terms)?;
    if (terms.cancel_until, terms.ends_at) != (rules.terms.cancel_until, rules.terms.ends_at) {
        check_deadline(&terms)?;
    }
    // What is over owes nobody anything, so it is not declared to be.
    if terms.ends_at < rules.terms.ends_at && terms.ends_at <= now {
        let field = if patch.ends_at.is_some() { "/ends_at" } else { "/starts_at" };
        return Err(Problem::field(
            field,
            "cannot end in the past; a performance that does not take place is cancelled",
        ));
    }
    let Some(tiers) = patch.tiers else { return Ok((terms, None)) };
    let currency = rules.prices.0[0].currency;
    let mut prices = rules.prices.0.to_vec();
    for (place, tier) in tiers.iter().enumerate() {
        let at = publication.tiers.iter().position(|name| **name == *tier.name);
        let at = at.ok_or_else(|| Problem::field(format!("/tiers/{place}/name"), "there is no such tier"))?;
        prices[at] = price(tier, place)?;
        if prices[at].currency != currency {
            return Err(Problem::field(format!("/tiers/{place}/price/currency"), "the currency cannot change"));
        }
    }
    Ok((terms, Some(prices)))
}

/// Moves a performance: it keeps its length, and its cancellation rules as for what was sold; where sales ended when it was to
/// start, they end when it starts.
fn move_to(terms: &mut Terms, starts_at: Timestamp) {
    let before = terms.starts_at;
    terms.ends_at = starts_at + (terms.ends_at - before);
    if terms.closes_at == before {
        terms.closes_at = starts_at;
    }
    let CancellationRules { until, refund, .. } = terms.cancellation().moved_to(starts_at);
    (terms.starts_at, terms.cancel_until, terms.refund) = (starts_at, until, refund.to_vec());
}

fn with_sale(mut terms: Terms, sale: SaleDraft) -> Result<Terms, Problem> {
    if sale.waiting_room.is_some() {
        return Err(Problem::field("/sale/waiting_room", "waiting rooms are not available yet: leave it out"));
    }
    terms.opens_at = sale.opens_at.map_or(terms.opens_at, |at| at.0);
    terms.closes_at = sale.closes_at.map_or(terms.closes_at, |at| at.0);
    terms.cancel_until = sale.cancel_until.map_or(terms.cancel_until, |at| at.0);
    terms.hold_ttl_seconds = within(sale.hold_ttl_seconds, terms.hold_ttl_seconds, 10, 3600, "/sale/hold_ttl_seconds")?;
    terms.seats_per_buyer_max =
        within(sale.max_seats_per_buyer, terms.seats_per_buyer_max, 1, 1_000_000, "/sale/max_seats_per_buyer")?;
    terms.holds_per_buyer_max =
        within(sale.max_holds_per_buyer, terms.holds_per_buyer_max, 1, 1_000_000, "/sale/max_holds_per_buyer")?;
    terms.approval = sale.approval.map_or(terms.approval, |approval| match approval {
        api::Approval::Automatic => Approval::Automatic,
        api::Approval::Manual => Approval::Manual,
    });
    if let Some(refund) = sale.refund {
        terms.refund = steps(&refund)?;
    }
    Ok(terms)
}

fn within(given: Option<u32>, before: u32, min: u32, max: u32, pointer: &str) -> Result<u32, Problem> {
    let value = given.unwrap_or(before);
    let fits = (min..=max).contains(&value);
    if fits { Ok(value) } else { Err(Problem::field(pointer, format!("must be {min} to {max}"))) }
}

fn steps(refund: &[api::RefundStep]) -> Result<Vec<RefundStep>, Problem> {
    let steps: Vec<RefundStep> =
        refund.iter().map(|step| RefundStep { until: step.until.0, percent: step.percent }).collect();
    let ordered = steps.windows(2).all(|pair| pair[0].until < pair[1].until && pair[0].percent >= pair[1].percent);
    if steps.len() > REFUND_STEPS_MAX || !ordered || steps.iter().any(|step| step.percent > 100) {
        let rule = format!("at most {REFUND_STEPS_MAX} steps, later ones with less percent, 0 to 100");
        return Err(Problem::field("/sale/refund", rule));
    }
    Ok(steps)
}

fn check_window(terms: &Terms) -> Result<(), Problem> {
    if terms.ends_at <= terms.starts_at {
        return Err(Problem::field("/ends_at", "must be after starts_at"));
    }
    if terms.closes_at <= terms.opens_at {
        let rule = "must be after opens_at; left out, it is starts_at, and opens_at is now";
        return Err(Problem::field("/sale/closes_at", rule));
    }
    Ok(())
}

fn check_deadline(terms: &Terms) -> Result<(), Problem> {
    let fine = terms.cancel_until <= terms.ends_at;
    fine.then_some(())
        .ok_or_else(|| Problem::field("/sale/cancel_until", "must not be after ends_at; left out, it is starts_at"))
}

type Layout = (SeatMapPlan, Vec<Box<str>>, Vec<Money>);

fn preset(name: &str, tiers: Vec<Tier>, starts_at: Timestamp, ends_at: Timestamp) -> Result<Layout, Problem> {
    let venue =
        venues::preset(name, starts_at, ends_at).map_err(|error| Problem::field("/venue_preset", error.to_string()))?;
    let names: Vec<Box<str>> = venue.tiers.iter().map(|name| (*name).into()).collect();
    if tiers.is_empty() {
        let prices = vec![Money::zero(Currency::KRW); names.len()];
        return Ok((venue.plan, names, prices));
    }
    let given = prices(&tiers)?;
    let find = |name: &str| tiers.iter().position(|tier| tier.name == name).map(|place| given[place]);
    let missing = || Problem::field("/tiers", format!("the preset has the tiers {}", venue.tiers.join(", ")));
    let prices: Option<Vec<Money>> = names.iter().map(|name| find(name)).collect();
    let known = tiers.iter().all(|tier| venue.tiers.contains(&tier.name.as_str()));
    Ok((venue.plan, names, prices.filter(|_| known).ok_or_else(missing)?))
}

fn own_map(map: SeatMapDraft, tiers: Vec<Tier>) -> Result<Layout, Problem> {
    if tiers.is_empty() {
        return Err(Problem::field("/tiers", "a seat map of your own needs at least one tier"));
    }
    let prices = prices(&tiers)?;
    let names: Vec<Box<str>> = tiers.into_iter().map(|tier| tier.name.into_boxed_str()).collect();
    let sections = map.sections.into_iter().enumerate().map(|(place, section)| plan(section, place, &names));
    Ok((SeatMapPlan { sections: sections.collect::<Result<_, _>>()? }, names, prices))
}

fn prices(tiers: &[Tier]) -> Result<Vec<Money>, Problem> {
    if tiers.len() > Opening::TIERS_MAX {
        return Err(Problem::field("/tiers", format!("at most {}", Opening::TIERS_MAX)));
    }
    let prices: Vec<Money> =
        tiers.iter().enumerate().map(|(place, tier)| price(tier, place)).collect::<Result<_, _>>()?;
    for (place, tier) in tiers.iter().enumerate() {
        if tiers[..place].iter().any(|other| other.name == tier.name) {
            return Err(Problem::field(format!("/tiers/{place}/name"), "two tiers have this name"));
        }
        if prices[place].currency != prices[0].currency {
            return Err(Problem::field(format!("/tiers/{place}/price/currency"), "all tiers have one currency"));
        }
    }
    Ok(prices)
}

fn price(tier: &Tier, place: usize) -> Result<Money, Problem> {
    if tier.name.is_empty() || tier.name.chars().count() > 64 {
        return Err(Problem::field(format!("/tiers/{place}/name"), "1 to 64 characters"));
    }
    let price = Money::from(tier.price);
    if !(0..=Money::PRICE_MAX).contains(&price.amount) {
        return Err(Problem::field(format!("/tiers/{place}/price/amount"), format!("0 to {}", Money::PRICE_MAX)));
    }
    Ok(price)
}

fn plan(section: Section, place: usize, tiers: &[Box<str>]) -> Result<SectionPlan, Problem> {
    let (name, tier, seating) = match section {
        Section::Reserved { name, tier, rows } => (name, tier, Seating::Reserved(rows.into_iter().map(row).collect())),
        Section::GeneralAdmission { name, tier, capacity } => (name, tier, Seating::GeneralAdmission(capacity)),
        Section::Slots { name, tier, resource, slots } => {
            let slot =
                |slot: &onrush_api::seat_map::Slot| Slot { starts_at: slot.starts_at.0, ends_at: slot.ends_at.0 };
            let (resource, slots) = (resource.into_boxed_str(), slots.iter().map(slot).collect());
            (name, tier, Seating::Slots { resource, slots })
        }
    };
    let pointer = format!("/seat_map/sections/{place}/tier");
    let tier = tiers.iter().position(|known| **known == *tier);
    let tier = tier.ok_or_else(|| Problem::field(pointer, "there is no tier of this name in /tiers"))?;
    Ok(SectionPlan { name: name.into_boxed_str(), tier: TierIndex(tier as u16), seating })
}

fn row(row: Row) -> RowPlan {
    let seats = match row.seats {
        RowSeats::Count(count) => SeatNames::Count(count),
        RowSeats::Names(names) => SeatNames::Named(names.into_iter().map(String::into_boxed_str).collect()),
    };
    RowPlan { name: row.name.into_boxed_str(), seats }
}
