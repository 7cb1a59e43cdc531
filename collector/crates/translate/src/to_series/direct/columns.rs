//! Scrapes with native histograms or start times; the loop over scrapes without any knows nothing of them.

use model::{Histogram, SeriesId, Timestamp, is_stale};

use super::Direct;
use crate::exemplar::settled;
use crate::native::canonical;
use crate::scraped::Known;
use crate::series::{Exemplars, Reason};

impl<'a> Direct<'a, '_, '_> {
    pub(super) fn points_with_columns(&mut self) {
        let scrape = self.scrape;
        let exemplars = settled(&scrape.exemplars, self.run.options.strategy);
        let mut histograms = scrape.histograms.iter().peekable();
        let mut starts = scrape.starts.iter().peekable();
        for (index, (point, at)) in scrape.timed().enumerate() {
            let from = exemplars.partition_point(|exemplar| (exemplar.0 as usize) < index);
            let rest = &exemplars[from..];
            let n_own = rest.iter().take_while(|exemplar| exemplar.0 as usize == index).count();
            let exemplars = Exemplars(&rest[..n_own]);
            self.run.start = starts.next_if(|start| start.0 as usize == index).map(|start| start.1);
            match histograms.next_if(|histogram| histogram.0 as usize == index) {
                None => self.point(point.series, point.bits, at, exemplars),
                Some((_, histogram)) => self.native(point.series, histogram, at, exemplars),
            }
        }
        self.run.start = None;
    }

    /// One native histogram. The end of such a series is a plain sample, as everywhere.
    fn native(
        &mut self,
        series: SeriesId,
        histogram: &'a Histogram,
        at: Timestamp,
        exemplars: Exemplars<'_>,
    ) {
        let bits = histogram.sum.to_bits();
        if is_stale(bits) {
            self.point(series, bits, at, exemplars);
            return;
        }
        let known = Known::of(self.table(), series);
        let reason = match canonical(histogram) {
            Err(reason) => reason,
            Ok(_) if !self.run.options.histograms.native => {
                let resource = self.resource(&known);
                self.resources[resource].seen.add(at, false);
                Reason::ExponentialHistogram
            }
            Ok(histogram) => {
                self.histogram = Some(histogram);
                self.point(series, bits, at, exemplars);
                self.histogram = None;
                return;
            }
        };
        self.run.report.drop_points(reason, known.name.as_bytes(), 1);
    }
}
