//! What a sample costs, in every format, with the series of the last scrape and without; `prometheus-parse` beside it on the
//! plain samples that it knows.
//!
//! One iteration is a body of 1,000 samples, so microseconds read as nanoseconds a sample. `cargo bench -p exposition`, or
//! `cargo bench -p exposition -- protobuf` for some of it.

use std::fmt::Write as _;
use std::io::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use exposition::{Event, Format, Options, Parser};
use wire::proto::{put_bytes, put_double, put_message, put_text, put_uint, put_varint};

const N_SAMPLES: usize = 1000;
const N_SERIES: usize = 20;
/// A histogram has a sample for each of these, for infinity, for its sum and for its count.
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Families of a body: counters and histograms make up [`N_SAMPLES`] together.
const N_HISTOGRAMS: usize = 2;
const N_COUNTERS: usize = N_SAMPLES / N_SERIES - N_HISTOGRAMS * (BOUNDS.len() + 3);
/// The same where every counter and every histogram has a sample for its start beside it.
const N_COUNTERS_CREATED: usize = (N_SAMPLES / N_SERIES - N_HISTOGRAMS * (BOUNDS.len() + 4)) / 2;

/// Labels of the n-th series of a family.
fn labels(n: usize) -> [(&'static str, String); 3] {
    [("method", "GET".to_owned()), ("path", format!("/api/v1/things/{n}")), ("code", (200 + n).to_string())]
}

fn value(family: usize, n: usize) -> f64 {
    // Half of them have fractions.
    (family * 1000 + n) as f64 + if n.is_multiple_of(2) { 0.0 } else { 0.25 }
}

fn series_text(out: &mut String, name: &str, n: usize, more: &str) {
    let [(a, x), (b, y), (c, z)] = labels(n);
    write!(out, "{name}{{{a}=\"{x}\",{b}=\"{y}\",{c}=\"{z}\"{more}}} ").expect("a String takes every write");
}

/// Counters, in the old text as well.
fn counters(out: &mut String, n_families: usize, created: bool) {
    for family in 0..n_families {
        let name = format!("requests_{family}");
        let _infallible = writeln!(out, "# HELP {name} Requests by path.\n# TYPE {name} counter");
        for n in 0..N_SERIES {
            series_text(out, &format!("{name}_total"), n, "");
            let _infallible = writeln!(out, "{}", value(family, n));
            if created {
                series_text(out, &format!("{name}_created"), n, "");
                out.push_str("1700000000.5\n");
            }
        }
    }
}

fn histograms(out: &mut String, created: bool) {
    for family in 0..N_HISTOGRAMS {
        let name = format!("latency_{family}");
        let _infallible = writeln!(out, "# HELP {name} Time taken.\n# TYPE {name} histogram");
        for n in 0..N_SERIES {
            for (rank, bound) in BOUNDS.iter().enumerate() {
                series_text(out, &format!("{name}_bucket"), n, &format!(",le=\"{bound}\""));
                let _infallible = writeln!(out, "{}", rank * 10);
            }
            series_text(out, &format!("{name}_bucket"), n, ",le=\"+Inf\"");
            out.push_str("100\n");
            series_text(out, &format!("{name}_count"), n, "");
            out.push_str("100\n");
            series_text(out, &format!("{name}_sum"), n, "");
            out.push_str("12.5\n");
            if created {
                series_text(out, &format!("{name}_created"), n, "");
                out.push_str("1700000000.5\n");
            }
        }
    }
}

/// Counters and histograms.
fn text(n_counters: usize, created: bool) -> Vec<u8> {
    let mut out = String::new();
    counters(&mut out, n_counters, created);
    histograms(&mut out, created);
    out.into_bytes()
}

fn openmetrics(n_counters: usize, created: bool) -> Vec<u8> {
    [&text(n_counters, created)[..], b"# EOF\n"].concat()
}

/// The same as [`text`], with start times.
fn protobuf() -> Vec<u8> {
    let mut body = Vec::new();
    for family in 0..N_COUNTERS {
        delimited(&mut body, &format!("requests_{family}_total"), 0, |out, n| {
            put_message(out, 3, |out| {
                put_double(out, 1, value(family, n));
                put_message(out, 3, |out| put_uint(out, 1, 1_700_000_000));
            });
        });
    }
    for family in 0..N_HISTOGRAMS {
        delimited(&mut body, &format!("latency_{family}"), 4, |out, _| {
            put_message(out, 7, |out| {
                put_uint(out, 1, 100);
                put_double(out, 2, 12.5);
                for (rank, bound) in BOUNDS.iter().enumerate() {
                    put_message(out, 3, |out| {
                        put_uint(out, 1, rank as u64 * 10);
                        put_double(out, 2, *bound);
                    });
                }
                put_message(out, 15, |out| put_uint(out, 1, 1_700_000_000));
            });
        });
    }
    body
}

fn delimited(body: &mut Vec<u8>, name: &str, kind: u64, payload: impl Fn(&mut Vec<u8>, usize)) {
    let mut family = Vec::new();
    put_text(&mut family, 1, name);
    put_text(&mut family, 2, "Requests by path.");
    put_uint(&mut family, 3, kind);
    for n in 0..N_SERIES {
        put_message(&mut family, 4, |out| {
            for (label, value) in labels(n) {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, label.as_bytes());
                    put_bytes(out, 2, value.as_bytes());
                });
            }
            payload(out, n);
        });
    }
    put_varint(body, family.len() as u64);
    body.append(&mut family);
}

