//! `confighttp` clients as users write them.

use expect_test::expect;

use super::*;
use crate::testing::{Server, get, server_tls, testdata};
use crate::{Client, ServeOptions};

fn parse(yaml: &str) -> HttpClientConfig {
    config::read(&config::parse(yaml, "test.yaml").unwrap().root, "").unwrap()
}

#[test]
fn defaults_are_those_of_the_collector() {
    let config = parse("{}");
    assert_eq!(config, HttpClientConfig::default());
    assert_eq!(config.idle_conn_timeout, Timeout::from_secs(90));
    assert!(config.check().is_empty());
    assert_eq!(
        parse("compression: none").compression.and_then(Compression::encoding),
        Some(Encoding::Identity)
    );
    assert_eq!(parse("{compression: gzip, compression_params: {level: 3}}").compression_level(), Some(3));
}

#[test]
fn what_is_not_supported_is_named() {
    let config = parse(
        "
auth: {authenticator: oauth2client}
compression: lz4
cookies: {enabled: true}
middlewares: [{id: a}]
headers: {'bad name': x}
tls: {ca_file: a, ca_pem: b, cert_file: c, cipher_suites: [X], max_version: '1.1'}
",
    );
    let lines: String = config.check().iter().map(|(key, message)| format!("{key}: {message}\n")).collect();
    expect![[r"
        tls.ca_file: give `ca_file` or `ca_pem`, not both
        tls.key_file: a certificate needs its key: give `key_file` or `key_pem` too
        tls.max_version: TLS 1.1 and older are not spoken; the lowest that works is 1.2
        tls.cipher_suites: cipher suites cannot be chosen; only safe ones are offered. Remove the key
        auth: authenticators are not supported; put the credentials into `headers`
        cookies: cookies are not supported
        middlewares: middlewares are not supported
        compression: `lz4` is not supported; use gzip, zstd, snappy, zlib, deflate or none
        headers.bad name: the name or the value has characters that no header can hold
    "]]
    .assert_eq(&lines);
    assert!(Client::build_http(&config).is_err());
}

#[tokio::test]
async fn headers_are_sent_with_each_request() {
    let (server, log) = Server::recording(ServeOptions::default());
    let client =
        Client::build_http(&parse("headers: {Authorization: Bearer abc, X-Scope-OrgID: a}")).unwrap();
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(log.last().header("authorization"), Some("Bearer abc"));
    assert_eq!(log.last().header("x-scope-orgid"), Some("a"));
}

#[tokio::test]
async fn the_timeout_counts_when_the_request_has_none() {
    let server = Server::start(ServeOptions::default(), crate::answer(|_| std::future::pending()));
    let client = Client::build_http(&parse("timeout: 50ms")).unwrap();
    let request = crate::Request { timeout: None, ..crate::Request::get(server.url("/"), Duration::ZERO, 1) };
    assert!(client.send(request).await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn tls_is_set_up_by_its_own_names() {
    let (server, _log) = Server::recording(server_tls("server", Some("ca.pem")));
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(testdata);
    let yaml = format!(
        "tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}, server_name_override: metrics.example, \
         min_version: '1.3'}}"
    );
    let client = Client::build_http(&parse(&yaml)).unwrap();
    assert_eq!(get(&client, &server.https("/")).await.unwrap().status, 200);
}
