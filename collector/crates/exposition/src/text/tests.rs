//! One test for each rule of the text format.

use expect_test::{Expect, expect};

use crate::Format;
use crate::parser::tests::{error, shown};

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&shown(Format::Text, body.as_bytes()));
}

/// Lines that are all read as the same sample.
fn same(lines: &[&str], expected: &str) {
    for line in lines {
        assert_eq!(shown(Format::Text, line.as_bytes()), format!("{expected}\n"), "{line:?}");
    }
}

/// Bodies that are refused, each for its reason.
fn refused(cases: &[(&str, &str)]) {
    for (body, reason) in cases {
        assert_eq!(error(Format::Text, body.as_bytes()).as_deref(), Some(*reason), "{body:?}");
    }
}

#[test]
fn a_whole_exposition_is_read_in_order() {
    check(
        "# HELP http_requests_total Requests, by code.\n\
         # TYPE http_requests_total counter\n\
         http_requests_total{code=\"200\",method=\"get\"} 1027 1395066363000\n\
         http_requests_total{code=\"500\",method=\"get\"} 3\n\
         \n\
         # hello\n\
         # TYPE rpc_seconds summary\n\
         rpc_seconds{quantile=\"0.5\"} 4.7e-3\n\
         rpc_seconds{quantile=\"1\"} NaN\n\
         rpc_seconds_count 2693\n\
         up 1",
        expect![[r#"
            help http_requests_total "Requests, by code."
            type http_requests_total counter
            http_requests_total{code="200",method="get"} 1027 @1395066363000
            http_requests_total{code="500",method="get"} 3
            comment
            type rpc_seconds summary
            rpc_seconds{quantile="0.5"} 0.0047
            rpc_seconds{quantile="1.0"} NaN
            rpc_seconds_count 2693
            up 1
        "#]],
    );
}

#[test]
fn blanks_may_stand_between_all_tokens() {
    same(
        &[
            "a{b=\"c\"} 1 2",
            "a{b=\"c\"}1 2",
            "a\t{ b\t=  \"c\" , }\t 1\t2 \t\n",
            " \ta {b=\"c\"} 1 2\n\n",
            "\n\t\n{ \"a\" , b=\"c\" } 1 2",
        ],
        "a{b=\"c\"} 1 @2",
    );
}

#[test]
fn a_name_needs_no_blank_before_its_value() {
    same(&["up+1", "up +1", "up 1\n"], "up 1");
    same(&["up.5 3"], "up 0.5 @3");
    refused(&[("up\"x\" 1", "line 1: expected a number, found `\"x\"`")]);
}

#[test]
fn only_a_newline_ends_a_line() {
    refused(&[
        ("up 1\r\n", "line 1: expected a number, found `1\\r`"),
        ("\rup 1\n", "line 1: expected a metric name, `{` or `#`, found `\\rup`"),
    ]);
}

#[test]
fn a_sample_needs_name_and_value() {
    refused(&[
        ("9up 1", "line 1: expected a metric name, `{` or `#`, found `9up`"),
        ("up", "line 1: expected a value, found the end of the body"),
        ("up\n", "line 1: expected a value, found the end of the line"),
        ("up{a=\"b\"}{c=\"d\"} 1", "line 1: expected a value, found `{c=\"d\"}`"),
        ("up.x 1", "line 1: expected a number, found `.x`"),
        ("up 1e999", "line 1: expected a number, found `1e999`"),
        ("up +NaN", "line 1: expected a number, found `+NaN`"),
        ("up 1_000", "line 1: expected a number, found `1_000`"),
        ("up 1{a=\"b\"}", "line 1: expected a timestamp or the end of the line, found `{a=\"b\"}`"),
    ]);
}

#[test]
fn values_are_floats_in_any_spelling() {
    check(
        "a 0\na 1e3\na -.5\na +Inf\na -inf\na nan\na 123456789012345678\na 1\t7\na 1e-400\n",
        expect![[r#"
            a 0
            a 1000
            a -0.5
            a +Inf
            a -Inf
            a NaN
            a 1.2345678901234568e+17
            a 1 @7
            a 0
        "#]],
    );
}

#[test]
fn timestamps_are_digits_only() {
    same(&["up 1 9223372036854775807", "up 1 009223372036854775807"], "up 1 @9223372036854775807");
    refused(&[
        ("up 1 9223372036854775808", "line 1: a timestamp does not fit into 64 bits"),
        ("up 1 -5", "line 1: expected a timestamp or the end of the line, found `-5`"),
        ("up 1 1.5", "line 1: expected the end of the line after the timestamp, found `.5`"),
        ("up 1 1 1", "line 1: expected the end of the line after the timestamp, found `1`"),
    ]);
}

#[test]
fn there_are_no_exemplars() {
    refused(&[
        ("up 1 # {a=\"b\"} 1", "line 1: expected a timestamp or the end of the line, found `#`"),
        ("up 1 5 # {a=\"b\"} 1", "line 1: expected the end of the line after the timestamp, found `#`"),
    ]);
}

#[test]
fn a_quoted_name_stands_anywhere_in_the_braces_but_once() {
    same(&["{\"a.b\",c=\"d\"} 1", "{c=\"d\",\"a.b\"} 1", "{c=\"d\" \"a.b\",} 1"], "{\"a.b\",c=\"d\"} 1");
    same(&["{\"up\"} 1", "{\"up\",} 1", "up{} 1"], "up 1");
    refused(&[
        ("{} 1", "line 1: the metric name is missing"),
        ("{a=\"b\"} 1", "line 1: the metric name is missing"),
        ("{\"a\",\"b\"} 1", "line 1: the metric name is given twice"),
        ("up{\"a\"} 1", "line 1: the metric name is given twice"),
        ("{\"a\" b=\"c\"} 1", "line 1: expected `=` after a label name, found `b=\"c\"}`"),
    ]);
}

#[test]
fn label_names_are_bare_or_quoted() {
    same(&["up{\"b.c\"=\"d\"} 1"], "up{\"b.c\"=\"d\"} 1");
    same(&["up{_x9=\"d\"} 1", "up{\"_x9\"=\"d\"} 1"], "up{_x9=\"d\"} 1");
    refused(&[
        ("up{9=\"d\"} 1", "line 1: expected a label name, found `9=\"d\"}`"),
        ("up{a:b=\"d\"} 1", "line 1: expected `=` after a label name, found `:b=\"d\"}`"),
        ("up{b} 1", "line 1: expected `=` after a label name, found `}`"),
        ("up{b=c} 1", "line 1: expected a label value in quotes, found `c}`"),
        ("up{\na=\"b\"} 1", "line 1: expected a label name, found the end of the line"),
        ("up{a=\"b\"", "line 1: expected a label name, found the end of the body"),
        ("up{\"a\0\"=\"b\"} 1", "line 1: a quoted name holds a NUL byte"),
    ]);
}

#[test]
fn a_comma_may_be_missing_or_trail_but_not_lead_or_repeat() {
    same(
        &["up{a=\"b\",c=\"d\"} 1", "up{a=\"b\" c=\"d\"} 1", "up{a=\"b\"c=\"d\"} 1", "up{a=\"b\",c=\"d\",} 1"],
        "up{a=\"b\",c=\"d\"} 1",
    );
    refused(&[
        ("up{,a=\"b\"} 1", "line 1: expected a label name, found `,a=\"b\"}`"),
        ("up{a=\"b\",,c=\"d\"} 1", "line 1: expected a label name, found `,c=\"d\"}`"),
        ("up{,} 1", "line 1: expected a label name, found `,}`"),
    ]);
}

#[test]
fn label_values_unescape_three_escapes_and_keep_the_rest() {
    check(
        "a{l=\"q\\\" b\\\\ n\\n t\\t x\\\\n\"} 1\n",
        expect![[r#"
            a{l="q\" b\\ n\n t\\t x\\n"} 1
        "#]],
    );
    refused(&[
        ("a{l=\"x} 1\nb 1\n", "line 1: a quoted string does not end"),
        ("a{l=\"x\\\"} 1", "line 1: a quoted string does not end"),
        ("a{l=\"x\\\ny\"} 1", "line 1: a backslash stands before the end of the line"),
    ]);
}

#[test]
fn label_values_hold_newlines_and_nul() {
    same(&["a{l=\"x\ny\"} 1"], "a{l=\"x\\ny\"} 1");
    same(&["a{l=\"x\0y\"} 1"], "a{l=\"x\0y\"} 1");
    // The escape reaches over the NUL, so the quote behind it does not end the value.
    same(&["a{l=\"\\\0\"\"} 1"], "a{l=\"\\\\\0\\\"\"} 1");
}

#[test]
fn label_values_and_help_are_utf8() {
    let bad_value = error(Format::Text, b"a 1\na{l=\"\xff\"} 1\n");
    assert_eq!(bad_value.as_deref(), Some("line 2: a label value is not valid UTF-8"));
    let bad_help = error(Format::Text, b"# HELP a \xff\n");
    assert_eq!(bad_help.as_deref(), Some("line 1: the text of HELP is not valid UTF-8"));
    same(&["a{l=\"\u{20ac}\"} 1"], "a{l=\"\u{20ac}\"} 1");
}

#[test]
fn comments_are_whatever_is_not_help_or_type() {
    check(
        "#\n#x\n# x\n#HELP a b\n# HELP\n# TYPEa b\n# UNIT a b\n# EOF\n# help a b\nup 1\n",
        expect![[r#"
            comment
            comment
            comment
            comment
            comment
            comment
            comment
            comment
            comment
            up 1
        "#]],
    );
}

#[test]
fn metadata_takes_any_blanks_before_the_name_and_one_byte_behind_it() {
    check(
        "#\t HELP \t a b \\\\ \\n \\\" c\n# HELP a\n# HELP a  \n# HELP a   b\n# HELP a,b\n# HELP \"x y\" z\n# TYPE a\tgauge\n",
        expect![[r#"
            help a "b \\ \n \\\" c"
            help a ""
            help a ""
            help a "  b"
            help a "b"
            help x y "z"
            type a gauge
        "#]],
    );
    refused(&[
        ("# HELP \n", "line 1: expected a metric name after HELP, found the end of the line"),
        ("# TYPE 1 gauge\n", "line 1: expected a metric name after TYPE, found `1`"),
        ("# HELP a\0b\n", "line 1: expected a blank after the metric name, found `\\u{0}b`"),
    ]);
}

#[test]
fn type_words_are_five_in_lower_case() {
    check(
        "# TYPE a counter\n# TYPE a gauge\n# TYPE a histogram\n# TYPE a summary\n# TYPE a untyped",
        expect![[r#"
            type a counter
            type a gauge
            type a histogram
            type a summary
            type a unknown
        "#]],
    );
    refused(&[
        ("# TYPE a Counter\n", "line 1: unknown metric type \"Counter\""),
        ("# TYPE a unknown\n", "line 1: unknown metric type \"unknown\""),
        ("# TYPE a gauge \n", "line 1: unknown metric type \"gauge \""),
        ("# TYPE a  gauge\n", "line 1: unknown metric type \" gauge\""),
        ("# TYPE a\n", "line 1: unknown metric type \"\""),
    ]);
}

#[test]
fn repetition_and_interleaving_are_accepted() {
    check(
        "# TYPE a gauge\na 1\nb 1\na 1\n# TYPE a counter\n# HELP a x\n# HELP a y\na 2\n",
        expect![[r#"
            type a gauge
            a 1
            b 1
            a 1
            type a counter
            help a "x"
            help a "y"
            a 2
        "#]],
    );
}

#[test]
fn bucket_bounds_are_normalised_after_their_type_line_only() {
    check(
        "a_bucket{le=\"1\"} 1\n# TYPE b histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"x\"} 1\n# TYPE c gauge\na_bucket{le=\"1\"} 1\n",
        expect![[r#"
            a_bucket{le="1"} 1
            type b histogram
            a_bucket{le="1.0"} 1
            a_bucket{le="x"} 1
            type c gauge
            a_bucket{le="1"} 1
        "#]],
    );
}

#[test]
fn a_nul_where_a_line_begins_ends_the_body() {
    check(
        "a 1\n\0\nb 1\n",
        expect![[r#"
            a 1
        "#]],
    );
    check("#x\0y\nb 1\n", expect![[""]]);
    check(
        "# x\0y\nb 1\n",
        expect![[r#"
            comment
            b 1
        "#]],
    );
    refused(&[("a 1\0\n", "line 1: expected a number, found `1\\u{0}`")]);
}

#[test]
fn an_empty_body_has_no_events() {
    for body in ["", "\n", " \t\n\n"] {
        assert_eq!(shown(Format::Text, body.as_bytes()), "");
    }
}
