//! The crowd: workers with connections, connections with bots, one bot after the other on each.
//!
//! A worker is one thread with a runtime of its own, so nothing that a bot touches is shared but a few counters. The
//! loop of one bot is [`attend`]: buyer says what, connection sends it, answer goes back to the buyer.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use onrush_api::availability::Availability;
use tokio::task::LocalSet;

use crate::answer::{Answer, Seats, Step};
use crate::arrivals::{Arrival, Arrivals, Share};
use crate::buyer::{Action, Buyer, Ending, Sight};
use crate::client::{Connection, Response};
use crate::sample::{Live, Outcome, Samples};
use crate::scenario::{Bot, Chance, Mix};
use crate::schedule::Schedule;
use crate::seats::{Hall, View};
use crate::target::Target;
use crate::visit::{Visit, Wait};

/// What all bots of a rush have in common.
pub(crate) struct Crowd {
    pub(crate) target: Target,
    /// The performance's id.
    pub(crate) performance: String,
    pub(crate) hall: Arc<Hall>,
    /// What the hall looked like when the doors opened.
    pub(crate) view: View,
    pub(crate) seed: u64,
    /// Makes the idempotency keys of this run different from those of any other.
    pub(crate) run: u64,
    pub(crate) mix: Mix,
    pub(crate) connections: u32,
    pub(crate) workers: u32,
    pub(crate) timeout: Duration,
    /// What everything is timed from.
    pub(crate) opening: Instant,
    pub(crate) live: Arc<Live>,
}

/// Bots that are sent together.
#[derive(Debug, Clone)]
pub(crate) struct Wave {
    pub(crate) schedule: Arc<Schedule>,
    /// The number of its first bot in the whole rush.
    pub(crate) first: u64,
    pub(crate) chance: Chance,
}

/// Sends a wave and waits until every one of its bots has left.
///
/// # Errors
/// Where the system gives us no thread, runtime or timer.
pub(crate) fn send(crowd: &Arc<Crowd>, wave: &Wave) -> anyhow::Result<Samples> {
    let workers = crowd.workers.min(lines(crowd, wave));
    let spawn = |number| {
        let (crowd, wave) = (Arc::clone(crowd), wave.clone());
        let name = format!("bots-{number}");
        let share = Share { worker: u64::from(number), workers: u64::from(workers) };
        thread::Builder::new().name(name).spawn(move || work(crowd, wave, share)).context("cannot start a thread")
    };
    let threads: Vec<_> = (0..workers).map(spawn).collect::<anyhow::Result<_>>()?;
    let mut samples = Samples::default();
    for thread in threads {
        // A worker panics on nothing but a bug of ours; pass it on.
        samples.merge(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
    }
    Ok(samples)
}

/// Connections of a wave: no more than it has bots.
fn lines(crowd: &Crowd, wave: &Wave) -> u32 {
    crowd.connections.min(u32::try_from(wave.schedule.count()).unwrap_or(u32::MAX)).max(1)
}

/// One worker's state; its tasks share it and none of them holds a borrow across an await.
pub(crate) struct Worker {
    pub(crate) crowd: Arc<Crowd>,
    wave: Wave,
    arrivals: Arrivals,
    samples: RefCell<Samples>,
    view: RefCell<View>,
    /// When the view was last asked for; nobody asks again before it is [`Worker::VIEW_AGE_MAX`] old.
    view_asked_at: Cell<Option<Instant>>,
    /// A seat that was taken a moment ago; empty at first.
    just_taken: RefCell<String>,
}

fn work(crowd: Arc<Crowd>, wave: Wave, share: Share) -> anyhow::Result<Samples> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let lines = (0..lines(&crowd, &wave)).filter(|&line| u64::from(line) % share.workers == share.worker).count();
    let worker = Rc::new(Worker {
        arrivals: Arrivals::new(Arc::clone(&wave.schedule), share, crowd.opening),
        samples: RefCell::default(),
        view: RefCell::new(crowd.view.clone()),
        view_asked_at: Cell::new(None),
        just_taken: RefCell::default(),
        crowd,
        wave,
    });
    LocalSet::new().block_on(&runtime, run(Rc::clone(&worker), lines))?;
    let worker = Rc::into_inner(worker).expect("all tasks of the worker have ended");
    Ok(worker.samples.into_inner())
}

