//! The task that brings one deployment about: its engine is there, heard, and has the show; again after each failure.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::{Condition, ConditionKind, Deployment, DeploymentStatus};
use onrush_api::problem::Kind;
use onrush_api::text::Time;
use onrush_engine::time::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::process::{Place, Running};
use super::record::Record;
use super::{World, template};
use crate::store::{Store, StoreError};

/// Between two looks at what an engine that starts has come to.
const LOOK: Duration = Duration::from_millis(10);
/// Between an engine's end and its next start, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// An engine that has not been heard for so long since it started hangs.
const START_MAX: Duration = Duration::from_mins(2);
/// An engine that runs and is not heard for so long hangs, whatever it waits for. Its connection is given up after four
/// seconds of silence already.
const HANG_MAX: Duration = Duration::from_secs(10);
/// Between two looks at that.
const LISTEN: Duration = Duration::from_millis(250);
/// What an engine may take to end in good order.
const STOP_MAX: Duration = Duration::from_secs(30);
/// An engine that was there for so long is well.
const WELL: Duration = Duration::from_secs(10);
/// Why a deployment whose show does not come is not ready.
const USELESS: &str = "ShowInUse";
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
    orders: watch::Sender<Order>,
    gone: watch::Receiver<Gone>,
    task: JoinHandle<()>,
}

/// What is to become of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// It runs.
    Run,
    /// It stops, with the server; the next one starts it again.
    Stop,
    /// It stops for good.
    Go,
}

/// Whether a deployment that was to go has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    No,
    Yes,
    /// Not all of it; the next start tries again.
    Failed,
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
    /// The show does not come: this engine is of no use.
    Useless,
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

    fn is_ready(&self) -> bool {
        self.lock().conditions.iter().any(|condition| condition.kind == ConditionKind::Ready && condition.status)
    }

    /// Whether the show does not come.
    fn is_useless(&self) -> bool {
        self.lock().conditions.iter().any(|condition| condition.reason == USELESS)
    }

    /// The engine is not there; the show is still its own.
    fn engine_is_gone(&self, reason: &str, message: &str) {
        self.set(ConditionKind::EngineReady, false, reason, message);
        self.set(ConditionKind::Ready, false, reason, message);
        self.lock().restarts += u32::from(reason != USELESS);
    }
}

impl Supervisor {
    pub(super) fn start(record: Record, world: &World, store: &Arc<Store>) -> Self {
        let status = Arc::new(Status::new(Arc::clone(&world.clock)));
        let ((orders, heard), (say_gone, gone)) = (watch::channel(Order::Run), watch::channel(Gone::No));
        let work = Work {
            place: Place::of(&world.driver, &record.id),
            record: record.clone(),
            status: Arc::clone(&status),
            world: world.clone(),
            store: Arc::clone(store),
            orders: heard,
            gone: say_gone,
            connected: Mutex::default(),
        };
        Self { record, status, orders, gone, task: world.runtime.spawn(work.run()) }
    }

    pub(super) fn describe(&self) -> Deployment {
        let Record { id, show, template, parameters, created_at, .. } = self.record.clone();
        Deployment { id, show, template, parameters, created_at, status: self.status.lock().clone() }
    }

    /// Whether the show is with this engine, or comes to it.
    pub(super) fn has_show(&self) -> bool {
        !self.status.is_useless()
    }

    pub(super) fn begin_to_stop(&self) {
        self.orders.send_replace(Order::Stop);
    }

    pub(super) fn begin_to_go(&self) {
        self.orders.send_replace(Order::Go);
    }

    /// Whether it has gone, and every change of that.
    pub(super) fn gone(&self) -> watch::Receiver<Gone> {
        self.gone.clone()
    }

    pub(super) async fn stopped(self) {
        // A task that panicked has nothing left to stop.
        self.task.await.ok();
    }
}

/// What the task works with.
struct Work {
    record: Record,
    status: Arc<Status>,
    place: Place,
    world: World,
    store: Arc<Store>,
    orders: watch::Receiver<Order>,
    gone: watch::Sender<Gone>,
    /// Where the engine was looked for. What waits for it waits at the last one.
    connected: Mutex<Vec<String>>,
}

impl Work {
    async fn run(self) {
        self.keep().await;
        if *self.orders.borrow() == Order::Go {
            self.go().await;
        }
    }

