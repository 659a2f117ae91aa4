//! Tickets: the right to one seat of a confirmed booking. Each has issues: it is issued anew when it is given to
//! somebody else, and only the last issue is good.
//!
//! Most tickets are what their booking says. What is kept is what became of the others.

use super::{Booking, Inventory, Made};
use crate::command::{Caller, RequestKey};
use crate::event::{Event, Standing, TicketCheckedIn, TicketTransferred};
use crate::id::{AccountId, BookingId, TicketId};
use crate::inventory::Decision;
use crate::refusal::Refusal;
use crate::seat_map::SeatIndex;
use crate::seeded::Bug;
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// What became of a ticket. Invariant (E9): the issue only grows, so that a code that is no longer good never is again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket {
    /// Who has it, where that is not who booked.
    pub holder: Option<AccountId>,
    /// Which issue is good.
    pub issue: u16,
    /// When somebody came in with it.
    pub used_at: Option<Timestamp>,
}

/// A ticket as its holder and the seller see it.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct TicketView {
    /// Its id.
    pub id: TicketId,
    /// The booking it belongs to.
    pub booking: BookingId,
    /// Its seat.
    pub seat: SeatIndex,
    /// Who has it.
    pub holder: AccountId,
    /// Which issue is good.
    pub issue: u16,
    /// When somebody came in with it.
    pub used_at: Option<Timestamp>,
}

/// How often a ticket may be given on.
pub(super) const ISSUES_MAX: u16 = 1_000;

impl Inventory {
    pub(super) fn ticket(&self, booking: u32, seat: SeatIndex) -> Ticket {
        self.tickets.get(&(booking, seat)).copied().unwrap_or_default()
    }

    /// The booking of a ticket that is good for a seat.
    fn ticketed(&self, id: TicketId) -> Result<(&Booking, SeatIndex), Refusal> {
        let booking = self.bookings.get(id.number as usize).ok_or(Refusal::UnknownTicket)?;
        let seat = SeatIndex(id.seat());
        let good = booking.standing == Standing::Confirmed
            && TicketId::of(self.booking_id(id.number), seat.0) == id
            && booking.seats.contains(&seat)
            && !booking.cancelled().contains(&seat);
        if good { Ok((booking, seat)) } else { Err(Refusal::UnknownTicket) }
    }

    fn holder(&self, booking: &Booking, ticket: &Ticket) -> AccountId {
        ticket.holder.unwrap_or_else(|| self.buyers.get(booking.buyer).account)
    }

    pub(super) fn ticket_view(&self, number: u32, seat: SeatIndex) -> TicketView {
        self.view_of(number, seat, self.ticket(number, seat))
    }

    /// A ticket as it is, or was.
    pub(super) fn view_of(&self, number: u32, seat: SeatIndex, ticket: Ticket) -> TicketView {
        let (booking, id) = (&self.bookings[number as usize], self.booking_id(number));
        let (holder, issue, used_at) = (self.holder(booking, &ticket), ticket.issue, ticket.used_at);
        TicketView { id: TicketId::of(id, seat.0), booking: id, seat, holder, issue, used_at }
    }

    /// A ticket of the caller's, or one that the caller sold.
    ///
    /// # Errors
    /// [`Refusal::UnknownTicket`], where there is none.
    pub fn read_ticket(&self, caller: &Caller, id: TicketId) -> Result<TicketView, Refusal> {
        let (_, seat) = self.ticketed(id)?;
        let view = self.ticket_view(id.number, seat);
        if view.holder == caller.account || self.is_seller(caller) { Ok(view) } else { Err(Refusal::UnknownTicket) }
    }

    /// The caller's tickets of a booking; all of them, where the caller sold it.
    ///
    /// # Errors
    /// [`Refusal::UnknownBooking`], where there is none of which the caller may see something.
    pub fn list_tickets(&self, caller: &Caller, id: BookingId) -> Result<Vec<TicketView>, Refusal> {
        let booking = self.bookings.get(id.number as usize).filter(|booking| booking.nonce == id.nonce);
        let booking = booking.ok_or(Refusal::UnknownBooking)?;
        let seats = if booking.standing == Standing::Confirmed { booking.remaining() } else { Default::default() };
        let all = seats.iter().map(|seat| self.ticket_view(id.number, *seat));
        let own = |view: &TicketView| view.holder == caller.account || self.is_seller(caller);
        let tickets: Vec<TicketView> = all.filter(own).collect();
        if tickets.is_empty() {
            self.visible_booking(caller, id)?;
        }
        Ok(tickets)
    }

