//! What an answer may be: the limits of its job, or those that count where nothing is configured.

use wire::compress::{DecompressError, Limit, measure_gzip};

use crate::counting::Counter;
use crate::fetch::MAX_BODY_BYTES;
use crate::{Job, ScrapeError};

/// Most samples of an answer, those included that rules drop, where `sample_limit` is not larger: each of them is remembered.
const MAX_SAMPLES: u64 = 2_000_000;

/// How many times as large as it came a large answer may become, where `body_size_limit` is not set. Telemetry shrinks to
/// a tenth, very dull telemetry to a sixtieth.
const MAX_GROWTH: usize = 200;

/// Bounds of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    limit: u64,
    name: &'static str,
    max_growth: usize,
    max_samples: u64,
    counter: Counter,
}

impl Bounds {
    pub(crate) fn of(job: &Job, counter: Counter) -> Self {
        let limits = &job.config().limits;
        let max_samples = limits.sample_limit.max(MAX_SAMPLES);
        match limits.body_size_limit {
            Some(limit) => Self {
                limit: limit.as_u64(),
                name: "body_size_limit",
                max_growth: Limit::DEFAULT_MAX_RATIO,
                max_samples,
                counter,
            },
            None => Self {
                limit: MAX_BODY_BYTES,
                name: "MAX_BODY_BYTES, which counts because body_size_limit is not set,",
                max_growth: MAX_GROWTH,
                max_samples,
                counter,
            },
        }
    }

    /// A body that reaches the limit is too large already.
    pub(crate) fn max_bytes(self) -> usize {
        usize::try_from(self.limit.saturating_sub(1)).unwrap_or(usize::MAX)
    }

    pub(crate) fn too_large(self) -> ScrapeError {
        ScrapeError::BodyTooLarge { name: self.name, limit: self.limit }
    }

    /// Refuses too many samples before one of them is looked at.
    pub(crate) fn check_samples(self, body: &[u8]) -> Result<(), ScrapeError> {
        if body.len() as u64 <= self.max_samples.saturating_mul(self.counter.shortest()) {
            return Ok(());
        }
        let mut counter = self.counter;
        counter.look(body);
        self.check_count(counter)
    }

    fn check_count(self, counter: Counter) -> Result<(), ScrapeError> {
        let limit = self.max_samples;
        let name = if limit == MAX_SAMPLES { "MAX_SAMPLES" } else { "sample_limit" };
        if counter.n_samples() > limit { Err(ScrapeError::TooManySamples { name, limit }) } else { Ok(()) }
    }

    /// Goes through a body in gzip that may be large without keeping any of it. Gives its size.
    pub(crate) fn measure(self, body: &[u8]) -> Result<usize, ScrapeError> {
        let limit = Limit { max_bytes: self.max_bytes(), max_ratio: self.max_growth };
        let mut counter = self.counter;
        let size = measure_gzip(body, limit, |piece| counter.look(piece));
        let size = size.map_err(|error| self.failed(&error))?;
        self.check_count(counter)?;
        Ok(size)
    }

    /// Why a body could not be decompressed.
    pub(crate) fn failed(self, error: &DecompressError) -> ScrapeError {
        match error {
            DecompressError::MaxBytes { .. } => self.too_large(),
            DecompressError::MaxRatio { .. } => {
                ScrapeError::Decompress(format!("{error}; set body_size_limit if that is meant"))
            }
            error @ DecompressError::Corrupt { .. } => ScrapeError::Decompress(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::proto::put_varint;

    use super::*;
    use crate::tests::job;

    #[test]
    fn a_limit_that_nobody_has_set_is_named_with_the_key_that_sets_it() {
        let text = |config| Bounds::of(&job(config), Counter::lines()).too_large().to_string();
        assert!(text("").contains("MAX_BODY_BYTES") && text("").contains("body_size_limit is not set"));
        assert_eq!(
            text("body_size_limit: 1KiB"),
            "the answer is larger than allowed: body_size_limit is 1024 bytes"
        );
    }

    #[test]
    fn too_many_samples_are_refused_unread_unless_the_user_allows_more() {
        let page = |n: u64| "a{b=\"c\"} 1\n".repeat(n as usize);
        let check = |config, n| Bounds::of(&job(config), Counter::lines()).check_samples(page(n).as_bytes());
        let text = check("", MAX_SAMPLES + 1).unwrap_err().to_string();
        assert!(text.contains("MAX_SAMPLES (2000000)") && text.contains("sample_limit"), "{text}");
        assert!(check("", MAX_SAMPLES).is_ok());
        assert!(check("sample_limit: 2000001", MAX_SAMPLES + 1).is_ok());
        let text = check("sample_limit: 2000001", MAX_SAMPLES + 2).unwrap_err().to_string();
        assert!(text.contains("sample_limit (2000001)"), "{text}");
        // Rules may drop most of them, and what they drop is remembered as well.
        assert!(check("sample_limit: 1000", MAX_SAMPLES + 1).is_err());
        assert!(check("sample_limit: 1000", MAX_SAMPLES).is_ok());
        let mut zipped = Vec::new();
        let encoding = wire::compress::Encoding::Gzip;
        wire::compress::compress(encoding, page(MAX_SAMPLES + 1).as_bytes(), &mut zipped);
        let error = Bounds::of(&job("body_size_limit: 1GB"), Counter::lines()).measure(&zipped).unwrap_err();
        assert!(matches!(error, ScrapeError::TooManySamples { .. }), "{error}");
    }

    #[test]
    fn messages_are_counted_as_lines_are_compressed_or_not() {
        // A family of metrics without anything in them: two bytes each.
        let n = MAX_SAMPLES + 1;
        let mut body = Vec::new();
        put_varint(&mut body, 2 * n);
        body.extend([0x22, 0].repeat(n as usize));
        let bounds = Bounds::of(&job(""), Counter::messages());
        assert!(matches!(bounds.check_samples(&body), Err(ScrapeError::TooManySamples { .. })));
        let mut zipped = Vec::new();
        wire::compress::compress(wire::compress::Encoding::Gzip, &body, &mut zipped);
        let bounds = Bounds::of(&job("body_size_limit: 1GB"), Counter::messages());
        assert!(matches!(bounds.measure(&zipped), Err(ScrapeError::TooManySamples { .. })));
        let enough = Bounds::of(&job("sample_limit: 3000000"), Counter::messages());
        assert!(enough.check_samples(&body).is_ok());
    }
}
