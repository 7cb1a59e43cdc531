//! Classic histograms of text and OpenMetrics, converted.

use expect_test::{Expect, expect};

use crate::parser::tests::{error, shown_told, shown_with};
use crate::{Event, Format, Options, Parser};

const CONVERT: Options = Options {
    native_histograms: false,
    always_classic: false,
    convert_to_nhcb: true,
    start_timestamps: false,
    strictness: crate::Strictness::Scrape,
};

const KEEP: Options = Options { always_classic: true, ..CONVERT };

fn check(body: &str, options: Options, expected: Expect) {
    expected.assert_eq(&shown_with(Format::Text, body.as_bytes(), options));
}

/// The shown events of a body in short: histograms are `name: count`.
fn short(format: Format, body: &str, options: Options) -> Vec<String> {
    let shown = shown_with(format, body.as_bytes(), options);
    let short = |line: &str| match line.split_once(" Histogram {") {
        None => line.to_owned(),
        Some((series, rest)) => {
            let count = rest.split("count: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
            format!("{series}: {count}")
        }
    };
    shown.lines().map(short).collect()
}

const BODY: &str = "# TYPE h histogram
h_bucket{l=\"1\",le=\"1\"} 1 7
h_bucket{l=\"1\",le=\"+Inf\"} 3 7
h_sum{l=\"1\"} 2.5 7
h_count{l=\"1\"} 3 7
# HELP h late
up 1
";

#[test]
fn the_series_of_a_histogram_become_one() {
    check(
        BODY,
        CONVERT,
        expect![[r#"
            type h histogram
            h{l="1"} Histogram { schema: -53, sum: 2.5, zero_threshold: 0.0, positive_spans: [Span { offset: 0, length: 2 }], negative_spans: [], counts: Integer { count: 3, zero: 0, positive_deltas: [1, 1], negative_deltas: [] }, reset_hint: Unknown, custom_values: [1.0] } @7
            help h "late"
            up 1
        "#]],
    );
}

#[test]
fn classic_series_are_kept_when_asked_for() {
    assert_eq!(
        short(Format::Text, BODY, KEEP),
        [
            "type h histogram",
            "h_bucket{l=\"1\",le=\"1.0\"} 1 @7",
            "h_bucket{l=\"1\",le=\"+Inf\"} 3 @7",
            "h_sum{l=\"1\"} 2.5 @7",
            "h_count{l=\"1\"} 3 @7",
            "h{l=\"1\"}: 3",
            "help h \"late\"",
            "up 1",
        ]
    );
}

#[test]
fn each_set_of_labels_is_a_histogram_of_its_own() {
    let body = "# TYPE h histogram\nh_count{l=\"1\",m=\"2\"} 1\nh_count{m=\"2\",l=\"1\"} 2\nh_count{l=\"2\"} 3\nh_count 4\n";
    assert_eq!(short(Format::Text, body, CONVERT)[1..], ["h{l=\"1\",m=\"2\"}: 2", "h{l=\"2\"}: 3", "h: 4"]);
}

#[test]
fn whatever_is_no_series_of_the_histogram_ends_it() {
    for (line, shown) in [
        ("up 1\n", "up 1"),
        ("h 1\n", "h 1"),
        ("h_created 1\n", "h_created 1"),
        ("# HELP x y\n", "help x \"y\""),
        ("# TYPE x gauge\n", "type x gauge"),
        ("# plain\n", "comment"),
    ] {
        let body = format!("# TYPE h histogram\nh_count 1\n{line}");
        assert_eq!(short(Format::Text, &body, CONVERT), ["type h histogram", "h: 1", shown]);
    }
}

#[test]
fn the_end_of_the_body_ends_it_too() {
    let body = "# TYPE h histogram\nh_count 1\n";
    assert_eq!(short(Format::Text, body, CONVERT), ["type h histogram", "h: 1"]);
    let body = format!("{body}# EOF\n");
    assert_eq!(short(Format::OpenMetrics, &body, CONVERT), ["type h histogram", "h: 1", "end"]);
}

#[test]
fn only_families_of_type_histogram_are_converted() {
    for body in
        ["h_count 1\n", "# TYPE h gaugehistogram\nh_count 1\n# EOF\n", "# TYPE h summary\nh_count 1\n"]
    {
        let format = if body.ends_with("# EOF\n") { Format::OpenMetrics } else { Format::Text };
        assert!(short(format, body, CONVERT).contains(&"h_count 1".to_owned()), "{body}");
    }
    // The name must be that of the TYPE line as well.
    let body = "# TYPE h histogram\nhh_count 1\n";
    assert_eq!(short(Format::Text, body, CONVERT), ["type h histogram", "hh_count 1"]);
}

#[test]
fn a_bucket_whose_bound_is_no_number_stays_as_it_is() {
    let body =
        "# TYPE h histogram\nh_count 1\nh_bucket{le=\"x\"} 1\nh_bucket{le=\"NaN\"} 1\nh_bucket 1\nh_sum 2\n";
    assert_eq!(
        short(Format::Text, body, CONVERT)[1..],
        ["h_bucket{le=\"x\"} 1", "h_bucket{le=\"NaN\"} 1", "h_bucket 1", "h: 1"]
    );
}

#[test]
fn what_cannot_be_converted_is_left_out_and_shown_only_if_it_is_kept() {
    for series in [
        "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1\n",
        "h_bucket{le=\"+Inf\"} 2\nh_count 1\n",
        "h_bucket{le=\"1\"} -1\n",
        "h_count -1\n",
        "h_sum 1\n",
    ] {
        let body = format!("# TYPE h histogram\n{series}up 1\n");
        assert_eq!(short(Format::Text, &body, CONVERT), ["type h histogram", "up 1"], "{series}");
        let n_lines = series.lines().count() + 2;
        assert_eq!(short(Format::Text, &body, KEEP).len(), n_lines, "{series}");
    }
}

#[test]
fn exemplars_and_start_times_come_along() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {id=\"a\"} 0.5\nh_bucket{le=\"+Inf\"} 2 # {id=\"b\"} 3 4\n\
                h_count 2\nh_sum 5\nh_created 6\n# EOF\n";
    let options = Options { start_timestamps: true, ..CONVERT };
    let shown = shown_with(Format::OpenMetrics, body.as_bytes(), options);
    assert!(shown.contains("} since 6000 # {{id=\"a\"}} 0.5 # {{id=\"b\"}} 3 @4000\nend\n"), "{shown}");
}

#[test]
fn names_that_need_quotes_are_read_back() {
    let body = "# TYPE \"h.x\" histogram\n{\"h.x_count\",\"l.1\"=\"a\\n\\\\\\\"\"} 1\n# EOF\n";
    for format in [Format::Text, Format::OpenMetrics] {
        assert_eq!(short(format, body, CONVERT)[1], "{\"h.x\",\"l.1\"=\"a\\n\\\\\\\"\"}: 1");
    }
}

#[test]
fn a_converted_series_and_those_around_it_are_predicted() {
    let mut parser = Parser::with(Format::Text, BODY.as_bytes(), KEEP);
    let mut keys = Vec::new();
    while let Some(Ok(event)) = parser.next(b"") {
        keys.push(match event {
            Event::Sample(sample) => sample.series.to_vec(),
            Event::Histogram(sample) => sample.series.to_vec(),
            _ => Vec::new(),
        });
    }
    let mut parser = Parser::with(Format::Text, BODY.as_bytes(), KEEP);
    for key in keys {
        match parser.next(&*key).unwrap().unwrap() {
            Event::Sample(sample) => assert!(sample.predicted),
            Event::Histogram(sample) => assert!(sample.predicted && sample.series == b"h{l=\"1\"}"),
            _ => {}
        }
    }
}

#[test]
fn an_error_ends_everything_and_the_histogram_before_it_is_not_shown() {
    let body = "# TYPE h histogram\nh_count 1\nh_sum x\n";
    assert_eq!(
        short(Format::Text, body, CONVERT),
        ["type h histogram", "line 3: expected a number, found `x`"]
    );
    let body = "# TYPE h histogram\nh_count{a=\"1\",a=\"2\"} 1\nh_sum 1\n";
    assert_eq!(short(Format::Text, body, CONVERT)[1..], ["line 2: label name \"a\" is not unique"]);
    assert_eq!(error(Format::Text, body.as_bytes()), None, "the parser alone does not look");
}

proptest::proptest! {
    #[test]
    fn a_prediction_changes_nothing(lines in proptest::collection::vec("h_(count|sum|bucket\\{le=\"[12]\"\\}) [1-3]\n|# TYPE h histogram\n|up 1\n", 0..12), shift in 0usize..3) {
        let body = lines.concat();
        let plain = shown_with(Format::Text, body.as_bytes(), KEEP);
        let keys: Vec<Vec<u8>> = lines.iter().map(|line| line.split(' ').next().unwrap_or_default().into()).collect();
        let told = shown_told(Format::Text, body.as_bytes(), KEEP, |n| keys.get(n + shift).cloned().unwrap_or_default());
        proptest::prop_assert_eq!(told, plain);
    }
}
