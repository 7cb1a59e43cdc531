//! One table a class of what the specification forbids. Every body in the tables of bad ones can be scraped.

use crate::parser::tests::{error, shown_with};
use crate::{Format, Options, Strictness};

const STRICT: Options = Options {
    native_histograms: false,
    always_classic: false,
    convert_to_nhcb: false,
    start_timestamps: false,
    strictness: Strictness::Specification,
};

/// The error of a body that only the specification refuses.
fn broken(lines: &str) -> String {
    let body = format!("{lines}# EOF\n");
    assert_eq!(error(Format::OpenMetrics, body.as_bytes()), None, "a scrape takes it:\n{body}");
    let shown = shown_with(Format::OpenMetrics, body.as_bytes(), STRICT);
    let last = shown.lines().last().unwrap_or_default();
    assert!(last.starts_with("line "), "nothing is found in:\n{body}");
    last.to_owned()
}

fn all_broken(cases: &[(&str, &str)]) {
    for (lines, message) in cases {
        assert_eq!(broken(lines), *message, "{lines}");
    }
}

fn all_fine(cases: &[&str]) {
    for lines in cases {
        let body = format!("{lines}# EOF\n");
        let shown = shown_with(Format::OpenMetrics, body.as_bytes(), STRICT);
        assert!(shown.ends_with("end\n"), "{shown}of:\n{body}");
    }
}

#[test]
fn names_of_families_must_not_clash() {
    all_broken(&[
        (
            "# TYPE m counter\n# TYPE n gauge\n# TYPE m counter\n",
            "line 3: the name \"m\" clashes with another family",
        ),
        (
            "# TYPE m_total gauge\n# TYPE m counter\n",
            "line 2: the name \"m_total\" clashes with another family",
        ),
        (
            "# TYPE m_bucket gauge\nm_bucket 1\n# TYPE m histogram\n",
            "line 3: the name \"m_bucket\" clashes with another family",
        ),
        ("m 1\nn 1\nm{l=\"1\"} 1\n", "line 3: the name \"m\" clashes with another family"),
    ]);
    all_fine(&["# TYPE m_total gauge\n# TYPE m gauge\n", "# TYPE m gauge\n# TYPE m_info gauge\n"]);
}

#[test]
fn samples_need_the_suffix_of_their_type() {
    for (kind, sample) in [("counter", "m 1\n"), ("info", "m 1\n"), ("histogram", "m{le=\"+Inf\"} 1\n")] {
        let message = broken(&format!("# TYPE m {kind}\n{sample}"));
        assert_eq!(message, "line 2: the name \"m\" clashes with another family", "{kind}");
    }
    all_fine(&["# TYPE m counter\nm_total 1\nm_created 1\n", "# TYPE m info\nm_info{v=\"1\"} 1\n", "m 1\n"]);
}

#[test]
fn what_counts_is_neither_negative_nor_nan() {
    all_broken(&[
        ("# TYPE m counter\nm_total NaN\n", "line 2: a _total sample must not be NaN"),
        ("# TYPE m counter\nm_total -0.1\n", "line 2: a _total sample must not be negative"),
        ("# TYPE m histogram\nm_bucket{le=\"+Inf\"} -1\n", "line 2: a _bucket sample must not be negative"),
        (
            "# TYPE m histogram\nm_bucket{le=\"+Inf\"} 0.5\n",
            "line 2: a _bucket sample must be a whole number",
        ),
        ("# TYPE m summary\nm_sum -1\n", "line 2: a _sum sample must not be negative"),
        ("# TYPE m summary\nm_count NaN\n", "line 2: a _count sample must not be NaN"),
        (
            "# TYPE m summary\nm{quantile=\"0.5\"} -1\n",
            "line 2: the value of a quantile must not be negative",
        ),
        ("# TYPE m gaugehistogram\nm_gcount -1\n", "line 2: a _gcount sample must not be negative"),
        ("# TYPE m gaugehistogram\nm_gsum NaN\n", "line 2: a _gsum sample must not be NaN"),
    ]);
    all_fine(&["# TYPE m gauge\nm -1\n", "# TYPE m summary\nm{quantile=\"0.5\"} NaN\n", "m NaN\n"]);
}

