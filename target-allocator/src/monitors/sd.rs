//! Ways to find targets: the `*SDConfigs` of a ScrapeConfig, and what the other kinds search for in Kubernetes.
//!
//! One table says for each mechanism which field becomes which key; that is all there is to most of them, and what
//! a mechanism that is not built in needs to be shown as Prometheus would show it. What is built in is then read and checked
//! as in a static job. Left on purpose: upstream loses the credentials of an Azure section that names its `environment`.

mod mechanisms;

use std::sync::LazyLock;

use config::{Node, Problem, Secret, Value, nearest, schema_of};
use discovery::SdConfigs;
use net::PrometheusClientConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use super::client::OwnTls;
use super::crd::{KeyRef, Login, NamespaceSelector, ProxyConfig, SafeTlsConfig};
use super::draft::Draft;
use super::field::of_key;
use mechanisms::{Field, MECHANISMS, Mechanism, Shape};

/// What is searched for in Kubernetes.
pub(super) struct Search {
    /// `pod`, `endpointslice`, ...
    pub(super) role: &'static str,
    /// Where; everywhere if empty.
    pub(super) namespaces: Vec<String>,
    /// Whether targets get the labels of their nodes.
    pub(super) attach_node: Option<bool>,
    /// The selector that the API server is given for each of the roles.
    pub(super) selectors: Option<(Vec<&'static str>, String)>,
}

/// `kubernetes_sd_configs` with one search.
fn kubernetes(search: Search) -> Node {
    let mut block = Node::map();
    block.insert("role", search.role.into());
    if !search.namespaces.is_empty() {
        let mut namespaces = Node::map();
        namespaces.insert("names", texts(search.namespaces));
        block.insert("namespaces", namespaces);
    }
    if let Some(node) = search.attach_node {
        let mut attach = Node::map();
        attach.insert("node", node.into());
        block.insert("attach_metadata", attach);
    }
    if let Some((roles, label)) = search.selectors.filter(|(_, label)| !label.is_empty()) {
        let selector = |role: &'static str| {
            let mut selector = Node::map();
            selector.insert("role", role.into());
            selector.insert("label", label.as_str().into());
            selector
        };
        block.insert("selectors", roles.into_iter().map(selector).collect::<Vec<_>>().into());
    }
    let mut blocks = Node::map();
    blocks.insert("kubernetes_sd_configs", vec![block].into());
    blocks
}

fn texts(texts: Vec<String>) -> Node {
    texts.into_iter().map(Node::from).collect::<Vec<_>>().into()
}

fn read(blocks: &Node) -> Result<SdConfigs, Vec<Problem>> {
    static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(schema_of::<SdConfigs>);
    config::read_lenient_with(blocks, "", &SCHEMA).map(|(sd, _)| sd)
}

/// A mechanism as it is shown.
#[cfg(test)]
pub(super) struct Row {
    pub(super) field: &'static str,
    pub(super) key: &'static str,
    /// Its own fields.
    pub(super) fields: Vec<&'static str>,
    /// Fields of [`Client`] that it takes.
    pub(super) client: &'static [&'static str],
}

/// Every mechanism.
#[cfg(test)]
pub(super) fn table() -> impl Iterator<Item = Row> {
    MECHANISMS.iter().map(|mechanism| Row {
        field: mechanism.field,
        key: mechanism.key,
        fields: mechanism.fields.iter().map(|field| field.name).collect(),
        client: mechanism.client.names(),
    })
}

/// Fields of a mechanism that refer to Secrets.
#[cfg(test)]
pub(super) fn secrets(mechanism: &str) -> impl Iterator<Item = &'static str> {
    let fields =
        MECHANISMS.iter().filter(move |known| known.field == mechanism).flat_map(|known| known.fields);
    fields.filter(|field| matches!(field.shape, Shape::Secret)).map(|field| field.name)
}

/// How a server of discovery is reached, as a schema.
#[cfg(test)]
pub(super) fn client_schema() -> serde_json::Value {
    schema_of::<Client>()
}

