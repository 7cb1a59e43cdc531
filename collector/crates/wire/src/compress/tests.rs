use proptest::prelude::*;

use super::*;

const ALL: [Encoding; 5] =
    [Encoding::Identity, Encoding::Gzip, Encoding::Zlib, Encoding::Zstd, Encoding::Snappy];
const COMPRESSING: [Encoding; 4] = [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd, Encoding::Snappy];

fn packed(encoding: Encoding, input: &[u8]) -> Vec<u8> {
    let mut out = b"whatever".to_vec();
    compress(encoding, input, &mut out);
    out
}

fn unpacked(encoding: Encoding, input: &[u8]) -> Result<Vec<u8>, DecompressError> {
    unpacked_within(encoding, input, Limit::bytes(64 << 20))
}

fn unpacked_within(encoding: Encoding, input: &[u8], limit: Limit) -> Result<Vec<u8>, DecompressError> {
    let mut out = b"whatever".to_vec();
    decompress(encoding, input, limit, &mut out).map(|()| out)
}

fn exposition(n_lines: usize) -> Vec<u8> {
    (0..n_lines)
        .flat_map(|n| format!("http_requests_total{{code=\"{n}\"}} {}\n", n * 7919).into_bytes())
        .collect()
}

#[test]
fn what_was_compressed_comes_back_in_every_encoding() {
    for input in [vec![], b"a".to_vec(), exposition(10), exposition(5000), vec![0; 300_000]] {
        for encoding in ALL {
            assert_eq!(unpacked(encoding, &packed(encoding, &input)).unwrap(), input, "{encoding}");
        }
    }
}

#[test]
fn a_compressor_and_a_decompressor_are_used_again_for_larger_and_smaller_bodies() {
    let mut decompressor = Decompressor::default();
    let (mut packed, mut out) = (Vec::new(), Vec::new());
    for encoding in ALL {
        let mut compressor = Compressor::new(encoding, Some(6));
        for n_lines in [500, 1, 2000, 0, 30] {
            let input = exposition(n_lines);
            compressor.compress(&input, &mut packed);
            decompressor.decompress(encoding, &packed, Limit::bytes(1 << 20), &mut out).unwrap();
            assert_eq!(out, input, "{encoding}");
        }
    }
}

#[test]
fn a_higher_level_makes_smaller_bodies_and_wild_levels_mean_the_nearest() {
    let input = exposition(3000);
    for encoding in [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd] {
        let size = |level| {
            let mut out = Vec::new();
            Compressor::new(encoding, Some(level)).compress(&input, &mut out);
            out.len()
        };
        let (best, fast) = (if encoding == Encoding::Zstd { 19 } else { 6 }, 1);
        assert!(size(best) < size(fast), "{encoding}");
        assert_eq!(size(-5), size(1), "{encoding}");
        assert_eq!(size(99), size(if encoding == Encoding::Zstd { 19 } else { 12 }), "{encoding}");
    }
}

