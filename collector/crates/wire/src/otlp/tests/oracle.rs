//! Random messages of `opentelemetry-proto`, and the way back from views to its structs.

pub(super) use opentelemetry_proto::tonic::common::v1 as common;
pub(super) use opentelemetry_proto::tonic::logs::v1 as logs;
pub(super) use opentelemetry_proto::tonic::metrics::v1 as metrics;
pub(super) use opentelemetry_proto::tonic::resource::v1 as resource;
pub(super) use opentelemetry_proto::tonic::trace::v1 as traces;

use common::any_value::Value;
use model::Signal;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::*;

fn value(value: Value) -> common::AnyValue {
    common::AnyValue { value: Some(value) }
}

pub(super) fn string(text: &str) -> common::AnyValue {
    value(Value::StringValue(text.into()))
}

pub(super) fn int(number: i64) -> common::AnyValue {
    value(Value::IntValue(number))
}

pub(super) fn double(number: f64) -> common::AnyValue {
    value(Value::DoubleValue(number))
}

pub(super) fn boolean(truth: bool) -> common::AnyValue {
    value(Value::BoolValue(truth))
}

pub(super) fn bytes(bytes: &[u8]) -> common::AnyValue {
    value(Value::BytesValue(bytes.into()))
}

pub(super) fn empty() -> common::AnyValue {
    common::AnyValue { value: None }
}

pub(super) fn array(values: Vec<common::AnyValue>) -> common::AnyValue {
    value(Value::ArrayValue(common::ArrayValue { values }))
}

pub(super) fn map(entries: Vec<(&str, common::AnyValue)>) -> common::AnyValue {
    let values = entries
        .into_iter()
        .map(|(key, value)| common::KeyValue { key: key.into(), value: Some(value), key_strindex: 0 })
        .collect();
    value(Value::KvlistValue(common::KeyValueList { values }))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z_.]{0,12}", 1 => ".{0,8}", 1 => "x{120,140}"]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::INFINITY), any::<i32>().prop_map(f64::from), any::<f64>()]
        .prop_filter("NaN is not equal to itself", |value| {
            !value.is_nan() && value.to_bits() != (-0.0f64).to_bits()
        })
}

fn any_value() -> impl Strategy<Value = common::AnyValue> {
    let leaf = prop_oneof![
        Just(empty()),
        text().prop_map(|text| string(&text)),
        any::<bool>().prop_map(boolean),
        any::<i64>().prop_map(int),
        float().prop_map(double),
        vec(any::<u8>(), 0..5).prop_map(|data| bytes(&data)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(array),
            vec((text(), inner), 0..3).prop_map(|entries| {
                map(entries.iter().map(|(key, value)| (key.as_str(), value.clone())).collect())
            }),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<common::KeyValue>> {
    vec(
        (text(), any_value()).prop_map(|(key, value)| common::KeyValue {
            key,
            value: Some(value),
            key_strindex: 0,
        }),
        0..4,
    )
}

fn resource() -> impl Strategy<Value = Option<resource::Resource>> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| {
        Some(resource::Resource { attributes, dropped_attributes_count, entity_refs: vec![] })
    })
}

fn scope() -> impl Strategy<Value = Option<common::InstrumentationScope>> {
    (text(), text(), attributes(), any::<u32>()).prop_map(|(name, version, attributes, dropped)| {
        Some(common::InstrumentationScope { name, version, attributes, dropped_attributes_count: dropped })
    })
}

fn times() -> impl Strategy<Value = (u64, u64, u32)> {
    (prop_oneof![Just(0), any::<u64>()], any::<u64>(), prop_oneof![Just(0), Just(1), any::<u32>()])
}

fn exemplar() -> impl Strategy<Value = metrics::Exemplar> {
    let value = prop_oneof![
        Just(None),
        float().prop_map(|value| Some(metrics::exemplar::Value::AsDouble(value))),
        any::<i64>().prop_map(|value| Some(metrics::exemplar::Value::AsInt(value))),
    ];
    (attributes(), any::<u64>(), vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..17), value).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| metrics::Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    )
}

