//! What holds for both formats: prediction, errors, and parsing after printing. `shown` is how the tests of the
//! grammars look at events.

use std::borrow::Cow;
use std::fmt::Write as _;

use model::{Kind, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::{
    Event, Format, HistogramSample, Options, Parser, Place, RawExemplar, Sample, float, print, series_labels,
};

/// The formats of lines.
const LINES: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// Events of a body, one line each, in the words of the exposition: what a reader of the events would write.
pub(crate) fn shown(format: Format, body: &[u8]) -> String {
    shown_with(format, body, Options::default())
}

/// The same, with options.
pub(crate) fn shown_with(format: Format, body: &[u8], options: Options) -> String {
    shown_told(format, body, options, |_| b"".to_vec())
}

/// The same, with a prediction for each event.
pub(crate) fn shown_told(
    format: Format,
    body: &[u8],
    options: Options,
    mut predict: impl FnMut(usize) -> Vec<u8>,
) -> String {
    let mut parser = Parser::with(format, body, options);
    let mut last_kind = Kind::Unknown;
    let mut out = String::new();
    let mut n_events = 0;
    while let Some(event) = parser.next(&*predict(n_events)) {
        n_events += 1;
        match event {
            Ok(Event::Type { family, kind }) => {
                last_kind = kind;
                writeln!(out, "type {family} {kind}").unwrap();
            }
            Ok(Event::Help { family, text }) => writeln!(out, "help {family} {text:?}").unwrap(),
            Ok(Event::Unit { family, unit }) => writeln!(out, "unit {family} {unit:?}").unwrap(),
            Ok(Event::Comment) => out.push_str("comment\n"),
            Ok(Event::End) => out.push_str("end\n"),
            Ok(Event::Sample(sample)) => show_sample(&mut out, format, &sample, last_kind),
            Ok(Event::Histogram(sample)) => show_histogram(&mut out, format, &sample, last_kind),
            Err(error) => writeln!(out, "{error}").unwrap(),
        }
    }
    assert!(parser.next(b"").is_none(), "nothing comes after the end");
    out
}

/// Series, bits of the value and time.
type Shown = Option<(Vec<u8>, u64, Option<Timestamp>)>;

/// What each event says of a sample, until the end or an error; nothing where it is none. Before each event `run` may take
/// lines out of turn, and says how many.
fn samples_of(
    format: Format,
    body: &[u8],
    mut run: impl FnMut(&mut Parser<'_>, usize) -> usize,
) -> Vec<Shown> {
    let mut parser = Parser::new(format, body);
    let mut samples: Vec<Shown> = Vec::new();
    loop {
        let n_taken = run(&mut parser, samples.len());
        samples.resize(samples.len() + n_taken, None);
        match parser.next(b"") {
            Some(Ok(Event::Sample(sample))) => {
                samples.push(Some((sample.series.to_vec(), sample.value.to_bits(), sample.timestamp)));
            }
            Some(Ok(_)) => samples.push(None),
            Some(Err(_)) | None => return samples,
        }
    }
}

fn show_sample(out: &mut String, format: Format, sample: &Sample<'_>, kind: Kind) {
    if !show_series(out, format, sample.series, kind) {
        return;
    }
    out.push(' ');
    float::print(out, sample.value);
    show_times(out, sample.timestamp, sample.start);
    sample.exemplar.iter().for_each(|exemplar| show_exemplar(out, exemplar));
    out.push('\n');
}

fn show_histogram(out: &mut String, format: Format, sample: &HistogramSample<'_>, kind: Kind) {
    if !show_series(out, format, sample.series, kind) {
        return;
    }
    write!(out, " {:?}", sample.histogram).unwrap();
    show_times(out, sample.timestamp, sample.start);
    sample.exemplars.iter().for_each(|exemplar| show_exemplar(out, exemplar));
    out.push('\n');
}

/// Shows a series, or why it is none.
fn show_series(out: &mut String, format: Format, series: &[u8], kind: Kind) -> bool {
    let mut labels = Vec::new();
    match series_labels(format, series, kind, &mut labels) {
        Ok(()) => print_pairs(out, &labels),
        Err(ref error) => writeln!(out, "{error}").unwrap(),
    }
    !out.ends_with('\n')
}

fn show_times(out: &mut String, timestamp: Option<Timestamp>, start: Option<Timestamp>) {
    if let Some(timestamp) = timestamp {
        write!(out, " @{timestamp}").unwrap();
    }
    if let Some(start) = start {
        write!(out, " since {start}").unwrap();
    }
}

fn show_exemplar(out: &mut String, exemplar: &RawExemplar<'_>) {
    let labels: Vec<_> = exemplar.labels().collect();
    out.push_str(" # {");
    print_pairs(out, &labels);
    out.push_str("} ");
    float::print(out, exemplar.value);
    show_times(out, exemplar.timestamp, None);
}

fn print_pairs(out: &mut String, labels: &[(Cow<'_, str>, Cow<'_, str>)]) {
    print::series(out, labels.iter().map(|(name, value)| (&**name, &**value)));
}

/// Errors of a body, without what came before them.
pub(crate) fn error(format: Format, body: &[u8]) -> Option<String> {
    let mut parser = Parser::new(format, body);
    let mut found = None;
    while let Some(event) = parser.next(b"") {
        found = event.err().map(|error| error.to_string());
    }
    found
}

/// The first sample of a body.
#[derive(Debug, PartialEq)]
struct First {
    predicted: bool,
    series: String,
    value: f64,
    timestamp: Option<Timestamp>,
}

/// The first sample of a body, told to expect `predicted`.
fn first(format: Format, body: &str, predicted: &str) -> Option<First> {
    match Parser::new(format, body.as_bytes()).next(predicted.as_bytes()) {
        Some(Ok(Event::Sample(Sample { series, predicted, value, timestamp, .. }))) => {
            let series = String::from_utf8(series.to_vec()).unwrap();
            Some(First { predicted, series, value, timestamp })
        }
        _ => None,
    }
}

#[test]
fn a_predicted_series_is_taken_without_being_parsed() {
    for (line, predicted) in [
        ("up 1\n", "up"),
        ("up\t1\n", "up"),
        ("up{a=\"b\"} 1\n", "up{a=\"b\"}"),
        ("up{a=\"b\"}1\n", "up{a=\"b\"}"),
        ("up {a=\"b\"} 1\n", "up {a=\"b\"}"),
        ("{\"up\",a=\"}\"} 1\n", "{\"up\",a=\"}\"}"),
        ("\n \n  up 1", "up"),
    ] {
        let sample = first(Format::Text, line, predicted).unwrap();
        assert_eq!((sample.predicted, &*sample.series, sample.value), (true, predicted, 1.0), "{line}");
    }
    let sample = first(Format::OpenMetrics, "up 1\n# EOF\n", "up").unwrap();
    assert!(sample.predicted);
}

#[test]
fn a_series_that_only_begins_like_the_predicted_one_is_another_one() {
    for (line, predicted, series) in [
        ("foo_bar 1\n", "foo", "foo_bar"),
        ("foo2 1\n", "foo", "foo2"),
        ("foo:sum 1\n", "foo", "foo:sum"),
        ("foo{a=\"b\"} 1\n", "foo", "foo{a=\"b\"}"),
        ("foo {a=\"b\"} 1\n", "foo", "foo {a=\"b\"}"),
        ("foo\t {} 1\n", "foo", "foo\t {}"),
        ("fo 1\n", "foo", "fo"),
        ("foo 1\n", "foo{}", "foo"),
        ("foo 1\n", "", "foo"),
    ] {
        let sample = first(Format::Text, line, predicted).unwrap();
        assert_eq!((sample.predicted, &*sample.series), (false, series), "{line}");
    }
    // In OpenMetrics a blank before the brace is no series at all; text would read one.
    assert_eq!(first(Format::OpenMetrics, "foo {} 1\n", "foo"), None);
}

#[test]
fn a_name_may_stand_against_its_value_whether_predicted_or_not() {
    for predicted in ["", "up"] {
        let sample = first(Format::Text, "up-1 5\n", predicted).unwrap();
        assert_eq!((&*sample.series, sample.value, sample.timestamp), ("up", -1.0, Some(Timestamp(5))));
    }
}

#[test]
fn an_error_has_the_line_on_which_it_stands_and_ends_the_body() {
    let body = b"# TYPE a gauge\n\na{l=\"one\ntwo\"} 1\na x\na 1\n";
    assert_eq!(
        shown(Format::Text, body),
        "type a gauge\na{l=\"one\\ntwo\"} 1\nline 5: expected a number, found `x`\n"
    );
}

#[test]
fn the_place_of_the_last_event_is_known() {
    let mut parser = Parser::new(Format::Text, b"a 1\n\n\n b{x=\"\n\"} 1\nc 1\n");
    let mut lines = Vec::new();
    while parser.next(b"").is_some() {
        lines.push(parser.place());
    }
    assert_eq!(lines, [1, 4, 6].map(Place::Line));
}

#[test]
fn messages_show_a_short_piece_of_the_body() {
    let body = [&b"up "[..], &[b'x'; 5000], b"\xff\n"].concat();
    let message = error(Format::Text, &body).unwrap();
    assert!(
        message.len() < 100 && message.starts_with("line 1: expected a number, found `xxxx"),
        "{message}"
    );
    assert_eq!(error(Format::Text, b"up \xff\n").unwrap(), "line 1: expected a number, found `\\xff`");
}

/// A name, bare or not.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z_][a-zA-Z0-9_]{0,8}", 1 => "[a-z.\\\\\"\n{},= \u{e9}]{1,6}"]
}

fn label_value() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z0-9/.]{1,8}", 1 => "[a\\\\\"\nn\0{},=# \u{20ac}]{1,8}"]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![2 => (0u32..100_000).prop_map(f64::from), 1 => proptest::num::f64::ANY]
}

