//! What is asked of a deployment that there is: more engines, others, other answers. It is written down, and brought about by its
//! supervisor.

use onrush_api::deployments::{Deployment, DeploymentDraft, OperationKind, RelocateOrder, ScaleOrder};
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::Time;
use onrush_api::token::Caller;

use super::record::{Begun, Record};
use super::{Deployments, change_record, check_replicas, template, unknown};

/// The part of a deployment that can be scaled and moved.
const COMPONENT: &str = "engine";

impl Deployments {
    /// Changes how many engines a show has; its performances spread over them, one by one, with all that is held and sold.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`, `limit-exceeded`.
    pub async fn scale(&self, caller: &Caller, id: &str, order: ScaleOrder) -> Result<Deployment, Problem> {
        let _alone = self.operating.lock().await;
        let before = self.own_record(caller, id)?;
        check_component(&order.component)?;
        check_replicas(order.replicas)?;
        let replicas = order.replicas as usize;
        self.check_room(before.seller.0, replicas.saturating_sub(before.staying().len()))?;
        self.operate(id, before, OperationKind::Scale, move |record| record.scale(replicas)).await
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
        let parameters = template::answers(&template::find(&draft.template)?, &draft.parameters)?;
        if (&draft.template, &parameters) == (&before.template, &before.parameters) {
            return self.read(caller, id);
        }
        self.check_room(before.seller.0, before.staying().len())?;
        let change = move |record: &mut Record| {
            (record.template, record.parameters) = (draft.template, parameters);
            record.replace();
        };
        self.operate(id, before, OperationKind::Change, change).await
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

fn check_component(component: &str) -> Result<(), Problem> {
    let known = component == COMPONENT;
    known.then_some(()).ok_or_else(|| Problem::field("/component", format!("is no component; there is '{COMPONENT}'")))
}
