//! What the world may see without asking an actor: availability, terms, shows, an account's bookings.
//!
//! Written by the owner after the flush that covers it, so nobody sees what a crash could take back. Readers are
//! threads of the edge: they copy or share, and never hold a lock across anything slow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::id::{AccountId, BookingId, PerformanceId, ShowId};
use crate::inventory::{CalledOff, Inventory, SeatState, Tally};
use crate::performance::{PriceList, Terms};
use crate::registry::{MadeBefore, Show};
use crate::seat_map::{SeatIndex, SeatMap};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// One performance as everybody sees it.
#[derive(Debug)]
pub struct Publication {
    /// Its id.
    pub performance: PerformanceId,
    /// The show it is one of.
    pub show: ShowId,
    /// Who sells it.
    pub seller: AccountId,
    /// Its layout.
    pub map: Arc<SeatMap>,
    /// The names of its tiers.
    pub tiers: Arc<[Box<str>]>,
    rules: ArcSwap<Rules>,
    version: AtomicU64,
    seats: Mutex<Published>,
}

/// The rules and prices in force.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Rules {
    /// The rules.
    pub terms: Arc<Terms>,
    /// The prices.
    pub prices: PriceList,
    /// Why it was called off, if it was, and when.
    pub called_off: Option<CalledOff>,
}

/// The state of every seat at one version.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Published {
    /// The next record's sequence when this was published: grows with every change.
    pub version: u64,
    /// When that was.
    pub as_of: Timestamp,
    /// 2 bits a seat from the low bits of each byte up: 0 free, 1 held, 2 booked, 3 blocked.
    pub packed: Vec<u8>,
    /// How many seats of each section are in each state.
    pub tallies: Vec<Tally>,
}

impl Publication {
    /// What is to be seen of an inventory whose next record has sequence `version`.
    pub fn new(inventory: &Inventory, version: u64) -> Self {
        let map = Arc::clone(inventory.map());
        let mut packed = vec![0; (map.capacity() as usize).div_ceil(4)];
        map.seats().for_each(|seat| pack(&mut packed, seat, inventory.seat(seat)));
        let tallies = inventory.tallies().to_vec();
        Self {
            performance: inventory.performance(),
            show: inventory.show(),
            seller: inventory.seller(),
            map,
            tiers: Arc::clone(inventory.tiers()),
            rules: ArcSwap::from_pointee(Rules::of(inventory)),
            version: AtomicU64::new(version),
            seats: Mutex::new(Published { version, as_of: inventory.now(), packed, tallies }),
        }
    }

    /// What an engine elsewhere has said of one of its performances.
    pub(crate) fn from_parts(
        performance: PerformanceId,
        show: ShowId,
        seller: AccountId,
        map: Arc<SeatMap>,
        tiers: Arc<[Box<str>]>,
        rules: Rules,
        seats: Published,
    ) -> Self {
        let (rules, version) = (ArcSwap::from_pointee(rules), AtomicU64::new(seats.version));
        Self { performance, show, seller, map, tiers, rules, version, seats: Mutex::new(seats) }
    }

    /// Takes over what another publication of the same performance says.
    pub(crate) fn renew(&self, rules: Rules, now: Published) {
        self.publish_rules(rules);
        self.version.store(now.version, Ordering::Release);
        *self.published() = now;
    }

    /// Takes over what changed elsewhere: bytes of [`Published::packed`], and the tallies. Says whether there are such bytes.
    pub(crate) fn amend(&self, version: u64, as_of: Timestamp, changed: &[(u32, u8)], tallies: &[Tally]) -> bool {
        let mut seats = self.published();
        if seats.tallies.len() != tallies.len()
            || changed.iter().any(|(place, _)| *place as usize >= seats.packed.len())
        {
            return false;
        }
        changed.iter().for_each(|(place, byte)| seats.packed[*place as usize] = *byte);
        seats.tallies.copy_from_slice(tallies);
        (seats.version, seats.as_of) = (version, as_of);
        self.version.store(version, Ordering::Release);
        true
    }

    /// The rules and prices in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The version that is published.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A copy of the seats' states.
    pub fn seats(&self) -> Published {
        self.published().clone()
    }

