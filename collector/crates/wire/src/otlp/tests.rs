//! Views, counting and cutting against `opentelemetry-proto` as the oracle.

mod exponential;
mod oracle;
mod spots;

use bytes::Bytes;
use model::{Frames, Signal};
use opentelemetry_proto::tonic::collector::{
    logs::v1 as clogs, metrics::v1 as cmetrics, trace::v1 as ctrace,
};
use opentelemetry_proto::tonic::metrics::v1 as pb;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn views(bytes: &[u8]) -> ResourceView<'_> {
    ResourceView::new(bytes).unwrap()
}

/// Every item together with all that surrounds it, so that cutting is right where the list stays the same.
fn items(signal: Signal, frames: &Frames) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for resource in &frames.resources {
        match signal {
            Signal::Metrics => {
                all.extend(oracle::points(&pb::ResourceMetrics::decode(&resource[..]).unwrap()))
            }
            Signal::Logs => {
                all.extend(oracle::records(&oracle::logs::ResourceLogs::decode(&resource[..]).unwrap()))
            }
            Signal::Traces => {
                all.extend(oracle::spans(&oracle::traces::ResourceSpans::decode(&resource[..]).unwrap()));
            }
        }
    }
    all
}

fn received(signal: Signal, request: &[u8]) -> Frames {
    resources_of_request(signal, &Bytes::copy_from_slice(request)).unwrap()
}

/// Takes a request apart and puts it together, whole and cut at `n`.
fn apart_and_together(signal: Signal, request: &[u8], n: prop::sample::Index) -> Result<(), TestCaseError> {
    let frames = received(signal, request);
    let want = items(signal, &frames);
    prop_assert_eq!(frames.n_items, want.len());
    prop_assert_eq!(&request_of(&frames)[..], request);
    let checked: usize = frames.resources.iter().map(|resource| check(signal, resource).unwrap()).sum();
    prop_assert_eq!(checked, want.len());

    let mut rest = frames.clone();
    let n = n.index(want.len() + 2);
    let head = take(signal, &mut rest, n).unwrap();
    prop_assert_eq!(head.n_items, n.min(want.len()));
    for part in [&head, &rest] {
        let counted: usize =
            part.resources.iter().map(|resource| count_items(signal, resource).unwrap()).sum();
        prop_assert_eq!(part.n_items, counted);
    }
    let mut got = items(signal, &head);
    got.extend(items(signal, &rest));
    prop_assert_eq!(got, want);
    Ok(())
}

/// Whatever is done to damaged bytes, nothing panics, and what is checked can be read.
fn survives(signal: Signal, bytes: &[u8]) {
    let Ok(mut frames) = resources_of_request(signal, &Bytes::copy_from_slice(bytes)) else { return };
    for resource in &frames.resources {
        let checked = check(signal, resource);
        assert!(count_items(signal, resource).is_ok());
        if checked.is_ok() {
            oracle::walk(signal, &views(resource));
        }
    }
    let n = frames.n_items / 2;
    if let Ok(head) = take(signal, &mut frames, n) {
        assert_eq!(head.n_items, n);
    }
}

fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)], cut: prop::sample::Index) -> Vec<u8> {
    for (at, byte) in damage {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    bytes.truncate(cut.index(bytes.len() * 4 + 1));
    bytes
}

fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5)
}

proptest! {
    #[test]
    fn every_field_of_metrics_is_read_as_the_oracle_wrote_it(resource in oracle::resource_metrics()) {
        let bytes = resource.encode_to_vec();
        prop_assert_eq!(oracle::read_metrics(&views(&bytes)), resource);
    }

    #[test]
    fn every_field_of_logs_is_read_as_the_oracle_wrote_it(resource in oracle::resource_logs()) {
        let bytes = resource.encode_to_vec();
        prop_assert_eq!(oracle::read_logs(&views(&bytes)), resource);
    }

    #[test]
    fn every_field_of_spans_is_read_as_the_oracle_wrote_it(resource in oracle::resource_spans()) {
        let bytes = resource.encode_to_vec();
        prop_assert_eq!(oracle::read_spans(&views(&bytes)), resource);
    }

    #[test]
    fn metrics_are_counted_cut_and_joined(
        resource_metrics in prop::collection::vec(oracle::resource_metrics(), 0..3),
        n: prop::sample::Index,
    ) {
        let request = cmetrics::ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        apart_and_together(Signal::Metrics, &request, n)?;
    }

    #[test]
    fn logs_are_counted_cut_and_joined(
        resource_logs in prop::collection::vec(oracle::resource_logs(), 0..3),
        n: prop::sample::Index,
    ) {
        let request = clogs::ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        apart_and_together(Signal::Logs, &request, n)?;
    }

    #[test]
    fn spans_are_counted_cut_and_joined(
        resource_spans in prop::collection::vec(oracle::resource_spans(), 0..3),
        n: prop::sample::Index,
    ) {
        let request = ctrace::ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        apart_and_together(Signal::Traces, &request, n)?;
    }

    #[test]
    fn damaged_requests_never_panic(
        metrics in oracle::resource_metrics(),
        logs in oracle::resource_logs(),
        spans in oracle::resource_spans(),
        damage in damage(),
        cut: prop::sample::Index,
    ) {
        let metrics = cmetrics::ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec();
        survives(Signal::Metrics, &damaged(metrics, &damage, cut));
        let logs = clogs::ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec();
        survives(Signal::Logs, &damaged(logs, &damage, cut));
        let spans = ctrace::ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec();
        survives(Signal::Traces, &damaged(spans, &damage, cut));
    }
}

