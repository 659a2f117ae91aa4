//! Deployments: a show's own engine, and what it is made from.

use std::collections::BTreeMap;

use onrush_engine::id::ShowId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::accounts::Secret;
use crate::text::{Text, Time};

/// What is sent to give a show an engine of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentDraft {
    /// Which template.
    #[schema(example = "tpl_reserved-seating")]
    pub template: String,
    /// The show.
    #[schema(value_type = String)]
    pub show: Text<ShowId>,
    /// Answers to the template's questions.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
}

/// A show's own engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// `dep_…`
    pub id: String,
    /// The show.
    #[schema(value_type = String)]
    pub show: Text<ShowId>,
    /// What it was made from.
    pub template: String,
    /// Each question's answer.
    pub parameters: BTreeMap<String, u64>,
    /// How many engines are asked for.
    pub replicas: u32,
    /// Cores that each may take, where `scale` said so.
    pub cpu: Option<String>,
    /// Memory of each, where `scale` said so.
    pub memory: Option<String>,
    /// A name by which the show's API is found, where shows have one of their own.
    pub host: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// How far it is.
    pub status: DeploymentStatus,
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentStatus {
    /// Each step; `ready` says whether all is well.
    pub conditions: Vec<Condition>,
    /// How often engines were started again, since the control plane was.
    pub restarts: u32,
    /// The engines that there are: more than are asked for while some give away what they have.
    pub engines: Vec<EngineStatus>,
    /// What was asked for last, since the control plane was started.
    pub operation: Option<Operation>,
}

/// One engine of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineStatus {
    /// `engine-…`
    pub name: String,
    /// Whether it runs, and is heard.
    pub ready: bool,
    /// How often it was started again, since the control plane was.
    pub restarts: u32,
    /// How many performances it has.
    pub performances: u32,
}

/// A change of a deployment, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// What was asked for.
    pub kind: OperationKind,
    /// Performances that were handed over for it.
    pub moved: u32,
    /// The longest time for which requests of one performance waited, in milliseconds.
    pub longest_pause_ms: u64,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// When it was done; nothing while it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Time>,
}

/// What can be asked of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// More engines, or fewer.
    Scale,
    /// New engines in the place of those that there were.
    Relocate,
    /// Engines with other settings.
    Change,
}

/// What is sent to have more engines for a show, or fewer, or others. One thing of the three at least.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleOrder {
    /// `engine`
    #[schema(example = "engine")]
    pub component: String,
    /// How many; as many as there are, where nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 8)]
    pub replicas: Option<u32>,
    /// Cores that each may take, `1.5` or `500m`; new engines take over from those that there are.
    #[serde(default)]
    #[schema(example = "1.5")]
    pub cpu: Option<String>,
    /// Memory of each, `512Mi` or `2Gi`; likewise.
    #[serde(default)]
    #[schema(example = "2Gi")]
    pub memory: Option<String>,
}

/// What is sent to have a token for a deployment's namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentTokenOrder {
    /// How long it is good, in seconds; an hour where nothing is said.
    #[serde(default)]
    #[schema(minimum = 600, maximum = 86_400)]
    pub expires_in_seconds: Option<u32>,
}

/// A token of the cluster for one namespace: its pods, their logs and events can be read with it, and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentToken {
    /// For `kubectl --token`.
    #[schema(value_type = String)]
    pub token: Secret,
    /// For `kubectl --namespace`.
    pub namespace: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Time,
}

/// What is sent to move a show to new engines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RelocateOrder {
    /// `engine`
    #[schema(example = "engine")]
    pub component: String,
    /// Where to.
    #[schema(example = "local")]
    pub node: String,
}

/// Whether one step is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it is so.
    pub status: bool,
    /// Why it is, or is not, in one word.
    pub reason: String,
    /// The same, for people.
    pub message: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
}

/// The steps of a deployment, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// It is written down.
    Accepted,
    /// There is a place for its data.
    NamespaceReady,
    /// Its engine runs, and is heard.
    EngineReady,
    /// The show is there, and requests about it go there.
    Routed,
    /// All of that.
    Ready,
}
