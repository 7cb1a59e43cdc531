use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::remote_write::v1;

/// A series in words of this test.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    labels: BTreeMap<String, String>,
    help: String,
    samples: Vec<i64>,
    histograms: Vec<i64>,
    exemplars: Vec<BTreeMap<String, String>>,
}

fn told() -> impl Strategy<Value = Told> {
    let labels = || btree_map("[a-d]{1,2}", "[x-z]{0,3}", 0..4);
    (labels(), "[h-k]{0,2}", vec(-5i64..100, 0..3), vec(1i64..100, 0..2), vec(labels(), 0..2)).prop_map(
        |(labels, help, samples, histograms, exemplars)| Told {
            labels,
            help,
            samples,
            histograms,
            exemplars,
        },
    )
}

/// A whole request of 1.0, with metadata of this many families.
fn as_v1(series: &[Told], n_families: usize) -> Vec<u8> {
    let labels = |labels: &BTreeMap<String, String>| -> Vec<v1::Label> {
        labels.iter().map(|(name, value)| v1::Label { name: name.clone(), value: value.clone() }).collect()
    };
    let timeseries = series
        .iter()
        .map(|series| v1::TimeSeries {
            labels: labels(&series.labels),
            samples: series.samples.iter().map(|at| v1::Sample { value: 1.5, timestamp: *at }).collect(),
            histograms: series
                .histograms
                .iter()
                .map(|at| v1::Histogram { timestamp: *at, sum: 2.5, ..v1::Histogram::default() })
                .collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| v1::Exemplar { labels: labels(exemplar), value: 3.5, timestamp: 7 })
                .collect(),
        })
        .collect();
    let metadata = (0..n_families)
        .map(|n| v1::MetricMetadata { metric_family_name: n.to_string(), ..v1::MetricMetadata::default() })
        .collect();
    v1::WriteRequest { timeseries, metadata }.encode_to_vec()
}

#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        let place = self.0.iter().position(|known| known == text);
        place.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        }) as u32
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>) -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [self.number(name), self.number(value)]).collect()
    }
}

