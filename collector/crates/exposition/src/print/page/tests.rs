//! Whole pages, as readers of each format see them.

use expect_test::{Expect, expect};
use model::{BucketCounts, Labels, Span};
use wire::proto::Message;

use super::*;
use crate::{Event, Format, Parser};

const ALL: [Protocol; 3] = [Protocol::PrometheusText0, Protocol::OpenMetricsText1, Protocol::PrometheusProto];

/// Suffix, labels, value.
type Row = (&'static str, &'static [(&'static str, &'static str)], f64);

/// A family with one group, written by hand.
struct Family {
    head: Head<'static>,
    lines: &'static [Row],
    histogram: Option<Histogram>,
    start: Option<Timestamp>,
    at: Option<Timestamp>,
    exemplar: Option<Exemplar>,
}

fn family((name, kind): (&'static str, Kind), lines: &'static [Row]) -> Family {
    let head = Head { name, kind, ..Head::default() };
    Family { head, lines, histogram: None, start: None, at: None, exemplar: None }
}

fn page(protocol: Protocol, escaping: Escaping, families: &[&Family]) -> Vec<u8> {
    let mut printer = Printer::new(protocol, escaping);
    for family in families {
        let names: Vec<String> =
            family.lines.iter().map(|(suffix, ..)| format!("{}{suffix}", family.head.name)).collect();
        let lines: Vec<Line<'_, _>> = family
            .lines
            .iter()
            .zip(&names)
            .map(|((_, labels, value), name)| {
                let (part, suffix) = Part::of(family.head.kind, family.head.name, name);
                let labels = labels.iter().copied();
                Line { part, suffix, labels, value: *value, exemplar: family.exemplar.as_ref() }
            })
            .collect();
        printer.begin_family(family.head, false);
        let group =
            Group { lines: &lines, histogram: family.histogram.as_ref(), start: family.start, at: family.at };
        printer.group(family.head, &group);
        printer.end_family();
    }
    printer.end();
    printer.take()
}

fn text(protocol: Protocol, families: &[&Family]) -> String {
    String::from_utf8(page(protocol, Escaping::AllowUtf8, families)).unwrap()
}

fn native() -> Histogram {
    Histogram {
        schema: 3,
        sum: 7.5,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        negative_spans: vec![],
        counts: BucketCounts::Integer {
            count: 8,
            zero: 1,
            positive_deltas: vec![2, 1, -2],
            negative_deltas: vec![],
        },
        ..Histogram::default()
    }
}

fn requests() -> Family {
    let mut requests = family(("requests_total", Kind::Counter), &[("", &[("code", "200")], 1e6)]);
    requests.head.help = "All \"of\" them.\nReally.";
    requests.start = Some(Timestamp(1_700_000_000_250));
    requests.at = Some(Timestamp(1_700_000_100_000));
    let labels: Labels = [("trace_id", "ab")].into_iter().collect();
    requests.exemplar = Some(Exemplar { labels, value: 3.0, at: Some(Timestamp(1_700_000_099_999)) });
    requests
}

fn latency() -> Family {
    let lines: &[Row] = &[
        ("_bucket", &[("__name__", "latency_seconds_bucket"), ("a", "1"), ("le", "1"), ("z", "2")], 3.0),
        ("_bucket", &[("a", "1"), ("le", "+Inf"), ("z", "2")], 1_000_000.0),
        ("_sum", &[("a", "1"), ("z", "2")], 5.0),
        ("_count", &[("a", "1"), ("z", "2")], 1_000_000.0),
    ];
    let mut latency = family(("latency_seconds", Kind::Histogram), lines);
    latency.head.unit = "seconds";
    latency.start = Some(Timestamp(1000));
    latency
}

#[test]
fn text_has_types_values_and_times_and_neither_units_nor_exemplars() {
    expect![[r##"
        # HELP requests_total All "of" them.\nReally.
        # TYPE requests_total counter
        requests_total{code="200"} 1e+06 1700000100000
        # TYPE latency_seconds histogram
        latency_seconds_bucket{a="1",le="1",z="2"} 3
        latency_seconds_bucket{a="1",le="+Inf",z="2"} 1000000
        latency_seconds_sum{a="1",z="2"} 5
        latency_seconds_count{a="1",z="2"} 1000000
    "##]]
    .assert_eq(&text(Protocol::PrometheusText0, &[&requests(), &latency()]));
}

#[test]
fn open_metrics_has_units_exemplars_created_lines_and_an_end() {
    expect![[r##"
        # HELP requests All \"of\" them.\nReally.
        # TYPE requests counter
        requests_total{code="200"} 1e+06 1700000100.000 # {trace_id="ab"} 3.0 1700000099.999
        requests_created{code="200"} 1700000000.250
        # TYPE latency_seconds histogram
        # UNIT latency_seconds seconds
        latency_seconds_bucket{a="1",le="1.0",z="2"} 3
        latency_seconds_bucket{a="1",le="+Inf",z="2"} 1000000
        latency_seconds_sum{a="1",z="2"} 5.0
        latency_seconds_count{a="1",z="2"} 1000000
        latency_seconds_created{a="1",z="2"} 1.000
        # EOF
    "##]]
    .assert_eq(&text(Protocol::OpenMetricsText1, &[&requests(), &latency()]));
}

#[test]
fn types_that_open_metrics_cannot_have_are_unknown_there() {
    let families = [
        family(("hits", Kind::Counter), &[("", &[], 1.0)]),
        family(("build", Kind::Info), &[("", &[("version", "1")], 1.0)]),
        family(("build_info", Kind::Info), &[("", &[("version", "1")], 1.0)]),
        family(("mood", Kind::StateSet), &[("", &[("mood", "good")], 1.0)]),
        family(("_total", Kind::Counter), &[("", &[], -0.5)]),
    ];
    expect![[r##"
        # TYPE hits unknown
        hits 1.0
        # TYPE build unknown
        build{version="1"} 1.0
        # TYPE build info
        build_info{version="1"} 1.0
        # TYPE mood stateset
        mood{mood="good"} 1.0
        # TYPE _total unknown
        _total -0.5
        # EOF
    "##]]
    .assert_eq(&text(Protocol::OpenMetricsText1, &families.each_ref()));
}

#[test]
fn a_unit_is_written_only_where_the_name_ends_with_it() {
    let mut lines = Vec::new();
    for (name, kind) in [
        ("heat_celsius", Kind::Gauge),
        ("heat", Kind::Gauge),
        ("celsius", Kind::Gauge),
        ("heat_celsius_total", Kind::Counter),
        ("heat_celsius", Kind::StateSet),
    ] {
        let mut family = family((name, kind), &[("", &[], 1.0)]);
        family.head.unit = "celsius";
        let has_unit = text(Protocol::OpenMetricsText1, &[&family]).contains("# UNIT heat_celsius celsius\n");
        lines.push((name, has_unit));
    }
    assert_eq!(
        lines,
        [
            ("heat_celsius", true),
            ("heat", false),
            ("celsius", false),
            ("heat_celsius_total", true),
            ("heat_celsius", false)
        ]
    );
}

#[test]
fn a_native_histogram_is_count_and_sum_where_the_format_has_none() {
    let mut family = family(("size", Kind::Histogram), &[("", &[("a", "1"), ("m", "2")], 0.0)]);
    family.histogram = Some(native());
    expect![[r##"
        # TYPE size histogram
        size_bucket{a="1",le="+Inf",m="2"} 8
        size_sum{a="1",m="2"} 7.5
        size_count{a="1",m="2"} 8
    "##]]
    .assert_eq(&text(Protocol::PrometheusText0, &[&family]));
}

#[test]
fn foreign_names_are_quoted_or_escaped_as_the_reader_asked() {
    let mut family =
        family(("my.requests_total", Kind::Counter), &[("", &[("a", "1"), ("b.c", "q\"")], 2.0)]);
    family.start = Some(Timestamp(0));
    let cases = [
        (Escaping::AllowUtf8, "{\"my.requests_total\",a=\"1\",\"b.c\"=\"q\\\"\"} 2.0\n"),
        (Escaping::Underscores, "my_requests_total{a=\"1\",b_c=\"q\\\"\"} 2.0\n"),
        (Escaping::Dots, "my_dot_requests__total{a=\"1\",b_dot_c=\"q\\\"\"} 2.0\n"),
        (Escaping::Values, "U__my_2e_requests__total{a=\"1\",U__b_2e_c=\"q\\\"\"} 2.0\n"),
    ];
    for (escaping, line) in cases {
        let page = String::from_utf8(page(Protocol::OpenMetricsText1, escaping, &[&family])).unwrap();
        assert!(page.contains(line), "{page}");
    }
}

#[test]
fn an_empty_label_is_never_written() {
    let family = family(("x", Kind::Gauge), &[("", &[("a", ""), ("b", "1")], 2.0)]);
    assert!(text(Protocol::PrometheusText1, &[&family]).ends_with("x{b=\"1\"} 2\n"));
    assert!(!messages(&[&family]).contains("name \"a\""));
}

#[test]
fn families_that_go_on_repeat_their_head_only_in_protobuf() {
    for protocol in ALL {
        let head = Head { name: "x", kind: Kind::Gauge, help: "Help.", unit: "" };
        let mut printer = Printer::new(protocol, Escaping::Underscores);
        printer.begin_family(head, true);
        assert_eq!(printer.n_bytes() > 0, protocol == Protocol::PrometheusProto, "{protocol}");
    }
}

/// The messages of a page: one field a line, numbered, with nested messages indented as `shape` knows them.
fn messages(families: &[&Family]) -> String {
    let page = page(Protocol::PrometheusProto, Escaping::Underscores, families);
    let mut out = String::new();
    let mut rest = &page[..];
    while !rest.is_empty() {
        // No message of these tests is longer than two bytes of length can say.
        let (length, start) = match rest[0] {
            low @ ..0x80 => (usize::from(low), 1),
            low => (usize::from(low & 0x7f) | usize::from(rest[1]) << 7, 2),
        };
        dump(&mut out, &rest[start..start + length], &FAMILY, 0);
        rest = &rest[start + length..];
    }
    out
}

/// What is inside the fields of a message: which are messages, and how the others are read.
enum Shape {
    Text,
    Double,
    Number,
    Packed,
    Nested(&'static [(u32, &'static str, Shape)]),
}

const LABEL: [(u32, &str, Shape); 2] = [(1, "name", Shape::Text), (2, "value", Shape::Text)];
const TIME: [(u32, &str, Shape); 2] = [(1, "seconds", Shape::Number), (2, "nanos", Shape::Number)];
const EXEMPLAR: [(u32, &str, Shape); 3] = [
    (1, "label", Shape::Nested(&LABEL)),
    (2, "value", Shape::Double),
    (3, "timestamp", Shape::Nested(&TIME)),
];
const SPAN: [(u32, &str, Shape); 2] = [(1, "offset", Shape::Number), (2, "length", Shape::Number)];
const BUCKET: [(u32, &str, Shape); 4] = [
    (1, "cumulative_count", Shape::Number),
    (2, "upper_bound", Shape::Double),
    (3, "exemplar", Shape::Nested(&EXEMPLAR)),
    (4, "cumulative_count_float", Shape::Double),
];
const HISTOGRAM: [(u32, &str, Shape); 15] = [
    (1, "sample_count", Shape::Number),
    (2, "sample_sum", Shape::Double),
    (3, "bucket", Shape::Nested(&BUCKET)),
    (4, "sample_count_float", Shape::Double),
    (5, "schema", Shape::Number),
    (6, "zero_threshold", Shape::Double),
    (7, "zero_count", Shape::Number),
    (8, "zero_count_float", Shape::Double),
    (9, "negative_span", Shape::Nested(&SPAN)),
    (10, "negative_delta", Shape::Packed),
    (12, "positive_span", Shape::Nested(&SPAN)),
    (13, "positive_delta", Shape::Packed),
    (14, "positive_count", Shape::Packed),
    (15, "start_timestamp", Shape::Nested(&TIME)),
    (16, "exemplars", Shape::Nested(&EXEMPLAR)),
];
const COUNTER: [(u32, &str, Shape); 3] = [
    (1, "value", Shape::Double),
    (2, "exemplar", Shape::Nested(&EXEMPLAR)),
    (3, "start_timestamp", Shape::Nested(&TIME)),
];
const VALUE: [(u32, &str, Shape); 1] = [(1, "value", Shape::Double)];
const QUANTILE: [(u32, &str, Shape); 2] = [(1, "quantile", Shape::Double), (2, "value", Shape::Double)];
const SUMMARY: [(u32, &str, Shape); 4] = [
    (1, "sample_count", Shape::Number),
    (2, "sample_sum", Shape::Double),
    (3, "quantile", Shape::Nested(&QUANTILE)),
    (4, "start_timestamp", Shape::Nested(&TIME)),
];
const METRIC: [(u32, &str, Shape); 7] = [
    (1, "label", Shape::Nested(&LABEL)),
    (2, "gauge", Shape::Nested(&VALUE)),
    (3, "counter", Shape::Nested(&COUNTER)),
    (4, "summary", Shape::Nested(&SUMMARY)),
    (5, "untyped", Shape::Nested(&VALUE)),
    (6, "timestamp_ms", Shape::Number),
    (7, "histogram", Shape::Nested(&HISTOGRAM)),
];
const FAMILY: [(u32, &str, Shape); 5] = [
    (1, "name", Shape::Text),
    (2, "help", Shape::Text),
    (3, "type", Shape::Number),
    (4, "metric", Shape::Nested(&METRIC)),
    (5, "unit", Shape::Text),
];

fn dump(out: &mut String, message: &[u8], shape: &[(u32, &str, Shape)], depth: usize) {
    for field in Message::new(message).fields() {
        let field = field.unwrap();
        let (_, name, shape) = shape.iter().find(|row| row.0 == field.number).expect("a known field");
        out.push_str(&"  ".repeat(depth));
        out.push_str(name);
        match shape {
            Shape::Text => out.push_str(&format!(" {:?}\n", str::from_utf8(field.bytes().unwrap()).unwrap())),
            Shape::Double => out.push_str(&format!(" {}\n", field.double().unwrap())),
            Shape::Number => out.push_str(&format!(" {}\n", field.varint().unwrap())),
            Shape::Packed => out.push_str(&format!(" {:x?}\n", field.bytes().unwrap())),
            Shape::Nested(shape) => {
                out.push('\n');
                dump(out, field.bytes().unwrap(), shape, depth + 1);
            }
        }
    }
}

fn check(families: &[&Family], expected: &Expect) {
    expected.assert_eq(&messages(families));
}

#[test]
fn protobuf_counters_have_exemplars_start_and_time() {
    check(
        &[&requests()],
        &expect![[r#"
        name "requests_total"
        help "All \"of\" them.\nReally."
        type 0
        metric
          label
            name "code"
            value "200"
          counter
            value 1000000
            exemplar
              label
                name "trace_id"
                value "ab"
              value 3
              timestamp
                seconds 1700000099
                nanos 999000000
            start_timestamp
              seconds 1700000000
              nanos 250000000
          timestamp_ms 1700000100000
    "#]],
    );
}

#[test]
fn protobuf_histograms_have_cumulative_buckets_in_order() {
    check(
        &[&latency()],
        &expect![[r#"
        name "latency_seconds"
        type 4
        unit "seconds"
        metric
          label
            name "a"
            value "1"
          label
            name "z"
            value "2"
          histogram
            sample_count 1000000
            sample_sum 5
            bucket
              cumulative_count 3
              upper_bound 1
            bucket
              cumulative_count 1000000
              upper_bound inf
            start_timestamp
              seconds 1
              nanos 0
    "#]],
    );
}

#[test]
fn protobuf_native_histograms_have_spans_and_deltas() {
    let mut family = family(("size", Kind::Histogram), &[("", &[("a", "1")], 0.0)]);
    family.histogram = Some(native());
    check(
        &[&family],
        &expect![[r#"
        name "size"
        type 4
        metric
          label
            name "a"
            value "1"
          histogram
            sample_count 8
            sample_sum 7.5
            schema 6
            zero_threshold 0.001
            zero_count 1
            positive_span
              offset 3
              length 2
            positive_span
              offset 6
              length 1
            positive_delta [4, 2, 3]
    "#]],
    );
}

#[test]
fn protobuf_marks_a_native_histogram_without_observations_by_an_empty_span() {
    let mut family = family(("size", Kind::Histogram), &[("", &[], 0.0)]);
    family.histogram = Some(Histogram::default());
    check(
        &[&family],
        &expect![[r#"
        name "size"
        type 4
        metric
          histogram
            sample_count 0
            sample_sum 0
            schema 0
            zero_threshold 0
            zero_count 0
            positive_span
              offset 0
              length 0
    "#]],
    );
}

#[test]
fn protobuf_native_histograms_of_floats_have_counts() {
    let mut family = family(("size", Kind::GaugeHistogram), &[("", &[], 0.0)]);
    family.histogram = Some(Histogram {
        positive_spans: vec![Span { offset: 0, length: 1 }],
        counts: BucketCounts::Float { count: 1.5, zero: 0.5, positive: vec![1.0], negative: vec![] },
        ..Histogram::default()
    });
    check(
        &[&family],
        &expect![[r#"
        name "size"
        type 5
        metric
          histogram
            sample_count_float 1.5
            sample_sum 0
            schema 0
            zero_threshold 0
            zero_count_float 0.5
            positive_span
              offset 0
              length 1
            positive_count [0, 0, 0, 0, 0, 0, f0, 3f]
    "#]],
    );
}

#[test]
fn protobuf_summaries_gauges_and_others_have_their_own_messages() {
    let families = [
        family(
            ("rpc", Kind::Summary),
            &[
                ("", &[("quantile", "0.5")], 0.2),
                ("", &[("quantile", "x")], 9.0),
                ("_sum", &[], 2.0),
                ("_count", &[], 4.0),
            ],
        ),
        family(("g", Kind::StateSet), &[("", &[], 1.0)]),
        family(("u", Kind::Unknown), &[("", &[], 1.0)]),
    ];
    check(
        &families.each_ref(),
        &expect![[r#"
        name "rpc"
        type 2
        metric
          summary
            sample_count 4
            sample_sum 2
            quantile
              quantile 0.5
              value 0.2
        name "g"
        type 1
        metric
          gauge
            value 1
        name "u"
        type 3
        metric
          untyped
            value 1
    "#]],
    );
}

proptest::proptest! {
    #[test]
    fn what_is_printed_is_parsed_again(
        name in "[a-z_:][a-z0-9_:.]{0,12}",
        label in "[a-z][a-z_. ]{0,8}",
        value in "\\PC{1,12}",
        number in proptest::num::f64::ANY,
    ) {
        let labels = [(&*label, &*value)];
        for (protocol, format) in
            [(Protocol::PrometheusText0, Format::Text), (Protocol::OpenMetricsText1, Format::OpenMetrics)]
        {
            let head = Head { name: &name, kind: Kind::Gauge, help: &value, unit: "" };
            let line = Line {
                part: Part::Value,
                suffix: "",
                labels: labels.iter().copied(),
                value: number,
                exemplar: None,
            };
            let group = Group { lines: &[line], histogram: None, start: None, at: None };
            let mut printer = Printer::new(protocol, Escaping::AllowUtf8);
            printer.begin_family(head, false);
            printer.group(head, &group);
            printer.end_family();
            printer.end();
            let page = printer.take();
            let mut parser = Parser::new(format, &page);
            let mut read = Vec::new();
            while let Some(event) = parser.next(b"") {
                if let Event::Sample(sample) = event.unwrap() {
                    let mut labels = Vec::new();
                    crate::series_labels(format, sample.series, Kind::Gauge, &mut labels).unwrap();
                    let labels: Labels = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
                    read.push((sample.value.to_bits(), labels));
                }
            }
            proptest::prop_assert_eq!(read.len(), 1);
            proptest::prop_assert_eq!(read[0].0, model::canonical_bits(number));
            let labels = &read[0].1;
            proptest::prop_assert_eq!((labels.value("__name__"), labels.value(&label)), (&*name, &*value));
        }
    }
}
