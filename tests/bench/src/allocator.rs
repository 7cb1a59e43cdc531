//! The allocator against a real API server: how long until everything is shared out, what that takes, how soon a new monitor
//! is served, what one more collector moves, what it takes while nothing happens, and how it keeps up with pods that come and go.
//!
//! A setting is so many ServiceMonitors in one namespace, each of a service with 100 endpoints, and five ready collectors. Pods
//! behind the endpoints are there if they are asked for. Objects are created before the allocator starts; its start is that of
//! the process. CPU is user and system time.

mod churn;
mod first_scrape;
mod followers;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use world::child::{Child, binary, free_port};
use world::control_plane::objects::{self, ENDPOINTS_PER_SLICE, Pod};
use world::control_plane::{Client, ControlPlane};

use crate::table::{grouped, markdown};
use crate::{machine, print, say};
use followers::Followers;

/// Collectors that are there from the beginning.
const N_COLLECTORS: u16 = 5;
/// Where services and collectors are.
const NAMESPACE: &str = "bench";
/// Namespaces of the setting that counts watches, each with a ServiceMonitor and a PodMonitor.
const N_NAMESPACES: usize = 60;
/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long an allocator with nothing to do is watched.
const IDLE: Duration = Duration::from_secs(30);
/// How often a collector asks for its lists while the allocator is watched.
const POLL: Duration = Duration::from_secs(30);

const HEAD: [&str; 11] = [
    "targets",
    "monitors",
    "all assigned after s",
    "CPU s",
    "peak MiB",
    "new monitor served after s",
    "+1 collector moves",
    "ideal",
    "max / mean",
    "idle, our scrapers, % of a core",
    "idle, polled, % of a core",
];

/// How many services, and whether their pods exist.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Services of the small setting, with 100 endpoints and a ServiceMonitor each.
    #[arg(long, default_value_t = 100)]
    small: u16,
    /// Services of the large setting; 0 leaves it out.
    #[arg(long, default_value_t = 1000)]
    large: u16,
    /// Creates the pods behind the endpoints of the small setting, too.
    #[arg(long)]
    pods: bool,
    /// Pods that are replaced each second by rolling updates behind the services of the small setting, whose pods exist then; 0
    /// leaves that out.
    #[arg(long, default_value_t = 100)]
    churn: u32,
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The two settings.
    Settings,
    /// How soon a new monitor is scraped.
    FirstScrape,
    /// Pods that come and go.
    Churn,
    /// How many watches many namespaces take.
    Watches,
}

