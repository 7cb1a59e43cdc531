//! The discovery keys of a scrape job.
//!
//! As Prometheus `discovery/{targetgroup,file,http,dns}`: same keys, same defaults, same rendering.
//!
//! ```yaml
//! static_configs:
//!   - targets: [node-1:9100, node-2:9100]
//!     labels: {rack: a7}
//! file_sd_configs:
//!   - files: [targets/*.yaml]
//! http_sd_configs:
//!   - url: http://inventory:8080/targets
//!     refresh_interval: 30s
//! dns_sd_configs:
//!   - names: [_http._tcp.cart.shop.svc.cluster.local]
//!   - names: [cart-headless]
//!     type: A
//!     port: 9102
//! kubernetes_sd_configs:
//!   - role: pod
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use config::{HttpUrl, Period, Problem};
use model::Labels;
use net::PrometheusClientConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::{ForeignConfigs, Group, KubernetesSdConfig, check_file_pattern, dns};

/// Where the targets of a job come from; meant to be flattened into the job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct SdConfigs {
    /// Targets written here.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub static_configs: Arc<[StaticConfig]>,

    /// Targets read from files, which may change while the process runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileSdConfig>,

    /// Targets asked for over HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<HttpSdConfig>,

    /// Targets looked up in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<DnsSdConfig>,

    /// Targets found in a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_sd_configs: Vec<KubernetesSdConfig>,

    /// Mechanisms of Prometheus that are not built in; kept as they are.
    #[serde(flatten)]
    pub foreign: ForeignConfigs,
}

/// A list of targets with labels of their own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct StaticConfig {
    /// Addresses, `host:port`.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub targets: Vec<Arc<str>>,

    /// Labels that all these targets get.
    #[serde(default, skip_serializing_if = "Labels::is_empty", with = "as_map")]
    #[schemars(with = "BTreeMap<String, String>", extend("x-scalars" = "text"))]
    pub labels: Labels,
}

/// Reads target groups from files.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct FileSdConfig {
    /// Files with lists of target groups, ending in `.json`, `.yml` or `.yaml`; the last element of a path
    /// may hold `*`, `?` and `[a-z]`. Relative names start at the folder of the configuration.
    pub files: Vec<String>,

    /// How often the files are read again even when nothing seems to have changed.
    #[serde(default = "config::secs::<300>")]
    pub refresh_interval: Period,
}

/// Asks a server for target groups.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HttpSdConfig {
    /// Where the list of target groups is served, as JSON.
    pub url: HttpUrl,

    /// How often it is asked for again; an answer must come within this time, too.
    #[serde(default = "config::secs::<60>")]
    pub refresh_interval: Period,

    /// How the server is reached.
    #[serde(flatten)]
    pub client: PrometheusClientConfig,
}

/// Asks name servers for targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct DnsSdConfig {
    /// Names that are looked up; those without a final dot also below the search domains of /etc/resolv.conf.
    pub names: Vec<String>,

    /// How often they are looked up; times to live of records are ignored.
    #[serde(default = "config::secs::<30>")]
    pub refresh_interval: Period,

    /// Which records are asked for: `SRV`, `A`, `AAAA`, `MX` or `NS`.
    #[serde(default, rename = "type")]
    pub record_type: DnsRecordType,

    /// Port of the targets; `SRV` records bring their own, all others need it.
    #[serde(default)]
    pub port: u16,
}

/// A type of DNS records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsRecordType {
    /// Services: host and port.
    #[default]
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl DnsRecordType {
    const ALL: [Self; 5] = [Self::Srv, Self::A, Self::Aaaa, Self::Mx, Self::Ns];
    const WORDS: [&'static str; 5] = ["SRV", "A", "AAAA", "MX", "NS"];
}

impl fmt::Display for DnsRecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS[*self as usize])
    }
}

impl Serialize for DnsRecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DnsRecordType {
    /// In any case, as upstream.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = Self::WORDS.iter().position(|known| known.eq_ignore_ascii_case(&word));
        known.map(|at| Self::ALL[at]).ok_or_else(|| de::Error::unknown_variant(&word, &Self::WORDS))
    }
}

