//! Reading and decoding bodies within limits.

use http_body_util::StreamBody;
use wire::compress::compress;

use super::*;

fn pieces(texts: &'static [&'static str]) -> Body {
    Body::pieces(texts.iter().map(|text| Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_more_byte_is_refused() {
    assert_eq!(&read_body("1234".into(), 4).await.unwrap()[..], b"1234");
    assert_eq!(&read_body(pieces(&["12", "3", "4"]), 4).await.unwrap()[..], b"1234");
    assert_eq!(&read_body(Body::empty(), 0).await.unwrap()[..], b"");
    for body in [Body::from("12345"), pieces(&["12", "345"])] {
        let error = read_body(body, 4).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(error.to_string(), "body is larger than the limit of 4 bytes");
    }
}

#[tokio::test]
async fn a_broken_body_is_the_clients_fault() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"1"))), Err("gone")];
    let body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
    assert_eq!(read_body(body, 4).await.unwrap_err().status(), StatusCode::BAD_REQUEST);
}

#[test]
fn every_supported_encoding_is_undone() {
    let text = b"hello hello hello hello";
    for (name, encoding) in [
        ("gzip", Encoding::Gzip),
        ("GZIP ", Encoding::Gzip),
        ("zstd", Encoding::Zstd),
        ("snappy", Encoding::Snappy),
        ("zlib", Encoding::Zlib),
        ("deflate", Encoding::Zlib),
    ] {
        let mut packed = Vec::new();
        compress(encoding, text, &mut packed);
        assert_eq!(&decode_body(Some(name), packed.into(), 100).unwrap()[..], text, "{name}");
    }
    for name in [None, Some(""), Some("identity")] {
        assert_eq!(&decode_body(name, Bytes::from_static(text), 1).unwrap()[..], text);
    }
}

#[test]
fn what_cannot_be_decoded_has_its_own_status() {
    let mut packed = Vec::new();
    compress(Encoding::Gzip, &[0; 10_000], &mut packed);
    let status = |name, body: Vec<u8>| decode_body(Some(name), body.into(), 9_999).unwrap_err().status();
    assert_eq!(status("gzip", packed), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status("gzip", b"nonsense".to_vec()), StatusCode::BAD_REQUEST);
    assert_eq!(status("br", Vec::new()), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
