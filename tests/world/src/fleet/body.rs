//! Expositions as templates with holes: a scrape costs one copy and eight bytes per series.
//!
//! The i-th series of a target has the value `i * STEP + sequence`, so that every sample tells by itself to which
//! scrape it belongs, and that it was not given to another series. Values stay below 2^53 up to 90 million
//! series. Buckets of one histogram have rising values, as they must.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use super::Format;

/// Values of neighbouring series are this far apart; sequences are smaller.
pub const STEP: u64 = 100_000_000;
const DIGITS: usize = 8;
const BUCKETS: [(&str, &str); 10] = [
    ("0.005", "0.005"),
    ("0.01", "0.01"),
    ("0.025", "0.025"),
    ("0.05", "0.05"),
    ("0.1", "0.1"),
    ("0.25", "0.25"),
    ("0.5", "0.5"),
    ("1", "1.0"),
    ("5", "5.0"),
    ("+Inf", "+Inf"),
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const CODES: [&str; 5] = ["200", "204", "404", "429", "500"];

/// Which series and which scrape a value belongs to; `None` if no target of a fleet can have sent it.
pub fn place_of(value: f64) -> Option<(u32, u32)> {
    let whole = value >= 0.0 && value < 2f64.powi(53) && value.fract() == 0.0;
    let value = if whole { value as u64 } else { return None };
    let sequence = value % STEP;
    (sequence > 0).then(|| Some((u32::try_from(value / STEP).ok()?, sequence as u32)))?
}

/// A body whose values are missing.
#[derive(Debug)]
pub(super) struct Template {
    text: Vec<u8>,
    holes: Vec<usize>,
}

impl Template {
    /// `series` of them, of which the gauges may be left out.
    pub(super) fn new(format: Format, series: u32, gauges: bool) -> Template {
        let mut writer = Writer { format, text: String::new(), holes: Vec::new(), exemplars: 0 };
        let rest = series.saturating_sub(1);
        let histograms = rest * 3 / 10 / (BUCKETS.len() as u32 + 2);
        let plain = rest - histograms * (BUCKETS.len() as u32 + 2);
        let counters = plain * 6 / 10;
        writer.family("demo_scrape_sequence", "gauge", "Number of this scrape; each one is served once.");
        writer.sample(format_args!("demo_scrape_sequence"), false);
        writer.histograms(histograms);
        writer.counters(counters);
        if gauges {
            writer.gauges(plain - counters);
        }
        writer.finish()
    }

    /// How many series it has.
    pub(super) fn series(&self) -> u32 {
        self.holes.len() as u32
    }

    /// The body of one scrape.
    pub(super) fn at(&self, sequence: u32) -> Vec<u8> {
        let mut digits = [0; DIGITS];
        write!(&mut digits[..], "{sequence:0width$}", width = DIGITS).expect("sequences have eight digits");
        let mut body = self.text.clone();
        for &hole in &self.holes {
            body[hole..hole + DIGITS].copy_from_slice(&digits);
        }
        body
    }
}

struct Writer {
    format: Format,
    text: String,
    holes: Vec<usize>,
    exemplars: u64,
}

impl Writer {
    fn put(&mut self, text: fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a string cannot fail");
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, series: fmt::Arguments<'_>, exemplar: bool) {
        self.put(format_args!("{series} "));
        if !self.holes.is_empty() {
            self.put(format_args!("{}", self.holes.len()));
        }
        self.holes.push(self.text.len());
        self.text.push_str("00000000");
        if exemplar && self.format == Format::OpenMetrics {
            self.exemplars += 1;
            let trace = self.exemplars.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.put(format_args!(" # {{trace_id=\"{trace:016x}\"}} 0.043"));
        }
        self.text.push('\n');
    }

    fn histograms(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let name = "demo_request_duration_seconds";
        self.family(name, "histogram", "Time from first byte in to last byte out.");
        if self.format == Format::OpenMetrics {
            self.put(format_args!("# UNIT {name} seconds\n"));
        }
        for route in 0..count {
            for (index, (text, openmetrics)) in BUCKETS.iter().enumerate() {
                let le = if self.format == Format::Text { text } else { openmetrics };
                self.sample(format_args!("{name}_bucket{{route=\"/v1/r{route}\",le=\"{le}\"}}"), index == 3);
            }
            self.sample(format_args!("{name}_sum{{route=\"/v1/r{route}\"}}"), false);
            self.sample(format_args!("{name}_count{{route=\"/v1/r{route}\"}}"), false);
        }
    }

    fn counters(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let family = if self.format == Format::Text { "demo_requests_total" } else { "demo_requests" };
        self.family(family, "counter", "Requests answered.");
        for index in 0..count as usize {
            let method = METHODS[index % METHODS.len()];
            let code = CODES[index / METHODS.len() % CODES.len()];
            let route = index / METHODS.len() / CODES.len();
            let series = format_args!(
                "demo_requests_total{{method=\"{method}\",code=\"{code}\",route=\"/v1/r{route}\"}}"
            );
            self.sample(series, index % 16 == 0);
        }
    }

    fn gauges(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        self.family("demo_queue_depth", "gauge", "Jobs that wait, by queue and shard.");
        for index in 0..count {
            let (queue, shard) = (index / 8, index % 8);
            self.sample(format_args!("demo_queue_depth{{queue=\"q{queue}\",shard=\"{shard}\"}}"), false);
        }
    }

    fn finish(mut self) -> Template {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        Template { text: self.text.into_bytes(), holes: self.holes }
    }
}