fn number_point() -> impl Strategy<Value = metrics::NumberDataPoint> {
    let value = prop_oneof![
        Just(None),
        float().prop_map(|value| Some(metrics::number_data_point::Value::AsDouble(value))),
        any::<i64>().prop_map(|value| Some(metrics::number_data_point::Value::AsInt(value))),
    ];
    (attributes(), times(), vec(exemplar(), 0..2), value).prop_map(
        |(attributes, (start, time, flags), exemplars, value)| metrics::NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            exemplars,
            flags,
            value,
        },
    )
}

fn three_floats() -> impl Strategy<Value = [Option<f64>; 3]> {
    [prop::option::of(float()), prop::option::of(float()), prop::option::of(float())]
}

fn histogram_point() -> impl Strategy<Value = metrics::HistogramDataPoint> {
    let counts = (any::<u64>(), vec(any::<u64>(), 0..4), vec(float(), 0..4));
    (attributes(), times(), counts, three_floats(), vec(exemplar(), 0..2)).prop_map(
        |(
            attributes,
            (start, time, flags),
            (count, bucket_counts, explicit_bounds),
            [sum, min, max],
            exemplars,
        )| {
            metrics::HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count,
                sum,
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags,
                min,
                max,
            }
        },
    )
}

fn buckets() -> impl Strategy<Value = Option<metrics::exponential_histogram_data_point::Buckets>> {
    (any::<i32>(), vec(any::<u64>(), 0..4)).prop_map(|(offset, bucket_counts)| {
        Some(metrics::exponential_histogram_data_point::Buckets { offset, bucket_counts })
    })
}

fn exp_point() -> impl Strategy<Value = metrics::ExponentialHistogramDataPoint> {
    let counts = (any::<u64>(), any::<u64>(), any::<i32>(), float(), buckets(), buckets());
    (attributes(), times(), counts, three_floats(), vec(exemplar(), 0..2)).prop_map(
        |(
            attributes,
            (start, time, flags),
            (count, zero_count, scale, zero_threshold, positive, negative),
            [sum, min, max],
            exemplars,
        )| {
            metrics::ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min,
                max,
                zero_threshold,
            }
        },
    )
}

fn summary_point() -> impl Strategy<Value = metrics::SummaryDataPoint> {
    let quantiles = vec(
        (float(), float())
            .prop_map(|(quantile, value)| metrics::summary_data_point::ValueAtQuantile { quantile, value }),
        0..3,
    );
    (attributes(), times(), any::<u64>(), float(), quantiles).prop_map(
        |(attributes, (start, time, flags), count, sum, quantile_values)| metrics::SummaryDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn data() -> impl Strategy<Value = Option<metrics::metric::Data>> {
    use metrics::metric::Data;
    let numbers = || vec(number_point(), 0..4);
    prop_oneof![
        Just(None),
        numbers().prop_map(|data_points| Some(Data::Gauge(metrics::Gauge { data_points }))),
        (numbers(), 0..3, any::<bool>()).prop_map(|(data_points, aggregation_temporality, is_monotonic)| {
            Some(Data::Sum(metrics::Sum { data_points, aggregation_temporality, is_monotonic }))
        }),
        (vec(histogram_point(), 0..3), 0..3).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::Histogram(metrics::Histogram { data_points, aggregation_temporality }))
        }),
        (vec(exp_point(), 0..3), 0..3).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points,
                aggregation_temporality,
            }))
        }),
        vec(summary_point(), 0..3)
            .prop_map(|data_points| Some(Data::Summary(metrics::Summary { data_points }))),
    ]
}

fn metric() -> impl Strategy<Value = metrics::Metric> {
    (text(), text(), text(), attributes(), data()).prop_map(|(name, description, unit, metadata, data)| {
        metrics::Metric { name, description, unit, metadata, data }
    })
}

pub(super) fn resource_metrics() -> impl Strategy<Value = metrics::ResourceMetrics> {
    let scopes = vec(
        (scope(), vec(metric(), 0..3), text())
            .prop_map(|(scope, metrics, schema_url)| metrics::ScopeMetrics { scope, metrics, schema_url }),
        0..3,
    );
    (resource(), scopes, text()).prop_map(|(resource, scope_metrics, schema_url)| metrics::ResourceMetrics {
        resource,
        scope_metrics,
        schema_url,
    })
}

