//! A pasted entry of Prometheus' `remote_write`.

use world::sink::Sink;

use super::*;

/// An exporter from the keys of an entry, and the metrics of nobody.
fn pasted(url: &str, keys: &str) -> PrometheusRemoteWrite {
    let yaml = format!("target_info: {{enabled: false}}\nremote_write:\n  url: {url}\n");
    let keys: String = keys.lines().map(|line| format!("  {line}\n")).collect();
    built(&format!("{yaml}{keys}"))
}

fn v1(keys: &str) -> PrometheusRemoteWrite {
    pasted("http://127.0.0.1:1/w", &format!("protobuf_message: prometheus.WriteRequest\n{keys}"))
}

fn config_of(yaml: &str) -> Config {
    config::read::<Config>(&config::parse(yaml, "x").unwrap().root, "x").unwrap()
}

fn problems(yaml: &str) -> Vec<String> {
    let site = Site::for_test("prometheusremotewrite", None);
    let problems = PrometheusRemoteWrite::build(config_of(yaml), &site).unwrap_err();
    problems.into_iter().map(|problem| problem.path).collect()
}

fn series(exporter: &PrometheusRemoteWrite, scrape: &Scrape) -> Vec<wire::remote_write::v1::TimeSeries> {
    let requests = requests(exporter, &Batch::from_scrape(scrape.clone()));
    requests.into_iter().flat_map(|request| request.timeseries).collect()
}

#[test]
fn write_relabel_configs_drop_and_change_series_on_either_protocol() {
    let rules = "write_relabel_configs: [{action: drop, source_labels: [n], regex: '1'}, \
                 {source_labels: [n], regex: '2', target_label: n, replacement: two}]";
    let expected = ["0", "two"];
    let of_v1: Vec<String> =
        series(&v1(rules), &scrape(3)).iter().map(|series| series.label("n").to_owned()).collect();
    assert_eq!(of_v1, expected);
    let exporter = pasted("http://127.0.0.1:1/w", rules);
    let told = version_2::told(&version_2::requests_of(&exporter, &[Batch::from_scrape(scrape(3))]));
    let of_v2: Vec<bool> =
        told.iter().zip(expected).map(|(line, n)| line.contains(&format!("n={n:?}"))).collect();
    assert_eq!(of_v2, [true, true], "{told:?}");
}

#[test]
fn write_relabel_configs_see_external_labels() {
    let yaml = "external_labels: {cluster: home}\nremote_write:\n  url: http://h/w\n  protobuf_message: prometheus.WriteRequest\n  \
                write_relabel_configs: [{action: drop, source_labels: [cluster], regex: home}]";
    assert_eq!(series(&built(yaml), &scrape(3)), []);
}

#[test]
fn exemplars_and_native_histograms_are_sent_only_if_the_entry_says_so() {
    let mixed = histograms::mixed();
    let counts = |keys: &str| {
        let all = series(&v1(keys), &mixed);
        let n_exemplars: usize = all.iter().map(|series| series.exemplars.len()).sum();
        (n_exemplars, all.iter().filter(|series| !series.histograms.is_empty()).count())
    };
    assert_eq!(counts(""), (0, 0));
    assert_eq!(counts("send_exemplars: true").1, 0);
    assert!(counts("send_exemplars: true").0 > 0);
    assert_eq!(counts("send_native_histograms: true"), (0, 1));
}

#[test]
fn metadata_goes_along_unless_the_entry_says_no() {
    let n_families = |keys: &str| {
        requests(&v1(keys), &Batch::from_scrape(scrape(1)))
            .iter()
            .map(|request| request.metadata.len())
            .sum::<usize>()
    };
    assert_eq!((n_families(""), n_families("metadata_config: {send: false}")), (1, 0));
}

