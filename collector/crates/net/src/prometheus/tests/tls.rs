//! TLS as the block describes it, against real servers.

use std::path::Path;

use config::Secret;
use http::Version;
use tokio::net::TcpListener;

use super::problems;
use crate::testing::{Server, ca, client, get, prometheus, server_tls, testdata, testdata_text};
use crate::{Client, ServeOptions, ServerTls, TlsServerConfig};

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
async fn an_authority_that_is_exchanged_is_trusted_without_a_restart_and_the_former_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| std::fs::copy(testdata(from), folder.path().join(to)).unwrap();
    put("server.pem", "cert.pem");
    put("server.key", "cert.key");
    put("ca.pem", "ca.pem");
    let server_config = TlsServerConfig {
        cert_file: "cert.pem".to_owned(),
        key_file: "cert.key".to_owned(),
        ..TlsServerConfig::default()
    };
    let tls = ServerTls::build(&server_config, folder.path()).unwrap();
    let options = ServeOptions { tls: Some(tls.into()), ..ServeOptions::default() };
    let (server, log) = Server::recording(options);
    let config = prometheus("{tls_config: {ca_file: ca.pem, server_name: localhost}, enable_http2: false}");
    let client = Client::build(&config, folder.path()).unwrap();
    let url = server.https("/");
    get(&client, &url).await.unwrap();
    // The server's certificate is of the new authority, the client does not know it yet.
    put("selfsigned.pem", "cert.pem");
    put("selfsigned.key", "cert.key");
    let fresh = Client::build(&config, folder.path()).unwrap();
    assert!(get(&fresh, &url).await.unwrap_err().is_connect());
    put("selfsigned.pem", "ca.pem");
    get(&client, &url).await.unwrap();
    get(&fresh, &url).await.unwrap();
    let peers: Vec<_> = log.all().iter().map(|seen| seen.peer).collect();
    assert_ne!(peers[0], peers[1], "no connection of the former authority is used again");
    // And back: the authority that is gone is not trusted any more.
    put("ca.pem", "ca.pem");
    assert!(get(&client, &url).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_client_certificate_that_is_exchanged_is_shown_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| std::fs::copy(testdata(from), folder.path().join(to)).unwrap();
    put("selfsigned.pem", "cert.pem");
    put("selfsigned.key", "cert.key");
    let (server, _log) = Server::recording(server_tls("server", Some("ca.pem")));
    let config = prometheus(&format!(
        "tls_config: {{{}, server_name: localhost, cert_file: cert.pem, key_file: cert.key}}",
        ca("ca.pem")
    ));
    let client = Client::build(&config, folder.path()).unwrap();
    assert!(get(&client, &server.https("/")).await.is_err());
    put("client.pem", "cert.pem");
    put("client.key", "cert.key");
    assert_eq!(get(&client, &server.https("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn only_versions_between_the_lowest_and_the_highest_are_spoken() {
    for (server_max, keys, is_reached) in [
        ("1.2", "min_version: TLS13", false),
        ("1.2", "min_version: TLS12", true),
        ("1.2", "max_version: TLS12", true),
        ("1.3", "min_version: TLS13, max_version: TLS13", true),
    ] {
        let yaml = format!(
            "{{cert_file: '{}', key_file: '{}', max_version: '{server_max}'}}",
            testdata("server.pem"),
            testdata("server.key")
        );
        let server_config = config::read(&config::parse(&yaml, "tls.yaml").unwrap().root, "").unwrap();
        let tls = ServerTls::build(&server_config, Path::new("")).unwrap();
        let options = ServeOptions { tls: Some(tls.into()), ..ServeOptions::default() };
        let (server, _log) = Server::recording(options);
        let client = client(&format!("tls_config: {{{}, server_name: localhost, {keys}}}", ca("ca.pem")));
        assert_eq!(get(&client, &server.https("/")).await.is_ok(), is_reached, "{server_max} {keys}");
    }
}

#[test]
fn versions_are_refused_by_name_when_they_are_too_old_or_the_wrong_way_round() {
    problems(
        "{tls_config: {min_version: TLS13, max_version: TLS12}, oauth2: {client_id: a, token_url: 'http://t/', tls_config: {min_version: TLS11}}}",
        expect_test::expect![[r#"
            tls_config.max_version: TLS12 is below min_version, TLS13
            oauth2.tls_config.min_version: TLS11 is not spoken, and a server that knows nothing newer cannot be reached; remove the key or set TLS12
        "#]],
    );
}

#[tokio::test]
async fn http2_is_spoken_over_tls_where_it_is_offered_and_wanted() {
    let (server, log) = Server::recording(server_tls("server", None));
    for (keys, version) in [("", Version::HTTP_2), (", enable_http2: false", Version::HTTP_11)] {
        let yaml = format!("{{tls_config: {{{}, server_name: localhost}}{keys}}}", ca("ca.pem"));
        get(&client(&yaml), &server.https("/")).await.unwrap();
        assert_eq!(log.last().version, version, "{keys}");
    }
    let (plain, plain_log) = Server::recording(ServeOptions::default());
    get(&client("{}"), &plain.url("/")).await.unwrap();
    assert_eq!(plain_log.last().version, Version::HTTP_11, "never without TLS");
}

#[test]
fn material_in_the_block_is_checked_without_being_used() {
    let found = |ca: &str, cert: &str, key: &str| {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (ca, cert, key) = (quoted(ca), quoted(cert), quoted(key));
        let section = format!("{{ca: {ca}, cert: {cert}, key: {key}}}");
        let mut told = prometheus(&format!("tls_config: {section}")).check_material();
        let behind = format!("oauth2: {{client_id: a, token_url: 'http://t/', tls_config: {section}}}");
        let of_oauth2 = prometheus(&behind).check_material();
        assert!(of_oauth2.iter().all(|(key, _)| key.starts_with("oauth2.tls_config.")), "{of_oauth2:?}");
        assert_eq!(told.len(), of_oauth2.len());
        told.iter().for_each(|(_, message)| assert!(!message.contains("PRIVATE"), "{message}"));
        told.sort();
        told.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let (ca, cert, key) = (testdata_text("ca.pem"), testdata_text("client.pem"), testdata_text("client.key"));
    assert_eq!(found("", "", ""), Vec::<String>::new());
    assert_eq!(found(&ca, &cert, &key), Vec::<String>::new());
    assert_eq!(found("nonsense", &cert, &key), ["tls_config.ca"]);
    assert_eq!(found(&ca, "nonsense", &key), ["tls_config.cert"]);
    assert_eq!(found(&ca, &cert, "nonsense"), ["tls_config.key"]);
    assert_eq!(found("nonsense", &cert, &testdata_text("server.key")), ["tls_config.ca", "tls_config.key"]);
}
