//! Requests that are heads, with hyper as the oracle: a server that speaks HTTP/2, too, leaves everything to hyper.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::body::Body;
use crate::testing::Log;

use super::*;

/// An answer for each path.
fn reply_to(path: &str) -> Reply {
    let pieces = |pieces: &'static [&'static str]| {
        Body::pieces(pieces.iter().map(|piece| bytes::Bytes::from_static(piece.as_bytes())))
    };
    match path {
        "/empty" => Reply::default(),
        "/pieces" => Reply::new(pieces(&["one", "", "and two"])),
        "/nothing" => Reply::new(pieces(&[])),
        "/large" => Reply::new(vec![b'x'; 3 << 20].into()),
        "/gone" => reply(StatusCode::NOT_FOUND, "404 page not found\n"),
        "/unknown" => reply(StatusCode::from_u16(299).unwrap(), "x"),
        "/silent" => reply(StatusCode::NO_CONTENT, Body::empty()),
        "/unchanged" => reply(StatusCode::NOT_MODIFIED, Body::empty()),
        "/dated" => {
            let mut dated = Reply::new("old".into());
            dated
                .headers_mut()
                .insert(header::DATE, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
            dated
        }
        "/panic" => panic!("as asked"),
        _ => {
            let mut reply = reply(StatusCode::OK, "up 1\n");
            for value in ["a", "b"] {
                reply.headers_mut().append("x-twice", HeaderValue::from_static(value));
            }
            reply
        }
    }
}

fn server(http2: bool) -> (Server, Log) {
    let log = Log::default();
    let mut response_headers = HeaderMap::new();
    response_headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    let options = ServeOptions { http2, response_headers, ..ServeOptions::default() };
    (Server::start(options, log.clone().answer(|seen| reply_to(&seen.uri))), log)
}

/// Sends pieces on one connection, each when everything before it was taken, and reads answers until the server ends it or has said the last
/// word.
async fn converse(server: &Server, pieces: &[&str], last: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        write(&mut stream, piece).await;
        tokio::task::yield_now().await;
    }
    let mut all = Vec::new();
    let whole = async {
        while !all.ends_with(last.as_bytes()) {
            if stream.read_buf(&mut all).await.unwrap() == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("the server answers");
    String::from_utf8(all).unwrap()
}

/// Headers in any order and without the time, then the body.
fn parts(answer: &str) -> (BTreeSet<&str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("there is a head");
    let is_now = |line: &str| line.starts_with("date: ") && !line.contains("1970");
    (head.split("\r\n").filter(|line| !is_now(line)).collect(), body)
}

#[tokio::test]
async fn answers_are_those_of_hyper_and_handlers_see_the_same() {
    let ((ours, our_log), (hypers, their_log)) = (server(false), server(true));
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x:1\r\nAccept: a/b;q=0.5\r\naccept:c/d\r\nX-Empty:\r\nX-Odd: \u{e9}\r\n\r\n"
        )
    };
    for (path, last) in [
        ("/", "up 1\n"),
        ("/metrics?name%5B%5D=up&x", "up 1\n"),
        ("/empty", "\r\n\r\n"),
        ("/pieces", "0\r\n\r\n"),
        ("/nothing", "0\r\n\r\n"),
        ("/large", "xxx"),
        ("/gone", "found\n"),
        ("/unknown", "x"),
        ("/silent", "\r\n\r\n"),
        ("/unchanged", "\r\n\r\n"),
        ("/dated", "old"),
        ("/panic", "error\n"),
    ] {
        let one = converse(&ours, &[&request(path)], last).await;
        let other = converse(&hypers, &[&request(path)], last).await;
        // Of a large body the last bytes that were read differ.
        let ((our_head, our_body), (their_head, their_body)) = (parts(&one), parts(&other));
        assert_eq!(our_head, their_head, "{path}");
        assert!(path == "/large" || our_body == their_body, "{path}: {our_body:?} {their_body:?}");
        assert!(one.contains("date: "), "{path}");
    }
    let seen = |log: &Log| {
        let seen = log.all().into_iter();
        seen.map(|seen| (seen.method, seen.uri, seen.version, seen.headers, seen.body)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&our_log), seen(&their_log));
    assert_eq!(our_log.all().len(), 11);
}

