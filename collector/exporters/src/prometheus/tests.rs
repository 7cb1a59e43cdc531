//! What readers see.

pub(super) mod fixture;
mod otlp;
mod repeats;
mod round_trip;

use expect_test::{Expect, expect};
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, StatusCode};
use model::{BucketCounts, Histogram, Kind, Span};
use net::{Body, Reply};

use super::*;
use fixture::{AT, Builder, exporter, put, scraped};

fn get(exporter: &Prometheus, method: Method, path: &str, headers: &[(http::HeaderName, &str)]) -> Reply {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    exporter.service.answer(&request.body(Body::empty()).unwrap())
}

async fn bytes_of(reply: Reply) -> Vec<u8> {
    net::read_body(reply.into_body(), 64 << 20).await.unwrap().to_vec()
}

async fn page(exporter: &Prometheus, accept: &str) -> String {
    let reply = get(exporter, Method::GET, "/metrics", &[(ACCEPT, accept)]);
    assert_eq!(reply.status(), StatusCode::OK);
    String::from_utf8(bytes_of(reply).await).unwrap()
}

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";
const UTF8: &str = "text/plain;version=1.0.0;escaping=allow-utf-8";

async fn check(exporter: &Prometheus, accept: &str, expected: &Expect) {
    expected.assert_eq(&page(exporter, accept).await);
}

fn n_series(exporter: &Prometheus) -> usize {
    locked(&exporter.service.store).len()
}

