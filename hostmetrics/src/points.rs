//! Points of one scraper on their way into OTLP: encoded as they are found, in buffers that are used again.
//!
//! OTLP keeps the points of a metric together, while a device or process is read once for many metrics; so every row of the
//! table has a buffer of its own. Attributes that the configuration leaves out make points the same, and those become
//! one by the metric's strategy.

use std::collections::HashMap;

use config::Problem;
use wire::otlp::Number as Value;
use wire::otlp::write;

use crate::settings::{AggregationStrategy, MetricsConfig};
use crate::table::{Attribute, Kind, Metric, Number, Table};

/// In front of the scraper's name in the scope that upstream gives its metrics.
const SCOPE: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/";

/// Points of the metrics of one table.
#[derive(Debug)]
pub(crate) struct Points {
    scope: String,
    version: &'static str,
    schema_url: &'static str,
    rows: Vec<Row>,
    start: u64,
    now: u64,
}

#[derive(Debug)]
struct Row {
    metric: &'static Metric,
    is_on: bool,
    /// Which attributes points keep; none of the groups are needed while it is all of them.
    kept: Vec<bool>,
    keeps_all: bool,
    strategy: AggregationStrategy,
    encoded: Vec<u8>,
    n_points: usize,
    groups: Groups,
}

/// Points that are being put together, by the values of the attributes that are kept, in the order of their first point.
#[derive(Debug, Default)]
struct Groups {
    places: HashMap<Vec<u8>, usize>,
    sums: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    attributes: Vec<u8>,
    value: Value,
    n_points: u32,
}

impl Points {
    /// Buffers for a table, as the configuration wants its metrics.
    pub(crate) fn build<T: Table>(
        config: &MetricsConfig<T>,
        version: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let rows = T::METRICS.iter().map(|metric| Row::build(metric, config, problems)).collect();
        let scope = format!("{SCOPE}{}scraper", T::SCRAPER);
        Self { scope, version, schema_url: T::SCHEMA_URL, rows, start: 0, now: 0 }
    }

    /// Whether a metric is wanted at all.
    pub(crate) fn is_on(&self, row: usize) -> bool {
        self.rows[row].is_on
    }

    /// Whether one of these metrics is wanted.
    pub(crate) fn is_any_on(&self, rows: &[usize]) -> bool {
        rows.iter().any(|row| self.is_on(*row))
    }

    /// Times of the points that follow, in nanoseconds since the epoch.
    pub(crate) fn begin(&mut self, start: u64, now: u64) {
        (self.start, self.now) = (start, now);
    }

    /// A whole number. `values` are those of the row's attributes, in their order.
    pub(crate) fn int(&mut self, row: usize, value: u64, values: &[&str]) {
        debug_assert_eq!(self.rows[row].metric.number, Number::Int, "{}", self.rows[row].metric.name);
        self.put(row, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)), values);
    }

    /// A fraction. `values` are those of the row's attributes, in their order.
    pub(crate) fn double(&mut self, row: usize, value: f64, values: &[&str]) {
        debug_assert_eq!(self.rows[row].metric.number, Number::Double, "{}", self.rows[row].metric.name);
        self.put(row, Value::Double(value), values);
    }

    fn put(&mut self, row: usize, value: Value, values: &[&str]) {
        let (start, now) = (self.start, self.now);
        let row = &mut self.rows[row];
        if !row.is_on {
            return;
        }
        debug_assert_eq!(row.metric.attributes.len(), values.len(), "{}", row.metric.name);
        let attributes = row.metric.attributes.iter().zip(values).zip(&row.kept);
        let kept = attributes.filter(|(_, is_kept)| **is_kept).map(|(pair, _)| pair);
        if row.keeps_all {
            row.n_points += 1;
            write::number_point(&mut row.encoded, start, now, 0, Some(value), |out| {
                kept.for_each(|(attribute, value)| put_attribute(out, attribute, value));
            });
            return;
        }
        let mut key = Vec::new();
        kept.for_each(|(attribute, value)| put_attribute(&mut key, attribute, value));
        row.groups.add(key, value, row.strategy);
    }

    /// Appends a `ResourceMetrics` with everything that was put, and forgets it. Gives the number of points; nothing is
    /// appended where there are none.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, resource: &[u8]) -> usize {
        let (start, now) = (self.start, self.now);
        self.rows.iter_mut().for_each(|row| row.close_groups(start, now));
        let n_points = self.rows.iter().map(|row| row.n_points).sum();
        if n_points == 0 {
            return 0;
        }
        write::resource(out, self.schema_url, |out| out.extend_from_slice(resource));
        let (scope, version, rows) = (&self.scope, self.version, &mut self.rows);
        write::scope_metrics(out, self.schema_url, |out| {
            write::scope(out, scope, version, |_| {});
            rows.iter_mut().filter(|row| row.n_points > 0).for_each(|row| row.write(out));
        });
        n_points
    }
}

