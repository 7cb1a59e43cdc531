//! A scraper and its allocator when the allocator is away, wrong, or restarting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use world::fleet::Fleet;
use world::http::{self, Server};
use world::sink::Sink;

use crate::Case;
use crate::programs::{Collector, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("nonsense_from_the_allocator_never_drops_a_target", || block_on(nonsense())),
    Case::new("a_scraper_starts_without_its_allocator_from_the_last_assignment", || {
        block_on(without_allocator())
    }),
    Case::new("a_target_that_moved_ends_without_stale_markers_and_one_that_is_gone_with_them", || {
        block_on(moved_or_gone())
    }),
    Case::new(
        "a_scraper_that_ends_in_the_middle_of_a_handover_neither_loses_nor_doubles_what_it_holds_back",
        || block_on(ended_in_doubt()),
    ),
];

/// What a scripted allocator of the upstream kind answers.
#[derive(Clone, Debug)]
enum Script {
    /// Jobs and targets as they should be: for each target its collector.
    Well(Vec<(String, &'static str)>),
    /// One target, of which it is the turn of another scraper at this time; open or not.
    Until(String, i64, bool),
    /// The same status and body for everything.
    Same(u16, &'static str, &'static str),
    /// No jobs and no targets, as an upstream allocator answers while it starts.
    Empty,
}

struct ScriptedAllocator {
    server: Server,
    script: Arc<Mutex<Script>>,
}

impl ScriptedAllocator {
    async fn start(script: Script) -> Result<Self> {
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        let server = Server::start(move |request: http::Request| {
            let script = shared.lock().expect("no test panics in here").clone();
            async move { Ok(answer(&script, request.uri().path(), request.uri().query().unwrap_or(""))) }
        })
        .await?;
        Ok(Self { server, script })
    }

    fn play(&self, script: Script) {
        *self.script.lock().expect("no test panics in here") = script;
    }
}

fn answer(script: &Script, path: &str, query: &str) -> http::Reply {
    let json = "application/json";
    match (script, path) {
        (Script::Same(status, content_type, body), _) => http::reply(*status, content_type, *body),
        (Script::Empty, "/scrape_configs") => http::reply(200, json, "{}"),
        (Script::Empty, _) => http::reply(200, json, "[]\n"),
        (Script::Well(_) | Script::Until(..), "/scrape_configs") => {
            let job = serde_json::json!({ "even": { "job_name": "even", "scrape_interval": "300ms", "scrape_timeout": "250ms",
                "static_configs": [{ "targets": ["discarded:1"] }], "a_key_of_the_future": true } });
            http::reply(200, json, job.to_string())
        }
        (Script::Well(targets), "/jobs/even/targets") => {
            let groups = |collector: &str| -> Vec<serde_json::Value> {
                let own = targets.iter().filter(|(_, owner)| *owner == collector);
                own.map(|(address, _)| serde_json::json!({ "targets": [address], "labels": { "__address__": address } })).collect()
            };
            let body = match query.strip_prefix("collector_id=") {
                Some(collector) => serde_json::json!(groups(collector)),
                None => serde_json::json!({
                    "s-0": { "_link": "", "targets": groups("s-0") },
                    "s-1": { "_link": "", "targets": groups("s-1") },
                }),
            };
            http::reply(200, json, body.to_string())
        }
        (Script::Until(address, at, is_open), "/jobs/even/targets") => {
            let mut labels =
                serde_json::json!({ "__address__": address, "__meta_muster_until": at.to_string() });
            if *is_open {
                labels["__meta_muster_open"] = "true".into();
            }
            http::reply(
                200,
                json,
                serde_json::json!([{ "targets": [address], "labels": labels }]).to_string(),
            )
        }
        _ => http::reply(404, "text/plain", "404 page not found"),
    }
}

fn yaml(allocator: &str, sink: &Sink) -> String {
    yaml_with(allocator, sink, "200ms")
}

fn yaml_with(allocator: &str, sink: &Sink, refresh: &str) -> String {
    format!(
        "
receivers:
  prometheus:
    target_allocator:
      endpoint: {allocator}
      interval: 200ms
      collector_id: s-0
      storage: file_storage
      http_sd_config: {{refresh_interval: {refresh}}}
exporters:
  prometheusremotewrite: {{endpoint: '{}'}}
extensions:
  health_check: {{endpoint: HEALTH}}
  file_storage: {{directory: kept, create_directory: true}}
service:
  extensions: [health_check, file_storage]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}
",
        sink.url()
    )
}

/// Waits for `n` more scrapes of a target.
async fn scraped(fleet: &Fleet, index: usize, n: usize) -> Result<()> {
    let before = fleet.targets()[index].attempts().len();
    eventually("the target is scraped", Duration::from_secs(20), || async {
        let now = fleet.targets()[index].attempts().len();
        Ok(if now >= before + n { Ok(()) } else { Err(format!("{} of {n} scrapes", now - before)) })
    })
    .await
}

async fn nonsense() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let sink = Sink::start().await?;
    let well = Script::Well(vec![(fleet.address(0), "s-0")]);
    let allocator = ScriptedAllocator::start(well).await?;
    let mut collector = Collector::start("s-0", &yaml(&allocator.server.url(""), &sink)).await?;
    scraped(&fleet, 0, 2).await?;
    for script in [
        Script::Same(500, "text/plain", "internal error"),
        Script::Same(503, "application/json", "[\"not ready\"]"),
        Script::Same(200, "application/json", ""),
        Script::Same(200, "text/html", "<html>a login page</html>"),
        Script::Same(200, "application/json", "[]"),
        Script::Empty,
    ] {
        allocator.play(script.clone());
        // Four scrapes take longer than several polls of jobs and lists.
        scraped(&fleet, 0, 4).await.with_context(|| format!("while the allocator answered {script:?}"))?;
    }
    let totals = sink.ledger().totals();
    ensure!(totals.stale_markers == 0 && totals.duplicated == 0, "{totals:?}");
    ensure!(
        collector.child.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        collector.child.last_words()
    );
    Ok(())
}

