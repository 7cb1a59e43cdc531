//! A server under well-behaved and other clients.

mod heads;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{PATIENCE, Server, client, get, read_head, server_tls, testdata, testdata_text, write};
use crate::{Client, HttpClientConfig, Request, TlsServerConfig, read_body};

/// Answers only once a permit is there; tells when a request arrived.
fn gated() -> (Answer, Arc<Semaphore>, mpsc::Receiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (entered, arrivals) = mpsc::channel(10);
    let answer = answer({
        let gate = Arc::clone(&gate);
        move |_| {
            let (gate, entered) = (Arc::clone(&gate), entered.clone());
            async move {
                entered.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                Reply::new("done".into())
            }
        }
    });
    (answer, gate, arrivals)
}

fn request(server: &Server) -> tokio::task::JoinHandle<Result<u16, crate::NetError>> {
    let url = server.url("/");
    tokio::spawn(async move { get(&client("{}"), &url).await.map(|response| response.status) })
}

#[tokio::test]
async fn stopping_lets_running_requests_finish() {
    let (answer, gate, mut arrivals) = gated();
    let server = Server::start(ServeOptions::default(), answer);
    let request = request(&server);
    arrivals.recv().await.unwrap();
    let stopping = tokio::spawn(server.stop());
    tokio::task::yield_now().await;
    gate.add_permits(1);
    assert_eq!(request.await.unwrap().unwrap(), 200);
    assert_eq!(stopping.await.unwrap(), Served { n_cut: 0 });
}

