//! Pods that come and go behind services: how soon the new assignment is served, what a change costs, and whether anything moves
//! that was not touched.
//!
//! A change creates a pod, puts its address into the EndpointSlice in place of another pod's, and deletes that pod. What counts is
//! the time from the API server's answer about the slice until a collector has fetched the list that holds the new target.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use world::control_plane::objects::{ENDPOINTS_PER_SLICE, Pod, endpoint_slices};
use world::control_plane::{Client, ControlPlane};

use super::followers::Followers;
use super::{Allocator, pods_of};

/// How long pods come and go.
const CHURN: Duration = Duration::from_secs(20);
/// Changes under way at most; when the API server is slower than that, there are fewer changes a second.
const MAX_UNDER_WAY: usize = 64;
/// How long after the last change its target must be served.
const SETTLE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) n_changes: usize,
    /// Changes a second that the API server took.
    pub(super) rate: f64,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) worst: Duration,
    /// Targets that changed hands though they were not touched.
    pub(super) n_moved: u64,
    /// Targets relabelled, and lists encoded, for each change.
    pub(super) relabelled: f64,
    pub(super) encoded: f64,
}

/// A change that the API server has acknowledged.
struct Done {
    address: String,
    acknowledged: Instant,
}

/// Lets pods come and go behind services that are there with their pods.
pub(super) async fn measure(
    plane: &ControlPlane,
    allocator: &Allocator,
    namespace: &str,
    n_services: u16,
    per_second: u32,
) -> Result<Figures> {
    let followers = Followers::start(allocator.url())?;
    let n_before = usize::from(n_services) * ENDPOINTS_PER_SLICE;
    followers.have_seen(n_before, super::PATIENCE).await?;
    let before = allocator.work().await?;
    let moved_before = allocator.n_moved().await?;
    let admin = Arc::new(plane.admin()?);
    let services: Vec<Arc<Mutex<Vec<Pod>>>> =
        (0..n_services).map(|number| Arc::new(Mutex::new(pods_of(namespace, number)))).collect();
    let (began, mut under_way, mut done) = (Instant::now(), JoinSet::new(), Vec::new());
    let (mut number, pause) = (0_u32, Duration::from_secs(1) / per_second);
    while began.elapsed() < CHURN {
        sleep_until(began + pause * number).await;
        if under_way.len() >= MAX_UNDER_WAY {
            done.push(under_way.join_next().await.context("changes are under way")???);
        }
        let service = number as usize % services.len();
        let pods = Arc::clone(&services[service]);
        drop(under_way.spawn(replace(Arc::clone(&admin), pods, number as usize / services.len(), number)));
        number += 1;
    }
    while let Some(joined) = under_way.join_next().await {
        done.push(joined??);
    }
    let took = began.elapsed();
    followers.have_seen(n_before + done.len(), SETTLE).await?;
    let mut latencies: Vec<Duration> = done
        .iter()
        .filter_map(|done| Some(followers.first_seen(&done.address)?.duration_since(done.acknowledged)))
        .collect();
    latencies.sort_unstable();
    let at = |part: f64| latencies.get((part * (latencies.len() - 1) as f64).round() as usize).copied();
    let after = allocator.work().await?;
    let n_changes = done.len();
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / n_changes as f64;
    Ok(Figures {
        n_changes,
        rate: n_changes as f64 / took.as_secs_f64(),
        median: at(0.5).context("nothing changed")?,
        p99: at(0.99).context("nothing changed")?,
        worst: at(1.0).context("nothing changed")?,
        n_moved: allocator.n_moved().await?.saturating_sub(moved_before),
        relabelled: each(after.relabelled, before.relabelled),
        encoded: each(after.encoded, before.encoded),
    })
}

/// Puts a new pod in the place of another one.
async fn replace(admin: Arc<Client>, pods: Arc<Mutex<Vec<Pod>>>, place: usize, number: u32) -> Result<Done> {
    let mut pods = pods.lock().await;
    let place = place % pods.len();
    let old = pods[place].clone();
    let [_, high, middle, low] = number.to_be_bytes();
    let ip = format!("10.{}.{middle}.{low}", 128 + high % 100);
    let app = old.labels.iter().find(|(name, _)| name == "app").context("a pod has an app")?.1.clone();
    let new = Pod::new(&old.namespace, &format!("{app}-new-{number}"), &ip, &app);
    let _created = admin.create(&new.object()).await?;
    pods[place] = new;
    for slice in endpoint_slices(&old.namespace, &app, &pods) {
        let _replaced = admin.replace(&slice).await?;
    }
    let acknowledged = Instant::now();
    admin.delete(&old.object()).await?;
    Ok(Done { address: format!("{ip}:8080"), acknowledged })
}
