//! The task that keeps one engine of a deployment running and heard; again after each failure.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onrush_api::deployments::ConditionKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::World;
use super::process::{Place, Running};
use super::status::Status;
use super::template::Plan;

/// Between two looks at what an engine that starts has come to.
const LOOK: Duration = Duration::from_millis(10);
/// Between an engine's end and its next start, at first and at most.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(50);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(10);
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
/// After so many starts in a row that came to nothing, its address may be somebody else's.
const FAILURES_AT_ADDRESS: u32 = 5;

/// See the module.
pub(super) struct Keeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(deployment: &str, number: u32, plan: Plan, status: &Arc<Status>, world: &World) -> Self {
        status.expect(number);
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            deployment: deployment.to_owned(),
            number,
            plan,
            place: Place::of(&world.driver, deployment, number),
            status: Arc::clone(status),
            world: world.clone(),
            stopped,
            connected: Mutex::default(),
        };
        Self { stop, task: world.runtime.spawn(work.keep()) }
    }

    pub(super) fn begin_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the engine has ended.
    pub(super) async fn stopped(self) {
        self.begin_to_stop();
        // A task that panicked has nothing left to stop.
        self.task.await.ok();
    }
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

/// What the task works with.
struct Work {
    deployment: String,
    number: u32,
    plan: Plan,
    place: Place,
    status: Arc<Status>,
    world: World,
    stopped: watch::Receiver<bool>,
    /// Where the engine was looked for. What waits for it waits at the last one.
    connected: Mutex<Vec<String>>,
}

impl Work {
    /// Starts the engine again and again, until it is to stop.
    async fn keep(self) {
        let (mut pause, mut failures) = (PAUSE_MIN, 0);
        while !*self.stopped.borrow() {
            let begun = Instant::now();
            let End::Failed(reason, message) = self.once(failures).await else { break };
            tracing::warn!(
                deployment = self.deployment,
                engine = self.number,
                reason,
                message,
                "an engine is started again"
            );
            failures = if self.status.is_heard(self.number) { 0 } else { failures + 1 };
            // One that is well for a while has earned a quick start.
            pause = if begun.elapsed() >= WELL { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            self.status.lost(self.number, reason, &message);
            // It may have been told to stop meanwhile: then there is nothing to pause for.
            timeout(pause, self.ordered()).await.ok();
        }
        self.disconnect_all_but(None);
    }

    /// Returns once the engine is to stop.
    async fn ordered(&self) {
        // Who would say so is gone: then nobody does.
        if self.stopped.clone().wait_for(|stop| *stop).await.is_err() {
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
            end = self.follow() => end,
            () = self.ordered() => End::Stopped,
        };
        // Whoever hangs hears no request to stop.
        if matches!(end, End::Failed(..)) {
            running.kill();
        } else {
            // It goes in good order: no reason to look for it again and again.
            self.disconnect_all_but(None);
        }
        self::end(&mut running).await;
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
        Ok(self.place.start(&self.world.driver, self.plan, address.as_deref())?)
    }

    fn connected(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing that is done under the lock panics.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows an engine that starts, until it is heard, and then for as long as it is; comes back where it is not.
    async fn follow(&self) -> End {
        let Ok(address) = timeout(START_MAX, self.heard()).await else {
            return End::Failed("Silent", format!("The engine was not heard for {START_MAX:?}, and was ended."));
        };
        self.disconnect_all_but(Some(&address));
        self.status.heard(self.number, &address);
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
}

/// Ends an engine: in good order, if it takes no longer than that may take.
pub(super) async fn end(running: &mut Running) {
    running.terminate();
    if timeout(STOP_MAX, running.ended()).await.is_err() {
        running.kill();
        if timeout(STOP_MAX, running.ended()).await.is_err() {
            tracing::error!("an engine cannot be ended");
        }
    }
}
