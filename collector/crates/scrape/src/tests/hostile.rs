//! What becomes of a scrape when the target answers something that cannot be a scrape.

use model::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{job, show, target};
use crate::body::{Buffers, digest};
use crate::cache::Cache;
use crate::report::Report;
use crate::{Failure, Fetch, HttpFetch, ScrapeError};

/// Scrapes a target that answers with these bytes, twice: before that it was fine. Gives the kind of the failure and its
/// text.
async fn failure(config: &str, answer: Vec<u8>) -> (Failure, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let fine = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n";
        let mut streams = Vec::new();
        for bytes in [fine.as_slice(), &answer] {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 4096]).await);
            // A client that has seen enough goes away.
            drop(stream.write_all(bytes).await);
            streams.push(stream);
        }
        std::future::pending::<()>().await;
    });
    let job = job(&format!(
        "{config}\nrelabel_configs: [{{target_label: __address__, replacement: '{address}'}}, {{target_label: instance, replacement: 't:1'}}]"
    ));
    let target = target(&job, &[]);
    let fetch = HttpFetch::build(&job).unwrap();
    let (mut cache, buffers) = (Cache::new(&job, &target, &Default::default()), Buffers::default());
    let mut last = None;
    for (at, expected) in [(1, "a 1\nup 1"), (2, "a STALE\nup 0")] {
        let fetched = fetch.fetch(&target, usize::MAX).await.map_err(ScrapeError::from);
        let digested = digest(fetched, &job, Timestamp(at), &mut cache, &buffers, 0);
        let report = Report {
            is_up: digested.error.is_none(),
            duration: std::time::Duration::ZERO,
            n_scraped: digested.counts.scraped,
            n_kept: digested.counts.kept,
            n_added: digested.counts.added,
            timeout: target.timeout,
            sample_limit: 0,
            body_bytes: digested.body_bytes,
        };
        assert_eq!(show(&cache.finish(&report), false), expected, "{:?}", digested.error);
        cache.delivered();
        last = digested.error;
    }
    let error = last.unwrap();
    (error.kind(), telemetry::error_chain(&error).replace(&address.to_string(), "t:1"))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::compress::compress(wire::compress::Encoding::Gzip, text.as_bytes(), &mut out);
    out
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

const PLAIN: &str = "Content-Type: text/plain\r\n";
const ZIPPED: &str = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";

#[tokio::test]
async fn an_answer_that_is_too_large_names_the_limit() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n".to_vec();
    let (kind, text) = failure("", announced).await;
    assert_eq!(kind, Failure::BodySizeLimit);
    assert!(text.contains("MAX_WIRE_BYTES") && text.contains("limit of 67108863 bytes"), "{text}");
    let (kind, text) = failure("body_size_limit: 1KiB", answer(PLAIN, &[b'#'; 2000])).await;
    assert_eq!(kind, Failure::BodySizeLimit);
    assert!(text.contains("body_size_limit") && text.contains("limit of 1023 bytes"), "{text}");
    // Thirty megabytes in thirty kilobytes.
    let bomb = gzip(&"#".repeat(30 << 20));
    assert!(bomb.len() < 100_000);
    let (kind, text) = failure("body_size_limit: 1MB", answer(ZIPPED, &bomb)).await;
    assert_eq!(kind, Failure::BodySizeLimit);
    assert_eq!(text, "the answer is larger than allowed: body_size_limit is 1048576 bytes");
    let (kind, text) = failure("", answer(ZIPPED, &bomb)).await;
    assert_eq!(kind, Failure::Decompress);
    assert!(
        text.contains("max_ratio (200)") && text.ends_with("set body_size_limit if that is meant"),
        "{text}"
    );
}

#[tokio::test]
async fn labels_have_limits_where_none_is_set() {
    let many = (0..10_000).map(|n| format!("l{n}=\"v\",")).collect::<String>();
    let long = "v".repeat(64 << 10);
    for (page, key, config) in [
        (format!("b{{{many}}} 1\n"), "label_limit exceeded", "label_limit: 20000"),
        (
            format!("b{{l=\"{long}\"}} 1\n"),
            "label_value_length_limit exceeded",
            "label_value_length_limit: 100000",
        ),
        (
            format!("b{{{long}=\"v\"}} 1\n"),
            "label_name_length_limit exceeded",
            "label_name_length_limit: 100000",
        ),
    ] {
        let (kind, text) = failure("", answer(PLAIN, page.as_bytes())).await;
        assert_eq!(kind, Failure::LabelLimit);
        assert!(text.starts_with(key) && text.len() < 200, "{text}");
        let cut = answer(PLAIN, format!("{page}!\n").as_bytes());
        let (kind, text) = failure(config, cut).await;
        assert_eq!(kind, Failure::Parse, "with {config} only the line after it is wrong: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_no_scrape() {
    for (bytes, kind) in [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nb 1\n\r\nzz".to_vec(), Failure::Connect),
        (answer(ZIPPED, &gzip("b 1\n")[..10]), Failure::Decompress),
        (answer(ZIPPED, b"b 1\n"), Failure::Decompress),
    ] {
        assert_eq!(failure("", bytes).await.0, kind);
    }
}

#[tokio::test]
async fn a_content_type_of_something_else_names_the_key_that_helps() {
    for headers in ["Content-Type: text/html\r\n", "Content-Type: ;;\r\n", ""] {
        let (kind, text) = failure("", answer(headers, b"a 1\n")).await;
        assert_eq!(kind, Failure::ContentType, "{headers}");
        assert!(text.contains("fallback_scrape_protocol"), "{text}");
    }
}

#[tokio::test]
async fn only_status_200_is_a_scrape() {
    for status in [101, 201, 204, 206, 301, 304, 404, 503] {
        let bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\na 1\n").into_bytes();
        let (kind, text) = failure("", bytes).await;
        assert_eq!(kind, Failure::Status, "{status}");
        assert!(text.ends_with(&format!("status {status}")), "{text}");
    }
}

#[tokio::test]
async fn limits_of_the_client_reach_the_user_by_name() {
    let lines = "x: y\r\n".repeat(1_000_000);
    let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    let (kind, text) = failure("", head).await;
    assert_eq!(kind, Failure::Connect);
    assert!(text.contains("MAX_HEAD_BYTES") && text.contains("MAX_HEADERS"), "{text}");
    let away = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n";
    let (_, text) = failure("", away.to_vec()).await;
    assert!(text.contains("follow_link_local_redirects"), "{text}");
    let (kind, text) = failure("scrape_timeout: 2s", b"HTTP/1.1 200 OK\r\n".to_vec()).await;
    assert_eq!(kind, Failure::Timeout);
    assert!(text.contains("scrape_timeout (2s)"), "{text}");
}
