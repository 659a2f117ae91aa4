//! What becomes of a right to cancel when a performance starts at another time than the one that was bought.
//!
//! Nobody has to come at another time, and no seller ends the time to cancel by moving what was sold. So the rules of the
//! day on which seats were held go with the start where it goes later, and stay where it comes earlier; and where it moves
//! by an hour or more there is a week in which all goes back, though not past the performance, whichever start counts.

use std::time::Duration;

use super::{Booking, Inventory};
use crate::performance::CancellationRules;
use crate::time::Timestamp;

/// A performance that starts so much earlier or later is another one to who has bought it.
const MOVED: Duration = Duration::from_hours(1);
/// Who has bought it may give it back for so long.
const NOTICE: Duration = Duration::from_hours(7 * 24);

/// The start that whoever has booked was told of last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// That start. Invariant: less than an hour from the one in force.
    pub starts_at: Timestamp,
    /// When it was told, where it is not the first one.
    pub given_at: Option<Timestamp>,
}

impl Notice {
    /// Of a performance that starts when it was sold to start.
    pub fn none(starts_at: Timestamp) -> Self {
        Self { starts_at, given_at: None }
    }

    /// The notice that stands once a performance is to start at `starts_at`.
    pub(super) fn after(self, starts_at: Timestamp, now: Timestamp) -> Self {
        if apart(self.starts_at, starts_at) < MOVED { self } else { Self { starts_at, given_at: Some(now) } }
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    (one - other).max(other - one)
}

impl Inventory {
    /// The rules of the day on which a booking's seats were held, for the start that is in force.
    pub(super) fn booked_under(&self, booking: &Booking) -> CancellationRules {
        self.offers.get(booking.offer).cancellation.moved_to(self.terms.starts_at)
    }

    /// Where the performance was moved since: until when a booking can be given back for all that it cost.
    pub(super) fn free_until(&self, booking: &Booking) -> Option<Timestamp> {
        let (then, today) = (self.offers.get(booking.offer).cancellation.starts_at, self.terms.starts_at);
        let given_at = self.notice.given_at.filter(|_| apart(then, today) >= MOVED)?;
        Some((given_at + NOTICE).min(then.max(today)))
    }
}
