//! Native histograms and exemplars: whole, and the same from a scrape and from OTLP.

use model::{BucketCounts, CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, Span};
use translate::{ScopeInfo, scrape_to_otlp};

use super::*;

/// A target with a counter, a classic and a native histogram; exemplars on all of them.
pub(super) fn mixed() -> Scrape {
    let mut table = SeriesTable::new();
    let mut points = Vec::new();
    let mut add = |family: &str, kind, name: &str, le: &str, value: f64| {
        let family = Family { name: family.into(), kind, ..Family::default() };
        let family = table.family_index(family);
        let labels = [("__name__", name), ("instance", "h:1"), ("job", "j"), ("le", le)];
        let labels = labels.into_iter().filter(|label| !label.1.is_empty());
        points.push(Point { series: table.insert(labels, Some(family)), bits: value.to_bits() });
    };
    add("requests", Kind::Counter, "requests_total", "", 4.0);
    add("latency", Kind::Histogram, "latency_bucket", "0.5", 1.0);
    add("latency", Kind::Histogram, "latency_bucket", "+Inf", 3.0);
    add("latency", Kind::Histogram, "latency_sum", "", 2.5);
    add("latency", Kind::Histogram, "latency_count", "", 3.0);
    add("native", Kind::Histogram, "native", "", 2.5);
    let exemplar = |value| {
        let labels: Labels = [("trace_id", "0af7651916cd43dd8448eb211c80319c")].into_iter().collect();
        Exemplar { labels, value, at: Some(Timestamp(990)) }
    };
    let labels = [("job", "j"), ("instance", "h:1")].into_iter().collect();
    Scrape {
        target: Arc::new(Target { labels, ..Target::default() }),
        table: Arc::new(table),
        at: Timestamp(1000),
        points,
        exemplars: [(0, 1.0), (1, 0.25), (2, 7.0), (5, 0.75)]
            .into_iter()
            .map(|(index, value)| (index, exemplar(value)))
            .collect(),
        histograms: vec![(5, native())],
        ..Scrape::default()
    }
}

fn native() -> Histogram {
    Histogram {
        schema: 3,
        sum: 2.5,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 5, length: 1 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        counts: BucketCounts::Integer {
            count: 9,
            zero: 2,
            positive_deltas: vec![1, 2, -2],
            negative_deltas: vec![2],
        },
        ..Histogram::default()
    }
}

fn through_otlp(scrape: &Scrape) -> Batch {
    Batch::Metrics(Points::Otlp(scrape_to_otlp(scrape, &ScopeInfo::prometheus_receiver("1"))))
}

/// Everything that is sent, in an order of its own, because shards have none between them.
fn sent(exporter: &PrometheusRemoteWrite, batch: &Batch) -> Vec<v1::TimeSeries> {
    let mut all: Vec<v1::TimeSeries> =
        requests(exporter, batch).into_iter().flat_map(|request| request.timeseries).collect();
    all.sort_by_key(|series| series.labels.clone());
    all
}

#[test]
fn a_scrape_and_the_otlp_made_of_it_are_sent_alike() {
    for yaml in [
        "target_info: {enabled: true}",
        "external_labels: {cluster: home}",
        "convert_explicit_histograms_to_nhcb: true",
        "convert_explicit_histograms_to_nhcb: true\nkeep_classic_histograms: true",
        "resource_constant_labels: {included: ['*']}",
    ] {
        let exporter = exporter(yaml);
        let scrape = mixed();
        let direct = sent(&exporter, &Batch::from_scrape(scrape.clone()));
        assert_eq!(direct, sent(&exporter, &through_otlp(&scrape)), "{yaml}");
        assert!(direct.len() >= 4, "{yaml}");
    }
}

#[test]
fn native_histograms_and_exemplars_are_sent_whole() {
    let all = sent(&exporter("target_info: {enabled: false}"), &through_otlp(&mixed()));
    let of = |name: &str| all.iter().find(|series| series.label("__name__") == name).unwrap();
    let series = of("native");
    assert_eq!((series.samples.len(), series.histograms.len()), (0, 1));
    assert_eq!((series.histograms[0].to_model(), series.histograms[0].at()), (native(), Timestamp(1000)));
    for (name, value) in [("native", 0.75), ("requests_total", 1.0)] {
        let exemplars = &of(name).exemplars;
        assert_eq!((exemplars.len(), exemplars[0].value, exemplars[0].timestamp), (1, value, 990), "{name}");
        assert_eq!(exemplars[0].labels[0].value, "0af7651916cd43dd8448eb211c80319c");
    }
    let buckets: Vec<f64> = all
        .iter()
        .filter(|series| series.label("__name__") == "latency_bucket")
        .map(|series| series.exemplars[0].value)
        .collect();
    assert_eq!(buckets, [7.0, 0.25]);
}

#[test]
fn classic_histograms_become_native_ones_and_stay_beside_them_only_if_asked() {
    let names = |yaml: &str| {
        let all = sent(&exporter(yaml), &Batch::from_scrape(mixed()));
        let latency = all.into_iter().filter(|series| series.label("__name__").starts_with("latency"));
        latency.collect::<Vec<_>>()
    };
    let converted = names("convert_explicit_histograms_to_nhcb: true");
    assert_eq!(converted.len(), 1);
    let histogram = converted[0].histograms[0].to_model();
    assert_eq!(
        (histogram.schema, histogram.sum, histogram.custom_values),
        (CUSTOM_BUCKETS_SCHEMA, 2.5, vec![0.5])
    );
    assert_eq!(histogram.positive_spans, [Span { offset: 0, length: 2 }]);
    let counts =
        BucketCounts::Integer { count: 3, zero: 0, positive_deltas: vec![1, 1], negative_deltas: vec![] };
    assert_eq!(histogram.counts, counts);
    assert_eq!(converted[0].exemplars.len(), 2);
    let both = names("convert_explicit_histograms_to_nhcb: true\nkeep_classic_histograms: true");
    assert_eq!(both.len(), 5);
}
