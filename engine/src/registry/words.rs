//! What is asked of a registry, what happens to it, and why it does not.

use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error;

use super::show::{Duty, Show, ShowDetails};
use crate::command::{Caller, RequestKey};
use crate::id::{AccountId, EngineId, PerformanceId, ShowId};

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

/// What a command comes to, where it is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryDecision {
    /// This happens.
    Event(RegistryEvent),
    /// The same request came before and made this.
    Replayed(RegistryMade),
}
