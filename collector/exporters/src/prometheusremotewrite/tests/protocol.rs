//! Which protocol is spoken, against a receiver that checks what it gets.

use model::Signal;
use pipeline::Head;
use world::ledger::Ledger;
use world::sink::{Dialect, Fault, Sink, Version};

use super::*;

/// An exporter with the metrics of this registry.
pub(super) async fn writing_to(sink: &Sink, yaml: &str) -> (PrometheusRemoteWrite, Registry) {
    let mut exporter = built(&format!("endpoint: {}\ntarget_info: {{enabled: false}}\n{yaml}", sink.url()));
    let life = Life::for_test("prometheusremotewrite", &pipeline::Stop::new());
    exporter.start(&life).await.unwrap();
    (exporter, life.telemetry().clone())
}

/// The requests that a scrape of two series at this time becomes.
pub(super) fn sealed(exporter: &PrometheusRemoteWrite, at: i64) -> Request {
    let scrape = Scrape { at: Timestamp(at), ..scrape(2) };
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_scrape(scrape), &mut bodies).unwrap();
    let n_items = bodies.first().n_items as u64;
    let Sealed { payload, format } = exporter.seal(&mut bodies.first().bytes);
    let at = Timestamp(at);
    let head = Head { signal: Signal::Metrics, n_items, oldest: at, newest: at, format };
    Request { payload, head }
}

async fn write(exporter: &PrometheusRemoteWrite, at: i64) -> Result<(), ExportError> {
    exporter.send(&sealed(exporter, at), 0).await
}

/// Versions of the requests, and the statuses of their answers.
fn heard(sink: &Sink) -> Vec<(Version, u16)> {
    sink.seen().iter().map(|seen| (seen.version().unwrap(), seen.status.unwrap())).collect()
}

fn version_metric(registry: &Registry) -> Option<f64> {
    registry.value("muster_remote_write_protocol_version", &[("exporter", "prometheusremotewrite")])
}

async fn sink() -> Sink {
    Sink::with(Ledger::remembering(10)).await.unwrap()
}

#[tokio::test]
async fn a_receiver_that_knows_2_0_gets_2_0() {
    let sink = sink().await;
    let (exporter, metrics) = writing_to(&sink, "").await;
    for at in [1000, 2000] {
        write(&exporter, at).await.unwrap();
    }
    assert_eq!(heard(&sink), [(Version::V2, 204), (Version::V2, 204)]);
    let ledger = sink.ledger();
    assert_eq!((ledger.totals().delivered, ledger.violations()), (4, &[] as &[String]));
    assert_eq!(ledger.remembered("requests_total")[0].told.as_ref().unwrap().help, "All of them.");
    assert_eq!(version_metric(&metrics), Some(2.0));
}

