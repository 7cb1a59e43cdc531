//! Sealed requests in halves.

use std::collections::BTreeSet;

use model::Signal;
use pipeline::Head;
use wire::remote_write::v2;

use super::*;

fn sealed(exporter: &PrometheusRemoteWrite, n_series: usize) -> Request {
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_scrape(scrape(n_series)), &mut bodies).unwrap();
    let n_items = bodies.first().n_items as u64;
    let Sealed { payload, format } = exporter.seal(&mut bodies.first().bytes);
    let at = Timestamp(1000);
    Request { payload, head: Head { signal: Signal::Metrics, n_items, oldest: at, newest: at, format } }
}

fn numbers(request: &Request) -> BTreeSet<String> {
    let mut plain = Vec::new();
    decompress(Encoding::Snappy, &request.payload, Limit::bytes(1 << 24), &mut plain).unwrap();
    let number = |labels: &[v1::Label]| labels.iter().find(|label| label.name == "n").unwrap().value.clone();
    match Format::of(request.head.format).protocol {
        Protocol::V1 => {
            v1::decode(&plain).unwrap().timeseries.iter().map(|series| number(&series.labels)).collect()
        }
        Protocol::V2 => {
            let request = v2::decode(&plain).unwrap();
            let labels = |series: &v2::TimeSeries| number(&request.labels(&series.labels_refs).unwrap());
            request.timeseries.iter().map(labels).collect()
        }
    }
}

#[test]
fn halves_of_a_request_say_together_what_it_says_in_the_same_protocol() {
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let exporter = built(&format!(
            "endpoint: http://127.0.0.1:1/w\ntarget_info: {{enabled: false}}\nprotobuf_message: {message}"
        ));
        let whole = sealed(&exporter, 101);
        let [first, second] = exporter.split(&whole).unwrap().unwrap();
        assert_eq!((first.head.n_items, second.head.n_items), (50, 51), "{message}");
        for half in [&first, &second] {
            assert_eq!((half.head.format, half.head.newest), (whole.head.format, Timestamp(1000)));
            assert!(half.payload.len() < whole.payload.len() * 2 / 3, "{message}");
        }
        assert!(numbers(&first).is_disjoint(&numbers(&second)));
        assert_eq!(&numbers(&first) | &numbers(&second), numbers(&whole));
        let one = sealed(&exporter, 1);
        assert!(exporter.split(&one).unwrap().is_none(), "{message}");
    }
}

#[test]
fn what_is_no_request_cannot_be_split_and_says_so() {
    let exporter = exporter("");
    let broken = Request { payload: Bytes::from_static(b"\xff\xff"), ..sealed(&exporter, 2) };
    let error = exporter.split(&broken).unwrap_err();
    assert!(matches!(error, ExportError::Never { reason: "unreadable", .. }), "{error}");
}
