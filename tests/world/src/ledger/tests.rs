use super::*;
use crate::fleet::STEP;

const TARGET: [(&str, &str); 2] = [("job", "shop"), ("instance", "shop-0")];

fn series(name: &str, samples: &[(i64, f64)]) -> TimeSeries {
    let mut labels = vec![("__name__", name)];
    labels.extend(TARGET);
    TimeSeries::new(&labels, samples)
}

/// A sample of the fleet: the series' place, the scrape's number, the time.
fn demo(place: u64, sequence: u64, at: i64) -> TimeSeries {
    series(&format!("demo_series_{place}"), &[(at, (place * STEP + sequence) as f64)])
}

fn stale(place: u64, at: i64) -> TimeSeries {
    series(&format!("demo_series_{place}"), &[(at, f64::from_bits(STALE))])
}

fn book(timeseries: Vec<TimeSeries>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.take("s-0", &WriteRequest { timeseries, metadata: Vec::new() });
    assert_eq!(ledger.violations(), &[] as &[String]);
    ledger
}

fn counts(ledger: &Ledger) -> [u64; 4] {
    let totals = ledger.totals();
    [totals.delivered, totals.duplicated, totals.out_of_order, totals.stale_markers]
}

#[test]
fn samples_in_order_are_delivered_once_each() {
    let ledger = book(vec![demo(3, 1, 1000), demo(3, 2, 2000), demo(4, 1, 1000), demo(4, 2, 2000)]);
    assert_eq!(counts(&ledger), [4, 0, 0, 0]);
    assert_eq!(ledger.series(), 2);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().arrived, [(1, 2), (2, 2)]);
}

#[test]
fn a_sample_sent_again_is_a_duplicate_and_not_delivered_again() {
    let ledger = book(vec![demo(3, 1, 1000), demo(3, 2, 2000), demo(3, 1, 1000), demo(3, 2, 2000)]);
    assert_eq!(counts(&ledger), [2, 2, 0, 0]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().arrived, [(1, 1), (2, 1)]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().duplicated, 2);
}

#[test]
fn one_scrape_under_two_timestamps_is_a_duplicate() {
    assert_eq!(counts(&book(vec![demo(3, 1, 1000), demo(3, 1, 1001)])), [1, 1, 0, 0]);
}

#[test]
fn two_scrapes_under_one_timestamp_are_a_duplicate_that_was_delivered() {
    assert_eq!(counts(&book(vec![demo(3, 1, 1000), demo(3, 2, 1000)])), [2, 1, 0, 0]);
}

#[test]
fn series_without_sequences_are_duplicates_by_timestamp() {
    let ledger = book(vec![series("up", &[(1000, 1.0), (2000, 1.0), (2000, 1.0)])]);
    assert_eq!(counts(&ledger), [3, 1, 0, 0]);
}

