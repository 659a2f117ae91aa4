//! What a server is told: defaults, one TOML file, `ONRUSH_…` variables, flags; each overrides the one before.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use onrush_api::key_file::KeyFile;
use onrush_api::ticket_code::TicketKeys;
use onrush_control_plane::deployments::{IMAGE, RateCard, SYSTEM_NAMESPACE};
use onrush_control_plane::kubernetes::manifests::Front;
use onrush_engine::journal::Durability;
use thiserror::Error;

/// Every setting: name, default, meaning.
const TABLE: &[(&str, &str, &str)] = &[
    ("data", "./onrush-data", "directory of the journal, the snapshots, the accounts and the signing keys"),
    ("listen", "127.0.0.1:8080", "address of the API"),
    ("ops_listen", "", "address of /healthz, /readyz and /metrics; empty: the API's"),
    (
        "engine_listen",
        "127.0.0.1:7411",
        "address at which `onrush engine`, and a server that has edges, listens for what is asked of its engine",
    ),
    (
        "plane_listen",
        "",
        "address at which a server listens for edges, which are told of all its engines; empty: it has none",
    ),
    ("engine_address", "", "where edges find the server's own engine, as host:port; empty: at engine_listen"),
    ("control_plane", "", "the server that `onrush edge` asks, and is told of engines by, as host:port; empty: none"),
    ("engines", "", "engines of `onrush edge`, as host:port, with commas between them"),
    ("engine_key_file", "", "the key that engines and their edges share; empty: engine.key in the data directory"),
    (
        "wire_cert_file",
        "",
        "certificate, in PEM, between engines, edges and control planes, for the name onrush; empty: unencrypted",
    ),
    ("wire_cert_key_file", "", "the certificate's private key"),
    ("wire_ca_file", "", "the certificate of the authority that has signed it, and all others"),
    ("token_key_file", "", "the keys that sign access tokens; empty: token.key in the data directory"),
    ("ticket_key_file", "", "the keys that sign tickets; empty: ticket.key in the data directory"),
    ("durability", "fsync", "fsync: an answer means that the disk has it; relaxed: up to a second may be lost"),
    ("http_threads", "auto", "threads for connections; 0: the engine's own; auto: two less than cores, at most 8"),
    ("demo", "true", "publish a demo show where the data directory has none"),
    ("log", "info", "what is logged, as tracing's EnvFilter takes it"),
    ("log_format", "text", "text or json"),
    ("mailbox_capacity", "4096", "commands that may wait for one performance"),
    ("command_age_max_ms", "1000", "a command that waited longer is refused"),
    ("ballast_mib", "64", "room kept for a start on a full disk: 0, or 17 and more"),
    ("lease_ms", "6000", "an engine of its own that has not renewed its lease for so long may be replaced"),
    ("low_water_mib", "24", "with less room than this no new hold is made"),
    ("snapshot_every_events", "200000", "a performance's state is written down after so many events"),
    ("downtime_extension_max_seconds", "300", "holders get back the time that the server was away, up to this"),
    ("connections_max", "20000", "open connections"),
    ("streams_max", "10000", "clients that listen to availability at one time"),
    ("connections_per_prefix_max", "64", "open connections of one IPv4 address or IPv6 /64; loopback is exempt"),
    ("requests_in_flight_max", "20000", "requests worked on at one time"),
    ("requests_per_second_per_account", "1000", "requests of one account on average; twice as many at once"),
    ("header_read_timeout_ms", "10000", "the head of a request, or the next one, must be there within this"),
    ("body_read_timeout_ms", "10000", "a body must be there within this"),
    (
        "request_timeout_ms",
        "15000",
        "a request must be answered within this; else its outcome is unknown to the client",
    ),
    ("write_timeout_ms", "10000", "a client that takes nothing for so long is cut off"),
    ("drain_timeout_ms", "20000", "requests under way at a stop have so long to end"),
    ("token_cache_capacity", "100000", "access tokens whose check is remembered"),
    ("admin_email", "", "address of the first admin, who is made at a start where nobody has it; empty: none"),
    ("admin_password_file", "", "a file with the first admin's password"),
    ("access_token_ttl_seconds", "900", "how long an access token is valid"),
    ("session_ttl_hours", "720", "a session that is not refreshed for so long is over"),
    ("session_max_hours", "4320", "a session lasts so long at most, however often it is refreshed"),
    ("hashes_at_once_max", "2", "passwords that are hashed at one time; each takes a core and 19 MiB"),
    ("hashes_waiting_max", "200", "sign-ins that may wait for that"),
    ("payment_provider", "test-psp", "who takes payments: test-psp, where no money moves; stripe; or none"),
    ("test_psp_listen", "127.0.0.1:0", "address of the test provider; port 0: any that is free"),
    ("stripe_key_file", "", "a file with Stripe's secret key"),
    ("stripe_webhook_secret_file", "", "a file with the secret that Stripe signs its notices with"),
    ("stripe_url", "https://api.stripe.com", "address of Stripe's API"),
    ("deployments", "local", "what runs shows' own engines: local, as processes; kubernetes, as pods of a cluster"),
    (
        "engine_cgroup",
        "",
        "a cgroup (version 2) without processes that a server may divide: each show's engine that is a process is held to its size; empty: none is",
    ),
    ("engine_image", IMAGE, "the image of engines that are pods"),
    ("system_namespace", SYSTEM_NAMESPACE, "the namespace that edges and control plane are pods of"),
    ("monitoring_namespace", "", "the namespace of what scrapes engines that are pods; empty: system_namespace"),
    (
        "gateway",
        "",
        "the Gateway by which buyers of shows with engines that are pods come in, as namespace/name; empty: none",
    ),
    ("show_domain", "", "the domain below which each of these shows has a host, such as shows.example.org"),
    ("front_service", "", "the service of edges in system_namespace to which these hosts lead, as name:port"),
    ("prometheus_url", "", "who knows what engines that are pods use: any server that answers PromQL; empty: nobody"),
    ("rate_currency", "KRW", "the currency of the rates for what deployments use"),
    ("rate_core_hour", "60", "what a busy core costs an hour, in minor units, with up to three decimals"),
    ("rate_memory_gib_hour", "8", "what a GiB of memory costs an hour"),
    ("rate_disk_gib_hour", "0.15", "what a GiB on the disk costs an hour"),
    ("rate_network_gib", "100", "what a GiB between edge and engines costs"),
    ("erase_after_seconds", "60", "what was erased is gone from the disk, too, after so long"),
];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// What is wrong with the configuration. Nothing has been opened then.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error("cannot read the configuration file {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {path}: {reason}")]
    Syntax { path: PathBuf, reason: String },
    #[error(
        "the configuration file {path} has a setting '{name}' that there is not; onrush serve --print-config lists all"
    )]
    Unknown { path: PathBuf, name: String },
    #[error("{name} = {value} (from {source_name}): {reason}")]
    Value { name: &'static str, value: String, source_name: String, reason: String },
    #[error("{0}")]
    Contradiction(String),
}