fn log_record() -> impl Strategy<Value = logs::LogRecord> {
    let ids = (vec(any::<u8>(), 0..17), vec(any::<u8>(), 0..9), any::<u32>(), any::<u32>());
    let said = (any::<i32>(), text(), any_value(), text());
    (any::<u64>(), any::<u64>(), said, attributes(), ids).prop_map(
        |(time, observed, (severity_number, severity_text, body, event_name), attributes, ids)| {
            logs::LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: observed,
                severity_number,
                severity_text,
                body: Some(body),
                attributes,
                dropped_attributes_count: ids.2,
                flags: ids.3,
                trace_id: ids.0,
                span_id: ids.1,
                event_name,
            }
        },
    )
}

pub(super) fn resource_logs() -> impl Strategy<Value = logs::ResourceLogs> {
    let scopes = vec(
        (scope(), vec(log_record(), 0..4), text())
            .prop_map(|(scope, log_records, schema_url)| logs::ScopeLogs { scope, log_records, schema_url }),
        0..3,
    );
    (resource(), scopes, text()).prop_map(|(resource, scope_logs, schema_url)| logs::ResourceLogs {
        resource,
        scope_logs,
        schema_url,
    })
}

fn event() -> impl Strategy<Value = traces::span::Event> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped)| traces::span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn link() -> impl Strategy<Value = traces::span::Link> {
    (vec(any::<u8>(), 0..17), vec(any::<u8>(), 0..9), text(), attributes(), any::<[u32; 2]>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, [dropped, flags])| traces::span::Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: dropped,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = traces::Span> {
    let ids = (vec(any::<u8>(), 0..17), vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9), text());
    let parts = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let numbers = (any::<[u32; 4]>(), any::<[u64; 2]>(), any::<i32>());
    (ids, text(), parts, numbers, (text(), any::<i32>())).prop_map(
        |(
            (trace_id, span_id, parent_span_id, trace_state),
            name,
            (attributes, events, links),
            numbers,
            status,
        )| {
            let ([dropped_attributes, dropped_events, dropped_links, flags], [start, end], kind) = numbers;
            traces::Span {
                trace_id,
                span_id,
                trace_state,
                parent_span_id,
                flags,
                name,
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes,
                dropped_attributes_count: dropped_attributes,
                events,
                dropped_events_count: dropped_events,
                links,
                dropped_links_count: dropped_links,
                status: Some(traces::Status { message: status.0, code: status.1 }),
            }
        },
    )
}

pub(super) fn resource_spans() -> impl Strategy<Value = traces::ResourceSpans> {
    let scopes = vec(
        (scope(), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| traces::ScopeSpans {
            scope,
            spans,
            schema_url,
        }),
        0..3,
    );
    (resource(), scopes, text()).prop_map(|(resource, scope_spans, schema_url)| traces::ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    })
}

