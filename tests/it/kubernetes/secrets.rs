//! Secrets of every kind in every place where one can be given to the allocator, and none of them anywhere but over mutual TLS.
//!
//! Which fields there are is held by tests beside the code (`monitors/tests/secrets.rs`), from the schemas; here the whole
//! program is searched: pages in both forms, their headers, metrics, and the log at its most talkative.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use world::child::free_port;
use world::control_plane::{Client, ControlPlane, ca_file, objects};
use world::http::{self, Server};
use world::https::{self, Identity};
use world::kubelet;

use crate::programs::{Allocator, eventually};

const NAMESPACE: &str = "tokens";
const SOON: Duration = Duration::from_secs(20);

/// The Secret in which all tokens are.
const ALL: &str = "all";

/// Tokens under the names of their fields. Each is a text that is nowhere else.
#[derive(Default)]
struct Tokens(BTreeMap<String, String>);

impl Tokens {
    /// A reference to a new token.
    fn of(&mut self, field: &str) -> Value {
        let token = self.text(field);
        json!({ "name": ALL, "key": token })
    }

    /// A new token.
    fn text(&mut self, field: &str) -> String {
        let token = format!("hush-{:03}-{field}-end", self.0.len());
        self.0.insert(token.clone(), token.clone());
        token
    }

    /// A new token that nobody can use: `bad` stands behind it.
    fn unusable(&mut self, field: &str, bad: &str) -> Value {
        let token = self.text(&format!("bad-{field}"));
        self.0.insert(token.clone(), format!("{token}{bad}{token}"));
        json!({ "name": ALL, "key": token })
    }