impl Args {
    fn has(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// What came of a setting.
#[derive(Debug, Default)]
struct Figures {
    n_targets: u64,
    n_monitors: u16,
    assigned_after: Duration,
    cpu: Duration,
    peak_bytes: u64,
    served_after: Duration,
    moved: u64,
    spread: f64,
    followed_idle: f64,
    polled_idle: f64,
}

/// What it has done so far.
#[derive(Debug, Clone, Copy)]
struct Work {
    relabelled: u64,
    encoded: u64,
}

/// A running allocator.
struct Allocator {
    child: Child,
    url: String,
    client: reqwest::Client,
    _folder: TempDir,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    if args.has(Part::Settings) {
        let mut rows = Vec::new();
        for (n_services, has_pods) in [(args.small, args.pods), (args.large, false)] {
            if n_services > 0 {
                rows.push(row(&measure(n_services, has_pods).await?));
            }
        }
        print(&format!(
            "### ServiceMonitors in one namespace, {N_COLLECTORS} collectors\n\n{}\n\n{}",
            machine::describe(),
            markdown(&HEAD, &rows)
        ))?;
    }
    if args.has(Part::FirstScrape) {
        print(&first_scrape().await?)?;
    }
    if args.has(Part::Churn) && args.small > 0 && args.churn > 0 {
        print(&churned(args.small, args.churn).await?)?;
    }
    if args.has(Part::Watches) {
        let n_watches = watches().await?;
        print(&format!(
            "- watches at most 20 for {N_NAMESPACES} namespaces with two monitors each: {} ({n_watches})\n",
            met(n_watches <= 20)
        ))?;
    }
    Ok(())
}

fn row(figures: &Figures) -> Vec<String> {
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    let percent = |part: f64| format!("{:.1} %", 100.0 * part);
    vec![
        grouped(figures.n_targets),
        grouped(u64::from(figures.n_monitors)),
        seconds(figures.assigned_after),
        seconds(figures.cpu),
        format!("{:.1}", figures.peak_bytes as f64 / f64::from(1 << 20)),
        seconds(figures.served_after),
        percent(figures.moved as f64 / figures.n_targets as f64),
        percent(1.0 / f64::from(N_COLLECTORS + 1)),
        format!("{:.3}", figures.spread),
        format!("{:.2}", 100.0 * figures.followed_idle),
        format!("{:.2}", 100.0 * figures.polled_idle),
    ]
}

/// A cluster with so many services in [`NAMESPACE`], and collectors.
async fn cluster(n_services: u16, has_pods: bool) -> Result<(ControlPlane, Client)> {
    say(&format!("allocator: creating {n_services} services with {ENDPOINTS_PER_SLICE} endpoints each"));
    prepared((0..n_services).flat_map(|number| service(NAMESPACE, number, has_pods)).collect()).await
}

/// A cluster with these objects in [`NAMESPACE`], and collectors.
async fn prepared(objects: Vec<Value>) -> Result<(ControlPlane, Client)> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    admin.create(&objects::namespace(NAMESPACE, &[])).await?;
    admin.create_all(&objects).await?;
    let collectors: Vec<Value> = (0..N_COLLECTORS).map(|ordinal| collector(NAMESPACE, ordinal)).collect();
    admin.create_all(&collectors).await?;
    Ok((plane, admin))
}

/// Says how soon a new monitor is scraped.
async fn first_scrape() -> Result<String> {
    say("allocator: a real scraper, and a new monitor");
    let first_scrape::Figures { n_targets, median, last } = first_scrape::measure().await?;
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    Ok(format!(
        "- {n_targets} targets of a new monitor, scraped every 30 s by our scraper: first after {} in the median, the last \
         after {} (at most 1 s demanded: {})\n",
        seconds(median),
        seconds(last),
        met(last <= Duration::from_secs(1)),
    ))
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

/// Rolls services out anew, and says what came of it.
async fn churned(n_services: u16, per_second: u32) -> Result<String> {
    let (plane, _admin) = cluster(n_services, true).await?;
    let n_targets = u64::from(n_services) * ENDPOINTS_PER_SLICE as u64;
    let allocator = Allocator::start(&plane, NAMESPACE, NAMESPACE)?;
    let _shares = allocator.shares(n_targets, u64::from(N_COLLECTORS)).await?;
    say(&format!("allocator: {per_second} of {} pods are replaced each second", grouped(n_targets)));
    let figures = churn::measure(&plane, &allocator, NAMESPACE, n_services, per_second).await?;
    let millis = |time: Duration| format!("{:.0} ms", 1000.0 * time.as_secs_f64());
    let fine_millis = |time: Duration| format!("{:.1} ms", 1000.0 * time.as_secs_f64());
    let is_full = figures.rate >= 0.95 * f64::from(per_second);
    Ok(format!(
        "- {} pods of {} replaced by rolling updates, {} of a service at a time, {:.0}/s ({per_second}/s demanded: {})\n\
         - served after {} in the median, p99 {} (at most 50 ms demanded: {}), {} at worst\n\
         - targets that moved though nothing touched them: {} (none demanded: {})\n\
         - a pod has {:.2} targets relabelled and {:.2} lists encoded, and takes {} of processor time here, {} in the API server and \
         etcd\n",
        grouped(figures.n_replaced as u64),
        grouped(n_targets),
        churn::STEP,
        figures.rate,
        met(is_full),
        millis(figures.median),
        millis(figures.p99),
        met(figures.p99 <= Duration::from_millis(50)),
        millis(figures.worst),
        figures.n_moved,
        met(figures.n_moved == 0),
        figures.relabelled,
        figures.encoded,
        fine_millis(figures.cpu),
        fine_millis(figures.plane_cpu),
    ))
}

async fn measure(n_services: u16, has_pods: bool) -> Result<Figures> {
    let (plane, admin) = cluster(n_services, has_pods).await?;
    let namespace = NAMESPACE;
    let n_targets = u64::from(n_services) * ENDPOINTS_PER_SLICE as u64;
    say(&format!("allocator: starts, {} targets", grouped(n_targets)));
    let began = Instant::now();
    let allocator = Allocator::start(&plane, namespace, namespace)?;
    let mut figures = Figures { n_targets, n_monitors: n_services, ..Figures::default() };
    let shares = allocator.shares(n_targets, u64::from(N_COLLECTORS)).await?;
    figures.assigned_after = began.elapsed();
    let usage = allocator.child.usage().context("the allocator has ended")?;
    (figures.cpu, figures.peak_bytes) = (usage.cpu, usage.peak_rss_bytes);
    let most = shares.iter().copied().max().unwrap_or_default();
    figures.spread = most as f64 * shares.len() as f64 / n_targets as f64;
    figures.served_after = allocator.new_monitor(&admin, namespace).await?;
    figures.followed_idle = allocator.followed_idle().await?;
    figures.polled_idle = allocator.polled_idle(n_services).await?;
    let before = allocator.n_moved().await?;
    admin.create(&collector(namespace, N_COLLECTORS)).await?;
    let all = n_targets + ENDPOINTS_PER_SLICE as u64;
    let _shares = allocator.shares(all, u64::from(N_COLLECTORS) + 1).await?;
    figures.moved = allocator.n_moved().await?.saturating_sub(before);
    Ok(figures)
}

/// A service, the slice of its endpoints, its monitor, and its pods if they are to exist.
fn service(namespace: &str, number: u16, has_pods: bool) -> Vec<Value> {
    let (app, pods) = (app_of(number), pods_of(namespace, number));
    let mut made = vec![objects::service(namespace, &app), objects::service_monitor(namespace, &app)];
    made.extend(objects::endpoint_slices(namespace, &app, &pods));
    if has_pods {
        made.extend(pods.iter().map(Pod::object));
    }
    made
}

fn app_of(number: u16) -> String {
    format!("app-{number:04}")
}

/// The pods behind a service.
fn pods_of(namespace: &str, number: u16) -> Vec<Pod> {
    let (app, [high, low]) = (app_of(number), number.to_be_bytes());
    (0..ENDPOINTS_PER_SLICE)
        .map(|pod| Pod::new(namespace, &format!("{app}-{pod}"), &format!("10.{high}.{low}.{pod}"), &app))
        .collect()
}

fn collector(namespace: &str, ordinal: u16) -> Value {
    Pod::collector(namespace, "scraper", ordinal, &format!("10.250.0.{ordinal}")).object()
}

/// How many watches an allocator holds for monitors in many namespaces.
async fn watches() -> Result<u64> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    for number in 0..N_NAMESPACES {
        let namespace = format!("team-{number:02}");
        let pods = json!({ "selector": { "matchLabels": { "app": "web" } }, "podMetricsEndpoints": [{ "port": "metrics" }] });
        let made = [
            objects::namespace(&namespace, &[]),
            objects::service(&namespace, "web"),
            objects::service_monitor(&namespace, "web"),
            objects::monitor("PodMonitor", &namespace, "web", &pods),
        ];
        for object in &made {
            admin.create(object).await?;
        }
    }
    admin.create(&objects::namespace("home", &[])).await?;
    admin.create(&collector("home", 0)).await?;
    let allocator = Allocator::start(&plane, "home", "")?;
    let began = Instant::now();
    loop {
        let jobs = allocator.get("/scrape_configs").await.ok();
        let n_jobs = jobs.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        if n_jobs.is_some_and(|jobs| jobs.as_object().is_some_and(|jobs| jobs.len() == 2 * N_NAMESPACES)) {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "not all monitors were served within {PATIENCE:?}");
        sleep(LOOK).await;
    }
    let metrics = allocator.get("/metrics").await?;
    Ok(samples(&metrics, "muster_cluster_watches").sum::<f64>() as u64)
}

impl Allocator {
    /// Of collectors in `home`, and of monitors in the namespace `of`, or in all.
    fn start(plane: &ControlPlane, home: &str, of: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let kubeconfig = plane.kubeconfig("bench", plane.admin_token(), home)?;
        let allowed = if of.is_empty() { String::new() } else { format!("  allow_namespaces: [{of}]\n") };
        let yaml = format!(
            "kube_config_file_path: {}\n\
             collector_namespace: {home}\n\
             collector_selector: {{matchlabels: {{app.kubernetes.io/component: opentelemetry-collector}}}}\n\
             prometheus_cr:\n  enabled: true\n{allowed}  service_monitor_selector: {{}}\n  pod_monitor_selector: {{}}\n",
            kubeconfig.display()
        );
        let (config, address) = (folder.path().join("allocator.yaml"), format!("127.0.0.1:{}", free_port()?));
        std::fs::write(&config, yaml).context("writing the configuration")?;
        let mut command = Command::new(binary("muster-allocator")?);
        command.arg("--config-file").arg(config).arg(format!("--listen-addr={address}"));
        let child = Child::spawn("muster-allocator", command.current_dir(folder.path()), folder.path())?;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { child, url: format!("http://{address}"), client, _folder: folder })
    }

