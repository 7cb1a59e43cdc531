//! Exponential histograms that are added up: at the coarser of the two scales, and coarser still where buckets are far apart.

use wire::Malformed;
use wire::otlp::{Buckets, ExpHistogramPoint};
use wire::proto::{WireType, put_double, put_fixed64, put_message, put_tag, put_varint};

/// Buckets that one side may list; beyond, every two become one.
const MAX_BUCKETS: i64 = 1 << 12;

/// An exponential histogram.
#[derive(Clone, Debug)]
pub(super) struct Exponential {
    scale: i32,
    count: u64,
    sum: Option<f64>,
    zero_count: u64,
    zero_threshold: f64,
    positive: Side,
    negative: Side,
}

/// Buckets of one side: the index of the first, and all counts from there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    first: i64,
    counts: Vec<u64>,
}

impl Exponential {
    pub(super) fn read(point: &ExpHistogramPoint<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            scale: point.scale,
            count: point.count,
            sum: point.sum,
            zero_count: point.zero_count,
            zero_threshold: point.zero_threshold,
            positive: Side::read(&point.positive)?,
            negative: Side::read(&point.negative)?,
        })
    }

    /// Buckets that are listed.
    pub(super) fn n_buckets(&self) -> usize {
        self.positive.counts.len() + self.negative.counts.len()
    }

    /// Whether the other one can be added: the zero buckets have to be the same.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
    }

    pub(super) fn add(&mut self, mut other: Self) {
        let scale = self.scale.min(other.scale);
        self.coarsen(self.scale.abs_diff(scale));
        other.coarsen(other.scale.abs_diff(scale));
        let is_wide = |one: &Side, two: &Side| one.width_with(two) > MAX_BUCKETS;
        while is_wide(&self.positive, &other.positive) || is_wide(&self.negative, &other.negative) {
            self.coarsen(1);
            other.coarsen(1);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.zip(other.sum).map(|(own, more)| own + more);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.positive.add(&other.positive);
        self.negative.add(&other.negative);
    }

    fn coarsen(&mut self, by: u32) {
        self.scale = self.scale.saturating_sub_unsigned(by);
        self.positive.coarsen(by);
        self.negative.coarsen(by);
    }

    /// Appends the fields of a point that were read.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_fixed64(out, 4, self.count);
        if let Some(sum) = self.sum {
            put_double(out, 5, sum);
        }
        put_sint32(out, 6, self.scale);
        put_fixed64(out, 7, self.zero_count);
        for (field, side) in [(8, &self.positive), (9, &self.negative)] {
            put_message(out, field, |out| side.write(out));
        }
    }
}

impl Side {
    fn read(buckets: &Buckets<'_>) -> Result<Self, Malformed> {
        let counts: Vec<u64> = buckets.counts().collect::<Result<_, _>>()?;
        let mut side = Self { first: i64::from(buckets.offset), counts };
        side.trim();
        Ok(side)
    }

    /// Drops empty buckets at both ends, so that an offset alone makes nothing wide.
    fn trim(&mut self) {
        let filled = |count: &u64| *count != 0;
        let Some(start) = self.counts.iter().position(filled) else {
            *self = Self::default();
            return;
        };
        let end = self.counts.iter().rposition(filled).map_or(start, |last| last + 1);
        self.first += start as i64;
        self.counts = self.counts[start..end].to_vec();
    }

    fn end(&self) -> i64 {
        self.first + self.counts.len() as i64
    }

    fn width_with(&self, other: &Self) -> i64 {
        match (self.counts.is_empty(), other.counts.is_empty()) {
            (true, true) => 0,
            (true, false) => other.counts.len() as i64,
            (false, true) => self.counts.len() as i64,
            (false, false) => self.end().max(other.end()) - self.first.min(other.first),
        }
    }

    /// Joins every `2^by` buckets to one.
    fn coarsen(&mut self, by: u32) {
        if by == 0 || self.counts.is_empty() {
            return;
        }
        let by = by.min(62);
        let first = self.first >> by;
        let mut counts = vec![0u64; usize::try_from(((self.end() - 1) >> by) - first + 1).unwrap_or(0)];
        for (index, count) in self.counts.iter().enumerate() {
            let index = ((self.first + index as i64) >> by) - first;
            if let Some(place) = usize::try_from(index).ok().and_then(|index| counts.get_mut(index)) {
                *place = place.saturating_add(*count);
            }
        }
        *self = Self { first, counts };
    }

    /// Adds buckets of the same scale.
    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            *self = other.clone();
            return;
        }
        let first = self.first.min(other.first);
        let mut counts = vec![0u64; usize::try_from(self.width_with(other)).unwrap_or(0)];
        for side in [&*self, other] {
            let start = usize::try_from(side.first - first).unwrap_or(0);
            for (place, count) in counts.iter_mut().skip(start).zip(&side.counts) {
                *place = place.saturating_add(*count);
            }
        }
        *self = Self { first, counts };
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_sint32(out, 1, i32::try_from(self.first).unwrap_or(i32::MAX));
        put_message(out, 2, |out| self.counts.iter().for_each(|count| put_varint(out, *count)));
    }
}

fn put_sint32(out: &mut Vec<u8>, field: u32, value: i32) {
    put_tag(out, field, WireType::Varint);
    put_varint(out, u64::from((value << 1 ^ value >> 31) as u32));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(first: i64, counts: &[u64]) -> Side {
        Side { first, counts: counts.to_vec() }
    }

    fn histogram(scale: i32, positive: Side) -> Exponential {
        let count = positive.counts.iter().sum();
        Exponential {
            scale,
            count,
            sum: Some(1.0),
            zero_count: 0,
            zero_threshold: 0.0,
            positive,
            negative: Side::default(),
        }
    }

    #[test]
    fn the_coarser_scale_of_two_is_taken() {
        let mut one = histogram(2, side(-3, &[1, 2, 3, 4]));
        one.add(histogram(1, side(0, &[10])));
        // Buckets -3 | -2 -1 | 0 of scale 2 are -2 | -1 | 0 of scale 1.
        assert_eq!((one.scale, &one.positive), (1, &side(-2, &[1, 5, 14])));
        assert_eq!((one.count, one.sum), (20, Some(2.0)));
    }

    #[test]
    fn buckets_that_are_far_apart_become_coarser_and_nothing_is_lost() {
        let mut one = histogram(20, side(i64::from(i32::MIN), &[7]));
        one.add(histogram(20, side(i64::from(i32::MAX), &[5])));
        assert!(one.positive.counts.len() as i64 <= MAX_BUCKETS);
        assert_eq!(one.positive.counts.iter().sum::<u64>(), 12);
        assert!(one.scale < 20);
    }

    proptest::proptest! {
        #[test]
        fn adding_keeps_every_observation(
            one in (-100i64..100, proptest::collection::vec(0u64..9, 0..40), -4i32..9),
            two in (-100i64..100, proptest::collection::vec(0u64..9, 0..40), -4i32..9),
        ) {
            let build = |(first, counts, scale): (i64, Vec<u64>, i32)| {
                let mut side = Side { first, counts };
                side.trim();
                histogram(scale, side)
            };
            let (one, two) = (build(one), build(two));
            let (mut forward, mut backward) = (one.clone(), two.clone());
            forward.add(two);
            backward.add(one);
            proptest::prop_assert_eq!(forward.positive.counts.iter().sum::<u64>(), forward.count);
            forward.positive.trim();
            backward.positive.trim();
            proptest::prop_assert_eq!(forward.positive, backward.positive);
        }
    }
}
