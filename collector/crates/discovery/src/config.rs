//! The discovery keys of a scrape job.
//!
//! As Prometheus `discovery/{targetgroup,file,http}`: same keys, same defaults, same rendering.
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
//! ```

use std::collections::BTreeMap;

use config::{HttpUrl, Period, Problem};
use model::Labels;
use net::PrometheusClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ForeignConfigs, Group};

/// Where the targets of a job come from; meant to be flattened into the job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct SdConfigs {
    /// Targets written here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<StaticConfig>,

    /// Targets read from files, which may change while the process runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileSdConfig>,

    /// Targets asked for over HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<HttpSdConfig>,

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
    pub targets: Vec<String>,

    /// Labels that all these targets get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-scalars" = "text"))]
    pub labels: BTreeMap<String, String>,
}

/// Reads target groups from files.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct FileSdConfig {
    /// Files with lists of target groups, ending in `.json`, `.yml` or `.yaml`; the last element of a path
    /// may hold `*`. Relative names start at the folder of the configuration.
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

impl SdConfigs {
    /// Whether no mechanism is configured at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.static_configs.is_empty()
            && self.file_sd_configs.is_empty()
            && self.http_sd_configs.is_empty()
            && self.foreign.is_empty()
    }

    /// Mistakes that the types cannot see, with paths relative to the job. What is not built in is no mistake
    /// here; see [`SdConfigs::unsupported`].
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, group) in self.static_configs.iter().enumerate() {
            if group.labels.contains_key("") {
                let path = format!("static_configs::{index}::labels");
                problems.push(Problem::at(path, "a label needs a name"));
            }
        }
        for (index, files) in self.file_sd_configs.iter().enumerate() {
            problems.extend(files.check().into_iter().map(|p| p.under(&format!("file_sd_configs::{index}"))));
        }
        for (index, http) in self.http_sd_configs.iter().enumerate() {
            problems.extend(http_problems(index, http.client.check_rules()));
        }
        problems
    }

    /// What cannot be served here, with paths relative to the job.
    #[must_use]
    pub fn unsupported(&self) -> Vec<Problem> {
        let clients = self.http_sd_configs.iter().enumerate();
        let mut problems = self.foreign.refused();
        problems.extend(clients.flat_map(|(index, http)| http_problems(index, http.client.check_support())));
        problems
    }
}

impl StaticConfig {
    /// The group that stands at `index` of `static_configs`.
    #[must_use]
    pub fn group(&self, index: usize) -> Group {
        Group {
            source: format!("static/{index}").into(),
            labels: self.labels.iter().collect(),
            targets: self.targets.iter().map(|target| address(target)).collect(),
        }
    }
}

impl FileSdConfig {
    fn check(&self) -> Vec<Problem> {
        if self.files.is_empty() {
            return vec![Problem::at("files", "at least one file must be named")];
        }
        let wrong = |(index, name): (usize, &String)| {
            (!is_file_pattern(name)).then(|| {
                Problem::at(format!("files::{index}"), format!("`{name}` cannot name files with targets"))
                    .with_hint(
                        "names end in .json, .yml or .yaml, and only the last element of a path may hold `*`",
                    )
            })
        };
        self.files.iter().enumerate().filter_map(wrong).collect()
    }
}

fn http_problems(index: usize, found: Vec<(String, String)>) -> impl Iterator<Item = Problem> {
    let path = move |key: String| format!("http_sd_configs::{index}::{}", key.replace('.', "::"));
    found.into_iter().map(move |(key, message)| Problem::at(path(key), message))
}

/// The label set of a target that is nothing but an address.
pub(crate) fn address(text: &str) -> Labels {
    [("__address__", text)].into_iter().collect()
}

/// `^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`, as upstream.
fn is_file_pattern(name: &str) -> bool {
    let stem = ["json", "yml", "yaml", "JSON", "YML", "YAML"]
        .iter()
        .find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'));
    stem.is_some_and(|stem| stem.split_once('*').is_none_or(|(_, behind)| !behind.contains('/')))
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
        for good in ["a.json", "/etc/x/*.yml", "dir/a*b.YAML", "dir.d/a-*-*.json"] {
            assert!(is_file_pattern(good), "{good}");
        }
        for bad in ["a", "a.txt", "dir*/a.json", "*/a.json", "json", "a.Json"] {
            assert!(!is_file_pattern(bad), "{bad}");
        }
        let sd = read("file_sd_configs: [{files: [ok.json, 'a*/b.json']}, {files: []}]").unwrap();
        let problems: Vec<String> = sd.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "error: file_sd_configs::0::files::1: `a*/b.json` cannot name files with targets; names end in .json, \
                 .yml or .yaml, and only the last element of a path may hold `*`",
                "error: file_sd_configs::1::files: at least one file must be named",
            ]
        );
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
