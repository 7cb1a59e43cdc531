//! The reference page: every metric, attribute and decision, printed from the tables.

use std::fmt::Write as _;

use crate::process::attributes::FACTS;
use crate::table::{Decision, Metric, Table};
use crate::{cpu, disk, filesystem, load, memory, network, nfs, paging, process, processes, system};

/// A scraper's name, its metrics, and what was decided about upstream's defects.
pub type Rows = (&'static str, &'static [Metric], &'static [Decision]);

/// The tables of all scrapers.
#[must_use]
pub fn tables() -> [Rows; 11] {
    fn rows<T: Table>() -> Rows {
        (T::SCRAPER, T::METRICS, T::DECISIONS)
    }
    [
        rows::<cpu::Cpu>(),
        rows::<disk::Disk>(),
        rows::<filesystem::Filesystem>(),
        rows::<load::Load>(),
        rows::<memory::Memory>(),
        rows::<network::Network>(),
        rows::<nfs::Nfs>(),
        rows::<paging::Paging>(),
        rows::<process::Process>(),
        rows::<processes::Processes>(),
        rows::<system::System>(),
    ]
}

/// The page as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics of the receiver hostmetrics\n\n\
         Printed from the tables in `hostmetrics/src`; `cargo xtask bless` writes it anew. Metrics that are off are\n\
         switched on by `metrics: {NAME: {enabled: true}}` below their scraper; `attributes` keeps some of the attributes only, and\n\
         `aggregation_strategy` (sum, avg, min, max) says how points then become one.\n",
    );
    for (scraper, metrics, decisions) in tables() {
        put_metrics(&mut page, scraper, metrics);
        put_decisions(&mut page, decisions);
    }
    page.push_str(
        "\n## Resource attributes of the scraper process\n\n| attribute | default | says |\n|---|---|---|\n",
    );
    for (_, key, is_on, description) in FACTS {
        writeln!(page, "| `{key}` | {} | {description} |", default_of(is_on)).ok();
    }
    page
}

fn default_of(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

fn put_metrics(page: &mut String, scraper: &str, metrics: &[Metric]) {
    writeln!(page, "\n## {scraper}\n").ok();
    page.push_str(
        "| metric | unit | type | values | attributes | default | says |\n|---|---|---|---|---|---|---|\n",
    );
    for metric in metrics {
        let attributes: Vec<String> = metric
            .attributes
            .iter()
            .map(|attribute| match attribute.values {
                [] => format!("`{}`", attribute.key),
                values => format!("`{}` ({})", attribute.key, values.join(", ")),
            })
            .collect();
        let number = format!("{:?}", metric.number).to_lowercase();
        writeln!(
            page,
            "| `{}` | {} | {} | {number} | {} | {} | {} |",
            metric.name,
            metric.unit,
            metric.kind.as_str(),
            attributes.join(", "),
            default_of(metric.is_on),
            metric.description,
        )
        .ok();
    }
}

fn put_decisions(page: &mut String, decisions: &[Decision]) {
    if decisions.is_empty() {
        return;
    }
    page.push_str("\n| about | upstream | here | test |\n|---|---|---|---|\n");
    for decision in decisions {
        let Decision { about, upstream, verdict, test } = decision;
        writeln!(page, "| {about} | {upstream} | {} | `{test}` |", verdict.as_str()).ok();
    }
}
