//! The task that brings one deployment about: its engine is there, heard, and has the show; again after each failure.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::{Condition, ConditionKind, Deployment, DeploymentStatus};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_engine::time::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::process::{Driver, Place, Running};
use super::record::Record;
use super::{Engines, template};

/// Between two looks at what an engine that starts has come to.
const LOOK: Duration = Duration::from_millis(10);
/// Between an engine's end and its next start, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// An engine that has not been heard for so long since it started hangs.
const START_MAX: Duration = Duration::from_mins(2);
/// What an engine may take to end in good order.
const STOP_MAX: Duration = Duration::from_secs(30);
/// After so many starts in a row that came to nothing, its address may be somebody else's.
const FAILURES_AT_ADDRESS: u32 = 5;

const KINDS: [ConditionKind; 5] = [
    ConditionKind::Accepted,
    ConditionKind::NamespaceReady,
    ConditionKind::EngineReady,
    ConditionKind::Routed,
    ConditionKind::Ready,
];

/// See the module.
pub(super) struct Supervisor {
    pub(super) record: Record,
    status: Arc<Status>,
    place: Place,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How far a deployment is.
struct Status {
    clock: Arc<dyn Clock + Send + Sync>,
    now: Mutex<DeploymentStatus>,
}

/// Why an engine runs no more.
enum End {
    /// It was to stop.
    Stopped,
    /// Anything else: a reason, and a message for people.
    Failed(&'static str, String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed("DiskFailed", format!("The machine's disk or its processes fail: {error}."))
    }
}

impl Status {
    fn new(clock: Arc<dyn Clock + Send + Sync>) -> Self {
        let since = Time(clock.now());
        let condition = |kind| Condition {
            kind,
            status: kind == ConditionKind::Accepted,
            reason: if kind == ConditionKind::Accepted { "Accepted" } else { "Waiting" }.to_owned(),
            message: if kind == ConditionKind::Accepted { "It is written down." } else { "Not yet." }.to_owned(),
            since,
        };
        let conditions = KINDS.into_iter().map(condition).collect();
        Self { clock, now: Mutex::new(DeploymentStatus { conditions, restarts: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, DeploymentStatus> {
        // Nothing that is done under the lock panics.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, kind: ConditionKind, status: bool, reason: &str, message: impl Into<String>) {
        let since = Time(self.clock.now());
        let mut now = self.lock();
        let Some(condition) = now.conditions.iter_mut().find(|condition| condition.kind == kind) else { return };
        if condition.status != status {
            condition.since = since;
        }
        (condition.status, condition.reason, condition.message) = (status, reason.to_owned(), message.into());
    }

    /// The engine is not there; the show is still its own.
    fn engine_is_gone(&self, reason: &str, message: &str) {
        self.set(ConditionKind::EngineReady, false, reason, message);
        self.set(ConditionKind::Ready, false, reason, message);
    }
}

impl Supervisor {
    pub(super) fn start(
        record: Record,
        clock: Arc<dyn Clock + Send + Sync>,
        driver: Arc<Driver>,
        engines: Arc<Engines>,
    ) -> Self {
        let (status, place) = (Arc::new(Status::new(clock)), Place::of(&driver, &record.id));
        let (stop, stopping) = watch::channel(false);
        let work = Work {
            record: record.clone(),
            status: Arc::clone(&status),
            place: place.clone(),
            driver,
            engines,
            stopping,
            address: Mutex::default(),
        };
        Self { record, status, place, stop, task: tokio::spawn(work.run()) }
    }

    pub(super) fn describe(&self) -> Deployment {
        let Record { id, show, template, parameters, created_at, .. } = self.record.clone();
        Deployment { id, show, template, parameters, created_at, status: self.status.lock().clone() }
    }

    pub(super) fn begin_to_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) async fn stopped(self) {
        // A task that panicked has nothing left to stop.
        self.task.await.ok();
    }

    /// Stops the engine for good, and puts what it has aside.
    pub(super) async fn remove(self, driver: &Driver, engines: &Engines) -> Result<(), Problem> {
        let (address, place) = (self.place.address(), self.place.clone());
        self.begin_to_stop();
        self.stopped().await;
        address.iter().for_each(|address| (engines.disconnect)(address));
        let exports = driver.directory.with_file_name("exports");
        let exported = tokio::task::spawn_blocking(move || place.export(&exports)).await;
        match exported {
            Ok(Ok(exported)) => tracing::info!(path = %exported.display(), "the journal of a deleted deployment"),
            failed => {
                tracing::error!(?failed, "the journal of a deleted deployment stays where it was");
                return Err(Problem::new(Kind::Internal));
            }
        }
        Ok(())
    }
}

/// What the task works with.
struct Work {
    record: Record,
    status: Arc<Status>,
    place: Place,
    driver: Arc<Driver>,
    engines: Arc<Engines>,
    stopping: watch::Receiver<bool>,
    /// Where the engine was heard last: what waits for it waits there.
    address: Mutex<Option<String>>,
}

impl Work {
    async fn run(mut self) {
        let (mut pause, mut failures) = (PAUSE_MIN, 0);
        loop {
            let (reason, message) = match self.once(failures).await {
                End::Stopped => return,
                End::Failed(reason, message) => (reason, message),
            };
            tracing::warn!(deployment = self.record.id, reason, message, "an engine is started again");
            let was_ready = self.is_ready();
            (pause, failures) = if was_ready { (PAUSE_MIN, 0) } else { ((pause * 2).min(PAUSE_MAX), failures + 1) };
            self.status.engine_is_gone(reason, &message);
            self.status.lock().restarts += 1;
            if timeout(pause, stopped(&mut self.stopping)).await.is_ok() {
                return;
            }
        }
    }

    fn is_ready(&self) -> bool {
        let status = self.status.lock();
        status.conditions.iter().any(|condition| condition.kind == ConditionKind::Ready && condition.status)
    }

    /// One life of the engine.
    async fn once(&mut self, failures: u32) -> End {
        let mut running = match self.begin(failures) {
            Ok(running) => running,
            Err(end) => return end,
        };
        let mut stopping = self.stopping.clone();
        tokio::select! {
            how = running.ended() => {
                End::Failed("Ended", format!("The engine ended with {how}; its log is engine.log in its directory."))
            }
            end = self.bring_about() => {
                running.kill();
                running.ended().await;
                end
            }
            () = stopped(&mut stopping) => {
                running.terminate();
                if timeout(STOP_MAX, running.ended()).await.is_err() {
                    running.kill();
                }
                End::Stopped
            }
        }
    }

    fn address(&self) -> MutexGuard<'_, Option<String>> {
        // Nothing that is done under the lock panics.
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, failures: u32) -> Result<Running, End> {
        self.place.make()?;
        self.status.set(ConditionKind::NamespaceReady, true, "Made", "There is a place for its data.");
        if let Some(running) = self.place.adopt() {
            return Ok(running);
        }
        let address = self.address().clone().or_else(|| self.place.address());
        let address = address.filter(|_| failures < FAILURES_AT_ADDRESS);
        Ok(self.place.start(&self.driver, template::plan(&self.record.parameters), address.as_deref())?)
    }

    /// Follows an engine that starts, until all is well, and then for as long as it is; comes back where it hangs.
    async fn bring_about(&self) -> End {
        let Ok(address) = timeout(START_MAX, self.heard()).await else {
            return End::Failed("Silent", format!("The engine was not heard for {START_MAX:?}, and was ended."));
        };
        if let Some(before) = self.address().replace(address.clone()).filter(|before| *before != address) {
            (self.engines.disconnect)(&before);
        }
        self.status.set(ConditionKind::EngineReady, true, "Running", "The engine runs.");
        let mut pause = PAUSE_MIN;
        while let Err(problem) = (self.engines.move_show)(self.record.show.0, address.clone()).await {
            let message = problem.body().detail.clone();
            self.status.set(ConditionKind::Routed, false, problem.kind.slug(), message);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.status.set(ConditionKind::Routed, true, "Moved", "The show is with its engine.");
        self.status.set(ConditionKind::Ready, true, "Ready", "The show can be sold.");
        std::future::pending().await
    }

    /// The engine's address, once it has told what it has.
    async fn heard(&self) -> String {
        loop {
            if let Some(address) = self.place.address() {
                (self.engines.connect)(&address);
                if (self.engines.is_connected)(&address) {
                    return address;
                }
            }
            sleep(LOOK).await;
        }
    }
}

/// Returns once everything is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Who would say so is gone: then nobody does.
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
