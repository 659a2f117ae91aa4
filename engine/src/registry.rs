//! The registry: shows, and which performances they have. Pure, like the inventory.

mod show;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::show::{Duty, Field, Show, ShowDetails};
pub use self::words::{
    MEMBERS_MAX, MadeBefore, RegistryCommand, RegistryDecision, RegistryEvent, RegistryMade, RegistryMisfit,
    RegistryRefusal,
};
use crate::command::{Caller, RequestKey};
use crate::id::{AccountId, EngineId, PerformanceId, ShowId};
use crate::time::Timestamp;

/// Where a performance is that did not come into being here, or did not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is on its way.
    Expected,
    /// It is here.
    Here,
    /// It is at another engine.
    Gone,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    shows: BTreeMap<ShowId, Arc<Show>>,
    /// In the order in which they were made.
    order: Vec<ShowId>,
    /// What was given away, as it was given: where the other engine has not taken it over yet, it is given again.
    released: BTreeMap<ShowId, Arc<Show>>,
    /// Those that came or went; any other is here where a show of this engine's lists it.
    places: BTreeMap<PerformanceId, Place>,
    name: Option<EngineId>,
    replays: BTreeMap<(AccountId, [u64; 2]), (u64, RegistryMade)>,
}

impl Registry {
    /// The shows in the order in which they were made.
    pub fn shows(&self) -> impl DoubleEndedIterator<Item = &Arc<Show>> {
        self.order.iter().map(|id| &self.shows[id])
    }

    /// Shows that were given away, as they were given.
    pub fn released(&self) -> impl Iterator<Item = &Arc<Show>> {
        self.released.values()
    }

    /// A show.
    pub fn show(&self, id: ShowId) -> Option<&Arc<Show>> {
        self.shows.get(&id)
    }

    /// What other engines know this one by, once it has a name.
    pub fn name(&self) -> Option<EngineId> {
        self.name
    }

    /// Every performance that is here.
    pub fn performances(&self) -> impl Iterator<Item = PerformanceId> {
        let came = self.places.iter().filter(|(_, place)| **place == Place::Here).map(|(id, _)| *id);
        let stayed = self.shows().flat_map(|show| show.performances.iter().copied());
        stayed.filter(|id| !self.places.contains_key(id)).chain(came)
    }

    /// Whether a performance was here, or was to come.
    pub fn is_elsewhere(&self, id: PerformanceId) -> bool {
        matches!(self.places.get(&id), Some(Place::Gone | Place::Expected))
    }

    /// The request keys that a show and its performances were made under.
    pub(crate) fn made_for(&self, show: &Show) -> Vec<MadeBefore> {
        let is_its = |made: &RegistryMade| match made {
            RegistryMade::Show(id) => *id == show.id,
            RegistryMade::Performance(id) => show.performances.contains(id),
        };
        let its = self.replays.iter().filter(|(_, (_, made))| is_its(made));
        its.map(|((by, key), (fingerprint, made))| {
            let key = RequestKey { key: *key, fingerprint: *fingerprint };
            MadeBefore { by: *by, key, made: *made }
        })
        .collect()
    }

