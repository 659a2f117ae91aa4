//! The client, the same for every server: one thread, a closed loop, one request under way on each connection.
//!
//! It has to be cheap, as it shares the machine with the server: epoll, one read and one write a request, no runtime.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::process::{Stage, cpu_time, machine_cpu_time};
use crate::wire::Wire;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Keep-alive connections.
    pub connections: usize,
    /// Before anything counts: caches fill, tokens are checked for the first time.
    pub warm_up: Duration,
    /// What counts.
    pub window: Duration,
}

impl Load {
    /// All of it.
    pub fn span(self) -> Duration {
        self.warm_up + self.window
    }
}

/// What came of it.
pub struct Measured {
    /// Answers within the window; each was a hold.
    pub answers: u64,
    /// The window: shorter than asked for, where a server was through with the requests before its end.
    pub elapsed: Duration,
    /// The server's user and system time within the window.
    pub cpu: Duration,
    /// The client's own, which is one thread: close to the window, the client is what limits.
    pub client_cpu: Duration,
    /// What the whole machine used: what is more than server and client were others, who disturb.
    pub machine_cpu: Duration,
    /// From the write of each request to the end of its answer, in nanoseconds.
    pub latencies: Histogram<u64>,
}

impl Measured {
    /// Answers a second.
    pub fn requests_per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the server's CPU for each answer.
    pub fn cpu_us_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answers as f64
    }

    /// How much of the window the client was busy, in percent.
    pub fn client_busy_percent(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 100.0 / self.elapsed.as_secs_f64()
    }

    /// How much of one core other processes took, in percent.
    pub fn others_busy_percent(&self) -> f64 {
        let others = self.machine_cpu.saturating_sub(self.cpu + self.client_cpu);
        others.as_secs_f64() * 100.0 / self.elapsed.as_secs_f64()
    }

    /// The latency that `quantile` of the requests do not exceed.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// A server that says nothing for so long has failed.
pub(crate) const SILENCE_MAX: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Sends a stage's requests, and measures.
///
/// # Errors
/// Where anything but a hold comes, with what came instead.
pub fn measure(stage: &Stage, load: Load) -> anyhow::Result<Measured> {
    let mut client = Client::connect(stage, load.connections)?;
    client.run_until(Instant::now() + load.warm_up)?;
    ensure!(!client.is_through(), "the server was through with all requests before the measurement began");
    client.latencies.reset();
    let cpu = || anyhow::Ok([stage.cpu_time()?, cpu_time(std::process::id())?, machine_cpu_time()?]);
    let before = cpu()?;
    let begun = Instant::now();
    client.run_until(begun + load.window)?;
    let elapsed = begun.elapsed();
    let after = cpu()?;
    let [cpu, client_cpu, machine_cpu] = [0, 1, 2].map(|at| after[at].saturating_sub(before[at]));
    let latencies = client.latencies;
    Ok(Measured { answers: latencies.len(), elapsed, cpu, client_cpu, machine_cpu, latencies })
}

struct Client<'a> {
    stage: &'a Stage,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    events: Vec<epoll::Event>,
    latencies: Histogram<u64>,
    /// The place of the next request.
    next: usize,
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    wire: Wire,
    /// When the request under way was sent.
    sent: Instant,
    buffer: Box<[u8]>,
    filled: usize,
}

/// More than any answer here: availability of a stadium has 17 KB.
const BUFFER_BYTES: usize = 32 * 1024;

impl<'a> Client<'a> {
    fn connect(stage: &'a Stage, count: usize) -> anyhow::Result<Self> {
        let (epoll, connections) = connect_all(stage, count)?;
        let latencies = Histogram::new(3).context("no histogram")?;
        let mut client = Self { stage, epoll, connections, events: Vec::with_capacity(count), latencies, next: 0 };
        for place in 0..count {
            client.send(place)?;
        }
        Ok(client)
    }

    /// Whether a connection had nothing left to send.
    fn is_through(&self) -> bool {
        self.stage.requests.get(self.next).is_none()
    }

    fn run_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut now = Instant::now();
        while now < end && !self.is_through() {
            self.events.clear();
            let ready = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&SILENCE_MAX));
            ensure!(ready.context("epoll failed")? > 0, "no answer for {} s", SILENCE_MAX.tv_sec);
            for at in 0..self.events.len() {
                let place = self.events[at].data.u64() as usize;
                if self.connections[place].receive()? {
                    now = Instant::now();
                    let latency = now - self.connections[place].sent;
                    self.latencies.record(latency.as_nanos() as u64).context("no room in the histogram")?;
                    self.send(place)?;
                }
            }
        }
        Ok(())
    }

    /// Sends the next request, if there is one left.
    fn send(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(request) = self.stage.requests.get(self.next) else { return Ok(()) };
        self.next += 1;
        self.connections[place].send(request)
    }
}

/// So many connections, and what tells which of them has something to read.
pub(crate) fn connect_all(stage: &Stage, count: usize) -> anyhow::Result<(OwnedFd, Vec<Connection>)> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
    let mut connections = Vec::with_capacity(count);
    for place in 0..count {
        let connection = Connection::open(stage)?;
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN).context("no epoll")?;
        connections.push(connection);
    }
    Ok((epoll, connections))
}

impl Connection {
    fn open(stage: &Stage) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(stage.address).context("cannot connect")?;
        stream.set_nodelay(true).context("no TCP_NODELAY")?;
        stage.wire.greet(&mut stream)?;
        stream.set_nonblocking(true).context("no non-blocking socket")?;
        Ok(Self { stream, wire: stage.wire, sent: Instant::now(), buffer: vec![0; BUFFER_BYTES].into(), filled: 0 })
    }

    /// Sends one request.
    pub(crate) fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.sent = Instant::now();
        // An idle connection's buffer takes a request whole.
        let written = self.stream.write(request).context("cannot send")?;
        ensure!(written == request.len(), "the connection took {written} bytes of {}", request.len());
        Ok(())
    }

    /// Reads what is there; whether that completes the answer.
    pub(crate) fn receive(&mut self) -> anyhow::Result<bool> {
        let read = match self.stream.read(&mut self.buffer[self.filled..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            read => read.context("the connection broke")?,
        };
        ensure!(read > 0, "the server closed a connection");
        self.filled += read;
        let bytes = &self.buffer[..self.filled];
        if !self.wire.is_held(bytes)? {
            ensure!(self.filled < BUFFER_BYTES, "an answer is longer than {BUFFER_BYTES} bytes");
            return Ok(false);
        }
        self.filled = 0;
        Ok(true)
    }
}
