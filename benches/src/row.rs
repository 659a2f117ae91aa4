//! What is compared with what: one table.

use crate::contender::Contender;

/// A line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What it is called in the table and on the command line.
    pub name: &'static str,
    /// What is measured.
    pub contender: Contender,
    /// Connections, or callers, each with one request under way.
    pub connections: usize,
    /// The bare hyper row with as many connections, where a ratio to it says something.
    pub hyper: Option<&'static str>,
    /// Other rows that it is compared with.
    pub beside: &'static [&'static str],
    /// What is measured, for `--help`.
    pub about: &'static str,
}

/// All rows, in the order in which a round runs them.
pub const ROWS: &[Row] = &[
    hyper("hyper", 64, "bare hyper, one thread, a fixed answer; 64 connections"),
    served(Contender::Onrush, "onrush", &[], "a durable hold of one named seat over HTTP"),
    served(Contender::OnrushApart, "onrush-apart", &["onrush"], "the same, the engine in a process behind the edge's"),
    served(Contender::RedisBehindFront, "redis-behind-front", &["onrush"], "Redis, a Lua hold, appendfsync always"),
    served(Contender::RedisProtocol, "redis-protocol", &["onrush"], "the same without HTTP"),
    served(
        Contender::PostgresqlBehindFront,
        "postgresql-behind-front",
        &["onrush"],
        "PostgreSQL, a conditional UPDATE",
    ),
    served(Contender::PostgresqlProtocol, "postgresql-protocol", &["onrush"], "the same without HTTP"),
    hyper("hyper-256", 256, "bare hyper with 256 connections"),
    served_256(Contender::Onrush, "onrush-256", &[], "a durable hold with 256 connections"),
    served_256(
        Contender::OnrushApart,
        "onrush-apart-256",
        &["onrush-256"],
        "an engine behind an edge with 256 connections",
    ),
    served_256(Contender::RedisBehindFront, "redis-behind-front-256", &["onrush-256"], "Redis with 256 connections"),
    served_256(
        Contender::PostgresqlBehindFront,
        "postgresql-behind-front-256",
        &["onrush-256"],
        "PostgreSQL with 256 connections",
    ),
    queue(Contender::Mailbox, "mailbox", &[], "there and back through an actor's mailbox, 64 callers"),
    queue(Contender::RabbitmqRpc, "rabbitmq-rpc", &["mailbox"], "there and back through RabbitMQ, direct reply-to"),
    queue(Contender::Wrk, "wrk", &[], "what wrk gets out of bare hyper, and its own CPU"),
    queue(Contender::Loadgen, "loadgen", &["wrk"], "what onrush-loadgen gets out of it"),
];

const fn hyper(name: &'static str, connections: usize, about: &'static str) -> Row {
    Row { name, contender: Contender::Hyper, connections, hyper: Some(name), beside: &[], about }
}

const fn served(contender: Contender, name: &'static str, beside: &'static [&'static str], about: &'static str) -> Row {
    Row { name, contender, connections: 64, hyper: Some("hyper"), beside, about }
}

const fn served_256(
    contender: Contender,
    name: &'static str,
    beside: &'static [&'static str],
    about: &'static str,
) -> Row {
    Row { name, contender, connections: 256, hyper: Some("hyper-256"), beside, about }
}

const fn queue(contender: Contender, name: &'static str, beside: &'static [&'static str], about: &'static str) -> Row {
    Row { name, contender, connections: 64, hyper: None, beside, about }
}

/// The rows that names stand for: each its own, and those of the contender of that name. Whatever is compared comes with
/// what it is compared with.
///
/// # Errors
/// Where there is no such row, with those that there are.
pub fn selected(names: &[String]) -> Result<Vec<Row>, String> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| goes_by(row, name))) {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row '{unknown}'; there are {}", known.join(", ")));
    }
    let mut wanted: Vec<bool> = ROWS.iter().map(|row| names.iter().any(|name| goes_by(row, name))).collect();
    // Once for what a row is compared with, and once for what that is.
    for _ in 0..2 {
        let compared: Vec<&str> =
            ROWS.iter().zip(&wanted).filter(|(_, wanted)| **wanted).flat_map(|(row, _)| row.compared_with()).collect();
        ROWS.iter().zip(&mut wanted).for_each(|(row, wanted)| *wanted |= compared.contains(&row.name));
    }
    Ok(ROWS.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(row, _)| *row).collect())
}

impl Row {
    fn compared_with(&self) -> impl Iterator<Item = &'static str> {
        self.hyper.into_iter().chain(self.beside.iter().copied())
    }
}

/// Bare hyper alone says nothing, so its names stand for Onrush, too.
fn goes_by(row: &Row, name: &str) -> bool {
    let is_beside_hyper = row.contender == Contender::Onrush && (name == "hyper" || row.hyper == Some(name));
    row.name == name || row.contender.name() == name || is_beside_hyper
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
        assert_eq!(names(&[]).len(), ROWS.len());
        assert_eq!(names(&["hyper"]), ["hyper", "onrush", "hyper-256", "onrush-256"]);
        assert_eq!(names(&["hyper-256"]), ["hyper-256", "onrush-256"]);
        assert_eq!(names(&["onrush"]), ["hyper", "onrush", "hyper-256", "onrush-256"]);
        assert_eq!(names(&["onrush-256"]), ["hyper-256", "onrush-256"]);
        assert_eq!(names(&["redis-protocol"]), ["hyper", "onrush", "redis-protocol"]);
        assert_eq!(names(&["loadgen"]), ["wrk", "loadgen"]);
        assert!(selected(&["moon".to_owned()]).unwrap_err().contains("hyper-256"));
    }

    #[test]
    fn what_a_row_is_compared_with_is_a_row_before_it() {
        for (place, row) in ROWS.iter().enumerate() {
            for other in row.compared_with() {
                let known = ROWS[..=place].iter().find(|known| known.name == other);
                assert!(known.is_some_and(|known| known.connections == row.connections), "{}", row.name);
            }
        }
    }
}
