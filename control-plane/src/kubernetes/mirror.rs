//! A deployment as its resource tells of it. Pure.

use std::collections::BTreeMap;

use onrush_api::deployments::{ConditionKind, Deployment};
use onrush_api::problem::Problem;
use onrush_api::text::Time;

use super::manifests::name_of;
use super::resource::{Condition, ShowDeploymentSpec, ShowDeploymentStatus};

/// What a resource says that has come to this.
pub(super) fn spec_of(deployment: &Deployment) -> ShowDeploymentSpec {
    let answer = |(name, answer): (&String, &u64)| (name.clone(), i64::try_from(*answer).unwrap_or(i64::MAX));
    ShowDeploymentSpec {
        show: deployment.show.0.to_string(),
        template: deployment.template.clone(),
        parameters: deployment.parameters.iter().map(answer).collect::<BTreeMap<_, _>>(),
        replicas: i32::try_from(deployment.replicas).unwrap_or(i32::MAX),
    }
}

/// How far it is, as a resource tells.
pub(super) fn status_of(deployment: &Deployment, generation: Option<i64>) -> ShowDeploymentStatus {
    let condition = |condition: &onrush_api::deployments::Condition| Condition {
        kind: name_of_condition(condition.kind).to_owned(),
        status: if condition.status { "True" } else { "False" }.to_owned(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: condition.since.to_string(),
        observed_generation: generation,
    };
    ShowDeploymentStatus {
        observed_generation: generation,
        deployment: Some(deployment.id.clone()),
        namespace: Some(name_of(&deployment.id)),
        conditions: deployment.status.conditions.iter().map(condition).collect(),
    }
}

/// What was there before, and that what is asked for now is not done: it is tried again.
pub(super) fn refused(
    before: &ShowDeploymentStatus,
    problem: &Problem,
    generation: Option<i64>,
    now: Time,
) -> ShowDeploymentStatus {
    let body = problem.body();
    let details: Vec<_> =
        body.errors.iter().flatten().map(|error| format!(" {} {}.", error.pointer, error.detail)).collect();
    let mut status = before.clone();
    let known = status
        .conditions
        .iter()
        .position(|condition| condition.kind == "Accepted")
        .map(|at| status.conditions.remove(at));
    let since = known.filter(|known| known.status == "False").map(|known| known.last_transition_time);
    let since = since.unwrap_or_else(|| now.to_string());
    let accepted = Condition {
        kind: "Accepted".to_owned(),
        status: "False".to_owned(),
        reason: reason_of(problem.kind.slug()),
        message: format!("{}{}", body.detail, details.concat()),
        last_transition_time: since,
        observed_generation: generation,
    };
    status.conditions.insert(0, accepted);
    status
}

/// A word as Kubernetes wants it: `not-found` is `NotFound`.
fn reason_of(slug: &str) -> String {
    let capital = |word: &str| {
        word.chars()
            .next()
            .map(char::to_uppercase)
            .into_iter()
            .flatten()
            .chain(word.chars().skip(1))
            .collect::<String>()
    };
    slug.split('-').map(capital).collect()
}

fn name_of_condition(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::Accepted => "Accepted",
        ConditionKind::NamespaceReady => "NamespaceReady",
        ConditionKind::EngineReady => "EngineReady",
        ConditionKind::Routed => "Routed",
        ConditionKind::Ready => "Ready",
    }
}

#[cfg(test)]
mod tests {
    use onrush_api::problem::Kind;
    use onrush_engine::time::Timestamp;

    use super::*;

    #[test]
    fn a_refusal_is_a_condition_that_keeps_its_time() {
        let problem = Problem::field("/parameters/seats", "a whole number from 1 to 200000");
        let first = refused(&ShowDeploymentStatus::default(), &problem, Some(2), Time(Timestamp::MIN));
        let accepted = &first.conditions[0];
        assert_eq!(
            (accepted.kind.as_str(), accepted.status.as_str(), accepted.reason.as_str()),
            ("Accepted", "False", "InvalidBody")
        );
        assert!(accepted.message.contains("/parameters/seats a whole number"), "{}", accepted.message);
        assert_eq!(first.observed_generation, None, "it is not done");
        assert_eq!(refused(&first, &problem, Some(2), Time(Timestamp::MAX)), first);
        let other = refused(&first, &Problem::new(Kind::NotFound), Some(3), Time(Timestamp::MAX));
        assert_eq!((other.conditions.len(), other.conditions[0].reason.as_str()), (1, "NotFound"));
    }
}
