//! The client block as users write it, and clients built from it.

use std::path::Path;

use config::Secret;
use expect_test::{Expect, expect};
use http::Version;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::testing::{
    Log, Seen, Server, ca, client, get, prometheus, read_head, server_tls, testdata, testdata_text, write,
};
use crate::{Client, NetError, Reply, ServeOptions};

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
    expect![[r#"{"basic_auth":{"username":"me","password":"<secret>"},"tls_config":{"ca":"PEM","key":"<secret>","insecure_skip_verify":false,"min_version":"TLS12"},"follow_redirects":false,"enable_http2":true,"proxy_url":"http://me:xxxxx@proxy:3128/","proxy_connect_header":{"X-A":["<secret>"]},"http_headers":{"X-B":{"secrets":["<secret>"]}}}"#]]
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

#[test]
fn what_is_not_supported_is_named() {
    let yaml = "
basic_auth: {username: a, password_ref: b}
tls_config: {ca_ref: a, max_version: TLS11}
";
    problems(
        yaml,
        expect![[r"
            tls_config.max_version: TLS 1.1 and older are not spoken; the lowest that works is 1.2
            basic_auth.password_ref: secret stores are not supported; give the value or a file
            tls_config.ca_ref: secret stores are not supported; give the value or a file
        "]],
    );
    assert!(prometheus(yaml).check_rules().is_empty());
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

fn tls(keys: &str) -> Client {
    client(&format!("tls_config: {{{keys}}}"))
}

#[tokio::test]
async fn the_server_name_is_verified_and_asked_for() {
    let (server, log) = Server::recording(server_tls("server", None));
    let url = server.https("/");
    // The certificate is for metrics.example, the URL has an address.
    let refused = get(&tls(&ca("ca.pem")), &url).await.unwrap_err();
    assert!(refused.is_connect(), "{refused}");
    let named = tls(&format!("{}, server_name: metrics.example", ca("ca.pem")));
    assert_eq!(get(&named, &url).await.unwrap().status, 200);
    assert_eq!(log.last().version, Version::HTTP_2);
    let wrong = tls(&format!("{}, server_name: other.example", ca("ca.pem")));
    assert!(get(&wrong, &url).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn the_server_name_is_sent_in_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = server_tls("server", None).tls.unwrap().acceptor();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        stream.get_ref().1.server_name().map(str::to_owned)
    });
    let client = tls(&format!("{}, server_name: metrics.example", ca("ca.pem")));
    assert!(get(&client, &format!("https://{address}/")).await.is_err());
    assert_eq!(asked.await.unwrap().as_deref(), Some("metrics.example"));
}

#[tokio::test]
async fn an_unknown_authority_is_refused_unless_told_otherwise() {
    let (server, log) = Server::recording(server_tls("server", None));
    let url = server.https("/");
    let unknown = tls(&format!("{}, server_name: metrics.example", ca("selfsigned.pem")));
    assert!(get(&unknown, &url).await.unwrap_err().is_connect());
    assert_eq!(get(&tls("insecure_skip_verify: true"), &url).await.unwrap().status, 200);
    let old = client("{tls_config: {insecure_skip_verify: true}, enable_http2: false}");
    assert_eq!(get(&old, &url).await.unwrap().status, 200);
    assert_eq!(log.last().version, Version::HTTP_11);
}

#[tokio::test]
async fn a_self_signed_authority_may_serve_its_own_certificate() {
    let (server, _log) = Server::recording(server_tls("selfsigned", None));
    assert_eq!(get(&tls(&ca("selfsigned.pem")), &server.https("/")).await.unwrap().status, 200);
    let wrong_name = tls(&format!("{}, server_name: other.example", ca("selfsigned.pem")));
    assert!(get(&wrong_name, &server.https("/")).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_client_certificate_opens_mutual_tls() {
    let (server, _log) = Server::recording(server_tls("server", Some("ca.pem")));
    let url = server.https("/");
    let common = format!("{}, server_name: metrics.example", ca("ca.pem"));
    assert!(get(&tls(&common), &url).await.is_err());
    let with_files =
        format!("{common}, cert_file: {}, key_file: {}", testdata("client.pem"), testdata("client.key"));
    assert_eq!(get(&tls(&with_files), &url).await.unwrap().status, 200);
    let mut with_text = prometheus(&format!("tls_config: {{{common}}}"));
    with_text.tls_config.cert = testdata_text("client.pem");
    with_text.tls_config.key = Some(Secret::new(testdata_text("client.key")));
    let client = Client::build(&with_text, Path::new("")).unwrap();
    assert_eq!(get(&client, &url).await.unwrap().status, 200);
}

#[tokio::test]
async fn changed_authorities_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let (server, _log) = Server::recording(server_tls("server", None));
    let config = prometheus("tls_config: {ca_file: ca.pem, server_name: metrics.example}");
    let client = Client::build(&config, folder.path()).unwrap();
    let missing = get(&client, &server.https("/")).await.unwrap_err();
    assert!(missing.is_unsendable(), "{missing}");
    std::fs::copy(testdata("selfsigned.pem"), &path).unwrap();
    assert!(get(&client, &server.https("/")).await.unwrap_err().is_connect());
    std::fs::copy(testdata("ca.pem"), &path).unwrap();
    assert_eq!(get(&client, &server.https("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn plain_requests_name_the_whole_url_to_a_proxy() {
    let (proxy, log) = Server::recording(ServeOptions::default());
    let yaml = format!("proxy_url: http://me:safe@{}", proxy.address);
    get(&client(&yaml), "http://metrics.example:9100/metrics").await.unwrap();
    let seen = log.last();
    assert_eq!(seen.uri, "http://metrics.example:9100/metrics");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c2FmZQ=="));
    let (direct, direct_log) = Server::recording(ServeOptions::default());
    get(&client(&format!("{{{yaml}, no_proxy: example.com}}")), &direct.url("/")).await.unwrap();
    assert_eq!((log.all().len(), direct_log.all().len()), (1, 1));
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let (server, _log) = Server::recording(server_tls("server", None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let target = server.address;
    let tunnel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
        let mut onward = TcpStream::connect(target).await.unwrap();
        // Ends with an error when either side just goes away.
        drop(copy_bidirectional(&mut stream, &mut onward).await);
        head
    });
    let yaml = format!(
        "{{proxy_url: 'http://me:safe@{proxy}', proxy_connect_header: {{X-Via: [muster]}}, tls_config: {{{}}}}}",
        ca("ca.pem")
    );
    let client = client(&yaml);
    let response = get(&client, "https://metrics.example:9443/").await.unwrap();
    assert_eq!(response.status, 200);
    drop(client);
    server.stop().await;
    let head = tunnel.await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("connect metrics.example:9443 http/1.1\r\n"), "{head}");
    assert!(head.contains("x-via: muster\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6c2fmzq==\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_an_error_of_connecting() {
    let refuse = |_: &Seen| {
        let mut reply = Reply::default();
        *reply.status_mut() = http::StatusCode::FORBIDDEN;
        reply
    };
    let proxy = Server::start(ServeOptions::default(), Log::default().answer(refuse));
    let error =
        get(&client(&format!("proxy_url: http://{}", proxy.address)), "https://metrics.example/").await;
    assert!(matches!(error, Err(NetError::Connect { peer, .. }) if peer == "metrics.example:443"));
}
