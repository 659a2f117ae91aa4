//! What engines that are pods use, as a Prometheus knows it, or anything else that answers PromQL over its HTTP API
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/>): from the metrics that kubelets have of containers and volumes.

use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// A look is to be over before the next one.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Kubelets are scraped every half a minute, mostly: so this has two values at least.
const CPU: &str =
    r#"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{namespace=~"dep-.+",container="engine"}[2m]))"#;
const MEMORY: &str =
    r#"sum by (namespace, pod) (container_memory_working_set_bytes{namespace=~"dep-.+",container="engine"})"#;
const DISK: &str =
    r#"max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_used_bytes{namespace=~"dep-.+"})"#;

/// See the module.
pub struct Prometheus {
    client: reqwest::Client,
    url: String,
}

/// Why nobody says what engines use.
#[derive(Debug, Error)]
pub enum ReadingError {
    /// It cannot be asked.
    #[error("cannot ask {url}")]
    Url {
        /// Its address.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// It is not there, or says something else than it should.
    #[error("the server that knows what engines use does not answer")]
    Silent(#[from] reqwest::Error),
    /// It refuses.
    #[error("the server that knows what engines use says: {0}")]
    Refused(String),
}

/// What an engine uses just now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) cpu_cores: f64,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
}

/// By namespace and engine.
pub(crate) type Readings = BTreeMap<(String, u32), Used>;

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// A time, and a number as text.
    value: (f64, String),
}

impl Prometheus {
    /// The server at an address, `http://host:port` and perhaps a path.
    ///
    /// # Errors
    /// [`ReadingError::Url`].
    pub fn new(url: &str) -> Result<Self, ReadingError> {
        static PROVIDER: Once = Once::new();
        // Somebody else may have done so.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let why = |source| ReadingError::Url { url: url.to_owned(), source };
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(why)?;
        let url = format!("{}/api/v1/query", url.trim_end_matches('/'));
        client.get(&url).build().map_err(why)?;
        Ok(Self { client, url })
    }

    /// What all engines use.
    pub(crate) async fn read(&self) -> Result<Readings, ReadingError> {
        let (cpu, memory, disk) = tokio::try_join!(self.ask(CPU), self.ask(MEMORY), self.ask(DISK))?;
        Ok(readings(&cpu, &memory, &disk))
    }

    async fn ask(&self, query: &str) -> Result<Vec<Sample>, ReadingError> {
        let answer: Answer = self.client.get(&self.url).query(&[("query", query)]).send().await?.json().await?;
        match answer.data {
            Some(data) if answer.status == "success" => Ok(data.result),
            _ => Err(ReadingError::Refused(answer.error)),
        }
    }
}

/// Pure.
fn readings(cpu: &[Sample], memory: &[Sample], disk: &[Sample]) -> Readings {
    let mut all = Readings::new();
    for (engine, value) in cpu.iter().filter_map(|sample| sample.of_engine("pod", "")) {
        all.entry(engine).or_default().cpu_cores = value;
    }
    for (engine, value) in memory.iter().filter_map(|sample| sample.of_engine("pod", "")) {
        all.entry(engine).or_default().memory_bytes = value as u64;
    }
    for (engine, value) in disk.iter().filter_map(|sample| sample.of_engine("persistentvolumeclaim", "data-")) {
        // A volume stays when its engine has gone: that is nobody's use.
        all.entry(engine).and_modify(|used| used.disk_bytes = value as u64);
    }
    all
}

impl Sample {
    /// Whose it is, and the value; nothing where it is no engine's, or no number.
    fn of_engine(&self, label: &str, prefix: &str) -> Option<((String, u32), f64)> {
        let name = self.metric.get(label)?.strip_prefix(prefix)?;
        let number = name.strip_prefix("engine-")?.strip_suffix("-0")?.parse().ok()?;
        let value = self.value.1.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)?;
        Some(((self.metric.get("namespace")?.clone(), number), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(label: &str, all: &[(&str, &str, &str)]) -> Vec<Sample> {
        let sample = |(namespace, name, value): &(&str, &str, &str)| Sample {
            metric: [("namespace".to_owned(), (*namespace).to_owned()), (label.to_owned(), (*name).to_owned())].into(),
            value: (1.0, (*value).to_owned()),
        };
        all.iter().map(sample).collect()
    }

    #[test]
    fn readings_are_those_of_engines_that_run() {
        let cpu = samples(
            "pod",
            &[("dep-a", "engine-0-0", "0.25"), ("dep-a", "raffle-7f9-x", "9"), ("dep-b", "engine-1-0", "NaN")],
        );
        let memory = samples(
            "pod",
            &[("dep-a", "engine-0-0", "1.5e8"), ("dep-a", "engine-12-0", "2048"), ("dep-b", "engine-x-0", "1")],
        );
        let disk = samples(
            "persistentvolumeclaim",
            &[("dep-a", "data-engine-0-0", "4096"), ("dep-gone", "data-engine-0-0", "8192")],
        );
        let of = |namespace: &str, engine| (namespace.to_owned(), engine);
        let wanted = [
            (of("dep-a", 0), Used { cpu_cores: 0.25, memory_bytes: 150_000_000, disk_bytes: 4_096 }),
            (of("dep-a", 12), Used { cpu_cores: 0.0, memory_bytes: 2_048, disk_bytes: 0 }),
        ];
        assert_eq!(readings(&cpu, &memory, &disk), wanted.into());
    }
}
