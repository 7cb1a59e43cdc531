mod histograms;

use expect_test::{Expect, expect};

use super::*;
use crate::FetchError;
use crate::body::{Buffers, digest};
use crate::fetch::Fetched;
use crate::tests::{job, show, target};

/// A target that is scraped every ten seconds; a body that begins with `!` is a failed fetch.
struct Scraped {
    job: Arc<Job>,
    cache: Cache,
    now: i64,
    reports: bool,
    last: Option<ScrapeError>,
}

impl Scraped {
    fn new(config: &str) -> Self {
        Self::with(config, Common::default())
    }

    fn with(config: &str, common: Common) -> Self {
        let job = job(config);
        let cache = Cache::new(&job, &target(&job, &[]), &Arc::new(common));
        Self { job, cache, now: 0, reports: false, last: None }
    }

    /// One scrape that reaches the sink.
    fn scrape(&mut self, body: &str) -> String {
        let text = self.scrape_unsent(body);
        self.cache.delivered();
        text
    }

    fn scrape_unsent(&mut self, body: &str) -> String {
        if body.starts_with('!') {
            return self.digest(Err(ScrapeError::Fetch(FetchError::Status(500))));
        }
        let content_type = if body.contains("# EOF") { "application/openmetrics-text" } else { "text/plain" };
        self.scrape_as(content_type, body.into())
    }

    fn scrape_as(&mut self, content_type: &str, body: Vec<u8>) -> String {
        let content_type = Some(content_type.parse().unwrap());
        self.digest(Ok(Fetched { content_type, content_encoding: None, body: body.into() }))
    }

    fn digest(&mut self, fetched: Result<Fetched, ScrapeError>) -> String {
        self.now += 10_000;
        let digested =
            digest(fetched, &self.job, Timestamp(self.now), &mut self.cache, &Buffers::default(), 0);
        let scrape = self.cache.finish(&Report {
            is_up: digested.error.is_none(),
            duration: std::time::Duration::from_millis(500),
            n_scraped: digested.counts.scraped,
            n_kept: digested.counts.kept,
            n_added: digested.counts.added,
            timeout: std::time::Duration::from_secs(10),
            sample_limit: self.job.config().limits.sample_limit,
            body_bytes: digested.body_bytes,
        });
        self.last = digested.error;
        show(&scrape, self.reports)
    }

    fn reload(&mut self, config: &str) {
        self.job = job(config);
        let target = target(&self.job, &[]);
        self.cache.adapt(&self.job, &target);
    }
}

/// The series that the last scrape had.
fn live(scraped: &Scraped) -> Vec<SeriesId> {
    scraped.cache.store.live()
}

/// Scrapes the bodies one after the other and compares what leaves the process.
fn check_with(config: &str, bodies: &[&str], expected: &Expect) {
    let mut scraped = Scraped::new(config);
    let texts: Vec<String> = bodies.iter().map(|body| scraped.scrape(body)).collect();
    expected.assert_eq(&texts.join("\n--\n"));
}

fn check(bodies: &[&str], expected: &Expect) {
    check_with("", bodies, expected);
}

