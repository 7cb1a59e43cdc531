//! Everything, on many lines, in the shape that `kubectl logs` readers know from the Go collector.

use std::fmt::Write;

use model::{Frames, Signal};
use wire::Malformed;
use wire::otlp::{
    Attributes, Data, Exemplar, LogRecord, Metric, Number, ResourceView, ScopeView, Span, severity_name,
    span_kind_name, status_code_name,
};

use super::value::{hex, lossy, time, typed};

/// Prints all resources of a batch.
pub(super) fn print(signal: Signal, frames: &Frames, out: &mut String) -> Result<(), Malformed> {
    let mut block = Block(out);
    let (resource_noun, scope_noun) = match signal {
        Signal::Metrics => ("ResourceMetrics", "ScopeMetrics"),
        Signal::Logs => ("ResourceLog", "ScopeLogs"),
        Signal::Traces => ("ResourceSpans", "ScopeSpans"),
    };
    for (index, resource) in frames.resources.iter().enumerate() {
        let resource = ResourceView::new(resource)?;
        block.line(format_args!("{resource_noun} #{index}"));
        block.line(format_args!("Resource SchemaURL: {}", lossy(resource.schema_url)));
        block.attributes("Resource attributes", resource.resource.attributes());
        for (index, scope) in resource.scopes().enumerate() {
            let scope = scope?;
            block.line(format_args!("{scope_noun} #{index}"));
            block.line(format_args!("{scope_noun} SchemaURL: {}", lossy(scope.schema_url)));
            block.line(format_args!(
                "InstrumentationScope {} {}",
                lossy(scope.scope.name),
                lossy(scope.scope.version)
            ));
            block.attributes("InstrumentationScope attributes", scope.scope.attributes());
            block.items(signal, &scope)?;
        }
    }
    Ok(())
}

struct Block<'a>(&'a mut String);

