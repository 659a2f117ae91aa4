//! Thresholds of a deployment, and what crossed them.

use onrush_engine::id::ShowId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Text, Time};

/// What is watched of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// At most 20, each with a name of its own.
    #[schema(max_items = 20)]
    pub rules: Vec<Rule>,
}

/// A threshold, and what happens where it is crossed: an anomaly, an incident for it, and perhaps more engines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called; 1 to 60 characters.
    #[schema(example = "busy")]
    pub name: String,
    /// What is measured.
    pub metric: Metric,
    /// It is crossed above this.
    #[schema(example = 0.9)]
    pub above: f64,
    /// Once it has been so for so long; 0 to 3,600.
    #[serde(default)]
    pub for_seconds: u32,
    /// How bad that is.
    pub severity: Severity,
    /// So many engines more each time; nothing where nobody is to be added.
    #[serde(default)]
    pub scale_by: Option<u32>,
    /// But no more than so many.
    #[serde(default)]
    pub replicas_max: Option<u32>,
}

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Cores that are busy, on average of its engines.
    CpuCoresPerEngine,
    /// Memory that is resident, in bytes, on average of its engines.
    MemoryBytesPerEngine,
    /// The engines' directories, in bytes.
    DiskBytes,
    /// How often engines were started again in the last ten minutes.
    #[serde(rename = "restarts_in_10_minutes")]
    RestartsIn10Minutes,
    /// For how many seconds the deployment has not been ready.
    UnreadySeconds,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should know.
    Info,
    /// Somebody should look, today.
    Warning,
    /// Somebody should look, now.
    Critical,
}

/// A threshold that was crossed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    /// `ano_…`
    pub id: String,
    /// `dep_…`
    pub deployment: String,
    /// The show.
    #[schema(value_type = String)]
    pub show: Text<ShowId>,
    /// The rule that it crossed, by its name.
    pub rule: String,
    /// What was measured.
    pub metric: Metric,
    /// What it was when that was seen.
    pub value: f64,
    /// What it should not have been above.
    pub above: f64,
    /// How bad that is.
    pub severity: Severity,
    /// When that was seen.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
    /// Until when it was so; nothing while it is.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Time>,
    /// The incident that it raised.
    pub incident: String,
}
