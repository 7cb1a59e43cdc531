//! One line for each point, record and span.

use std::fmt::Write;

use model::{Frames, Signal};
use wire::Malformed;
use wire::otlp::{Attributes, Data, LogRecord, Metric, Number, ResourceView, Span};

use super::value::{hex, lossy, pairs, plain};

/// Prints all resources of a batch.
pub(super) fn print(signal: Signal, frames: &Frames, out: &mut String) -> Result<(), Malformed> {
    let noun = match signal {
        Signal::Metrics => "Metrics",
        Signal::Logs => "Log",
        Signal::Traces => "Traces",
    };
    for (index, resource) in frames.resources.iter().enumerate() {
        let resource = ResourceView::new(resource)?;
        line(out, |out| {
            let _infallible = write!(out, "Resource{noun} #{index}");
            if !resource.schema_url.is_empty() {
                let _infallible = write!(out, " [{}]", lossy(resource.schema_url));
            }
            pairs(resource.resource.attributes(), out);
        });
        for (index, scope) in resource.scopes().enumerate() {
            let scope = scope?;
            line(out, |out| {
                let _infallible = write!(out, "Scope{noun} #{index} {}", lossy(scope.scope.name));
                if !scope.scope.version.is_empty() {
                    let _infallible = write!(out, "@{}", lossy(scope.scope.version));
                }
                pairs(scope.scope.attributes(), out);
            });
            match signal {
                Signal::Metrics => scope.metrics().try_for_each(|metric| print_metric(&metric?, out))?,
                Signal::Logs => {
                    scope.logs().try_for_each(|record| record.map(|record| print_record(&record, out)))?
                }
                Signal::Traces => {
                    scope.spans().try_for_each(|span| span.map(|span| print_span(&span, out)))?
                }
            }
        }
    }
    Ok(())
}

fn line(out: &mut String, write: impl FnOnce(&mut String)) {
    write(out);
    out.push('\n');
}

fn print_record(record: &LogRecord<'_>, out: &mut String) {
    line(out, |out| {
        out.push_str(&plain(&record.body));
        pairs(record.attributes(), out);
    });
}

fn print_span(span: &Span<'_>, out: &mut String) {
    line(out, |out| {
        let _infallible = write!(out, "{} {} {}", lossy(span.name), hex(span.trace_id), hex(span.span_id));
        pairs(span.attributes(), out);
    });
}

fn labels(name: &str, attributes: Attributes<'_>) -> String {
    let labels: Vec<String> = attributes
        .map_while(Result::ok)
        .map(|attribute| format!("{}={}", lossy(attribute.key), plain(&attribute.value)))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

fn print_metric(metric: &Metric<'_>, out: &mut String) -> Result<(), Malformed> {
    let name = lossy(metric.name);
    match &metric.data {
        Data::Empty => {}
        Data::Gauge(points) | Data::Sum { points, .. } => {
            for point in *points {
                let point = point?;
                let value = match point.value {
                    None => "no value".to_owned(),
                    Some(Number::Int(value)) => value.to_string(),
                    Some(Number::Double(value)) => value.to_string(),
                };
                line(out, |out| {
                    let _infallible = write!(out, "{} {value}", labels(&name, point.attributes()));
                });
            }
        }
        Data::Histogram { points, .. } => {
            for point in *points {
                let point = point?;
                line(out, |out| {
                    let _infallible =
                        write!(out, "{} count={}", labels(&name, point.attributes()), point.count);
                    for (word, value) in [("sum", point.sum), ("min", point.min), ("max", point.max)] {
                        if let Some(value) = value {
                            let _infallible = write!(out, " {word}={value}");
                        }
                    }
                    for (bound, count) in
                        point.bounds().map_while(Result::ok).zip(point.bucket_counts().map_while(Result::ok))
                    {
                        let _infallible = write!(out, " le{bound}={count}");
                    }
                });
            }
        }
        Data::ExponentialHistogram { points, .. } => {
            for point in *points {
                let point = point?;
                line(out, |out| {
                    let _infallible =
                        write!(out, "{} count={}", labels(&name, point.attributes()), point.count);
                    if let Some(sum) = point.sum {
                        let _infallible = write!(out, " sum={sum}");
                    }
                });
            }
        }
        Data::Summary(points) => {
            for point in *points {
                let point = point?;
                line(out, |out| {
                    let labels = labels(&name, point.attributes());
                    let _infallible = write!(out, "{labels} count={} sum={}", point.count, point.sum);
                    for quantile in point.quantiles().map_while(Result::ok) {
                        let _infallible = write!(out, " q{}={}", quantile.quantile, quantile.value);
                    }
                });
            }
        }
    }
    Ok(())
}
