//! The reference documentation, from the tables.

use std::fmt::Write as _;

use crate::metric::{Group, Kind, METRICS, Needs, Row, ValueType};
use crate::resource::RESOURCE_ATTRIBUTES;

/// The tables as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics of the receiver `kubeletstats`\n\n\
         Made from the tables in `kubelet/src/metric.rs` and `kubelet/src/resource.rs`; `cargo xtask bless` writes it anew. Values \
         are integers unless the kind says double. Each metric is switched by `metrics: {NAME: {enabled: true}}`.\n",
    );
    let groups = [
        (Group::Container, "container"),
        (Group::Pod, "pod"),
        (Group::Node, "node"),
        (Group::Volume, "volume"),
    ];
    for (group, name) in groups {
        write!(
            text,
            "\n## `{name}`\n\n| metric | unit | kind | attributes | default | from | what it says |\n|---|---|---|---|---|---|---|\n"
        )
        .expect(INFALLIBLE);
        for row in METRICS.iter().filter(|row| row.group == group) {
            line(row, &mut text);
        }
    }
    text.push_str("\n## Resource attributes\n\n| attribute | default | what it says |\n|---|---|---|\n");
    for row in RESOURCE_ATTRIBUTES {
        writeln!(text, "| `{}` | {} | {} |", row.name, switch(row.is_on), row.description).expect(INFALLIBLE);
    }
    text
}

const INFALLIBLE: &str = "a string takes any text";

fn line(row: &Row, text: &mut String) {
    let kind = match row.kind {
        Kind::Gauge => "gauge",
        Kind::MonotonicSum => "counter",
        Kind::Sum => "sum",
    };
    let value = if row.value == ValueType::Double { ", double" } else { "" };
    let attributes: Vec<String> = row.attributes.iter().map(|name| format!("`{name}`")).collect();
    let from = match row.needs {
        Needs::Summary => "`/stats/summary`",
        Needs::Pods => "`/pods` too",
        Needs::Node => "the API server's node too",
    };
    writeln!(
        text,
        "| `{}` | `{}` | {kind}{value} | {} | {} | {from}: `{}` | {} |",
        row.name,
        row.unit,
        attributes.join(", "),
        switch(row.is_on),
        row.source,
        row.description
    )
    .expect(INFALLIBLE);
}

fn switch(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    #[test]
    fn the_reference_is_fresh() {
        expect_file!["../REFERENCE.md"].assert_eq(&super::reference());
    }
}
