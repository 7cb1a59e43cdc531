//! A remote-write 1.0 receiver that keeps a [`Ledger`] and fails on demand.
//!
//! It answers as a Prometheus receiver does: 204 when a request was taken, 400 for one that cannot be read, 415 for
//! another content type. Where the specification asks for more than Prometheus checks (headers, sorted labels), it takes
//! the data and writes the breach down.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::http::{Hangup, Reply, Request, Server, read_body, reply};
use crate::ledger::{COLLECTOR_HEADER, Ledger, WriteRequest};

/// Requests that would be larger than this when unpacked are refused.
pub const MAX_UNPACKED_BYTES: usize = 256 << 20;

/// Something that goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status, nothing is taken.
    Status(u16),
    /// The same with a `Retry-After` header, in seconds.
    RetryAfter(u16, u64),
    /// Taken and answered as always, but only after this long.
    Slow(Duration),
    /// The connection is closed without an answer, nothing is taken.
    Reset,
    /// Everything is taken, then the connection is closed: a sender that tries again makes duplicates.
    LostAnswer,
}

/// A running sink; dropping it stops it.
#[derive(Debug)]
pub struct Sink {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    script: Mutex<Script>,
    body_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    faulted: u64,
}

impl Sink {
    /// Starts a sink that counts.
    pub async fn start() -> io::Result<Sink> {
        Sink::with(Ledger::default()).await
    }

    /// Starts a sink on the given ledger, such as one that [remembers](Ledger::remembering) values.
    pub async fn with(ledger: Ledger) -> io::Result<Sink> {
        let shared = Arc::new(Shared { ledger: Mutex::new(ledger), ..Shared::default() });
        let state = shared.clone();
        let server = Server::start(move |request| receive(state.clone(), request)).await?;
        Ok(Sink { server, shared })
    }

    /// Where to write to.
    pub fn url(&self) -> String {
        self.server.url("/api/v1/write")
    }

    /// The book as it stands. Nothing is received while the guard is held.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    /// Bytes of all bodies that were taken, compressed as they came.
    pub fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Ordering::Relaxed)
    }

    /// The next requests go wrong in these ways, one after the other.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.script).next.extend(faults);
    }

    /// Every request goes wrong in this way, until told otherwise; those of [`Sink::next`] come first.
    pub fn always(&self, fault: Option<Fault>) {
        lock(&self.shared.script).always = fault;
    }

    /// How many requests went wrong on purpose.
    pub fn faulted(&self) -> u64 {
        lock(&self.shared.script).faulted
    }
}

async fn receive(shared: Arc<Shared>, request: Request) -> Result<Reply, Hangup> {
    let fault = lock(&shared.script).take();
    match fault {
        Some(Fault::Status(status)) => return Ok(reply(status, "text/plain", "as the script says\n")),
        Some(Fault::RetryAfter(status, seconds)) => {
            let mut answer = reply(status, "text/plain", "as the script says\n");
            answer.headers_mut().insert("retry-after", seconds.into());
            return Ok(answer);
        }
        Some(Fault::Reset) => return Err(Hangup),
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::LostAnswer) | None => {}
    }
    let answer = take(&shared, request).await;
    if fault == Some(Fault::LostAnswer) { Err(Hangup) } else { Ok(answer) }
}

async fn take(shared: &Shared, request: Request) -> Reply {
    if request.method() != "POST" {
        return reply(405, "text/plain", "only POST is taken\n");
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let collector = header(COLLECTOR_HEADER).to_owned();
    let breaches = breaches(&header);
    if !header("content-type").starts_with("application/x-protobuf") {
        return reply(415, "text/plain", "only application/x-protobuf is read\n");
    }
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(error) => return reply(400, "text/plain", format!("{error:#}\n")),
    };
    match unpack(&body) {
        Ok(request) => {
            let mut ledger = lock(&shared.ledger);
            breaches.into_iter().for_each(|breach| ledger.violation(breach));
            ledger.take(&collector, &request);
            shared.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
            reply(204, "text/plain", "")
        }
        Err(what) => {
            lock(&shared.ledger).violation(what.clone());
            reply(400, "text/plain", format!("{what}\n"))
        }
    }
}

/// Headers that the specification demands and this request lacks.
fn breaches<'a>(header: &impl Fn(&'a str) -> &'a str) -> Vec<String> {
    let demanded = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ];
    let broken = demanded.into_iter().filter(|(name, value)| header(name) != *value);
    broken.map(|(name, value)| format!("header {name} is {:?}, not {value:?}", header(name))).collect()
}

