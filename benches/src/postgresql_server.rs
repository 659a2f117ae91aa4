//! PostgreSQL 15 with a conditional UPDATE by a prepared statement: the row is the seat, and its lock the queue.
//!
//! Its settings, and why:
//! - `synchronous_commit = on`, `fsync = on`: an answer waits for the disk, as Onrush's does. Commits that wait at one
//!   time share a sync.
//! - `wal_level = minimal`, `max_wal_senders = 0`: nobody replicates here, so less is written.
//! - `shared_buffers = 512MB`, `max_wal_size = 8GB`, `checkpoint_timeout = 1h`: all in memory, and no checkpoint within a window.
//! - `fillfactor = 50`: an update finds room on its own page and touches no index (HOT).
//! - `autovacuum = off`: it would start within a window, and a window leaves nothing for it to do.
//! - 32 connections behind the front, in turns: with 16 and with 64 it was slower on two cores.
//!
//! The statement does less than Onrush does: no idempotency, no price, no limit. That is in PostgreSQL's favour, as is
//! a front that checks no token.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::front::{self, Store};
use crate::hold;
use crate::postgresql_wire;
use crate::process::{Process, Stage, free_port};
use crate::requests::{RequestCount, Requests, performances};
use crate::wire::Wire;

/// Takes a seat for an hour unless somebody has it.
pub const HOLD: &str = "UPDATE seats SET buyer = $3, until = now() + interval '1 hour' \
     WHERE performance = $1::bigint AND label = $2 AND (buyer IS NULL OR until < now())";

/// Who owns the database.
pub const USER: &str = "postgres";

const TABLE: &str = "CREATE TABLE seats (performance bigint, label text, buyer text, until timestamptz, \
     PRIMARY KEY (performance, label)) WITH (fillfactor = 50);";

const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "synchronous_commit=on",
    "fsync=on",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "max_connections=300",
];

/// Starts PostgreSQL, spoken to in its own protocol: one connection for each of the client's.
///
/// # Errors
/// Where it does not start.
pub fn start(count: RequestCount) -> anyhow::Result<Stage> {
    let Server { process, address, data } = Server::start(count)?;
    let buyers: Vec<String> = (0..hold::BUYERS).map(hold::buyer).collect();
    let requests = Requests::each(count, |place, performance, label| {
        let number = hold::performance_number(performance).expect("the benchmark's own name");
        postgresql_wire::hold(number, label, &buyers[place % buyers.len()])
    });
    Ok(Stage { processes: vec![process], address, wire: Wire::Postgresql, requests, data: Some(data) })
}

/// Starts PostgreSQL behind a thin front.
///
/// # Errors
/// Where one of them does not start.
pub fn start_behind_front(count: RequestCount) -> anyhow::Result<Stage> {
    let Server { process, address, data } = Server::start(count)?;
    front::start(&Store::Postgresql { address }, process, data, count)
}

/// Where the newest server's programs lie; Debian keeps them out of the path.
pub fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest = versions.max_by_key(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    Some(newest?.path().join("bin")).filter(|programs| programs.join("postgres").exists())
}

struct Server {
    process: Process,
    address: SocketAddr,
    data: TempDir,
}

impl Server {
    fn start(count: RequestCount) -> anyhow::Result<Self> {
        let programs = programs().context("PostgreSQL is not installed")?;
        // Its user may not enter the directories of others.
        let data = tempfile::tempdir_in("/var/tmp").context("cannot make a directory for PostgreSQL's data")?;
        let account = Account::to_run_as(data.path())?;
        let (cluster, port) = (data.path().join("cluster"), free_port()?);
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--auth=trust", "--username", USER, "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&cluster);
        run(account.apply(&mut initdb))?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&cluster).args(["-p", &port.to_string()]).arg("-k").arg(data.path());
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A fast shutdown: whoever is killed leaves shared memory behind.
        let mut process = Process::start_with_farewell(account.apply(&mut command), Signal::INT)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let greet = || postgresql_wire::ping(address).ok();
        process.wait_for("a PostgreSQL that answers", greet).context("postgres")?;
        fill(&programs.join("psql"), port, count)?;
        Ok(Self { process, address, data })
    }
}

/// Puts a row into the table for each seat.
fn fill(psql: &Path, port: u16, count: RequestCount) -> anyhow::Result<()> {
    let labels = hold::labels();
    let performances = performances(count).len();
    let mut script = format!("{TABLE}\nCREATE TEMP TABLE labels (label text);\nCOPY labels FROM stdin;\n");
    for label in &labels {
        script.push_str(label);
        script.push('\n');
    }
    script.push_str("\\.\n");
    let insert = "INSERT INTO seats SELECT performance, label FROM labels, generate_series(0, ";
    script.push_str(&format!("{insert}{}) performance;\nVACUUM ANALYZE seats;\nCHECKPOINT;\n", performances - 1));
    let mut command = Command::new(psql);
    command.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER]);
    command.args(["-p", &port.to_string(), "postgres"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().context("cannot start psql")?;
    child.stdin.take().context("psql has no input")?.write_all(script.as_bytes()).context("psql does not read")?;
    ensure!(child.wait().context("psql")?.success(), "psql cannot fill the table");
    Ok(())
}

/// Whose rights PostgreSQL runs with: it refuses to run as root.
enum Account {
    Own,
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// The account of Debian's package, which then owns `data`, where we are root.
    fn to_run_as(data: &Path) -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("no accounts")?;
        let line = accounts.lines().find(|line| line.starts_with("postgres:")).context("no account 'postgres'")?;
        let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
        let (uid, gid) = numbers.next().zip(numbers.next()).context("the account 'postgres' has no number")?;
        chown(data, Some(uid), Some(gid)).context("cannot give PostgreSQL its directory")?;
        Ok(Self::Other { uid, gid })
    }

    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::Own => command,
            Self::Other { uid, gid } => command.current_dir("/").uid(*uid).gid(*gid),
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", program.display());
    Ok(())
}
