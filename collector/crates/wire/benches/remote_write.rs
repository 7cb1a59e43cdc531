//! What writing a series costs: as remote write 1 of one sample, of any, with a native histogram; as remote write 2 from the
//! table of a target and from text; and what joining ten chunks of 2.0 costs, and rewriting a request as 1.0.
//!
//! One iteration is 1,000 samples, so microseconds read as nanoseconds a sample. `cargo bench -p wire`.

use std::io::Write;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use model::{BucketCounts, Histogram, Kind, Point, SeriesId, SeriesTable, Span};
use wire::remote_write::body::Assembler;
use wire::remote_write::v1;
use wire::remote_write::v2::{FamilyText, SeriesWriter, Stamp, ToV1, to_v1};

const N_SERIES: usize = 1000;
const AT: i64 = 1_700_000_000_000;

fn main() -> std::io::Result<()> {
    let table = table();
    let mut out = std::io::stdout().lock();
    for (name, write) in WRITERS {
        let mut body = Vec::new();
        write(&table, &mut body);
        writeln!(out, "{name}: {} bytes per sample", body.len() / N_SERIES)?;
    }
    drop(out);
    divan::main();
    Ok(())
}

type Write1 = fn(&(SeriesTable, Vec<SeriesId>), &mut Vec<u8>);

const WRITERS: [(&str, Write1); 5] = [
    ("one sample", one_sample),
    ("any samples", any_samples),
    ("native histograms", histograms),
    ("remote write 2", of_table),
    ("remote write 2 from text", of_text),
];

/// Series as a web server exposes them: six labels each.
fn table() -> (SeriesTable, Vec<SeriesId>) {
    let mut table = SeriesTable::new();
    let ids = (0..N_SERIES)
        .map(|number| {
            let path = format!("/api/v1/items/{}", number / 4);
            let labels = [
                ("__name__", "http_server_requests_total"),
                ("code", ["200", "204", "404", "500"][number % 4]),
                ("instance", "10.0.0.1:9100"),
                ("job", "shop"),
                ("method", "GET"),
                ("path", &path),
            ];
            table.insert(labels, None)
        })
        .collect();
    (table, ids)
}

fn one_sample((table, ids): &(SeriesTable, Vec<SeriesId>), body: &mut Vec<u8>) {
    for (number, id) in ids.iter().enumerate() {
        let sample = ((number as f64 + 0.5).to_bits(), AT);
        v1::append_encoded_series(body, table.encoded_labels(*id), sample);
    }
}

fn any_samples((table, ids): &(SeriesTable, Vec<SeriesId>), body: &mut Vec<u8>) {
    for (number, id) in ids.iter().enumerate() {
        let sample = ((number as f64 + 0.5).to_bits(), AT);
        v1::append_series(body, table.labels(*id), &[sample], std::iter::empty());
    }
}

fn of_table((table, ids): &(SeriesTable, Vec<SeriesId>), body: &mut Vec<u8>) {
    let mut writer = SeriesWriter::default();
    writer.take_table(table);
    let point =
        |(number, id): (usize, &SeriesId)| Point { series: *id, bits: (number as f64 + 0.5).to_bits() };
    let points: Vec<Point> = ids.iter().enumerate().map(point).collect();
    writer.table_samples(table, &points, AT, usize::MAX);
    writer.finish(body);
}

fn of_text((table, ids): &(SeriesTable, Vec<SeriesId>), body: &mut Vec<u8>) {
    chunks(table, ids, N_SERIES, body);
}

/// Series as 2.0 from text, in chunks of so many.
fn chunks(table: &SeriesTable, ids: &[SeriesId], n_series: usize, body: &mut Vec<u8>) {
    let mut writer = SeriesWriter::default();
    let family = FamilyText { kind: Kind::Counter, help: "All requests.", unit: "" };
    let stamp = Stamp { at: AT, start: 0 };
    for ids in ids.chunks(n_series) {
        for (number, id) in ids.iter().enumerate() {
            let bits = (number as f64 + 0.5).to_bits();
            writer.sample(table.labels(*id), family, (bits, stamp), [].iter());
        }
        writer.finish(body);
    }
}

fn histograms((table, ids): &(SeriesTable, Vec<SeriesId>), body: &mut Vec<u8>) {
    let histogram = native();
    for id in ids {
        v1::append_histogram_series(body, table.labels(*id), &histogram, AT, std::iter::empty());
    }
}

/// Twenty buckets in two runs.
fn native() -> Histogram {
    Histogram {
        schema: 3,
        sum: 12.5,
        zero_threshold: 1e-128,
        positive_spans: vec![Span { offset: -10, length: 12 }, Span { offset: 4, length: 8 }],
        counts: BucketCounts::Integer {
            count: 100,
            zero: 0,
            positive_deltas: vec![5, -3, 4, 0, 1, -2, 3, 0, 0, 2, -4, 1, 5, -3, 4, 0, 1, -2, 3, 0],
            negative_deltas: vec![],
        },
        ..Histogram::default()
    }
}

fn bench(bencher: Bencher<'_, '_>, write: Write1) {
    let table = table();
    let mut body = Vec::new();
    write(&table, &mut body);
    let n_bytes = body.len();
    bencher.counter(ItemsCount::new(N_SERIES)).counter(BytesCount::new(n_bytes)).bench_local(|| {
        body.clear();
        write(black_box(&table), &mut body);
        black_box(body.len())
    });
}

#[divan::bench]
fn of_one_sample(bencher: Bencher<'_, '_>) {
    bench(bencher, one_sample);
}

#[divan::bench]
fn of_any_samples(bencher: Bencher<'_, '_>) {
    bench(bencher, any_samples);
}

#[divan::bench]
fn native_histograms(bencher: Bencher<'_, '_>) {
    bench(bencher, histograms);
}

#[divan::bench]
fn of_one_sample_as_2_0(bencher: Bencher<'_, '_>) {
    bench(bencher, of_table);
}

#[divan::bench]
fn of_text_as_2_0(bencher: Bencher<'_, '_>) {
    bench(bencher, of_text);
}

#[divan::bench]
fn joining_ten_chunks_of_2_0(bencher: Bencher<'_, '_>) {
    let (table, ids) = table();
    let mut body = Vec::new();
    chunks(&table, &ids, N_SERIES / 10, &mut body);
    let mut assembler = Assembler::default();
    bencher
        .counter(ItemsCount::new(N_SERIES))
        .bench_local(|| black_box(assembler.assemble(black_box(&body), ToV1::default()).request.len()));
}

#[divan::bench]
fn rewriting_as_1_0(bencher: Bencher<'_, '_>) {
    let (table, ids) = table();
    let mut body = Vec::new();
    chunks(&table, &ids, N_SERIES, &mut body);
    let mut assembler = Assembler::default();
    let request = assembler.assemble(&body, ToV1::default()).request.to_vec();
    let mut rewritten = Vec::new();
    bencher.counter(ItemsCount::new(N_SERIES)).bench_local(|| {
        rewritten.clear();
        to_v1(black_box(&request), ToV1::default(), &mut rewritten).expect("it is a request of 2.0");
        black_box(rewritten.len())
    });
}
