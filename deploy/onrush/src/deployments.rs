//! Engines of their own for shows, in the process of a server: how they are started, and what the server's edge is asked.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use onrush_api::problem::{Kind, Problem};
use onrush_control_plane::ControlPlane;
use onrush_control_plane::deployments::{Cgroups, Deployments, Driver, Engines, Known, Local, Outstanding};
use onrush_control_plane::kubernetes::cluster::{Cluster, Told};
use onrush_control_plane::kubernetes::election::Candidate;
use onrush_control_plane::kubernetes::readings::Prometheus;
use onrush_control_plane::kubernetes::{controller, manifests};
use onrush_edge::problem_of_registry;
use onrush_engine::client::{Client, Performance};
use onrush_engine::command::Caller;
use onrush_engine::handover::HandOverFailure;
use onrush_engine::id::{PerformanceId, ShowId};
use onrush_engine::inventory::{Answer, BookingView, Stage};
use onrush_engine::mailbox::Ask;
use onrush_engine::wire::Credentials;
use tokio_util::sync::CancellationToken;

use crate::credentials;
use crate::settings::{Certificates, Deploying, Settings};

/// Room that an engine of a show keeps for a start on a full disk, in MiB: as little as may be, as there are many.
const BALLAST: &str = "17";

/// A control plane that gives shows engines of their own, with the cluster that they are in, if it is one; one that does not, where
/// that cannot be, and the log says why.
pub(crate) async fn add(
    plane: ControlPlane,
    settings: &Settings,
    client: &Client,
    own_engine: Option<String>,
) -> (ControlPlane, Option<Arc<Cluster>>) {
    match driver(settings).await {
        Ok((driver, credentials)) => {
            let cluster = if let Driver::Cluster(cluster) = &driver { Some(Arc::clone(cluster)) } else { None };
            (plane.with_deployments(driver, engines(client, credentials, own_engine), settings.rates), cluster)
        }
        Err(error) => {
            let error: &dyn std::error::Error = error.as_ref();
            tracing::error!(error, "no show has an engine of its own until this is mended");
            (plane, None)
        }
    }
}

/// Sees to the deployments of a cluster whenever no other control plane does, until it is to stop. Engines are heard all the while.
pub(crate) async fn lead(plane: Arc<ControlPlane>, cluster: Arc<Cluster>, stop: CancellationToken) {
    let Some(deployments) = &plane.deployments else { return };
    if let Err(error) = deployments.listen() {
        tracing::error!(%error, "engines of deployments are not heard before they are seen to");
    }
    let name = format!("{}-{:016x}", std::env::var("HOSTNAME").unwrap_or_default(), getrandom::u64().unwrap_or(0));
    watch(&plane);
    while !stop.is_cancelled() {
        let mut leader = tokio::select! {
            leader = Candidate::new(&cluster, name.clone()).win() => leader,
            () = stop.cancelled() => return,
        };
        tracing::info!(term = leader.term(), "this control plane sees to deployments");
        let is_lost = tokio::select! {
            () = work(&plane, deployments, &cluster, stop.clone()) => false,
            () = leader.lost() => true,
        };
        // Whoever is at work next must not be disturbed.
        deployments.rest().await;
        if is_lost {
            tracing::warn!("another control plane may see to deployments by now: this one waits");
        } else {
            leader.resign().await;
        }
    }
}

/// Does what there is to do, until it is to stop.
async fn work(plane: &Arc<ControlPlane>, deployments: &Deployments, cluster: &Cluster, stop: CancellationToken) {
    match deployments.start() {
        Ok(()) => controller::run(cluster, Arc::clone(plane), stop).await,
        Err(error) => {
            tracing::error!(%error, "nothing is done for shows with engines of their own");
            stop.cancelled().await;
        }
    }
}

/// Starts the engines that shows have of their own, or finds them.
pub(crate) fn start(plane: &Arc<ControlPlane>) {
    if let Some(Err(error)) = plane.deployments.as_ref().map(Deployments::start) {
        tracing::error!(%error, "shows with engines of their own are not there");
    }
    watch(plane);
}

fn watch(plane: &Arc<ControlPlane>) {
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        if let Some(deployments) = &plane.deployments {
            deployments.keep_watch().await;
        }
    });
}

/// How engines are started, and what they are known by.
async fn driver(settings: &Settings) -> anyhow::Result<(Driver, Credentials)> {
    let key_file = std::path::absolute(&settings.engine_key_file).context("the engine key's own path")?;
    let credentials = credentials::open_or_create(settings)?;
    let driver = match &settings.deploying {
        Deploying::Local => Driver::Local(Arc::new(local(settings, key_file)?)),
        Deploying::Kubernetes { image, system_namespace, monitoring_namespace, prometheus, front } => {
            let prometheus = prometheus.as_deref().map(Prometheus::new).transpose().context("prometheus_url")?;
            let files = files(settings, &key_file)?;
            let told = Told {
                image: image.clone(),
                system_namespace: system_namespace.clone(),
                monitoring_namespace: monitoring_namespace.clone(),
                files,
                prometheus,
                front: front.clone(),
            };
            Driver::Cluster(Arc::new(Cluster::connect(told).await?))
        }
    };
    Ok((driver, credentials))
}

/// What engines that are pods get of what this server knows others by.
fn files(settings: &Settings, key_file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = vec![(manifests::KEY, key_file)];
    if let Some(Certificates { certificate, key, authority }) = &settings.certificates {
        files.extend(manifests::CERTIFICATES.into_iter().zip([certificate.as_path(), key, authority]));
    }
    let read = |(name, path): (&str, &Path)| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.to_owned(), text))
    };
    files.into_iter().map(read).collect()
}

