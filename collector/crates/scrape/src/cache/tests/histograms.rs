//! Native histograms and start times, from the body to the scrape.

use wire::proto::{put_double, put_fixed64, put_message, put_sint, put_text, put_uint};

use super::*;

const NATIVE: &str = "scrape_native_histograms: true";

/// The number of a type in `MetricType`.
const COUNTER: u64 = 0;
const HISTOGRAM: u64 = 4;

/// One `MetricFamily` of a delimited stream with one metric of these fields.
fn family(name: &str, kind: u64, metric: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Vec::new();
    put_text(&mut message, 1, name);
    put_text(&mut message, 2, "All of them.");
    put_uint(&mut message, 3, kind);
    put_message(&mut message, 4, metric);
    let mut delimited = Vec::new();
    wire::proto::put_varint(&mut delimited, message.len() as u64);
    delimited.extend(message);
    delimited
}

/// A histogram that is native (two buckets of one observation more than `count` says) and classic (one bucket).
fn histogram(schema: i64, count: u64) -> Vec<u8> {
    family("h", HISTOGRAM, |metric| {
        put_message(metric, 7, |histogram| {
            put_uint(histogram, 1, count);
            put_double(histogram, 2, 2.5);
            put_message(histogram, 3, |bucket| {
                put_uint(bucket, 1, count);
                put_double(bucket, 2, 1.0);
            });
            put_sint(histogram, 5, schema);
            put_double(histogram, 6, 0.001);
            put_message(histogram, 12, |span| {
                put_sint(span, 1, 1);
                put_uint(span, 2, 2);
            });
            let deltas: Vec<u8> = [1i64, i64::try_from(count).unwrap() - 2]
                .iter()
                .map(|delta| u8::try_from((delta << 1) ^ (delta >> 63)).unwrap())
                .collect();
            wire::proto::put_bytes(histogram, 13, &deltas);
            // A start time of 1.5 s.
            put_message(histogram, 15, |start| {
                put_uint(start, 1, 1);
                put_uint(start, 2, 500_000_000);
            });
        });
    })
}

fn scrape(scraped: &mut Scraped, body: Vec<u8>) -> String {
    let text = scraped.scrape_as("application/vnd.google.protobuf", body);
    scraped.cache.delivered();
    text
}

#[test]
fn a_native_histogram_is_one_series() {
    let mut scraped = Scraped::new(NATIVE);
    expect![[r#"
        h histogram(schema 0, count 5, sum 2.5)
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, histogram(0, 5)));
    assert_eq!(scraped.cache.counts().added, 1);
    expect![[r#"
        h histogram(schema 0, count 9, sum 2.5)
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, histogram(0, 9)));
    assert_eq!(scraped.cache.counts().added, 0);
}

#[test]
fn without_the_switch_the_same_answer_is_classic() {
    let mut scraped = Scraped::new("");
    expect![[r#"
        h_count 5
        h_sum 2.5
        h_bucket{le="1.0"} 5
        h_bucket{le="+Inf"} 5
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, histogram(0, 5)));
}

#[test]
fn always_scrape_classic_histograms_keeps_both() {
    let mut scraped = Scraped::new(&format!("{NATIVE}\nalways_scrape_classic_histograms: true"));
    let text = scrape(&mut scraped, histogram(0, 5));
    assert!(text.contains("h histogram(") && text.contains("h_bucket{le=\"1.0\"} 5"), "{text}");
}

#[test]
fn the_end_of_a_native_histogram_is_a_plain_marker() {
    let mut scraped = Scraped::new(NATIVE);
    scrape(&mut scraped, histogram(0, 5));
    expect![[r#"
        h STALE
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, Vec::new()));
}

#[test]
fn a_native_histogram_belongs_to_the_family_of_its_name() {
    let mut scraped = Scraped::new(NATIVE);
    scrape(&mut scraped, histogram(0, 5));
    let table = scraped.cache.store.table();
    let id = live(&scraped)[0];
    let family = table.family(id).map(|family| (&*family.name, family.kind, &*family.help));
    assert_eq!(family, Some(("h", Kind::Histogram, "All of them.")));
}

