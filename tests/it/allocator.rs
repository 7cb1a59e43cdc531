//! The allocator as an upstream receiver sees it: polls `/scrape_configs`, then each job's targets; bytes and all.
//!
//! The client is reqwest, so that nothing of ours agrees with itself here.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Case;
use crate::programs::{self, Allocator, block_on, eventually};

pub(crate) const CASES: &[Case] = &[
    Case::new("an_upstream_client_sees_the_contract", || block_on(contract())),
    Case::new("nothing_is_said_before_it_is_certain", || block_on(not_ready())),
    Case::new("the_example_in_deploy_starts", || block_on(example())),
    Case::new("bad_configurations_end_the_start_with_a_place", bad_configurations),
];

const YAML: &str = "
collectors: {static: [c-0, c-1]}
a_key_of_the_future: 1
config:
  global: {scrape_interval: 1m}
  scrape_configs:
    - job_name: node/plain +x
      basic_auth: {username: u, password: hunter2}
      static_configs:
        - {targets: ['h1:9100', 'h2:9100', 'h3:9100', 'h4:9100'], labels: {env: x}}
        - {targets: ['dropped:9100']}
      relabel_configs:
        - {source_labels: [__address__], regex: dropped.*, action: drop}
    - {job_name: empty, static_configs: [{targets: []}]}
";

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Answer> {
    let response = client.get(url).send().await.with_context(|| format!("asking {url}"))?;
    let header = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let (status, content_type) = (response.status().as_u16(), header.unwrap_or("").to_owned());
    Ok(Answer { status, content_type, body: response.text().await.context("reading the answer")? })
}

fn client() -> Result<reqwest::Client> {
    let settings = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    settings.timeout(Duration::from_secs(10)).build().context("building a client")
}

async fn contract() -> Result<()> {
    let mut allocator = Allocator::start(YAML)?;
    allocator.ready().await?;
    let (client, url) = (client()?, allocator.url.clone());
    let ask = |path: &str| {
        let (client, url) = (client.clone(), format!("{url}{path}"));
        async move { get(&client, &url).await }
    };

    let configs = ask("/scrape_configs").await?;
    ensure!(
        (configs.status, configs.content_type.as_str()) == (200, "application/json"),
        "{}",
        configs.content_type
    );
    let job = &serde_json::from_str::<Value>(&configs.body)?["node/plain +x"];
    ensure!(
        job["job_name"] == "node/plain +x"
            && job["scrape_interval"] == "1m"
            && job["scrape_timeout"] == "10s",
        "{job}"
    );
    ensure!(job["basic_auth"]["password"] == "<secret>" && !configs.body.contains("hunter2"), "{job}");
    ensure!(job["metric_name_validation_scheme"] == "utf8" && job["honor_timestamps"] == true, "{job}");
    ensure!(
        job["relabel_configs"][0]
            == json!({ "source_labels": ["__address__"], "regex": "dropped.*", "action": "drop",
        "replacement": "$1", "separator": ";" }),
        "{job}"
    );

    let escaped = "/jobs/node%2Fplain+%2Bx/targets";
    let jobs = ask("/jobs").await?;
    ensure!(
        jobs.body.trim() == format!("{{\"node/plain +x\":{{\"_link\":\"{escaped}\"}}}}"),
        "{}",
        jobs.body
    );

    let mut all = Vec::new();
    for collector in ["c-0", "c-1"] {
        let list = ask(&format!("{escaped}?collector_id={collector}")).await?;
        ensure!(
            (list.status, list.content_type.as_str()) == (200, "application/json"),
            "{}",
            list.content_type
        );
        for group in serde_json::from_str::<Vec<Value>>(&list.body)? {
            let address = group["targets"][0].as_str().context("a target")?.to_owned();
            ensure!(
                group == json!({ "targets": [address], "labels": { "__address__": address, "env": "x" } }),
                "{group}"
            );
            all.push(address);
        }
        let again = ask(&format!("{escaped}?collector_id={collector}")).await?;
        ensure!(again.body == list.body, "two polls give the same bytes");
    }
    all.sort();
    ensure!(all == ["h1:9100", "h2:9100", "h3:9100", "h4:9100"], "every target has one owner: {all:?}");

    // vmagent unescapes what it asks for.
    let plain = ask("/jobs/node/plain%20%2Bx/targets?collector_id=c-0").await?;
    let with_escapes = ask(&format!("{escaped}?collector_id=c-0")).await?;
    ensure!(plain.status == 200 && plain.body == with_escapes.body, "{} {}", plain.status, plain.body);

    let whole: Value = serde_json::from_str(&ask(escaped).await?.body)?;
    let owned: usize =
        ["c-0", "c-1"].iter().filter_map(|name| whole[name]["targets"].as_array()).map(Vec::len).sum();
    ensure!(owned == 4 && whole["c-0"]["_link"].is_string(), "{whole}");

    statuses(&client, &url, escaped).await?;
    let page = client.get(format!("{url}/")).header("accept", "text/html").send().await?.text().await?;
    ensure!(page.contains("c-0") && page.contains("node/plain +x"), "{page}");
    let metrics = ask("/metrics").await?.body;
    for name in [
        "opentelemetry_allocator_targets{",
        "opentelemetry_allocator_collectors_discovered",
        "opentelemetry_allocator_targets_per_collector{",
    ] {
        ensure!(metrics.contains(name), "{name} is not in:\n{metrics}");
    }
    let log = allocator.child.stderr();
    ensure!(log.contains("a_key_of_the_future"), "an unknown key earns a warning: {log}");
    ensure!(allocator.child.terminate(Duration::from_secs(10)).await?.success(), "it ends well");
    Ok(())
}

