//! What is asked of deployments besides how many there are: what they use and cost, what is watched of them, and the machine.

use std::sync::Arc;

use onrush_api::deployments::OperationKind;
use onrush_api::policies::{Anomaly, Policies, Rule};
use onrush_api::problem::{Kind, Problem};
use onrush_api::token::Caller;
use onrush_api::usage::{Costs, Node, Usage};
use onrush_engine::id::{AccountId, ShowId};

use super::record::Record;
use super::supervisor::Supervisor;
use super::usage::{self, Span};
use super::watch::{self, Look, Noted, Watch};
use super::{Deployments, REPLICAS_MAX, State};
use crate::callers::{check_operates, is_admin};
use crate::{costs, policies};

impl Deployments {
    /// Looks at all deployments again and again, until the server stops.
    pub async fn keep_watch(&self) {
        let mut looks = tokio::time::interval(watch::EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let readings = self.world.driver.readings().await;
            let all: Vec<_> = {
                let supervisors = self.supervisors();
                if supervisors.state == State::Closed {
                    return;
                }
                let look = |supervisor: &Supervisor| {
                    (supervisor.record(), Look::at(supervisor, &self.world.driver, readings.as_ref()))
                };
                supervisors.by_id.values().map(look).collect()
            };
            for (record, look) in all {
                if let Err(problem) = self.look(&record, look).await {
                    tracing::warn!(deployment = record.id, detail = problem.body().detail, "a look at a deployment");
                }
            }
        }
    }

    async fn look(&self, record: &Record, look: Look) -> Result<(), Problem> {
        let (watch, engines, seen) = (Arc::clone(&self.watch), Arc::clone(&self.world.engines), record.clone());
        let crossed = self.store.ask(move |_| {
            watch.look(&seen, &look, &engines);
            watch.keep(&seen.id)?;
            watch.judge(&seen)
        });
        for crossed in crossed.await? {
            let mut anomaly = self.watch.anomaly(record, &crossed)?;
            let Rule { name, metric, above, .. } = &crossed.rule;
            let metric = serde_json::to_value(metric).map_err(|_| Problem::new(Kind::Internal))?;
            let metric = metric.as_str().unwrap_or_default();
            let mut text = format!("{metric} is {:.3}, above {above:.3} ({name}).", crossed.value);
            if let Some(replicas) = policies::replicas(&crossed.rule, record.staying().len() as u32, REPLICAS_MAX) {
                text += &self.scale_by_rule(record, replicas).await;
            }
            tracing::warn!(deployment = record.id, rule = name, value = crossed.value, "a threshold is crossed");
            anomaly.incident = self.incidents.raise(&anomaly, record.seller.0, text).await?;
            self.watch.note(anomaly, record.seller.0).await?;
        }
        Ok(())
    }

    /// More engines, as a rule says; what came of that, for people.
    async fn scale_by_rule(&self, record: &Record, replicas: u32) -> String {
        let _alone = self.operating.lock().await;
        if record.operation.is_some() {
            return " No engines were added: something else is under way.".to_owned();
        }
        let more = replicas as usize - record.staying().len();
        let scaled = match self.check_room(record.seller.0, more) {
            Ok(()) => {
                let change = move |record: &mut Record| record.scale(replicas as usize);
                self.operate(&record.id, record.clone(), OperationKind::Scale, change).await.map(drop)
            }
            Err(problem) => Err(problem),
        };
        match scaled {
            Ok(()) => format!(" It gets {replicas} engines."),
            Err(problem) => format!(" No engines were added: {}", problem.body().detail),
        }
    }

    /// What a deployment's engines used.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, and `bad-request` where that would be too many points.
    pub async fn usage(&self, caller: &Caller, id: &str, span: &Span) -> Result<Usage, Problem> {
        self.own_record(caller, id)?;
        let now = self.world.clock.now();
        let (from, to, step) = span.of(now)?;
        let points = self.watch.points(id).await?;
        let points = usage::in_steps(&points, from, to, step);
        Ok(Usage { deployment: id.to_owned(), step_seconds: step.as_secs() as u32, points })
    }

    /// What a deployment has cost up to now.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub fn costs(&self, caller: &Caller, id: &str) -> Result<Costs, Problem> {
        let record = self.own_record(caller, id)?;
        let kept = self.watch.kept(id);
        let (items, total) = costs::of(&kept.totals, &self.rates);
        let (since, until) = (kept.since.unwrap_or(record.created_at), kept.until.unwrap_or(record.created_at));
        Ok(Costs { deployment: id.to_owned(), since, until, items, total })
    }

    /// What is watched of a deployment.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn policies(&self, caller: &Caller, id: &str) -> Result<Policies, Problem> {
        let record = self.own_record(caller, id)?;
        self.store.ask(move |store| Watch::policies(store, &record.id)).await
    }

    /// Says what is to be watched of a deployment.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `invalid-body`.
    pub async fn put_policies(&self, caller: &Caller, id: &str, policies: Policies) -> Result<Policies, Problem> {
        let record = self.own_record(caller, id)?;
        policies::check(&policies)?;
        let put = Watch::put_policies(&record.id, &policies);
        self.store.ask(move |store| store.write(|| Ok((put, ())))).await?;
        Ok(policies)
    }

    /// What crossed a threshold, the latest first; a seller's of their shows.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn anomalies(&self, caller: &Caller) -> Result<Vec<Anomaly>, Problem> {
        check_operates(caller)?;
        let own = |noted: &Noted| is_admin(caller) || noted.seller.0 == caller.account;
        Ok(self.watch.anomalies().await?.into_iter().filter(own).map(|noted| noted.anomaly).collect())
    }

    /// Who sells a show.
    pub(crate) fn seller_of(&self, show: ShowId) -> Option<AccountId> {
        // Also while its engine is not heard.
        let deployed = {
            let supervisors = self.supervisors();
            supervisors.by_id.values().map(Supervisor::record).find(|record| record.show.0 == show)
        };
        deployed.map(|record| record.seller.0).or_else(|| (self.world.engines.show)(show).map(|known| known.seller))
    }

    /// The machines that engines run on.
    ///
    /// # Errors
    /// `forbidden`, for everybody but admins; `internal-error` where the system does not say.
    pub async fn nodes(&self, caller: &Caller) -> Result<Vec<Node>, Problem> {
        if !is_admin(caller) {
            return Err(Problem::new(Kind::Forbidden));
        }
        let engines = {
            let supervisors = self.supervisors();
            supervisors.by_id.values().map(|supervisor| supervisor.addresses().len()).sum::<usize>()
        };
        self.world.driver.nodes(engines as u32).await.map_err(|error| {
            tracing::error!(%error, "nobody says how the machines are");
            Problem::new(Kind::Internal)
        })
    }
}
