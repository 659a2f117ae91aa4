//! `onrush serve` as it is shipped, in an empty directory, with as many stadiums on sale as a round can fill.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use onrush_engine::seat_map::Seating;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::{self, Answer};
use crate::key::Key;
use crate::process::{Process, Stage};
use crate::requests::{self, RequestCount, Requests};
use crate::wire::Wire;
use crate::{hall, hold};

/// A stadium takes some milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds `onrush` and its load generator, so that what is measured is what the sources say.
///
/// # Errors
/// Where it does not build.
pub fn build() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built =
        Command::new(cargo).args(["build", "--release", "--quiet", "-p", "onrush", "-p", "onrush-loadgen"]).status();
    ensure!(built.context("cannot run cargo")?.success(), "onrush does not build");
    Ok(())
}

/// A program that was built: it lies beside this one.
///
/// # Errors
/// Where it does not.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    // A benchmark lies one directory deeper.
    let program = [this.with_file_name(name), this.with_file_name("..").join(name)];
    let program = program.iter().find(|program| program.exists()).unwrap_or(&program[0]).clone();
    ensure!(program.exists(), "there is no {}; build it: cargo build --release -p {name}", program.display());
    Ok(program)
}

/// Starts Onrush with its data in a new directory below `dir`, and as many stadiums on sale as the requests fill.
///
/// # Errors
/// Where it does not start, or does not take the stadiums.
pub fn start(dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
    let running = Running::start(dir)?;
    let halls = count.halls(hold::labels().len());
    let performances = add_performances(running.address, &running.key, halls, &stadium())?;
    let requests = Requests::holds(running.address, &performances, &running.key, count);
    Ok(running.stage(requests))
}

/// The same with engine and edge as processes of their own.
///
/// # Errors
/// As [`start`].
pub fn start_apart(dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
    let data = tempfile::tempdir_in(dir).context("cannot make a directory for Onrush's data")?;
    let (engine_data, edge_data) = (data.path().join("engine"), data.path().join("edge"));
    let mut command = onrush("engine", &engine_data)?;
    let mut engine = Process::start(command.args(["--engine-listen", "127.0.0.1:0"]))?;
    let engine_address = wait_for_address(&mut engine, &engine_data.join("engine-address"))?.to_string();
    let mut command = onrush("edge", &edge_data)?;
    command.args(["--listen", "127.0.0.1:0", "--engines", &engine_address, "--engine-key-file"]);
    let mut edge = Process::start(command.arg(engine_data.join("engine.key")))?;
    let address = wait_for_address(&mut edge, &edge_data.join("address"))?;
    let key = Key::read(&edge_data.join("token.key"))?;
    let halls = count.halls(hold::labels().len());
    let performances = add_performances(address, &key, halls, &stadium())?;
    let requests = Requests::holds(address, &performances, &key, count);
    Ok(Stage { processes: vec![edge, engine], address, wire: Wire::Http, requests, data: Some(data) })
}

/// A role of Onrush with shipped defaults, whatever the caller's own Onrush is told. What it says goes nowhere.
fn onrush(role: &str, data: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program("onrush")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ONRUSH_")) {
        command.env_remove(name);
    }
    command.arg(role).arg("--data").arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// Starts Onrush with many performances in halls of so many seats, and requests that go to each in turns.
///
/// # Errors
/// Where it does not start, or does not take the halls.
pub fn start_with_halls(dir: &Path, halls: usize, seats: u32, count: RequestCount) -> anyhow::Result<Stage> {
    let running = Running::start(dir)?;
    let performances = add_performances(running.address, &running.key, halls, &hall(seats))?;
    let labels = hold::shuffled(hall::inventory(seats).map());
    let requests = Requests::holds_across(running.address, &performances, &labels, &running.key, count);
    Ok(running.stage(requests))
}

/// A server with nothing on sale yet.
pub struct Running {
    /// The server.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it keeps.
    pub data: TempDir,
    /// What it believes tokens by.
    pub key: Key,
}

impl Running {
    /// Starts Onrush with its data in a new directory below `dir`.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let data = tempfile::tempdir_in(dir).context("cannot make a directory for Onrush's data")?;
        let mut process = Process::start(onrush("serve", data.path())?.args(["--listen", "127.0.0.1:0"]))?;
        let address = wait_for_address(&mut process, &data.path().join("address"))?;
        let key = Key::read(&data.path().join("token.key"))?;
        Ok(Self { process, address, data, key })
    }

    /// The server with what to ask it.
    pub fn stage(self, requests: Requests) -> Stage {
        let Self { process, address, data, .. } = self;
        Stage { processes: vec![process], address, wire: Wire::Http, requests, data: Some(data) }
    }
}

