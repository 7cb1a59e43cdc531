//! A real Prometheus and muster scrape the same pages side by side, and tell the same.
//!
//! Each scraper has a server of its own for the pages, so that the n-th scrape of a page is the same page for both,
//! whenever it happens. Both remote-write to a sink that keeps everything; then the sets of labels and bits of values are
//! compared, target by target and scrape by scrape, stale markers and report series included. Of
//! `scrape_duration_seconds` only its presence is.
//!
//! Prometheus runs as a server, not as an agent: Debian's agent forgets to write series down that were first seen in a
//! scrape which failed half-way, and never sends them afterwards.

mod exceptions;
mod plans;
mod story;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use world::ledger::Ledger;
use world::pages::{Page, Pages};
use world::peers::{self, Mode};
use world::sink::Sink;

use self::plans::{N_SCRAPES, PLANS, Plan};
use self::story::{Story, stories};
use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] =
    &[Case::needing("muster_tells_of_every_scrape_what_prometheus_tells", &["prometheus"], || {
        block_on(side_by_side())
    })];

/// How far the times that pages expose lie ahead at first: more than the test takes, less than is too far.
const AHEAD_MS: i64 = 180_000;

/// More series than all pages have in all their scrapes.
const MAX_SERIES: usize = 100_000;

/// Scrapes of a place after which the target moves on.
const SCRAPES_OF_A_PLACE: usize = 4;

/// Differences that are shown of each page.
const MAX_SHOWN: usize = 12;

/// One of the two, as far as the test sees it.
struct Side {
    name: &'static str,
    pages: Pages,
    sink: Sink,
}

impl Side {
    async fn start(name: &'static str, base: i64) -> Result<Self> {
        let pages = Pages::start(move |path, n| page(path, n, base)).await?;
        Ok(Self { name, pages, sink: Sink::with(Ledger::remembering(MAX_SERIES)).await? })
    }

    fn stories(&self) -> BTreeMap<String, Story> {
        stories(&self.sink.ledger(), &self.pages.address().to_string())
    }

    /// Not before every page was scraped twice more than is compared has everything of the others arrived.
    fn is_complete(&self) -> Result<(), String> {
        let ledger = self.sink.ledger();
        let ups = ledger.remembered("up");
        let n_ups = |plan: &Plan| {
            let up = ups.iter().find(|up| up.labels.get("page").is_some_and(|page| page == plan.name));
            up.map_or(0, |up| up.samples.len())
        };
        match PLANS.iter().find(|plan| n_ups(plan) < N_SCRAPES + 2) {
            None => Ok(()),
            Some(plan) => Err(format!("{}: {} scrapes of {}", self.name, n_ups(plan), plan.name)),
        }
    }
}

fn page(path: &str, n: usize, base: i64) -> Page {
    match PLANS.iter().find(|plan| plan.name == path.trim_start_matches('/')) {
        Some(plan) => plan.page(n, base),
        None => Page::new("text/plain", "moving 1\nmoves 2\n"),
    }
}

async fn side_by_side() -> Result<()> {
    let base = world::now_ms() + AHEAD_MS;
    let (theirs, ours) = (Side::start("Prometheus", base).await?, Side::start("muster", base).await?);
    let folder = tempfile::tempdir().context("making a folder")?;
    let places = Places { folder };
    places.move_to("a")?;
    let file = places.file();
    let _prometheus = peers::prometheus(Mode::ReportingServer, &prometheus_yaml(&theirs, &file)).await?;
    let mut muster = Collector::start("muster", &muster_yaml(&ours, &file)).await?;

    let sides = [&theirs, &ours];
    scraped_at("a", &sides).await?;
    for place in ["b", "a"] {
        places.move_to(place)?;
        scraped_at(place, &sides).await?;
    }
    eventually("every page was scraped by both", Duration::from_secs(40), || async {
        Ok(sides.iter().try_for_each(|side| side.is_complete()))
    })
    .await?;
    eventually("both tell the same of the target that moves", Duration::from_secs(10), || async {
        let wrong = compare_moves(&ours.stories(), &theirs.stories());
        Ok(if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) })
    })
    .await?;
    // Of the scrapes behind those that are compared, a part may be under way: until its `up` is there, its samples look as if
    // they had times of their own.
    eventually("both tell the same", Duration::from_secs(15), || async {
        let wrong = compare(&ours.stories(), &theirs.stories());
        Ok(if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) })
    })
    .await?;
    let violations = ours.sink.ledger().violations().to_vec();
    ensure!(violations.is_empty(), "{}", violations.join("\n"));
    let status = muster.child.terminate(Duration::from_secs(15)).await?;
    ensure!(status.success(), "{}", muster.child.last_words());
    Ok(())
}

