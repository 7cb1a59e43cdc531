//! How many samples a body has, before one of them is read: over pieces of it, and without keeping any.

/// Counts what can be samples.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counter {
    /// Lines that are not comments.
    Lines(Lines),
    /// Metrics, buckets and quantiles of the protobuf format.
    Messages(Messages),
}

impl Counter {
    /// For text formats.
    pub(crate) fn lines() -> Self {
        Self::Lines(Lines::default())
    }

    /// For protobuf.
    pub(crate) fn messages() -> Self {
        Self::Messages(Messages::default())
    }

    /// Bytes that a sample has at least: `a 1` and the end of the line, and an empty `Metric` with its tag.
    pub(crate) fn shortest(&self) -> u64 {
        match self {
            Self::Lines(_) => 4,
            Self::Messages(_) => 2,
        }
    }

    /// Looks at the next piece of the body.
    pub(crate) fn look(&mut self, piece: &[u8]) {
        match self {
            Self::Lines(lines) => lines.look(piece),
            Self::Messages(messages) => messages.look(piece),
        }
    }

    /// How many there were so far.
    pub(crate) fn n_samples(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.n_samples,
            Self::Messages(messages) => messages.n_eighths / 8,
        }
    }
}

/// Lines so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    n_samples: u64,
    is_inside: bool,
}

impl Lines {
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

/// Messages that may lie in each other: `MetricFamily`, its `Metric`, and the `Summary` or `Histogram` of that.
const MAX_DEPTH: usize = 3;

/// `io.prometheus.client.MetricFamily` messages with their lengths in front, so far. What is not well-formed ends the count: the parser
/// refuses it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Messages {
    /// Eighths of samples: of native histograms each bucket is one, because eight of them take the memory of a series.
    n_eighths: u64,
    /// How far the body was looked at, and where the messages end that are open.
    at: u64,
    ends: [u64; MAX_DEPTH],
    depth: usize,
    reading: Reading,
    /// The number that is being read, and how many of its bits are there.
    number: u64,
    n_bits: u32,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Reading {
    /// The length of a family.
    #[default]
    Size,
    Tag,
    /// A field that is a number.
    Number,
    /// The length of a field, by the field's number.
    Length(u64),
    /// Bytes that say nothing about samples.
    Rest(u64),
    Broken,
}

impl Messages {
    fn look(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((first, others)) = rest.split_first() {
            match self.reading {
                Reading::Broken => return,
                Reading::Rest(n_left) => {
                    let n_here = n_left.min(rest.len() as u64);
                    rest = &rest[n_here as usize..];
                    self.at += n_here;
                    self.pass(n_left - n_here);
                }
                _ => {
                    rest = others;
                    self.at += 1;
                    self.byte(*first);
                }
            }
        }
    }

    /// A byte of a number: seven bits each, the lowest first, until one without the highest bit.
    fn byte(&mut self, byte: u8) {
        if self.n_bits > 63 {
            self.reading = Reading::Broken;
            return;
        }
        self.number |= u64::from(byte & 0x7f) << self.n_bits;
        self.n_bits += 7;
        if byte & 0x80 == 0 {
            let number = std::mem::take(&mut self.number);
            self.n_bits = 0;
            self.read(number);
        }
    }

    fn read(&mut self, number: u64) {
        const FIXED_64: u64 = 8;
        const FIXED_32: u64 = 4;
        match self.reading {
            Reading::Size => self.open(number),
            Reading::Tag => match (number & 7, number >> 3) {
                (0, _) => self.reading = Reading::Number,
                (1, _) => self.pass(FIXED_64),
                (2, field) => self.reading = Reading::Length(field),
                (5, _) => self.pass(FIXED_32),
                _ => self.reading = Reading::Broken,
            },
            Reading::Number => {
                // Buckets that are not packed.
                self.n_eighths += u64::from(self.depth == MAX_DEPTH);
                self.pass(0);
            }
            Reading::Length(field) => self.field(field, number),
            Reading::Rest(_) | Reading::Broken => {}
        }
    }

