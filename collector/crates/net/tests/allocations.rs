//! A request over a kept connection allocates little, on either side: a scraper of small targets does hardly anything else, and
//! neither does who shows a small page.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

/// Of an answer: its head, what that shares, two of the map of headers, the body.
const MOST_ALLOCATIONS: u64 = 5;

const N_REQUESTS: u64 = 100;

/// Answers each request of one connection, in a thread whose allocations are not counted.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = Vec::new();
        let mut piece = [0; 1024];
        while let Ok(n_read @ 1..) = stream.read(&mut piece) {
            head.extend_from_slice(&piece[..n_read]);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\r\nup 1";
                stream.write_all(answer.as_bytes()).expect("the client reads");
            }
        }
    });
    url
}

#[test]
fn a_request_on_a_kept_connection_allocates_a_handful_of_times() {
    let destination = net::Destination::from(serve());
    let config = config::parse("{}", "test.yaml").expect("YAML").root;
    let config: net::PrometheusClientConfig = config::read(&config, "").expect("a client");
    let client = net::Client::build(&config, Path::new("")).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
    let headers = Arc::new(headers);
    let ask = || {
        let request = net::Request::get(destination.clone(), Duration::from_secs(20), 100);
        let request = net::Request { headers: Arc::clone(&headers), ..request };
        let answer = runtime.block_on(client.send(request)).expect("an answer");
        assert_eq!(&answer.body[..], b"up 1");
    };
    // The first request connects.
    ask();
    let all = allocation_counter::measure(|| (0..N_REQUESTS).for_each(|_| ask()));
    let most = N_REQUESTS * MOST_ALLOCATIONS;
    assert!(all.count_total <= most, "{} allocations in {N_REQUESTS} requests", all.count_total);
    assert_eq!(all.count_current, 0, "nothing piles up");
}

/// Of a request for a page: its head and what that shares, two each of the maps of headers, three of what is known of the client, the answering
/// future.
const MOST_ALLOCATIONS_OF_A_PAGE: u64 = 10;

/// Asks on one connection from a thread whose allocations are not counted, then ends.
fn ask_for_pages(address: std::net::SocketAddr, done: tokio::sync::oneshot::Sender<()>) {
    let mut stream = std::net::TcpStream::connect(address).expect("a server");
    let mut piece = [0; 1024];
    for _ in 0..N_REQUESTS {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n")
            .expect("the server reads");
        let mut n_read = 0;
        while !piece[..n_read].ends_with(b"up 1\n") {
            n_read += stream.read(&mut piece[n_read..]).expect("the server answers");
        }
    }
    drop(done);
}

/// Allocations of all requests for a page that is answered like this, those of a server, a connection and a thread included.
fn allocations_of_pages(page: impl Fn() -> net::Reply + Clone + Send + Sync + 'static) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let serve = || {
        runtime.block_on(async {
            let listener = net::Listener::bind("127.0.0.1:0").expect("a port");
            let (done, ended) = tokio::sync::oneshot::channel();
            let address = listener.local_addr();
            std::thread::spawn(move || ask_for_pages(address, done));
            let page = page.clone();
            let page = net::answer(move |_| std::future::ready(page()));
            let options = net::ServeOptions { http2: false, ..net::ServeOptions::default() };
            listener.serve(options, page, async { drop(ended.await) }).await;
        });
    };
    serve();
    allocation_counter::measure(serve).count_total
}

#[test]
fn a_page_on_a_kept_connection_allocates_a_handful_of_times() {
    let n = allocations_of_pages(|| net::reply(http::StatusCode::OK, "up 1\n"));
    assert!(n <= N_REQUESTS * MOST_ALLOCATIONS_OF_A_PAGE + 100, "{n} allocations in {N_REQUESTS} requests");
}

#[test]
fn a_page_that_is_answered_again_allocates_nothing_but_its_body() {
    let n = allocations_of_pages(|| {
        let mut reply = net::reply(http::StatusCode::OK, "up 1\n");
        reply.extensions_mut().insert(net::Again::new(|| "up 1\n".into()));
        reply
    });
    assert!(n <= 100, "{n} allocations in {N_REQUESTS} requests");
}
