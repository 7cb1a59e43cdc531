//! A fake kubelet over TLS, read by `kubeletstats` into remote write, the `prometheus` exporter and `debug` at once.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::child::free_port;
use world::kubelet::{Answer, FakeKubelet, file, node};
use world::ledger::Ledger;
use world::sink::Sink;

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("a_node_reaches_remote_write_prometheus_and_debug_alike", || block_on(everywhere())),
    Case::new("a_kubelet_that_fails_is_told_once_by_its_url_and_counted", || block_on(failing())),
];

const N_PODS: usize = 20;

/// Series of a node by default, and how many of its resources have them: fifteen of the node and of each pod, eleven of each container.
fn n_series() -> (usize, usize) {
    let n_containers: usize = (0..N_PODS).map(node::n_containers).sum();
    (15 * (1 + N_PODS) + 11 * n_containers, 1 + N_PODS + n_containers)
}

fn receiver(kubelet: &FakeKubelet) -> String {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| file(name).display().to_string());
    format!(
        "{{endpoint: '{}', ca_file: {ca}, cert_file: {cert}, key_file: {key}, collection_interval: 300ms, initial_delay: 0s}}",
        kubelet.address()
    )
}

async fn full_node() -> Result<FakeKubelet> {
    let kubelet = FakeKubelet::start().await?;
    kubelet.answer("/stats/summary", Answer::json(node::summary(N_PODS)));
    Ok(kubelet)
}

async fn everywhere() -> Result<()> {
    let kubelet = full_node().await?;
    let sink = Sink::with(Ledger::remembering(10_000)).await?;
    let port = free_port()?;
    let yaml = format!(
        "
receivers: {{kubelet_stats/node: {}}}
exporters:
  prometheusremotewrite: {{endpoint: '{}', resource_to_telemetry_conversion: {{enabled: true}}}}
  prometheus: {{endpoint: '127.0.0.1:{port}', resource_to_telemetry_conversion: {{enabled: true}}}}
  debug: {{verbosity: detailed}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [kubelet_stats/node], exporters: [prometheusremotewrite, prometheus, debug]}}}}
",
        receiver(&kubelet),
        sink.url()
    );
    let mut collector = Collector::start("kubelets", &yaml).await?;
    let written = eventually("remote write has all series", Duration::from_secs(20), || async {
        let ledger = sink.ledger();
        let known: BTreeSet<String> =
            ledger.all_remembered().map(|series| format!("{:?}", series.labels)).collect();
        Ok(if known.len() >= n_series().0 { Ok(known) } else { Err(format!("{} series", known.len())) })
    })
    .await?;
    ensure!(written.len() == n_series().0, "{} series, {} expected", written.len(), n_series().0);
    {
        let ledger = sink.ledger();
        let cpu = ledger.remembered("container_cpu_time_seconds_total");
        ensure!(cpu.len() == n_series().1 - 1 - N_PODS, "{} containers", cpu.len());
        let labels = &cpu.first().context("a container has cpu time")?.labels;
        for name in ["k8s_pod_uid", "k8s_pod_name", "k8s_namespace_name", "k8s_container_name"] {
            ensure!(labels.contains_key(name), "{name} is not in {labels:?}");
        }
        ensure!(ledger.violations().is_empty(), "{:?}", ledger.violations());
    }
    let page = world::http::get(&format!("http://127.0.0.1:{port}/metrics")).await?.text();
    let n_exposed = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    ensure!(n_exposed == n_series().0, "{n_exposed} series on the page, {} expected", n_series().0);
    for part in
        ["# TYPE k8s_pod_network_io_bytes_total counter\n", "# TYPE k8s_node_memory_usage_bytes gauge\n"]
    {
        ensure!(page.contains(part), "{part:?} is not in:\n{page}");
    }
    let printed = collector.child.stderr() + &collector.child.stdout();
    for part in [
        "k8s.pod.name: Str(web-0)",
        "Name: container.memory.working_set",
        "InstrumentationScope github.com/open-telemetry",
    ] {
        ensure!(printed.contains(part), "{part:?} is not printed");
    }
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{}", collector.child.last_words());
    Ok(())
}

async fn failing() -> Result<()> {
    let kubelet = full_node().await?;
    kubelet.answer("/stats/summary", Answer::Status(401, "Unauthorized".to_owned()));
    let metrics = free_port()?;
    let yaml = format!(
        "
receivers: {{kubeletstats: {}}}
exporters: {{debug: }}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: normal, readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}}}
  pipelines: {{metrics: {{receivers: [kubeletstats], exporters: [debug]}}}}
",
        receiver(&kubelet)
    );
    let mut collector = Collector::start("kubelets-failing", &yaml).await?;
    let counted = |name: &'static str, least: f64| async move {
        eventually(name, Duration::from_secs(20), || async move {
            let page = world::http::get(&format!("http://127.0.0.1:{metrics}/metrics")).await?.text();
            let value = page
                .lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            Ok(if value >= Some(least) { Ok(()) } else { Err(page) })
        })
        .await
    };
    counted("muster_kubelet_requests_total{outcome=\"unauthorized\"", 3.0).await?;
    counted("otelcol_scraper_errored_metric_points", 3.0).await?;
    let told =
        format!("reading the kubelet: GET {}/stats/summary: answered 401: Unauthorized", kubelet.url());
    let log = collector.child.stderr();
    ensure!(log.matches(&told).count() == 1, "{told:?} is not told once:\n{log}");
    kubelet.answer("/stats/summary", Answer::json(node::summary(N_PODS)));
    counted("otelcol_receiver_accepted_metric_points", n_series().0 as f64).await?;
    let ended = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(ended.success(), "{}", collector.child.last_words());
    Ok(())
}
