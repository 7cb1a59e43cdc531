//! Requests against servers on loopback: limits, kept connections, errors.

mod hostile;
mod lanes;
mod redirects;
mod unix_sockets;

use std::error::Error;

use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::net::TcpListener;

use super::*;
use crate::error::{BoxError, Phase};
use crate::proxy::basic;
use crate::testing::{PATIENCE, Server, client, get, read_head, write};
use crate::{Body, Reply, ServeOptions, answer};

fn chain(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// Sends `first`, then nothing for ever.
fn unfinished(first: &'static str) -> Body {
    let frame = Ok::<_, BoxError>(Frame::data(Bytes::from_static(first.as_bytes())));
    use futures_util::StreamExt;
    Body::stream(StreamBody::new(stream::iter([frame]).chain(stream::pending())))
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let (server, log) = Server::recording(ServeOptions::default());
    let name = HeaderName::from_static("x-test");
    let request = Request::post(server.url("/a?b=c#d"), "hello", PATIENCE, 100)
        .header(name, HeaderValue::from_static("yes"));
    let response = client("{}").send(request).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
    let seen = log.last();
    assert_eq!((seen.method.as_str(), seen.uri.as_str(), seen.body.as_str()), ("POST", "/a?b=c", "hello"));
    assert_eq!(seen.header("x-test"), Some("yes"));
    assert_eq!(seen.header("user-agent"), Some(USER_AGENT));
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(seen.header("accept-encoding"), None);
}

#[tokio::test]
async fn connections_are_kept_between_requests() {
    let (server, log) = Server::recording(ServeOptions::default());
    let client = client("{}");
    for _ in 0..3 {
        get(&client, &server.url("/")).await.unwrap();
    }
    let peers: Vec<_> = log.all().iter().map(|seen| seen.peer).collect();
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

/// Answers one request on a connection of its own and gives the connection.
async fn answer_once(listener: &TcpListener) -> tokio::net::TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    stream
}

async fn is_closed(stream: &mut tokio::net::TcpStream) -> bool {
    use tokio::io::AsyncReadExt;
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn a_connection_that_nobody_uses_any_more_is_closed_by_the_way() {
    let client = client("{}");
    let listeners =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let mut unused = None;
    for listener in &listeners {
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (answer, stream) = tokio::join!(get(&client, &url), answer_once(listener));
        assert_eq!(answer.unwrap().status, 200);
        match &mut unused {
            None => unused = Some(stream),
            Some(unused) => assert!(is_closed(unused).await),
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used_again() {
    let client = client("{}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    for _ in 0..2 {
        // A POST must not be sent twice, so it may not even be tried on a connection that is closed.
        let sending = client.send(Request::post(&url, "once", PATIENCE, 100));
        let (answer, stream) = tokio::join!(sending, answer_once(&listener));
        assert_eq!(answer.unwrap().status, 200);
        drop(stream);
        // The end of the connection arrives before the next request.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_without_tls_starts_no_task() {
    let client = client("{}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (answer, _stream) = tokio::join!(get(&client, &url), answer_once(&listener));
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn the_timeout_covers_waiting_and_reading() {
    let endless = Server::start(
        ServeOptions::default(),
        answer(|request| async move {
            if request.uri().path() == "/head" {
                std::future::pending().await
            } else {
                Reply::new(unfinished("x"))
            }
        }),
    );
    let client = client("{}");
    for (path, during) in [("/head", Phase::Waiting), ("/body", Phase::Reading)] {
        let limit = Duration::from_millis(500);
        let error = client.send(Request::get(endless.url(path), limit, 100)).await.unwrap_err();
        assert!(error.is_timeout() && !error.is_connect(), "{error}");
        assert_eq!(error.to_string(), format!("{} took longer than 500ms {during}", endless.address));
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_counts_as_connecting() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let request = Request::get(url, Duration::from_millis(100), 100);
    let error = client("{}").send(request).await.unwrap_err();
    assert!(error.is_timeout() && error.is_connect(), "{error}");
}

#[tokio::test]
async fn the_body_limit_is_exact_and_stops_early() {
    let server = Server::start(
        ServeOptions::default(),
        answer(|request| async move {
            match request.uri().path() {
                "/four" => Reply::new("four".into()),
                // Its length is announced, so nothing of it needs to be read.
                "/announced" => Reply::new("x".repeat(1000).into()),
                _ => Reply::new(unfinished("12345")),
            }
        }),
    );
    let client = client("{}");
    let send = |path: &str| client.send(Request::get(server.url(path), PATIENCE, 4));
    assert_eq!(&send("/four").await.unwrap().body[..], b"four");
    for path in ["/announced", "/endless"] {
        let error = send(path).await.unwrap_err();
        assert!(error.is_body_too_large());
        assert_eq!(
            error.to_string(),
            format!("answer of {} is larger than the limit of 4 bytes", server.address)
        );
    }
}

#[tokio::test]
async fn an_answer_can_be_cut_instead_of_refused() {
    let server = Server::start(
        ServeOptions::default(),
        answer(|request| async move {
            match request.uri().path() {
                "/announced" => Reply::new("x".repeat(1000).into()),
                _ => Reply::new(unfinished("12345")),
            }
        }),
    );
    let client = client("{}");
    for (path, expected) in [("/announced", "xxxx"), ("/endless", "1234"), ("/announced", "xxxx")] {
        let request = Request::get(server.url(path), PATIENCE, 4);
        let response = client.send(Request { cuts_answer: true, ..request }).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (200, expected.as_bytes()));
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let pieces = ["one ", "two ", "three"]
        .map(|text| Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes()))));
    let pieces = Arc::new(Mutex::new(Some(pieces)));
    let server = Server::start(
        ServeOptions::default(),
        answer(move |_| {
            let pieces = pieces.lock().unwrap().take().unwrap();
            async move { Reply::new(Body::stream(StreamBody::new(stream::iter(pieces)))) }
        }),
    );
    let response = get(&client("{}"), &server.url("/")).await.unwrap();
    assert_eq!(&response.body[..], b"one two three");
}

#[tokio::test]
async fn nobody_listening_is_an_error_of_connecting() {
    let address = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    let error = get(&client("{}"), &format!("http://{address}/metrics")).await.unwrap_err();
    assert!(error.is_connect());
    assert_eq!(error.peer(), address.to_string());
    let text = chain(&error);
    assert!(text.starts_with(&format!("cannot connect to {address}: ")), "{text}");
    assert!(text.contains("onnection refused"), "{text}");
}

/// Serves `n` connections. On the first, one request is answered and the next one cut off.
async fn closes_a_kept_connection(listener: TcpListener) -> usize {
    let (mut first, _) = listener.accept().await.unwrap();
    read_head(&mut first).await;
    write(&mut first, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1").await;
    read_head(&mut first).await;
    drop(first);
    let Ok(accepted) = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await else {
        return 1;
    };
    let (mut second, _) = accepted.unwrap();
    read_head(&mut second).await;
    write(&mut second, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2").await;
    2
}

#[tokio::test]
async fn a_get_survives_a_kept_connection_that_was_just_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(closes_a_kept_connection(listener));
    let client = client("{}");
    for expected in ["1", "2"] {
        assert_eq!(get(&client, &url).await.unwrap().body, expected);
    }
    assert_eq!(server.await.unwrap(), 2);
}

#[tokio::test]
async fn a_post_is_not_repeated_behind_the_callers_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(closes_a_kept_connection(listener));
    let client = client("{}");
    get(&client, &url).await.unwrap();
    let error = client.send(Request::post(&url, "", PATIENCE, 100)).await.unwrap_err();
    assert!(matches!(error, NetError::Broken { .. }), "{error}");
    assert_eq!(server.await.unwrap(), 1);
}

#[tokio::test]
async fn a_user_in_the_url_is_used_and_not_shown() {
    let (server, log) = Server::recording(ServeOptions::default());
    let url = format!("http://me:s%40fe@{}/", server.address);
    get(&client("{}"), &url).await.unwrap();
    assert_eq!(log.last().header("authorization"), Some(basic("me", "s@fe").as_str()));
    let error = get(&client("{}"), "http://me:safe@[bad/").await.unwrap_err();
    assert!(error.is_unsendable());
    assert!(!chain(&error).contains("safe"), "{}", chain(&error));
}

#[tokio::test]
async fn urls_of_other_schemes_are_not_sent() {
    for url in ["ftp://host/", "metrics", "http://"] {
        assert!(get(&client("{}"), url).await.unwrap_err().is_unsendable(), "{url}");
    }
}

#[tokio::test]
async fn http2_without_tls_carries_trailers() {
    let server = Server::start(
        ServeOptions::default(),
        answer(|request| async move {
            assert_eq!(request.version(), http::Version::HTTP_2);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Reply::new(Body::with_trailers("data", trailers))
        }),
    );
    let client = Client::build_http2(&HttpClientConfig::default()).unwrap();
    let response = get(&client, &server.url("/pkg.Service/Call")).await.unwrap();
    assert_eq!(&response.body[..], b"data");
    assert_eq!(response.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn requests_at_the_same_time_can_be_bounded() {
    let (entered, mut arrivals) = tokio::sync::mpsc::channel(10);
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start(ServeOptions::default(), {
        let gate = Arc::clone(&gate);
        answer(move |_| {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            async move {
                entered.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                Reply::default()
            }
        })
    });
    let config = HttpClientConfig { max_conns_per_host: 2, ..HttpClientConfig::default() };
    let client = Client::build_http(&config).unwrap();
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let (client, url) = (client.clone(), server.url("/"));
            tokio::spawn(async move { get(&client, &url).await.map(|response| response.status) })
        })
        .collect();
    arrivals.recv().await.unwrap();
    arrivals.recv().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), arrivals.recv()).await.is_err());
    gate.add_permits(3);
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), 200);
    }
}
