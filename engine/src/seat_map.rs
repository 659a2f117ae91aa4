//! The immutable geometry of a performance: sections, rows and seats, and the labels they have for people.
//!
//! Every seat is a dense [`SeatIndex`]; inside the engine nothing else names a seat. A reserved section has rows; a
//! standing area is one row of numbered places; a space reserved by time is one row of slots. So one inventory sells
//! them all. Labels are `section-row-seat`, `section-number` and `section-start`.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use std::fmt;

use hashbrown::HashSet;
use smallvec::SmallVec;
use thiserror::Error;

use crate::time::Timestamp;
use rkyv::{Archive, Deserialize, Serialize};

/// A seat's dense number in its seat map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct SeatIndex(pub u32);

/// A few seats; as many as most people buy at once need no allocation.
pub type SeatList = SmallVec<[SeatIndex; 4]>;

/// A tier's place in its performance's list of tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct TierIndex(pub u16);

/// A section's place in its seat map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct SectionIndex(pub u16);

/// A layout as its seller describes it: what the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Archive, Serialize, Deserialize)]
pub struct SeatMapPlan {
    /// In seat order.
    pub sections: Vec<SectionPlan>,
}

/// A section of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SectionPlan {
    /// First part of its seats' labels.
    pub name: Box<str>,
    /// The tier that all its seats are sold in.
    pub tier: TierIndex,
    /// What its seats are.
    pub seating: Seating,
}

/// What the seats of a section are.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Seating {
    /// Rows, from the stage backwards.
    Reserved(Vec<RowPlan>),
    /// So many places to stand.
    GeneralAdmission(u32),
    /// Spans of time of one resource.
    Slots {
        /// What is reserved: a room's name.
        resource: Box<str>,
        /// One seat each, in order of time.
        slots: Vec<Slot>,
    },
}

/// A row of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RowPlan {
    /// Second part of its seats' labels.
    pub name: Box<str>,
    /// Its seats from left to right.
    pub seats: SeatNames,
}

/// The names of a row's seats, from left to right.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum SeatNames {
    /// `1..=count`.
    Count(u32),
    /// One by one.
    Named(Vec<Box<str>>),
}

/// A span of time that can be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Slot {
    /// From; names the slot.
    pub starts_at: Timestamp,
    /// To.
    pub ends_at: Timestamp,
}

impl Slot {
    /// The last part of the slot's label: its start, to the second.
    fn name(self) -> Box<str> {
        let start = jiff::Timestamp::from_millisecond(self.starts_at.as_millis());
        let start = start.expect("a Timestamp lies within what can be written");
        format!("{start:.0}").into_boxed_str()
    }
}

/// Why a plan makes no seat map.
#[derive(Debug, Clone, PartialEq, Eq, Error, Archive, Serialize, Deserialize)]
pub enum SeatMapError {
    /// There is nothing to sell.
    #[error("the seat map has no seats")]
    Empty,
    /// More seats than one performance may have.
    #[error("the seat map has more than {} seats", SeatMap::SEATS_MAX)]
    TooManySeats,
    /// A name is empty, too long, or holds control characters.
    #[error("'{0}' is not a name: 1 to {max} characters, none of them a control character", max = SeatMap::NAME_LEN_MAX)]
    Name(Box<str>),
    /// Two seats would have the same label.
    #[error("two seats would have the label '{0}'")]
    DuplicateLabel(Box<str>),
    /// Two sections have the same name.
    #[error("two sections have the name '{0}'")]
    DuplicateSection(Box<str>),
    /// A section names a tier that the performance does not have.
    #[error("section '{0}' is sold in a tier that the performance does not have")]
    UnknownTier(Box<str>),
    /// A slot ends before it starts.
    #[error("a slot of '{0}' ends before it starts")]
    SlotEndsEarly(Box<str>),
}

/// A seat map in force.
#[derive(Debug, PartialEq, Eq)]
pub struct SeatMap {
    plan: SeatMapPlan,
    sections: Vec<Section>,
    /// Ordered by first seat. Invariant: they follow each other without a gap.
    rows: Vec<Row>,
    capacity: u32,
}

