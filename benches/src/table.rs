//! The result, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::rounds::RowResult;
use crate::row::ROWS;
use crate::run::Run;
use crate::verdict::Verdict;

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// When, of which sources, how often and how long.
    pub run: Run,
    /// Where.
    pub machine: Machine,
    /// What.
    pub rows: Vec<RowResult>,
    /// What was not, as something is not installed.
    pub skipped: Vec<Skipped>,
    /// How it stands with the goals.
    pub goals: Vec<Verdict>,
}

/// A row that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its name.
    pub name: &'static str,
    /// The command that installs what it needs.
    pub install: &'static str,
}

impl Comparison {
    /// A table; CPU is compared, too, as it moves less with noise than throughput does.
    pub fn table(&self) -> String {
        let Machine { cpu, cores, memory_megabytes, kernel, file_system } = &self.machine;
        let mut text =
            format!("{}\n{cores} × {cpu}, {memory_megabytes} MB, {kernel}, data on {file_system}\n\n", self.run);
        line(&mut text, ["", "requests/s", "× hyper", "CPU µs each", "× hyper", "p50 ms", "p99 ms"]);
        for row in &self.rows {
            let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            line(
                &mut text,
                [
                    row.name,
                    &format!("{:.0}", row.requests_per_second),
                    &ratio(row.ratio_to_hyper),
                    &format!("{:.1}", row.cpu_us_per_request),
                    &ratio(self.hyper_cpu(row).map(|hyper| row.cpu_us_per_request / hyper)),
                    &format!("{:.2}", row.p50_ms),
                    &format!("{:.2}", row.p99_ms),
                ],
            );
        }
        for Skipped { name, install } in &self.skipped {
            write(&mut text, &format!("{name:<28}skipped; to have it: {install}"));
        }
        if !self.goals.is_empty() {
            text.push('\n');
        }
        self.goals.iter().for_each(|goal| write(&mut text, &goal_line(goal)));
        text
    }

    fn hyper_cpu(&self, row: &RowResult) -> Option<f64> {
        let hyper = ROWS.iter().find(|known| known.name == row.name)?.hyper?;
        Some(self.rows.iter().find(|other| other.name == hyper)?.cpu_us_per_request)
    }
}

fn goal_line(Verdict { goal, measured, bound, met }: &Verdict) -> String {
    let bound = bound.map_or_else(String::new, |bound| format!("   {bound}"));
    let met = met.map_or("", |met| if met { ": met" } else { ": missed" });
    format!("{goal:<52}{measured:>8.2}{bound}{met}")
}

fn line(text: &mut String, cells: [&str; 7]) {
    let [name, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|number| format!("{number:>12}")).collect();
    write(text, &format!("{name:<28}{numbers}"));
}

fn write(text: &mut String, line: &str) {
    writeln!(text, "{}", line.trim_end()).expect("writing to memory does not fail");
}
