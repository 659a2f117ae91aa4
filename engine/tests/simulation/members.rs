//! Who helps with a show: rules of the registry that no sale comes to.

use onrush_engine::id::ShowId;
use onrush_engine::registry::{Duty, MEMBERS_MAX, Registry, RegistryCommand, RegistryDecision, RegistryRefusal};
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
