//! Services that are rolled out anew: how soon the new assignment is served, what a pod costs, and whether anything moves that
//! was not touched.
//!
//! Pods come and go as in a cluster. [`ROLLING`] services are rolled out at a time, each in steps of [`STEP`] pods, until all
//! their pods are new; then come the next ones. In a step the pods are created and reported ready, as a kubelet does; then the
//! service's EndpointSlice is written once, with the new pods in place of the old ones, as the controller of EndpointSlices does,
//! which writes what has become of a service and not each pod of it; then the old pods are deleted. Steps are spread evenly over the second.
//!
//! What counts is the time from the API server's answer about the slice until a collector has fetched the list that holds the
//! new target, of each pod.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use world::control_plane::objects::{ENDPOINTS_PER_SLICE, Pod, endpoint_slices};
use world::control_plane::{Client, ControlPlane};

use super::followers::Followers;
use super::{Allocator, app_of, pods_of};

/// How long pods come and go.
const CHURN: Duration = Duration::from_secs(20);
/// Pods of a service that are replaced together.
pub(super) const STEP: usize = 10;
/// Services that are rolled out at the same time.
pub(super) const ROLLING: usize = 10;
/// Steps under way at most; when the API server is slower than that, there are fewer a second.
const MAX_UNDER_WAY: usize = 8;
/// How long after the last step its targets must be served.
const SETTLE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug)]
pub(super) struct Figures {
    /// Pods that were replaced.
    pub(super) n_replaced: usize,
    /// Of them each second, as many as the API server took.
    pub(super) rate: f64,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) worst: Duration,
    /// Targets that changed hands though they were not touched.
    pub(super) n_moved: u64,
    /// Targets relabelled, and lists encoded, for each pod.
    pub(super) relabelled: f64,
    pub(super) encoded: f64,
    /// Processor time for each pod: the allocator's, and that of the API server with etcd.
    pub(super) cpu: Duration,
    pub(super) plane_cpu: Duration,
}

/// A step that the API server has acknowledged.
struct Done {
    addresses: Vec<String>,
    acknowledged: Instant,
}

/// Replaces so many pods each second behind services that are there with their pods.
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
    let (before, cpu_before, plane_cpu_before) =
        (allocator.work().await?, allocator.cpu()?, plane.cpu().await?);
    let moved_before = allocator.n_moved().await?;
    let admin = Arc::new(plane.admin()?);
    let services: Vec<Arc<Service>> =
        (0..n_services).map(|number| Arc::new(Service::new(namespace, number))).collect();
    let (began, mut under_way, mut done) = (Instant::now(), JoinSet::new(), Vec::new());
    let (mut number, pause) = (0_usize, Duration::from_secs(1) * STEP as u32 / per_second);
    while began.elapsed() < CHURN {
        sleep_until(began + pause * number as u32).await;
        if under_way.len() >= MAX_UNDER_WAY {
            done.push(under_way.join_next().await.context("steps are under way")???);
        }
        let (service, places) = step(number, services.len());
        let (admin, service) = (Arc::clone(&admin), Arc::clone(&services[service]));
        drop(under_way.spawn(async move { service.roll(&admin, places, number).await }));
        number += 1;
    }
    while let Some(joined) = under_way.join_next().await {
        done.push(joined??);
    }
    let took = began.elapsed();
    let (cpu, plane_cpu) =
        (allocator.cpu()?.saturating_sub(cpu_before), plane.cpu().await?.saturating_sub(plane_cpu_before));
    let n_replaced = STEP * done.len();
    followers.have_seen(n_before + n_replaced, SETTLE).await?;
    let mut latencies = Vec::with_capacity(n_replaced);
    for Done { addresses, acknowledged } in &done {
        for address in addresses {
            let seen = followers.first_seen(address).context("every target was served")?;
            // An answer to the writer can be slower than that to who watches.
            latencies.push(seen.saturating_duration_since(*acknowledged));
        }
    }
    latencies.sort_unstable();
    let at = |part: f64| latencies.get((part * (latencies.len() - 1) as f64).round() as usize).copied();
    let after = allocator.work().await?;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / n_replaced as f64;
    Ok(Figures {
        n_replaced,
        rate: n_replaced as f64 / took.as_secs_f64(),
        median: at(0.5).context("nothing changed")?,
        p99: at(0.99).context("nothing changed")?,
        worst: at(1.0).context("nothing changed")?,
        n_moved: allocator.n_moved().await?.saturating_sub(moved_before),
        relabelled: each(after.relabelled, before.relabelled),
        encoded: each(after.encoded, before.encoded),
        cpu: cpu / n_replaced as u32,
        plane_cpu: plane_cpu / n_replaced as u32,
    })
}

/// The service and its places that a step is about.
fn step(number: usize, n_services: usize) -> (usize, Range<usize>) {
    let rolling = ROLLING.min(n_services);
    let (turn, lane) = (number / rolling, number % rolling);
    let steps = ENDPOINTS_PER_SLICE / STEP;
    let (rollout, place) = (turn / steps, turn % steps * STEP);
    ((rollout * rolling + lane) % n_services, place..place + STEP)
}

/// A service and the pods behind it; one step at a time.
struct Service {
    app: String,
    namespace: String,
    pods: Mutex<Vec<Pod>>,
}

impl Service {
    fn new(namespace: &str, number: u16) -> Self {
        let pods = Mutex::new(pods_of(namespace, number));
        Self { app: app_of(number), namespace: namespace.to_owned(), pods }
    }

    /// Puts new pods in these places.
    async fn roll(&self, admin: &Client, places: Range<usize>, number: usize) -> Result<Done> {
        let mut pods = self.pods.lock().await;
        let new: Vec<Pod> = (0..places.len()).map(|at| self.pod(number * STEP + at)).collect();
        let objects: Vec<Value> = new.iter().map(Pod::object).collect();
        admin.create_all(&objects).await?;
        let addresses = new.iter().map(|pod| format!("{}:8080", pod.ip)).collect();
        let old: Vec<Value> = pods.splice(places, new).map(|pod| pod.object()).collect();
        for slice in endpoint_slices(&self.namespace, &self.app, &pods) {
            let _replaced = admin.replace(&slice).await?;
        }
        let acknowledged = Instant::now();
        admin.delete_all(&old).await?;
        Ok(Done { addresses, acknowledged })
    }

    /// A pod of a new version, with an address that none had before.
    fn pod(&self, number: usize) -> Pod {
        let [.., high, middle, low] = number.to_be_bytes();
        let ip = format!("10.{}.{middle}.{low}", 128 + high % 100);
        Pod::new(&self.namespace, &format!("{}-new-{number}", self.app), &ip, &self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_rolled_out_some_at_a_time_until_all_their_pods_are_new() {
        assert_eq!((step(0, 100), step(9, 100)), ((0, 0..10), (9, 0..10)));
        assert_eq!((step(10, 100), step(99, 100)), ((0, 10..20), (9, 90..100)));
        assert_eq!((step(100, 100), step(1_000, 100)), ((10, 0..10), (0, 0..10)));
        assert_eq!((step(3, 3), step(29, 3)), ((0, 10..20), (2, 90..100)));
    }
}
