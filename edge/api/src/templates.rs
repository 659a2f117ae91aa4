//! Templates: what a deployment can be made from.

use std::collections::BTreeMap;

use onrush_engine::id::{AccountId, ShowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::text::Text;

/// What is sent to make a template, or to have one be another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateDraft {
    /// For people.
    #[schema(example = "Stadium with a raffle")]
    pub title: String,
    /// When to choose it.
    pub about: String,
    /// The image of its engines: `img_…`; that of this release, where nothing is said.
    #[serde(default)]
    pub engine: Option<String>,
    /// What runs beside them.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// What it asks.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// What runs beside the engines of a show, in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// What it is called there, no other's: small letters, digits and `-`.
    #[schema(example = "raffle")]
    pub name: String,
    /// Its image: `img_…`
    pub image: String,
    /// How many of it.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 8, default = 1)]
    pub replicas: u32,
    /// Thousandths of a core that each may take; 250 where nothing is said.
    #[serde(default = "quarter_core")]
    #[schema(minimum = 10, maximum = 8_000, default = 250)]
    pub cpu_millis: u32,
    /// Memory of each, in MiB; 128 where nothing is said.
    #[serde(default = "memory")]
    #[schema(minimum = 16, maximum = 16_384, default = 128)]
    pub memory_mib: u32,
}

fn one() -> u32 {
    1
}

fn quarter_core() -> u32 {
    250
}

fn memory() -> u32 {
    128
}

/// A question of a template, and which answers there are: whole numbers.
///
/// `seats` and `crowd` say how large engines are; `cpu_millis`, `memory_mib` and `storage_gib` say so outright. Companions are told
/// every answer, as `ONRUSH_PARAMETER_<NAME>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is called in `parameters`: small letters, digits and `_`.
    pub name: String,
    /// What it asks.
    pub about: String,
    /// What holds where nothing is said.
    pub default: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

/// What a deployment can be made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// `tpl_…`
    #[schema(example = "tpl_reserved-seating")]
    pub id: String,
    /// For people.
    pub title: String,
    /// When to choose it.
    pub about: String,
    /// The image of its engines; nothing for that of this release.
    pub engine: Option<String>,
    /// What runs beside them.
    pub companions: Vec<Companion>,
    /// What it asks.
    pub parameters: Vec<Parameter>,
    /// Who made it, and may change it; nothing where it is the platform's.
    #[schema(value_type = Option<String>)]
    pub owner: Option<Text<AccountId>>,
    /// Whether it came with this release; such a template stays as it is.
    pub shipped: bool,
}

/// What is sent to see what a deployment would be on Kubernetes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderOrder {
    /// The show.
    #[schema(value_type = String)]
    pub show: Text<ShowId>,
    /// Answers to the template's questions.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
    /// How many engines; 1 where nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 8)]
    pub replicas: Option<u32>,
}
