//! What receivers of remote write 2.0 say they have written.

use http::HeaderMap;
use wire::remote_write::v2::{Counts, WRITTEN_HEADERS};

/// What the answer says was written; a header that is absent beside others means zero. `None` where all are absent, as from
/// receivers that do not know the protocol.
pub(super) fn read(headers: &HeaderMap) -> Option<Counts> {
    let [samples, histograms, exemplars] = WRITTEN_HEADERS
        .map(|name| headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok()));
    (samples.is_some() || histograms.is_some() || exemplars.is_some()).then(|| Counts {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}

/// What was sent and not written.
pub(super) fn missing(sent: Counts, written: Counts) -> Counts {
    Counts {
        samples: sent.samples.saturating_sub(written.samples),
        histograms: sent.histograms.saturating_sub(written.histograms),
        exemplars: sent.exemplars.saturating_sub(written.exemplars),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[(&'static str, &'static str)]) -> HeaderMap {
        values.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_header_that_is_absent_beside_others_means_zero() {
        let written = read(&headers(&[("x-prometheus-remote-write-samples-written", " 7 ")]));
        assert_eq!(written, Some(Counts { samples: 7, histograms: 0, exemplars: 0 }));
    }

    #[test]
    fn no_header_says_nothing() {
        assert_eq!(read(&headers(&[])), None);
        assert_eq!(read(&headers(&[("x-prometheus-remote-write-samples-written", "many")])), None);
    }

    #[test]
    fn what_is_missing_is_told_by_kind() {
        let sent = Counts { samples: 5, histograms: 2, exemplars: 1 };
        let written = Counts { samples: 3, histograms: 9, exemplars: 1 };
        assert_eq!(missing(sent, written), Counts { samples: 2, histograms: 0, exemplars: 0 });
    }
}
