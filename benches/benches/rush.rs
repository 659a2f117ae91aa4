//! P5: 200,000 bots want the 50,000 seats of a stadium at once: hold, book, confirm, and the audit of every seat.
//!
//! Once with bots that book what they hold, or release it; and once with the mix that a rush has without options, in which
//! some leave their holds without a word: those seats are for sale again after the 10 s that a hold lasts at least, so no
//! engine sells that hall out sooner.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use benches::goal::{Bound, print, wanted};
use benches::onrush_server;
use serde_json::Value;

/// The mix without options, but for those who abandon: they pick seats.
const NOBODY_ABANDONS: &str = "pickers=53,best-available=40,contenders=7,abandoners=0,release=3";

fn main() -> anyhow::Result<()> {
    if !wanted("rush") {
        return Ok(());
    }
    onrush_server::build()?;
    rush("each books or releases what it holds", &["--mix", NOBODY_ABANDONS])?;
    rush("some leave their holds to run out after 10 s", &[])
}

fn rush(who: &str, options: &[&str]) -> anyhow::Result<()> {
    let report = tempfile::NamedTempFile::new().context("no file for the report")?;
    let mut command = Command::new(onrush_server::program("onrush")?);
    command.args(["rush", "--venue", "stadium", "--bots", "200000", "--json"]).arg(report.path()).args(options);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.context("cannot start the rush")?.success(), "the rush failed, or its audit is not clean");
    let report: Value = serde_json::from_slice(&std::fs::read(report.path())?).context("the report is no JSON")?;
    let seconds = report["seats"]["sold_out_after_seconds"].as_f64().context("the hall was not sold out")?;
    let (sold, requests) = (&report["seats"]["sold_to_bots"], &report["requests"]["per_second"]);
    print(&format!(
        "P5 200000 bots, 50000 seats, {who}: sold out after {seconds:.1} s ({}), {sold} seats sold, {requests} \
         requests/s, audit clean: nothing sold twice, nothing lost",
        Bound::AtMost(10.0).beside(seconds)
    ));
    Ok(())
}
