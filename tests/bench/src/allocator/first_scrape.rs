//! How soon the targets of a new monitor have been scraped once, by a real scraper beside the allocator.
//!
//! Targets are one server here, to which a rule leads every address; the address goes along as a parameter. The scraper has
//! its share of some services already when the monitor comes.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use world::child::{Child, binary, free_port};
use world::control_plane::objects;
use world::control_plane::objects::ENDPOINTS_PER_SLICE;
use world::http::{self, Server};
use world::sink::Sink;

use super::{Allocator, LOOK, N_COLLECTORS, NAMESPACE, PATIENCE, app_of, prepared, service};

/// Services that are there before.
const N_SERVICES: u16 = 20;
/// The collector that the scraper is.
const COLLECTOR: &str = "scraper-0";

/// What came of it.
pub(super) struct Figures {
    /// New targets of the one scraper.
    pub(super) n_targets: usize,
    pub(super) median: Duration,
    pub(super) last: Duration,
}

/// When each target was scraped first.
type Seen = Arc<Mutex<HashMap<String, Instant>>>;

pub(super) async fn measure() -> Result<Figures> {
    let seen = Seen::default();
    let page = seen.clone();
    let server = Server::start(move |request: http::Request| {
        let who = request.uri().query().unwrap_or_default().to_owned();
        page.lock().unwrap_or_else(PoisonError::into_inner).entry(who).or_insert_with(Instant::now);
        async { Ok(http::reply(200, "text/plain; version=0.0.4", "a 1\n")) }
    })
    .await?;
    let objects = (0..N_SERVICES).flat_map(|number| {
        let mut objects = service(NAMESPACE, number, false);
        lead(&mut objects[1], "old", &server);
        objects
    });
    let (plane, admin) = prepared(objects.collect()).await?;
    let allocator = Allocator::start(&plane, NAMESPACE, NAMESPACE)?;
    let n_targets = u64::from(N_SERVICES) * ENDPOINTS_PER_SLICE as u64;
    let _shares = allocator.shares(n_targets, u64::from(N_COLLECTORS)).await?;
    let sink = Sink::start().await?;
    let (_scraper, _folder) = scraper(allocator.url(), &sink.url()).await?;
    let mut old = HashSet::new();
    for number in 0..N_SERVICES {
        old.extend(share(&allocator, &app_of(number), "old").await?);
    }
    all_in(&seen, &old).await?;

    let mut monitor = objects::service_monitor(NAMESPACE, &app_of(0));
    monitor["metadata"]["name"] = json!("new");
    lead(&mut monitor, "new", &server);
    admin.create(&monitor).await?;
    let began = Instant::now();
    let new = loop {
        match share(&allocator, "new", "new").await {
            Ok(new) if !new.is_empty() => break new,
            _ => ensure!(began.elapsed() < PATIENCE, "the new monitor was not served within {PATIENCE:?}"),
        }
        sleep(LOOK).await;
    };
    let times = all_in(&seen, &new).await?;
    let mut after: Vec<Duration> = times.iter().map(|at| at.saturating_duration_since(began)).collect();
    after.sort_unstable();
    let last = after.last().copied().context("the scraper has none of the new targets")?;
    Ok(Figures { n_targets: after.len(), median: after[after.len() / 2], last })
}

/// Has every target of a monitor scraped at the server, as `who=<group>-<address>`.
fn lead(monitor: &mut Value, group: &str, server: &Server) {
    monitor["spec"]["endpoints"][0]["relabelings"] = json!([
        { "sourceLabels": ["__address__"], "targetLabel": "instance" },
        { "sourceLabels": ["__address__"], "targetLabel": "__param_who", "replacement": format!("{group}-$1") },
        { "targetLabel": "__address__", "replacement": server.address().to_string() },
    ]);
}

/// What the scraper will ask the server for the targets that it has of a monitor.
async fn share(allocator: &Allocator, monitor: &str, group: &str) -> Result<HashSet<String>> {
    let path = format!("/jobs/serviceMonitor%2F{NAMESPACE}%2F{monitor}%2F0/targets?collector_id={COLLECTOR}");
    let groups: Value = serde_json::from_str(&allocator.get(&path).await?)?;
    let groups = groups.as_array().context("a list of groups")?;
    let addresses = groups.iter().flat_map(|group| group["targets"].as_array().into_iter().flatten());
    let asked = |address: &str| format!("who={group}-{}", address.replace(':', "%3A"));
    addresses.map(|address| Ok(asked(address.as_str().context("an address")?))).collect()
}

/// Waits until each of these was asked for; gives when it was.
async fn all_in(seen: &Seen, asked: &HashSet<String>) -> Result<Vec<Instant>> {
    let began = Instant::now();
    loop {
        {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let times: Vec<Instant> = asked.iter().filter_map(|one| seen.get(one).copied()).collect();
            if times.len() == asked.len() {
                return Ok(times);
            }
            let n = times.len();
            ensure!(began.elapsed() < PATIENCE, "{n} of {} were scraped within {PATIENCE:?}", asked.len());
        }
        sleep(LOOK).await;
    }
}

/// A scraper that follows the allocator.
async fn scraper(allocator: &str, sink: &str) -> Result<(Child, TempDir)> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let (path, health) = (folder.path().join("config.yaml"), format!("127.0.0.1:{}", free_port()?));
    let config = format!(
        "receivers: {{prometheus: {{target_allocator: {{endpoint: '{allocator}', interval: 30s, collector_id: {COLLECTOR}}}}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: '{sink}'}}}}\n\
         extensions: {{health_check: {{endpoint: '{health}'}}}}\n\
         service:\n  extensions: [health_check]\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}\n"
    );
    std::fs::write(&path, config).context("writing the configuration")?;
    let mut command = Command::new(binary("muster")?);
    command.arg("--config").arg(&path).current_dir(folder.path());
    let mut child = Child::spawn("muster", &mut command, folder.path())?;
    child.ready(&format!("http://{health}/"), Duration::from_secs(30)).await?;
    Ok((child, folder))
}