    /// What `command` comes to. Changes nothing.
    ///
    /// # Errors
    /// [`RegistryRefusal`], where the rules do not allow it.
    pub fn decide(&self, command: &RegistryCommand) -> Result<RegistryDecision, RegistryRefusal> {
        match command.clone() {
            RegistryCommand::CreateShow { show, caller, details, key } => {
                let seller = caller.account;
                let decision = self.once(seller, key, RegistryEvent::ShowCreated { show, seller, details, key })?;
                self.if_new(decision, !self.shows.contains_key(&show))
            }
            RegistryCommand::ChangeShow { show, caller, based_on, details } => {
                self.own_show(&caller, show)?;
                let said = &self.shows[&show].details;
                if *said == details {
                    return Ok(RegistryDecision::Replayed(RegistryMade::Show(show)));
                }
                if based_on.is_some_and(|based_on| *based_on != *said) {
                    return Err(RegistryRefusal::Outdated);
                }
                Ok(RegistryDecision::Event(RegistryEvent::ShowChanged { show, details }))
            }
            RegistryCommand::SetMember { show, caller, member, duty } => {
                self.own_show(&caller, show)?;
                let members = &self.shows[&show].members;
                if members.get(&member).copied() == duty {
                    return Ok(RegistryDecision::Replayed(RegistryMade::Show(show)));
                }
                if duty.is_some() && members.len() >= MEMBERS_MAX && !members.contains_key(&member) {
                    return Err(RegistryRefusal::TooManyMembers);
                }
                Ok(RegistryDecision::Event(RegistryEvent::MemberSet { show, member, duty, by: caller.account }))
            }
            RegistryCommand::AddPerformance { show, performance, caller, key } => {
                self.own_show(&caller, show)?;
                let by = caller.account;
                let decision = self.once(by, key, RegistryEvent::PerformanceAdded { show, performance, by, key })?;
                let known =
                    self.places.contains_key(&performance) || self.performances().any(|known| known == performance);
                self.if_new(decision, !known)
            }
            RegistryCommand::AdoptShow { show, .. } if self.shows.contains_key(&show.id) => {
                Ok(RegistryDecision::Replayed(RegistryMade::Show(show.id)))
            }
            RegistryCommand::AdoptShow { show, made } => {
                Ok(RegistryDecision::Event(RegistryEvent::ShowAdopted { show, made }))
            }
            RegistryCommand::ReleaseShow { show } => match self.shows.get(&show) {
                None => Ok(RegistryDecision::Replayed(RegistryMade::Show(show))),
                Some(_) => Ok(RegistryDecision::Event(RegistryEvent::ShowReleased { show })),
            },
            RegistryCommand::ReleasePerformance { performance, .. } if !self.has(performance) => {
                Ok(RegistryDecision::Replayed(RegistryMade::Performance(performance)))
            }
            RegistryCommand::ReleasePerformance { performance, .. } => {
                Ok(RegistryDecision::Event(RegistryEvent::PerformanceReleased { performance }))
            }
        }
    }

    /// Whether a performance is here.
    pub fn has(&self, id: PerformanceId) -> bool {
        match self.places.get(&id) {
            Some(place) => *place == Place::Here,
            None => self.shows().any(|show| show.performances.contains(&id)),
        }
    }

    /// What makes something needs an id of its own for it.
    fn if_new(&self, decision: RegistryDecision, is_new: bool) -> Result<RegistryDecision, RegistryRefusal> {
        match decision {
            RegistryDecision::Event(_) if !is_new => Err(RegistryRefusal::IdTaken),
            decision => Ok(decision),
        }
    }

    fn own_show(&self, caller: &Caller, show: ShowId) -> Result<(), RegistryRefusal> {
        let own = self.shows.get(&show).filter(|show| show.belongs_to(*caller));
        own.map(|_| ()).ok_or(RegistryRefusal::UnknownShow)
    }

    /// The event, unless its request was done before.
    fn once(
        &self,
        caller: AccountId,
        key: Option<RequestKey>,
        event: RegistryEvent,
    ) -> Result<RegistryDecision, RegistryRefusal> {
        let known = key.and_then(|request| Some((request, self.replays.get(&(caller, request.key))?)));
        match known {
            None => Ok(RegistryDecision::Event(event)),
            Some((request, (first, made))) if *first == request.fingerprint => Ok(RegistryDecision::Replayed(*made)),
            Some(_) => Err(RegistryRefusal::KeyReused),
        }
    }

    /// Makes an event of a journal part of the state.
    ///
    /// # Errors
    /// [`RegistryMisfit`], where it cannot have happened to this state, which is left as it was.
    pub fn replay(&mut self, at: Timestamp, event: &RegistryEvent) -> Result<(), RegistryMisfit> {
        self.check(event)?;
        self.apply(at, event);
        Ok(())
    }

