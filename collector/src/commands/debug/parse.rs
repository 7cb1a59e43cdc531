//! `debug parse`: what the scraper reads in a body.

use std::borrow::Cow;
use std::io::{BufWriter, Read, Write};

use clap::{Args, ValueEnum};
use exposition::{
    Event, Format, HistogramSample, Options, ParseError, Parser, RawExemplar, Sample, Strictness, format_of,
    series_labels,
};
use model::{BucketCounts, Histogram, Kind, ResetHint, Span, Timestamp};
use serde_json::{Value, json};

use crate::commands::Failure;

/// Print what the scraper reads in a body of metrics.
///
/// Reads the body on stdin and prints one JSON object per event, in order, one a line:
///
/// {"type":"counter","family":"x"}, {"help":"...","family":"x"} and {"unit":"seconds","family":"x"} are metadata
/// (untyped is "unknown"; protobuf has a help for every family, be it empty).
///
/// {"series":[["__name__","x"],["a","b"]],"value_bits":"3ff0000000000000","ts_ms":123,"st_ms":null,"exemplars":[]} is a
/// sample: labels sorted by name, as they are before relabelling (numbers in `le` and `quantile` have their OpenMetrics
/// form), the value as the 16 hexadecimal digits of its bits, the exposed time and the start time in milliseconds or
/// null. An exemplar is {"labels":[["trace_id","..."]],"value_bits":"...","ts_ms":null}.
///
/// {"histogram":{...},"series":[...],"ts_ms":null,"st_ms":null,"exemplars":[]} is a native histogram, with schema,
/// sum_bits, zero_threshold, count, zero_count, positive_spans and negative_spans ([offset, length]), custom_values and
/// reset_hint (unknown, yes, no, gauge). Its buckets are positive_deltas and negative_deltas where counts are whole
/// numbers, positive_counts and negative_counts where they are floats.
///
/// Comments print nothing. Native histograms are shown where the body has them (protobuf), followed by the classic
/// series of the same histogram; with --nhcb the classic series are left out: of a histogram with a native form that
/// alone is shown, any other is shown converted.
///
/// The exit code is 0 if the whole body can be scraped. Otherwise the events in front of the error are printed, then the
/// error with its line (in protobuf its byte) on stderr, and the exit code is 1. A label name that stands twice in a
/// series is an error.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ParseArgs {
    /// The format of the body. Wins over --content-type.
    #[arg(long)]
    format: Option<FormatName>,
    /// The Content-Type that came with the body; says the format as it does in a scrape.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Refuse everything that the specification of OpenMetrics 1.0 forbids, as no scraper does. Other formats have no
    /// stricter reading.
    #[arg(long)]
    strict: bool,
    /// Hide the `_created` series of OpenMetrics counters, histograms and summaries and show what they say as st_ms of
    /// the other series. Protobuf has start times of its own, which are always shown.
    #[arg(long)]
    enable_start_timestamps: bool,
    /// Convert classic histograms to native ones with custom buckets (schema -53).
    #[arg(long)]
    nhcb: bool,
}

/// Words of `--format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Prometheus text, 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics 1.0 (or 0.0.1).
    #[value(name = "openmetrics")]
    OpenMetrics,
    /// Delimited protobuf.
    Protobuf,
}

