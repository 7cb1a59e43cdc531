//! ServiceMonitors: endpoints of services, one job for each listed endpoint.

use std::sync::LazyLock;

use config::{Problem, schema_of};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::MAX_ENDPOINTS;
use super::class::ScrapeClass;
use super::client::OwnTls;
use super::crd::{AttachMetadata, Common, NamespaceSelector, Port, SelectorMechanism, TlsConfig};
use super::draft::{Draft, node_of};
use super::endpoint::Scraping;
use super::rules::{self, RuleList, copy, keep, meta_label, rewrite, set};
use super::sd::Search;
use crate::selector::Selector;

/// `spec` of a ServiceMonitor.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    /// The label of the service that becomes `job`.
    job_label: String,
    /// Labels of services that targets get.
    target_labels: Vec<String>,
    /// Labels of pods that targets get.
    pod_target_labels: Vec<String>,
    /// What is scraped.
    pub(super) endpoints: Vec<Endpoint>,
    /// Which services.
    pub(super) selector: Selector,
    /// How they are selected.
    selector_mechanism: SelectorMechanism,
    /// Where they are.
    pub(super) namespace_selector: NamespaceSelector,
    /// Which labels of other objects targets get.
    attach_metadata: Option<AttachMetadata>,
    /// Largest answer.
    body_size_limit: String,
    /// Where endpoints of services are looked up.
    service_discovery_role: Role,
    /// What every kind can say.
    #[serde(flatten)]
    common: Common,
}

/// Where endpoints of services are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Role {
    #[default]
    EndpointSlice,
    Endpoints,
}

/// What is scraped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    /// The port of the service, by name.
    pub(super) port: String,
    /// The port of the container, where `port` is not given.
    pub(super) target_port: Option<Port>,
    /// File with a token, on the machine of the scraper. Deprecated.
    bearer_token_file: String,
    /// TLS.
    tls_config: Option<TlsConfig>,
    #[serde(flatten)]
    pub(super) scraping: Scraping,
}

/// The schema of [`Spec`].
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Spec>);

/// Makes the jobs of a ServiceMonitor.
pub(super) fn make(draft: &mut Draft<'_>, spec: &Value) {
    let Some(spec) = draft.read::<Spec>(&node_of(spec), "spec", &SCHEMA) else { return };
    draft.refuse_all("spec::selector", spec.selector.check());
    if spec.endpoints.len() > MAX_ENDPOINTS {
        let message = format!("more endpoints than MAX_ENDPOINTS, {MAX_ENDPOINTS}");
        return draft.refuse(Problem::at("spec::endpoints", message).with_hint("split the monitor"));
    }
    let class = draft.class(&spec.common.scrape_class);
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        let path = format!("spec::endpoints::{index}");
        if let Some(field) =
            endpoint.names_file().filter(|_| draft.policy.config().deny_fs_access_through_sms)
        {
            draft.warn(
                Problem::warning(format!("{path}::{field}"), "the endpoint is left out: it names a file")
                    .with_hint("refer to a Secret, or use a scrape class; prometheus_cr::deny_fs_access_through_sms is set"),
            );
            continue;
        }
        endpoint.make(draft, &path, index, &spec, class);
    }
}

