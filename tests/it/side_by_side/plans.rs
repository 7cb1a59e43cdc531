//! The pages that both scrape: what they show at which scrape, and how their jobs are configured.
//!
//! After the [`LAST`] scrape a page stays as it is, so that it does not matter who scrapes on for longer.

use std::fmt::Write as _;

use world::pages::{Fate, Page};

use super::exceptions::{self, Exception};

/// Scrapes of each page that are compared.
pub(super) const N_SCRAPES: usize = 40;

const LAST: usize = N_SCRAPES - 1;
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One page and its job.
pub(super) struct Plan {
    /// Name of the job, path of the page, and a label of every series.
    pub(super) name: &'static str,
    /// Keys of the job that both know.
    pub(super) keys: &'static str,
    /// Keys of the job that Prometheus learnt after Debian's version.
    pub(super) new_keys: &'static str,
    page: fn(usize, i64) -> Page,
    /// Where Debian's version and the one whose behaviour is ours differ.
    pub(super) exception: Option<&'static Exception>,
}

impl Plan {
    const fn new(name: &'static str, keys: &'static str, page: fn(usize, i64) -> Page) -> Self {
        Self { name, keys, new_keys: "", page, exception: None }
    }

    const fn with_new_keys(self, new_keys: &'static str) -> Self {
        Self { new_keys, ..self }
    }

    const fn but(self, exception: &'static Exception) -> Self {
        Self { exception: Some(exception), ..self }
    }

    /// The page at the n-th scrape, counted from zero; `base` is a time that has not come yet when the last scrape is
    /// over.
    pub(super) fn page(&self, n: usize, base: i64) -> Page {
        (self.page)(n.min(LAST), base)
    }
}

