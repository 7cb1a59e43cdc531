//! Bodies that are cut, bent or hostile.

use proptest::collection::vec;

use super::schema::Span;
use super::*;

fn rich() -> Vec<u8> {
    let exemplar = Exemplar { label: vec![label("id", "1")], value: Some(1.0), timestamp: time(1, 1) };
    let mut total = counter(1.0);
    total.counter.as_mut().unwrap().exemplar = Some(exemplar.clone());
    let bucket = Bucket { upper_bound: Some(1.0), exemplar: Some(exemplar.clone()), ..Bucket::default() };
    let histogram = Histogram {
        bucket: vec![bucket],
        positive_span: vec![Span { offset: Some(1), length: Some(2) }],
        positive_delta: vec![1, 1],
        exemplars: vec![exemplar],
        start_timestamp: time(9, 9),
        ..Histogram::default()
    };
    let of =
        |histogram| Metric { label: vec![label("a", "b")], histogram: Some(histogram), ..Metric::default() };
    let summary = Summary { quantile: vec![Quantile::default()], ..Summary::default() };
    let summary = Metric { summary: Some(summary), ..Metric::default() };
    body(&[family("c", 0, vec![total]), family("h", 4, vec![of(histogram)]), family("s", 2, vec![summary])])
}

const ALL: Options = Options {
    native_histograms: true,
    always_classic: true,
    convert_to_nhcb: true,
    start_timestamps: true,
    strictness: crate::Strictness::Specification,
};

#[test]
fn a_body_that_is_cut_anywhere_but_between_families_is_refused() {
    let body = rich();
    let ends: Vec<usize> =
        (0..body.len()).filter(|end| !shown_with(PROTOBUF, &body[..*end], ALL).contains("byte")).collect();
    assert_eq!(ends.len(), 3, "the empty body, and one behind each family but the last: {ends:?}");
}

#[test]
fn a_length_beyond_the_body_is_refused_with_both_numbers() {
    assert_eq!(
        refused(b"\x05\x0a\x01x"),
        "byte 0: a metric family of 5 bytes runs past the end of the body, which has 3 bytes left"
    );
    for length in [&b"\x80"[..], b"\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80\x00"] {
        assert_eq!(refused(length), "byte 0: the length of a metric family is no varint of 32 bits");
    }
    assert!(refused(b"\xff\xff\xff\xff\x7f").contains("a metric family of 34359738367 bytes runs past"));
}

#[test]
fn errors_inside_messages_have_their_place() {
    // A family of one metric whose timestamp is a varint of eleven bytes.
    let mut metric = vec![0x30];
    metric.extend([0xff; 10]);
    metric.push(1);
    let mut body = vec![5 + 2 + 12, 0x0a, 3, b'a', b'b', b'c', 0x22, 12];
    body.extend(metric);
    assert_eq!(refused(&body), "byte 9: a varint is larger than 64 bits");
    assert_eq!(refused(b"\x05\x0a\x01x\x20\x01"), "byte 4: a known field has another wire type");
    assert_eq!(refused(b"\x01\x0f"), "byte 1: a field has an unknown wire type");
}

#[test]
fn deep_nesting_is_refused_with_its_limit() {
    let mut body = vec![0xc8, 0x01];
    body.extend([0x7b; 200]);
    assert!(refused(&body).contains("max_depth (100"), "{}", refused(&body));
}

proptest! {
    #[test]
    fn no_bytes_panic(body in vec(any::<u8>(), 0..120)) {
        shown(PROTOBUF, &body);
        shown_with(PROTOBUF, &body, ALL);
        series_labels(PROTOBUF, &body, model::Kind::Histogram, &mut Vec::new()).ok();
    }

    #[test]
    fn bent_bodies_do_not_panic(edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut body = rich();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        shown(PROTOBUF, &body);
        shown_with(PROTOBUF, &body, ALL);
    }
}
