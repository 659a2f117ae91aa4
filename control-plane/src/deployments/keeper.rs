//! The task that keeps one engine of a deployment running and heard; again after each failure.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::World;
use super::driver::{Failure, Place, Running};
use super::record::Record;
use super::status::Status;

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
    pub(super) fn start(record: &Record, number: u32, status: &Arc<Status>, world: &World) -> Self {
        status.expect(number);
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            deployment: record.id.clone(),
            number,
            is_vacant: record.vacant.contains(&number),
            place: Place::of(&world.driver, record, number),
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
    /// Anything else.
    Failed(Failure),
}

/// What the task works with.
struct Work {
    deployment: String,
    number: u32,
    /// Whether it had nothing when this began.
    is_vacant: bool,
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
            let End::Failed((reason, message)) = self.once(failures).await else { break };
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
        self.leave();
    }

    /// Nobody looks for an engine that has ended. One that goes on is heard, whoever sees to it.
    fn leave(&self) {
        if !self.place.outlives_us() {
            self.disconnect_all_but(None);
        }
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
        let mut running = tokio::select! {
            begun = self.begin(failures) => match begun {
                Ok(running) => running,
                Err(failure) => return End::Failed(failure),
            },
            // What was begun is looked for by whoever is next.
            () = self.ordered() => return End::Stopped,
        };
        let end = tokio::select! {
            message = running.ended() => return End::Failed(("Ended", message)),
            end = self.follow() => end,
            () = self.ordered() => End::Stopped,
        };
        // Whoever hangs hears no request to stop.
        if matches!(end, End::Failed(_)) {
            running.kill();
        } else {
            // It goes in good order: no reason to look for it again and again.
            self.leave();
        }
        running.end().await;
        end
    }

    async fn begin(&self, failures: u32) -> Result<Running, Failure> {
        let before = self.connected().last().cloned();
        Ok(self.place.begin(before.as_deref(), failures < FAILURES_AT_ADDRESS).await?)
    }

    fn connected(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing that is done under the lock panics.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows an engine that starts, until it is heard, and then for as long as it is; comes back where it is not.
    async fn follow(&self) -> End {
        let heard = async {
            tokio::select! {
                address = self.heard() => address,
                never = self.tell_trouble() => match never {},
            }
        };
        let Ok(address) = timeout(START_MAX, heard).await else {
            return End::Failed(("Silent", self.place.silent(START_MAX)));
        };
        self.disconnect_all_but(Some(&address));
        self.status.heard(self.number, &address);
        self.hangs(&address).await;
        End::Failed(("Silent", self.place.silent(HANG_MAX)))
    }

    /// Says why the engine does not come, as often as there is something to say.
    async fn tell_trouble(&self) -> Infallible {
        loop {
            let (reason, message) = self.place.trouble().await;
            self.status.trouble(self.number, reason, &message);
        }
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
        // Somebody else may have let go of it since. Twice is once.
        let mut asked = None;
        loop {
            if let Some(address) = self.place.address() {
                if asked.as_ref() != Some(&address) {
                    if self.connected().last() != Some(&address) {
                        self.connected().push(address.clone());
                    }
                    // One that was heard may have been given something since.
                    let is_vacant = self.is_vacant && !self.status.named().contains(&self.number);
                    (self.world.engines.connect)(&address, is_vacant);
                    asked = Some(address.clone());
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
