//! Incidents: what somebody has to see to.

use std::collections::BTreeMap;

use onrush_engine::id::{AccountId, ShowId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policies::Severity;
use crate::text::{Text, Time};

/// What somebody has to see to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// `inc_…`
    pub id: String,
    /// What it is about.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// The show that it is about, if it is about one.
    #[schema(value_type = Option<String>)]
    pub show: Option<Text<ShowId>>,
    /// The deployment, if it is about one.
    pub deployment: Option<String>,
    /// Who sees to it.
    #[schema(value_type = Option<String>)]
    pub assignee: Option<Text<AccountId>>,
    /// By when it is to be resolved.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Time>,
    /// Who opened it; nothing where a threshold did.
    #[schema(value_type = Option<String>)]
    pub opened_by: Option<Text<AccountId>>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When something was last changed or said.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
    /// When it was resolved; nothing while it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<Time>,
    /// What was said, oldest first.
    pub comments: Vec<Comment>,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Nobody has looked.
    Open,
    /// Somebody sees to it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What somebody said of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comment {
    /// Who; nothing where the control plane did.
    #[schema(value_type = Option<String>)]
    pub by: Option<Text<AccountId>>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// What.
    pub text: String,
}

/// What is sent to open an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentDraft {
    /// What it is about; 1 to 200 characters.
    #[schema(example = "Buyers see a blank hall")]
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// The show that it is about. A seller's is about one of theirs.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub show: Option<Text<ShowId>>,
    /// Who is to see to it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub assignee: Option<Text<AccountId>>,
    /// By when it is to be resolved.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Time>,
    /// What there is to say; 1 to 5,000 characters.
    #[serde(default)]
    pub comment: Option<String>,
}

/// What is sent to change an incident: what is not named stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentChange {
    /// What it is about; 1 to 200 characters.
    pub title: Option<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Where it stands.
    pub state: Option<IncidentState>,
    /// Who is to see to it.
    #[schema(value_type = Option<String>)]
    pub assignee: Option<Text<AccountId>>,
    /// By when it is to be resolved.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Time>,
    /// What there is to say; 1 to 5,000 characters.
    pub comment: Option<String>,
}

/// Incidents in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    /// How many stand where.
    pub by_state: BTreeMap<IncidentState, u32>,
    /// Of those that are not resolved, how bad they are.
    pub by_severity: BTreeMap<Severity, u32>,
    /// Of those that are not resolved, who sees to them; `nobody` to those that nobody does.
    pub by_assignee: BTreeMap<String, u32>,
    /// Of those that are not resolved, how many should be by now.
    pub overdue: u32,
}