#[tokio::test]
async fn the_headers_are_those_of_the_specification() {
    let sink = sink().await;
    for (yaml, kind, version) in [
        ("", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        ("protobuf_message: prometheus.WriteRequest", "application/x-protobuf", "0.1.0"),
    ] {
        let (exporter, _) = writing_to(&sink, yaml).await;
        exporter.send(&sealed(&exporter, 1000), 3).await.unwrap();
        let seen = sink.seen().pop().unwrap();
        assert_eq!(seen.header("content-type"), kind);
        assert_eq!(seen.header("x-prometheus-remote-write-version"), version);
        assert_eq!((seen.header("content-encoding"), seen.header("retry-attempt")), ("snappy", "3"));
        assert!(seen.header("user-agent").starts_with("muster/"), "{}", seen.header("user-agent"));
        exporter.send(&sealed(&exporter, 2000), 0).await.unwrap();
        assert_eq!(sink.seen().pop().unwrap().header("retry-attempt"), "");
    }
}

#[tokio::test]
async fn fallback_on_415_is_lasting_and_loses_nothing() {
    for yaml in ["", "protobuf_message: io.prometheus.write.v2.Request"] {
        let sink = sink().await;
        sink.speak(Dialect::RefusesV2);
        let (exporter, metrics) = writing_to(&sink, yaml).await;
        for at in [1000, 2000] {
            write(&exporter, at).await.unwrap();
        }
        assert_eq!(heard(&sink), [(Version::V2, 415), (Version::V1, 204), (Version::V1, 204)]);
        let totals = sink.ledger().totals();
        assert_eq!((totals.delivered, totals.duplicated, totals.violations), (4, 0, 0));
        assert_eq!(version_metric(&metrics), Some(1.0));
    }
}

#[tokio::test]
async fn success_of_an_old_receiver_is_not_taken_for_one() {
    let sink = sink().await;
    sink.speak(Dialect::Old);
    let (exporter, _) = writing_to(&sink, "").await;
    for at in [1000, 2000] {
        write(&exporter, at).await.unwrap();
    }
    assert_eq!(heard(&sink), [(Version::V2, 204), (Version::V1, 204), (Version::V1, 204)]);
    assert_eq!(sink.ledger().totals().delivered, 4);
}

#[tokio::test]
async fn no_fallback_on_success_where_2_0_was_asked_for() {
    let sink = sink().await;
    sink.speak(Dialect::Old);
    let (exporter, _) = writing_to(&sink, "protobuf_message: io.prometheus.write.v2.Request").await;
    for at in [1000, 2000] {
        let error = write(&exporter, at).await.unwrap_err();
        assert!(telemetry::error_chain(&error).contains("protobuf_message"), "{error:?}");
    }
    assert_eq!(heard(&sink), [(Version::V2, 204), (Version::V2, 204)]);
}

#[tokio::test]
async fn the_first_rejection_is_tried_as_1_0() {
    for status in [400, 406] {
        let sink = sink().await;
        sink.next([Fault::Status(status)]);
        let (exporter, _) = writing_to(&sink, "").await;
        write(&exporter, 1000).await.unwrap();
        write(&exporter, 2000).await.unwrap();
        assert_eq!(heard(&sink), [(Version::V2, status), (Version::V1, 204), (Version::V1, 204)]);
    }
}

#[tokio::test]
async fn a_rejection_by_both_settles_nothing_and_2_0_is_tried_again() {
    let sink = sink().await;
    sink.next([Fault::Status(400), Fault::Status(400), Fault::Status(400), Fault::Status(400)]);
    let (exporter, _) = writing_to(&sink, "").await;
    for at in [1000, 2000] {
        assert!(write(&exporter, at).await.is_err());
    }
    write(&exporter, 3000).await.unwrap();
    assert_eq!(
        heard(&sink),
        [(Version::V2, 400), (Version::V1, 400), (Version::V2, 400), (Version::V1, 400), (Version::V2, 204)]
    );
}

#[tokio::test]
async fn trouble_that_passes_says_nothing_about_the_protocol() {
    let sink = sink().await;
    sink.next([Fault::Status(503), Fault::RetryAfter(429, 1), Fault::Reset]);
    let (exporter, _) = writing_to(&sink, "").await;
    for _ in 0..3 {
        assert!(matches!(write(&exporter, 1000).await, Err(ExportError::Later { .. })));
    }
    write(&exporter, 1000).await.unwrap();
    assert_eq!(sink.seen().pop().unwrap().version(), Some(Version::V2));
}

#[tokio::test]
async fn what_was_sealed_before_the_fallback_is_sent_as_1_0() {
    let sink = sink().await;
    sink.speak(Dialect::RefusesV2);
    let (exporter, _) = writing_to(&sink, "send_metadata: true").await;
    let queued: Vec<Request> = [1000, 2000, 3000].map(|at| sealed(&exporter, at)).into();
    for request in &queued {
        exporter.send(request, 0).await.unwrap();
    }
    let versions: Vec<Version> = heard(&sink).iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [Version::V2, Version::V1, Version::V1, Version::V1]);
    let totals = sink.ledger().totals();
    assert_eq!((totals.delivered, totals.metadata, totals.violations), (6, 3, 0));
}

#[tokio::test]
async fn what_was_sealed_as_1_0_is_sent_as_it_is() {
    let sink = sink().await;
    let (old, _) = writing_to(&sink, "protobuf_message: prometheus.WriteRequest").await;
    let (exporter, _) = writing_to(&sink, "").await;
    exporter.send(&sealed(&old, 1000), 0).await.unwrap();
    write(&exporter, 2000).await.unwrap();
    assert_eq!(heard(&sink), [(Version::V1, 204), (Version::V2, 204)]);
}

#[tokio::test]
async fn names_are_escaped_after_the_fallback() {
    let sink = sink().await;
    sink.speak(Dialect::RefusesV2);
    let (exporter, _) = writing_to(&sink, "translation_strategy: NoTranslation").await;
    let mut table = SeriesTable::new();
    let labels = [("__name__", "http.requests"), ("instance", "h:1"), ("job", "j")];
    let points = vec![Point { series: table.insert(labels, None), bits: 1 }];
    let scrape = Scrape { table: Arc::new(table), points, ..scrape(0) };
    for at in [1000, 2000] {
        let mut bodies = Bodies::new(1);
        let scrape = Scrape { at: Timestamp(at), ..scrape.clone() };
        exporter.encode(&Batch::from_scrape(scrape), &mut bodies).unwrap();
        let Sealed { payload, format } = exporter.seal(&mut bodies.first().bytes);
        let head = Head { format, ..sealed(&exporter, at).head };
        exporter.send(&Request { payload, head }, 0).await.unwrap();
    }
    let ledger = sink.ledger();
    assert_eq!(ledger.remembered("http_requests")[0].samples.len(), 2);
}

#[tokio::test]
async fn what_the_receiver_has_not_written_is_counted_by_kind() {
    let sink = sink().await;
    sink.next([Fault::Partial(1)]);
    let (exporter, metrics) = writing_to(&sink, "").await;
    let _judged = write(&exporter, 1000).await;
    let unwritten = |kind| {
        let labels = [("exporter", "prometheusremotewrite"), ("kind", kind)];
        metrics.value("muster_remote_write_unwritten_total", &labels)
    };
    assert_eq!((unwritten("samples"), unwritten("exemplars")), (Some(1.0), Some(0.0)));
}
