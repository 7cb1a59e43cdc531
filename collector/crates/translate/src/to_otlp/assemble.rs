//! Histograms and summaries, put together from their series.

use std::hash::{Hash, Hasher};

use model::{Family, Scrape, SeriesId, SeriesTable, Timestamp, is_stale};
use wire::otlp::Quantile;

use super::group::{Place, Shape};
use crate::scraped::{Absent, SCOPE_PREFIX};

/// What a series says of its histogram or summary.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// Observations up to this bound, or the value of this quantile.
    Bound(f64),
    Sum,
    Count,
}

/// What series have in common that are parts of one point. The last field is one of the series.
#[derive(Clone, Copy)]
pub(super) struct PartKey<'a> {
    pub(super) place: Place,
    pub(super) shape: Shape,
    pub(super) base: &'a str,
    pub(super) absent: Absent,
    pub(super) at: Timestamp,
    pub(super) is_stale: bool,
    pub(super) table: &'a SeriesTable,
    pub(super) series: SeriesId,
}

impl<'a> PartKey<'a> {
    fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let shape = self.shape;
        self.table.labels(self.series).filter(move |label| is_attribute(label.0, shape))
    }
}

impl PartialEq for PartKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
            && self.shape == other.shape
            && self.base == other.base
            && self.absent == other.absent
            && self.at == other.at
            && self.is_stale == other.is_stale
            && self.attributes().eq(other.attributes())
    }
}

impl Eq for PartKey<'_> {}

impl Hash for PartKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.place, self.base, self.at).hash(state);
        for attribute in self.attributes() {
            attribute.hash(state);
        }
    }
}

/// Whether a label is an attribute of points of this shape; the others are in the resource, the scope or the point.
pub(super) fn is_attribute(name: &str, shape: Shape) -> bool {
    match name {
        // The last two are how the target is reached: facts of the resource.
        "__name__" | "job" | "instance" | "__scheme__" | "__metrics_path__" => false,
        "le" => shape != Shape::Histogram,
        "quantile" => shape != Shape::Summary,
        _ => !name.starts_with(SCOPE_PREFIX),
    }
}

/// Series that may be one histogram or summary, as roles and indices of points.
pub(super) struct Assembly<'a> {
    pub(super) key: PartKey<'a>,
    pub(super) family: Option<&'a Family>,
    pub(super) parts: Vec<(Role, u32)>,
}

/// A histogram or summary.
pub(super) struct Distribution {
    /// One of its series, which has its attributes.
    pub(super) series: SeriesId,
    pub(super) at: Timestamp,
    pub(super) is_stale: bool,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) bounds: Vec<f64>,
    pub(super) bucket_counts: Vec<u64>,
    pub(super) quantiles: Vec<Quantile>,
    /// Indices of the points of its buckets.
    pub(super) buckets: Vec<u32>,
    /// The smallest start time of its series, in nanoseconds since the epoch; zero if unknown.
    pub(super) start: u64,
}

/// Larger counts are not exact in a float.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// The count that a sample is, if it is one.
pub(super) fn count_of(value: f64) -> Option<u64> {
    let is_count = (0.0..=MAX_COUNT).contains(&value) && value.is_sign_positive() && value.fract() == 0.0;
    is_count.then_some(value as u64)
}

impl Assembly<'_> {
    /// The point that the parts are, and what they lack; nothing where they are not a valid one.
    pub(super) fn distribution(&mut self, scrape: &Scrape) -> Option<(Distribution, Absent)> {
        let value_of = |index: u32| f64::from_bits(scrape.points[index as usize].bits);
        let single = |wanted: fn(&Role) -> bool| {
            let mut found = self.parts.iter().filter(|part| wanted(&part.0)).map(|part| part.1);
            (found.next(), found.next().is_none())
        };
        let (count, is_one_count) = single(|role| matches!(role, Role::Count));
        let (sum, is_one_sum) = single(|role| matches!(role, Role::Sum));
        if !is_one_count || !is_one_sum {
            return None;
        }
        let is_stale = self.key.is_stale;
        let mut bounded: Vec<(f64, u32)> = self
            .parts
            .iter()
            .filter_map(
                |(role, index)| if let Role::Bound(bound) = role { Some((*bound, *index)) } else { None },
            )
            .collect();
        bounded.sort_by(|a, b| a.0.total_cmp(&b.0));
        if bounded.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        let mut distribution = Distribution {
            series: self.key.series,
            at: self.key.at,
            is_stale,
            count: count.and_then(|index| if is_stale { Some(0) } else { count_of(value_of(index)) })?,
            sum: sum.map(|index| if is_stale { 0.0 } else { value_of(index) }),
            bounds: Vec::new(),
            bucket_counts: Vec::new(),
            quantiles: Vec::new(),
            buckets: bounded.iter().map(|bucket| bucket.1).collect(),
            start: earliest_start(scrape, self.parts.iter().map(|part| part.1)),
        };
        if self.key.shape == Shape::Summary {
            let value = |index| if is_stale { 0.0 } else { value_of(index) };
            let quantiles = bounded
                .iter()
                .map(|(quantile, index)| Quantile { quantile: *quantile, value: value(*index) });
            distribution.quantiles = quantiles.collect();
            return Some((distribution, if sum.is_none() { Absent::SUM } else { Absent::default() }));
        }
        let has_infinity = bounded.pop_if(|bucket| bucket.0 == f64::INFINITY).is_some();
        distribution.fill_buckets(&bounded, value_of)?;
        Some((distribution, if has_infinity { Absent::default() } else { Absent::INFINITE_BUCKET }))
    }
}

impl Distribution {
    /// Turns cumulative buckets into single ones; the last one gets what is left of the count.
    fn fill_buckets(&mut self, bounded: &[(f64, u32)], value_of: impl Fn(u32) -> f64) -> Option<()> {
        let mut before = 0;
        for (bound, index) in bounded {
            let upto = if self.is_stale { 0 } else { count_of(value_of(*index))? };
            self.bounds.push(*bound);
            self.bucket_counts.push(upto.checked_sub(before)?);
            before = upto;
        }
        self.bucket_counts.push(self.count.checked_sub(before)?);
        Some(())
    }
}

/// The earliest time at which one of the samples' series began to count, in nanoseconds since the epoch; zero if no
/// such time is known.
pub(super) fn earliest_start(scrape: &Scrape, indices: impl Iterator<Item = u32>) -> u64 {
    if scrape.starts.is_empty() {
        return 0;
    }
    let start = |index| {
        let at = scrape.starts.binary_search_by_key(&index, |start| start.0).ok()?;
        Some(scrape.starts[at].1.unix_nanos())
    };
    indices.filter_map(start).min().unwrap_or(0)
}

/// Whether a sample says that its series has ended.
pub(super) fn ends(scrape: &Scrape, index: u32) -> bool {
    is_stale(scrape.points[index as usize].bits)
}
