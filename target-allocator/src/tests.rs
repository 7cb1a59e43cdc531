//! The allocator as its clients meet it: over a socket, byte by byte.

use std::ffi::OsString;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::flags::Flags;
use crate::settings::{Input, load};

struct Nothing;

impl config::World for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

fn settings(text: &str) -> Settings {
    let flags =
        Flags::parse_args([OsString::from("muster-allocator"), "--listen-addr=127.0.0.1:0".into()]).unwrap();
    let input = Input { text, source: "ta.yaml", base_dir: Path::new("/"), flags: &flags, world: &Nothing };
    load(&input).unwrap().settings
}

async fn start(text: &str) -> Allocator {
    let allocator = Allocator::start(settings(text), &telemetry::Identity::default()).await.unwrap();
    let mut views = allocator.api().views();
    views.wait_for(|view| view.waits_for.is_empty()).await.unwrap();
    allocator
}

/// Head and body of an answer.
async fn send(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: ta\r\nConnection: close\r\n{headers}\r\n");
    let (head, body) = send(address, &request).await;
    (head, String::from_utf8(body).unwrap())
}

const TWO_COLLECTORS: &str = "collectors: {static: [c-0, c-1]}
config:
  scrape_configs:
  - job_name: node/plain
    static_configs: [{targets: ['h1:9100', 'h2:9100', 'h3:9100', 'h4:9100'], labels: {env: x}}]
  - job_name: 'a b'
    basic_auth: {username: u, password: hush}
    static_configs: [{targets: ['h1:9100']}]
";

