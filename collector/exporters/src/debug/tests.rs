//! What is printed.

use expect_test::{Expect, expect};
use model::{Kind, Point, Scrape, SeriesTable, TargetInfo};

use super::*;

fn printed(verbosity: Verbosity, batch: &Batch) -> String {
    let node = config::Node::map();
    let config = Config { verbosity, ..config::fill(&node, "debug").unwrap() };
    let exporter = Debug::build(config, &Site::for_test("debug", None)).unwrap();
    let mut bodies = Bodies::new(1);
    exporter.encode(batch, &mut bodies).unwrap();
    let (_, body) = bodies.iter().next().expect("the first batch of a second is printed");
    let (message, rest) = Message::decode(batch.signal(), &body.bytes).unwrap();
    assert!(rest.is_empty());
    format!("{:?}\n{}", message.counts, message.text)
}

fn check(verbosity: Verbosity, expected: &Expect) {
    let mut table = SeriesTable::new();
    let family = model::Family {
        name: "temperature".into(),
        kind: Kind::Gauge,
        help: "How warm.".into(),
        unit: "".into(),
    };
    let family = table.family_index(family);
    let labels = [("__name__", "temperature"), ("instance", "h:1"), ("job", "j"), ("room", "a")];
    let points = vec![Point { series: table.insert(labels, Some(family)), bits: 21.5f64.to_bits() }];
    let target = TargetInfo {
        labels: [("job", "j"), ("instance", "h:1")].into_iter().collect(),
        ..TargetInfo::default()
    };
    let at = Timestamp(1_709_164_800_000);
    let scrape = Scrape { target: target.into(), table: table.into(), at, points, ..Scrape::default() };
    expected.assert_eq(&printed(verbosity, &Batch::from_scrape(scrape)));
}

#[test]
fn a_scrape_is_counted() {
    check(
        Verbosity::Basic,
        &expect![[r#"
        [1, 1, 1]
    "#]],
    );
}

#[test]
fn a_scrape_is_printed_point_by_point() {
    check(
        Verbosity::Normal,
        &expect![[r#"
        [1, 1, 1]
        ResourceMetrics #0 service.name=j server.address=h service.instance.id=h:1 server.port=1
        ScopeMetrics #0 github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver@0.0.0
        temperature{room=a} 21.5
    "#]],
    );
}

#[test]
fn a_scrape_is_printed_in_detail() {
    check(
        Verbosity::Detailed,
        &expect![[r#"
        [1, 1, 1]
        ResourceMetrics #0
        Resource SchemaURL: 
        Resource attributes:
             -> service.name: Str(j)
             -> server.address: Str(h)
             -> service.instance.id: Str(h:1)
             -> server.port: Str(1)
        ScopeMetrics #0
        ScopeMetrics SchemaURL: 
        InstrumentationScope github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver 0.0.0
        Metric #0
        Descriptor:
             -> Name: temperature
             -> Description: How warm.
             -> Unit: 
             -> DataType: Gauge
        NumberDataPoints #0
        Data point attributes:
             -> room: Str(a)
        StartTimestamp: 1970-01-01 00:00:00 +0000 UTC
        Timestamp: 2024-02-29 00:00:00 +0000 UTC
        Value: 21.500000
    "#]],
    );
}

#[test]
fn batches_beyond_the_initial_ones_are_sampled() {
    let config = Config { sampling_thereafter: 3, ..config::fill(&config::Node::map(), "debug").unwrap() };
    let (mut sampler, began) = (Sampler::default(), Instant::now());
    let mut passes = |millis| sampler.passes(&config, began + Duration::from_millis(millis));
    let first_second: Vec<bool> = (0..8).map(|n| passes(n * 10)).collect();
    assert_eq!(first_second, [true, true, false, false, true, false, false, true]);
    assert!(passes(1100), "a new second begins anew");
}