#[derive(Clone, Debug)]
enum Line {
    Help(String, String),
    Type(String, Kind),
    Sample { labels: Vec<(String, String)>, value: f64, at: Option<i64> },
}

fn line() -> impl Strategy<Value = Line> {
    let kind =
        prop::sample::select(vec![Kind::Unknown, Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary]);
    let sample =
        (name(), btree_map(name(), label_value(), 0..4), value(), proptest::option::of(0i64..i64::MAX));
    prop_oneof![
        1 => (name(), "[a-z\\\\\"\n\u{e9}][a-z \\\\\"\n]{0,9}").prop_map(|(family, text)| Line::Help(family, text)),
        1 => (name(), kind).prop_map(|(family, kind)| Line::Type(family, kind)),
        4 => sample.prop_map(|(name, labels, value, at)| Line::Sample {
            labels: std::iter::once(("__name__".to_owned(), name)).chain(labels).collect(),
            value,
            at,
        }),
    ]
}

fn printed(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        match line {
            Line::Help(family, text) => print::help(&mut out, family, text),
            Line::Type(family, kind) => print::kind(&mut out, family, *kind),
            Line::Sample { labels, value, at } => {
                let labels = labels.iter().map(|(name, value)| (&**name, &**value));
                print::sample(&mut out, labels, *value, at.map(Timestamp));
            }
        }
    }
    out
}