/// Keys of all events of a body, empty for those that have none.
fn keys(format: Format, body: &[u8], options: Options) -> Vec<Vec<u8>> {
    let mut parser = Parser::with(format, body, options);
    let mut keys = Vec::new();
    while let Some(event) = parser.next(b"") {
        keys.push(match event.expect("the body is good") {
            Event::Sample(sample) => sample.series.to_vec(),
            _ => Vec::new(),
        });
    }
    keys
}

/// Reads a body, told what to expect, and adds up what it finds.
fn read(format: Format, body: &[u8], options: Options, keys: &[Vec<u8>]) -> f64 {
    let mut parser = Parser::with(format, body, options);
    let mut sum = 0.0;
    let mut expected = keys.iter();
    while let Some(event) = parser.next(expected.next().map_or(&[][..], |key| key)) {
        if let Ok(Event::Sample(sample)) = event {
            sum += sample.value;
        }
    }
    sum
}

/// A body and how it is read.
struct Case {
    format: Format,
    body: Vec<u8>,
    options: Options,
}

const CASES: [&str; 6] = [
    "text",
    "text, converted to native histograms",
    "openmetrics",
    "openmetrics, _created as series",
    "openmetrics, _created as starts",
    "protobuf",
];

impl Case {
    fn named(name: &str) -> Case {
        let plain = Options::default();
        let (format, body, options) = match name {
            "text" => (Format::Text, text(N_COUNTERS, false), plain),
            "text, converted to native histograms" => {
                let converted = Options { convert_to_nhcb: true, always_classic: true, ..plain };
                (Format::Text, text(N_COUNTERS, false), converted)
            }
            "openmetrics" => (Format::OpenMetrics, openmetrics(N_COUNTERS, false), plain),
            "openmetrics, _created as series" => {
                (Format::OpenMetrics, openmetrics(N_COUNTERS_CREATED, true), plain)
            }
            "openmetrics, _created as starts" => {
                let starts = Options { start_timestamps: true, ..plain };
                (Format::OpenMetrics, openmetrics(N_COUNTERS, true), starts)
            }
            _ => (Format::Protobuf, protobuf(), plain),
        };
        Case { format, body, options }
    }

    fn read(&self, keys: &[Vec<u8>]) -> f64 {
        read(self.format, black_box(&self.body), self.options, keys)
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        keys(self.format, &self.body, self.options)
    }

    fn n_samples(&self) -> usize {
        self.keys().iter().filter(|key| !key.is_empty()).count()
    }
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for name in CASES {
        let case = Case::named(name);
        let n_samples = case.n_samples();
        assert_eq!(n_samples, N_SAMPLES, "{name}");
        writeln!(out, "{name}: {} bytes per sample", case.body.len() / n_samples)?;
    }
    drop(out);
    divan::main();
    Ok(())
}

fn bench(bencher: Bencher<'_, '_>, n_bytes: usize, run: impl Fn() -> f64) {
    bencher.counter(ItemsCount::new(N_SAMPLES)).counter(BytesCount::new(n_bytes)).bench_local(run);
}

#[divan::bench(args = CASES)]
fn new_series(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    bench(bencher, case.body.len(), || case.read(&[]));
}

#[divan::bench(args = CASES)]
fn known_series(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    let keys = case.keys();
    bench(bencher, case.body.len(), || case.read(&keys));
}

/// Only what `prometheus-parse` knows.
fn plain_text() -> String {
    let mut body = String::new();
    counters(&mut body, N_SAMPLES / N_SERIES, false);
    body
}

#[divan::bench]
fn plain_text_ours(bencher: Bencher<'_, '_>) {
    let body = plain_text();
    bench(bencher, body.len(), || read(Format::Text, black_box(body.as_bytes()), Options::default(), &[]));
}

#[divan::bench]
fn plain_text_prometheus_parse(bencher: Bencher<'_, '_>) {
    let body = plain_text();
    bench(bencher, body.len(), || {
        let lines = black_box(&body).lines().map(|line| Ok(line.to_owned()));
        prometheus_parse::Scrape::parse(lines).expect("the body is good").samples.len() as f64
    });
}