#[test]
fn a_stale_marker_follows_a_vanished_series() {
    check(
        &["up_since 1\nrequests_total{code=\"200\"} 4\n", "up_since 1\n", "up_since 1\n"],
        &expect![[r#"
            up_since 1
            requests_total{code="200"} 4
            up 1
            --
            up_since 1
            requests_total{code="200"} STALE
            up 1
            --
            up_since 1
            up 1"#]],
    );
}

#[test]
fn a_failed_scrape_ends_every_series_and_the_next_good_one_brings_them_back() {
    check(
        &["a 1\nb 2\n", "!", "!", "a 3\n"],
        &expect![[r"
            a 1
            b 2
            up 1
            --
            a STALE
            b STALE
            up 0
            --
            up 0
            --
            a 3
            up 1"]],
    );
}

#[test]
fn a_bad_line_fails_the_whole_scrape() {
    check(
        &["a 1\nb 2\n", "a 3\nb nonsense\nc 1\n", "a 4\nb 5\n"],
        &expect![[r"
            a 1
            b 2
            up 1
            --
            a STALE
            b STALE
            up 0
            --
            a 4
            b 5
            up 1"]],
    );
}

#[test]
fn the_report_counts_what_was_there() {
    let mut scraped = Scraped::new(
        "extra_scrape_metrics: true\nsample_limit: 9\nmetric_relabel_configs: [{source_labels: [__name__], regex: drop.*, action: drop}]",
    );
    scraped.reports = true;
    let texts = [scraped.scrape("a 1\nb 1\ndrop_me 1\nb 1\n"), scraped.scrape("a 1\n?"), scraped.scrape("!")];
    expect![[r"
        a 1
        b 1
        up 1
        scrape_duration_seconds 0.5
        scrape_samples_scraped 4
        scrape_samples_post_metric_relabeling 3
        scrape_series_added 2
        scrape_timeout_seconds 10
        scrape_sample_limit 9
        scrape_body_size_bytes 22
        --
        a STALE
        b STALE
        up 0
        scrape_duration_seconds 0.5
        scrape_samples_scraped 1
        scrape_samples_post_metric_relabeling 1
        scrape_series_added 0
        scrape_timeout_seconds 10
        scrape_sample_limit 9
        scrape_body_size_bytes 5
        --
        up 0
        scrape_duration_seconds 0.5
        scrape_samples_scraped 0
        scrape_samples_post_metric_relabeling 0
        scrape_series_added 0
        scrape_timeout_seconds 10
        scrape_sample_limit 9
        scrape_body_size_bytes 0"]]
    .assert_eq(&texts.join("\n--\n"));
}

#[test]
fn the_first_of_two_equal_series_wins() {
    let mut scraped = Scraped::new("metric_relabel_configs: [{regex: path, action: labeldrop}]");
    let text = scraped.scrape("a 1\na 2\nb{path=\"x\"} 3\nb{path=\"y\"} 4\n");
    expect![[r"
        a 1
        b 3
        up 1"]]
    .assert_eq(&text);
    assert_eq!(scraped.cache.counts().duplicates, 2);
    assert!(scraped.last.is_none());
    // Which of the two is first may change; the series stays the same.
    assert_eq!(scraped.scrape("a 1\nb{path=\"y\"} 4\nb{path=\"x\"} 3\n"), "a 1\nb 4\nup 1");
}

#[test]
fn labels_in_another_order_are_the_same_series() {
    check(
        &["a{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 2\n", "a{ x=\"1\", y=\"2\", } 3\n"],
        &expect![[r#"
            a{x="1",y="2"} 1
            up 1
            --
            a{x="1",y="2"} 2
            up 1
            --
            a{x="1",y="2"} 3
            up 1"#]],
    );
}

#[test]
fn more_samples_than_allowed_fail_the_scrape_but_are_counted() {
    let mut scraped = Scraped::new("sample_limit: 2");
    scraped.reports = true;
    scraped.scrape("a 1\nb 1\n");
    expect![[r"
        a STALE
        b STALE
        up 0
        scrape_duration_seconds 0.5
        scrape_samples_scraped 5
        scrape_samples_post_metric_relabeling 5
        scrape_series_added 0"]]
    .assert_eq(&scraped.scrape("a 1\nb 1\nc 1\nd 1\ne 1\n"));
    let error = scraped.last.take().unwrap();
    assert_eq!(error.to_string(), "sample_limit exceeded: 5 samples after relabelling, limit 2");
}

#[test]
fn dropped_samples_do_not_count_for_the_limit() {
    let rules =
        "metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]\nsample_limit: 1";
    let body = "go_a 1\ngo_b 1\na 1\n";
    check_with(
        rules,
        &[body, body],
        &expect![[r"
            a 1
            up 1
            --
            a 1
            up 1"]],
    );
}

#[test]
fn label_limits_fail_the_scrape_while_the_series_is_there() {
    for (limit, body, message) in [
        ("label_limit: 3", "a{b=\"1\"} 1\n", "label_limit exceeded: number of labels of a: 4, limit 3"),
        (
            "label_name_length_limit: 8",
            "a{longer_name=\"1\"} 1\n",
            "label_name_length_limit exceeded: bytes in the name of label longer_name of a: 11, limit 8",
        ),
        (
            "label_value_length_limit: 4",
            "a{b=\"12345\"} 1\n",
            "label_value_length_limit exceeded: bytes in the value of label b of a: 5, limit 4",
        ),
    ] {
        let mut scraped = Scraped::new(limit);
        for _ in 0..2 {
            assert_eq!(scraped.scrape(body), "up 0");
            assert_eq!(scraped.last.take().unwrap().to_string(), message);
        }
        assert_eq!(scraped.scrape("a 1\n"), "a 1\nup 1");
    }
}

#[test]
fn target_labels_win_and_exposed_ones_move_to_the_next_free_name() {
    let config = "static_configs: []\nrelabel_configs: [{target_label: exported_job, replacement: taken}]";
    check_with(
        config,
        &["a{job=\"x\",instance=\"y\",empty=\"\"} 1\nb{job=\"\"} 1\n"],
        &expect![[r#"
            a{exported_exported_job="x",exported_instance="y",exported_job="taken"} 1
            b{exported_job="taken"} 1
            up{exported_job="taken"} 1"#]],
    );
}

#[test]
fn honoured_labels_win_even_when_they_are_empty() {
    check_with(
        "honor_labels: true",
        &["a{job=\"x\"} 1\nb{instance=\"\"} 1\nc 1\n"],
        &expect![[r#"
            a{job="x"} 1
            b 1
            c 1
            up 1"#]],
    );
    let mut scraped = Scraped::new("honor_labels: true");
    scraped.scrape("b{instance=\"\"} 1\n");
    let table = scraped.cache.store.table();
    let b = live(&scraped)[0];
    let labels: Vec<(&str, &str)> = table.labels(b).collect();
    assert_eq!(labels, [("__name__", "b"), ("job", "j")], "as a Pushgateway wants it");
}

#[test]
fn reports_are_not_relabelled_and_cannot_be_dropped() {
    check_with(
        "metric_relabel_configs: [{source_labels: [__name__], regex: a, action: keep}]",
        &["a 1\nb 1\n"],
        &expect![[r"
            a 1
            up 1"]],
    );
}

#[test]
fn an_exposed_up_of_the_target_itself_was_first() {
    check(
        &["up 7\na 1\n", "a 1\n"],
        &expect![[r"
            up 7
            a 1
            --
            a 1
            up 1"]],
    );
}

#[test]
fn a_series_without_a_name_fails_the_scrape() {
    let mut scraped = Scraped::new(
        "metric_relabel_configs: [{source_labels: [__name__], regex: b, target_label: __name__, replacement: ''}]",
    );
    assert_eq!(scraped.scrape("a 1\nb 1\n"), "up 0");
    let error = scraped.last.take().unwrap().to_string();
    assert!(error.starts_with("a series has no name after relabelling: "), "{error}");
}

#[test]
fn legacy_names_refuse_what_utf8_names_allow() {
    let body = "{\"http.requests\",\"status.code\"=\"200\"} 1\n";
    assert_eq!(Scraped::new("").scrape(body), "http.requests{status.code=\"200\"} 1\nup 1");
    let mut legacy = Scraped::new("metric_name_validation_scheme: legacy");
    assert_eq!(legacy.scrape(body), "up 0");
    assert!(legacy.last.unwrap().to_string().contains("metric_name_validation_scheme"));
}

#[test]
fn exposed_times_are_kept_and_such_series_do_not_end() {
    check(
        &["a 1 5000\nb 1\n", "b 2\n"],
        &expect![[r"
            a 1 @5000
            b 1
            up 1
            --
            b 2
            up 1"]],
    );
    check_with(
        "track_timestamps_staleness: true",
        &["a 1 5000\n", "b 2\n"],
        &expect![[r"
            a 1 @5000
            up 1
            --
            b 2
            a STALE
            up 1"]],
    );
    check_with(
        "honor_timestamps: false",
        &["a 1 5000\n"],
        &expect![[r"
            a 1
            up 1"]],
    );
}

#[test]
fn a_sample_that_is_not_newer_than_the_last_is_dropped() {
    let mut scraped = Scraped::new("");
    assert_eq!(scraped.scrape("a 1 5000\na 2 6000\na 3 5500\n"), "a 1 @5000\na 2 @6000\nup 1");
    assert_eq!(scraped.cache.counts().out_of_order, 1);
    assert_eq!(scraped.scrape("a 2 6000\n"), "up 1", "said again what was said before");
    assert_eq!(scraped.cache.counts().out_of_order, 0);
    assert_eq!(scraped.scrape("a 3 7000\n"), "a 3 @7000\nup 1");
    assert_eq!(scraped.scrape("a 4 99999999\n"), "up 1");
    assert_eq!(scraped.cache.counts().out_of_bounds, 1);
}

#[test]
fn a_time_behind_the_scrapes_of_its_series_is_not_newer() {
    let mut scraped = Scraped::new("");
    assert_eq!(scraped.scrape("a 1\n"), "a 1\nup 1");
    assert_eq!(scraped.scrape("a 1 9000\n"), "a STALE\nup 1");
    assert_eq!(scraped.scrape("a 1 25000\n"), "a 1 @25000\nup 1");
}

#[test]
fn times_that_were_never_delivered_do_not_count() {
    let mut scraped = Scraped::new("");
    assert_eq!(scraped.scrape("a 1 5000\n"), "a 1 @5000\nup 1");
    assert_eq!(scraped.scrape("a 2 6000\nb ?\n"), "up 0");
    assert_eq!(scraped.scrape_unsent("a 2 6000\n"), "a 2 @6000\nup 1");
    assert_eq!(scraped.scrape("a 2 6000\n"), "a 2 @6000\nup 1");
}

#[test]
fn ends_that_were_not_delivered_are_told_again() {
    let mut scraped = Scraped::new("");
    scraped.scrape("a 1\nb 1\nc 1\n");
    assert_eq!(scraped.scrape_unsent("a 1\n"), "a 1\nb STALE\nc STALE\nup 1");
    assert_eq!(scraped.scrape_unsent("a 1\nc 2\n"), "a 1\nc 2\nb STALE\nup 1");
    assert_eq!(scraped.scrape_unsent("!"), "a STALE\nc STALE\nb STALE\nup 0");
    assert_eq!(scraped.scrape("!"), "a STALE\nc STALE\nb STALE\nup 0");
    assert_eq!(scraped.scrape("a 1\n"), "a 1\nup 1");
    assert_eq!(scraped.scrape("a 1\n"), "a 1\nup 1");
    assert_eq!(scraped.cache.n_series(), 6, "a and five reports");
}

#[test]
fn an_empty_body_is_a_good_scrape() {
    check(
        &["a 1\n", "", "\n"],
        &expect![[r"
            a 1
            up 1
            --
            a STALE
            up 1
            --
            up 1"]],
    );
}

#[test]
fn openmetrics_needs_its_end_and_may_bring_exemplars() {
    check(
        &["# TYPE a counter\na_total 1 # {trace_id=\"t\"} 0.5\n# EOF\n", "a_total 1\n"],
        &expect![[r#"
            a_total 1 # {trace_id="t"} 0.5
            up 1
            --
            a_total 1
            up 1"#]],
    );
}

#[test]
fn a_type_line_decides_the_spelling_of_bounds() {
    check(
        &[
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n",
            "h_bucket{le=\"1\"} 2\n",
            "# TYPE h histogram\nh_bucket{le=\"1\"} 3\n",
        ],
        &expect![[r#"
            h_bucket{le="1.0"} 1
            up 1
            --
            h_bucket{le="1"} 2
            h_bucket{le="1.0"} STALE
            up 1
            --
            h_bucket{le="1.0"} 3
            h_bucket{le="1"} STALE
            up 1"#]],
    );
}

/// Every series of the last scrape with its family.
fn families(scraped: &Scraped) -> String {
    let table = scraped.cache.store.table();
    let line = |id: &SeriesId| {
        let name = table.labels(*id).find(|(name, _)| *name == "__name__").unwrap().1;
        match table.family(*id) {
            Some(family) => format!("{name}: {} {} {}", family.kind, family.name, family.help),
            None => format!("{name}: none"),
        }
    };
    live(scraped).iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn series_find_their_family() {
    let mut scraped = Scraped::new("");
    scraped.scrape(
        "# HELP h Sizes.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nh 1\n\
         # TYPE c_total counter\nc_total 1\n# TYPE g gauge\ng 1\ng_total 1\n# TYPE s summary\ns 1\ns_sum 1\ns_bucket 1\n\
         lonely 1\nlate 1\n# TYPE late gauge\n",
    );
    expect![[r"
        h_bucket: histogram h Sizes.
        h_sum: histogram h Sizes.
        h_count: histogram h Sizes.
        h: none
        c_total: counter c_total 
        g: gauge g 
        g_total: none
        s: summary s 
        s_sum: summary s 
        s_bucket: none
        lonely: none
        late: gauge late "]]
    .assert_eq(&families(&scraped));
}

#[test]
fn a_renamed_series_keeps_its_type() {
    let mut scraped = Scraped::new(
        "metric_relabel_configs: [{source_labels: [__name__], regex: 'h(_.*)', target_label: __name__, replacement: 'sizes$1'}]",
    );
    scraped.scrape("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n");
    expect![[r"
        sizes_bucket: histogram sizes 
        sizes_count: histogram sizes "]]
    .assert_eq(&families(&scraped));
}

#[test]
fn a_type_that_changes_is_followed() {
    let mut scraped = Scraped::new("");
    scraped.scrape("# TYPE a gauge\na 1\n");
    scraped.scrape("# TYPE a counter\n# HELP a News.\na 1\n");
    assert_eq!(families(&scraped), "a: counter a News.");
    for _ in 0..15 {
        scraped.scrape("a 1\n");
    }
    assert_eq!(families(&scraped), "a: none", "metadata is forgotten after ten scrapes");
}

#[test]
fn memory_of_vanished_series_and_families_is_freed() {
    let mut scraped = Scraped::new("");
    let body = |round: usize| {
        let family = |n: usize| {
            format!("# TYPE m{round}_{n} gauge\nm{round}_{n}{{a_label=\"value {round} {n}\"}} 1\n")
        };
        (0..300).map(family).collect::<String>()
    };
    let mut sizes = Vec::new();
    for round in 0..60 {
        scraped.scrape(&body(round));
        sizes.push(scraped.cache.store.table().heap_bytes() + scraped.cache.keys.heap_bytes());
    }
    assert_eq!(
        scraped.cache.n_series(),
        300 + 300 + 5,
        "the last scrape's, and the one's before whose end was just told"
    );
    let (early, late) = (sizes[20..30].iter().max().unwrap(), sizes[50..60].iter().max().unwrap());
    assert!(late <= &(early * 5 / 4), "{early} bytes grew to {late}");
}

#[test]
fn failing_scrapes_with_ever_new_labels_do_not_fill_memory() {
    let mut scraped = Scraped::new("");
    for round in 0..30 {
        let body: String = (0..500).map(|n| format!("m{{n=\"{round}-{n}\"}} 1\n")).collect();
        scraped.scrape(&format!("{body}broken\n"));
    }
    assert!(scraped.cache.n_series() < 1600, "{} series", scraped.cache.n_series());
    assert!(scraped.cache.keys.len() <= 1500);
}

#[test]
fn a_scrape_without_news_shares_the_table_of_the_last() {
    let job = job("");
    let mut cache = Cache::new(&job, &target(&job, &[]), &Arc::default());
    let body = "# HELP a Help.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\n";
    let mut scrape = |at: i64| {
        cache.ingest(body.as_bytes(), Format::Text, Timestamp(at)).unwrap();
        let scrape = cache.finish(&Report {
            is_up: true,
            duration: std::time::Duration::ZERO,
            n_scraped: 0,
            n_kept: 0,
            n_added: 0,
            timeout: std::time::Duration::ZERO,
            sample_limit: 0,
            body_bytes: 0,
        });
        cache.delivered();
        scrape
    };
    let (first, second) = (scrape(1), scrape(2));
    assert!(Arc::ptr_eq(&first.table, &second.table), "although somebody still reads the first");
    assert_eq!(first.points, second.points);
}

#[test]
fn a_reload_keeps_series_whose_labels_stay() {
    let mut scraped = Scraped::new("");
    scraped.scrape("a 1\nb 1\n");
    scraped.reload("metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]");
    assert_eq!(scraped.scrape("a 2\nb 2\n"), "a 2\nb STALE\nup 1");
    scraped.reload("extra_scrape_metrics: true");
    scraped.reports = true;
    assert!(scraped.scrape("a 3\nb 3\n").ends_with("scrape_body_size_bytes 8"));
    scraped.reload("sample_limit: 5");
    expect![[r"
        a 3
        b 3
        scrape_timeout_seconds STALE
        scrape_sample_limit STALE
        scrape_body_size_bytes STALE
        up 1
        scrape_duration_seconds 0.5
        scrape_samples_scraped 2
        scrape_samples_post_metric_relabeling 2
        scrape_series_added 0"]]
    .assert_eq(&scraped.scrape("a 3\nb 3\n"));
    scraped.reload("extra_scrape_metrics: true");
    assert!(scraped.scrape("a 3\nb 3\n").ends_with("scrape_body_size_bytes 8"));
    assert!(scraped.scrape("a 3\nb 3\n").ends_with("scrape_body_size_bytes 8"));
}

#[test]
fn the_end_of_a_target_ends_its_reports_too() {
    let mut scraped = Scraped::new("");
    assert!(scraped.cache.end(Timestamp(5)).is_none(), "never scraped");
    scraped.scrape("a 1\nb 1\n");
    let end = scraped.cache.end(Timestamp(25_000)).unwrap();
    expect![[r"
        a STALE
        b STALE
        up STALE
        scrape_duration_seconds STALE
        scrape_samples_scraped STALE
        scrape_samples_post_metric_relabeling STALE
        scrape_series_added STALE"]]
    .assert_eq(&show(&end, true));
    assert_eq!(end.at, Timestamp(25_000));
}

#[test]
fn body_limits_and_content_types_are_kept() {
    let mut scraped = Scraped::new("body_size_limit: 4B\nextra_scrape_metrics: true");
    scraped.reports = true;
    assert_eq!(scraped.scrape("a 1").lines().next(), Some("a 1"));
    let text = scraped.scrape("a 1\n");
    assert!(text.starts_with("a STALE\nup 0") && text.ends_with("scrape_body_size_bytes -1"), "{text}");
    let buffers = Buffers::default();
    let fetch = |content_type: Option<&str>, encoding: Option<&str>, body: Vec<u8>, config: &str| {
        let job = job(config);
        let mut cache = Cache::new(&job, &target(&job, &[]), &Arc::default());
        let fetched = Fetched {
            content_type: content_type.map(|text| text.parse().unwrap()),
            content_encoding: encoding.map(|text| text.parse().unwrap()),
            body: body.into(),
        };
        let digested = digest(Ok(fetched), &job, Timestamp(1), &mut cache, &buffers, 0);
        digested.error.map_or_else(|| "good".to_owned(), |error| error.kind().to_string())
    };
    let gzip = |text: &str| {
        let mut out = Vec::new();
        wire::compress::compress(wire::compress::Encoding::Gzip, text.as_bytes(), &mut out);
        out
    };
    let fallback = "fallback_scrape_protocol: PrometheusText0.0.4";
    assert_eq!(fetch(Some("text/plain"), Some("gzip"), gzip("a 1\n"), ""), "good");
    assert_eq!(
        fetch(Some("text/plain"), Some("gzip"), gzip("a 1\n"), "body_size_limit: 4B"),
        "body_size_limit"
    );
    assert_eq!(fetch(Some("text/plain"), Some("gzip"), b"a 1\n".to_vec(), ""), "decompress");
    assert_eq!(fetch(Some("text/plain"), Some("br"), gzip("a 1\n"), ""), "parse");
    assert_eq!(fetch(None, None, b"a 1\n".to_vec(), ""), "content_type");
    assert_eq!(fetch(Some("text/html"), None, b"a 1\n".to_vec(), ""), "content_type");
    assert_eq!(fetch(Some("text/html"), None, b"a 1\n".to_vec(), fallback), "good");
    assert_eq!(fetch(None, None, Vec::new(), ""), "good", "nothing has no format");
    assert_eq!(fetch(Some("application/openmetrics-text"), None, b"a 1\n".to_vec(), ""), "parse");
}

#[test]
fn an_exemplar_that_stands_still_is_told_once() {
    let body = |trace: &str| format!("# TYPE c counter\nc_total 7 # {{trace_id=\"{trace}\"}} 1\n# EOF\n");
    let mut scraped = Scraped::new("");
    assert_eq!(scraped.scrape_unsent(&body("a")), "c_total 7 # {trace_id=\"a\"} 1\nup 1");
    // Nobody took it, so it is told again.
    assert_eq!(scraped.scrape(&body("a")), "c_total 7 # {trace_id=\"a\"} 1\nup 1");
    assert_eq!(scraped.scrape(&body("a")), "c_total 7\nup 1");
    assert_eq!(scraped.scrape(&body("b")), "c_total 7 # {trace_id=\"b\"} 1\nup 1");
    assert_eq!(scraped.scrape(&body("a")), "c_total 7 # {trace_id=\"a\"} 1\nup 1");
}

#[test]
fn an_exemplar_that_is_older_than_the_one_before_is_dropped() {
    let body = |trace: &str, at: u32| {
        format!("# TYPE c counter\nc_total 7 # {{trace_id=\"{trace}\"}} 1 {at}\n# EOF\n")
    };
    let mut scraped = Scraped::new("");
    assert_eq!(scraped.scrape(&body("a", 20)), "c_total 7 # {trace_id=\"a\"} 1\nup 1");
    assert_eq!(scraped.scrape(&body("b", 10)), "c_total 7\nup 1");
    assert_eq!(scraped.scrape(&body("a", 20)), "c_total 7\nup 1");
    assert_eq!(scraped.scrape(&body("b", 20)), "c_total 7 # {trace_id=\"b\"} 1\nup 1");
    assert_eq!(scraped.scrape(&body("c", 30)), "c_total 7 # {trace_id=\"c\"} 1\nup 1");
}

#[test]
fn a_type_that_changes_adds_no_series() {
    let mut scraped = Scraped::new("");
    scraped.scrape("# TYPE r histogram\nr_bucket{le=\"3.0\"} 1\n");
    assert_eq!(scraped.cache.counts().added, 1);
    scraped.scrape("# TYPE r gauge\nr_bucket{le=\"3.0\"} 1\n");
    assert_eq!(scraped.cache.counts().added, 0);
}

/// Everything that a target costs between scrapes.
fn heap_bytes(cache: &Cache) -> usize {
    cache.store.heap_bytes() + cache.keys.heap_bytes() + cache.order.heap_bytes()
}

#[test]
fn an_idle_series_takes_at_most_60_bytes() {
    const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
    const CODES: [&str; 5] = ["200", "204", "404", "429", "500"];
    let mut body = String::from("# TYPE http_requests_total counter\n");
    for route in 0..100 {
        for (code, method) in CODES.iter().flat_map(|code| METHODS.map(|method| (code, method))) {
            let labels = format!("method=\"{method}\",code=\"{code}\",route=\"/v1/things/{route}\"");
            body.push_str(&format!("http_requests_total{{{labels}}} {}\n", route * 1000));
        }
    }
    let mut scraped = Scraped::new("");
    for _ in 0..12 {
        scraped.scrape(&body);
    }
    let per_series = heap_bytes(&scraped.cache) / scraped.cache.n_series();
    assert!(per_series <= 60, "{per_series} bytes a series");
}