/// Values with their sources.
#[derive(Debug)]
pub(crate) struct Layers(BTreeMap<&'static str, (String, Source)>);

impl Layers {
    /// All defaults.
    pub(crate) fn defaults() -> Self {
        Self(TABLE.iter().map(|(name, value, _)| (*name, ((*value).to_owned(), Source::Default))).collect())
    }

    /// Puts a TOML file on top.
    pub(crate) fn file(mut self, path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Ok(self) };
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| SettingsError::Syntax {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        for (name, value) in table {
            let known = TABLE.iter().find(|(known, _, _)| *known == name);
            let Some((known, _, _)) = known else {
                return Err(SettingsError::Unknown { path: path.to_owned(), name });
            };
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.0.insert(known, (value, Source::File(path.to_owned())));
        }
        Ok(self)
    }

    /// Puts `ONRUSH_…` variables on top; `get` looks one up.
    pub(crate) fn variables(mut self, get: impl Fn(&str) -> Option<String>) -> Self {
        for (name, _, _) in TABLE {
            let variable = format!("ONRUSH_{}", name.to_uppercase());
            if let Some(value) = get(&variable) {
                self.0.insert(name, (value, Source::Variable(variable)));
            }
        }
        self
    }

    /// Puts a flag on top, where it was given.
    pub(crate) fn flag(mut self, name: &'static str, value: Option<String>) -> Self {
        if let Some(value) = value {
            let flag = format!("--{}", name.replace('_', "-"));
            self.0.insert(name, (value, Source::Flag(flag)));
        }
        self
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.0["data"].0.clone().into()
    }

    /// The values with their sources and meanings, as a configuration file that reads back.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        for (name, _, meaning) in TABLE {
            let (value, source) = &self.0[name];
            let value = toml::Value::String(value.clone());
            writeln!(text, "{name} = {value}  # {source}; {meaning}").expect("writing to memory does not fail");
        }
        text
    }

    /// The values as variables, for an engine that is started by this process.
    fn environment(&self) -> Vec<(String, String)> {
        let own = [
            "data",
            "listen",
            "ops_listen",
            "engine_listen",
            "plane_listen",
            "engine_address",
            "control_plane",
            "engines",
            "engine_key_file",
            "token_key_file",
            "ticket_key_file",
        ];
        let shared = self.0.iter().filter(|(name, _)| !own.contains(name));
        shared.map(|(name, (value, _))| (format!("ONRUSH_{}", name.to_uppercase()), value.clone())).collect()
    }

    fn get<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<T, SettingsError> {
        let (value, _) = &self.0[name];
        value.parse().map_err(|error: T::Err| self.wrong(name, error.to_string()))
    }

    fn wrong(&self, name: &'static str, reason: String) -> SettingsError {
        let (value, source) = &self.0[name];
        SettingsError::Value { name, value: value.clone(), source_name: source.to_string(), reason }
    }

    fn millis(&self, name: &'static str) -> Result<Duration, SettingsError> {
        self.get(name).map(Duration::from_millis)
    }

    fn mebibytes(&self, name: &'static str) -> Result<u64, SettingsError> {
        let mebibytes: u64 = self.get(name)?;
        mebibytes.checked_mul(1 << 20).ok_or_else(|| self.wrong(name, "too much".to_owned()))
    }

    fn one_of<T: Clone>(&self, name: &'static str, choices: &[(&str, T)]) -> Result<T, SettingsError> {
        let (value, _) = &self.0[name];
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let chosen = choices.iter().find(|(choice, _)| choice == value).map(|(_, chosen)| chosen.clone());
        chosen.ok_or_else(|| self.wrong(name, format!("must be {}", names.join(" or "))))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What a server is told, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) ops_listen: Option<SocketAddr>,
    /// Where an engine listens for edges.
    pub(crate) engine_listen: SocketAddr,
    /// The engines of an edge, as `host:port`.
    pub(crate) engines: Vec<String>,
    pub(crate) engine_key_file: PathBuf,
    /// What the wire is encrypted with, if it is.
    pub(crate) certificates: Option<Certificates>,
    pub(crate) token_key_file: PathBuf,
    pub(crate) ticket_key_file: PathBuf,
    /// Where a server listens for edges.
    pub(crate) plane_listen: Option<SocketAddr>,
    /// Where edges find the engine of a server, if that is not where it listens.
    pub(crate) engine_address: Option<String>,
    /// The server that an edge asks.
    pub(crate) control_plane_address: Option<String>,
    /// 0: connections are served on the engine's own thread.
    pub(crate) http_threads: usize,
    pub(crate) demo: bool,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) engine: onrush_engine::config::Config,
    /// Of an engine that has a process of its own.
    pub(crate) lease: Duration,
    pub(crate) edge: onrush_edge::config::Config,
    pub(crate) control_plane: onrush_control_plane::config::Config,
    /// The first admin's address, and the file with the password.
    pub(crate) admin: Option<(String, PathBuf)>,
    pub(crate) payments: PaymentSettings,
    pub(crate) rates: RateCard,
    pub(crate) deploying: Deploying,
    /// Where engines that are processes are held to what they may take.
    pub(crate) engine_cgroup: Option<PathBuf>,
    /// For engines that this server starts: what it was told itself, but for what each has of its own.
    pub(crate) environment: Vec<(String, String)>,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: PathBuf,
}

