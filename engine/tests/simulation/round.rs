//! One round: requests that arrive together or shortly one after the other, and what must become of them.

use onrush_engine::client::Client;
use onrush_engine::command::{Command, HoldSeats, Wish};
use onrush_engine::inventory::Answer;
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::seat_map::SeatList;

use crate::check::Steps;
use crate::crowd::Request;
use crate::hall::{HOLDS_MAX, PERFORMANCES};
use crate::oracle::Oracle;
use crate::world::{MAILBOX_CAPACITY, World};

/// How a round's requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All at once.
    Together,
    /// One after the other, so that some are decided while others are written.
    Spread,
    /// As before, and in between the engine looks for what time has brought: a snapshot may be of half a round.
    SpreadWithTicks,
    /// At once, and their turn comes when they are too old.
    Late,
}

/// As many requests as find room whatever happens between them.
const FITTING: u64 = MAILBOX_CAPACITY as u64 - 2;
/// More than a command may wait.
const LATE_MILLIS: i64 = 2000;

/// What becomes of a request.
enum Expected {
    /// What the oracle says.
    Said(String),
    /// The mailbox was full.
    Full,
    /// It waited too long.
    Late,
}

impl World<'_> {
    /// Sends requests and checks what became of them; says whether the engine lives.
    pub(crate) async fn round(&mut self, client: &Client) -> bool {
        let count = match self.random.below(20) {
            0 => 2 * MAILBOX_CAPACITY as u64 + 8,
            1..=3 => FITTING,
            _ => self.random.below(6) + 1,
        };
        let requests: Vec<Request> = (0..count).map(|_| self.crowd.ask(&mut self.random)).collect();
        let manner = self.manner(count);
        if manner == Manner::Together {
            self.notice_contention(&requests);
        }
        self.note(&format!("{manner:?}"));
        let outcomes = self.send(client, &requests, manner).await;
        let (expected, mut steps) = self.expect(&requests, manner);
        self.compare(&requests, &expected, &outcomes);
        self.learn(&requests, &outcomes);
        self.notice_disk();
        let unknown = outcomes.contains(&Err(Failure::Unknown));
        assert!(!unknown || self.disk.is_broken(), "an outcome is unknown though the disk works");
        if self.disk.is_broken() {
            self.note("crash");
            self.check_dead(client).await;
            self.acknowledge(&requests, &outcomes, &mut steps);
            self.reconcile(&steps);
            return false;
        }
        self.check_durable();
        self.check_published(client);
        true
    }

    fn manner(&mut self, count: u64) -> Manner {
        match self.random.below(40) {
            0 => Manner::Late,
            1..=14 if count <= FITTING => Manner::SpreadWithTicks,
            15..=24 if count <= FITTING => Manner::Spread,
            _ => Manner::Together,
        }
    }

    async fn send(&mut self, client: &Client, requests: &[Request], manner: Manner) -> Vec<Outcome> {
        let mut asked = Vec::new();
        for Request { place, ask } in requests {
            let performance = client.performance(PERFORMANCES[*place]).expect("it is open");
            let (sender, ask) = (client.clone(), ask.clone());
            asked.push(actix_rt::spawn(async move { sender.ask(&performance, ask).await }));
            self.give_way(client, manner).await;
        }
        if manner == Manner::Late {
            // After the last request has gone into its mailbox, and before anybody looks there.
            let clock = self.clock.clone();
            actix_rt::spawn(async move { clock.step(LATE_MILLIS) });
        }
        let mut outcomes = Vec::new();
        for asked in asked {
            outcomes.push(asked.await.unwrap());
        }
        if manner == Manner::SpreadWithTicks {
            // Nobody has waited for the holds that a tick has ended.
            client.settle().await;
        }
        outcomes
    }

    /// Lets the engine work for a while between two requests.
    async fn give_way(&mut self, client: &Client, manner: Manner) {
        if !matches!(manner, Manner::Spread | Manner::SpreadWithTicks) {
            return;
        }
        let turns = if manner == Manner::Spread { 6 } else { 3 };
        if manner == Manner::SpreadWithTicks {
            let client = client.clone();
            actix_rt::spawn(async move { client.tick().await });
        }
        for _ in 0..self.random.below(turns) {
            tokio::task::yield_now().await;
        }
    }

    /// What the oracles say, and how they come to it.
    fn expect(&mut self, requests: &[Request], manner: Manner) -> (Vec<Expected>, Vec<Steps>) {
        let now = self.now();
        let mut waiting = [0; PERFORMANCES.len()];
        let mut expected = Vec::new();
        let begin = |oracle: &Option<Oracle>| Steps { states: vec![oracle.clone()], acknowledged: 0 };
        let mut steps: Vec<Steps> = self.oracles.iter().map(begin).collect();
        for Request { place, ask } in requests {
            self.expire(*place, now, &mut steps[*place]);
            let oracle = self.oracles[*place].as_mut().expect("rounds come after the opening");
            waiting[*place] += 1;
            expected.push(match manner {
                _ if waiting[*place] > MAILBOX_CAPACITY => Expected::Full,
                Manner::Late => Expected::Late,
                _ => {
                    let (said, met) = oracle.ask(ask, now);
                    met.into_iter().for_each(|sight| self.sometimes.happened(sight));
                    Expected::Said(said)
                }
            });
            steps[*place].states.push(Some(oracle.clone()));
        }
        for (place, steps) in steps.iter_mut().enumerate() {
            let due = self.oracles[place].as_ref().is_some_and(|oracle| oracle.is_due(now));
            if manner == Manner::SpreadWithTicks && due {
                self.expire(place, now, steps);
            }
        }
        (expected, steps)
    }

    /// A round's first look at a performance ends the holds that have run out.
    fn expire(&mut self, place: usize, now: i64, steps: &mut Steps) {
        let oracle = self.oracles[place].as_mut().expect("rounds come after the opening");
        if steps.states.len() == 1 {
            if oracle.pulse(now) > 0 {
                self.sometimes.happened("a hold runs out");
            }
            steps.states.push(Some(oracle.clone()));
        }
    }

    /// Notes how far each performance must be found: an answer, also a refusal, rests on what is durable.
    fn acknowledge(&mut self, requests: &[Request], outcomes: &[Outcome], steps: &mut [Steps]) {
        let mut asked_of = [0; PERFORMANCES.len()];
        for (Request { place, .. }, outcome) in requests.iter().zip(outcomes) {
            asked_of[*place] += 1;
            if matches!(outcome, Ok(_) | Err(Failure::Refused(_))) {
                self.sometimes.happened("a part of the round was answered before the crash");
                // Behind the state before the round and the one after the pulse.
                steps[*place].acknowledged = asked_of[*place] + 1;
            }
        }
    }

    fn compare(&mut self, requests: &[Request], expected: &[Expected], outcomes: &[Outcome]) {
        for ((Request { place, ask }, expected), outcome) in requests.iter().zip(expected).zip(outcomes) {
            if *outcome == Err(Failure::Unknown) {
                continue;
            }
            let said = self.oracles[*place].as_ref().expect("rounds come after the opening").said(outcome);
            self.note(&format!("{ask:?}: {said}"));
            match expected {
                Expected::Said(expected) => assert_eq!(*expected, said, "{ask:?}"),
                Expected::Full => {
                    assert_eq!(*outcome, Err(Failure::Overloaded));
                    self.sometimes.happened("the mailbox is full");
                }
                Expected::Late => {
                    assert_eq!(*outcome, Err(Failure::Overloaded));
                    self.sometimes.happened("a command waits too long");
                }
            }
            match said.as_str() {
                "refused KeyReused" => self.sometimes.happened("a request key is used for another request"),
                "refused NotAdjacent" => self.sometimes.happened("no run of seats side by side is left"),
                _ => {}
            }
        }
    }

    fn notice_contention(&mut self, requests: &[Request]) {
        let wanted = |request: &Request| match &request.ask {
            Ask::Command(Command::HoldSeats(HoldSeats { wish: Wish::Seats(seats), caller, .. })) => {
                Some((request.place, seats.clone(), caller.account))
            }
            _ => None,
        };
        let wanted: Vec<_> = requests.iter().filter_map(wanted).collect();
        for (nth, (place, seats, buyer)) in wanted.iter().enumerate() {
            let same = |(other, theirs, them): &&(usize, SeatList, _)| {
                other == place && them != buyer && theirs.iter().any(|seat| seats.contains(seat))
            };
            if wanted[..nth].iter().any(|other| same(&other)) {
                self.sometimes.happened("two buyers want the same seat in the same group");
            }
            let own = wanted[..nth].iter().filter(|(other, _, them)| other == place && them == buyer).count();
            if own >= HOLDS_MAX as usize {
                self.sometimes.happened("a limit is reached by holds of one group");
            }
        }
    }

    /// What the disk did while the engine went on.
    fn notice_disk(&mut self) {
        if self.disk.failed().is_some() && !self.disk.is_broken() {
            self.sometimes.happened("a snapshot cannot be written, and the sale goes on");
        }
        self.disk.remarks().into_iter().for_each(|remark| self.sometimes.happened(remark));
    }

    /// Remembers what the buyers were told.
    fn learn(&mut self, requests: &[Request], outcomes: &[Outcome]) {
        for (request, outcome) in requests.iter().zip(outcomes) {
            let Ok(answered) = outcome else { continue };
            if answered.replayed {
                self.sometimes.happened("a request is answered again");
                if self.crowd.sent_before(request, self.life) {
                    self.sometimes.happened("a request is answered again after a crash");
                }
            }
            match &answered.answer {
                _ if !request.is_command() => self.sometimes.happened("somebody reads what is held or booked"),
                Answer::Booking(booking) if !booking.cancelled.is_empty() && !booking.seats.is_empty() => {
                    self.sometimes.happened("a booking is cancelled in part");
                }
                Answer::Block(_) => self.sometimes.happened("house seats are blocked"),
                _ => {}
            }
            self.crowd.learn(request, &answered.answer, self.life);
        }
    }
}
