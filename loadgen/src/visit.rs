//! One bot's requests: who it is, its keys, and how long it insists.
//!
//! Every request goes through [`Visit::settle`], the one place with a retry policy: the same bytes with the same
//! idempotency key, a few times, with jittered pauses.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::answer::{Answer, Seats, Step};
use crate::audit::{Acknowledged, Unsettled};
use crate::buyer::{Buyer, Wish};
use crate::client::{Connection, Request};
use crate::crowd::Worker;
use crate::random::Random;

/// What a bot brings along: who it is, and its keys.
pub(crate) struct Visit {
    number: u64,
    account: String,
    token: String,
    posts: u32,
    random: Random,
}

#[derive(Serialize)]
struct BookingBody<'a> {
    hold: &'a str,
}

impl Visit {
    /// The stream for pauses between tries; its own, so that a retry does not change what the bot wants next.
    const STREAM: u64 = 1 << 63;

    /// The bot with this number in the whole rush.
    pub(crate) fn new(worker: &Worker, number: u64) -> Self {
        let crowd = &worker.crowd;
        let account = format!("acc_bot-{}-{number}", crowd.seed);
        let token = crowd.target.buyer_token(&account);
        Self { number, account, token, posts: 0, random: Random::new(crowd.seed, Self::STREAM | number) }
    }

    /// Asks for seats.
    pub(crate) async fn hold(
        &mut self,
        worker: &Worker,
        connection: &mut Connection,
        since: Instant,
        wish: &Wish,
    ) -> Answer {
        let path = format_args!("/v1/performances/{}/holds", worker.crowd.performance);
        self.write_post(worker, connection, path, &wish.request(&worker.crowd.hall));
        let answer = self.settle(worker, connection, Step::Hold, since).await;
        if let Answer::Held(Seats { labels, .. }) = &answer
            && let Some(label) = labels.first()
        {
            worker.taken(label);
        }
        answer
    }

    /// Books what the buyer holds, and remembers what the server says.
    pub(crate) async fn book(
        &mut self,
        worker: &Worker,
        connection: &mut Connection,
        since: Instant,
        buyer: &Buyer,
    ) -> Answer {
        let held = buyer.held().expect("a buyer books what it holds");
        self.write_post(worker, connection, format_args!("/v1/bookings"), &BookingBody { hold: &held.id });
        let answer = self.settle(worker, connection, Step::Book, since).await;
        self.remember(worker, &answer, held);
        answer
    }

    /// Gives back what the buyer holds.
    pub(crate) async fn release(
        &mut self,
        worker: &Worker,
        connection: &mut Connection,
        since: Instant,
        buyer: &Buyer,
    ) -> Answer {
        let held = buyer.held().expect("a buyer releases what it holds");
        let path = format_args!("/v1/holds/{}", held.id);
        let token = Some(self.token.as_str());
        connection.write(&Request { method: "DELETE", path, token, key: None, etag: None, body: &[] });
        self.settle(worker, connection, Step::Release, since).await
    }

    /// Looks at the availability, unless another bot of the worker has just done so.
    pub(crate) async fn look(&mut self, worker: &Worker, connection: &mut Connection, since: Instant) -> Answer {
        if !worker.wants_a_view() {
            return Answer::Looked;
        }
        let etag = worker.view_etag();
        let path = format_args!("/v1/performances/{}/availability", worker.crowd.performance);
        connection.write(&Request { etag: etag.as_deref(), ..Request::get(path) });
        self.settle(worker, connection, Step::Availability, since).await
    }

    fn write_post<T: Serialize>(
        &mut self,
        worker: &Worker,
        connection: &mut Connection,
        path: fmt::Arguments<'_>,
        body: &T,
    ) {
        self.posts += 1;
        let body = serde_json::to_vec(body).expect("plain structs of texts and numbers are always JSON");
        let key = Some(format_args!("{:x}-{}-{}", worker.crowd.run, self.number, self.posts));
        let token = Some(self.token.as_str());
        connection.write(&Request { method: "POST", path, token, key, etag: None, body: &body });
    }