#[test]
fn a_body_of_exactly_max_bytes_is_taken_and_one_byte_more_is_refused_by_name() {
    let input = exposition(2000);
    for encoding in ALL {
        let body = packed(encoding, &input);
        assert_eq!(unpacked_within(encoding, &body, Limit::bytes(input.len())).unwrap(), input, "{encoding}");
        let error = unpacked_within(encoding, &body, Limit::bytes(input.len() - 1)).unwrap_err();
        let want = format!("decompressed {encoding} body is larger than max_bytes ({})", input.len() - 1);
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_bomb_is_refused_by_its_ratio() {
    let bomb = vec![0; 8 << 20];
    for encoding in COMPRESSING {
        let body = packed(encoding, &bomb);
        let limit = Limit { max_bytes: 64 << 20, max_ratio: 10 };
        let error = unpacked_within(encoding, &body, limit).unwrap_err();
        let want = format!(
            "decompressed {encoding} body is more than max_ratio (10) times as large as the compressed one"
        );
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_small_body_may_be_as_repetitive_as_it_likes() {
    let input = vec![0; Limit::RATIO_FREE_BYTES];
    for encoding in COMPRESSING {
        let limit = Limit { max_bytes: 64 << 20, max_ratio: 2 };
        assert_eq!(unpacked_within(encoding, &packed(encoding, &input), limit).unwrap(), input);
    }
}

#[test]
fn empty_truncated_and_followed_bodies_are_corrupt() {
    for encoding in COMPRESSING {
        let body = packed(encoding, &exposition(50));
        for broken in [&[][..], &body[..body.len() - 1], &body[..body.len() / 2], &body[1..]] {
            let error = unpacked(encoding, broken).unwrap_err();
            assert!(matches!(error, DecompressError::Corrupt { .. }), "{encoding}: {error}");
        }
        for garbage in [&b"\0"[..], b"garbage", &body[..3], &[0; 64]] {
            let followed = [&body, garbage].concat();
            assert!(unpacked(encoding, &followed).is_err(), "{encoding}: {garbage:?}");
        }
    }
}

#[test]
fn gzip_members_in_a_row_are_one_body() {
    let (one, two) = (exposition(300), exposition(3));
    for parts in
        [vec![&one, &two], vec![&two, &one], vec![&one, &one], vec![&two, &two, &two], vec![&vec![], &two]]
    {
        let body: Vec<u8> = parts.iter().flat_map(|part| packed(Encoding::Gzip, part)).collect();
        let whole: Vec<u8> = parts.iter().copied().flatten().copied().collect();
        assert_eq!(unpacked(Encoding::Gzip, &body).unwrap(), whole);
        let error = unpacked_within(Encoding::Gzip, &body, Limit::bytes(whole.len() - 1)).unwrap_err();
        assert!(matches!(error, DecompressError::MaxBytes { .. }), "{error}");
    }
}

#[test]
fn gzip_headers_with_name_comment_extra_field_and_checksum_are_read() {
    let plain = packed(Encoding::Gzip, b"up 1\n");
    let mut full = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 255];
    full.extend_from_slice(&[2, 0, b'x', b'y']);
    full.extend_from_slice(b"metrics.txt\0a comment\0");
    full.extend_from_slice(&[0x12, 0x34]);
    full.extend_from_slice(&plain[10..]);
    assert_eq!(unpacked(Encoding::Gzip, &full).unwrap(), b"up 1\n");
    for cut in 3..full.len() {
        assert!(unpacked(Encoding::Gzip, &full[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn gzip_magic_inside_a_member_does_not_end_it() {
    // Incompressible, so deflate stores it as it is.
    let mut state = 88_172_645_463_325_252u64;
    let mut input = vec![0; 3000];
    for byte in &mut input {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    for at in [100, 1000, 2000] {
        input[at..at + 3].copy_from_slice(&[0x1f, 0x8b, 8]);
    }
    let body = packed(Encoding::Gzip, &input);
    assert!(body.windows(3).filter(|window| *window == [0x1f, 0x8b, 8]).count() > 1);
    assert_eq!(unpacked(Encoding::Gzip, &body).unwrap(), input);
}

#[test]
fn zstd_without_a_declared_size_grows_up_to_the_limit() {
    let input = vec![b'x'; 5 << 20];
    // The stream encoder cannot know the size when it writes the header.
    let body = zstd::stream::encode_all(&input[..], 1).unwrap();
    assert!(matches!(zstd_safe::get_frame_content_size(&body), Ok(None)));
    let limit = Limit { max_bytes: input.len(), max_ratio: usize::MAX };
    assert_eq!(unpacked_within(Encoding::Zstd, &body, limit).unwrap(), input);
    let error =
        unpacked_within(Encoding::Zstd, &body, Limit { max_bytes: input.len() - 1, ..limit }).unwrap_err();
    assert!(matches!(error, DecompressError::MaxBytes { .. }), "{error}");
}

#[test]
fn zstd_frames_in_a_row_are_one_body() {
    let body = [packed(Encoding::Zstd, b"one"), packed(Encoding::Zstd, &exposition(100))].concat();
    let whole = [b"one".to_vec(), exposition(100)].concat();
    assert_eq!(unpacked(Encoding::Zstd, &body).unwrap(), whole);
}

#[test]
fn a_declared_snappy_length_is_checked_before_anything_is_allocated() {
    // 4 GiB - 1, then nothing.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let error = unpacked_within(Encoding::Snappy, &huge, Limit::bytes(1 << 20)).unwrap_err();
    assert_eq!(error, DecompressError::MaxBytes { encoding: Encoding::Snappy, max_bytes: 1 << 20 });
    // 1 MiB from three bytes is within every limit and still impossible.
    let liar = [0x80, 0x80, 0x40, 0x00, b'x'];
    let error = unpacked(Encoding::Snappy, &liar).unwrap_err();
    assert_eq!(error.to_string(), "snappy body is corrupt: its declared length cannot be reached");
}

#[test]
fn names_of_encodings_are_those_of_http() {
    for encoding in ALL {
        assert_eq!(Encoding::parse(encoding.as_str()), Some(encoding));
    }
    assert_eq!(Encoding::parse("zlib"), Some(Encoding::Zlib));
    assert_eq!(
        (Encoding::parse(""), Encoding::parse("none")),
        (Some(Encoding::Identity), Some(Encoding::Identity))
    );
    assert_eq!(Encoding::parse("br"), None);
}

proptest! {
    #[test]
    fn any_bytes_come_back(input in prop::collection::vec(any::<u8>(), 0..5000), level in 1..7) {
        for encoding in ALL {
            let mut body = Vec::new();
            Compressor::new(encoding, Some(level)).compress(&input, &mut body);
            prop_assert_eq!(&unpacked(encoding, &body).unwrap(), &input);
        }
    }

    #[test]
    fn damaged_bodies_never_panic_and_never_exceed_the_limit(
        n_lines in 0usize..40,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for encoding in COMPRESSING {
            let mut body = packed(encoding, &exposition(n_lines));
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            if let Ok(out) = unpacked_within(encoding, &body, Limit::bytes(4096)) {
                prop_assert!(out.len() <= 4096);
            }
        }
    }
}
