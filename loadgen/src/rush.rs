//! A rush from the first call to the verdict: make a performance, send the bots, wait for those who come back for
//! returned seats, audit, report.
//!
//! Everything here is synchronous and brings its own runtimes: call it from a thread that is not inside one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use onrush_api::availability::Availability;
use tokio::runtime::Runtime;

use crate::audit::{Audit, Buyers, Evidence, audit};
use crate::buyer::Ending;
use crate::crowd::{self, Crowd, Wave};
use crate::options::{ReplayOptions, RushOptions, SceneOptions, Settings, clock_nanos};
use crate::progress::{Manner, Progress};
use crate::report::{Measured, Report};
use crate::sample::{Live, Samples};
use crate::scenario::Chance;
use crate::schedule::{Profile, Schedule};
use crate::seats::{Hall, SeatState, View, states};
use crate::seller::Seller;
use crate::server_cpu;
use crate::target::Target;

/// Sends a crowd of bots against a server and reports.
///
/// Blocks until all bots have left and the audit is done. Whether it was clean is in the report.
///
/// # Errors
/// Where the server cannot be reached, refuses the seller's calls, or has no such performance on sale; the error says
/// what to do. What goes wrong while the bots run is no error: it stands in the report.
pub fn rush(target: &Target, options: &RushOptions) -> anyhow::Result<Report> {
    options.output.check()?;
    let scene = &options.scene;
    let seed = scene.seed();
    let (schedule, open_loop) = match options.rate {
        Some(rate) => (Schedule::poisson(seed, rate, options.bots), true),
        None => (Schedule::WhenFree { count: options.bots }, false),
    };
    let settings = Settings { rate_per_second: options.rate, ..settings(scene, seed, &schedule, open_loop) };
    run(target, scene, schedule, settings)
}

/// Sends a recorded profile of arrivals against a server and reports, like [`rush`].
///
/// # Errors
/// As [`rush`]; also where the profile cannot be read.
pub fn replay(target: &Target, options: &ReplayOptions) -> anyhow::Result<Report> {
    options.output.check()?;
    let scene = &options.scene;
    let seed = scene.seed();
    let schedule = Schedule::profile(seed, &Profile::load(&options.profile)?);
    let settings = Settings { profile: Some(options.profile.clone()), ..settings(scene, seed, &schedule, true) };
    run(target, scene, schedule, settings)
}

fn settings(scene: &SceneOptions, seed: u64, schedule: &Schedule, open_loop: bool) -> Settings {
    Settings {
        bots: schedule.count(),
        rate_per_second: None,
        profile: None,
        venue: scene.performance.is_none().then(|| scene.venue.clone()),
        connections: scene.connections(open_loop),
        workers: scene.workers(),
        seed,
        mix: scene.mix.to_string(),
        patience_seconds: scene.patience,
        timeout_seconds: scene.timeout,
    }
}

fn run(target: &Target, scene: &SceneOptions, schedule: Schedule, settings: Settings) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let run = clock_nanos();
    let mut office = Office {
        seller: Seller::new(target, &scene.seller, run, scene.timeout())?,
        performance: String::new(),
        runtime,
    };
    let crowd = Arc::new(office.prepare(target, scene, &settings, run)?);
    let pid = target.server_pid.or_else(|| server_cpu::listener(target.address()));
    let cpu_time = || pid.and_then(server_cpu::cpu_time);

    let manner = if scene.quiet { Manner::Quiet } else { Manner::Shown };
    let progress = Progress::start(manner, settings.bots, Arc::clone(&crowd.live));
    let cpu_before = cpu_time();
    let sent = send(&crowd, &mut office, schedule, scene.patience)?;
    let took = crowd.opening.elapsed();
    let server_cpu = cpu_time().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    drop(progress);

    let buyers = if scene.performance.is_some() { Buyers::Anybody } else { Buyers::BotsOnly };
    let (audit, seats) = office
        .audit(&crowd.hall, &sent.samples, buyers)
        .context("the bots have left, but the server's lists cannot be read: there is no audit")?;
    let measured = Measured { settings, performance: office.performance, sent, took, pid, server_cpu, seats };
    Ok(Report::new(measured, audit))
}

/// What came of all waves.
pub(crate) struct Sent {
    pub(crate) samples: Samples,
    /// Bots that came in place of those who had found nothing, when seats came back.
    pub(crate) second_chances: u64,
    /// How long bots were under way; without the waiting for seats to come back.
    pub(crate) busy: Duration,
}

