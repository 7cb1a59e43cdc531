use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::http;

fn plan(series: u32, format: Format, behaviour: Behaviour) -> Plan {
    Plan { job: "shop".into(), instance: "shop-0".into(), series, format, behaviour }
}

async fn scrape(fleet: &Fleet, headers: &[(&str, &str)]) -> http::Answer {
    let url = format!("http://{}/metrics", fleet.address(0));
    http::send("GET", &url, headers, bytes::Bytes::new(), Duration::from_secs(5)).await.unwrap()
}

/// The places that the samples of a body tell, in order.
fn places(body: &str) -> Vec<(u32, u32)> {
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let value = line.split(" # ").next().unwrap().rsplit(' ').next().unwrap();
            place_of(value.parse().unwrap()).unwrap()
        })
        .collect()
}

#[test]
fn every_size_has_exactly_as_many_distinct_series_as_planned() {
    for size in [5, 6, 12, 41, 42, 600, 5000] {
        for format in [Format::Text, Format::OpenMetrics] {
            let template = Template::new(format, size, true);
            let body = String::from_utf8(template.at(1)).unwrap();
            let names = body.lines().filter(|line| !line.starts_with('#'));
            let names = names.map(|line| line.split(' ').next().unwrap()).collect::<HashSet<_>>();
            assert_eq!((names.len() as u32, template.series()), (size, size));
        }
    }
}

#[test]
fn every_value_tells_its_series_and_its_scrape() {
    let body = Template::new(Format::OpenMetrics, 300, true).at(4711);
    let places = places(std::str::from_utf8(&body).unwrap());
    assert_eq!(places, (0..300).map(|series| (series, 4711)).collect::<Vec<_>>());
}

#[test]
fn values_that_no_target_sends_have_no_place() {
    for value in [0.5, -1.0, f64::NAN, f64::INFINITY, 0.0, STEP as f64, 1e300] {
        assert_eq!(place_of(value), None, "{value}");
    }
}

#[test]
fn text_bodies_are_read_by_an_independent_parser() {
    let body = String::from_utf8(Template::new(Format::Text, 200, true).at(9)).unwrap();
    let parsed = prometheus_parse::Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let histogram = parsed.samples.iter().find_map(|sample| match &sample.value {
        prometheus_parse::Value::Histogram(buckets) => Some(buckets.clone()),
        _ => None,
    });
    let buckets = histogram.unwrap();
    assert_eq!(buckets.len(), BUCKETS_OF_ONE_HISTOGRAM);
    assert!(buckets.is_sorted_by(|a, b| a.count < b.count && a.less_than < b.less_than));
}

const BUCKETS_OF_ONE_HISTOGRAM: usize = 10;

#[test]
fn the_demo_fleet_has_every_kind_of_target() {
    let plans = demo(120, Duration::from_secs(5));
    assert_eq!(plans.iter().map(|plan| plan.series).min(), Some(5));
    assert_eq!(plans.iter().map(|plan| plan.series).max(), Some(5000));
    assert_eq!(plans.iter().filter(|plan| plan.behaviour == Behaviour::Flapping).count(), 1);
    assert_eq!(plans.iter().filter(|plan| matches!(plan.behaviour, Behaviour::Slow(_))).count(), 1);
    assert!(plans.iter().any(|plan| plan.format == Format::OpenMetrics));
    assert_eq!(plans.iter().map(|plan| &plan.instance).collect::<HashSet<_>>().len(), 120);
}