#[test]
fn frames_share_the_buffer_of_the_request() {
    let request = Bytes::from_static(&[0x0a, 0, 0x0a, 2, 0x12, 0]);
    let frames = resources_of_request(Signal::Traces, &request).unwrap();
    assert_eq!((frames.n_items, frames.resources.len()), (0, 2));
    assert_eq!(frames.resources[1].as_ptr(), request[4..].as_ptr());
}

#[test]
fn taking_nothing_leaves_everything_and_a_failed_cut_changes_nothing() {
    let mut frames = received(Signal::Logs, &[0x0a, 6, 0x12, 4, 0x12, 0, 0x12, 0]);
    let before = frames.clone();
    assert_eq!(take(Signal::Logs, &mut frames, 0).unwrap(), Frames::default());
    assert_eq!(frames, before);
    // Counting sees two records; the third scope cannot be read.
    frames.resources.push(Bytes::from_static(&[0x12, 9]));
    frames.n_items += 5;
    let before = frames.clone();
    assert!(take(Signal::Logs, &mut frames, 3).is_err());
    assert_eq!(frames, before);
}

#[test]
fn invalid_utf8_passes_and_is_lent_as_bytes() {
    // A span named ff fe in one scope.
    let request = [0x0a, 8, 0x12, 6, 0x12, 4, 0x2a, 2, 0xff, 0xfe];
    let frames = received(Signal::Traces, &request);
    assert_eq!(check(Signal::Traces, &frames.resources[0]), Ok(1));
    let scope = views(&frames.resources[0]).scopes().next().unwrap().unwrap();
    assert_eq!(scope.spans().next().unwrap().unwrap().name, [0xff, 0xfe]);
    assert_eq!(request_of(&frames), request);
}

#[test]
fn packed_and_unpacked_numbers_are_read_alike_and_cut_short_ones_are_malformed() {
    use crate::proto::{put_bytes, put_fixed64};
    let mut point = Vec::new();
    put_fixed64(&mut point, 6, 1);
    put_bytes(&mut point, 6, &[2u64.to_le_bytes(), 3u64.to_le_bytes()].concat());
    put_fixed64(&mut point, 6, 4);
    let view = HistogramPoint::decode(Message::new(&point)).unwrap();
    let counts: Vec<u64> = view.bucket_counts().map(Result::unwrap).collect();
    assert_eq!(counts, [1, 2, 3, 4]);
    put_bytes(&mut point, 6, &[0; 9]);
    put_fixed64(&mut point, 6, 5);
    let view = HistogramPoint::decode(Message::new(&point)).unwrap();
    let last: Vec<_> = view.bucket_counts().skip(4).collect();
    assert!(matches!(last[..], [Err(Malformed { what: "packed numbers are cut short", .. })]));
}

#[test]
fn deeply_nested_values_are_refused_by_the_name_of_the_limit() {
    use crate::proto::put_bytes;
    let nested = |levels: usize| {
        let mut value = Vec::new();
        for _ in 0..levels {
            let inner = std::mem::take(&mut value);
            let mut array = Vec::new();
            put_bytes(&mut array, 1, &inner);
            put_bytes(&mut value, 5, &array);
        }
        let mut record = Vec::new();
        put_bytes(&mut record, 5, &value);
        let (mut scope, mut resource) = (Vec::new(), Vec::new());
        put_bytes(&mut scope, 2, &record);
        put_bytes(&mut resource, 2, &scope);
        resource
    };
    assert_eq!(check(Signal::Logs, &nested(40)), Ok(1));
    let error = check(Signal::Logs, &nested(60)).unwrap_err();
    assert!(error.to_string().contains("max_depth (100 messages)"), "{error}");
    assert_eq!(count_items(Signal::Logs, &nested(10_000)), Ok(1));
    assert!(check(Signal::Logs, &nested(10_000)).is_err());
}

