//! Engines in other processes: which of them a request is for, and what they say together.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use dashmap::DashMap;
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::link::Link;
use super::{Client, Engines, Performance, Road, Shared, Views};
use crate::committer::Health;
use crate::feed::{AccountHistory, Rules};
use crate::id::{AccountId, PerformanceId, ShowId};
use crate::journal::Durability;
use crate::mailbox::Failure;
use crate::owner::{RegistryFailure, RegistryOutcome};
use crate::performance::Opening;
use crate::registry::{RegistryCommand, RegistryRefusal, Show};
use crate::time::Clock;
use crate::wire::message::{Delta, Introduction, check_rules};
use crate::wire::{Key, PATIENCE, WireError};

/// See the module.
pub struct Elsewhere {
    links: Vec<Arc<Link>>,
    known: Arc<Known>,
    health: watch::Sender<Health>,
}

/// What the engines have told.
pub(super) struct Known {
    views: Arc<Views>,
    /// Which engine has which show.
    homes: DashMap<ShowId, Arc<Link>>,
}

impl Client {
    /// A client of the engines at these addresses (`host:port`), which need not be there yet. Has to be called on a runtime:
    /// it keeps the connections for as long as that runs.
    pub fn of_engines(addresses: &[String], key: &Key, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        let views = Arc::<Views>::default();
        let known = Arc::new(Known { views: Arc::clone(&views), homes: DashMap::new() });
        let links: Vec<_> = addresses.iter().map(|address| Arc::new(Link::new(address.clone(), key.clone()))).collect();
        for link in &links {
            tokio::spawn(Arc::clone(link).keep(Arc::clone(&known)));
        }
        let engines = Engines::Elsewhere(Elsewhere { links, known, health: watch::channel(Health::Running).0 });
        Self(Arc::new(Shared { views, clock, command_age_max: PATIENCE, dues: Arc::default(), engines }))
    }
}

impl Elsewhere {
    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.links.iter().any(|link| link.has_caught_up())
    }

    pub(super) fn know_all(&self) -> bool {
        self.links.iter().all(|link| link.is_known())
    }

    pub(super) fn durability(&self) -> Durability {
        let relaxed = self.links.iter().any(|link| link.is_relaxed());
        if relaxed { Durability::Relaxed } else { Durability::Fsync }
    }

    pub(super) async fn history(&self, account: &AccountId, newest: usize) -> Result<AccountHistory, Failure> {
        let newest = u32::try_from(newest).unwrap_or(u32::MAX);
        let told = try_join_all(self.links.iter().map(|link| link.history(*account, newest))).await?;
        let mut all = told.into_iter().fold(AccountHistory::default(), AccountHistory::and);
        all.booked.truncate(newest as usize);
        Ok(all)
    }

    pub(super) async fn register(&self, command: RegistryCommand, opening: Option<Box<Opening>>) -> RegistryOutcome {
        let link = match &command {
            RegistryCommand::CreateShow { caller, .. } => self.home_of(&caller.account),
            RegistryCommand::ChangeShow { show, .. }
            | RegistryCommand::SetMember { show, .. }
            | RegistryCommand::AddPerformance { show, .. } => {
                let home = self.known.homes.get(show).map(|home| Arc::clone(&home));
                Some(home.ok_or(RegistryFailure::Refused(RegistryRefusal::UnknownShow))?)
            }
        };
        let link = link.ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
        link.register(command, opening).await
    }

    /// A seller's new shows all go to one engine: there a repeated request is known, too.
    fn home_of(&self, seller: &AccountId) -> Option<Arc<Link>> {
        let hash = foldhash::fast::FixedState::default().hash_one(seller.as_str());
        let place = hash.checked_rem(self.links.len() as u64)?;
        self.links.get(place as usize).cloned()
    }
}

impl Known {
    /// A performance of an engine's. What is known of it goes on in the same place, so that whoever looks at it sees it change.
    pub(super) fn introduce(&self, link: &Arc<Link>, introduction: Introduction) -> Result<(), WireError> {
        let (id, road) = (introduction.performance, Road::Link(Arc::clone(link)));
        let told = introduction.publication()?;
        let known = self.views.performances.get(&id).map(|known| Arc::clone(&known.publication));
        let publication = match known.filter(|known| known.map == told.map) {
            Some(known) => {
                known.renew(Rules::clone(&told.rules()), told.seats());
                known
            }
            None => Arc::new(told),
        };
        self.views.performances.insert(id, Performance { road, publication });
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
    }

    /// A performance, if it is this engine's: who had it before may have something left to say.
    fn of(&self, link: &Arc<Link>, id: PerformanceId) -> Option<Performance> {
        let known = self.views.performances.get(&id).map(|known| known.clone());
        known.filter(|known| matches!(&known.road, Road::Link(its) if Arc::ptr_eq(its, link)))
    }
}
