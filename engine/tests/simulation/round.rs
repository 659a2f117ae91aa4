//! One round: requests that arrive together or shortly one after the other, and what must become of them.

use onrush_engine::client::Client;
use onrush_engine::command::{Command, HoldSeats, Wish};
use onrush_engine::inventory::Answer;
use onrush_engine::mailbox::{Ask, Failure, Outcome};
use onrush_engine::seat_map::SeatList;

use crate::crowd::Request;
use crate::hall::{HOLDS_MAX, PERFORMANCES};
use crate::model::{self, Model};
use crate::world::{MAILBOX_CAPACITY, Steps, World};

impl World<'_> {
    /// Sends commands that arrive together or shortly one after the other, so that some are decided while others are
    /// written; and checks what became of them; says whether the engine lives.
    pub(crate) async fn round(&mut self, client: &Client) -> bool {
        let count = if self.random.one_in(20) { 2 * MAILBOX_CAPACITY as u64 + 8 } else { self.random.below(6) + 1 };
        let requests: Vec<Request> = (0..count).map(|_| self.crowd.ask(&mut self.random)).collect();
        self.notice_contention(&requests);
        let (expected, mut steps) = self.expect(&requests);
        let spread = count <= 6 && self.random.one_in(2);

        let mut asked = Vec::new();
        for Request { place, command, .. } in &requests {
            let performance = client.performance(PERFORMANCES[*place]).expect("it is open");
            let (client, command) = (client.clone(), command.clone());
            asked.push(actix_rt::spawn(async move { client.ask(&performance, Ask::Command(command)).await }));
            for _ in 0..if spread { self.random.below(6) } else { 0 } {
                tokio::task::yield_now().await;
            }
        }
        let mut outcomes = Vec::new();
        for asked in asked {
            outcomes.push(asked.await.unwrap());
        }
        self.compare(&requests, &expected, &outcomes);
        self.learn(&requests, &outcomes);
        if outcomes.contains(&Err(Failure::Unknown)) {
            assert!(self.disk.is_gone(), "an outcome is unknown though the disk works");
            self.note("crash");
            self.acknowledge(&requests, &outcomes, &mut steps);
            self.reconcile(&steps);
            return false;
        }
        self.check_durable();
        self.check_published(client);
        true
    }

    /// What the models say, and how they come to it; a mailbox takes so many, and the rest is refused before it is
    /// decided.
    fn expect(&mut self, requests: &[Request]) -> (Vec<Option<String>>, Vec<Steps>) {
        let now = self.now();
        let mut waiting = [0; PERFORMANCES.len()];
        let mut expected = Vec::new();
        let begin = |model: &Option<Model>| Steps { states: vec![model.clone()], acknowledged: 0 };
        let mut steps: Vec<Steps> = self.models.iter().map(begin).collect();
        for Request { place, command, .. } in requests {
            let model = self.models[*place].as_mut().expect("rounds come after the opening");
            let states = &mut steps[*place].states;
            if states.len() == 1 {
                if model.pulse(now) > 0 {
                    self.sometimes.happened("a hold runs out");
                }
                states.push(Some(model.clone()));
            }
            waiting[*place] += 1;
            let fits = waiting[*place] <= MAILBOX_CAPACITY;
            expected.push(fits.then(|| model.run(command, now)));
            states.push(Some(model.clone()));
        }
        (expected, steps)
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

    fn compare(&mut self, requests: &[Request], expected: &[Option<String>], outcomes: &[Outcome]) {
        for ((Request { command, .. }, expected), outcome) in requests.iter().zip(expected).zip(outcomes) {
            if *outcome == Err(Failure::Unknown) {
                continue;
            }
            let said = model::said(outcome);
            self.note(&said);
            match expected {
                Some(expected) => assert_eq!(*expected, said, "{command:?}"),
                None => {
                    assert_eq!(*outcome, Err(Failure::Overloaded));
                    self.sometimes.happened("the mailbox is full");
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
        let wanted = |request: &Request| match &request.command {
            Command::HoldSeats(HoldSeats { wish: Wish::Seats(seats), caller, .. }) => {
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