#[tokio::test]
async fn a_request_that_repeats_the_one_before_it_is_answered_again_with_another_body() {
    for (http2, n_asked) in [(false, 5), (true, 7)] {
        let (log, n_bodies) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        let answer = log.clone().answer(move |seen| {
            let counter = Arc::clone(&n_bodies);
            let body = move || match counter.fetch_add(1, Ordering::Relaxed) {
                2 => panic!("as asked"),
                n_before => format!("body {n_before}\n").into(),
            };
            let mut reply =
                reply(StatusCode::NOT_FOUND, if seen.uri == "/again" { body() } else { "-".into() });
            if seen.uri == "/again" {
                reply.extensions_mut().insert(Again::new(body));
            }
            reply
        });
        let response_headers =
            HeaderMap::from_iter([(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))]);
        let server =
            Server::start(ServeOptions { http2, response_headers, ..ServeOptions::default() }, answer);
        let [again, longer, other] = [
            "GET /again HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /again HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\n\r\n",
            "GET /other HTTP/1.1\r\nHost: x\r\n\r\n",
        ];
        // Two of them at once, then what differs, and the first one anew.
        let pieces = [again, &again.repeat(2), longer, other, other, &again.repeat(2)];
        let answers = converse(&server, &pieces, "body 5\n").await;
        let (starts, bodies): (Vec<_>, Vec<_>) = answers
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|answer| {
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                assert!(head.contains("\r\ncontent-type: text/plain; charset=utf-8"), "{head}");
                assert!(head.contains("\r\nx-frame-options: DENY") && head.contains("\r\ndate: "), "{head}");
                assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
                (&head[..3], body)
            })
            .unzip();
        let ok = "404";
        assert_eq!(starts, [ok, ok, "500", ok, ok, ok, ok, ok]);
        let first = ["body 0\n", "body 1\n", "internal error\n", "body 3\n", "-", "-"];
        assert_eq!(bodies, [&first[..], &["body 4\n", "body 5\n"]].concat());
        assert_eq!(log.all().len(), n_asked);
    }
}

#[tokio::test]
async fn whatever_is_not_a_plain_head_is_answered_by_hyper_on_the_same_connection() {
    let heads = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    for (other, uri, body) in [
        ("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "/c", "body"),
        ("GET /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "/c", "hi"),
        ("GET http://x/c HTTP/1.1\r\nHost: x\r\n\r\n", "http://x/c", ""),
        ("DELETE /c HTTP/1.1\r\nHost: x\r\n\r\n", "/c", ""),
    ] {
        let (server, log) = server(false);
        let text = format!("{heads}{other}GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
        let answers = converse(&server, &[&text], "0\r\n\r\n").await;
        assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{other}: {answers}");
        let seen: Vec<_> = log.all().into_iter().map(|seen| (seen.uri, seen.body)).collect();
        let of = |uri: &str, body: &str| (uri.to_owned(), body.to_owned());
        assert_eq!(seen, [of("/a", ""), of("/b", ""), of(uri, body), of("/pieces", "")]);
    }
}

#[tokio::test]
async fn a_head_may_come_in_pieces_or_be_broken() {
    let (server, log) = server(false);
    let pieces = [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HT",
        "TP/1.1\r\nHost:",
        " x\r\n\r\nGET /pieces HTTP/1.1\r\n\r\n",
    ];
    let answers = converse(&server, &pieces, "0\r\n\r\n").await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answers}");
    assert_eq!(log.all().len(), 3);
    for broken in ["GET /a HTTP/1.1\r\nno header\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n", "\0\r\n\r\n"] {
        let answer = converse(&server, &[broken], "never").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{broken:?}: {answer}");
    }
    let old = converse(&server, &["GET /a HTTP/1.0\r\n\r\n"], "never").await;
    assert!(old.starts_with("HTTP/1.0 200 "), "{old}");
    let head =
        converse(&server, &["HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], "never").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 5\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(log.all().len(), 5);
}

#[tokio::test]
async fn a_client_that_falls_silent_between_requests_is_let_go_and_one_that_asks_is_not() {
    let limit = Duration::from_millis(200);
    let options = ServeOptions { http2: false, read_header_timeout: Some(limit), ..ServeOptions::default() };
    let (server, log) = Server::recording(options);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    // Longer than the limit altogether.
    for _ in 0..6 {
        write(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        read_head(&mut stream).await;
        let mut body = [0; 2];
        stream.read_exact(&mut body).await.unwrap();
        tokio::time::sleep(limit / 4).await;
    }
    assert!(began.elapsed() > limit);
    assert_eq!(log.all().len(), 6);
    let closed = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await;
    assert_eq!(closed.expect("the connection is closed").unwrap(), 0);
}

#[tokio::test]
async fn the_last_answer_of_a_stopping_server_says_so() {
    let (answer, gate, mut arrivals) = gated();
    let server = Server::start(ServeOptions { http2: false, ..ServeOptions::default() }, answer);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    write(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    arrivals.recv().await.unwrap();
    let stopping = tokio::spawn(server.stop());
    tokio::task::yield_now().await;
    gate.add_permits(1);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("done"), "{answer}");
    assert_eq!(stopping.await.unwrap(), Served { n_cut: 0 });
}