/// What runs engines of shows' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deploying {
    Local,
    Kubernetes {
        image: String,
        system_namespace: String,
        monitoring_namespace: Option<String>,
        prometheus: Option<String>,
        front: Option<Front>,
    },
}

/// Who takes payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PaymentSettings {
    /// The test provider, at this address.
    TestPsp(SocketAddr),
    Stripe {
        url: String,
        key_file: PathBuf,
        webhook_secret_file: PathBuf,
    },
    None,
}

impl Settings {
    /// Reads the layers.
    pub(crate) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let settings = Self {
            listen: layers.get("listen")?,
            ops_listen: match layers.get::<String>("ops_listen")?.as_str() {
                "" => None,
                _ => Some(layers.get("ops_listen")?),
            },
            engine_listen: layers.get("engine_listen")?,
            engines: engines(layers)?,
            engine_key_file: key_file(layers, "engine_key_file", layers.data().join("engine.key"))?,
            certificates: certificates(layers)?,
            token_key_file: key_file(layers, "token_key_file", KeyFile::path_in(&layers.data()))?,
            ticket_key_file: key_file(layers, "ticket_key_file", TicketKeys::path_in(&layers.data()))?,
            plane_listen: match layers.get::<String>("plane_listen")?.as_str() {
                "" => None,
                _ => Some(layers.get("plane_listen")?),
            },
            engine_address: place(layers, "engine_address")?,
            control_plane_address: place(layers, "control_plane")?,
            http_threads: http_threads(layers)?,
            demo: layers.get("demo")?,
            log: layers.get("log")?,
            log_format: layers.one_of("log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            engine: engine(layers)?,
            lease: layers.millis("lease_ms")?,
            edge: edge(layers)?,
            control_plane: control_plane(layers)?,
            admin: admin(layers)?,
            payments: payments(layers)?,
            rates: rates(layers)?,
            deploying: deploying(layers)?,
            engine_cgroup: Some(layers.get::<PathBuf>("engine_cgroup")?).filter(|path| !path.as_os_str().is_empty()),
            environment: layers.environment(),
        };
        settings.engine.validate().map_err(|error| SettingsError::Contradiction(error.to_string()))?;
        settings.edge.validate().map_err(|error| SettingsError::Contradiction(error.to_string()))?;
        settings.control_plane.validate().map_err(|error| SettingsError::Contradiction(error.to_string()))?;
        if settings.ops_listen == Some(settings.listen) && settings.listen.port() != 0 {
            return Err(SettingsError::Contradiction(
                "listen and ops_listen are the same address; leave ops_listen empty".to_owned(),
            ));
        }
        if !settings.engines.is_empty() && settings.control_plane_address.is_some() {
            return Err(SettingsError::Contradiction(
                "engines and control_plane exclude each other: a control plane says which engines there are".to_owned(),
            ));
        }
        Ok(settings)
    }
}

