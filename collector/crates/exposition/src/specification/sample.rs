//! Samples as the specification sees them, and which of them a type allows.

use std::borrow::Cow;

use model::{Kind, Timestamp};

use crate::event::Sample;
use crate::names::is_name_byte;
use crate::series::{Block, Pairs, Rules, series_labels};
use crate::{Format, float};

/// A sample with its labels, the name first.
#[derive(Debug)]
pub(super) struct Read<'a> {
    labels: Pairs<'a>,
    pub(super) value: f64,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) has_exemplar: bool,
}

impl Read<'_> {
    pub(super) fn name(&self) -> &str {
        &self.labels[0].1
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels[1..].iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Labels, sorted, without the one that tells the series of a group apart.
    pub(super) fn group(&self, without: &str) -> Vec<(String, String)> {
        let others = self.labels[1..].iter().filter(|(name, _)| name != without);
        let mut group: Vec<_> = others.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        group.sort_unstable();
        group
    }
}

/// Reads a sample; names must be bare, commas must not trail, exemplars must be short.
pub(super) fn read<'a>(sample: &Sample<'a>) -> Result<Read<'a>, String> {
    let mut labels = Vec::new();
    series_labels(Format::OpenMetrics, sample.series, Kind::Unknown, &mut labels)
        .map_err(|error| error.message)?;
    let name_end = sample.series.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(sample.series.len());
    if name_end < sample.series.len() {
        check_block(&sample.series[name_end + 1..])?;
    }
    if let Some(exemplar) = sample.exemplar {
        if let Some(block) = exemplar.block() {
            check_block(block)?;
        }
        check_length(exemplar.labels())?;
    }
    Ok(Read {
        labels,
        value: sample.value,
        timestamp: sample.timestamp,
        has_exemplar: sample.exemplar.is_some(),
    })
}

fn check_block(block: &[u8]) -> Result<(), String> {
    let mut block = Block::new(block, 0, Rules::Specification);
    while block.item().map_err(|bad| bad.reason)?.is_some() {}
    Ok(())
}

fn check_length<'a>(labels: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<(), String> {
    /// Of names and values together.
    const MAX_EXEMPLAR_CHARACTERS: usize = 128;
    let n_characters: usize = labels.map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if n_characters <= MAX_EXEMPLAR_CHARACTERS {
        return Ok(());
    }
    Err(format!(
        "the labels of an exemplar have {n_characters} characters, max_exemplar_characters is {MAX_EXEMPLAR_CHARACTERS}"
    ))
}

/// The suffixes of the samples of a type.
pub(super) fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["_total", "_created"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        Kind::Info => &["_info"],
        Kind::StateSet | Kind::Gauge | Kind::Unknown => &[""],
    }
}

/// Checks value, labels and exemplar of a sample against the type of its family.
pub(super) fn check(kind: Kind, family: &str, suffix: &str, sample: &Read<'_>) -> Result<(), String> {
    let value = sample.value;
    let counts = matches!(suffix, "_total" | "_sum" | "_count" | "_bucket" | "_gcount" | "_gsum");
    if counts && value.is_nan() {
        return Err(format!("a {suffix} sample must not be NaN"));
    }
    if counts && suffix != "_gsum" && value < 0.0 {
        return Err(format!("a {suffix} sample must not be negative"));
    }
    if matches!(suffix, "_count" | "_bucket" | "_gcount") && value.fract() != 0.0 {
        return Err(format!("a {suffix} sample must be a whole number"));
    }
    let allows_exemplar = matches!((kind, suffix), (Kind::Counter, "_total") | (_, "_bucket"));
    if sample.has_exemplar && !allows_exemplar {
        return Err(
            "only _total samples of counters and _bucket samples of histograms have exemplars".to_owned()
        );
    }
    match (kind, suffix) {
        (_, "_bucket") => bound(sample).map(drop),
        (Kind::Summary, "") => check_quantile(sample),
        (Kind::StateSet, _) if sample.label(family).is_none() => {
            Err(format!("a state set needs the label {family:?}"))
        }
        (Kind::StateSet, _) if value != 0.0 && value != 1.0 => Err("a state is 0 or 1".to_owned()),
        (Kind::Info, _) if value != 1.0 => Err("the value of an info is 1".to_owned()),
        _ => Ok(()),
    }
}

/// The bound of a bucket.
pub(super) fn bound(sample: &Read<'_>) -> Result<f64, String> {
    let Some(text) = sample.label("le") else { return Err("a bucket needs the label \"le\"".to_owned()) };
    match float::parse(text.as_bytes()) {
        Some(bound) if bound == f64::INFINITY && text != "+Inf" => {
            Err(format!("the last bound is written +Inf, not {text:?}"))
        }
        Some(bound) if !bound.is_nan() => Ok(bound),
        _ => Err(format!("the bound {text:?} of a bucket is no number")),
    }
}

fn check_quantile(sample: &Read<'_>) -> Result<(), String> {
    let Some(text) = sample.label("quantile") else {
        return Err("a quantile of a summary needs the label \"quantile\"".to_owned());
    };
    if !float::parse(text.as_bytes()).is_some_and(|quantile| (0.0..=1.0).contains(&quantile)) {
        return Err(format!("the quantile {text:?} is no number from 0 to 1"));
    }
    if sample.value < 0.0 { Err("the value of a quantile must not be negative".to_owned()) } else { Ok(()) }
}
