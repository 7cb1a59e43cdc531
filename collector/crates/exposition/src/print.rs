//! Writes pages in every format ([`Printer`]), chooses the format for a reader ([`Negotiated`]), and writes single lines of
//! text 0.0.4.
//!
//! As Prometheus `common/expfmt`, except that negative zero keeps its sign. Names outside the old character set are
//! written in quotes; who serves readers that do not know them escapes them first ([`crate::Escaping`]), as a
//! [`Printer`] does.

mod native;
mod negotiate;
mod openmetrics;
mod page;
mod protobuf;
mod text;

pub use negotiate::Negotiated;
pub use page::{Group, Head, Line, Part, Printer};

use model::{Kind, Timestamp};

use crate::{float, is_legacy_label_name, is_legacy_metric_name};

/// Appends the HELP line of a family.
pub fn help(out: &mut String, family: &str, text: &str) {
    out.push_str("# HELP ");
    name(out, family, is_legacy_metric_name(family));
    out.push(' ');
    escape(out, text, false);
    out.push('\n');
}

/// Appends the TYPE line of a family. Text has fewer words than OpenMetrics: an info and a state set are gauges, a
/// gauge histogram is untyped.
pub fn kind(out: &mut String, family: &str, kind: Kind) {
    out.push_str("# TYPE ");
    name(out, family, is_legacy_metric_name(family));
    out.push_str(match kind {
        Kind::Counter => " counter\n",
        Kind::Gauge | Kind::Info | Kind::StateSet => " gauge\n",
        Kind::Histogram => " histogram\n",
        Kind::Summary => " summary\n",
        Kind::Unknown | Kind::GaugeHistogram => " untyped\n",
    });
}

/// Appends a sample. The name is among the labels, as `__name__`; labels with empty values are left out.
pub fn sample<'l>(
    out: &mut String,
    labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
    value: f64,
    timestamp: Option<Timestamp>,
) {
    series(out, labels);
    out.push(' ');
    float::print(out, value);
    if let Some(Timestamp(millis)) = timestamp {
        out.push(' ');
        out.push_str(&millis.to_string());
    }
    out.push('\n');
}

/// Appends name and labels of a series, as [`sample`] does.
pub fn series<'l>(out: &mut String, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone) {
    let metric = labels.clone().find(|(label, _)| *label == "__name__").map_or("", |(_, metric)| metric);
    let is_bare = is_legacy_metric_name(metric);
    if is_bare {
        out.push_str(metric);
    }
    let mut separator = '{';
    if !is_bare && !metric.is_empty() {
        out.push(separator);
        name(out, metric, false);
        separator = ',';
    }
    for (label, value) in labels.filter(|(label, value)| *label != "__name__" && !value.is_empty()) {
        out.push(separator);
        name(out, label, is_legacy_label_name(label));
        out.push_str("=\"");
        escape(out, value, true);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}

fn name(out: &mut String, name: &str, is_bare: bool) {
    if is_bare {
        return out.push_str(name);
    }
    out.push('"');
    escape(out, name, true);
    out.push('"');
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    // Nearly no text has anything to escape.
    if memchr::memchr3(b'\\', b'\n', b'"', text.as_bytes()).is_none() {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests;
