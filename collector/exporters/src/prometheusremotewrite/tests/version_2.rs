//! What a request of remote write 2.0 holds.

use model::{Family, Kind, Timestamp};
use translate::{ScopeInfo, scrape_to_otlp};
use wire::remote_write::v2;

use super::*;

fn exporter_of_2_0(yaml: &str) -> PrometheusRemoteWrite {
    built(&format!("endpoint: http://127.0.0.1:1/w\n{yaml}"))
}

/// Requests as they are sent, batches of one shard joined as the pipeline joins them.
pub(super) fn requests_of(exporter: &PrometheusRemoteWrite, batches: &[Batch]) -> Vec<v2::Request> {
    let mut joined: Vec<Vec<u8>> = vec![Vec::new(); 3];
    for batch in batches {
        let mut bodies = Bodies::new(3);
        exporter.encode(batch, &mut bodies).unwrap();
        bodies.iter().for_each(|(shard, body)| joined[shard].extend_from_slice(&body.bytes));
    }
    let full = joined.into_iter().filter(|body| !body.is_empty());
    full.map(|mut body| {
        let sealed = exporter.seal(&mut body);
        assert_eq!(Format::of(sealed.format).protocol, Protocol::V2);
        let mut plain = Vec::new();
        decompress(Encoding::Snappy, &sealed.payload, Limit::bytes(1 << 24), &mut plain).unwrap();
        v2::decode(&plain).unwrap()
    })
    .collect()
}

/// Labels, type, HELP, UNIT, value and start of each series, sorted.
pub(super) fn told(requests: &[v2::Request]) -> Vec<String> {
    let mut lines = Vec::new();
    for request in requests {
        for series in &request.timeseries {
            let labels: model::Labels = request
                .labels(&series.labels_refs)
                .unwrap()
                .into_iter()
                .map(|label| (label.name, label.value))
                .collect();
            let metadata = series.metadata.unwrap_or_default();
            let values: Vec<String> = series
                .samples
                .iter()
                .map(|sample| {
                    format!("{}@{} since {}", sample.value, sample.timestamp, sample.start_timestamp)
                })
                .chain(series.histograms.iter().map(|value| {
                    format!("{:?}@{} since {}", value.to_model(), value.timestamp, value.start_timestamp)
                }))
                .collect();
            let help = request.text(metadata.help_ref).unwrap();
            let unit = request.text(metadata.unit_ref).unwrap();
            lines.push(format!(
                "{labels} {} type {} help {help:?} unit {unit:?} exemplars {}",
                values.join(" "),
                metadata.r#type,
                series.exemplars.len()
            ));
        }
    }
    lines.sort();
    lines
}

#[test]
fn metadata_and_start_stand_on_every_series() {
    let mut scrape = scrape(2);
    scrape.starts = vec![(0, Timestamp(400)), (1, Timestamp(400))];
    let requests =
        requests_of(&exporter_of_2_0("target_info: {enabled: false}"), &[Batch::from_scrape(scrape)]);
    expect![[r#"
        {__name__="requests_total", instance="h:1", job="j", n="0"} 0@1000 since 400 type 1 help "All of them." unit "" exemplars 0
        {__name__="requests_total", instance="h:1", job="j", n="1"} 1@1000 since 400 type 1 help "All of them." unit "" exemplars 0"#]]
    .assert_eq(&told(&requests).join("\n"));
    let want =
        ["", "All of them.", "__name__", "requests_total", "instance", "h:1", "job", "j", "n", "0", "1"];
    assert_eq!(requests[0].symbols, want);
}

#[test]
fn scrapes_that_are_joined_share_one_symbol_table() {
    let exporter = exporter_of_2_0("target_info: {enabled: false}");
    let batches: Vec<Batch> = (0..4).map(|_| Batch::from_scrape(scrape(3))).collect();
    let requests = requests_of(&exporter, &batches);
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].timeseries.len(), requests[0].symbols.len()), (12, 12));
    assert_eq!(told(&requests[..1])[0], told(&requests[..1])[3]);
}

#[test]
fn a_scrape_carries_the_symbols_of_its_table_only_where_it_has_most_of_its_series() {
    for (n_points, n_symbols) in [(100, 109), (50, 109), (49, 58), (1, 10)] {
        let mut scrape = scrape(100);
        scrape.points.truncate(n_points);
        let requests =
            requests_of(&exporter_of_2_0("target_info: {enabled: false}"), &[Batch::from_scrape(scrape)]);
        assert_eq!((requests.len(), requests[0].timeseries.len()), (1, n_points));
        assert_eq!(requests[0].symbols.len(), n_symbols, "{n_points} points");
    }
}

