//! What a request to a target carries, key by key, against an exporter on loopback.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::{job, target};
use crate::{Fetch, HttpFetch};

/// Heads of requests, in lower case.
type Heads = Arc<Mutex<Vec<String>>>;

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, heads: &Heads) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n";
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// The head of the request for the target of this job, which may have more labels.
async fn head(config: &str, labels: &[(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    let serving = tokio::spawn(async move { answer(listener.accept().await.unwrap().0, &noted).await });
    let job =
        job(&format!("{config}\nrelabel_configs: [{{target_label: __address__, replacement: '{address}'}}]"));
    let fetched = HttpFetch::build(&job).unwrap().fetch(&target(&job, labels), usize::MAX).await.unwrap();
    assert_eq!(fetched.body, "a 1\n");
    serving.await.unwrap();
    let mut heads = heads.lock().unwrap();
    heads.pop().unwrap()
}

/// The value of a header.
fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn the_request_is_that_of_prometheus_unless_keys_say_otherwise() {
    let head = head("", &[]).await;
    assert!(head.starts_with("get /metrics http/1.1\r\n"), "{head}");
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                  application/openmetrics-text;version=0.0.1;q=0.5,\
                  text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert_eq!(value(&head, "accept"), Some(accept));
    assert_eq!(value(&head, "accept-encoding"), Some("gzip"));
    assert_eq!(value(&head, "x-prometheus-scrape-timeout-seconds"), Some("10"));
    assert!(value(&head, "user-agent").unwrap().starts_with("muster/"), "{head}");
    assert_eq!(value(&head, "authorization"), None);
}

#[tokio::test]
async fn scrape_protocols_and_escaping_are_asked_for_as_listed() {
    for (config, accept) in [
        ("scrape_protocols: [PrometheusText0.0.4]", "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"),
        (
            "scrape_protocols: [PrometheusText1.0.0, OpenMetricsText0.0.1]\nmetric_name_escaping_scheme: values",
            "text/plain;version=1.0.0;escaping=values;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,*/*;q=0.4",
        ),
        (
            "scrape_protocols: [OpenMetricsText1.0.0]\nmetric_name_validation_scheme: legacy",
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5",
        ),
    ] {
        assert_eq!(value(&head(config, &[]).await, "accept"), Some(accept), "{config}");
    }
}

#[tokio::test]
async fn enable_compression_decides_what_encoding_is_asked_for() {
    let head = head("enable_compression: false", &[]).await;
    assert_eq!(value(&head, "accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn the_timeout_is_told_in_seconds_and_may_come_from_a_label() {
    for (config, labels, told) in [
        ("scrape_timeout: 1500ms", &[][..], "1.5"),
        ("", &[("__scrape_timeout__", "250ms")], "0.25"),
        ("scrape_interval: 3h\nscrape_timeout: 2h", &[], "7200"),
    ] {
        let head = head(config, labels).await;
        assert_eq!(value(&head, "x-prometheus-scrape-timeout-seconds"), Some(told));
    }
}

#[tokio::test]
async fn path_and_parameters_come_from_keys_and_from_labels() {
    let config = "metrics_path: /probe\nparams: {module: [http, icmp], target: [x]}";
    let labels = [("__param_target", "http://a/b?c=d"), ("__param_more", "1")];
    let head = head(config, &labels).await;
    let expected = "get /probe?module=http&module=icmp&more=1&target=http%3a%2f%2fa%2fb%3fc%3dd http/1.1\r\n";
    assert!(head.starts_with(expected), "{head}");
}

#[tokio::test]
async fn every_way_to_log_in_is_sent_as_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), format!(" {text}\n")).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (user, password) = (path("user", "me"), path("password", "safe"));
    let basic = format!("basic_auth: {{username_file: '{user}', password_file: '{password}'}}");
    let token = format!("authorization: {{type: Token, credentials_file: '{password}'}}");
    let bearer = format!("bearer_token_file: '{password}'");
    for (config, authorization) in [
        ("basic_auth: {username: me, password: safe}", "basic bwu6c2fmzq=="),
        (basic.as_str(), "basic bwu6c2fmzq=="),
        ("basic_auth: {username: me}", "basic bwu6"),
        ("authorization: {credentials: safe}", "bearer safe"),
        (token.as_str(), "token safe"),
        ("bearer_token: safe", "bearer safe"),
        (bearer.as_str(), "bearer safe"),
    ] {
        assert_eq!(value(&head(config, &[]).await, "authorization"), Some(authorization), "{config}");
    }
}

#[tokio::test]
async fn http_headers_are_added_to_the_request() {
    let head = head("http_headers: {X-Tenant: {values: [team-a], secrets: [key-b]}}", &[]).await;
    let values: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("x-tenant: ")).collect();
    assert_eq!(values, ["team-a", "key-b"]);
}

#[tokio::test]
async fn a_target_with_a_unix_socket_is_asked_there() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    let serving = tokio::spawn(async move { answer(listener.accept().await.unwrap().0, &noted).await });
    let job = job("");
    let target = target(&job, &[("__unix_socket__", &socket.display().to_string())]);
    HttpFetch::build(&job).unwrap().fetch(&target, usize::MAX).await.unwrap();
    serving.await.unwrap();
    assert_eq!(value(&heads.lock().unwrap()[0], "host"), Some("t:1"));
}