    /// How many seats are in each state, in the whole hall.
    pub fn tally(&self) -> Tally {
        self.published().tallies.iter().copied().fold(Tally::default(), Tally::plus)
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        // Whoever panicked with the lock held had only copied or set plain numbers.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(
        &self,
        version: u64,
        as_of: Timestamp,
        touched: &[(SeatIndex, SeatState)],
        tallies: &[Tally],
    ) {
        let mut seats = self.published();
        touched.iter().for_each(|(seat, state)| pack(&mut seats.packed, *seat, *state));
        seats.tallies.copy_from_slice(tallies);
        seats.as_of = as_of;
        seats.version = version;
        self.version.store(version, Ordering::Release);
    }

    pub(crate) fn publish_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }
}

impl Rules {
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let called_off = inventory.called_off().cloned();
        Self { terms: Arc::clone(inventory.terms()), prices: inventory.prices().clone(), called_off }
    }

    /// Whether seats can be held at a time.
    pub fn on_sale(&self, now: Timestamp) -> bool {
        self.called_off.is_none() && self.terms.opens_at <= now && now < self.terms.closes_at
    }
}

fn pack(packed: &mut [u8], seat: SeatIndex, state: SeatState) {
    let bits = match state {
        SeatState::Free => 0,
        SeatState::Held(_) => 1,
        SeatState::Booked(_) => 2,
        SeatState::Blocked(_) => 3,
    };
    let (byte, shift) = (&mut packed[seat.0 as usize / 4], seat.0 % 4 * 2);
    *byte = *byte & !(3 << shift) | bits << shift;
}

/// All shows as everybody sees them.
#[derive(Debug, Default)]
pub struct Shows(RwLock<Listed>);

#[derive(Debug, Default)]
struct Listed {
    /// Each with the number of its last change.
    by_id: BTreeMap<ShowId, (u64, Arc<Show>)>,
    /// By when they were made: the same at every edge, in whatever order engines are heard.
    order: BTreeSet<(Timestamp, ShowId)>,
    /// What is not here any more, each with the number of that change.
    withdrawn: Vec<(u64, ShowId)>,
    /// What is on its way to another engine: it can be read as it was.
    leaving: BTreeSet<ShowId>,
    /// What the engine of this process has given away.
    released: BTreeMap<ShowId, Arc<Leaving>>,
    changes: u64,
}

impl Listed {
    fn note_withdrawn(&mut self, id: ShowId) {
        self.changes += 1;
        self.withdrawn.push((self.changes, id));
    }

    fn in_order(&self) -> impl Iterator<Item = &(u64, Arc<Show>)> {
        self.order.iter().map(|(_, id)| &self.by_id[id])
    }
}

/// A show that was given away, as it was, and the request keys that it and its performances were made under.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Leaving {
    pub(crate) show: Show,
    pub(crate) made: Vec<MadeBefore>,
}

/// What changed in a list of shows.
#[derive(Debug, Default)]
pub(crate) struct ShowNews {
    pub(crate) withdrawn: Vec<ShowId>,
    /// New or changed, in the order in which they were made.
    pub(crate) shows: Vec<Arc<Show>>,
    /// How many changes there have been.
    pub(crate) changes: u64,
}

impl Shows {
    fn read(&self) -> RwLockReadGuard<'_, Listed> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A show.
    pub fn get(&self, id: ShowId) -> Option<Arc<Show>> {
        self.read().by_id.get(&id).map(|(_, show)| Arc::clone(show))
    }

    /// All shows, in the order in which they were made.
    pub fn all(&self) -> Vec<Arc<Show>> {
        self.read().in_order().map(|(_, show)| Arc::clone(show)).collect()
    }

    /// What changed since there had been so many changes.
    pub(crate) fn since(&self, changes: u64) -> ShowNews {
        let listed = self.read();
        if listed.changes == changes {
            return ShowNews { changes, ..ShowNews::default() };
        }
        let withdrawn = listed.withdrawn.iter().filter(|(change, _)| *change > changes).map(|(_, id)| *id);
        let is_news = |(change, show): &&(u64, Arc<Show>)| *change > changes && !listed.leaving.contains(&show.id);
        let shows = listed.in_order().filter(is_news).map(|(_, show)| Arc::clone(show));
        ShowNews { withdrawn: withdrawn.collect(), shows: shows.collect(), changes: listed.changes }
    }

    /// A show that the engine of this process has given away, as it was given.
    pub(crate) fn released(&self, id: ShowId) -> Option<Arc<Leaving>> {
        self.read().released.get(&id).cloned()
    }

    pub(crate) fn note_released(&self, leaving: Leaving) {
        self.write().released.insert(leaving.show.id, Arc::new(leaving));
    }

