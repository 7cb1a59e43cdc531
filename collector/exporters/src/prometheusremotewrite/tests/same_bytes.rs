//! The direct way and the way through OTLP write the same bytes, whatever is scraped.

use std::collections::BTreeSet;

use model::{Exemplar, Labels};
use proptest::collection::vec;
use proptest::prelude::*;
use translate::{ScopeInfo, scrape_to_otlp};

use super::*;

/// A family of one kind of series: its series by the values of two labels, each with a value and perhaps an exemplar.
#[derive(Clone, Debug)]
struct Part {
    kind: Kind,
    help: &'static str,
    series: BTreeSet<(String, String)>,
    values: Vec<f64>,
    with_exemplars: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let value = prop_oneof![
        any::<f64>().prop_filter("one NaN only", |value| !value.is_nan()),
        Just(0.0),
        Just(1e9),
        Just(f64::NAN),
        Just(f64::INFINITY),
    ];
    let label = "[a-z0-9 \u{e9}/\"\\\\]{0,12}";
    (
        prop_oneof![Just(Kind::Counter), Just(Kind::Gauge), Just(Kind::Histogram), Just(Kind::Unknown)],
        prop_oneof![Just(""), Just("What it is.")],
        proptest::collection::btree_set((label, label), 1..6),
        vec(value, 6),
        any::<bool>(),
    )
        .prop_map(|(kind, help, series, values, with_exemplars)| Part {
            kind,
            help,
            series,
            values,
            with_exemplars: with_exemplars && kind == Kind::Counter,
        })
}

fn scrape_of(parts: &[Part]) -> Scrape {
    let mut scrape = scrape(0);
    let mut table = SeriesTable::new();
    for (number, part) in parts.iter().enumerate() {
        let name = format!("family_{number}");
        let family =
            Family { name: name.as_str().into(), kind: part.kind, help: part.help.into(), unit: "".into() };
        let family = table.family_index(family);
        let suffixed: Vec<(String, &str)> = match part.kind {
            Kind::Counter => vec![(format!("{name}_total"), "")],
            // In the order in which a histogram of OTLP is written: the direct way keeps that of the page.
            Kind::Histogram => vec![
                (format!("{name}_sum"), ""),
                (format!("{name}_count"), ""),
                (format!("{name}_bucket"), "0.5"),
                (format!("{name}_bucket"), "+Inf"),
            ],
            _ => vec![(name.clone(), "")],
        };
        for ((a, b), value) in part.series.iter().zip(&part.values) {
            for (suffixed, le) in &suffixed {
                let labels = [
                    ("__name__", suffixed.as_str()),
                    ("a", a),
                    ("b", b),
                    ("instance", "h:1"),
                    ("job", "j"),
                    ("le", le),
                ];
                let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
                let series = table.insert(labels, Some(family));
                // Numbers of a histogram are counts.
                let value = if part.kind == Kind::Histogram { 7.0 } else { *value };
                if part.with_exemplars {
                    let labels: Labels =
                        [("trace_id", "0af7651916cd43dd8448eb211c80319c")].into_iter().collect();
                    let exemplar = Exemplar { labels, value: 0.5, at: Some(Timestamp(990)) };
                    scrape.exemplars.push((scrape.points.len() as u32, exemplar));
                }
                scrape.points.push(Point { series, bits: model::canonical_bits(value) });
            }
        }
    }
    scrape.table = Arc::new(table);
    scrape
}

fn bytes(exporter: &PrometheusRemoteWrite, batch: &Batch) -> Vec<Vec<u8>> {
    let mut bodies = Bodies::new(1);
    exporter.encode(batch, &mut bodies).unwrap();
    bodies.iter().map(|(_, body)| body.bytes.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scrape_and_the_otlp_made_of_it_are_the_same_bytes(
        parts in vec(part(), 1..5),
        yaml in prop::sample::select(vec![
            "target_info: {enabled: true}",
            "target_info: {enabled: false}",
            "external_labels: {cluster: home}",
            "send_metadata: true",
            "resource_constant_labels: {included: ['*']}",
        ]),
    ) {
        let exporter = exporter(yaml);
        let scrape = scrape_of(&parts);
        let otlp = Batch::Metrics(Points::Otlp(scrape_to_otlp(&scrape, &ScopeInfo::prometheus_receiver("1"))));
        let direct = bytes(&exporter, &Batch::from_scrape(scrape));
        prop_assert!(direct.iter().map(Vec::len).sum::<usize>() > 0);
        prop_assert_eq!(direct, bytes(&exporter, &otlp), "{}", yaml);
    }
}
