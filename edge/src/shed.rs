//! Refusing early: a bound on what is worked on at one time, with room kept for what buyers have begun.

use std::sync::atomic::{AtomicUsize, Ordering};

use onrush_api::problem::Problem;

use crate::problems;

/// What a request is for, from first to last to be shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// Looking around: seat maps, availability, lists.
    Read,
    /// Something new: a hold, a show.
    New,
    /// What was begun: booking, releasing, cancelling.
    Begun,
    /// Whether the process lives: never shed.
    Probe,
}

/// Requests that are worked on.
pub(crate) struct InFlight {
    count: AtomicUsize,
    max: usize,
}

/// One request that is worked on, until dropped.
pub(crate) struct Admitted<'a>(&'a InFlight);

impl InFlight {
    pub(crate) fn new(max: usize) -> Self {
        Self { count: AtomicUsize::new(0), max }
    }

    /// Admits a request, or refuses it before anything is done for it. Reads may take 80 % of the room, new holds 95 %.
    pub(crate) fn admit(&self, priority: Priority) -> Result<Admitted<'_>, Problem> {
        let room = match priority {
            Priority::Read => self.max * 80 / 100,
            Priority::New => self.max * 95 / 100,
            Priority::Begun => self.max,
            Priority::Probe => usize::MAX,
        };
        let admitted = Admitted(self);
        if self.count.fetch_add(1, Ordering::Relaxed) < room.max(1) {
            Ok(admitted)
        } else {
            Err(problems::overloaded())
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_has_room_when_new_things_have_none() {
        let requests = InFlight::new(100);
        let admitted: Vec<_> = (0..95).map(|_| requests.admit(Priority::New).unwrap_or_else(|_| panic!())).collect();
        assert!(requests.admit(Priority::Read).is_err());
        assert!(requests.admit(Priority::New).is_err());
        assert!(requests.admit(Priority::Begun).is_ok());
        drop(admitted);
        assert_eq!(requests.count(), 0);
    }
}