fn owned(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn all<'a, T: View<'a>, R>(items: Repeated<'a, T>, read: impl Fn(T) -> R) -> Vec<R> {
    items.map(|item| read(item.unwrap())).collect()
}

fn read_value(value: AnyValue<'_>) -> common::AnyValue {
    match value {
        AnyValue::Empty => empty(),
        AnyValue::Str(text) => string(&owned(text)),
        AnyValue::Bool(truth) => boolean(truth),
        AnyValue::Int(number) => int(number),
        AnyValue::Double(number) => double(number),
        AnyValue::Array(values) => array(all(values, read_value)),
        AnyValue::Map(entries) => common::AnyValue {
            value: Some(Value::KvlistValue(common::KeyValueList { values: read_attributes(entries) })),
        },
        AnyValue::Bytes(data) => bytes(data),
    }
}

fn read_attributes(attributes: Attributes<'_>) -> Vec<common::KeyValue> {
    all(attributes, |attribute| common::KeyValue {
        key: owned(attribute.key),
        value: Some(read_value(attribute.value)),
        key_strindex: 0,
    })
}

fn read_resource(view: &ResourceView<'_>) -> Option<resource::Resource> {
    Some(resource::Resource {
        attributes: read_attributes(view.resource.attributes()),
        dropped_attributes_count: view.resource.dropped_attributes,
        entity_refs: vec![],
    })
}

fn read_scope(scope: Scope<'_>) -> Option<common::InstrumentationScope> {
    Some(common::InstrumentationScope {
        name: owned(scope.name),
        version: owned(scope.version),
        attributes: read_attributes(scope.attributes()),
        dropped_attributes_count: scope.dropped_attributes,
    })
}

fn read_exemplar(exemplar: Exemplar<'_>) -> metrics::Exemplar {
    metrics::Exemplar {
        filtered_attributes: read_attributes(exemplar.filtered_attributes()),
        time_unix_nano: exemplar.time,
        span_id: exemplar.span_id.into(),
        trace_id: exemplar.trace_id.into(),
        value: exemplar.value.map(|value| match value {
            Number::Int(value) => metrics::exemplar::Value::AsInt(value),
            Number::Double(value) => metrics::exemplar::Value::AsDouble(value),
        }),
    }
}

fn read_number(point: NumberPoint<'_>) -> metrics::NumberDataPoint {
    metrics::NumberDataPoint {
        attributes: read_attributes(point.attributes()),
        start_time_unix_nano: point.start,
        time_unix_nano: point.time,
        exemplars: all(point.exemplars(), read_exemplar),
        flags: point.flags,
        value: point.value.map(|value| match value {
            Number::Int(value) => metrics::number_data_point::Value::AsInt(value),
            Number::Double(value) => metrics::number_data_point::Value::AsDouble(value),
        }),
    }
}

fn read_histogram(point: HistogramPoint<'_>) -> metrics::HistogramDataPoint {
    metrics::HistogramDataPoint {
        attributes: read_attributes(point.attributes()),
        start_time_unix_nano: point.start,
        time_unix_nano: point.time,
        count: point.count,
        sum: point.sum,
        bucket_counts: point.bucket_counts().map(Result::unwrap).collect(),
        explicit_bounds: point.bounds().map(Result::unwrap).collect(),
        exemplars: all(point.exemplars(), read_exemplar),
        flags: point.flags,
        min: point.min,
        max: point.max,
    }
}

fn read_buckets(buckets: Buckets<'_>) -> Option<metrics::exponential_histogram_data_point::Buckets> {
    Some(metrics::exponential_histogram_data_point::Buckets {
        offset: buckets.offset,
        bucket_counts: buckets.counts().map(Result::unwrap).collect(),
    })
}

fn read_exp(point: ExpHistogramPoint<'_>) -> metrics::ExponentialHistogramDataPoint {
    metrics::ExponentialHistogramDataPoint {
        attributes: read_attributes(point.attributes()),
        start_time_unix_nano: point.start,
        time_unix_nano: point.time,
        count: point.count,
        sum: point.sum,
        scale: point.scale,
        zero_count: point.zero_count,
        positive: read_buckets(point.positive),
        negative: read_buckets(point.negative),
        flags: point.flags,
        exemplars: all(point.exemplars(), read_exemplar),
        min: point.min,
        max: point.max,
        zero_threshold: point.zero_threshold,
    }
}

fn read_summary(point: SummaryPoint<'_>) -> metrics::SummaryDataPoint {
    metrics::SummaryDataPoint {
        attributes: read_attributes(point.attributes()),
        start_time_unix_nano: point.start,
        time_unix_nano: point.time,
        count: point.count,
        sum: point.sum,
        quantile_values: all(point.quantiles(), |quantile: Quantile| {
            metrics::summary_data_point::ValueAtQuantile {
                quantile: quantile.quantile,
                value: quantile.value,
            }
        }),
        flags: point.flags,
    }
}

fn read_metric(metric: Metric<'_>) -> metrics::Metric {
    use metrics::metric::Data as Pb;
    let data = match metric.data {
        Data::Empty => None,
        Data::Gauge(points) => Some(Pb::Gauge(metrics::Gauge { data_points: all(points, read_number) })),
        Data::Sum { points, temporality, monotonic } => Some(Pb::Sum(metrics::Sum {
            data_points: all(points, read_number),
            aggregation_temporality: temporality as i32,
            is_monotonic: monotonic,
        })),
        Data::Histogram { points, temporality } => Some(Pb::Histogram(metrics::Histogram {
            data_points: all(points, read_histogram),
            aggregation_temporality: temporality as i32,
        })),
        Data::ExponentialHistogram { points, temporality } => {
            Some(Pb::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points: all(points, read_exp),
                aggregation_temporality: temporality as i32,
            }))
        }
        Data::Summary(points) => {
            Some(Pb::Summary(metrics::Summary { data_points: all(points, read_summary) }))
        }
    };
    metrics::Metric {
        name: owned(metric.name),
        description: owned(metric.description),
        unit: owned(metric.unit),
        metadata: read_attributes(metric.metadata()),
        data,
    }
}