#[tokio::test]
async fn stopping_does_not_wait_longer_than_the_drain() {
    let (answer, _gate, mut arrivals) = gated();
    let options = ServeOptions { drain: Duration::from_millis(50), ..ServeOptions::default() };
    let server = Server::start(options, answer);
    let request = request(&server);
    arrivals.recv().await.unwrap();
    assert_eq!(server.stop().await, Served { n_cut: 1 });
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn stopping_closes_idle_connections_at_once() {
    let (server, _log) = Server::recording(ServeOptions { drain: PATIENCE, ..ServeOptions::default() });
    let client = client("{}");
    get(&client, &server.url("/")).await.unwrap();
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let (address, url) = (server.address, server.url("/"));
    assert_eq!(server.stop().await, Served { n_cut: 0 });
    assert!(get(&client, &url).await.unwrap_err().is_connect());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_panic_costs_its_request_only() {
    let server = Server::start(
        ServeOptions::default(),
        answer(|request: Received| {
            assert_ne!(request.uri().path(), "/early", "early");
            async move {
                assert_ne!(request.uri().path(), "/late", "late");
                Reply::default()
            }
        }),
    );
    let client = client("{}");
    for (path, status) in [("/early", 500), ("/late", 500), ("/", 200)] {
        assert_eq!(get(&client, &server.url(path)).await.unwrap().status, status, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let limit = Duration::from_millis(50);
    let options = ServeOptions { read_header_timeout: Some(limit), ..ServeOptions::default() };
    let (server, _log) = Server::recording(options);
    // Nothing; the beginning of either version; the beginning of a request.
    for beginning in ["", "PRI", "GET / HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        write(&mut stream, beginning).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{beginning:?} kept the connection open");
    }
}

#[tokio::test]
async fn a_server_without_http2_answers_http1_and_lets_go_of_everybody_else() {
    let limit = Duration::from_millis(50);
    let options = ServeOptions { http2: false, read_header_timeout: Some(limit), ..ServeOptions::default() };
    let (server, _log) = Server::recording(options);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    write(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    for beginning in ["", "GET / HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        write(&mut stream, beginning).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{beginning:?} kept the connection open");
    }
}

#[tokio::test]
async fn a_body_must_arrive_in_time() {
    let options = ServeOptions { read_timeout: Some(Duration::from_millis(50)), ..ServeOptions::default() };
    let server = Server::start(
        options,
        answer(|request: Received| async move {
            let error = read_body(request.into_body(), 100).await.unwrap_err();
            reply(error.status(), error.to_string())
        }),
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    write(&mut stream, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn an_answer_must_be_read_in_time() {
    let (entered, mut arrivals) = mpsc::channel(1);
    let write_timeout = Some(Duration::from_millis(50));
    let options = ServeOptions { write_timeout, drain: PATIENCE, ..ServeOptions::default() };
    let server = Server::start(
        options,
        answer(move |_| {
            let entered = entered.clone();
            async move {
                entered.send(()).await.unwrap();
                Reply::new(vec![b'x'; 64 << 20].into())
            }
        }),
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    write(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    arrivals.recv().await.unwrap();
    // Nobody reads, so without the timeout the connection would last as long as the drain and be cut then.
    assert_eq!(server.stop().await, Served { n_cut: 0 });
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let (server, log) = Server::recording(options);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    write(&mut first, "GET /first HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_head(&mut first).await;
    let second = request(&server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap().unwrap(), 200);
    assert_eq!(log.all().len(), 2);
}

#[tokio::test]
async fn headers_of_the_configuration_are_on_every_answer() {
    let mut response_headers = HeaderMap::new();
    response_headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    let (server, _log) = Server::recording(ServeOptions { response_headers, ..ServeOptions::default() });
    let response = get(&client("{}"), &server.url("/")).await.unwrap();
    assert_eq!(response.headers["x-frame-options"], "DENY");
}

#[tokio::test]
async fn large_bodies_travel_both_ways_over_both_versions() {
    let server = Server::start(
        ServeOptions::default(),
        answer(|request: Received| async move {
            Reply::new(read_body(request.into_body(), 8 << 20).await.unwrap().into())
        }),
    );
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let config = HttpClientConfig::default();
    for client in [Client::build_http(&config).unwrap(), Client::build_http2(&config).unwrap()] {
        let request = Request::post(server.url("/"), body.clone(), PATIENCE, 8 << 20);
        assert!(client.send(request).await.unwrap().body == body, "bodies differ");
    }
}

#[tokio::test]
async fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let install = |name: &str| {
        for end in ["pem", "key"] {
            std::fs::copy(testdata(&format!("{name}.{end}")), folder.path().join(format!("tls.{end}")))
                .unwrap();
        }
    };
    install("selfsigned");
    let config = TlsServerConfig {
        cert_file: "tls.pem".into(),
        key_file: "tls.key".into(),
        ..TlsServerConfig::default()
    };
    let tls = ServerTls::build(&config, folder.path()).unwrap();
    let (server, _log) =
        Server::recording(ServeOptions { tls: Some(Arc::new(tls)), ..ServeOptions::default() });
    let trusts = |ca: &str, name: &str| {
        // A new client each time, because a kept connection keeps its certificate.
        client(&format!("tls_config: {{ca_file: {}, server_name: {name}}}", testdata(ca)))
    };
    let url = server.https("/");
    get(&trusts("selfsigned.pem", "localhost"), &url).await.unwrap();
    install("server");
    get(&trusts("ca.pem", "localhost"), &url).await.unwrap();
    std::fs::write(folder.path().join("tls.pem"), "nonsense").unwrap();
    get(&trusts("ca.pem", "localhost"), &url).await.unwrap();
}

#[test]
fn a_server_without_usable_certificates_does_not_start() {
    let text = |name: &str| Some(config::Secret::new(testdata_text(name)));
    let build = |config: &TlsServerConfig| ServerTls::build(config, std::path::Path::new("")).unwrap_err();
    assert_eq!(build(&TlsServerConfig::default()).key, "tls.cert_file");
    let swapped = TlsServerConfig {
        cert_pem: text("server.pem"),
        key_pem: text("client.key"),
        ..TlsServerConfig::default()
    };
    assert_eq!(build(&swapped).key, "tls.key_pem");
    let missing = TlsServerConfig { cert_file: "/no/such".into(), key_pem: text("server.key"), ..swapped };
    let missing = TlsServerConfig { cert_pem: None, ..missing };
    assert_eq!(build(&missing).key, "tls.cert_file");
    assert!(server_tls("server", Some("ca.pem")).tls.is_some());
}
