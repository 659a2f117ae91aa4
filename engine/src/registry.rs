//! The registry: shows, and which performances they have. Pure, like the inventory.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::command::{Caller, RequestKey};
use crate::id::{AccountId, EngineId, PerformanceId, ShowId};
use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// The field a show belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Field {
    Concert,
    Musical,
    Theatre,
    Exhibition,
    Sports,
    Space,
}

/// What a seller says of a show.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ShowDetails {
    /// Its title.
    pub title: Box<str>,
    /// Concert, musical, …
    pub field: Field,
    /// Who is on stage.
    pub cast: Vec<Box<str>>,
    /// Where it is shown.
    pub venue: Box<str>,
    /// What it is about.
    pub description: Box<str>,
    /// Its poster.
    pub poster_url: Option<Box<str>>,
}

/// A show.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Show {
    /// Its id.
    pub id: ShowId,
    /// Who sells it.
    pub seller: AccountId,
    /// What its seller says of it.
    pub details: ShowDetails,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its performances, in the order in which they were added.
    pub performances: Vec<PerformanceId>,
    /// Whom its seller lets do what.
    pub members: BTreeMap<AccountId, Duty>,
}

impl Show {
    /// Whether the show is the caller's own: who may see and say who its members are.
    pub fn belongs_to(&self, caller: Caller) -> bool {
        caller.admin || self.seller == caller.account
    }
}

/// What a seller lets somebody else do for a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Duty {
    /// All that the seller may, but to say who may do what.
    Manage,
    /// Let people in.
    Door,
    /// See who booked, and how it sells.
    View,
}

impl Duty {
    /// Whether whoever has this one may do what `needed` asks for.
    pub fn covers(self, needed: Self) -> bool {
        self == Self::Manage || self == needed
    }
}

/// What can be asked of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum RegistryCommand {
    /// Make a show.
    CreateShow {
        /// Its id.
        show: ShowId,
        /// Its seller.
        caller: Caller,
        /// What is said of it.
        details: ShowDetails,
        /// Whether the request is one that may have come before.
        key: Option<RequestKey>,
    },
    /// Say something else of a show.
    ChangeShow {
        /// The show.
        show: ShowId,
        /// Its seller, or an admin.
        caller: Caller,
        /// What that was made from: nothing is changed where something else is said by now.
        based_on: Option<Box<ShowDetails>>,
        /// What is said of it now.
        details: ShowDetails,
    },
    /// Say what somebody may do for a show.
    SetMember {
        /// The show.
        show: ShowId,
        /// Its seller, or an admin.
        caller: Caller,
        /// Who.
        member: AccountId,
        /// What; nothing takes it away.
        duty: Option<Duty>,
    },
    /// Add a performance, whose own stream opens in the same commit.
    AddPerformance {
        /// The show.
        show: ShowId,
        /// The performance.
        performance: PerformanceId,
        /// The show's seller, or an admin.
        caller: Caller,
        /// Whether the request is one that may have come before.
        key: Option<RequestKey>,
    },
    /// Take over a show that another engine has given away; its performances come one by one. Twice is once. For whoever
    /// moves shows, and for nobody who comes from outside.
    AdoptShow {
        /// As it was there.
        show: Box<Show>,
        /// The request keys that it and its performances were made under.
        made: Vec<MadeBefore>,
    },
    /// Give a show away: from now on it is another engine's. Its performances stay until each is handed over. Twice is once.
    /// As [`Self::AdoptShow`].
    ReleaseShow {
        /// The show.
        show: ShowId,
    },
    /// Forget a performance that was handed over, now that the other engine has it. Twice is once. As [`Self::AdoptShow`].
    ReleasePerformance {
        /// The performance.
        performance: PerformanceId,
        /// The last record of it here: it may have been here, and given away, before.
        last: u64,
    },
}

impl RegistryCommand {
    /// The show that it is about, where there has to be one.
    pub(crate) fn show_that_is(&self) -> Option<ShowId> {
        match self {
            Self::CreateShow { .. } | Self::AdoptShow { .. } | Self::ReleasePerformance { .. } => None,
            Self::ChangeShow { show, .. }
            | Self::SetMember { show, .. }
            | Self::AddPerformance { show, .. }
            | Self::ReleaseShow { show } => Some(*show),
        }
    }
}

