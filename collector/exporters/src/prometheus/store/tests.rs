//! What the store keeps, and what that costs.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use exposition::Protocol;
use exposition::print::{Negotiated, Printer};
use model::Scrape;
use translate::{Scratch, ToSeries};

use super::super::tests::fixture::{Builder, exporter};
use super::*;

fn store() -> Store {
    Store::new(1_000_000, Duration::from_secs(60))
}

fn put(store: &mut Store, scrape: &Scrape, now: Tick) {
    OPTIONS.scrape(scrape, &mut Scratch::default(), &mut |series| {
        store.put(&series, now).unwrap();
    });
}

/// Those of the exporter, without a series of the target.
static OPTIONS: LazyLock<ToSeries> =
    LazyLock::new(|| ToSeries { target_info: false, ..exporter("").to_series.clone() });

const TEXT: Negotiated =
    Negotiated { protocol: Protocol::PrometheusText0, escaping: exposition::Escaping::AllowUtf8 };

fn page(store: &mut Store, now: Tick) -> String {
    let mut printer = Printer::new(Protocol::PrometheusText0, exposition::Escaping::AllowUtf8);
    let how = Printing { piece_bytes: usize::MAX, with_times: false };
    store.print(&mut printer, Place::Start, how, now);
    String::from_utf8(printer.take()).unwrap()
}

/// Series as a cluster has them: counters and histograms of many pods, with ten labels each.
fn of_pod(pod: usize) -> Scrape {
    let name = format!("checkout-7d9f8b6c5-{pod:05x}");
    let address = format!("10.{}.{}.17:9090", pod / 250, pod % 250);
    let common = [
        ("cluster", "production-eu-west-1"),
        ("container", "checkout"),
        ("instance", &address),
        ("namespace", "shop"),
        ("node", ["ip-10-0-1-17.internal", "ip-10-0-2-23.internal"][pod % 2]),
        ("pod", &name),
    ];
    let mut builder = Builder::new();
    for family in 0..20 {
        let metric = format!("http_server_requests_{family}_total");
        builder = builder.family(&metric, Kind::Counter);
        for code in ["200", "404", "500"] {
            let labels: Vec<_> = common.into_iter().chain([("code", code), ("method", "GET")]).collect();
            builder = builder.sample(&metric, &labels, 1.0);
        }
    }
    builder = builder.family("latency_seconds", Kind::Histogram);
    for le in ["0.1", "0.5", "1.0", "5.0", "+Inf"] {
        let labels: Vec<_> = common.into_iter().chain([("le", le), ("method", "GET")]).collect();
        builder = builder.sample("latency_seconds_bucket", &labels, 1.0);
    }
    let labels: Vec<_> = common.into_iter().chain([("method", "GET")]).collect();
    builder.sample("latency_seconds_sum", &labels, 1.0).sample("latency_seconds_count", &labels, 1.0).scrape()
}

#[test]
fn a_series_costs_less_than_200_bytes() {
    let mut store = store();
    for pod in 0..100 {
        put(&mut store, &of_pod(pod), Tick(0));
    }
    let while_growing = store.heap_bytes() / store.len();
    assert!(while_growing < 200, "{while_growing} bytes a series while they come");
    // The first look finds that series came, the second that they stopped.
    store.expire(Tick(1));
    store.expire(Tick(2));
    let settled = store.heap_bytes() / store.len();
    assert!(settled < 130, "{settled} bytes a series");
    assert_eq!(store.len(), 100 * 67);
}

#[test]
fn memory_does_not_grow_with_series_that_come_and_go() {
    let mut store = store();
    let mut sizes = Vec::new();
    for round in 0..10 {
        let now = Tick(round * 700);
        for pod in 0..20 {
            put(&mut store, &of_pod(round as usize * 20 + pod), now);
        }
        store.expire(now);
        sizes.push(store.heap_bytes());
        assert_eq!(store.len(), 20 * 67, "those of the last round are gone");
    }
    assert!(sizes[9] < sizes[3] * 3 / 2, "{sizes:?}");
    store.expire(Tick(10 * 700));
    assert_eq!(page(&mut store, Tick(10 * 700)), "");
}

#[test]
fn an_update_moves_no_series_and_sorts_nothing_again() {
    let mut store = store();
    put(&mut store, &of_pod(1), Tick(0));
    let before = (page(&mut store, Tick(1)), store.heap_bytes());
    put(&mut store, &of_pod(1), Tick(1));
    assert_eq!((page(&mut store, Tick(1)), store.heap_bytes()), before);
}

