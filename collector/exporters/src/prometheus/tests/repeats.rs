//! Messages that come again with other values are understood as if they were decoded.

use bytes::Bytes;
use model::{Batch, Frames, STALE_BITS, Signal};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use pipeline::{Bodies, Exporter};
use proptest::prelude::*;
use prost::Message as _;
use tokio::runtime::Runtime;

use super::fixture::exporter;
use super::{Tick, locked, page};
use crate::prometheus::Prometheus;

/// What a sender says, but for the values.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Two gauges and a sum.
    Host,
    /// One of its gauges, and another one.
    Overlapping,
    /// The host, one of whose series has ended.
    Ending,
    /// The host by name, which gives it a `target_info`.
    Named,
    /// The host, started at another time.
    Restarted,
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let attribute = |(key, text): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue((*text).to_owned())) }),
        ..KeyValue::default()
    };
    pairs.iter().map(attribute).collect()
}

fn message(shape: Shape, time: u64, values: [Value; 3]) -> Vec<u8> {
    let start = if matches!(shape, Shape::Restarted) { 20 } else { 10 };
    let point = |value, cpu| NumberDataPoint {
        attributes: attributes(&[("cpu", cpu)]),
        start_time_unix_nano: start * 1_000_000_000,
        time_unix_nano: time * 1_000_000_000,
        value: Some(value),
        ..NumberDataPoint::default()
    };
    let [mut one, two, three] = [point(values[0], "0"), point(values[1], "1"), point(values[2], "all")];
    one.flags = u32::from(matches!(shape, Shape::Ending));
    let gauge = |name: &str, data_points| Metric {
        name: name.into(),
        unit: "s".into(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Metric::default()
    };
    let metrics = match shape {
        Shape::Overlapping => vec![gauge("busy", vec![two]), gauge("idle", vec![one, three])],
        _ => {
            let aggregation_temporality = AggregationTemporality::Cumulative as i32;
            let sum = Sum { data_points: vec![three], aggregation_temporality, is_monotonic: true };
            let sum = Metric { name: "work".into(), data: Some(Data::Sum(sum)), ..Metric::default() };
            vec![gauge("busy", vec![one, two]), sum]
        }
    };
    let scope = InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() };
    let scope = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
    let named: &[_] =
        if matches!(shape, Shape::Named) { &[("service.name", "h"), ("zone", "a")] } else { &[] };
    let resource = Resource { attributes: attributes(named), ..Resource::default() };
    let message =
        ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..Default::default() };
    message.encode_to_vec()
}

/// Gives the samples that were taken.
fn push(exporter: &Prometheus, message: Vec<u8>) -> usize {
    let frames = Frames { resources: vec![Bytes::from(message)], n_items: 3 };
    let mut bodies = Bodies::new(1);
    exporter.encode(&Batch::from_frames(Signal::Metrics, frames), &mut bodies).unwrap();
    bodies.iter().map(|(_, body)| body.n_items).sum()
}

/// The same message with a field that nobody knows and that is never the same, so that it has to be decoded.
fn disguised(mut message: Vec<u8>, number: u64) -> Vec<u8> {
    wire::proto::put_uint(&mut message, 100, 1_000_000 + number);
    message
}

fn n_known(exporter: &Prometheus) -> usize {
    locked(&exporter.service.store).n_known_messages()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Push(Shape, u64, [Value; 3]),
    /// Everything that is there ends.
    Expire,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::AsInt),
        any::<f64>().prop_map(Value::AsDouble),
        Just(Value::AsDouble(f64::NAN)),
        Just(Value::AsDouble(f64::from_bits(STALE_BITS))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let shape = prop_oneof![
        6 => Just(Shape::Host),
        3 => Just(Shape::Overlapping),
        1 => Just(Shape::Ending),
        1 => Just(Shape::Named),
        1 => Just(Shape::Restarted),
    ];
    let push = (shape, 100..110_u64, [value(), value(), value()]);
    prop_oneof![
        15 => push.prop_map(|(shape, time, values)| Step::Push(shape, time, values)),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn a_known_message_says_what_it_says_when_it_is_decoded(steps in prop::collection::vec(step(), 1..30)) {
        let [repeating, decoding] = [(), ()].map(|()| exporter("send_timestamps: true\nenable_open_metrics: true"));
        let runtime = runtime();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(shape, time, values) => {
                    let message = message(shape, time, values);
                    let taken = push(&repeating, message.clone());
                    prop_assert_eq!(taken, push(&decoding, disguised(message, number as u64)));
                }
                Step::Expire => {
                    for exporter in [&repeating, &decoding] {
                        locked(&exporter.service.store).expire(Tick(u32::MAX - 2));
                    }
                }
            }
            for accept in ["", super::OPEN_METRICS] {
                let [one, other] = [&repeating, &decoding].map(|of| runtime.block_on(page(of, accept)));
                prop_assert_eq!(one, other);
            }
        }
    }
}

const VALUES: [Value; 3] = [Value::AsDouble(1.0), Value::AsInt(2), Value::AsDouble(3.0)];

#[test]
fn one_message_of_each_shape_is_known_while_it_comes() {
    let exporter = exporter("");
    for time in 100..110 {
        assert_eq!(push(&exporter, message(Shape::Host, time, VALUES)), 3);
        assert_eq!(push(&exporter, message(Shape::Overlapping, time, VALUES)), 3);
    }
    assert_eq!(n_known(&exporter), 2);
    locked(&exporter.service.store).expire(Tick(u32::MAX - 2));
    assert_eq!(n_known(&exporter), 0);
}

#[test]
fn what_becomes_more_or_less_than_its_points_is_not_known() {
    let exporter = exporter("");
    push(&exporter, message(Shape::Named, 100, VALUES));
    push(&exporter, message(Shape::Ending, 100, VALUES));
    assert_eq!(n_known(&exporter), 0);
}

#[test]
fn messages_that_never_come_again_push_no_other_out() {
    let exporter = exporter("");
    push(&exporter, message(Shape::Host, 100, VALUES));
    for number in 0..200 {
        push(&exporter, disguised(message(Shape::Host, 100, VALUES), number));
    }
    assert_eq!(n_known(&exporter), 64);
}

#[test]
fn a_message_beyond_the_limit_is_decoded_each_time() {
    let exporter = exporter("");
    let mut large = message(Shape::Host, 100, VALUES);
    wire::proto::put_bytes(&mut large, 101, &[0; 20_000]);
    assert_eq!(push(&exporter, large), 3);
    assert_eq!(n_known(&exporter), 0);
}