/// What happened to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryEvent {
    /// An engine took the journal over; its epoch stands in the record's header.
    EngineStarted,
    /// A show was made.
    ShowCreated {
        /// Its id.
        show: ShowId,
        /// Its seller.
        seller: AccountId,
        /// What is said of it.
        details: ShowDetails,
        /// What the request was known by.
        key: Option<RequestKey>,
    },
    /// Something else is said of a show.
    ShowChanged {
        /// The show.
        show: ShowId,
        /// What is said of it now.
        details: ShowDetails,
    },
    /// Somebody may do something for a show, or nothing any more.
    MemberSet {
        /// The show.
        show: ShowId,
        /// Who.
        member: AccountId,
        /// What.
        duty: Option<Duty>,
        /// Who said so.
        by: AccountId,
    },
    /// A performance was added.
    PerformanceAdded {
        /// The show.
        show: ShowId,
        /// The performance.
        performance: PerformanceId,
        /// Who added it.
        by: AccountId,
        /// What the request was known by.
        key: Option<RequestKey>,
    },
    /// A show of another engine's is this one's now.
    ShowAdopted {
        /// As it was there.
        show: Box<Show>,
        /// The request keys that it and its performances were made under.
        made: Vec<MadeBefore>,
    },
    /// A show is another engine's now.
    ShowReleased {
        /// Which.
        show: ShowId,
    },
    /// The engine got its name, which other engines know it by.
    EngineNamed {
        /// The name.
        engine: EngineId,
    },
    /// The state of a performance that another engine gives away is on its way: what there is of it is not this engine's yet.
    PerformanceExpected {
        /// Which.
        performance: PerformanceId,
    },
    /// A performance of another engine's is this one's now.
    PerformanceAdopted {
        /// Which.
        performance: PerformanceId,
    },
    /// A performance that was handed over is the other engine's now.
    PerformanceReleased {
        /// Which.
        performance: PerformanceId,
    },
}

/// Why a registry did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum RegistryRefusal {
    /// There is no such show, or the caller does not sell it.
    #[error("there is no such show")]
    UnknownShow,
    /// The request key stands for another request.
    #[error("the request key was used for another request")]
    KeyReused,
    /// A show has as many members as it may.
    #[error("a show has at most {MEMBERS_MAX} members")]
    TooManyMembers,
    /// What the change was made from is not said of the show any more.
    #[error("the show was changed meanwhile")]
    Outdated,
    /// A show or a performance has this id already.
    #[error("the id is another's")]
    IdTaken,
    /// Only what was handed over is forgotten.
    #[error("the performance is this engine's, and was not handed over")]
    NotHandedOver,
}

/// Members of one show.
pub const MEMBERS_MAX: usize = 200;

/// Why an event of a journal cannot have happened to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RegistryMisfit {
    /// A show is made once.
    #[error("{0} is made a second time")]
    ShowTwice(ShowId),
    /// Only what was made changes.
    #[error("{0} was never made")]
    UnknownShow(ShowId),
    /// A key makes one thing.
    #[error("the request key of {0} was used before")]
    KeyUsed(AccountId),
    /// What comes was not here, and what goes was.
    #[error("{0} comes or goes, but is where it would come to, or not where it would leave")]
    Place(PerformanceId),
    /// An engine has one name.
    #[error("the engine is named a second time")]
    NamedTwice,
}

/// What was made under a request key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum RegistryMade {
    /// This show.
    Show(ShowId),
    /// This performance.
    Performance(PerformanceId),
}

/// A request key and what was made under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct MadeBefore {
    /// Who asked.
    pub by: AccountId,
    /// The key.
    pub key: RequestKey,
    /// What was made.
    pub made: RegistryMade,
}

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

/// What a command comes to, where it is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryDecision {
    /// This happens.
    Event(RegistryEvent),
    /// The same request came before and made this.
    Replayed(RegistryMade),
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