    fn check(&self, event: &RegistryEvent) -> Result<(), RegistryMisfit> {
        let known = |show: &ShowId| self.shows.contains_key(show);
        let used = |caller: &AccountId, key: &Option<RequestKey>| {
            key.is_some_and(|request| self.replays.contains_key(&(*caller, request.key)))
        };
        match event {
            RegistryEvent::ShowCreated { show, .. } if known(show) => Err(RegistryMisfit::ShowTwice(*show)),
            RegistryEvent::ShowAdopted { show, .. } if known(&show.id) => Err(RegistryMisfit::ShowTwice(show.id)),
            RegistryEvent::EngineNamed { .. } if self.name.is_some() => Err(RegistryMisfit::NamedTwice),
            RegistryEvent::PerformanceExpected { performance } if self.has(*performance) => {
                Err(RegistryMisfit::Place(*performance))
            }
            RegistryEvent::PerformanceAdopted { performance }
                if self.places.get(performance) != Some(&Place::Expected) =>
            {
                Err(RegistryMisfit::Place(*performance))
            }
            RegistryEvent::PerformanceReleased { performance } if !self.has(*performance) => {
                Err(RegistryMisfit::Place(*performance))
            }
            RegistryEvent::ShowChanged { show, .. }
            | RegistryEvent::MemberSet { show, .. }
            | RegistryEvent::PerformanceAdded { show, .. }
            | RegistryEvent::ShowReleased { show }
                if !known(show) =>
            {
                Err(RegistryMisfit::UnknownShow(*show))
            }
            RegistryEvent::ShowCreated { seller: caller, key, .. }
            | RegistryEvent::PerformanceAdded { by: caller, key, .. }
                if used(caller, key) =>
            {
                Err(RegistryMisfit::KeyUsed(*caller))
            }
            _ => Ok(()),
        }
    }

    /// Makes an event part of the state. Cannot fail: `decide` made it, or `check` passed it.
    pub fn apply(&mut self, at: Timestamp, event: &RegistryEvent) {
        match event {
            RegistryEvent::EngineStarted => {}
            RegistryEvent::ShowCreated { show, seller, details, key } => {
                let (id, details) = (*show, details.clone());
                let (performances, members) = (Vec::new(), BTreeMap::new());
                let show = Show { id, seller: *seller, details, created_at: at, performances, members };
                self.shows.insert(id, Arc::new(show));
                self.order.push(id);
                self.remember(*seller, *key, RegistryMade::Show(id));
            }
            RegistryEvent::ShowChanged { show, details } => {
                self.change(*show, |show| show.details = details.clone());
            }
            RegistryEvent::MemberSet { show, member, duty, .. } => {
                self.change(*show, |show| match duty {
                    Some(duty) => drop(show.members.insert(*member, *duty)),
                    None => drop(show.members.remove(member)),
                });
            }
            RegistryEvent::PerformanceAdded { show, performance, by, key } => {
                self.change(*show, |show| show.performances.push(*performance));
                self.remember(*by, *key, RegistryMade::Performance(*performance));
            }
            RegistryEvent::ShowAdopted { show, made } => {
                for performance in &show.performances {
                    self.places.entry(*performance).or_insert(Place::Gone);
                }
                self.order.push(show.id);
                self.shows.insert(show.id, Arc::new(Show::clone(show)));
                self.released.remove(&show.id);
                made.iter().for_each(|made| self.remember(made.by, Some(made.key), made.made));
            }
            RegistryEvent::ShowReleased { show } => {
                self.order.retain(|known| known != show);
                let Some((id, show)) = self.shows.remove_entry(show) else { return };
                // They are here still, though no show of this engine's lists them.
                for performance in &show.performances {
                    self.places.entry(*performance).or_insert(Place::Here);
                }
                self.released.insert(id, show);
            }
            RegistryEvent::EngineNamed { engine } => self.name = Some(*engine),
            RegistryEvent::PerformanceExpected { performance } => self.place(*performance, Place::Expected),
            RegistryEvent::PerformanceAdopted { performance } => self.place(*performance, Place::Here),
            RegistryEvent::PerformanceReleased { performance } => self.place(*performance, Place::Gone),
        }
    }

    fn place(&mut self, performance: PerformanceId, place: Place) {
        self.places.insert(performance, place);
    }

    fn change(&mut self, show: ShowId, change: impl FnOnce(&mut Show)) {
        if let Some(show) = self.shows.get_mut(&show) {
            change(Arc::make_mut(show));
        }
    }

    fn remember(&mut self, caller: AccountId, key: Option<RequestKey>, made: RegistryMade) {
        if let Some(request) = key {
            self.replays.insert((caller, request.key), (request.fingerprint, made));
        }
    }
}
