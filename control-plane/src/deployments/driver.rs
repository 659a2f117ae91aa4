//! How an engine comes to run: as a process of this machine, or as a pod of a cluster. Whoever keeps it asks both the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use onrush_api::deployments::ScaleOrder;
use onrush_api::problem::Problem;
use onrush_api::usage::Node;
use tokio::time::timeout;

use super::pod::{self, PodPlace};
use super::process::{self, Cpu, Local, Measured};
use super::record::Record;
use super::template::Size;
use crate::catalogue::parts::Parts;
use crate::kubernetes::cluster::{Cluster, ClusterError};
use crate::kubernetes::manifests::name_of;
use crate::kubernetes::readings::{Readings, Used};

/// What an engine that is a process may take to end in good order.
const STOP_MAX: Duration = Duration::from_secs(30);
/// The node that there is, for engines that are processes of this machine.
const NODE: &str = "local";

/// See the module.
pub enum Driver {
    /// As processes of this machine.
    Local(Arc<Local>),
    /// As pods of a cluster.
    Cluster(Arc<Cluster>),
}

/// Why an engine does not run: a reason, and a message for people.
pub(super) type Failure = (&'static str, String);

/// What a driver could not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriverError {
    #[error("the machine's disk or its processes fail: {0}")]
    Machine(#[from] io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let reason = match &error {
            DriverError::Machine(_) => "DiskFailed",
            DriverError::Cluster(_) => "ClusterFailed",
        };
        (reason, format!("It cannot be started: {error}."))
    }
}

/// Where an engine is, or is to be.
pub(super) enum Place {
    Process { place: process::Place, local: Arc<Local>, parts: Box<Parts>, size: Size },
    Pod(Box<PodPlace>),
}

/// An engine that runs, or did a moment ago.
pub(super) enum Running {
    Process(process::Running),
    /// The cluster sees to it.
    Pod(Box<PodPlace>),
}

impl Driver {
    /// The host that a deployment's show has of its own, if shows do.
    pub(super) fn host(&self, deployment: &str) -> Option<String> {
        match self {
            Self::Local(_) => None,
            Self::Cluster(cluster) => cluster.told.front.as_ref().map(|front| front.host(&name_of(deployment))),
        }
    }

    /// Whether it can run what a template names.
    ///
    /// # Errors
    /// `invalid-body`.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Problem> {
        let wrong = |detail: String| Err(Problem::field("/template", detail));
        match (self, &parts.engine) {
            (Self::Local(_), _) if !parts.companions.is_empty() => {
                wrong("has companions, which need a cluster; here engines are processes of this machine".to_owned())
            }
            (Self::Local(local), Some(image)) => match parts.program() {
                None => wrong(format!(
                    "runs {}, which needs a cluster; here engines are programs of this machine, program:NAME",
                    image.reference
                )),
                Some(name) if !local.program(parts).is_file() => {
                    wrong(format!("runs programs/{name}, which is not there"))
                }
                Some(_) => Ok(()),
            },
            (Self::Cluster(_), Some(image)) if parts.program().is_some() => wrong(format!(
                "runs {}, a program of a machine; here engines are images of a registry",
                image.reference
            )),
            (Self::Local(_) | Self::Cluster(_), _) => Ok(()),
        }
    }

    /// Whether it can give an engine so much, and no more.
    ///
    /// # Errors
    /// `invalid-body`.
    pub(super) fn check_sizes(&self, order: &ScaleOrder) -> Result<(), Problem> {
        let field = if order.cpu.is_some() { "/cpu" } else { "/memory" };
        match self {
            Self::Local(local) if local.cgroups.is_none() && (order.cpu.is_some() || order.memory.is_some()) => {
                let detail = "needs engine_cgroup, or a cluster: processes of this machine share what it has";
                Err(Problem::field(field, detail))
            }
            Self::Local(_) | Self::Cluster(_) => Ok(()),
        }
    }

    /// Sees that what the engines of a deployment have in common is there, as it is to be now. Twice is once.
    pub(super) async fn prepare(&self, record: &Record) -> Result<(), DriverError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Cluster(cluster) => Ok(pod::prepare(cluster, record).await?),
        }
    }

    /// Sees that what runs beside the engines of a deployment is there, as it is to be now. Twice is once.
    pub(super) async fn accompany(&self, record: &Record) -> Result<(), DriverError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Cluster(cluster) => Ok(pod::accompany(cluster, record).await?),
        }
    }

    /// Removes what the engines of a deployment had in common, once they have gone. Twice is once.
    pub(super) async fn clear(&self, record: &Record) -> Result<(), DriverError> {
        if let Self::Cluster(cluster) = self {
            let name = pod::wanted(cluster, record).name;
            cluster.remove_route(&name).await?;
            cluster.remove_namespace(&name).await?;
        }
        Ok(())
    }

    /// What engines use that are pods; nothing where nobody says so, and of processes.
    pub(super) async fn readings(&self) -> Option<Readings> {
        match self {
            Self::Local(_) => None,
            Self::Cluster(cluster) => cluster.readings().await,
        }
    }

    /// The machines that engines run on; of this one, so many.
    pub(super) async fn nodes(&self, engines: u32) -> Result<Vec<Node>, DriverError> {
        match self {
            Self::Local(local) => {
                let node = process::node(NODE, local, engines).map_err(io::Error::other)?;
                Ok(vec![node])
            }
            Self::Cluster(cluster) => {
                let (nodes, engines) = (cluster.nodes().await?, cluster.engines_by_node().await?);
                Ok(nodes.iter().map(|node| crate::kubernetes::nodes::describe(node, &engines)).collect())
            }
        }
    }
}

