//! Parts that the custom resources share, as prometheus-operator 0.93 spells them.
//!
//! Empty text and zero mean "not given", as in upstream's Go types. Spans of time and sizes are texts here: what is wrong
//! with them is told when jobs are made, by the name of the field.

use std::collections::BTreeMap;
use std::fmt;

use net::PrometheusTlsVersion;
use relabel::RuleConfig;
use schemars::JsonSchema;
use scrape::ScrapeProtocol;
use serde::Deserialize;

use super::rules::keep;

/// One relabelling rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Relabeling {
    /// Labels whose values are read and joined.
    pub source_labels: Vec<String>,
    /// Stands between the joined values; `;` where absent.
    pub separator: Option<String>,
    /// The label that is written.
    pub target_label: String,
    /// What the joined text must match; anything where empty.
    pub regex: String,
    /// Number of shares for `hashmod`.
    pub modulus: u64,
    /// What is written; `$1` where absent.
    pub replacement: Option<String>,
    /// What happens, in any case; `replace` where empty.
    pub action: String,
}

/// A key of a Secret or a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KeyRef {
    /// The object.
    pub name: String,
    /// The key in its data.
    pub key: String,
    /// Without effect, as upstream: what is referred to must be there.
    pub optional: Option<bool>,
}

/// A key of a Secret or of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretOrConfigMap {
    /// A key of a Secret.
    pub secret: Option<KeyRef>,
    /// A key of a ConfigMap.
    pub config_map: Option<KeyRef>,
}

impl SecretOrConfigMap {
    /// Whether nothing is referred to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BasicAuth {
    /// User.
    pub username: KeyRef,
    /// Password.
    pub password: KeyRef,
}

/// The `Authorization` header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Authorization {
    /// The word before the credentials; `Bearer` when empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// The credentials.
    pub credentials: Option<KeyRef>,
}

impl Authorization {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The `Authorization` header of a scrape class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassAuthorization {
    /// What monitors can say as well.
    #[serde(flatten)]
    pub own: Authorization,
    /// File with the credentials, on the machine of the scraper.
    pub credentials_file: String,
}

/// Where tokens come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: SecretOrConfigMap,
    /// Password of who asks.
    pub client_secret: KeyRef,
    /// Where to ask.
    pub token_url: String,
    /// What the token should be good for.
    pub scopes: Vec<String>,
    /// More parameters of the question.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    pub tls_config: Option<SafeTlsConfig>,
    /// Proxy towards the token server.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// Ways to log in. At most one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Login {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header.
    pub authorization: Option<Authorization>,
    /// A token from an OAuth 2.0 server.
    pub oauth2: Option<OAuth2>,
}

/// TLS without files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SafeTlsConfig {
    /// Authorities that may sign the server's certificate.
    pub ca: SecretOrConfigMap,
    /// Our certificate.
    pub cert: SecretOrConfigMap,
    /// The key of our certificate.
    pub key_secret: Option<KeyRef>,
    /// The name to ask for and to find in the server's certificate.
    pub server_name: String,
    /// Accept any certificate.
    pub insecure_skip_verify: Option<bool>,
    /// Lowest version.
    pub min_version: Option<PrometheusTlsVersion>,
    /// Highest version.
    pub max_version: Option<PrometheusTlsVersion>,
}

/// TLS of ServiceMonitors and scrape classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    /// What every kind can say.
    #[serde(flatten)]
    pub safe: SafeTlsConfig,
    /// Files.
    #[serde(flatten)]
    pub files: TlsFiles,
}

/// Files on the machine of the scraper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsFiles {
    /// Authorities that may sign the server's certificate.
    pub ca_file: String,
    /// Our certificate.
    pub cert_file: String,
    /// The key of our certificate.
    pub key_file: String,
}

/// Through which proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// The proxy.
    pub proxy_url: String,
    /// What is reached directly.
    pub no_proxy: String,
    /// Take the proxy from the environment of the scraper.
    pub proxy_from_environment: Option<bool>,
    /// Headers for the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<KeyRef>>,
}

/// In which namespaces targets are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NamespaceSelector {
    /// In all.
    pub any: bool,
    /// In these; in the monitor's own where empty.
    pub match_names: Vec<String>,
}

impl NamespaceSelector {
    /// Where a monitor of this namespace searches; everywhere if empty.
    pub(super) fn searched(&self, own: &str, is_ignored: bool) -> Vec<String> {
        match self {
            _ if is_ignored => vec![own.to_owned()],
            Self { any: true, .. } => Vec::new(),
            Self { match_names, .. } if match_names.is_empty() => vec![own.to_owned()],
            Self { match_names, .. } => match_names.clone(),
        }
    }
}

/// Which labels of other objects targets get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttachMetadata {
    /// Those of the node.
    pub node: Option<bool>,
}

/// How objects are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum SelectorMechanism {
    /// By relabelling rules.
    #[default]
    RelabelConfig,
    /// By the API server.
    RoleSelector,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Port {
    /// By number.
    Number(i64),
    /// By name.
    Name(String),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Port {
    /// Keeps targets with this port of a container; nothing where it names none. Names are expressions and not escaped,
    /// as upstream.
    pub(super) fn keep(&self) -> Option<RuleConfig> {
        match self {
            Self::Number(0) => None,
            Self::Number(number) => {
                Some(keep(&["__meta_kubernetes_pod_container_port_number"], number.to_string()))
            }
            Self::Name(name) if name.is_empty() => None,
            Self::Name(name) => Some(keep(&["__meta_kubernetes_pod_container_port_name"], name.as_str())),
        }
    }
}

/// A number as Kubernetes writes quantities: `1.1`, `"1.1"` or `1100m`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Quantity {
    /// A number.
    Number(f64),
    /// A number with a suffix.
    Text(String),
}

impl Quantity {
    /// The number; nothing where the text is none.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => config::quantity(text),
        }
    }
}

/// What every kind can say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Common {
    /// The scrape class; the default one where empty.
    pub scrape_class: String,
    /// Formats that are asked for.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// The format of answers whose content type says nothing useful.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Most samples of a scrape.
    pub sample_limit: u64,
    /// Most targets.
    pub target_limit: u64,
    /// Most labels of a series.
    pub label_limit: u64,
    /// Longest name of a label.
    pub label_name_length_limit: u64,
    /// Longest value of a label.
    pub label_value_length_limit: u64,
    /// Most dropped targets that are remembered.
    pub keep_dropped_targets: u64,
    /// Whether native histograms are scraped.
    pub scrape_native_histograms: Option<bool>,
    /// Whether classic histograms are scraped even where native ones are exposed beside them.
    pub scrape_classic_histograms: Option<bool>,
    /// Most buckets of a native histogram.
    pub native_histogram_bucket_limit: u64,
    /// Least growth from one bucket of a native histogram to the next.
    pub native_histogram_min_bucket_factor: Option<Quantity>,
    /// Whether classic histograms become native ones with custom buckets.
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, number) in [
            ("1.1", Some(1.1)),
            ("1100m", Some(1.1)),
            ("2Ki", Some(2048.0)),
            ("1e3", Some(1000.0)),
            ("3M", Some(3e6)),
        ] {
            let read = Quantity::Text(text.to_owned()).as_f64();
            assert!(read.zip(number).is_some_and(|(a, b)| (a - b).abs() < 1e-9), "{text}: {read:?}");
        }
        for text in ["", "m", "x", "1e999", "NaN"] {
            assert_eq!(Quantity::Text(text.to_owned()).as_f64(), None, "{text}");
        }
    }
}