fn engines(layers: &Layers) -> Result<Vec<String>, SettingsError> {
    let addresses: String = layers.get("engines")?;
    let addresses = addresses.split(',').map(str::trim).filter(|address| !address.is_empty());
    addresses.map(|address| check_place(layers, "engines", address)).collect()
}

/// A host with a port, if there is one.
fn place(layers: &Layers, name: &'static str) -> Result<Option<String>, SettingsError> {
    let address: String = layers.get(name)?;
    if address.is_empty() { Ok(None) } else { check_place(layers, name, &address).map(Some) }
}

fn check_place(layers: &Layers, name: &'static str, address: &str) -> Result<String, SettingsError> {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => Err(layers.wrong(name, format!("'{address}' is not host:port"))),
    }
}

fn certificates(layers: &Layers) -> Result<Option<Certificates>, SettingsError> {
    let files = ["wire_cert_file", "wire_cert_key_file", "wire_ca_file"].map(|name| layers.get::<String>(name));
    let [certificate, key, authority] = files;
    let (certificate, key, authority) = (certificate?, key?, authority?);
    match [&certificate, &key, &authority].map(String::is_empty) {
        [true, true, true] => Ok(None),
        [false, false, false] => {
            Ok(Some(Certificates { certificate: certificate.into(), key: key.into(), authority: authority.into() }))
        }
        _ => Err(SettingsError::Contradiction(
            "wire_cert_file, wire_cert_key_file and wire_ca_file need each other".to_owned(),
        )),
    }
}