impl JsonSchema for DnsRecordType {
    fn schema_name() -> Cow<'static, str> {
        "DnsRecordType".into()
    }

    /// A plain string: the words count in any case, which an enumeration could not say.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl SdConfigs {
    /// Whether no mechanism is configured at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.static_configs.is_empty()
            && self.file_sd_configs.is_empty()
            && self.http_sd_configs.is_empty()
            && self.dns_sd_configs.is_empty()
            && self.kubernetes_sd_configs.is_empty()
            && self.foreign.is_empty()
    }

    /// Mistakes that the types cannot see, with paths relative to the job. What is not built in is no mistake
    /// here; see [`SdConfigs::unsupported`].
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, group) in self.static_configs.iter().enumerate() {
            if group.labels.contains("") {
                let path = format!("static_configs::{index}::labels");
                problems.push(Problem::at(path, "a label needs a name"));
            }
        }
        for (index, files) in self.file_sd_configs.iter().enumerate() {
            problems.extend(files.check().into_iter().map(|p| p.under(&format!("file_sd_configs::{index}"))));
        }
        for (index, http) in self.http_sd_configs.iter().enumerate() {
            problems.extend(client_problems("http_sd_configs", index, http.client.check_rules()));
        }
        for (index, dns) in self.dns_sd_configs.iter().enumerate() {
            problems.extend(dns.check().into_iter().map(|p| p.under(&format!("dns_sd_configs::{index}"))));
        }
        for (index, kubernetes) in self.kubernetes_sd_configs.iter().enumerate() {
            let path = format!("kubernetes_sd_configs::{index}");
            problems.extend(kubernetes.check().into_iter().map(|problem| problem.under(&path)));
            let found = kubernetes.client.check_rules();
            problems.extend(client_problems("kubernetes_sd_configs", index, found));
        }
        problems
    }

    /// What cannot be served here, with paths relative to the job.
    #[must_use]
    pub fn unsupported(&self) -> Vec<Problem> {
        let mut problems = self.foreign.refused();
        for (index, http) in self.http_sd_configs.iter().enumerate() {
            problems.extend(client_problems("http_sd_configs", index, http.client.check_support()));
        }
        for (index, kubernetes) in self.kubernetes_sd_configs.iter().enumerate() {
            let found = kubernetes.client.check_support();
            problems.extend(client_problems("kubernetes_sd_configs", index, found));
            let path = format!("kubernetes_sd_configs::{index}");
            problems.extend(kubernetes.unsupported().into_iter().map(|problem| problem.under(&path)));
        }
        problems
    }
}

impl StaticConfig {
    /// The group that stands at `index` of `static_configs`.
    #[must_use]
    pub fn group(&self, index: usize) -> Group {
        Group {
            source: format!("static/{index}").into(),
            labels: self.labels.clone(),
            targets: self.targets.iter().map(address_of).collect(),
        }
    }
}

impl FileSdConfig {
    fn check(&self) -> Vec<Problem> {
        if self.files.is_empty() {
            return vec![Problem::at("files", "at least one file must be named")];
        }
        let wrong = |(index, name): (usize, &String)| {
            let remedy = check_file_name(name).err()?;
            let message = format!("`{name}` cannot name files with targets");
            Some(Problem::at(format!("files::{index}"), message).with_hint(remedy))
        };
        self.files.iter().enumerate().filter_map(wrong).collect()
    }
}

impl DnsSdConfig {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.names.is_empty() {
            problems.push(Problem::at("names", "at least one name must be given"));
        }
        if self.port == 0 && !self.record_type.has_port() {
            let message = format!("{} records say no port", self.record_type);
            problems.push(Problem::at("port", message).with_hint("set `port`, or ask for SRV records"));
        }
        let wrong = |(index, name): (usize, &String)| {
            let why = dns::check_name(name).err()?;
            Some(Problem::at(format!("names::{index}"), format!("`{name}` is no DNS name: {why}")))
        };
        problems.extend(self.names.iter().enumerate().filter_map(wrong));
        problems
    }
}

fn client_problems(
    mechanism: &str,
    index: usize,
    found: Vec<(String, String)>,
) -> impl Iterator<Item = Problem> {
    let path = move |key: String| format!("{mechanism}::{index}::{}", key.replace('.', "::"));
    found.into_iter().map(move |(key, message)| Problem::at(path(key), message))
}

/// The label set of a target that is nothing but an address.
pub(crate) fn address(text: &str) -> Labels {
    address_of(&text.into())
}

fn address_of(text: &Arc<str>) -> Labels {
    static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "__address__".into());
    Labels::from_shared(vec![(Arc::clone(&NAME), Arc::clone(text))])
}

/// Labels as keys and values.
mod as_map {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use model::Labels;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(labels.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        let map = BTreeMap::<Arc<str>, Arc<str>>::deserialize(deserializer)?;
        Ok(Labels::from_shared(map.into_iter().collect()))
    }
}