/// This program, with this server's settings.
fn local(settings: &Settings, key_file: PathBuf) -> anyhow::Result<Local> {
    let data = std::path::absolute(&settings.engine.data).context("the data directory's own path")?;
    let program = std::env::current_exe().context("the program's own file")?;
    let mut environment = settings.environment.clone();
    let ballast = environment.iter_mut().find(|(name, value)| name == "ONRUSH_BALLAST_MIB" && value != "0");
    ballast.into_iter().for_each(|(_, value)| BALLAST.clone_into(value));
    // Where its own listens, they are for edges elsewhere, too.
    let listen = if settings.plane_listen.is_some() { settings.engine_listen.ip() } else { Ipv4Addr::LOCALHOST.into() };
    let cgroups = settings.engine_cgroup.clone().map(Cgroups::open).transpose();
    let cgroups = cgroups.context("engine_cgroup is no cgroup (version 2) that this server may divide")?;
    Ok(Local { program, directory: data.join("engines"), key_file, listen, cgroups, environment })
}

/// What is asked of the edge of this process. Nobody but this knows that its own engine may be at an address.
fn engines(client: &Client, credentials: Credentials, own_engine: Option<String>) -> Engines {
    let of = || client.clone();
    let (own, from_own) = (own_engine.clone(), own_engine);
    let (known, connecting, gone, heard, moving, asked) = (of(), of(), of(), of(), of(), of());
    let (looking, resuming, counting, giving) = (of(), of(), of(), of());
    Engines {
        show: Box::new(move |id| {
            let show = known.shows().get(id)?;
            Some(Known { seller: show.seller })
        }),
        connect: Box::new(move |address, vacant| connecting.connect_dedicated(address, vacant, &credentials)),
        disconnect: Box::new(move |address| gone.disconnect(address)),
        is_connected: Box::new(move |address| heard.is_connected(address)),
        move_show: Box::new(move |show, from, to| {
            let client = moving.clone();
            let from = from.or_else(|| from_own.clone());
            Box::pin(async move { client.move_show(show, from.as_deref(), &to).await.map_err(problem_of_registry) })
        }),
        performances: Box::new(move |show| {
            let performances = looking.shows().get(show)?.performances.clone();
            let elsewhere =
                |id| looking.whereabouts(id).map(|address| address.filter(|address| own.as_ref() != Some(address)));
            performances.into_iter().map(|id| Some((id, elsewhere(id).ok()?))).collect()
        }),
        unfinished: Box::new(move || {
            let left = resuming.unfinished().into_iter();
            left.map(|(performance, _, to)| (performance, resuming.address_of(to))).collect()
        }),
        traffic: Box::new(move |address| counting.traffic(address)),
        hand_over: Box::new(move |performance, to| {
            let client = giving.clone();
            Box::pin(async move {
                client.hand_over(performance, &to).await.map_err(|error| not_handed_over(performance, &error))
            })
        }),
        outstanding: Box::new(move |show| {
            let client = asked.clone();
            Box::pin(async move { outstanding(&client, show).await.ok_or_else(unheard) })
        }),
    }
}

fn not_handed_over(performance: PerformanceId, error: &HandOverFailure) -> Problem {
    tracing::warn!(%performance, %error, "a performance was not handed over, and is tried again");
    Problem::new(Kind::Overloaded).detail(format!("{performance} is not handed over yet: {error}.")).retry_after(1)
}

fn unheard() -> Problem {
    Problem::new(Kind::Overloaded).detail("The show's engine does not say what it has. Try again.").retry_after(1)
}

/// What is left to be done for a show; nothing where its engine does not say.
async fn outstanding(client: &Client, show: ShowId) -> Option<Outstanding> {
    let show = client.shows().get(show)?;
    let caller = Caller { account: show.seller, admin: true };
    let mut outstanding = Outstanding::Nothing;
    for id in &show.performances {
        let performance = client.performance(*id)?;
        let rules = performance.publication.rules();
        let goes_on = rules.called_off.is_none() && rules.terms.ends_at > client.now();
        let (mut number, mut total) = (0, 1);
        while number < total {
            let page =
                client.ask(&performance, Ask::Bookings(caller, number..number.saturating_add(PAGE))).await.ok()?;
            let Answer::Bookings(bookings, all) = page.answer else { return None };
            (number, total) = (number.saturating_add(PAGE), all);
            for booking in bookings {
                if has_money(client, &performance, &booking, goes_on).await? {
                    return Some(Outstanding::Money);
                }
            }
        }
        if goes_on {
            outstanding = Outstanding::Performances;
        }
    }
    Some(outstanding)
}

/// Bookings that are asked for at once.
const PAGE: u32 = 200;

/// Whether money is under way for a booking, or was paid for what is still to come.
async fn has_money(client: &Client, performance: &Performance, booking: &BookingView, goes_on: bool) -> Option<bool> {
    let Some(payment) = &booking.payment else { return Some(false) };
    let gone_back: i64 = payment.refunds.iter().map(|refund| refund.amount).sum();
    if goes_on && payment.stage == Stage::Captured && gone_back < payment.amount {
        return Some(true);
    }
    let asked = client.ask(performance, Ask::Payment(booking.id)).await.ok()?;
    let Answer::Payment(payment) = asked.answer else { return None };
    Some(payment.step.is_some())
}