    /// A field with a length, in the message that is open.
    fn field(&mut self, field: u64, len: u64) {
        const METRIC: u64 = 4;
        const SUMMARY: u64 = 4;
        const HISTOGRAM: u64 = 7;
        /// Of a histogram the buckets, of a summary the quantiles.
        const PARTS: u64 = 3;
        /// Deltas and counts of the buckets of a native histogram.
        const BUCKETS: [u64; 4] = [10, 11, 13, 14];
        match (self.depth, field) {
            (1, METRIC) => {
                self.n_eighths += 8;
                self.open(len);
            }
            (2, SUMMARY | HISTOGRAM) => self.open(len),
            (MAX_DEPTH, PARTS) => {
                self.n_eighths += 8;
                self.pass(len);
            }
            (MAX_DEPTH, field) if BUCKETS.contains(&field) => {
                self.n_eighths += len;
                self.pass(len);
            }
            _ => self.pass(len),
        }
    }

    fn open(&mut self, len: u64) {
        self.ends[self.depth] = self.at.saturating_add(len);
        self.depth += 1;
        self.pass(0);
    }

    /// Passes over bytes of the message that is open, and closes those that have ended.
    fn pass(&mut self, n_bytes: u64) {
        if n_bytes > 0 {
            self.reading = Reading::Rest(n_bytes);
            return;
        }
        while self.depth > 0 && self.at >= self.ends[self.depth - 1] {
            self.depth -= 1;
        }
        self.reading = if self.depth == 0 { Reading::Size } else { Reading::Tag };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::proto::{put_bytes, put_double, put_message, put_uint, put_varint};

    use super::*;

    fn count(mut counter: Counter, body: &[u8], size: usize) -> u64 {
        body.chunks(size).for_each(|piece| counter.look(piece));
        counter.n_samples()
    }

    #[test]
    fn lines_are_counted_over_pieces() {
        let page = b"# HELP a b\na 1\n\nb 2\n#\nc 3";
        for size in 1..page.len() {
            assert_eq!(count(Counter::lines(), page, size), 3, "pieces of {size}");
        }
    }

    /// Two gauges, a histogram of three buckets, a summary of two quantiles, a native histogram of 32 buckets.
    fn page() -> Vec<u8> {
        let mut body = Vec::new();
        let mut family = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, b"name");
            write(&mut message);
            put_varint(&mut body, message.len() as u64);
            body.extend(message);
        };
        family(&|family| {
            for value in [1.0, 2.0] {
                put_message(family, 4, |metric| {
                    put_message(metric, 1, |label| put_bytes(label, 1, b"a"));
                    put_message(metric, 2, |gauge| put_double(gauge, 1, value));
                    put_uint(metric, 6, 1_700_000_000_000);
                });
            }
        });
        family(&|family| {
            put_message(family, 4, |metric| {
                put_message(metric, 7, |histogram| {
                    (0..3).for_each(|_| put_message(histogram, 3, |bucket| put_double(bucket, 2, 0.5)));
                });
            });
        });
        family(&|family| {
            put_message(family, 4, |metric| {
                put_message(metric, 4, |summary| {
                    (0..2).for_each(|_| put_message(summary, 3, |quantile| put_double(quantile, 1, 0.9)));
                });
            });
        });
        family(&|family| {
            put_message(family, 4, |metric| {
                put_message(metric, 7, |histogram| put_bytes(histogram, 13, &[2; 32]));
            });
        });
        body
    }

    #[test]
    fn messages_are_counted_over_pieces() {
        let page = page();
        for size in 1..page.len() {
            assert_eq!(
                count(Counter::messages(), &page, size),
                2 + (1 + 3) + (1 + 2) + (1 + 4),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn empty_messages_are_counted() {
        assert_eq!(count(Counter::messages(), &[4, 0x22, 0, 0x22, 0, 0, 2, 0x22, 0], 9), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted_the_same_in_any_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
            for counter in [Counter::lines(), Counter::messages()] {
                let n = count(counter, &bytes, size);
                prop_assert_eq!(n, count(counter, &bytes, 200));
                prop_assert!(n <= bytes.len() as u64);
            }
        }
    }
}
