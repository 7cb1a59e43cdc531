//! The scrape that is being put together.

use std::sync::Arc;

use exposition::Sample;
use model::{
    Exemplar, Point, STALE_BITS, Scrape, SeriesId, SeriesTable, TargetInfo, Timestamp, canonical_bits,
};

/// What was found in a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples that were parsed.
    pub(crate) scraped: u64,
    /// Samples that the rules kept.
    pub(crate) kept: u64,
    /// Samples that count for `sample_limit`.
    pub(crate) limited: u64,
    /// Series that were not there in the last scrape.
    pub(crate) added: u64,
    /// Samples of series that had one already.
    pub(crate) duplicates: u64,
    /// Samples that are older than the last one of their series.
    pub(crate) out_of_order: u64,
    /// Samples too far in the future.
    pub(crate) out_of_bounds: u64,
    /// Series that ended.
    pub(crate) ended: u64,
}

/// Samples in the order in which they are to be appended.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) at: Timestamp,
    pub(crate) points: Vec<Point>,
    timestamps: Vec<(u32, Timestamp)>,
    exemplars: Vec<(u32, Exemplar)>,
    pub(crate) counts: Counts,
}

impl Output {
    pub(crate) fn new(at: Timestamp, capacity: usize) -> Self {
        Self { at, points: Vec::with_capacity(capacity), ..Self::default() }
    }

    #[inline]
    pub(crate) fn push(&mut self, series: SeriesId, sample: &Sample<'_>, exposed_at: Option<Timestamp>) {
        let index = self.points.len();
        self.points.push(Point { series, bits: canonical_bits(sample.value) });
        if exposed_at.is_none() && sample.exemplar.is_none() {
            return;
        }
        let index = u32::try_from(index).expect("a body has fewer than 2^32 lines");
        if let Some(at) = exposed_at {
            self.timestamps.push((index, at));
        }
        if let Some(raw) = &sample.exemplar {
            let exemplar = Exemplar { labels: raw.labels().collect(), value: raw.value, at: raw.timestamp };
            self.exemplars.push((index, exemplar));
        }
    }

    /// The end of a series.
    pub(crate) fn end(&mut self, series: SeriesId) {
        self.points.push(Point { series, bits: STALE_BITS });
    }

    pub(crate) fn has_timestamps(&self) -> bool {
        !self.timestamps.is_empty()
    }

    /// Takes everything back but the counts.
    pub(crate) fn roll_back(&mut self) {
        self.points.clear();
        self.timestamps.clear();
        self.exemplars.clear();
    }

    pub(crate) fn take(&mut self, target: &Arc<TargetInfo>, table: &Arc<SeriesTable>) -> Scrape {
        Scrape {
            target: Arc::clone(target),
            table: Arc::clone(table),
            at: self.at,
            points: std::mem::take(&mut self.points),
            timestamps: std::mem::take(&mut self.timestamps),
            exemplars: std::mem::take(&mut self.exemplars),
            histograms: Vec::new(),
            starts: Vec::new(),
        }
    }
}