#[test]
fn gauges_infos_and_unknown_series_share_a_name_and_other_types_do_not() {
    let kinds = [
        (Kind::Gauge, Kind::Info, Some("gauge")),
        (Kind::Unknown, Kind::Counter, Some("counter")),
        (Kind::Counter, Kind::Unknown, Some("counter")),
        (Kind::StateSet, Kind::Unknown, Some("gauge")),
        (Kind::Gauge, Kind::Counter, None),
        (Kind::Counter, Kind::Gauge, None),
    ];
    for (first, second, both) in kinds {
        let mut store = store();
        put(&mut store, &Builder::new().family("a", first).sample("a", &[("x", "1")], 1.0).scrape(), Tick(0));
        let other = Builder::new().family("a", second).sample("a", &[("x", "2")], 2.0).scrape();
        let mut said = Vec::new();
        for _ in 0..2 {
            OPTIONS.scrape(&other, &mut Scratch::default(), &mut |series| {
                said.push(store.put(&series, Tick(0)));
            });
        }
        let page = page(&mut store, Tick(0));
        match both {
            Some(word) => assert!(page.starts_with(&format!("# TYPE a {word}\n")), "{page}"),
            None => {
                let [Err(Untaken::Conflict(news)), Err(Untaken::Conflict(again))] = &said[..] else {
                    panic!("{said:?}")
                };
                assert!(news.is_first && !again.is_first, "said once");
                let text = news.to_string();
                assert!(text.contains("`a` is known as a ") && text.contains(second.as_str()), "{text}");
            }
        }
        assert_eq!(page.contains("x=\"2\""), both.is_some());
    }
}

#[test]
fn a_label_set_with_too_many_labels_is_refused_by_the_name_of_the_limit() {
    let mut store = store();
    let names: Vec<String> = (0..=MAX_LABELS_PER_SERIES).map(|index| format!("l{index:06}")).collect();
    let labels: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
    let mut table = SeriesTable::new();
    let series = table.insert(labels, None);
    let scrape = Scrape {
        table: table.into(),
        points: vec![model::Point { series, bits: 0 }],
        ..Builder::new().scrape()
    };
    let mut said = String::new();
    ToSeries::default().scrape(&scrape, &mut Scratch::default(), &mut |series| {
        if let Err(reason) = store.put(&series, Tick(0)) {
            said = reason.to_string();
        }
    });
    assert!(said.contains("MAX_LABELS_PER_SERIES"), "{said}");
}

