//! Goals beside what was measured. A row that was not measured gives none.

use serde::Serialize;

use crate::goal::Bound;
use crate::rounds::RowResult;

/// A goal, and whether it is met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Its number and what it is about.
    pub goal: String,
    /// What was measured.
    pub measured: f64,
    /// What is aimed at: at least, or at most, so much; nothing where the figure itself is what was asked for.
    pub bound: Option<Bound>,
    /// Whether that is so.
    pub met: Option<bool>,
}

/// A figure of one row by the same figure of another.
struct Ratio {
    goal: &'static str,
    of: (&'static str, &'static str),
    figure: fn(&RowResult) -> f64,
    bound: Option<Bound>,
}

const fn at_least(least: f64) -> Option<Bound> {
    Some(Bound::AtLeast(least))
}

const fn at_most(most: f64) -> Option<Bound> {
    Some(Bound::AtMost(most))
}

const fn rate(goal: &'static str, of: (&'static str, &'static str), bound: Option<Bound>) -> Ratio {
    Ratio { goal, of, figure: |row| row.requests_per_second, bound }
}

const fn cpu(goal: &'static str, of: (&'static str, &'static str), bound: Option<Bound>) -> Ratio {
    Ratio { goal, of, figure: |row| row.cpu_us_per_request, bound }
}

const fn p99(goal: &'static str, of: (&'static str, &'static str), bound: Option<Bound>) -> Ratio {
    Ratio { goal, of, figure: |row| row.p99_ms, bound }
}

const RATIOS: &[Ratio] = &[
    rate("P1 durable holds by bare hyper, 64 connections", ("onrush", "hyper"), at_least(0.75)),
    rate("P1 durable holds by bare hyper, 256 connections", ("onrush-256", "hyper-256"), at_least(0.75)),
    cpu("P1 CPU a hold by bare hyper's, 64 connections", ("onrush", "hyper"), at_most(1.5)),
    cpu("P1 CPU a hold by bare hyper's, 256 connections", ("onrush-256", "hyper-256"), at_most(1.5)),
    rate("P1 an engine apart by one in the process, 64", ("onrush-apart", "onrush"), at_least(0.8)),
    rate("P1 an engine apart by one in the process, 256", ("onrush-apart-256", "onrush-256"), at_least(0.8)),
    rate("P2 holds by Redis behind a front, 64", ("onrush", "redis-behind-front"), at_least(2.0)),
    rate("P2 holds by Redis behind a front, 256", ("onrush-256", "redis-behind-front-256"), at_least(2.0)),
    p99("P2 p99 by that of Redis behind a front, 64", ("onrush", "redis-behind-front"), at_most(1.0)),
    p99("P2 p99 by that of Redis behind a front, 256", ("onrush-256", "redis-behind-front-256"), at_most(1.0)),
    rate("P2 holds by PostgreSQL behind a front, 64", ("onrush", "postgresql-behind-front"), at_least(4.0)),
    rate("P2 holds by PostgreSQL behind a front, 256", ("onrush-256", "postgresql-behind-front-256"), at_least(4.0)),
    p99("P2 p99 by that of PostgreSQL behind a front, 64", ("onrush", "postgresql-behind-front"), at_most(1.0)),
    p99(
        "P2 p99 by that of PostgreSQL behind a front, 256",
        ("onrush-256", "postgresql-behind-front-256"),
        at_most(1.0),
    ),
    rate("P2 holds by Redis without HTTP", ("onrush", "redis-protocol"), at_least(1.3)),
    rate("P11 mailbox by RabbitMQ RPC", ("mailbox", "rabbitmq-rpc"), None),
    cpu("P11 share of the mailbox in a hold's CPU", ("mailbox", "onrush"), None),
    cpu("P11 RabbitMQ's CPU by a hold's", ("rabbitmq-rpc", "onrush"), None),
    rate("loadgen by wrk", ("loadgen", "wrk"), at_least(0.8)),
];

/// All that can be said of these rows.
pub fn verdicts(rows: &[RowResult]) -> Vec<Verdict> {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let verdict = |ratio: &Ratio| {
        let (one, other) = (row(ratio.of.0)?, row(ratio.of.1)?);
        let measured = ((ratio.figure)(one) / (ratio.figure)(other) * 1000.0).round() / 1000.0;
        let met = ratio.bound.map(|bound| bound.is_met_by(measured));
        Some(Verdict { goal: ratio.goal.to_owned(), measured, bound: ratio.bound, met })
    };
    RATIOS.iter().filter_map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ROWS;

    #[test]
    fn a_goal_needs_both_rows_and_the_right_side() {
        let row = |name, requests_per_second| RowResult { name, requests_per_second, ..RowResult::nothing() };
        let verdicts = verdicts(&[row("loadgen", 70.0), row("wrk", 100.0), row("onrush", 1.0)]);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].met, Some(false));
        assert!((verdicts[0].measured - 0.7).abs() < 1e-9);
    }

    #[test]
    fn a_figure_without_a_goal_is_neither_met_nor_missed() {
        let row = |name, requests_per_second| RowResult { name, requests_per_second, ..RowResult::nothing() };
        let verdicts = verdicts(&[row("mailbox", 300.0), row("rabbitmq-rpc", 100.0)]);
        assert_eq!(verdicts.iter().map(|verdict| verdict.met).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn goals_speak_of_rows_that_there_are() {
        for name in RATIOS.iter().flat_map(|ratio| [ratio.of.0, ratio.of.1]) {
            assert!(ROWS.iter().any(|row| row.name == name), "{name}");
        }
    }
}