    /// A reference to a key or a certificate in PEM.
    fn pem(&mut self, file: &str) -> Result<Value> {
        let path = kubelet::file(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        self.0.insert(file.to_owned(), text);
        Ok(json!({ "name": ALL, "key": file }))
    }

    fn secret(&self) -> Value {
        let pairs: Vec<(&str, &str)> = self.0.iter().map(|(key, text)| (&**key, &**text)).collect();
        objects::secret(NAMESPACE, ALL, &pairs)
    }
}

/// Ways to log in, one of which a monitor can have; `is_old` adds the old way of three kinds.
fn logins(tokens: &mut Tokens, kind: &str, is_old: bool) -> Result<Vec<Value>> {
    let field = |name: &str| format!("{kind}-{name}").to_lowercase();
    let mut logins = vec![
        json!({ "basicAuth": { "username": { "name": "names", "key": "user" }, "password": tokens.of(&field("password")) } }),
        json!({ "authorization": { "credentials": tokens.of(&field("credentials")) } }),
        json!({ "oauth2": {
            "clientId": { "secret": { "name": "names", "key": "user" } },
            "clientSecret": tokens.of(&field("client")),
            "tokenUrl": format!("http://user:{}@127.0.0.1:1/token", tokens.text(&field("token-url"))),
            "tlsConfig": { "cert": { "secret": tokens.pem("client.pem")? }, "keySecret": tokens.pem("client.key")? },
            "proxyUrl": format!("http://user:{}@127.0.0.1:1", tokens.text(&field("oauth-proxy"))),
            "proxyConnectHeader": { "X-Token": [tokens.of(&field("oauth-header"))] },
        } }),
    ];
    if is_old {
        logins.push(json!({ "bearerTokenSecret": tokens.of(&field("bearer")) }));
    }
    for login in &mut logins {
        objects::merge(
            login,
            &json!({
                "tlsConfig": { "cert": { "secret": tokens.pem("client.pem")? }, "keySecret": tokens.pem("client.key")? },
                "proxyUrl": format!("socks5://user:{}@127.0.0.1:1", tokens.text(&field("proxy"))),
                "proxyConnectHeader": { "X-Token": [tokens.of(&field("header"))] },
            }),
        );
    }
    Ok(logins)
}

/// Monitors of every kind with every way to log in.
fn monitors(tokens: &mut Tokens) -> Result<Vec<Value>> {
    let mut monitors = Vec::new();
    let mut add = |kind: &str, spec: &Value| {
        let name = format!("m{}", monitors.len());
        monitors.push(objects::monitor(kind, NAMESPACE, &name, spec));
    };
    let endpoints = |mut logins: Vec<Value>| {
        logins.iter_mut().for_each(|login| objects::merge(login, &json!({ "port": "metrics" })));
        logins
    };
    let of_services = endpoints(logins(tokens, "ServiceMonitor", true)?);
    add("ServiceMonitor", &json!({ "selector": {}, "endpoints": of_services }));
    let of_pods = endpoints(logins(tokens, "PodMonitor", true)?);
    add("PodMonitor", &json!({ "selector": {}, "podMetricsEndpoints": of_pods }));
    for mut login in logins(tokens, "Probe", true)? {
        let mut prober = json!({ "url": "127.0.0.1:1" });
        for key in ["proxyUrl", "proxyConnectHeader"] {
            prober[key] = login[key].take();
        }
        objects::merge(
            &mut login,
            &json!({ "prober": prober, "targets": { "staticConfig": { "static": ["probed"] } } }),
        );
        let probe: Value = login
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        add("Probe", &probe);
    }
    for mut login in logins(tokens, "ScrapeConfig", false)? {
        objects::merge(&mut login, &json!({ "staticConfigs": [{ "targets": ["static:1"] }] }));
        add("ScrapeConfig", &login);
    }
    for (login, section) in logins(tokens, "http-sd", false)?.into_iter().zip(0..) {
        let mut login = login;
        let url = format!("http://user:{}@127.0.0.1:1/{section}", tokens.text("sd-url"));
        objects::merge(&mut login, &json!({ "url": url }));
        add("ScrapeConfig", &json!({ "httpSDConfigs": [login] }));
    }
    // The connection to another API server knows no proxy and no OAuth.
    let user = json!({ "name": "names", "key": "user" });
    for mut login in [
        json!({ "basicAuth": { "username": user, "password": tokens.of("kubernetes-password") } }),
        json!({ "authorization": { "credentials": tokens.of("kubernetes-credentials") } }),
    ] {
        objects::merge(&mut login, &json!({ "role": "Pod", "apiServer": "https://127.0.0.1:1" }));
        add("ScrapeConfig", &json!({ "kubernetesSDConfigs": [login] }));
    }
    for mut login in logins(tokens, "digitalocean-sd", false)? {
        objects::merge(&mut login, &json!({ "port": 1 }));
        add("ScrapeConfig", &json!({ "digitalOceanSDConfigs": [login] }));
    }
    for (mechanism, fields) in [
        ("consulSDConfigs", &["tokenRef"][..]),
        ("ec2SDConfigs", &["accessKey", "secretKey"]),
        ("azureSDConfigs", &["clientSecret"]),
        ("openstackSDConfigs", &["password", "applicationCredentialSecret"]),
        ("lightSailSDConfigs", &["accessKey", "secretKey"]),
        ("ovhcloudSDConfigs", &["applicationSecret", "consumerKey"]),
        ("scalewaySDConfigs", &["secretKey"]),
    ] {
        let section: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), tokens.of(&field.to_lowercase()))).collect();
        add("ScrapeConfig", &json!({ mechanism: [section] }));
    }
    let of_class = json!({ "scrapeClass": "guarded", "staticConfigs": [{ "targets": ["static:1"] }] });
    add("ScrapeConfig", &of_class);
    Ok(monitors)
}

/// Monitors that end in quarantine because of what their Secrets hold.
fn unusable(tokens: &mut Tokens) -> Vec<Value> {
    let with = |name: &str, more: &Value| {
        let mut spec = json!({ "staticConfigs": [{ "targets": ["static:1"] }] });
        objects::merge(&mut spec, more);
        objects::monitor("ScrapeConfig", NAMESPACE, name, &spec)
    };
    vec![
        with(
            "bad-key",
            &json!({ "tlsConfig": { "cert": { "secret": tokens.unusable("cert", "\n") }, "keySecret": tokens.unusable("key", "\n") } }),
        ),
        with(
            "bad-header",
            &json!({ "proxyUrl": "http://proxy:1", "proxyConnectHeader": { "X-Token": [tokens.unusable("header", "\r\n")] } }),
        ),
        with("bad-url", &json!({ "proxyUrl": format!("http://user:{}@host:99999", tokens.text("bad-url")) })),
    ]
}

