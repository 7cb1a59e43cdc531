//! What goes wrong is counted under its own name and no other.

use std::collections::BTreeMap;

use super::*;

/// How the targets of a test answer, always.
#[derive(Clone, Copy)]
enum Answer {
    /// With this content type and body.
    Body(&'static str, &'static str),
    /// Compressed, it says.
    Gzip(&'static str),
    Status(u16),
    Never,
}

impl Fetch for Answer {
    fn fetch<'a>(&'a self, target: &'a Target, _: usize) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let fetched = |content_type, content_encoding, body: &'static str| Fetched {
            content_type: Some(HeaderValue::from_static(content_type)),
            content_encoding,
            body: body.into(),
        };
        let (answer, limit) = (*self, target.timeout);
        Box::pin(async move {
            match answer {
                Self::Body(content_type, body) => Ok(fetched(content_type, None, body)),
                Self::Gzip(body) => Ok(fetched("text/plain", Some(HeaderValue::from_static("gzip")), body)),
                Self::Status(status) => Err(FetchError::Status(status)),
                Self::Never => {
                    sleep(limit).await;
                    Err(FetchError::Timeout { limit, source: None })
                }
            }
        })
    }
}

fn text(body: &'static str) -> Answer {
    Answer::Body("text/plain", body)
}

/// What has been counted after one scrape of one target: every counter of the scraper that is not zero, but those of what
/// went right.
async fn counted(keys: &str, answer: Answer) -> BTreeMap<String, u64> {
    let world = World::new();
    world.discover(&["a:1"]);
    let job = job(&format!("scrape_interval: 1h\nscrape_timeout: 8s\n{keys}"));
    let discovery = Discovery::of(world.groups.subscribe());
    world.scraper().reload(vec![Feed { job, fetch: Arc::new(answer), discovery }]).await;
    while world.n_scrapes() == 0 {
        sleep(Duration::from_secs(1)).await;
    }
    failures(&world.metrics)
}

fn failures(metrics: &telemetry::Registry) -> BTreeMap<String, u64> {
    let text = metrics.text();
    let fine = ["muster_scrapes_total{outcome=\"success\"}", "muster_scrape_samples_total"];
    let counters = text.lines().filter(|line| line.split(['{', ' ']).next().unwrap().ends_with("_total"));
    let counters = counters.map(|line| line.rsplit_once(' ').unwrap());
    let counters = counters.filter(|(name, value)| *value != "0" && !fine.contains(name));
    counters.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn once(names: &[&str]) -> BTreeMap<String, u64> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

fn outcome(word: &str) -> String {
    format!("muster_scrapes_total{{outcome=\"{word}\"}}")
}

#[tokio::test(start_paused = true)]
async fn a_sample_that_is_dropped_is_counted_under_its_reason_only() {
    for (body, expected) in [
        ("a 1\na 2\n", "prometheus_target_scrapes_sample_duplicate_timestamp_total"),
        ("a 1 1727999999000\na 2 1727999998000\n", "prometheus_target_scrapes_sample_out_of_order_total"),
        ("a 1 99999999999999\n", "prometheus_target_scrapes_sample_out_of_bounds_total"),
    ] {
        assert_eq!(counted("", text(body)).await, once(&[expected]), "{body}");
    }
    assert_eq!(counted("", text("a 1\n")).await, once(&[]));
}

#[tokio::test(start_paused = true)]
async fn a_scrape_that_exceeds_a_limit_is_counted_under_that_limit_only() {
    const CLASSIC: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\n\
                           h_sum 4\nh_count 3\n";
    const LABELS: &str = "prometheus_target_scrape_pool_exceeded_label_limits_total";
    let buckets = "convert_classic_histograms_to_nhcb: true\nnative_histogram_bucket_limit: 1";
    for (keys, body, word, expected) in [
        (
            "body_size_limit: 8B",
            "a 1\nb 1\n",
            "body_size_limit",
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
        ),
        (
            "sample_limit: 1",
            "a 1\nb 1\n",
            "sample_limit",
            "prometheus_target_scrapes_exceeded_sample_limit_total",
        ),
        (
            buckets,
            CLASSIC,
            "native_histogram_bucket_limit",
            "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
        ),
        ("label_limit: 3", "a{x=\"1\"} 1\n", "label_limit", LABELS),
        ("label_name_length_limit: 8", "a{long_name=\"1\"} 1\n", "label_limit", LABELS),
        ("label_value_length_limit: 4", "a{x=\"12345\"} 1\n", "label_limit", LABELS),
    ] {
        assert_eq!(counted(keys, text(body)).await, once(&[&outcome(word), expected]), "{keys}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scrape_that_fails_otherwise_is_counted_as_its_outcome_only() {
    let nameless = "metric_relabel_configs: [{target_label: __name__, replacement: ''}]";
    for (keys, answer, word) in [
        ("", Answer::Status(500), "status"),
        ("", Answer::Never, "timeout"),
        ("", Answer::Gzip("no gzip"), "decompress"),
        ("", Answer::Body("image/png", "a 1\n"), "content_type"),
        ("", text("a ?\n"), "parse"),
        (nameless, text("a 1\n"), "bad_series"),
    ] {
        assert_eq!(counted(keys, answer).await, once(&[&outcome(word)]), "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_scrape_counts_none_of_the_samples_that_it_would_have_dropped() {
    let mixed = text("a 1\na 2\nb 1 99999999999999\nc ?\n");
    assert_eq!(counted("", mixed).await, once(&[&outcome("parse")]));
}

#[tokio::test(start_paused = true)]
async fn too_many_targets_are_counted_once_a_change_and_each_scrape_as_its_outcome() {
    let world = World::with(&format!("{TEN}\ntarget_limit: 1"), &["a:1", "b:1"]).await;
    world.until(9.99).await;
    let expected = BTreeMap::from([
        ("prometheus_target_scrape_pool_exceeded_target_limit_total".to_owned(), 1),
        (outcome("target_limit"), 2),
    ]);
    assert_eq!(failures(&world.metrics), expected);
    world.discover(&["a:1", "b:1", "c:1"]);
    world.until(12.0).await;
    let exceeded = "prometheus_target_scrape_pool_exceeded_target_limit_total";
    assert_eq!(failures(&world.metrics)[exceeded], 2);
}
