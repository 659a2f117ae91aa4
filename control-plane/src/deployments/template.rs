//! The templates that are shipped, and the plan that an answered template comes to. Pure.

use std::collections::BTreeMap;

use onrush_api::body::escape;
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_api::templates::{Parameter, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A template as it is shipped.
struct Shipped {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    questions: &'static [Question],
}

struct Question {
    name: &'static str,
    about: &'static str,
    default: u64,
    most: u64,
}

const CROWD: Question = Question {
    name: "crowd",
    about: "How many people you expect in the first minute of the sale",
    default: 10_000,
    most: 1_000_000,
};

const fn seats(about: &'static str, default: u64) -> Question {
    Question { name: "seats", about, default, most: 200_000 }
}

const SHIPPED: [Shipped; 3] = [
    Shipped {
        id: "tpl_reserved-seating",
        title: "Reserved seating",
        about: "A theatre, an arena, a stadium: everybody has a seat with a number.",
        questions: &[seats("Seats of the largest performance", 3_000), CROWD],
    },
    Shipped {
        id: "tpl_general-admission",
        title: "General admission",
        about: "A club, a festival: so many people may come in, and nobody has a seat.",
        questions: &[seats("How many people may come in", 2_000), CROWD],
    },
    Shipped {
        id: "tpl_space-reservation",
        title: "Rooms by the hour",
        about: "Rooms, halls or courts that are reserved by time slot.",
        questions: &[seats("Time slots of all rooms in one performance", 500), Question { default: 200, ..CROWD }],
    },
];

/// What an engine is given to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Commands that may wait for one performance.
    pub(crate) mailbox_capacity: u64,
    /// Events between two snapshots.
    pub(crate) snapshot_every_events: u64,
}

/// The templates that are shipped.
pub(crate) fn shipped() -> Vec<Template> {
    SHIPPED.iter().map(Shipped::describe).collect()
}

impl Shipped {
    fn describe(&self) -> Template {
        let parameter = |question: &Question| Parameter {
            name: question.name.to_owned(),
            about: question.about.to_owned(),
            default: question.default,
            min: 1,
            max: question.most,
        };
        Template {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            about: self.about.to_owned(),
            engine: None,
            companions: Vec::new(),
            parameters: self.questions.iter().map(parameter).collect(),
            owner: None,
            shipped: true,
        }
    }
}

/// Every question with its answer, or with what holds where there is none.
///
/// # Errors
/// `invalid-body`, with each wrong answer.
pub(crate) fn answers(template: &Template, given: &BTreeMap<String, Value>) -> Result<BTreeMap<String, u64>, Problem> {
    let known = |name: &String| template.parameters.iter().any(|parameter| parameter.name == *name);
    let wrong = |name: &str, detail: String| FieldError { pointer: format!("/parameters/{}", escape(name)), detail };
    let mut errors: Vec<_> = given
        .keys()
        .filter(|name| !known(name))
        .map(|name| wrong(name, "the template does not ask this".to_owned()))
        .collect();
    let mut answers = BTreeMap::new();
    for Parameter { name, default, min, max, .. } in &template.parameters {
        let answer =
            given.get(name).map_or(Some(*default), Value::as_u64).filter(|answer| (min..=max).contains(&answer));
        match answer {
            Some(answer) => drop(answers.insert(name.clone(), answer)),
            None => errors.push(wrong(name, format!("a whole number from {min} to {max}"))),
        }
    }
    if errors.is_empty() { Ok(answers) } else { Err(Problem::new(Kind::InvalidBody).errors(errors)) }
}

