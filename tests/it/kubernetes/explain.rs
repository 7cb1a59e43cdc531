//! `muster-allocator explain`, as somebody at a terminal uses it: against an allocator that runs over a real API server, with a scraper
//! that tells what it cannot scrape.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::child::free_port;
use world::control_plane::objects::{Pod, endpoint_slices, monitor, namespace, service};
use world::control_plane::{Client, ControlPlane};
use world::http::{self, Server};
use world::sink::Sink;

use crate::programs::{self, Allocator, Collector, Outcome, eventually};

const NAMESPACE: &str = "why";
const ELSEWHERE: &str = "why-not";
const SOON: Duration = Duration::from_secs(30);

/// Runs the command against an allocator.
fn explain(url: &str, args: &[&str]) -> Result<Outcome> {
    let all: Vec<&str> = ["explain"].iter().chain(args).copied().chain(["--url", url]).collect();
    programs::run(&programs::muster_allocator(), &all)
}

/// Asks until all of these are said.
async fn says(url: &str, args: &[&str], parts: &[&str]) -> Result<String> {
    eventually(&format!("explain {args:?}"), SOON, || async {
        let outcome = explain(url, args)?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
        Ok(if missing.is_empty() { Ok(said) } else { Err(format!("without {missing:?}:\n{said}")) })
    })
    .await
}

/// A pod on loopback with one port.
fn pod(name: &str, app: &str, port: u16, labels: &[(&str, &str)]) -> Pod {
    let mut pod = Pod::new(NAMESPACE, name, "127.0.0.1", app);
    pod.ports = vec![("metrics".to_owned(), port)];
    pod.labels.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    pod
}

/// Pods of which one is well, one is dead, one is dropped and one is nobody's; a service; monitors that reach them and that do not.
async fn fill(admin: &Client, well: u16, dead: u16) -> Result<()> {
    for name in [NAMESPACE, ELSEWHERE] {
        admin.create(&namespace(name, &[])).await?;
    }
    let pods = [
        pod("web-0", "web", well, &[]),
        pod("web-1", "web", dead, &[]),
        pod("web-2", "web", well, &[("scraped", "no")]),
        pod("lonely", "lonely", well, &[]),
        pod("solo", "solo", well, &[]),
    ];
    admin.create_all(&pods.iter().map(Pod::object).collect::<Vec<_>>()).await?;
    admin.create(&service(NAMESPACE, "web")).await?;
    // A slice may not name loopback.
    let mut behind = pods[0].clone();
    behind.ip = "10.13.0.1".to_owned();
    admin.create_all(&endpoint_slices(NAMESPACE, "web", &[behind])).await?;
    let of_pods = |port: &str| {
        json!({ "selector": { "matchLabels": { "app": "web" } }, "podMetricsEndpoints": [{
            "port": port, "interval": "500ms", "scrapeTimeout": "500ms",
            "relabelings": [{ "sourceLabels": ["__meta_kubernetes_pod_label_scraped"], "regex": "no", "action": "drop" }],
        }] })
    };
    let of_services = |app: &str, port: &str| json!({ "selector": { "matchLabels": { "app": app } }, "endpoints": [{ "port": port, "interval": "5m" }] });
    admin
        .create_all(&[
            monitor("PodMonitor", NAMESPACE, "pods", &of_pods("metrics")),
            monitor("PodMonitor", NAMESPACE, "wrong-port", &of_pods("mterics")),
            monitor("PodMonitor", ELSEWHERE, "other-namespace", &of_pods("metrics")),
            monitor("ServiceMonitor", NAMESPACE, "services", &of_services("web", "metrics")),
            monitor("ServiceMonitor", NAMESPACE, "nothing", &of_services("wbe", "metrics")),
        ])
        .await
}

