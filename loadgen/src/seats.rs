//! The hall as a bot sees it: the seat map's labels in seat order, what is free, and how to point at seats.
//!
//! Seats are numbers here, their place in seat-map order, which is also their place in an availability. Labels exist
//! for the wire.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onrush_api::availability::Availability;
use onrush_api::seat_map::{Row, RowSeats, SeatMap, Section};
use onrush_api::text::Time;

/// A seat's place in seat-map order.
pub(crate) type Seat = u32;

/// A seat map, expanded.
#[derive(Debug, Default)]
pub(crate) struct Hall {
    labels: Vec<String>,
    by_label: HashMap<String, Seat>,
    /// Runs of neighbours: a row, a standing area, the slots of a room. In seat order, without gaps.
    rows: Vec<Range<Seat>>,
    row_of: Vec<u32>,
    /// For each row, the name of the standing area that it is.
    standing: Vec<Option<String>>,
}

impl Hall {
    /// Expands a seat map.
    ///
    /// # Errors
    /// Where the map's own count of seats differs from what it lists.
    pub(crate) fn new(map: &SeatMap) -> anyhow::Result<Self> {
        let mut hall = Self::default();
        for section in &map.sections {
            hall.add_section(section);
        }
        let (listed, said) = (hall.labels.len(), map.capacity);
        ensure!(listed == said as usize, "the seat map lists {listed} seats and says that it has {said}");
        Ok(hall)
    }

    fn add_section(&mut self, section: &Section) {
        match section {
            Section::Reserved { name, rows, .. } => {
                for row in rows {
                    self.add_row(None, row_labels(name, row));
                }
            }
            Section::GeneralAdmission { name, capacity, .. } => {
                self.add_row(Some(name.clone()), (1..=*capacity).map(|place| format!("{name}-{place}")));
            }
            Section::Slots { name, slots, .. } => {
                self.add_row(None, slots.iter().map(|slot| slot_label(name, slot.starts_at)));
            }
        }
    }

    fn add_row(&mut self, standing: Option<String>, labels: impl IntoIterator<Item = String>) {
        let (first, row) = (self.labels.len() as Seat, self.rows.len() as u32);
        for label in labels {
            self.by_label.insert(label.clone(), self.labels.len() as Seat);
            self.labels.push(label);
            self.row_of.push(row);
        }
        self.rows.push(first..self.labels.len() as Seat);
        self.standing.push(standing);
    }

    /// All seats, blocked ones too.
    pub(crate) fn capacity(&self) -> u32 {
        self.labels.len() as u32
    }

    /// A seat's label.
    pub(crate) fn label(&self, seat: Seat) -> &str {
        &self.labels[seat as usize]
    }

    /// The seat with this label.
    pub(crate) fn seat(&self, label: &str) -> Option<Seat> {
        self.by_label.get(label).copied()
    }

    /// The standing area that the seat is a place of.
    pub(crate) fn standing_area(&self, seat: Seat) -> Option<&str> {
        self.standing[self.row_of[seat as usize] as usize].as_deref()
    }

    /// Seats side by side at or near `from`, whatever is free: how people point at an empty plan. Fewer than
    /// `quantity` where the row is shorter.
    pub(crate) fn pick_blindly(&self, from: Seat, quantity: u32) -> Vec<Seat> {
        let row = &self.rows[self.row_of[from as usize] as usize];
        let first = from.min(row.end.saturating_sub(quantity)).max(row.start);
        (first..row.end.min(first + quantity)).collect()
    }

    /// Free seats at or behind `from`, side by side where that can be had close by, else the next ones. Fewer than
    /// `quantity` where not so many are free.
    pub(crate) fn pick_free(&self, view: &View, from: Seat, quantity: u32) -> Vec<Seat> {
        /// How many places people look at before they take what there is.
        const PATIENCE: usize = 64;
        let (free, quantity) = (&view.free, (quantity as usize).min(view.free.len()));
        let start = free.partition_point(|&seat| seat < from);
        let places = (start..start + PATIENCE.min(free.len())).map(|place| place % free.len());
        let mut runs = places.filter_map(|place| free.get(place..place + quantity));
        if let Some(run) = runs.find(|run| self.side_by_side(run)) {
            return run.to_vec();
        }
        (start..start + quantity).map(|place| free[place % free.len()]).collect()
    }

    fn side_by_side(&self, run: &[Seat]) -> bool {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else { return false };
        (last - first) as usize + 1 == run.len() && self.row_of[first as usize] == self.row_of[last as usize]
    }
}

fn row_labels(section: &str, row: &Row) -> Vec<String> {
    let name = &row.name;
    match &row.seats {
        RowSeats::Count(count) => (1..=*count).map(|seat| format!("{section}-{name}-{seat}")).collect(),
        RowSeats::Names(names) => names.iter().map(|seat| format!("{section}-{name}-{seat}")).collect(),
    }
}

/// Labels have the start to the second, where times of JSON have milliseconds.
fn slot_label(section: &str, starts_at: Time) -> String {
    let start = starts_at.to_string();
    let seconds = start.split_once('.').map_or(start.as_str(), |(seconds, _)| seconds);
    format!("{section}-{}Z", seconds.trim_end_matches('Z'))
}

/// What a seat is doing, as an availability says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeatState {
    Free,
    Held,
    Booked,
    Blocked,
}