#[test]
fn the_bucket_limit_makes_a_histogram_coarser_or_fails_the_scrape() {
    let mut scraped = Scraped::new(&format!("{NATIVE}\nnative_histogram_bucket_limit: 1"));
    expect![[r#"
        h histogram(schema -1, count 5, sum 2.5)
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, histogram(0, 5)));
    expect![[r#"
        h STALE
        up 0"#]]
    .assert_eq(&scrape(
        &mut scraped,
        family("h", HISTOGRAM, |metric| {
            put_message(metric, 7, |histogram| {
                put_uint(histogram, 1, 2);
                put_sint(histogram, 5, -4);
                for offset in [1, 7] {
                    put_message(histogram, 12, |span| {
                        put_sint(span, 1, offset);
                        put_uint(span, 2, 1);
                    });
                }
                wire::proto::put_bytes(histogram, 13, &[2, 0]);
            });
        }),
    ));
    let error = scraped.last.unwrap();
    assert_eq!(error.kind(), crate::Failure::BucketLimit);
}

#[test]
fn a_schema_that_nobody_knows_costs_that_histogram_only() {
    let mut scraped = Scraped::new(NATIVE);
    assert_eq!(scrape(&mut scraped, histogram(-7, 5)), "up 1");
    assert_eq!(scraped.cache.counts().unknown_schemas, 1);
}

#[test]
fn start_times_are_passed_on_only_where_they_are_asked_for() {
    let body = || {
        family("c", COUNTER, |metric| {
            put_message(metric, 3, |counter| {
                put_double(counter, 1, 7.0);
                put_message(counter, 3, |start| put_uint(start, 1, 3));
            });
        })
    };
    assert_eq!(scrape(&mut Scraped::new(""), body()), "c 7\nup 1");
    let common = Common { start_timestamps: true, ..Common::default() };
    let mut scraped = Scraped::with("", common);
    assert_eq!(scrape(&mut scraped, body()), "c 7 since 3000\nup 1");
    let openmetrics = "# TYPE c counter\nc_total 7\nc_created 2\n# EOF\n";
    expect![[r#"
        c_total 7 since 2000
        c STALE
        up 1"#]]
    .assert_eq(&scraped.scrape(openmetrics));
}

#[test]
fn classic_histograms_become_native_ones_with_their_own_bounds() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 5\nh_sum 9.5\nh_count 5\n";
    let mut scraped = Scraped::new("convert_classic_histograms_to_nhcb: true");
    for _ in 0..2 {
        expect![[r#"
            h histogram(schema -53, count 5, sum 9.5)
            up 1"#]]
        .assert_eq(&scraped.scrape(body));
    }
    assert_eq!(scraped.cache.counts().added, 0);
}

#[test]
fn a_switch_that_changes_ends_what_is_no_longer_scraped() {
    let mut scraped = Scraped::new("");
    scrape(&mut scraped, histogram(0, 5));
    scraped.reload(NATIVE);
    expect![[r#"
        h histogram(schema 0, count 5, sum 2.5)
        h_count STALE
        h_sum STALE
        h_bucket{le="1.0"} STALE
        h_bucket{le="+Inf"} STALE
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, histogram(0, 5)));
}

#[test]
fn hidden_labels_switch_histograms_for_one_target() {
    let job = job("");
    let switched = target(&job, &[("__scrape_native_histograms__", "true")]);
    assert!(switched.histograms.native_histograms && !target(&job, &[]).histograms.native_histograms);
}

/// A native histogram with exemplars of these values and times.
fn with_exemplars(exemplars: &[(f64, Option<u64>)]) -> Vec<u8> {
    family("h", HISTOGRAM, |metric| {
        put_message(metric, 7, |histogram| {
            put_uint(histogram, 1, 1);
            put_fixed64(histogram, 6, 0.001f64.to_bits());
            for (value, at) in exemplars {
                put_message(histogram, 16, |exemplar| {
                    put_double(exemplar, 2, *value);
                    if let Some(at) = at {
                        put_message(exemplar, 3, |time| put_uint(time, 1, *at));
                    }
                });
            }
        });
    })
}

#[test]
fn exemplars_of_a_native_histogram_need_a_time() {
    let mut scraped = Scraped::new(NATIVE);
    expect![[r#"
        h histogram(schema 0, count 1, sum 0) # {} 5
        up 1"#]]
    .assert_eq(&scrape(&mut scraped, with_exemplars(&[(4.0, None), (5.0, Some(6))])));
}

#[test]
fn exemplars_of_a_native_histogram_are_told_once_in_the_order_of_their_times() {
    let mut scraped = Scraped::new(NATIVE);
    let mut told = |exemplars: &[(f64, Option<u64>)]| {
        let text = scrape(&mut scraped, with_exemplars(exemplars));
        text.lines().next().unwrap().replace("h histogram(schema 0, count 1, sum 0)", "")
    };
    let (first, second, third) = ((1.0, Some(10)), (2.0, Some(20)), (3.0, Some(30)));
    assert_eq!(told(&[second, first]), " # {} 1 # {} 2");
    assert_eq!(told(&[first, second]), "");
    assert_eq!(told(&[second, third, first]), " # {} 3");
    assert_eq!(told(&[second]), "");
}
