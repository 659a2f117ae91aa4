//! Redis 7 with a script that takes a seat if nobody has it: what many ticket sites stand on.
//!
//! Its settings, and why:
//! - `appendonly yes`, `appendfsync always`: an answer waits for the disk, as Onrush's does. Redis writes and syncs once
//!   for all commands of one turn of its loop, which is a group commit, too.
//! - `save ""`, `auto-aof-rewrite-percentage 0`: no snapshot and no rewriting in the background during a window.
//! - everything else as shipped; more I/O threads gain nothing on a machine whose other core has the client.
//!
//! The script does less than Onrush does: no idempotency, no price, no order, no limit that is looked at. That is in
//! Redis's favour, as is a front that checks no token.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::front::{self, Store};
use crate::hold;
use crate::process::{Process, Stage, free_port};
use crate::redis_wire::{ask, command};
use crate::requests::{RequestCount, Requests};
use crate::wire::Wire;

/// Takes a seat for an hour unless somebody has it, and counts what the buyer has.
const SCRIPT: &str = "\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', 3600) then
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
  return 1
end
return 0";

/// Starts Redis, spoken to in its own protocol.
///
/// # Errors
/// Where it does not start.
pub fn start(dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
    let server = Server::start(dir)?;
    let buyers: Vec<String> = (0..hold::BUYERS).map(hold::buyer).collect();
    let requests = Requests::each(count, |place, performance, label| {
        let words = evalsha(&server.script, performance, label, &buyers[place % buyers.len()]);
        command(&words.each_ref().map(String::as_str))
    });
    let Server { process, address, data, .. } = server;
    Ok(Stage { processes: vec![process], address, wire: Wire::Redis, requests, data: Some(data) })
}

/// Starts Redis behind a thin front.
///
/// # Errors
/// Where one of them does not start.
pub fn start_behind_front(dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
    let Server { process, address, script, data } = Server::start(dir)?;
    front::start(&Store::Redis { address, script }, process, data, count)
}

/// The words of a hold.
pub fn evalsha(script: &str, performance: &str, label: &str, buyer: &str) -> [String; 6] {
    let keys = [format!("seat:{performance}:{label}"), format!("buyers:{performance}")];
    let [seat, buyers] = keys;
    ["EVALSHA".to_owned(), script.to_owned(), "2".to_owned(), seat, buyers, buyer.to_owned()]
}

struct Server {
    process: Process,
    address: SocketAddr,
    /// The script's digest.
    script: String,
    data: TempDir,
}

impl Server {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let data = tempfile::tempdir_in(dir).context("cannot make a directory for Redis's data")?;
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(data.path());
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.args(["--auto-aof-rewrite-percentage", "0", "--loglevel", "warning"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::start_with_farewell(&mut command, Signal::TERM)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        process.wait_for("a Redis that answers", || ask(address, &["PING"]).ok()).context("redis-server")?;
        let script = ask(address, &["SCRIPT", "LOAD", SCRIPT])?;
        ensure!(script.len() == 40, "Redis took the script for {script}");
        Ok(Self { process, address, script, data })
    }
}
