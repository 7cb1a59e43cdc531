//! One test for each rule of OpenMetrics as Prometheus reads it.

use expect_test::{Expect, expect};

use crate::Format;
use crate::parser::tests::{error, shown};

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&shown(Format::OpenMetrics, body.as_bytes()));
}

/// Lines that are refused, each for its reason; the body is ended as it should be.
fn refused(cases: &[(&str, &str)]) {
    for (line, reason) in cases {
        let body = format!("{line}\n# EOF\n");
        assert_eq!(
            error(Format::OpenMetrics, body.as_bytes()).as_deref(),
            Some(&*format!("line 1: {reason}")),
            "{line:?}"
        );
    }
}

#[test]
fn a_whole_exposition_is_read_in_order() {
    check(
        "# TYPE size_bytes histogram\n\
         # UNIT size_bytes bytes\n\
         # HELP size_bytes How much, \\\"quoted\\\".\n\
         size_bytes_bucket{le=\"100\"} 17 # {trace_id=\"KOO5S4vxi0o\"} 67 1520879607.789\n\
         size_bytes_bucket{le=\"+Inf\"} 17 1520879609\n\
         size_bytes_created 1520430000.123\n\
         # TYPE build info\n\
         build_info{version=\"8.4\"} 1\n\
         # EOF",
        expect![[r#"
            type size_bytes histogram
            unit size_bytes "bytes"
            help size_bytes "How much, \"quoted\"."
            size_bytes_bucket{le="100.0"} 17 # {{trace_id="KOO5S4vxi0o"}} 67 @1520879607789
            size_bytes_bucket{le="+Inf"} 17 @1520879609000
            size_bytes_created 1.520430000123e+09
            type build info
            build_info{version="8.4"} 1
            end
        "#]],
    );
}

#[test]
fn exactly_one_space_separates_tokens() {
    refused(&[
        (" up 1", "expected a metric name, `{` or `#`, found a blank"),
        ("up  1", "expected a space and a value, found a blank"),
        ("up\t1", "expected a space and a value, found a blank"),
        ("up{a=\"b\"}1", "expected a space and a value, found `1`"),
        ("up+1", "expected a space and a value, found `+1`"),
        ("up {a=\"b\"} 1", "expected a number, found `{a=\"b\"}`"),
        ("up{ a=\"b\"} 1", "expected a label name, found a blank"),
        ("up{a =\"b\"} 1", "expected `=` after a label name, found a blank"),
        ("up{a= \"b\"} 1", "expected a label value in quotes, found a blank"),
        ("up{a=\"b\", c=\"d\"} 1", "expected a label name, found a blank"),
        ("up 1 ", "expected a timestamp, found a blank"),
        ("up 1  2", "expected a timestamp, found a blank"),
        ("up 1\t2", "expected a number, found `1`"),
        ("#  TYPE up gauge", "expected HELP, TYPE, UNIT or EOF, found a blank"),
        ("# TYPE  up gauge", "expected a metric name after TYPE, found a blank"),
        ("# TYPE up  gauge", "unknown metric type \" gauge\""),
    ]);
}

#[test]
fn lines_are_never_blank_or_plain_comments() {
    refused(&[
        ("", "expected a metric name, `{` or `#`, found the end of the line"),
        ("# just a comment", "expected HELP, TYPE, UNIT or EOF, found `just`"),
        ("#", "expected HELP, TYPE, UNIT or EOF, found the end of the line"),
        ("up", "expected a space and a value, found the end of the line"),
    ]);
}

#[test]
fn the_body_ends_with_eof_and_nothing_after_it() {
    for ended in ["# EOF", "# EOF\n"] {
        assert_eq!(shown(Format::OpenMetrics, ended.as_bytes()), "end\n");
    }
    for (body, message) in [
        ("", "line 1: the body does not end with # EOF"),
        ("up 1\n", "line 2: the body does not end with # EOF"),
        ("up 1", "line 1: the body does not end with # EOF"),
        ("up 1 2", "line 1: the body does not end with # EOF"),
        ("up 1 # {} 1", "line 1: the body does not end with # EOF"),
        ("# HELP a # EOF\n", "line 2: the body does not end with # EOF"),
        ("# EOF\n\n", "line 1: there is data after # EOF"),
        ("# EOF\nup 1\n", "line 1: there is data after # EOF"),
        ("# EOF ", "line 1: there is data after # EOF"),
        ("# EOFup 1", "line 1: there is data after # EOF"),
    ] {
        assert_eq!(error(Format::OpenMetrics, body.as_bytes()).as_deref(), Some(message), "{body:?}");
    }
}

#[test]
fn type_words_are_the_eight_of_openmetrics() {
    check(
        "# TYPE a counter\n# TYPE a gauge\n# TYPE a histogram\n# TYPE a gaugehistogram\n# TYPE a summary\n\
         # TYPE a info\n# TYPE a stateset\n# TYPE a unknown\n# EOF\n",
        expect![[r#"
            type a counter
            type a gauge
            type a histogram
            type a gaugehistogram
            type a summary
            type a info
            type a stateset
            type a unknown
            end
        "#]],
    );
    refused(&[
        ("# TYPE a untyped", "unknown metric type \"untyped\""),
        ("# TYPE a Gauge", "unknown metric type \"Gauge\""),
        ("# TYPE a", "expected a space and the text of TYPE, found the end of the line"),
    ]);
}

#[test]
fn a_unit_is_a_suffix_of_the_family_or_empty() {
    check(
        "# UNIT a_seconds seconds\n# UNIT a \n# UNIT \"b c_bytes\" bytes\n# EOF\n",
        expect![[r#"
            unit a_seconds "seconds"
            unit a ""
            unit b c_bytes "bytes"
            end
        "#]],
    );
    refused(&[
        ("# UNIT a_seconds bytes", "unit \"bytes\" is not a suffix of \"a_seconds\""),
        ("# UNIT seconds seconds", "unit \"seconds\" is not a suffix of \"seconds\""),
        ("# UNIT aseconds seconds", "unit \"seconds\" is not a suffix of \"aseconds\""),
        ("# UNIT a", "expected a space and the text of UNIT, found the end of the line"),
    ]);
}

#[test]
fn help_needs_a_space_and_may_be_empty() {
    check(
        "# HELP a \n# HELP a  b \n# HELP \"x y\" \\t\\n\\\\\n# EOF\n",
        expect![[r#"
            help a ""
            help a " b "
            help x y "\\t\n\\"
            end
        "#]],
    );
    refused(&[("# HELP a", "expected a space and the text of HELP, found the end of the line")]);
}

#[test]
fn names_are_bare_or_quoted() {
    check(
        "{\"a.b\",c=\"d\"} 1\n{\"l 1\"=\"v\",\"up\",} 2\nup{\"x.y\"=\"z\"} 3\n# EOF\n",
        expect![[r#"
            {"a.b",c="d"} 1
            up{"l 1"="v"} 2
            up{"x.y"="z"} 3
            end
        "#]],
    );
    refused(&[
        ("{a=\"b\"} 1", "the metric name is missing"),
        ("up{\"down\"} 1", "the metric name is given twice"),
    ]);
}

#[test]
fn commas_may_trail_but_not_be_missing() {
    check(
        "up{a=\"b\",c=\"d\",} 1\n# EOF\n",
        expect![[r#"
            up{a="b",c="d"} 1
            end
        "#]],
    );
    refused(&[
        ("up{a=\"b\"c=\"d\"} 1", "expected `,` or `}` after a label, found `c=\"d\"}`"),
        ("up{,a=\"b\"} 1", "expected a label name, found `,a=\"b\"}`"),
    ]);
}

#[test]
fn label_values_hold_no_raw_newline_but_unknown_escapes() {
    check(
        "up{a=\"x\\ty\\n\\\"\"} 1\n# EOF\n",
        expect![[r#"
            up{a="x\\ty\n\""} 1
            end
        "#]],
    );
    refused(&[
        ("up{a=\"x\ny\"} 1", "a quoted string does not end"),
        ("up 1 # {a=\"x\ny\"} 1", "a quoted string does not end"),
        ("up 1 # {\"a\nb\"=\"x\"} 1", "a quoted string does not end"),
        ("up 1 # {a=\"x\0\"} 1", "a quoted name holds a NUL byte"),
    ]);
    let bad = error(Format::OpenMetrics, b"up 1 # {a=\"\xff\"} 1\n# EOF\n");
    assert_eq!(bad.as_deref(), Some("line 1: a label value is not valid UTF-8"));
}

#[test]
fn timestamps_are_seconds_cut_to_milliseconds() {
    check(
        "a 1 0\na 1 1.9999\na 1 -1.9999\na 1 1e3\na 1 -5 # {} 2 -6\n# EOF\n",
        expect![[r#"
            a 1 @0
            a 1 @1999
            a 1 @-1999
            a 1 @1000000
            a 1 @-5000 # {} 2 @-6000
            end
        "#]],
    );
    refused(&[
        ("a 1 NaN", "a timestamp is not finite"),
        ("a 1 +Inf", "a timestamp is not finite"),
        ("a 1 1e999", "expected a number, found `1e999`"),
        ("a 1 2 3", "expected the end of the line, found a blank"),
        ("a 1 # {} 1 -Inf", "a timestamp is not finite"),
        ("a 1 # {} 1 2 3", "expected the end of the line, found a blank"),
    ]);
}

#[test]
fn exemplars_stand_on_any_series_and_have_any_length() {
    let long = "x".repeat(500);
    let body = format!("up 1 2 # {{\"a.b\"=\"c\",d=\"{long}\",}} NaN 3.5\nup 1 # {{}} 0\n# EOF\n");
    assert_eq!(
        shown(Format::OpenMetrics, body.as_bytes()),
        format!("up 1 @2000 # {{{{\"a.b\"=\"c\",d=\"{long}\"}}}} NaN @3500\nup 1 # {{}} 0\nend\n")
    );
    refused(&[
        ("up 1 # {\"a\"} 1", "expected `=` after a label name, found `}`"),
        ("up 1 # {a=\"b\"}", "expected a space and the exemplar's value, found the end of the line"),
        ("up 1 # {a=\"b\"}1", "expected a space and the exemplar's value, found `1`"),
        ("up 1 # {a=\"b\"} x", "expected a number, found `x`"),
        ("up 1 # {a=\"b\" c=\"d\"} 1", "expected `,` or `}` after a label, found a blank"),
        ("up 1 #{a=\"b\"} 1", "expected a number, found `#{a=\"b\"}`"),
        ("up 1 # a", "expected a number, found `#`"),
    ]);
}

#[test]
fn escapes_in_exemplars_are_resolved() {
    let body = b"up 1 # {a=\"x\\n\"} 1\n# EOF\n";
    assert_eq!(shown(Format::OpenMetrics, body), "up 1 # {{a=\"x\\n\"}} 1\nend\n");
}

#[test]
fn what_families_contain_is_not_looked_at() {
    check(
        "# TYPE a counter\na 1\na_created 5\n# TYPE b histogram\nb_bucket{le=\"2\"} 9\nb_bucket{le=\"1\"} -3\na 2\n\
         # TYPE a gauge\n# EOF\n",
        expect![[r#"
            type a counter
            a 1
            a_created 5
            type b histogram
            b_bucket{le="2.0"} 9
            b_bucket{le="1.0"} -3
            a 2
            type a gauge
            end
        "#]],
    );
}
