//! What is asked of a deployment that there is: more engines, others, other answers. It is written down, and brought about by its
//! supervisor.

use onrush_api::accounts::Secret;
use onrush_api::deployments::{
    Deployment, DeploymentDraft, DeploymentToken, DeploymentTokenOrder, OperationKind, RelocateOrder, ScaleOrder,
};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_api::token::Caller;

use super::record::{Begun, Record};
use super::{Deployments, Driver, change_record, check_replicas, template, unknown};
use crate::callers::is_admin;
use crate::catalogue::checks::{SELLER_CPU_MILLIS_MAX, SELLER_MEMORY_MIB_MAX};
use crate::kubernetes::manifests::name_of;

/// The part of a deployment that can be scaled and moved.
const COMPONENT: &str = "engine";
/// What an engine may be asked to have.
const CPU_MILLIS_MIN: u64 = 50;
const CPU_MILLIS_MAX: u64 = 64_000;
const MEMORY_MIB_MIN: u64 = 256;
const MEMORY_MIB_MAX: u64 = 262_144;
/// How long a co-operator's token is good: unless another time is asked for; at least, as clusters give none that are shorter; at
/// most.
const TOKEN_SECONDS: u32 = 3_600;
const TOKEN_SECONDS_MIN: u32 = 600;
const TOKEN_SECONDS_MAX: u32 = 86_400;

impl Deployments {
    /// Changes how many engines a show has; its performances spread over them, one by one, with all that is held and sold.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn scale(&self, caller: &Caller, id: &str, order: ScaleOrder) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        check_component(&order.component)?;
        let (cpu_millis, memory_mib) = sizes(&order, is_admin(caller))?;
        self.world.driver.check_sizes(&order)?;
        let staying = before.staying().len();
        let replicas = order.replicas.map_or(staying, |replicas| replicas as usize);
        check_replicas(replicas as u32)?;
        let mut sized = before.clone();
        (sized.cpu_millis, sized.memory_mib) = (cpu_millis.or(before.cpu_millis), memory_mib.or(before.memory_mib));
        if sized.size() == before.size() {
            self.check_room(before.seller.0, replicas.saturating_sub(staying))?;
            return self.operate(id, before, OperationKind::Scale, move |record| record.scale(replicas)).await;
        }
        // An engine keeps the size with which it began.
        self.check_room(before.seller.0, replicas)?;
        let change = move |record: &mut Record| {
            record.renew(replicas, |record| {
                (record.cpu_millis, record.memory_mib) = (sized.cpu_millis, sized.memory_mib);
            });
        };
        self.operate(id, before, OperationKind::Scale, change).await
    }

    /// Moves a show to new engines on a node, one performance after the other, with all that is held and sold. The new ones are
    /// started by the program that there is now.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn relocate(&self, caller: &Caller, id: &str, order: RelocateOrder) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        check_component(&order.component)?;
        let nodes = self.world.driver.nodes(0).await.map_err(|error| {
            tracing::error!(%error, "nobody says which nodes there are");
            Problem::new(Kind::Overloaded).retry_after(5)
        })?;
        if nodes.iter().all(|node| node.name != order.node) {
            let names: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.name)).collect();
            return Err(Problem::field("/node", format!("is no node; there is {}", names.join(", "))));
        }
        self.check_room(before.seller.0, before.staying().len())?;
        self.operate(id, before, OperationKind::Relocate, move |record| record.relocate(&order.node)).await
    }

    /// Changes what a deployment is made from; new engines take over from the old ones, without losing a hold. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn change(&self, caller: &Caller, id: &str, draft: DeploymentDraft) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        if draft.show != before.show {
            return Err(Problem::field("/show", "is another than the deployment's, and it has no other"));
        }
        let (template, parts) = self.catalogue.plan(caller, &draft.template).await?;
        let parameters = template::answers(&template, &draft.parameters)?;
        if (&draft.template, &parameters, &parts) == (&before.template, &before.parameters, &before.parts) {
            return self.read(caller, id);
        }
        self.world.driver.check(&parts)?;
        self.check_room(before.seller.0, before.staying().len())?;
        let change = move |record: &mut Record| {
            record.renew(record.staying().len(), |record| {
                (record.template, record.parameters, record.parts) = (draft.template, parameters, parts);
            });
        };
        self.operate(id, before, OperationKind::Change, change).await
    }

    /// A token for a deployment's namespace, for those who help with the show.
    ///
    /// # Errors
    /// `not-found`, also where engines have no namespace; `forbidden`, `invalid-body`.
    pub async fn token(
        &self,
        caller: &Caller,
        id: &str,
        order: DeploymentTokenOrder,
    ) -> Result<DeploymentToken, Problem> {
        let record = self.own_record(caller, id)?;
        let seconds = order.expires_in_seconds.unwrap_or(TOKEN_SECONDS);
        if !(TOKEN_SECONDS_MIN..=TOKEN_SECONDS_MAX).contains(&seconds) {
            let detail = format!("is {TOKEN_SECONDS_MIN} to {TOKEN_SECONDS_MAX}");
            return Err(Problem::field("/expires_in_seconds", detail));
        }
        let Driver::Cluster(cluster) = &*self.world.driver else {
            let detail = "Engines are processes of this machine here: there is no namespace that a token could be for.";
            return Err(Problem::new(Kind::NotFound).detail(detail));
        };
        let namespace = name_of(&record.id);
        let asked = cluster.co_operator_token(&namespace, seconds).await;
        let (token, expires_at) = asked.map_err(|error| {
            tracing::error!(%error, "the cluster gives no token");
            Problem::new(Kind::Overloaded).retry_after(5)
        })?;
        Ok(DeploymentToken { token: Secret(token), namespace, expires_at })
    }

    /// Writes down what is asked for, and has it brought about.
    pub(super) async fn operate(
        &self,
        id: &str,
        before: Record,
        kind: OperationKind,
        change: impl FnOnce(&mut Record) + Send + 'static,
    ) -> Result<Deployment, Problem> {
        if before.going {
            return Err(unknown());
        }
        let at = Time(self.world.clock.now());
        let changed = change_record(&self.store, before.show.0, move |record| {
            change(record);
            record.operation = Some(Begun { kind, at });
        });
        let changed = changed.await?;
        let supervisors = self.supervisors();
        let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
        supervisor.change(changed);
        Ok(supervisor.describe())
    }
}

