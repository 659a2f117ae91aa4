//! The registry's events in format 1.

use rkyv::{Archive, Deserialize, Serialize};

use super::{Key, Read, account, read_key, text, time};
use crate::id::{PerformanceId, ShowId};
use crate::journal::codec::{DecodeError, v4};
use crate::registry::{self, RegistryEvent};
use crate::time::Timestamp;

#[derive(Archive, Serialize, Deserialize)]
pub(in crate::journal::codec) struct RegistryEntry {
    at: i64,
    what: RegistryWhat,
}

#[derive(Archive, Serialize, Deserialize)]
enum RegistryWhat {
    Started,
    ShowCreated {
        show: u64,
        seller: String,
        details: Details,
        key: Option<Key>,
    },
    ShowChanged {
        show: u64,
        details: Details,
    },
    PerformanceAdded {
        show: u64,
        performance: u64,
        by: String,
        key: Option<Key>,
    },
    /// Since format 2.
    MemberSet(Box<MemberSet>),
    /// Since format 3, as is the next one.
    ShowAdopted(Box<Adopted>),
    ShowReleased(u64),
    /// Since format 4.
    Format4(Box<v4::RegistryWhat>),
}

#[derive(Archive, Serialize, Deserialize)]
pub(in crate::journal::codec) struct Adopted {
    show: u64,
    seller: String,
    details: Details,
    created_at: i64,
    members: Vec<(String, u8)>,
}

#[derive(Archive, Serialize, Deserialize)]
struct MemberSet {
    show: u64,
    member: String,
    duty: Option<u8>,
    by: String,
}

const DUTIES: [registry::Duty; 3] = [registry::Duty::Manage, registry::Duty::Door, registry::Duty::View];

#[derive(Archive, Serialize, Deserialize)]
struct Details {
    title: String,
    field: u8,
    cast: Vec<String>,
    venue: String,
    description: String,
    poster_url: Option<String>,
}

fn write_duty(duty: registry::Duty) -> u8 {
    DUTIES.iter().position(|known| *known == duty).expect("DUTIES has all") as u8
}

fn read_duty(place: u8) -> Read<registry::Duty> {
    DUTIES.get(usize::from(place)).copied().ok_or(DecodeError::Field("duty"))
}

impl Adopted {
    pub(in crate::journal::codec) fn write(show: &registry::Show) -> Self {
        let members = show.members.iter().map(|(member, duty)| (member.as_str().to_owned(), write_duty(*duty)));
        Self {
            show: show.id.0,
            seller: show.seller.as_str().to_owned(),
            details: Details::write(&show.details),
            created_at: show.created_at.as_millis(),
            members: members.collect(),
        }
    }

    pub(in crate::journal::codec) fn read(self) -> Read<registry::Show> {
        let member = |(member, duty): (String, u8)| Ok((account("member", &member)?, read_duty(duty)?));
        Ok(registry::Show {
            id: ShowId(self.show),
            seller: account("seller", &self.seller)?,
            details: self.details.read()?,
            created_at: time("created_at", self.created_at)?,
            performances: Vec::new(),
            members: self.members.into_iter().map(member).collect::<Read<_>>()?,
        })
    }
}

const FIELDS: [registry::Field; 6] = [
    registry::Field::Concert,
    registry::Field::Musical,
    registry::Field::Theatre,
    registry::Field::Exhibition,
    registry::Field::Sports,
    registry::Field::Space,
];

impl Details {
    fn write(details: &registry::ShowDetails) -> Self {
        Self {
            title: details.title.to_string(),
            field: FIELDS.iter().position(|field| *field == details.field).expect("FIELDS has all") as u8,
            cast: details.cast.iter().map(|name| name.to_string()).collect(),
            venue: details.venue.to_string(),
            description: details.description.to_string(),
            poster_url: text(&details.poster_url),
        }
    }