/// What is asked for and is not there, or is asked for in another way.
async fn statuses(client: &reqwest::Client, url: &str, escaped: &str) -> Result<()> {
    for (path, status, body) in [
        (format!("{escaped}?collector_id=nobody"), 200, "[]\n"),
        ("/jobs/unknown/targets?collector_id=c-0".to_owned(), 200, "[]\n"),
        ("/jobs/empty/targets?collector_id=c-0".to_owned(), 200, "[]\n"),
        ("/livez".to_owned(), 200, ""),
        ("/readyz".to_owned(), 200, ""),
        ("/nonsense".to_owned(), 404, "404 page not found"),
    ] {
        let answer = get(client, &format!("{url}{path}")).await?;
        ensure!(
            (answer.status, answer.body.as_str()) == (status, body),
            "{path}: {} {:?}",
            answer.status,
            answer.body
        );
    }
    ensure!(
        get(client, &format!("{url}/jobs/")).await?.status == 301,
        "a trailing slash leads to the form without"
    );
    ensure!(client.post(format!("{url}/jobs")).send().await?.status() == 404, "only GET");
    Ok(())
}

async fn not_ready() -> Result<()> {
    let yaml = "
collectors: {static: [c-0]}
config:
  scrape_configs:
    - {job_name: silent, http_sd_configs: [{url: 'http://127.0.0.1:1/'}]}
    - {job_name: known, static_configs: [{targets: ['h:1']}]}
";
    let mut allocator = Allocator::start(yaml)?;
    let url = allocator.url.clone();
    allocator.child.ready(&format!("{url}/livez"), Duration::from_secs(20)).await?;
    let client = client()?;
    // In its first moments it says that it starts.
    eventually("the job that is waited for", Duration::from_secs(20), || async {
        let answer = get(&client, &format!("{url}/readyz")).await?;
        ensure!(answer.status == 503, "{} {}", answer.status, answer.body);
        Ok(if answer.body.contains("silent") { Ok(()) } else { Err(answer.body) })
    })
    .await?;
    for path in ["/readyz", "/scrape_configs", "/jobs", "/jobs/known/targets?collector_id=c-0"] {
        let answer = get(&client, &format!("{url}{path}")).await?;
        ensure!(answer.status == 503, "{path}: {} {}", answer.status, answer.body);
        let as_map = serde_json::from_str::<serde_json::Map<String, Value>>(&answer.body);
        ensure!(
            !answer.body.trim().is_empty() && as_map.is_err(),
            "{path}: {:?} could be taken for jobs",
            answer.body
        );
        ensure!(answer.body.contains("silent"), "{path}: the reason is not in {:?}", answer.body);
    }
    Ok(())
}

async fn example() -> Result<()> {
    let path = crate::tidy::root().join("deploy/examples/allocator.yaml");
    let yaml = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut allocator = Allocator::start(&yaml)?;
    allocator.ready().await?;
    // Nobody has polled yet, so nobody has targets; the jobs are known all the same.
    let configs = get(&client()?, &format!("{}/scrape_configs", allocator.url)).await?;
    ensure!(
        configs.status == 200 && configs.body.contains("\"job_name\":\"node\""),
        "{} {}",
        configs.status,
        configs.body
    );
    Ok(())
}

fn bad_configurations() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bad.yaml");
    for (yaml, parts) in [
        ("collectors: [\n", &["bad.yaml:"][..]),
        ("collectors: {static: [a]}\nallocation_strategy: fair\n", &["bad.yaml:2", "fair"]),
        (
            "collectors: {static: [a]}\nconfig:\n  scrape_configs:\n    - {job_name: a, scrape_interval: 10x}\n",
            &["bad.yaml:4", "scrape_interval", "10x"],
        ),
        ("collectors: {static: [a]}\nprometheus_cr: {enabled: true}\n", &["collector_namespace"]),
    ] {
        std::fs::write(&path, yaml)?;
        let file = path.display().to_string();
        let outcome = programs::run(
            &programs::muster_allocator(),
            &["--config-file", &file, "--listen-addr=127.0.0.1:0"],
        )?;
        ensure!(outcome.code == Some(1), "exit code {:?} for:\n{yaml}\n{}", outcome.code, outcome.stderr);
        for part in parts {
            ensure!(
                outcome.stderr.contains(part),
                "`{part}` is not said of:\n{yaml}\nbut:\n{}",
                outcome.stderr
            );
        }
    }
    Ok(())
}
