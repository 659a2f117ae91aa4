//! One engine as a pod of a cluster: its objects are applied, and the cluster keeps it running. What there is of it stays as it
//! was made: another release, size or node is another engine, to which everything is handed over.

use std::sync::Arc;
use std::time::Duration;

use super::record::Record;
use crate::kubernetes::cluster::{Cluster, ClusterError, Trouble};
use crate::kubernetes::manifests::{Wanted, name_of};

/// Between two looks whether the engine is still to be there, and why it is not heard.
const LOOK: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub(super) struct PodPlace {
    cluster: Arc<Cluster>,
    wanted: Wanted,
    number: u32,
    node: Option<String>,
}

impl PodPlace {
    pub(super) fn of(cluster: &Arc<Cluster>, record: &Record, number: u32) -> Self {
        let wanted = wanted(cluster, record);
        Self { cluster: Arc::clone(cluster), wanted, number, node: record.nodes.get(&number).cloned() }
    }

    /// Sees that the engine is there.
    pub(super) async fn begin(&self) -> Result<(), ClusterError> {
        if self.cluster.has_engine(&self.wanted.name, self.number).await? {
            return Ok(());
        }
        // It would begin with nothing where everything was sold.
        if let Some(volume) = self.cluster.lost_volume(&self.wanted.name, self.number).await? {
            return Err(ClusterError::VolumeLost { namespace: self.wanted.name.clone(), engine: self.number, volume });
        }
        self.cluster.apply(&self.wanted.engine(self.number, self.node.as_deref())).await
    }

    /// By namespace and number, as what pods use is told.
    pub(super) fn key(&self) -> (String, u32) {
        (self.wanted.name.clone(), self.number)
    }

    pub(super) fn address(&self) -> String {
        self.wanted.address(self.number)
    }

    /// Returns when somebody has deleted it. A pod that ends is started again by the cluster. Meanwhile sees that its volume stays,
    /// whoever deletes what.
    pub(super) async fn deleted(&self) {
        let mut is_kept = false;
        loop {
            tokio::time::sleep(LOOK).await;
            if !is_kept {
                let kept = self.cluster.retain(&self.wanted.name, self.number).await;
                is_kept = matches!(kept, Ok(Some(_)));
            }
            if matches!(self.cluster.has_engine(&self.wanted.name, self.number).await, Ok(false)) {
                return;
            }
        }
    }

    /// The next reason why it does not run.
    pub(super) async fn trouble(&self) -> Trouble {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Ok(Some(trouble)) = self.cluster.trouble(&self.wanted.name, self.number).await {
                return trouble;
            }
        }
    }

    /// Ends it for good; what it leaves behind.
    pub(super) async fn put_aside(&self) -> Result<String, ClusterError> {
        let volume = self.cluster.remove_engine(&self.wanted.name, self.number).await?;
        Ok(volume.map_or_else(|| "nothing: it had no volume".to_owned(), |volume| format!("the volume {volume}")))
    }
}

/// See [`super::Driver`].
pub(super) async fn prepare(cluster: &Cluster, record: &Record) -> Result<(), ClusterError> {
    let wanted = wanted(cluster, record);
    for object in wanted.surroundings().into_iter().chain([wanted.key(&cluster.told.files)]) {
        cluster.apply(&object).await?;
    }
    Ok(())
}

/// See [`super::Driver`].
pub(super) async fn accompany(cluster: &Cluster, record: &Record) -> Result<(), ClusterError> {
    let wanted = wanted(cluster, record);
    cluster.keep_route(&wanted.name, &wanted.show).await?;
    cluster.keep_companions(&wanted.name, &wanted.companions()).await
}

/// The objects of a deployment.
pub(super) fn wanted(cluster: &Cluster, record: &Record) -> Wanted {
    Wanted {
        name: name_of(&record.id),
        show: record.show.0.to_string(),
        template: record.template.clone(),
        replicas: record.engines.len() as u32,
        image: record.parts.engine.as_ref().map_or_else(|| cluster.told.image.clone(), |image| image.reference.clone()),
        system_namespace: cluster.told.system_namespace.clone(),
        monitoring_namespace: cluster.told.monitoring_namespace.clone(),
        size: record.size(),
        room: record.before.map_or(record.size(), |before| before.or(record.size())),
        is_encrypted: cluster.told.is_encrypted(),
        parts: record.parts.clone(),
        answers: record.parameters.clone(),
    }
}
