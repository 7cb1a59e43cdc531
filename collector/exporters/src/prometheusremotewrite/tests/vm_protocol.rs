//! VictoriaMetrics' variant of 1.0, against a receiver that knows it and one that does not.

use std::sync::Mutex;

use world::http::{Server, read_body, reply};
use world::sink::{Dialect, Sink};

use super::protocol::{sealed, writing_to};
use super::*;

#[tokio::test]
async fn a_receiver_that_knows_zstd_gets_it_from_the_first_request_on() {
    let bodies: Arc<Mutex<Vec<(String, v1::WriteRequest)>>> = Arc::default();
    let kept = Arc::clone(&bodies);
    let server = Server::start(move |request: world::http::Request| {
        let kept = Arc::clone(&kept);
        async move {
            let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
            let headers = ["content-encoding", "x-victoriametrics-remote-write-version", "content-type"];
            let headers = headers.map(header).join(" ");
            let (body, mut plain) = (read_body(request).await.unwrap(), Vec::new());
            decompress(Encoding::Zstd, &body, Limit::bytes(1 << 20), &mut plain).unwrap();
            kept.lock().unwrap().push((headers, v1::decode(&plain).unwrap()));
            Ok(reply(204, "text/plain", ""))
        }
    })
    .await
    .unwrap();
    let exporter = built(&format!("endpoint: {}\nvm_protocol: true", server.url("/api/v1/write")));
    for at in [1000, 2000] {
        exporter.send(&sealed(&exporter, at), 0).await.unwrap();
    }
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 2);
    for (headers, request) in bodies.iter() {
        assert_eq!(headers, "zstd 1 application/x-protobuf");
        assert_eq!(request.timeseries[0].label("__name__"), "requests_total");
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_know_zstd_gets_the_same_request_in_snappy() {
    let sink = Sink::start().await.unwrap();
    sink.speak(Dialect::Old);
    let (exporter, _) = writing_to(&sink, "vm_protocol: true").await;
    for at in [1000, 2000] {
        exporter.send(&sealed(&exporter, at), 0).await.unwrap();
    }
    let encodings: Vec<String> =
        sink.seen().iter().map(|seen| seen.header("content-encoding").to_owned()).collect();
    assert_eq!(encodings, ["zstd", "snappy", "snappy"]);
    assert_eq!(sink.ledger().totals().delivered, 4);
}

#[test]
fn the_variant_is_of_1_0_only() {
    let yaml =
        "{endpoint: 'http://h/w', vm_protocol: true, protobuf_message: io.prometheus.write.v2.Request}";
    let config = config::read::<Config>(&config::parse(yaml, "x").unwrap().root, "x").unwrap();
    let problems = PrometheusRemoteWrite::build(config, &Site::for_test("x", None)).unwrap_err();
    assert_eq!(problems[0].path, "vm_protocol");
}
