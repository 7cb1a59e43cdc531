//! A remote-write receiver, 1.0 and 2.0, that keeps a [`Ledger`] and fails on demand.
//!
//! It answers as a Prometheus receiver does: 204 when a request was taken, with the headers that say what was written if
//! it was one of 2.0; 400 for one that cannot be read; 415 for another content type. Where the specification asks for
//! more than Prometheus checks (headers, sorted labels, symbols), it takes the data and writes the breach down. It can also
//! be a receiver that knows less ([`Dialect`]).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::http::{Hangup, Reply, Request, Server, read_body, reply};
use crate::ledger::{COLLECTOR_HEADER, Ledger, RequestV2, WriteRequest, Written};

/// Requests that would be larger than this when unpacked are refused.
pub const MAX_UNPACKED_BYTES: usize = 256 << 20;

/// How many requests are kept in [`Sink::seen`].
pub const HISTORY: usize = 1000;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// Which protocols a sink knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Both.
    #[default]
    Both,
    /// 1.0, and it does not look at the content type: a request of 2.0 is an empty one of 1.0, and a success that says
    /// nothing of what was written. So Prometheus until 2.53.
    Old,
    /// 1.0; anything else is answered with 415.
    RefusesV2,
    /// 2.0; anything else is answered with 415.
    OnlyV2,
}

/// A request as it came, and its answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was answered.
    pub at: std::time::Instant,
    /// Its headers.
    pub headers: hyper::HeaderMap,
    /// The status of the answer; `None` where the connection was closed instead.
    pub status: Option<u16>,
}

impl Seen {
    /// The value of a header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// What it said it was.
    pub fn version(&self) -> Option<Version> {
        version_of(self.header("content-type"))
    }
}

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
    /// The last so many series of a request of 2.0 are not taken, as the answer says; one of 1.0 is taken whole.
    Partial(usize),
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
    dialect: Mutex<Dialect>,
    seen: Mutex<VecDeque<Seen>>,
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

    /// From now on it knows these protocols.
    pub fn speak(&self, dialect: Dialect) {
        *lock(&self.shared.dialect) = dialect;
    }

    /// The last [`HISTORY`] requests, oldest first, those that went wrong too.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).iter().cloned().collect()
    }

    /// How many requests went wrong on purpose.
    pub fn faulted(&self) -> u64 {
        lock(&self.shared.script).faulted
    }
}

async fn receive(shared: Arc<Shared>, request: Request) -> Result<Reply, Hangup> {
    let headers = request.headers().clone();
    let answer = with_faults(&shared, request).await;
    let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
    let mut seen = lock(&shared.seen);
    seen.push_back(Seen { at: std::time::Instant::now(), headers, status });
    if seen.len() > HISTORY {
        seen.pop_front();
    }
    answer
}

async fn with_faults(shared: &Shared, request: Request) -> Result<Reply, Hangup> {
    let fault = lock(&shared.script).take();
    let mut left_out = 0;
    match fault {
        Some(Fault::Status(status)) => return Ok(reply(status, "text/plain", "as the script says\n")),
        Some(Fault::RetryAfter(status, seconds)) => {
            let mut answer = reply(status, "text/plain", "as the script says\n");
            answer.headers_mut().insert("retry-after", seconds.into());
            return Ok(answer);
        }
        Some(Fault::Reset) => return Err(Hangup),
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Partial(n_series)) => left_out = n_series,
        Some(Fault::LostAnswer) | None => {}
    }
    let answer = take(shared, request, left_out).await;
    if fault == Some(Fault::LostAnswer) { Err(Hangup) } else { Ok(answer) }
}

