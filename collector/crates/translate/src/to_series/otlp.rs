//! OTLP metrics as series.

mod exemplars;
mod histograms;
mod native;

use std::borrow::Cow;

use model::{Kind, STALE_BITS, Signal, Timestamp, canonical_bits};
use wire::Malformed;
use wire::otlp::{
    self, AnyValue, Attributes, Data, Metric, NumberPoint, Repeated, ResourceView, ScopeView, SummaryPoint,
    Temporality, push_lossy,
};

use super::{FamilySpans, Run, Sample, Seen};
use crate::labels::{INSTANCE, JOB, QUANTILE, Rank, Span};
use crate::names::{self, NameKind};
use crate::resource::{IDENTIFYING, SERVICE_INSTANCE, SERVICE_NAME, SERVICE_NAMESPACE};
use crate::scraped::{Absent, OWN_SCOPE, Origin};
use crate::series::{Exemplars, Reason};
use crate::{float, units};

/// A metric while its points are translated.
struct Head<'a> {
    raw_name: &'a [u8],
    /// The name of its series, but for suffixes of their own.
    name: Span,
    origin: Origin<'a>,
    family: FamilySpans,
}

/// A point while its series are emitted.
#[derive(Clone, Copy)]
struct At {
    at: Timestamp,
    is_stale: bool,
}

impl At {
    fn new(nanos: u64, is_stale: bool) -> Self {
        Self { at: Timestamp(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)), is_stale }
    }

    fn bits(self, value: f64) -> u64 {
        if self.is_stale { STALE_BITS } else { canonical_bits(value) }
    }
}

/// Since when a point counts; zero says nothing.
fn start_of(nanos: u64) -> Option<Timestamp> {
    (nanos != 0).then(|| At::new(nanos, false).at)
}

impl Run<'_, '_> {
    pub(super) fn resource(&mut self, bytes: &[u8]) {
        let Ok(view) = ResourceView::new(bytes) else {
            let n_points = otlp::count_items(Signal::Metrics, bytes).unwrap_or(1);
            self.report.drop_points(Reason::Malformed, b"", n_points);
            return;
        };
        let start = self.labels.mark();
        let attributes = view.resource.attributes();
        let is_identified = self.identify(attributes);
        let identity = self.labels.mark();
        for attribute in attributes.map_while(Result::ok) {
            if str::from_utf8(attribute.key).is_ok_and(|key| self.options.shares(key)) {
                let (key, value) = (self.push_bytes(attribute.key), self.push_value(attribute.value));
                self.labels.share(key, value.unwrap_or_default());
            }
        }
        let mut seen = Seen::default();
        for scope in view.scopes() {
            match scope {
                Ok(scope) => self.scope(&scope, &mut seen),
                Err(_) => self.report.drop_points(Reason::Malformed, b"", 1),
            }
        }
        self.labels.rewind(identity);
        if is_identified {
            self.target_info(seen, |run| run.push_others(attributes));
        }
        self.labels.rewind(start);
    }

    /// Adds `job` and `instance`. Says whether there is one of them.
    fn identify(&mut self, attributes: Attributes<'_>) -> bool {
        let name = attributes.get(SERVICE_NAME);
        if let Some(name) = name {
            let job = self.push_job(attributes.get(SERVICE_NAMESPACE), name);
            self.labels.surround(Rank::Job, JOB, job);
        }
        let instance = attributes.get(SERVICE_INSTANCE);
        if let Some(instance) = instance {
            let instance = self.push_value(instance).unwrap_or_default();
            self.labels.surround(Rank::Instance, INSTANCE, instance);
        }
        name.is_some() || instance.is_some()
    }

    fn push_job(&mut self, namespace: Option<AnyValue<'_>>, name: AnyValue<'_>) -> Span {
        let Some(namespace) = namespace else { return self.push_value(name).unwrap_or_default() };
        let (span, n_repaired) = self.labels.span(|out| {
            let mut n_repaired = namespace.write_text(out).unwrap_or(0);
            out.push('/');
            n_repaired += name.write_text(out).unwrap_or(0);
            n_repaired
        });
        self.report.n_repaired += n_repaired;
        span
    }

    /// Adds the attributes that do not identify the resource. Gives their number.
    fn push_others(&mut self, attributes: Attributes<'_>) -> usize {
        let mut n_others = 0;
        for attribute in attributes.map_while(Result::ok) {
            if IDENTIFYING.iter().any(|key| key.as_bytes() == attribute.key) {
                continue;
            }
            n_others += 1;
            let (key, value) = (self.push_bytes(attribute.key), self.push_value(attribute.value));
            self.labels.share(key, value.unwrap_or_default());
        }
        n_others
    }