/// What an engine needs for a show of this size. A command waits a millisecond where the disk is quick; in the first second
/// a sixtieth of the crowd of the first minute comes at once, and as many again.
pub(crate) fn plan(answers: &BTreeMap<String, u64>) -> Plan {
    let answer = |name: &str| answers.get(name).copied().unwrap_or(0);
    let at_once = (answer("crowd") / 30).next_power_of_two();
    Plan {
        mailbox_capacity: at_once.clamp(1_024, 65_536),
        // Often enough that a start replays a fifth of a second at most, seldom enough that a large hall is not written all
        // the time.
        snapshot_every_events: (answer("seats") * 10).clamp(20_000, 200_000),
    }
}

/// What each engine of a show gets where somebody has to give it: cores, memory, disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Thousandths of a core that it always has.
    pub cpu_millis: u64,
    /// Thousandths of a core that it may have.
    pub cpu_limit_millis: u64,
    /// Memory, in MiB: that much it has, and no more.
    pub memory_mib: u64,
    /// Its volume, in GiB.
    pub storage_gib: u64,
    /// Commands that may wait for one performance.
    pub mailbox_capacity: u64,
    /// Events between two snapshots.
    pub snapshot_every_events: u64,
}

impl Size {
    /// As much as either has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            cpu_limit_millis: self.cpu_limit_millis.max(other.cpu_limit_millis),
            memory_mib: self.memory_mib.max(other.memory_mib),
            storage_gib: self.storage_gib.max(other.storage_gib),
            ..self
        }
    }
}

/// The size that answers come to. The owner's thread takes a core in a rush, and the journal's half of one; a seat that is
/// sold takes some hundred bytes, twice while its state is written down, and what waits in mailboxes takes a KiB each. A template
/// may ask for each of them outright.
pub fn size_of(answers: &BTreeMap<String, u64>) -> Size {
    let Plan { mailbox_capacity, snapshot_every_events } = plan(answers);
    let answer = |name: &str| answers.get(name).copied();
    let (seats, crowd) = (answer("seats").unwrap_or(0), answer("crowd").unwrap_or(0));
    let cpu_millis = answer("cpu_millis").unwrap_or(if crowd > 50_000 { 1_000 } else { 250 });
    let memory_mib = (256 + seats / 64 + mailbox_capacity / 64).next_multiple_of(128);
    Size {
        cpu_millis,
        cpu_limit_millis: answer("cpu_millis").unwrap_or(2_000),
        memory_mib: answer("memory_mib").unwrap_or(memory_mib),
        storage_gib: answer("storage_gib").unwrap_or(2 + seats / 20_000),
        mailbox_capacity,
        snapshot_every_events,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(answers: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(answers).unwrap()
    }

    fn find(id: &str) -> Template {
        shipped().into_iter().find(|template| template.id == id).unwrap()
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        for template in shipped() {
            let answered = answers(&template, &BTreeMap::new()).unwrap();
            assert_eq!(answered.len(), template.parameters.len());
        }
        let answered = answers(&find("tpl_reserved-seating"), &given(json!({"crowd": 5}))).unwrap();
        assert_eq!(answered, [("crowd".to_owned(), 5), ("seats".to_owned(), 3_000)].into());
    }

    #[test]
    fn every_wrong_answer_is_named() {
        let template = find("tpl_general-admission");
        let wrong = answers(&template, &given(json!({"seats": 0, "crowd": "many", "a/b": 1}))).unwrap_err();
        let pointers: Vec<_> = wrong.body().errors.clone().unwrap().into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/parameters/a~1b", "/parameters/seats", "/parameters/crowd"]);
    }

    #[test]
    fn a_larger_crowd_gets_more_room_and_never_more_than_there_may_be() {
        let crowd = |crowd| plan(&[("crowd".to_owned(), crowd), ("seats".to_owned(), 1)].into()).mailbox_capacity;
        assert_eq!((crowd(1), crowd(100_000), crowd(1_000_000)), (1_024, 4_096, 65_536));
        let seats = |seats| plan(&[("seats".to_owned(), seats)].into()).snapshot_every_events;
        assert_eq!((seats(1), seats(10_000), seats(200_000)), (20_000, 100_000, 200_000));
    }
}