/// Jobs of the configuration that look for pods and services themselves, and nearly find some.
const JOBS: &str = "config:
  scrape_configs:
    - job_name: by-label
      kubernetes_sd_configs:
        - {role: pod, namespaces: {names: [why]}, selectors: [{role: pod, label: 'app in (edge,till)'}]}
    - job_name: by-namespace
      kubernetes_sd_configs: [{role: pod, namespaces: {names: [why-not]}}]
    - job_name: by-slice
      kubernetes_sd_configs:
        - {role: endpointslice, namespaces: {names: [why]}, selectors: [{role: endpointslice, label: tier=gold}]}
    - job_name: by-rule
      kubernetes_sd_configs: [{role: pod, selectors: [{role: pod, label: app=solo}]}]
      relabel_configs: [{source_labels: [__meta_kubernetes_pod_name], regex: solo, action: drop}]
";

fn scraper(allocator: &str, sink: &Sink) -> String {
    format!(
        "
receivers:
  prometheus:
    target_allocator: {{endpoint: '{allocator}', interval: 1s, collector_id: s-0}}
exporters:
  prometheusremotewrite: {{endpoint: '{}'}}
extensions:
  health_check: {{endpoint: HEALTH}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        sink.url()
    )
}

pub(super) async fn everything() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let admin = plane.admin()?;
    let well = Server::start(|_| async { Ok(http::reply(200, "text/plain", "a_metric 1\n")) }).await?;
    let dead = free_port()?;
    fill(&admin, well.address().port(), dead).await?;
    let kubeconfig = plane.kubeconfig(NAMESPACE, plane.admin_token(), NAMESPACE)?;
    let yaml = format!(
        "
kube_config_file_path: {}
collector_namespace: {NAMESPACE}
collectors: {{file: FOLDER/members}}
prometheus_cr: {{enabled: true, pod_monitor_selector: {{}}, service_monitor_selector: {{}}}}
{JOBS}
",
        kubeconfig.display()
    );
    let mut allocator = Allocator::start_in(&yaml, &[("members", "s-0\n")], &[])?;
    allocator.ready().await?;
    let url = allocator.url.clone();
    let sink = Sink::start().await?;
    let _scraper = Collector::start("s-0", &scraper(&url, &sink)).await?;

    pods(&url).await?;
    services_and_monitors(&url).await?;
    jobs_of_the_configuration(&url).await?;
    owners(&allocator, &url, dead).await?;
    mistakes(&url).await
}

async fn pods(url: &str) -> Result<()> {
    let said = says(
        url,
        &["pod", "why/web-0"],
        &[
            "pod why/web-0 is scraped by s-0 in job podMonitor/why/pods/0",
            "since 20",
            "it was found then",
            "keeps it",
            "__meta_kubernetes_pod_name",
            "PodMonitor why/pods: reaches it; its rules decide",
            "PodMonitor why/wrong-port: the monitor asks for port `mterics`, the object has `metrics`",
            "PodMonitor why-not/other-namespace: the monitor looks in namespace `why-not`, not in `why`",
            "ServiceMonitor why/services: reaches it; its rules decide",
            "ServiceMonitor why/nothing: through service web: the labels of the object do not meet `app=wbe`",
        ],
    )
    .await?;
    let at = |part: &str| said.find(part).with_context(|| format!("{part}: {said}"));
    ensure!(
        at("why/wrong-port")? < at("why/nothing")? && at("why/nothing")? < at("other-namespace")?,
        "the nearest come first: {said}"
    );
    // The scraper tells it within its ten seconds.
    says(url, &["pod", "why/web-1"], &["its last scrape", "failed: ", "refused"]).await?;
    says(
        url,
        &["pod", "why/web-2"],
        &["pod why/web-2 is found by job podMonitor/why/pods/0, and rule", "drops it", "it looked at \"no\""],
    )
    .await?;
    says(
        url,
        &["pod", "why/lonely"],
        &[
            "pod why/lonely is not found by any job; ",
            "PodMonitor why/pods: the labels of the object do not meet `app=web`",
            "no service that is known selects the pod",
        ],
    )
    .await?;
    let outcome = explain(url, &["pod", "why/web-0", "--json"])?;
    let told: Value = serde_json::from_str(&outcome.stdout).context("JSON")?;
    ensure!(told["found"] == true && told["targets"][0]["owner"] == "s-0", "{told}");
    Ok(())
}

