//! Which format a body has, and which ones are asked for.
//!
//! As Prometheus `model/textparse` (`New`) and `scrape` (`acceptHeader`).

use std::fmt;
use std::str::FromStr;

use crate::Escaping;

/// A format that can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text, 0.0.4 and 1.0.0: one grammar.
    Text,
    /// OpenMetrics 1.0, as leniently as Prometheus reads it.
    OpenMetrics,
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// The body is read with the fallback because its content type says nothing useful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The content type names no format that can be parsed, and there is no fallback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} and no fallback_scrape_protocol is set for the target")]
pub struct UnknownContentType(String);

/// What client libraries answer with, so that nearly nothing has to be taken apart.
const USUAL: [(&str, Format); 5] = [
    ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
    ("text/plain; version=0.0.4; charset=utf-8; escaping=underscores", Format::Text),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", Format::OpenMetrics),
    (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        Format::Protobuf,
    ),
];

/// Chooses the parser for a body. Parameters of the content type (version, proto, charset ...) must be well formed but
/// are not looked at. A content type that is missing, broken or foreign means `fallback`, with a warning.
///
/// # Errors
///
/// When there is no fallback to take.
pub fn format_of(
    content_type: Option<&str>,
    fallback: Option<Format>,
) -> Result<(Format, Option<Warning>), UnknownContentType> {
    let content_type = content_type.unwrap_or("");
    if let Some((_, format)) = USUAL.iter().find(|(usual, _)| *usual == content_type) {
        return Ok((*format, None));
    }
    let complaint = match media_type(content_type).as_deref() {
        Some("text/plain") => return Ok((Format::Text, None)),
        Some("application/openmetrics-text") => return Ok((Format::OpenMetrics, None)),
        Some("application/vnd.google.protobuf") => return Ok((Format::Protobuf, None)),
        Some(_) => format!("the target answers with the unsupported content type {content_type:?}"),
        None if content_type.is_empty() => "the target answers without a content type".to_owned(),
        None => format!("the target answers with the unreadable content type {content_type:?}"),
    };
    match fallback {
        Some(format) => Ok((format, Some(Warning(format!("{complaint}; fallback_scrape_protocol is used"))))),
        None => Err(UnknownContentType(complaint)),
    }
}

/// The media type in lower case; nothing where the header is malformed (as Go `mime.ParseMediaType`).
fn media_type(header: &str) -> Option<String> {
    let (media, mut rest) = match header.find(';') {
        Some(at) => header.split_at(at),
        None => (header, ""),
    };
    let media = media.trim().to_ascii_lowercase();
    let well_formed = match media.split_once('/') {
        Some((kind, subtype)) => is_token(kind) && is_token(subtype),
        None => is_token(&media),
    };
    if !well_formed {
        return None;
    }
    let mut seen: Vec<String> = Vec::new();
    while !rest.trim_start().is_empty() {
        // A semicolon at the very end says nothing and harms nothing.
        if rest.trim() == ";" {
            break;
        }
        let (name, after) = parameter(rest)?;
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        rest = after;
    }
    Some(media)
}

/// The name of the parameter that `text` begins with, and what follows its value.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start().strip_prefix(';')?.trim_start();
    let (name, text) = text.split_at(token_len(text));
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    if name.is_empty() {
        return None;
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let length = token_len(text);
        return (length > 0).then(|| (name, &text[length..]));
    };
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((name, &quoted[at + 1..])),
            '\r' | '\n' => return None,
            _ => {}
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && token_len(text) == text.len()
}

fn token_len(text: &str) -> usize {
    let is_token_byte = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len())
}

/// A name that `scrape_protocols` and `fallback_scrape_protocol` may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PrometheusProto`.
    PrometheusProto,
    /// `OpenMetricsText1.0.0`.
    OpenMetricsText1,
    /// `OpenMetricsText0.0.1`.
    OpenMetricsText0,
    /// `PrometheusText1.0.0`.
    PrometheusText1,
    /// `PrometheusText0.0.4`.
    PrometheusText0,
}

/// There is no protocol of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown scrape protocol {0:?}, supported: OpenMetricsText0.0.1, OpenMetricsText1.0.0, PrometheusProto, \
     PrometheusText0.0.4, PrometheusText1.0.0"
)]
pub struct UnknownProtocol(String);