/// Largest body that is read, in bytes.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// Reads stdin, prints to stdout.
pub(crate) fn run(args: &ParseArgs) -> Result<(), Failure> {
    let format = args.format()?;
    let mut body = Vec::new();
    std::io::stdin()
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(|error| Failure(format!("Error: reading the body on stdin: {error}")))?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err(Failure(format!("Error: the body is larger than max_body_bytes ({MAX_BODY_BYTES})")));
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let parsed = print(format, &body, args.options(), &mut out);
    match (out.flush(), parsed) {
        (_, Err(Stop::Bad(error))) => Err(Failure(format!("Error: {error}"))),
        (Err(error), _) | (_, Err(Stop::Output(error))) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure(format!("Error: writing to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

impl ParseArgs {
    fn format(&self) -> Result<Format, Failure> {
        match (self.format, &self.content_type) {
            (Some(FormatName::Text), _) => Ok(Format::Text),
            (Some(FormatName::OpenMetrics), _) => Ok(Format::OpenMetrics),
            (Some(FormatName::Protobuf), _) => Ok(Format::Protobuf),
            (None, None) => {
                Err(Failure("Error: say what the body is: --format or --content-type".to_owned()))
            }
            (None, Some(content_type)) => match format_of(Some(content_type), None) {
                Ok((format, _)) => Ok(format),
                Err(_) => Err(Failure(format!(
                    "Error: --content-type {content_type:?} names no format that can be scraped: give --format"
                ))),
            },
        }
    }

    fn options(&self) -> Options {
        Options {
            native_histograms: true,
            always_classic: !self.nhcb,
            convert_to_nhcb: self.nhcb,
            start_timestamps: self.enable_start_timestamps,
            strictness: if self.strict { Strictness::Specification } else { Strictness::Scrape },
        }
    }
}

/// Why printing ended early.
#[derive(Debug)]
enum Stop {
    Bad(ParseError),
    Output(std::io::Error),
}

/// Prints every event of a body, up to the first error.
fn print(format: Format, body: &[u8], options: Options, out: &mut impl Write) -> Result<(), Stop> {
    let mut parser = Parser::with(format, body, options);
    let mut kind = Kind::Unknown;
    while let Some(event) = parser.next(b"") {
        let shown = match event.map_err(Stop::Bad)? {
            Event::Type { family, kind: of_family } => {
                kind = of_family;
                Ok(json!({ "type": kind.to_string(), "family": family }))
            }
            Event::Help { family, text } => Ok(json!({ "help": text, "family": family })),
            Event::Unit { family, unit } => Ok(json!({ "unit": unit, "family": family })),
            Event::Sample(sample) => {
                series(format, sample.series, kind).map(|series| sample_json(series, &sample))
            }
            Event::Histogram(sample) => {
                series(format, sample.series, kind).map(|series| histogram_json(series, &sample))
            }
            Event::Comment | Event::End => continue,
        };
        let shown = shown.map_err(|error| Stop::Bad(error.at(parser.place())))?;
        writeln!(out, "{shown}").map_err(Stop::Output)?;
    }
    Ok(())
}

/// Labels of a series, sorted by name.
fn series(format: Format, key: &[u8], kind: Kind) -> Result<Value, ParseError> {
    let mut labels = Vec::new();
    series_labels(format, key, kind, &mut labels)?;
    Ok(pairs(labels))
}

fn pairs(mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> Value {
    labels.sort();
    labels.into_iter().map(|(name, value)| json!([name, value])).collect()
}

fn sample_json(series: Value, sample: &Sample<'_>) -> Value {
    json!({
        "series": series,
        "value_bits": bits(sample.value),
        "ts_ms": sample.timestamp.map(Timestamp::millis),
        "st_ms": sample.start.map(Timestamp::millis),
        "exemplars": exemplars(sample.exemplar.iter()),
    })
}

fn histogram_json(series: Value, sample: &HistogramSample<'_>) -> Value {
    json!({
        "series": series,
        "histogram": buckets_json(&sample.histogram),
        "ts_ms": sample.timestamp.map(Timestamp::millis),
        "st_ms": sample.start.map(Timestamp::millis),
        "exemplars": exemplars(sample.exemplars.iter()),
    })
}

fn buckets_json(histogram: &Histogram) -> Value {
    let mut shown = json!({
        "schema": histogram.schema,
        "sum_bits": bits(histogram.sum),
        "zero_threshold": number(histogram.zero_threshold),
        "positive_spans": spans(&histogram.positive_spans),
        "negative_spans": spans(&histogram.negative_spans),
        "custom_values": numbers(&histogram.custom_values),
        "reset_hint": match histogram.reset_hint {
            ResetHint::Unknown => "unknown",
            ResetHint::Yes => "yes",
            ResetHint::No => "no",
            ResetHint::Gauge => "gauge",
        },
    });
    match &histogram.counts {
        BucketCounts::Integer { count, zero, positive_deltas, negative_deltas } => {
            (shown["count"], shown["zero_count"]) = (json!(count), json!(zero));
            shown["positive_deltas"] = json!(positive_deltas);
            shown["negative_deltas"] = json!(negative_deltas);
        }
        BucketCounts::Float { count, zero, positive, negative } => {
            (shown["count"], shown["zero_count"]) = (number(*count), number(*zero));
            shown["positive_counts"] = numbers(positive);
            shown["negative_counts"] = numbers(negative);
        }
    }
    shown
}

fn spans(spans: &[Span]) -> Value {
    spans.iter().map(|span| json!([span.offset, span.length])).collect()
}

fn exemplars<'e, 'b: 'e>(exemplars: impl Iterator<Item = &'e RawExemplar<'b>>) -> Value {
    exemplars
        .map(|exemplar| {
            json!({
                "labels": pairs(exemplar.labels().collect()),
                "value_bits": bits(exemplar.value),
                "ts_ms": exemplar.timestamp.map(Timestamp::millis),
            })
        })
        .collect()
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// A number of JSON, or where it has none the word that Prometheus uses.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(exposition::float_label(value)) }
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|value| number(*value)).collect()
}

#[cfg(test)]
mod tests;