pub(super) const PLANS: &[Plan] = &[
    Plan::new("growing", "", |n, _| Page::new(TEXT, numbered(0..=n, n))),
    Plan::new("shrinking", "", |n, _| Page::new(TEXT, numbered(0..N_SCRAPES - n, n))),
    Plan::new("alternating", "", |n, _| Page::new(TEXT, alternating(n))),
    Plan::new("turning", "", |n, _| Page::new(TEXT, turning(n))),
    Plan::new("empty", "", |n, _| {
        Page::new(TEXT, if n % 4 == 3 { String::new() } else { numbered(0..3, n) })
    }),
    Plan::new("empty_openmetrics", "", |n, _| empty_openmetrics(n)).but(&exceptions::EMPTY_OPENMETRICS),
    Plan::new("failing", "", |n, _| failing(n)),
    Plan::new("redirecting", "", |n, _| redirecting(n)),
    Plan::new("redirecting_nobody", "follow_redirects: false", |n, _| redirecting(n)),
    Plan::new("long_down", "", |n, _| long_down(n)).but(&exceptions::LONG_DOWN),
    Plan::new("unreachable", UNREACHABLE, |_, _| Page::new(TEXT, "")),
    Plan::new("silent", "", |n, _| Page {
        fate: if n == 4 { Fate::Silent } else { Fate::Whole },
        ..Page::new(TEXT, numbered(0..3, n))
    }),
    Plan::new("breaking", "", |n, _| Page {
        fate: if n % 5 == 3 { Fate::Breaks } else { Fate::Whole },
        ..Page::new(TEXT, numbered(0..30, n))
    }),
    Plan::new("cut_in_a_value", "", |n, _| Page::new(TEXT, cut(n, 2))),
    Plan::new("cut_in_a_label", "", |n, _| Page::new(TEXT, cut(n, 12))).but(&exceptions::HALF_READ),
    Plan::new("without_eof", "", |n, _| Page::new(OPENMETRICS, without_eof(n))).but(&exceptions::HALF_READ),
    Plan::new("bad_lines", "", |n, _| Page::new(TEXT, bad_lines(n))),
    Plan::new("bad_openmetrics", "", |n, _| Page::new(OPENMETRICS, bad_openmetrics(n))),
    Plan::new("half_a_megabyte", "", |n, _| Page::new(TEXT, half_a_megabyte(n)).gzipped()),
    Plan::new("gzip", "", |n, _| gzip(n)),
    Plan::new("values", "", |n, _| Page::new(TEXT, values(n))),
    Plan::new("minus_zero", "", |n, _| Page::new(TEXT, format!("minus_zero -0\nmoving {n}\n")))
        .but(&exceptions::MINUS_ZERO),
    Plan::new("indented", "", |n, _| Page::new(TEXT, format!("plain {n}\n \t indented {n}\n")))
        .but(&exceptions::INDENTED),
    Plan::new("text", "", |n, _| Page::new(TEXT, text(n))),
    Plan::new("kinds", "", |n, _| Page::new(TEXT, kinds(n, "0.5"))),
    Plan::new("whole_buckets", "", |n, _| Page::new(TEXT, kinds(n, "1"))).but(&exceptions::WHOLE_BUCKETS),
    Plan::new("retyped", "", |n, _| Page::new(TEXT, retyped(n))).but(&exceptions::RETYPED),
    Plan::new("openmetrics", "", |n, base| Page::new(OPENMETRICS, openmetrics(n, base))),
    Plan::new("standing_exemplar", "", |_, _| Page::new(OPENMETRICS, STANDING_EXEMPLAR)),
    Plan::new("timed", "", |n, base| Page::new(TEXT, timed(n, base))),
    Plan::new("timed_and_ignored", "honor_timestamps: false", |n, base| Page::new(TEXT, timed(n, base))),
    Plan::new("now_and_then_timed", "", |n, base| Page::new(TEXT, now_and_then_timed(n, base))),
    Plan::new("twice", "", |n, _| Page::new(TEXT, twice(n))).but(&exceptions::TWICE),
    Plan::new("own_reports", "", |n, _| Page::new(TEXT, format!("scrape_series_added 9\nplain {n}\n")))
        .but(&exceptions::TWICE),
    Plan::new("honored", "honor_labels: true", |n, _| Page::new(TEXT, conflicts(n))),
    Plan::new("overridden", "", |n, _| Page::new(TEXT, conflicts(n))),
    Plan::new("empty_exported", "", |n, _| {
        Page::new(TEXT, format!("a{{team=\"exposed\",exported_team=\"\"}} {n}\n"))
    })
    .but(&exceptions::EMPTY_EXPORTED),
    Plan::new("relabelled", RELABELLED, |n, _| Page::new(TEXT, relabelled(n))),
    Plan::new("made_one", MADE_ONE, |n, _| Page::new(TEXT, made_one(n))).but(&exceptions::MADE_ONE),
    Plan::new("nameless", NAMELESS, |n, _| Page::new(TEXT, nameless(n))).but(&exceptions::HALF_READ),
    Plan::new("many_samples", "sample_limit: 10", |n, _| Page::new(TEXT, numbered(0..n % 15, n)))
        .but(&exceptions::MANY_SAMPLES),
    Plan::new("many_labels", "label_limit: 7", |n, _| Page::new(TEXT, many_labels(n)))
        .but(&exceptions::HALF_READ),
    Plan::new("long_values", "label_value_length_limit: 40", |n, _| Page::new(TEXT, long_values(n)))
        .but(&exceptions::HALF_READ),
    Plan::new("long_names", "label_name_length_limit: 20", |n, _| Page::new(TEXT, long_names(n)))
        .but(&exceptions::HALF_READ),
    Plan::new("large", "body_size_limit: 600B", |n, _| Page::new(TEXT, numbered(0..n % 30, n))),
    Plan::new("without_type", "", |n, _| Page { content_type: None, ..Page::new("", numbered(0..3, n)) }),
    Plan::new("of_a_strange_type", "", |n, _| Page::new("application/json", numbered(0..3, n))),
    Plan::new("fallback", "", |n, _| Page::new("application/json", without_eof(n)))
        .with_new_keys("fallback_scrape_protocol: OpenMetricsText1.0.0")
        .but(&exceptions::FALLBACK),
    Plan::new("utf8_names", "", |n, _| Page::new(TEXT, utf8_names(n))).but(&exceptions::UTF8_NAMES),
];

/// A gauge for each number.
fn numbered(numbers: impl IntoIterator<Item = usize>, n: usize) -> String {
    let mut body = String::from("# HELP size A number.\n# TYPE size gauge\n");
    for number in numbers {
        writeln!(body, "size{{number=\"{number}\"}} {}", n * 1000 + number).expect("a string takes all");
    }
    body
}

/// Series that are there every other time, every third time, once, and again after a pause.
fn alternating(n: usize) -> String {
    let mut body = numbered((0..20).filter(|number| number % 3 == n % 3 || n.is_multiple_of(2)), n);
    if n == 7 {
        body.push_str("once 1\n");
    }
    if !(10..20).contains(&n) {
        body.push_str("paused_total 12\n");
    }
    body
}

/// The same lines in another order each time.
fn turning(n: usize) -> String {
    numbered((0..12).map(|number| (number * 5 + n) % 12), n)
}

