//! Buckets of native histograms, and how classic ones become native.
//!
//! As Prometheus `model/histogram` (`Compact`) and `util/convertnhcb`.

use model::{BucketCounts, CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// Spans and counts without empty buckets; runs of up to `max_gap` empty ones between filled ones stay. Nothing where an
/// offset would not fit.
pub(crate) fn compact<T: Copy + Default + PartialEq>(
    spans: &[Span],
    counts: &[T],
    max_gap: i64,
) -> Option<(Vec<Span>, Vec<T>)> {
    let (mut kept_spans, mut kept): (Vec<Span>, _) = (Vec::new(), Vec::with_capacity(counts.len()));
    let mut counts = counts.iter().copied();
    let (mut index, mut end) = (0i64, 0i64);
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if count != T::default() {
                let gap = index - end;
                match kept_spans.last_mut() {
                    Some(last) if (0..=max_gap).contains(&gap) => {
                        let n_empty = usize::try_from(gap).ok()?;
                        kept.resize(kept.len() + n_empty, T::default());
                        last.length += u32::try_from(n_empty + 1).ok()?;
                    }
                    _ => kept_spans.push(Span { offset: i32::try_from(gap).ok()?, length: 1 }),
                }
                kept.push(count);
                end = index + 1;
            }
            index += 1;
        }
    }
    Some((kept_spans, kept))
}

/// Turns differences into what they are differences of.
pub(crate) fn from_deltas(numbers: &mut [i64]) {
    let mut sum = 0i64;
    for number in numbers {
        sum = sum.wrapping_add(*number);
        *number = sum;
    }
}

/// Turns numbers into their differences.
pub(crate) fn to_deltas(numbers: &mut [i64]) {
    let mut last = 0i64;
    for number in numbers {
        let delta = number.wrapping_sub(last);
        last = std::mem::replace(number, delta);
    }
}

/// The series of one classic histogram, as they come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classic {
    /// Upper bounds and cumulative counts, in order of appearance.
    rows: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    /// Observations up to this bound. The first of several for one bound counts.
    pub(crate) fn set_bucket(&mut self, bound: f64, count: f64) {
        self.rows.push((bound, count));
    }

    /// All observations.
    pub(crate) fn set_count(&mut self, count: f64) {
        self.count = Some(count);
    }

    /// Sum of all observations.
    pub(crate) fn set_sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The native histogram with custom buckets: of whole numbers where all are, else of floats. Otherwise why there is
    /// none.
    pub(crate) fn convert(mut self) -> Result<Histogram, String> {
        self.check_numbers()?;
        self.rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        self.rows.dedup_by(|(later, _), (first, _)| later == first);
        let last = self.rows.last().copied();
        let count =
            self.count.or(last.map(|(_, count)| count)).ok_or("it has neither a count nor buckets")?;
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.rows.push((f64::INFINITY, count));
        }
        self.check_order(count)?;
        let length = u32::try_from(self.rows.len()).map_err(|_| "it has more than 2^32 buckets")?;
        let spans = [Span { offset: 0, length }];
        let numbers: Vec<f64> = self.rows.iter().map(|(_, count)| *count).collect();
        let mut histogram =
            Histogram { schema: CUSTOM_BUCKETS_SCHEMA, sum: self.sum, ..Histogram::default() };
        (histogram.positive_spans, histogram.counts) = match whole(&numbers) {
            Some(numbers) => integers(&spans, numbers),
            None => floats(&spans, &numbers),
        };
        self.rows.pop();
        histogram.custom_values = self.rows.into_iter().map(|(bound, _)| bound).collect();
        Ok(histogram)
    }

    fn check_numbers(&self) -> Result<(), String> {
        if let Some(count) = self.count.filter(|count| *count < 0.0) {
            return Err(format!("the count is {count}, less than nothing"));
        }
        for (bound, count) in &self.rows {
            if bound.is_nan() {
                return Err("the bound of a bucket is NaN".to_owned());
            }
            if *count < 0.0 {
                return Err(format!("the bucket up to {bound} counts {count}, less than nothing"));
            }
        }
        Ok(())
    }

    /// Counts must grow with the bounds, up to that of all observations.
    fn check_order(&self, count: f64) -> Result<(), String> {
        let mut below = 0.0;
        for (bound, cumulative) in &self.rows {
            if *cumulative < below {
                return Err(format!(
                    "the bucket up to {bound} counts {cumulative}, less than one below ({below})"
                ));
            }
            below = *cumulative;
        }
        if below != count {
            return Err(format!(
                "the count {count} differs from the bucket up to +Inf, which counts {below}"
            ));
        }
        Ok(())
    }
}

/// The numbers as integers, if they are.
fn whole(numbers: &[f64]) -> Option<Vec<i64>> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let is_whole = |number: &f64| number.fract() == 0.0 && *number < END;
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^63")]
    let as_integer = |number: &f64| *number as i64;
    numbers.iter().all(is_whole).then(|| numbers.iter().map(as_integer).collect())
}

fn integers(spans: &[Span], mut cumulative: Vec<i64>) -> (Vec<Span>, BucketCounts) {
    /// Upstream keeps so many empty buckets between filled ones, because a span costs more.
    const MAX_GAP: i64 = 2;
    let count = cumulative.last().map_or(0, |count| count.cast_unsigned());
    to_deltas(&mut cumulative);
    let (spans, mut counts) = compact(spans, &cumulative, MAX_GAP).unwrap_or_default();
    to_deltas(&mut counts);
    (spans, BucketCounts::Integer { count, zero: 0, positive_deltas: counts, negative_deltas: Vec::new() })
}

fn floats(spans: &[Span], cumulative: &[f64]) -> (Vec<Span>, BucketCounts) {
    let count = cumulative.last().copied().unwrap_or(0.0);
    let mut last = 0.0;
    let counts: Vec<f64> =
        cumulative.iter().map(|count| *count - std::mem::replace(&mut last, *count)).collect();
    let (spans, positive) = compact(spans, &counts, 0).unwrap_or_default();
    (spans, BucketCounts::Float { count, zero: 0.0, positive, negative: Vec::new() })
}

#[cfg(test)]
mod tests;
