//! Which format a reader is answered in: its `Accept` header against what can be written.
//!
//! As `NegotiateIncludingOpenMetrics` of Prometheus `common/expfmt`: the entries are looked at in order of weight, the
//! first one that can be written wins, and who asks for nothing we know gets text 0.0.4. Different on purpose: an entry of
//! weight zero is refused by its sender and never chosen, protobuf is written delimited only, and `escaping` counts for
//! the entry that it stands in (upstream lets it reach later ones).

use crate::{Escaping, Protocol};

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The format.
    pub protocol: Protocol,
    /// How names outside the old character set are written.
    pub escaping: Escaping,
}

impl Negotiated {
    /// Chooses the format for an `Accept` header, empty where there was none. OpenMetrics is only chosen where
    /// `open_metrics` allows it.
    #[must_use]
    pub fn of(accept: &str, open_metrics: bool) -> Self {
        let mut entries: Vec<Entry<'_>> = accept.split(',').filter_map(Entry::parse).collect();
        // Stable: among equals, the one that was named first.
        entries.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let wanted = entries.iter().find_map(|entry| Some((entry.protocol(open_metrics)?, entry.escaping)));
        let (protocol, escaping) = wanted.unwrap_or((Protocol::PrometheusText0, None));
        Self { protocol, escaping: escaping.unwrap_or(Escaping::Underscores) }
    }

    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(self) -> String {
        let media_type = self.protocol.media_type().replace(';', "; ");
        let charset = if self.protocol == Protocol::PrometheusProto { "" } else { "; charset=utf-8" };
        format!("{media_type}{charset}; escaping={}", self.escaping.as_str())
    }
}

/// One entry of an `Accept` header.
#[derive(Default)]
struct Entry<'a> {
    media_type: String,
    version: &'a str,
    message: &'a str,
    encoding: &'a str,
    escaping: Option<Escaping>,
    weight: f64,
}

impl<'a> Entry<'a> {
    /// Reads an entry; none where its sender does not want it.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next()?.to_ascii_lowercase();
        let mut entry = Self { media_type, weight: 1.0, ..Self::default() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => entry.weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
                "version" => entry.version = value,
                "proto" => entry.message = value,
                "encoding" => entry.encoding = value,
                "escaping" => entry.escaping = Escaping::parse(value),
                _ => {}
            }
        }
        (entry.weight > 0.0).then_some(entry)
    }

    fn protocol(&self, open_metrics: bool) -> Option<Protocol> {
        match (self.media_type.as_str(), self.version) {
            ("application/vnd.google.protobuf", _) => {
                let fits =
                    self.message == "io.prometheus.client.MetricFamily" && self.encoding == "delimited";
                fits.then_some(Protocol::PrometheusProto)
            }
            ("application/openmetrics-text", "1.0.0") if open_metrics => Some(Protocol::OpenMetricsText1),
            ("application/openmetrics-text", "" | "0.0.1") if open_metrics => {
                Some(Protocol::OpenMetricsText0)
            }
            ("text/plain", "1.0.0") => Some(Protocol::PrometheusText1),
            ("text/plain", "" | "0.0.4") => Some(Protocol::PrometheusText0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept_header;

    fn chosen(accept: &str) -> String {
        Negotiated::of(accept, true).content_type()
    }

    #[test]
    fn the_heaviest_entry_that_can_be_written_wins() {
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                                encoding=delimited; escaping=underscores";
        for (accept, content_type) in [
            ("", TEXT),
            ("*/*", TEXT),
            ("text/html, image/png;q=0.9", TEXT),
            ("text/plain", TEXT),
            ("text/plain;version=9.9", TEXT),
            (
                "text/plain;version=0.0.4;q=0.3, text/plain;version=1.0.0;q=0.4",
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            (
                "text/plain;q=0.5,application/openmetrics-text;version=0.0.1",
                "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores",
            ),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; Escaping=allow-utf-8",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                PROTOBUF,
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", TEXT),
            ("application/vnd.google.protobuf;proto=other;encoding=delimited", TEXT),
            ("application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.1", TEXT),
            ("application/openmetrics-text;version=1.0.0;q=much, text/plain", TEXT),
        ] {
            assert_eq!(chosen(accept), content_type, "{accept}");
        }
    }

    #[test]
    fn open_metrics_is_chosen_only_where_it_is_allowed() {
        let accept = accept_header(&Protocol::DEFAULT, Escaping::AllowUtf8);
        let with = Negotiated::of(&accept, true);
        assert_eq!(with, Negotiated { protocol: Protocol::OpenMetricsText1, escaping: Escaping::AllowUtf8 });
        let without = Negotiated::of(&accept, false);
        assert_eq!(
            without,
            Negotiated { protocol: Protocol::PrometheusText1, escaping: Escaping::AllowUtf8 }
        );
    }

    #[test]
    fn who_does_not_ask_for_an_escaping_gets_underscores() {
        for (accept, escaping) in [
            ("text/plain;version=1.0.0;escaping=values", Escaping::Values),
            ("text/plain;version=1.0.0;escaping=dots", Escaping::Dots),
            ("text/plain;version=1.0.0;escaping=rot13", Escaping::Underscores),
            ("text/plain;version=1.0.0", Escaping::Underscores),
            ("application/x;escaping=values;q=0.9,text/plain;q=0.1", Escaping::Underscores),
        ] {
            assert_eq!(Negotiated::of(accept, true).escaping, escaping, "{accept}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_gets_an_answer(accept in "[ -~]{0,80}") {
            proptest::prop_assert!(!chosen(&accept).is_empty());
        }
    }
}
