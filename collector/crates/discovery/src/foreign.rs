//! Mechanisms of Prometheus that are known by name only.
//!
//! They are kept as written, so that an allocator can show a job whole; a collector refuses them by name.

use std::collections::BTreeMap;
use std::fmt;

use config::{Node, Problem, Secret, UrlText, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Keys of Prometheus 3.14 (its `plugins.yml` and `discovery/install`) that are not built in.
const KEYS: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// Words in names of keys below which no value is shown.
const SECRET_WORDS: [&str; 6] = ["password", "token", "secret", "credentials", "key", "proxy_connect_header"];

/// `*_sd_configs` keys that nothing here serves, by key. Their passwords are never printed.
#[derive(Clone, Default, PartialEq)]
pub struct ForeignConfigs(BTreeMap<String, Node>);

impl ForeignConfigs {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that are used.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One error for each key that is used: for who would have to serve them.
    #[must_use]
    pub fn refused(&self) -> Vec<Problem> {
        self.keys().map(|key| Problem::error(key, NOT_BUILT_IN).with_hint(INSTEAD)).collect()
    }

    /// One warning for each key that is used: for who goes on without them.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        self.keys().map(|key| Problem::warning(key, NOT_BUILT_IN).with_hint(INSTEAD)).collect()
    }
}

const NOT_BUILT_IN: &str = "this way of discovery is not built in yet";
const INSTEAD: &str =
    "use `static_configs`, `file_sd_configs`, `http_sd_configs`, `dns_sd_configs` or `kubernetes_sd_configs`";

impl fmt::Debug for ForeignConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

impl Serialize for ForeignConfigs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, node) in &self.0 {
            map.serialize_entry(key, &Shown { node, is_secret: false })?;
        }
        map.end()
    }
}

/// Asks for its keys by name, so that below `flatten` it takes nothing else.
impl<'de> Deserialize<'de> for ForeignConfigs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = ForeignConfigs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ForeignConfigs, A::Error> {
                let mut foreign = BTreeMap::new();
                while let Some((key, node)) = map.next_entry::<String, Node>()? {
                    let is_used = match node.value() {
                        Value::Null => false,
                        Value::Seq(items) => !items.is_empty(),
                        _ => true,
                    };
                    if is_used && KEYS.contains(&key.as_str()) {
                        foreign.insert(key, node);
                    }
                }
                Ok(ForeignConfigs(foreign))
            }
        }
        deserializer.deserialize_struct("ForeignConfigs", KEYS, Keys)
    }
}

impl JsonSchema for ForeignConfigs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ForeignConfigs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: serde_json::Map<String, serde_json::Value> = KEYS
            .iter()
            .map(|key| {
                ((*key).to_owned(), serde_json::json!({"type": "array", "description": "Not built in yet."}))
            })
            .collect();
        schemars::json_schema!({"type": "object", "properties": properties})
    }
}

/// A node in which every text under a key that sounds like a secret is one, and the password of every URL. Names of files
/// and of references are none.
struct Shown<'a> {
    node: &'a Node,
    is_secret: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.node.value() {
            Value::Seq(items) => {
                serializer.collect_seq(items.iter().map(|node| Shown { node, is_secret: self.is_secret }))
            }
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|entry| {
                let is_secret = self.is_secret || is_secret(&entry.key);
                (&entry.key, Shown { node: &entry.node, is_secret })
            })),
            Value::Str(text) if self.is_secret => Secret::new(text.as_str()).serialize(serializer),
            Value::Str(text) if has_login(text) => UrlText::new(text.as_str()).serialize(serializer),
            _ => self.node.serialize(serializer),
        }
    }
}

/// Whether a text is a URL with user and password.
fn has_login(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

fn is_secret(key: &str) -> bool {
    let is_reference = key.ends_with("_file") || key.ends_with("_ref");
    !is_reference && SECRET_WORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use config::Secret;

    use crate::SdConfigs;

    fn read(text: &str) -> SdConfigs {
        config::read(&config::parse(text, "job.yaml").unwrap().root, "").unwrap()
    }

    #[test]
    fn a_mechanism_that_is_not_built_in_is_refused_by_name() {
        let sd = read(
            "nomad_sd_configs: [{server: 'n:4646'}]\nconsul_sd_configs: [{server: 'c:8500'}]\nec2_sd_configs: []",
        );
        let refused: Vec<String> = sd.foreign.refused().iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "error: consul_sd_configs: this way of discovery is not built in yet; use `static_configs`, \
                 `file_sd_configs`, `http_sd_configs`, `dns_sd_configs` or `kubernetes_sd_configs`",
                "error: nomad_sd_configs: this way of discovery is not built in yet; use `static_configs`, \
                 `file_sd_configs`, `http_sd_configs`, `dns_sd_configs` or `kubernetes_sd_configs`",
            ]
        );
    }

    #[test]
    fn it_is_shown_as_written_but_for_its_secrets() {
        let sd = read(
            "consul_sd_configs: [{server: 'c:8500', token: hush, tags: [a], basic_auth: {username: u, password: p, \
             password_file: /p}, proxy_connect_header: {X-A: [hush]}, proxy_url: 'socks5://u:hush@p:1080'}]",
        );
        assert_eq!(
            serde_json::to_value(&sd).unwrap(),
            serde_json::json!({"consul_sd_configs": [{
                "server": "c:8500", "token": "<secret>", "tags": ["a"],
                "basic_auth": {"username": "u", "password": "<secret>", "password_file": "/p"},
                "proxy_connect_header": {"X-A": ["<secret>"]}, "proxy_url": "socks5://u:xxxxx@p:1080",
            }]})
        );
        let full = Secret::revealing(|| serde_json::to_value(&sd)).unwrap();
        assert_eq!(full["consul_sd_configs"][0]["proxy_url"], "socks5://u:hush@p:1080");
        assert!(!format!("{sd:?}").contains("hush"));
    }

    #[test]
    fn an_unknown_key_is_still_unknown() {
        let root = config::parse("consol_sd_configs: []", "job.yaml").unwrap().root;
        let problems = config::read::<SdConfigs>(&root, "").unwrap_err();
        assert!(problems[0].to_string().contains("did you mean `consul_sd_configs`?"), "{problems:?}");
    }
}