/// `^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`, as upstream, and a pattern that Go can read.
fn check_file_name(name: &str) -> Result<(), &'static str> {
    check_file_pattern(name)?;
    let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let is_known = endings.iter().any(|ending| name.ends_with(ending));
    is_known.then_some(()).ok_or("names end in .json, .yml or .yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SdConfigs, Vec<String>> {
        let root = config::parse(text, "job.yaml").unwrap().root;
        config::read(&root, "").map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_are_those_of_prometheus() {
        let sd = read(
            "static_configs: [{targets: [a:1]}]\nfile_sd_configs: [{files: [x.json]}]\nhttp_sd_configs: [{url: 'http://sd/x'}]",
        )
        .unwrap();
        assert_eq!(sd.file_sd_configs[0].refresh_interval, Period::from_secs(300));
        assert_eq!(sd.http_sd_configs[0].refresh_interval, Period::from_secs(60));
        assert_eq!(sd.check(), []);
    }

    #[test]
    fn labels_may_be_written_as_numbers() {
        let sd = read("static_configs:\n- targets: [a:1]\n  labels: {rack: 7, version: 1.10, spare: true}")
            .unwrap();
        assert_eq!(
            sd.static_configs[0].group(0).labels.to_string(),
            r#"{rack="7", spare="true", version="1.10"}"#
        );
    }

    #[test]
    fn only_the_last_element_of_a_path_may_hold_a_wildcard() {
        for good in
            ["a.json", "/etc/x/*.yml", "dir/a*b.YAML", "dir.d/a-*-*.json", "a?.json", "a[12].json", ".yml"]
        {
            assert_eq!(check_file_name(good), Ok(()), "{good}");
        }
        for bad in
            ["a", "a.txt", "dir*/a.json", "*/a.json", "json", "a.Json", "a.json*", "a.[jy]ml", "a?/b.json"]
        {
            assert!(check_file_name(bad).is_err(), "{bad}");
        }
        let sd = read("file_sd_configs: [{files: [ok.json, 'a*/b.json', a.txt]}, {files: []}, {files: ['a?/x.yml', '[a.yml']}]")
            .unwrap();
        let problems: Vec<String> = sd.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "error: file_sd_configs::0::files::1: `a*/b.json` cannot name files with targets; only the last \
                 element of a path may hold `*`, `?`, `[` or `\\`",
                "error: file_sd_configs::0::files::2: `a.txt` cannot name files with targets; names end in .json, .yml \
                 or .yaml",
                "error: file_sd_configs::1::files: at least one file must be named",
                "error: file_sd_configs::2::files::0: `a?/x.yml` cannot name files with targets; only the last \
                 element of a path may hold `*`, `?`, `[` or `\\`",
                "error: file_sd_configs::2::files::1: `[a.yml` cannot name files with targets; a list of characters \
                 ends with `]` and is not empty; `\\` makes the next character stand for itself",
            ]
        );
    }

    #[test]
    fn dns_asks_for_services_every_thirty_seconds_by_default() {
        let sd = read("dns_sd_configs: [{names: [a.test]}]").unwrap();
        let dns = &sd.dns_sd_configs[0];
        assert_eq!(
            (dns.refresh_interval, dns.record_type, dns.port),
            (Period::from_secs(30), DnsRecordType::Srv, 0)
        );
        assert_eq!(sd.check(), []);
        assert_eq!(
            serde_json::to_string(&sd).unwrap(),
            r#"{"dns_sd_configs":[{"names":["a.test"],"refresh_interval":"30s","type":"SRV","port":0}]}"#
        );
    }

    #[test]
    fn types_of_records_count_in_any_case() {
        for (word, record_type) in DnsRecordType::WORDS.into_iter().zip(DnsRecordType::ALL) {
            for word in [word.to_owned(), word.to_lowercase()] {
                let sd = read(&format!("dns_sd_configs: [{{names: [a], port: 1, type: {word}}}]")).unwrap();
                assert_eq!(sd.dns_sd_configs[0].record_type, record_type);
            }
        }
        let problems = read("dns_sd_configs: [{names: [a], type: TXT}]").unwrap_err();
        assert!(problems[0].contains("job.yaml:1:37") && problems[0].contains("`SRV`"), "{problems:?}");
    }

    #[test]
    fn all_records_but_services_need_a_port() {
        let sd = read(
            "dns_sd_configs: [{names: [a], type: A}, {names: []}, {names: [ok, 'a..b'], type: MX, port: 1}]",
        );
        let problems: Vec<String> = sd.unwrap().check().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems[..2],
            [
                "error: dns_sd_configs::0::port: A records say no port; set `port`, or ask for SRV records",
                "error: dns_sd_configs::1::names: at least one name must be given",
            ]
        );
        assert!(
            problems[2].starts_with("error: dns_sd_configs::2::names::1: `a..b` is no DNS name"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn a_static_config_is_rendered_as_prometheus_does() {
        let sd = read("static_configs: [{targets: ['h1:9100']}, {targets: [x], labels: {a: b}}]").unwrap();
        assert_eq!(
            serde_json::to_string(&sd).unwrap(),
            r#"{"static_configs":[{"targets":["h1:9100"]},{"targets":["x"],"labels":{"a":"b"}}]}"#
        );
    }
}
