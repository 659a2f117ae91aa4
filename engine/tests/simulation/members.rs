//! Who helps with a show, and which engine has it: rules of the registry that no sale comes to.

use onrush_engine::command::RequestKey;
use onrush_engine::id::{EngineId, PerformanceId, ShowId};
use onrush_engine::registry::{
    Duty, MEMBERS_MAX, MadeBefore, Registry, RegistryCommand, RegistryDecision, RegistryEvent, RegistryMade,
    RegistryMisfit, RegistryRefusal,
};
use onrush_engine::time::Timestamp;

use crate::hall;

fn ask(registry: &mut Registry, command: &RegistryCommand) -> Result<(), RegistryRefusal> {
    let RegistryDecision::Event(event) = registry.decide(command)? else { panic!("it came without a key") };
    registry.apply(Timestamp::MIN, &event);
    Ok(())
}

#[test]
fn a_full_show_still_gives_its_members_other_duties() {
    let mut registry = Registry::default();
    ask(&mut registry, &hall::show()).unwrap();
    let mut set = |number: usize, duty: Option<Duty>| {
        let member = format!("acc_{number}").parse().unwrap();
        ask(&mut registry, &RegistryCommand::SetMember { show: ShowId(1), caller: hall::seller(), member, duty })
    };
    (0..MEMBERS_MAX).for_each(|number| set(number, Some(Duty::Manage)).unwrap());
    assert_eq!(set(MEMBERS_MAX, Some(Duty::View)), Err(RegistryRefusal::TooManyMembers));
    set(0, Some(Duty::View)).unwrap();
    set(0, None).unwrap();
    set(MEMBERS_MAX, Some(Duty::View)).unwrap();
}

#[test]
fn a_show_moves_before_its_performances_and_twice_is_once() {
    let (mut from, mut to) = (Registry::default(), Registry::default());
    ask(&mut from, &hall::show()).unwrap();
    let (id, show) = (ShowId(1), from.show(ShowId(1)).unwrap().as_ref().clone());
    let (release, adopt) = (
        RegistryCommand::ReleaseShow { show: id },
        RegistryCommand::AdoptShow { show: show.clone().into(), made: vec![] },
    );
    let again = Ok(RegistryDecision::Replayed(RegistryMade::Show(id)));
    ask(&mut from, &release).unwrap();
    ask(&mut to, &adopt).unwrap();
    assert_eq!((from.decide(&release), to.decide(&adopt)), (again.clone(), again));
    assert_eq!((from.shows().count(), from.show(id)), (0, None));
    assert_eq!(to.show(id).unwrap().as_ref(), &show);

    let add =
        |performance| RegistryCommand::AddPerformance { show: id, performance, caller: hall::seller(), key: None };
    assert_eq!(from.decide(&add(PerformanceId(1))), Err(RegistryRefusal::UnknownShow));
    let first = PerformanceId(1);
    ask(&mut to, &add(first)).unwrap();
    assert_eq!(to.decide(&add(first)), Err(RegistryRefusal::IdTaken));

    let show = to.show(id).unwrap().as_ref().clone();
    ask(&mut to, &release).unwrap();
    ask(&mut from, &RegistryCommand::AdoptShow { show: show.into(), made: vec![] }).unwrap();
    assert!(to.has(first) && !from.has(first), "it stays where it is");
    assert_eq!((to.performances().collect::<Vec<_>>(), from.performances().count()), (vec![first], 0));
    assert_eq!(from.decide(&add(first)), Err(RegistryRefusal::IdTaken), "and is known where it is not yet");
}

#[test]
fn a_performance_comes_and_goes_in_order() {
    let mut registry = Registry::default();
    let performance = PerformanceId(1);
    let mut happens =
        |event: RegistryEvent| registry.replay(Timestamp::MIN, &event).map(|()| registry.has(performance));
    let (expected, adopted, released) = (
        RegistryEvent::PerformanceExpected { performance },
        RegistryEvent::PerformanceAdopted { performance },
        RegistryEvent::PerformanceReleased { performance },
    );
    let misplaced = Err(RegistryMisfit::Place(performance));
    assert_eq!(happens(adopted.clone()), misplaced);
    assert_eq!(happens(released.clone()), misplaced);
    assert_eq!(happens(expected.clone()), Ok(false));
    assert_eq!(happens(expected.clone()), Ok(false), "what broke off is begun again");
    assert_eq!(happens(adopted.clone()), Ok(true));
    assert_eq!(happens(expected.clone()), misplaced);
    assert_eq!(happens(released.clone()), Ok(false));
    assert_eq!(happens(released), misplaced);
    assert_eq!(happens(expected), Ok(false), "it may come back");
    assert_eq!(happens(adopted), Ok(true));
}

#[test]
fn an_engine_has_one_name() {
    let mut registry = Registry::default();
    let named = RegistryEvent::EngineNamed { engine: EngineId(7) };
    registry.replay(Timestamp::MIN, &named).unwrap();
    assert_eq!(registry.name(), Some(EngineId(7)));
    assert_eq!(registry.replay(Timestamp::MIN, &named), Err(RegistryMisfit::NamedTwice));
}

#[test]
fn request_keys_move_with_their_show() {
    let (mut from, mut to) = (Registry::default(), Registry::default());
    let (id, performance) = (ShowId(1), PerformanceId(1));
    ask(&mut from, &hall::show()).unwrap();
    let key = RequestKey { key: [3, 4], fingerprint: 5 };
    let add = RegistryCommand::AddPerformance { show: id, performance, caller: hall::seller(), key: Some(key) };
    ask(&mut from, &add).unwrap();
    let show = from.show(id).unwrap().as_ref().clone();
    let by = hall::seller().account;
    let made = vec![MadeBefore { by, key, made: RegistryMade::Performance(performance) }];
    ask(&mut to, &RegistryCommand::AdoptShow { show: show.into(), made }).unwrap();
    assert_eq!(to.decide(&add), Ok(RegistryDecision::Replayed(RegistryMade::Performance(performance))));
}
