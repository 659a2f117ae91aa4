//! Which thresholds are crossed. Pure: readings and time come in, verdicts come out.

use std::time::Duration;

use onrush_api::policies::{Metric, Policies, Rule, Severity};
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_engine::time::Timestamp;

const RULES_MAX: usize = 20;
const NAME_LEN_MAX: usize = 60;
const FOR_MAX: u32 = 3_600;

/// What was read of a deployment at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) at: Timestamp,
    pub(crate) cpu_cores_per_engine: f64,
    pub(crate) memory_bytes_per_engine: f64,
    pub(crate) disk_bytes: f64,
    pub(crate) restarts_in_10_minutes: f64,
    pub(crate) unready_seconds: f64,
}

impl Reading {
    fn of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::CpuCoresPerEngine => self.cpu_cores_per_engine,
            Metric::MemoryBytesPerEngine => self.memory_bytes_per_engine,
            Metric::DiskBytes => self.disk_bytes,
            Metric::RestartsIn10Minutes => self.restarts_in_10_minutes,
            Metric::UnreadySeconds => self.unready_seconds,
        }
    }
}

/// What holds where a seller has said nothing.
pub(crate) fn shipped() -> Policies {
    let rule = |name: &str, metric, above, for_seconds, severity| Rule {
        name: name.to_owned(),
        metric,
        above,
        for_seconds,
        severity,
        scale_by: None,
        replicas_max: None,
    };
    Policies {
        rules: vec![
            // An engine's owner is one thread, and what it cannot do waits.
            rule("busy", Metric::CpuCoresPerEngine, 0.9, 60, Severity::Warning),
            rule("memory", Metric::MemoryBytesPerEngine, f64::from(2u32 << 30), 60, Severity::Warning),
            rule("restarts", Metric::RestartsIn10Minutes, 2.0, 0, Severity::Critical),
            rule("not-ready", Metric::UnreadySeconds, 30.0, 0, Severity::Critical),
        ],
    }
}

/// Whether policies can be had.
///
/// # Errors
/// `invalid-body`, with every field that is wrong.
pub(crate) fn check(policies: &Policies) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut wrong = |pointer: String, message: &str| errors.push(FieldError { pointer, detail: message.to_owned() });
    if policies.rules.len() > RULES_MAX {
        wrong("/rules".to_owned(), "are more than 20");
    }
    for (place, rule) in policies.rules.iter().enumerate() {
        let at = |field: &str| format!("/rules/{place}/{field}");
        let length = rule.name.chars().count();
        if length == 0 || length > NAME_LEN_MAX {
            wrong(at("name"), "has 1 to 60 characters");
        }
        if policies.rules[..place].iter().any(|other| other.name == rule.name) {
            wrong(at("name"), "is another rule's");
        }
        if !rule.above.is_finite() || rule.above < 0.0 {
            wrong(at("above"), "is no number from 0 on");
        }
        if rule.for_seconds > FOR_MAX {
            wrong(at("for_seconds"), "is more than 3,600");
        }
        if rule.scale_by.is_some_and(|more| !(1..=8).contains(&more)) {
            wrong(at("scale_by"), "is not 1 to 8");
        }
        if rule.replicas_max.is_some_and(|most| !(1..=8).contains(&most)) {
            wrong(at("replicas_max"), "is not 1 to 8");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::new(Kind::InvalidBody).errors(errors)) }
}

/// The value with which a rule is crossed at the time of the last reading, if it is: every reading of its span is above, and the
/// span is covered. `readings` are in order.
pub(crate) fn crossed(rule: &Rule, readings: &[Reading]) -> Option<f64> {
    let last = readings.last()?;
    let begin = Timestamp::from_millis(last.at.as_millis() - i64::from(rule.for_seconds) * 1_000);
    let span = readings.iter().rev().take_while(|reading| reading.at >= begin);
    let is_above = span.clone().all(|reading| reading.of(rule.metric) > rule.above);
    let is_covered = readings.iter().any(|reading| reading.at <= begin) && !has_gap(readings, begin);
    (is_above && is_covered).then(|| last.of(rule.metric))
}

