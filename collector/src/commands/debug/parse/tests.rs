//! What `debug parse` prints, and how it is asked.

use clap::Parser as _;
use expect_test::expect;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: ParseArgs,
}

fn args(words: &[&str]) -> ParseArgs {
    Line::try_parse_from(std::iter::once(&"parse").chain(words)).unwrap().args
}

/// What is printed of a body, and the error behind it.
fn printed(words: &[&str], body: &[u8]) -> (String, Option<String>) {
    let args = args(words);
    let mut out = Vec::new();
    let parsed = print(args.format().unwrap(), body, args.options(), &mut out);
    let error = parsed.err().map(|stop| match stop {
        Stop::Bad(error) => error.to_string(),
        Stop::Output(error) => panic!("a Vec takes every write: {error}"),
    });
    (String::from_utf8(out).unwrap(), error)
}

#[test]
fn every_event_is_a_line_of_json_and_comments_are_none() {
    let body =
        b"# HELP x_s a \\\\ b\n# TYPE x_s summary\n# UNIT x_s s\nx_s{quantile=\"1\",b=\"\\\"\"} 1 1.5\n\
                 y_total 2 # {z=\"1\",a=\"2\"} -0 3\n# EOF\n";
    let (lines, error) = printed(&["--format", "openmetrics"], body);
    assert_eq!(error, None);
    expect![[r#"
        {"family":"x_s","help":"a \\ b"}
        {"family":"x_s","type":"summary"}
        {"family":"x_s","unit":"s"}
        {"exemplars":[],"series":[["__name__","x_s"],["b","\""],["quantile","1.0"]],"st_ms":null,"ts_ms":1500,"value_bits":"3ff0000000000000"}
        {"exemplars":[{"labels":[["a","2"],["z","1"]],"ts_ms":3000,"value_bits":"8000000000000000"}],"series":[["__name__","y_total"]],"st_ms":null,"ts_ms":null,"value_bits":"4000000000000000"}
    "#]]
    .assert_eq(&lines);
    assert_eq!(printed(&["--format", "text"], b"# a comment\n"), (String::new(), None));
}

#[test]
fn what_stands_in_front_of_an_error_is_printed() {
    let (lines, error) = printed(&["--format", "text"], b"up 1\nup{a=\"1\",a=\"2\"} 1\nup 2\n");
    assert_eq!(lines.lines().count(), 1);
    assert_eq!(error.unwrap(), "line 2: label name \"a\" is not unique");
    let (lines, error) = printed(&["--format", "protobuf"], b"\x05\x0a\x01x");
    assert_eq!(lines, "");
    assert!(error.unwrap().starts_with("byte 0: a metric family of 5 bytes runs past"));
}

#[test]
fn a_histogram_shows_every_field() {
    let body = b"# TYPE h histogram\nh_bucket{l=\"1\",le=\"1\"} 1.5 7\nh_bucket{l=\"1\",le=\"+Inf\"} 3 7\nh_sum{l=\"1\"} NaN 7\n\
                 # TYPE i histogram\ni_count 2\n";
    let (lines, error) = printed(&["--format", "text", "--nhcb"], body);
    assert_eq!(error, None);
    expect![[r#"
        {"family":"h","type":"histogram"}
        {"exemplars":[],"histogram":{"count":3.0,"custom_values":[1.0],"negative_counts":[],"negative_spans":[],"positive_counts":[1.5,1.5],"positive_spans":[[0,2]],"reset_hint":"unknown","schema":-53,"sum_bits":"7ff8000000000001","zero_count":0.0,"zero_threshold":0.0},"series":[["__name__","h"],["l","1"]],"st_ms":null,"ts_ms":7}
        {"family":"i","type":"histogram"}
        {"exemplars":[],"histogram":{"count":2,"custom_values":[],"negative_deltas":[],"negative_spans":[],"positive_deltas":[2],"positive_spans":[[0,1]],"reset_hint":"unknown","schema":-53,"sum_bits":"0000000000000000","zero_count":0,"zero_threshold":0.0},"series":[["__name__","i"]],"st_ms":null,"ts_ms":null}
    "#]]
    .assert_eq(&lines);
}

#[test]
fn native_histograms_come_with_their_classic_series_unless_these_are_converted() {
    // A family `h` of one histogram: count 3, a bucket up to 1 that counts 3, a span of one bucket with delta 3.
    let histogram =
        [&[0x08, 3, 0x1a, 11, 0x08, 3, 0x11][..], &1f64.to_le_bytes(), &[0x62, 2, 0x10, 1, 0x6a, 1, 6]]
            .concat();
    let size = |n: usize| u8::try_from(n).unwrap();
    let metric = [&[0x22, size(histogram.len() + 2), 0x3a, size(histogram.len())][..], &histogram].concat();
    let family = [&b"\x0a\x01h\x18\x04"[..], &metric].concat();
    let body = [&[size(family.len())][..], &family].concat();
    for (words, n_classic) in [(&["--format", "protobuf"][..], 4), (&["--format", "protobuf", "--nhcb"], 0)] {
        let (lines, error) = printed(words, &body);
        assert_eq!((error, lines.matches("\"histogram\":{").count()), (None, 1), "{lines}");
        assert!(lines.contains(r#""positive_deltas":[3],"positive_spans":[[0,1]]"#), "{lines}");
        assert_eq!(lines.matches("value_bits").count(), n_classic, "{lines}");
    }
}

#[test]
fn start_times_are_shown_when_asked_for() {
    let body = b"# TYPE a counter\na_total 1\na_created 5\n# EOF\n";
    let (plain, _) = printed(&["--format", "openmetrics"], body);
    assert!(plain.contains("a_created") && !plain.contains("5000"), "{plain}");
    let (starts, _) = printed(&["--format", "openmetrics", "--enable-start-timestamps"], body);
    assert!(!starts.contains("a_created") && starts.contains(r#""st_ms":5000"#), "{starts}");
}

#[test]
fn the_strict_reading_refuses_what_a_scrape_takes() {
    let body = b"# TYPE a counter\na 1\n# EOF\n";
    assert_eq!(printed(&["--format", "openmetrics"], body).1, None);
    assert!(printed(&["--format", "openmetrics", "--strict"], body).1.unwrap().contains("clashes"));
}

#[test]
fn the_format_is_said_or_follows_from_the_content_type() {
    let of = |words: &[&str]| args(words).format().map_err(|Failure(message)| message);
    assert_eq!(of(&["--content-type", "text/plain; version=0.0.4"]).unwrap(), Format::Text);
    assert_eq!(of(&["--content-type", "application/openmetrics-text"]).unwrap(), Format::OpenMetrics);
    assert_eq!(of(&["--content-type", "application/vnd.google.protobuf"]).unwrap(), Format::Protobuf);
    assert_eq!(of(&["--content-type", "text/html", "--format", "text"]).unwrap(), Format::Text);
    assert!(of(&[]).unwrap_err().contains("--format or --content-type"));
    let unknown = of(&["--content-type", "text/html"]).unwrap_err();
    assert!(unknown.contains("\"text/html\"") && unknown.contains("give --format"), "{unknown}");
}
