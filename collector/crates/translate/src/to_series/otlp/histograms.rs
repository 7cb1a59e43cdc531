//! Points of histograms, as the series that their kind and the options ask for.

use model::{Exemplar, Histogram, STALE_BITS};
use wire::otlp::{ExpHistogramPoint, HistogramPoint};

use super::native::{from_explicit, from_exponential};
use super::{At, Head, start_of};
use crate::labels::{LE, Span};
use crate::scraped::Absent;
use crate::series::{Exemplars, Reason};
use crate::to_series::{Run, Sample, Seen};

impl Run<'_, '_> {
    pub(super) fn exponential(
        &mut self,
        point: &ExpHistogramPoint<'_>,
        head: &Head<'_>,
        seen: &mut Seen,
    ) -> Result<(), Reason> {
        let at = At::new(point.time, point.is_stale());
        self.start = start_of(point.start);
        seen.add(at.at, at.is_stale);
        let histogram = match at.is_stale {
            true => None,
            false if !self.options.histograms.native => return Err(Reason::ExponentialHistogram),
            false => Some(from_exponential(point, head.origin)?),
        };
        self.begin(point.attributes(), head.origin)?;
        let exemplars = self.exemplars(point.exemplars(), |_| 0)?;
        self.emit_native(head, at, histogram.as_ref(), &exemplars);
        Ok(())
    }

    /// Emits a native histogram, or the end of one.
    fn emit_native(
        &mut self,
        head: &Head<'_>,
        at: At,
        histogram: Option<&Histogram>,
        exemplars: &[(u32, Exemplar)],
    ) {
        let bits = histogram.map_or(STALE_BITS, |histogram| histogram.sum.to_bits());
        let plain = Sample::plain(&head.family, bits, at.at);
        self.emit_series(head.name, None, &Sample { histogram, exemplars: Exemplars(exemplars), ..plain });
    }

    /// Emits an explicit histogram as a native one with bounds of its own.
    fn custom(&mut self, point: &HistogramPoint<'_>, head: &Head<'_>, at: At) -> Result<(), Reason> {
        let histogram = match at.is_stale {
            true => None,
            false if !self.options.histograms.native => return Err(Reason::ExponentialHistogram),
            false => Some(from_explicit(point, head.origin)?),
        };
        self.begin(point.attributes(), head.origin)?;
        let exemplars = self.exemplars(point.exemplars(), |_| 0)?;
        self.emit_native(head, at, histogram.as_ref(), &exemplars);
        Ok(())
    }

    pub(super) fn histogram(
        &mut self,
        point: &HistogramPoint<'_>,
        head: &Head<'_>,
        seen: &mut Seen,
    ) -> Result<(), Reason> {
        let at = At::new(point.time, point.is_stale());
        self.start = start_of(point.start);
        seen.add(at.at, at.is_stale);
        if point.bounds().any(|bound| bound.is_err()) || point.bucket_counts().any(|count| count.is_err()) {
            return Err(Reason::Malformed);
        }
        let is_custom = head.origin.absent.has(Absent::CLASSIC);
        if is_custom || self.options.histograms.explicit_to_custom {
            let mark = self.labels.mark();
            self.custom(point, head, at)?;
            if is_custom || !self.options.histograms.keep_classic {
                return Ok(());
            }
            self.labels.rewind(mark);
        }
        self.begin(point.attributes(), head.origin)?;
        let n_bounded = point.bounds().zip(point.bucket_counts()).count();
        let bounds = || point.bounds().map_while(Result::ok).take(n_bounded);
        let bucket_of = |value: f64| bounds().position(|bound| value <= bound).unwrap_or(n_bounded);
        let mut exemplars = self.exemplars(point.exemplars(), bucket_of)?;
        exemplars.sort_by_key(|exemplar| exemplar.0);

        if let Some(sum) = point.sum {
            self.emit_suffixed(head, "_sum", at, sum);
        }
        self.emit_suffixed(head, "_count", at, point.count as f64);
        let name = self.labels.push_joined(head.name, "_bucket");
        let mut cumulative = 0u64;
        for (index, (bound, count)) in bounds().zip(point.bucket_counts().map_while(Result::ok)).enumerate() {
            cumulative = cumulative.saturating_add(count);
            self.emit_bucket(head, name, (bound, cumulative), at, of_bucket(&exemplars, index));
        }
        if !head.origin.absent.has(Absent::INFINITE_BUCKET) {
            let last = (f64::INFINITY, point.count);
            self.emit_bucket(head, name, last, at, of_bucket(&exemplars, n_bounded));
        }
        Ok(())
    }

    fn emit_bucket(
        &mut self,
        head: &Head<'_>,
        name: Span,
        (bound, count): (f64, u64),
        at: At,
        exemplars: Exemplars<'_>,
    ) {
        let mark = self.labels.mark();
        let le = self.push_bound(bound, head.origin);
        let plain = Sample::plain(&head.family, at.bits(count as f64), at.at);
        self.emit_series(name, Some((LE, le)), &Sample { exemplars, ..plain });
        self.labels.rewind(mark);
    }
}

/// The exemplars of one bucket; they are sorted by bucket.
fn of_bucket(exemplars: &[(u32, Exemplar)], index: usize) -> Exemplars<'_> {
    let start = exemplars.partition_point(|exemplar| (exemplar.0 as usize) < index);
    let end = exemplars.partition_point(|exemplar| exemplar.0 as usize <= index);
    Exemplars(&exemplars[start..end])
}
