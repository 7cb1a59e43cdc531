//! The keys of `kubernetes_sd_configs`.
//!
//! As Prometheus `discovery/kubernetes` (`SDConfig`), with the same defaults and refusals.
//!
//! ```yaml
//! kubernetes_sd_configs:
//!   - role: endpointslice
//!     namespaces: {names: [shop]}
//!     selectors:
//!       - {role: endpointslice, label: 'app=cart'}
//!     attach_metadata: {node: true}
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use ::config::{Problem, Secret, UrlText};
use cluster::{Access, ServerAccess};
use net::{BasicAuth, PrometheusClientConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selector::{Selector, check_fields};

/// Finds targets among the objects of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct KubernetesSdConfig {
    /// The address of the API server. Without it and `kubeconfig_file` the process is taken for a pod, and its service account
    /// is used.
    #[serde(default, skip_serializing_if = "UrlText::is_empty")]
    pub api_server: UrlText,

    /// What becomes a target: `node`, `service`, `pod`, `endpoints`, `endpointslice` or `ingress`.
    pub role: Role,

    /// A kubeconfig file whose current context says where the API server is and who asks.
    #[serde(default)]
    pub kubeconfig_file: String,

    /// Where is looked; everywhere if nothing is said.
    #[serde(default, skip_serializing_if = "Namespaces::is_default")]
    pub namespaces: Namespaces,

    /// Which objects are looked at; one entry for each role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<SelectorConfig>,

    /// What of other objects is told along with a target.
    #[serde(default, skip_serializing_if = "AttachMetadata::is_default")]
    pub attach_metadata: AttachMetadata,

    /// How the API server is reached; needs `api_server`.
    #[serde(flatten)]
    pub client: PrometheusClientConfig,
}

/// A kind of object that becomes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A target for each node: its kubelet.
    Node,
    /// A target for each port of a service.
    Service,
    /// A target for each port of each container.
    Pod,
    /// A target for each address behind a service, from Endpoints.
    Endpoints,
    /// A target for each address behind a service, from EndpointSlices.
    EndpointSlice,
    /// A target for each path of an ingress.
    Ingress,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Service => "service",
            Self::Pod => "pod",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Ingress => "ingress",
        })
    }
}

impl Role {
    /// Roles whose objects are looked at for targets of this role, and may be selected.
    fn selectable(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::Node => &[Self::Node],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

/// Namespaces in which targets are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Namespaces {
    /// Also the namespace of the pod that looks.
    #[serde(default)]
    pub own_namespace: bool,

    /// Their names.
    #[serde(default)]
    #[schemars(extend("x-scalars" = "text"))]
    pub names: Vec<String>,
}

impl Namespaces {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which objects of a role are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SelectorConfig {
    /// The role.
    pub role: Role,

    /// A label selector, such as `app in (cart,till)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,

    /// A field selector, such as `spec.nodeName=node-1`; the server applies it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What of other objects is told along with a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AttachMetadata {
    /// Name and labels of the node; for the roles pod, endpoints and endpointslice.
    pub node: bool,
    /// Labels and annotations of the namespace; for all roles but node.
    pub namespace: bool,
    /// The deployment behind the ReplicaSet of the pod.
    pub deployment: bool,
    /// The job of the pod.
    pub job: bool,
    /// The cron job behind the job of the pod.
    pub cronjob: bool,
}

impl AttachMetadata {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl KubernetesSdConfig {
    /// Mistakes that the types cannot see, with paths relative to the entry.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = self.check_access();
        for (index, selector) in self.selectors.iter().enumerate() {
            let path = format!("selectors::{index}");
            if self.selectors[..index].iter().any(|before| before.role == selector.role) {
                let message = format!("the role {} has a selector already", selector.role);
                problems.push(
                    Problem::at(format!("{path}::role"), message)
                        .with_hint("write both into one, separated by a comma"),
                );
            }
            if !self.role.selectable().contains(&selector.role) {
                let known: Vec<String> =
                    self.role.selectable().iter().map(|role| format!("`{role}`")).collect();
                let message = format!(
                    "with the role {} there is nothing to select among {}s",
                    self.role, selector.role
                );
                problems.push(
                    Problem::at(format!("{path}::role"), message)
                        .with_hint(format!("known: {}", known.join(", "))),
                );
            }
            if let Err(why) = Selector::parse(&selector.label) {
                problems.push(Problem::at(format!("{path}::label"), format!("no label selector: {why}")));
            }
            if let Err(why) = check_fields(&selector.field) {
                problems.push(Problem::at(format!("{path}::field"), format!("no field selector: {why}")));
            }
        }
        problems
    }