fn key_file(layers: &Layers, name: &'static str, default: PathBuf) -> Result<PathBuf, SettingsError> {
    let file: String = layers.get(name)?;
    Ok(if file.is_empty() { default } else { file.into() })
}

fn deploying(layers: &Layers) -> Result<Deploying, SettingsError> {
    let (image, system_namespace) = (layers.get("engine_image")?, layers.get("system_namespace")?);
    let monitoring = layers.get::<String>("monitoring_namespace")?;
    let monitoring_namespace = Some(monitoring).filter(|namespace| !namespace.is_empty());
    let prometheus = Some(layers.get::<String>("prometheus_url")?).filter(|url| !url.is_empty());
    let front = front(layers)?;
    let kubernetes = Deploying::Kubernetes { image, system_namespace, monitoring_namespace, prometheus, front };
    layers.one_of("deployments", &[("local", Deploying::Local), ("kubernetes", kubernetes)])
}

fn front(layers: &Layers) -> Result<Option<Front>, SettingsError> {
    let [gateway, domain, service] = ["gateway", "show_domain", "front_service"].map(|name| layers.get::<String>(name));
    let (gateway, domain, service) = (gateway?, domain?, service?);
    if [&gateway, &domain, &service].iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    if [&gateway, &domain, &service].iter().any(|text| text.is_empty()) {
        return Err(SettingsError::Contradiction("gateway, show_domain and front_service need each other".to_owned()));
    }
    let (namespace, name) =
        gateway.split_once('/').ok_or_else(|| layers.wrong("gateway", "is not namespace/name".to_owned()))?;
    let wrong = || layers.wrong("front_service", "is not name:port".to_owned());
    let (service, port) = service.split_once(':').ok_or_else(wrong)?;
    Ok(Some(Front {
        gateway_namespace: namespace.to_owned(),
        gateway: name.to_owned(),
        domain,
        service: service.to_owned(),
        port: port.parse().map_err(|_| wrong())?,
    }))
}

fn rates(layers: &Layers) -> Result<RateCard, SettingsError> {
    let currency = layers.get::<String>("rate_currency")?;
    Ok(RateCard {
        currency: currency.parse().map_err(|error| layers.wrong("rate_currency", format!("{error}")))?,
        core_hour: milli(layers, "rate_core_hour")?,
        memory_gib_hour: milli(layers, "rate_memory_gib_hour")?,
        disk_gib_hour: milli(layers, "rate_disk_gib_hour")?,
        network_gib: milli(layers, "rate_network_gib")?,
    })
}