    fn write(&self) -> RwLockWriteGuard<'_, Listed> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a show is on its way to another engine, which does not have it yet.
    pub(crate) fn is_leaving(&self, id: ShowId) -> bool {
        self.read().leaving.contains(&id)
    }

    /// The show is on its way to another engine.
    pub(crate) fn leave(&self, id: ShowId) {
        let mut listed = self.write();
        if listed.by_id.contains_key(&id) && listed.leaving.insert(id) {
            listed.note_withdrawn(id);
        }
    }

    /// The show is not here any more.
    pub(crate) fn withdraw(&self, id: ShowId) {
        let mut listed = self.write();
        let Some((_, show)) = listed.by_id.remove(&id) else { return };
        listed.order.remove(&(show.created_at, id));
        if !listed.leaving.remove(&id) {
            listed.note_withdrawn(id);
        }
    }

    pub(crate) fn publish(&self, show: Arc<Show>) {
        let mut listed = self.write();
        listed.leaving.remove(&show.id);
        listed.changes += 1;
        let change = listed.changes;
        listed.order.insert((show.created_at, show.id));
        listed.by_id.insert(show.id, (change, show));
    }
}

/// Each account's bookings, in the order in which they were made; and the bookings of which it was given a ticket.
#[derive(Debug, Default)]
pub struct Histories {
    booked: DashMap<AccountId, Vec<(Timestamp, BookingId)>>,
    received: DashMap<AccountId, BTreeSet<BookingId>>,
}

/// What is known of an account's bookings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct AccountHistory {
    /// The newest, newest first, each with when it was made.
    pub booked: Vec<(Timestamp, BookingId)>,
    /// How many there are in all.
    pub total: u64,
    /// Those of which the account was given a ticket.
    pub received: Vec<BookingId>,
}

impl AccountHistory {
    /// With what another engine knows.
    #[must_use]
    pub(crate) fn and(mut self, other: Self, newest: usize) -> Self {
        // What is handed over just now, two know of.
        let both = other.booked.iter().filter(|booking| self.booked.contains(booking)).count();
        self.booked.extend(other.booked);
        self.booked.sort_by(|one, two| two.cmp(one));
        self.booked.dedup();
        self.booked.truncate(newest);
        self.total += other.total - both as u64;
        self.received.extend(other.received);
        self.received.sort_unstable();
        self.received.dedup();
        self
    }
}

impl Histories {
    /// An account's history, with the `newest` of its bookings.
    pub fn of(&self, account: &AccountId, newest: usize) -> AccountHistory {
        let received = self.received.get(account).map_or_else(Vec::new, |bookings| bookings.iter().copied().collect());
        let booked = self.booked.get(account);
        let bookings = booked.as_ref().map_or(&[][..], |bookings| bookings);
        let booked = bookings.iter().rev().take(newest).copied().collect();
        AccountHistory { booked, total: bookings.len() as u64, received }
    }

    pub(crate) fn push(&self, account: AccountId, at: Timestamp, booking: BookingId) {
        let mut booked = self.booked.entry(account).or_default();
        // Nearly always the last place: only a performance that comes from elsewhere has older ones.
        let place = booked.partition_point(|known| *known <= (at, booking));
        booked.insert(place, (at, booking));
    }

    /// The performance is another engine's.
    pub(crate) fn forget(&self, inventory: &Inventory) {
        let performance = inventory.performance();
        for account in inventory.booking_owners().map(|(account, ..)| account).collect::<BTreeSet<_>>() {
            if let Some(mut bookings) = self.booked.get_mut(&account) {
                bookings.retain(|(_, booking)| booking.performance != performance);
            }
            self.booked.remove_if(&account, |_, bookings| bookings.is_empty());
        }
        for account in inventory.given_tickets().map(|(account, _)| account).collect::<BTreeSet<_>>() {
            if let Some(mut bookings) = self.received.get_mut(&account) {
                bookings.retain(|booking| booking.performance != performance);
            }
            self.received.remove_if(&account, |_, bookings| bookings.is_empty());
        }
    }

    /// What an inventory's buyers have booked, and whom tickets were given to.
    pub(crate) fn add<'a>(&self, inventories: impl IntoIterator<Item = &'a Inventory>) {
        for inventory in inventories {
            inventory.booking_owners().for_each(|(account, id, at)| self.push(account, at, id));
            inventory.given_tickets().for_each(|(account, id)| self.receive(account, id));
        }
    }

    pub(crate) fn receive(&self, account: AccountId, booking: BookingId) {
        self.received.entry(account).or_default().insert(booking);
    }
}
