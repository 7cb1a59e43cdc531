//! The client block as users write it, and clients built from it.

mod proxies;
mod secrets;
mod tls;

use std::path::Path;

use config::Secret;
use expect_test::{Expect, expect};

use super::Surroundings;
use crate::testing::{Server, get, prometheus};
use crate::{Client, ServeOptions};

fn printed(yaml: &str) -> String {
    serde_json::to_string(&prometheus(yaml)).unwrap()
}

fn problems(yaml: &str, expected: Expect) {
    let found = prometheus(yaml).check();
    let lines: String = found.iter().map(|(key, message)| format!("{key}: {message}\n")).collect();
    expected.assert_eq(&lines);
}

#[test]
fn defaults_are_left_out_and_switches_are_not() {
    expect![[r#"{"follow_redirects":true,"enable_http2":true}"#]].assert_eq(&printed("{}"));
}

#[test]
fn secrets_are_hidden_unless_revealed() {
    let yaml = "
basic_auth: {username: me, password: safe}
tls_config: {ca: PEM, key: KEY, min_version: TLS12}
proxy_url: http://me:safe@proxy:3128
proxy_connect_header: {X-A: [safe]}
http_headers: {X-B: {secrets: [safe]}}
follow_redirects: false
";
    expect![[r#"{"basic_auth":{"username":"me","password":"<secret>"},"tls_config":{"ca":"PEM","key":"<secret>","insecure_skip_verify":false,"min_version":"TLS12"},"follow_redirects":false,"enable_http2":true,"proxy_url":"http://me:xxxxx@proxy:3128","proxy_connect_header":{"X-A":["<secret>"]},"http_headers":{"X-B":{"secrets":["<secret>"]}}}"#]]
    .assert_eq(&printed(yaml));
    assert!(!format!("{:?}", prometheus(yaml)).contains("safe"));
    let revealed = Secret::revealing(|| printed(yaml));
    assert_eq!(revealed.matches("safe").count(), 4, "{revealed}");
}

#[test]
fn old_keys_are_printed_as_the_new_ones() {
    expect![[r#"{"authorization":{"type":"Bearer","credentials_file":"/token"},"follow_redirects":true,"enable_http2":true}"#]]
    .assert_eq(&printed("bearer_token_file: /token"));
    expect![[r#"{"authorization":{"type":"Bearer","credentials":"<secret>"},"follow_redirects":true,"enable_http2":true}"#]]
    .assert_eq(&printed("bearer_token: abc"));
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let yaml = "
oauth2: {client_id: me, client_secret_file: /s, token_url: 'http://t/', scopes: [a, b], endpoint_params: {k: v}}
tls_config: {ca_file: /ca, server_name: x, insecure_skip_verify: true}
proxy_url: socks5://proxy
no_proxy: a,b
http_headers: {X-B: {values: [c], files: [/f]}}
";
    let config = prometheus(yaml);
    assert_eq!(prometheus(&serde_json::to_string(&config).unwrap()), config);
}

#[test]
fn numbers_are_taken_as_they_are_written_where_texts_belong() {
    let config = prometheus(
        "
basic_auth: {username: 0017, password: 1e3}
authorization: {credentials: 0x10}
bearer_token: 1.50
http_headers: {X-A: {values: [1, true], secrets: [007]}}
oauth2: {client_id: 12, client_secret: 3_4, scopes: [1], endpoint_params: {a: 1.0}}
proxy_url: http://p
proxy_connect_header: {X-B: [08]}
",
    );
    let basic = config.basic_auth.as_ref().unwrap();
    let oauth2 = config.oauth2.as_ref().unwrap();
    assert_eq!((basic.username.as_str(), oauth2.client_id.as_str()), ("0017", "12"));
    assert_eq!((oauth2.scopes[0].as_str(), oauth2.endpoint_params["a"].as_str()), ("1", "1.0"));
    assert_eq!(config.http_headers["X-A"].values, ["1", "true"]);
    let secrets: Vec<&str> = config.secrets().into_iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["1e3", "0x10", "1.50", "007", "08", "3_4"]);
}

#[test]
fn contradictions_are_all_named() {
    problems(
        "
basic_auth: {username: a, username_file: b, password: c, password_file: d}
bearer_token: t
authorization: {type: Basic, credentials: a, credentials_file: b}
tls_config: {ca: a, ca_file: b, cert_file: c, server_name: 'not a name'}
no_proxy: x
http_headers: {Host: {values: [x]}, X-Good: {values: [\"bad\\nvalue\"]}}
",
        expect![[r"
            authorization: only one way to log in can be used, but there are basic_auth and authorization and bearer_token
            basic_auth.username_file: only one of `username`, `username_file`, `username_ref` can be given
            basic_auth.password_file: only one of `password`, `password_file`, `password_ref` can be given
            authorization.credentials_file: only one of `credentials`, `credentials_file`, `credentials_ref` can be given
            authorization.type: cannot be `basic`; use `basic_auth` instead
            tls_config.ca_file: only one of `ca`, `ca_file`, `ca_ref` can be given
            tls_config.key: a client certificate needs its key: give `key` or `key_file` too
            tls_config.server_name: not a host name or an IP address
            no_proxy: needs `proxy_url`
            http_headers.Host: setting header `Host` is not allowed
            http_headers.X-Good: a value has characters that no header can hold
        "]],
    );
}

/// `reservedHeaders` of Prometheus `common/config/headers.go`, written as in Go's own spelling of headers.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

#[test]
fn reserved_headers_are_refused_in_any_case_and_all_others_are_not() {
    let found = |name: &str| prometheus(&format!("http_headers: {{'{name}': {{values: [x]}}}}")).check();
    for reserved in RESERVED {
        for name in [reserved.to_owned(), reserved.to_lowercase(), reserved.to_uppercase()] {
            let expected =
                (format!("http_headers.{name}"), format!("setting header `{name}` is not allowed"));
            assert_eq!(found(&name), [expected]);
        }
    }
    for free in
        ["Accept", "Cookie", "Proxy-Connection", "Content-Language", "X-Prometheus-Tenant", "X-Amz-Other"]
    {
        assert_eq!(found(free), [], "{free}");
    }
}

#[test]
fn connections_are_kept_as_by_the_transport_of_prometheus() {
    let settings =
        |yaml: &str| prometheus(yaml).settings(Surroundings::of_this_process(Path::new(""))).unwrap();
    let seconds = std::time::Duration::from_secs;
    let usual = settings("{}");
    assert_eq!((usual.idle_timeout, usual.max_idle_per_host), (Some(seconds(300)), 1000));
    assert_eq!(usual.ping.unwrap().0, seconds(60));
    assert_eq!(settings("enable_http2: false").ping, None);
}

#[test]
fn what_is_not_supported_is_named() {
    let yaml = "
basic_auth: {username: a, password_ref: b}
tls_config: {ca_ref: a, min_version: TLS10, max_version: TLS11}
";
    problems(
        yaml,
        expect![[r#"
            tls_config.min_version: TLS10 is not spoken, and a server that knows nothing newer cannot be reached; remove the key or set TLS12
            tls_config.max_version: TLS11 is not spoken, and a server that knows nothing newer cannot be reached; remove the key or set TLS12
            basic_auth.password_ref: secret stores are not supported; give the value or a file
            tls_config.ca_ref: secret stores are not supported; give the value or a file
        "#]],
    );
    assert!(prometheus(yaml).check_rules().is_empty());
}

#[test]
fn a_proxy_of_another_kind_is_refused_by_its_key() {
    problems(
        "{proxy_url: 'ftp://u:safe@p', oauth2: {client_id: a, token_url: 'http://t/', proxy_url: nowhere}}",
        expect![[r#"
            oauth2.proxy_url: not a URL: relative URL without a base
            proxy_url: a proxy is reached by http, https or socks5, not `ftp`
        "#]],
    );
}

#[test]
fn proxies_exclude_each_other() {
    problems(
        "{proxy_url: 'http://p', proxy_from_environment: true, no_proxy: x}",
        expect![[r"
            proxy_from_environment: excludes `proxy_url`
            proxy_from_environment: excludes `no_proxy`; set NO_PROXY in the environment
        "]],
    );
    problems(
        "proxy_connect_header: {X-A: [b]}",
        expect![[r"
            proxy_connect_header: needs `proxy_url` or `proxy_from_environment`
        "]],
    );
}

#[test]
fn inline_certificates_are_checked_when_the_client_is_built() {
    let error = Client::build(&prometheus("tls_config: {ca: nonsense}"), Path::new("")).unwrap_err();
    assert_eq!(error.key, "tls_config.ca");
    assert!(Client::build(&prometheus("tls_config: {ca_file: /does/not/exist}"), Path::new("")).is_ok());
}

#[tokio::test]
async fn credentials_in_files_are_read_again_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = Server::recording(ServeOptions::default());
    let config = prometheus("authorization: {credentials_file: token}");
    let client = Client::build(&config, folder.path()).unwrap();
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(error.is_unsendable());
    assert!(error.to_string().contains("authorization.credentials_file"), "{error}");
    for token in ["one", "two"] {
        std::fs::write(folder.path().join("token"), format!(" {token}\n")).unwrap();
        get(&client, &server.url("/")).await.unwrap();
        assert_eq!(log.last().header("authorization"), Some(format!("Bearer {token}").as_str()));
    }
}

#[tokio::test]
async fn every_value_of_a_header_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("value"), "c\n").unwrap();
    let (server, log) = Server::recording(ServeOptions::default());
    let config = prometheus("http_headers: {X-A: {values: [a], secrets: [b], files: [value]}}");
    get(&Client::build(&config, folder.path()).unwrap(), &server.url("/")).await.unwrap();
    let values: Vec<_> =
        log.last().headers.get_all("x-a").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert_eq!(values, ["a", "b", "c"]);
}