    /// Sends what was written until the answer is a lasting one, and records it.
    async fn settle(&mut self, worker: &Worker, connection: &mut Connection, step: Step, since: Instant) -> Answer {
        /// Tries of one request, all with the same key.
        const TRIES_MAX: u32 = 3;
        let mut may_have_acted = false;
        let mut tries = 1;
        let answer = loop {
            let (answer, wait) = worker.exchange(connection, step).await;
            may_have_acted |= leaves_it_open(&answer);
            if !is_temporary(&answer, wait) {
                break answer;
            }
            if tries == TRIES_MAX {
                // An earlier try may have taken effect even where the last one surely did not.
                break if may_have_acted { Answer::Unknown } else { answer };
            }
            worker.retries();
            tokio::time::sleep(pause(wait, tries, &mut self.random)).await;
            tries += 1;
        };
        worker.record(step, &answer, since);
        answer
    }

    fn remember(&self, worker: &Worker, answer: &Answer, held: &Seats) {
        let acknowledgements = &mut worker.samples().acknowledgements;
        let buyer = self.account.clone();
        match answer {
            Answer::Booked(Seats { id, labels }, status) => acknowledgements.acknowledged.push(Acknowledged {
                booking: id.clone(),
                buyer,
                status: *status,
                held: held.labels.clone(),
                seats: labels.clone(),
                at_micros: worker.since_opening().as_micros() as u64,
            }),
            // A strange answer may hide a booking just as well as none.
            Answer::Unknown | Answer::Strange(_) => {
                acknowledgements.unsettled.push(Unsettled { buyer, seats: held.labels.clone() });
            }
            _ => {}
        }
    }
}

/// What to do before the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The server did not say.
    Backoff,
    /// `Retry-After`.
    Seconds(u32),
    /// There is no use in another try, unless the answer itself says so.
    Unsaid,
}

/// Whether the request may have taken effect though the answer does not say so.
fn leaves_it_open(answer: &Answer) -> bool {
    match answer {
        Answer::Refused(refusal) => refusal.leaves_it_open(),
        answer => *answer == Answer::Unknown,
    }
}

/// Whether the same request may fare better in a moment. An answer outside the contract will not; no answer at all may.
fn is_temporary(answer: &Answer, wait: Wait) -> bool {
    match answer {
        Answer::Refused(refusal) => refusal.is_temporary(),
        Answer::Unknown => true,
        Answer::Strange(_) => wait == Wait::Backoff,
        _ => false,
    }
}

/// Jittered, so that those who were refused together do not come back together.
fn pause(wait: Wait, tries: u32, random: &mut Random) -> Duration {
    /// Longer than this no bot waits, whatever the server says: the rush has an end.
    const SECONDS_MAX: u32 = 5;
    const FIRST: Duration = Duration::from_millis(50);
    match wait {
        Wait::Seconds(seconds) => {
            Duration::from_secs(u64::from(seconds.min(SECONDS_MAX))).mul_f64(1.0 + random.unit() / 2.0)
        }
        Wait::Backoff | Wait::Unsaid => (FIRST * 2u32.pow(tries - 1)).mul_f64(0.5 + random.unit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Refusal;
    use onrush_api::problem::Kind;

    fn refused(kind: Kind) -> Answer {
        Answer::Refused(Refusal { kind, remaining: None, split: Vec::new() })
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut random = Random::new(1, 1);
        for _ in 0..100 {
            let millis = |wait, tries, random: &mut Random| pause(wait, tries, random).as_millis();
            assert!((25..75).contains(&millis(Wait::Backoff, 1, &mut random)));
            assert!((50..150).contains(&millis(Wait::Unsaid, 2, &mut random)));
            assert!((2_000..3_000).contains(&millis(Wait::Seconds(2), 1, &mut random)), "never before it was asked to");
            assert!(millis(Wait::Seconds(86_400), 1, &mut random) < 7_500);
        }
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        for kind in [Kind::Overloaded, Kind::OutcomeUnknown, Kind::KeyInFlight, Kind::TooManyRequests] {
            assert!(is_temporary(&refused(kind), Wait::Unsaid), "{kind:?}");
        }
        assert!(!is_temporary(&refused(Kind::SeatsUnavailable), Wait::Seconds(1)));
        assert!(!is_temporary(&Answer::Strange("?".to_owned()), Wait::Unsaid));
        assert!(is_temporary(&Answer::Strange("no connection".to_owned()), Wait::Backoff));
    }

    #[test]
    fn what_was_refused_before_any_work_is_not_open() {
        assert!(!leaves_it_open(&refused(Kind::Overloaded)));
        assert!(leaves_it_open(&refused(Kind::OutcomeUnknown)));
        assert!(leaves_it_open(&Answer::Unknown));
    }
}