/// The field of a ScrapeConfig that a key of discovery was made from.
pub(super) fn field_of(key: &str) -> Option<String> {
    let (name, rest) = key.split_once("::").map_or((key, ""), |(name, rest)| (name, rest));
    let mechanism = MECHANISMS.iter().find(|mechanism| mechanism.key == name)?;
    let mut field = format!("spec::{}", mechanism.field);
    for step in rest.split("::").filter(|step| !step.is_empty()) {
        let known = mechanism.fields.iter().find(|field| field.key() == step);
        field.push_str("::");
        field.push_str(&known.map_or_else(|| of_key(step), |known| known.name.to_owned()));
    }
    Some(field)
}

/// How a server of discovery is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Client {
    #[serde(flatten)]
    login: Login,
    tls_config: Option<SafeTlsConfig>,
    #[serde(flatten)]
    proxy: ProxyConfig,
    follow_redirects: Option<bool>,
    #[serde(rename = "enableHTTP2")]
    enable_http2: Option<bool>,
}

impl Draft<'_> {
    /// Where a monitor searches; everywhere if empty.
    pub(super) fn searched(&self, selector: &NamespaceSelector) -> Vec<String> {
        let is_ignored = self.policy.config().ignore_namespace_selectors;
        selector.searched(&self.monitor.namespace, is_ignored)
    }

    /// A search in Kubernetes.
    pub(super) fn search(&mut self, search: Search) -> SdConfigs {
        read(&kubernetes(search)).unwrap_or_else(|problems| {
            let told = problems.into_iter().map(|problem| Problem { path: "selector".to_owned(), ..problem });
            self.refuse_all("spec", told);
            SdConfigs::default()
        })
    }

    /// Takes all ways to find targets out of the specification of a ScrapeConfig.
    pub(super) fn take_sd(&mut self, spec: &mut Node) -> SdConfigs {
        let mut blocks = Node::map();
        for mechanism in MECHANISMS {
            let Some(list) = spec.remove(mechanism.field) else { continue };
            let path = format!("spec::{}", mechanism.field);
            if !list.is_seq() {
                self.refuse(Problem::at(path, format!("expected a list, found {}", list.kind())));
                continue;
            }
            let mut made = Vec::new();
            for (index, section) in list.items().enumerate() {
                let path = format!("{path}::{index}");
                let made_section = self.section(mechanism, &path, section);
                made.extend(made_section.map(|section| self.without_metadata(mechanism, &path, section)));
            }
            if !made.is_empty() {
                blocks.insert(mechanism.key, made.into());
            }
        }
        read(&blocks).unwrap_or_else(|problems| {
            for problem in problems {
                let path =
                    field_of(&problem.path).unwrap_or_else(|| format!("spec::{}", of_key(&problem.path)));
                self.refuse(Problem { path, ..problem });
            }
            SdConfigs::default()
        })
    }

    /// One section of a mechanism as Prometheus spells it.
    fn section(&mut self, mechanism: &Mechanism, path: &str, section: &Node) -> Option<Node> {
        if !section.is_map() {
            self.refuse(Problem::at(path, format!("expected a map, found {}", section.kind())));
            return None;
        }
        let mut client = Node::map();
        let mut made = Node::map();
        for (name, value) in section.entries() {
            let known = mechanism.fields.iter().find(|field| field.name == name);
            if let Some(field) = known {
                if let Some(value) = self.field(field, &format!("{path}::{name}"), value) {
                    made.insert(field.key(), value);
                }
            } else if mechanism.client.names().contains(&name) {
                client.insert(name, value.clone());
            } else {
                self.unknown(mechanism, path, name);
            }
        }
        if !mechanism.client.names().is_empty() {
            let client = self.client(path, &client)?;
            // Credentials stay in the tree until it is read a few lines further on; trees of discovery are not printed.
            let shown = Secret::revealing(|| config::to_node(&client));
            for (key, value) in shown.entries().filter(|(key, _)| mechanism.client.has(key)) {
                made.insert(key, value.clone());
            }
        }
        Some(made)
    }

    /// Metadata of nodes is attached to pods and endpoints alone; elsewhere it is left out, as upstream.
    fn without_metadata(&mut self, mechanism: &Mechanism, path: &str, mut section: Node) -> Node {
        let role = section.get("role").and_then(Node::as_str).unwrap_or_default();
        let takes_metadata = matches!(role, "pod" | "endpoints" | "endpointslice");
        if mechanism.key == "kubernetes_sd_configs"
            && !takes_metadata
            && section.remove("attach_metadata").is_some()
        {
            let problem = Problem::warning(format!("{path}::attachMetadata"), "without effect on this role");
            self.warn(problem.with_hint("remove it, or use role Pod, Endpoints or EndpointSlice"));
        }
        section
    }

    fn unknown(&mut self, mechanism: &Mechanism, path: &str, name: &str) {
        let known = mechanism.fields.iter().map(|field| field.name);
        let of_client = mechanism.client.names().iter().copied();
        let problem = Problem::warning(path, format!("unknown key `{name}`"));
        let near = nearest(name, known.chain(of_client));
        self.warn(match near {
            Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
            None => problem,
        });
    }

    fn client(&mut self, path: &str, section: &Node) -> Option<PrometheusClientConfig> {
        static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(schema_of::<Client>);
        let own: Client = self.read(section, path, &SCHEMA)?;
        let mut client = PrometheusClientConfig {
            follow_redirects: own.follow_redirects.unwrap_or(true),
            enable_http2: own.enable_http2.unwrap_or(true),
            proxy: self.proxy(path, &own.proxy),
            ..PrometheusClientConfig::default()
        };
        let tls = OwnTls::safe(own.tls_config.as_ref());
        client.tls_config = self.tls(&format!("{path}::tlsConfig"), tls, None);
        self.login(path, &mut client, &own.login, None);
        let problems = client.check_material().into_iter();
        let told = |(key, message): (String, String)| Problem::at(of_key(&key.replace('.', "::")), message);
        self.refuse_all(path, problems.map(told));
        Some(client)
    }

    /// A field as Prometheus wants it; nothing where it says nothing.
    fn field(&mut self, field: &Field, path: &str, value: &Node) -> Option<Node> {
        let expected = |what: &str| Problem::at(path, format!("expected {what}, found {}", value.kind()));
        match field.shape {
            Shape::Plain => Some(value.clone()),
            Shape::Lower => match value.as_str() {
                Some(text) => Some(snake(text).into()),
                None => {
                    self.refuse(expected("a string"));
                    None
                }
            },
            Shape::Secret => {
                static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(schema_of::<KeyRef>);
                let key: KeyRef = self.read(value, path, &SCHEMA)?;
                let namespace = self.monitor.namespace.clone();
                self.secret(path, &namespace, &key).map(|secret| secret.expose().into())
            }
            Shape::Filters => {
                let mut filters: Vec<Node> = value.items().cloned().collect();
                filters.sort_by_key(name_of);
                Some(filters.into())
            }
            Shape::Namespaces => Some(renamed(value, &[("ownNamespace", "own_namespace")])),
            Shape::Selectors => {
                let lower = |selector: &Node| {
                    let mut selector = selector.clone();
                    let role = selector.get("role").and_then(Node::as_str).map(str::to_lowercase);
                    if let Some(role) = role {
                        selector.insert("role", role.into());
                    }
                    selector
                };
                Some(value.items().map(lower).collect::<Vec<_>>().into())
            }
        }
    }
}

fn name_of(filter: &Node) -> String {
    filter.get("name").and_then(Node::as_str).unwrap_or_default().to_owned()
}

fn renamed(map: &Node, names: &[(&str, &str)]) -> Node {
    let mut made = Node::map();
    for (key, value) in map.entries() {
        let name = names.iter().find(|(from, _)| *from == key).map_or(key, |(_, to)| *to);
        made.insert(name, value.clone());
    }
    if map.is_map() { made } else { Node::from(Value::Null) }
}

/// `DedicatedServer` as `dedicated_server`, `EndpointSlice` as `endpointslice`.
fn snake(text: &str) -> String {
    match text {
        "DedicatedServer" => "dedicated_server".to_owned(),
        _ => text.to_lowercase(),
    }
}
