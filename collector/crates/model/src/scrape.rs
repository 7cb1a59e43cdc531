//! One scrape: a column of values beside the table of its target's series.

use std::sync::Arc;

use crate::{Histogram, Labels, SeriesId, SeriesTable, Timestamp};

/// What is known of a target beside its series; constant while the target lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetInfo {
    /// Labels that the target's series carry (`job`, `instance`, ...), after relabelling.
    pub labels: Labels,
    /// Everything discovery said of it (`__meta_*`, `__address__`, `__scheme__` ...), before relabelling: the source of
    /// resource attributes.
    pub discovered: Labels,
}

/// One sample: a series of the table and the bits of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The series.
    pub series: SeriesId,
    /// The value's bits ([`crate::canonical_bits`]); [`crate::STALE_BITS`] ends the series. Of a histogram in
    /// [`Scrape::histograms`], the sum's.
    pub bits: u64,
}

/// An exemplar beside a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels, `trace_id` among them.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// When it was seen; without one it counts as seen at the sample's time.
    pub at: Option<Timestamp>,
}

/// Everything one scrape of one target says, report series (`up` ...) included.
///
/// Points are in the order in which they are to be appended and no series appears twice, unless it was exposed with
/// several timestamps.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Whose series these are.
    pub target: Arc<TargetInfo>,
    /// The series that `points` refer to.
    pub table: Arc<SeriesTable>,
    /// When the scrape began; the time of every point that is not in `timestamps`.
    pub at: Timestamp,
    /// The values.
    pub points: Vec<Point>,
    /// Exposed timestamps: index into `points` and time, sorted by index. Usually empty.
    pub timestamps: Vec<(u32, Timestamp)>,
    /// Exemplars: index into `points`, sorted by index; those of one point in the order in which they were exposed.
    pub exemplars: Vec<(u32, Exemplar)>,
    /// Points that are native histograms: index into `points` and value, sorted by index. Usually empty. The end of
    /// such a series is a plain point, like that of any other.
    pub histograms: Vec<(u32, Histogram)>,
    /// When cumulative series began to count: index into `points` and time, sorted by index. Empty unless start
    /// times are asked for.
    pub starts: Vec<(u32, Timestamp)>,
}

impl Scrape {
    /// Points with their times, in order.
    pub fn timed(&self) -> impl Iterator<Item = (Point, Timestamp)> + '_ {
        let mut exposed = self.timestamps.iter().peekable();
        self.points.iter().enumerate().map(move |(index, point)| {
            let at = exposed.next_if(|(at_index, _)| *at_index as usize == index);
            (*point, at.map_or(self.at, |(_, time)| *time))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_take_the_scrape_time_unless_they_were_exposed_with_their_own() {
        let scrape = Scrape {
            at: Timestamp(100),
            points: (0..3).map(|n| Point { series: SeriesId(n), bits: 0 }).collect(),
            timestamps: vec![(1, Timestamp(7))],
            ..Scrape::default()
        };
        let times: Vec<i64> = scrape.timed().map(|(_, at)| at.millis()).collect();
        assert_eq!(times, [100, 7, 100]);
    }
}
