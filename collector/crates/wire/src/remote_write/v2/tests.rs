use std::collections::BTreeMap;

use model::{
    Exemplar as ModelExemplar, Family, Histogram as ModelHistogram, Kind, Labels, Point, STALE_BITS,
    SeriesId, SeriesTable, Timestamp,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::remote_write::Protocol;
use crate::remote_write::body::{Assembler, OpenChunk};
use crate::remote_write::v1;

/// A series in words of this test.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    labels: BTreeMap<String, String>,
    kind: Kind,
    help: String,
    unit: String,
    value: Value,
    stamp: Stamp,
    exemplars: Vec<(BTreeMap<String, String>, f64, Option<i64>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bits(u64),
    Histogram(ModelHistogram),
}

const KINDS: [Kind; 8] = [
    Kind::Unknown,
    Kind::Counter,
    Kind::Gauge,
    Kind::Histogram,
    Kind::GaugeHistogram,
    Kind::Summary,
    Kind::Info,
    Kind::StateSet,
];

impl Series {
    fn named(name: &str, value: f64) -> Self {
        Self {
            labels: [("__name__", name), ("job", "a")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            kind: Kind::Counter,
            help: "All of them.".to_owned(),
            unit: String::new(),
            value: Value::Bits(value.to_bits()),
            stamp: Stamp { at: 2000, start: 1000 },
            exemplars: Vec::new(),
        }
    }

    fn write(&self, writer: &mut SeriesWriter) {
        let labels = self.labels.iter().map(|(name, value)| (&**name, &**value));
        let family = FamilyText { kind: self.kind, help: &self.help, unit: &self.unit };
        let exemplars = self.model_exemplars();
        match &self.value {
            Value::Bits(bits) => writer.sample(labels, family, (*bits, self.stamp), exemplars.iter()),
            Value::Histogram(value) => {
                writer.histogram(labels, family, (value, self.stamp), exemplars.iter());
            }
        }
    }

    fn model_exemplars(&self) -> Vec<ModelExemplar> {
        let exemplars = self.exemplars.iter().map(|(labels, value, at)| ModelExemplar {
            labels: labels.iter().collect::<Labels>(),
            value: *value,
            at: at.map(Timestamp),
        });
        exemplars.collect()
    }

    /// What a request says of a series, in the same words.
    fn read(request: &Request, series: &TimeSeries) -> Self {
        let labels = |refs: &[u32]| -> BTreeMap<String, String> {
            request.labels(refs).unwrap().into_iter().map(|label| (label.name, label.value)).collect()
        };
        let metadata = series.metadata.unwrap_or_default();
        let (value, at, start) = match (&series.samples[..], &series.histograms[..]) {
            ([sample], []) => (Value::Bits(sample.value.to_bits()), sample.timestamp, sample.start_timestamp),
            ([], [histogram]) => {
                (Value::Histogram(histogram.to_model()), histogram.timestamp, histogram.start_timestamp)
            }
            _ => panic!("either a sample or a histogram: {series:?}"),
        };
        Self {
            labels: labels(&series.labels_refs),
            kind: KINDS[metadata.r#type as usize],
            help: request.text(metadata.help_ref).unwrap().to_owned(),
            unit: request.text(metadata.unit_ref).unwrap().to_owned(),
            value,
            stamp: Stamp { at, start },
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| (labels(&exemplar.labels_refs), exemplar.value, Some(exemplar.timestamp)))
                .collect(),
        }
    }

    /// As it is read: what is filled in is filled in, what is not sent is gone.
    fn read_back(mut self) -> Self {
        let at = self.stamp.at;
        self.exemplars.iter_mut().for_each(|exemplar| exemplar.2 = exemplar.2.or(Some(at)));
        if self.stamp.start >= at {
            self.stamp.start = 0;
        }
        self
    }
}

fn chunk(body: &mut Vec<u8>, series: &[Series]) {
    let mut writer = SeriesWriter::default();
    series.iter().for_each(|series| series.write(&mut writer));
    writer.finish(body);
}

fn read(request: &[u8]) -> Vec<Series> {
    let request = decode(request).unwrap();
    request.timeseries.iter().map(|series| Series::read(&request, series)).collect()
}

fn assembled(body: &[u8]) -> (Protocol, Vec<u8>) {
    let mut assembler = Assembler::default();
    let assembled = assembler.assemble(body, ToV1::default());
    (assembled.protocol, assembled.request.to_vec())
}

#[test]
fn a_series_carries_metadata_start_and_exemplars() {
    let trace = BTreeMap::from([("trace_id".to_owned(), "0af7".to_owned())]);
    let series = Series {
        unit: "requests".into(),
        exemplars: vec![(trace.clone(), 0.5, Some(7)), (trace, 2.0, None)],
        ..Series::named("a_total", 3.5)
    };
    let mut body = Vec::new();
    chunk(&mut body, std::slice::from_ref(&series));
    let (protocol, request) = assembled(&body);
    assert_eq!((protocol, read(&request)), (Protocol::V2, vec![series.read_back()]));
    assert_eq!(count(&request).unwrap(), Counts { samples: 1, histograms: 0, exemplars: 2 });
}

#[test]
fn the_first_symbol_is_empty_and_no_text_stands_twice() {
    let mut body = Vec::new();
    chunk(&mut body, &[Series::named("a", 1.0), Series::named("b", 2.0)]);
    chunk(&mut body, &[Series::named("b", 3.0), Series::named("job", 4.0)]);
    let request = decode(&assembled(&body).1).unwrap();
    assert_eq!(request.symbols, ["", "__name__", "a", "job", "All of them.", "b"]);
    assert_eq!(request.timeseries[3].labels_refs, [1, 3, 3, 2]);
}

#[test]
fn one_chunk_is_the_request_as_it_lies_there() {
    let mut body = Vec::new();
    chunk(&mut body, &[Series::named("a", 1.0)]);
    let mut assembler = Assembler::default();
    let range = assembler.assemble(&body, ToV1::default()).request.as_ptr_range();
    assert!(body.as_ptr_range().contains(&range.start) && body.as_ptr_range().end == range.end);
}

#[test]
fn a_chunk_may_be_written_from_parts_that_are_ready() {
    let mut symbols = Symbols::new();
    let mut refs = Vec::new();
    for text in ["__name__", "a", "job", "a"] {
        crate::proto::put_varint(&mut refs, u64::from(symbols.intern(text.as_bytes())));
    }
    let mut metadata = Vec::new();
    append_metadata(&mut metadata, Kind::Counter, symbols.intern(b"All of them."), 0);
    let mut by_parts = Vec::new();
    let open = OpenChunk::v2(&mut by_parts, symbols.encoded());
    let stamp = Stamp { at: 2000, start: 1000 };
    append_series(&mut by_parts, &refs, 1.5f64.to_bits(), stamp, &metadata);
    open.end(&mut by_parts);
    let (protocol, request) = assembled(&by_parts);
    assert_eq!((protocol, read(&request)), (Protocol::V2, vec![Series::named("a", 1.5)]));
    assert!(read(&request) == [Series::named("a", 1.5)]);
}

#[test]
fn a_start_that_is_not_before_the_value_is_not_sent() {
    for (start, sent) in [(1999, 1999), (2000, 0), (2001, 0), (0, 0)] {
        let mut body = Vec::new();
        let stamp = Stamp { at: 2000, start };
        chunk(&mut body, &[Series { stamp, ..Series::named("a", 1.0) }]);
        assert_eq!(read(&assembled(&body).1)[0].stamp.start, sent, "{start}");
    }
}

#[test]
fn a_stale_marker_keeps_its_bits() {
    let mut body = Vec::new();
    chunk(&mut body, &[Series { value: Value::Bits(STALE_BITS), ..Series::named("a", 0.0) }]);
    assert_eq!(read(&assembled(&body).1)[0].value, Value::Bits(STALE_BITS));
}

#[test]
fn a_chunk_without_series_is_none() {
    let mut body = Vec::new();
    SeriesWriter::default().finish(&mut body);
    OpenChunk::v2(&mut body, Symbols::new().encoded()).end(&mut body);
    OpenChunk::v1(&mut body).end(&mut body);
    assert_eq!(body, b"");
}

#[test]
fn bodies_with_both_protocols_are_sent_as_1_0_in_their_order() {
    let mut body = Vec::new();
    let in_v1 = |body: &mut Vec<u8>, name| {
        let chunk = OpenChunk::v1(body);
        let labels = [("__name__", name), ("job", "a")];
        v1::append_series(body, labels.into_iter(), &[(1.0f64.to_bits(), 2000)], [].iter());
        chunk.end(body);
    };
    in_v1(&mut body, "first");
    chunk(&mut body, &[Series::named("second", 1.0)]);
    in_v1(&mut body, "third");
    let (protocol, request) = assembled(&body);
    let request = v1::decode(&request).unwrap();
    let names: Vec<&str> = request.timeseries.iter().map(|series| series.label("__name__")).collect();
    assert_eq!((protocol, names), (Protocol::V1, vec!["first", "second", "third"]));
}

#[test]
fn families_are_told_once_in_1_0() {
    let mut body = Vec::new();
    let of = |name: &str, kind| Series { kind, ..Series::named(name, 1.0) };
    let all = [
        of("requests_total", Kind::Counter),
        of("latency_bucket", Kind::Histogram),
        of("latency_sum", Kind::Histogram),
        of("latency_count", Kind::Histogram),
        Series { kind: Kind::Unknown, help: String::new(), ..of("nothing_known", Kind::Unknown) },
    ];
    chunk(&mut body, &all);
    let mut request = Vec::new();
    let how = ToV1 { metadata: true, escape_names: false };
    to_v1(&assembled(&body).1, how, &mut request).unwrap();
    let request = v1::decode(&request).unwrap();
    let told: Vec<(&str, i32, &str)> = request
        .metadata
        .iter()
        .map(|family| (&*family.metric_family_name, family.r#type, &*family.help))
        .collect();
    assert_eq!(told, [("latency", 3, "All of them."), ("requests_total", 1, "All of them.")]);
}

#[test]
fn names_are_escaped_for_1_0_where_that_is_asked_for() {
    let labels = [
        ("__name__", "http.server:dur\u{e4}tion"),
        ("a.b", "x.y"),
        ("a:b", "same name"),
        ("9", "digit"),
        ("\u{e4}", "letter"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut body = Vec::new();
    chunk(&mut body, &[Series { labels, ..Series::named("", 1.0) }]);
    let rewritten = |escape_names| {
        let mut request = Vec::new();
        to_v1(&assembled(&body).1, ToV1 { metadata: false, escape_names }, &mut request).unwrap();
        let series = v1::decode(&request).unwrap().timeseries.remove(0);
        series.labels.into_iter().map(|label| format!("{}={}", label.name, label.value)).collect::<Vec<_>>()
    };
    assert_eq!(rewritten(true), ["_=letter", "_9=digit", "__name__=http_server:dur_tion", "a_b=x.y"]);
    assert_eq!(rewritten(false)[0], "9=digit");
}

#[test]
fn a_reference_without_a_symbol_is_refused() {
    let request = Request {
        symbols: vec![String::new(), "__name__".into()],
        timeseries: vec![TimeSeries { labels_refs: vec![1, 2], ..TimeSeries::default() }],
    };
    let bytes = prost::Message::encode_to_vec(&request);
    let error = to_v1(&bytes, ToV1::default(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.what, "a reference is not that of a symbol");
    assert_eq!(request.labels(&[1, 2]).unwrap_err(), BadReference { reference: 2, n_symbols: 2 });
    assert!(request.labels(&[1]).is_err());
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{0,2}", 1 => "\\PC{0,40}"]
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text().prop_filter("no empty name", |name| !name.is_empty()), "\\PC{1,9}|[ab]{1,2}", 0..6)
}

fn series() -> impl Strategy<Value = Series> {
    let value = prop_oneof![
        3 => any::<u64>().prop_map(Value::Bits),
        1 => v1::any_histogram().prop_map(Value::Histogram),
    ];
    let exemplar = (labels(), any::<i32>().prop_map(f64::from), any::<Option<i64>>());
    let stamp = (any::<i64>(), any::<i64>()).prop_map(|(at, start)| Stamp { at, start });
    (labels(), prop::sample::select(&KINDS[..]), text(), text(), value, stamp, vec(exemplar, 0..3)).prop_map(
        |(labels, kind, help, unit, value, stamp, exemplars)| Series {
            labels,
            kind,
            help,
            unit,
            value,
            stamp,
            exemplars,
        },
    )
}

/// What `to_v1` should write, from structs.
fn rewritten(request: &Request) -> v1::WriteRequest {
    let series = |series: &TimeSeries| v1::TimeSeries {
        labels: request.labels(&series.labels_refs).unwrap(),
        samples: series
            .samples
            .iter()
            .map(|sample| v1::Sample { value: sample.value, timestamp: sample.timestamp })
            .collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|exemplar| v1::Exemplar {
                labels: request.labels(&exemplar.labels_refs).unwrap(),
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
            .collect(),
        histograms: series.histograms.iter().map(Histogram::to_v1).collect(),
    };
    v1::WriteRequest { timeseries: request.timeseries.iter().map(series).collect(), metadata: vec![] }
}

proptest! {
    #[test]
    fn chunks_joined_to_a_body_are_one_request_that_says_the_same(
        chunks in vec(vec(series(), 0..6), 1..5),
        is_one_writer in any::<bool>(),
    ) {
        let mut body = Vec::new();
        let mut writer = SeriesWriter::default();
        for series in &chunks {
            if is_one_writer {
                series.iter().for_each(|series| series.write(&mut writer));
                writer.finish(&mut body);
            } else {
                chunk(&mut body, series);
            }
        }
        let want: Vec<Series> = chunks.into_iter().flatten().map(Series::read_back).collect();
        let (protocol, request) = assembled(&body);
        prop_assert_eq!(protocol == Protocol::V2, !want.is_empty());
        // NaNs are compared by their bits.
        prop_assert_eq!(format!("{:?}", read(&request)), format!("{:?}", want));
        let read = decode(&request).unwrap();
        let distinct: std::collections::BTreeSet<&String> = read.symbols.iter().collect();
        prop_assert_eq!(distinct.len(), read.symbols.len());
        prop_assert_eq!(read.symbols.first().map(String::as_str), (!want.is_empty()).then_some(""));
        let counts = count(&request).unwrap();
        prop_assert_eq!(counts.samples + counts.histograms, want.len() as u64);
    }

    #[test]
    fn series_of_a_table_are_written_as_from_text(
        all in vec((series(), any::<bool>()), 1..12),
        has_long_label in any::<bool>(),
    ) {
        let mut all = all;
        if has_long_label {
            all[0].0.labels.extend((0..40).map(|n| (format!("label_{n}"), "v".repeat(n + 1))));
        }
        let mut table = SeriesTable::new();
        let ids: Vec<SeriesId> = (0..)
            .zip(&all)
            .map(|(n, (series, _))| {
                let family = Family {
                    name: format!("family_{n}").into(),
                    kind: series.kind,
                    help: (&*series.help).into(),
                    unit: (&*series.unit).into(),
                };
                let family = Some(table.family_index(family));
                table.insert(series.labels.iter().map(|(name, value)| (&**name, &**value)), family)
            })
            .collect();
        let mut writer = SeriesWriter::default();
        writer.take_table(&table);
        for ((series, is_of_table), id) in all.iter().zip(ids) {
            if !is_of_table {
                series.write(&mut writer);
                continue;
            }
            let exemplars = series.model_exemplars();
            match &series.value {
                Value::Bits(bits) => {
                    writer.table_sample((&table, id), series.kind, (*bits, series.stamp), exemplars.iter());
                }
                Value::Histogram(value) => {
                    writer.table_histogram((&table, id), series.kind, (value, series.stamp), exemplars.iter());
                }
            }
        }
        let mut body = Vec::new();
        writer.finish(&mut body);
        let want: Vec<Series> = all.into_iter().map(|(series, _)| series.read_back()).collect();
        let request = assembled(&body).1;
        prop_assert_eq!(format!("{:?}", read(&request)), format!("{:?}", want));
        let read = decode(&request).unwrap();
        let distinct: std::collections::BTreeSet<&String> = read.symbols.iter().collect();
        prop_assert_eq!(distinct.len(), read.symbols.len());
    }

    #[test]
    fn many_samples_of_a_table_are_written_as_one_by_one(
        series in vec((0usize..80, 0u32..4, any::<bool>()), 1..40),
        values in vec(prop_oneof![Just(0), any::<u64>()], 40),
        at in prop_oneof![Just(0i64), any::<i64>(), 1_700_000_000_000i64..1_900_000_000_000],
        n_others in prop_oneof![12 => Just(0usize), 1 => Just(17_000)],
        max_bytes in prop_oneof![Just(usize::MAX), 0usize..4000],
    ) {
        let mut table = SeriesTable::new();
        for other in 0..n_others {
            table.insert([("__name__", "other"), ("n", &*other.to_string())], None);
        }
        let points: Vec<Point> = (series.iter().zip(&values).enumerate())
            .map(|(index, ((n_labels, family, is_wide), bits))| {
                let kinds = [Kind::Unknown, Kind::Counter, Kind::Gauge, Kind::Histogram];
                let help = format!("help {family}").repeat(1 + 20 * usize::from(*is_wide));
                let family = Family {
                    name: format!("family_{family}").into(),
                    kind: kinds[*family as usize],
                    help: help.into(),
                    unit: "".into(),
                };
                let family = Some(table.family_index(family));
                let labels = std::iter::once(("__name__".to_owned(), format!("series_{index}")));
                let labels = labels.chain((0..*n_labels).map(|n| (format!("label_{n:02}"), format!("value_{}", n % 7))));
                let labels: Vec<_> = labels.collect();
                let series = table.insert(labels.iter().map(|(name, value)| (&**name, &**value)), family);
                Point { series, bits: *bits }
            })
            .collect();
        let mut writer = SeriesWriter::default();
        writer.take_table(&table);
        let n_written = writer.table_samples(&table, &points, at, max_bytes);
        prop_assert!(n_written == points.len() || writer.n_bytes() + MAX_SHORT_BYTES > max_bytes);
        let mut body = Vec::new();
        writer.finish(&mut body);
        writer.take_table(&table);
        for point in &points[..n_written] {
            let kind = table.family(point.series).unwrap().kind;
            let stamp = Stamp { at, start: 0 };
            writer.table_sample((&table, point.series), kind, (point.bits, stamp), [].iter());
        }
        let mut one_by_one = Vec::new();
        writer.finish(&mut one_by_one);
        prop_assert!(body == one_by_one);
    }

    #[test]
    fn a_request_rewritten_as_1_0_is_what_the_structs_say(chunks in vec(vec(series(), 1..6), 1..3)) {
        let mut body = Vec::new();
        chunks.iter().for_each(|series| chunk(&mut body, series));
        let (_, request) = assembled(&body);
        let mut bytes = Vec::new();
        to_v1(&request, ToV1::default(), &mut bytes).unwrap();
        let want = rewritten(&decode(&request).unwrap());
        prop_assert_eq!(format!("{:?}", v1::decode(&bytes).unwrap()), format!("{:?}", want));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _counted = count(&bytes);
        let _rewritten = to_v1(&bytes, ToV1 { metadata: true, escape_names: true }, &mut Vec::new());
    }

    #[test]
    fn a_damaged_request_is_read_without_panic(
        chunks in vec(series(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = Vec::new();
        chunk(&mut body, &chunks);
        let mut request = assembled(&body).1;
        let at = at.index(request.len());
        request[at] = byte;
        let _counted = count(&request);
        let _rewritten = to_v1(&request, ToV1 { metadata: true, escape_names: true }, &mut Vec::new());
    }
}
