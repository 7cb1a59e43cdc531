//! Spots of numbers against the views.

use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use proptest::prelude::*;

use super::*;

fn of(points: Vec<pb::NumberDataPoint>, is_sum: bool) -> pb::ResourceMetrics {
    let data = if is_sum {
        pb::metric::Data::Sum(pb::Sum { data_points: points, ..pb::Sum::default() })
    } else {
        pb::metric::Data::Gauge(pb::Gauge { data_points: points })
    };
    let metric = pb::Metric { name: "m".into(), data: Some(data), ..pb::Metric::default() };
    let scope = pb::ScopeMetrics { metrics: vec![metric.clone(), metric], ..pb::ScopeMetrics::default() };
    pb::ResourceMetrics { scope_metrics: vec![scope.clone(), scope], ..pb::ResourceMetrics::default() }
}

fn point(time: u64, value: Option<Value>) -> pb::NumberDataPoint {
    let (start_time_unix_nano, time_unix_nano) = (7, time);
    pb::NumberDataPoint { start_time_unix_nano, time_unix_nano, value, ..pb::NumberDataPoint::default() }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::AsInt), any::<f64>().prop_map(Value::AsDouble)]
}

/// Time and value of every point as the views read them.
fn seen(resource: &[u8]) -> Vec<(u64, u64, bool)> {
    let mut all = Vec::new();
    for metric in views(resource).scopes().flat_map(|scope| scope.unwrap().metrics()) {
        let (Data::Gauge(points) | Data::Sum { points, .. }) = metric.unwrap().data else {
            panic!("numbers")
        };
        all.extend(points.map(|point| {
            let point = point.unwrap();
            match point.value.unwrap() {
                Number::Int(value) => (point.time, value as u64, true),
                Number::Double(value) => (point.time, value.to_bits(), false),
            }
        }));
    }
    all
}

proptest! {
    #[test]
    fn spots_are_where_the_views_find_numbers(
        points in prop::collection::vec((1..u64::MAX, value()), 0..5),
        is_sum: bool,
    ) {
        let points = points.into_iter().map(|(time, value)| point(time, Some(value))).collect();
        let resource = of(points, is_sum).encode_to_vec();
        let eight = |at: usize| u64::from_le_bytes(resource[at..at + 8].try_into().unwrap());
        let spots = number_spots(&resource).unwrap();
        let found: Vec<_> = spots.iter().map(|spot| (eight(spot.time), eight(spot.value), spot.is_int)).collect();
        prop_assert_eq!(found, seen(&resource));
    }

    #[test]
    fn nothing_panics_on_what_is_no_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(number_spots(&bytes));
    }
}

#[test]
fn points_that_are_not_plain_numbers_have_no_spots() {
    let plain = point(5, Some(Value::AsInt(1)));
    assert!(number_spots(&of(vec![plain.clone()], false).encode_to_vec()).is_some());
    let stale = pb::NumberDataPoint { flags: 1, ..plain.clone() };
    let exemplified = pb::NumberDataPoint { exemplars: vec![pb::Exemplar::default()], ..plain };
    for odd in [stale, exemplified, point(5, None), point(0, Some(Value::AsInt(1)))] {
        assert_eq!(number_spots(&of(vec![odd.clone()], true).encode_to_vec()), None, "{odd:?}");
    }
    let mut summary = of(Vec::new(), false);
    summary.scope_metrics[1].metrics[0].data = Some(pb::metric::Data::Summary(pb::Summary::default()));
    assert_eq!(number_spots(&summary.encode_to_vec()), None);
}

#[test]
fn a_number_that_is_said_twice_or_in_an_odd_way_has_no_spot() {
    let message = |point: &[u8]| {
        let mut metric = Vec::new();
        crate::proto::put_message(&mut metric, 5, |gauge| crate::proto::put_bytes(gauge, 1, point));
        let (mut scope, mut resource) = (Vec::new(), Vec::new());
        crate::proto::put_bytes(&mut scope, 2, &metric);
        crate::proto::put_bytes(&mut resource, 2, &scope);
        resource
    };
    let time = [0x19, 1, 0, 0, 0, 0, 0, 0, 0];
    let value = [0x21, 2, 0, 0, 0, 0, 0, 0, 0];
    let spots = number_spots(&message(&[time, value].concat())).unwrap();
    assert_eq!(spots.len(), 1);
    assert_eq!(number_spots(&message(&[time, value, value].concat())), None);
    assert_eq!(number_spots(&message(&[time, time, value].concat())), None);
    // The same tag in two bytes.
    let odd = [&[0x99, 0][..], &time[1..]].concat();
    assert_eq!(number_spots(&message(&[&odd[..], &value].concat())), None);
}