async fn without_allocator() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let sink = Sink::start().await?;
    let allocator = ScriptedAllocator::start(Script::Well(vec![(fleet.address(0), "s-0")])).await?;
    let mut collector = Collector::start("s-0", &yaml(&allocator.server.url(""), &sink)).await?;
    scraped(&fleet, 0, 2).await?;
    collector.child.kill()?;
    drop(allocator);
    collector.restart().await?;
    scraped(&fleet, 0, 3).await.context("from the assignment that was kept")?;
    let log = collector.child.stderr();
    ensure!(log.contains("beginning with the assignment of the last run"), "{log}");
    ensure!(log.contains("the allocator has no answer"), "{log}");
    Ok(())
}

async fn moved_or_gone() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(3, 10)).await?;
    let sink = Sink::start().await?;
    let targets = |owners: [Option<&'static str>; 3]| {
        let owned = owners.into_iter().enumerate();
        Script::Well(owned.filter_map(|(index, owner)| Some((fleet.address(index), owner?))).collect())
    };
    let allocator = ScriptedAllocator::start(targets([Some("s-0"); 3])).await?;
    let _collector = Collector::start("s-0", &yaml(&allocator.server.url(""), &sink)).await?;
    for index in 0..3 {
        scraped(&fleet, index, 2).await?;
    }
    allocator.play(targets([Some("s-0"), Some("s-1"), None]));
    // Ten series and five report series of the target that is gone.
    let markers = eventually("the target that is gone ends", Duration::from_secs(20), || async {
        let markers = sink.ledger().totals().stale_markers;
        Ok(if markers >= 15 { Ok(markers) } else { Err(format!("{markers} stale markers")) })
    })
    .await?;
    scraped(&fleet, 0, 4).await?;
    ensure!(
        sink.ledger().totals().stale_markers == markers,
        "the target that moved must end without markers"
    );
    Ok(())
}

async fn ended_in_doubt() -> Result<()> {
    let fleet = Fleet::start(world::fleet::even(1, 10)).await?;
    let address = fleet.address(0);
    // What the allocator says at the end, the turn being at zero; and whether what was held back is sent then.
    let put_off = |at: i64| Script::Until(address.clone(), at + 600_000, true);
    let stood = |at: i64| Script::Until(address.clone(), at, false);
    let silent = |_: i64| Script::Same(503, "application/json", "[\"not ready\"]");
    let cases: [(&dyn Fn(i64) -> Script, bool); 3] = [(&put_off, true), (&stood, false), (&silent, true)];
    for (say, is_sent) in cases {
        let sink = Sink::start().await?;
        let (turn, n_before) = (world::now_ms() + 3_000, fleet.targets()[0].last_sequence());
        let allocator = ScriptedAllocator::start(Script::Until(address.clone(), turn, true)).await?;
        // The list is not fetched again unless somebody is in a hurry.
        let mut collector =
            Collector::start("s-0", &yaml_with(&allocator.server.url(""), &sink, "10m")).await?;
        let slots = || -> Vec<i64> {
            let ledger = sink.ledger();
            let target = ledger.target("even", &address);
            target.map(|target| target.ups.iter().map(|up| up.at).collect()).unwrap_or_default()
        };
        while world::now_ms() < turn {
            scraped(&fleet, 0, 1).await?;
        }
        scraped(&fleet, 0, 4).await.context("it is scraped in doubt as well")?;
        ensure!(slots().iter().all(|at| *at < turn), "it is held back: {turn}, {:?}", slots());
        let script = say(turn);
        allocator.play(script.clone());
        let status = collector.child.terminate(Duration::from_secs(15)).await?;
        ensure!(status.success(), "{}", collector.child.last_words());
        let (slots, totals) = (slots(), sink.ledger().totals());
        let after = slots.iter().filter(|at| **at >= turn).count();
        ensure!(if is_sent { after >= 4 } else { after == 0 }, "{script:?}: {after} of {slots:?}");
        // One that is under way at the end is given up.
        let n_served = (fleet.targets()[0].last_sequence() - n_before) as usize;
        ensure!(!is_sent || slots.len() + 1 >= n_served, "{n_served} scrapes, {} arrived", slots.len());
        ensure!(totals.duplicated == 0 && totals.out_of_order == 0, "{totals:?}");
    }
    Ok(())
}
