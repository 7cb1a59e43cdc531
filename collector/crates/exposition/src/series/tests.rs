//! Labels of new series.

use std::borrow::Cow;

use model::Kind;

use super::*;

fn labels(series: &str, kind: Kind) -> Vec<(String, String)> {
    let mut out = vec![("left".into(), "over".into())];
    series_labels(Format::Text, series.as_bytes(), kind, &mut out).unwrap();
    out.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn refused(series: &[u8]) -> String {
    series_labels(Format::Text, series, Kind::Unknown, &mut Vec::new()).unwrap_err().to_string()
}

/// The one label beside the name.
fn label(name: &str, value: &str, kind: Kind) -> String {
    labels(&format!("x{{{name}=\"{value}\"}}"), kind)[1].1.clone()
}

#[test]
fn the_name_comes_first_and_labels_as_they_appear() {
    let expected = [("__name__", "up"), ("b", "2"), ("a", "1"), ("c", "")];
    for series in
        ["up{b=\"2\",a=\"1\",c=\"\"}", "{b=\"2\",a=\"1\",\"up\",c=\"\"}", "up { b=\"2\" a=\"1\" c=\"\" }"]
    {
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(labels(series, Kind::Gauge), expected);
    }
    assert_eq!(labels("up", Kind::Gauge), [("__name__".to_owned(), "up".to_owned())]);
}

#[test]
fn plain_labels_are_borrowed() {
    let mut out = Vec::new();
    series_labels(Format::Text, b"up{a=\"1\",b=\"x\\n\"}", Kind::Gauge, &mut out).unwrap();
    let borrowed: Vec<bool> = out.iter().map(|(_, value)| matches!(value, Cow::Borrowed(_))).collect();
    assert_eq!(borrowed, [true, true, false]);
}

#[test]
fn names_are_unescaped_too() {
    let read = labels(r#"{"a\"b","c\\d"="e"}"#, Kind::Gauge);
    assert_eq!(read, [("__name__".into(), "a\"b".into()), ("c\\d".into(), "e".into())]);
}

#[test]
fn bounds_of_histograms_and_quantiles_of_summaries_get_their_openmetrics_form() {
    for (value, normalised) in [
        ("1", "1.0"),
        ("1.0", "1.0"),
        ("+1", "1.0"),
        ("0", "0.0"),
        ("-0", "0.0"),
        ("100000", "100000.0"),
        ("1000000", "1e+06"),
        ("1e6", "1e+06"),
        ("0.00001", "1e-05"),
        ("+Inf", "+Inf"),
        ("inf", "+Inf"),
        ("nan", "NaN"),
        ("1e999", "1e999"),
        ("one", "one"),
        ("", ""),
    ] {
        assert_eq!(label("le", value, Kind::Histogram), normalised);
        assert_eq!(label("quantile", value, Kind::Summary), normalised);
    }
}

#[test]
fn other_kinds_and_other_labels_are_left_alone() {
    for kind in [Kind::GaugeHistogram, Kind::Gauge, Kind::Unknown, Kind::Summary] {
        assert_eq!(label("le", "1", kind), "1");
    }
    assert_eq!(label("quantile", "1", Kind::Histogram), "1");
    assert_eq!(label("le_", "1", Kind::Histogram), "1");
}

#[test]
fn a_label_name_must_be_unique() {
    assert_eq!(refused(b"up{a=\"1\",b=\"2\",a=\"3\"}"), "label name \"a\" is not unique");
    assert_eq!(refused(b"up{\"a\"=\"1\",a=\"1\"}"), "label name \"a\" is not unique");
    assert_eq!(refused(b"up{__name__=\"down\"}"), "label name \"__name__\" is not unique");
}

#[test]
fn names_must_be_there_and_utf8() {
    assert_eq!(refused(b"{\"\"}"), "a metric name is empty");
    assert_eq!(refused(b"up{\"\"=\"a\"}"), "a label name is empty");
    assert_eq!(refused(b"{\"\xff\"}"), "the metric name \"\\xff\" is not valid UTF-8");
    assert_eq!(refused(b"up{\"\xff\"=\"a\"}"), "the label name \"\\xff\" is not valid UTF-8");
}

#[test]
fn what_is_no_series_is_refused() {
    assert_eq!(refused(b""), "the metric name is missing");
    assert_eq!(refused(b"up 1"), "expected the end of the series, found a blank");
    assert_eq!(refused(b"up{a=\"b\"} 1"), "expected the end of the series, found a blank");
    assert_eq!(refused(b"up{a=\"\xff\"}"), "a label value is not valid UTF-8");
}

#[test]
fn the_number_of_labels_is_limited() {
    let series = |n: usize| {
        let labels: Vec<String> = (0..n).map(|index| format!("l{index}=\"\"")).collect();
        format!("up{{{}}}", labels.join(","))
    };
    assert_eq!(labels(&series(MAX_LABELS_PER_SERIES - 1), Kind::Gauge).len(), MAX_LABELS_PER_SERIES);
    let message = refused(series(MAX_LABELS_PER_SERIES).as_bytes());
    assert!(message.contains("max_labels_per_series (32768)"), "{message}");
}

#[test]
fn an_error_can_be_placed() {
    let error = series_labels(Format::Text, b"{}", Kind::Gauge, &mut Vec::new()).unwrap_err();
    assert_eq!(error.at(Place::Line(7)).to_string(), "line 7: the metric name is missing");
}
