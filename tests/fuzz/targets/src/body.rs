//! What holds for a body in any format.
//!
//! Reading ends, and ends for good; a prediction, right or wrong, changes nothing but the flag that says so; a sample
//! whose labels can be read is the same one after it was printed as text and read again.

use std::borrow::Cow;

use exposition::{Event, Format, Options, Parser, Sample, print, series_labels};
use model::{Kind, canonical_bits};

/// Everything that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Events as they are shown, without the flag of the prediction.
    pub(crate) events: Vec<String>,
    /// What ended it.
    pub(crate) error: Option<String>,
    /// The series of each event; empty where it has none.
    series: Vec<Vec<u8>>,
    /// Whether each event was predicted.
    predicted: Vec<bool>,
}

/// Reads a body without and with predictions. Gives what was read.
pub(crate) fn check(format: Format, body: &[u8], options: Options) -> Read {
    let plain = read(format, body, options, |_| &[]);
    let told = read(format, body, options, |index| plain.series.get(index).map_or(&[], Vec::as_slice));
    assert_eq!(told.events, plain.events, "a right prediction changes nothing");
    assert_eq!(told.error, plain.error, "a right prediction changes no error");
    for (series, predicted) in plain.series.iter().zip(&told.predicted) {
        assert!(*predicted || series.is_empty(), "{} was predicted", series.escape_ascii());
    }
    let misled = read(format, body, options, |index| plain.series.get(index + 1).map_or(&[], Vec::as_slice));
    assert_eq!(misled.events, plain.events, "a wrong prediction changes nothing");
    assert_eq!(misled.error, plain.error, "a wrong prediction changes no error");
    plain
}

fn read<'p>(
    format: Format,
    body: &[u8],
    options: Options,
    mut predict: impl FnMut(usize) -> &'p [u8],
) -> Read {
    let mut read = Read { events: Vec::new(), error: None, series: Vec::new(), predicted: Vec::new() };
    let mut parser = Parser::with(format, body, options);
    let mut kind = Kind::Unknown;
    while let Some(event) = parser.next(predict(read.events.len())) {
        match event {
            Ok(event) => note(&mut read, format, event, &mut kind),
            Err(error) => {
                read.error = Some(error.to_string());
                break;
            }
        }
    }
    assert!(parser.next(b"").is_none(), "nothing comes after the end or an error");
    // Counted from the whole body, which must not fail wherever reading ended.
    drop(format!("{:?}", parser.place()));
    read
}

fn note(read: &mut Read, format: Format, mut event: Event<'_>, kind: &mut Kind) {
    let (mut series, mut predicted) = (Vec::new(), false);
    match &mut event {
        Event::Type { kind: of_family, .. } => *kind = *of_family,
        Event::Sample(sample) => {
            predicted = std::mem::take(&mut sample.predicted);
            series = sample.series.to_vec();
            check_sample(format, sample, *kind);
        }
        Event::Histogram(sample) => {
            predicted = std::mem::take(&mut sample.predicted);
            series = sample.series.to_vec();
            drop(labels_of(format, sample.series, *kind));
        }
        _ => {}
    }
    read.events.push(format!("{event:?}"));
    read.series.push(series);
    read.predicted.push(predicted);
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The labels, each name once; `None` where they cannot be read.
fn labels_of(format: Format, series: &[u8], kind: Kind) -> Option<Pairs<'_>> {
    let mut labels = Vec::new();
    series_labels(format, series, kind, &mut labels).ok()?;
    let mut names: Vec<&str> = labels.iter().map(|(name, _)| &**name).collect();
    let n_labels = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_labels, "each label once: {labels:?}");
    Some(labels)
}

/// What is printed as text and read again is the same sample.
fn check_sample(format: Format, sample: &Sample<'_>, kind: Kind) {
    assert!(!sample.value.is_nan() || sample.value.to_bits() == canonical_bits(f64::NAN), "NaN has one form");
    if let Some(exemplar) = &sample.exemplar {
        drop(exemplar.labels().collect::<Vec<_>>());
    }
    let Some(labels) = labels_of(format, sample.series, kind) else { return };
    let is_named = labels.iter().any(|(name, value)| name == "__name__" && !value.is_empty());
    // A NUL in a quoted text ends a page for Prometheus, so text cannot carry what protobuf can.
    let has_nul = labels.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'));
    if !is_named || has_nul {
        return;
    }
    let mut page = String::new();
    let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
    // Text has no times before 1970.
    let timestamp = sample.timestamp.filter(|at| at.millis() >= 0);
    print::sample(&mut page, pairs, sample.value, timestamp);
    let mut parser = Parser::new(Format::Text, page.as_bytes());
    let Some(Ok(Event::Sample(again))) = parser.next(b"") else {
        panic!("{page:?} is not read as a sample");
    };
    assert_eq!(again.value.to_bits(), sample.value.to_bits(), "{page:?}");
    assert_eq!(again.timestamp, timestamp, "{page:?}");
    let mut labels_again = labels_of(Format::Text, again.series, Kind::Unknown).expect("labels were printed");
    let mut labels = labels.clone();
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    labels_again.sort();
    assert_eq!(labels_again, labels, "{page:?}");
}
