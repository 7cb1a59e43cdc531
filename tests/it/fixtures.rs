//! Forty collector configurations from tutorials and articles, and our own examples: what validates, what is refused,
//! and what waits for a component that does not exist yet.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::Case;
use crate::programs::{self, Outcome};
use crate::tidy::root;

pub(crate) const CASES: &[Case] = &[
    Case::new("fixtures_whose_components_exist_validate_unmodified", existing_validate),
    Case::new("pending_fixtures_lack_exactly_the_types_that_are_listed", pending_is_exact),
    Case::new("a_slipped_section_is_refused_with_a_hint", misindented_is_refused),
    Case::new("a_duplicate_key_is_reported_with_both_places", duplicate_key_warns),
    Case::new("every_example_in_deploy_validates", examples_validate),
];

/// Fixtures that wait for components, with the missing types. This list may only shrink.
const PENDING: &[(&str, &[&str])] = &[
    ("eu23-02-collector-plus-jaeger.yaml", &["jaeger", "loki", "otlp", "otlphttp"]),
    ("eu23-02-collector.yaml", &["loki", "otlp", "otlphttp"]),
    ("eu23-03-collector-plus-attributes.yaml", &["attributes", "loki", "otlp", "otlphttp"]),
    ("eu23-03-collector-prom-cr.yaml", &["loki", "otlp", "otlphttp"]),
    ("eu23-04-collector-plus-spanmetrics.yaml", &["loki", "otlp", "otlphttp", "spanmetrics"]),
    ("eu23-05-collector-daemonset.yaml", &["attributes", "filelog", "loki"]),
    ("eu23-05-logs-filelog-fragment.yaml", &["filelog"]),
    ("eu24-03-collector.yaml", &["otlp", "otlphttp"]),
    ("eu24-05-collector-1-tail-sampling.yaml", &["otlp", "otlphttp", "tail_sampling"]),
    ("eu24-05-collector-2-gateway.yaml", &["otlp", "otlphttp", "tail_sampling"]),
    ("eu24-05-collector-2-loadbalancing.yaml", &["loadbalancing", "otlphttp"]),
    ("eu24-05-markdown-jaegerremotesampling.yaml", &["jaegerremotesampling"]),
    ("eu24-06-collector-spanmetrics.yaml", &["otlp", "otlphttp", "spanmetrics", "tail_sampling"]),
    ("eu24-07-collector-transform.yaml", &["otlp", "otlphttp", "transform"]),
    ("eu24-07-markdown-transform-four-statements.yaml", &["otlp", "otlphttp", "transform"]),
    ("eu24-07-markdown-transform-two-statements.yaml", &["otlp", "otlphttp", "transform"]),
    ("eu24-08-otel-daemonset.yaml", &["otlp"]),
    ("na23-05-markdown-ta-otlphttp.yaml", &["otlphttp"]),
    ("na23-06-k8s-cluster-metrics-agent.yaml", &["k8sattributes", "resourcedetection"]),
    ("na23-06-k8s-cluster-metrics.yaml", &["k8s_cluster", "resourcedetection"]),
    ("na23-07-collector-correlation.yaml", &["k8sattributes", "otlp", "otlphttp", "spanmetrics"]),
    ("na23-07-markdown-resourcedetection.yaml", &["resourcedetection"]),
    ("na23-07-markdown-spanmetrics-exemplars.yaml", &["otlp", "spanmetrics"]),
    ("na23-app-collector-docker.yaml", &["pprof", "zpages"]),
    ("traces-jaeger.yaml", &["otlp"]),
    ("traces-tempo.yaml", &["otlp"]),
    ("two-tier-agent.yaml", &["k8sattributes", "otlp"]),
    ("two-tier-gateway.yaml", &["loki", "otlp", "tail_sampling"]),
    ("two-tier-loadbalancing.yaml", &["loadbalancing"]),
];

/// The fixture that has to fail.
const REFUSED: &str = "na23-05-markdown-misindented.yaml";

fn fixtures() -> Result<Vec<(String, PathBuf)>> {
    let folder = root().join("tests/corpus/configs");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        found.push((name, path));
    }
    found.sort();
    ensure!(found.len() == 40, "expected 40 fixtures, found {}", found.len());
    Ok(found)
}

fn validate(path: &std::path::Path) -> Result<Outcome> {
    programs::run(&programs::muster(), &["validate", "--config", &path.display().to_string()])
}

fn pending(name: &str) -> Option<&'static [&'static str]> {
    PENDING.iter().find(|(pending, _)| *pending == name).map(|(_, types)| *types)
}

fn existing_validate() -> Result<()> {
    let mut failed = Vec::new();
    let mut n_validated = 0;
    for (name, path) in fixtures()? {
        if name == REFUSED || pending(&name).is_some() {
            continue;
        }
        let outcome = validate(&path)?;
        n_validated += 1;
        if outcome.code != Some(0) {
            failed.push(format!("{name}:\n{}", outcome.stderr));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    ensure!(n_validated + PENDING.len() + 1 == 40, "every fixture is accounted for");
    Ok(())
}

/// Types that `validate` did not know, from its messages.
fn unknown_types(stderr: &str) -> BTreeSet<String> {
    stderr
        .lines()
        .filter_map(|line| line.split_once(" type `"))
        .filter(|(before, _)| before.contains("unknown "))
        .filter_map(|(_, after)| after.split_once('`'))
        .map(|(word, _)| word.to_owned())
        .collect()
}

fn pending_is_exact() -> Result<()> {
    let mut wrong = Vec::new();
    for (name, path) in fixtures()?.into_iter().filter(|(name, _)| name != REFUSED) {
        let outcome = validate(&path)?;
        let listed: BTreeSet<String> =
            pending(&name).unwrap_or_default().iter().map(ToString::to_string).collect();
        let missing = unknown_types(&outcome.stderr);
        if listed != missing {
            wrong.push(format!("(\"{name}\", &{missing:?}),"));
        }
    }
    ensure!(wrong.is_empty(), "the list of pending fixtures should say:\n{}", wrong.join("\n"));
    Ok(())
}

fn misindented_is_refused() -> Result<()> {
    let outcome = validate(&root().join("tests/corpus/configs").join(REFUSED))?;
    ensure!(outcome.code == Some(1), "exit code {:?}", outcome.code);
    for part in ["receivers::exporters", "check its indentation", ":17:3"] {
        ensure!(outcome.stderr.contains(part), "`{part}` is not in:\n{}", outcome.stderr);
    }
    Ok(())
}

fn duplicate_key_warns() -> Result<()> {
    let path = root().join("tests/corpus/configs/eu24-05-collector-2-loadbalancing.yaml");
    let outcome = validate(&path)?;
    let line = outcome
        .stderr
        .lines()
        .find(|line| line.contains("given twice"))
        .context("a line about the duplicate key")?;
    ensure!(
        line.starts_with("warning:")
            && line.contains("`debug`")
            && line.contains(":30:3")
            && line.contains(":12:3"),
        "{line}"
    );
    Ok(())
}

fn examples_validate() -> Result<()> {
    let folder = root().join("deploy/examples");
    let mut n_checked = 0;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        if !name.ends_with(".yaml") || name.starts_with("allocator") {
            continue;
        }
        let outcome = validate(&path)?;
        ensure!(outcome.code == Some(0), "{name}:\n{}", outcome.stderr);
        n_checked += 1;
    }
    ensure!(n_checked >= 3, "only {n_checked} examples were checked");
    Ok(())
}