#[test]
fn values_become_the_text_that_pdata_gives_them() {
    use oracle::{array, bytes, double, int, map, string};
    let cases = [
        (string("a\"b"), "a\"b"),
        (int(-7), "-7"),
        (oracle::boolean(true), "true"),
        (double(1.0), "1"),
        (double(0.1), "0.1"),
        (double(-0.0), "-0"),
        (double(1e21), "1e+21"),
        (double(-1.5e300), "-1.5e+300"),
        (double(123_456_789_012_345_680_000.0), "123456789012345680000"),
        (double(1e-6), "0.000001"),
        (double(1.5e-7), "1.5e-7"),
        (double(f64::NAN), "NaN"),
        (double(f64::NEG_INFINITY), "-Inf"),
        (bytes(b"hello"), "aGVsbG8="),
        (bytes(b"hell"), "aGVsbA=="),
        (bytes(b"hel"), "aGVs"),
        (oracle::empty(), ""),
        (array(vec![int(1), string("<a&\u{1}\n"), oracle::empty()]), r#"[1,"\u003ca\u0026\u0001\n",null]"#),
        (
            map(vec![("b", bytes(b"x")), ("a", double(f64::INFINITY)), ("b", array(vec![]))]),
            r#"{"a":"+Inf","b":[]}"#,
        ),
    ];
    for (value, want) in cases {
        let encoded = value.encode_to_vec();
        let mut text = String::new();
        let n_replaced = AnyValue::decode(Message::new(&encoded)).unwrap().write_text(&mut text).unwrap();
        assert_eq!((text.as_str(), n_replaced), (want, 0), "{value:?}");
    }
    let mut text = String::new();
    assert_eq!(AnyValue::Str(b"a\xffb").write_text(&mut text), Ok(1));
    assert_eq!(text, "a\u{fffd}b");
}

#[test]
fn the_first_attribute_of_a_key_is_found() {
    let mut resource = Vec::new();
    write::resource(&mut resource, "", |out| {
        for (key, value) in [("a", "1"), ("b", "2"), ("b", "3")] {
            write::attribute(out, write::RESOURCE_ATTRIBUTES, key, value);
        }
    });
    let attributes = views(&resource).resource.attributes();
    assert!(matches!(attributes.get("b"), Some(AnyValue::Str(b"2"))));
    assert!(attributes.get("c").is_none());
}

#[test]
fn answers_are_read_as_they_were_written() {
    assert_eq!(export_response(&PartialSuccess::default()), [0x0a, 0]);
    assert_eq!(partial_success(&[]), Ok(PartialSuccess::default()));
    let partial = PartialSuccess { n_rejected: 3, message: "too old".into() };
    let encoded = export_response(&partial);
    assert_eq!(partial_success(&encoded), Ok(partial));
    let oracle =
        cmetrics::ExportMetricsServiceResponse::decode(&encoded[..]).unwrap().partial_success.unwrap();
    assert_eq!((oracle.rejected_data_points, oracle.error_message.as_str()), (3, "too old"));

    for retry_after in [None, Some(std::time::Duration::new(5, 250_000_000))] {
        let status = Status { code: 14, message: "come again".into(), retry_after };
        assert_eq!(Status::decode(&status.encode()), Ok(status));
    }
    let other_detail = [0x08, 3, 0x1a, 5, 0x0a, 1, b'x', 0x12, 0];
    assert_eq!(Status::decode(&other_detail).map(|status| (status.code, status.retry_after)), Ok((3, None)));
}

#[test]
fn names_of_numbers_are_those_of_the_go_collector() {
    assert_eq!(
        (severity_name(9), severity_name(16), severity_name(25), severity_name(-1)),
        ("Info", "Warn4", "", "")
    );
    assert_eq!((span_kind_name(2), span_kind_name(9)), ("Server", ""));
    assert_eq!((status_code_name(2), status_code_name(-1)), ("Error", ""));
    assert_eq!(Temporality::Cumulative.as_str(), "Cumulative");
}

#[test]
fn what_the_writers_write_the_oracle_reads() {
    assert_eq!(pb::ResourceMetrics::decode(&oracle::written()[..]).unwrap(), oracle::expected_of_written());
}