pub(super) fn read_metrics(view: &ResourceView<'_>) -> metrics::ResourceMetrics {
    metrics::ResourceMetrics {
        resource: read_resource(view),
        scope_metrics: all(view.scopes(), |scope| metrics::ScopeMetrics {
            scope: read_scope(scope.scope),
            metrics: all(scope.metrics(), read_metric),
            schema_url: owned(scope.schema_url),
        }),
        schema_url: owned(view.schema_url),
    }
}

pub(super) fn read_logs(view: &ResourceView<'_>) -> logs::ResourceLogs {
    logs::ResourceLogs {
        resource: read_resource(view),
        scope_logs: all(view.scopes(), |scope| logs::ScopeLogs {
            scope: read_scope(scope.scope),
            log_records: all(scope.logs(), |record| logs::LogRecord {
                time_unix_nano: record.time,
                observed_time_unix_nano: record.observed_time,
                severity_number: record.severity_number,
                severity_text: owned(record.severity_text),
                body: Some(read_value(record.body)),
                attributes: read_attributes(record.attributes()),
                dropped_attributes_count: record.dropped_attributes,
                flags: record.flags,
                trace_id: record.trace_id.into(),
                span_id: record.span_id.into(),
                event_name: owned(record.event_name),
            }),
            schema_url: owned(scope.schema_url),
        }),
        schema_url: owned(view.schema_url),
    }
}

fn read_span(span: Span<'_>) -> traces::Span {
    traces::Span {
        trace_id: span.trace_id.into(),
        span_id: span.span_id.into(),
        trace_state: owned(span.trace_state),
        parent_span_id: span.parent_span_id.into(),
        flags: span.flags,
        name: owned(span.name),
        kind: span.kind,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: read_attributes(span.attributes()),
        dropped_attributes_count: span.dropped_attributes,
        events: all(span.events(), |event| traces::span::Event {
            time_unix_nano: event.time,
            name: owned(event.name),
            attributes: read_attributes(event.attributes()),
            dropped_attributes_count: event.dropped_attributes,
        }),
        dropped_events_count: span.dropped_events,
        links: all(span.links(), |link| traces::span::Link {
            trace_id: link.trace_id.into(),
            span_id: link.span_id.into(),
            trace_state: owned(link.trace_state),
            attributes: read_attributes(link.attributes()),
            dropped_attributes_count: link.dropped_attributes,
            flags: link.flags,
        }),
        dropped_links_count: span.dropped_links,
        status: Some(traces::Status { message: owned(span.status.message), code: span.status.code }),
    }
}

pub(super) fn read_spans(view: &ResourceView<'_>) -> traces::ResourceSpans {
    traces::ResourceSpans {
        resource: read_resource(view),
        scope_spans: all(view.scopes(), |scope| traces::ScopeSpans {
            scope: read_scope(scope.scope),
            spans: all(scope.spans(), read_span),
            schema_url: owned(scope.schema_url),
        }),
        schema_url: owned(view.schema_url),
    }
}

/// Goes through everything that passed the check, text of attributes included.
pub(super) fn walk(signal: Signal, view: &ResourceView<'_>) {
    let texts = |attributes: Attributes<'_>| {
        for attribute in attributes {
            attribute.unwrap().value.write_text(&mut String::new()).unwrap();
        }
    };
    texts(view.resource.attributes());
    for scope in view.scopes() {
        let scope = scope.unwrap();
        texts(scope.scope.attributes());
        match signal {
            Signal::Metrics => scope.metrics().for_each(|metric| texts(metric.unwrap().metadata())),
            Signal::Logs => scope.logs().for_each(|record| texts(record.unwrap().attributes())),
            Signal::Traces => scope.spans().for_each(|span| texts(span.unwrap().attributes())),
        }
    }
}