    pub(super) fn decide_transfer(
        &self,
        caller: &Caller,
        id: TicketId,
        to: AccountId,
        key: Option<RequestKey>,
    ) -> Result<Decision, Refusal> {
        if let Some(replay) = self.replayed(caller, key)? {
            return Ok(replay);
        }
        let (booking, seat) = self.ticketed(id)?;
        let ticket = self.ticket(id.number, seat);
        if self.holder(booking, &ticket) != caller.account {
            return Err(Refusal::UnknownTicket);
        }
        if let Some(at) = ticket.used_at {
            return Err(Refusal::TicketUsed { at });
        }
        if to == caller.account {
            return Ok(Decision::Nothing);
        }
        // Far from the last issue of all, so that there is always a next one.
        if ticket.issue >= ISSUES_MAX {
            return Err(Refusal::NoNumberLeft);
        }
        let by = caller.account;
        Ok(Decision::Event(Event::TicketTransferred(TicketTransferred { booking: id.number, seat, to, by, key })))
    }

    pub(super) fn decide_check_in(
        &self,
        caller: &Caller,
        id: TicketId,
        issue: Option<u16>,
        key: Option<RequestKey>,
    ) -> Result<Decision, Refusal> {
        if !self.is_seller(caller) {
            return Err(Refusal::NotSeller);
        }
        if let Some(replay) = self.replayed(caller, key)? {
            return Ok(replay);
        }
        let (_, seat) = self.ticketed(id)?;
        let ticket = self.ticket(id.number, seat);
        if issue.is_some_and(|issue| issue != ticket.issue) {
            return Err(Refusal::TicketReissued);
        }
        if let Some(at) = ticket.used_at.filter(|_| !Bug::TicketUsedTwice.is_on()) {
            return Err(Refusal::TicketUsed { at });
        }
        let by = caller.account;
        Ok(Decision::Event(Event::TicketCheckedIn(TicketCheckedIn { booking: id.number, seat, by, key })))
    }

    /// Those of a booking's seats whose tickets a buyer has no more to give back.
    pub(super) fn gone(&self, number: u32, seats: &[SeatIndex]) -> Vec<SeatIndex> {
        let booking = &self.bookings[number as usize];
        let gone = |seat: &SeatIndex| {
            let ticket = self.ticket(number, *seat);
            // One that came back is the buyer's again.
            self.holder(booking, &ticket) != self.buyers.get(booking.buyer).account || ticket.used_at.is_some()
        };
        seats.iter().copied().filter(gone).collect()
    }

    pub(super) fn apply_transferred(&mut self, event: &TicketTransferred) {
        let ticket = self.tickets.entry((event.booking, event.seat)).or_default();
        ticket.holder = Some(event.to);
        ticket.issue = ticket.issue.saturating_add(1);
        self.remember_ticket(event.booking, event.seat, event.by, event.key);
    }

    pub(super) fn apply_checked_in(&mut self, event: &TicketCheckedIn) {
        self.tickets.entry((event.booking, event.seat)).or_default().used_at = Some(self.now);
        self.remember_ticket(event.booking, event.seat, event.by, event.key);
    }

    fn remember_ticket(&mut self, booking: u32, seat: SeatIndex, by: AccountId, key: Option<RequestKey>) {
        let Some(request) = key else { return };
        let (caller, then) = (self.buyers.enter(by), self.ticket(booking, seat));
        self.remember(request, caller, Made::Ticket { booking, seat, then });
    }

    /// A booking's tickets are void, though it may have its seats again some day: then with new ones.
    pub(super) fn void_tickets(&mut self, number: u32, seats: &[SeatIndex]) {
        for seat in seats {
            let ticket = self.tickets.entry((number, *seat)).or_default();
            *ticket = Ticket { issue: ticket.issue.saturating_add(1), ..Ticket::default() };
        }
    }

    /// Tickets that were given to somebody, with whom: what an account has received is built from them at a start.
    pub fn given_tickets(&self) -> impl Iterator<Item = (AccountId, BookingId)> {
        let given = self.tickets.iter().filter_map(|((number, _), ticket)| Some((ticket.holder?, *number)));
        given.map(|(holder, number)| (holder, self.booking_id(number)))
    }
}
