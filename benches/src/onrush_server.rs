//! `onrush serve` as it is shipped, in an empty directory, with as many stadiums on sale as a round can fill.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::hold;
use crate::key::Key;
use crate::process::{Process, Stage};
use crate::requests::{self, RequestCount, Requests};
use crate::wire::Wire;

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
    let program = this.with_file_name(name);
    ensure!(program.exists(), "there is no {}; build it: cargo build --release -p {name}", program.display());
    Ok(program)
}

/// Starts Onrush with its data in a new directory below `dir`.
///
/// # Errors
/// Where it does not start, or does not take the stadiums.
pub fn start(dir: &Path, count: RequestCount) -> anyhow::Result<Stage> {
    let data = tempfile::tempdir_in(dir).context("cannot make a directory for Onrush's data")?;
    let mut command = Command::new(program("onrush")?);
    // Shipped defaults, whatever the caller's own Onrush is told.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ONRUSH_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
    command.env("ONRUSH_DEMO", "false").env("ONRUSH_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = Process::start(&mut command)?;
    let address = wait_for_address(&mut process, data.path())?;
    let key = Key::read(&data.path().join("token.key"))?;
    let performances = Seller::new(address, &key)?.make_stadiums(count.halls(hold::labels().len()))?;
    let requests = Requests::holds(address, &performances, &key, count);
    Ok(Stage { processes: vec![process], address, wire: Wire::Http, requests, data: Some(data) })
}

/// The server writes its address once it answers.
fn wait_for_address(process: &mut Process, data: &Path) -> anyhow::Result<SocketAddr> {
    let address = process.wait_for("an address", || {
        fs::read_to_string(data.join("address")).ok().filter(|address| address.ends_with('\n'))
    })?;
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
    fn new(address: SocketAddr, key: &Key) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect to onrush")?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).context("no timeout")?;
        Ok(Self { address, stream, token: key.token("acc_versus-seller", "seller"), run: hold::run(), posts: 0 })
    }

    fn make_stadiums(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let show = self.post("/v1/shows", &json!({ "title": "Versus", "field": "concert", "venue": "Stadium" }))?;
        let path = format!("/v1/shows/{}/performances", id(&show)?);
        (0..count).map(|_| id(&self.post(&path, &stadium())?)).collect()
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
fn stadium() -> Value {
    let tier = |name: &str, amount: u32| json!({ "name": name, "price": { "amount": amount, "currency": "KRW" } });
    json!({
        "starts_at": "2099-01-01T00:00:00Z",
        "venue_preset": hold::VENUE,
        "tiers": [tier("R", 165_000), tier("S", 132_000), tier("A", 99_000)],
        "sale": { "hold_ttl_seconds": 3600, "max_seats_per_buyer": 1_000_000, "max_holds_per_buyer": 1_000_000 },
    })
}