fn empty_openmetrics(n: usize) -> Page {
    let body = if n % 4 == 3 { "" } else { "# TYPE a gauge\na 1\n# EOF\n" };
    Page::new(OPENMETRICS, body)
}

fn failing(n: usize) -> Page {
    let status = match n {
        5 => 500,
        9 | 10 => 503,
        14 => 404,
        18 => 204,
        22 => 304,
        _ => 200,
    };
    Page { status, ..Page::new(TEXT, if matches!(n, 18 | 22) { String::new() } else { numbered(0..4, n) }) }
}

/// Every other time the page is at a path of no plan, which never changes.
fn redirecting(n: usize) -> Page {
    let page = Page::new(TEXT, numbered(0..3, n));
    match n % 4 {
        1 => Page { status: 302, location: Some("/elsewhere"), ..page },
        3 => Page { status: 307, location: Some("/elsewhere"), ..page },
        _ => page,
    }
}

fn long_down(n: usize) -> Page {
    let status = if (6..20).contains(&n) { 503 } else { 200 };
    Page { status, ..Page::new(TEXT, numbered(0..4, n)) }
}

/// Ends early every third time.
fn cut(n: usize, n_bytes: usize) -> String {
    let mut body = numbered(0..8, n);
    if n % 3 == 2 {
        body.truncate(body.len() - n_bytes);
    }
    body
}

fn without_eof(n: usize) -> String {
    let end = if n % 3 == 2 { "" } else { "# EOF\n" };
    format!("{}{end}", numbered(0..4, n))
}

/// A bad line in front of everything else, so that nothing is known before it fails.
fn bad_lines(n: usize) -> String {
    const BAD: [&str; 14] = [
        "a{b=\"1\",b=\"2\"} 1\n",
        "a{b=\"\u{0}\"} 1 1 1\n",
        "a{\n",
        "a 1e999\n",
        "a +NaN\n",
        "a 0x1p-2\n",
        "a 1_000\n",
        "a 1 -5\n",
        "a 1 # {} 1\n",
        "a{b=\"c\"\n",
        "1a 1\n",
        "a{,} 1\n",
        "a{b='c'} 1\n",
        "# TYPE a Gauge\n",
    ];
    let bad = if n.is_multiple_of(2) { "" } else { BAD[n / 2 % BAD.len()] };
    format!("{bad}{}", numbered(0..3, n))
}

/// Compressed, now and then broken, or marked as something else.
fn gzip(n: usize) -> Page {
    let page = Page::new(TEXT, numbered(0..n + 5, n));
    match n % 8 {
        3 => Page { content_encoding: Some("gzip"), ..page },
        5 => page,
        7 => {
            let whole = page.gzipped();
            Page { body: whole.body.slice(..whole.body.len() - 12), ..whole }
        }
        _ => page.gzipped(),
    }
}

/// What the text format would take.
fn bad_openmetrics(n: usize) -> String {
    const BAD: [&str; 12] = [
        "\n",
        "a  1\n",
        "a 1 \n",
        " a 1\n",
        "a\t1\n",
        "a { b=\"c\"} 1\n",
        "# TYPE a untyped\n",
        "# TYPE a gauge\n# UNIT a seconds\n",
        "# a comment\n",
        "a 1 NaN\n",
        "# EOF\n",
        "a{b=\"raw\nline\"} 1\n",
    ];
    let bad = if n.is_multiple_of(2) { "" } else { BAD[n / 2 % BAD.len()] };
    format!("{bad}# TYPE b gauge\nb {n}\n# EOF\n")
}

/// Half a million bytes, in which the first series are others each time.
fn half_a_megabyte(n: usize) -> String {
    let padding = "x".repeat(1000);
    let series =
        (n * 10..n * 10 + 500).map(|number| format!("big{{number=\"{number}\",a=\"{padding}\"}} {n}\n"));
    series.collect()
}

/// Numbers as they may be written.
fn values(n: usize) -> String {
    const VALUES: [&str; 26] = [
        "NaN",
        "nan",
        "Inf",
        "+Inf",
        "-Inf",
        "+infinity",
        "0",
        "00",
        "1",
        "-1",
        "+1",
        ".5",
        "5.",
        "007",
        "1e3",
        "1E-3",
        "1e-400",
        "4.9e-324",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "9007199254740993",
        "0.1",
        "123456789012345678901234567890",
        "3.141592653589793238462643383279",
        "18446744073709551615",
        "1.00000000000000011102230246251565",
    ];
    let mut body = String::new();
    for series in 0..VALUES.len() {
        writeln!(body, "value{{series=\"{series}\"}} {}", VALUES[(series + n) % VALUES.len()])
            .expect("a string takes all");
    }
    body
}

