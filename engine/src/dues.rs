//! The bookings whose payment somebody has to see to. Only a reminder: what has to be done stands in the inventory.
//!
//! Written by the owner after the flush that covers it, so nobody acts on what a crash could take back; filled at a
//! start from what was recovered, so nothing is forgotten.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::BookingId;

/// See the module. Each booking is in it once, however often it was named: no more than there are bookings.
#[derive(Debug, Default)]
pub struct Dues {
    bookings: Mutex<BTreeSet<BookingId>>,
    news: Notify,
    is_ignored: AtomicBool,
}

impl Dues {
    fn bookings(&self) -> MutexGuard<'_, BTreeSet<BookingId>> {
        // Whoever panicked with the lock held had only put an id in or taken one out.
        self.bookings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody will take any.
    pub(crate) fn ignore(&self) {
        self.is_ignored.store(true, Ordering::Relaxed);
        self.bookings().clear();
    }

    pub(crate) fn push(&self, booking: BookingId) {
        if self.is_ignored.load(Ordering::Relaxed) {
            return;
        }
        self.bookings().insert(booking);
        self.news.notify_one();
    }

    /// Takes all that there are; waits until there is one. For one at a time: of two who wait, one might never wake.
    pub async fn take(&self) -> BTreeSet<BookingId> {
        loop {
            let news = self.news.notified();
            let taken = std::mem::take(&mut *self.bookings());
            if !taken.is_empty() {
                return taken;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PerformanceId;

    #[test]
    fn what_was_named_twice_comes_once() {
        let dues = Dues::default();
        let booking = |number| BookingId { performance: PerformanceId(7), number, nonce: 1 };
        [2, 1, 2].into_iter().for_each(|number| dues.push(booking(number)));
        let taken = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(dues.take());
        assert_eq!(taken.into_iter().collect::<Vec<_>>(), [booking(1), booking(2)]);
        dues.push(booking(3));
        dues.ignore();
        dues.push(booking(4));
        assert!(dues.bookings().is_empty(), "nobody takes them");
    }
}