#[tokio::test]
async fn a_target_counts_its_scrapes_and_remembers_who_asked() {
    let fleet = Fleet::start(vec![plan(20, Format::Text, Behaviour::Steady)]).await.unwrap();
    for number in 1..=3 {
        let answer = scrape(&fleet, &[("user-agent", "me/1")]).await;
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert!(places(&answer.text()).iter().all(|place| place.1 == number));
    }
    let attempts = fleet.targets()[0].attempts();
    assert_eq!(
        attempts.iter().map(|attempt| attempt.sequence).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    assert_eq!(fleet.agents(), ["me/1"]);
}

#[tokio::test]
async fn gzip_and_openmetrics_are_given_to_those_who_ask() {
    let fleet = Fleet::start(vec![plan(200, Format::OpenMetrics, Behaviour::Steady)]).await.unwrap();
    let plain = scrape(&fleet, &[]).await;
    assert_eq!(plain.header("content-type"), Some(TEXT));
    let asked = [("accept", "application/openmetrics-text;version=1.0.0"), ("accept-encoding", "gzip")];
    let zipped = scrape(&fleet, &asked).await;
    assert_eq!(zipped.header("content-type"), Some(OPENMETRICS));
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut body = vec![0; 1 << 20];
    let length = libdeflater::Decompressor::new().gzip_decompress(&zipped.body, &mut body).unwrap();
    let body = std::str::from_utf8(&body[..length]).unwrap();
    assert!(body.ends_with("# EOF\n") && body.contains(" # {trace_id="));
    assert_eq!(places(body)[7], (7, 2));
}

#[tokio::test]
async fn a_flapping_target_refuses_sometimes_and_loses_its_gauges_sometimes() {
    let fleet = Fleet::start(vec![plan(30, Format::Text, Behaviour::Flapping)]).await.unwrap();
    let target = &fleet.targets()[0];
    let mut seen = Vec::new();
    for _ in 0..8 {
        let answer = scrape(&fleet, &[]).await;
        seen.push(if answer.status == 200 { places(&answer.text()).len() as u32 } else { 0 });
    }
    let short = target.series_at(3);
    assert!(short < 30);
    assert_eq!(seen, [30, 30, short, 30, 30, short, 0, 30]);
}

#[tokio::test]
async fn a_slow_scrape_that_is_given_up_is_an_attempt_without_a_number() {
    let slow = Behaviour::Slow(Duration::from_secs(3600));
    let fleet = Fleet::start(vec![plan(5, Format::Text, slow)]).await.unwrap();
    let url = format!("http://{}/metrics", fleet.address(0));
    let given_up = http::send("GET", &url, &[], bytes::Bytes::new(), Duration::from_millis(50)).await;
    assert!(given_up.is_err());
    while fleet.targets()[0].attempts().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fleet.targets()[0].attempts()[0].sequence, None);
    assert_eq!(fleet.targets()[0].last_sequence(), 0);
}

#[tokio::test]
async fn groups_name_address_and_instance() {
    let fleet = Fleet::start(vec![plan(5, Format::Text, Behaviour::Steady)]).await.unwrap();
    let expected = serde_json::json!([{"targets": [fleet.address(0)], "labels": {"instance": "shop-0"}}]);
    assert_eq!(fleet.groups("shop"), expected);
}

async fn get(fleet: &Fleet, index: usize, path: &str) -> http::Answer {
    let url = format!("http://{}{path}", fleet.address(index));
    let headers = [("accept-encoding", "gzip")];
    http::send("GET", &url, &headers, bytes::Bytes::new(), Duration::from_secs(5)).await.unwrap()
}

#[tokio::test]
async fn targets_that_share_a_port_are_told_apart_by_their_paths() {
    let options = Options { max_listeners: 2, ..Options::default() };
    let fleet = Fleet::with(even(5, 10), options).await.unwrap();
    assert_eq!((fleet.n_listeners(), fleet.address(0)), (2, fleet.address(4)));
    for index in 0..5 {
        assert_eq!(get(&fleet, index, &fleet.path(index)).await.status, 200);
        assert_eq!(fleet.targets()[index].last_sequence(), 1);
    }
    for nowhere in ["/metrics", "/t/1/metrics", "/t/6/metrics", "/t/x/metrics"] {
        assert_eq!(get(&fleet, 0, nowhere).await.status, 404, "{nowhere}");
    }
    assert_eq!(fleet.groups("even")[4]["labels"]["__metrics_path__"], "/t/4/metrics");
}

#[tokio::test]
async fn a_fleet_without_gzip_and_open_connections_says_so_in_its_answers() {
    let options = Options { gzip: false, keep_alive: false, ..Options::default() };
    for (options, encoding, connection) in
        [(Options::default(), Some("gzip"), None), (options, None, Some("close"))]
    {
        let fleet = Fleet::with(even(1, 10), options).await.unwrap();
        let answer = get(&fleet, 0, "/metrics").await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("connection"), connection);
    }
}

#[tokio::test]
async fn a_connection_too_many_waits_until_another_ends() {
    let options = Options { max_connections: 1, ..Options::default() };
    let fleet = Fleet::with(even(2, 10), options).await.unwrap();
    // An open connection that asks nothing takes the only place.
    let idle = tokio::net::TcpStream::connect(fleet.address(0)).await.unwrap();
    let url = format!("http://{}/metrics", fleet.address(1));
    let get = |deadline| http::send("GET", &url, &[], bytes::Bytes::new(), deadline);
    while get(Duration::from_millis(20)).await.is_ok() {
        // The idle one is not accepted yet.
        tokio::task::yield_now().await;
    }
    drop(idle);
    assert_eq!(get(Duration::from_secs(5)).await.unwrap().status, 200);
}