/// What an order asks for each engine, in thousandths of a core and MiB. A seller may have what their own templates may ask for.
fn sizes(order: &ScaleOrder, is_admin: bool) -> Result<(Option<u64>, Option<u64>), Problem> {
    let ScaleOrder { replicas, cpu, memory, .. } = order;
    if replicas.is_none() && cpu.is_none() && memory.is_none() {
        return Err(Problem::field("", "asks for nothing: say replicas, cpu or memory"));
    }
    let within =
        |amount: Option<u64>, (least, most): (u64, u64)| amount.filter(|amount| (least..=most).contains(amount));
    let cpu = cpu.as_ref().map(|text| {
        let most = if is_admin { CPU_MILLIS_MAX } else { SELLER_CPU_MILLIS_MAX };
        let wrong = || Problem::field("/cpu", format!("is cores from 0.05 to {}, as 1.5 or 500m", most / 1_000));
        within(millis(text), (CPU_MILLIS_MIN, most)).ok_or_else(wrong)
    });
    let memory = memory.as_ref().map(|text| {
        let most = if is_admin { MEMORY_MIB_MAX } else { SELLER_MEMORY_MIB_MAX };
        let wrong = || Problem::field("/memory", format!("is memory from 256Mi to {}Gi, as 512Mi or 2Gi", most >> 10));
        within(mib(text), (MEMORY_MIB_MIN, most)).ok_or_else(wrong)
    });
    let wrong: Vec<_> = [&cpu, &memory].into_iter().flatten().filter_map(|asked| asked.as_ref().err()).collect();
    Problem::fields(wrong).map_or(Ok(()), Err)?;
    Ok((cpu.transpose()?, memory.transpose()?))
}

/// Thousandths of a core, of an amount as Kubernetes writes it.
fn millis(text: &str) -> Option<u64> {
    if let Some(millis) = text.strip_suffix('m') {
        return digits(millis)?.parse().ok();
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = digits(part).filter(|part| part.len() <= 3)?;
    digits(whole)?.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(format!("{part:0<3}").parse().ok()?)
}

fn mib(text: &str) -> Option<u64> {
    match (text.strip_suffix("Mi"), text.strip_suffix("Gi")) {
        (Some(mib), _) => digits(mib)?.parse().ok(),
        (_, Some(gib)) => digits(gib)?.parse::<u64>().ok()?.checked_mul(1_024),
        _ => None,
    }
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn check_component(component: &str) -> Result<(), Problem> {
    let known = component == COMPONENT;
    known.then_some(()).ok_or_else(|| Problem::field("/component", format!("is no component; there is '{COMPONENT}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_writes_them() {
        for (text, amount) in [("500m", Some(500)), ("2", Some(2_000)), ("1.5", Some(1_500)), ("0.05", Some(50))] {
            assert_eq!(millis(text), amount, "{text}");
        }
        for text in ["", "m", "1.", ".5", "1.0005", "-1", "2 ", "1e3", "+5m", "99999999999999999999"] {
            assert_eq!(millis(text), None, "{text}");
        }
        for (text, amount) in [("512Mi", Some(512)), ("2Gi", Some(2_048)), ("2G", None), ("Mi", None), ("+1Gi", None)] {
            assert_eq!(mib(text), amount, "{text}");
        }
    }
}