async fn take(shared: &Shared, request: Request, left_out: usize) -> Reply {
    if request.method() != "POST" {
        return reply(405, "text/plain", "only POST is taken\n");
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let collector = header(COLLECTOR_HEADER).to_owned();
    let dialect = *lock(&shared.dialect);
    let version = match (dialect, version_of(header("content-type"))) {
        (Dialect::Old, _) => Version::V1,
        (Dialect::RefusesV2, Some(Version::V2)) | (Dialect::OnlyV2, Some(Version::V1)) | (_, None) => {
            return reply(415, "text/plain", format!("{:?} is not read\n", header("content-type")));
        }
        (_, Some(version)) => version,
    };
    let breaches = if dialect == Dialect::Old { Vec::new() } else { breaches(version, &header) };
    let is_zstd = dialect != Dialect::Old && speaks_vm(version, &header);
    let unpacked = match read_body(request).await {
        Ok(body) => unpack(&body, is_zstd).map(|unpacked| (body.len(), unpacked)),
        Err(error) => return reply(400, "text/plain", format!("{error:#}\n")),
    };
    let mut ledger = lock(&shared.ledger);
    let booked = unpacked.and_then(|(n_bytes, body)| {
        let answer = match version {
            Version::V1 => take_v1(&mut ledger, &collector, body),
            Version::V2 => take_v2(&mut ledger, &collector, body, left_out),
        };
        Ok((n_bytes, answer?))
    });
    match booked {
        Ok((n_bytes, answer)) => {
            breaches.into_iter().for_each(|breach| ledger.violation(breach));
            shared.body_bytes.fetch_add(n_bytes as u64, Ordering::Relaxed);
            answer
        }
        Err(what) => {
            ledger.violation(what.clone());
            reply(400, "text/plain", format!("{what}\n"))
        }
    }
}

fn take_v1(ledger: &mut Ledger, collector: &str, body: Bytes) -> Result<Reply, String> {
    let request = WriteRequest::decode(body);
    ledger.take(collector, &request.map_err(|error| format!("not a write request: {error}"))?);
    Ok(reply(204, "text/plain", ""))
}

fn take_v2(ledger: &mut Ledger, collector: &str, body: Bytes, left_out: usize) -> Result<Reply, String> {
    let request = RequestV2::decode(body);
    let mut request = request.map_err(|error| format!("not a write request of 2.0: {error}"))?;
    if let Err(breach) = request.check() {
        ledger.violation(breach);
    }
    request.timeseries.truncate(request.timeseries.len().saturating_sub(left_out));
    let (as_v1, told) = request.to_v1()?;
    ledger.take_v2(collector, &as_v1, told);
    let Written { samples, histograms, exemplars } = request.counts();
    let mut answer = if left_out == 0 {
        reply(204, "text/plain", "")
    } else {
        reply(200, "text/plain", format!("{left_out} series were not written\n"))
    };
    for (name, count) in [
        ("x-prometheus-remote-write-samples-written", samples),
        ("x-prometheus-remote-write-histograms-written", histograms),
        ("x-prometheus-remote-write-exemplars-written", exemplars),
    ] {
        answer.headers_mut().insert(name, count.into());
    }
    Ok(answer)
}

/// What a content type stands for; without `proto` it is 1.0.
fn version_of(content_type: &str) -> Option<Version> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    match (kind.trim(), parameters.trim()) {
        ("application/x-protobuf", "" | "proto=prometheus.WriteRequest") => Some(Version::V1),
        ("application/x-protobuf", "proto=io.prometheus.write.v2.Request") => Some(Version::V2),
        _ => None,
    }
}

/// Headers that the specification demands and this request lacks.
fn breaches<'a>(version: Version, header: &impl Fn(&'a str) -> &'a str) -> Vec<String> {
    let number = if version == Version::V1 { "0.1.0" } else { "2.0.0" };
    let encoding = if speaks_vm(version, header) { "zstd" } else { "snappy" };
    let demanded = [("content-encoding", encoding), ("x-prometheus-remote-write-version", number)];
    let broken = demanded.into_iter().filter(|(name, value)| header(name) != *value);
    let mut breaches: Vec<String> =
        broken.map(|(name, value)| format!("header {name} is {:?}, not {value:?}", header(name))).collect();
    if header("user-agent").is_empty() {
        breaches.push("header user-agent is absent".to_owned());
    }
    breaches
}

/// Whether this is VictoriaMetrics' variant of 1.0, which is compressed by zstd.
fn speaks_vm<'a>(version: Version, header: &impl Fn(&'a str) -> &'a str) -> bool {
    version == Version::V1 && header("x-victoriametrics-remote-write-version") == "1"
}

