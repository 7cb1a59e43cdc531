//! A scraper that follows its allocator over mutual TLS: it knows the credentials of the targets it has, gets new ones in time,
//! and those of other scrapers never reach it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use world::child::free_port;
use world::control_plane::{Client, ControlPlane, ca_file, objects};
use world::http::{self, Server};
use world::https::{self, Identity};
use world::kubelet;
use world::sink::Sink;

use crate::programs::{Allocator, Collector, eventually};

const NAMESPACE: &str = "need";
const SOON: Duration = Duration::from_secs(20);

/// So many that each of two scrapers has some.
const N_TARGETS: usize = 16;

/// Targets, each with the tokens it was shown.
struct Targets {
    servers: Vec<Server>,
    seen: Arc<Mutex<Vec<BTreeSet<String>>>>,
}

impl Targets {
    async fn start() -> Result<Self> {
        let seen = Arc::new(Mutex::new(vec![BTreeSet::new(); N_TARGETS]));
        let mut servers = Vec::new();
        for index in 0..N_TARGETS {
            let seen = Arc::clone(&seen);
            let server = Server::start(move |request: http::Request| {
                let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                let shown = shown.unwrap_or("nothing").to_owned();
                seen.lock().expect("no test panics in here")[index].insert(shown);
                async { Ok(http::reply(200, "text/plain", "a_metric 1\n")) }
            });
            servers.push(server.await?);
        }
        Ok(Self { servers, seen })
    }

    /// What a target was shown since this was asked last.
    fn shown(&self, index: usize) -> BTreeSet<String> {
        std::mem::take(&mut self.seen.lock().expect("no test panics in here")[index])
    }

    /// Waits until exactly these are scraped, and each with its own token of this round alone.
    async fn eventually_shown(&self, who: &BTreeSet<usize>, round: usize) -> Result<()> {
        (0..N_TARGETS).for_each(|index| drop(self.shown(index)));
        eventually(&format!("tokens of round {round}"), SOON, || async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let expected = |index| {
                let token = format!("Bearer {}", token(index, round));
                if who.contains(&index) { BTreeSet::from([token]) } else { BTreeSet::new() }
            };
            let wrong: Vec<_> = (0..N_TARGETS)
                .map(|index| (index, self.shown(index)))
                .filter(|(index, shown)| *shown != expected(*index))
                .collect();
            Ok(if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) })
        })
        .await
    }
}

fn token(index: usize, round: usize) -> String {
    format!("hush-{index:02}-r{round}-need")
}

fn job(index: usize) -> String {
    format!("scrapeConfig/{NAMESPACE}/t{index:02}")
}

/// Secrets with the tokens of a round.
async fn put_tokens(admin: &Client, round: usize) -> Result<()> {
    for index in 0..N_TARGETS {
        let secret = objects::secret(NAMESPACE, &format!("t{index:02}"), &[("token", &token(index, round))]);
        if round == 1 {
            admin.create(&secret).await?
        } else {
            admin.patch(&secret).await?
        };
    }
    Ok(())
}

fn allocator_yaml(kubeconfig: &Path, port: u16) -> String {
    format!(
        "
kube_config_file_path: {}
collector_namespace: {NAMESPACE}
collectors: {{file: FOLDER/members}}
https:
  enabled: true
  listen_addr: 127.0.0.1:{port}
  ca_file_path: {}
  tls_cert_file_path: {}
  tls_key_file_path: {}
prometheus_cr: {{enabled: true, allow_namespaces: [{NAMESPACE}], scrape_config_selector: {{}}}}
",
        kubeconfig.display(),
        kubelet::file("ca.pem").display(),
        ca_file().with_file_name("apiserver.pem").display(),
        ca_file().with_file_name("apiserver.key").display(),
    )
}

