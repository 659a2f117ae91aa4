//! What format 4 adds to format 3: that an engine has a name, that performances are handed over from one engine to another,
//! and that a show takes its performances and its request keys with it. Never changed once it is released.

use rkyv::{Archive, Deserialize, Serialize};

use super::DecodeError;
use super::v1::{Adopted, Key, account, read_key};
use super::v3;
use crate::event::Event;
use crate::id::{EngineId, PerformanceId, ShowId};
use crate::inventory;
use crate::registry::{MadeBefore, RegistryEvent, RegistryMade};

type Read<T> = Result<T, DecodeError>;

#[derive(Archive, Serialize, Deserialize)]
pub(super) enum What {
    HandedOver { to: u64 },
    TakenOver,
}

impl What {
    /// Nothing for what earlier formats can say.
    pub(super) fn write(event: &Event) -> Option<Self> {
        match event {
            Event::HandedOver { to } => Some(Self::HandedOver { to: to.0 }),
            Event::TakenOver => Some(Self::TakenOver),
            _ => None,
        }
    }

    pub(super) fn read(self) -> Read<Event> {
        Ok(match self {
            Self::HandedOver { to } => Event::HandedOver { to: EngineId(to) },
            Self::TakenOver => Event::TakenOver,
        })
    }
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) enum RegistryWhat {
    Named { engine: u64 },
    Adopted { show: Box<Adopted>, performances: Vec<u64>, made: Vec<Made> },
    PerformanceExpected { performance: u64 },
    PerformanceAdopted { performance: u64 },
    PerformanceReleased { performance: u64 },
}

#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Made {
    by: String,
    key: Key,
    performance: Option<u64>,
}

impl RegistryWhat {
    /// Nothing for what earlier formats can say.
    pub(super) fn write(event: &RegistryEvent) -> Option<Self> {
        Some(match event {
            RegistryEvent::EngineNamed { engine } => Self::Named { engine: engine.0 },
            RegistryEvent::ShowAdopted { show, made } if !(show.performances.is_empty() && made.is_empty()) => {
                Self::Adopted {
                    show: Box::new(Adopted::write(show)),
                    performances: show.performances.iter().map(|performance| performance.0).collect(),
                    made: made.iter().filter_map(Made::write).collect(),
                }
            }
            RegistryEvent::PerformanceExpected { performance } => {
                Self::PerformanceExpected { performance: performance.0 }
            }
            RegistryEvent::PerformanceAdopted { performance } => {
                Self::PerformanceAdopted { performance: performance.0 }
            }
            RegistryEvent::PerformanceReleased { performance } => {
                Self::PerformanceReleased { performance: performance.0 }
            }
            _ => return None,
        })
    }

    pub(super) fn read(self) -> Read<RegistryEvent> {
        Ok(match self {
            Self::Named { engine } => RegistryEvent::EngineNamed { engine: EngineId(engine) },
            Self::Adopted { show, performances, made } => {
                let mut show = show.read()?;
                show.performances = performances.into_iter().map(PerformanceId).collect();
                let made = made.into_iter().map(|made| made.read(show.id)).collect::<Read<_>>()?;
                RegistryEvent::ShowAdopted { show: Box::new(show), made }
            }
            Self::PerformanceExpected { performance } => {
                RegistryEvent::PerformanceExpected { performance: PerformanceId(performance) }
            }
            Self::PerformanceAdopted { performance } => {
                RegistryEvent::PerformanceAdopted { performance: PerformanceId(performance) }
            }
            Self::PerformanceReleased { performance } => {
                RegistryEvent::PerformanceReleased { performance: PerformanceId(performance) }
            }
        })
    }
}

impl Made {
    fn write(made: &MadeBefore) -> Option<Self> {
        let performance = match made.made {
            RegistryMade::Show(_) => None,
            RegistryMade::Performance(performance) => Some(performance.0),
        };
        Some(Self { by: made.by.as_str().to_owned(), key: Key::write(&Some(made.key))?, performance })
    }

    fn read(self, show: ShowId) -> Read<MadeBefore> {
        let made = self.performance.map_or(RegistryMade::Show(show), |id| RegistryMade::Performance(PerformanceId(id)));
        let key = read_key(Some(self.key)).ok_or(DecodeError::Field("key"))?;
        Ok(MadeBefore { by: account("by", &self.by)?, key, made })
    }
}

/// A state in format 3, and whom it was given to.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Image {
    before: v3::Image,
    handed_over: u64,
}

impl Image {
    pub(super) fn write(before: v3::Image, to: EngineId) -> Self {
        Self { before, handed_over: to.0 }
    }

    pub(super) fn read(self) -> Read<inventory::Image> {
        Ok(inventory::Image { handed_over: Some(EngineId(self.handed_over)), ..self.before.read()? })
    }
}
