//! The result, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::rounds::RowResult;
use crate::row::ROWS;

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Where.
    pub machine: Machine,
    /// What.
    pub rows: Vec<RowResult>,
}

impl Comparison {
    /// A table; CPU is compared, too, as it moves less with noise than throughput does.
    pub fn table(&self) -> String {
        let Machine { cpu, cores, memory_megabytes, kernel, file_system } = &self.machine;
        let mut text = format!("{cores} × {cpu}, {memory_megabytes} MB, {kernel}, data on {file_system}\n\n");
        let heads = ["", "requests/s", "× hyper", "CPU µs each", "× hyper", "p50 ms", "p99 ms"];
        let mut line = |cells: [&str; 7]| {
            let [name, numbers @ ..] = cells;
            let numbers: String = numbers.iter().map(|number| format!("{number:>12}")).collect();
            writeln!(text, "{name:<12}{numbers}").expect("writing to memory does not fail");
        };
        line(heads);
        for row in &self.rows {
            line([
                row.name,
                &format!("{:.0}", row.requests_per_second),
                &format!("{:.2}", row.ratio_to_hyper),
                &format!("{:.1}", row.cpu_us_per_request),
                &format!("{:.2}", row.cpu_us_per_request / self.hyper_cpu(row)),
                &format!("{:.2}", row.p50_ms),
                &format!("{:.2}", row.p99_ms),
            ]);
        }
        text
    }

    fn hyper_cpu(&self, row: &RowResult) -> f64 {
        let hyper = ROWS.iter().find(|known| known.name == row.name).map(|known| known.hyper);
        let hyper = self.rows.iter().find(|other| Some(other.name) == hyper);
        hyper.map_or(f64::NAN, |hyper| hyper.cpu_us_per_request)
    }
}