/// A number with up to three decimals, in thousandths.
fn milli(layers: &Layers, name: &'static str) -> Result<u64, SettingsError> {
    let text = layers.get::<String>(name)?;
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = !whole.is_empty() && whole.len() <= 12 && decimals.len() <= 3 && is_number(whole) && is_number(decimals);
    let milli = fits.then(|| format!("{whole}{decimals:0<3}").parse().ok()).flatten();
    milli.ok_or_else(|| layers.wrong(name, format!("'{text}' is no number with up to three decimals")))
}

fn http_threads(layers: &Layers) -> Result<usize, SettingsError> {
    if layers.get::<String>("http_threads")? != "auto" {
        return layers.get("http_threads");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One core for the owner, and one for the journal and the kernel's work for it.
    Ok(cores.saturating_sub(2).min(8))
}

fn engine(layers: &Layers) -> Result<onrush_engine::config::Config, SettingsError> {
    Ok(onrush_engine::config::Config {
        data: layers.get("data")?,
        durability: layers.one_of("durability", &[("fsync", Durability::Fsync), ("relaxed", Durability::Relaxed)])?,
        mailbox_capacity: layers.get("mailbox_capacity")?,
        command_age_max: layers.millis("command_age_max_ms")?,
        ballast_bytes: layers.mebibytes("ballast_mib")?,
        low_water_bytes: layers.mebibytes("low_water_mib")?,
        snapshot_every_events: layers.get("snapshot_every_events")?,
        downtime_extension_max: layers.get("downtime_extension_max_seconds").map(Duration::from_secs)?,
        // Nobody takes over from an engine that shares a process with its edge.
        lease: None,
    })
}

fn edge(layers: &Layers) -> Result<onrush_edge::config::Config, SettingsError> {
    Ok(onrush_edge::config::Config {
        connections_max: layers.get("connections_max")?,
        connections_per_prefix_max: layers.get("connections_per_prefix_max")?,
        streams_max: layers.get("streams_max")?,
        requests_in_flight_max: layers.get("requests_in_flight_max")?,
        requests_per_second_per_account: layers.get("requests_per_second_per_account")?,
        header_read_timeout: layers.millis("header_read_timeout_ms")?,
        body_read_timeout: layers.millis("body_read_timeout_ms")?,
        request_timeout: layers.millis("request_timeout_ms")?,
        write_timeout: layers.millis("write_timeout_ms")?,
        drain_timeout: layers.millis("drain_timeout_ms")?,
        token_cache_capacity: layers.get("token_cache_capacity")?,
    })
}

fn control_plane(layers: &Layers) -> Result<onrush_control_plane::config::Config, SettingsError> {
    let hours = |name| layers.get(name).map(|hours: u64| Duration::from_secs(hours.saturating_mul(3600)));
    Ok(onrush_control_plane::config::Config {
        data: layers.get("data")?,
        access_token_ttl: layers.get("access_token_ttl_seconds").map(Duration::from_secs)?,
        session_ttl: hours("session_ttl_hours")?,
        session_max: hours("session_max_hours")?,
        hashes_at_once_max: layers.get("hashes_at_once_max")?,
        hashes_waiting_max: layers.get("hashes_waiting_max")?,
        erase_after: layers.get("erase_after_seconds").map(Duration::from_secs)?,
        low_water_bytes: layers.mebibytes("low_water_mib")?,
    })
}

fn admin(layers: &Layers) -> Result<Option<(String, PathBuf)>, SettingsError> {
    let (email, file): (String, String) = (layers.get("admin_email")?, layers.get("admin_password_file")?);
    match (email.is_empty(), file.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some((email, file.into()))),
        _ => Err(SettingsError::Contradiction("admin_email and admin_password_file need each other".to_owned())),
    }
}