    fn scope(&mut self, view: &ScopeView<'_>, seen: &mut Seen) {
        let mark = self.labels.mark();
        let scope = view.scope;
        if self.options.scope_info && scope.name != OWN_SCOPE.as_bytes() {
            for (key, text) in
                [("name", scope.name), ("version", scope.version), ("schema_url", view.schema_url)]
            {
                let value = self.push_bytes(text);
                self.scope_label(key, value);
            }
            for attribute in scope.attributes().map_while(Result::ok) {
                let value = self.push_value(attribute.value).unwrap_or_default();
                self.scope_label(&String::from_utf8_lossy(attribute.key), value);
            }
        }
        let scope_mark = self.labels.mark();
        for metric in view.metrics() {
            match metric {
                Ok(metric) => self.metric(&metric, seen),
                Err(_) => self.report.drop_points(Reason::Malformed, b"", 1),
            }
            self.labels.rewind(scope_mark);
        }
        self.labels.rewind(mark);
    }

    fn push_bytes(&mut self, text: &[u8]) -> Span {
        let (span, n_repaired) = self.labels.span(|out| push_lossy(out, text));
        self.report.n_repaired += n_repaired;
        span
    }

    fn push_value(&mut self, value: AnyValue<'_>) -> Result<Span, Malformed> {
        let (span, written) = self.labels.span(|out| value.write_text(out));
        self.report.n_repaired += written?;
        Ok(span)
    }

    fn metric(&mut self, metric: &Metric<'_>, seen: &mut Seen) {
        let refused = match metric.data {
            Data::Sum { temporality, .. }
            | Data::Histogram { temporality, .. }
            | Data::ExponentialHistogram { temporality, .. } => match temporality {
                Temporality::Cumulative => None,
                Temporality::Delta => Some(Reason::Delta),
                Temporality::Unspecified => Some(Reason::UnspecifiedTemporality),
            },
            _ => None,
        };
        let head = self.head(metric);
        let Some(head) = head.filter(|_| refused.is_none()) else {
            let n_points = see_all(metric, seen);
            self.report.drop_points(refused.unwrap_or(Reason::Nameless), metric.name, n_points);
            return;
        };
        match metric.data {
            Data::Gauge(points) | Data::Sum { points, .. } => {
                self.each(points, &head, seen, Self::number);
            }
            Data::Histogram { points, .. } => self.each(points, &head, seen, Self::histogram),
            Data::Summary(points) => self.each(points, &head, seen, Self::summary),
            Data::ExponentialHistogram { points, .. } => self.each(points, &head, seen, Self::exponential),
            Data::Empty => {}
        }
    }

