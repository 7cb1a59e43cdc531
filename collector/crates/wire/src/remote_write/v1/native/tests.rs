use model::Labels;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::{Exemplar, Label, TimeSeries, WriteRequest, decode};
use super::*;

fn spans() -> impl Strategy<Value = Vec<Span>> {
    vec((any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length }), 0..4)
}

/// Any float that is equal to itself and that the oracle writes.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::INFINITY), any::<i32>().prop_map(f64::from), Just(1e-128)]
}

fn counts() -> impl Strategy<Value = BucketCounts> {
    prop_oneof![
        (any::<u64>(), any::<u64>(), vec(any::<i64>(), 0..5), vec(any::<i64>(), 0..5)).prop_map(
            |(count, zero, positive_deltas, negative_deltas)| BucketCounts::Integer {
                count,
                zero,
                positive_deltas,
                negative_deltas
            }
        ),
        (float(), float(), vec(float(), 0..5), vec(float(), 0..5)).prop_map(
            |(count, zero, positive, negative)| BucketCounts::Float { count, zero, positive, negative }
        ),
    ]
}

pub(in crate::remote_write) fn any_histogram() -> impl Strategy<Value = ModelHistogram> {
    let hint =
        prop::sample::select(vec![ResetHint::Unknown, ResetHint::Yes, ResetHint::No, ResetHint::Gauge]);
    (prop_oneof![-4..=8, Just(-53)], float(), float(), spans(), spans(), counts(), hint, vec(float(), 0..4))
        .prop_map(|(schema, sum, zero_threshold, positive, negative, counts, reset_hint, custom_values)| {
            ModelHistogram {
                schema,
                sum,
                zero_threshold,
                positive_spans: positive,
                negative_spans: negative,
                counts,
                reset_hint,
                custom_values,
            }
        })
}

/// The message as `prost` would be asked to write it.
fn message(histogram: &ModelHistogram, timestamp: i64) -> Histogram {
    let spans = |spans: &[Span]| {
        spans.iter().map(|span| BucketSpan { offset: span.offset, length: span.length }).collect()
    };
    let base = Histogram {
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        negative_spans: spans(&histogram.negative_spans),
        positive_spans: spans(&histogram.positive_spans),
        reset_hint: hint_number(histogram.reset_hint) as i32,
        timestamp,
        custom_values: histogram.custom_values.clone(),
        ..Histogram::default()
    };
    match histogram.counts.clone() {
        BucketCounts::Integer { count, zero, positive_deltas, negative_deltas } => Histogram {
            count: Some(histogram::Count::Int(count)),
            zero_count: Some(histogram::ZeroCount::Int(zero)),
            positive_deltas,
            negative_deltas,
            ..base
        },
        BucketCounts::Float { count, zero, positive, negative } => Histogram {
            count: Some(histogram::Count::Float(count)),
            zero_count: Some(histogram::ZeroCount::Float(zero)),
            positive_counts: positive,
            negative_counts: negative,
            ..base
        },
    }
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.into(), value: value.into() }
}

proptest! {
    #[test]
    fn histograms_are_written_as_prost_writes_them_and_read_back(
        histogram in any_histogram(),
        at in any::<i64>(),
        exemplar_at in prop::option::of(any::<i64>()),
    ) {
        let labels: Labels = [("trace_id", "0af7")].into_iter().collect();
        let exemplar = ModelExemplar { labels, value: 2.0, at: exemplar_at.map(Timestamp) };
        let mut out = Vec::new();
        let names = [("__name__", "h"), ("job", "j")].into_iter();
        append_histogram_series(&mut out, names, &histogram, at, [&exemplar].into_iter());
        let series = TimeSeries {
            labels: vec![label("__name__", "h"), label("job", "j")],
            samples: vec![],
            exemplars: vec![Exemplar {
                labels: vec![label("trace_id", "0af7")],
                value: 2.0,
                timestamp: exemplar_at.unwrap_or(at),
            }],
            histograms: vec![message(&histogram, at)],
        };
        let want = WriteRequest { timeseries: vec![series], metadata: vec![] };
        prop_assert_eq!(&out, &want.encode_to_vec());
        let read = &decode(&out).unwrap().timeseries[0].histograms[0];
        prop_assert_eq!((read.to_model(), read.at()), (histogram, Timestamp(at)));
    }
}

#[test]
fn a_message_without_counts_is_an_empty_histogram_and_an_unknown_hint_says_nothing() {
    let read = Histogram { reset_hint: 9, ..Histogram::default() };
    assert_eq!(read.to_model(), ModelHistogram::default());
}

#[test]
fn minus_zero_is_written_and_zero_takes_no_place() {
    let written = |sum| {
        let mut out = Vec::new();
        put_histogram(&mut out, &ModelHistogram { sum, ..ModelHistogram::default() }, 0);
        out
    };
    assert_eq!(written(0.0), [0x08, 0, 0x30, 0]);
    assert_eq!(Histogram::decode(&written(-0.0)[..]).unwrap().sum.to_bits(), (-0.0f64).to_bits());
}
