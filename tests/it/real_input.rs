//! The main job on real input: allocator, three scrapers, node_exporter, a real Prometheus that is asked by PromQL.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::fleet::Fleet;
use world::peers::{self, Element, Mode, Peer};

use crate::Case;
use crate::programs::{Allocator, Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[Case::needing(
    "every_target_is_up_from_exactly_one_scraper_and_again_after_one_was_killed",
    &["prometheus", "prometheus-node-exporter"],
    || block_on(main_job()),
)];

/// Time between scrapes in this test.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a scraper may be silent before its targets go to others.
const GRACE: Duration = Duration::from_secs(3);

/// Batching, a remote write and the answer of a busy Prometheus on top of what is promised.
const SLACK: Duration = Duration::from_secs(6);

async fn main_job() -> Result<()> {
    let node = peers::node_exporter().await?;
    let fleet = Fleet::start(world::fleet::even(8, 40)).await?;
    let prometheus = peers::prometheus(Mode::Server, "global: {scrape_interval: 1h}\n").await?;
    let mut allocator = Allocator::start(&allocator_yaml(&node, &fleet))?;
    let mut scrapers = Vec::new();
    for name in ["s-0", "s-1", "s-2"] {
        scrapers.push(Collector::start(name, &scraper_yaml(name, &allocator.url, &prometheus.url)).await?);
    }
    allocator.ready().await?;
    let n_targets = fleet.targets().len() + 1;

    let owners =
        eventually("every target is up", Duration::from_secs(30), || all_up(&prometheus.url, n_targets))
            .await?;
    ensure!(
        owners.values().collect::<std::collections::BTreeSet<_>>().len() > 1,
        "one scraper has all: {owners:?}"
    );
    values_agree(&node, &prometheus).await?;

    let victim = owners.values().next().context("a target has an owner")?.clone();
    let index =
        scrapers.iter().position(|scraper| scraper.child.name() == victim).context("the owner runs")?;
    scrapers[index].child.kill()?;
    let survivors = eventually("every target is up again", GRACE + INTERVAL + SLACK, || async {
        let found = all_up(&prometheus.url, n_targets).await?;
        Ok(found.and_then(|owners| {
            if owners.values().any(|owner| *owner == victim) {
                Err(format!("{victim} still owns targets"))
            } else {
                Ok(owners)
            }
        }))
    })
    .await?;
    let moved_needlessly: Vec<_> = survivors
        .iter()
        .filter(|(target, owner)| owners[*target] != victim && owners[*target] != **owner)
        .collect();
    ensure!(moved_needlessly.is_empty(), "targets of living scrapers moved: {moved_needlessly:?}");

    for (index, scraper) in scrapers.iter_mut().enumerate() {
        if scraper.child.name() != victim {
            let status = scraper.child.terminate(Duration::from_secs(15)).await?;
            ensure!(status.success(), "scraper {index} ended with {status}: {}", scraper.child.last_words());
        }
    }
    ensure!(
        allocator.child.terminate(Duration::from_secs(10)).await?.success(),
        "the allocator did not end well"
    );
    Ok(())
}

fn allocator_yaml(node: &Peer, fleet: &Fleet) -> String {
    let targets: Vec<String> =
        (0..fleet.targets().len()).map(|index| format!("\"{}\"", fleet.address(index))).collect();
    let node = node.url.trim_start_matches("http://");
    format!(
        "
collectors: {{polling: {{grace: {grace}s, settle: 2s}}}}
config:
  global: {{scrape_interval: {interval}s, scrape_timeout: 900ms}}
  scrape_configs:
    - job_name: node
      static_configs: [{{targets: ['{node}']}}]
    - job_name: fleet/even
      static_configs: [{{targets: [{targets}], labels: {{zone: a}}}}]
",
        grace = GRACE.as_secs(),
        interval = INTERVAL.as_secs(),
        targets = targets.join(", "),
    )
}

fn scraper_yaml(name: &str, allocator: &str, prometheus: &str) -> String {
    format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs: []
    target_allocator:
      endpoint: {allocator}
      interval: 500ms
      collector_id: {name}
      http_sd_config: {{refresh_interval: 500ms}}
exporters:
  prometheusremotewrite:
    endpoint: {prometheus}/api/v1/write
    external_labels: {{scraper: {name}}}
extensions:
  health_check: {{endpoint: HEALTH}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}
"
    )
}

/// Which scraper wrote `up 1` for each target within the last three intervals; exactly one each.
async fn all_up(
    prometheus: &str,
    n_targets: usize,
) -> Result<std::result::Result<BTreeMap<String, String>, String>> {
    let fresh = peers::promql(prometheus, "(up == 1) and (timestamp(up) > time() - 3)").await?;
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for element in &fresh {
        let label = |name: &str| element.labels.get(name).cloned().unwrap_or_default();
        let target = format!("{} {}", label("job"), label("instance"));
        if let Some(other) = owners.insert(target.clone(), label("scraper")) {
            return Ok(Err(format!("{target} is scraped by {other} and {}", label("scraper"))));
        }
    }
    Ok(if owners.len() == n_targets {
        Ok(owners)
    } else {
        Err(format!("{} of {n_targets} up: {owners:?}", owners.len()))
    })
}

/// What stands still between two direct scrapes has the same value in Prometheus.
async fn values_agree(node: &Peer, prometheus: &Peer) -> Result<()> {
    let direct = |text: String| -> BTreeMap<String, f64> {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.contains('{'))
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    };
    let url = format!("{}/metrics", node.url);
    let before = direct(world::http::get(&url).await?.text());
    let stored: Vec<Element> = peers::promql(&prometheus.url, "{job=\"node\"}").await?;
    let after = direct(world::http::get(&url).await?.text());
    let mut n_compared = 0;
    for (name, value) in before.iter().filter(|(name, value)| after.get(*name) == Some(*value)) {
        let in_prometheus: Vec<f64> = stored
            .iter()
            .filter(|element| element.labels.get("__name__") == Some(name))
            .map(|element| element.value)
            .collect();
        // A gauge may have had another value a scrape ago and come back; what never moves must agree.
        let is_constant = ["_bytes_total", "_info", "_boot_time_seconds", "MemTotal", "_max", "_online"];
        if is_constant.iter().any(|part| name.contains(part))
            && !name.contains("receive")
            && !name.contains("transmit")
        {
            ensure!(in_prometheus == [*value], "{name}: direct {value}, in Prometheus {in_prometheus:?}");
            n_compared += 1;
        }
    }
    ensure!(n_compared >= 5, "only {n_compared} values could be compared");
    Ok(())
}
