//! What is compared with what: one table.

use std::path::Path;

use crate::process::Stage;
use crate::requests::RequestCount;
use crate::{hyper_server, onrush_server};

/// A line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What it is called in the table and on the command line.
    pub name: &'static str,
    /// Who answers.
    pub contender: Contender,
    /// Keep-alive connections, each with one request under way.
    pub connections: usize,
    /// The name of the bare hyper row with as many connections.
    pub hyper: &'static str,
    /// What is measured, for `--help`.
    pub about: &'static str,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// Bare hyper with a fixed answer: what HTTP itself costs.
    Hyper,
    /// `onrush serve` with its shipped defaults.
    Onrush,
}

/// All rows, in the order in which a round runs them.
pub const ROWS: &[Row] = &[
    Row {
        name: "hyper",
        contender: Contender::Hyper,
        connections: 64,
        hyper: "hyper",
        about: "bare hyper, one thread, a fixed answer; 64 connections",
    },
    Row {
        name: "onrush",
        contender: Contender::Onrush,
        connections: 64,
        hyper: "hyper",
        about: "a durable hold of one named seat over HTTP; 64 connections",
    },
    Row {
        name: "hyper-256",
        contender: Contender::Hyper,
        connections: 256,
        hyper: "hyper-256",
        about: "bare hyper with 256 connections",
    },
    Row {
        name: "onrush-256",
        contender: Contender::Onrush,
        connections: 256,
        hyper: "hyper-256",
        about: "a durable hold with 256 connections",
    },
];

impl Contender {
    /// What the contender is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Onrush => "onrush",
        }
    }

    /// Starts the contender's server, with its data below `dir`, and makes the requests for it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(self, dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
        match self {
            Self::Hyper => hyper_server::start(count),
            Self::Onrush => onrush_server::start(dir, count),
        }
    }
}

/// The rows that a name stands for: its own, those of the contender of that name, and all that are compared with them;
/// `None` where there is none. Whatever is compared comes with what it is compared with.
pub fn selected(names: &[String]) -> Result<Vec<Row>, String> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| goes_by(*row, name))) {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row '{unknown}'; there are {}", known.join(", ")));
    }
    let wanted = |row: &Row| names.iter().any(|name| goes_by(*row, name) || goes_by(hyper_of(*row), name));
    let compared: Vec<&str> = ROWS.iter().filter(|row| wanted(row)).map(|row| row.hyper).collect();
    let with_its_hyper = |row: &&Row| wanted(row) || compared.contains(&row.name);
    Ok(ROWS.iter().filter(with_its_hyper).copied().collect())
}

fn goes_by(row: Row, name: &str) -> bool {
    row.name == name || row.contender.name() == name
}

fn hyper_of(row: Row) -> Row {
    *ROWS.iter().find(|other| other.name == row.hyper).expect("every row names a hyper row of the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Vec<&'static str> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        selected(&wanted).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn a_name_brings_what_it_is_compared_with() {
        let all = ["hyper", "onrush", "hyper-256", "onrush-256"];
        assert_eq!(names(&[]), all);
        assert_eq!(names(&["hyper"]), all);
        assert_eq!(names(&["onrush"]), all);
        assert_eq!(names(&["onrush-256"]), ["hyper-256", "onrush-256"]);
        assert!(selected(&["moon".to_owned()]).unwrap_err().contains("hyper-256"));
    }
}