/// A section in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// First part of its seats' labels.
    pub name: Box<str>,
    /// The tier that all its seats are sold in.
    pub tier: TierIndex,
    /// Whether its places are alike, so that nobody asks for one by its side.
    pub standing: bool,
    /// Its rows in [`SeatMap::rows`].
    pub rows: std::ops::Range<u32>,
    /// Its first seat.
    pub first: SeatIndex,
    /// How many seats it has.
    pub len: u32,
}

/// A row in force: seats with consecutive indices, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The section it is part of.
    pub section: SectionIndex,
    /// Its leftmost seat.
    pub first: SeatIndex,
    /// How many seats it has.
    pub len: u32,
    /// Empty where the section has no rows for people.
    name: Box<str>,
    names: SeatNames,
}

impl Row {
    fn seat_named(&self, name: &str) -> Option<SeatIndex> {
        let place = match &self.names {
            SeatNames::Count(count) => number(name).filter(|number| number <= count)? - 1,
            SeatNames::Named(names) => u32::try_from(names.iter().position(|known| **known == *name)?).ok()?,
        };
        Some(SeatIndex(self.first.0 + place))
    }

    fn write_name(&self, f: &mut fmt::Formatter<'_>, place: u32) -> fmt::Result {
        match &self.names {
            SeatNames::Count(_) => write!(f, "{}", place + 1),
            SeatNames::Named(names) => f.write_str(&names[place as usize]),
        }
    }
}

/// A number from 1 on, written the one way that labels write it.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

impl SeatMap {
    /// Seats of the largest performance.
    pub const SEATS_MAX: u32 = 200_000;
    /// Characters of the longest name.
    pub const NAME_LEN_MAX: usize = 64;

    /// Lays a plan out, for a performance with `tiers` tiers.
    ///
    /// # Errors
    /// [`SeatMapError`] names the first thing that is wrong with the plan.
    pub fn new(plan: SeatMapPlan, tiers: usize) -> Result<Self, SeatMapError> {
        let mut map = Self { plan: SeatMapPlan::default(), sections: Vec::new(), rows: Vec::new(), capacity: 0 };
        for section in &plan.sections {
            map.add_section(section, tiers)?;
        }
        map.plan = plan;
        if map.capacity == 0 {
            return Err(SeatMapError::Empty);
        }
        map.check_labels()?;
        Ok(map)
    }

    fn add_section(&mut self, plan: &SectionPlan, tiers: usize) -> Result<(), SeatMapError> {
        check_name(&plan.name)?;
        if usize::from(plan.tier.0) >= tiers {
            return Err(SeatMapError::UnknownTier(plan.name.clone()));
        }
        let index = u16::try_from(self.sections.len()).map_err(|_| SeatMapError::TooManySeats)?;
        let (first, first_row) = (SeatIndex(self.capacity), self.rows.len() as u32);
        match &plan.seating {
            Seating::Reserved(rows) => {
                for row in rows {
                    check_name(&row.name)?;
                    self.add_row(SectionIndex(index), row.name.clone(), row.seats.clone())?;
                }
            }
            Seating::GeneralAdmission(places) => {
                self.add_row(SectionIndex(index), Box::default(), SeatNames::Count(*places))?;
            }
            Seating::Slots { slots, .. } => {
                if slots.iter().any(|slot| slot.ends_at <= slot.starts_at) {
                    return Err(SeatMapError::SlotEndsEarly(plan.name.clone()));
                }
                let names = slots.iter().map(|slot| slot.name()).collect();
                self.add_row(SectionIndex(index), Box::default(), SeatNames::Named(names))?;
            }
        }
        self.sections.push(Section {
            name: plan.name.clone(),
            tier: plan.tier,
            standing: matches!(plan.seating, Seating::GeneralAdmission(_)),
            rows: first_row..self.rows.len() as u32,
            first,
            len: self.capacity - first.0,
        });
        Ok(())
    }

