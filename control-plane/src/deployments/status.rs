//! How far a deployment is: what its engines' keepers and its supervisor have seen, as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::{Condition, ConditionKind, DeploymentStatus, EngineStatus, Operation};
use onrush_api::text::Time;
use onrush_engine::time::Clock;
use tokio::sync::watch;

use super::record::Begun;

const KINDS: [ConditionKind; 5] = [
    ConditionKind::Accepted,
    ConditionKind::NamespaceReady,
    ConditionKind::EngineReady,
    ConditionKind::Routed,
    ConditionKind::Ready,
];

/// See the module.
pub(super) struct Status {
    clock: Arc<dyn Clock + Send + Sync>,
    now: Mutex<Now>,
    changes: watch::Sender<u64>,
}

#[derive(Clone, PartialEq)]
struct Now {
    conditions: Vec<Condition>,
    engines: BTreeMap<u32, Seen>,
    operation: Option<Operation>,
}

/// What was seen of one engine.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    address: Option<String>,
    is_heard: bool,
    restarts: u32,
    performances: u32,
    /// Why it is not heard.
    trouble: Option<(&'static str, String)>,
}

impl Status {
    pub(super) fn new(clock: Arc<dyn Clock + Send + Sync>) -> Self {
        let since = Time(clock.now());
        let condition = |kind| Condition {
            kind,
            status: kind == ConditionKind::Accepted,
            reason: if kind == ConditionKind::Accepted { "Accepted" } else { "Waiting" }.to_owned(),
            message: if kind == ConditionKind::Accepted { "It is written down." } else { "Not yet." }.to_owned(),
            since,
        };
        let conditions = KINDS.into_iter().map(condition).collect();
        let now = Now { conditions, engines: BTreeMap::new(), operation: None };
        Self { clock, now: Mutex::new(now), changes: watch::channel(0).0 }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // Nothing that is done under the lock panics.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn describe(&self) -> DeploymentStatus {
        let now = self.lock();
        let engine = |(number, seen): (&u32, &Seen)| EngineStatus {
            name: name(*number),
            ready: seen.is_heard,
            restarts: seen.restarts,
            performances: seen.performances,
        };
        DeploymentStatus {
            conditions: now.conditions.clone(),
            restarts: now.engines.values().map(|seen| seen.restarts).sum(),
            engines: now.engines.iter().map(engine).collect(),
            operation: now.operation.clone(),
        }
    }