fn unpack(body: &[u8]) -> Result<WriteRequest, String> {
    let length = snap::raw::decompress_len(body).map_err(|error| format!("not snappy: {error}"))?;
    if length > MAX_UNPACKED_BYTES {
        return Err(format!("{length} bytes unpacked, more than {MAX_UNPACKED_BYTES}"));
    }
    let unpacked =
        snap::raw::Decoder::new().decompress_vec(body).map_err(|error| format!("not snappy: {error}"))?;
    WriteRequest::decode(Bytes::from(unpacked)).map_err(|error| format!("not a write request: {error}"))
}

impl Script {
    fn take(&mut self) -> Option<Fault> {
        let fault = self.next.pop_front().or_else(|| self.always.clone());
        self.faulted += u64::from(fault.is_some());
        fault
    }
}

/// A poisoned lock means that a test has failed already; the book may still be read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{self, Answer};
    use crate::ledger::TimeSeries;

    const HEADERS: [(&str, &str); 4] = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("x-muster-collector", "s-3"),
    ];

    fn packed(timeseries: Vec<TimeSeries>) -> Vec<u8> {
        let request = WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&request).unwrap()
    }

    fn up(at: i64) -> Vec<u8> {
        let labels = [("__name__", "up"), ("instance", "shop-0"), ("job", "shop")];
        packed(vec![TimeSeries::new(&labels, &[(at, 1.0)])])
    }

    async fn write(sink: &Sink, body: Vec<u8>) -> anyhow::Result<Answer> {
        http::post(&sink.url(), &HEADERS, body).await
    }

    #[tokio::test]
    async fn a_request_is_read_and_booked_to_its_writer() {
        let sink = Sink::with(Ledger::remembering(10)).await.unwrap();
        assert_eq!(write(&sink, up(1000)).await.unwrap().status, 204);
        let ledger = sink.ledger();
        assert_eq!(ledger.collectors(), ["s-3"]);
        assert_eq!(sink.body_bytes(), up(1000).len() as u64);
        assert_eq!(ledger.totals().delivered, 1);
        assert_eq!(ledger.remembered("up")[0].samples, [(1000, 1.0)]);
        assert_eq!(ledger.violations(), &[] as &[String]);
    }

    #[tokio::test]
    async fn faults_come_in_the_order_of_the_script_and_then_end() {
        let sink = Sink::start().await.unwrap();
        sink.next([Fault::Status(503), Fault::RetryAfter(429, 7), Fault::Reset, Fault::LostAnswer]);
        assert_eq!(write(&sink, up(1000)).await.unwrap().status, 503);
        let told_to_wait = write(&sink, up(1000)).await.unwrap();
        assert_eq!((told_to_wait.status, told_to_wait.header("retry-after")), (429, Some("7")));
        assert!(write(&sink, up(1000)).await.is_err());
        assert_eq!(sink.ledger().totals().requests, 0);
        assert!(write(&sink, up(1000)).await.is_err());
        assert_eq!(write(&sink, up(1000)).await.unwrap().status, 204);
        let totals = sink.ledger().totals();
        assert_eq!((totals.requests, totals.duplicated, sink.faulted()), (2, 1, 4));
    }

    #[tokio::test]
    async fn a_lasting_fault_lasts_until_it_is_lifted() {
        let sink = Sink::start().await.unwrap();
        sink.always(Some(Fault::Status(500)));
        assert_eq!(write(&sink, up(1)).await.unwrap().status, 500);
        assert_eq!(write(&sink, up(1)).await.unwrap().status, 500);
        sink.always(None);
        assert_eq!(write(&sink, up(1)).await.unwrap().status, 204);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_and_written_down() {
        let sink = Sink::start().await.unwrap();
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for body in
            [b"garbage".to_vec(), bomb.to_vec(), snap::raw::Encoder::new().compress_vec(b"\xff").unwrap()]
        {
            assert_eq!(write(&sink, body).await.unwrap().status, 400);
        }
        let other = http::post(&sink.url(), &[("content-type", "application/json")], "{}").await.unwrap();
        assert_eq!(other.status, 415);
        assert_eq!(sink.ledger().totals().violations, 3);
    }

    #[tokio::test]
    async fn missing_headers_are_written_down_but_the_data_is_taken() {
        let sink = Sink::start().await.unwrap();
        let answer = http::post(&sink.url(), &HEADERS[..2], up(1000)).await.unwrap();
        assert_eq!(answer.status, 204);
        let ledger = sink.ledger();
        assert_eq!(ledger.violations(), [r#"header x-prometheus-remote-write-version is "", not "0.1.0""#]);
        assert_eq!(ledger.totals().delivered, 1);
    }
}
