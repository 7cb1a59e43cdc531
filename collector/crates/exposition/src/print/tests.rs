//! What is written, byte by byte; that it is read back is a property of the parser's tests.

use super::*;

fn line(labels: &[(&str, &str)], value: f64, at: Option<i64>) -> String {
    let mut out = String::new();
    sample(&mut out, labels.iter().copied(), value, at.map(Timestamp));
    out
}

#[test]
fn samples_are_written_as_people_know_them() {
    assert_eq!(line(&[("__name__", "up")], 1.0, None), "up 1\n");
    assert_eq!(line(&[("__name__", "up"), ("job", "a")], f64::INFINITY, Some(-5)), "up{job=\"a\"} +Inf -5\n");
    assert_eq!(
        line(&[("a", "1"), ("__name__", "x_total"), ("b", "2")], 1e6, None),
        "x_total{a=\"1\",b=\"2\"} 1e+06\n"
    );
}

#[test]
fn an_empty_label_is_left_out() {
    assert_eq!(line(&[("__name__", "up"), ("a", ""), ("b", "x")], 0.0, None), "up{b=\"x\"} 0\n");
    assert_eq!(line(&[("__name__", "up"), ("a", "")], 0.0, None), "up 0\n");
}

#[test]
fn values_are_escaped() {
    assert_eq!(
        line(&[("__name__", "up"), ("a", "q\" b\\ n\n")], 1.0, None),
        "up{a=\"q\\\" b\\\\ n\\n\"} 1\n"
    );
}

#[test]
fn foreign_names_are_quoted() {
    assert_eq!(line(&[("__name__", "a.b"), ("c d", "e")], 1.0, None), "{\"a.b\",\"c d\"=\"e\"} 1\n");
    assert_eq!(line(&[("__name__", "a\"b")], 1.0, None), "{\"a\\\"b\"} 1\n");
    assert_eq!(line(&[("__name__", "a:b"), ("c:d", "e")], 1.0, None), "a:b{\"c:d\"=\"e\"} 1\n");
}

#[test]
fn metadata_lines_fit_their_family() {
    let mut out = String::new();
    help(&mut out, "up", "Two\nlines, a \\ and a \".");
    kind(&mut out, "up", Kind::Gauge);
    kind(&mut out, "a.b", Kind::Unknown);
    kind(&mut out, "c", Kind::Info);
    kind(&mut out, "d", Kind::GaugeHistogram);
    assert_eq!(
        out,
        "# HELP up Two\\nlines, a \\\\ and a \".\n# TYPE up gauge\n# TYPE \"a.b\" untyped\n# TYPE c gauge\n# TYPE d untyped\n"
    );
}