fn as_v2(series: &[Told]) -> Vec<u8> {
    let mut texts = Texts(vec![String::new()]);
    let timeseries = series
        .iter()
        .map(|series| v2::TimeSeries {
            labels_refs: texts.labels(&series.labels),
            samples: series
                .samples
                .iter()
                .map(|at| v2::Sample { value: 1.5, timestamp: *at, start_timestamp: 3 })
                .collect(),
            histograms: series
                .histograms
                .iter()
                .map(|at| v2::Histogram { timestamp: *at, sum: 2.5, ..v2::Histogram::default() })
                .collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| v2::Exemplar {
                    labels_refs: texts.labels(exemplar),
                    value: 3.5,
                    timestamp: 7,
                })
                .collect(),
            metadata: Some(v2::Metadata { r#type: 1, help_ref: texts.number(&series.help), unit_ref: 0 }),
        })
        .collect();
    v2::Request { symbols: texts.0, timeseries }.encode_to_vec()
}

fn read_v2(request: &[u8]) -> Vec<Told> {
    let request = v2::decode(request).unwrap();
    let labels = |refs: &[u32]| -> BTreeMap<String, String> {
        request.labels(refs).unwrap().into_iter().map(|label| (label.name, label.value)).collect()
    };
    assert_eq!(request.symbols[0], "");
    let mut used: BTreeSet<u32> = BTreeSet::from([0]);
    for series in &request.timeseries {
        used.extend(&series.labels_refs);
        used.extend(series.exemplars.iter().flat_map(|exemplar| &exemplar.labels_refs));
        used.extend(series.metadata.map(|metadata| metadata.help_ref));
    }
    assert_eq!(used.len(), request.symbols.len(), "no symbol that nobody needs");
    let told = |series: &v2::TimeSeries| Told {
        labels: labels(&series.labels_refs),
        help: request.text(series.metadata.unwrap().help_ref).unwrap().to_owned(),
        samples: series.samples.iter().map(|sample| sample.timestamp).collect(),
        histograms: series.histograms.iter().map(|histogram| histogram.timestamp).collect(),
        exemplars: series.exemplars.iter().map(|exemplar| labels(&exemplar.labels_refs)).collect(),
    };
    request.timeseries.iter().map(told).collect()
}

fn check_parts(all: &[Told], parts: &[Part; 2], lens: [usize; 2]) {
    assert_eq!(lens[0] + lens[1], all.len());
    assert!(lens[0] > 0 && lens[1] > 0);
    for (part, series) in parts.iter().zip([&all[..lens[0]], &all[lens[0]..]]) {
        let times: Vec<i64> = series
            .iter()
            .flat_map(|series| series.samples.iter().chain(&series.histograms))
            .copied()
            .collect();
        assert_eq!(part.n_items, times.len() as u64);
        if let (Some(oldest), Some(newest)) = (times.iter().min(), times.iter().max()) {
            assert_eq!((part.oldest, part.newest), (*oldest, *newest));
        }
    }
}

proptest! {
    #[test]
    fn halves_of_1_0_say_together_what_the_whole_says(all in vec(told(), 2..12), n_families in 0usize..3) {
        let request = as_v1(&all, n_families);
        let parts = split(Protocol::V1, &request).unwrap();
        let n_items: usize = all.iter().map(|series| series.samples.len() + series.histograms.len()).sum();
        prop_assume!(n_items > 0);
        let parts = parts.unwrap();
        let whole = v1::decode(&request).unwrap();
        let [first, second] = [0, 1].map(|n: usize| v1::decode(&parts[n].request).unwrap());
        check_parts(&all, &parts, [first.timeseries.len(), second.timeseries.len()]);
        prop_assert_eq!([first.timeseries, second.timeseries].concat(), whole.timeseries);
        prop_assert_eq!((first.metadata, second.metadata), (whole.metadata, vec![]));
    }

    #[test]
    fn halves_of_2_0_say_together_what_the_whole_says_and_have_the_symbols_they_need(all in vec(told(), 2..12)) {
        let request = as_v2(&all);
        let n_items: usize = all.iter().map(|series| series.samples.len() + series.histograms.len()).sum();
        prop_assume!(n_items > 0);
        let parts = split(Protocol::V2, &request).unwrap().unwrap();
        let [first, second] = [0, 1].map(|n: usize| read_v2(&parts[n].request));
        check_parts(&all, &parts, [first.len(), second.len()]);
        prop_assert_eq!([first, second].concat(), all);
    }

    #[test]
    fn what_is_no_request_is_refused_and_nothing_panics(bytes in vec(any::<u8>(), 0..60)) {
        for protocol in [Protocol::V1, Protocol::V2] {
            if let Ok(Some(parts)) = split(protocol, &bytes) {
                prop_assert!(parts.iter().all(|part| !part.request.is_empty()));
            }
        }
    }
}

#[test]
fn a_single_series_cannot_be_cut() {
    let one = Told {
        labels: BTreeMap::new(),
        help: String::new(),
        samples: vec![1],
        histograms: Vec::new(),
        exemplars: Vec::new(),
    };
    assert_eq!(split(Protocol::V1, &as_v1(std::slice::from_ref(&one), 1)).unwrap(), None);
    assert_eq!(split(Protocol::V2, &as_v2(std::slice::from_ref(&one))).unwrap(), None);
    assert_eq!(split(Protocol::V1, &as_v1(&[], 2)).unwrap(), None);
}

#[test]
fn cutting_again_and_again_ends_with_every_series_alone() {
    let one = |n: i64| Told {
        labels: BTreeMap::from([("__name__".to_owned(), n.to_string())]),
        help: String::new(),
        samples: vec![n],
        histograms: Vec::new(),
        exemplars: Vec::new(),
    };
    let all: Vec<Told> = (1..=2000).map(one).collect();
    for (protocol, request) in [(Protocol::V1, as_v1(&all, 0)), (Protocol::V2, as_v2(&all))] {
        let (mut left, mut times, mut deepest) = (vec![(request, 0)], Vec::new(), 0);
        while let Some((request, depth)) = left.pop() {
            deepest = deepest.max(depth);
            match split(protocol, &request).unwrap() {
                Some([first, second]) => {
                    left.push((second.request, depth + 1));
                    left.push((first.request, depth + 1));
                }
                None => match protocol {
                    Protocol::V1 => {
                        times.push(v1::decode(&request).unwrap().timeseries[0].samples[0].timestamp)
                    }
                    Protocol::V2 => times.push(read_v2(&request)[0].samples[0]),
                },
            }
        }
        assert!(times == (1..=2000).collect::<Vec<i64>>(), "in order");
        assert_eq!(deepest, 11);
    }
}
