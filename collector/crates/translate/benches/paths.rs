//! What a sample costs on its ways: remote write 1 from a series table, OTLP from the same table, remote write 1 from OTLP.
//!
//! One iteration is 1,000 samples of a scrape, whichever form they have, so microseconds read as nanoseconds a sample.
//! `cargo bench -p translate`.

use std::io::Write;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use model::{Family, Frames, Kind, Labels, Point, Scrape, SeriesTable, TargetInfo, Timestamp};
use translate::{ScopeInfo, Scratch, SeriesRef, ToSeries, is_plain, scrape_to_otlp};
use wire::remote_write::v1;

fn main() -> std::io::Result<()> {
    let scrape = scrape();
    let frames = otlp(&scrape);
    let sizes = [
        ("remote write 1 from a table", direct(&scrape, &mut Scratch::default(), &mut Vec::new())),
        ("OTLP from a table", frames.n_bytes()),
        ("remote write 1 from OTLP", from_otlp(&frames, &mut Scratch::default(), &mut Vec::new())),
    ];
    let mut out = std::io::stdout().lock();
    for (name, n_bytes) in sizes {
        writeln!(out, "{name}: {} bytes per sample", n_bytes / scrape.points.len())?;
    }
    drop(out);
    divan::main();
    Ok(())
}

/// A target with counters, gauges and histograms of twelve buckets: 1,000 samples.
fn scrape() -> Scrape {
    let labels: Labels = [("instance", "10.0.0.1:9100"), ("job", "shop")].into_iter().collect();
    let target = TargetInfo { labels, discovered: [("__scheme__", "http")].into_iter().collect() };
    let mut page = Page { target, table: SeriesTable::new(), points: Vec::new() };
    for number in 0..255 {
        let path = format!("/api/v1/items/{number}");
        page.add("http_requests_total", Kind::Counter, "http_requests_total", &[("path", &path)], 17.0);
        page.add("queue_length", Kind::Gauge, "queue_length", &[("path", &path)], 3.5);
    }
    for number in 0..35 {
        let path = format!("/api/v1/items/{number}");
        for bucket in 0..12 {
            let le = if bucket == 11 { "+Inf".to_owned() } else { format!("{bucket}.5") };
            let labels = [("le", &*le), ("path", &path)];
            page.add(
                "latency_seconds",
                Kind::Histogram,
                "latency_seconds_bucket",
                &labels,
                f64::from(bucket),
            );
        }
        page.add("latency_seconds", Kind::Histogram, "latency_seconds_sum", &[("path", &path)], 12.5);
        page.add("latency_seconds", Kind::Histogram, "latency_seconds_count", &[("path", &path)], 11.0);
    }
    Scrape {
        target: Arc::new(page.target),
        table: Arc::new(page.table),
        at: Timestamp(1_700_000_000_000),
        points: page.points,
        ..Scrape::default()
    }
}

struct Page {
    target: TargetInfo,
    table: SeriesTable,
    points: Vec<Point>,
}

impl Page {
    fn add(&mut self, family: &str, kind: Kind, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut all = self.target.labels.clone();
        all.set("__name__", name);
        labels.iter().for_each(|(name, value)| all.set(name, value));
        let family = Family { name: family.into(), kind, help: "Says it.".into(), unit: "".into() };
        let family = self.table.family_index(family);
        let series = self.table.insert(all.iter(), Some(family));
        self.table.set_plain(series, is_plain(&all, &self.target.labels));
        self.points.push(Point { series, bits: value.to_bits() });
    }
}

fn append(body: &mut Vec<u8>, series: &SeriesRef<'_>) {
    let sample = (series.bits, series.at.millis());
    match series.labels.in_table() {
        Some((table, id)) => v1::append_encoded_series(body, table.encoded_labels(id), sample),
        None => v1::append_series(body, series.labels.iter(), &[sample], std::iter::empty()),
    }
}

fn direct(scrape: &Scrape, scratch: &mut Scratch, body: &mut Vec<u8>) -> usize {
    ToSeries::default().scrape(scrape, scratch, &mut |series| append(body, &series));
    body.len()
}

fn otlp(scrape: &Scrape) -> Frames {
    scrape_to_otlp(scrape, &ScopeInfo::prometheus_receiver("1"))
}

fn from_otlp(frames: &Frames, scratch: &mut Scratch, body: &mut Vec<u8>) -> usize {
    ToSeries::default().otlp(frames, scratch, &mut |series| append(body, &series));
    body.len()
}

#[divan::bench]
fn remote_write_1_from_a_table(bencher: Bencher<'_, '_>) {
    let (scrape, mut scratch, mut body) = (scrape(), Scratch::default(), Vec::new());
    let n_bytes = direct(&scrape, &mut scratch, &mut body);
    let bencher = bencher.counter(ItemsCount::new(scrape.points.len())).counter(BytesCount::new(n_bytes));
    bencher.bench_local(|| {
        body.clear();
        direct(black_box(&scrape), &mut scratch, &mut body)
    });
}

#[divan::bench]
fn otlp_from_a_table(bencher: Bencher<'_, '_>) {
    let scrape = scrape();
    let n_bytes = otlp(&scrape).n_bytes();
    let bencher = bencher.counter(ItemsCount::new(scrape.points.len())).counter(BytesCount::new(n_bytes));
    bencher.bench_local(|| otlp(black_box(&scrape)).n_items);
}

#[divan::bench]
fn remote_write_1_from_otlp(bencher: Bencher<'_, '_>) {
    let (scrape, mut scratch, mut body) = (scrape(), Scratch::default(), Vec::new());
    let frames = otlp(&scrape);
    let n_bytes = from_otlp(&frames, &mut scratch, &mut body);
    let bencher = bencher.counter(ItemsCount::new(scrape.points.len())).counter(BytesCount::new(n_bytes));
    bencher.bench_local(|| {
        body.clear();
        from_otlp(black_box(&frames), &mut scratch, &mut body)
    });
}