/// What the prometheus receiver of the collector does: read the jobs, then the list of each job over HTTP SD.
#[tokio::test]
async fn a_receiver_finds_its_jobs_and_targets() {
    let allocator = start(TWO_COLLECTORS).await;
    let address = allocator.local_addr();
    let (head, body) = get(address, "/scrape_configs", "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
    let jobs: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(&body).unwrap();
    assert_eq!(jobs.keys().collect::<Vec<_>>(), ["a b", "node/plain"]);
    assert_eq!(jobs["a b"]["basic_auth"]["password"], "<secret>");
    assert!(!body.ends_with('\n'));

    let mut n_targets = 0;
    for (job, escaped) in [("a b", "a+b"), ("node/plain", "node%2Fplain")] {
        assert_eq!(jobs[job]["job_name"], job);
        for collector in ["c-0", "c-1"] {
            let path = format!("/jobs/{escaped}/targets?collector_id={collector}");
            let (head, body) = get(
                address,
                &path,
                "Accept: application/json\r\nX-Prometheus-Refresh-Interval-Seconds: 30\r\n",
            )
            .await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            let groups = discovery::parse_json(&body, &path, ("__meta_url", &path)).unwrap();
            n_targets += groups.iter().map(|group| group.targets.len()).sum::<usize>();
        }
    }
    assert_eq!(n_targets, 5, "each target once");
    allocator.shutdown().await;
}

#[tokio::test]
async fn bytes_are_those_of_http_sd() {
    let text = "collectors: {static: [c-0]}\nconfig: {scrape_configs: [{job_name: node/plain, \
        static_configs: [{targets: ['h1:9100'], labels: {env: x}}]}]}\n";
    let allocator = start(text).await;
    let address = allocator.local_addr();
    for (path, expected) in [
        (
            "/jobs/node%2Fplain/targets?collector_id=c-0",
            "[{\"targets\":[\"h1:9100\"],\"labels\":{\"__address__\":\"h1:9100\",\"env\":\"x\"}}]\n",
        ),
        ("/jobs", "{\"node/plain\":{\"_link\":\"/jobs/node%2Fplain/targets\"}}\n"),
        (
            "/jobs/node%2Fplain/targets",
            "{\"c-0\":{\"_link\":\"/jobs/node%2Fplain/targets?collector_id=c-0\",\"targets\":[{\"targets\":\
             [\"h1:9100\"],\"labels\":{\"__address__\":\"h1:9100\",\"env\":\"x\"}}]}}\n",
        ),
        ("/jobs/other/targets?collector_id=c-0", "[]\n"),
        ("/livez", ""),
        ("/readyz", ""),
    ] {
        let (head, body) = get(address, path, "").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert_eq!(body, expected, "{path}");
    }
    let (head, body) = send(address, "POST /jobs HTTP/1.1\r\nHost: ta\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(body, b"404 page not found");
    let (head, body) =
        send(address, "HEAD /scrape_configs HTTP/1.1\r\nHost: ta\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head}");
    assert!(!head.to_lowercase().contains("content-length: 0"), "{head}");
    allocator.shutdown().await;
}

#[tokio::test]
async fn gzip_and_validators_work_over_the_wire() {
    let allocator = start(TWO_COLLECTORS).await;
    let address = allocator.local_addr();
    let request =
        "GET /scrape_configs HTTP/1.1\r\nHost: ta\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
    let (head, body) = send(address, request).await;
    assert!(head.to_lowercase().contains("content-encoding: gzip"), "{head}");
    let limit = wire::compress::Limit::bytes(1 << 20);
    let mut text = Vec::new();
    wire::compress::decompress(wire::compress::Encoding::Gzip, &body, limit, &mut text).unwrap();
    assert_eq!(text, get(address, "/scrape_configs", "").await.1.as_bytes());

    let etag =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("etag: ").map(str::to_owned)).unwrap();
    let etag = etag.replace("w/", "W/");
    let (head, body) = get(address, "/scrape_configs", &format!("If-None-Match: {etag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n") && body.is_empty(), "{head}");
    allocator.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings = Settings { listen_addr: address.clone(), ..settings(TWO_COLLECTORS) };
    let error = Allocator::start(settings, &telemetry::Identity::default()).await.unwrap_err();
    let told = telemetry::error_chain(&error);
    assert!(told.contains(&address) && told.contains("already in use"), "{told}");
}

#[tokio::test]
async fn files_of_https_that_are_missing_are_told_by_name() {
    let https = settings::HttpsSettings {
        listen_addr: "127.0.0.1:0".to_owned(),
        ca_file: "/nowhere/ca.pem".into(),
        cert_file: "/nowhere/cert.pem".into(),
        key_file: "/nowhere/key.pem".into(),
    };
    let settings = Settings { https: Some(https), ..settings(TWO_COLLECTORS) };
    let error = Allocator::start(settings, &telemetry::Identity::default()).await.unwrap_err();
    let told = telemetry::error_chain(&error);
    assert!(told.contains("/nowhere/"), "{told}");
}

/// A client with these `tls_config` keys.
fn tls_client(keys: &str) -> net::Client {
    tls_client_of("ca.pem", keys)
}

/// The same, which trusts this authority.
fn tls_client_of(authority: &str, keys: &str) -> net::Client {
    let text = format!("tls_config: {{ca_file: {}, server_name: localhost{keys}}}", testdata(authority));
    let node = config::parse(&text, "client.yaml").unwrap().root;
    net::Client::build(&config::read(&node, "").unwrap(), Path::new("/")).unwrap()
}

fn testdata(name: &str) -> String {
    format!("{}/../collector/crates/net/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn clients_with_a_certificate_see_credentials_and_others_nothing_at_all() {
    let https = settings::HttpsSettings {
        listen_addr: "127.0.0.1:0".to_owned(),
        ca_file: testdata("ca.pem").into(),
        cert_file: testdata("server.pem").into(),
        key_file: testdata("server.key").into(),
    };
    let settings = Settings { https: Some(https), ..settings(TWO_COLLECTORS) };
    let allocator = Allocator::start(settings, &telemetry::Identity::default()).await.unwrap();
    allocator.api().views().wait_for(|view| view.waits_for.is_empty()).await.unwrap();
    let address = allocator.local_addr_https().unwrap();
    let ask = |client: net::Client, path: &'static str| async move {
        let limit = std::time::Duration::from_secs(20);
        client.send(net::Request::get(format!("https://{address}{path}"), limit, 1 << 20)).await
    };
    let pair = format!(", cert_file: {}, key_file: {}", testdata("client.pem"), testdata("client.key"));
    let answer = ask(tls_client(&pair), "/scrape_configs").await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(answer.status == 200 && text.contains("\"password\":\"hush\""), "{text}");
    assert!(ask(tls_client(""), "/livez").await.is_err(), "not even a sign of life");

    let (_, plain) = get(allocator.local_addr(), "/scrape_configs", "").await;
    assert!(plain.contains("<secret>") && !plain.contains("hush"));
    allocator.shutdown().await;
}

#[tokio::test]
async fn certificate_key_and_authority_are_exchanged_while_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let install = |file: &str, name: &str| {
        std::fs::copy(testdata(name), folder.path().join(file)).unwrap();
    };
    for (file, name) in [("ca.pem", "ca.pem"), ("tls.pem", "server.pem"), ("tls.key", "server.key")] {
        install(file, name);
    }
    let https = settings::HttpsSettings {
        listen_addr: "127.0.0.1:0".to_owned(),
        ca_file: folder.path().join("ca.pem"),
        cert_file: folder.path().join("tls.pem"),
        key_file: folder.path().join("tls.key"),
    };
    let settings = Settings { https: Some(https), ..settings(TWO_COLLECTORS) };
    let allocator = Allocator::start(settings, &telemetry::Identity::default()).await.unwrap();
    let address = allocator.local_addr_https().unwrap();
    // A new client each time, because a kept connection keeps its certificates.
    let is_served = |authority: &'static str| async move {
        let pair = format!(", cert_file: {}, key_file: {}", testdata("client.pem"), testdata("client.key"));
        let limit = std::time::Duration::from_secs(20);
        let request = net::Request::get(format!("https://{address}/livez"), limit, 1 << 20);
        tls_client_of(authority, &pair).send(request).await.is_ok()
    };
    assert!(is_served("ca.pem").await && !is_served("selfsigned.pem").await);

    install("ca.pem", "selfsigned.pem");
    assert!(!is_served("ca.pem").await, "clients of the old authority are no longer let in");
    install("ca.pem", "ca.pem");
    assert!(is_served("ca.pem").await);

    install("tls.pem", "selfsigned.pem");
    install("tls.key", "selfsigned.key");
    assert!(is_served("selfsigned.pem").await && !is_served("ca.pem").await);

    std::fs::write(folder.path().join("tls.pem"), "nonsense").unwrap();
    assert!(is_served("selfsigned.pem").await, "what cannot be used does not replace what can");
    allocator.shutdown().await;
}