/// Reads what [`printed`] wrote; `le` and `quantile` as they stand, since no kind is told.
fn read(body: &str) -> Vec<Line> {
    let mut parser = Parser::new(Format::Text, body.as_bytes());
    let mut lines = Vec::new();
    while let Some(event) = parser.next(b"") {
        lines.push(match event.expect("what is printed can be parsed") {
            Event::Help { family, text } => Line::Help(family.into(), text.into()),
            Event::Type { family, kind } => Line::Type(family.into(), kind),
            Event::Sample(sample) => {
                let mut labels = Vec::new();
                series_labels(Format::Text, sample.series, Kind::Unknown, &mut labels).unwrap();
                Line::Sample {
                    labels: labels
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.to_string()))
                        .collect(),
                    value: sample.value,
                    at: sample.timestamp.map(Timestamp::millis),
                }
            }
            event => panic!("nobody printed {event:?}"),
        });
    }
    lines
}

/// A body that is nearly right: printed, then some bytes changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec(
        (any::<prop::sample::Index>(), prop::sample::select(b"\" {}=,\\\n\t#1a:_-.\xff\0".to_vec())),
        0..3,
    );
    (vec(line(), 0..6), edits, any::<bool>()).prop_map(|(lines, edits, ends)| {
        let mut body = printed(&lines).into_bytes();
        for (at, byte) in edits {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        body.extend(if ends { &b"# EOF\n"[..] } else { b"" });
        body
    })
}

