//! What goes over a lane, and which lanes are used again.

use tokio::net::TcpStream;

use super::*;
use crate::testing::prometheus;

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

/// A lane over which one answer came, and the server's end.
async fn used() -> (Box<Lane>, tokio::io::DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(1000);
    let conn = crate::connect::Conn::new(hyper_util::rt::TokioIo::new(ours), None);
    let mut lane = Box::new(Lane::new(conn));
    write(&mut theirs, OK).await;
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &Method::GET,
        path: "/",
        host: "t:1",
        user_agent: USER_AGENT,
        headers: &headers,
    };
    let answer = lane.send(&head, &Bytes::new()).await.map_err(|failed| failed.error).unwrap();
    let limits = BodyLimits { most: 100, kept: 100, is_cut: false };
    let place = Arc::new(Place::parse("http://t:1/").unwrap());
    lane.read(&answer, limits, &Progress::new(&place)).await.unwrap();
    let n_sent = tokio::io::AsyncReadExt::read(&mut theirs, &mut [0; 1000]).await.unwrap();
    assert!(n_sent > 0 && lane.may_be_parked());
    (lane, theirs)
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_used_again_until_it_was_idle_for_five_minutes() {
    let settings = prometheus("{}").settings(Surroundings::of_this_process(Path::new(""))).unwrap();
    let (idle_timeout, most) = (settings.idle_timeout, settings.max_idle_per_host);
    for (seconds, is_kept) in [(299, true), (300, false)] {
        let (lanes, (lane, _server)) = (Lanes::default(), used().await);
        lanes.park("t:1", lane, idle_timeout, most);
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(lanes.take("other:1", idle_timeout).await.is_none());
        assert_eq!(lanes.take("t:1", idle_timeout).await.is_some(), is_kept, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_that_nobody_uses_any_more_are_closed() {
    let idle_timeout = Some(Duration::from_secs(300));
    let (lanes, (lane, mut server)) = (Lanes::default(), used().await);
    lanes.park("gone:1", lane, idle_timeout, 1000);
    tokio::time::advance(Duration::from_secs(300)).await;
    let (other, _other_server) = used().await;
    lanes.park("other:1", other, idle_timeout, 1000);
    assert_eq!(tokio::io::AsyncReadExt::read(&mut server, &mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_thousand_lanes_are_kept_for_a_host() {
    let settings = prometheus("{}").settings(Surroundings::of_this_process(Path::new(""))).unwrap();
    let (lanes, mut servers) = (Lanes::default(), Vec::new());
    for host in ["t:1", "u:1"] {
        for _ in 0..=1000 {
            let (lane, server) = used().await;
            servers.push(server);
            lanes.park(host, lane, settings.idle_timeout, settings.max_idle_per_host);
        }
    }
    for host in ["t:1", "u:1"] {
        let mut n_kept = 0;
        while lanes.take(host, settings.idle_timeout).await.is_some() {
            n_kept += 1;
        }
        assert_eq!(n_kept, 1000, "{host}");
    }
}