#[test]
fn exemplars_stand_on_counters_and_buckets_and_are_short() {
    let misplaced = "only _total samples of counters and _bucket samples of histograms have exemplars";
    for lines in [
        "# TYPE m gauge\nm 1 # {id=\"1\"} 1\n",
        "# TYPE m info\nm_info 1 # {id=\"1\"} 1\n",
        "# TYPE m counter\nm_created 1 # {id=\"1\"} 1\n",
        "# TYPE m histogram\nm_count 1 # {id=\"1\"} 1\n",
        "# TYPE m_bucket gauge\nm_bucket 1 # {id=\"1\"} 1\n",
    ] {
        assert_eq!(broken(lines), format!("line 2: {misplaced}"));
    }
    let labels = |n: usize| format!("# TYPE m counter\nm_total 1 # {{ab=\"{}\"}} 1\n", "\u{20ac}".repeat(n));
    all_fine(&[&labels(126)]);
    let message = "line 2: the labels of an exemplar have 129 characters, max_exemplar_characters is 128";
    assert_eq!(broken(&labels(127)), message);
}

#[test]
fn groups_stand_together_and_times_go_on() {
    all_broken(&[
        (
            "# TYPE m summary\nm_count{l=\"1\"} 1\nm_count{l=\"2\"} 1\nm_sum{l=\"1\"} 1\n",
            "line 4: the samples of a group must stand together",
        ),
        ("# TYPE m gauge\nm 1 2\nm 1 1\n", "line 3: within a group timestamps must not go backwards"),
        ("# TYPE m gauge\nm 1 2\nm 1\n", "line 3: within a group all samples have timestamps, or none has"),
        ("# TYPE m gauge\nm 1\nm 1 2\n", "line 3: within a group all samples have timestamps, or none has"),
    ]);
    all_fine(&[
        "# TYPE m gauge\nm 1 1\nm 1 1\nm 1 2\n",
        "# TYPE m info\nm_info{l=\"1\"} 1 2\nm_info{l=\"2\"} 1 1\n",
        "# TYPE m stateset\nm{m=\"a\"} 1\nm{m=\"b\"} 0\n",
    ]);
}

#[test]
fn histograms_do_not_contradict_themselves() {
    let inf = "m_bucket{le=\"+Inf\"}";
    for (lines, message) in [
        ("m_count 1\nm_sum 1\n".to_owned(), "line 3: a histogram needs the bucket up to +Inf"),
        ("m_bucket{le=\"1\"} 1\n".to_owned(), "line 2: a histogram needs the bucket up to +Inf"),
        (format!("{inf} 1\nm_sum 1\n"), "line 3: a histogram with a sum needs a count"),
        (format!("{inf} 1\nm_count 1\n"), "line 3: a histogram with a count needs a sum"),
        (
            format!("{inf} 1\nm_count 2\nm_sum 1\n"),
            "line 4: the count of a histogram is that of its bucket up to +Inf",
        ),
        (
            format!("m_bucket{{le=\"2\"}} 1\nm_bucket{{le=\"1\"}} 1\n{inf} 1\n"),
            "line 3: the bounds of buckets must ascend",
        ),
        (format!("m_bucket{{le=\"1\"}} 2\n{inf} 1\n"), "line 3: the counts of buckets must not fall"),
        (
            format!("m_bucket{{le=\"-1\"}} 0\n{inf} 1\nm_sum 1\nm_count 1\n"),
            "line 5: a histogram with negative bounds must not have a sum",
        ),
        ("m_bucket{le=\"+INF\"} 1\n".to_owned(), "line 2: the last bound is written +Inf, not \"+INF\""),
    ] {
        assert_eq!(broken(&format!("# TYPE m histogram\n{lines}")), message);
    }
    let negative_sum = "# TYPE m gaugehistogram\nm_bucket{le=\"+Inf\"} 1\nm_gcount 1\nm_gsum -1\n";
    let message = "line 4: the sum of a gauge histogram without negative bounds must not be negative";
    assert_eq!(broken(negative_sum), message);
    all_fine(&[
        "# TYPE m histogram\nm_bucket{le=\"1e+05\"} 1\nm_bucket{le=\"+Inf\"} 2\nm_count 2\nm_sum 1\nm_created 1\n",
        "# TYPE m histogram\nm_bucket{le=\"+Inf\"} 2\n",
        "# TYPE m histogram\nm_bucket{l=\"1\",le=\"+Inf\"} 2\nm_bucket{l=\"2\",le=\"+Inf\"} 1\n",
        "# TYPE m gaugehistogram\nm_bucket{le=\"-1\"} 1\nm_bucket{le=\"+Inf\"} 1\nm_gcount 1\nm_gsum -1\n",
    ]);
}

