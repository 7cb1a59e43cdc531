//! Histograms that must not contradict themselves.

/// What was seen of one histogram.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Bound and count of the last bucket.
    last: Option<(f64, f64)>,
    count: Option<f64>,
    has_sum: bool,
    gauge_sum: Option<f64>,
    has_negative_bounds: bool,
}

impl Shape {
    pub(super) fn bucket(&mut self, bound: f64, count: f64) -> Result<(), String> {
        if let Some((below, fewer)) = self.last {
            if bound <= below {
                return Err("the bounds of buckets must ascend".to_owned());
            }
            if count < fewer {
                return Err("the counts of buckets must not fall".to_owned());
            }
        }
        self.has_negative_bounds |= bound < 0.0;
        self.last = Some((bound, count));
        Ok(())
    }

    pub(super) fn total(&mut self, suffix: &str, value: f64) {
        match suffix {
            "_count" | "_gcount" => self.count = Some(value),
            "_sum" => self.has_sum = true,
            "_gsum" => self.gauge_sum = Some(value),
            _ => {}
        }
    }

    /// Checks what can be known at the end only.
    pub(super) fn finish(&self) -> Result<(), &'static str> {
        let Some((f64::INFINITY, all)) = self.last else {
            return Err("a histogram needs the bucket up to +Inf");
        };
        let sums = self.has_sum || self.gauge_sum.is_some();
        match self.count {
            Some(count) if count != all => Err("the count of a histogram is that of its bucket up to +Inf"),
            Some(_) if !sums => Err("a histogram with a count needs a sum"),
            None if sums => Err("a histogram with a sum needs a count"),
            _ if self.has_sum && self.has_negative_bounds => {
                Err("a histogram with negative bounds must not have a sum")
            }
            _ if self.gauge_sum.is_some_and(|sum| sum < 0.0) && !self.has_negative_bounds => {
                Err("the sum of a gauge histogram without negative bounds must not be negative")
            }
            _ => Ok(()),
        }
    }
}
