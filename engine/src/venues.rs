//! Presets: halls of real size, so that a seller starts with something true.
//!
//! Sizes follow known halls: the Sejong Grand Theater in Seoul (3,022 seats), an Olympic gymnastics arena set up for a
//! concert (15,000 places, a third of them standing), a football stadium (50,000). Rows curve outwards from the stage:
//! each is a little longer than the one before.

use std::time::Duration;

use thiserror::Error;

use crate::seat_map::{RowPlan, SeatMapPlan, SeatNames, Seating, SectionPlan, Slot, TierIndex};
use crate::time::Timestamp;

/// The presets' names.
pub const NAMES: &[&str] = &["grand-theatre", "arena", "stadium", "study-rooms"];

/// A preset in numbers: its plan and the names of its tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venue {
    /// The layout.
    pub plan: SeatMapPlan,
    /// The tiers that its sections are sold in, best first.
    pub tiers: &'static [&'static str],
}

/// Why there is no such venue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VenueError {
    /// No preset has this name.
    #[error("there is no venue preset of this name; there are {}", NAMES.join(", "))]
    Unknown,
    /// The rooms would be open for too long, or not for an hour.
    #[error("rooms are reserved by the hour: between starts_at and ends_at there must be 1 hour to {HOURS_MAX} hours")]
    Hours,
}

/// Longest time that rooms of one performance are open: a week.
const HOURS_MAX: u32 = 168;

/// The preset called `name`, for a performance between two times.
///
/// # Errors
/// [`VenueError`], where there is none, or it cannot be open at these times.
pub fn preset(name: &str, starts_at: Timestamp, ends_at: Timestamp) -> Result<Venue, VenueError> {
    match name {
        "grand-theatre" => Ok(grand_theatre()),
        "arena" => Ok(arena()),
        "stadium" => Ok(stadium()),
        "study-rooms" => study_rooms(starts_at, ends_at),
        _ => Err(VenueError::Unknown),
    }
}

/// A block of rows that grow by `grow` seats each.
struct Wedge {
    name: String,
    tier: u16,
    rows: u32,
    first_row: u32,
    seats: u32,
    grow: u32,
}

impl Wedge {
    fn section(self) -> SectionPlan {
        let row = |at: u32| RowPlan {
            name: (self.first_row + at).to_string().into_boxed_str(),
            seats: SeatNames::Count(self.seats + at * self.grow),
        };
        let seating = Seating::Reserved((0..self.rows).map(row).collect());
        SectionPlan { name: self.name.into_boxed_str(), tier: TierIndex(self.tier), seating }
    }
}

fn wedge(name: impl Into<String>, tier: u16, rows: u32, seats: u32, grow: u32) -> SectionPlan {
    Wedge { name: name.into(), tier, rows, first_row: 1, seats, grow }.section()
}

/// 3,022 seats: stalls in three blocks, two balconies.
fn grand_theatre() -> Venue {
    let sections = vec![
        wedge("Stalls-Centre", 0, 22, 18, 1),    //   627
        wedge("Stalls-Left", 1, 22, 14, 0),      //   308
        wedge("Stalls-Right", 1, 22, 14, 0),     //   308
        wedge("Boxes", 0, 5, 4, 0),              //    20
        wedge("Balcony-1-Centre", 1, 12, 30, 1), //   426
        wedge("Balcony-1-Left", 2, 12, 21, 0),   //   252
        wedge("Balcony-1-Right", 2, 12, 21, 0),  //   252
        wedge("Balcony-2-Centre", 2, 11, 32, 1), //   407
        wedge("Balcony-2-Left", 3, 11, 19, 0),   //   209
        wedge("Balcony-2-Right", 3, 11, 19, 0),  //   209
        wedge("Wheelchair", 3, 1, 4, 0),         //     4
    ];
    Venue { plan: SeatMapPlan { sections }, tiers: &["VIP", "R", "S", "A"] }
}

/// 15,000 places: a standing floor of 5,000, two rings of ten blocks each.
fn arena() -> Venue {
    let floor = SectionPlan { name: "Floor".into(), tier: TierIndex(0), seating: Seating::GeneralAdmission(5000) };
    let lower = (1..=10).map(|block| wedge(format!("L{block}"), 1, 16, 20, 1)); // 440 each
    let upper = (1..=10).map(|block| wedge(format!("U{block}"), 2, 16, 27, 1)); // 552 each
    let ends = (1..=2).map(|block| wedge(format!("E{block}"), 2, 4, 10, 0)); //     40 each
    let sections = std::iter::once(floor).chain(lower).chain(upper).chain(ends).collect();
    Venue { plan: SeatMapPlan { sections }, tiers: &["Standing", "R", "S"] }
}

/// 50,000 seats: two rings of 40 blocks each.
fn stadium() -> Venue {
    let lower = (101..=140).map(|block| wedge(block.to_string(), u16::from(block % 10 >= 5), 25, 16, 1)); // 700 each
    let upper = (201..=240).map(|block| wedge(block.to_string(), 2, 22, 25, 0)); //                          550 each
    Venue { plan: SeatMapPlan { sections: lower.chain(upper).collect() }, tiers: &["R", "S", "A"] }
}

/// Ten study rooms, by the hour.
fn study_rooms(starts_at: Timestamp, ends_at: Timestamp) -> Result<Venue, VenueError> {
    const HOUR: Duration = Duration::from_hours(1);
    let hours = u32::try_from((ends_at - starts_at).as_secs() / HOUR.as_secs()).map_err(|_| VenueError::Hours)?;
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(VenueError::Hours);
    }
    let slot = |hour: u32| Slot { starts_at: starts_at + HOUR * hour, ends_at: starts_at + HOUR * (hour + 1) };
    let slots: Vec<Slot> = (0..hours).map(slot).collect();
    let room = |number: u32| SectionPlan {
        name: format!("Room {number}").into_boxed_str(),
        tier: TierIndex(0),
        seating: Seating::Slots { resource: format!("Study room {number}").into_boxed_str(), slots: slots.clone() },
    };
    Ok(Venue { plan: SeatMapPlan { sections: (1..=10).map(room).collect() }, tiers: &["Hour"] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat_map::SeatMap;

    #[test]
    fn presets_have_the_size_they_promise() {
        let noon = Timestamp::from_millis(1_800_000_000_000);
        for (name, seats) in [("grand-theatre", 3022), ("arena", 15_000), ("stadium", 50_000), ("study-rooms", 120)] {
            let venue = preset(name, noon, noon + Duration::from_hours(12)).unwrap();
            let map = SeatMap::new(venue.plan, venue.tiers.len()).unwrap();
            assert_eq!(map.capacity(), seats, "{name}");
        }
        assert_eq!(preset("moon", noon, noon), Err(VenueError::Unknown));
        assert_eq!(preset("study-rooms", noon, noon), Err(VenueError::Hours));
    }
}