/// Jobs of the configuration itself; those that can ask `discovery` do.
fn jobs(tokens: &mut Tokens, discovery: &str) -> Value {
    let mut clients = [
        json!({ "basic_auth": { "username": "user", "password": tokens.text("static-password") } }),
        json!({ "authorization": { "credentials": tokens.text("static-credentials") } }),
        json!({ "bearer_token": tokens.text("static-bearer") }),
        json!({ "oauth2": { "client_id": "user", "client_secret": tokens.text("static-client"),
            "token_url": format!("http://user:{}@127.0.0.1:1/", tokens.text("static-token-url")) } }),
        json!({ "http_headers": { "X-Token": { "secrets": [tokens.text("static-header")] } } }),
        json!({ "tls_config": { "cert_file": kubelet::file("client.pem"), "key_file": kubelet::file("client.key") } }),
    ];
    let mut jobs = Vec::new();
    for (index, client) in clients.iter_mut().enumerate() {
        if client.get("oauth2").is_none() {
            let mut discovered = client.clone();
            objects::merge(
                &mut discovered,
                &json!({ "url": discovery.replace("//", &format!("//user:{}@", tokens.text("static-sd"))) }),
            );
            jobs.push(json!({ "job_name": format!("found-{index}"), "http_sd_configs": [discovered] }));
        }
        let proxy = json!({ "proxy_url": format!("http://user:{}@127.0.0.1:1", tokens.text("static-proxy")),
            "proxy_connect_header": { "X-Token": [tokens.text("static-connect")] } });
        objects::merge(client, &proxy);
        let mut job =
            json!({ "job_name": format!("own-{index}"), "static_configs": [{ "targets": ["own:1"] }] });
        objects::merge(&mut job, client);
        jobs.push(job);
    }
    json!(jobs)
}

/// Every page, in both forms; of a few monitors and targets the pages about them.
async fn pages(allocator: &Allocator, monitors: &[Value]) -> Result<Vec<(String, String)>> {
    let mut paths: Vec<String> = [
        "/",
        "/scrape_configs",
        "/changes?collector_id=s-0",
        "/jobs",
        "/metrics",
        "/livez",
        "/readyz",
        "/readyz?verbose",
        "/debug/scrape_configs",
        "/debug/targets",
        "/debug/jobs",
        "/debug/members",
        "/debug/moves",
        "/debug/quarantine",
        "/debug/assignment.json",
        "/debug/collector?collector_id=s-0",
        "/debug/pprof/heap",
        "/debug/explain?target=static:1",
        "/debug/explain?target=own:1",
        "/debug/explain?pod=tokens/none",
        "/nonsense",
    ]
    .map(str::to_owned)
    .to_vec();
    for monitor in monitors {
        let name = monitor["metadata"]["name"].as_str().context("a name")?;
        paths.push(format!("/debug/explain?monitor={NAMESPACE}/{name}"));
    }
    let configs = http::get(&format!("{}/scrape_configs", allocator.url)).await?.json()?;
    for job in configs.as_object().context("jobs")?.keys() {
        let job = job.replace('/', "%2F");
        paths.push(format!("/jobs/{job}/targets"));
        paths.push(format!("/jobs/{job}/targets?collector_id=s-0"));
        paths.push(format!("/debug/job?job_id={job}"));
    }
    let mut pages = Vec::new();
    for path in paths {
        for accept in ["application/json", "text/html"] {
            let headers = [("accept", accept), ("user-agent", "muster/0.1.0")];
            let url = format!("{}{path}", allocator.url);
            let answer =
                http::send("GET", &url, &headers, bytes::Bytes::new(), Duration::from_secs(40)).await?;
            ensure!(answer.status != 500, "{path}: {}", answer.text());
            pages.push((format!("{path} as {accept}"), format!("{:?}\n{}", answer.headers, answer.text())));
        }
    }
    Ok(pages)
}

/// The middle of a key in PEM.
fn middle(key: &Path) -> Result<String> {
    let text = std::fs::read_to_string(key).with_context(|| format!("reading {}", key.display()))?;
    text.lines().nth(1).map(str::to_owned).context("a key has lines")
}

