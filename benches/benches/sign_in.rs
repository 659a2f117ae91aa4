//! What owners of accounts notice of a botnet that tries stolen passwords: how long it takes them to sign in.
//!
//! The control plane as it is shipped, in this process, asked as an edge asks it. The bots have a list of addresses, some
//! of which have accounts, and come from ten thousand places; they send on, whatever is answered. Owners sign in from where
//! they always do, or from somewhere else, at a fixed rate: what counts is the time from when each was due.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use benches::goal::{Bound, print, resident, wanted};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use onrush_api::key_file::KeyFile;
use onrush_api::peer::Peer;
use onrush_control_plane::ControlPlane;
use onrush_control_plane::config::Config;
use onrush_engine::time::SystemClock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The binary's: another one may keep what hashing has given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRIES: u32 = 100_000;
const PLACES: u32 = 10_000;
/// On the bots' list; the first of them have accounts.
const ADDRESSES: u32 = 20_000;
const OWNERS: u32 = 10;
/// Tries a second: so many more than can be looked at that most are turned away.
const RATE: u32 = 2_000;
/// Between two owners who sign in.
const EVERY: Duration = Duration::from_millis(200);
const PASSWORD: &str = "a winter garden, 3 lamps";

fn main() -> anyhow::Result<()> {
    if !wanted("sign_in") {
        return Ok(());
    }
    // As `serve` on a small machine: one thread for calls, and others for what takes long.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let data = tempfile::tempdir().context("cannot make a directory")?;
    let plane = Arc::new(open(&data)?);
    for owner in 0..OWNERS {
        let draft = json!({"email": address(owner), "password": PASSWORD, "name": "Kim Minji", "role": "buyer"});
        ensure!(call(&plane, "/v1/accounts", home(owner), draft).await == 201, "nobody can sign up");
        ensure!(sign_in(&plane, owner, home(owner)).await == 201, "nobody can sign in");
    }
    let before = resident()?;
    let bots = tokio::spawn(guess(Arc::clone(&plane)));
    let owners = tokio::spawn(come_home(Arc::clone(&plane), bots.abort_handle()));
    let (told, (known, elsewhere, refused)) = (bots.await?, owners.await?);
    report(&told, &known, &elsewhere, refused);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    print(&format!("Resident: {:.0} MiB before the bots came, {:.0} MiB behind them", mib(before), mib(resident()?)));
    Ok(())
}

fn open(data: &tempfile::TempDir) -> anyhow::Result<ControlPlane> {
    let keys = Arc::new(KeyFile::open_or_create(&KeyFile::path_in(data.path()))?);
    let config = Config::new(data.path().to_owned());
    let nothing_outstanding = Box::new(|_, _| Box::pin(async { Ok(()) }) as _);
    let clock = Arc::new(SystemClock::start());
    let opened = ControlPlane::open(config, keys, Arc::default(), clock, nothing_outstanding, Box::new(|_| Ok(None)));
    opened.context("the control plane does not open")
}

fn address(number: u32) -> String {
    format!("name-{number}@example.org")
}

/// Where an owner is at home: no bot is there.
fn home(owner: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xCB00_7100 + owner).into()
}

/// One of the bots' places: 198.18.0.0/15 is for measuring.
fn place(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xC612_0000 + number % PLACES).into()
}

async fn call(plane: &ControlPlane, path: &str, from: IpAddr, body: Value) -> u16 {
    let request = Request::post(path).extension(Peer(from)).body(Bytes::from(body.to_string()));
    match plane.respond(request.expect("a request is well formed")).await {
        Ok(reply) => reply.status().as_u16(),
        Err(problem) => problem.status(),
    }
}

async fn sign_in(plane: &ControlPlane, owner: u32, from: IpAddr) -> u16 {
    call(plane, "/v1/sessions", from, json!({"email": address(owner), "password": PASSWORD})).await
}

/// How often the bots were answered with which status.
async fn guess(plane: Arc<ControlPlane>) -> BTreeMap<u16, u32> {
    let (mut tries, mut told) = (JoinSet::new(), BTreeMap::new());
    let begun = Instant::now();
    for number in 0..TRIES {
        tokio::time::sleep_until((begun + Duration::from_secs(1) * number / RATE).into()).await;
        let plane = Arc::clone(&plane);
        // Every tenth is for an account that there is.
        let whom = if number % 10 == 0 { number / 10 % OWNERS } else { number % ADDRESSES };
        let body = json!({"email": address(whom), "password": "hunter2, hunter2"});
        tries.spawn(async move { call(&plane, "/v1/sessions", place(number), body).await });
        while let Some(answered) = tries.try_join_next() {
            *told.entry(answered.expect("no try panics")).or_default() += 1;
        }
    }
    for answered in tries.join_all().await {
        *told.entry(answered).or_default() += 1;
    }
    told
}

/// How long owners took at home and elsewhere, in microseconds, and how many were turned away elsewhere.
async fn come_home(plane: Arc<ControlPlane>, bots: tokio::task::AbortHandle) -> (Histogram<u64>, Histogram<u64>, u32) {
    let (mut visits, begun) = (JoinSet::new(), Instant::now());
    for number in 0.. {
        let due = begun + EVERY * number;
        tokio::time::sleep_until(due.into()).await;
        if bots.is_finished() {
            break;
        }
        let (plane, owner, at_home) = (Arc::clone(&plane), number % OWNERS, (number / OWNERS).is_multiple_of(2));
        // Nobody's home, and no bot's: 192.0.2.0/24.
        let from = if at_home { home(owner) } else { Ipv4Addr::from_bits(0xC000_0200 + number % 256).into() };
        visits.spawn(async move { (at_home, sign_in(&plane, owner, from).await, due.elapsed()) });
    }
    let histogram = || Histogram::new(3).expect("three digits are in range");
    let (mut known, mut elsewhere, mut refused) = (histogram(), histogram(), 0);
    for (at_home, status, took) in visits.join_all().await {
        assert!(!at_home || status == 201, "an owner was kept out at home: {status}");
        let micros = took.as_micros() as u64;
        match (at_home, status) {
            (true, _) => known.record(micros).expect("an endless histogram takes all"),
            (false, 201) => elsewhere.record(micros).expect("an endless histogram takes all"),
            _ => refused += 1,
        }
    }
    (known, elsewhere, refused)
}

fn report(told: &BTreeMap<u16, u32>, known: &Histogram<u64>, elsewhere: &Histogram<u64>, refused: u32) {
    let answered: Vec<String> = told.iter().map(|(status, times)| format!("{times} × {status}")).collect();
    print(&format!("{TRIES} tries at {RATE}/s from {PLACES} places, answered {}", answered.join(", ")));
    let seconds = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    let p99 = seconds(known, 0.99);
    print(&format!(
        "An owner at home signs in meanwhile: all {} were let in, p50 {:.3} s, p99 {p99:.3} s ({})",
        known.len(),
        seconds(known, 0.5),
        Bound::AtMost(2.0).beside(p99),
    ));
    print(&format!(
        "An owner elsewhere, of whom the account knows nothing: {} let in, p99 {:.3} s; {refused} asked to come back",
        elsewhere.len(),
        seconds(elsewhere, 0.99),
    ));
}
