//! P5: 200,000 bots want the 50,000 seats of a stadium at once: hold, book, confirm, and the audit of every seat.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use benches::goal::{print, wanted};
use benches::onrush_server;
use serde_json::Value;

fn main() -> anyhow::Result<()> {
    if !wanted("rush") {
        return Ok(());
    }
    onrush_server::build()?;
    let report = tempfile::NamedTempFile::new().context("no file for the report")?;
    let mut command = Command::new(onrush_server::program("onrush")?);
    command.args(["rush", "--venue", "stadium", "--bots", "200000", "--json"]).arg(report.path());
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.context("cannot start the rush")?.success(), "the rush failed, or its audit is not clean");
    let report: Value = serde_json::from_slice(&std::fs::read(report.path())?).context("the report is no JSON")?;
    let seconds = report["seats"]["sold_out_after_seconds"].as_f64().context("the hall was not sold out")?;
    let (sold, requests) = (&report["seats"]["sold_to_bots"], &report["requests"]["per_second"]);
    print(&format!(
        "P5 200000 bots, 50000 seats: sold out after {seconds:.1} s (goal ≤ 10), {sold} seats sold, {requests} requests/s, \
         audit clean: nothing sold twice, nothing lost"
    ));
    Ok(())
}
