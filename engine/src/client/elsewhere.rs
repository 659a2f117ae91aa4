//! Engines in other processes: which of them a request is for, and what they say together.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::link::Link;
use super::{EngineAt, Performance, Road, Views};
use crate::committer::Health;
use crate::dues::Dues;
use crate::feed::{AccountHistory, Rules};
use crate::id::{AccountId, BookingId, EngineId, PerformanceId, ShowId};
use crate::journal::Durability;
use crate::mailbox::Failure;
use crate::registry::{RegistryCommand, Show};
use crate::wire::message::{Delta, Introduction, check_rules};
use crate::wire::{Credentials, PATIENCE, WireError};

/// See the module.
pub(super) struct Elsewhere {
    links: ArcSwap<Vec<Connected>>,
    known: Arc<Known>,
    health: watch::Sender<Health>,
    /// Whether there may be others.
    expects_more: AtomicBool,
}

/// An engine, and the task that keeps the connection to it.
#[derive(Clone)]
struct Connected {
    link: Arc<Link>,
    /// Whether new shows may be for it.
    takes_shows: bool,
    keeper: AbortHandle,
}

/// What the engines have told.
pub(super) struct Known {
    views: Arc<Views>,
    dues: Arc<Dues>,
    /// Which engine has which show.
    homes: DashMap<ShowId, Arc<Link>>,
    /// How often an engine was added or forgotten, or was heard that had nothing.
    changes: watch::Sender<u64>,
}

impl Elsewhere {
    pub(super) fn new(views: &Arc<Views>, dues: &Arc<Dues>) -> Self {
        let known = Arc::new(Known {
            views: Arc::clone(views),
            dues: Arc::clone(dues),
            homes: DashMap::new(),
            changes: watch::channel(0).0,
        });
        let expects_more = AtomicBool::new(false);
        Self { links: ArcSwap::default(), known, health: watch::channel(Health::Running).0, expects_more }
    }

    pub(super) fn add(&self, address: &str, credentials: &Credentials) {
        self.connect(address, credentials, (true, false));
    }

    pub(super) fn add_dedicated(&self, address: &str, vacant: bool, credentials: &Credentials) {
        self.connect(address, credentials, (false, vacant));
    }

    pub(super) fn engines(&self) -> Vec<EngineAt> {
        let links = self.links.load();
        let there = links.iter().filter(|connected| !connected.link.is_vacant());
        let at = |connected: &Connected| EngineAt {
            address: connected.link.address().to_owned(),
            takes_shows: connected.takes_shows,
        };
        there.map(at).collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.known.changes.subscribe()
    }

    pub(super) fn expect(&self, more: bool) {
        self.expects_more.store(more, Ordering::Release);
    }

    fn connect(&self, address: &str, credentials: &Credentials, (takes_shows, vacant): (bool, bool)) {
        match self.link(address) {
            // Another engine has the address of one that has gone.
            Some(link) if link.is_leaving() => self.remove(address),
            Some(_) => return,
            None => {}
        }
        let link = Arc::new(Link::new(address.to_owned(), credentials.clone(), vacant));
        let keeper = tokio::spawn(Arc::clone(&link).keep(Arc::clone(&self.known))).abort_handle();
        let added = Connected { link, takes_shows, keeper };
        self.links.rcu(|links| links.iter().chain([&added]).cloned().collect::<Vec<_>>());
        self.known.note_change();
    }

    pub(super) fn remove(&self, address: &str) {
        self.remove_if(|link| link.address() == address);
    }

