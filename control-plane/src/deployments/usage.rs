//! What was used, over steps of time. Pure.

use std::time::Duration;

use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_api::usage::UsagePoint;
use onrush_engine::time::Timestamp;

/// The most points of one answer.
const POINTS_MAX: u64 = 1_000;

/// Which time usage is asked for, as it was asked: RFC 3339, and seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    /// An hour before the end, where nothing is said.
    pub from: Option<String>,
    /// Now, where nothing is said.
    pub to: Option<String>,
    /// A minute, where nothing is said.
    pub step: Option<String>,
}

impl Span {
    /// Its beginning, its end, and one step.
    ///
    /// # Errors
    /// `bad-request`.
    pub(super) fn of(&self, now: Timestamp) -> Result<(Timestamp, Timestamp, Duration), Problem> {
        let wrong = |what: &str| Problem::new(Kind::BadRequest).detail(what.to_owned());
        let time = |text: &Option<String>, name: &str| {
            let read = |text: &String| text.parse::<Time>().map_err(|error| wrong(&format!("{name}: {error}.")));
            text.as_ref().map(read).transpose()
        };
        let to = time(&self.to, "to")?.map_or(now, |to| to.0);
        let hour_before = Timestamp::from_millis(to.as_millis() - 3_600_000);
        let from = time(&self.from, "from")?.map_or(hour_before, |from| from.0);
        let seconds = self.step.as_deref().map_or(Ok(60), str::parse::<u64>);
        let step = seconds.ok().filter(|step| (5..=86_400).contains(step));
        let step = step.ok_or_else(|| wrong("step is 5 to 86400 seconds."))?;
        if from >= to {
            return Err(wrong("from is before to."));
        }
        let points = (to.as_millis() - from.as_millis()).unsigned_abs().div_ceil(step * 1_000);
        if points > POINTS_MAX {
            return Err(wrong(&format!(
                "That would be {points} points; {POINTS_MAX} are the most. Ask for a longer step."
            )));
        }
        Ok((from, to, Duration::from_secs(step)))
    }
}

/// What points come to on average, at the time of the first; nothing where there is none.
pub(super) fn mean(points: &[UsagePoint]) -> Option<UsagePoint> {
    let count = points.len() as f64;
    let of = |field: fn(&UsagePoint) -> f64| points.iter().map(field).sum::<f64>() / count;
    Some(UsagePoint {
        at: points.first()?.at,
        cpu_cores: of(|point| point.cpu_cores),
        memory_bytes: of(|point| point.memory_bytes as f64).round() as u64,
        disk_bytes: of(|point| point.disk_bytes as f64).round() as u64,
        network_bytes_per_second: of(|point| point.network_bytes_per_second),
    })
}

/// The points of a span, which ends before `to`, in steps that begin at `from`: each step's average, at its beginning.
pub(super) fn in_steps(points: &[UsagePoint], from: Timestamp, to: Timestamp, step: Duration) -> Vec<UsagePoint> {
    let step = step.as_millis().max(1) as i64;
    let number = |point: &UsagePoint| (point.at.0.as_millis() - from.as_millis()) / step;
    let span: Vec<_> = points.iter().filter(|point| (from..to).contains(&point.at.0)).copied().collect();
    let steps = span.chunk_by(|one, next| number(one) == number(next));
    let at = |point: &UsagePoint| Time(Timestamp::from_millis(from.as_millis() + number(point) * step));
    steps.filter_map(|points| mean(points).map(|mean| UsagePoint { at: at(&points[0]), ..mean })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + second * 1_000)
    }

    fn points(all: &[(i64, f64, u64)]) -> Vec<UsagePoint> {
        let point = |&(second, cpu_cores, memory_bytes): &(i64, f64, u64)| UsagePoint {
            at: Time(at(second)),
            cpu_cores,
            memory_bytes,
            ..UsagePoint::nothing(Time(at(second)))
        };
        all.iter().map(point).collect()
    }

    #[test]
    fn each_step_is_the_average_of_its_points() {
        let all = points(&[(-1, 9.0, 9), (0, 1.0, 10), (5, 0.0, 20), (10, 0.5, 30), (60, 9.0, 9)]);
        let steps = in_steps(&all, at(0), at(60), Duration::from_secs(10));
        let seen: Vec<_> = steps.iter().map(|point| (point.at.0, point.cpu_cores, point.memory_bytes)).collect();
        assert_eq!(seen, [(at(0), 0.5, 15), (at(10), 0.5, 30)], "an empty step has no point");
    }

    #[test]
    fn a_span_is_an_hour_by_the_minute_unless_something_else_is_said() {
        let now = at(7_200);
        assert_eq!(Span::default().of(now), Ok((at(3_600), now, Duration::from_secs(60))));
        let span = |from: &str, to: &str, step: &str| {
            let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Span { from: said(from), to: said(to), step: said(step) }.of(now)
        };
        assert_eq!(
            span("2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z", "5"),
            Ok((at(0), at(60), Duration::from_secs(5)))
        );
        let wrong =
            [("yesterday", "", ""), ("", "now", ""), ("", "", "4"), ("", "", "x"), ("2030-01-01T00:00:00Z", "", "")];
        for (from, to, step) in wrong {
            assert_eq!(span(from, to, step).expect_err("it is wrong").kind, Kind::BadRequest, "{from} {to} {step}");
        }
        assert!(span("2027-01-14T08:00:00Z", "", "60").is_err(), "too many points");
        assert!(span("2027-01-14T08:00:00Z", "", "600").is_ok());
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        assert_eq!(mean(&[]), None);
        assert_eq!(in_steps(&[], at(0), at(60), Duration::from_secs(10)), []);
    }
}
