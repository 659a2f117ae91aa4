//! What use costs: amounts times rates, in whole numbers. Pure.

use onrush_api::text::{CurrencyCode, Money, Text};
use onrush_api::usage::{CostItem, Resource};
use onrush_engine::money::Currency;
use serde::{Deserialize, Serialize};

/// What was used since something was first measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Thousandths of a second that cores were busy.
    pub(crate) core_millis: u64,
    /// Mebibytes of memory, times seconds.
    pub(crate) memory_mib_seconds: u64,
    /// Mebibytes on the disk, times seconds.
    pub(crate) disk_mib_seconds: u64,
    /// Bytes.
    pub(crate) network_bytes: u64,
}

/// What each unit costs, in thousandths of a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateCard {
    /// In which currency.
    pub currency: Currency,
    /// A core for an hour.
    pub core_hour: u64,
    /// A gibibyte of memory for an hour.
    pub memory_gib_hour: u64,
    /// A gibibyte on the disk for an hour.
    pub disk_gib_hour: u64,
    /// A gibibyte over the wire.
    pub network_gib: u64,
}

/// One minor unit.
const MILLI: u128 = 1_000;

struct Line {
    resource: Resource,
    unit: &'static str,
    /// What was used, and how much of that is a unit.
    used: u64,
    per_unit: u64,
    rate: u64,
}

impl Line {
    /// In thousandths of a minor unit, times `per_unit`: without any rounding.
    fn exact(&self) -> u128 {
        u128::from(self.used) * u128::from(self.rate)
    }
}

/// What `totals` come to, one item a resource, and the sum of what they are before they are rounded.
pub(crate) fn of(totals: &Totals, rates: &RateCard) -> (Vec<CostItem>, Money) {
    let money = |amount: u128| {
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        Money { amount, currency: Text(CurrencyCode(rates.currency)) }
    };
    let (gib_hour, core_hour) = (1_024 * 3_600, 3_600_000);
    let lines = [
        Line {
            resource: Resource::Cpu,
            unit: "core-hour",
            used: totals.core_millis,
            per_unit: core_hour,
            rate: rates.core_hour,
        },
        Line {
            resource: Resource::Memory,
            unit: "GiB-hour",
            used: totals.memory_mib_seconds,
            per_unit: gib_hour,
            rate: rates.memory_gib_hour,
        },
        Line {
            resource: Resource::Disk,
            unit: "GiB-hour",
            used: totals.disk_mib_seconds,
            per_unit: gib_hour,
            rate: rates.disk_gib_hour,
        },
        Line {
            resource: Resource::Network,
            unit: "GiB",
            used: totals.network_bytes,
            per_unit: 1 << 30,
            rate: rates.network_gib,
        },
    ];
    let item = |line: &Line| CostItem {
        resource: line.resource,
        quantity: line.used as f64 / line.per_unit as f64,
        unit: line.unit.to_owned(),
        rate: line.rate as f64 / MILLI as f64,
        amount: money(line.exact().div_ceil(u128::from(line.per_unit) * MILLI)),
    };
    // A millionth of a thousandth is lost at most, of each.
    let finest = |line: &Line| line.exact() * 1_000_000 / u128::from(line.per_unit);
    let sum: u128 = lines.iter().map(finest).sum();
    (lines.iter().map(item).collect(), money(sum.div_ceil(MILLI * 1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: RateCard = RateCard {
        currency: Currency::KRW,
        core_hour: 60_000,
        memory_gib_hour: 8_000,
        disk_gib_hour: 150,
        network_gib: 100_000,
    };

    #[test]
    fn an_hour_of_each_costs_what_the_card_says() {
        let hour = Totals {
            core_millis: 3_600_000,
            memory_mib_seconds: 1_024 * 3_600,
            disk_mib_seconds: 1_024 * 3_600,
            network_bytes: 1 << 30,
        };
        let (items, total) = of(&hour, &RATES);
        let amounts: Vec<_> = items.iter().map(|item| (item.quantity, item.rate, item.amount.amount)).collect();
        assert_eq!(amounts, [(1.0, 60.0, 60), (1.0, 8.0, 8), (1.0, 0.15, 1), (1.0, 100.0, 100)]);
        assert_eq!(total.amount, 169, "168.15, and not the sum of what was rounded");
    }

    #[test]
    fn what_was_used_costs_something_and_nothing_costs_nothing() {
        let (items, total) = of(&Totals::default(), &RATES);
        assert!(items.iter().all(|item| item.amount.amount == 0) && total.amount == 0);
        let (_, total) = of(&Totals { core_millis: 1, ..Totals::default() }, &RATES);
        assert_eq!(total.amount, 1);
        let (_, most) = of(&Totals { network_bytes: u64::MAX, ..Totals::default() }, &RATES);
        assert!(most.amount > 0, "no number is too large");
    }
}
