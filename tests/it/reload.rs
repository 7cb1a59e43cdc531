//! SIGHUP: what changed is exchanged, a broken file changes nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use world::child::Signal;
use world::fleet::Fleet;
use world::sink::Sink;

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("a_reload_exchanges_what_changed_and_survives_a_broken_file", || block_on(reload())),
    Case::new("a_stop_sends_what_was_scraped_and_ends_with_zero", || block_on(stop())),
];

fn yaml(fleet: &Fleet, sinks: &[&Sink]) -> String {
    let exporters: Vec<String> = (0..sinks.len())
        .map(|index| format!("prometheusremotewrite/{index}: {{endpoint: '{}'}}", sinks[index].url()))
        .collect();
    let names: Vec<String> = (0..sinks.len()).map(|index| format!("prometheusremotewrite/{index}")).collect();
    format!(
        "
receivers:
  prometheus:
    config:
      scrape_configs:
        - {{job_name: even, scrape_interval: 300ms, scrape_timeout: 200ms, static_configs: [{{targets: ['{}']}}]}}
exporters: {{{}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [{}]}}}}
",
        fleet.address(0),
        exporters.join(", "),
        names.join(", "),
    )
}

async fn delivers(sink: &Sink, more_than: u64) -> Result<u64> {
    eventually("samples arrive", Duration::from_secs(20), || async {
        let delivered = sink.ledger().totals().delivered;
        Ok(if delivered > more_than { Ok(delivered) } else { Err(format!("{delivered} samples")) })
    })
    .await
}

async fn reload() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let (first, second) = (Sink::start().await?, Sink::start().await?);
    let mut collector = Collector::start("reload", &yaml(&fleet, &[&first])).await?;
    delivers(&first, 0).await?;

    collector.rewrite("receivers: {nonsense: {}}\n")?;
    collector.child.signal(Signal::HUP)?;
    eventually("the broken file is refused", Duration::from_secs(10), || async {
        let log = collector.child.stderr();
        Ok(if log.contains("nonsense") && log.contains("keeps running") { Ok(()) } else { Err(log) })
    })
    .await?;
    let so_far = first.ledger().totals().delivered;
    delivers(&first, so_far).await?;

    collector.rewrite(&yaml(&fleet, &[&first, &second]))?;
    collector.child.signal(Signal::HUP)?;
    delivers(&second, 0).await?;
    let so_far = first.ledger().totals().delivered;
    delivers(&first, so_far).await?;
    let totals = first.ledger().totals();
    ensure!(
        (totals.stale_markers, totals.duplicated) == (0, 0),
        "the receiver did not change, and yet: {totals:?}"
    );
    ensure!(
        collector.child.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    Ok(())
}

async fn stop() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let sink = Sink::start().await?;
    let mut collector = Collector::start("stop", &yaml(&fleet, &[&sink])).await?;
    delivers(&sink, 0).await?;
    let status = collector.child.terminate(Duration::from_secs(15)).await?;
    ensure!(status.success(), "ended with {status}: {}", collector.child.last_words());
    let served: u64 = fleet.targets().iter().map(|target| target.attempts().len() as u64).sum();
    let delivered = sink.ledger().totals().delivered;
    // Ten series of the exposition and five report series for every scrape that was answered.
    ensure!(delivered >= (served - 1) * 10, "{served} scrapes were served, {delivered} samples arrived");
    Ok(())
}
