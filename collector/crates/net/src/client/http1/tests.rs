//! Answers from a script: what is read of them, wherever they are cut.

use std::collections::VecDeque;

use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;

use super::*;
use crate::client::Response;
use crate::client::destination::Place;
use crate::client::progress::{BodyLimits, Progress};

/// A connection whose other end says these pieces, each after a pause, and hangs up.
struct Script(VecDeque<Option<Vec<u8>>>);

impl Script {
    fn new<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(pieces.into_iter().flat_map(|piece| [None, Some(piece.to_vec())]).collect())
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.pop_front() {
            Some(None) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Some(mut piece)) => {
                let rest = piece.split_off(piece.len().min(into.remaining()));
                into.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(Some(rest));
                }
            }
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs what needs no sockets.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// What is read of an answer, and whether another request may follow. The error is the innermost one.
fn read<'a>(
    method: &Method,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: BodyLimits,
) -> Result<(Response, bool), String> {
    let innermost = |error: &(dyn std::error::Error + 'static)| {
        let mut error = error;
        while let Some(cause) = error.source() {
            error = cause;
        }
        error.to_string()
    };
    let place = std::sync::Arc::new(Place::parse("http://a/").unwrap());
    let headers = HeaderMap::new();
    let head = RequestHead { method, path: "/", host: "a", user_agent: "test", headers: &headers };
    let mut lane = Lane::new(Conn::new(TokioIo::new(Script::new(pieces)), None));
    block_on(async {
        let sent = lane.send(&head, &Bytes::new()).await;
        let head = sent.map_err(|failed| innermost(&failed.error))?;
        let read = lane.read(&head, limits, &Progress::new(&place)).await;
        let (body, trailers) = read.map_err(|error| innermost(&error))?;
        let response = Response { status: head.status.as_u16(), headers: head.headers, body, trailers };
        Ok((response, lane.may_be_parked()))
    })
}

const NO_LIMITS: BodyLimits = BodyLimits { most: usize::MAX, kept: usize::MAX, is_cut: false };

fn whole(method: &Method, text: &str) -> String {
    match read(method, [text.as_bytes()], NO_LIMITS) {
        Ok((answer, may_follow)) => {
            let body = String::from_utf8_lossy(&answer.body);
            let next = if may_follow { "kept" } else { "closed" };
            format!("{} {body:?} {next}", answer.status)
        }
        Err(error) => error,
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(whole(&Method::GET, text), *expected, "{text:?}");
    }
}

#[test]
fn a_body_ends_where_rfc_9112_section_6_3_says() {
    check(&[
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" kept"#),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", r#"200 "" kept"#),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", r#"200 "ok" kept"#),
        ("HTTP/1.1 200 OK\r\n\r\nok", r#"200 "ok" closed"#),
        ("HTTP/1.1 204 No Content\r\n\r\n", r#"204 "" kept"#),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", r#"304 "" kept"#),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
            "connection was closed before the answer was complete",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-len", "connection was closed before the answer was complete"),
    ]);
    assert_eq!(whole(&Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), r#"200 "" kept"#);
}

#[test]
fn interim_answers_are_skipped_and_a_switch_of_protocols_is_not_followed() {
    check(&[
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            r#"200 "ok" kept"#,
        ),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", r#"101 "" closed"#),
    ]);
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused_or_ends_the_connection() {
    let bad_length = "content-length is not a number, or not the same each time";
    let bad_encoding = "transfer-encoding is not `chunked`, or was sent with HTTP/1.0";
    check(&[
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" kept"#),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", r#"200 "ok" kept"#),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", bad_length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok", bad_length),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\ncontent-length: 2\r\n\r\nok", bad_length),
        ("HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", bad_length),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok", bad_length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nok", bad_length),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            r#"200 "ok" closed"#,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", bad_encoding),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            bad_encoding,
        ),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", bad_encoding),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", r#"200 "ok" closed"#),
    ]);
}

#[test]
fn a_connection_is_kept_as_both_sides_say() {
    check(&[
        ("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" closed"#),
        ("HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" closed"#),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" closed"#),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", r#"200 "ok" kept"#),
    ]);
}

#[test]
fn chunks_are_read_strictly() {
    let chunks = |text: &str| {
        whole(&Method::GET, &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{text}"))
    };
    assert_eq!(chunks("1;a=b\r\no\r\n01 ;\tc\r\nk\r\n000\r\nx: y\r\n\r\n"), r#"200 "ok" kept"#);
    let size = "size of a chunk is not a hexadecimal number of at most 64 bits";
    let line = "a line does not end with CR LF";
    for (text, expected) in [
        ("\r\n", size),
        (";\r\n", size),
        ("-1\r\n", size),
        ("1 1\r\n", size),
        ("1\nx", size),
        ("11111111111111111\r\n", size),
        ("1\r\nxy", line),
        ("1\r\nx\n0", line),
        ("1;a\nb\r\n", line),
        ("0\r\nx: y\n\r\n", line),
        ("0\r\n\ry", line),
    ] {
        assert_eq!(chunks(text), expected, "{text:?}");
    }
    let trailers = chunks("0\r\nbad trailer\r\n\r\n");
    assert!(trailers.starts_with("trailers are no headers"), "{trailers}");
    let zeros = chunks(&"0".repeat(MAX_HEAD_BYTES + 2));
    assert!(zeros.contains("larger than the limit MAX_HEAD_BYTES (16384 bytes)"), "{zeros}");
}

#[test]
fn trailers_are_given_with_the_body() {
    let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n";
    let (answer, _) = read(&Method::GET, [text.as_bytes()], NO_LIMITS).unwrap();
    assert_eq!(answer.trailers["grpc-status"], "0");
}

#[test]
fn a_head_of_the_limit_is_read_and_one_more_byte_is_refused() {
    let head = |n_bytes: usize| {
        let (start, end) = ("HTTP/1.1 204 OK\r\nx: ", "\r\n\r\n");
        format!("{start}{}{end}", "y".repeat(n_bytes - start.len() - end.len()))
    };
    assert_eq!(whole(&Method::GET, &head(MAX_HEAD_BYTES)), r#"204 "" kept"#);
    assert_eq!(whole(&Method::GET, &head(MAX_HEAD_BYTES + 1)), "head is larger than the limits");
}

/// Parts of answers, right and wrong ones, put together in any order.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "content-length: 5",
        "content-length: 5, 5",
        "content-length: 70000",
        "transfer-encoding: chunked",
        "connection: close",
        "Date: Sat, 21 Nov 2026 21:21:21 GMT",
        "empty:",
        "spaced:  \t a b \t",
        "x: \u{fc}",
        "no colon",
        "bad name: x",
    ]);
    let start = prop::sample::select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 503 ",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.2 200 OK",
    ]);
    let body = prop_oneof![
        Just("hello".to_owned()),
        Just("2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n".to_owned()),
        Just("0A \r\n0123456789\r\n0\r\na: b\r\nc:\r\n\r\n".to_owned()),
        Just(format!("11170\r\n{}\r\n0\r\n\r\n", "z".repeat(70_000))),
        Just("z".repeat(70_000)),
        "[0-9a-fx;: \r\n]{0,40}",
    ];
    let flip = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (start, prop::collection::vec(line, 0..4), body, flip).prop_map(|(start, lines, body, flip)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut text = format!("{start}\r\n{lines}\r\n{body}").into_bytes();
        if let Some((index, byte)) = flip {
            let index = index.index(text.len().min(300));
            text[index] = byte;
        }
        text
    })
}

