//! Requests on one kept connection, for counting instructions. Two runs of different length give the cost of one request:
//!
//! ```text
//! valgrind --tool=callgrind --separate-threads=yes target/release/examples/kept_connection 1500
//! ```

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};

fn main() {
    let n_requests: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let destination = format!("http://{}/metrics", listener.local_addr().expect("an address"));
    let destination = net::Destination::from(destination);
    std::thread::spawn(move || serve(&listener));
    let config = config::parse("{}", "example.yaml").expect("YAML").root;
    let config: net::PrometheusClientConfig = config::read(&config, "").expect("a client");
    let client = net::Client::build(&config, Path::new("")).expect("a client");
    let mut headers = HeaderMap::new();
    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let timeout = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
    headers.insert(timeout, HeaderValue::from_static("10"));
    let headers = Arc::new(headers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for _ in 0..n_requests {
            let request = net::Request::get(destination.clone(), Duration::from_secs(10), 1 << 20);
            let request = net::Request { headers: Arc::clone(&headers), ..request };
            let answer = client.send(request).await.expect("an answer");
            assert_eq!(answer.body.len(), 2000);
        }
    });
}

/// Answers as a small target does, on one connection.
fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                Date: Sat, 21 Nov 2026 21:21:21 GMT\r\nContent-Length: 2000\r\n\r\n";
    let answer = format!("{head}{}", "x".repeat(2000));
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n_read @ 1..) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..n_read]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            stream.write_all(answer.as_bytes()).expect("the client reads");
        }
    }
}
