//! A walk over everything in a resource message.

use model::Signal;

use super::common::{AnyValue, Attributes, ResourceView, ScopeView, View};
use super::metrics::{Data, Metric};
use super::points::{Exemplar, ExpHistogramPoint, HistogramPoint, NumberPoint, SummaryPoint};
use super::{LogRecord, Malformed, Repeated, Span};

/// Looks at every known field of one encoded resource message and counts its items.
///
/// For receivers: what fails here would be refused by the next receiver, together with everything that was batched
/// with it. Unknown fields are only passed over, and text is not checked, so invalid UTF-8 passes.
pub fn check(signal: Signal, resource: &[u8]) -> Result<usize, Malformed> {
    let view = ResourceView::new(resource)?;
    attributes(view.resource.attributes())?;
    let mut n_items = 0;
    for scope in view.scopes() {
        let scope = scope?;
        attributes(scope.scope.attributes())?;
        n_items += items(signal, &scope)?;
    }
    Ok(n_items)
}

fn items(signal: Signal, scope: &ScopeView<'_>) -> Result<usize, Malformed> {
    match signal {
        Signal::Metrics => each(scope.metrics(), metric),
        Signal::Logs => each(scope.logs(), |record| log(record).map(|()| 1)),
        Signal::Traces => each(scope.spans(), |item| span(item).map(|()| 1)),
    }
}

fn each<'a, T: View<'a>>(
    items: Repeated<'a, T>,
    mut check: impl FnMut(&T) -> Result<usize, Malformed>,
) -> Result<usize, Malformed> {
    let mut n_items = 0;
    for item in items {
        n_items += check(&item?)?;
    }
    Ok(n_items)
}

fn attributes(attributes: Attributes<'_>) -> Result<(), Malformed> {
    for attribute in attributes {
        value(attribute?.value)?;
    }
    Ok(())
}

/// Recursion ends at the depth at which decoding does.
fn value(value_: AnyValue<'_>) -> Result<(), Malformed> {
    match value_ {
        AnyValue::Array(values) => {
            for item in values {
                value(item?)?;
            }
            Ok(())
        }
        AnyValue::Map(entries) => attributes(entries),
        _ => Ok(()),
    }
}

fn drain<T>(numbers: impl Iterator<Item = Result<T, Malformed>>) -> Result<(), Malformed> {
    for number in numbers {
        number?;
    }
    Ok(())
}

fn metric(metric: &Metric<'_>) -> Result<usize, Malformed> {
    attributes(metric.metadata())?;
    match metric.data {
        Data::Empty => Ok(0),
        Data::Gauge(points) | Data::Sum { points, .. } => each(points, number),
        Data::Histogram { points, .. } => each(points, histogram),
        Data::ExponentialHistogram { points, .. } => each(points, exp_histogram),
        Data::Summary(points) => each(points, summary),
    }
}

fn number(point: &NumberPoint<'_>) -> Result<usize, Malformed> {
    attributes(point.attributes())?;
    exemplars(point.exemplars())
}

fn histogram(point: &HistogramPoint<'_>) -> Result<usize, Malformed> {
    attributes(point.attributes())?;
    drain(point.bucket_counts())?;
    drain(point.bounds())?;
    exemplars(point.exemplars())
}

fn exp_histogram(point: &ExpHistogramPoint<'_>) -> Result<usize, Malformed> {
    attributes(point.attributes())?;
    drain(point.positive.counts())?;
    drain(point.negative.counts())?;
    exemplars(point.exemplars())
}

fn summary(point: &SummaryPoint<'_>) -> Result<usize, Malformed> {
    attributes(point.attributes())?;
    drain(point.quantiles())?;
    Ok(1)
}

fn exemplars(exemplars: Repeated<'_, Exemplar<'_>>) -> Result<usize, Malformed> {
    for exemplar in exemplars {
        attributes(exemplar?.filtered_attributes())?;
    }
    Ok(1)
}

fn log(record: &LogRecord<'_>) -> Result<(), Malformed> {
    attributes(record.attributes())?;
    value(record.body)
}

fn span(span: &Span<'_>) -> Result<(), Malformed> {
    attributes(span.attributes())?;
    for event in span.events() {
        attributes(event?.attributes())?;
    }
    for link in span.links() {
        attributes(link?.attributes())?;
    }
    Ok(())
}