impl Endpoint {
    /// The first field that names a file on the machine of the scraper.
    fn names_file(&self) -> Option<&'static str> {
        let files = self.tls_config.as_ref().map(|tls| &tls.files);
        let tls = |file: fn(&super::TlsFiles) -> &String| files.is_some_and(|files| !file(files).is_empty());
        let fields = [
            ("bearerTokenFile", !self.bearer_token_file.is_empty()),
            ("tlsConfig::caFile", tls(|files| &files.ca_file)),
            ("tlsConfig::certFile", tls(|files| &files.cert_file)),
            ("tlsConfig::keyFile", tls(|files| &files.key_file)),
        ];
        fields.into_iter().find(|(_, is_given)| *is_given).map(|(field, _)| field)
    }

    fn make(
        &self,
        draft: &mut Draft<'_>,
        path: &str,
        index: usize,
        spec: &Spec,
        class: Option<&ScrapeClass>,
    ) {
        let limits = (&spec.common, &*spec.body_size_limit);
        let mut config = self.scraping.config(draft, path, index, limits, class);
        config.client.bearer_token_file.clone_from(&self.bearer_token_file);
        self.scraping.client(draft, path, &mut config, OwnTls::with_files(self.tls_config.as_ref()), class);
        let search = spec.search(draft, class);
        config.sd = draft.search(search);
        let rules = self.target_rules(draft, path, spec);
        self.scraping.add(draft, path, config, rules, class);
    }

    /// The rules that decide which endpoints are targets, and what labels they get.
    fn target_rules(&self, draft: &Draft<'_>, path: &str, spec: &Spec) -> RuleList {
        let family = spec.service_discovery_role.label_family();
        let mut list = RuleList::of_job();
        if spec.selector_mechanism == SelectorMechanism::RelabelConfig {
            list.select("spec::selector", "service", &spec.selector);
        }
        let target_port = format!("{path}::targetPort");
        match (self.port.as_str(), &self.target_port) {
            ("", Some(port)) => {
                if let Some(rule) = port.keep() {
                    list.push(target_port.as_str(), rule);
                }
            }
            ("", None) => {}
            (port, _) => {
                let label = format!("__meta_kubernetes_{family}_port_name");
                list.push(format!("{path}::port"), keep(&[&label], port));
            }
        }
        let kind = format!("__meta_kubernetes_{family}_address_target_kind");
        let name = format!("__meta_kubernetes_{family}_address_target_name");
        let fixed = "spec";
        list.push(fixed, rewrite(&[&kind, &name], "Node;(.*)", "node", "${1}"));
        list.push(fixed, rewrite(&[&kind, &name], "Pod;(.*)", "pod", "${1}"));
        list.push(fixed, copy(&["__meta_kubernetes_namespace"], "namespace"));
        list.push(fixed, copy(&["__meta_kubernetes_service_name"], "service"));
        list.push(fixed, copy(&["__meta_kubernetes_pod_name"], "pod"));
        list.push(fixed, copy(&["__meta_kubernetes_pod_container_name"], "container"));
        if self.scraping.filter_running.unwrap_or(true) {
            list.push(fixed, rules::running());
        }
        list.copy_labels("spec::targetLabels", "service", &spec.target_labels);
        list.copy_labels("spec::podTargetLabels", "pod", &spec.pod_target_labels);
        list.copy_labels("prometheus_cr::pod_target_labels", "pod", &draft.policy.config().pod_target_labels);
        list.push(fixed, rewrite(&["__meta_kubernetes_service_name"], "(.*)", "job", "${1}"));
        if !spec.job_label.is_empty() {
            let label = meta_label("service", &spec.job_label);
            list.push("spec::jobLabel", rewrite(&[&label], "(.+)", "job", "${1}"));
        }
        match (self.port.as_str(), &self.target_port) {
            ("", Some(port)) => {
                let text = port.to_string();
                if !text.is_empty() {
                    list.push(target_port, set("endpoint", &text));
                }
            }
            ("", None) => {}
            (port, _) => list.push(format!("{path}::port"), set("endpoint", port)),
        }
        list
    }
}

impl Spec {
    fn search(&self, draft: &Draft<'_>, class: Option<&ScrapeClass>) -> Search {
        let role = self.service_discovery_role.as_str();
        let by_role = self.selector_mechanism == SelectorMechanism::RoleSelector;
        let attach = self.attach_metadata.as_ref().or(class.and_then(|class| class.attach_metadata.as_ref()));
        Search {
            role,
            namespaces: draft.searched(&self.namespace_selector),
            attach_node: attach.map(|attach| attach.node.unwrap_or(false)),
            selectors: by_role.then(|| (vec![role, "service"], self.selector.to_string())),
        }
    }
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::EndpointSlice => "endpointslice",
            Self::Endpoints => "endpoints",
        }
    }

    /// Meta labels of the role begin with it.
    fn label_family(self) -> &'static str {
        match self {
            Self::EndpointSlice => "endpointslice",
            Self::Endpoints => "endpoint",
        }
    }
}
