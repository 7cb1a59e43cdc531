//! Tokens from servers on loopback.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use expect_test::{Expect, expect};

use super::*;
use crate::testing::{
    Log, PATIENCE, Seen, Server, ca, client, get, prometheus, server_tls, testdata, testdata_text,
};
use crate::{Reply, ServeOptions};

fn problems(keys: &str, expected: Expect) {
    let found = prometheus(&format!("oauth2: {{{keys}}}")).check();
    let lines: String = found.iter().map(|(key, message)| format!("{key}: {message}\n")).collect();
    expected.assert_eq(&lines);
}

#[test]
fn rules_of_both_grants_are_checked() {
    problems(
        "client_secret: a, client_secret_file: b, scopes: [x], endpoint_params: {scope: y, grant_type: own}",
        expect![[r#"
            oauth2.client_id: missing
            oauth2.token_url: missing
            oauth2.client_secret_file: only one of `client_secret`, `client_secret_file`, `client_secret_ref` can be given
            oauth2.endpoint_params.scope: `scope` is a parameter that the request has already
        "#]],
    );
    let assertion = format!("client_id: a, token_url: 'http://t', grant_type: '{JWT_BEARER}'");
    problems(
        &format!("{assertion}, signature_algorithm: HS256, endpoint_params: {{assertion: y}}"),
        expect![[r#"
            oauth2.signature_algorithm: `HS256` is not known; use RS256, RS384 or RS512
            oauth2.endpoint_params.assertion: `assertion` is a parameter that the request has already
            oauth2.client_certificate_key: missing: the grant needs a key that signs; give this key or client_certificate_key_file
        "#]],
    );
    problems(
        &format!(
            "{assertion}, client_certificate_key: unique, client_certificate_key_file: f, client_certificate_key_ref: r"
        ),
        expect![[r#"
            oauth2.client_certificate_key_file: only one of `client_certificate_key`, `client_certificate_key_file`, `client_certificate_key_ref` can be given
            oauth2.client_certificate_key: the key of the OAuth2 client is not usable: no private key in PEM; give an RSA key of at least 2048 bits as PEM
            oauth2.client_certificate_key_ref: secret stores are not supported; give the value or a file
        "#]],
    );
    problems(
        "client_id: a, token_url: 'http://t', grant_type: password",
        expect![[r#"
        oauth2.grant_type: the grant `password` is not known; use client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer
    "#]],
    );
    problems(
        &format!("{assertion}, client_certificate_key_file: f, signature_algorithm: RS384"),
        expect![[r#""#]],
    );
}

/// A token server that takes credentials in one place only, and the number of the token it gives.
fn token_server(in_body: bool, expires_in: u64) -> (Server, Log) {
    let log = Log::default();
    let n_given = Arc::new(AtomicU64::new(0));
    let reply = move |seen: &Seen| {
        let is_in_body = seen.body.contains("client_secret=s%26cret");
        let is_in_header = seen.header("authorization") == Some(basic("me", "s%26cret").as_str());
        if (in_body && is_in_body) || (!in_body && is_in_header) {
            let n = 1 + n_given.fetch_add(1, Ordering::Relaxed);
            let text =
                format!(r#"{{"access_token":"t{n}","token_type":"bearer","expires_in":{expires_in}}}"#);
            return Reply::new(text.into());
        }
        let mut reply = Reply::default();
        *reply.status_mut() = http::StatusCode::UNAUTHORIZED;
        reply
    };
    (Server::start(ServeOptions::default(), log.clone().answer(reply)), log)
}

fn oauth2(server: &Server) -> Client {
    client(&format!(
        "oauth2: {{client_id: me, client_secret: s&cret, token_url: 'http://{}/token', scopes: [a, b]}}",
        server.address
    ))
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_expires() {
    let (server, log) = Server::recording(ServeOptions::default());
    for (expires_in, expected) in [(3600, ["Bearer t1", "Bearer t1"]), (5, ["Bearer t1", "Bearer t2"])] {
        let (tokens, token_log) = token_server(false, expires_in);
        let client = oauth2(&tokens);
        for authorization in expected {
            get(&client, &server.url("/")).await.unwrap();
            assert_eq!(log.last().header("authorization"), Some(authorization));
        }
        assert_eq!(token_log.last().body, "grant_type=client_credentials&scope=a+b");
    }
}

#[tokio::test]
async fn a_token_server_may_want_the_secret_in_the_body() {
    let (server, log) = Server::recording(ServeOptions::default());
    let (tokens, token_log) = token_server(true, 1);
    let client = oauth2(&tokens);
    for authorization in ["Bearer t1", "Bearer t2"] {
        get(&client, &server.url("/")).await.unwrap();
        assert_eq!(log.last().header("authorization"), Some(authorization));
    }
    // The first token took two questions, the second one only one.
    assert_eq!(token_log.all().len(), 3);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let (server, log) = Server::recording(ServeOptions::default());
    let (broken, _log) = Server::recording(ServeOptions::default());
    let error = oauth2(&broken).send(Request::get(server.url("/"), PATIENCE, 10)).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn a_401_fetches_no_new_token() {
    let log = Log::default();
    let reply = |_: &Seen| {
        let mut reply = Reply::default();
        *reply.status_mut() = http::StatusCode::UNAUTHORIZED;
        reply
    };
    let target = Server::start(ServeOptions::default(), log.clone().answer(reply));
    let (tokens, token_log) = token_server(false, 3600);
    let client = oauth2(&tokens);
    for _ in 0..2 {
        assert_eq!(get(&client, &target.url("/")).await.unwrap().status, 401);
    }
    assert_eq!(token_log.all().len(), 1);
}

#[tokio::test]
async fn a_secret_that_changes_in_its_file_fetches_a_new_token() {
    let folder = tempfile::tempdir().unwrap();
    let (target, log) = Server::recording(ServeOptions::default());
    let (tokens, token_log) = token_server(false, 3600);
    let config = prometheus(&format!(
        "oauth2: {{client_id: me, client_secret_file: secret, token_url: 'http://{}/'}}",
        tokens.address
    ));
    let client = crate::Client::build(&config, folder.path()).unwrap();
    std::fs::write(folder.path().join("secret"), "s&cret\n").unwrap();
    for _ in 0..2 {
        get(&client, &target.url("/")).await.unwrap();
    }
    assert_eq!((log.last().header("authorization"), token_log.all().len()), (Some("Bearer t1"), 1));
    std::fs::write(folder.path().join("secret"), "wrong").unwrap();
    let error = get(&client, &target.url("/")).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("status 401"), "{error:?}");
}

#[tokio::test]
async fn parameters_of_the_question_come_from_the_configuration() {
    let (target, _log) = Server::recording(ServeOptions::default());
    let (tokens, token_log) = token_server(false, 3600);
    let client = client(&format!(
        "oauth2: {{client_id: me, client_secret: s&cret, token_url: 'http://{}/t', endpoint_params: {{resource: 'a b', grant_type: own}}}}",
        tokens.address
    ));
    get(&client, &target.url("/")).await.unwrap();
    let seen = token_log.last();
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "/t"));
    assert_eq!(seen.body, "grant_type=own&resource=a+b");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn the_token_server_is_reached_by_its_own_tls_and_proxy() {
    let (target, log) = Server::recording(ServeOptions::default());
    let token = |_: &Seen| Reply::new(r#"{"access_token":"t"}"#.into());
    let secure = Server::start(server_tls("server", Some("ca.pem")), Log::default().answer(token));
    let tls = format!(
        "{}, server_name: metrics.example, cert_file: {}, key_file: {}",
        ca("ca.pem"),
        testdata("client.pem"),
        testdata("client.key")
    );
    let over_tls = client(&format!(
        "oauth2: {{client_id: me, token_url: '{}', tls_config: {{{tls}}}}}",
        secure.https("/token")
    ));
    get(&over_tls, &target.url("/")).await.unwrap();
    assert_eq!(log.last().header("authorization"), Some("Bearer t"));
    let proxy_log = Log::default();
    let proxy = Server::start(ServeOptions::default(), proxy_log.clone().answer(token));
    let proxied = client(&format!(
        "oauth2: {{client_id: me, token_url: 'http://tokens.example/t', proxy_url: 'http://{}'}}",
        proxy.address
    ));
    get(&proxied, &target.url("/")).await.unwrap();
    assert_eq!(proxy_log.last().uri, "http://tokens.example/t");
    assert_eq!(proxy_log.all().len(), 1, "only the token server is behind the proxy");
}

#[tokio::test]
async fn a_signed_assertion_is_exchanged_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), testdata_text("rsa.pkcs1.key")).unwrap();
    let (target, log) = Server::recording(ServeOptions::default());
    let token_log = Log::default();
    let token = |_: &Seen| Reply::new(r#"{"access_token":"t","expires_in":"3600"}"#.into());
    let tokens = Server::start(ServeOptions::default(), token_log.clone().answer(token));
    let config = prometheus(&format!(
        "oauth2: {{client_id: me, grant_type: '{JWT_BEARER}', client_certificate_key_file: key, client_certificate_key_id: k, \
         signature_algorithm: RS512, claims: {{team: a, level: 3}}, scopes: [x, y], token_url: 'http://{}/t'}}",
        tokens.address
    ));
    let client = crate::Client::build(&config, folder.path()).unwrap();
    for _ in 0..2 {
        get(&client, &target.url("/")).await.unwrap();
        assert_eq!(log.last().header("authorization"), Some("Bearer t"));
    }
    let [seen] = token_log.all().try_into().unwrap();
    assert_eq!(seen.header("authorization"), None);
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
    let [(_, grant), (_, scope), (name, assertion)] = form.try_into().unwrap();
    assert_eq!((grant.as_str(), scope.as_str(), name.as_str()), (JWT_BEARER, "x y", "assertion"));
    let decoded = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let mut parts = assertion.split('.').map(str::to_owned);
    let header = decoded(&parts.next().unwrap());
    assert_eq!((&header["alg"], &header["kid"]), (&"RS512".into(), &"k".into()));
    let claims = decoded(&parts.next().unwrap());
    let said = ["iss", "sub", "aud", "scope", "team", "level"].map(|name| claims[name].to_string());
    let audience = format!("\"{}\"", tokens.url("/t"));
    assert_eq!(said, ["\"me\"", "\"me\"", &audience, "\"x y\"", "\"a\"", "3"]);
}

#[tokio::test]
async fn a_token_that_takes_longer_than_a_request_is_there_for_the_next_one() {
    let (target, log) = Server::recording(ServeOptions::default());
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let n_asked = Arc::new(AtomicU64::new(0));
    let tokens = Server::start(ServeOptions::default(), {
        let (gate, n_asked) = (Arc::clone(&gate), Arc::clone(&n_asked));
        crate::answer(move |_| {
            let gate = Arc::clone(&gate);
            n_asked.fetch_add(1, Ordering::Relaxed);
            async move {
                gate.acquire().await.unwrap().forget();
                Reply::new(r#"{"access_token":"late","expires_in":3600}"#.into())
            }
        })
    });
    let client = oauth2(&tokens);
    // Both give up, one after the other, while one and the same token is on its way.
    for _ in 0..2 {
        let request = Request::get(target.url("/"), Duration::from_millis(500), 100);
        assert!(client.send(request).await.unwrap_err().is_timeout());
    }
    gate.add_permits(1);
    get(&client, &target.url("/")).await.unwrap();
    assert_eq!(log.last().header("authorization"), Some("Bearer late"));
    assert_eq!(n_asked.load(Ordering::Relaxed), 1);
}