async fn services_and_monitors(url: &str) -> Result<()> {
    says(
        url,
        &["service", "why/web"],
        &[
            "service why/web is scraped by s-0 in job serviceMonitor/why/services/0",
            "PodMonitor why/pods: a PodMonitor finds its targets from pods",
        ],
    )
    .await?;
    says(
        url,
        &["monitor", "why/pods"],
        &[
            "makes jobs, and reaches 3 of the 5 pods that are known",
            "reaches why/web-0",
            "not why/lonely: the labels of the object do not meet `app=web`",
        ],
    )
    .await?;
    says(
        url,
        &["monitor", "why/nothing"],
        &[
            "monitor why/nothing has no targets: ServiceMonitor why/nothing: makes jobs, and reaches none of the",
            "not why/web: the labels of the object do not meet `app=wbe` of the monitor's selector",
        ],
    )
    .await?;
    says(
        url,
        &["monitor", "why/wrong-port"],
        &[
            "reaches none of the 5 pods",
            "not why/web-0: the monitor asks for port `mterics`, the object has `metrics`",
        ],
    )
    .await
    .map(drop)
}

/// Jobs that search for themselves are looked through as monitors are.
async fn jobs_of_the_configuration(url: &str) -> Result<()> {
    says(
        url,
        &["pod", "why/lonely"],
        &[
            "job by-label: the labels of the object do not meet `app in (edge,till)` (selectors: label)",
            "job by-namespace: it looks in namespace `why-not` (namespaces)",
            "job by-slice: no EndpointSlice that is known leads to it",
            "job by-rule: the labels of the object do not meet `app=solo`",
        ],
    )
    .await?;
    says(
        url,
        &["pod", "why/solo"],
        &[
            "pod why/solo is found by job by-rule, and rule 0 drops it: ",
            "it looked at \"solo\"",
            "looks at it; its rules",
        ],
    )
    .await?;
    says(
        url,
        &["service", "why/web"],
        &[
            "job by-slice: through EndpointSlice web",
            "the labels of the object do not meet `tier=gold`",
            "job by-label: it finds its targets from objects of the role pod (role)",
        ],
    )
    .await
    .map(drop)
}

/// Since when, and why it moved: at first, and after the members have changed.
async fn owners(allocator: &Allocator, url: &str, dead: u16) -> Result<()> {
    let address = format!("127.0.0.1:{dead}");
    says(url, &["target", &address], &["is scraped by s-0", "it was found then"]).await?;
    allocator.write("members", "s-1\n")?;
    let said = says(
        url,
        &["target", &address],
        &["is scraped by s-1", "its owner left", "moved from s-0 to s-1: member_left"],
    )
    .await?;
    ensure!(!said.contains("it was found then"), "{said}");
    Ok(())
}

async fn mistakes(url: &str) -> Result<()> {
    for (args, parts) in [
        (["pod", "why/web-9"], &["there is no why/web-9 among pods; did you mean `web-"][..]),
        (["service", "nowhere/web"], &["there is no nowhere/web among services; check namespace and name"]),
        (["monitor", "why/pod"], &["there is no monitor why/pod", "did you mean `pods`?"]),
        (["target", "127.0.0.9:1"], &["target 127.0.0.9:1 is not found by any job; /debug/targets lists"]),
        (["pod", "web-0"], &["`web-0` is not NAMESPACE/NAME"]),
    ] {
        let outcome = explain(url, &args)?;
        let is_said = parts.iter().all(|part| outcome.stderr.contains(part));
        ensure!(
            outcome.code == Some(1) && is_said,
            "{args:?}: {:?} {}{}",
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
    }
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let outcome = explain(&nobody, &["pod", "why/web-0"])?;
    ensure!(
        outcome.code == Some(1)
            && outcome.stderr.contains(&nobody)
            && outcome.stderr.contains("--url names another"),
        "{}",
        outcome.stderr
    );
    let other =
        Server::start(|_| async { Ok(http::reply(200, "text/html", "<html>a login page</html>")) }).await?;
    let outcome = explain(&other.url(""), &["pod", "why/web-0"])?;
    ensure!(
        outcome.code == Some(1) && outcome.stderr.contains("is no allocator; --url names another"),
        "{}",
        outcome.stderr
    );
    Ok(())
}
