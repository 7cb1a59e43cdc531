//! Requests over unix sockets.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{ca, server_tls};

/// Answers every connection on this socket with one word, and gives the heads of requests.
fn serve(path: &Path, word: &'static str) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            heads.push(answer_with(&mut stream, word).await);
        }
        heads
    })
}

async fn answer_with(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), word: &str) -> String {
    let head = read_head(stream).await;
    write(stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{word}", word.len())).await;
    head
}

fn over(path: &Path, url: &str) -> Request {
    Request { unix_socket: Some(path.into()), ..Request::get(url, PATIENCE, 100) }
}

#[tokio::test]
async fn two_sockets_behind_the_same_address_are_never_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let serving = [serve(&one, "one"), serve(&two, "two")];
    // No proxy stands before a socket.
    let client =
        client("{basic_auth: {username: me, password: safe}, proxy_url: 'http://me:safe@127.0.0.1:1'}");
    for _ in 0..2 {
        for (path, word) in [(&one, "one"), (&two, "two")] {
            let answer = client.send(over(path, "http://metrics.example:9100/m?a=b")).await.unwrap();
            assert_eq!(answer.body, word);
        }
    }
    for heads in serving {
        for head in heads.await.unwrap() {
            let head = head.to_ascii_lowercase();
            assert!(head.starts_with("get /m?a=b http/1.1\r\n"), "{head}");
            assert!(head.contains("host: metrics.example:9100\r\n"), "{head}");
            assert!(head.contains("authorization: basic"), "{head}");
            assert!(!head.contains("proxy-authorization"), "{head}");
        }
    }
}

#[tokio::test]
async fn tls_is_spoken_over_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let acceptor = server_tls("server", None).tls.unwrap().acceptor();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        answer_with(&mut stream, "safe").await;
    });
    let client = client(&format!("{{tls_config: {{{}}}, enable_http2: false}}", ca("ca.pem")));
    assert_eq!(client.send(over(&path, "https://metrics.example/")).await.unwrap().body, "safe");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let error = client("{}").send(over(Path::new("/does/not/exist"), "http://a:1/")).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    assert!(
        chain(&error).contains("cannot connect to the unix socket /does/not/exist: "),
        "{}",
        chain(&error)
    );
}
