//! OpenMetrics 1.0: lines of a page.
//!
//! As Prometheus `common/expfmt`, and beyond it with the types info, stateset and gaugehistogram. A counter whose series are not
//! called `_total` and an info that is not called `_info` are of type unknown, because the format has no such ones.

use std::borrow::Cow;

use model::{Exemplar, Kind, Timestamp};

use super::page::{Head, LineLabels, Names, Part, Sample, unit_of};
use super::text;
use crate::{float, is_legacy_metric_name};

/// HELP and UNIT, where there are any, and TYPE.
pub(super) fn head(out: &mut String, head: Head<'_>) {
    let (name, kind) = family(head);
    if !head.help.is_empty() {
        out.push_str("# HELP ");
        super::name(out, name, is_legacy_metric_name(name));
        out.push(' ');
        // Unlike in the older format, quotes are escaped here too.
        super::escape(out, head.help, true);
        out.push('\n');
    }
    out.push_str("# TYPE ");
    super::name(out, name, is_legacy_metric_name(name));
    out.push(' ');
    out.push_str(kind.as_str());
    out.push('\n');
    // Infos and state sets have no unit.
    let has_unit = !matches!(kind, Kind::Info | Kind::StateSet);
    if let Some(unit) = unit_of(name, head.unit).filter(|_| has_unit) {
        out.push_str("# UNIT ");
        super::name(out, name, is_legacy_metric_name(name));
        out.push(' ');
        out.push_str(unit);
        out.push('\n');
    }
}

/// The family's name without the suffix of its series, and the type that it can have with it.
fn family(head: Head<'_>) -> (&str, Kind) {
    let suffix = match head.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        kind => return (head.name, kind),
    };
    match head.name.strip_suffix(suffix) {
        Some(name) if !name.is_empty() => (name, head.kind),
        _ => (head.name, Kind::Unknown),
    }
}

/// A series with its value and exemplar.
pub(super) fn line(
    out: &mut String,
    names: Names<'_>,
    labels: &mut LineLabels<'_, '_>,
    part: Part,
    sample: &Sample<'_>,
) {
    let own = part.label();
    let mut labels = labels.map(|(name, value)| {
        let is_bound = name == own && !own.is_empty();
        (name, if is_bound { bound(value) } else { value })
    });
    text::series(out, names, sample.suffix, &mut labels);
    out.push(' ');
    text::number(out, part, sample.value, number);
    if let Some(at) = sample.at {
        out.push(' ');
        seconds(out, at);
    }
    // Only these may have one.
    let is_exemplary = part == Part::Bucket || sample.suffix.is_empty() && names.family.ends_with("_total");
    if let Some(exemplar) = sample.exemplar.filter(|_| is_exemplary) {
        self::exemplar(out, names, exemplar);
    }
    out.push('\n');
}

/// A bound in the one spelling that the format has for it.
fn bound(text: Cow<'_, str>) -> Cow<'_, str> {
    float::parse(text.as_bytes()).map_or(text, |bound| Cow::Owned(crate::float_label(bound)))
}

/// Since when a group counts.
pub(super) fn created<'l>(
    out: &mut String,
    head: Head<'_>,
    names: Names<'_>,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    start: Timestamp,
) {
    let names = Names { family: family(head).0, ..names };
    let mut labels = labels.map(|(name, value)| (name, Cow::Borrowed(value)));
    text::series(out, names, "_created", &mut labels);
    out.push(' ');
    seconds(out, start);
    out.push('\n');
}

fn exemplar(out: &mut String, names: Names<'_>, exemplar: &Exemplar) {
    out.push_str(" # {");
    for (index, (name, value)) in exemplar.labels.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        let name = names.escaping.escape(name);
        super::name(out, &name, crate::is_legacy_label_name(&name));
        out.push_str("=\"");
        super::escape(out, value, true);
        out.push('"');
    }
    out.push_str("} ");
    number(out, exemplar.value);
    if let Some(at) = exemplar.at {
        out.push(' ');
        seconds(out, at);
    }
}

/// A number with `.0` where it would look like an integer.
fn number(out: &mut String, value: f64) {
    let start = out.len();
    float::print(out, value);
    if value.is_finite() && !out[start..].contains(['.', 'e']) {
        out.push_str(".0");
    }
}

/// A time in seconds, to the millisecond.
fn seconds(out: &mut String, at: Timestamp) {
    let (sign, millis) = if at.0 < 0 { ("-", at.0.unsigned_abs()) } else { ("", at.0.unsigned_abs()) };
    out.push_str(&format!("{sign}{}.{:03}", millis / 1000, millis % 1000));
}