impl Block<'_> {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{text}");
    }

    fn attributes(&mut self, title: &str, attributes: Attributes<'_>) {
        let mut attributes = attributes.map_while(Result::ok).peekable();
        if attributes.peek().is_some() {
            self.line(format_args!("{title}:"));
        }
        for attribute in attributes {
            self.line(format_args!("     -> {}: {}", lossy(attribute.key), typed(&attribute.value)));
        }
    }

    fn items(&mut self, signal: Signal, scope: &ScopeView<'_>) -> Result<(), Malformed> {
        match signal {
            Signal::Metrics => {
                for (index, metric) in scope.metrics().enumerate() {
                    self.metric(index, &metric?)?;
                }
            }
            Signal::Logs => {
                for (index, record) in scope.logs().enumerate() {
                    self.record(index, &record?);
                }
            }
            Signal::Traces => {
                for (index, span) in scope.spans().enumerate() {
                    self.span(index, &span?)?;
                }
            }
        }
        Ok(())
    }

    fn metric(&mut self, index: usize, metric: &Metric<'_>) -> Result<(), Malformed> {
        self.line(format_args!("Metric #{index}"));
        self.line(format_args!("Descriptor:"));
        self.line(format_args!("     -> Name: {}", lossy(metric.name)));
        self.line(format_args!("     -> Description: {}", lossy(metric.description)));
        self.line(format_args!("     -> Unit: {}", lossy(metric.unit)));
        let (data_type, temporality, monotonic) = match &metric.data {
            Data::Empty => ("Empty", None, None),
            Data::Gauge(_) => ("Gauge", None, None),
            Data::Sum { temporality, monotonic, .. } => ("Sum", Some(temporality), Some(monotonic)),
            Data::Histogram { temporality, .. } => ("Histogram", Some(temporality), None),
            Data::ExponentialHistogram { temporality, .. } => {
                ("ExponentialHistogram", Some(temporality), None)
            }
            Data::Summary(_) => ("Summary", None, None),
        };
        self.line(format_args!("     -> DataType: {data_type}"));
        if let Some(monotonic) = monotonic {
            self.line(format_args!("     -> IsMonotonic: {monotonic}"));
        }
        if let Some(temporality) = temporality {
            self.line(format_args!("     -> AggregationTemporality: {}", temporality.as_str()));
        }
        self.points(&metric.data)
    }

    fn points(&mut self, data: &Data<'_>) -> Result<(), Malformed> {
        match data {
            Data::Empty => {}
            Data::Gauge(points) | Data::Sum { points, .. } => {
                for (index, point) in points.enumerate() {
                    let point = point?;
                    self.point("NumberDataPoints", index, point.attributes(), point.start, point.time);
                    match point.value {
                        None => {}
                        Some(Number::Int(value)) => self.line(format_args!("Value: {value}")),
                        Some(Number::Double(value)) => self.line(format_args!("Value: {value:.6}")),
                    }
                    self.flags(point.flags);
                    self.exemplars(point.exemplars().map_while(Result::ok));
                }
            }
            Data::Histogram { points, .. } => {
                for (index, point) in points.enumerate() {
                    let point = point?;
                    self.point("HistogramDataPoints", index, point.attributes(), point.start, point.time);
                    self.line(format_args!("Count: {}", point.count));
                    self.floats(&[("Sum", point.sum), ("Min", point.min), ("Max", point.max)]);
                    for (index, bound) in point.bounds().map_while(Result::ok).enumerate() {
                        self.line(format_args!("ExplicitBounds #{index}: {bound:.6}"));
                    }
                    for (index, count) in point.bucket_counts().map_while(Result::ok).enumerate() {
                        self.line(format_args!("Buckets #{index}, Count: {count}"));
                    }
                    self.flags(point.flags);
                    self.exemplars(point.exemplars().map_while(Result::ok));
                }
            }
            Data::ExponentialHistogram { points, .. } => {
                for (index, point) in points.enumerate() {
                    let point = point?;
                    self.point(
                        "ExponentialHistogramDataPoints",
                        index,
                        point.attributes(),
                        point.start,
                        point.time,
                    );
                    self.line(format_args!("Count: {}", point.count));
                    self.floats(&[("Sum", point.sum), ("Min", point.min), ("Max", point.max)]);
                    self.line(format_args!("Scale: {}", point.scale));
                    self.line(format_args!("ZeroCount: {}", point.zero_count));
                    for (word, buckets) in [("Positive", point.positive), ("Negative", point.negative)] {
                        for (index, count) in (buckets.offset..).zip(buckets.counts().map_while(Result::ok)) {
                            self.line(format_args!("{word} bucket #{index}, Count: {count}"));
                        }
                    }
                    self.flags(point.flags);
                    self.exemplars(point.exemplars().map_while(Result::ok));
                }
            }
            Data::Summary(points) => {
                for (index, point) in points.enumerate() {
                    let point = point?;
                    self.point("SummaryDataPoints", index, point.attributes(), point.start, point.time);
                    self.line(format_args!("Count: {}", point.count));
                    self.line(format_args!("Sum: {:.6}", point.sum));
                    for (index, quantile) in point.quantiles().map_while(Result::ok).enumerate() {
                        let (at, value) = (quantile.quantile, quantile.value);
                        self.line(format_args!("QuantileValue #{index}: Quantile {at:.6}, Value {value:.6}"));
                    }
                    self.flags(point.flags);
                }
            }
        }
        Ok(())
    }

    fn point(&mut self, noun: &str, index: usize, attributes: Attributes<'_>, start: u64, at: u64) {
        self.line(format_args!("{noun} #{index}"));
        self.attributes("Data point attributes", attributes);
        self.line(format_args!("StartTimestamp: {}", time(start)));
        self.line(format_args!("Timestamp: {}", time(at)));
    }

    fn floats(&mut self, values: &[(&str, Option<f64>)]) {
        for (word, value) in values {
            if let Some(value) = value {
                self.line(format_args!("{word}: {value:.6}"));
            }
        }
    }

    fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.line(format_args!("Flags: {flags}"));
        }
    }

    fn exemplars<'b>(&mut self, exemplars: impl Iterator<Item = Exemplar<'b>>) {
        for (index, exemplar) in exemplars.enumerate() {
            if index == 0 {
                self.line(format_args!("Exemplars:"));
            }
            self.line(format_args!("Exemplar #{index}"));
            self.line(format_args!("     -> Trace ID: {}", hex(exemplar.trace_id)));
            self.line(format_args!("     -> Span ID: {}", hex(exemplar.span_id)));
            self.line(format_args!("     -> Timestamp: {}", time(exemplar.time)));
            match exemplar.value {
                None => {}
                Some(Number::Int(value)) => self.line(format_args!("     -> Value: {value}")),
                Some(Number::Double(value)) => self.line(format_args!("     -> Value: {value:.6}")),
            }
            self.attributes("     -> FilteredAttributes", exemplar.filtered_attributes());
        }
    }

    fn record(&mut self, index: usize, record: &LogRecord<'_>) {
        self.line(format_args!("LogRecord #{index}"));
        self.line(format_args!("ObservedTimestamp: {}", time(record.observed_time)));
        self.line(format_args!("Timestamp: {}", time(record.time)));
        self.line(format_args!("SeverityText: {}", lossy(record.severity_text)));
        let number = record.severity_number;
        self.line(format_args!("SeverityNumber: {}({number})", severity_name(number)));
        if !record.event_name.is_empty() {
            self.line(format_args!("EventName: {}", lossy(record.event_name)));
        }
        self.line(format_args!("Body: {}", typed(&record.body)));
        self.attributes("Attributes", record.attributes());
        self.line(format_args!("Trace ID: {}", hex(record.trace_id)));
        self.line(format_args!("Span ID: {}", hex(record.span_id)));
        self.line(format_args!("Flags: {}", record.flags));
    }

    fn span(&mut self, index: usize, span: &Span<'_>) -> Result<(), Malformed> {
        self.line(format_args!("Span #{index}"));
        let fields: [(&str, String); 9] = [
            ("Trace ID", hex(span.trace_id)),
            ("Parent ID", hex(span.parent_span_id)),
            ("ID", hex(span.span_id)),
            ("Name", lossy(span.name).into_owned()),
            ("Kind", span_kind_name(span.kind).to_owned()),
            ("Start time", time(span.start)),
            ("End time", time(span.end)),
            ("Status code", status_code_name(span.status.code).to_owned()),
            ("Status message", lossy(span.status.message).into_owned()),
        ];
        for (name, value) in &fields {
            self.line(format_args!("    {name:<15}: {value}"));
        }
        if !span.trace_state.is_empty() {
            self.line(format_args!("    {:<15}: {}", "TraceState", lossy(span.trace_state)));
        }
        self.attributes("Attributes", span.attributes());
        for (index, event) in span.events().enumerate() {
            let event = event?;
            if index == 0 {
                self.line(format_args!("Events:"));
            }
            self.line(format_args!("SpanEvent #{index}"));
            self.line(format_args!("     -> Name: {}", lossy(event.name)));
            self.line(format_args!("     -> Timestamp: {}", time(event.time)));
            self.line(format_args!("     -> DroppedAttributesCount: {}", event.dropped_attributes));
            self.attributes("     -> Attributes", event.attributes());
        }
        for (index, link) in span.links().enumerate() {
            let link = link?;
            if index == 0 {
                self.line(format_args!("Links:"));
            }
            self.line(format_args!("SpanLink #{index}"));
            self.line(format_args!("     -> Trace ID: {}", hex(link.trace_id)));
            self.line(format_args!("     -> ID: {}", hex(link.span_id)));
            self.line(format_args!("     -> TraceState: {}", lossy(link.trace_state)));
            self.line(format_args!("     -> DroppedAttributesCount: {}", link.dropped_attributes));
            self.attributes("     -> Attributes", link.attributes());
        }
        Ok(())
    }
}
