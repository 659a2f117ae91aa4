//! Images: what there is to run beside a sale, and instead of this release's engine. The platform's container pool.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Time;

/// What is sent to have an image known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageDraft {
    /// For people, with `version` no other's.
    #[schema(example = "Raffle")]
    pub name: String,
    /// What others call it that connect to it; no other's: small letters, digits and `-`.
    #[schema(example = "raffle")]
    pub alias: String,
    /// Which release of it.
    #[schema(example = "1.4.0")]
    pub version: String,
    /// Where it comes from, no other's: an image of a registry, or `program:NAME` for a file in `programs` of the server's data
    /// directory.
    #[schema(example = "registry.example/raffle:1.4.0")]
    pub reference: String,
    /// How it is run.
    pub spec: ImageSpec,
}

/// How an image is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// As what.
    pub role: ImageRole,
    /// Where it listens; an engine's ports are known.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Variables that it gets.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub env: BTreeMap<String, String>,
    /// Aliases of those that it may speak to, and `engine` for the metrics of the show's engines. To nobody else.
    #[serde(default)]
    pub connects_to: Vec<String>,
    /// How to see that it is well; an engine says so itself.
    #[serde(default)]
    pub health: Option<Health>,
}

/// As what an image is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageRole {
    /// In the place of the engine of this release: another release of it.
    Engine,
    /// Beside the engines of a show.
    Companion,
}

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What it is called: small letters, digits and `-`, 15 at most.
    #[schema(example = "http")]
    pub name: String,
    /// Its number; 1,024 or more, as nothing runs as root.
    #[schema(minimum = 1_024, maximum = 65_535)]
    pub port: u16,
}

/// A path that answers 200 while all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path.
    #[schema(example = "/healthz")]
    pub path: String,
    /// The name of its port.
    #[schema(example = "http")]
    pub port: String,
}

/// An image that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// `img_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// What others call it that connect to it.
    pub alias: String,
    /// Which release of it.
    pub version: String,
    /// Where it comes from.
    pub reference: String,
    /// How it is run.
    pub spec: ImageSpec,
    /// When it was made known.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}

/// What an image was used by when it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageDeleted {
    /// Templates that nothing can be made from any more.
    pub templates: Vec<String>,
    /// Deployments that go on as they are, and cannot be made again.
    pub deployments: Vec<String>,
}
