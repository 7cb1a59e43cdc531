//! A fleet, a collector, a gate and a sink behind it; the verdict over them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use world::child::Signal;
use world::fleet::{Fleet, even};
use world::gate::Gate;
use world::ledger::Ledger;
use world::machine::Watch;
use world::now_ms;
use world::sink::Sink;
use world::verdict::{Verdict, Window, verdict};

use crate::programs::{Collector, Manner, eventually};

/// How often targets are scraped: a scale of 1 to 50 and more.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);

/// An attempt's timeout, scaled less: an answer that comes too late because others have the cores makes the sender send twice, and
/// it would be right.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait between two attempts, scaled alike.
const RETRY: Duration = Duration::from_millis(500);

/// How long what is under way may take once nothing stands in its way.
pub(super) const SETTLE: Duration = Duration::from_secs(15);

/// The longest that a process may take to end.
pub(super) const END: Duration = Duration::from_secs(10);

/// Of a hundred samples that are due, how many may not have been scraped, or not in time: tests share their cores with others.
/// What was due while the machine stood still comes on top.
const MAX_UNSCRAPED_PERCENT: u64 = 2;

/// What a scene is made of.
pub(super) struct Setup {
    pub(super) n_targets: usize,
    pub(super) n_series: u32,
    pub(super) interval: Duration,
    /// Further keys of the exporter: bodies that nothing fills leave at once, so that some are under way whatever happens when.
    pub(super) exporter: &'static str,
    /// Extensions beside `health_check`, as a flow mapping without braces.
    pub(super) extensions: String,
    pub(super) manner: Manner,
    pub(super) ledger: Ledger,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            n_targets: 20,
            n_series: 50,
            interval: INTERVAL,
            exporter: "    sending_queue: {batch: {flush_timeout: 100ms}}",
            extensions: String::new(),
            manner: Manner::default(),
            ledger: Ledger::default(),
        }
    }
}

/// Everything that runs.
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    pub(super) sink: Sink,
    pub(super) gate: Gate,
    pub(super) collector: Collector,
    interval: Duration,
    watch: Watch,
    /// How long the process took to end, the last time.
    pub(super) last_end: Duration,
    /// What is scraped from here on is judged.
    pub(super) from: i64,
}

impl Scene {
    /// Starts everything with the gate open and waits until every target has been delivered.
    pub(super) async fn start(name: &str, setup: Setup) -> Result<Self> {
        let scene = Self::start_unwatched(name, setup).await?;
        scene.all_delivered().await?;
        Ok(Self { from: now_ms(), ..scene })
    }

    /// As [`Self::start`], without waiting.
    pub(super) async fn start_unwatched(name: &str, mut setup: Setup) -> Result<Self> {
        let fleet = Fleet::start(even(setup.n_targets, setup.n_series)).await?;
        let sink = Sink::with(std::mem::take(&mut setup.ledger)).await?;
        let gate = Gate::start(&base(&sink)).await?;
        let yaml = configuration(&fleet, &gate.url(PATH), &setup);
        let collector = Collector::start_in(name, &yaml, setup.manner).await?;
        Ok(Self {
            fleet,
            sink,
            gate,
            collector,
            interval: setup.interval,
            watch: Watch::start(),
            last_end: Duration::ZERO,
            from: now_ms(),
        })
    }

    /// Waits until every target has been delivered once.
    async fn all_delivered(&self) -> Result<()> {
        eventually("every target is delivered", SETTLE, || async {
            let ledger = self.sink.ledger();
            let has = |job: &str, instance: &str| ledger.target(job, instance).is_some();
            let targets = self.fleet.targets();
            let n = targets.iter().filter(|target| has(&target.plan.job, &target.plan.instance)).count();
            Ok(if n == targets.len() { Ok(()) } else { Err(format!("{n} of {}", targets.len())) })
        })
        .await
    }

    /// What the ledger says of the scrapes until now or until `to`.
    pub(super) fn verdict(&self, to: i64) -> Verdict {
        self.verdict_of(self.from, to)
    }

    /// What the ledger says of the scrapes between two times.
    pub(super) fn verdict_of(&self, from: i64, to: i64) -> Verdict {
        verdict(&self.fleet, &self.sink.ledger(), Window { from, to, interval: self.interval })
    }

    /// Waits until all that was served up to now has arrived.
    pub(super) async fn caught_up(&self) -> Result<()> {
        self.arrived(self.from, now_ms()).await
    }

