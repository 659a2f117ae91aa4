//! Labels and tiers of seats: where the engine's indices become the contract's text, and back.

use onrush_api::holds::PricedSeat;
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Money;
use onrush_engine::feed::Publication;
use onrush_engine::money;
use onrush_engine::performance::PriceList;
use onrush_engine::seat_map::SeatIndex;

/// The seats with these labels. Each may be named once.
pub(crate) fn seats<T: FromIterator<SeatIndex>>(publication: &Publication, labels: &[String]) -> Result<T, Problem> {
    let mut seen = Vec::with_capacity(labels.len());
    let mut unknown = Vec::new();
    for label in labels {
        match publication.map.seat_labelled(label) {
            Some(seat) => seen.push(seat),
            None => unknown.push(label.clone()),
        }
    }
    if !unknown.is_empty() {
        return Err(Problem::new(Kind::UnknownSeats).seats(unknown));
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Problem::field("/seats", "a seat is named twice"));
    }
    Ok(seen.into_iter().collect())
}

/// The labels of seats.
pub(crate) fn labels(publication: &Publication, seats: &[SeatIndex]) -> Vec<String> {
    seats.iter().map(|seat| publication.map.label(*seat).to_string()).collect()
}

/// Seats with what they cost.
pub(crate) fn priced(publication: &Publication, seats: &[SeatIndex], prices: &PriceList) -> Vec<PricedSeat> {
    let describe = |seat: &SeatIndex| {
        let tier = publication.map.tier_of(*seat);
        PricedSeat {
            label: publication.map.label(*seat).to_string(),
            tier: publication.tiers[usize::from(tier.0)].to_string(),
            price: prices.of(tier).into(),
        }
    };
    seats.iter().map(describe).collect()
}

/// The sum of the seats' prices.
pub(crate) fn total(publication: &Publication, seats: &[SeatIndex], prices: &PriceList) -> Money {
    let nothing = money::Money::zero(prices.0[0].currency);
    let price = |seat: &SeatIndex| prices.of(publication.map.tier_of(*seat));
    let sum = seats.iter().map(price).try_fold(nothing, money::Money::checked_add);
    sum.expect("one currency, and prices are bounded so that a whole hall's sum fits").into()
}