#[test]
fn a_late_sample_is_delivered_out_of_order() {
    let ledger = book(vec![demo(3, 1, 1000), demo(3, 3, 3000), demo(3, 2, 2000)]);
    assert_eq!(counts(&ledger), [3, 0, 1, 0]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().arrived, [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_hole_stays_visible_in_the_scrapes_that_arrived() {
    let ledger = book(vec![demo(3, 1, 1000), demo(4, 1, 1000), demo(3, 2, 2000), demo(3, 4, 4000)]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().arrived, [(1, 2), (2, 1), (4, 1)]);
}

#[test]
fn a_repetition_older_than_the_window_is_still_out_of_order() {
    let ledger = book(vec![demo(3, 1, 1000), demo(3, 200, 200_000), demo(3, 1, 1000)]);
    assert_eq!(counts(&ledger), [3, 0, 1, 0]);
}

#[test]
fn stale_markers_end_series_and_are_no_samples() {
    let ledger = book(vec![demo(3, 1, 1000), demo(4, 1, 1000), stale(3, 2000)]);
    assert_eq!(counts(&ledger), [2, 0, 0, 1]);
    let target = ledger.target("shop", "shop-0").unwrap();
    assert_eq!((target.live_series, target.stale_markers), (1, 1));
}

#[test]
fn a_series_that_comes_back_is_alive_again() {
    let ledger = book(vec![demo(3, 1, 1000), stale(3, 2000), demo(3, 3, 3000)]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().live_series, 1);
}

#[test]
fn the_marker_of_a_former_owner_is_out_of_order_and_ends_nothing() {
    let ledger = book(vec![demo(3, 1, 1000), demo(3, 2, 2000), stale(3, 1500)]);
    assert_eq!(counts(&ledger), [2, 0, 1, 1]);
    assert_eq!(ledger.target("shop", "shop-0").unwrap().live_series, 1);
}

#[test]
fn a_value_of_another_series_is_noticed() {
    let mut mixed = demo(3, 1, 1000);
    mixed.samples.push(demo(4, 2, 2000).samples[0]);
    assert_eq!(book(vec![mixed]).totals().wrong_values, 1);
}

#[test]
fn a_target_moves_when_another_collector_scrapes_it() {
    let mut ledger = Ledger::default();
    for (collector, at) in [("s-0", 1000), ("s-0", 2000), ("s-1", 3000), ("s-1", 4000)] {
        let timeseries = vec![series("up", &[(at, 1.0)])];
        ledger.take(collector, &WriteRequest { timeseries, metadata: Vec::new() });
    }
    let moves = ledger.moves().cloned().collect::<Vec<_>>();
    assert_eq!(moves, [Move { number: 1, at: 3000, target: 0, from: 0, to: 1 }]);
    assert_eq!(ledger.collectors(), ["s-0", "s-1"]);
    assert_eq!(ledger.targets()[0].owner(), Some(1));
}

#[test]
fn news_of_an_older_scrape_moves_nothing() {
    let mut ledger = Ledger::default();
    for (collector, at) in [("s-0", 1000), ("s-1", 3000), ("s-0", 2000)] {
        let timeseries = vec![series("up", &[(at, 1.0)])];
        ledger.take(collector, &WriteRequest { timeseries, metadata: Vec::new() });
    }
    assert_eq!(ledger.targets()[0].owner(), Some(1));
    assert_eq!(ledger.moves().count(), 1);
    assert!(ledger.targets()[0].ups.iter().map(|up| up.at).is_sorted());
}

#[test]
fn breaches_of_the_protocol_are_told_in_words() {
    let mut ledger = Ledger::default();
    let mut unsorted = series("up", &[(1000, 1.0)]);
    unsorted.labels.reverse();
    let request = WriteRequest {
        timeseries: vec![unsorted, TimeSeries::new(&[("job", "x")], &[(1, 1.0)]), series("up", &[])],
        metadata: Vec::new(),
    };
    ledger.take("", &request);
    assert_eq!(
        ledger.violations(),
        [
            r#"labels that are not sorted, or a name twice in {job="shop",instance="shop-0",__name__="up"}"#,
            r#"no metric name in {job="x"}"#,
            r#"neither samples, histograms nor exemplars in {__name__="up",instance="shop-0",job="shop"}"#,
        ]
    );
    assert_eq!(ledger.series(), 2, "the order of labels makes no other series");
}

#[test]
fn a_remembering_ledger_keeps_values_of_as_many_series_as_it_was_told() {
    let mut ledger = Ledger::remembering(1);
    let mut timeseries = vec![series("up", &[(1000, 1.0), (2000, 0.0)]), series("other", &[(1000, 7.0)])];
    let labels = TimeSeries::new(&[("trace_id", "t")], &[]).labels;
    timeseries[0].exemplars.push(Exemplar { labels, value: 0.5, timestamp: 1000 });
    ledger.take("", &WriteRequest { timeseries, metadata: Vec::new() });
    let kept = ledger.remembered("up");
    let trace = BTreeMap::from([("trace_id".to_owned(), "t".to_owned())]);
    assert_eq!(kept[0].exemplars, [(trace, 1000, 0.5)]);
    assert_eq!(ledger.all_remembered().count(), 1);
    assert_eq!(kept[0].samples, [(1000, 1.0), (2000, 0.0)]);
    assert_eq!(kept[0].labels["instance"], "shop-0");
    assert!(ledger.remembered("other").is_empty());
}