/// Every freedom that the text format leaves to who writes it.
fn text(n: usize) -> String {
    let n_less = n % 2;
    [
        "# a comment\n#another\n# EOF\n# UNIT a b\n\n   \n".to_owned(),
        format!("plain {n}\n"),
        format!("braces{{}} {n}\nnone_between{{a=\"b\"}}{n}\n"),
        format!("spaces {{ a = \"b\" , c = \"d\" , }} {n}\n"),
        format!("missing_comma{{a=\"b\" c=\"d\"}} {n}\n"),
        format!("escapes{{a=\"q\\\"b\\\\n\\n\",b=\"\\t\\x\",c=\"raw\nline\"}} {n}\n"),
        format!("utf8{{a=\"\u{e4}\u{4e16}\u{1f600}\",b=\"a\u{0}b\"}} {n}\n"),
        format!("empty_label{{a=\"\",b=\"x\"}} {n}\n"),
        format!("a:colon:_1 {n}\n:b{{_x=\"1\",__y=\"2\"}} {n}\n"),
        format!("order{{z=\"1\",a=\"2\",m=\"3\"}} {n}\n"),
        format!("turned{{{}}} {n}\n", ["a=\"1\",b=\"2\"", "b=\"2\",a=\"1\""][n_less]),
        format!("no_newline {n}"),
    ]
    .concat()
}

/// One of each kind of the text format; `bound` is a bucket and a quantile.
fn kinds(n: usize, bound: &str) -> String {
    format!(
        r#"# TYPE c counter
c_total{{code="200"}} {n}
c_total{{code="500"}} 1
# HELP h With a help \n text.
# TYPE h histogram
h_bucket{{le="{bound}"}} {n}
h_bucket{{le="2.5e+06"}} {n}
h_bucket{{le="+Inf"}} {n}
h_sum {n}.5
h_count {n}
# TYPE s summary
s{{quantile="{bound}"}} 0.{n}
s{{quantile="0.99"}} NaN
s_sum {n}
s_count {n}
# TYPE g gauge
g -1{n}
# TYPE u untyped
u{{le="x"}} {n}
none {n}
"#
    )
}

/// The kind changes, and with it how bounds are spelt.
fn retyped(n: usize) -> String {
    let kind = if (n / 4).is_multiple_of(2) { "histogram" } else { "gauge" };
    format!("# TYPE r {kind}\nr_bucket{{le=\"3\"}} {n}\n")
}

/// Exemplars, times and the kinds that only this format has.
fn openmetrics(n: usize, base: i64) -> String {
    let seconds = base / 1000 + i64::try_from(n).expect("a few scrapes");
    format!(
        r#"# TYPE requests counter
# HELP requests Requests.
requests_total{{code="200"}} {n} # {{trace_id="t{n}"}} 0.5
requests_total{{code="500"}} 1 # {{trace_id="fixed",span="s"}} 2 {seconds}.25
requests_created{{code="200"}} 1.6e9
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{{le="0.5"}} {n} # {{}} 0.25{n}
took_seconds_bucket{{le="+Inf"}} {n}
took_seconds_sum 1
took_seconds_count {n}
# TYPE rest gaugehistogram
rest_bucket{{le="1.0"}} 2
rest_bucket{{le="+Inf"}} 3
rest_gcount 3
rest_gsum -2
# TYPE build info
build_info{{version="1.{n}"}} 1
# TYPE state stateset
state{{state="on"}} {on}
state{{state="off"}} {off}
# TYPE thing unknown
thing{{a="escaped \" \\ \n"}} 0.0
# TYPE timed gauge
timed {n} {seconds}.125
timed_twice 1 {seconds}
timed_twice 2 {seconds}.5
# EOF
"#,
        on = n % 2,
        off = (n + 1) % 2,
    )
}

const STANDING_EXEMPLAR: &str = "# TYPE a counter\na_total 1 # {trace_id=\"t\"} 1\n# EOF\n";

/// Times of their own: ahead, repeated with the same and with another value, going back, too far ahead.
fn timed(n: usize, base: i64) -> String {
    let step = i64::try_from(n).expect("a few scrapes") * 1000;
    let (forth, slow) = (base + step, base + step / 4000 * 4000);
    let back = if n % 5 == 4 { forth - 3000 } else { forth };
    let hour = 3_600_000;
    let gone = if n < 10 { format!("gone {n} {forth}\n") } else { String::new() };
    format!(
        "forth {n} {forth}\nrepeated 7 {slow}\nrepeated_but_other {n} {slow}\nback {n} {back}\n\
         too_far {n} {}\npaused{{n=\"{}\"}} {n} {forth}\n{gone}",
        forth + hour,
        n / 10,
    )
}

