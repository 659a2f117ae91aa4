//! Whose slow work is done next: so much at one time, whoever is known before strangers, and each in the order in which
//! they came. Strangers who guess would else be what everybody waits for. Every fourth turn is a stranger's all the same:
//! whoever signs up, or comes from a new place, is not to wait for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody at a place that the account knows, or who changes a password and has said the former one.
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
    fn poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

    /// Somebody who has to wait.
    fn waits(turns: &Arc<Turns>, who: Who) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(turns.take(who));
        assert!(poll(waiting.as_mut()).is_none(), "there is a turn at once");
        waiting
    }

    /// Somebody who has a turn now.
    fn works<'a>(mut waiting: Waiting<'a>) -> Turn {
        poll(waiting.as_mut()).flatten().expect("a turn")
    }

    fn busy(waiting_max: usize) -> (Arc<Turns>, Turn) {
        let turns = Turns::new(1, waiting_max);
        let turn = poll(pin!(turns.take(Who::Known))).flatten().expect("a turn at once");
        (turns, turn)
    }

    #[test]
    fn who_is_known_comes_before_strangers_and_each_in_order() {
        let (turns, first) = busy(2);
        let [mut stranger, one, mut other] = [Who::Stranger, Who::Known, Who::Known].map(|who| waits(&turns, who));
        drop(first);
        let turn = works(one);
        assert!(poll(other.as_mut()).is_none() && poll(stranger.as_mut()).is_none());
        drop(turn);
        let turn = works(other);
        assert!(poll(stranger.as_mut()).is_none());
        drop(turn);
        drop(works(stranger));
        assert!(poll(pin!(turns.take(Who::Stranger))).flatten().is_some(), "the place is free again");
    }

    #[test]
    fn every_fourth_turn_is_a_strangers() {
        let (turns, first) = busy(9);
        let [one, two, three, mut four] = [Who::Known; 4].map(|who| waits(&turns, who));
        let stranger = waits(&turns, Who::Stranger);
        drop(first);
        [one, two, three].into_iter().for_each(|waiting| drop(works(waiting)));
        assert!(poll(four.as_mut()).is_none());
        drop(works(stranger));
        drop(works(four));
    }

    #[test]
    fn who_went_away_leaves_room_in_a_full_line() {
        let (turns, _first) = busy(1);
        drop(waits(&turns, Who::Stranger));
        drop(waits(&turns, Who::Stranger));
    }

    #[test]
    fn a_full_line_turns_away_and_leaves_the_other_alone() {
        let (turns, _first) = busy(1);
        let _stranger = waits(&turns, Who::Stranger);
        assert!(matches!(poll(pin!(turns.take(Who::Stranger))), Some(None)), "one waits already");
        drop(waits(&turns, Who::Known));
    }

    #[test]
    fn who_goes_away_passes_the_turn_on() {
        let (turns, first) = busy(9);
        let [gone, gone_too, unheard, stays] = [Who::Stranger; 4].map(|who| waits(&turns, who));
        drop((gone, gone_too));
        drop(first);
        // It has the turn and never looks.
        drop(unheard);
        drop(works(stays));
    }
}
