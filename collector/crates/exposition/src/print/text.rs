//! Prometheus text, 0.0.4 and 1.0.0: lines of a page.

use super::page::{Head, LineLabels, Names, Part, Sample};
use crate::{float, is_legacy_label_name, is_legacy_metric_name};

/// HELP, where there is a text, and TYPE.
pub(super) fn head(out: &mut String, head: Head<'_>) {
    if !head.help.is_empty() {
        super::help(out, head.name, head.help);
    }
    super::kind(out, head.name, head.kind);
}

/// A series with its value.
pub(super) fn line(
    out: &mut String,
    names: Names<'_>,
    labels: &mut LineLabels<'_, '_>,
    part: Part,
    sample: &Sample<'_>,
) {
    series(out, names, sample.suffix, labels);
    out.push(' ');
    number(out, part, sample.value, float::print);
    if let Some(at) = sample.at {
        out.push(' ');
        out.push_str(&at.to_string());
    }
    out.push('\n');
}

/// A count as an integer where it is one, any other number as `print` writes it.
pub(super) fn number(out: &mut String, part: Part, value: f64, print: fn(&mut String, f64)) {
    /// Up to here every integer is a float.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

    if part.is_count() && (0.0..=MAX_EXACT).contains(&value) && value.fract() == 0.0 {
        out.push_str(&(value as u64).to_string());
    } else {
        print(out, value);
    }
}

/// Name and labels of a series; the name is the family's with a suffix.
pub(super) fn series(out: &mut String, names: Names<'_>, suffix: &str, labels: &mut LineLabels<'_, '_>) {
    let mut separator = '{';
    if is_legacy_metric_name(names.family) {
        out.push_str(names.family);
        out.push_str(suffix);
    } else {
        out.push_str("{\"");
        super::escape(out, names.family, true);
        super::escape(out, suffix, true);
        out.push('"');
        separator = ',';
    }
    for (name, value) in labels.filter(|(name, value)| *name != "__name__" && !value.is_empty()) {
        out.push(separator);
        let name = names.escaping.escape(name);
        super::name(out, &name, is_legacy_label_name(&name));
        out.push_str("=\"");
        super::escape(out, &value, true);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}