    fn add_row(&mut self, section: SectionIndex, name: Box<str>, names: SeatNames) -> Result<(), SeatMapError> {
        let len = match &names {
            SeatNames::Count(count) => *count,
            SeatNames::Named(names) => {
                names.iter().try_for_each(|name| check_name(name))?;
                u32::try_from(names.len()).map_err(|_| SeatMapError::TooManySeats)?
            }
        };
        let capacity = self.capacity.checked_add(len).filter(|&capacity| capacity <= Self::SEATS_MAX);
        let first = SeatIndex(self.capacity);
        self.capacity = capacity.ok_or(SeatMapError::TooManySeats)?;
        self.rows.push(Row { section, first, len, name, names });
        Ok(())
    }

    /// Every label must lead back to its seat, whatever hyphens the names have.
    fn check_labels(&self) -> Result<(), SeatMapError> {
        let mut sections = HashSet::with_hasher(foldhash::fast::FixedState::default());
        if let Some(twice) = self.sections.iter().find(|section| !sections.insert(&section.name)) {
            return Err(SeatMapError::DuplicateSection(twice.name.clone()));
        }
        let mut labels = HashSet::with_hasher(foldhash::fast::FixedState::default());
        let twice = self.seats().map(|seat| self.label(seat).to_string()).find(|label| !labels.insert(label.clone()));
        twice.map_or(Ok(()), |label| Err(SeatMapError::DuplicateLabel(label.into_boxed_str())))
    }

    /// What the map was made from.
    pub fn plan(&self) -> &SeatMapPlan {
        &self.plan
    }

    /// How many seats there are.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Every seat, in order.
    pub fn seats(&self) -> impl Iterator<Item = SeatIndex> + use<> {
        (0..self.capacity).map(SeatIndex)
    }

    /// The sections, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether a section is a standing area.
    pub fn is_standing(&self, section: SectionIndex) -> bool {
        self.sections[usize::from(section.0)].standing
    }

    /// The section with this name.
    pub fn section_named(&self, name: &str) -> Option<SectionIndex> {
        let place = self.sections.iter().position(|section| *section.name == *name)?;
        Some(SectionIndex(place as u16))
    }

    /// The row that a seat is in, as a place in [`Self::rows`].
    pub fn row_of(&self, seat: SeatIndex) -> usize {
        self.rows.partition_point(|row| row.first <= seat) - 1
    }

    /// The section that a seat is in.
    pub fn section_of(&self, seat: SeatIndex) -> SectionIndex {
        let after = self.sections.partition_point(|section| section.first <= seat);
        // A section without seats starts where the next one does, and is not the one that holds the seat.
        SectionIndex(after as u16 - 1)
    }

    /// The tier that a seat is sold in.
    pub fn tier_of(&self, seat: SeatIndex) -> TierIndex {
        self.sections[usize::from(self.section_of(seat).0)].tier
    }

    /// A seat's label, to be written somewhere.
    pub fn label(&self, seat: SeatIndex) -> Label<'_> {
        Label { map: self, seat }
    }

    /// The seat with this label.
    pub fn seat_labelled(&self, label: &str) -> Option<SeatIndex> {
        // Three names of characters of four bytes at most, and two hyphens.
        if label.len() > 3 * 4 * Self::NAME_LEN_MAX + 2 {
            return None;
        }
        splits(label).find_map(|(section, rest)| {
            let section = &self.sections[usize::from(self.section_named(section)?.0)];
            self.seat_in(section, rest)
        })
    }

    fn seat_in(&self, section: &Section, rest: &str) -> Option<SeatIndex> {
        let rows = &self.rows[section.rows.start as usize..section.rows.end as usize];
        match rows {
            [row] if row.name.is_empty() => row.seat_named(rest),
            rows => splits(rest).find_map(|(row_name, seat_name)| {
                rows.iter().filter(|row| *row.name == *row_name).find_map(|row| row.seat_named(seat_name))
            }),
        }
    }
}

/// Every way to cut `a-b-c` in two at a hyphen, the shortest head first.
fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('-').map(|(at, _)| (&text[..at], &text[at + 1..]))
}

fn check_name(name: &str) -> Result<(), SeatMapError> {
    let length = name.chars().count();
    let plain = (1..=SeatMap::NAME_LEN_MAX).contains(&length) && !name.chars().any(char::is_control);
    if plain { Ok(()) } else { Err(SeatMapError::Name(name.into())) }
}

