//! Servers on loopback for the tests of this crate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{
    Answer, Client, Listener, NetError, Peer, PrometheusClientConfig, Received, Reply, Request, Response,
    ServeOptions, Served, ServerTls, TlsServerConfig, answer, read_body,
};

/// Long enough for a busy machine; no test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A file of the crate's test data.
pub(crate) fn testdata(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name).display().to_string()
}

/// The key `ca_file` with such a file.
pub(crate) fn ca(name: &str) -> String {
    format!("ca_file: {}", testdata(name))
}

/// The content of such a file.
pub(crate) fn testdata_text(name: &str) -> String {
    std::fs::read_to_string(testdata(name)).unwrap()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Served>,
}

impl Server {
    pub(crate) fn start(options: ServeOptions, answer: Answer) -> Self {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listener.serve(options, answer, async { drop(stopped.await) }));
        Self { address, stop, serving }
    }

    /// Answers every request with its own description and remembers it.
    pub(crate) fn recording(options: ServeOptions) -> (Self, Log) {
        let log = Log::default();
        let server = Self::start(options, log.clone().answer(|_| Reply::new("ok".into())));
        (server, log)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(crate) async fn stop(self) -> Served {
        drop(self.stop);
        self.serving.await.unwrap()
    }
}

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) peer: SocketAddr,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What a server saw.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn answer(self, reply: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static) -> Answer {
        answer(move |request: Received| {
            let (log, reply) = (self.clone(), reply.clone());
            async move {
                let peer = request.extensions().get::<Peer>().unwrap().0;
                let (head, body) = request.into_parts();
                let body = read_body(body, 1 << 20).await.unwrap();
                let seen = Seen {
                    method: head.method,
                    uri: head.uri.to_string(),
                    version: head.version,
                    headers: head.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                    peer,
                };
                let reply = reply(&seen);
                log.0.lock().unwrap().push(seen);
                reply
            }
        })
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.all().pop().expect("a request came")
    }
}

/// TLS of the test server, whose certificate is for `metrics.example` and `localhost`.
pub(crate) fn server_tls(cert: &str, client_ca: Option<&str>) -> ServeOptions {
    let config = TlsServerConfig {
        cert_file: testdata(&format!("{cert}.pem")),
        key_file: testdata(&format!("{cert}.key")),
        client_ca_file: client_ca.map(testdata).unwrap_or_default(),
        ..TlsServerConfig::default()
    };
    let tls = ServerTls::build(&config, std::path::Path::new("")).unwrap();
    ServeOptions { tls: Some(Arc::new(tls)), ..ServeOptions::default() }
}

/// A Prometheus client block, written as a user would.
pub(crate) fn prometheus(yaml: &str) -> PrometheusClientConfig {
    let parsed = config::parse(yaml, "test.yaml").unwrap();
    config::read(&parsed.root, "").unwrap()
}

pub(crate) fn client(yaml: &str) -> Client {
    Client::build(&prometheus(yaml), std::path::Path::new("")).unwrap()
}

pub(crate) async fn get(client: &Client, url: &str) -> Result<Response, NetError> {
    client.send(Request::get(url, PATIENCE, 1 << 20)).await
}

/// Reads up to the end of a head and returns it.
pub(crate) async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) async fn write(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}
