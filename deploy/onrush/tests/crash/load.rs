//! Buyers on threads of their own, each with one request under way, until the server goes away.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::hall::Tokens;
use crate::http::{Connection, Failure};
use crate::random::Random;
use crate::visit::Visit;

/// Buyers at one time.
pub(crate) const BUYERS: usize = 4;

/// A load that runs.
pub(crate) struct Load {
    buyers: Vec<JoinHandle<Outcome>>,
    answers: Receiver<()>,
}

/// What the buyers have seen.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) visits: Vec<Visit>,
    /// Answers that began and broke off.
    pub(crate) broken: Vec<String>,
    /// Buyers who were told that an outcome is unknown: the journal may have failed.
    pub(crate) unknown: usize,
    /// Successes that a buyer saw after that.
    pub(crate) late_successes: usize,
}

/// What one buyer works with.
struct Buyer {
    number: usize,
    token: String,
    performance: String,
    random: Random,
    answered: Sender<()>,
}

impl Load {
    /// Sends buyers at a performance; `name` makes their keys different from all others.
    pub(crate) fn start(
        address: SocketAddr,
        tokens: &Tokens,
        performance: &str,
        name: &str,
        random: &mut Random,
    ) -> Self {
        let (answered, answers) = channel();
        let buyer = |number| Buyer {
            number,
            token: tokens.buyer(number),
            performance: performance.to_owned(),
            random: random.split(),
            answered: answered.clone(),
        };
        let buyers: Vec<Buyer> = (0..BUYERS).map(buyer).collect();
        let run = |buyer: Buyer| {
            let name = format!("{name}-{}", buyer.number);
            std::thread::spawn(move || buyer.run(address, &name))
        };
        Self { buyers: buyers.into_iter().map(run).collect(), answers }
    }

    /// Waits for so many answers, or until no buyer gets any more; how many came.
    pub(crate) fn wait_for(&self, answers: usize) -> usize {
        let came = (0..answers).take_while(|_| self.answers.recv().is_ok()).count();
        assert!(came > 0 || answers == 0, "the load was never answered");
        came
    }

    /// Waits until something is so, looking after every answer; not for ever, as a hall fills up. Whether it came.
    pub(crate) fn wait_until(&self, mut is_so: impl FnMut() -> bool) -> bool {
        const ANSWERS_MAX: usize = 20_000;
        let answers = (0..ANSWERS_MAX).take_while(|_| self.answers.recv().is_ok());
        answers.into_iter().any(|_| is_so())
    }

    /// Waits for the buyers, whose server has gone.
    pub(crate) fn join(self) -> Outcome {
        drop(self.answers);
        let mut all = Outcome::default();
        for buyer in self.buyers {
            let outcome = buyer.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
            all.visits.extend(outcome.visits);
            all.broken.extend(outcome.broken);
            all.unknown += outcome.unknown;
            all.late_successes += outcome.late_successes;
        }
        all
    }
}

impl Buyer {
    fn run(mut self, address: SocketAddr, name: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let Ok(mut connection) = Connection::open(address) else { return outcome };
        loop {
            let name = format!("{name}-{}", outcome.visits.len());
            let mut visit = Visit::new(self.number, &self.performance, name, &mut self.random);
            let seen = self.visit(&mut connection, &mut visit, &mut outcome);
            outcome.visits.push(visit);
            match seen {
                Ok(()) => {}
                Err(Failure::Silent(_)) => return outcome,
                Err(failure @ Failure::Broken(_)) => {
                    outcome.broken.push(failure.to_string());
                    return outcome;
                }
            }
        }
    }

    fn visit(&self, connection: &mut Connection, visit: &mut Visit, outcome: &mut Outcome) -> Result<(), Failure> {
        while let Some(call) = visit.advance() {
            let response = connection.exchange(&call, &self.token)?;
            // Whoever counts answers may have seen enough.
            self.answered.send(()).ok();
            visit.learn(&response).unwrap_or_else(|surprise| panic!("{surprise}"));
            outcome.late_successes += usize::from(outcome.unknown > 0 && response.status < 300);
            if response.text().contains("outcome-unknown") {
                outcome.unknown = 1;
            }
            if visit.open.is_some() {
                break;
            }
        }
        Ok(())
    }
}
