//! Looks every few seconds at what each deployment's engines use and how they are, keeps that, and says which thresholds are
//! crossed. What is decided from it is decided by pure functions: [`crate::policies`], [`crate::costs`], [`super::usage`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::ConditionKind;
use onrush_api::policies::{Anomaly, Policies, Rule};
use onrush_api::problem::Problem;
use onrush_api::text::{Text, Time};
use onrush_api::usage::UsagePoint;
use onrush_engine::id::AccountId;
use onrush_engine::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use super::driver::{Driver, Place};
use super::process::{Cpu, Measured};
use super::record::Record;
use super::supervisor::Supervisor;
use super::{Engines, usage};
use crate::accounts::secret;
use crate::costs::Totals;
use crate::kubernetes::readings::Readings;
use crate::policies::{self, Reading};
use crate::store::{Change, Store, StoreError};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Looks that are kept in memory: an hour of them.
const POINTS_MAX: usize = 720;
/// What is written down stands for so long, and is kept for a week.
const KEEP_EVERY: Duration = Duration::from_mins(1);
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);
/// Starts again are counted for so long.
const RESTARTS_FOR: Duration = Duration::from_mins(10);
/// Anomalies that are kept, the latest.
const ANOMALIES_MAX: usize = 1_000;

const TOTALS: &[u8] = b"u";
const POINT: &[u8] = b"v";
const POLICIES: &[u8] = b"l";
const ANOMALY: &[u8] = b"y";

/// See the module.
pub(super) struct Watch {
    store: Arc<Store>,
    clock: Arc<dyn Clock + Send + Sync>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What was seen of one deployment.
#[derive(Default)]
struct Seen {
    points: VecDeque<UsagePoint>,
    readings: VecDeque<Reading>,
    /// By engine: what it had used in all at the last look.
    last: BTreeMap<u32, Used>,
    kept: Kept,
    /// The end of what is written down.
    kept_until: Option<Timestamp>,
    /// When engines were started again, and how many by then.
    restarts: VecDeque<(Timestamp, u32)>,
    /// By rule.
    crossed: BTreeMap<String, Noted>,
}

/// An anomaly, and whose show it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) anomaly: Anomaly,
    pub(super) seller: Text<AccountId>,
}

#[derive(Clone, Copy)]
struct Used {
    at: Timestamp,
    cpu: Cpu,
    network_bytes: u64,
}

impl Used {
    /// Thousandths of a core's second since an earlier look: of a process that is another by then, all that it had.
    fn core_millis_since(&self, last: &Self) -> u64 {
        match (self.cpu, last.cpu) {
            (Cpu::Now { cores }, _) => (cores * (self.at - last.at).as_millis() as f64).round() as u64,
            (Cpu::Since { pid, core_millis }, Cpu::Since { pid: before, core_millis: then }) if pid == before => {
                core_millis.saturating_sub(then)
            }
            (Cpu::Since { core_millis, .. }, _) => core_millis,
        }
    }
}

/// What all of a deployment's engines have used together.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) since: Option<Time>,
    pub(super) until: Option<Time>,
    pub(super) totals: Totals,
}

/// A threshold that has just been crossed.
pub(super) struct Crossed {
    pub(super) rule: Rule,
    pub(super) value: f64,
}

impl Watch {
    pub(super) fn new(store: Arc<Store>, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self { store, clock, seen: Mutex::default() }
    }

