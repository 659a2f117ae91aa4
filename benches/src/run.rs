//! Of what, when and how a comparison was made: without that its figures cannot be repeated.

use std::fmt;
use std::process::Command;

use serde::Serialize;

use crate::postgresql_server;
use crate::rounds::Plan;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When it ended, RFC 3339.
    pub at: String,
    /// The commit of these sources, `-dirty` where they differ from it; empty outside a repository.
    pub commit: String,
    /// How often each row was measured.
    pub rounds: u32,
    /// How long, in seconds.
    pub window_seconds: u64,
    /// What the servers beside Onrush say of themselves; nothing of those that are not installed.
    pub peers: Vec<String>,
}

impl Run {
    /// A run that has just ended.
    pub fn ended(plan: Plan) -> Self {
        let postgres = postgresql_server::programs().map(|programs| programs.join("postgres"));
        let postgres = postgres.and_then(|program| said(Command::new(program).arg("--version")));
        let peers = [said(Command::new("redis-server").arg("--version")), postgres];
        Self {
            at: said(Command::new("date").args(["-u", "+%FT%TZ"])).unwrap_or_default(),
            commit: said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]))
                .unwrap_or_default(),
            rounds: plan.rounds,
            window_seconds: plan.window.as_secs(),
            peers: peers.into_iter().flatten().collect(),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, commit, rounds, window_seconds, peers } = self;
        write!(f, "{at}, commit {commit}, {rounds} rounds of {window_seconds} s, interleaved, medians")?;
        peers.iter().try_for_each(|peer| write!(f, "\n{peer}"))
    }
}

/// The first line that a program prints; nothing where it is not there.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}