/// One message per point: everything around it, and the point alone.
pub(super) fn points(resource: &metrics::ResourceMetrics) -> Vec<Vec<u8>> {
    use metrics::metric::Data;
    let mut all = Vec::new();
    for scope in &resource.scope_metrics {
        for metric in &scope.metrics {
            let alone: Vec<Data> = match metric.data.clone() {
                None => vec![],
                Some(Data::Gauge(data)) => {
                    single(data.data_points, |data_points| Data::Gauge(metrics::Gauge { data_points }))
                }
                Some(Data::Sum(data)) => single(data.data_points.clone(), |data_points| {
                    Data::Sum(metrics::Sum { data_points, ..data.clone() })
                }),
                Some(Data::Histogram(data)) => single(data.data_points.clone(), |data_points| {
                    Data::Histogram(metrics::Histogram { data_points, ..data.clone() })
                }),
                Some(Data::ExponentialHistogram(data)) => single(data.data_points.clone(), |data_points| {
                    Data::ExponentialHistogram(metrics::ExponentialHistogram { data_points, ..data.clone() })
                }),
                Some(Data::Summary(data)) => {
                    single(data.data_points, |data_points| Data::Summary(metrics::Summary { data_points }))
                }
            };
            for data in alone {
                let metric = metrics::Metric { data: Some(data), ..metric.clone() };
                let scope = metrics::ScopeMetrics { metrics: vec![metric], ..scope.clone() };
                all.push(
                    metrics::ResourceMetrics { scope_metrics: vec![scope], ..resource.clone() }
                        .encode_to_vec(),
                );
            }
        }
    }
    all
}

fn single<P, D>(points: Vec<P>, data: impl Fn(Vec<P>) -> D) -> Vec<D> {
    points.into_iter().map(|point| data(vec![point])).collect()
}

pub(super) fn records(resource: &logs::ResourceLogs) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for scope in &resource.scope_logs {
        for record in &scope.log_records {
            let scope = logs::ScopeLogs { log_records: vec![record.clone()], ..scope.clone() };
            all.push(logs::ResourceLogs { scope_logs: vec![scope], ..resource.clone() }.encode_to_vec());
        }
    }
    all
}

pub(super) fn spans(resource: &traces::ResourceSpans) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for scope in &resource.scope_spans {
        for span in &scope.spans {
            let scope = traces::ScopeSpans { spans: vec![span.clone()], ..scope.clone() };
            all.push(traces::ResourceSpans { scope_spans: vec![scope], ..resource.clone() }.encode_to_vec());
        }
    }
    all
}

/// One metric of every kind, through the writers.
pub(super) fn written() -> Vec<u8> {
    let head = |name| write::MetricHead { name, description: "Says it.", unit: "s" };
    let mut out = Vec::new();
    write::resource(&mut out, "https://a", |out| {
        write::attribute(out, write::RESOURCE_ATTRIBUTES, "host", "h")
    });
    write::scope_metrics(&mut out, "https://b", |out| {
        write::scope(out, "lib", "1.2", |out| write::attribute(out, write::SCOPE_ATTRIBUTES, "k", ""));
        write::metric(out, &head("gauge"), |out| {
            write::gauge(out, |out| write::number_point(out, 0, 9, 1, None, |_| {}));
        });
        write::metric(out, &head("sum"), |out| {
            write::cumulative_sum(out, true, |out| {
                write::number_point(out, 4, 9, 0, Some(Number::Double(0.0)), |out| {
                    write::attribute(out, write::NUMBER_ATTRIBUTES, "a", "b");
                    let head = write::ExemplarHead {
                        time: 3,
                        value: 1.5,
                        trace_id: Some([1; 16]),
                        span_id: Some([2; 8]),
                    };
                    write::exemplar(out, write::NUMBER_EXEMPLARS, &head, |out| {
                        write::attribute(out, write::EXEMPLAR_ATTRIBUTES, "c", "d");
                    });
                });
            });
            write::attribute(out, write::METRIC_METADATA, "prometheus.type", "counter");
        });
        write::metric(out, &head("histogram"), |out| {
            let head = write::HistogramHead {
                time: 9,
                count: 3,
                sum: Some(0.0),
                bucket_counts: &[1, 2],
                bounds: &[0.5],
                ..Default::default()
            };
            write::cumulative_histogram(out, |out| {
                write::histogram_point(out, &head, |out| {
                    write::attribute(out, write::HISTOGRAM_ATTRIBUTES, "a", &"b".repeat(200));
                });
            });
        });
        write::metric(out, &head("summary"), |out| {
            let quantiles = [Quantile { quantile: 0.0, value: 1.0 }, Quantile { quantile: 0.5, value: 2.0 }];
            let head = write::SummaryHead {
                time: 9,
                count: 3,
                sum: 6.0,
                quantiles: &quantiles,
                ..Default::default()
            };
            write::summary(out, |out| {
                write::summary_point(out, &head, |out| {
                    write::attribute(out, write::SUMMARY_ATTRIBUTES, "a", "b");
                })
            });
        });
    });
    out
}