    /// A deployment is to be looked at.
    pub(super) fn begin(&self, deployment: &str) {
        self.seen().entry(deployment.to_owned()).or_default();
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        // Nothing that is done under the lock panics.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what was written down of a deployment.
    pub(super) fn recover(&self, deployment: &str) -> Result<(), StoreError> {
        let kept = self.store.get(&key(TOTALS, deployment))?;
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let all = anomalies(&self.store)?.into_iter();
        let open = all.filter(|known| known.anomaly.deployment == deployment && known.anomaly.until.is_none());
        let crossed = open.map(|known| (known.anomaly.rule.clone(), known)).collect();
        self.seen().insert(deployment.to_owned(), Seen { kept, crossed, ..Seen::default() });
        Ok(())
    }

    /// One look at a deployment. Blocks.
    pub(super) fn look(&self, record: &Record, supervisor: &Look, engines: &Engines) {
        let now = self.clock.now();
        let measured = supervisor.measure();
        let traffic = |engine: &u32| supervisor.addresses.get(engine).map_or(0, |address| (engines.traffic)(address));
        let mut all = self.seen();
        // It may have been deleted since it was listed.
        let Some(seen) = all.get_mut(&record.id) else { return };
        let mut point = UsagePoint::nothing(Time(now));
        for (engine, measured) in &measured {
            let used = Used { at: now, cpu: measured.cpu, network_bytes: traffic(engine) };
            seen.add(*engine, measured, used, &mut point);
        }
        seen.last.retain(|engine, _| measured.contains_key(engine));
        // Where nobody says what they use, nothing is not what they used.
        if supervisor.is_measured {
            seen.kept.since.get_or_insert(Time(now));
            seen.kept.until = Some(Time(now));
            push(&mut seen.points, point, POINTS_MAX);
        }
        let reading = seen.reading(&point, measured.len(), supervisor, now);
        push(&mut seen.readings, reading, POINTS_MAX);
    }

    /// Writes down what has been seen for a minute. Blocks.
    pub(super) fn keep(&self, deployment: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (kept, point) = {
            let mut all = self.seen();
            let Some(seen) = all.get_mut(deployment) else { return Ok(()) };
            let until = seen.kept_until.unwrap_or_else(|| seen.points.front().map_or(now, |first| first.at.0));
            if now - until < KEEP_EVERY {
                return Ok(());
            }
            let news: Vec<_> = seen.points.iter().filter(|point| point.at.0 >= until).copied().collect();
            (seen.kept, usage::mean(&news))
        };
        let mut change = Change::default().put(key(TOTALS, deployment), json(&kept));
        if let Some(point) = point {
            change = change.put(point_key(deployment, point.at.0), json(&point));
        }
        // Once an hour is often enough for what is a week old.
        let is_full_hour = now.as_millis() / 60_000 % 60 == 0;
        let stale = point_key(deployment, Timestamp::from_millis(now.as_millis() - KEPT_FOR.as_millis() as i64));
        let old = if is_full_hour { self.store.below(&point_prefix(deployment))? } else { Vec::new() };
        let change = old.into_iter().map(|(key, _)| key).take_while(|key| *key < stale).fold(change, Change::remove);
        self.store.write(|| Ok::<_, StoreError>((change, ())))?;
        if let Some(seen) = self.seen().get_mut(deployment) {
            seen.kept_until = Some(now);
        }
        Ok(())
    }

    /// What a deployment's engines used, oldest first: by the minute as it was written down, and the last hour as it was seen.
    pub(super) async fn points(&self, deployment: &str) -> Result<Vec<UsagePoint>, Problem> {
        let recent: Vec<_> =
            self.seen().get(deployment).map(|seen| seen.points.iter().copied().collect()).unwrap_or_default();
        let prefix = point_prefix(deployment);
        let older = self.store.ask(move |store| store.below(&prefix)).await?;
        let begin = recent.first().map(|point: &UsagePoint| point.at);
        let older = older.iter().filter_map(|(_, bytes)| serde_json::from_slice::<UsagePoint>(bytes).ok());
        let mut points: Vec<_> = older.filter(|point| begin.is_none_or(|begin| point.at < begin)).collect();
        points.extend(recent);
        Ok(points)
    }

    pub(super) fn kept(&self, deployment: &str) -> Kept {
        self.seen().get(deployment).map(|seen| seen.kept).unwrap_or_default()
    }

    /// A deployment's rules.
    pub(super) fn policies(store: &Store, deployment: &str) -> Result<Policies, StoreError> {
        let bytes = store.get(&key(POLICIES, deployment))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(policies::shipped))
    }

    pub(super) fn put_policies(deployment: &str, policies: &Policies) -> Change {
        Change::default().put(key(POLICIES, deployment), json(policies))
    }