#[test]
fn keys_of_its_queue_are_those_of_ours() {
    let sending = |keys: &str| {
        let config = config_of(&format!("{{remote_write: {{url: 'http://h/w', {keys}}}}}"));
        PrometheusRemoteWrite::sending(&config, &SendingConfig::default())
    };
    let plain = sending("name: x");
    assert_eq!(plain.timeout, Some(Duration::from_secs(30)));
    let retry = plain.retry;
    assert_eq!((retry.initial.as_millis(), retry.max.as_secs(), retry.multiplier), (30, 5, 2.0));
    assert_eq!(retry.max_elapsed, None);
    let all = sending(
        "remote_timeout: 7s, queue_config: {capacity: 2500, max_shards: 9, min_shards: 2, max_samples_per_send: 500, \
         batch_send_deadline: 3s, min_backoff: 40ms, max_backoff: 8s}",
    );
    let queue = all.queue.unwrap();
    assert_eq!((queue.n_shards, queue.min_requests, queue.n_consumers), (9, 2, 1));
    assert_eq!((queue.capacity, queue.sizer), (22_500, Sizer::Items));
    let joining = queue.joining.unwrap();
    assert_eq!((joining.min_items, joining.deadline.as_secs()), (500, 3));
    assert_eq!((all.retry.initial.as_millis(), all.retry.max.as_secs()), (40, 8));
    assert_eq!(all.timeout, Some(Duration::from_secs(7)));
}

#[test]
fn what_signs_requests_is_refused_by_name() {
    assert_eq!(
        problems("{remote_write: {url: 'http://h/w', sigv4: {}, azuread: {}, google_iam: {}}}"),
        ["remote_write::sigv4", "remote_write::azuread", "remote_write::google_iam"]
    );
}

#[test]
fn wrong_keys_of_an_entry_are_named_where_they_stand() {
    for (yaml, path) in [
        (
            "{remote_write: {url: 'http://h/w', write_relabel_configs: [{}, {action: hashmod}]}}",
            "remote_write::write_relabel_configs::1",
        ),
        ("{remote_write: {url: 'http://h/w', bearer_token: x, basic_auth: {username: y}}}", "remote_write::"),
        ("{remote_write: {url: 'http://h/w', headers: {User-Agent: x}}}", "remote_write::http_headers"),
        ("{endpoint: 'http://h/w', remote_write: {url: 'http://h/w'}}", "endpoint"),
        ("{headers: {a: b}, remote_write: {url: 'http://h/w'}}", "remote_write"),
        ("{external_labels: {a: b}}", "endpoint"),
    ] {
        let paths = problems(yaml);
        assert!(paths.iter().any(|found| found.starts_with(path)), "{yaml}: {paths:?}");
    }
}

#[test]
fn keys_without_effect_are_warned_of_by_name() {
    let config = config_of(
        "{remote_write: {url: 'http://h/w', name: a, round_robin_dns: true, metadata_config: {send_interval: 1m, \
         max_samples_per_send: 5}, queue_config: {max_samples_per_send: 5, retry_on_http_429: false}}}",
    );
    let paths: Vec<String> =
        PrometheusRemoteWrite::warnings(&config).into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "remote_write::name",
            "remote_write::round_robin_dns",
            "remote_write::metadata_config::send_interval",
            "remote_write::metadata_config::max_samples_per_send",
            "remote_write::queue_config::max_samples_per_send",
            "remote_write::queue_config::retry_on_http_429",
        ]
    );
}

#[tokio::test]
async fn requests_carry_headers_and_credentials_of_the_entry() {
    let sink = Sink::start().await.unwrap();
    let keys = "headers: {X-Scope-OrgID: team}\nbasic_auth: {username: u, password: p}";
    let exporter = pasted(&sink.url(), keys);
    exporter.send(&protocol::sealed(&exporter, 1000), 0).await.unwrap();
    let seen = sink.seen().remove(0);
    assert_eq!((seen.header("x-scope-orgid"), seen.header("authorization")), ("team", "Basic dTpw"));
}

#[tokio::test]
async fn samples_beyond_sample_age_limit_are_not_sent() {
    let sink = Sink::start().await.unwrap();
    let exporter = pasted(&sink.url(), "queue_config: {sample_age_limit: 1h}");
    let error = exporter.send(&protocol::sealed(&exporter, 1000), 0).await.unwrap_err();
    assert!(telemetry::error_chain(&error).contains("sample_age_limit (3600s)"), "{error:?}");
    exporter.send(&protocol::sealed(&exporter, world::now_ms()), 0).await.unwrap();
    assert_eq!(sink.seen().len(), 1);
}