async fn put(admin: &Client, tokens: &Tokens, monitors: &[Value]) -> Result<()> {
    admin.create(&objects::secret(NAMESPACE, "names", &[("user", "somebody")])).await?;
    admin.create(&tokens.secret()).await?;
    admin.create_all(monitors).await
}

pub(super) async fn nowhere() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let admin = plane.admin()?;
    admin.create(&objects::namespace(NAMESPACE, &[])).await?;
    let mut tokens = Tokens::default();
    let mut monitors = monitors(&mut tokens)?;
    let n_good = tokens.0.len();
    let class = json!({ "name": "guarded", "authorization": { "credentials": tokens.of("class") },
        "tlsConfig": { "cert": { "secret": tokens.pem("client.pem")? }, "keySecret": tokens.pem("client.key")? } });
    let discovery = Server::start(|_| async { Ok(http::reply(200, "application/json", "[]")) }).await?;
    let jobs = jobs(&mut tokens, &discovery.url("/"));
    let told: Vec<String> = tokens.0.keys().filter(|token| token.starts_with("hush-")).cloned().collect();
    ensure!(n_good > 60 && told.len() > 80, "{n_good} tokens in monitors, {} in all", told.len());
    monitors.extend(unusable(&mut tokens));

    let tls_key = ca_file().with_file_name("apiserver.key");
    let kubeconfig = plane.kubeconfig(NAMESPACE, plane.admin_token(), NAMESPACE)?;
    let tls = free_port()?;
    let yaml = json!({
        "kube_config_file_path": kubeconfig, "collector_namespace": NAMESPACE, "collectors": { "static": ["s-0", "s-1"] },
        "https": { "enabled": true, "listen_addr": format!("127.0.0.1:{tls}"), "ca_file_path": kubelet::file("ca.pem"),
            "tls_cert_file_path": ca_file().with_file_name("apiserver.pem"), "tls_key_file_path": tls_key },
        "prometheus_cr": { "enabled": true, "allow_namespaces": [NAMESPACE], "scrape_classes": [class],
            "service_monitor_selector": {}, "pod_monitor_selector": {}, "probe_selector": {}, "scrape_config_selector": {} },
        "config": { "scrape_configs": jobs },
    });
    let mut allocator = Allocator::start_in(&yaml.to_string(), &[], &["--zap-log-level=debug"])?;
    allocator.ready().await?;
    put(&admin, &tokens, &monitors).await?;

    let address = format!("127.0.0.1:{tls}");
    eventually("every token is told over mutual TLS", SOON, || async {
        let configs = https::get(&address, "/scrape_configs", &Identity::known()).await?.text();
        let missing: Vec<_> = told.iter().filter(|token| !configs.contains(*token)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {}", told.len())) })
    })
    .await?;
    let quarantine = http::get(&format!("{}/debug/quarantine", allocator.url)).await?.json()?;
    let held = quarantine["quarantine"].as_array().map_or(0, Vec::len);
    ensure!(held == 3, "the unusable ones are held, and no other: {quarantine}");

    let keys = [middle(&tls_key)?, middle(&kubelet::file("client.key"))?, plane.admin_token().to_owned()];
    let shown = |text: &str| {
        let mut marks = std::iter::once("hush-").chain(keys.iter().map(String::as_str));
        marks.find(|mark| text.contains(mark)).map(|mark| {
            let at = text.find(mark).unwrap_or(0);
            text.get(at.saturating_sub(200)..(at + 60).min(text.len())).unwrap_or(mark).to_owned()
        })
    };
    for (page, text) in pages(&allocator, &monitors).await? {
        ensure!(shown(&text).is_none(), "{page} shows {:?}", shown(&text));
    }
    let events = admin.get(&format!("/api/v1/namespaces/{NAMESPACE}/events")).await?.to_string();
    ensure!(shown(&events).is_none(), "events show {:?}", shown(&events));
    allocator.child.terminate(SOON).await?;
    for log in [allocator.child.stderr(), allocator.child.stdout()] {
        ensure!(shown(&log).is_none(), "the log shows {:?}", shown(&log));
    }
    ensure!(allocator.child.stderr().contains("\tdebug\t"), "the log is as talkative as it can be");
    Ok(())
}