    /// Name, type, HELP and UNIT; nothing where no name is left.
    fn head<'a>(&mut self, metric: &Metric<'a>) -> Option<Head<'a>> {
        let origin = Origin::of(metric);
        let (name, unit) = (String::from_utf8_lossy(metric.name), String::from_utf8_lossy(metric.unit));
        let (name_kind, kind) = match metric.data {
            Data::Sum { monotonic: true, .. } => (NameKind::Counter, Kind::Counter),
            Data::Gauge(_) => (NameKind::Gauge, Kind::Gauge),
            Data::Histogram { .. } | Data::ExponentialHistogram { .. } => (NameKind::Other, Kind::Histogram),
            Data::Summary(_) => (NameKind::Other, Kind::Summary),
            Data::Sum { .. } => (NameKind::Other, Kind::Gauge),
            Data::Empty => (NameKind::Other, Kind::Unknown),
        };
        let (strategy, namespace) = (self.options.strategy, &self.options.namespace);
        let (name_span, has_name) = self.labels.span(|out| {
            if !origin.is_scraped() {
                return names::push_metric_name(out, strategy, namespace, &name, &unit, name_kind);
            }
            names::push_namespace(out, strategy, namespace);
            push_scraped_name(out, strategy, &untrimmed(&name, strategy, origin.absent, &unit));
            !name.is_empty()
        });
        let family_name = if origin.family.is_empty() {
            name_span
        } else {
            let family = String::from_utf8_lossy(origin.family);
            self.labels
                .span(|out| {
                    names::push_namespace(out, strategy, namespace);
                    push_scraped_name(out, strategy, &family);
                })
                .0
        };
        let (unit, ()) = self.labels.span(|out| {
            if origin.is_scraped() {
                units::push_word(out, &unit);
                return;
            }
            let (main, per) = units::suffixes(&unit);
            out.push_str(&main);
            out.push_str(if main.is_empty() || per.is_empty() { "" } else { "_" });
            out.push_str(&per);
        });
        let help = self.push_bytes(metric.description);
        let family = FamilySpans { name: family_name, kind: origin.kind.unwrap_or(kind), help, unit };
        has_name.then_some(Head { raw_name: metric.name, origin, name: name_span, family })
    }

    fn each<'a, T: otlp::View<'a>>(
        &mut self,
        points: Repeated<'a, T>,
        head: &Head<'_>,
        seen: &mut Seen,
        translate: fn(&mut Self, &T, &Head<'_>, &mut Seen) -> Result<(), Reason>,
    ) {
        let mark = self.labels.mark();
        for point in points {
            let done = match point {
                Ok(point) => translate(self, &point, head, seen),
                Err(_) => Err(Reason::Malformed),
            };
            if let Err(reason) = done {
                self.report.drop_points(reason, head.raw_name, 1);
            }
            self.labels.rewind(mark);
        }
    }

    /// Puts the point's labels together.
    fn begin(&mut self, attributes: Attributes<'_>, origin: Origin<'_>) -> Result<(), Reason> {
        for attribute in attributes {
            let attribute = attribute.map_err(|_| Reason::Malformed)?;
            let key = self.push_bytes(attribute.key);
            let value = self.push_value(attribute.value).map_err(|_| Reason::Malformed)?;
            self.labels.attribute(key, value, origin.is_scraped());
        }
        let fits = !self.labels.is_full();
        let has_names = fits && self.labels.assemble(self.options.strategy, origin.absent);
        if has_names { Ok(()) } else { Err(if fits { Reason::NamelessLabel } else { Reason::Malformed }) }
    }

    fn number(&mut self, point: &NumberPoint<'_>, head: &Head<'_>, seen: &mut Seen) -> Result<(), Reason> {
        let at = At::new(point.time, point.is_stale());
        self.start = start_of(point.start);
        seen.add(at.at, at.is_stale);
        let value = match point.value {
            Some(value) => value.as_f64(),
            None if at.is_stale => 0.0,
            None => return Err(Reason::NoValue),
        };
        self.begin(point.attributes(), head.origin)?;
        let exemplars = self.exemplars(point.exemplars(), |_| 0)?;
        let plain = Sample::plain(&head.family, at.bits(value), at.at);
        self.emit_series(head.name, None, &Sample { exemplars: Exemplars(&exemplars), ..plain });
        Ok(())
    }

    fn push_bound(&mut self, bound: f64, origin: Origin<'_>) -> Span {
        let push = if origin.is_scraped() { float::push_open_metrics } else { float::push_plain };
        self.labels.span(|out| push(out, bound)).0
    }

    fn emit_suffixed(&mut self, head: &Head<'_>, suffix: &str, at: At, value: f64) {
        let mark = self.labels.mark();
        let name = self.labels.push_joined(head.name, suffix);
        self.emit_series(name, None, &Sample::plain(&head.family, at.bits(value), at.at));
        self.labels.rewind(mark);
    }

    fn summary(&mut self, point: &SummaryPoint<'_>, head: &Head<'_>, seen: &mut Seen) -> Result<(), Reason> {
        let at = At::new(point.time, point.is_stale());
        self.start = start_of(point.start);
        seen.add(at.at, at.is_stale);
        if point.quantiles().any(|quantile| quantile.is_err()) {
            return Err(Reason::Malformed);
        }
        self.begin(point.attributes(), head.origin)?;
        if !head.origin.absent.has(Absent::SUM) {
            self.emit_suffixed(head, "_sum", at, point.sum);
        }
        self.emit_suffixed(head, "_count", at, point.count as f64);
        for quantile in point.quantiles().map_while(Result::ok) {
            let mark = self.labels.mark();
            let bound = self.push_bound(quantile.quantile, head.origin);
            let sample = Sample::plain(&head.family, at.bits(quantile.value), at.at);
            self.emit_series(head.name, Some((QUANTILE, bound)), &sample);
            self.labels.rewind(mark);
        }
        Ok(())
    }
}

/// A scraped name under this strategy: as it is, or without what Prometheus 2 does not take.
pub(super) fn push_scraped_name(out: &mut String, strategy: names::Strategy, name: &str) {
    if strategy.escapes() { names::push_escaped(out, name, false) } else { out.push_str(name) }
}

/// A scraped name with what was trimmed from it, where the strategy has suffixes.
fn untrimmed<'n>(name: &'n str, strategy: names::Strategy, absent: Absent, unit: &str) -> Cow<'n, str> {
    let is_trimmed = absent.has(Absent::UNIT_SUFFIX.with(Absent::TOTAL_SUFFIX));
    if !is_trimmed || !strategy.adds_suffixes() {
        return Cow::Borrowed(name);
    }
    let mut whole = name.to_owned();
    if absent.has(Absent::UNIT_SUFFIX) {
        whole.push('_');
        units::push_word(&mut whole, unit);
    }
    if absent.has(Absent::TOTAL_SUFFIX) {
        whole.push_str("_total");
    }
    Cow::Owned(whole)
}

/// Takes notice of points that are not translated. Gives their number.
fn see_all(metric: &Metric<'_>, seen: &mut Seen) -> usize {
    let mut n_points = 0;
    let mut see = |point: Result<(u64, bool), Malformed>| {
        n_points += 1;
        if let Ok((time, is_stale)) = point {
            seen.add(At::new(time, is_stale).at, is_stale);
        }
    };
    match metric.data {
        Data::Empty => {}
        Data::Gauge(points) | Data::Sum { points, .. } => {
            points.for_each(|point| see(point.map(|point| (point.time, point.is_stale()))));
        }
        Data::Histogram { points, .. } => {
            points.for_each(|point| see(point.map(|point| (point.time, point.is_stale()))));
        }
        Data::ExponentialHistogram { points, .. } => {
            points.for_each(|point| see(point.map(|point| (point.time, point.is_stale()))));
        }
        Data::Summary(points) => {
            points.for_each(|point| see(point.map(|point| (point.time, point.is_stale()))));
        }
    }
    n_points
}