#[derive(Clone, Debug)]
enum Step {
    Put { name: u8, label: u8, value: u8 },
    End { name: u8, label: u8 },
    Wait { tenths: u16 },
    Sweep,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        6 => (0u8..5, 0u8..6, 0u8..9).prop_map(|(name, label, value)| Step::Put { name, label, value }),
        2 => (0u8..5, 0u8..6).prop_map(|(name, label)| Step::End { name, label }),
        1 => (0u16..400).prop_map(|tenths| Step::Wait { tenths }),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest::proptest! {
    #[test]
    fn the_page_is_what_a_naive_map_would_show(steps in steps()) {
        let mut store = store();
        let mut naive: BTreeMap<(u8, u8), (u8, u32)> = BTreeMap::new();
        let mut now = 0u32;
        for step in steps {
            match step {
                Step::Put { name, label, value } => {
                    let (metric, text) = (format!("m{name}"), label.to_string());
                    let builder = Builder::new().family(&metric, Kind::Gauge);
                    let scrape = builder.sample(&metric, &[("l", &text)], f64::from(value)).scrape();
                    put(&mut store, &scrape, Tick(now));
                    naive.insert((name, label), (value, now));
                }
                Step::End { name, label } => {
                    let (metric, text) = (format!("m{name}"), label.to_string());
                    let builder = Builder::new().family(&metric, Kind::Gauge);
                    let stale = f64::from_bits(model::STALE_BITS);
                    put(&mut store, &builder.sample(&metric, &[("l", &text)], stale).scrape(), Tick(now));
                    naive.remove(&(name, label));
                }
                Step::Wait { tenths } => now += u32::from(tenths),
                Step::Sweep => store.expire(Tick(now)),
            }
            naive.retain(|_, (_, seen)| now - *seen <= 600);
            let mut expected = String::new();
            let mut last = None;
            for ((name, label), (value, _)) in &naive {
                if last != Some(name) {
                    expected.push_str(&format!("# TYPE m{name} gauge\n"));
                }
                last = Some(name);
                expected.push_str(&format!("m{name}{{instance=\"h:1\",job=\"j\",l=\"{label}\"}} {value}\n"));
            }
            let again = store.page_again(TEXT, Tick(now));
            proptest::prop_assert_eq!(page(&mut store, Tick(now)), &*expected);
            match again {
                Some(again) => proptest::prop_assert_eq!(again, &expected),
                // Only once: then every page comes of the one before it.
                None => store.learn_page(TEXT, &expected.into(), Tick(now)),
            }
        }
    }
}

#[test]
fn a_page_of_the_same_series_is_the_one_before_with_other_values() {
    let with = |names: &[&str], value: f64| {
        let mut builder = Builder::new();
        for name in names {
            let help = "what it is\nand  why # 1";
            builder = builder
                .described(model::Family { name: (*name).into(), help: help.into(), ..Default::default() })
                .sample(name, &[("a", "x y} 1\n2")], value)
                .sample(name, &[("b", "")], -value);
        }
        builder.scrape()
    };
    let mut store = store();
    assert_eq!(store.page_again(TEXT, Tick(0)), None);
    put(&mut store, &with(&["m", "n"], 1.5), Tick(0));
    let first = page(&mut store, Tick(0));
    store.learn_page(TEXT, &first.into(), Tick(0));
    for value in [1.5, 2e9, f64::NAN, f64::INFINITY, 0.0, -1e-7, 1.5] {
        put(&mut store, &with(&["m"], value), Tick(0));
        let again = store.page_again(TEXT, Tick(0)).unwrap();
        assert_eq!(again, page(&mut store, Tick(0)));
        // Nothing has changed: it is not even copied.
        assert_eq!(store.page_again(TEXT, Tick(0)).unwrap().as_ptr(), again.as_ptr());
    }
    let is_known = |store: &mut Store, now: u32| store.page_again(TEXT, Tick(now)).is_some();
    let learn = |store: &mut Store, now: u32| {
        let written = page(store, Tick(now));
        store.learn_page(TEXT, &written.into(), Tick(now));
        is_known(store, now)
    };
    assert!(is_known(&mut store, 600) && !is_known(&mut store, 601), "expired, though nobody has swept yet");
    assert!(!learn(&mut store, 601), "what has expired may come again before it is swept");
    let other = Negotiated { protocol: Protocol::OpenMetricsText1, ..TEXT };
    assert_eq!(store.page_again(other, Tick(0)), None);
    store.learn_page(other, &"# EOF\n".into(), Tick(0));
    assert_eq!(store.page_again(other, Tick(0)), None);
    assert!(learn(&mut store, 0));
    // A series comes, and one ends.
    put(&mut store, &with(&["o"], 1.0), Tick(0));
    assert!(!is_known(&mut store, 0) && learn(&mut store, 0));
    put(&mut store, &with(&["o"], f64::from_bits(model::STALE_BITS)), Tick(0));
    assert!(!is_known(&mut store, 0) && learn(&mut store, 0));
    // A type becomes known.
    put(
        &mut store,
        &Builder::new().family("n", Kind::Gauge).sample("n", &[("b", "")], 1.0).scrape(),
        Tick(0),
    );
    assert!(!is_known(&mut store, 0) && learn(&mut store, 0));
    // What is not of these series is not learned.
    store.learn_page(TEXT, &"m 1\n".into(), Tick(0));
    assert!(!is_known(&mut store, 0));
    // Parts of histograms are shown, or not, as the times of others want it.
    assert!(learn(&mut store, 0));
    put(&mut store, &of_pod(1), Tick(0));
    assert!(!learn(&mut store, 0));
}

#[test]
fn bytes_of_native_histograms_are_counted_and_given_back() {
    let with = |n_buckets: usize| {
        let counts = BucketCounts::Float {
            count: 1.0,
            zero: 0.0,
            positive: vec![1.0; n_buckets],
            negative: Vec::new(),
        };
        let positive_spans = vec![model::Span { offset: 0, length: n_buckets as u32 }];
        let histogram = Histogram { positive_spans, counts, ..Histogram::default() };
        Builder::new().histogram("h", &[], histogram).scrape()
    };
    let mut store = store();
    put(&mut store, &with(1000), Tick(0));
    let large = store.n_histogram_bytes;
    assert!(large > 8000);
    put(&mut store, &with(1), Tick(1));
    assert_eq!(store.n_histogram_bytes, large - 8 * 999);
    store.expire(Tick(1000));
    assert_eq!((store.n_histogram_bytes, store.histograms.len()), (0, 0));
}
