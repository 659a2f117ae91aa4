//! Who helps with a show, and which engine has it: rules of the registry that no sale comes to.

use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::registry::{
    Duty, MEMBERS_MAX, Registry, RegistryCommand, RegistryDecision, RegistryMade, RegistryRefusal,
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
fn a_show_without_performances_moves_and_twice_is_once() {
    let (mut from, mut to) = (Registry::default(), Registry::default());
    ask(&mut from, &hall::show()).unwrap();
    let (id, show) = (ShowId(1), from.show(ShowId(1)).unwrap().as_ref().clone());
    let (release, adopt) =
        (RegistryCommand::ReleaseShow { show: id }, RegistryCommand::AdoptShow { show: show.clone().into() });
    let again = Ok(RegistryDecision::Replayed(RegistryMade::Show(id)));
    ask(&mut from, &release).unwrap();
    ask(&mut to, &adopt).unwrap();
    assert_eq!((from.decide(&release), to.decide(&adopt)), (again.clone(), again));
    assert_eq!((from.shows().count(), from.show(id)), (0, None));
    assert_eq!(to.show(id).unwrap().as_ref(), &show);

    let add =
        |performance| RegistryCommand::AddPerformance { show: id, performance, caller: hall::seller(), key: None };
    assert_eq!(from.decide(&add(PerformanceId(1))), Err(RegistryRefusal::UnknownShow));
    ask(&mut to, &add(PerformanceId(1))).unwrap();
    assert_eq!(to.decide(&release), Err(RegistryRefusal::HasPerformances));
    let with_performances = RegistryCommand::AdoptShow { show: to.show(id).unwrap().as_ref().clone().into() };
    assert_eq!(from.decide(&with_performances), Err(RegistryRefusal::HasPerformances));
}