    async fn get(&self, path: &str) -> Result<String> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Waits until so many targets are shared out to so many collectors; gives the share of each.
    async fn shares(&self, n_targets: u64, n_collectors: u64) -> Result<Vec<u64>> {
        let began = Instant::now();
        loop {
            if let Ok(metrics) = self.get("/metrics").await {
                let shares: Vec<u64> = samples(&metrics, "opentelemetry_allocator_targets_per_collector")
                    .map(|share| share as u64)
                    .collect();
                let n_used = shares.iter().filter(|share| **share > 0).count() as u64;
                if n_used == n_collectors && shares.iter().sum::<u64>() == n_targets {
                    return Ok(shares);
                }
                ensure!(began.elapsed() < PATIENCE, "not shared out within {PATIENCE:?}: {shares:?}");
            }
            ensure!(began.elapsed() < PATIENCE, "no answer within {PATIENCE:?}: {}", self.child.last_words());
            sleep(LOOK).await;
        }
    }

    /// Creates a monitor of a service that is there under another name, and waits for the list of its targets.
    async fn new_monitor(&self, admin: &Client, namespace: &str) -> Result<Duration> {
        let spec = json!({ "selector": { "matchLabels": { "app": "app-0000" } }, "endpoints": [{ "port": "metrics" }] });
        admin.create(&objects::monitor("ServiceMonitor", namespace, "new", &spec)).await?;
        let began = Instant::now();
        let path = format!("/jobs/serviceMonitor%2F{namespace}%2Fnew%2F0/targets");
        loop {
            let list = self.get(&path).await.ok();
            let list = list.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            let of_member = |member: &Value| member["targets"].as_array().map_or(0, Vec::len);
            let n_served = list
                .as_ref()
                .and_then(Value::as_object)
                .map_or(0, |members| members.values().map(of_member).sum());
            if n_served == ENDPOINTS_PER_SLICE {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < PATIENCE, "the new monitor was not served within {PATIENCE:?}");
            sleep(LOOK).await;
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    /// The processor time that it has taken so far.
    fn cpu(&self) -> Result<Duration> {
        Ok(self.child.usage().context("the allocator has ended")?.cpu)
    }

    /// What it has done so far.
    async fn work(&self) -> Result<Work> {
        let metrics = self.get("/metrics").await?;
        let count = |name| samples(&metrics, name).sum::<f64>() as u64;
        Ok(Work {
            relabelled: count("muster_allocator_targets_relabelled_total"),
            encoded: count("muster_allocator_lists_encoded_total"),
        })
    }

    /// The share of a core that it takes while nothing happens and collectors hold a request for changes, as our own do.
    async fn followed_idle(&self) -> Result<f64> {
        let _followers = Followers::start(&self.url)?;
        // They fetch everything first.
        sleep(IDLE).await;
        let (before, began) = (self.cpu()?, Instant::now());
        sleep(IDLE).await;
        let used = self.cpu()?.saturating_sub(before);
        Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
    }

    /// The share of a core that it takes while nothing happens and collectors poll, as others do.
    async fn polled_idle(&self, n_services: u16) -> Result<f64> {
        let (before, began) = (self.cpu()?, Instant::now());
        let n_lists = u64::from(n_services) * u64::from(N_COLLECTORS);
        let pause = POLL.as_secs_f64() / n_lists as f64;
        let mut n_asked = 0u64;
        while began.elapsed() < IDLE {
            let (job, collector) = (n_asked % u64::from(n_services), n_asked % u64::from(N_COLLECTORS));
            let list = format!(
                "/jobs/serviceMonitor%2Fbench%2Fapp-{job:04}%2F0/targets?collector_id=scraper-{collector}"
            );
            self.get(&list).await?;
            n_asked += 1;
            let due = Duration::from_secs_f64(pause * n_asked as f64);
            sleep(due.saturating_sub(began.elapsed())).await;
        }
        let used = self.cpu()?.saturating_sub(before);
        Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
    }

    async fn n_moved(&self) -> Result<u64> {
        let assignment: Value = serde_json::from_str(&self.get("/debug/assignment.json").await?)?;
        assignment["moves"]["total"].as_u64().context("the number of moves")
    }
}

/// Values of the samples with this name on a page of metrics.
fn samples<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let page = "# TYPE a gauge\na{x=\"1\"} 2\na 3\nab 4\n";
        assert_eq!(samples(page, "a").collect::<Vec<_>>(), [2.0, 3.0]);
    }
}