    /// Which rules are crossed that were not at the last look; and what is over is written down as over. Blocks.
    pub(super) fn judge(&self, record: &Record) -> Result<Vec<Crossed>, StoreError> {
        let rules = Self::policies(&self.store, &record.id)?.rules;
        let now = self.clock.now();
        let (mut news, mut over) = (Vec::new(), Vec::new());
        if let Some(seen) = self.seen().get_mut(&record.id) {
            let readings = seen.readings.make_contiguous();
            let is_crossed = |rule: &Rule| policies::crossed(rule, readings);
            let values: BTreeMap<_, _> =
                rules.iter().filter_map(|rule| Some((rule.name.clone(), is_crossed(rule)?))).collect();
            over.extend(seen.crossed.extract_if(.., |rule, _| !values.contains_key(rule)).map(|(_, anomaly)| anomaly));
            let crossed = rules.into_iter().filter(|rule| !seen.crossed.contains_key(&rule.name));
            news.extend(crossed.filter_map(|rule| values.get(&rule.name).map(|value| Crossed { value: *value, rule })));
        }
        self.end(over, now)?;
        Ok(news)
    }

    /// Writes down that anomalies are over.
    fn end(&self, mut over: Vec<Noted>, now: Timestamp) -> Result<(), StoreError> {
        over.iter_mut().for_each(|noted| noted.anomaly.until = Some(Time(now)));
        if over.is_empty() {
            return Ok(());
        }
        let put = |change: Change, noted: &Noted| change.put(key(ANOMALY, &noted.anomaly.id), json(noted));
        self.store.write(|| Ok::<_, StoreError>((over.iter().fold(Change::default(), put), ())))
    }

    pub(super) fn anomaly(&self, record: &Record, crossed: &Crossed) -> Result<Anomaly, Problem> {
        let Crossed { rule, value } = crossed;
        Ok(Anomaly {
            id: format!("ano_{}", secret::id()?),
            deployment: record.id.clone(),
            show: record.show,
            rule: rule.name.clone(),
            metric: rule.metric,
            value: *value,
            above: rule.above,
            severity: rule.severity,
            since: Time(self.clock.now()),
            until: None,
            incident: String::new(),
        })
    }

    /// Writes an anomaly down. From now on it is known until it is over.
    pub(super) async fn note(&self, anomaly: Anomaly, seller: AccountId) -> Result<(), Problem> {
        let noted = Noted { anomaly, seller: Text(seller) };
        let written = noted.clone();
        let put = self.store.ask(move |store| {
            store.write(|| {
                let mut known = anomalies(store)?;
                known.sort_by_key(|known| known.anomaly.since);
                let beyond = (known.len() + 1).saturating_sub(ANOMALIES_MAX);
                let change = Change::default().put(key(ANOMALY, &written.anomaly.id), json(&written));
                let drop_it = |change: Change, old: &Noted| change.remove(key(ANOMALY, &old.anomaly.id));
                Ok((known.iter().take(beyond).fold(change, drop_it), ()))
            })
        });
        put.await?;
        if let Some(seen) = self.seen().get_mut(&noted.anomaly.deployment) {
            seen.crossed.insert(noted.anomaly.rule.clone(), noted);
        }
        Ok(())
    }

    /// All anomalies that are known, the latest first.
    pub(super) async fn anomalies(&self) -> Result<Vec<Noted>, Problem> {
        let mut all = self.store.ask(anomalies).await?;
        all.sort_by_key(|noted| std::cmp::Reverse(noted.anomaly.since));
        Ok(all)
    }

    /// Nothing is kept of a deployment that is gone, but its anomalies.
    pub(super) fn forget(&self, deployment: &str) {
        let seen = self.seen().remove(deployment).unwrap_or_default();
        let prefix = point_prefix(deployment);
        let ended = self.end(seen.crossed.into_values().collect(), self.clock.now());
        let forgotten = self.store.write(|| {
            let points = self.store.below(&prefix)?.into_iter().map(|(key, _)| key);
            let change = points.fold(Change::default(), Change::remove);
            Ok::<_, StoreError>((change.remove(key(TOTALS, deployment)).remove(key(POLICIES, deployment)), ()))
        });
        if let Err(error) = ended.and(forgotten) {
            tracing::warn!(deployment, %error, "what a deployment used is not forgotten");
        }
    }
}

