//! The report as one HTML page: style and plots inline, nothing fetched, no scripts.

use std::fmt::Write as _;

use super::plot::{Line, Mark, plot, second_marks};
use super::{Report, Second};

const STYLE: &str = include_str!("style.css");
/// Violations that the page lists; the JSON report has all.
const VIOLATIONS_SHOWN: usize = 200;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let parts =
        [head(report), figures(report), plots(report), steps(report), counts(report), verdict(report), foot(report)];
    parts.concat()
}

fn head(report: &Report) -> String {
    let verdict = if report.audit.is_clean() { ("good", "audit clean") } else { ("bad", "audit failed") };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Onrush: report of a rush</title>\
         <style>{STYLE}</style><main><h1>A rush for {} seats <span class=\"{}\">{}</span></h1><p>{}; {}; seed {}.</p>",
        report.seats.capacity,
        verdict.0,
        verdict.1,
        escape(&report.mode()),
        escape(&report.sell_out()),
        report.settings.seed
    )
}

fn figures(report: &Report) -> String {
    let seats = &report.seats;
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.2} s"));
    let cpu = report.server_cpu.as_ref();
    let figures = [
        ("requests/s", format!("{:.0}", report.requests.per_second)),
        ("seats sold/s", format!("{:.0}", seats.sold_per_second)),
        ("best second", format!("{} seats", seats.sold_per_second_max)),
        ("99 % sold after", seconds(seats.sold_99_percent_after_seconds)),
        ("sold out after", seconds(seats.sold_out_after_seconds)),
        ("bookings", report.bots.booked.to_string()),
        ("bots", report.bots.arrived.to_string()),
        (
            "server CPU",
            cpu.map_or_else(|| "not known".to_owned(), |cpu| format!("{:.1} µs/request", cpu.micros_per_request)),
        ),
    ];
    let cards = figures.map(|(name, value)| format!("<div><b>{}</b>{}</div>", escape(&value), escape(name)));
    format!("<section class=\"figures\">{}</section>", cards.concat())
}

fn plots(report: &Report) -> String {
    let timeline = &report.timeline;
    let width = timeline.len() as f64;
    let rate = |name, of: fn(&Second) -> u64| Line { name, points: rates(timeline, of) };
    let sold = Line { name: "seats sold", points: running_total(timeline) };
    let rates = [
        rate("requests/s", |second| second.requests),
        rate("refusals/s", |second| second.refusals),
        rate("arrivals/s", |second| second.arrivals),
    ];
    let marks = second_marks(width);
    format!(
        "<h2>Seats sold</h2>{}<h2>Requests</h2>{}<h2>Latency by percentile, ms</h2>{}",
        plot("seats sold over time", &[sold], width, &marks),
        plot("requests, refusals and arrivals a second", &rates, width, &marks),
        latency_plot(report)
    )
}

/// A rate belongs to the middle of its second.
fn rates(timeline: &[Second], of: fn(&Second) -> u64) -> Vec<(f64, f64)> {
    timeline.iter().enumerate().map(|(at, second)| (at as f64 + 0.5, of(second) as f64)).collect()
}

fn running_total(timeline: &[Second]) -> Vec<(f64, f64)> {
    let mut total = 0;
    let sums = timeline.iter().enumerate().map(|(at, second)| {
        total += second.seats_sold;
        (at as f64 + 1.0, total as f64)
    });
    std::iter::once((0.0, 0.0)).chain(sums).collect()
}

/// Each decade of the tail gets the same width: the rare answers are the ones to look at.
fn latency_plot(report: &Report) -> String {
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-9).log10();
    let shown = report.steps.iter().filter(|step| step.outcome != "unsettled");
    let names: Vec<String> = shown.clone().map(|step| format!("{} {}", step.step, step.outcome)).collect();
    let curve = |curve: &[(f64, f64)]| curve.iter().map(|&(quantile, ms)| (nines(quantile), ms)).collect();
    let lines: Vec<Line<'_>> =
        shown.zip(&names).map(|(step, name)| Line { name, points: curve(&step.curve) }).collect();
    let width = lines.iter().flat_map(|line| &line.points).map(|point| point.0).fold(1.0, f64::max);
    let marks = [("p0", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
    let marks = marks.map(|(label, quantile)| Mark { at: nines(quantile), label: label.to_owned() });
    let within: Vec<Mark> = marks.into_iter().filter(|mark| mark.at <= width + 1e-6).collect();
    plot("latency by percentile", &lines, width, &within)
}

fn steps(report: &Report) -> String {
    let mut rows = String::new();
    for step in &report.steps {
        write!(rows, "<tr><td>{} {}", step.step, step.outcome).expect("writing into memory cannot fail");
        let figures = [step.p50_ms, step.p90_ms, step.p99_ms, step.p999_ms, step.max_ms];
        let cells = figures.map(|ms| format!("<td>{ms:.2}")).concat();
        write!(rows, "<td>{}<td>{:.0}{cells}", step.count, step.per_second).expect("writing into memory cannot fail");
    }
    format!(
        "<h2>Steps</h2><p>Milliseconds from the intended start.</p><table><tr><th>step<th>count<th>/s<th>p50<th>p90\
         <th>p99<th>p99.9<th>max{rows}</table>"
    )
}

fn counts(report: &Report) -> String {
    let rows = |counts: &std::collections::BTreeMap<String, u64>| -> String {
        counts.iter().map(|(what, count)| format!("<tr><td>{}<td>{count}", escape(what))).collect()
    };
    let mut html = String::new();
    for (title, counts) in [("Refusals", &report.refusals), ("Failures", &report.failures)] {
        if !counts.is_empty() {
            html += &format!("<h2>{title}</h2><table>{}</table>", rows(counts));
        }
    }
    html
}

fn verdict(report: &Report) -> String {
    let audit = &report.audit;
    let summary = format!(
        "<h2>Audit</h2><p>{} bookings acknowledged to bots, {} in the server's list, {} of unknown outcome.</p>",
        audit.bookings_acknowledged, audit.bookings_listed, audit.bookings_unsettled
    );
    if audit.is_clean() {
        return summary
            + "<p class=\"good\">Clean: no seat in two bookings, no acknowledged booking missing, every seat accounted for.</p>";
    }
    let shown = audit.violations.iter().take(VIOLATIONS_SHOWN);
    let items: String = shown.map(|violation| format!("<li>{}", escape(&violation.to_string()))).collect();
    format!("{summary}<p class=\"bad\">{} violations</p><ul>{items}</ul>", audit.violations.len())
}

fn foot(report: &Report) -> String {
    let (machine, settings) = (&report.machine, &report.settings);
    let words = format!(
        "{} · {} cores, {} · {} MB · {} worker(s) · buyers {} · performance {} · onrush-loadgen {} · {}",
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.memory_megabytes,
        settings.workers,
        settings.mix,
        report.performance,
        report.version,
        report.finished_at
    );
    format!("<footer>{}</footer></main></html>\n", escape(&words))
}

/// Text that stands for itself in HTML.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