impl Place {
    /// That of a deployment's engine with a number.
    pub(super) fn of(driver: &Driver, record: &Record, engine: u32) -> Self {
        match driver {
            Driver::Local(local) => Self::Process {
                place: process::Place::of(local, &record.id, engine),
                local: Arc::clone(local),
                parts: Box::new(record.parts.clone()),
                size: record.size(),
            },
            Driver::Cluster(cluster) => Self::Pod(Box::new(PodPlace::of(cluster, record, engine))),
        }
    }

    /// Sees that the engine runs; where it was before, if it `stays`.
    pub(super) async fn begin(&self, before: Option<&str>, stays: bool) -> Result<Running, DriverError> {
        match self {
            Self::Process { place, local, parts, size } => {
                place.make()?;
                if let Some(running) = place.adopt() {
                    return Ok(Running::Process(running));
                }
                let is_here =
                    |address: &String| address.parse::<SocketAddr>().is_ok_and(|address| address.ip() == local.listen);
                // Told to listen elsewhere by now, it is not where it was.
                let known = before.map(str::to_owned).or_else(|| place.address());
                let address = known.filter(|address| stays && is_here(address));
                Ok(Running::Process(place.start(local, parts, *size, address.as_deref())?))
            }
            Self::Pod(pod) => {
                pod.begin().await?;
                Ok(Running::Pod(pod.clone()))
            }
        }
    }

    /// Whether the engine goes on when whoever started it ends.
    pub(super) fn outlives_us(&self) -> bool {
        matches!(self, Self::Pod(_))
    }

    /// Where the engine listens, once that is known.
    pub(super) fn address(&self) -> Option<String> {
        match self {
            Self::Process { place, .. } => place.address(),
            Self::Pod(pod) => Some(pod.address()),
        }
    }

    /// What a pod uses, as somebody else says.
    pub(super) fn measured_by(&self, readings: &Readings) -> Option<Measured> {
        let Self::Pod(pod) = self else { return None };
        let Used { cpu_cores, memory_bytes, disk_bytes } = *readings.get(&pod.key())?;
        Some(Measured { cpu: Cpu::Now { cores: cpu_cores }, memory_bytes, disk_bytes })
    }

    /// What the engine uses, if it is a process of this machine.
    pub(super) fn measure(&self) -> Option<Measured> {
        match self {
            Self::Process { place, .. } => place.measure(),
            Self::Pod(_) => None,
        }
    }

    /// Returns with the next reason why it is not heard, if the driver knows one.
    pub(super) async fn trouble(&self) -> Failure {
        match self {
            Self::Process { .. } => std::future::pending().await,
            Self::Pod(pod) => pod.trouble().await,
        }
    }

    /// That it was not heard for so long, in words.
    pub(super) fn silent(&self, so_long: Duration) -> String {
        let what_follows = match self {
            Self::Process { .. } => "and was ended",
            Self::Pod(_) => "and the cluster is to see to it",
        };
        format!("The engine was not heard for {so_long:?}, {what_follows}.")
    }

    /// Ends the engine for good, and puts its journal aside; where. Twice is once.
    pub(super) async fn put_aside(&self) -> Result<String, DriverError> {
        match self {
            Self::Process { place, local, .. } => {
                // One that an earlier server has started may run still.
                if let Some(running) = place.adopt() {
                    Running::Process(running).end().await;
                }
                let (place, local) = (place.clone(), Arc::clone(local));
                let exported = tokio::task::spawn_blocking(move || place.export(&local)).await;
                Ok(exported.map_err(io::Error::other)??.display().to_string())
            }
            Self::Pod(pod) => Ok(pod.put_aside().await?),
        }
    }
}

impl Running {
    /// Returns when it has ended, with how.
    pub(super) async fn ended(&mut self) -> String {
        match self {
            Self::Process(process) => {
                let how = process.ended().await;
                format!("The engine ended with {how}; its log is engine.log in its directory.")
            }
            Self::Pod(pod) => {
                pod.deleted().await;
                "Somebody has deleted the engine from the cluster; it is made again.".to_owned()
            }
        }
    }

    /// Ends a process that hangs. Of a pod the cluster finds that out itself.
    pub(super) fn kill(&self) {
        if let Self::Process(process) = self {
            process.kill();
        }
    }

    /// Ends a process: in good order, if it takes no longer than that may take. A pod goes on without whoever watched it.
    pub(super) async fn end(&mut self) {
        let Self::Process(process) = self else { return };
        process.terminate();
        if timeout(STOP_MAX, process.ended()).await.is_err() {
            process.kill();
            if timeout(STOP_MAX, process.ended()).await.is_err() {
                tracing::error!("an engine cannot be ended");
            }
        }
    }
}
