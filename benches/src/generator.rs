//! Load generators against bare hyper: `wrk`, and the one that comes with Onrush. The CPU is theirs, not the server's.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;

use crate::client::{Load, Measured};
use crate::process::{children_cpu_time, machine_cpu_time};
use crate::requests::RequestCount;
use crate::{hyper_server, onrush_server};

/// Whose rate is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// One thread of wrk.
    Wrk,
    /// `onrush-loadgen bare`.
    Loadgen,
}

impl Generator {
    /// Sends GETs for the length of a window.
    ///
    /// # Errors
    /// Where it does not run, or prints what cannot be read.
    pub fn measure(self, load: Load) -> anyhow::Result<Measured> {
        let stage = hyper_server::start(RequestCount(0))?;
        let url = format!("http://{}/", stage.address);
        let mut command = self.command(load, &url)?;
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let (cpu, machine, begun) = (children_cpu_time()?, machine_cpu_time()?, Instant::now());
        let output = command.output().context("cannot start the load generator")?;
        let elapsed = begun.elapsed();
        ensure!(output.status.success(), "the load generator failed");
        let text = String::from_utf8_lossy(&output.stdout);
        let report = self.read(&text).with_context(|| format!("cannot read what it printed: {text}"))?;
        report.measured(elapsed, children_cpu_time()? - cpu, machine_cpu_time()? - machine)
    }

    fn command(self, load: Load, url: &str) -> anyhow::Result<Command> {
        let (connections, seconds) = (load.connections.to_string(), load.window.as_secs().to_string());
        let mut command;
        match self {
            Self::Wrk => {
                command = Command::new("wrk");
                command.args(["--latency", "--threads", "1", "--connections", &connections]);
                command.args(["--duration", &format!("{seconds}s"), url]);
            }
            Self::Loadgen => {
                command = Command::new(onrush_server::program("onrush-loadgen")?);
                command.args(["bare", "--connections", &connections, "--seconds", &seconds, "--target", url]);
            }
        }
        Ok(command)
    }

    fn read(self, text: &str) -> Option<Report> {
        match self {
            Self::Wrk => read_wrk(text),
            Self::Loadgen => read_loadgen(text),
        }
    }
}

/// What a load generator says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Report {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Report {
    /// The rate is the generator's own, over its own time; starting it does not count.
    fn measured(self, elapsed: Duration, cpu: Duration, machine_cpu: Duration) -> anyhow::Result<Measured> {
        let answers = (self.per_second * elapsed.as_secs_f64()) as u64;
        let mut latencies = Histogram::new(3).context("no histogram")?;
        // Two quantiles are all that is known.
        latencies.record_n(self.p50.as_nanos() as u64, 98)?;
        latencies.record_n(self.p99.as_nanos() as u64, 2)?;
        Ok(Measured { answers, elapsed, cpu, client_cpu: Duration::ZERO, machine_cpu, latencies })
    }
}

/// `Requests/sec:  12345.67`, and lines `50%  1.23ms` and `99%  4.56ms`.
fn read_wrk(text: &str) -> Option<Report> {
    let value = |name: &str| {
        let mut lines = text.lines().map(str::split_ascii_whitespace);
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten())
    };
    let per_second = value("Requests/sec:")?.parse().ok()?;
    Some(Report { per_second, p50: span(value("50%")?)?, p99: span(value("99%")?)? })
}

/// `12345 requests/s (… answers, 0 failures; p50 123 µs, p99 456 µs)`.
fn read_loadgen(text: &str) -> Option<Report> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)?.parse().ok());
    let per_second = words.first()?.parse().ok()?;
    let no_failures = text.contains(" 0 failures");
    no_failures.then_some(())?;
    Some(Report { per_second, p50: Duration::from_micros(after("p50")?), p99: Duration::from_micros(after("p99")?) })
}

/// `12.3us`, `1.23ms`, `1.2s`.
fn span(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(digits.parse::<f64>().ok()? * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_they_print_is_read() {
        let wrk = "  Latency Distribution\n     50%  512.00us\n     75%    1.00ms\n     99%    2.50ms\nRequests/sec:  68400.50\n";
        let millis = |micros| Duration::from_micros(micros);
        let report = Report { per_second: 68400.5, p50: millis(512), p99: millis(2500) };
        assert_eq!(read_wrk(wrk), Some(report));
        let loadgen = "68400 requests/s (1 answers, 0 failures; p50 512 µs, p99 2500 µs)\n";
        assert_eq!(read_loadgen(loadgen), Some(Report { per_second: 68400.0, ..report }));
        assert_eq!(read_loadgen(&loadgen.replace(" 0 failures", " 3 failures")), None);
        assert_eq!(read_wrk("nothing"), None);
    }
}
