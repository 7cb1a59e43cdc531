//! Native histograms: buckets in a few numbers instead of a series each.
//!
//! The shape is that of remote write and of the protobuf exposition (Prometheus `model/histogram`): a schema says where
//! the bounds of all possible buckets lie, spans say which of them are filled.

/// The schema of histograms whose bounds are listed one by one (`custom_values`) instead of computed.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive filled buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Buckets between the end of the span before and the start of this one; for the first span, the index of its
    /// first bucket.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What is known of a reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Nothing: whoever needs to know compares the two.
    #[default]
    Unknown,
    /// It was reset.
    Yes,
    /// It was not reset.
    No,
    /// A gauge histogram, for which resets mean nothing.
    Gauge,
}

/// Numbers of observations; the buckets of one side follow each other over all its spans.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketCounts {
    /// Whole numbers.
    Integer {
        /// All observations, those of NaN too.
        count: u64,
        /// Observations in the zero bucket.
        zero: u64,
        /// Buckets above zero: the first as it is, every other one as the difference to the one before.
        positive_deltas: Vec<i64>,
        /// Buckets below zero, written the same way.
        negative_deltas: Vec<i64>,
    },
    /// Any numbers, as they come from a rate or a scaled histogram; buckets as they are, not as differences.
    Float {
        /// All observations.
        count: f64,
        /// Observations in the zero bucket.
        zero: f64,
        /// Buckets above zero.
        positive: Vec<f64>,
        /// Buckets below zero.
        negative: Vec<f64>,
    },
}

impl Default for BucketCounts {
    fn default() -> Self {
        Self::Integer { count: 0, zero: 0, positive_deltas: Vec::new(), negative_deltas: Vec::new() }
    }
}

/// One value of a native histogram.
///
/// With a schema from -4 to 8, bucket `i` reaches from `base^(i-1)` (exclusive) to `base^i` (inclusive) with `base =
/// 2^(2^-schema)`. With [`CUSTOM_BUCKETS_SCHEMA`], bucket `i` ends at `custom_values[i]`, and the last one at infinity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Where the bounds lie.
    pub schema: i32,
    /// Sum of all observations; [`crate::STALE_BITS`] ends the series.
    pub sum: f64,
    /// The zero bucket holds observations up to this distance from zero.
    pub zero_threshold: f64,
    /// Which buckets above zero are filled.
    pub positive_spans: Vec<Span>,
    /// Which buckets below zero are filled.
    pub negative_spans: Vec<Span>,
    /// How many observations lie in them.
    pub counts: BucketCounts,
    /// What is known of a reset.
    pub reset_hint: ResetHint,
    /// Finite upper bounds, ascending; only with [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether the bounds are listed one by one.
    #[must_use]
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Heap bytes held by the histogram.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let n_numbers = match &self.counts {
            BucketCounts::Integer { positive_deltas, negative_deltas, .. } => {
                positive_deltas.capacity() + negative_deltas.capacity()
            }
            BucketCounts::Float { positive, negative, .. } => positive.capacity() + negative.capacity(),
        };
        (n_numbers + self.custom_values.capacity()) * size_of::<u64>()
            + (self.positive_spans.capacity() + self.negative_spans.capacity()) * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_of_a_histogram_is_its_buckets_bounds_and_spans() {
        let histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            counts: BucketCounts::Float { count: 3.0, zero: 0.0, positive: vec![1.0, 2.0], negative: vec![] },
            custom_values: vec![0.5],
            ..Histogram::default()
        };
        assert_eq!(histogram.heap_bytes(), 3 * 8 + 8);
        assert!(histogram.has_custom_buckets());
    }
}
