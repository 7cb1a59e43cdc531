//! Answers that mean harm: each fails with a clear error, costs bounded memory, and leaves other requests alone.

use std::error::Error as _;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::Reply;
use crate::testing::{Log, Seen, ca, server_tls};

/// What sockets may hold on the way, far more than any limit of these tests and far less than what is offered.
const IN_FLIGHT: usize = 32 << 20;

/// Offered at most; nobody reads so much.
const OFFERED: usize = 256 << 20;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Answers one request with `first`, then with `again` until the client goes away or OFFERED bytes are out. Ends with the
/// number of bytes that the client's side took.
async fn flood(first: &'static str, again: String) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        write(&mut stream, first).await;
        let again = again.repeat((64 << 10) / again.len() + 1);
        let mut n_taken = 0;
        while n_taken < OFFERED && stream.write_all(again.as_bytes()).await.is_ok() {
            n_taken += again.len();
        }
        n_taken
    });
    (url, serving)
}

/// Answers one request with this text and closes.
async fn says(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        write(&mut stream, text).await;
    });
    url
}

/// Asks with the same client for something harmless while it is busy with the other.
async fn beside_others(client: &Client, request: Request) -> Result<Response, NetError> {
    let (good, _log) = Server::recording(ServeOptions::default());
    let url = good.url("/");
    let (hostile, harmless) = tokio::join!(client.send(request), get(client, &url));
    assert_eq!(harmless.unwrap().status, 200, "other requests go on");
    hostile
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let (url, serving) = flood(CHUNKED, piece).await;
    let error = beside_others(&client("{}"), Request::get(&url, PATIENCE, 1 << 20)).await.unwrap_err();
    assert!(error.is_body_too_large(), "{error}");
    assert!(error.to_string().ends_with("is larger than the limit of 1048576 bytes"), "{error}");
    assert!(serving.await.unwrap() < IN_FLIGHT);
}

