//! What an answer may be: the limits of its job, or those that count where nothing is configured.

use wire::compress::{DecompressError, Limit, measure_gzip};

use crate::fetch::MAX_BODY_BYTES;
use crate::{Job, ScrapeError};

/// Most samples of an answer in text where `sample_limit` is not set.
const MAX_SAMPLES: u64 = 2_000_000;

/// How many times as large as it came a large answer may become, where `body_size_limit` is not set. Telemetry shrinks to
/// a tenth, very dull telemetry to a sixtieth.
const MAX_GROWTH: usize = 200;

/// The shortest line with a sample, `a 1` and its end.
const SHORTEST_SAMPLE: u64 = 4;

/// Bounds of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    limit: u64,
    name: &'static str,
    max_growth: usize,
    /// None where the user has set another, or where samples are not lines.
    max_samples: Option<u64>,
}

impl Bounds {
    pub(crate) fn of(job: &Job, is_lines: bool) -> Self {
        let limits = &job.config().limits;
        let max_samples = (is_lines && limits.sample_limit == 0).then_some(MAX_SAMPLES);
        match limits.body_size_limit {
            Some(limit) => Self {
                limit: limit.as_u64(),
                name: "body_size_limit",
                max_growth: Limit::DEFAULT_MAX_RATIO,
                max_samples,
            },
            None => Self {
                limit: MAX_BODY_BYTES,
                name: "MAX_BODY_BYTES, which counts because body_size_limit is not set,",
                max_growth: MAX_GROWTH,
                max_samples,
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
        if self.max_samples.is_none_or(|most| body.len() as u64 <= most * SHORTEST_SAMPLE) {
            return Ok(());
        }
        let mut counter = SampleCounter::default();
        counter.look(body);
        self.check_count(counter)
    }

    fn check_count(self, counter: SampleCounter) -> Result<(), ScrapeError> {
        match self.max_samples {
            Some(limit) if counter.n_samples > limit => Err(ScrapeError::TooManySamples { limit }),
            _ => Ok(()),
        }
    }

    /// Goes through a body in gzip that may be large without keeping any of it. Gives its size.
    pub(crate) fn measure(self, body: &[u8]) -> Result<usize, ScrapeError> {
        let limit = Limit { max_bytes: self.max_bytes(), max_ratio: self.max_growth };
        let mut counter = SampleCounter::default();
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

/// Counts lines that can be samples, over pieces of a body.
#[derive(Clone, Copy, Debug, Default)]
struct SampleCounter {
    n_samples: u64,
    is_inside: bool,
}

impl SampleCounter {
    fn look(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(first) = rest.first() {
            if !self.is_inside {
                self.n_samples += u64::from(!matches!(first, b'#' | b'\n'));
            }
            let end = memchr::memchr(b'\n', rest);
            self.is_inside = end.is_none();
            rest = end.map_or(&[], |end| &rest[end + 1..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::job;

    #[test]
    fn samples_are_counted_over_pieces() {
        let page = b"# HELP a b\na 1\n\nb 2\n#\nc 3";
        for size in 1..page.len() {
            let mut counter = SampleCounter::default();
            page.chunks(size).for_each(|piece| counter.look(piece));
            assert_eq!(counter.n_samples, 3, "pieces of {size}");
        }
    }

    #[test]
    fn a_limit_that_nobody_has_set_is_named_with_the_key_that_sets_it() {
        let text = |config| Bounds::of(&job(config), true).too_large().to_string();
        assert!(text("").contains("MAX_BODY_BYTES") && text("").contains("body_size_limit is not set"));
        assert_eq!(
            text("body_size_limit: 1KiB"),
            "the answer is larger than allowed: body_size_limit is 1024 bytes"
        );
    }

    #[test]
    fn too_many_samples_are_refused_unread_unless_the_user_has_another_limit() {
        let page = |n: u64| "a{b=\"c\"} 1\n".repeat(n as usize);
        let check =
            |config, is_lines, n| Bounds::of(&job(config), is_lines).check_samples(page(n).as_bytes());
        let text = check("", true, MAX_SAMPLES + 1).unwrap_err().to_string();
        assert!(text.contains("MAX_SAMPLES (2000000)") && text.contains("sample_limit"), "{text}");
        assert!(check("", true, MAX_SAMPLES).is_ok());
        assert!(check("sample_limit: 3000000", true, MAX_SAMPLES + 1).is_ok());
        assert!(check("", false, MAX_SAMPLES + 1).is_ok(), "lines of protobuf are no samples");
        let mut zipped = Vec::new();
        let encoding = wire::compress::Encoding::Gzip;
        wire::compress::compress(encoding, page(MAX_SAMPLES + 1).as_bytes(), &mut zipped);
        let error = Bounds::of(&job("body_size_limit: 1GB"), true).measure(&zipped).unwrap_err();
        assert!(matches!(error, ScrapeError::TooManySamples { .. }), "{error}");
    }
}