/// The first wave, and the waves of those who come back.
fn send(crowd: &Arc<Crowd>, office: &mut Office, schedule: Schedule, patience: u32) -> anyhow::Result<Sent> {
    let bots = schedule.count();
    let samples = crowd::send(crowd, &Wave { schedule: Arc::new(schedule), first: 0, chance: Chance::First })?;
    let mut waiting = samples.endings(Ending::NothingLeft) + samples.endings(Ending::GaveUp);
    let mut sent = Sent { samples, second_chances: 0, busy: crowd.opening.elapsed() };
    let until = Instant::now() + Duration::from_secs(u64::from(patience));
    while waiting > 0 && Instant::now() < until {
        let count = office.seats(&crowd.hall)?;
        match (count.free.min(waiting), count.held) {
            (0, 0) => break,
            (0, _) => std::thread::sleep(Office::POLL_PERIOD),
            (come, _) => {
                sent.add_wave(crowd, bots, come)?;
                waiting -= come;
            }
        }
    }
    Ok(sent)
}

impl Sent {
    fn add_wave(&mut self, crowd: &Arc<Crowd>, bots: u64, come: u64) -> anyhow::Result<()> {
        let schedule = Arc::new(Schedule::WhenFree { count: come });
        let wave = Wave { schedule, first: bots + self.second_chances, chance: Chance::Second };
        let start = Instant::now();
        self.samples.merge(crowd::send(crowd, &wave)?);
        self.busy += start.elapsed();
        self.second_chances += come;
        Ok(())
    }
}

/// How many seats of the hall are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SeatCount {
    pub(crate) free: u64,
    pub(crate) held: u64,
    pub(crate) booked: u64,
    pub(crate) blocked: u64,
}

impl SeatCount {
    fn new(hall: &Hall, availability: &Availability) -> anyhow::Result<Self> {
        let mut count = Self::default();
        for state in states(availability, hall.capacity())? {
            *match state {
                SeatState::Free => &mut count.free,
                SeatState::Held => &mut count.held,
                SeatState::Booked => &mut count.booked,
                SeatState::Blocked => &mut count.blocked,
            } += 1;
        }
        Ok(count)
    }
}

/// The seller, with the runtime that its calls are made on.
struct Office {
    seller: Seller,
    performance: String,
    runtime: Runtime,
}

impl Office {
    /// How often those who come back look whether something is free again.
    const POLL_PERIOD: Duration = Duration::from_millis(100);
    /// How long an availability must stay the same to be the last one; old is allowed, for a moment.
    const SETTLED_AFTER: Duration = Duration::from_millis(200);
    const SETTLE_TRIES: u32 = 10;

    /// Makes or finds the performance, and reads its hall.
    fn prepare(
        &mut self,
        target: &Target,
        scene: &SceneOptions,
        settings: &Settings,
        run: u64,
    ) -> anyhow::Result<Crowd> {
        let seller = &mut self.seller;
        let preparing = async {
            let performance = match &scene.performance {
                Some(id) => seller.performance(id).await?,
                None => seller.make_performance(&scene.venue).await?,
            };
            let id = performance.id.0.to_string();
            let hall = Hall::new(&seller.seat_map(&id).await?)?;
            let view = View::new(&seller.availability(&id).await?, &hall, None)?;
            anyhow::Ok((id, hall, view))
        };
        let (performance, hall, view) = self.runtime.block_on(preparing)?;
        anyhow::ensure!(hall.capacity() > 0, "the performance {performance} has no seats");
        self.performance.clone_from(&performance);
        Ok(Crowd {
            target: target.clone(),
            performance,
            hall: Arc::new(hall),
            view,
            seed: settings.seed,
            run,
            mix: scene.mix,
            connections: settings.connections,
            workers: settings.workers,
            timeout: scene.timeout(),
            opening: Instant::now() + doors(settings),
            live: Arc::new(Live::default()),
        })
    }

    fn seats(&mut self, hall: &Hall) -> anyhow::Result<SeatCount> {
        SeatCount::new(hall, &self.runtime.block_on(self.seller.availability(&self.performance))?)
    }

    /// Reads the server's lists once nothing moves any more, and compares.
    fn audit(&mut self, hall: &Hall, samples: &Samples, buyers: Buyers) -> anyhow::Result<(Audit, SeatCount)> {
        let mut tries = 1;
        loop {
            let before = self.runtime.block_on(self.seller.availability(&self.performance))?;
            let bookings = self.runtime.block_on(self.seller.bookings(&self.performance))?;
            std::thread::sleep(Self::SETTLED_AFTER);
            let availability = self.runtime.block_on(self.seller.availability(&self.performance))?;
            if availability.version == before.version || tries == Self::SETTLE_TRIES {
                let bots = &samples.acknowledgements;
                let evidence = Evidence { hall, bookings: &bookings, availability: &availability, bots, buyers };
                return Ok((audit(&evidence), SeatCount::new(hall, &availability).unwrap_or_default()));
            }
            tries += 1;
        }
    }
}

/// In an open loop the connections are made before the doors open, so that the first bots do not pay for them.
fn doors(settings: &Settings) -> Duration {
    let open_loop = settings.rate_per_second.is_some() || settings.profile.is_some();
    if open_loop { Duration::from_millis(250) } else { Duration::ZERO }
}
