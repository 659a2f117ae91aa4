//! The report for a terminal.

use std::io::{self, Write};

use super::Report;

/// Violations that a terminal shows; the JSON report has all.
const VIOLATIONS_SHOWN: usize = 20;

/// Writes the report as plain text.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    headline(report, out)?;
    bots(report, out)?;
    steps(report, out)?;
    counts(out, "refusals", &report.refusals)?;
    counts(out, "failures", &report.failures)?;
    verdict(report, out)
}

fn headline(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let (seats, requests) = (&report.seats, &report.requests);
    writeln!(out)?;
    writeln!(out, "rush        {}, seed {}", report.mode(), report.settings.seed)?;
    writeln!(out, "sale        {}; {} of {} seats booked", report.sell_out(), seats.booked, seats.capacity)?;
    if let Some(seconds) = seats.sold_99_percent_after_seconds {
        writeln!(out, "            99 % sold after {seconds:.2} s")?;
    }
    writeln!(out, "seats       {:.0}/s sold, {} in the best second", seats.sold_per_second, seats.sold_per_second_max)?;
    writeln!(
        out,
        "requests    {:.0}/s ({} in {:.2} s, {} of them retries)",
        requests.per_second, requests.total, report.busy_seconds, requests.retries
    )?;
    writeln!(out, "server CPU  {}", report.cpu())
}

fn bots(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let bots = &report.bots;
    write!(out, "bots        {} arrived: {} booked", bots.arrived, bots.booked)?;
    for (count, words) in [
        (bots.nothing_left, "found nothing left"),
        (bots.gave_up, "gave up"),
        (bots.released, "released"),
        (bots.abandoned, "abandoned"),
        (bots.refused, "refused"),
        (bots.unknown, "unknown"),
        (bots.failed, "failed"),
    ] {
        if count > 0 {
            write!(out, ", {count} {words}")?;
        }
    }
    if bots.second_chances > 0 {
        write!(out, " ({} of them came for returned seats)", bots.second_chances)?;
    }
    writeln!(out)
}

fn steps(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "{:<24}{:>9}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "step", "count", "/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"
    )?;
    for step in &report.steps {
        let name = format!("{} {}", step.step, step.outcome);
        writeln!(
            out,
            "{name:<24}{:>9}{:>9.0}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
            step.count, step.per_second, step.p50_ms, step.p90_ms, step.p99_ms, step.p999_ms, step.max_ms
        )?;
    }
    Ok(())
}

fn counts(out: &mut impl Write, title: &str, counts: &std::collections::BTreeMap<String, u64>) -> io::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    counts.iter().try_for_each(|(what, count)| writeln!(out, "{count:>9}  {what}"))
}

fn verdict(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let audit = &report.audit;
    let (listed, acknowledged) = (audit.bookings_listed, audit.bookings_acknowledged);
    writeln!(out)?;
    if audit.is_clean() {
        write!(out, "audit       clean: {acknowledged} acknowledged bookings, {listed} in the server's list")?;
        return match audit.bookings_unsettled {
            0 => writeln!(out),
            open => writeln!(out, "; {open} of unknown outcome"),
        };
    }
    writeln!(out, "audit       FAILED: {} violations", audit.violations.len())?;
    for violation in audit.violations.iter().take(VIOLATIONS_SHOWN) {
        writeln!(out, "  {violation}")?;
    }
    match audit.violations.len().saturating_sub(VIOLATIONS_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more; --json FILE writes all"),
    }
}
