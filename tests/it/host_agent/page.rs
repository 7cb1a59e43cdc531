//! Pages of metrics as text, taken apart as far as these tests need it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

/// A page of metrics.
pub(super) struct Page {
    samples: Vec<Sample>,
}

/// One line of it.
pub(super) struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
    /// In milliseconds since the epoch.
    pub(super) at: Option<i64>,
}

impl Sample {
    /// The value of a label; empty where there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Page {
    pub(super) async fn get(url: &str) -> Result<Self> {
        let answer = world::http::get(url).await?;
        ensure!(answer.status == 200, "{url}: status {}", answer.status);
        let text = answer.text();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self { samples: lines.map(sample).collect::<Result<_>>()? })
    }

    /// All samples of a name.
    pub(super) fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.label("__name__") == name)
    }

    /// The value of the only sample of a name that has these labels, beside others.
    pub(super) fn value(&self, name: &str, labels: &[(&str, String)]) -> Result<f64> {
        let has = |sample: &&Sample| labels.iter().all(|(key, value)| sample.label(key) == value);
        let found: Vec<f64> = self.samples(name).filter(has).map(|sample| sample.value).collect();
        ensure!(found.len() == 1, "{name} {labels:?} is there {} times", found.len());
        Ok(found[0])
    }

    /// Series of the host, as text.
    pub(super) fn of_hosts(&self) -> BTreeSet<String> {
        let texts = self.samples.iter().map(|sample| text_of(&sample.labels));
        texts.filter(|text| is_of_host(text)).collect()
    }
}

/// Whether a series is of the host, not of the program that tells it.
pub(super) fn is_of_host(series: &str) -> bool {
    series.starts_with("system_") || series.starts_with("process_cpu_time") || {
        series.starts_with("process_memory") || series.starts_with("process_disk")
    }
}

/// A series as text, without the scope, which remote write leaves out.
pub(super) fn text_of(labels: &BTreeMap<String, String>) -> String {
    let others = labels.iter().filter(|(name, _)| *name != "__name__" && !name.starts_with("otel_scope_"));
    let others: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}{{{}}}", labels.get("__name__").map_or("", String::as_str), others.join(","))
}

fn sample(line: &str) -> Result<Sample> {
    let no_sample = || format!("no sample: {line}");
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.rsplit_once('}').with_context(no_sample)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ').with_context(no_sample)?;
            (name, "", rest)
        }
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().and_then(|word| word.parse().ok()).with_context(no_sample)?;
    let at = words.next().and_then(|word| word.parse().ok());
    let mut labels: BTreeMap<String, String> = labels
        .split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    labels.insert("__name__".to_owned(), name.to_owned());
    Ok(Sample { labels, value, at })
}
