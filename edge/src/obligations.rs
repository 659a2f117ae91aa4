//! What an account still owes, or is owed, before it can be closed: bookings of performances that are not over yet.

use onrush_api::problem::{Kind, Problem};
use onrush_engine::command::{Caller, CancelSeats, Command};
use onrush_engine::id::{AccountId, BookingId, PerformanceId};
use onrush_engine::inventory::{Answer, BookingView};
use onrush_engine::mailbox::Ask;
use onrush_engine::seat_map::SeatList;
use onrush_engine::time::Timestamp;

use crate::context::Context;

/// What cannot be cancelled is given up.
const GIVEN_UP: [Kind; 3] = [Kind::CancellationClosed, Kind::BookingClosed, Kind::TicketsGone];
/// Bookings that are looked at in one go.
const AT_ONCE: u32 = 200;

impl Context {
    /// Makes sure that nothing is outstanding for an account; with `force`, cancels what it has booked, each by its
    /// performance's policy. What can no longer be cancelled is given up.
    ///
    /// # Errors
    /// `bookings-outstanding`, where that is so; for what an account has sold `force` makes no difference.
    pub async fn settle(&self, account: AccountId, force: bool) -> Result<(), Problem> {
        let on_sale = self.count_on_sale(account);
        if on_sale > 0 {
            let detail =
                format!("You have {on_sale} performances that are on sale or will be. Close their sales first.");
            return Err(Problem::new(Kind::BookingsOutstanding).detail(detail).limit(on_sale));
        }
        let sold = self.count_sold(account).await?;
        if sold > 0 {
            let detail =
                format!("You have sold {sold} bookings of performances that are not over. Cancel those first.");
            return Err(Problem::new(Kind::BookingsOutstanding).detail(detail).limit(sold));
        }
        let booked = self.booked(account).await?;
        if booked.is_empty() || force {
            return self.cancel(account, &booked).await;
        }
        let detail = format!(
            "You have {} bookings of performances that are not over. Cancel them, or close your account with force.",
            booked.len()
        );
        Err(Problem::new(Kind::BookingsOutstanding).detail(detail).limit(booked.len() as u64))
    }

    /// When the last performance is over that an account has booked.
    ///
    /// # Errors
    /// [`Problem`], where an engine does not say.
    pub async fn booked_until(&self, account: &AccountId) -> Result<Option<Timestamp>, Problem> {
        let booked = self.directory.history(account, usize::MAX).await?.booked;
        let end =
            |id: BookingId| Some(self.directory.performance(id.performance).ok()?.publication.rules().terms.ends_at);
        Ok(booked.into_iter().filter_map(|(_, id)| end(id)).max())
    }

    fn is_over(&self, performance: PerformanceId) -> bool {
        let performance = self.directory.performance(performance);
        performance.is_ok_and(|known| known.publication.rules().terms.ends_at <= self.now())
    }

    async fn booked(&self, account: AccountId) -> Result<Vec<BookingId>, Problem> {
        let caller = Caller { account, admin: false };
        let booked = self.directory.history(&account, usize::MAX).await?.booked;
        let mut outstanding = Vec::new();
        for id in booked.into_iter().map(|(_, id)| id).filter(|id| !self.is_over(id.performance)) {
            let performance = self.directory.performance(id.performance)?;
            let answered = self.directory.ask(&performance, Ask::Booking(caller, id)).await?;
            let Answer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
            outstanding.extend(Some(id).filter(|_| is_standing(&view)));
        }
        Ok(outstanding)
    }

    async fn cancel(&self, account: AccountId, bookings: &[BookingId]) -> Result<(), Problem> {
        let caller = Caller { account, admin: false };
        for booking in bookings {
            let performance = self.directory.performance(booking.performance)?;
            let cancel = |seats| Command::CancelSeats(CancelSeats { caller, booking: *booking, seats, key: None });
            let mut cancelled = self.directory.ask(&performance, Ask::Command(cancel(None))).await;
            if let Err(problem) = &cancelled
                && problem.kind == Kind::TicketsGone
            {
                let rest = self.rest(caller, *booking, problem).await?;
                if !rest.is_empty() {
                    cancelled = self.directory.ask(&performance, Ask::Command(cancel(Some(rest)))).await;
                }
            }
            match cancelled {
                Err(problem) if GIVEN_UP.contains(&problem.kind) => {}
                cancelled => drop(cancelled?),
            }
        }
        Ok(())
    }

    /// A booking's seats but those whose tickets are no longer the buyer's to give back.
    async fn rest(&self, caller: Caller, booking: BookingId, gone: &Problem) -> Result<SeatList, Problem> {
        let performance = self.directory.performance(booking.performance)?;
        let answered = self.directory.ask(&performance, Ask::Booking(caller, booking)).await?;
        let Answer::Booking(view) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
        let gone = gone.body().seats.as_deref().unwrap_or_default();
        let map = &performance.publication.map;
        Ok(view.seats.into_iter().filter(|seat| !gone.contains(&map.label(*seat).to_string())).collect())
    }

    /// Performances of an account's shows that are not over.
    fn selling(&self, account: AccountId) -> impl Iterator<Item = PerformanceId> {
        let own = self.directory.shows().into_iter().filter(move |show| show.seller == account);
        let performances = own.flat_map(|show| show.performances.clone());
        performances.filter(|performance| !self.is_over(*performance))
    }

    fn count_on_sale(&self, account: AccountId) -> u64 {
        let on_sale = |id: &PerformanceId| {
            let performance = self.directory.performance(*id);
            performance.is_ok_and(|known| {
                let rules = known.publication.rules();
                rules.called_off.is_none() && rules.terms.closes_at > self.now()
            })
        };
        self.selling(account).filter(on_sale).count() as u64
    }

    async fn count_sold(&self, account: AccountId) -> Result<u64, Problem> {
        let mut sold = 0;
        for performance in self.selling(account) {
            sold += self.count_sold_of(account, performance).await?;
        }
        Ok(sold)
    }

    async fn count_sold_of(&self, account: AccountId, performance: PerformanceId) -> Result<u64, Problem> {
        let caller = Caller { account, admin: false };
        let performance = self.directory.performance(performance)?;
        let (mut sold, mut from) = (0, 0);
        loop {
            let numbers = from..from + AT_ONCE;
            let answered = self.directory.ask(&performance, Ask::Bookings(caller, numbers)).await?;
            let Answer::Bookings(views, total) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
            sold += views.iter().filter(|view| is_standing(view)).count() as u64;
            from += AT_ONCE;
            if from >= total {
                return Ok(sold);
            }
        }
    }
}

fn is_standing(booking: &BookingView) -> bool {
    !booking.seats.is_empty()
}