    /// Waits until all that was served between two times has arrived.
    pub(super) async fn arrived(&self, from: i64, to: i64) -> Result<()> {
        eventually("what was scraped arrives", SETTLE, || async {
            let verdict = self.verdict_of(from, to);
            let is_complete = verdict.lost <= self.failed_scrapes();
            Ok(if is_complete { Ok(()) } else { Err(told(&verdict)) })
        })
        .await
        .with_context(|| self.log())
    }

    /// Waits until what was scraped has arrived, ends the collector and judges: nothing lost, nothing twice, nothing out of
    /// order, and scraping went on all the time.
    pub(super) async fn ends_well(mut self) -> Result<()> {
        let to = now_ms();
        self.caught_up().await?;
        self.end().await?;
        let verdict = self.verdict(to);
        self.faultless(&verdict)?;
        let taken = self.watch.taken();
        let halted = taken.scrapes(self.interval) * verdict.series;
        let allowed = verdict.expected * MAX_UNSCRAPED_PERCENT / 100 + halted;
        ensure!(
            verdict.missing <= allowed,
            "scraping did not go on, {allowed} samples allowed: {}\n{taken}",
            told(&verdict)
        );
        Ok(())
    }

    /// Of what was scraped everything arrived, once, in order, and as the protocol has it.
    pub(super) fn faultless(&self, verdict: &Verdict) -> Result<()> {
        ensure!(verdict.delivered > 0, "nothing arrived: {}", told(verdict));
        ensure!(verdict.lost <= self.failed_scrapes(), "{}", told(verdict));
        let faults = [verdict.duplicated, verdict.out_of_order, verdict.wrong_values];
        ensure!(faults == [0; 3], "{}", told(verdict));
        let violations = self.sink.ledger().violations().to_vec();
        ensure!(violations.is_empty(), "{violations:#?}");
        Ok(())
    }

    /// Samples that a target served to a scrape which had failed meanwhile, and which arrived as `up 0`: they were never scraped.
    fn failed_scrapes(&self) -> u64 {
        let ledger = self.sink.ledger();
        let ups = ledger.targets().iter().flat_map(|target| &target.ups);
        let n_failed = ups.filter(|up| !up.good).count() as u64;
        n_failed * u64::from(self.fleet.targets().first().map_or(0, |target| target.plan.series))
    }

    /// What the collector logged, without the attempts that failed as they had to.
    pub(super) fn log(&self) -> String {
        let log = self.collector.child.stderr();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("Will retry")).collect();
        lines.join("\n")
    }

    /// SIGTERM: it ends in time and with success.
    pub(super) async fn end(&mut self) -> Result<()> {
        let began = Instant::now();
        self.collector.child.signal(Signal::TERM)?;
        let status = self.collector.child.wait(END).await?;
        self.last_end = began.elapsed();
        ensure!(status.success(), "{status}: {}", self.collector.child.last_words());
        Ok(())
    }
}

/// A verdict in words.
pub(super) fn told(verdict: &Verdict) -> String {
    let Verdict { expected, delivered, lost, unscraped, duplicated, out_of_order, .. } = verdict;
    format!(
        "of {expected} samples {delivered} arrived, {lost} lost, {unscraped} unscraped, {duplicated} duplicated, {out_of_order} \
         out of order\n{}",
        verdict.blemishes.join("\n")
    )
}

pub(super) const PATH: &str = "/api/v1/write";

/// `http://host:port` of a sink.
pub(super) fn base(sink: &Sink) -> String {
    sink.url().trim_end_matches(PATH).to_owned()
}

/// A collector's configuration that a user would write, with times scaled.
fn configuration(fleet: &Fleet, url: &str, setup: &Setup) -> String {
    let Setup { interval, exporter, extensions, .. } = setup;
    let names: Vec<&str> =
        extensions.lines().filter_map(|line| Some(line.split_once(": {")?.0.trim())).collect();
    format!(
        "
receivers:
  prometheus:
    config:
      global: {{scrape_interval: {interval}ms, scrape_timeout: {interval}ms}}
      scrape_configs: [{{job_name: even, static_configs: {groups}}}]
exporters:
  prometheusremotewrite:
    endpoint: {url}
    timeout: {timeout}ms
    retry_on_failure: {{max_interval: {retry}ms}}
{exporter}
extensions:
  health_check: {{endpoint: HEALTH}}
{extensions}
service:
  extensions: [{names}]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        interval = interval.as_millis(),
        timeout = TIMEOUT.as_millis(),
        retry = RETRY.as_millis(),
        groups = fleet.groups("even"),
        names = [&["health_check"][..], &names].concat().join(", "),
    )
}