/// The same answer, read by hyper.
fn read_by_hyper(text: &[u8]) -> Result<(StatusCode, HeaderMap, Bytes, HeaderMap), hyper::Error> {
    block_on(async {
        let script = TokioIo::new(Script::new([text]));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(script).await?;
        let asking = async {
            let answer = sender.send_request(http::Request::new(Empty::<Bytes>::new())).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Ok((head.status, head.headers, body.to_bytes(), trailers))
        };
        let (answer, _ended) = tokio::join!(asking, connection);
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What is read does not depend on how it is cut on the way.
    #[test]
    fn an_answer_in_pieces_is_the_answer(
        text in answers(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        most in prop::sample::select(vec![3, 5, 100, usize::MAX]),
        kept in prop::sample::select(vec![0, 4, 5, usize::MAX]),
        is_cut: bool,
    ) {
        let limits = BodyLimits { most, kept, is_cut };
        // Most cuts in the first bytes, where the rules are.
        let mut places: Vec<usize> = cuts.iter().enumerate()
            .map(|(nth, cut)| cut.index(if nth % 4 == 0 { text.len() } else { text.len().min(150) }))
            .collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).filter(|piece| !piece.is_empty());
        // What comes behind an answer may come too late to be noticed here; the next request will notice.
        let seen = |read: Result<(Response, bool), String>| read.map(|(answer, _)| {
            (answer.status, answer.headers, answer.body, answer.trailers)
        });
        prop_assert_eq!(seen(read(&Method::GET, pieces, limits)), seen(read(&Method::GET, [&text[..]], limits)));
    }

    /// hyper accepts what is accepted here, and reads the same. It refuses what is refused here, except where this is
    /// stricter on purpose.
    #[test]
    fn an_answer_is_what_hyper_makes_of_it(text in answers()) {
        let shown = String::from_utf8_lossy(&text[..text.len().min(300)]);
        match (read(&Method::GET, [&text[..]], NO_LIMITS), read_by_hyper(&text)) {
            (Ok((ours, _)), Ok((status, headers, body, trailers))) => {
                prop_assert_eq!(ours.status, status.as_u16(), "{}", shown);
                prop_assert_eq!(ours.headers, headers, "{}", shown);
                prop_assert_eq!(ours.body, body, "{}", shown);
                prop_assert_eq!(ours.trailers, trailers, "{}", shown);
            }
            (Err(_), Err(_)) => {}
            (Err(ours), Ok(_)) => prop_assert!(
                ours.contains("transfer-encoding is not") || ours.contains("does not end with CR LF"),
                "{}: {}", ours, shown
            ),
            (Ok(ours), Err(hyper)) => prop_assert!(false, "{:?}, {}: {}", ours, hyper, shown),
        }
    }
}
