use model::{Labels, STALE_BITS, Timestamp};
use proptest::prelude::*;

use super::*;

type Pairs = Vec<(String, String)>;

fn labels_of(pairs: &Pairs) -> Vec<Label> {
    pairs.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect()
}

fn written(pairs: &Pairs, samples: &[(u64, i64)], exemplars: &[ModelExemplar]) -> Vec<u8> {
    let mut out = Vec::new();
    let labels = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    append_series(&mut out, labels, samples, exemplars.iter());
    out
}

fn exemplar(pairs: &Pairs, value: f64, at: Option<i64>) -> ModelExemplar {
    ModelExemplar { labels: pairs.iter().cloned().collect(), value, at: at.map(Timestamp) }
}

#[test]
fn a_series_with_several_samples_and_an_exemplar_is_read_back() {
    let pairs = vec![("__name__".to_owned(), "up".to_owned()), ("job".to_owned(), "a".to_owned())];
    let trace = vec![("trace_id".to_owned(), "0af7".to_owned())];
    let samples = [(1.0f64.to_bits(), 1_700_000_000_000), (STALE_BITS, 1_700_000_015_000)];
    let exemplars = [exemplar(&trace, 0.5, Some(7)), exemplar(&trace, 2.0, None)];
    let request = decode(&written(&pairs, &samples, &exemplars)).unwrap();
    let series = &request.timeseries[0];
    assert_eq!((series.label("__name__"), series.label("job"), series.label("none")), ("up", "a", ""));
    let bits: Vec<(u64, i64)> =
        series.samples.iter().map(|sample| (sample.value.to_bits(), sample.timestamp)).collect();
    assert_eq!(bits, samples);
    let times: Vec<(f64, i64)> =
        series.exemplars.iter().map(|exemplar| (exemplar.value, exemplar.timestamp)).collect();
    assert_eq!(times, [(0.5, 7), (2.0, 1_700_000_015_000)]);
    assert_eq!(series.exemplars[0].labels, labels_of(&trace));
}

#[test]
fn minus_zero_is_written_and_zero_takes_no_place() {
    let zero = written(&vec![], &[(0, 0)], &[]);
    assert_eq!(zero, [0x0a, 2, 0x12, 0]);
    let minus = decode(&written(&vec![], &[((-0.0f64).to_bits(), 5)], &[])).unwrap();
    assert_eq!(minus.timeseries[0].samples[0].value.to_bits(), (-0.0f64).to_bits());
}

#[test]
fn series_and_metadata_appended_one_by_one_are_one_request() {
    let mut out = Vec::new();
    for name in ["a", "b"] {
        append_series(&mut out, [("__name__", name)].into_iter(), &[(1.0f64.to_bits(), 1)], [].iter());
    }
    append_metadata(&mut out, Kind::Counter, "a", "Help \u{e4}", "seconds");
    append_metadata(&mut out, Kind::Unknown, "b", "", "");
    let request = decode(&out).unwrap();
    let names: Vec<&str> = request.timeseries.iter().map(|series| series.label("__name__")).collect();
    assert_eq!(names, ["a", "b"]);
    let want = [
        MetricMetadata {
            r#type: 1,
            metric_family_name: "a".into(),
            help: "Help \u{e4}".into(),
            unit: "seconds".into(),
        },
        MetricMetadata { metric_family_name: "b".into(), ..MetricMetadata::default() },
    ];
    assert_eq!(request.metadata, want);
}

#[test]
fn what_is_no_request_says_so() {
    let error = decode(&[0x0a, 0x05]).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode a remote write request");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn labels_of_every_length_are_copied_whole() {
    for len in (0..140).chain([200, 1000, 20_000]) {
        let text: String = (0..len).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        let pairs = vec![("n".to_owned(), text.clone()), (format!("m{text}"), "v".to_owned())];
        let request = decode(&written(&pairs, &[(1, 1)], &[])).unwrap();
        assert_eq!(request.timeseries[0].labels, labels_of(&pairs), "{len}");
    }
}

fn pairs() -> impl Strategy<Value = Pairs> {
    prop::collection::vec((".{1,12}", ".{1,200}"), 0..6)
}

proptest! {
    #[test]
    fn bytes_are_the_ones_that_prost_writes(
        pairs in pairs(),
        samples in prop::collection::vec((any::<i32>(), any::<i64>()), 0..4),
        exemplar_labels in prop::collection::btree_map("[a-z]{1,5}", "[a-z]{1,9}", 0..3),
        exemplars in prop::collection::vec((any::<i16>(), any::<Option<i64>>()), 0..3),
    ) {
        let labels: Labels = exemplar_labels.into_iter().collect();
        let samples: Vec<(f64, i64)> = samples.into_iter().map(|(value, at)| (f64::from(value), at)).collect();
        let last = samples.last().map_or(0, |sample| sample.1);
        let series = TimeSeries {
            labels: labels_of(&pairs),
            samples: samples.iter().map(|(value, timestamp)| Sample { value: *value, timestamp: *timestamp }).collect(),
            exemplars: exemplars
                .iter()
                .map(|(value, at)| Exemplar {
                    labels: labels
                        .iter()
                        .map(|(name, value)| Label { name: name.into(), value: value.into() })
                        .collect(),
                    value: f64::from(*value),
                    timestamp: at.unwrap_or(last),
                })
                .collect(),
            histograms: vec![],
        };
        let want = WriteRequest { timeseries: vec![series], metadata: vec![] }.encode_to_vec();
        let bits: Vec<(u64, i64)> = samples.iter().map(|(value, at)| (value.to_bits(), *at)).collect();
        let exemplars: Vec<ModelExemplar> = exemplars
            .into_iter()
            .map(|(value, at)| ModelExemplar {
                labels: labels.clone(),
                value: f64::from(value),
                at: at.map(Timestamp),
            })
            .collect();
        prop_assert_eq!(written(&pairs, &bits, &exemplars), want);
    }
}

#[test]
fn encoded_labels_give_the_same_bytes() {
    let long = "x".repeat(300);
    for labels in [vec![], vec![("a", "1"), ("b", &*long)]] {
        let mut table = model::SeriesTable::new();
        let id = table.insert(labels.iter().copied(), None);
        for sample in [(0, 0), (1.5f64.to_bits(), 1_700_000_000_000), (0, -1)] {
            let (mut plain, mut encoded) = (Vec::new(), Vec::new());
            append_series(&mut plain, labels.iter().copied(), &[sample], std::iter::empty());
            append_encoded_series(&mut encoded, table.encoded_labels(id), sample);
            assert_eq!(plain, encoded, "{labels:?} {sample:?}");
        }
    }
}