#[tokio::test]
async fn a_body_that_is_not_to_be_kept_is_counted_to_its_end_or_to_the_limit() {
    let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n4\r\nb 2\n\r\n0\r\n\r\n";
    for (limit, kept, expected) in [
        (100, 8, "8 bytes"),
        (100, 7, "has 8 bytes, more than the 7 that were to be kept"),
        (100, 0, "has 8 bytes, more than the 0 that were to be kept"),
        (7, 2, "larger than the limit of 7 bytes"),
    ] {
        let request = Request { kept_limit: kept, ..Request::get(says(text).await, PATIENCE, limit) };
        let seen = match client("{}").send(request).await {
            Ok(response) => format!("{} bytes", response.body.len()),
            Err(error) => error.to_string(),
        };
        assert!(seen.ends_with(expected), "{limit}, {kept}: {seen}");
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_not_read_at_all() {
    let (url, serving) =
        flood("HTTP/1.1 200 OK\r\ncontent-length: 9000000000000000000\r\n\r\n", "x".repeat(4096)).await;
    let error = beside_others(&client("{}"), Request::get(&url, PATIENCE, 1 << 20)).await.unwrap_err();
    assert!(error.is_body_too_large(), "{error}");
    assert!(serving.await.unwrap() < IN_FLIGHT);
}

#[tokio::test]
async fn a_head_without_end_is_cut_at_its_limits() {
    let many_lines = "x: y\r\n".to_owned();
    let one_line = "y".repeat(4096);
    for (first, again) in [
        ("HTTP/1.1 200 OK\r\n", many_lines.clone()),
        ("HTTP/1.1 200 OK\r\nx: ", one_line.clone()),
        ("HTTP/1.1 200 ", one_line),
    ] {
        let (url, serving) = flood(first, again).await;
        let error = beside_others(&client("{}"), Request::get(&url, PATIENCE, 1 << 20)).await.unwrap_err();
        assert!(matches!(error, NetError::HeadTooLarge { .. }), "{first:?}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("MAX_HEAD_BYTES (16384 bytes)") && text.contains("MAX_HEADERS (100 lines)"),
            "{text}"
        );
        assert!(serving.await.unwrap() < IN_FLIGHT);
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_cut_over_http2_too() {
    let large = |seen: &Seen| {
        let n_bytes = seen.uri.rsplit('/').next().unwrap().parse().unwrap();
        let mut reply = Reply::new("ok".into());
        reply.headers_mut().insert("x-large", HeaderValue::try_from("y".repeat(n_bytes)).unwrap());
        reply
    };
    let server = Server::start(server_tls("server", None), Log::default().answer(large));
    let client = client(&format!("tls_config: {{{}, server_name: localhost}}", ca("ca.pem")));
    let send = |path: &str| client.send(Request::get(server.https(path), PATIENCE, 100));
    assert_eq!(send("/10000").await.unwrap().status, 200);
    assert!(matches!(send("/20000").await.unwrap_err(), NetError::Broken { .. }));
    let error = send("/100000").await.unwrap_err();
    assert!(matches!(error, NetError::HeadTooLarge { .. }), "{}", chain(&error));
    assert_eq!(send("/10").await.unwrap().status, 200, "the next request has a connection of its own");
}

#[tokio::test]
async fn chunk_extensions_and_trailers_without_end_are_cut() {
    for (first, again) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x".repeat(4096)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n".to_owned()),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1;aaaaaaaaaa\r\nx\r\n".to_owned()),
    ] {
        let (url, serving) = flood(first, again).await;
        let error = beside_others(&client("{}"), Request::get(&url, PATIENCE, 1 << 20)).await.unwrap_err();
        assert!(matches!(error, NetError::Broken { during: Phase::Reading, .. }), "{first:?}: {error}");
        assert!(serving.await.unwrap() < IN_FLIGHT);
    }
}

#[tokio::test]
async fn informational_answers_without_end_are_cut_by_the_timeout() {
    let (url, serving) = flood("", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()).await;
    let limit = Duration::from_secs(1);
    let result = beside_others(&client("{}"), Request::get(&url, limit, 1 << 20)).await;
    match result.unwrap_err() {
        NetError::Timeout { during: Phase::Waiting, .. } => {}
        // A fast machine is through with what is offered before the time is over.
        NetError::Broken { .. } if serving.await.unwrap() >= OFFERED => {}
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_drip_ends_at_the_timeout() {
    for (first, during) in [("HTTP/1.1 200 OK\r\nx: ", Phase::Waiting), (CHUNKED, Phase::Reading)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let dripping = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            write(&mut stream, first).await;
            let drop_of = if first == CHUNKED { "1\r\nx\r\n" } else { "x" };
            while stream.write_all(drop_of.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let limit = Duration::from_secs(1);
        let error = beside_others(&client("{}"), Request::get(&url, limit, 1 << 20)).await.unwrap_err();
        assert!(matches!(error, NetError::Timeout { during: at, .. } if at == during), "{error}");
        // The connection is given up, so that the other side notices.
        tokio::time::timeout(PATIENCE, dripping).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_not_a_short_body() {
    for text in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\na 1\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\na 1\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\na 1\n",
    ] {
        let error = get(&client("{}"), &says(text).await).await.unwrap_err();
        assert!(matches!(error, NetError::Broken { during: Phase::Reading, .. }), "{text:?}: {error}");
        assert!(error.source().is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_in_the_body_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na 1\n").await;
        stream.set_zero_linger().unwrap();
    });
    let error = beside_others(&client("{}"), Request::get(&url, PATIENCE, 1 << 20)).await.unwrap_err();
    assert!(matches!(error, NetError::Broken { .. }), "{error}");
    assert!(chain(&error).contains("reset") || chain(&error).contains("closed"), "{}", chain(&error));
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    for text in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "",
    ] {
        let error = beside_others(&client("{}"), Request::get(says(text).await, PATIENCE, 100)).await;
        match error {
            Err(NetError::Broken { source, .. }) => assert!(!source.to_string().is_empty(), "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_an_error_of_connecting() {
    let (server, log) = Server::recording(ServeOptions::default());
    let error = get(&client("{}"), &server.https("/")).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    assert!(log.all().is_empty());
}