/// A seat's label; written without being built.
#[derive(Debug, Clone, Copy)]
pub struct Label<'map> {
    map: &'map SeatMap,
    seat: SeatIndex,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.map.rows[self.map.row_of(self.seat)];
        f.write_str(&self.map.sections[usize::from(row.section.0)].name)?;
        f.write_str("-")?;
        if !row.name.is_empty() {
            f.write_str(&row.name)?;
            f.write_str("-")?;
        }
        row.write_name(f, self.seat.0 - row.first.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(name: &str, seating: Seating) -> SectionPlan {
        SectionPlan { name: name.into(), tier: TierIndex(0), seating }
    }

    fn row(name: &str, seats: SeatNames) -> RowPlan {
        RowPlan { name: name.into(), seats }
    }

    fn map(sections: Vec<SectionPlan>) -> Result<SeatMap, SeatMapError> {
        SeatMap::new(SeatMapPlan { sections }, 1)
    }

    #[test]
    fn labels_lead_to_seats_and_back() {
        let named = SeatNames::Named(vec!["1a".into(), "1b".into()]);
        let hour = |hour: i64| Slot {
            starts_at: Timestamp::from_millis(hour * 3_600_000),
            ends_at: Timestamp::from_millis((hour + 1) * 3_600_000),
        };
        let map = map(vec![
            section("A", Seating::Reserved(vec![row("1", SeatNames::Count(3)), row("2-left", named)])),
            section("Floor", Seating::GeneralAdmission(5)),
            section("Room 1", Seating::Slots { resource: "Room 1".into(), slots: vec![hour(9), hour(10)] }),
        ])
        .unwrap();
        let labels: Vec<_> = map.seats().map(|seat| map.label(seat).to_string()).collect();
        assert_eq!(labels[0], "A-1-1");
        assert_eq!(labels[4], "A-2-left-1b");
        assert_eq!(labels[5], "Floor-1");
        assert_eq!(labels[10], "Room 1-1970-01-01T09:00:00Z");
        for seat in map.seats() {
            assert_eq!(map.seat_labelled(&labels[seat.0 as usize]), Some(seat));
        }
        for unknown in ["A-1-0", "A-1-4", "A-1-01", "A-1", "", "-", "Floor-6", "B-1-1", "A-1-+1"] {
            assert_eq!(map.seat_labelled(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn each_fault_of_a_plan_is_named() {
        let rows = |seats| Seating::Reserved(vec![row("1", seats)]);
        assert_eq!(map(vec![]), Err(SeatMapError::Empty));
        assert_eq!(map(vec![section("", rows(SeatNames::Count(1)))]), Err(SeatMapError::Name("".into())));
        let huge = section("A", Seating::GeneralAdmission(u32::MAX));
        assert_eq!(map(vec![huge.clone(), huge]), Err(SeatMapError::TooManySeats));
        let one = section("A", rows(SeatNames::Count(1)));
        assert_eq!(map(vec![one.clone(), one]), Err(SeatMapError::DuplicateSection("A".into())));
        let twice = SeatNames::Named(vec!["x".into(), "x".into()]);
        assert_eq!(map(vec![section("A", rows(twice))]), Err(SeatMapError::DuplicateLabel("A-1-x".into())));
        let mut cheap = section("A", rows(SeatNames::Count(1)));
        cheap.tier = TierIndex(1);
        assert_eq!(map(vec![cheap]), Err(SeatMapError::UnknownTier("A".into())));
    }

    #[test]
    fn hyphens_that_make_labels_ambiguous_are_refused() {
        let a = section("A", Seating::Reserved(vec![row("1-1", SeatNames::Count(1))]));
        let b = section("A-1", Seating::Reserved(vec![row("1", SeatNames::Count(1))]));
        assert_eq!(map(vec![a, b]), Err(SeatMapError::DuplicateLabel("A-1-1-1".into())));
    }

    proptest! {
        #[test]
        fn no_label_makes_the_map_panic(label in "[A1\\-x]{0,12}") {
            let map = map(vec![section("A", Seating::Reserved(vec![row("1", SeatNames::Count(3))]))]).unwrap();
            if let Some(seat) = map.seat_labelled(&label) {
                prop_assert_eq!(map.label(seat).to_string(), label);
            }
        }
    }
}
