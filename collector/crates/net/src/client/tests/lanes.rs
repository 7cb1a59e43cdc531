//! What goes over a lane, and which lanes are used again.

use tokio::net::TcpStream;

use super::*;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/m?a=b#c", listener.local_addr().unwrap());
    (listener, url)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_is_written_as_rfc_9112_wants_it() {
    let (listener, url) = listener().await;
    let host = listener.local_addr().unwrap();
    let agent = USER_AGENT;
    let client = client("{}");
    let named = Request::get(&url, PATIENCE, 100)
        .header(header::HOST, HeaderValue::from_static("other"))
        .header(header::USER_AGENT, HeaderValue::from_static("me"))
        .header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let mut stream: Option<TcpStream> = None;
    for (request, expected) in [
        (
            Request::get(&url, PATIENCE, 100),
            format!("GET /m?a=b HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\n\r\n"),
        ),
        (
            Request::post(&url, "", PATIENCE, 100),
            format!(
                "POST /m?a=b HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\ncontent-length: 0\r\n\r\n"
            ),
        ),
        (named, "GET /m?a=b HTTP/1.1\r\nhost: other\r\nuser-agent: me\r\n\r\n".to_owned()),
    ] {
        let serving = async {
            let mut stream = match stream.take() {
                Some(stream) => stream,
                None => listener.accept().await.unwrap().0,
            };
            let head = read_head(&mut stream).await;
            write(&mut stream, OK).await;
            (head, stream)
        };
        let (answer, (head, served)) = tokio::join!(client.send(request), serving);
        assert_eq!(answer.unwrap().body, "ok");
        assert_eq!(head, expected);
        stream = Some(served);
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_has_left_is_read_and_its_connection_is_left() {
    let (listener, url) = listener().await;
    let client = client("{}");
    let large = vec![0; 64 << 20];
    let serving = async {
        let (mut first, _) = listener.accept().await.unwrap();
        read_head(&mut first).await;
        write(&mut first, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!").await;
        let mut second = listener.accept().await.unwrap().0;
        read_head(&mut second).await;
        write(&mut second, OK).await;
    };
    let sending = async {
        let refused = client.send(Request::post(&url, large, PATIENCE, 100)).await.unwrap();
        assert_eq!((refused.status, &refused.body[..]), (413, &b"no!"[..]));
        assert_eq!(get(&client, &url).await.unwrap().body, "ok");
    };
    tokio::join!(serving, sending);
}

#[tokio::test]
async fn a_request_with_a_body_larger_than_the_sockets_hold_arrives_whole() {
    let (server, _log) = Server::recording(ServeOptions::default());
    let body = "x".repeat(1 << 20);
    let answer = client("{}").send(Request::post(server.url("/"), body, PATIENCE, 100)).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_lane_on_which_the_server_spoke_without_being_asked_is_not_used_again() {
    let (listener, url) = listener().await;
    let client = client("{}");
    let serving = async {
        let (mut first, _) = listener.accept().await.unwrap();
        read_head(&mut first).await;
        // What comes behind the answer would pass for the next one.
        write(&mut first, &format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")).await;
        answer_once(&listener).await
    };
    let sending = async {
        for _ in 0..2 {
            assert_eq!(get(&client, &url).await.unwrap().body, "ok");
        }
    };
    tokio::join!(serving, sending);
}

#[tokio::test]
async fn a_kept_connection_that_answers_with_nonsense_is_not_asked_again() {
    let (listener, url) = listener().await;
    let client = client("{}");
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        write(&mut stream, OK).await;
        read_head(&mut stream).await;
        write(&mut stream, "nonsense\r\n\r\n").await;
        stream
    };
    let sending = async {
        get(&client, &url).await.unwrap();
        let error = get(&client, &url).await.unwrap_err();
        assert!(chain(&error).contains("not an answer of HTTP/1.1"), "{}", chain(&error));
    };
    tokio::join!(serving, sending);
}
