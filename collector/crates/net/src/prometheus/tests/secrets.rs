//! No secret is ever shown: not in an error, not in `Debug`, not in what is printed, not in a log.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};

use crate::testing::{Server, get, prometheus, testdata_text};
use crate::{Client, Reply, ServeOptions};

/// Stands in every secret.
const TOKEN: &str = "f3a9c1unique";

/// Every place of a block that may hold a secret; each of these configurations is used to send a request that fails.
fn configurations() -> Vec<String> {
    let jwt = "client_id: a, grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', token_url: 'http://127.0.0.1:1/'";
    vec![
        format!("basic_auth: {{username: u, password: {TOKEN}}}"),
        format!("authorization: {{credentials: \"{TOKEN}\\n{TOKEN}\"}}"),
        format!("bearer_token: {TOKEN}"),
        format!("oauth2: {{client_id: a, client_secret: {TOKEN}, token_url: 'http://127.0.0.1:1/'}}"),
        format!(
            "oauth2: {{client_id: a, client_secret: {TOKEN}, token_url: 'http://u:{TOKEN}@127.0.0.1:1/'}}"
        ),
        format!("oauth2: {{{jwt}, client_certificate_key: {TOKEN}}}"),
        format!("tls_config: {{cert: x, key: {TOKEN}}}"),
        format!("http_headers: {{X-A: {{secrets: [{TOKEN}]}}}}"),
        format!("{{proxy_url: 'http://u:{TOKEN}@127.0.0.1:1', proxy_connect_header: {{X-A: [{TOKEN}]}}}}"),
        format!("proxy_url: 'socks5://u:{TOKEN}@127.0.0.1:1'"),
        format!("{{proxy_url: 'http://127.0.0.1:1', http_headers: {{X-A: {{secrets: [\"{TOKEN}\\0\"]}}}}}}"),
    ]
}

fn chain(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

/// Writes down every event of the libraries below, too.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{field}={value:?} "));
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn no_secret_is_shown_when_requests_fail_or_succeed() {
    let everything = Everything::default();
    let _guard = tracing::subscriber::set_default(everything.clone());
    let (server, _log) = Server::recording(ServeOptions::default());
    let target = server.url("/");
    // Nobody listens on port 1; a proxy there, a token server there and the target itself all fail.
    let nobody = "http://127.0.0.1:1/";
    let mut shown = String::new();
    for yaml in configurations() {
        let config = prometheus(&yaml);
        shown.push_str(&format!("{config:?} {} ", serde_json::to_string(&config).unwrap()));
        shown.push_str(&format!("{:?} ", config.check()));
        match Client::build(&config, Path::new("")) {
            Ok(client) => {
                shown.push_str(&format!("{client:?} "));
                for url in [&target, nobody] {
                    match get(&client, url).await {
                        Ok(response) => shown.push_str(&format!("{response:?} ")),
                        Err(error) => shown.push_str(&chain(&error)),
                    }
                }
            }
            Err(error) => shown.push_str(&chain(&error)),
        }
    }
    let logged = everything.0.lock().unwrap().clone();
    assert!(shown.contains("u") && !shown.contains(TOKEN), "{shown}");
    assert!(!logged.is_empty(), "libraries log something, else this proves nothing");
    assert!(!logged.contains(TOKEN), "{logged}");
}

#[tokio::test]
async fn no_token_of_a_token_server_is_shown() {
    for answer in [
        format!(r#"{{"access_token":"{TOKEN}\\n"}}"#),
        format!(r#"{{"access_token":7,"refresh_token":"{TOKEN}"}}"#),
        format!(r#""{TOKEN}""#),
        TOKEN.to_owned(),
    ] {
        let tokens = Server::start(
            ServeOptions::default(),
            crate::testing::Log::default().answer(move |_| Reply::new(answer.clone().into())),
        );
        let yaml = format!("oauth2: {{client_id: a, client_secret: b, token_url: '{}'}}", tokens.url("/"));
        let client = Client::build(&prometheus(&yaml), Path::new("")).unwrap();
        let error = get(&client, "http://127.0.0.1:1/").await.unwrap_err();
        assert!(!chain(&error).contains(TOKEN), "{}", chain(&error));
    }
}

#[test]
fn a_key_in_pem_is_not_shown_either() {
    let key = testdata_text("rsa.pkcs8.key");
    let line = key.lines().nth(1).unwrap();
    let mut config = prometheus("oauth2: {client_id: a, token_url: 'http://t/'}");
    config.oauth2.as_mut().unwrap().client_certificate_key = Some(config::Secret::new(&key));
    assert!(!format!("{config:?} {}", serde_json::to_string(&config).unwrap()).contains(line));
}