impl Protocol {
    /// All of them, protobuf first.
    pub const ALL: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];

    /// What is asked for when the configuration says nothing: all but protobuf, the newest first. Where native
    /// histograms are scraped it is [`Self::ALL`].
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1, Self::OpenMetricsText0, Self::PrometheusText1, Self::PrometheusText0];

    /// The name in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::OpenMetricsText1 => "OpenMetricsText1.0.0",
            Self::OpenMetricsText0 => "OpenMetricsText0.0.1",
            Self::PrometheusText1 => "PrometheusText1.0.0",
            Self::PrometheusText0 => "PrometheusText0.0.4",
        }
    }

    /// The media type, without `escaping` and weight.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::OpenMetricsText1 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetricsText0 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText1 => "text/plain;version=1.0.0",
            Self::PrometheusText0 => "text/plain;version=0.0.4",
        }
    }

    /// The parser for bodies of this protocol.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::OpenMetricsText1 | Self::OpenMetricsText0 => Format::OpenMetrics,
            Self::PrometheusText1 | Self::PrometheusText0 => Format::Text,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == name)
            .ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

/// The `Accept` header for these protocols, the first one preferred.
#[must_use]
pub fn accept_header(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    // One more than there are protocols, then one less for each: as upstream, for byte-equal requests.
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if matches!(protocol, Protocol::OpenMetricsText1 | Protocol::PrometheusText1) {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight = weight.saturating_sub(1);
    }
    header.push_str(&format!("*/*;q=0.{weight}"));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_alone_chooses_the_parser() {
        for (content_type, format) in [
            ("text/plain", Format::Text),
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("Text/Plain;version=\"1.0.0;x\" ;", Format::Text),
            ("application/openmetrics-text; version=7", Format::OpenMetrics),
            ("application/vnd.google.protobuf", Format::Protobuf),
            ("application/vnd.google.protobuf; proto=other; encoding=text", Format::Protobuf),
            ("application/openmetrics-text;charset=utf-8;escaping=values", Format::OpenMetrics),
        ] {
            assert_eq!(format_of(Some(content_type), None), Ok((format, None)), "{content_type}");
        }
    }

    #[test]
    fn what_is_usual_is_what_the_media_type_says() {
        for (usual, format) in USUAL {
            assert_eq!(format_of(Some(&format!(" {usual}")), None), Ok((format, None)), "{usual}");
        }
    }

    #[test]
    fn anything_else_needs_the_fallback_and_warns() {
        for content_type in [
            None,
            Some(""),
            Some("text/html"),
            Some("application/json; charset=utf-8"),
            Some("text/plain; version"),
            Some("text/plain; a=1; a=2"),
            Some("text/plain; a=\"open"),
            Some("text/plain/more"),
            Some("text /plain"),
        ] {
            let (format, warning) = format_of(content_type, Some(Format::OpenMetrics)).unwrap();
            assert_eq!(format, Format::OpenMetrics);
            assert!(warning.unwrap().to_string().contains("fallback_scrape_protocol"), "{content_type:?}");
            let refused = format_of(content_type, None).unwrap_err().to_string();
            assert!(refused.contains("no fallback_scrape_protocol"), "{refused}");
        }
    }

    #[test]
    fn the_default_accept_header_is_the_one_of_prometheus() {
        assert_eq!(
            accept_header(&Protocol::DEFAULT, Escaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept_header(&[Protocol::PrometheusText1], Escaping::Underscores),
            "text/plain;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5"
        );
        assert_eq!(accept_header(&[], Escaping::AllowUtf8), "*/*;q=0.6");
        let all = accept_header(&Protocol::ALL, Escaping::AllowUtf8);
        assert!(
            all.starts_with(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            ),
            "{all}"
        );
    }

    #[test]
    fn protocols_are_known_by_name() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        let unknown = "prometheustext0.0.4".parse::<Protocol>().unwrap_err().to_string();
        assert!(unknown.contains("\"prometheustext0.0.4\"") && unknown.contains("PrometheusText1.0.0"));
    }
}