    /// Starts the engine again and again, until it is to stop.
    async fn keep(&self) {
        let (mut pause, mut failures) = (PAUSE_MIN, 0);
        while *self.orders.borrow() == Order::Run {
            let begun = Instant::now();
            let (reason, message) = match self.once(failures).await {
                End::Stopped => return,
                End::Useless => return self.ordered().await,
                End::Failed(reason, message) => (reason, message),
            };
            tracing::warn!(deployment = self.record.id, reason, message, "an engine is started again");
            failures = if self.status.is_ready() { 0 } else { failures + 1 };
            // One that is well for a while has earned a quick start.
            pause = if begun.elapsed() >= WELL { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            self.status.engine_is_gone(reason, &message);
            // It may have been told to stop meanwhile: then there is nothing to pause for.
            timeout(pause, self.ordered()).await.ok();
        }
    }

    /// Returns once something else is to be done than to run.
    async fn ordered(&self) {
        // Who would say so is gone: then nobody does.
        if self.orders.clone().wait_for(|order| *order != Order::Run).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One life of the engine.
    async fn once(&self, failures: u32) -> End {
        let mut running = match self.begin(failures) {
            Ok(running) => running,
            Err(end) => return end,
        };
        let end = tokio::select! {
            how = running.ended() => {
                let message = format!("The engine ended with {how}; its log is engine.log in its directory.");
                return End::Failed("Ended", message);
            }
            end = self.bring_about() => end,
            () = self.ordered() => End::Stopped,
        };
        // Whoever hangs hears no request to stop.
        if matches!(end, End::Failed(..)) {
            running.kill();
        } else {
            // It goes in good order: no reason to look for it again and again.
            self.disconnect_all_but(None);
            running.terminate();
        }
        if timeout(STOP_MAX, running.ended()).await.is_err() {
            running.kill();
            if timeout(STOP_MAX, running.ended()).await.is_err() {
                tracing::error!(deployment = self.record.id, "an engine cannot be ended");
            }
        }
        end
    }

    fn begin(&self, failures: u32) -> Result<Running, End> {
        self.place.make()?;
        self.status.set(ConditionKind::NamespaceReady, true, "Made", "There is a place for its data.");
        if let Some(running) = self.place.adopt() {
            return Ok(running);
        }
        let address = self.connected().last().cloned().or_else(|| self.place.address());
        let address = address.filter(|_| failures < FAILURES_AT_ADDRESS);
        Ok(self.place.start(&self.world.driver, template::plan(&self.record.parameters), address.as_deref())?)
    }

    fn connected(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing that is done under the lock panics.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows an engine that starts, until all is well, and then for as long as it is; comes back where that is not to be.
    async fn bring_about(&self) -> End {
        let Ok(address) = timeout(START_MAX, self.heard()).await else {
            return End::Failed("Silent", format!("The engine was not heard for {START_MAX:?}, and was ended."));
        };
        self.disconnect_all_but(Some(&address));
        self.status.set(ConditionKind::EngineReady, true, "Running", "The engine runs.");
        let mut pause = PAUSE_MIN;
        while let Err(problem) = (self.world.engines.move_show)(self.record.show.0, address.clone()).await {
            let message = problem.body().detail.clone();
            self.status.set(ConditionKind::Routed, false, problem.kind.slug(), message);
            if problem.kind == Kind::ShowInUse {
                self.disconnect_all_but(None);
                self.status
                    .engine_is_gone(USELESS, "The show has performances by now, and stays where it is. Delete this.");
                return End::Useless;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.status.set(ConditionKind::Routed, true, "Moved", "The show is with its engine.");
        self.status.set(ConditionKind::Ready, true, "Ready", "The show can be sold.");
        self.hangs(&address).await;
        End::Failed("Silent", format!("The engine was not heard for {HANG_MAX:?}, and was ended."))
    }

    /// Returns once an engine that runs was not heard for too long.
    async fn hangs(&self, address: &str) {
        let mut heard = Instant::now();
        while heard.elapsed() < HANG_MAX {
            sleep(LISTEN).await;
            if (self.world.engines.is_connected)(address) {
                heard = Instant::now();
            }
        }
    }

    /// The engine's address, once it has told what it has.
    async fn heard(&self) -> String {
        loop {
            if let Some(address) = self.place.address() {
                if self.connected().last() != Some(&address) {
                    self.connected().push(address.clone());
                    (self.world.engines.connect)(&address);
                }
                if (self.world.engines.is_connected)(&address) {
                    return address;
                }
            }
            sleep(LOOK).await;
        }
    }

    /// An engine is at one address: what waits at another waits for nobody.
    fn disconnect_all_but(&self, address: Option<&String>) {
        let all = std::mem::take(&mut *self.connected());
        all.iter().filter(|other| Some(*other) != address).for_each(|other| (self.world.engines.disconnect)(other));
        self.connected().extend(address.cloned());
    }

    /// Puts what the engine has had aside, and forgets it. The engine has ended.
    async fn go(&self) {
        self.disconnect_all_but(None);
        let (place, store, record) = (self.place.clone(), Arc::clone(&self.store), self.record.clone());
        let exports = self.world.driver.directory.with_file_name("exports");
        let put_aside = move || {
            let exported = place.export(&exports).map_err(|error| error.to_string())?;
            let removed = store.write(|| Ok::<_, StoreError>((record.remove(), ())));
            removed.map(|()| exported).map_err(|error| error.to_string())
        };
        let gone = match tokio::task::spawn_blocking(put_aside).await {
            Ok(Ok(exported)) => {
                tracing::info!(path = %exported.display(), "the journal of a deleted deployment");
                Gone::Yes
            }
            failed => {
                tracing::error!(deployment = self.record.id, ?failed, "a deployment is not gone yet");
                Gone::Failed
            }
        };
        self.gone.send_replace(gone);
    }
}