    /// Changes what is known, and what follows from it.
    fn change(&self, change: impl FnOnce(&mut Now)) {
        let since = Time(self.clock.now());
        let mut now = self.lock();
        let before = now.clone();
        change(&mut now);
        let lacking = now.engines.values().find(|seen| !seen.is_heard);
        let (running, reason, message) = match lacking {
            None if now.engines.is_empty() => (false, "Waiting", "Not yet.".to_owned()),
            None => (true, "Running", "Every engine runs.".to_owned()),
            Some(Seen { trouble: Some((reason, message)), .. }) => (false, *reason, message.clone()),
            Some(_) => (false, "Starting", "An engine starts.".to_owned()),
        };
        now.set(ConditionKind::EngineReady, running, reason, message.clone(), since);
        let routed = now.get(ConditionKind::Routed);
        let (ready, reason, message) = match routed {
            _ if !running => (false, reason.to_owned(), message),
            Some(routed) if !routed.status => (false, routed.reason.clone(), routed.message.clone()),
            _ => (true, "Ready".to_owned(), "The show can be sold.".to_owned()),
        };
        now.set(ConditionKind::Ready, ready, &reason, message, since);
        let is_news = *now != before;
        drop(now);
        // Whoever looks again for what was no news would look for good.
        if is_news {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    pub(super) fn set(&self, kind: ConditionKind, status: bool, reason: &str, message: impl Into<String>) {
        let since = Time(self.clock.now());
        self.change(|now| now.set(kind, status, reason, message.into(), since));
    }

    /// An engine is to be there.
    pub(super) fn expect(&self, engine: u32) {
        self.change(|now| {
            now.engines.entry(engine).or_default();
        });
    }

    pub(super) fn heard(&self, engine: u32, address: &str) {
        self.change(|now| {
            let seen = now.engines.entry(engine).or_default();
            (seen.is_heard, seen.trouble, seen.address) = (true, None, Some(address.to_owned()));
        });
    }

    /// An engine ended, or hangs, and is started again.
    pub(super) fn lost(&self, engine: u32, reason: &'static str, message: &str) {
        self.change(|now| {
            let seen = now.engines.entry(engine).or_default();
            (seen.is_heard, seen.trouble) = (false, Some((reason, message.to_owned())));
            seen.restarts += 1;
        });
    }

    /// Why an engine that starts is not there yet.
    pub(super) fn trouble(&self, engine: u32, reason: &'static str, message: &str) {
        self.change(|now| {
            let seen = now.engines.entry(engine).or_default();
            seen.trouble = Some((reason, message.to_owned()));
        });
    }

    /// An engine is not one of the deployment's any more.
    pub(super) fn forget(&self, engine: u32) {
        self.change(|now| drop(now.engines.remove(&engine)));
    }

    pub(super) fn note_performances(&self, counts: &BTreeMap<u32, u32>) {
        self.change(|now| {
            for (engine, seen) in &mut now.engines {
                seen.performances = counts.get(engine).copied().unwrap_or(0);
            }
        });
    }

    /// Where each engine is that is heard.
    pub(super) fn addresses(&self) -> BTreeMap<u32, String> {
        let now = self.lock();
        let heard = now.engines.iter().filter(|(_, seen)| seen.is_heard);
        heard.filter_map(|(engine, seen)| Some((*engine, seen.address.clone()?))).collect()
    }

    /// The engines that were heard at some time.
    pub(super) fn named(&self) -> Vec<u32> {
        let now = self.lock();
        now.engines.iter().filter(|(_, seen)| seen.address.is_some()).map(|(engine, _)| *engine).collect()
    }

    /// Whether an engine is heard.
    pub(super) fn is_heard(&self, engine: u32) -> bool {
        self.lock().engines.get(&engine).is_some_and(|seen| seen.is_heard)
    }

    /// Something is asked for. Twice is once.
    pub(super) fn begin(&self, Begun { kind, at: started_at }: Begun) {
        let is_known = self.lock().operation.as_ref().is_some_and(|operation| operation.started_at == started_at);
        if !is_known {
            let operation = Operation { kind, moved: 0, longest_pause_ms: 0, started_at, finished_at: None };
            self.change(|now| now.operation = Some(operation));
        }
    }

    pub(super) fn note_move(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.change(|now| {
            if let Some(operation) = now.operation.as_mut().filter(|operation| operation.finished_at.is_none()) {
                operation.moved += 1;
                operation.longest_pause_ms = operation.longest_pause_ms.max(pause);
            }
        });
    }

    /// What was asked for is done.
    pub(super) fn finish(&self, done: Begun) {
        let at = Time(self.clock.now());
        self.change(|now| {
            let current = now.operation.as_mut().filter(|operation| operation.started_at == done.at);
            if let Some(operation) = current {
                operation.finished_at.get_or_insert(at);
            }
        });
    }
}

impl Now {
    fn get(&self, kind: ConditionKind) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    fn set(&mut self, kind: ConditionKind, status: bool, reason: &str, message: String, since: Time) {
        let Some(condition) = self.conditions.iter_mut().find(|condition| condition.kind == kind) else { return };
        if condition.status != status {
            condition.since = since;
        }
        (condition.status, condition.reason, condition.message) = (status, reason.to_owned(), message);
    }
}

/// What an engine of a deployment is called.
pub(super) fn name(engine: u32) -> String {
    format!("engine-{engine}")
}

#[cfg(test)]
mod tests {
    use onrush_engine::time::SystemClock;

    use super::*;

    #[test]
    fn what_is_no_news_wakes_nobody() {
        let status = Status::new(Arc::new(SystemClock::start()));
        status.heard(0, "here:1");
        status.set(ConditionKind::Routed, true, "Moved", "It is there.");
        let mut changes = status.changes();
        changes.mark_unchanged();
        status.heard(0, "here:1");
        status.set(ConditionKind::Routed, true, "Moved", "It is there.");
        status.note_performances(&BTreeMap::new());
        assert!(!changes.has_changed().unwrap());
        status.lost(0, "Ended", "It ended.");
        assert!(changes.has_changed().unwrap());
        let ready = status.describe().conditions.pop().unwrap();
        assert_eq!((ready.kind, ready.status, ready.reason.as_str()), (ConditionKind::Ready, false, "Ended"));
    }
}