    fn check_access(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let has_server = !self.api_server.is_empty();
        let has_file = !self.kubeconfig_file.is_empty();
        let is_http =
            ["http://", "https://"].iter().any(|scheme| self.api_server.as_str().starts_with(scheme));
        if has_server && !is_http {
            problems.push(Problem::at("api_server", "the address must begin with http:// or https://"));
        }
        if has_server && has_file {
            problems.push(
                Problem::at("kubeconfig_file", "`api_server` is set, too").with_hint("leave out one of them"),
            );
        }
        if !has_server && self.client != PrometheusClientConfig::default() {
            let problem = Problem::at("", "keys of the HTTP client are set without `api_server`");
            problems.push(if has_file {
                problem.with_hint("`kubeconfig_file` says how the server is reached; leave them out")
            } else {
                problem.with_hint("set `api_server`, or leave them out")
            });
        }
        if (has_server || has_file) && self.namespaces.own_namespace {
            let other = if has_server { "api_server" } else { "kubeconfig_file" };
            let message = format!("with `{other}` there is no own namespace");
            problems.push(Problem::at("namespaces::own_namespace", message).with_hint("name it in `names`"));
        }
        problems
    }

    /// Keys of the HTTP client that the connection to an API server does not know.
    pub(crate) fn unsupported(&self) -> Vec<Problem> {
        if self.api_server.is_empty() {
            return Vec::new();
        }
        let client = &self.client;
        let default = PrometheusClientConfig::default();
        let basic = client.basic_auth.as_ref();
        let is_other_word = |kind: &str| !kind.is_empty() && !kind.eq_ignore_ascii_case("Bearer");
        let word = client.authorization.as_ref().map(|authorization| authorization.kind.as_str());
        [
            ("authorization::type", word.is_some_and(is_other_word)),
            ("oauth2", client.oauth2.is_some()),
            ("http_headers", client.http_headers != default.http_headers),
            ("proxy_url", client.proxy != default.proxy),
            ("follow_redirects", client.follow_redirects != default.follow_redirects),
            ("enable_http2", client.enable_http2 != default.enable_http2),
            ("basic_auth::username_file", basic.is_some_and(|basic| !basic.username_file.is_empty())),
            ("basic_auth::password_file", basic.is_some_and(|basic| !basic.password_file.is_empty())),
            ("tls_config::min_version", client.tls_config.min_version != default.tls_config.min_version),
            ("tls_config::max_version", client.tls_config.max_version != default.tls_config.max_version),
        ]
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(key, _)| {
            Problem::at(key, "the connection to an API server does not take this key")
                .with_hint("use a token, `basic_auth` with texts, a client certificate, or `kubeconfig_file`")
        })
        .collect()
    }

    /// How the API server is reached, where it is said here. Names of files start at a folder.
    pub(crate) fn access(&self, base_dir: &Path) -> Option<Access> {
        let file = |name: &str| (!name.is_empty()).then(|| base_dir.join(name));
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some(path) = file(&self.kubeconfig_file) {
            return Some(Access::Kubeconfig { path, context: None });
        }
        if self.api_server.is_empty() {
            return None;
        }
        let (client, tls) = (&self.client, &self.client.tls_config);
        let secret = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        let authorization = client.authorization.as_ref();
        let token = authorization.and_then(|authorization| secret(&authorization.credentials));
        let basic = |basic: &BasicAuth| (basic.username.clone(), basic.password.clone().unwrap_or_default());
        let token_file: Option<PathBuf> =
            authorization.and_then(|authorization| file(&authorization.credentials_file));
        Some(Access::Server(Box::new(ServerAccess {
            url: UrlText::new(self.api_server.as_str().trim_end_matches('/')),
            basic: client.basic_auth.as_ref().map(basic),
            token: token.or_else(|| secret(&client.bearer_token)),
            token_file: token_file.or_else(|| file(&client.bearer_token_file)),
            ca: text(&tls.ca),
            ca_file: file(&tls.ca_file),
            certificate: text(&tls.cert),
            certificate_file: file(&tls.cert_file),
            key: secret(&tls.key),
            key_file: file(&tls.key_file),
            server_name: text(&tls.server_name),
            accepts_any_certificate: tls.insecure_skip_verify,
        })))
    }
}
