//! P9: availability of a stadium in which nobody buys, asked for over and over, beside bare hyper with the same bytes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::answer;
use benches::client::{self, Load, Measured};
use benches::goal::{print, wanted};
use benches::process::Stage;
use benches::requests::{RequestCount, Requests};
use benches::rounds::median;
use benches::wire::Wire;
use benches::{hyper_server, onrush_server, platform};

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
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let (onrush, hyper) = round(dir)?;
        ratios.push(onrush.requests_per_second() / hyper.requests_per_second());
        rates.push(onrush.requests_per_second());
    }
    let (ratio, rate) = (median(ratios), median(rates));
    print(&format!(
        "P9 availability of 50000 seats, while nobody buys: {rate:.0}/s, {ratio:.2} × bare hyper with the same bytes \
         (goal ≥ 0.9)"
    ));
    Ok(())
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
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
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