#[tokio::test]
async fn a_member_tells_what_it_cannot_scrape_and_it_is_explained() {
    let text = "collectors: {static: [c-0]}\nconfig: {scrape_configs: [{job_name: a, \
        static_configs: [{targets: ['h1:9100']}]}]}\n";
    let allocator = start(text).await;
    let address = allocator.local_addr();
    let (_, body) = get(address, "/debug/explain?target=h1:9100", "").await;
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["answer"], "target h1:9100 is scraped by c-0 in job a");
    let hash = told["targets"][0]["hash"].as_str().unwrap();

    let report = format!(r#"[{{"target":"{hash}","error":"connection refused","at":7}}]"#);
    let post = |path: &str, report: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: ta\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{report}",
            report.len()
        )
    };
    let (head, _) = send(address, &post("/errors?collector_id=c-0", &report)).await;
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    let (_, body) = get(address, &format!("/debug/explain?target={hash}"), "").await;
    assert!(
        body.contains("is scraped by c-0 in job a; its last scrape failed: connection refused"),
        "{body}"
    );

    for (path, report, status) in [
        ("/errors?collector_id=nobody", report.as_str(), 404),
        ("/errors?collector_id=c-0", "{}", 400),
        ("/jobs?collector_id=c-0", "[]", 404),
    ] {
        let (head, _) = send(address, &post(path, report)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    }
    let long = "x".repeat(errors::MAX_REPORT_BYTES + 1);
    let (head, _) = send(address, &post("/errors?collector_id=c-0", &long)).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    allocator.shutdown().await;
}

#[tokio::test]
async fn after_shutdown_the_port_is_free_again() {
    let allocator = start(TWO_COLLECTORS).await;
    let address = allocator.local_addr();
    allocator.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(std::net::TcpListener::bind(address).is_ok());
}
