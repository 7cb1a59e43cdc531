//! OpenMetrics.

use exposition::{Format, Options, Strictness};

use crate::body;

/// Any bytes as a page of OpenMetrics; what the specification allows is never refused in a scrape.
pub fn check(data: &[u8]) {
    let of_scrape = body::check(Format::OpenMetrics, data, Options::default());
    let strict = Options { strictness: Strictness::Specification, ..Options::default() };
    let by_specification = body::check(Format::OpenMetrics, data, strict);
    if by_specification.error.is_none() {
        assert_eq!(by_specification, of_scrape, "a page that keeps the specification is scraped as it is");
    }
    let all =
        Options { always_classic: true, convert_to_nhcb: true, start_timestamps: true, ..Options::default() };
    body::check(Format::OpenMetrics, data, all);
}