fn payments(layers: &Layers) -> Result<PaymentSettings, SettingsError> {
    let (key, secret): (String, String) = (layers.get("stripe_key_file")?, layers.get("stripe_webhook_secret_file")?);
    match layers.get::<String>("payment_provider")?.as_str() {
        "test-psp" => Ok(PaymentSettings::TestPsp(layers.get("test_psp_listen")?)),
        "stripe" if key.is_empty() || secret.is_empty() => Err(SettingsError::Contradiction(
            "payment_provider = stripe needs stripe_key_file and stripe_webhook_secret_file".to_owned(),
        )),
        "stripe" => Ok(PaymentSettings::Stripe {
            url: layers.get("stripe_url")?,
            key_file: key.into(),
            webhook_secret_file: secret.into(),
        }),
        "none" => Ok(PaymentSettings::None),
        _ => Err(layers.wrong("payment_provider", "must be test-psp, stripe or none".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_parts() {
        let settings = Settings::read(&Layers::defaults()).unwrap();
        assert_eq!(settings.engine, onrush_engine::config::Config::new("./onrush-data".into()));
        assert_eq!(settings.edge, onrush_edge::config::Config::default());
        assert_eq!(settings.control_plane, onrush_control_plane::config::Config::new("./onrush-data".into()));
        assert_eq!(settings.admin, None);
        assert_eq!(settings.payments, PaymentSettings::TestPsp("127.0.0.1:0".parse().unwrap()));
    }

    #[test]
    fn a_flag_beats_a_variable_beats_a_file_beats_a_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("onrush.toml");
        std::fs::write(&path, "listen = '127.0.0.1:1'\nmailbox_capacity = 100\ndemo = false\n").unwrap();
        let variable = |name: &str| {
            (name == "ONRUSH_LISTEN" || name == "ONRUSH_DEMO").then(|| match name {
                "ONRUSH_LISTEN" => "127.0.0.1:2".to_owned(),
                _ => "true".to_owned(),
            })
        };
        let layers = Layers::defaults().file(Some(&path)).unwrap().variables(variable);
        let layers = layers.flag("listen", Some("127.0.0.1:3".to_owned()));
        let settings = Settings::read(&layers).unwrap();
        assert_eq!((settings.listen.port(), settings.demo), (3, true));
        assert_eq!(settings.engine.mailbox_capacity, 100);
        let printed = layers.print();
        assert!(printed.contains("listen = \"127.0.0.1:3\"  # --listen;"), "{printed}");
        assert!(printed.contains("demo = \"true\"  # ONRUSH_DEMO;"));
        std::fs::write(&path, &printed).unwrap();
        let again = Settings::read(&Layers::defaults().file(Some(&path)).unwrap()).unwrap();
        assert_eq!(again.listen, settings.listen);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_source() {
        let wrong = |name, value: &str| {
            Settings::read(&Layers::defaults().flag(name, Some(value.to_owned()))).unwrap_err().to_string()
        };
        assert!(wrong("listen", "here").starts_with("listen = here (from --listen): "));
        assert_eq!(wrong("durability", "maybe"), "durability = maybe (from --durability): must be fsync or relaxed");
        assert_eq!(wrong("mailbox_capacity", "1"), "mailbox_capacity must be 16 to 65536");
        assert!(wrong("ops_listen", "127.0.0.1:8080").contains("the same address"));
        assert!(wrong("engines", "here:1,there").ends_with("'there' is not host:port"));
        assert!(wrong("ballast_mib", "99999999999999999").contains("too much"));
        assert!(wrong("admin_email", "kim@example.org").contains("need each other"));
        assert!(wrong("access_token_ttl_seconds", "5").contains("at least 10"));
        assert!(wrong("payment_provider", "stripe").contains("needs stripe_key_file"));
        assert!(wrong("gateway", "public").contains("need each other"));
        assert!(wrong("wire_ca_file", "ca.crt").contains("need each other"));
        assert!(wrong("control_plane", "there").ends_with("'there' is not host:port"));
        assert!(wrong("payment_provider", "cash").ends_with("must be test-psp, stripe or none"));
        assert!(wrong("session_max_hours", "1").contains("no more than session_max_hours"));
    }
}
