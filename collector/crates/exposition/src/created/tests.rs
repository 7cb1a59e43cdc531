//! Start times of OpenMetrics series.

use crate::parser::tests::{shown, shown_told, shown_with};
use crate::{Event, Format, Options, Parser};

const STARTS: Options = Options {
    native_histograms: false,
    always_classic: false,
    convert_to_nhcb: false,
    start_timestamps: true,
    strictness: crate::Strictness::Scrape,
};

/// What is shown of the samples of a body, without its end.
fn samples(body: &str) -> Vec<String> {
    let shown = shown_with(Format::OpenMetrics, format!("{body}# EOF\n").as_bytes(), STARTS);
    let is_sample =
        |line: &&str| !["type ", "help ", "unit ", "end"].iter().any(|word| line.starts_with(word));
    shown.lines().filter(is_sample).map(str::to_owned).collect()
}

#[test]
fn created_lines_are_ordinary_series_unless_start_times_are_asked_for() {
    let body = b"# TYPE a counter\na_total 1\na_created 5\n# EOF\n";
    assert_eq!(shown(Format::OpenMetrics, body), "type a counter\na_total 1\na_created 5\nend\n");
    assert_eq!(shown_with(Format::OpenMetrics, body, STARTS), "type a counter\na_total 1 since 5000\nend\n");
}

#[test]
fn text_has_no_start_times() {
    let body = b"# TYPE a counter\na_total 1\na_created 5\n";
    assert_eq!(shown_with(Format::Text, body, STARTS), shown(Format::Text, body));
}

#[test]
fn every_series_of_a_counter_a_histogram_or_a_summary_starts_with_its_labels() {
    for (body, expected) in [
        (
            "# TYPE a counter\na_total{l=\"1\"} 1\na_created{l=\"1\"} 1.5\na_total{l=\"2\"} 2\na_created{l=\"2\"} 2.5\n",
            &["a_total{l=\"1\"} 1 since 1500", "a_total{l=\"2\"} 2 since 2500"][..],
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"1\",l=\"x\"} 1\na_bucket{l=\"x\",le=\"+Inf\"} 1\na_count{l=\"x\"} 1\n\
             a_sum{l=\"x\"} 1\na_created{l=\"x\"} 3\n",
            &[
                "a_bucket{le=\"1.0\",l=\"x\"} 1 since 3000",
                "a_bucket{l=\"x\",le=\"+Inf\"} 1 since 3000",
                "a_count{l=\"x\"} 1 since 3000",
                "a_sum{l=\"x\"} 1 since 3000",
            ],
        ),
        (
            "# TYPE a summary\na{quantile=\"0.5\"} 1\na_count 1\na_sum 1\na_created 4\n",
            &["a{quantile=\"0.5\"} 1 since 4000", "a_count 1 since 4000", "a_sum 1 since 4000"],
        ),
    ] {
        assert_eq!(samples(body), expected);
    }
}

#[test]
fn the_place_of_the_created_line_and_the_order_of_labels_do_not_matter() {
    for body in [
        "# TYPE a counter\na_created{x=\"1\",y=\"2\"} 7\na_total{x=\"1\",y=\"2\"} 1\n",
        "# TYPE a counter\na_total{x=\"1\",y=\"2\"} 1\na_created{y=\"2\",x=\"1\"} 7\n",
    ] {
        assert_eq!(samples(body), ["a_total{x=\"1\",y=\"2\"} 1 since 7000"]);
    }
}

#[test]
fn quoted_names_have_start_times_too() {
    let body = "# TYPE \"a.b\" counter\n{\"a.b_total\",l=\"1\"} 1\n{\"a.b_created\",l=\"1\"} 7\n";
    assert_eq!(samples(body), ["{\"a.b_total\",l=\"1\"} 1 since 7000"]);
}

#[test]
fn a_point_has_the_next_start_time() {
    let body =
        "# TYPE a counter\na_total 5 10\na_created 1 10\na_total 2 20\na_created 15 20\na_total 3 30\n";
    assert_eq!(
        samples(body),
        ["a_total 5 @10000 since 1000", "a_total 2 @20000 since 15000", "a_total 3 @30000 since 15000"]
    );
}

#[test]
fn a_start_time_counts_for_its_own_family_and_labels_only() {
    for body in [
        "# TYPE a counter\na_total 1\na_created{l=\"1\"} 7\n",
        "# TYPE a counter\na_total 1\nb_created 7\n",
        "# TYPE a counter\na_total 1\n# TYPE b counter\na_created 7\n",
        "# TYPE a counter\na_total 1\n# HELP b x\na_created 7\n",
        "# TYPE a counter\na_total 1\na_created 0\n",
        "# TYPE a counter\na_total 1\na_created NaN\n",
    ] {
        assert_eq!(samples(body), ["a_total 1"], "{body}");
    }
}

#[test]
fn other_types_keep_their_created_series() {
    for kind in ["gauge", "gaugehistogram", "info", "stateset", "unknown"] {
        assert_eq!(
            samples(&format!("# TYPE a {kind}\na_x 1\na_created 7\n")),
            ["a_x 1", "a_created 7"],
            "{kind}"
        );
    }
    assert_eq!(samples("a_x 1\na_created 7\n"), ["a_x 1", "a_created 7"]);
}

#[test]
fn an_exemplar_stays_where_it_is() {
    let body = "# TYPE a counter\na_total 1 # {id=\"x\"} 0.5 3\na_created 7\n";
    assert_eq!(samples(body), ["a_total 1 since 7000 # {{id=\"x\"}} 0.5 @3000"]);
}

#[test]
fn a_bad_line_behind_is_found_when_it_is_reached() {
    let body = b"# TYPE a counter\na_total 1\na_created x\na_total 2\n";
    assert_eq!(
        shown_with(Format::OpenMetrics, body, STARTS),
        "type a counter\na_total 1\nline 3: expected a number, found `x`\n"
    );
}

#[test]
fn a_prediction_holds_across_hidden_lines() {
    let body = b"# TYPE a counter\na_created 7\na_total 1\n# EOF\n";
    let predict = |n| if n == 1 { b"a_total".to_vec() } else { Vec::new() };
    let told = shown_told(Format::OpenMetrics, body, STARTS, predict);
    assert_eq!(told, "type a counter\na_total 1 since 7000\nend\n");
    let mut parser = Parser::with(Format::OpenMetrics, body, STARTS);
    parser.next(b"").unwrap().unwrap();
    assert!(matches!(parser.next(b"a_total"), Some(Ok(Event::Sample(sample))) if sample.predicted));
}

/// A family of so many series is looked through once, not once for each of them.
#[test]
fn the_cost_grows_with_the_body_not_with_its_square() {
    let body_of = |n: usize| {
        let mut body = "# TYPE a counter\n".to_owned();
        (0..n).for_each(|l| body.push_str(&format!("a_total{{l=\"{l}\"}} 1\n")));
        (0..n).for_each(|l| body.push_str(&format!("a_created{{l=\"{l}\"}} {}\n", l + 1)));
        body + "# EOF\n"
    };
    // Looking ahead from each of these series would read a hundred gigabytes.
    let body = body_of(50_000);
    let mut parser = Parser::with(Format::OpenMetrics, body.as_bytes(), STARTS);
    let mut n_starts = 0;
    while let Some(event) = parser.next(b"") {
        if let Ok(Event::Sample(sample)) = event {
            n_starts += 1;
            assert_eq!(sample.start.map(|start| start.millis()), Some(n_starts * 1000));
        }
    }
    assert_eq!(n_starts, 50_000);
}
