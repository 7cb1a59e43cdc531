//! The scrape that is being put together.

use std::sync::Arc;

use exposition::RawExemplar;
use model::{
    Exemplar, Histogram, Point, STALE_BITS, Scrape, SeriesId, SeriesTable, TargetInfo, Timestamp,
    canonical_bits,
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
    /// Native histograms of a schema that nobody knows.
    pub(crate) unknown_schemas: u64,
    /// Series that ended.
    pub(crate) ended: u64,
}

/// What few samples have beside their value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside<'a> {
    pub(crate) exposed_at: Option<Timestamp>,
    pub(crate) start: Option<Timestamp>,
    pub(crate) histogram: Option<&'a Histogram>,
    pub(crate) exemplars: &'a [RawExemplar<'a>],
}

impl Beside<'_> {
    #[inline(always)]
    fn is_nothing(&self) -> bool {
        self.exposed_at.is_none()
            && self.start.is_none()
            && self.histogram.is_none()
            && self.exemplars.is_empty()
    }
}

/// Samples in the order in which they are to be appended.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) at: Timestamp,
    pub(crate) points: Vec<Point>,
    timestamps: Vec<(u32, Timestamp)>,
    exemplars: Vec<(u32, Exemplar)>,
    histograms: Vec<(u32, Histogram)>,
    starts: Vec<(u32, Timestamp)>,
    pub(crate) counts: Counts,
}

impl Output {
    pub(crate) fn new(at: Timestamp, capacity: usize) -> Self {
        Self { at, points: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// A sample; what it has beside its value is `more`.
    #[inline(always)]
    pub(crate) fn push(&mut self, series: SeriesId, value: f64, more: &Beside<'_>) {
        self.points.push(Point { series, bits: canonical_bits(value) });
        if !more.is_nothing() {
            self.push_beside(more);
        }
    }

    #[cold]
    fn push_beside(&mut self, more: &Beside<'_>) {
        let index = u32::try_from(self.points.len() - 1).expect("a body has fewer than 2^32 lines");
        self.timestamps.extend(more.exposed_at.map(|at| (index, at)));
        self.starts.extend(more.start.map(|start| (index, start)));
        self.histograms.extend(more.histogram.map(|histogram| (index, histogram.clone())));
        for raw in more.exemplars {
            let exemplar = Exemplar { labels: raw.labels().collect(), value: raw.value, at: raw.timestamp };
            self.exemplars.push((index, exemplar));
        }
    }

    /// The end of a series.
    pub(crate) fn end(&mut self, series: SeriesId) {
        self.points.push(Point { series, bits: STALE_BITS });
    }

    /// Takes everything back but the counts.
    pub(crate) fn roll_back(&mut self) {
        self.points.clear();
        self.timestamps.clear();
        self.exemplars.clear();
        self.histograms.clear();
        self.starts.clear();
    }

    pub(crate) fn take(&mut self, target: &Arc<TargetInfo>, table: &Arc<SeriesTable>) -> Scrape {
        Scrape {
            target: Arc::clone(target),
            table: Arc::clone(table),
            at: self.at,
            points: std::mem::take(&mut self.points),
            timestamps: std::mem::take(&mut self.timestamps),
            exemplars: std::mem::take(&mut self.exemplars),
            histograms: std::mem::take(&mut self.histograms),
            starts: std::mem::take(&mut self.starts),
        }
    }
}
