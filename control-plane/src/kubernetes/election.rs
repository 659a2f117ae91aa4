//! Which one of several control planes is at work: the one that holds a Lease, as client-go's leader election does it
//! (<https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>).
//!
//! Who wants it watches for how long it does not change, by a clock of its own, and never compares anybody's time of day. Who has it
//! renews it, and takes it for lost well before another one may take it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::cluster::Cluster;
use super::manifests::FIELD_MANAGER;

/// A lease that nobody has renewed for so long is free.
const LENGTH: Duration = Duration::from_secs(15);
/// Who has not renewed it for so long has it no more.
const HELD: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// What one call may take.
const CALL_MAX: Duration = Duration::from_secs(3);

/// One who would be at work.
pub struct Candidate {
    leases: Api<Lease>,
    /// What nobody else is called.
    name: String,
}

/// The one who is.
pub struct Leader {
    candidate: Candidate,
    lease: Lease,
    renewed: Instant,
}

/// A lease as it was seen first.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Candidate {
    /// One with a name that nobody else has, in the cluster's system namespace.
    pub fn new(cluster: &Cluster, name: String) -> Self {
        Self { leases: cluster.leases(), name }
    }

    /// Returns once nobody else is at work.
    pub async fn win(self) -> Leader {
        let mut seen = Seen { version: None, since: Instant::now() };
        loop {
            let begun = Instant::now();
            match self.try_to_win(&mut seen).await {
                Ok(Some(lease)) => return Leader { candidate: self, lease, renewed: begun },
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "whether another control plane is at work is not known"),
            }
            sleep(LOOK).await;
        }
    }

    /// The lease, if it is free and nobody else was faster.
    async fn try_to_win(&self, seen: &mut Seen) -> kube::Result<Option<Lease>> {
        let Some(lease) = in_time(self.leases.get_opt(FIELD_MANAGER)).await? else {
            let metadata = ObjectMeta { name: Some(FIELD_MANAGER.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(0)) };
            return unless_late(in_time(self.leases.create(&PostParams::default(), &lease)).await);
        };
        if seen.version != lease.metadata.resource_version {
            *seen = Seen { version: lease.metadata.resource_version.clone(), since: Instant::now() };
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let length = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let is_free = spec.holder_identity.as_deref().is_none_or(str::is_empty)
            || seen.since.elapsed() > length.map_or(LENGTH, Duration::from_secs);
        if !is_free {
            return Ok(None);
        }
        let lease = Lease { spec: Some(self.spec(spec.lease_transitions.unwrap_or(0) + 1)), ..lease };
        unless_late(self.replace(&lease).await)
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: Some(LENGTH.as_secs() as i32),
            lease_transitions: Some(transitions),
            acquire_time: now.clone(),
            renew_time: now,
            ..LeaseSpec::default()
        }
    }

    /// Changes the lease, unless somebody has since it was read.
    async fn replace(&self, lease: &Lease) -> kube::Result<Lease> {
        in_time(self.leases.replace(FIELD_MANAGER, &PostParams::default(), lease)).await
    }
}

impl Leader {
    /// How often somebody else has come to work before.
    pub fn term(&self) -> i32 {
        self.lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0)
    }

    /// Renews the lease, and returns once another control plane may be at work.
    pub async fn lost(&mut self) {
        loop {
            let give_up = self.renewed + HELD;
            if timeout_at(give_up, self.renew()).await != Ok(true) {
                return;
            }
        }
    }

    /// Renews it once, after a while; whether it may be ours still.
    async fn renew(&mut self) -> bool {
        sleep(LOOK).await;
        let begun = Instant::now();
        let mut lease = self.lease.clone();
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let error = match self.candidate.replace(&lease).await {
            Ok(lease) => {
                (self.lease, self.renewed) = (lease, begun);
                return true;
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "the control plane's lease is not renewed");
        // Its answer may have been lost, or somebody else has it.
        match in_time(self.candidate.leases.get_opt(FIELD_MANAGER)).await {
            Ok(Some(now)) if self.is_ours(&now) => self.lease = now,
            Ok(_) => return false,
            Err(_) => {}
        }
        true
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
        holder == Some(&self.candidate.name)
    }

    /// Lets the next one begin at once.
    pub async fn resign(mut self) {
        if let Some(spec) = &mut self.lease.spec {
            spec.holder_identity = Some(String::new());
        }
        if let Err(error) = self.candidate.replace(&self.lease).await {
            tracing::warn!(%error, "the next control plane waits until the lease has run out");
        }
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let silent = || kube::Error::Service(format!("no answer within {CALL_MAX:?}").into());
    timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(silent()))
}

/// Nothing where somebody else was faster.
fn unless_late(written: kube::Result<Lease>) -> kube::Result<Option<Lease>> {
    match written {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        written => written.map(Some),
    }
}
