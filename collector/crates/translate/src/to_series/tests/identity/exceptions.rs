//! What the two ways do differently, because OTLP has no form for it.

use super::*;
use crate::Reason;
use crate::fixture::frames_of;

#[test]
fn where_the_last_bucket_and_the_count_disagree_otlp_has_the_count() {
    let scrape = scrape("# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 4");
    let options = ToSeries { target_info: false, ..ToSeries::default() };
    let (direct, _) = directly(&options, &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&options, &scrape, &mut Scratch::default());
    assert!(direct[0].ends_with("le=\"+Inf\"} 3"), "{direct:?}");
    assert!(through[1].ends_with("le=\"+Inf\"} 4"), "{through:?}");
}

#[test]
fn gauge_histograms_pass_only_where_otlp_is_not_in_between_which_counts_them() {
    let scrape = scrape(
        "# TYPE sizes gaugehistogram\nsizes_bucket{le=\"+Inf\"} 3\nsizes_gcount 3\nsizes_gsum -1\nup 1\n\
         # TYPE now histogram\nnow native(schema=0,sum=1,pos=0:1,gauge)",
    );
    let [(direct, direct_report), (through, through_report)] =
        both_ways(&untouched(), &scrape, &mut Scratch::default());
    assert_eq!((direct.len(), direct_report.n_dropped()), (5, 0));
    assert_eq!((through.len(), through_report.n_dropped()), (1, 4));
    assert_eq!(
        through_report.dropped[0].to_string(),
        "4 points dropped, of `sizes_bucket` first: gauge_histogram: OTLP has no gauge histograms"
    );
}

#[test]
fn what_otlp_cannot_count_passes_only_directly() {
    let cases = [
        ("native(schema=0,sum=1,pos=0:1.5,float)", Reason::FractionalHistogram),
        ("native(schema=0,sum=1,count=0.5,float)", Reason::FractionalHistogram),
        ("native(schema=9,sum=1,pos=0:1)", Reason::Scale),
        ("native(schema=-5,sum=1,pos=0:1)", Reason::Scale),
        ("native(schema=8,sum=1,pos=0:1;65535:1)", Reason::WideHistogram),
    ];
    for (value, reason) in cases {
        let scrape = scrape(&format!("# TYPE n histogram\nn {value}"));
        let [(direct, _), (through, report)] = both_ways(&untouched(), &scrape, &mut Scratch::default());
        assert_eq!((direct.len(), through.len()), (1, 0), "{value}");
        assert_eq!(report.dropped[0].reason, reason, "{value}");
    }
    let widest = scrape("# TYPE n histogram\nn native(schema=8,sum=1,pos=0:1;65534:1)");
    let [(direct, _), (through, _)] = both_ways(&untouched(), &widest, &mut Scratch::default());
    assert_eq!(direct, through);
}

#[test]
fn histograms_that_contradict_themselves_pass_nowhere() {
    let cases = [
        ("native(schema=0,pos=0:1;-1:1)", Reason::Malformed),
        ("native(schema=0,pos=0:-1)", Reason::Malformed),
        ("native(schema=0,pos=0:-1,float)", Reason::Malformed),
        ("native(schema=-53,pos=0:1:2:3,bounds=0.5)", Reason::Malformed),
        ("native(schema=-53,pos=-1:1,bounds=0.5)", Reason::Malformed),
        ("native(schema=-53,pos=0:1,neg=0:1,bounds=0.5)", Reason::Malformed),
        ("native(schema=-53,pos=0:1,zero=1,bounds=0.5)", Reason::Malformed),
        ("native(schema=-53,pos=0:1,threshold=0.1,bounds=0.5)", Reason::Malformed),
        ("native(schema=0,pos=0:1,bounds=0.5)", Reason::Malformed),
        ("native(schema=-53,pos=0:1,bounds=0.5:0.5)", Reason::Bounds),
        ("native(schema=-53,pos=0:1,bounds=0.5:inf)", Reason::Bounds),
    ];
    for (value, reason) in cases {
        let scrape = scrape(&format!("# TYPE n histogram\nn {value}"));
        for (series, report) in both_ways(&untouched(), &scrape, &mut Scratch::default()) {
            assert_eq!(series, [], "{value}");
            assert_eq!((report.dropped[0].reason, report.n_dropped()), (reason, 1), "{value}");
        }
    }
}

#[test]
fn labels_that_say_how_the_target_is_reached_are_left_out_of_otlp_only() {
    let scrape = scrape("a{__scheme__=\"https\",__metrics_path__=\"/m\",b=\"c\"} 1");
    let (direct, _) = directly(&untouched(), &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&untouched(), &scrape, &mut Scratch::default());
    assert!(direct[0].contains("__scheme__"), "{direct:?}");
    assert_eq!(through, ["a{b=\"c\", instance=\"10.0.0.1:80\", job=\"app\"} 1"]);
}

#[test]
fn a_unit_that_is_a_symbol_already_is_spelled_out_by_otlp() {
    let scrape = scrape("# TYPE a gauge\n# UNIT a s\na 1");
    let (mut direct, mut through) = (String::new(), String::new());
    untouched().scrape(&scrape, &mut Scratch::default(), &mut |series| direct.push_str(series.family.unit));
    untouched().otlp(&frames_of(&scrape), &mut Scratch::default(), &mut |series| {
        through.push_str(series.family.unit);
    });
    assert_eq!((direct.as_str(), through.as_str()), ("s", "seconds"));
}

#[test]
fn what_is_known_of_a_reset_is_left_out_of_otlp() {
    let scrape = scrape("# TYPE n histogram\nn native(schema=0,sum=1,pos=0:1,reset)");
    let (direct, _) = directly(&untouched(), &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&untouched(), &scrape, &mut Scratch::default());
    assert!(direct[0].ends_with(",reset)") && through[0].ends_with("pos=0:1)"), "{direct:?} {through:?}");
}

#[test]
fn ids_in_capitals_come_back_in_small_letters() {
    let scrape = scrape(
        "# TYPE c counter\nc_total 1 # {Trace_ID=\"0AF7651916CD43DD8448EB211C80319C\"} 1 1700000000000",
    );
    let (direct, _) = directly(&untouched(), &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&untouched(), &scrape, &mut Scratch::default());
    assert!(direct[0].contains("{Trace_ID=\"0AF7651916CD43DD8448EB211C80319C\"}"), "{direct:?}");
    assert!(through[0].contains("{trace_id=\"0af7651916cd43dd8448eb211c80319c\"}"), "{through:?}");
}

#[test]
fn times_before_1970_are_1970_in_otlp() {
    let scrape = scrape("a 1 -5");
    let (direct, _) = directly(&untouched(), &scrape, &mut Scratch::default());
    let (through, _) = through_otlp(&untouched(), &scrape, &mut Scratch::default());
    assert!(direct[0].ends_with("} 1 -5") && through[0].ends_with("} 1 0"), "{direct:?} {through:?}");
}
