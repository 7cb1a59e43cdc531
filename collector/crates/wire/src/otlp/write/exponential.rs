//! Writers of histograms with exponential bounds.

use super::{put_times, put_unless_zero};
use crate::proto::{WireType, put_double, put_message, put_sint, put_tag, put_uint, put_varint, varint_len};

/// Field of the attributes of a point of an exponential histogram.
pub const EXPONENTIAL_ATTRIBUTES: u32 = 1;
/// Field of the exemplars of a point of an exponential histogram.
pub const EXPONENTIAL_EXEMPLARS: u32 = 11;

const CUMULATIVE: u64 = 2;

/// Consecutive exponential buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialBuckets<'a> {
    /// Index of the first one.
    pub offset: i32,
    /// Observations per bucket; none leaves the field out.
    pub counts: &'a [u64],
}

/// A point of an exponential histogram without attributes and exemplars.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHead<'a> {
    /// Start of counting, in nanoseconds since the epoch; zero if unknown.
    pub start: u64,
    /// Time of the value, in nanoseconds since the epoch.
    pub time: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: Option<f64>,
    /// Bounds are powers of 2^(2^-scale).
    pub scale: i32,
    /// Observations within the threshold of zero.
    pub zero_count: u64,
    /// The zero bucket holds observations up to this distance from zero.
    pub zero_threshold: f64,
    /// Buckets above zero.
    pub positive: ExponentialBuckets<'a>,
    /// Buckets below zero.
    pub negative: ExponentialBuckets<'a>,
    /// Flag bits.
    pub flags: u32,
}

/// Appends the data of a cumulative exponential histogram to a metric; `points` appends its points.
pub fn cumulative_exponential(out: &mut Vec<u8>, points: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 10, |out| {
        points(out);
        put_uint(out, 2, CUMULATIVE);
    });
}

/// Appends a point to an exponential histogram; `inside` appends attributes ([`EXPONENTIAL_ATTRIBUTES`]) and exemplars.
pub fn exponential_point(out: &mut Vec<u8>, head: &ExponentialHead<'_>, inside: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, 1, |out| {
        put_times(out, head.start, head.time);
        put_unless_zero(out, 4, head.count);
        if let Some(sum) = head.sum {
            put_double(out, 5, sum);
        }
        if head.scale != 0 {
            put_sint(out, 6, i64::from(head.scale));
        }
        put_unless_zero(out, 7, head.zero_count);
        put_buckets(out, 8, head.positive);
        put_buckets(out, 9, head.negative);
        if head.flags != 0 {
            put_uint(out, 10, u64::from(head.flags));
        }
        put_unless_zero(out, 14, head.zero_threshold.to_bits());
        inside(out);
    });
}

fn put_buckets(out: &mut Vec<u8>, field: u32, buckets: ExponentialBuckets<'_>) {
    if buckets.counts.is_empty() {
        return;
    }
    put_message(out, field, |out| {
        if buckets.offset != 0 {
            put_sint(out, 1, i64::from(buckets.offset));
        }
        put_tag(out, 2, WireType::Len);
        put_varint(out, buckets.counts.iter().map(|count| varint_len(*count) as u64).sum());
        buckets.counts.iter().for_each(|count| put_varint(out, *count));
    });
}