/// Readings that are further apart say nothing of what was between.
const GAP_MAX: Duration = Duration::from_secs(30);

fn has_gap(readings: &[Reading], begin: Timestamp) -> bool {
    readings.windows(2).filter(|pair| pair[1].at > begin).any(|pair| pair[1].at - pair[0].at > GAP_MAX)
}

/// So many engines a deployment is to have by a rule that is crossed; nothing where it has them.
pub(crate) fn replicas(rule: &Rule, now: u32, most: u32) -> Option<u32> {
    let wanted = (now + rule.scale_by?).min(rule.replicas_max.unwrap_or(most)).min(most);
    (wanted > now).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(cpu: &[(i64, f64)]) -> Vec<Reading> {
        let reading = |&(second, cores): &(i64, f64)| Reading {
            at: Timestamp::from_millis(1_800_000_000_000 + second * 1_000),
            cpu_cores_per_engine: cores,
            memory_bytes_per_engine: 0.0,
            disk_bytes: 0.0,
            restarts_in_10_minutes: 0.0,
            unready_seconds: 0.0,
        };
        cpu.iter().map(reading).collect()
    }

    fn busy(for_seconds: u32) -> Rule {
        Rule { for_seconds, ..shipped().rules[0].clone() }
    }

    #[test]
    fn a_threshold_is_crossed_once_all_of_its_span_is_above() {
        let all = readings(&[(0, 1.0), (10, 1.0), (20, 0.95)]);
        assert_eq!(crossed(&busy(20), &all), Some(0.95));
        assert_eq!(crossed(&busy(21), &all), None, "nobody knows what was before");
        assert_eq!(
            crossed(&busy(20), &readings(&[(0, 1.0), (10, 0.9), (20, 1.0)])),
            None,
            "as much as that is not above"
        );
        assert_eq!(crossed(&busy(10), &readings(&[(0, 0.1), (10, 1.0), (20, 1.0)])), Some(1.0));
        assert_eq!(crossed(&busy(0), &readings(&[(0, 0.1), (10, 1.0)])), Some(1.0));
        assert_eq!(crossed(&busy(0), &[]), None);
    }

    #[test]
    fn what_was_not_measured_crosses_nothing() {
        assert_eq!(crossed(&busy(60), &readings(&[(0, 1.0), (10, 1.0), (60, 1.0)])), None);
        assert_eq!(crossed(&busy(20), &readings(&[(0, 1.0), (100, 1.0), (110, 1.0), (120, 1.0)])), Some(1.0));
    }

    #[test]
    fn engines_are_added_within_bounds() {
        let rule = |scale_by, replicas_max| Rule { scale_by, replicas_max, ..busy(0) };
        assert_eq!(replicas(&rule(None, None), 1, 8), None);
        assert_eq!(replicas(&rule(Some(2), None), 1, 8), Some(3));
        assert_eq!(replicas(&rule(Some(2), Some(2)), 1, 8), Some(2));
        assert_eq!(replicas(&rule(Some(2), Some(2)), 2, 8), None);
        assert_eq!(replicas(&rule(Some(8), None), 7, 8), Some(8));
    }

    #[test]
    fn every_wrong_field_is_named() {
        check(&shipped()).expect("what is shipped can be had");
        let twice = busy(0);
        let wrong = Rule {
            name: String::new(),
            above: f64::NAN,
            for_seconds: 4_000,
            scale_by: Some(0),
            replicas_max: Some(9),
            ..busy(0)
        };
        let problem = check(&Policies { rules: vec![twice.clone(), twice, wrong] }).expect_err("it is wrong");
        let pointers: Vec<_> = problem.body().errors.iter().flatten().map(|error| error.pointer.clone()).collect();
        let wanted = [
            "/rules/1/name",
            "/rules/2/name",
            "/rules/2/above",
            "/rules/2/for_seconds",
            "/rules/2/scale_by",
            "/rules/2/replicas_max",
        ];
        assert_eq!(pointers, wanted);
        assert!(check(&Policies { rules: vec![busy(0); 21] }).is_err());
    }
}
