//! What must have happened somewhere in a run, or the run has tested less than it says.

use std::collections::BTreeMap;
use std::fmt;

/// Every condition that a run of many seeds has to reach.
const ALL: &[&str] = &[
    "two buyers want the same seat in the same group",
    "a limit is reached by holds of one group",
    "crash before the append",
    "crash between append and sync",
    "crash between sync and acknowledgement",
    "crash while the engine starts",
    "crash while a snapshot is written",
    "an append fails",
    "a sync fails",
    "the disk is full while a group is written",
    "what is noted beside the records cannot be noted",
    "records cannot be dropped",
    "a start is refused for an error of the disk",
    "nothing is answered after the first error",
    "a snapshot cannot be written, and the sale goes on",
    "a snapshot is written while the sale goes on",
    "a snapshot is of half a group",
    "a start replays what came after a snapshot",
    "a start sees records that a snapshot stands for",
    "a start finds that all records before a snapshot are dropped",
    "a record of an owner that was replaced is refused",
    "the round under way survived the crash",
    "the round under way was lost in the crash",
    "a part of the round under way survived the crash",
    "a part of the round was answered before the crash",
    "an unfinished record was cut off",
    "a request is answered again",
    "a request is answered again after a crash",
    "a request key is used for another request",
    "a hold runs out",
    "active holds get the time of a crash back",
    "the clock goes back",
    "the clock leaps far ahead",
    "the mailbox is full",
    "a command waits too long",
    "somebody reads what is held or booked",
    "no run of seats side by side is left",
    "a booking is cancelled in part",
    "house seats are blocked",
    "a booking waits for the seller",
    "an approval comes too late",
    "money comes before the provider was heard of",
    "late money takes its seats again",
    "late money finds its seats gone",
    "a capture comes after the cancellation",
    "a payment provider says what is known",
    "a payment provider's notice comes after a refund",
    "a crash leaves payments to be seen to",
    "a ticket is given to somebody else",
    "somebody comes in with a ticket",
    "a ticket is shown twice",
    "an old code is shown",
    "a performance is called off",
];

/// How often each happened.
#[derive(Debug, Default)]
pub(crate) struct Sometimes(BTreeMap<&'static str, u64>);

impl Sometimes {
    pub(crate) fn happened(&mut self, what: &'static str) {
        assert!(ALL.contains(&what), "'{what}' is not on the list");
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds what happened elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|(what, count)| *self.0.entry(what).or_default() += count);
    }

    /// A run that did not reach one of them did not test it.
    pub(crate) fn check_all_happened(&self) {
        let missing: Vec<&&str> = ALL.iter().filter(|what| !self.0.contains_key(**what)).collect();
        assert!(missing.is_empty(), "did not test: {missing:?}");
    }
}

impl fmt::Display for Sometimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| write!(f, "\n  {count:>8}  {what}"))
    }
}
