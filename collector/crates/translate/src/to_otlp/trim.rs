//! Names without the suffixes that Prometheus' naming asks for: `trim_metric_suffixes`.
//!
//! As `TrimPromSuffixes` of the Go collector: `_total` goes from sums, then the UNIT word. Which of them went is noted in
//! the metric's metadata, so that on the way back the name is put together again as it was.

use super::group::Shape;
use crate::scraped::Absent;
use crate::units;

/// The name without suffixes, and what is missing from it.
pub(super) fn trimmed<'a>(name: &'a str, shape: Shape, unit: &str) -> (&'a str, Absent) {
    let mut rest = (name, Absent::default());
    if matches!(shape, Shape::Sum { .. }) {
        rest = without(rest, "total", Absent::TOTAL_SUFFIX);
    }
    if units::comes_back(unit) {
        rest = without(rest, unit, Absent::UNIT_SUFFIX);
    }
    rest
}

fn without<'a>((name, absent): (&'a str, Absent), suffix: &str, flag: Absent) -> (&'a str, Absent) {
    let rest = name.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('_'));
    match rest.filter(|rest| !suffix.is_empty() && !rest.is_empty()) {
        Some(rest) => (rest, absent.with(flag)),
        None => (name, absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_and_the_unit_are_taken_off_the_end_of_names() {
        let sum = Shape::Sum { is_monotonic: true };
        let cases = [
            ("requests_total", sum, "", "requests", "suffix=total"),
            ("cpu_seconds_total", sum, "seconds", "cpu", "suffix=unit,suffix=total"),
            ("cpu_seconds_total", sum, "", "cpu_seconds", "suffix=total"),
            ("cpu_seconds", sum, "seconds", "cpu", "suffix=unit"),
            ("requests_total", Shape::Gauge, "", "requests_total", ""),
            ("latency_seconds", Shape::Histogram, "seconds", "latency", "suffix=unit"),
            ("rate_bytes_per_second", Shape::Gauge, "bytes_per_second", "rate", "suffix=unit"),
            ("milliseconds", Shape::Gauge, "seconds", "milliseconds", ""),
            ("seconds", Shape::Gauge, "seconds", "seconds", ""),
            ("_total", sum, "", "_total", ""),
            ("total", sum, "", "total", ""),
            // Another word would come back.
            ("wait_s", Shape::Gauge, "s", "wait_s", ""),
        ];
        for (name, shape, unit, want, absent) in cases {
            let (rest, lacks) = trimmed(name, shape, unit);
            assert_eq!((rest, lacks.print().as_str()), (want, absent), "{name} {unit}");
        }
    }
}
