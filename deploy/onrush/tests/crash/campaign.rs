//! Many crashes on one data directory: halls that fill up, the visits to each, and what came of them.

use std::path::PathBuf;
use std::time::SystemTime;
use std::{fmt, fs};

use crate::audit::{self, Findings};
use crate::hall::{self, CAPACITY, Tokens};
use crate::http::Connection;
use crate::load::{Load, Outcome};
use crate::random::Random;
use crate::server::{Process, Server};
use crate::visit::Visit;

/// The figures of a run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    seed: u64,
    pub(crate) cycles: u64,
    pub(crate) acknowledged_bookings: usize,
    acknowledged_holds: usize,
    resent: usize,
    /// Loads that went on until a snapshot was written.
    pub(crate) snapshots: u64,
    lost: usize,
    double_sold: usize,
    failed_starts: usize,
}

impl Figures {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Those of two campaigns; the first one's seed.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            seed: self.seed,
            cycles: self.cycles + other.cycles,
            acknowledged_bookings: self.acknowledged_bookings + other.acknowledged_bookings,
            acknowledged_holds: self.acknowledged_holds + other.acknowledged_holds,
            resent: self.resent + other.resent,
            snapshots: self.snapshots + other.snapshots,
            lost: self.lost + other.lost,
            double_sold: self.double_sold + other.double_sold,
            failed_starts: self.failed_starts + other.failed_starts,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, cycles, acknowledged_bookings, acknowledged_holds, resent, snapshots, .. } = self;
        let Self { lost, double_sold, failed_starts, .. } = self;
        write!(
            f,
            "seed {seed}: {cycles} cycles, {acknowledged_bookings} acknowledged bookings checked \
             ({acknowledged_holds} holds, {resent} requests sent again, {snapshots} snapshots under load), {lost} lost, {double_sold} double sold, \
             {failed_starts} failed starts"
        )
    }
}

/// A performance and who has been there.
struct Hall {
    performance: String,
    visits: Vec<Visit>,
}

/// See the module.
pub(crate) struct Campaign {
    pub(crate) data: PathBuf,
    pub(crate) random: Random,
    pub(crate) figures: Figures,
    tokens: Tokens,
    halls: Vec<Hall>,
    loads: usize,
    audits: usize,
}

/// With fewer seats than this left the next load gets a new hall.
const FREE_MIN: usize = CAPACITY / 2;

impl Campaign {
    /// Begins on an empty directory, with a server that is handed back.
    pub(crate) fn begin(data: PathBuf, figures: Figures, random: Random) -> (Self, Server) {
        let server = Server::start(&data);
        let tokens = Tokens::of(&data);
        let campaign = Self { data, random, figures, tokens, halls: Vec::new(), loads: 0, audits: 0 };
        (campaign, server)
    }

    /// Sends buyers at the server.
    pub(crate) fn load(&mut self, server: &Server) -> Load {
        let hall = match self.halls.last() {
            Some(hall) if taken(&hall.visits) < CAPACITY - FREE_MIN => hall,
            _ => self.open_hall(server),
        };
        let performance = hall.performance.clone();
        self.loads += 1;
        let name = format!("{:x}-{}", self.figures.seed, self.loads);
        Load::start(server.address, &self.tokens, &performance, &name, &mut self.random)
    }

    fn open_hall(&mut self, server: &Server) -> &Hall {
        let performance = hall::open(&mut server.connect(), &self.tokens);
        self.halls.push(Hall { performance, visits: Vec::new() });
        self.halls.last().expect("just pushed")
    }

    /// Lets a load go on until a snapshot is written, and perhaps for some answers more: old records are dropped then.
    pub(crate) fn wait_for_snapshot(&mut self, load: &Load) {
        const ANSWERS_MORE: u64 = 4_000;
        let before = self.newest_snapshot();
        // Not in a hall that is full before.
        self.figures.snapshots += u64::from(load.wait_until(|| self.newest_snapshot() > before));
        load.wait_for((self.random.below(2) * self.random.below(ANSWERS_MORE)) as usize);
    }

    /// When the newest snapshot was written.
    fn newest_snapshot(&self) -> Option<SystemTime> {
        let files = fs::read_dir(self.data.join("snapshots")).expect("snapshots have a directory").flatten();
        let written = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "snapshot"));
        written.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
    }

    /// Writes down what the buyers of the last load have seen.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        let booked = |visit: &&Visit| visit.booking.is_some();
        self.figures.acknowledged_bookings += outcome.visits.iter().filter(booked).count();
        self.figures.acknowledged_holds += outcome.visits.iter().filter(|visit| visit.hold.is_some()).count();
        self.figures.resent += outcome.visits.iter().filter(|visit| visit.open.is_some()).count();
        self.halls.last_mut().expect("a load has a hall").visits.extend(outcome.visits);
    }

    /// Starts the server again and compares; ends the test where something is not as it was acknowledged.
    pub(crate) fn restart(&mut self) -> Server {
        let server = match Process::spawn(&self.data, &[]).serves(&self.data) {
            Ok(server) => server,
            Err(reason) => {
                self.figures.failed_starts += 1;
                panic!("{}; {reason}", self.figures);
            }
        };
        self.compare(&mut server.connect());
        server
    }

    /// What was in flight comes to one effect; the last hall, and each time another one, are as acknowledged.
    fn compare(&mut self, connection: &mut Connection) {
        let Some(last) = self.halls.len().checked_sub(1) else { return };
        let mut findings = audit::resolve(connection, &self.tokens, &mut self.halls[last].visits);
        self.audits += 1;
        let other = Some(self.audits % self.halls.len()).filter(|other| *other != last);
        for place in std::iter::once(last).chain(other) {
            findings.add(self.audit(connection, place));
        }
        self.judge(findings);
    }

    fn audit(&self, connection: &mut Connection, place: usize) -> Findings {
        let Hall { performance, visits } = &self.halls[place];
        audit::audit(connection, &self.tokens, performance, visits)
    }

    /// Compares every hall.
    pub(crate) fn audit_all(&mut self, server: &Server) {
        let mut connection = server.connect();
        let mut findings = Findings::default();
        (0..self.halls.len()).for_each(|place| findings.add(self.audit(&mut connection, place)));
        self.judge(findings);
    }

    fn judge(&mut self, findings: Findings) {
        self.figures.lost += findings.lost.len();
        self.figures.double_sold += findings.double_sold.len();
        assert!(findings.is_clean(), "{}\n{findings:#?}", self.figures);
    }
}

/// Seats that are not free, as far as the visits know.
fn taken(visits: &[Visit]) -> usize {
    let held = visits.iter().filter_map(Visit::holds).map(|hold| hold.seats.len());
    let booked = visits.iter().filter_map(|visit| visit.booking.as_ref()).map(|booking| booking.seats.len());
    held.chain(booked).sum()
}