/// What [`written`] means.
pub(super) fn expected_of_written() -> metrics::ResourceMetrics {
    use metrics::metric::Data;
    let pair = |key: &str, text: &str| common::KeyValue {
        key: key.into(),
        value: Some(string(text)),
        key_strindex: 0,
    };
    let metric = |name: &str, data| metrics::Metric {
        name: name.into(),
        description: "Says it.".into(),
        unit: "s".into(),
        metadata: vec![],
        data: Some(data),
    };
    let stale = metrics::NumberDataPoint { time_unix_nano: 9, flags: 1, ..Default::default() };
    let counted = metrics::NumberDataPoint {
        attributes: vec![pair("a", "b")],
        start_time_unix_nano: 4,
        time_unix_nano: 9,
        exemplars: vec![metrics::Exemplar {
            filtered_attributes: vec![pair("c", "d")],
            time_unix_nano: 3,
            span_id: vec![2; 8],
            trace_id: vec![1; 16],
            value: Some(metrics::exemplar::Value::AsDouble(1.5)),
        }],
        value: Some(metrics::number_data_point::Value::AsDouble(0.0)),
        flags: 0,
    };
    let histogram = metrics::HistogramDataPoint {
        attributes: vec![pair("a", &"b".repeat(200))],
        time_unix_nano: 9,
        count: 3,
        sum: Some(0.0),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        ..Default::default()
    };
    let summary = metrics::SummaryDataPoint {
        attributes: vec![pair("a", "b")],
        time_unix_nano: 9,
        count: 3,
        sum: 6.0,
        quantile_values: vec![
            metrics::summary_data_point::ValueAtQuantile { quantile: 0.0, value: 1.0 },
            metrics::summary_data_point::ValueAtQuantile { quantile: 0.5, value: 2.0 },
        ],
        ..Default::default()
    };
    let sum = metrics::Sum { data_points: vec![counted], aggregation_temporality: 2, is_monotonic: true };
    let counter = metrics::Metric {
        metadata: vec![pair("prometheus.type", "counter")],
        ..metric("sum", Data::Sum(sum))
    };
    let histogram = metrics::Histogram { data_points: vec![histogram], aggregation_temporality: 2 };
    metrics::ResourceMetrics {
        resource: Some(resource::Resource { attributes: vec![pair("host", "h")], ..Default::default() }),
        scope_metrics: vec![metrics::ScopeMetrics {
            scope: Some(common::InstrumentationScope {
                name: "lib".into(),
                version: "1.2".into(),
                attributes: vec![pair("k", "")],
                dropped_attributes_count: 0,
            }),
            metrics: vec![
                metric("gauge", Data::Gauge(metrics::Gauge { data_points: vec![stale] })),
                counter,
                metric("histogram", Data::Histogram(histogram)),
                metric("summary", Data::Summary(metrics::Summary { data_points: vec![summary] })),
            ],
            schema_url: "https://b".into(),
        }],
        schema_url: "https://a".into(),
    }
}