#[test]
fn an_info_is_one_and_a_state_is_one_or_zero() {
    all_broken(&[
        ("# TYPE m info\nm_info{l=\"1\"} 0\n", "line 2: the value of an info is 1"),
        ("# TYPE m stateset\nm{m=\"a\"} 0.5\n", "line 2: a state is 0 or 1"),
        ("# TYPE m stateset\nm{m=\"a\"} NaN\n", "line 2: a state is 0 or 1"),
    ]);
}

#[test]
fn types_need_their_labels() {
    all_broken(&[
        ("# TYPE m summary\nm 1\n", "line 2: a quantile of a summary needs the label \"quantile\""),
        (
            "# TYPE m summary\nm{quantile=\"1.1\"} 1\n",
            "line 2: the quantile \"1.1\" is no number from 0 to 1",
        ),
        (
            "# TYPE m summary\nm{quantile=\"NaN\"} 1\n",
            "line 2: the quantile \"NaN\" is no number from 0 to 1",
        ),
        ("# TYPE m histogram\nm_bucket 1\n", "line 2: a bucket needs the label \"le\""),
        (
            "# TYPE m gaugehistogram\nm_bucket{le=\"x\"} 1\n",
            "line 2: the bound \"x\" of a bucket is no number",
        ),
        ("# TYPE m stateset\nm 1\n", "line 2: a state set needs the label \"m\""),
    ]);
}

#[test]
fn metadata_comes_once_and_first() {
    all_broken(&[
        ("# HELP m x\n# HELP m x\n", "line 2: metadata of \"m\" is repeated"),
        ("# TYPE m gauge\n# TYPE m gauge\n", "line 2: metadata of \"m\" is repeated"),
        ("# UNIT m_s s\n# UNIT m_s \n", "line 2: metadata of \"m_s\" is repeated"),
        ("# HELP m x\nm 1\n# TYPE m gauge\n", "line 3: metadata of \"m\" must stand in front of its samples"),
    ]);
    all_fine(&["# UNIT m_s s\n# HELP m_s x\n# TYPE m_s gauge\nm_s 1\n"]);
}

#[test]
fn infos_and_state_sets_have_no_unit() {
    all_broken(&[
        ("# TYPE m_s info\n# UNIT m_s s\n", "line 2: \"m_s\" must not have a unit"),
        ("# UNIT m_s s\n# TYPE m_s stateset\n", "line 2: \"m_s\" must not have a unit"),
    ]);
    all_fine(&["# TYPE m info\n# UNIT m \n"]);
}

#[test]
fn commas_do_not_trail_and_names_are_bare() {
    all_broken(&[
        ("m{a=\"1\",} 1\n", "line 1: OpenMetrics 1.0 has no comma behind the last label"),
        (
            "# TYPE m counter\nm_total 1 # {a=\"1\",} 1\n",
            "line 2: OpenMetrics 1.0 has no comma behind the last label",
        ),
        ("{\"m\"} 1\n", "line 1: OpenMetrics 1.0 has no quoted names"),
        ("m{\"a\"=\"1\"} 1\n", "line 1: OpenMetrics 1.0 has no quoted names"),
        ("# TYPE \"m\" gauge\n", "line 1: OpenMetrics 1.0 has no quoted names"),
    ]);
    all_fine(&["m{} 1\n", "m{a=\"1,}\"} 1\n"]);
}

#[test]
fn a_label_name_is_unique() {
    assert_eq!(broken("m{a=\"1\",a=\"2\"} 1\n"), "line 1: label name \"a\" is not unique");
}

#[test]
fn what_stands_in_front_of_a_broken_rule_is_given() {
    let body = b"a 1\nb 2\nb 1 1\n# EOF\n";
    assert_eq!(
        shown_with(Format::OpenMetrics, body, STRICT),
        "a 1\nb 2\nline 3: within a group all samples have timestamps, or none has\n"
    );
}

#[test]
fn lines_that_are_no_openmetrics_are_refused_with_their_own_message() {
    let body = b"# TYPE a counter\na x\n# EOF\n";
    let strict = shown_with(Format::OpenMetrics, body, STRICT);
    assert_eq!(strict, "type a counter\nline 2: expected a number, found `x`\n");
}

#[test]
fn text_is_not_stricter_for_it() {
    assert_eq!(shown_with(Format::Text, b"a{l=\"1\",} -1\n", STRICT), "a{l=\"1\"} -1\n");
}
