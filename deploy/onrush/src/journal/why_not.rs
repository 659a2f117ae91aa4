//! Why somebody could not get a seat, in words.

mod words;

use std::str::FromStr;

use anyhow::Context as _;
use onrush_api::text::Time;
use onrush_engine::id::AccountId;
use onrush_engine::journal::history::History;
use onrush_engine::journal::history::seat::{Moment, Question, ask};
use onrush_engine::seat_map::{SeatIndex, SeatMap, Section};

pub(super) use self::words::WhyNot;
use super::copy::Copy;
use super::misuse::{self, Misuse};

/// `SEAT@TIME` as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    seat: String,
    moment: Moment,
}

impl FromStr for Asked {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // Names may have an @, times have none.
        let (seat, moment) =
            text.rsplit_once('@').ok_or("expected SEAT@TIME, such as Stalls-A-12@2030-12-01T10:00:00Z")?;
        let moment = match moment.parse::<u64>() {
            Ok(sequence) => Moment::Record(sequence),
            Err(_) => Moment::Time(moment.parse::<Time>().map_err(|error| format!("{error}, or a record's number"))?.0),
        };
        Ok(Self { seat: seat.to_owned(), moment })
    }
}

/// Asks the history, which is at its beginning.
pub(super) fn answer(
    copy: &Copy,
    mut history: History,
    asked: &Asked,
    buyer: Option<AccountId>,
) -> anyhow::Result<WhyNot> {
    let inventory = copy.found.inventories.get(&history.performance()).context("a history's performance is there")?;
    let map = inventory.map();
    let seat = seat(map, &asked.seat)?;
    let question = Question { seat, moment: asked.moment, buyer };
    let answer = ask(&mut history, &copy.store, &question).map_err(misuse::of_question)?;
    Ok(WhyNot { seat, label: map.label(seat).to_string(), buyer, answer, last: history.last() })
}

/// The seat with this label or this number.
fn seat(map: &SeatMap, asked: &str) -> Result<SeatIndex, Misuse> {
    let numbered = || asked.parse().ok().map(SeatIndex).filter(|seat| seat.0 < map.capacity());
    map.seat_labelled(asked)
        .or_else(numbered)
        .ok_or_else(|| Misuse::UnknownSeat { asked: asked.replace(char::is_control, " "), hint: hint(map, asked) })
}

/// Labels that somebody may have meant.
const NEAR_MAX: usize = 3;

/// What somebody may have meant who named a seat that there is not.
fn hint(map: &SeatMap, asked: &str) -> String {
    let asked = asked.to_lowercase();
    // A long text is nobody's slip of the finger, and comparing it would take its time.
    let near = if asked.len() <= SeatMap::NAME_LEN_MAX { near(map, &asked) } else { Vec::new() };
    if !near.is_empty() {
        return format!("did you mean {}?", near.join(" or "));
    }
    let ends = |section: &Section| {
        let last = SeatIndex(section.first.0 + section.len - 1);
        format!("{} to {}", map.label(section.first), map.label(last))
    };
    let sections: Vec<String> = map.sections().iter().filter(|section| section.len > 0).map(ends).collect();
    format!("the seats are {}, and numbered from 0 to {}", sections.join(", "), map.capacity() - 1)
}

fn near(map: &SeatMap, asked: &str) -> Vec<String> {
    let distance_max = (asked.chars().count() / 4).max(1);
    let measured = map.seats().map(|seat| map.label(seat).to_string());
    let measured = measured.map(|label| (strsim::damerau_levenshtein(&label.to_lowercase(), asked), label));
    let mut near: Vec<(usize, String)> = measured.filter(|(distance, _)| *distance <= distance_max).collect();
    // Stable: of equally near ones the first in the hall.
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(NEAR_MAX).map(|(_, label)| label).collect()
}

#[cfg(test)]
mod tests {
    use onrush_engine::seat_map::{RowPlan, SeatMapPlan, SeatNames, Seating, SectionPlan, TierIndex};
    use onrush_engine::time::Timestamp;

    use super::*;

    fn map() -> SeatMap {
        let row = |name: &str| RowPlan { name: name.into(), seats: SeatNames::Count(12) };
        let section = |name: &str, seating| SectionPlan { name: name.into(), tier: TierIndex(0), seating };
        let sections = vec![
            section("Stalls", Seating::Reserved(vec![row("A"), row("B")])),
            section("Floor", Seating::GeneralAdmission(30)),
        ];
        SeatMap::new(SeatMapPlan { sections }, 1).unwrap()
    }

    fn refused(asked: &str) -> String {
        seat(&map(), asked).unwrap_err().to_string()
    }

    #[test]
    fn a_question_is_a_seat_and_a_moment() {
        let at = |seat: &str, moment| Ok(Asked { seat: seat.to_owned(), moment });
        let time = Moment::Time(Timestamp::from_millis(1_000));
        assert_eq!("A-1@1970-01-01T00:00:01Z".parse(), at("A-1", time));
        assert_eq!("me@home-1@1970-01-01T01:00:01+01:00".parse(), at("me@home-1", time));
        assert_eq!("A-1@17".parse(), at("A-1", Moment::Record(17)));
        for wrong in ["A-1", "A-1@", "A-1@noon", "A-1@-1"] {
            assert!(wrong.parse::<Asked>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seat_has_a_label_and_a_number() {
        assert_eq!(seat(&map(), "Stalls-B-1").unwrap(), SeatIndex(12));
        assert_eq!(seat(&map(), "12").unwrap(), SeatIndex(12));
    }

    #[test]
    fn an_unknown_seat_gets_a_hint() {
        assert_eq!(
            refused("stalls-a-12"),
            "there is no seat 'stalls-a-12'; did you mean Stalls-A-12 or Stalls-A-1 or Stalls-A-2?"
        );
        assert_eq!(
            refused("Stals-B-3"),
            "there is no seat 'Stals-B-3'; did you mean Stalls-B-3 or Stalls-A-3 or Stalls-B-1?"
        );
        let all = "the seats are Stalls-A-1 to Stalls-B-12, Floor-1 to Floor-30, and numbered from 0 to 53";
        assert_eq!(refused("54"), format!("there is no seat '54'; {all}"));
        assert_eq!(refused("Balcony-1\u{7}"), format!("there is no seat 'Balcony-1 '; {all}"));
    }
}