impl Row {
    fn build<T: Table>(
        metric: &'static Metric,
        config: &MetricsConfig<T>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let said = config.of(metric);
        let is = |attribute: &Attribute, name: &String| attribute.name == name || attribute.key == name;
        let kept: Vec<bool> = metric
            .attributes
            .iter()
            .map(|attribute| {
                said.attributes.as_ref().is_none_or(|names| names.iter().any(|name| is(attribute, name)))
            })
            .collect();
        for name in said.attributes.iter().flatten() {
            if !metric.attributes.iter().any(|attribute| is(attribute, name)) {
                let known: Vec<&str> = metric.attributes.iter().map(|attribute| attribute.name).collect();
                let message = format!("`{name}` is no attribute of {}", metric.name);
                let hint = format!("its attributes are: {}", known.join(", "));
                problems.push(
                    Problem::at(format!("metrics::{}::attributes", metric.name), message).with_hint(hint),
                );
            }
        }
        let by_kind = match metric.kind {
            Kind::Gauge => AggregationStrategy::Avg,
            Kind::Sum | Kind::Counter => AggregationStrategy::Sum,
        };
        Self {
            metric,
            is_on: said.enabled.unwrap_or(metric.is_on),
            keeps_all: kept.iter().all(|is_kept| *is_kept),
            kept,
            strategy: said.aggregation_strategy.unwrap_or(by_kind),
            encoded: Vec::new(),
            n_points: 0,
            groups: Groups::default(),
        }
    }

    fn close_groups(&mut self, start: u64, now: u64) {
        self.groups.places.clear();
        for group in self.groups.sums.drain(..) {
            let value = group.finish(self.strategy);
            write::number_point(&mut self.encoded, start, now, 0, Some(value), |out| {
                out.extend_from_slice(&group.attributes);
            });
            self.n_points += 1;
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        let (metric, points) = (self.metric, &mut self.encoded);
        write::metric(out, &metric.head(), |out| {
            let append = |out: &mut Vec<u8>| out.extend_from_slice(points);
            match metric.kind {
                Kind::Gauge => write::gauge(out, append),
                Kind::Sum => write::cumulative_sum(out, false, append),
                Kind::Counter => write::cumulative_sum(out, true, append),
            }
        });
        points.clear();
        self.n_points = 0;
    }
}

impl Groups {
    fn add(&mut self, key: Vec<u8>, value: Value, strategy: AggregationStrategy) {
        match self.places.get(&key) {
            Some(place) => self.sums[*place].add(value, strategy),
            None => {
                self.places.insert(key.clone(), self.sums.len());
                self.sums.push(Group { attributes: key, value, n_points: 1 });
            }
        }
    }
}

impl Group {
    fn add(&mut self, value: Value, strategy: AggregationStrategy) {
        use AggregationStrategy::{Avg, Max, Min, Sum};
        self.n_points += 1;
        self.value = match (self.value, value, strategy) {
            (Value::Int(a), Value::Int(b), Sum | Avg) => Value::Int(a.saturating_add(b)),
            (Value::Int(a), Value::Int(b), Min) => Value::Int(a.min(b)),
            (Value::Int(a), Value::Int(b), Max) => Value::Int(a.max(b)),
            (a, b, Sum | Avg) => Value::Double(a.as_f64() + b.as_f64()),
            (a, b, Min) => Value::Double(a.as_f64().min(b.as_f64())),
            (a, b, Max) => Value::Double(a.as_f64().max(b.as_f64())),
        };
    }

    fn finish(&self, strategy: AggregationStrategy) -> Value {
        match (strategy, self.value) {
            (AggregationStrategy::Avg, Value::Int(sum)) => Value::Int(sum / i64::from(self.n_points)),
            (AggregationStrategy::Avg, Value::Double(sum)) => Value::Double(sum / f64::from(self.n_points)),
            (_, value) => value,
        }
    }
}

fn put_attribute(out: &mut Vec<u8>, attribute: &Attribute, value: &str) {
    match value.parse() {
        Ok(number) if attribute.is_integer => {
            write::int_attribute(out, write::NUMBER_ATTRIBUTES, attribute.key, number);
        }
        _ => write::attribute(out, write::NUMBER_ATTRIBUTES, attribute.key, value),
    }
}
