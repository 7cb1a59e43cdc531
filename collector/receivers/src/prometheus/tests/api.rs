//! `api_server` of a running receiver, asked over HTTP.

use expect_test::expect;
use net::{Client, HttpClientConfig, Request};
use pipeline::{Component, Life, Outlets, Receiver, Stop};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::running::{PATIENCE, exporter};
use super::{build, refused};
use crate::Prometheus;

struct Api {
    base: String,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Api {
    async fn start(text: &str) -> Self {
        let mut receiver: Prometheus = build(text).unwrap();
        let stop = Stop::new();
        let life = Life::for_test("prometheus", &stop);
        receiver.start(&life).await.unwrap();
        let base = format!("http://{}", receiver.bound.as_ref().unwrap().address());
        let out = Outlets::for_test(&life, |_| Ok(()));
        let task = tokio::spawn(async move { Box::pin(receiver.run(out, life)).await.unwrap() });
        Self { base, stop, task }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let client = Client::build_http(&HttpClientConfig::default()).unwrap();
        let request = Request::get(format!("{}{path}", self.base), PATIENCE, 1 << 20);
        let response = client.send(request).await.unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }

    /// Asks again and again until the answer is as wanted.
    async fn until(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let (_, body) = self.get(path).await;
                if is_wanted(&body) {
                    return body;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap()
    }
}

#[tokio::test]
async fn targets_are_told_as_prometheus_tells_them() {
    let (address, _requests) = exporter().await;
    let api = Api::start(&format!(
        "
config:
  scrape_configs:
  - job_name: up
    scrape_interval: 1s
    relabel_configs: [{{source_labels: [__address__], regex: 'drop.*', action: drop}}]
    static_configs: [{{targets: ['{address}', 'drop:1'], labels: {{rack: a}}}}]
  - job_name: down
    scrape_interval: 1h
    static_configs: [{{targets: ['127.0.0.1:1']}}]
api_server: {{enabled: true, server_config: {{endpoint: '127.0.0.1:0'}}}}
"
    ))
    .await;
    let is_up = |body: &Value| {
        let active = body["data"]["activeTargets"].as_array().unwrap();
        active.iter().any(|target| target["health"] == "up")
    };
    let body = api.until("/api/v1/targets", is_up).await;
    assert_eq!(body["status"], "success");
    let data = &body["data"];
    let active = data["activeTargets"].as_array().unwrap();
    let of = |pool: &str| active.iter().find(|target| target["scrapePool"] == pool).unwrap();
    let (up, down) = (of("up"), of("down"));
    assert_eq!(up["scrapeUrl"], format!("http://{address}/metrics"));
    assert_eq!(up["labels"]["rack"], "a");
    assert_eq!(up["discoveredLabels"]["__address__"], address.as_str());
    assert_eq!(
        (&up["lastError"], &up["scrapeInterval"], &up["scrapeTimeout"]),
        (&"".into(), &"1s".into(), &"1s".into())
    );
    assert!(up["lastScrapeDuration"].as_f64().unwrap() > 0.0);
    assert!(up["lastScrape"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&down["health"], &down["lastScrape"]), (&"unknown".into(), &"0001-01-01T00:00:00Z".into()));
    assert_eq!(data["droppedTargets"][0]["discoveredLabels"]["__address__"], "drop:1");
    assert_eq!(data["droppedTargetCounts"], serde_json::json!({"down": 0, "up": 1}));

    let (_, pools) = api.get("/api/v1/scrape_pools").await;
    assert_eq!(pools["data"]["scrapePools"], serde_json::json!(["down", "up"]));
    let n = |body: &Value, key: &str| body["data"][key].as_array().unwrap().len();
    for (query, n_active, n_dropped) in [
        ("?state=active", 2, 0),
        ("?state=Dropped", 0, 1),
        ("?state=any&scrapePool=down", 1, 0),
        ("?scrapePool=none", 0, 0),
        ("?state=other", 0, 0),
    ] {
        let (_, body) = api.get(&format!("/api/v1/targets{query}")).await;
        assert_eq!((n(&body, "activeTargets"), n(&body, "droppedTargets")), (n_active, n_dropped), "{query}");
    }
    let (status, body) = api.get("/api/v1/query?query=up").await;
    assert_eq!((status, &body["status"]), (404, &"error".into()));

    api.stop.raise();
    tokio::time::timeout(PATIENCE, api.task).await.unwrap().unwrap();
    net::Listener::bind(api.base.strip_prefix("http://").unwrap()).expect("the port is free again");
}

#[test]
fn a_server_that_cannot_serve_is_refused_by_its_key() {
    refused(
        "{config: {scrape_configs: [{job_name: j}]}, \
         api_server: {enabled: true, max_connections: 0, server_config: {auth: {authenticator: x}}}}",
        expect![[r#"
            error: api_server::server_config::auth: authenticators are not supported; require client certificates with `tls.client_ca_file`
            error: api_server::max_connections: must not be zero, which would let nobody in; remove the key for 512
        "#]],
    );
}

#[test]
fn a_server_that_is_not_enabled_is_not_there() {
    let keys = "api_server: {enabled: false, server_config: {auth: {authenticator: x}}}";
    let receiver = build(&format!("{{config: {{scrape_configs: [{{job_name: j}}]}}, {keys}}}")).unwrap();
    assert!(receiver.api.is_none());
}
