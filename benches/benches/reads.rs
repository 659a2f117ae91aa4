//! P9: availability of a stadium in which nobody buys, asked for over and over, beside bare hyper with the same bytes; and
//! what holds lose where availability is asked for beside them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use benches::answer;
use benches::client::{self, Load, Measured};
use benches::goal::{Bound, print, wanted};
use benches::process::Stage;
use benches::requests::{RequestCount, Requests};
use benches::rounds::median;
use benches::wire::Wire;
use benches::{hold, hyper_server, onrush_server, platform};

const ROUNDS: usize = 5;
const LOAD: Load = Load { connections: 64, warm_up: Duration::from_millis(300), window: Duration::from_millis(2000) };
const PER_SECOND_MAX: u32 = 110_000;

fn main() -> anyhow::Result<()> {
    hyper_server::serve_if_asked()?;
    if !wanted("reads") {
        return Ok(());
    }
    onrush_server::build()?;
    let dir = &platform::beside_programs()?;
    let mut ratios = Vec::new();
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (onrush, hyper) = round(dir)?;
        costs.push(onrush.cpu_us_per_request());
        ratios.push(onrush.requests_per_second() / hyper.requests_per_second());
        rates.push(onrush.requests_per_second());
    }
    let (ratio, rate) = (median(ratios), median(rates));
    print(&format!(
        "P9 availability of 50000 seats, while nobody buys: {rate:.0}/s, {ratio:.2} × bare hyper with the same bytes \
         ({})",
        Bound::AtLeast(0.9).beside(ratio)
    ));
    beside_holds(dir, median(costs))
}

/// What holds lose while availability is asked for, and what the CPU that the answers take explains of it.
fn beside_holds(dir: &Path, cpu_us_per_read: f64) -> anyhow::Result<()> {
    let (mut alone, mut beside, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(holds(dir, false)?.0);
        let (rate, reads_per_second) = holds(dir, true)?;
        beside.push(rate);
        reads.push(reads_per_second);
    }
    let (alone, beside, reads) = (median(alone), median(beside), median(reads));
    print(&format!(
        "P9 holds beside {reads:.0} reads/s of what they change: {beside:.0}/s, {:.1} % fewer than the {alone:.0} alone; an \
         answer read over and over takes {cpu_us_per_read:.1} µs of CPU, so these take {:.1} % of a core (goal: no more)",
        (1.0 - beside / alone) * 100.0,
        reads * cpu_us_per_read / 1e4,
    ));
    Ok(())
}

/// Holds a second in a closed loop; and reads a second beside them, of a performance that they are in.
fn holds(dir: &Path, with_reads: bool) -> anyhow::Result<(f64, f64)> {
    let count = RequestCount::for_span(LOAD.span(), PER_SECOND_MAX);
    let running = onrush_server::Running::start(dir)?;
    let halls = count.halls(hold::labels().len());
    let body = onrush_server::stadium();
    let performances = onrush_server::add_performances(running.address, &running.key, halls, &body)?;
    let request =
        format!("GET /v1/performances/{}/availability HTTP/1.1\r\nHost: {}\r\n\r\n", performances[0], running.address);
    let address = running.address;
    let requests = Requests::holds(address, &performances, &running.key, count);
    let stage = running.stage(requests);
    let over = AtomicBool::new(!with_reads);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(address, &request, &over));
        let measured = client::measure(&stage, LOAD);
        over.store(true, Ordering::Relaxed);
        let reads = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        Ok((measured?.requests_per_second(), reads))
    })
}

/// One client that reads, and looks at what it has read for a moment; reads a second.
fn read_until(address: SocketAddr, request: &str, over: &AtomicBool) -> anyhow::Result<f64> {
    const LOOK: Duration = Duration::from_micros(400);
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    let (begun, mut reads) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        ask(&mut stream, request)?;
        reads += 1;
        std::thread::sleep(LOOK);
    }
    Ok(f64::from(reads) / begun.elapsed().as_secs_f64())
}

fn round(dir: &Path) -> anyhow::Result<(Measured, Measured)> {
    let count = RequestCount::for_span(LOAD.span(), PER_SECOND_MAX);
    let running = onrush_server::Running::start(dir)?;
    let performances = onrush_server::add_performances(running.address, &running.key, 1, &onrush_server::stadium())?;
    let path = format!("/v1/performances/{}/availability", performances[0]);
    let request = |address| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let body = get(running.address, &request(running.address))?;
    let requests = Requests::repeated(&request(running.address), count);
    let mut stage = running.stage(requests);
    stage.wire = Wire::HttpStatus(200);
    let onrush = client::measure(&stage, LOAD)?;
    drop(stage);

    let file = tempfile::NamedTempFile::new_in(dir).context("cannot write the answer down")?;
    fs::write(file.path(), body).context("cannot write the answer down")?;
    let (process, address) = hyper_server::start_with_body(file.path())?;
    let requests = Requests::repeated(&request(address), count);
    let stage = Stage { processes: vec![process], address, wire: Wire::HttpStatus(200), requests, data: None };
    Ok((onrush, client::measure(&stage, LOAD)?))
}

/// The body of one answer.
fn get(address: SocketAddr, request: &str) -> anyhow::Result<Vec<u8>> {
    ask(&mut TcpStream::connect(address).context("cannot connect")?, request)
}

fn ask(stream: &mut TcpStream, request: &str) -> anyhow::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).context("cannot send")?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = stream.read(&mut chunk).context("no answer")?;
        ensure!(read > 0, "the server closed the connection");
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(answer) = answer::parse(&bytes)? {
            return Ok(bytes[answer.body].to_vec());
        }
    }
}
