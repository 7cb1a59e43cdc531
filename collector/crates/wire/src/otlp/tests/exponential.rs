//! Exponential histograms: the writer against the oracle's encoder.

use opentelemetry_proto::tonic::metrics::v1 as pb;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::write::{self, ExponentialBuckets, ExponentialHead};
use crate::proto::{Message, Value};

type Side = (i32, Vec<u64>);

fn side() -> impl Strategy<Value = Side> {
    (any::<i32>(), vec(prop_oneof![0u64..3, any::<u64>()], 0..5))
}

/// What the oracle makes of the same point, with the fields that the writer leaves out at their defaults.
fn oracle(head: &ExponentialHead<'_>) -> pb::Metric {
    let buckets = |side: ExponentialBuckets<'_>| {
        let bucket_counts = side.counts.to_vec();
        (!bucket_counts.is_empty())
            .then_some(pb::exponential_histogram_data_point::Buckets { offset: side.offset, bucket_counts })
    };
    let point = pb::ExponentialHistogramDataPoint {
        start_time_unix_nano: head.start,
        time_unix_nano: head.time,
        count: head.count,
        sum: head.sum,
        scale: head.scale,
        zero_count: head.zero_count,
        positive: buckets(head.positive),
        negative: buckets(head.negative),
        flags: head.flags,
        zero_threshold: head.zero_threshold,
        ..pb::ExponentialHistogramDataPoint::default()
    };
    let data = pb::ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 };
    pb::Metric { data: Some(pb::metric::Data::ExponentialHistogram(data)), ..pb::Metric::default() }
}

proptest! {
    #[test]
    fn exponential_points_are_written_as_the_oracle_writes_them(
        (start, time, count, zero_count) in (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
        sum in prop::option::of(any::<i32>().prop_map(f64::from)),
        (scale, flags) in (any::<i32>(), any::<u32>()),
        zero_threshold in prop_oneof![Just(0.0), Just(1e-128), Just(0.5)],
        (positive, negative) in (side(), side()),
    ) {
        let buckets = |side| { let (offset, counts): &Side = side; ExponentialBuckets { offset: *offset, counts } };
        let (positive, negative) = (buckets(&positive), buckets(&negative));
        let head = ExponentialHead {
            start, time, count, sum, scale, zero_count, zero_threshold, positive, negative, flags,
        };
        let mut out = Vec::new();
        write::cumulative_exponential(&mut out, |out| write::exponential_point(out, &head, |_| {}));
        prop_assert_eq!(out, oracle(&head).encode_to_vec());
    }
}

#[test]
fn attributes_and_exemplars_of_an_exponential_point_have_their_own_fields() {
    let mut out = Vec::new();
    write::exponential_point(&mut out, &ExponentialHead::default(), |out| {
        write::attribute(out, write::EXPONENTIAL_ATTRIBUTES, "a", "b");
        write::exemplar(out, write::EXPONENTIAL_EXEMPLARS, &write::ExemplarHead::default(), |_| {});
    });
    let Value::Len(point) = Message::new(&out).fields().next().unwrap().unwrap().value else { panic!() };
    let point = pb::ExponentialHistogramDataPoint::decode(point.bytes()).unwrap();
    assert_eq!(
        (point.attributes.len(), point.attributes[0].key.as_str(), point.exemplars.len()),
        (1, "a", 1)
    );
}