/// Reads the two bits a seat of an availability.
///
/// # Errors
/// Where they are missing, no base64, or not as many as the hall has seats.
pub(crate) fn states(availability: &Availability, capacity: u32) -> anyhow::Result<Vec<SeatState>> {
    let text = availability.seats.as_deref().context("the availability has no `seats`")?;
    let bytes = STANDARD.decode(text).context("the availability's `seats` are not base64")?;
    let (bytes_expected, bytes_found) = ((capacity as usize).div_ceil(4), bytes.len());
    ensure!(
        bytes_found == bytes_expected,
        "the availability has {bytes_found} bytes of seats, and {capacity} seats need {bytes_expected}"
    );
    let state = |seat: usize| match bytes[seat / 4] >> (2 * (seat % 4)) & 3 {
        0 => SeatState::Free,
        1 => SeatState::Held,
        2 => SeatState::Booked,
        _ => SeatState::Blocked,
    };
    Ok((0..capacity as usize).map(state).collect())
}

/// An availability as the bots of one worker share it: possibly old, as on a real screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The free seats, in seat order.
    pub(crate) free: Vec<Seat>,
    /// What to send as `If-None-Match`.
    pub(crate) etag: Option<String>,
}

impl View {
    /// What of an availability bots care for.
    ///
    /// # Errors
    /// Where its seats cannot be read.
    pub(crate) fn new(availability: &Availability, hall: &Hall, etag: Option<String>) -> anyhow::Result<Self> {
        let states = states(availability, hall.capacity())?;
        let free = (0..hall.capacity()).filter(|&seat| states[seat as usize] == SeatState::Free).collect();
        Ok(Self { free, etag })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Six seats in two rows of three, a standing area of four, two slots.
    pub(crate) fn small_hall() -> Hall {
        let map = serde_json::from_str(
            r#"{"version": 1, "capacity": 12, "sections": [
                {"kind": "reserved", "name": "A", "tier": "x", "rows": [
                    {"name": "1", "seats": 3}, {"name": "2", "seats": ["a", "b", "c"]}]},
                {"kind": "general_admission", "name": "Floor", "tier": "x", "capacity": 4},
                {"kind": "slots", "name": "Room", "tier": "x", "resource": "Room 1", "slots": [
                    {"starts_at": "2026-12-01T09:00:00Z", "ends_at": "2026-12-01T10:00:00Z"},
                    {"starts_at": "2026-12-01T10:00:00Z", "ends_at": "2026-12-01T11:00:00Z"}]}]}"#,
        );
        Hall::new(&map.unwrap()).unwrap()
    }

    pub(crate) fn view(free: &[Seat]) -> View {
        View { free: free.to_vec(), etag: None }
    }

    #[test]
    fn labels_follow_the_kind_of_section() {
        let hall = small_hall();
        let labels: Vec<&str> = [0, 5, 6, 9, 11].map(|seat| hall.label(seat)).to_vec();
        assert_eq!(labels, ["A-1-1", "A-2-c", "Floor-1", "Floor-4", "Room-2026-12-01T10:00:00Z"]);
        assert_eq!(hall.seat("A-2-c"), Some(5));
        assert_eq!(hall.seat("A-2-d"), None);
        assert_eq!((hall.standing_area(6), hall.standing_area(5)), (Some("Floor"), None));
    }

    #[test]
    fn a_map_that_miscounts_is_refused() {
        let map = SeatMap { version: 1, capacity: 3, sections: Vec::new() };
        assert!(Hall::new(&map).unwrap_err().to_string().contains("lists 0 seats"));
    }

    #[test]
    fn pointing_blindly_stays_in_the_row() {
        let hall = small_hall();
        assert_eq!(hall.pick_blindly(0, 2), [0, 1]);
        assert_eq!(hall.pick_blindly(2, 2), [1, 2]);
        assert_eq!(hall.pick_blindly(4, 4), [3, 4, 5]);
        assert_eq!(hall.pick_blindly(11, 1), [11]);
    }

    #[test]
    fn pointing_at_free_seats_prefers_neighbours_and_wraps_round() {
        let hall = small_hall();
        assert_eq!(hall.pick_free(&view(&[0, 2, 3, 4, 8]), 1, 2), [3, 4], "2 and 3 are in two rows");
        assert_eq!(hall.pick_free(&view(&[0, 2, 5]), 2, 2), [2, 5], "none side by side: the next ones");
        assert_eq!(hall.pick_free(&view(&[0, 1, 5]), 5, 2), [0, 1]);
        assert_eq!(hall.pick_free(&view(&[4]), 5, 3), [4]);
        assert!(hall.pick_free(&view(&[]), 0, 3).is_empty());
    }

    #[test]
    fn two_bits_a_seat_are_read_from_the_low_bits_up() {
        let seats = |bytes: &[u8]| {
            let text = format!(
                r#"{{"version": 1, "as_of": "2026-12-01T09:00:00Z", "seats": "{}",
                    "remaining": {{"total": 1, "by_tier": {{}}, "by_section": {{}}}}}}"#,
                STANDARD.encode(bytes)
            );
            serde_json::from_str::<Availability>(&text).unwrap()
        };
        use SeatState::{Blocked, Booked, Free, Held};
        assert_eq!(states(&seats(&[0b11_10_01_00, 0b01]), 5).unwrap(), [Free, Held, Booked, Blocked, Held]);
        assert!(states(&seats(&[0]), 5).is_err());
        assert!(states(&seats(&[0, 0, 0]), 5).is_err());
    }
}