/// Times come and go.
fn now_and_then_timed(n: usize, base: i64) -> String {
    let at = base + i64::try_from(n).expect("a few scrapes") * 1000;
    let late = if n >= 20 { format!(" {at}") } else { String::new() };
    format!("late {n}{late}\nnever {n}\n")
}

fn twice(n: usize) -> String {
    format!("{}size{{number=\"1\"}} -1\nsize{{number=\"1\"}} -2\nother 1\nother 1\n", numbered(0..3, n))
}

/// Labels that the target has as well, empty ones, and some that are named `exported_` already.
fn conflicts(n: usize) -> String {
    format!(
        "a{{job=\"exposed\",instance=\"there\"}} {n}\n\
         b{{job=\"\",instance=\"\",x=\"\"}} {n}\n\
         c{{job=\"1\",exported_job=\"2\",exported_exported_job=\"3\"}} {n}\n\
         d{{team=\"exposed\"}} {n}\n\
         e {n}\n"
    )
}

const UNREACHABLE: &str = "relabel_configs: [{target_label: __address__, replacement: '127.0.0.1:1'}]";

const RELABELLED: &str = "metric_relabel_configs:
    - {source_labels: [__name__], regex: 'dropped.*', action: drop}
    - {source_labels: [__name__, code], regex: 'renamed;(\\d+)', target_label: __name__, replacement: 'new_$1'}
    - {regex: 'x_(.+)', action: labelmap}
    - {regex: 'x_.+', action: labeldrop}
    - {source_labels: [path], regex: '(/[^/]*).*', target_label: root, replacement: '${1}'}
    - {source_labels: [path], target_label: root_hash, modulus: 16, action: hashmod}
    - {source_labels: [code], regex: '5..', target_label: code, replacement: ''}
    - {source_labels: [method], target_label: method, action: lowercase}
    - {source_labels: [missing], regex: 'never', action: replace, target_label: never}
    - {source_labels: [keep], regex: 'no', action: drop}";

fn relabelled(n: usize) -> String {
    let keep = if n % 3 == 1 { "no" } else { "yes" };
    format!(
        "dropped_a 1\ndropped_b{{a=\"{n}\"}} 1\nrenamed{{code=\"200\"}} {n}\nrenamed{{code=\"503\"}} {n}\n\
         mapped{{x_a=\"1\",x_b=\"2\",a=\"0\"}} {n}\n\
         paths{{path=\"/a/b/c\",method=\"GET\"}} {n}\npaths{{path=\"none\",method=\"PoSt\"}} {n}\n\
         kept{{keep=\"{keep}\"}} {n}\n"
    )
}

const MADE_ONE: &str = "metric_relabel_configs: [{regex: shard, action: labeldrop}]";

fn made_one(n: usize) -> String {
    format!(
        "load{{shard=\"a\"}} {n}\nload{{shard=\"b\"}} -1\nload{{shard=\"c\"}} -2\nidle{{shard=\"a\"}} {n}\n"
    )
}

const NAMELESS: &str =
    "metric_relabel_configs: [{source_labels: [bad], regex: 'yes', target_label: __name__, replacement: ''}]";

/// Now and then relabelling takes a name away.
fn nameless(n: usize) -> String {
    format!("first 1\na{{bad=\"{}\"}} {n}\nlast 1\n", if n % 4 == 3 { "yes" } else { "no" })
}

fn many_labels(n: usize) -> String {
    let more = if n % 4 == 3 { ",c=\"3\",d=\"4\"" } else { "" };
    format!("first 1\nlabelled{{a=\"1\"{more}}} {n}\nlast 1\n")
}

fn long_values(n: usize) -> String {
    format!("first 1\nlabelled{{a=\"{}\"}} {n}\nlast 1\n", "v".repeat(if n % 4 == 3 { 41 } else { 40 }))
}

fn long_names(n: usize) -> String {
    format!("first 1\nlabelled{{{}=\"1\"}} {n}\nlast 1\n", "n".repeat(if n % 4 == 3 { 21 } else { 20 }))
}

fn utf8_names(n: usize) -> String {
    format!("{{\"dotted.name\",\"a label\"=\"x\"}} {n}\nplain 1\n")
}
