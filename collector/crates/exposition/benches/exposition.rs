//! Time a sample, in every format, with the series of the last scrape and without; `prometheus-parse` beside it on the
//! plain samples that it knows. Times are for one sample; the name of each case has the bytes one takes.
//!
//! `cargo bench -p exposition`, or `cargo bench -p exposition -- protobuf` for some of it.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use exposition::{Event, Format, Options, Parser};
use wire::proto::{put_bytes, put_double, put_message, put_text, put_uint, put_varint};

const N_FAMILIES: usize = 40;
const N_SERIES: usize = 20;
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

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
fn counters(out: &mut String, created: bool) {
    for family in 0..N_FAMILIES {
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
    for family in 0..N_FAMILIES / 10 {
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
fn text(created: bool) -> Vec<u8> {
    let mut out = String::new();
    counters(&mut out, created);
    histograms(&mut out, created);
    out.into_bytes()
}

fn openmetrics(created: bool) -> Vec<u8> {
    [&text(created)[..], b"# EOF\n"].concat()
}

/// The same as [`text`], with start times.
fn protobuf() -> Vec<u8> {
    let mut body = Vec::new();
    for family in 0..N_FAMILIES {
        delimited(&mut body, &format!("requests_{family}_total"), 0, |out, n| {
            put_message(out, 3, |out| {
                put_double(out, 1, value(family, n));
                put_message(out, 3, |out| put_uint(out, 1, 1_700_000_000));
            });
        });
    }
    for family in 0..N_FAMILIES / 10 {
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

fn case(criterion: &mut Criterion, name: &str, n_samples: usize, n_bytes: usize, run: impl Fn() -> f64) {
    let n_samples = u32::try_from(n_samples).expect("a small body");
    let name = format!("{name}, {:.0} bytes a sample", n_bytes as f64 / f64::from(n_samples));
    criterion.bench_function(&name, |bencher| {
        bencher.iter_custom(|n| {
            let began = Instant::now();
            (0..n).for_each(|_| _ = black_box(run()));
            began.elapsed() / n_samples
        });
    });
}

fn formats(criterion: &mut Criterion) {
    let plain = Options::default();
    let starts = Options { start_timestamps: true, ..plain };
    let converted = Options { convert_to_nhcb: true, always_classic: true, ..plain };
    for (name, format, body, options) in [
        ("text", Format::Text, text(false), plain),
        ("text converted", Format::Text, text(false), converted),
        ("openmetrics", Format::OpenMetrics, openmetrics(false), plain),
        ("openmetrics with _created, as series", Format::OpenMetrics, openmetrics(true), plain),
        ("openmetrics with _created, as starts", Format::OpenMetrics, openmetrics(true), starts),
        ("protobuf", Format::Protobuf, protobuf(), plain),
    ] {
        let keys = keys(format, &body, options);
        let n_samples = keys.iter().filter(|key| !key.is_empty()).count();
        let bodies = [("new", &[][..]), ("known", &keys[..])];
        for (which, keys) in bodies {
            case(criterion, &format!("{name}, {which} series"), n_samples, body.len(), || {
                read(format, &body, options, keys)
            });
        }
    }
}

fn beside_prometheus_parse(criterion: &mut Criterion) {
    let mut body = String::new();
    counters(&mut body, false);
    let n_samples = N_FAMILIES * N_SERIES;
    case(criterion, "plain text, ours", n_samples, body.len(), || {
        read(Format::Text, body.as_bytes(), Options::default(), &[])
    });
    case(criterion, "plain text, prometheus-parse", n_samples, body.len(), || {
        let lines = body.lines().map(|line| Ok(line.to_owned()));
        prometheus_parse::Scrape::parse(lines).expect("the body is good").samples.len() as f64
    });
}

criterion_group!(benches, formats, beside_prometheus_parse);
criterion_main!(benches);
