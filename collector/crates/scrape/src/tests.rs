//! What tests of this crate share: jobs from YAML, targets, scrapes as text.

mod hostile;
mod http;
mod loops;
mod requests;
mod same;

use std::sync::Arc;

use model::{BucketCounts, Histogram, Labels, STALE_BITS, Scrape};

use crate::{GlobalConfig, Job, ScrapeConfig, Target, assemble};

/// A job from YAML; `job_name: j` goes without saying.
pub(crate) fn config(text: &str) -> ScrapeConfig {
    let mut root = config::parse(text, "job.yaml").unwrap().root;
    if root.get("job_name").is_none() {
        root.insert("job_name", config::Node::from("j"));
    }
    config::read(&root, "").unwrap()
}

pub(crate) fn job(text: &str) -> Arc<Job> {
    Arc::new(Job::build(&config(text), &GlobalConfig::default(), ".".as_ref()).unwrap())
}

pub(crate) fn labels(text: &[(&str, &str)]) -> Labels {
    text.iter().copied().collect()
}

/// The target of this job at address `t:1`, with more labels.
pub(crate) fn target(job: &Job, more: &[(&str, &str)]) -> Target {
    let own = labels(&[("__address__", "t:1")]);
    assemble(job, &labels(more), &own).unwrap().unwrap()
}

/// A scrape as exposition text: samples, ends of series, `up`; other reports only when asked for. The labels
/// `job` and `instance` are left out where they are those of [`target`].
pub(crate) fn show(scrape: &Scrape, with_reports: bool) -> String {
    let mut lines = Vec::new();
    for (index, (point, at)) in scrape.timed().enumerate() {
        let all = scrape.table.labels(point.series);
        let name = all.clone().find(|(name, _)| *name == "__name__").map_or("", |(_, name)| name);
        if name.starts_with("scrape_") && !with_reports {
            continue;
        }
        let shown =
            all.filter(|label| !matches!(label, ("__name__", _) | ("job", "j") | ("instance", "t:1")));
        let shown: Vec<String> = shown.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let braces = if shown.is_empty() { String::new() } else { format!("{{{}}}", shown.join(",")) };
        let native = scrape.histograms.iter().find(|(of, _)| *of as usize == index);
        let value = match (native, point.bits) {
            (Some((_, histogram)), _) => show_histogram(histogram),
            (None, STALE_BITS) => "STALE".to_owned(),
            (None, bits) => f64::from_bits(bits).to_string(),
        };
        let time = if at == scrape.at { String::new() } else { format!(" @{at}") };
        let exemplars = scrape.exemplars.iter().filter(|(of, _)| *of as usize == index);
        let exemplars: String = exemplars.map(|(_, it)| format!(" # {} {}", it.labels, it.value)).collect();
        let start = scrape.starts.iter().find(|(of, _)| *of as usize == index);
        let start = start.map(|(_, start)| format!(" since {start}")).unwrap_or_default();
        lines.push(format!("{name}{braces} {value}{time}{start}{exemplars}"));
    }
    lines.join("\n")
}

fn show_histogram(histogram: &Histogram) -> String {
    let count = match &histogram.counts {
        BucketCounts::Integer { count, .. } => count.to_string(),
        BucketCounts::Float { count, .. } => format!("{count:?}"),
    };
    format!("histogram(schema {}, count {count}, sum {})", histogram.schema, histogram.sum)
}
