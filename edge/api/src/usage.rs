//! What a deployment's engines use, what that costs, and the machine that they run on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{Money, Time};

/// What a deployment used in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// `dep_…`
    pub deployment: String,
    /// Seconds that one point stands for.
    pub step_seconds: u32,
    /// Oldest first. A span in which nothing was measured has no point.
    pub points: Vec<UsagePoint>,
}

/// What all engines of a deployment used together, on average over a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsagePoint {
    /// When the step began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Cores that were busy.
    pub cpu_cores: f64,
    /// Memory that was resident, in bytes.
    pub memory_bytes: u64,
    /// Their directories, in bytes.
    pub disk_bytes: u64,
    /// What went over the wire between them and the edge, in bytes a second.
    pub network_bytes_per_second: f64,
}

impl UsagePoint {
    /// At a time at which nothing was used.
    pub fn nothing(at: Time) -> Self {
        Self { at, cpu_cores: 0.0, memory_bytes: 0, disk_bytes: 0, network_bytes_per_second: 0.0 }
    }
}

/// What a deployment has cost up to now: what it used, times the rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Costs {
    /// `dep_…`
    pub deployment: String,
    /// Measured since then.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
    /// Up to then.
    #[schema(value_type = String, format = DateTime)]
    pub until: Time,
    /// One a resource.
    pub items: Vec<CostItem>,
    /// Their sum, before each is rounded; the last minor unit is rounded up.
    pub total: Money,
}

/// What one resource has cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CostItem {
    /// Of what.
    pub resource: Resource,
    /// How much of it.
    pub quantity: f64,
    /// Of which unit that is so much.
    #[schema(example = "core-hour")]
    pub unit: String,
    /// What one unit costs, in minor units.
    pub rate: f64,
    /// What it comes to, rounded up.
    pub amount: Money,
}

/// What is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Cores that were busy.
    Cpu,
    /// Memory that was resident.
    Memory,
    /// What lay on the disk.
    Disk,
    /// What went over the wire.
    Network,
}

/// A machine that engines run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// What `relocate` calls it.
    #[schema(example = "local")]
    pub name: String,
    /// Its cores.
    pub cores: u32,
    /// Tasks that ran or waited to, on average over a minute; nothing where nobody says so, as in a cluster.
    pub load_1m: Option<f32>,
    /// The same over five.
    pub load_5m: Option<f32>,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// What of that could be had, in bytes; nothing where nobody says so.
    pub memory_available_bytes: Option<u64>,
    /// The disk that engines' directories are on, in bytes.
    pub disk_bytes: u64,
    /// What of that is free, in bytes; nothing where nobody says so.
    pub disk_free_bytes: Option<u64>,
    /// Engines of deployments that run there.
    pub engines: u32,
}