    fn read(self) -> Read<registry::ShowDetails> {
        Ok(registry::ShowDetails {
            title: self.title.into_boxed_str(),
            field: *FIELDS.get(usize::from(self.field)).ok_or(DecodeError::Field("field"))?,
            cast: self.cast.into_iter().map(String::into_boxed_str).collect(),
            venue: self.venue.into_boxed_str(),
            description: self.description.into_boxed_str(),
            poster_url: self.poster_url.map(String::into_boxed_str),
        })
    }
}

impl RegistryEntry {
    /// The format that can say what it says.
    pub(in crate::journal::codec) fn format(&self) -> u16 {
        match self.what {
            RegistryWhat::Format4(_) => 4,
            RegistryWhat::ShowAdopted(_) | RegistryWhat::ShowReleased(_) => 3,
            RegistryWhat::MemberSet(_) => 2,
            _ => 1,
        }
    }

    pub(in crate::journal::codec) fn write(at: Timestamp, event: &RegistryEvent) -> Self {
        if let Some(what) = v4::RegistryWhat::write(event) {
            return Self { at: at.as_millis(), what: RegistryWhat::Format4(Box::new(what)) };
        }
        let what = match event {
            RegistryEvent::EngineStarted => RegistryWhat::Started,
            RegistryEvent::ShowCreated { show, seller, details, key } => RegistryWhat::ShowCreated {
                show: show.0,
                seller: seller.as_str().to_owned(),
                details: Details::write(details),
                key: Key::write(key),
            },
            RegistryEvent::ShowChanged { show, details } => {
                RegistryWhat::ShowChanged { show: show.0, details: Details::write(details) }
            }
            RegistryEvent::MemberSet { show, member, duty, by } => RegistryWhat::MemberSet(Box::new(MemberSet {
                show: show.0,
                member: member.as_str().to_owned(),
                duty: duty.map(write_duty),
                by: by.as_str().to_owned(),
            })),
            RegistryEvent::PerformanceAdded { show, performance, by, key } => RegistryWhat::PerformanceAdded {
                show: show.0,
                performance: performance.0,
                by: by.as_str().to_owned(),
                key: Key::write(key),
            },
            RegistryEvent::ShowAdopted { show, .. } => RegistryWhat::ShowAdopted(Box::new(Adopted::write(show))),
            RegistryEvent::ShowReleased { show } => RegistryWhat::ShowReleased(show.0),
            _ => unreachable!("format 4 has all that earlier ones have not"),
        };
        Self { at: at.as_millis(), what }
    }

    pub(in crate::journal::codec) fn read(self) -> Read<(Timestamp, RegistryEvent)> {
        let event = match self.what {
            RegistryWhat::Started => RegistryEvent::EngineStarted,
            RegistryWhat::ShowCreated { show, seller, details, key } => RegistryEvent::ShowCreated {
                show: ShowId(show),
                seller: account("seller", &seller)?,
                details: details.read()?,
                key: read_key(key),
            },
            RegistryWhat::ShowChanged { show, details } => {
                RegistryEvent::ShowChanged { show: ShowId(show), details: details.read()? }
            }
            RegistryWhat::MemberSet(set) => RegistryEvent::MemberSet {
                show: ShowId(set.show),
                member: account("member", &set.member)?,
                duty: set.duty.map(read_duty).transpose()?,
                by: account("by", &set.by)?,
            },
            RegistryWhat::PerformanceAdded { show, performance, by, key } => RegistryEvent::PerformanceAdded {
                show: ShowId(show),
                performance: PerformanceId(performance),
                by: account("by", &by)?,
                key: read_key(key),
            },
            RegistryWhat::ShowAdopted(adopted) => {
                RegistryEvent::ShowAdopted { show: Box::new(adopted.read()?), made: Vec::new() }
            }
            RegistryWhat::ShowReleased(show) => RegistryEvent::ShowReleased { show: ShowId(show) },
            RegistryWhat::Format4(what) => what.read()?,
        };
        Ok((time("at", self.at)?, event))
    }
}