fn unpack(body: &[u8], is_zstd: bool) -> Result<Bytes, String> {
    if is_zstd {
        let unpacked = zstd::bulk::decompress(body, MAX_UNPACKED_BYTES);
        return Ok(unpacked.map_err(|error| format!("not zstd, or too large: {error}"))?.into());
    }
    let length = snap::raw::decompress_len(body).map_err(|error| format!("not snappy: {error}"))?;
    if length > MAX_UNPACKED_BYTES {
        return Err(format!("{length} bytes unpacked, more than {MAX_UNPACKED_BYTES}"));
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(body);
    Ok(unpacked.map_err(|error| format!("not snappy: {error}"))?.into())
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

    const HEADERS: [(&str, &str); 5] = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("user-agent", "test"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("x-muster-collector", "s-3"),
    ];
    const HEADERS_V2: [(&str, &str); 4] = [
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        ("content-encoding", "snappy"),
        ("user-agent", "test"),
        ("x-prometheus-remote-write-version", "2.0.0"),
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
        let answer = http::post(&sink.url(), &HEADERS[..3], up(1000)).await.unwrap();
        assert_eq!(answer.status, 204);
        let ledger = sink.ledger();
        assert_eq!(ledger.violations(), [r#"header x-prometheus-remote-write-version is "", not "0.1.0""#]);
        assert_eq!(ledger.totals().delivered, 1);
    }

    /// `up` of a target, in 2.0.
    fn up_v2(change: impl FnOnce(&mut RequestV2)) -> Vec<u8> {
        let symbols = ["", "__name__", "up", "instance", "shop-0", "job", "shop", "Whether it is up."];
        let series = crate::ledger::request_v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4, 5, 6],
            samples: vec![crate::ledger::request_v2::Sample {
                value: 1.0,
                timestamp: 2000,
                start_timestamp: 1000,
            }],
            metadata: Some(crate::ledger::request_v2::Metadata { kind: 2, help_ref: 7, unit_ref: 0 }),
            ..Default::default()
        };
        let symbols = symbols.map(|text| Bytes::from_static(text.as_bytes())).to_vec();
        let mut request = RequestV2 { symbols, timeseries: vec![series] };
        change(&mut request);
        snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
    }

    async fn write_v2(sink: &Sink, body: Vec<u8>) -> Answer {
        http::post(&sink.url(), &HEADERS_V2, body).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_of_2_0_is_booked_and_the_answer_says_what_was_written() {
        let sink = Sink::with(Ledger::remembering(10)).await.unwrap();
        let answer = write_v2(&sink, up_v2(|_| {})).await;
        assert_eq!(answer.status, 204);
        let written = ["samples", "histograms", "exemplars"].map(|kind| {
            answer.header(&format!("x-prometheus-remote-write-{kind}-written")).unwrap_or("").to_owned()
        });
        assert_eq!(written, ["1", "0", "0"]);
        let ledger = sink.ledger();
        assert_eq!(ledger.violations(), &[] as &[String]);
        let up = ledger.remembered("up")[0];
        let told = up.told.as_ref().unwrap();
        assert_eq!((told.kind, &*told.help, &told.starts[..]), (2, "Whether it is up.", &[1000][..]));
        assert_eq!(up.samples, [(2000, 1.0)]);
        drop(ledger);
        assert_eq!(sink.seen()[0].version(), Some(Version::V2));
    }

    #[tokio::test]
    async fn breaches_of_2_0_are_written_down() {
        for (change, what) in [
            ((|request| request.symbols[0] = "x".into()) as fn(&mut RequestV2), "first symbol"),
            (|request| request.symbols.push("up".into()), "a symbol stands twice"),
            (|request| request.timeseries[0].labels_refs = vec![5, 6, 1, 2], "not sorted"),
            (|request| request.timeseries[0].samples.clear(), "neither samples nor histograms"),
            (
                |request| request.timeseries[0].histograms.push(Default::default()),
                "samples beside histograms",
            ),
            (|request| request.timeseries[0].samples[0].start_timestamp = 2000, "a start that is not before"),
            (|request| request.timeseries[0].samples[0].timestamp = 0, "not before"),
            (|request| request.timeseries.clear(), "without series"),
        ] {
            let sink = Sink::start().await.unwrap();
            write_v2(&sink, up_v2(change)).await;
            let violations = sink.ledger().violations().join("; ");
            assert!(violations.contains(what), "{what}: {violations}");
        }
    }

    #[tokio::test]
    async fn references_that_lead_nowhere_are_refused() {
        for refs in [vec![1, 99], vec![1]] {
            let sink = Sink::start().await.unwrap();
            let answer = write_v2(&sink, up_v2(|request| request.timeseries[0].labels_refs = refs)).await;
            assert_eq!((answer.status, sink.ledger().totals().delivered), (400, 0));
        }
    }

    #[tokio::test]
    async fn a_sink_can_know_less() {
        let sink = Sink::start().await.unwrap();
        for (dialect, v1, v2) in
            [(Dialect::RefusesV2, 204, 415), (Dialect::OnlyV2, 415, 204), (Dialect::Old, 204, 204)]
        {
            sink.speak(dialect);
            let delivered = sink.ledger().totals().delivered;
            let answer = write_v2(&sink, up_v2(|_| {})).await;
            assert_eq!(answer.status, v2, "{dialect:?}");
            if dialect == Dialect::Old {
                assert_eq!(sink.ledger().totals().delivered, delivered);
                assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), None);
            }
            assert_eq!(write(&sink, up(1000)).await.unwrap().status, v1, "{dialect:?}");
        }
        assert_eq!(sink.ledger().violations(), &[] as &[String]);
    }

    #[tokio::test]
    async fn what_is_left_out_is_missing_in_the_answer() {
        let sink = Sink::start().await.unwrap();
        sink.next([Fault::Partial(1)]);
        let answer = write_v2(&sink, up_v2(|_| {})).await;
        assert_eq!(
            (answer.status, answer.header("x-prometheus-remote-write-samples-written")),
            (200, Some("0"))
        );
        assert_eq!(sink.ledger().totals().delivered, 0);
    }
}