#[tokio::test]
async fn the_last_value_of_each_series_is_shown_by_family_and_labels() {
    let exporter = exporter("");
    put(
        &exporter,
        &scraped(
            "# HELP b_total Bees.\n# TYPE b_total counter\nb_total{x=\"2\"} 1\nb_total{x=\"1\"} 2\na 1\n",
        ),
    );
    put(&exporter, &scraped("# TYPE b_total counter\nb_total{x=\"2\"} 5\n"));
    check(
        &exporter,
        "",
        &expect![[r#"
            # TYPE a untyped
            a{instance="h:1",job="j"} 1
            # HELP b_total Bees.
            # TYPE b_total counter
            b_total{instance="h:1",job="j",x="1"} 2
            b_total{instance="h:1",job="j",x="2"} 5
            # HELP target_info Target metadata
            # TYPE target_info gauge
            target_info{instance="h:1",job="j",server_address="h",server_port="1"} 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn times_are_shown_where_they_are_asked_for() {
    let with = exporter("send_timestamps: true\nenable_open_metrics: true");
    put(&with, &scraped("a 1\nb 2 1700000000123\n"));
    let text = page(&with, "").await;
    assert!(text.contains(&format!("a{{instance=\"h:1\",job=\"j\"}} 1 {}\n", AT.0)), "{text}");
    assert!(text.contains("b{instance=\"h:1\",job=\"j\"} 2 1700000000123\n"), "{text}");
    let text = page(&with, OPEN_METRICS).await;
    assert!(text.contains("b{instance=\"h:1\",job=\"j\"} 2.0 1700000000.123\n"), "{text}");
}

#[tokio::test]
async fn an_older_value_does_not_replace_a_newer_one() {
    let exporter = exporter("");
    put(&exporter, &scraped("a 1 1700000000000\n"));
    put(&exporter, &scraped("a 2 1600000000000\n"));
    assert!(page(&exporter, "").await.contains("a{instance=\"h:1\",job=\"j\"} 1\n"));
}

#[tokio::test]
async fn a_stale_marker_removes_its_series() {
    let exporter = exporter("");
    put(&exporter, &scraped("a 1\nb 1\n"));
    put(&exporter, &scraped("a STALE\nc STALE\n"));
    let text = page(&exporter, "").await;
    assert!(!text.contains("a{") && text.contains("b{"), "{text}");
    assert!(!text.contains("TYPE a "), "no empty family: {text}");
}

#[tokio::test]
async fn the_end_of_a_count_ends_the_whole_histogram() {
    let exporter = exporter("");
    let histogram = |x: &str, value: &str| {
        format!(
            "h_bucket{{x=\"{x}\",le=\"1.0\"}} {value}\nh_bucket{{x=\"{x}\",le=\"+Inf\"}} {value}\n\
             h_sum{{x=\"{x}\"}} {value}\nh_count{{x=\"{x}\"}} {value}\n"
        )
    };
    let body = format!("# TYPE h histogram\n{}{}", histogram("1", "4"), histogram("2", "5"));
    put(&exporter, &scraped(&body));
    put(&exporter, &scraped("# TYPE h histogram\nh_count{x=\"1\"} STALE\n"));
    let text = page(&exporter, "").await;
    assert!(!text.contains("x=\"1\""), "{text}");
    assert_eq!(text.matches("x=\"2\"").count(), 4, "{text}");
}

#[tokio::test]
async fn buckets_of_former_bounds_are_not_shown() {
    let exporter = exporter("");
    put(
        &exporter,
        &scraped("# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n"),
    );
    let mut later =
        scraped("# TYPE h histogram\nh_bucket{le=\"2.0\"} 3\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n");
    later.at = Timestamp(AT.0 + 1000);
    put(&exporter, &later);
    let text = page(&exporter, "").await;
    assert!(!text.contains("le=\"1.0\"") && text.contains("le=\"2.0\""), "{text}");
}

#[tokio::test]
async fn the_first_type_of_a_name_keeps_it_and_the_other_is_counted() {
    let exporter = exporter("");
    put(&exporter, &scraped("# TYPE a gauge\na{x=\"1\"} 1\n"));
    let later = scraped("# TYPE a counter\na{x=\"1\"} 5\na{x=\"2\"} 5\nb 1\n");
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_scrape(later), &mut bodies).unwrap();
    let text = page(&exporter, "").await;
    assert!(text.contains("# TYPE a gauge\na{instance=\"h:1\",job=\"j\",x=\"1\"} 1\n# TYPE b"), "{text}");
    // `b` and `target_info` were taken.
    assert_eq!(bodies.iter().map(|(_, body)| body.n_items).sum::<usize>(), 2);
}

#[tokio::test]
async fn a_name_may_have_another_type_when_all_its_series_are_gone() {
    let exporter = exporter("");
    put(&exporter, &scraped("# TYPE a gauge\na 1\n"));
    put(&exporter, &scraped("# TYPE a gauge\na STALE\n"));
    put(&exporter, &scraped("# TYPE a counter\na 5\n"));
    assert!(page(&exporter, "").await.contains("# TYPE a counter\na{"));
}

#[tokio::test]
async fn series_beyond_max_series_are_dropped_and_the_others_go_on() {
    let exporter = exporter("max_series: 3");
    put(&exporter, &scraped("a 1\nb 1\nc 1\n"));
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_scrape(scraped("a 2\nd 1\n")), &mut bodies).unwrap();
    let text = page(&exporter, "").await;
    assert!(text.contains("a{instance=\"h:1\",job=\"j\"} 2\n") && !text.contains("d{"), "{text}");
    let mut taking = Taking::new(&exporter.service);
    exporter.to_series.scrape(&scraped("e 1\n"), &mut Scratch::default(), &mut |series| taking.put(&series));
    assert_eq!(taking.untaken[0].to_string(), "no room for another series: max_series: 3 of 3");
    // The series and its target's.
    assert_eq!(taking.n_untaken, 2);
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_not_updated_vanishes_although_nobody_asks() {
    let mut exporter = exporter("metric_expiration: 60s");
    exporter.start(&Life::for_test("prometheus", &Stop::new())).await.unwrap();
    put(&exporter, &scraped("a 1\nb 1\n"));
    tokio::time::sleep(Duration::from_secs(40)).await;
    put(&exporter, &scraped("b 2\n"));
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert_eq!(n_series(&exporter), 3);
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!(n_series(&exporter), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(n_series(&exporter), 0);
    assert_eq!(page(&exporter, "").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_series_is_never_shown_after_its_time_even_before_the_timer_ran() {
    let exporter = exporter("metric_expiration: 60s");
    put(&exporter, &scraped("a 1\n"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(page(&exporter, "").await.contains("a{"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(page(&exporter, "").await, "");
}

fn native() -> Histogram {
    Histogram {
        schema: 0,
        sum: 5.5,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        counts: BucketCounts::Integer {
            count: 4,
            zero: 1,
            positive_deltas: vec![1, 1],
            negative_deltas: vec![],
        },
        ..Histogram::default()
    }
}

#[tokio::test]
async fn a_scraped_native_histogram_is_whole_in_protobuf_and_a_count_and_sum_elsewhere() {
    let exporter = exporter("");
    let scrape = Builder::new().histogram("size", &[("x", "1")], native()).scrape();
    put(&exporter, &scrape);
    let text = page(&exporter, "").await;
    for line in [
        "# TYPE size histogram\n",
        "size_bucket{instance=\"h:1\",job=\"j\",le=\"+Inf\",x=\"1\"} 4\n",
        "size_sum{instance=\"h:1\",job=\"j\",x=\"1\"} 5.5\n",
        "size_count{instance=\"h:1\",job=\"j\",x=\"1\"} 4\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let reply = get(&exporter, Method::GET, "/metrics", &[(ACCEPT, accept)]);
    let bytes = bytes_of(reply).await;
    // Field 12, a span of offset 1 and length 2; field 13, two deltas of 1.
    let fields = [0x62, 0x04, 0x08, 0x02, 0x10, 0x02, 0x6a, 0x02, 0x02, 0x02];
    assert!(bytes.windows(fields.len()).any(|window| window == fields), "{bytes:x?}");
}

#[tokio::test]
async fn open_metrics_shows_exemplars_and_starts() {
    let exporter = exporter("enable_open_metrics: true");
    let scrape = Builder::new()
        .family("requests", Kind::Counter)
        .sample("requests_total", &[], 5.0)
        .start(Timestamp(1_700_000_000_500))
        .exemplar(&[("trace_id", "ab")], 2.0)
        .family("heat", Kind::Gauge)
        .sample("heat", &[], 1.0)
        .exemplar(&[("trace_id", "cd")], 2.0)
        .scrape();
    put(&exporter, &scrape);
    check(
        &exporter,
        OPEN_METRICS,
        &expect![[r##"
            # TYPE heat gauge
            heat{instance="h:1",job="j"} 1.0
            # TYPE requests counter
            requests_total{instance="h:1",job="j"} 5.0 # {trace_id="ab"} 2.0
            requests_created{instance="h:1",job="j"} 1700000000.500
            # HELP target_info Target metadata
            # TYPE target_info gauge
            target_info{instance="h:1",job="j",server_address="h",server_port="1"} 1.0
            # EOF
        "##]],
    )
    .await;
}

#[tokio::test]
async fn an_exemplar_that_is_longer_than_open_metrics_allows_is_not_shown_whole() {
    let exporter = exporter("enable_open_metrics: true");
    let too_long = "x".repeat(121);
    let scrape = Builder::new()
        .family("requests", Kind::Counter)
        .sample("requests_total", &[], 5.0)
        .exemplar(&[("trace_id", &too_long)], 3.0)
        .scrape();
    put(&exporter, &scrape);
    let page = page(&exporter, OPEN_METRICS).await;
    assert!(page.contains("requests_total{") && !page.contains(&too_long), "{page}");
}

#[tokio::test]
async fn only_the_path_of_metrics_answers_and_only_to_get_and_head() {
    let exporter = exporter("");
    put(&exporter, &scraped("a 1\n"));
    assert_eq!(get(&exporter, Method::GET, "/", &[]).status(), StatusCode::NOT_FOUND);
    let refused = get(&exporter, Method::POST, "/metrics", &[]);
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()[ALLOW], "GET, HEAD");
    let head = get(&exporter, Method::HEAD, "/metrics?x=1", &[]);
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(
        head.headers()[CONTENT_TYPE],
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    );
    assert_eq!(bytes_of(head).await, b"");
}

#[tokio::test]
async fn open_metrics_is_spoken_only_when_it_is_enabled() {
    for (yaml, content_type) in [
        ("", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
        (
            "enable_open_metrics: true",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ] {
        let reply = get(&exporter(yaml), Method::GET, "/metrics", &[(ACCEPT, OPEN_METRICS)]);
        assert_eq!(reply.headers()[CONTENT_TYPE], content_type);
    }
}

#[tokio::test]
async fn a_large_page_is_sent_in_bounded_pieces_compressed_or_not() {
    let exporter = exporter("");
    let mut builder = Builder::new().family("a", Kind::Gauge);
    for index in 0..20_000 {
        builder = builder.sample("a", &[("path", &format!("/some/where/{index}"))], f64::from(index));
    }
    put(&exporter, &builder.scrape());
    let service = &exporter.service;
    let format = exposition::print::Negotiated::of("", false);
    let pieces = |is_compressed| {
        page::Page::new(Arc::clone(&service.store), service.origin, format, false, is_compressed)
    };
    let sizes: Vec<usize> = pieces(false).map(|piece| piece.len()).collect();
    let largest = sizes.iter().max().unwrap();
    assert!(sizes.len() >= 9 && *largest < (128 << 10) + 200, "{sizes:?}");
    let reply = get(&exporter, Method::GET, "/metrics", &[(ACCEPT_ENCODING, "gzip")]);
    assert_eq!(reply.headers()[CONTENT_ENCODING], "gzip");
    let unzipped = net::decode_body(Some("gzip"), bytes_of(reply).await.into(), 1 << 30).unwrap();
    assert_eq!(unzipped, pieces(false).collect::<Vec<_>>().concat());
}

#[tokio::test]
async fn what_comes_and_goes_while_a_page_is_written_does_not_disturb_the_rest() {
    let exporter = exporter("");
    let body = |from: usize, to: usize, value: &str| -> String {
        (from..to).map(|index| format!("a{{n=\"{index:05}\"}} {value}\n")).collect()
    };
    put(&exporter, &scraped(&body(5_000, 10_000, "1")));
    let service = &exporter.service;
    let format = exposition::print::Negotiated::of("", false);
    let mut pieces = page::Page::new(Arc::clone(&service.store), service.origin, format, false, false);
    let first = pieces.next().unwrap();
    // What was written goes, something comes before it, and the last of it goes too.
    put(&exporter, &scraped(&body(5_000, 7_000, "STALE")));
    put(&exporter, &scraped(&body(0, 100, "2")));
    let all: Vec<u8> = [first].into_iter().chain(pieces).flatten().collect();
    let all = String::from_utf8(all).unwrap();
    let numbers: Vec<&str> = all.lines().filter_map(|line| line.split("n=\"").nth(1)?.get(..5)).collect();
    assert!(numbers.is_sorted() && numbers.windows(2).all(|pair| pair[0] != pair[1]));
    assert!((7_000..10_000).all(|index| numbers.binary_search(&&*format!("{index:05}")).is_ok()));
    assert_eq!(all.matches("# TYPE a ").count(), 1);
}

fn refusals(yaml: &str) -> String {
    let node = ::config::parse(yaml, "test.yaml").unwrap().root;
    let config = match ::config::read::<Config>(&node, "exporters::prometheus") {
        Ok(config) => config,
        Err(problems) => return format!("{problems:?}"),
    };
    let problems = Prometheus::build(config, &Site::for_test("prometheus", None)).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    for (yaml, parts) in [
        ("namespace: x", ["endpoint", "is required"]),
        ("endpoint: 127.0.0.1:1\nconst_labels: {le: '1'}", ["const_labels::le", "another name"]),
        ("endpoint: 127.0.0.1:1\nauth: {authenticator: basicauth}", ["auth", "client_ca_file"]),
        ("endpoint: 127.0.0.1:1\nmetric_expiration: 0s", ["metric_expiration", "0"]),
        ("endpoint: 127.0.0.1:1\ntranslation_strategy: Nothing", ["translation_strategy", "NoTranslation"]),
    ] {
        let refusal = refusals(yaml);
        assert!(parts.iter().all(|part| refusal.contains(part)), "{yaml}: {refusal}");
    }
}

#[test]
fn a_sending_queue_has_nothing_to_hold() {
    let common = SendingConfig {
        sending_queue: Some(pipeline::QueueConfig { enabled: Some(true), ..Default::default() }),
        ..SendingConfig::default()
    };
    let config = ::config::read::<Config>(
        &::config::parse("endpoint: 127.0.0.1:1", "test.yaml").unwrap().root,
        "exporters::prometheus",
    );
    assert_eq!(Prometheus::sending(&config.unwrap(), &common).queue, None);
}

#[tokio::test]
async fn an_address_in_use_is_named_at_the_start_and_free_again_when_the_exporter_made_room() {
    let taken = Listener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().to_string();
    let life = Life::for_test("prometheus", &Stop::new());
    let mut first = exporter("");
    first.endpoint.clone_from(&address);
    let refused = first.start(&life).await.unwrap_err();
    let text = telemetry::error_chain(&refused);
    assert!(text.contains("starting exporter `prometheus`") && text.contains(&address), "{text}");
    drop(taken);
    first.start(&life).await.unwrap();
    assert!(first.make_room().await);
    let mut second = exporter("");
    second.endpoint = address;
    second.start(&life).await.unwrap();
}