async fn run(worker: Rc<Worker>, lines: usize) -> anyhow::Result<()> {
    let lines: Vec<_> = (0..lines).map(|_| tokio::task::spawn_local(serve(Rc::clone(&worker)))).collect();
    worker.arrivals.ring_in().await.context("no timer for the arrivals")?;
    for line in lines {
        line.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
    Ok(())
}

/// One connection: bots one after the other, until nobody is left.
async fn serve(worker: Rc<Worker>) {
    let mut connection = worker.crowd.target.connection(worker.crowd.timeout);
    // A server that cannot be reached now shows in the first bot's request.
    let _ = connection.open().await;
    while let Some(arrival) = worker.arrivals.next().await {
        let ending = attend(&worker, &mut connection, arrival).await;
        worker.samples().ending(ending);
        Live::add(&worker.crowd.live.bots_done, 1);
    }
}

/// One bot's visit, from its arrival until it leaves.
async fn attend(worker: &Worker, connection: &mut Connection, arrival: Arrival) -> Ending {
    let number = worker.wave.first + arrival.number;
    let mut visit = Visit::new(worker, number);
    let mut buyer = Buyer::new(Bot::new(worker.crowd.seed, number, worker.crowd.mix, worker.wave.chance));
    worker.arrived(arrival);
    // The first step counts from when the bot was meant to start, each later one from the answer before it.
    let mut since = arrival.intended;
    let mut action = worker.looking(|sight| buyer.begin(sight));
    loop {
        let answer = match &action {
            Action::Leave(ending) => return *ending,
            Action::Look => visit.look(worker, connection, since).await,
            Action::Hold(wish) => visit.hold(worker, connection, since, wish).await,
            Action::Book => visit.book(worker, connection, since, &buyer).await,
            Action::Release => visit.release(worker, connection, since, &buyer).await,
        };
        since = Instant::now();
        action = worker.looking(|sight| buyer.next(answer, sight));
    }
}

impl Worker {
    /// All bots of a worker together look at the availability at most five times a second.
    const VIEW_AGE_MAX: Duration = Duration::from_millis(200);

    /// What the worker has seen so far; to be let go before the next await.
    pub(crate) fn samples(&self) -> RefMut<'_, Samples> {
        self.samples.borrow_mut()
    }

    /// Counts a request that is sent again.
    pub(crate) fn retries(&self) {
        self.samples().retries += 1;
    }

    /// Tells contenders what was taken.
    pub(crate) fn taken(&self, label: &str) {
        let mut taken = self.just_taken.borrow_mut();
        taken.clear();
        taken.push_str(label);
    }

    /// Whether it is time to look at the availability again. Who is told so does it for all.
    pub(crate) fn wants_a_view(&self) -> bool {
        let fresh = self.view_asked_at.get().is_some_and(|asked| asked.elapsed() < Self::VIEW_AGE_MAX);
        if !fresh {
            self.view_asked_at.set(Some(Instant::now()));
        }
        !fresh
    }

    /// The view's tag, for `If-None-Match`.
    pub(crate) fn view_etag(&self) -> Option<String> {
        self.view.borrow().etag.clone()
    }

    pub(crate) fn since_opening(&self) -> Duration {
        Instant::now().saturating_duration_since(self.crowd.opening)
    }

    fn arrived(&self, arrival: Arrival) {
        let after = arrival.intended.saturating_duration_since(self.crowd.opening);
        self.samples().second(after).arrivals += 1;
    }

    /// Lets a buyer choose by what can be seen now.
    fn looking<T>(&self, choose: impl FnOnce(Sight<'_>) -> T) -> T {
        let view = self.view.borrow();
        let just_taken = self.crowd.hall.seat(&self.just_taken.borrow());
        choose(Sight { hall: &self.crowd.hall, view: &view, just_taken })
    }

    /// One request and its answer.
    pub(crate) async fn exchange(&self, connection: &mut Connection, step: Step) -> (Answer, Wait) {
        Live::add(&self.crowd.live.requests, 1);
        let exchanged = connection.exchange().await;
        let mut samples = self.samples();
        samples.second(self.since_opening()).requests += 1;
        match exchanged {
            Ok(response) => {
                let wait = response.retry_after_seconds.map_or(Wait::Unsaid, Wait::Seconds);
                let answer = self.read(connection, step, &response);
                if let Answer::Refused(refusal) = &answer {
                    *samples.refusals.entry(refusal.kind).or_default() += 1;
                    samples.second(self.since_opening()).refusals += 1;
                    Live::add(&self.crowd.live.refusals, 1);
                }
                (answer, wait)
            }
            Err(failure) if failure.may_have_acted() => {
                samples.failure(failure.to_string());
                (Answer::Unknown, Wait::Backoff)
            }
            Err(failure) => (Answer::Strange(failure.to_string()), Wait::Backoff),
        }
    }

    fn read(&self, connection: &Connection, step: Step, response: &Response) -> Answer {
        let body = connection.body(response);
        if step == Step::Availability && response.status == 200 {
            return self.refresh(body, response.etag.clone());
        }
        crate::answer::read(step, response.status, body)
    }

    fn refresh(&self, body: &[u8], etag: Option<String>) -> Answer {
        let availability = serde_json::from_slice::<Availability>(body).map_err(anyhow::Error::from);
        match availability.and_then(|availability| View::new(&availability, &self.crowd.hall, etag)) {
            Ok(view) => {
                self.view.replace(view);
                Answer::Looked
            }
            Err(error) => Answer::Strange(format!("the availability cannot be read: {error}")),
        }
    }

    /// Records how long a step took in the end.
    pub(crate) fn record(&self, step: Step, answer: &Answer, since: Instant) {
        let mut samples = self.samples();
        let outcome = match answer {
            Answer::Refused(_) => Outcome::Refusal,
            Answer::Unknown => Outcome::Unsettled,
            Answer::Strange(words) => {
                samples.failure(words.clone());
                Outcome::Unsettled
            }
            Answer::Booked(Seats { labels, .. }, _) => {
                let seats = labels.len() as u64;
                samples.second(self.since_opening()).seats_sold += seats;
                Live::add(&self.crowd.live.seats_sold, seats);
                Outcome::Success
            }
            _ => Outcome::Success,
        };
        samples.step(step, outcome, since.elapsed());
    }
}