    /// Removes an engine once all that it had is known elsewhere, or is not told for too long.
    pub(super) async fn remove_later(&self, link: Arc<Link>) {
        let mut moves = self.known.views.moves.subscribe();
        let has_nothing = async {
            while self.known.has(&link) {
                if moves.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(PATIENCE, has_nothing).await.ok();
        self.remove_if(|other| Arc::ptr_eq(other, &link));
    }

    fn remove_if(&self, goes: impl Fn(&Arc<Link>) -> bool) {
        let before = self
            .links
            .rcu(|links| links.iter().filter(|connected| !goes(&connected.link)).cloned().collect::<Vec<_>>());
        for removed in before.iter().filter(|connected| goes(&connected.link)) {
            removed.keeper.abort();
            removed.link.end();
            self.known.forget(&removed.link);
            self.known.note_change();
        }
    }

    pub(super) fn link(&self, address: &str) -> Option<Arc<Link>> {
        let links = self.links.load();
        links.iter().find(|connected| connected.link.address() == address).map(|connected| Arc::clone(&connected.link))
    }

    pub(super) fn address_of(&self, engine: EngineId) -> Option<String> {
        let is_it = |link: &Arc<Link>| link.has_caught_up() && link.engine() == Some(engine);
        self.links().into_iter().find(is_it).map(|link| link.address().to_owned())
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Those that may have something.
    fn links(&self) -> Vec<Arc<Link>> {
        let links = self.links.load();
        let there = links.iter().filter(|connected| !connected.link.is_vacant());
        there.map(|connected| Arc::clone(&connected.link)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.load().is_empty()
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.links.load().iter().any(|connected| connected.link.has_caught_up())
    }

    pub(super) fn know_all(&self) -> bool {
        !self.expects_more.load(Ordering::Acquire) && self.links().iter().all(|link| link.has_caught_up())
    }

    pub(super) fn durability(&self) -> Durability {
        let relaxed = self.links.load().iter().any(|connected| connected.link.is_relaxed());
        if relaxed { Durability::Relaxed } else { Durability::Fsync }
    }

    pub(super) async fn history(&self, account: &AccountId, newest: usize) -> Result<AccountHistory, Failure> {
        let most = u32::try_from(newest).unwrap_or(u32::MAX);
        let links = self.links();
        let told = try_join_all(links.iter().map(|link| link.history(*account, most))).await?;
        Ok(told.into_iter().fold(AccountHistory::default(), |all, one| all.and(one, newest)))
    }

    /// The engine that a command is for, if it is one elsewhere; a new show is for one of these where `all_are` here.
    pub(super) fn home(&self, command: &RegistryCommand, all_are: bool) -> Option<Arc<Link>> {
        match command {
            RegistryCommand::CreateShow { caller, .. } if all_are => self.home_of(&caller.account),
            command => self.known.homes.get(&command.show_that_is()?).map(|home| Arc::clone(&home)),
        }
    }

    /// Whether an engine has a show, as far as is known.
    pub(super) fn is_home(&self, show: ShowId, link: &Arc<Link>) -> bool {
        self.known.homes.get(&show).is_some_and(|home| Arc::ptr_eq(&home, link))
    }

    /// A seller's new shows all go to one engine, so that a repeated request is known there: the one whose address and the
    /// seller's id come to the largest number (rendezvous hashing), in whatever order an edge was told of them.
    fn home_of(&self, seller: &AccountId) -> Option<Arc<Link>> {
        let weight =
            |link: &Arc<Link>| foldhash::fast::FixedState::default().hash_one((seller.as_str(), link.address()));
        let links = self.links.load();
        let open = links.iter().filter(|connected| connected.takes_shows);
        open.map(|connected| Arc::clone(&connected.link)).max_by_key(weight)
    }
}

impl Known {
    pub(super) fn note_change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// A performance of an engine's. What is known of it goes on in the same place, so that whoever looks at it sees it change.
    pub(super) fn introduce(&self, link: &Arc<Link>, introduction: Introduction) -> Result<(), WireError> {
        let (id, road) = (introduction.performance, Road::Link(Arc::clone(link)));
        let before = self.views.performances.get(&id).map(|known| known.clone());
        if let Some(to) = introduction.handed_over {
            self.views.left.insert((id, Some(link.address().into())), to);
        }
        if before.as_ref().is_some_and(|before| is_outdated(before, link, &introduction)) {
            return Ok(());
        }
        let known = before.map(|known| known.publication);
        let told = introduction.publication(known.as_ref().map(|known| &known.map))?;
        let publication = match known.filter(|known| Arc::ptr_eq(&known.map, &told.map)) {
            Some(known) => {
                known.renew(Rules::clone(&told.rules()), told.seats());
                known
            }
            None => Arc::new(told),
        };
        self.views.performances.insert(id, Performance { road, publication });
        self.views.note_move();
        Ok(())
    }

    pub(super) fn change_rules(&self, link: &Arc<Link>, id: PerformanceId, rules: Rules) -> Result<(), WireError> {
        let Some(known) = self.of(link, id) else { return Ok(()) };
        check_rules(&rules, known.publication.tiers.len())?;
        known.publication.publish_rules(rules);
        Ok(())
    }

    pub(super) fn change_seats(&self, link: &Arc<Link>, delta: &Delta) -> Result<(), WireError> {
        let Some(known) = self.of(link, delta.performance) else { return Ok(()) };
        let fits = known.publication.amend(delta.version, delta.as_of, &delta.changed, &delta.tallies);
        fits.then_some(()).ok_or(WireError::Nonsense("seats that are not there"))
    }

    pub(super) fn change_show(&self, link: &Arc<Link>, show: Show) {
        self.homes.insert(show.id, Arc::clone(link));
        self.views.shows.publish(Arc::new(show));
        self.views.note_move();
    }

    /// Whether something is known to be at an engine.
    fn has(&self, link: &Arc<Link>) -> bool {
        let is_its = |road: &Road| matches!(road, Road::Link(its) if Arc::ptr_eq(its, link));
        self.views.performances.iter().any(|known| is_its(&known.road))
            || self.homes.iter().any(|home| Arc::ptr_eq(&home, link))
    }

    /// What an engine had is not known any more.
    fn forget(&self, link: &Arc<Link>) {
        let is_its = |road: &Road| matches!(road, Road::Link(its) if Arc::ptr_eq(its, link));
        self.views.performances.retain(|_, known| !is_its(&known.road));
        self.views.left.retain(|(_, address), _| address.as_deref() != Some(link.address()));
        let shows: Vec<_> = self.homes.iter().filter(|home| Arc::ptr_eq(home, link)).map(|home| *home.key()).collect();
        for show in shows {
            self.homes.remove(&show);
            self.views.shows.withdraw(show);
        }
    }

    pub(super) fn due(&self, booking: BookingId) {
        self.dues.push(booking);
    }

    /// A show is not this engine's any more; where another has taken it over already, it has said so.
    pub(super) fn withdraw(&self, link: &Arc<Link>, show: ShowId) {
        if self.homes.remove_if(&show, |_, home| Arc::ptr_eq(home, link)).is_some() {
            self.views.shows.leave(show);
        }
    }

    /// A performance, if it is this engine's: who had it before may have something left to say.
    fn of(&self, link: &Arc<Link>, id: PerformanceId) -> Option<Performance> {
        let known = self.views.performances.get(&id).map(|known| known.clone());
        known.filter(|known| matches!(&known.road, Road::Link(its) if Arc::ptr_eq(its, link)))
    }
}

/// Whether another engine has a performance by now, whatever this one says: it has given it away, or says late what was so
/// before it did.
fn is_outdated(known: &Performance, link: &Arc<Link>, told: &Introduction) -> bool {
    match &known.road {
        Road::Link(its) if Arc::ptr_eq(its, link) => false,
        Road::Link(its) => {
            told.handed_over.is_some() || (its.has_caught_up() && known.publication.version() > told.seats.version)
        }
        Road::Mailbox(mailbox) => told.handed_over.is_some() && mailbox.handed_over().is_none(),
    }
}