#[test]
fn symbols_that_are_large_beside_a_request_are_not_repeated_in_every_part() {
    let exporter = exporter_of_2_0("max_batch_size_bytes: 4000\ntarget_info: {enabled: false}");
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_scrape(scrape(2000)), &mut bodies).unwrap();
    let sizes: Vec<usize> = bodies.iter().map(|(_, body)| body.bytes.len()).collect();
    assert!(sizes.len() < 50 && sizes.iter().all(|size| *size < 5000), "{sizes:?}");
}

#[test]
fn a_large_scrape_is_cut_and_every_part_has_its_own_symbols() {
    let exporter = exporter_of_2_0("max_batch_size_bytes: 2000\ntarget_info: {enabled: false}");
    let mut bodies = Bodies::new(3);
    exporter.encode(&Batch::from_scrape(scrape(200)), &mut bodies).unwrap();
    let parts: Vec<Vec<u8>> = bodies.iter().map(|(_, body)| body.bytes.clone()).collect();
    assert!(parts.len() > 2, "{}", parts.len());
    let mut n_series = 0;
    for mut part in parts {
        let sealed = exporter.seal(&mut part);
        let mut plain = Vec::new();
        decompress(Encoding::Snappy, &sealed.payload, Limit::bytes(1 << 24), &mut plain).unwrap();
        let request = v2::decode(&plain).unwrap();
        told(std::slice::from_ref(&request));
        n_series += request.timeseries.len();
    }
    assert_eq!(n_series, 200);
}

#[test]
fn a_scrape_and_the_otlp_made_of_it_are_sent_alike_in_2_0() {
    for yaml in [
        "target_info: {enabled: true}",
        "external_labels: {cluster: home}",
        "convert_explicit_histograms_to_nhcb: true\nkeep_classic_histograms: true",
        "resource_constant_labels: {included: ['*']}",
    ] {
        let exporter = exporter_of_2_0(yaml);
        let scrape = histograms::mixed();
        let direct = told(&requests_of(&exporter, &[Batch::from_scrape(scrape.clone())]));
        let through =
            Batch::Metrics(Points::Otlp(scrape_to_otlp(&scrape, &ScopeInfo::prometheus_receiver("1"))));
        assert_eq!(direct, told(&requests_of(&exporter, &[through])), "{yaml}");
        assert!(direct.len() >= 4, "{yaml}");
    }
}

#[test]
fn names_of_any_characters_stay_in_2_0() {
    let mut table = SeriesTable::new();
    let family = Family { name: "http.requests".into(), kind: Kind::Gauge, ..Family::default() };
    let family = table.family_index(family);
    let labels = [("__name__", "http.requests"), ("instance", "h:1"), ("job", "j"), ("net.peer", "a")];
    let points = vec![Point { series: table.insert(labels, Some(family)), bits: 1.0f64.to_bits() }];
    let scrape = Scrape { table: Arc::new(table), points, ..scrape(0) };
    let first = |yaml: &str| {
        let exporter = exporter_of_2_0(&format!("{yaml}\ntarget_info: {{enabled: false}}"));
        told(&requests_of(&exporter, &[Batch::from_scrape(scrape.clone())])).remove(0)
    };
    assert!(first("translation_strategy: NoTranslation").starts_with(r#"{__name__="http.requests", "#));
    assert!(first("translation_strategy: NoTranslation").contains(r#"net.peer="a""#));
    assert!(first("").starts_with(r#"{__name__="http_requests", "#));
}

#[test]
fn what_was_encoded_before_the_fallback_joins_what_comes_after_it() {
    let exporter = exporter_of_2_0("target_info: {enabled: false}");
    let mut body = Vec::new();
    for settles in [false, true] {
        if settles {
            exporter.negotiation.settle_on_v1();
        }
        let mut bodies = Bodies::new(1);
        exporter.encode(&Batch::from_scrape(scrape(1)), &mut bodies).unwrap();
        body.extend_from_slice(&bodies.first().bytes);
    }
    let sealed = exporter.seal(&mut body);
    assert_eq!(Format::of(sealed.format).protocol, Protocol::V1);
    let mut plain = Vec::new();
    decompress(Encoding::Snappy, &sealed.payload, Limit::bytes(1 << 24), &mut plain).unwrap();
    let request = v1::decode(&plain).unwrap();
    assert_eq!(request.timeseries.len(), 2);
    assert_eq!(request.timeseries[0], request.timeseries[1]);
}
