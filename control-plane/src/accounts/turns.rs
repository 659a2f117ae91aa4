//! Whose slow work is done next: so much at one time, whoever is known before strangers, and each in the order in which
//! they came. Strangers who guess would else be what everybody waits for. Every fourth turn is a stranger's all the same:
//! whoever signs up, or comes from a new place, is not to wait for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody with a token, or at a place that the account knows.
    Known,
    /// Anybody else.
    Stranger,
}

/// See the module.
pub(crate) struct Turns {
    lines: Mutex<Lines>,
    /// In each line.
    waiting_max: usize,
}

/// Every so many turns a stranger's.
const STRANGERS_EVERY: usize = 4;

/// Invariant: where a place is free, nobody waits.
struct Lines {
    free: usize,
    /// Turns that were given to who waited.
    given: usize,
    known: VecDeque<oneshot::Sender<Turn>>,
    strangers: VecDeque<oneshot::Sender<Turn>>,
}

/// Leave to work. The next one has it when this is dropped.
pub(crate) struct Turn(Arc<Turns>);

impl Turns {
    pub(crate) fn new(at_once_max: usize, waiting_max: usize) -> Arc<Self> {
        let lines = Lines { free: at_once_max, given: 0, known: VecDeque::new(), strangers: VecDeque::new() };
        Arc::new(Self { lines: Mutex::new(lines), waiting_max })
    }

    /// Waits for a turn; nothing where too many wait already.
    pub(crate) async fn take(self: &Arc<Self>, who: Who) -> Option<Turn> {
        let turn = self.stand_in_line(who)?;
        turn.await.ok()
    }

    fn stand_in_line(self: &Arc<Self>, who: Who) -> Option<oneshot::Receiver<Turn>> {
        let (next, turn) = oneshot::channel();
        let mut lines = self.lines();
        if lines.free > 0 {
            lines.free -= 1;
            drop(lines);
            // Nobody can have gone away yet; whoever has gives the turn back.
            drop(next.send(Turn(Arc::clone(self))));
            return Some(turn);
        }
        let line = match who {
            Who::Known => &mut lines.known,
            Who::Stranger => &mut lines.strangers,
        };
        if line.len() >= self.waiting_max {
            // Whoever went away waits no more.
            line.retain(|next| !next.is_closed());
        }
        if line.len() >= self.waiting_max {
            return None;
        }
        line.push_back(next);
        Some(turn)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Who is next, and still there.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        for line in [&mut self.known, &mut self.strangers] {
            while line.front().is_some_and(oneshot::Sender::is_closed) {
                line.pop_front();
            }
        }
        self.given += 1;
        let (first, second) = match self.given.is_multiple_of(STRANGERS_EVERY) {
            true => (&mut self.strangers, &mut self.known),
            false => (&mut self.known, &mut self.strangers),
        };
        first.pop_front().or_else(|| second.pop_front())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.0.lines();
        let Some(next) = lines.next() else {
            lines.free += 1;
            return;
        };
        drop(lines);
        // Who goes away just now lets it drop, and so passes it on.
        drop(next.send(Self(Arc::clone(&self.0))));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What has come of it so far.
    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_is_known_comes_before_strangers_and_each_in_order() {
        let turns = Turns::new(1, 2);
        let first = poll(pin!(turns.take(Who::Stranger))).flatten().unwrap();
        let mut stranger = pin!(turns.take(Who::Stranger));
        let mut one = pin!(turns.take(Who::Known));
        let mut other = pin!(turns.take(Who::Known));
        assert!(poll(stranger.as_mut()).is_none() && poll(one.as_mut()).is_none() && poll(other.as_mut()).is_none());
        drop(first);
        let turn = poll(one.as_mut()).flatten().unwrap();
        assert!(poll(other.as_mut()).is_none() && poll(stranger.as_mut()).is_none());
        drop(turn);
        let turn = poll(other.as_mut()).flatten().unwrap();
        assert!(poll(stranger.as_mut()).is_none());
        drop(turn);
        drop(poll(stranger.as_mut()).flatten().unwrap());
        assert!(poll(pin!(turns.take(Who::Stranger))).flatten().is_some(), "the place is free again");
    }

    #[test]
    fn every_fourth_turn_is_a_strangers() {
        let turns = Turns::new(1, 9);
        let works = poll(pin!(turns.take(Who::Known))).flatten().unwrap();
        let mut known: Vec<_> = (0..6).map(|_| Box::pin(turns.take(Who::Known))).collect();
        known.iter_mut().for_each(|waits| assert!(poll(waits.as_mut()).is_none()));
        let mut stranger = pin!(turns.take(Who::Stranger));
        assert!(poll(stranger.as_mut()).is_none());
        drop(works);
        for waits in &mut known[..3] {
            drop(poll(waits.as_mut()).flatten().unwrap());
        }
        assert!(poll(known[3].as_mut()).is_none());
        drop(poll(stranger.as_mut()).flatten().unwrap());
        assert!(poll(known[3].as_mut()).flatten().is_some());
    }

    #[test]
    fn who_went_away_leaves_room_in_a_full_line() {
        let turns = Turns::new(1, 1);
        let _works = poll(pin!(turns.take(Who::Known))).flatten().unwrap();
        let mut gone = Box::pin(turns.take(Who::Stranger));
        assert!(poll(gone.as_mut()).is_none());
        drop(gone);
        assert!(poll(pin!(turns.take(Who::Stranger))).is_none(), "it waits, and is not turned away");
    }

    #[test]
    fn a_full_line_turns_away_and_leaves_the_other_alone() {
        let turns = Turns::new(1, 1);
        let _works = poll(pin!(turns.take(Who::Known))).flatten().unwrap();
        let mut waits = pin!(turns.take(Who::Stranger));
        assert!(poll(waits.as_mut()).is_none());
        assert!(matches!(poll(pin!(turns.take(Who::Stranger))), Some(None)), "one waits already");
        assert!(poll(pin!(turns.take(Who::Known))).is_none(), "who is known may wait");
    }

    #[test]
    fn who_goes_away_passes_the_turn_on() {
        let turns = Turns::new(1, 9);
        let works = poll(pin!(turns.take(Who::Known))).flatten().unwrap();
        let mut gone: Vec<_> = (0..3).map(|_| Box::pin(turns.take(Who::Stranger))).collect();
        gone.iter_mut().for_each(|waits| assert!(poll(waits.as_mut()).is_none()));
        let mut stays = pin!(turns.take(Who::Stranger));
        assert!(poll(stays.as_mut()).is_none());
        let last = gone.pop();
        drop(gone);
        drop(works);
        // It has the turn and never looks.
        drop(last);
        assert!(poll(stays.as_mut()).flatten().is_some());
    }
}