fn scraper_yaml(port: u16, api: u16, metrics: u16, sink: &Sink) -> String {
    format!(
        "
receivers:
  prometheus:
    api_server: {{enabled: true, server_config: {{endpoint: '127.0.0.1:{api}'}}}}
    target_allocator:
      endpoint: https://localhost:{port}
      interval: 1s
      collector_id: s-0
      storage: file_storage
      tls: {{ca_file: {}, cert_file: {}, key_file: {}}}
exporters:
  prometheusremotewrite: {{endpoint: '{}'}}
extensions:
  health_check: {{endpoint: HEALTH}}
  file_storage: {{directory: kept, create_directory: true}}
service:
  extensions: [health_check, file_storage]
  telemetry:
    logs: {{level: debug}}
    metrics: {{level: detailed, readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        ca_file().display(),
        kubelet::file("client.pem").display(),
        kubelet::file("client.key").display(),
        sink.url()
    )
}

/// The indices of the targets that a member has.
async fn owned(allocator: &Allocator, member: &str) -> Result<BTreeSet<usize>> {
    let mut owned = BTreeSet::new();
    for index in 0..N_TARGETS {
        let path = format!("/jobs/{}/targets?collector_id={member}", job(index).replace('/', "%2F"));
        let list = http::get(&format!("{}{path}", allocator.url)).await?.json()?;
        if list.as_array().is_some_and(|groups| !groups.is_empty()) {
            owned.insert(index);
        }
    }
    Ok(owned)
}

/// The file in which the scraper keeps its assignment.
fn kept(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("kept/receiver_prometheus/assignment.json");
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(path)
}

/// Which tokens of a round a text holds.
fn tokens_in(text: &str, round: usize) -> BTreeSet<usize> {
    (0..N_TARGETS).filter(|index| text.contains(&token(*index, round))).collect()
}

pub(super) async fn follows() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    admin.create(&objects::namespace(NAMESPACE, &[])).await?;
    put_tokens(&admin, 1).await?;
    let targets = Targets::start().await?;
    for (index, server) in targets.servers.iter().enumerate() {
        let spec = json!({
            "staticConfigs": [{ "targets": [server.address().to_string()] }],
            "scrapeInterval": "300ms", "scrapeTimeout": "300ms",
            "authorization": { "credentials": { "name": format!("t{index:02}"), "key": "token" } },
        });
        admin.create(&objects::monitor("ScrapeConfig", NAMESPACE, &format!("t{index:02}"), &spec)).await?;
    }
    let kubeconfig = plane.kubeconfig(NAMESPACE, plane.admin_token(), NAMESPACE)?;
    let [tls, api, metrics] = [free_port()?, free_port()?, free_port()?];
    let mut allocator = Allocator::start_in(
        &allocator_yaml(&kubeconfig, tls),
        &[("members", "s-0\ns-1\n")],
        &["--zap-log-level=debug"],
    )?;
    allocator.ready().await?;
    eventually("jobs", SOON, || async {
        let n_jobs = http::get(&format!("{}/jobs", allocator.url))
            .await?
            .json()?
            .as_object()
            .map_or(0, |jobs| jobs.len());
        Ok(if n_jobs == N_TARGETS { Ok(()) } else { Err(format!("{n_jobs} jobs")) })
    })
    .await?;
    let own = owned(&allocator, "s-0").await?;
    ensure!(!own.is_empty() && own.len() < N_TARGETS, "both scrapers have targets: {own:?}");

    let sink = Sink::start().await?;
    let scraper = Collector::start("s-0", &scraper_yaml(tls, api, metrics, &sink)).await?;
    let folder = scraper.config.parent().context("a folder")?.to_owned();
    targets.eventually_shown(&own, 1).await?;
    let kept_text = std::fs::read_to_string(kept(&folder)?)?;
    ensure!(
        tokens_in(&kept_text, 1) == own,
        "the scraper knows {:?} and has {own:?}",
        tokens_in(&kept_text, 1)
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(kept(&folder)?)?.permissions());
    ensure!(mode & 0o077 == 0, "others may read what is kept: {mode:o}");

    put_tokens(&admin, 2).await?;
    let began = Instant::now();
    targets.eventually_shown(&own, 2).await?;
    ensure!(began.elapsed() < Duration::from_secs(15), "new tokens are used after {:?}", began.elapsed());

    // Credentials come with the targets.
    allocator.write("members", "s-0\n")?;
    let all: BTreeSet<usize> = (0..N_TARGETS).collect();
    targets.eventually_shown(&all, 2).await?;
    let kept_text = std::fs::read_to_string(kept(&folder)?)?;
    ensure!(tokens_in(&kept_text, 1).is_empty() && tokens_in(&kept_text, 2) == all, "the last word is kept");

    for url in [
        format!("http://127.0.0.1:{api}/api/v1/targets"),
        format!("http://127.0.0.1:{api}/api/v1/scrape_pools"),
        format!("http://127.0.0.1:{metrics}/metrics"),
        format!("{}/scrape_configs", allocator.url),
    ] {
        let answer = http::get(&url).await?;
        ensure!(answer.status == 200 && !answer.text().contains("hush-"), "{url}: {}", answer.text());
    }
    for log in [scraper.child.stderr(), scraper.child.stdout(), allocator.child.stderr()] {
        ensure!(!log.contains("hush-"), "{log}");
    }
    doors(&format!("127.0.0.1:{tls}")).await
}

/// Who shows no certificate is told nothing, not even that somebody is there.
async fn doors(address: &str) -> Result<()> {
    let all = https::get(address, "/scrape_configs", &Identity::known()).await?;
    ensure!(
        tokens_in(&all.text(), 2).len() == N_TARGETS,
        "clients of another make are told everything, as upstream"
    );
    for path in ["/livez", "/scrape_configs"] {
        let answer = https::get(address, path, &Identity::unknown()).await;
        ensure!(answer.is_err(), "{path} is answered without a certificate: {answer:?}");
    }
    Ok(())
}