/// What is to be looked at of one deployment.
pub(super) struct Look {
    places: Vec<(u32, Place)>,
    /// What somebody else has measured.
    told: BTreeMap<u32, Measured>,
    is_measured: bool,
    addresses: BTreeMap<u32, String>,
    restarts: u32,
    unready_since: Option<Timestamp>,
}

impl Look {
    /// `readings` are of pods, where somebody says what they use.
    pub(super) fn at(supervisor: &Supervisor, driver: &Driver, readings: Option<&Readings>) -> Self {
        let (record, status) = (supervisor.record(), supervisor.describe().status);
        let ready = status.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready);
        let places: Vec<_> =
            record.engines.iter().map(|engine| (*engine, Place::of(driver, &record, *engine))).collect();
        let told = |(engine, place): &(u32, Place)| Some((*engine, place.measured_by(readings?)?));
        let told: BTreeMap<_, _> = places.iter().filter_map(told).collect();
        Self {
            // Of pods that nobody has measured, it is not known that they use nothing.
            is_measured: !told.is_empty() || !places.iter().any(|(_, place)| place.outlives_us()),
            told,
            places,
            addresses: supervisor.addresses(),
            restarts: status.restarts,
            unready_since: ready.filter(|ready| !ready.status).map(|ready| ready.since.0),
        }
    }
}

impl Look {
    /// What each engine uses of which that is known. Blocks.
    fn measure(&self) -> BTreeMap<u32, Measured> {
        let of = |(engine, place): &(u32, Place)| {
            let measured = self.told.get(engine).copied().or_else(|| place.measure())?;
            Some((*engine, measured))
        };
        self.places.iter().filter_map(of).collect()
    }
}

impl Seen {
    /// Adds what an engine has used since the last look, unless it is another process by now.
    fn add(&mut self, engine: u32, measured: &Measured, now: Used, point: &mut UsagePoint) {
        point.memory_bytes += measured.memory_bytes;
        point.disk_bytes += measured.disk_bytes;
        let Some(last) = self.last.insert(engine, now) else { return };
        let passed = now.at - last.at;
        let core_millis = now.core_millis_since(&last);
        let network_bytes = now.network_bytes.saturating_sub(last.network_bytes);
        if !passed.is_zero() {
            point.cpu_cores += core_millis as f64 / 1_000.0 / passed.as_secs_f64();
            point.network_bytes_per_second += network_bytes as f64 / passed.as_secs_f64();
        }
        let mib_seconds = |bytes: u64| (bytes >> 20).saturating_mul(passed.as_millis() as u64) / 1_000;
        let totals = &mut self.kept.totals;
        totals.core_millis += core_millis;
        totals.memory_mib_seconds += mib_seconds(measured.memory_bytes);
        totals.disk_mib_seconds += mib_seconds(measured.disk_bytes);
        totals.network_bytes += network_bytes;
    }

    fn reading(&mut self, point: &UsagePoint, engines: usize, look: &Look, now: Timestamp) -> Reading {
        self.restarts.retain(|(at, _)| now - *at < RESTARTS_FOR);
        let before = self.restarts.front().map_or(look.restarts, |(_, restarts)| *restarts);
        self.restarts.push_back((now, look.restarts));
        let engines = engines.max(1) as f64;
        Reading {
            at: now,
            cpu_cores_per_engine: point.cpu_cores / engines,
            memory_bytes_per_engine: point.memory_bytes as f64 / engines,
            disk_bytes: point.disk_bytes as f64,
            restarts_in_10_minutes: f64::from(look.restarts.saturating_sub(before)),
            unready_seconds: look.unready_since.map_or(0.0, |since| (now - since).as_secs_f64()),
        }
    }
}

fn push<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}

fn key(kind: &[u8], id: &str) -> Vec<u8> {
    [kind, id.as_bytes()].concat()
}

fn point_prefix(deployment: &str) -> Vec<u8> {
    [POINT, deployment.as_bytes(), b"/"].concat()
}

/// In the order of time.
fn point_key(deployment: &str, at: Timestamp) -> Vec<u8> {
    [point_prefix(deployment), at.as_millis().to_be_bytes().to_vec()].concat()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain fields always make JSON")
}

fn anomalies(store: &Store) -> Result<Vec<Noted>, StoreError> {
    Ok(store.below(ANOMALY)?.iter().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect())
}
