//! Which booking is looked at when: at once, later, and later still where nobody answers; one look at a time at each.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use onrush_engine::id::BookingId;
use tokio::task::JoinSet;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::Seen;

/// Looks that are under way at one time: what one provider is asked at once.
const AT_ONCE_MAX: usize = 32;
/// After the first silence; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What happens next.
pub(super) enum Turn {
    /// A booking's time has come.
    Look(BookingId),
    /// A look is over.
    Ended(Option<(BookingId, Seen)>),
}

/// See the module.
#[derive(Default)]
pub(super) struct Agenda {
    queue: DelayQueue<BookingId>,
    keys: HashMap<BookingId, Key>,
    looking: JoinSet<(BookingId, Seen)>,
    /// Those of whom the engine has spoken again while they were looked at, too.
    busy: HashMap<BookingId, bool>,
    /// How often in a row nobody answered.
    silences: HashMap<BookingId, u32>,
}

impl Agenda {
    /// Puts a booking in front; if it is being looked at, again after that.
    pub(super) fn now(&mut self, booking: BookingId) {
        match self.busy.get_mut(&booking) {
            Some(again) => *again = true,
            None => self.after(booking, Duration::ZERO),
        }
    }

    fn after(&mut self, booking: BookingId, pause: Duration) {
        match self.keys.get(&booking) {
            Some(key) => self.queue.reset(key, pause),
            None => drop(self.keys.insert(booking, self.queue.insert(booking, pause))),
        }
    }

    /// What happens next. Waits until something does.
    pub(super) async fn next(&mut self) -> Turn {
        poll_fn(|context| {
            if let Poll::Ready(Some(ended)) = self.looking.poll_join_next(context) {
                return Poll::Ready(Turn::Ended(ended.ok()));
            }
            if self.looking.len() < AT_ONCE_MAX
                && let Poll::Ready(Some(expired)) = self.queue.poll_expired(context)
            {
                let booking = expired.into_inner();
                self.keys.remove(&booking);
                return Poll::Ready(Turn::Look(booking));
            }
            Poll::Pending
        })
        .await
    }

    /// Begins a look.
    pub(super) fn spawn(&mut self, booking: BookingId, look: impl Future<Output = Seen> + Send + 'static) {
        self.busy.insert(booking, false);
        // A look that panics is one without an answer.
        let look = tokio::spawn(look);
        self.looking.spawn(async move { (booking, look.await.unwrap_or(Seen::NoAnswer)) });
    }

    /// Notes when a booking is looked at next.
    pub(super) fn note(&mut self, booking: BookingId, seen: Seen) {
        let again = self.busy.remove(&booking).unwrap_or(false);
        if seen != Seen::NoAnswer {
            self.silences.remove(&booking);
        }
        match seen {
            _ if again => self.after(booking, Duration::ZERO),
            Seen::Done => {}
            Seen::Later(pause) => self.after(booking, pause),
            Seen::NoAnswer => {
                let silences = self.silences.entry(booking).or_default();
                let pause = (FIRST_PAUSE * 2u32.saturating_pow(*silences)).min(PAUSE_MAX);
                *silences = (*silences + 1).min(16);
                self.after(booking, pause);
            }
        }
    }
}