fn series_of(format: Format, body: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = Parser::new(format, body);
    let mut series = Vec::new();
    while let Some(Ok(event)) = parser.next(b"") {
        series.push(if let Event::Sample(sample) = event { sample.series.to_vec() } else { Vec::new() });
    }
    series
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_back(lines in vec(line(), 0..12)) {
        // Debug text, because NaN does not equal itself; its bits are compared in the tests of numbers.
        let body = printed(&lines);
        prop_assert_eq!(format!("{:?}", read(&body)), format!("{lines:?}"), "{}", body);
    }

    #[test]
    fn a_prediction_changes_nothing(body in damaged(), other in damaged(), shift in 0usize..3) {
        for format in LINES {
            let plain = shown(format, &body);
            let (right, wrong) = (series_of(format, &body), series_of(format, &other));
            prop_assert_eq!(&shown_told(format, &body, Options::default(), |n| right.get(n + shift).cloned().unwrap_or_default()), &plain);
            prop_assert_eq!(&shown_told(format, &body, Options::default(), |n| wrong.get(n).cloned().unwrap_or_default()), &plain);
        }
    }

    #[test]
    fn values_read_in_a_run_are_those_of_the_events(body in damaged(), shift in 0usize..2, n_places in 1usize..9) {
        for format in LINES {
            let series = series_of(format, &body);
            let all = samples_of(format, &body, |_, _| 0);
            let in_runs = samples_of(format, &body, |parser, n_events| {
                let expected = series.iter().skip(n_events + shift).map(Vec::as_slice);
                let mut values = [0.0; 8];
                let n_values = parser.plain_values(expected, &mut values[..n_places.min(8)]);
                for (value, sample) in values[..n_values].iter().zip(&all[n_events..]) {
                    let is_it = sample.as_ref().is_some_and(|(_, bits, at)| (*bits, *at) == (value.to_bits(), None));
                    assert!(is_it, "{value} is not {sample:?}");
                }
                n_values
            });
            prop_assert_eq!(all.len(), in_runs.len());
            for (one, other) in all.iter().zip(&in_runs).filter(|(_, other)| other.is_some()) {
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn plain_lines_are_read_in_one_run(lines in vec(line(), 1..8)) {
        let body = printed(&lines);
        let series = series_of(Format::Text, body.as_bytes());
        let mut parser = Parser::new(Format::Text, body.as_bytes());
        let n_plain = samples_of(Format::Text, body.as_bytes(), |_, _| 0)
            .iter()
            .take_while(|sample| matches!(sample, Some((_, bits, None)) if f64::from_bits(*bits).fract() == 0.0 && f64::from_bits(*bits).abs() < 1e15))
            .count();
        let n_read = parser.plain_values(series.iter().map(Vec::as_slice), &mut [0.0; 8]);
        prop_assert!(n_read >= n_plain, "{n_read} of {n_plain} in {body}");
    }

    #[test]
    fn right_predictions_hit_every_sample(lines in vec(line(), 1..8)) {
        let body = printed(&lines);
        let series = series_of(Format::Text, body.as_bytes());
        let mut parser = Parser::new(Format::Text, body.as_bytes());
        for predicted in &series {
            if let Event::Sample(sample) = parser.next(&**predicted).unwrap().unwrap() {
                prop_assert!(sample.predicted);
            }
        }
    }

    #[test]
    fn no_bytes_panic(body in vec(any::<u8>(), 0..80), predicted in vec(any::<u8>(), 0..4)) {
        for format in LINES {
            shown_told(format, &body, Options::default(), |_| predicted.clone());
            series_labels(format, &body, Kind::Histogram, &mut Vec::new()).ok();
        }
    }

    #[test]
    fn nearly_right_bodies_do_not_panic(body in damaged()) {
        for format in LINES {
            shown(format, &body);
        }
    }

    /// The oracle knows plain samples only: no colon in names, no `,` or `=` in label values, finite timestamps.
    #[test]
    fn plain_samples_are_read_as_prometheus_parse_reads_them(
        samples in vec(("[a-z_]{1,8}", btree_map("[a-z]{1,5}", "[a-z0-9./-]{1,8}", 0..4), 0.0f64..1e12, 0i64..1 << 40), 0..8)
    ) {
        let mut body = String::new();
        for (name, labels, value, at) in &samples {
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            print::sample(&mut body, [("__name__", &**name)].into_iter().chain(labels), *value, Some(Timestamp(*at)));
        }
        let oracle = prometheus_parse::Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let ours = read(&body);
        prop_assert_eq!(oracle.samples.len(), ours.len());
        for (theirs, ours) in oracle.samples.iter().zip(&ours) {
            let Line::Sample { labels, value, at } = ours else { panic!("a sample was printed") };
            let theirs_value = match theirs.value {
                prometheus_parse::Value::Untyped(value) => value,
                ref other => panic!("no TYPE was printed, but {other:?} was read"),
            };
            prop_assert_eq!(&labels[0].1, &theirs.metric);
            let mut theirs_labels: Vec<(String, String)> =
                theirs.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            theirs_labels.sort();
            prop_assert_eq!(&labels[1..], &theirs_labels[..]);
            prop_assert_eq!((*value, *at), (theirs_value, Some(theirs.timestamp.timestamp_millis())));
        }
    }
}