/// Puts performances on sale, each as `body` describes it. One seller makes so many, as accounts have a rate.
///
/// # Errors
/// Where Onrush refuses.
pub fn add_performances(address: SocketAddr, key: &Key, count: usize, body: &Value) -> anyhow::Result<Vec<String>> {
    const PERFORMANCES_PER_SELLER: usize = 1000;
    let mut performances = Vec::with_capacity(count);
    for first in (0..count).step_by(PERFORMANCES_PER_SELLER) {
        let share = PERFORMANCES_PER_SELLER.min(count - first);
        performances.extend(Seller::new(address, key, first)?.make(share, body)?);
    }
    Ok(performances)
}

/// The server writes its address once it answers.
fn wait_for_address(process: &mut Process, file: &Path) -> anyhow::Result<SocketAddr> {
    let address =
        process.wait_for("an address", || fs::read_to_string(file).ok().filter(|address| address.ends_with('\n')))?;
    address.trim().parse().context("the server's address")
}

/// Makes what the buyers then hold.
struct Seller {
    address: SocketAddr,
    stream: TcpStream,
    token: String,
    run: u64,
    posts: usize,
}

impl Seller {
    fn new(address: SocketAddr, key: &Key, number: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect to onrush")?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).context("no timeout")?;
        Ok(Self {
            address,
            stream,
            token: key.token(&format!("acc_versus-seller-{number}"), "seller"),
            run: hold::run(),
            posts: 0,
        })
    }

    fn make(&mut self, count: usize, performance: &Value) -> anyhow::Result<Vec<String>> {
        let show = self.post("/v1/shows", &json!({ "title": "Versus", "field": "concert", "venue": "Hall" }))?;
        let path = format!("/v1/shows/{}/performances", id(&show)?);
        (0..count).map(|_| id(&self.post(&path, performance)?)).collect()
    }

    fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.posts += 1;
        let key = hold::key(self.run, self.posts);
        let request = requests::post(self.address, path, &self.token, &key, &body.to_string());
        self.stream.write_all(request.as_bytes()).context("cannot send to onrush")?;
        let (answer, bytes) = self.read()?;
        let body = &bytes[answer.body];
        ensure!(answer.status == 201, "onrush said {} to {path}: {}", answer.status, String::from_utf8_lossy(body));
        serde_json::from_slice(body).context("onrush's answer is no JSON")
    }

    fn read(&mut self) -> anyhow::Result<(Answer, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut chunk).context("no answer from onrush")?;
            ensure!(read > 0, "onrush closed the connection");
            bytes.extend_from_slice(&chunk[..read]);
            if let Some(answer) = answer::parse(&bytes)? {
                return Ok((answer, bytes));
            }
        }
    }
}

fn id(made: &Value) -> anyhow::Result<String> {
    made["id"].as_str().map(str::to_owned).context("what onrush made has no id")
}

/// The stadium, with limits that do not matter here: every request has to be a hold.
pub fn stadium() -> Value {
    performance("venue_preset", &json!(hold::VENUE))
}

/// The hall of the other benchmarks, as a seller draws it.
fn hall(seats: u32) -> Value {
    let sections = hall::opening(1, seats).plan.sections;
    let sections = sections.iter().map(|section| {
        let Seating::Reserved(rows) = &section.seating else { unreachable!("the hall has rows") };
        let rows = rows.iter().map(|row| json!({ "name": row.name, "seats": hall::SEATS_PER_ROW }));
        let tier = ["R", "S", "A"][usize::from(section.tier.0)];
        json!({ "kind": "reserved", "name": section.name, "tier": tier, "rows": rows.collect::<Vec<_>>() })
    });
    performance("seat_map", &json!({ "sections": sections.collect::<Vec<_>>() }))
}

fn performance(layout: &str, value: &Value) -> Value {
    let tier = |name: &str, amount: u32| json!({ "name": name, "price": { "amount": amount, "currency": "KRW" } });
    json!({
        "starts_at": "2099-01-01T00:00:00Z",
        layout: value,
        "tiers": [tier("R", 165_000), tier("S", 132_000), tier("A", 99_000)],
        "sale": { "hold_ttl_seconds": 3600, "max_seats_per_buyer": 1_000_000, "max_holds_per_buyer": 1_000_000 },
    })
}