/// What is not as it should be, target by target.
fn compare(ours: &BTreeMap<String, Story>, theirs: &BTreeMap<String, Story>) -> Vec<String> {
    let mut wrong = Vec::new();
    for plan in PLANS {
        let mut expected = theirs[plan.name].clone().first(N_SCRAPES);
        let told = ours[plan.name].clone().first(N_SCRAPES);
        let about = plan.exception.map_or("", |exception| exception.why);
        if let Some(exception) = plan.exception {
            if told.differences(&expected).is_empty() {
                wrong
                    .push(format!("{}: both tell the same, the exception is not needed: {about}", plan.name));
            }
            (exception.turn)(&mut expected);
        }
        let found = [told.differences(&expected), told.duplicates()].concat();
        if !found.is_empty() {
            let shown = found.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
            wrong.push(format!("{}: {} differences ({about})\n{shown}", plan.name, found.len()));
        }
    }
    wrong
}

/// How often a target is scraped before it moves is chance; what it tells until it moves, and then, is not.
fn compare_moves(ours: &BTreeMap<String, Story>, theirs: &BTreeMap<String, Story>) -> Vec<String> {
    let changes = |stories: &BTreeMap<String, Story>, place| stories.get(place).map(Story::changes);
    // The first scrape, others, and the end; twice, but for the last end, where the target comes back.
    let expected = [("place a", 5), ("place b", 3)];
    let mut wrong = Vec::new();
    for (place, n) in expected {
        let (ours, theirs) = (changes(ours, place), changes(theirs, place));
        if ours != theirs || ours.as_ref().is_none_or(|ours| ours.len() != n) {
            wrong.push(format!("{place}: muster tells {ours:#?}, Prometheus {theirs:#?}, not {n} changes"));
        }
    }
    wrong
}

/// Waits until both have scraped the moving target at this place a few times more.
async fn scraped_at(place: &str, sides: &[&Side]) -> Result<()> {
    let path = format!("/place_{place}");
    let served = || sides.iter().map(|side| side.pages.served(&path));
    let before: Vec<usize> = served().collect();
    eventually("the moving target is scraped where it is", Duration::from_secs(30), || async {
        let is_scraped = |(now, before): (usize, &usize)| now >= before + SCRAPES_OF_A_PLACE;
        Ok(if served().zip(&before).all(is_scraped) { Ok(()) } else { Err(format!("{place}: not yet")) })
    })
    .await
}

/// A target that file discovery moves from one place to another.
struct Places {
    folder: TempDir,
}

impl Places {
    fn file(&self) -> PathBuf {
        self.folder.path().join("places.yaml")
    }

    fn move_to(&self, place: &str) -> Result<()> {
        let text = format!(
            "- {{targets: ['moving:1'], labels: {{page: place {place}, __metrics_path__: /place_{place}}}}}\n"
        );
        let next = self.folder.path().join("next");
        std::fs::write(&next, text)?;
        std::fs::rename(&next, self.file()).context("moving the target")
    }
}

/// The jobs as `scrape_configs` lists them.
fn jobs(side: &Side, places: &Path, knows_new_keys: bool) -> String {
    let address = side.pages.address();
    let mut jobs = format!(
        "  - job_name: moving
    file_sd_configs: [{{files: ['{}']}}]
    relabel_configs: [{{target_label: __address__, replacement: '{address}'}}]
",
        places.display()
    );
    for Plan { name, keys, new_keys, .. } in PLANS {
        let new_keys = if knows_new_keys { new_keys } else { "" };
        jobs.push_str(&format!(
            "  - job_name: {name}
    metrics_path: /{name}
    static_configs: [{{targets: ['{address}'], labels: {{page: {name}, team: ours}}}}]
    {keys}
    {new_keys}
"
        ));
    }
    jobs
}

fn prometheus_yaml(side: &Side, places: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 900ms, external_labels: {{cluster: home, team: theirs}}}}
remote_write:
  - url: {}
    send_exemplars: true
    metadata_config: {{send: false}}
    queue_config: {{min_shards: 1, max_shards: 1, batch_send_deadline: 200ms}}
scrape_configs:
{}",
        side.sink.url(),
        jobs(side, places, false)
    )
}

fn muster_yaml(side: &Side, places: &Path) -> String {
    let jobs = jobs(side, places, true).replace('$', "$$").replace('\n', "\n        ");
    format!(
        "
receivers:
  prometheus:
    config:
      global:
        scrape_interval: 1s
        scrape_timeout: 900ms
        extra_scrape_metrics: true
        external_labels: {{cluster: home, team: theirs}}
      scrape_configs:
        {jobs}
exporters:
  prometheusremotewrite: {{endpoint: '{}', remote_write_queue: {{num_consumers: 1}}}}
extensions: {{health_check: {{endpoint: HEALTH}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        side.sink.url()
    )
}
